"""Building messages: nothing that a value holds becomes a header (P10)."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carepost.base.address import EmailAddress
from carepost.base.errors import Malformed
from carepost.message.addresses import Address, each
from carepost.message.compose import Attachment, compose, format_date
from carepost.message.parse import parse

AT = datetime(2026, 11, 22, 9, 5, 7, tzinfo=UTC)


def _letter(**changes: object) -> bytes:
    fields: dict[str, object] = {
        "from_": "Dr Shah <a@b.example>",
        "to": ["w@t.example"],
        "subject": "s",
        "text": "hello",
        "date": AT,
        "message_id": "1@b.example",
    }
    return compose(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_plain_letter_is_what_anyone_would_write() -> None:
    assert _letter() == (
        b"From: Dr Shah <a@b.example>\r\nTo: w@t.example\r\nSubject: s\r\nDate: Sun, 22 Nov 2026 09:05:07 +0000\r\n"
        b"Message-ID: <1@b.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n\r\nhello\r\n"
    )


EVIL = ["\r", "\n", "\r\n", "\r\n ", "\0", "\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1b", "\x7f"]


@pytest.mark.parametrize("evil", EVIL, ids=[repr(one) for one in EVIL])
@pytest.mark.parametrize(
    "where",
    ["subject", "from_", "to", "cc", "message_id", "name", "extra_name", "extra_value", "filename", "media_type"],
)
def test_a_line_end_or_control_in_a_header_is_refused(evil: str, where: str) -> None:
    value = f"x{evil}Bcc: y@z.example"
    changes: dict[str, dict[str, object]] = {
        "subject": {"subject": value},
        "from_": {"from_": f"Dr {value} <a@b.example>"},
        "to": {"to": [f"w{evil}@t.example"]},
        "cc": {"cc": [f'"{value}" <w@t.example>']},
        "message_id": {"message_id": f"{value}@b.example"},
        "name": {"from_": Address(value, "a@b.example")},
        "extra_name": {"extra_headers": [(value, "x")]},
        "extra_value": {"extra_headers": [("X-Y", value)]},
        "filename": {"attachments": [Attachment(value, "text/plain", b"")]},
        "media_type": {"attachments": [Attachment("a", f"text/plain{evil}", b"")]},
    }
    with pytest.raises(Malformed):
        _letter(**changes[where])


def test_what_looks_encoded_is_encoded_and_not_taken_for_it() -> None:
    raw = _letter(subject="=?utf-8?q?x=0D=0ABcc:_y=40z.example?=")
    message = parse(raw)
    assert message.subject == "=?utf-8?q?x=0D=0ABcc:_y=40z.example?="
    assert message.header_values("bcc") == []


@settings(deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_adds_a_header(subject: str, name: str) -> None:
    try:
        raw = _letter(subject=subject, from_=Address(name, "a@b.example"))
    except Malformed:
        return
    message = parse(raw)
    expected = [
        "from",
        "to",
        "subject",
        "date",
        "message-id",
        "mime-version",
        "content-type",
        "content-transfer-encoding",
    ]
    assert [header.name for header in message.root.headers] == expected
    assert [one.address for one in each(message.addresses("from"))] == ["a@b.example"]


def test_lines_are_folded_at_seventy_eight() -> None:
    raw = _letter(subject="word " * 60 + "end", to=[f"somebody{n}@trust.example" for n in range(40)])
    assert max(len(line) for line in raw.split(b"\r\n")) <= 78
    assert len(list(each(parse(raw).addresses("to")))) == 40


def test_a_word_too_long_for_any_line_is_refused() -> None:
    with pytest.raises(Malformed):
        _letter(extra_headers=[("List-Unsubscribe", "<https://x.example/" + "x" * 1_000 + ">")], message_id="x" * 990)


@pytest.mark.parametrize("who", ["", "nobody", "a@b@c <", "a@b.example, c@d.example", "g: a@b.example;, x@y.example"])
def test_what_is_not_one_address_is_refused(who: str) -> None:
    with pytest.raises(Malformed):
        _letter(to=[who])


def test_addresses_may_be_values() -> None:
    raw = _letter(from_=EmailAddress.parse("a@b.example"), to=Address("Ward, 7", "w@t.example"), cc="c@d.example")
    message = parse(raw)
    assert message.addresses("to") == (Address("Ward, 7", "w@t.example"),)
    assert message.addresses("from") == (Address("", "a@b.example"),)
    assert message.addresses("cc") == (Address("", "c@d.example"),)


@pytest.mark.parametrize(
    "name", ["letter.pdf", 'a"b\\c.txt', "Ärztebrief.pdf", "€" * 120 + ".pdf", "x" * 200 + ".docx", "a; b=c.txt", ""]
)
def test_a_file_name_comes_back(name: str) -> None:
    message = parse(
        _letter(attachments=[("a.txt", "text/plain", b"1"), Attachment(name, "application/pdf", b"\0\xff\r\n")])
    )
    part = [part for _, part in message.leaves()][2]
    assert part.disposition_params["filename"] == name
    assert message.body_bytes(part) == b"\0\xff\r\n"
    assert message.defects == frozenset()


def test_html_stands_beside_the_text() -> None:
    message = parse(_letter(html="<p>hello</p>", attachments=[("a.txt", "text/plain", b"1")]))
    assert [(path, part.media_type) for path, part in message.leaves()] == [
        ("1.1", "text/plain"),
        ("1.2", "text/html"),
        ("2", "text/plain"),
    ]


def test_a_text_cannot_hold_its_own_boundary() -> None:
    first = _letter(html="x")
    boundary = parse(first).root.params["boundary"]
    message = parse(_letter(html="x", text=f"--{boundary}\r\n\r\nfalse part\r\n--{boundary}--"))
    assert len(list(message.leaves())) == 2
    assert f"--{boundary}--" in message.text(next(message.leaves())[1])


@pytest.mark.parametrize(
    "text", ["", ".", "From x", "x" * 2_000, "é" * 500, "山田" * 500, "trailing \t\nspaces ", "a\rb", "\0"]
)
def test_any_text_travels(text: str) -> None:
    raw = _letter(text=text)
    message = parse(raw)
    assert message.text(message.root).replace("\r\n", "\n").removesuffix("\n") == text.replace("\r", "\n").removesuffix(
        "\n"
    )
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998


def test_a_date_without_a_zone_is_refused() -> None:
    with pytest.raises(Malformed):
        format_date(datetime(2026, 11, 22))


def test_the_same_arguments_give_the_same_bytes() -> None:
    assert _letter(html="x") == _letter(html="x")
