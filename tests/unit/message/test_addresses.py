"""Address lists, and names that would pass for somebody else (M7, M8)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carepost.message.addresses import (
    Address,
    Group,
    RawAddress,
    RawGroup,
    addresses_of,
    each,
    name_lies,
    read_addresses,
    shown_name,
)

USUAL = {
    b"a@b.example": [("", "a@b.example")],
    b"<a@b.example>": [("", "a@b.example")],
    b"Dr A <a@b.example>": [("Dr A", "a@b.example")],
    b'"Shah, A." <a@b.example>, c@d.example': [("Shah, A.", "a@b.example"), ("", "c@d.example")],
    b"a@b.example (Dr A)": [("Dr A", "a@b.example")],
    b"A (one (two) three) <a@b.example>": [("A", "a@b.example")],
    b"A <@x.example,@y.example:a@b.example>": [("A", "a@b.example")],
    b'"quoted local"@b.example': [("", '"quoted local"@b.example')],
    b'<"quoted local"@b.example>': [("", '"quoted local"@b.example')],
    b"a@[192.0.2.1]": [("", "a@[192.0.2.1]")],
    b"a . b @ c . example": [("", "a.b@c.example")],
    b"J. R. Smith <j@b.example>": [("J. R. Smith", "j@b.example")],
    b",, a@b.example ,,": [("", "a@b.example")],
    b"A <a@b.example": [("A", "a@b.example")],
    b"A <a@b.example, C <c@d.example>": [("A", "a@b.example"), ("C", "c@d.example")],
    b"=?utf-8?q?Zo=C3=AB?= <z@b.example>": [("Zoë", "z@b.example")],
    b'"=?utf-8?q?Zo=C3=AB?=" <z@b.example>': [("Zoë", "z@b.example")],
    "Zoë <zoë@b.example>".encode(): [("Zoë", "zoë@b.example")],
    b"Zo\xeb <z@b.example>": [("Zoë", "z@b.example")],
    b"root": [("", "root")],
    b"": [],
    b"A\t B  <a@b.example>": [("A B", "a@b.example")],
    b'"A \\"B\\" C" <a@b.example>': [('A "B" C', "a@b.example")],
}


@pytest.mark.parametrize("raw", USUAL)
def test_an_address_list_is_read_as_people_mean_it(raw: bytes) -> None:
    assert [(one.name, one.address) for one in each(addresses_of(raw))] == USUAL[raw]


def test_a_group_keeps_its_members() -> None:
    assert addresses_of(b"Ward 7: a@b.example, C <c@d.example>; e@f.example") == (
        Group("Ward 7", (Address("", "a@b.example"), Address("C", "c@d.example"))),
        Address("", "e@f.example"),
    )


def test_an_empty_group_has_no_members() -> None:
    assert read_addresses(b"undisclosed-recipients:;") == (RawGroup("undisclosed-recipients", ()),)


def test_the_source_route_is_kept_apart() -> None:
    (one,) = read_addresses(b"<@x.example:a@b.example>")
    assert one == RawAddress("", "@x.example", "a", "b.example")


@pytest.mark.parametrize(
    "raw",
    [
        b"=?utf-8?q?a=40evil.example?=@b.example",
        b"<=?utf-8?q?a=40evil.example=3E?=@b.example>",
        b'"=?utf-8?q?a=40evil.example?="@b.example',
        b"=?utf-8?q?collab=40evil.example=3e=00?=foo@b.example",
    ],
)
def test_an_address_is_never_made_out_of_encoded_words(raw: bytes) -> None:
    (one,) = each(addresses_of(raw))
    assert one.domain == "b.example"
    assert "a@evil.example" not in one.address


LIES = [
    b'"ceo@trust.example" <x@evil.example>',
    b"ceo@trust.example <x@evil.example>",
    b'"ceo @ trust.example" <x@evil.example>',
    b"=?utf-8?q?ceo=40trust.example?= <x@evil.example>",
    "ceo＠trust.example <x@evil.example>".encode(),
    b'"ceo@trust.example via list" <x@evil.example>',
    b'"Dr Shah (a@trust.example)" <x@evil.example>',
    b"=?utf-8?q?Dr=E2=80=AE_Shah?= <x@evil.example>",
    b"=?utf-8?q?Dr_S=E2=80=8Bhah?= <x@evil.example>",
    "Рaypal <x@evil.example>".encode(),
    "Αdmin <x@evil.example>".encode(),
    "𝐃𝐫 𝐒𝐡𝐚𝐡 <x@evil.example>".encode(),
    "ＮＨＳ <x@evil.example>".encode(),
]


@pytest.mark.parametrize("raw", LIES, ids=range(len(LIES)))
def test_a_name_that_passes_for_something_else_lies(raw: bytes) -> None:
    one = list(each(addresses_of(raw)))[-1]
    assert name_lies(one)
    assert shown_name(one) == one.address == "x@evil.example"


@pytest.mark.parametrize(
    "raw",
    [
        b"Dr A. Shah <a@b.example>",
        b'"a@b.example" <a@b.example>',
        b'"A@B.example" <a@b.example>',
        b"Dr Jones @ Riverside <a@b.example>",
        "Zoë Müller <z@b.example>".encode(),
        "Дмитрий Иванов <d@b.example>".encode(),
        "Γιώργος <g@b.example>".encode(),
        "محمد <m@b.example>".encode(),
        "山田太郎 Yamada <y@b.example>".encode(),
        "Seán O’Brien <s@b.example>".encode(),
        b"a@b.example",
    ],
)
def test_an_honest_name_is_shown(raw: bytes) -> None:
    (one,) = each(addresses_of(raw))
    assert not name_lies(one)
    assert shown_name(one) == (one.name or one.address)


def test_a_shown_name_holds_nothing_that_is_not_seen() -> None:
    (one,) = each(addresses_of(b"=?utf-8?q?A=0D=0AB=E2=80=AEC=00?= <a@b.example>"))
    assert one.name == "A BC"


def test_ten_thousand_addresses_are_enough() -> None:
    assert len(read_addresses(b", ".join([b'"x" <a@b.example>'] * 12_000))) == 10_000


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                b"a",
                b"@",
                b"b.c",
                b"<",
                b">",
                b",",
                b";",
                b":",
                b'"',
                b"\\",
                b"(",
                b")",
                b" ",
                b"\t",
                b"[",
                b"]",
                b".",
                b"\xe9",
                b"=?utf-8?q?=40?=",
            ]
        )
    )
)
def test_any_tokens_give_a_list_without_an_exception(tokens: list[bytes]) -> None:
    for one in each(addresses_of(b"".join(tokens))):
        assert one.name.isprintable()
        assert one.address.isprintable()


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.text("abc XYZ0", max_size=8), st.text("abz09", min_size=1), st.text("abz", min_size=1)), max_size=5
    )
)
def test_the_usual_forms_mean_the_same_the_long_way_round(people: list[tuple[str, str, str]]) -> None:
    written = [(f"{name} " if name else "") + f"<{local}@{domain}>" for name, local, domain in people]
    short = read_addresses(", ".join(written).encode())
    long = read_addresses(("(c)" + ", ".join(written)).encode())  # the comment forces the long way
    assert [(a.local, a.domain) for a in short] == [(a.local, a.domain) for a in long]
    assert [a.name for a in short[1:]] == [a.name for a in long[1:]]
