"""What a careful colleague says about who a message goes to: each slip, and each thing that is no slip."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from tests.fakes.cpu_time import costs_less_than

from carepost.base.address import Domain, EmailAddress
from carepost.gateway.out.recipients import Acquaintance, RecipientsView, RecipientView, Rule, look_at_recipients
from carepost.message.lookalikes import edits, looks_like, name_key, to_the_eye

ME = EmailAddress.parse("ada.okafor@riverside.example")
OURS = frozenset({Domain("riverside.example"), Domain("stjudes.example"), Domain("lakeside-trust.example")})


def somebody(address: str, **more: object) -> RecipientView:
    parsed = EmailAddress.parse(address)
    inside = parsed.domain.name in ("riverside.example", "stjudes.example")
    secure = inside or parsed.domain.name == "lakeside-trust.example"
    return RecipientView(**{"address": parsed, "inside": inside, "secure": secure, **more})  # type: ignore[arg-type]


def friend(address: str, name: str = "", times: int = 10, **more: str) -> Acquaintance:
    return Acquaintance(address=EmailAddress.parse(address), name=name, times=times, **more)  # type: ignore[arg-type]


SAM = friend("sam.mbeki@stjudes.example", "Sam Mbeki", organisation="St Jude's", role="Ward sister")


def look(
    *to: RecipientView, known: tuple[Acquaintance, ...] = (SAM,), **more: object
) -> list[tuple[str, str | bool | int | None]]:
    view = RecipientsView(sender=ME, recipients=to, known=known, known_domains=OURS, **{"sensitive": True, **more})  # type: ignore[arg-type]
    return [(found.code, found.facts.get("recipient")) for found in look_at_recipients(view)]


def codes(*to: RecipientView, **more: object) -> list[str]:
    return [code for code, _ in look(*to, **more)]  # type: ignore[arg-type]


def test_writing_to_whom_one_always_writes_to_is_never_asked_about() -> None:
    assert look(somebody(str(SAM.address), name="Sam Mbeki", times=10)) == []


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        # The wrong namesake: another Sam Mbeki, whom nobody here has written to.
        (somebody("sam.mbeki2@riverside.example", name="Sam Mbeki"), Rule.NAMESAKE),
        (somebody("mbeki.sam@lakeside-trust.example", name="Mbeki, Sam"), Rule.NAMESAKE),
        # The same name, somewhere outside.
        (somebody("sam.mbeki@builders.example", name="Sam Mbeki"), Rule.NAME_ELSEWHERE),
        # A letter or two from a known address.
        (somebody("sam.mebki@stjudes.example"), Rule.ADDRESS_LOOKALIKE),
        (somebody("sam.mbekki@stjudes.example"), Rule.ADDRESS_LOOKALIKE),
        (somebody("sarn.mbeki@stjudes.example"), Rule.ADDRESS_LOOKALIKE),
        # A domain that is not the one it seems to be.
        (somebody("sam.mbeki@stjudes-example.example"), Rule.NAME_ELSEWHERE),
        (somebody("results@stjude.example"), Rule.DOMAIN_LOOKALIKE),
        (somebody("results@rivers1de.example"), Rule.DOMAIN_LOOKALIKE),
        (somebody("results@riversıde.example"), Rule.DOMAIN_LOOKALIKE),
        # Their private mail.
        (somebody("sam.mbeki@gmail.com"), Rule.FREE_MAIL_TWIN),
        (somebody("sam.mbeki77@gmail.com"), Rule.FREE_MAIL_TWIN),
        (somebody("s.m@gmail.com", name="Sam Mbeki"), Rule.FREE_MAIL_TWIN),
        # Nobody in particular.
        (somebody("jo@home.example"), Rule.FIRST_TIME),
    ],
)
def test_each_slip_is_told_once(to: RecipientView, expected: Rule) -> None:
    assert look(to) == [(expected.value, str(to.address))]


@pytest.mark.parametrize(
    "to",
    [
        somebody("jo@home.example", times=1),
        somebody("jo@home.example", received=1),
        somebody("jo@home.example", on_thread=True),
        somebody("new.person@stjudes.example", name="New Person"),
        somebody("anybody@lakeside-trust.example"),
        somebody("sam.mbeki@gmail.com", times=2),
        somebody("sam.mbeki@stjudes.example", name="Sam Mbeki", times=10),
    ],
)
def test_what_is_no_slip_is_not_asked_about(to: RecipientView) -> None:
    assert look(to) == []


def test_a_stranger_is_only_asked_about_when_something_matters() -> None:
    jo = somebody("jo@home.example")
    assert codes(jo, sensitive=False) == []
    assert codes(jo, sensitive=False, attachments=True) == ["first-time"]
    assert codes(jo, sensitive=None) == ["first-time"]  # not known is not harmless
    assert codes(replace(jo, times=None), sensitive=True) == ["first-time"]


def test_a_namesake_of_somebody_hardly_known_is_let_pass() -> None:
    other = somebody("sam.mbeki2@riverside.example", name="Sam Mbeki")
    assert codes(other, known=(replace(SAM, times=2),)) == []
    assert codes(other, known=()) == []


def test_a_colleagues_name_from_the_directory_is_enough_outside() -> None:
    elena = Acquaintance(address=EmailAddress.parse("elena.petrova@stjudes.example"), name="Dr Elena Petrova")
    assert codes(somebody("elena.petrova@yahoo.com"), known=(), namesakes=(elena,)) == ["free-mail-twin"]
    assert codes(somebody("e@shop.example", name="Petrova Elena"), known=(), namesakes=(elena,)) == ["name-elsewhere"]
    assert codes(somebody("elena@yahoo.com"), known=(), namesakes=(elena,), sensitive=False) == []


def test_short_names_are_not_compared() -> None:
    assert codes(somebody("joe@stjudes.example"), known=(friend("jo@stjudes.example"),)) == []


def test_numbered_mailboxes_of_one_kind_are_not_each_others_slips_once_known() -> None:
    known = (friend("ward7a@stjudes.example"), friend("ward7b@stjudes.example"))
    assert codes(somebody("ward7b@stjudes.example", times=10), known=known) == []


def test_the_finding_names_whom_the_sender_may_have_meant() -> None:
    view = RecipientsView(
        sender=ME, recipients=(somebody("sam.mebki@stjudes.example"),), known=(SAM,), known_domains=OURS
    )
    (found,) = look_at_recipients(view)
    assert found.facts["instead"] == "sam.mbeki@stjudes.example"
    assert found.says == (
        "sam.mebki@stjudes.example is nearly Sam Mbeki (sam.mbeki@stjudes.example), Ward sister, St Jude's, "
        "whom you have written to 10 times."
    )


def test_somebody_who_has_left_is_told_of_even_if_well_known() -> None:
    assert codes(somebody("old@stjudes.example", times=40, left=True)) == ["leaver"]


def _outsiders(count: int, **more: object) -> list[RecipientView]:
    return [somebody(f"person{number}@home.example", times=9, **more) for number in range(count)]


def test_visible_outsiders_are_counted_and_hidden_ones_are_not() -> None:
    assert codes(*_outsiders(5)) == []
    assert codes(*_outsiders(6)) == ["too-many-outsiders"]
    assert codes(*_outsiders(60, visible=False)) == []
    assert codes(*_outsiders(50)) == ["far-too-many-outsiders"]


def test_two_patients_never_share_a_header() -> None:
    assert codes(*_outsiders(2, patient=True)) == ["visible-patients"]
    assert codes(*_outsiders(1, patient=True)) == []
    assert codes(*_outsiders(2, patient=True, visible=False)) == []
    assert codes(*_outsiders(6), somebody("jo@home.example", times=3, patient=True))[0] == "visible-patients"


def test_a_patients_address_that_nobody_checked_for_a_year_is_told_of() -> None:
    assert codes(somebody("jo@home.example", times=3, patient=True, verified=False)) == ["unverified-patient-address"]


def test_what_somebody_answered_to_is_this_you_decides_whether_the_sender_is_asked() -> None:
    jo = somebody("jo@home.example", patient=True)
    assert codes(jo) == ["first-time"]
    assert codes(replace(jo, confirmed=True)) == []
    known = replace(jo, times=9, denied=True, verified=False)
    assert codes(known, sensitive=False) == ["unverified-patient-address"]


def test_many_organisations_at_once_are_asked_about() -> None:
    to = [somebody(f"jo@home{number}.example", times=9) for number in range(5)]
    assert codes(*to) == ["many-domains"]
    assert codes(*(replace(one, on_thread=True) for one in to)) == []


def test_a_reply_to_all_says_how_many_and_a_hidden_copy_stays_hidden() -> None:
    colleagues = [somebody(f"colleague{number}@riverside.example", on_thread=True) for number in range(21)]
    assert codes(*colleagues, reply_all=True) == ["reply-all-size"]
    assert codes(*colleagues, reply_all=False) == []
    assert codes(*colleagues[:2], reply_all=True, was_bcc=True) == ["bcc-reply"]


def test_an_outsider_who_is_let_into_a_conversation_is_told_of() -> None:
    there = somebody("sam.mbeki@stjudes.example", on_thread=True)
    assert codes(there, somebody("jo@home.example"), reply_all=True) == ["outsider-added"]
    theirs = somebody("kim@home.example", on_thread=True)
    assert codes(theirs, somebody("jo@home.example", times=2), reply_all=True) == []


def test_the_wrong_line_of_the_list_is_noticed_by_its_company() -> None:
    """Sam Miller and Sam Mbeki are both known; with Grace it has always been Mbeki."""
    grace = friend("grace.adeyemi@riverside.example", "Grace Adeyemi")
    miller = friend("sam.miller@stjudes.example", "Sam Miller", times=4)
    together = {("grace.adeyemi@riverside.example", "sam.mbeki@stjudes.example"): 5}
    to = (
        somebody(str(grace.address), name="Grace Adeyemi", times=10),
        somebody(str(miller.address), name="Sam Miller", times=4),
    )
    known = (SAM, grace, miller)
    assert look(*to, known=known, together=together) == [("unusual-company", str(miller.address))]
    assert codes(*to, known=known, together=together, sensitive=False) == []
    both = {**together, ("grace.adeyemi@riverside.example", "sam.miller@stjudes.example"): 1}
    assert codes(*to, known=known, together=both) == []
    assert codes(to[1], known=known, together=together) == []


def test_a_stranger_who_stands_below_somebody_well_known_is_noticed() -> None:
    miller = somebody("sam.miller@stjudes.example", name="Samantha Miller")
    assert look(miller) == [("like-named", str(miller.address))]
    assert codes(miller, sensitive=False) == []
    assert codes(miller, known=(replace(SAM, times=4),)) == []
    assert codes(replace(miller, times=1)) == []
    assert codes(replace(miller, received=1)) == []
    assert codes(miller, somebody(str(SAM.address), times=10)) == []  # both are meant


def test_not_for_urgent_is_said_and_asks_nothing() -> None:
    view = RecipientsView(
        sender=ME,
        recipients=(somebody("results@riverside.example", name="Results", not_for_urgent=True, times=9),),
    )
    (found,) = look_at_recipients(view)
    assert (found.code, found.weight) == ("not-for-urgent", 0)


def test_a_large_message_against_many_correspondents_takes_no_time_to_speak_of() -> None:
    known = tuple(friend(f"first{n}.family{n % 97}@org{n % 40}.example", f"First{n} Family") for n in range(2_000))
    to = [somebody(f"fist{n}.famly{n % 97}@org{n % 40}.example", name=f"Fist{n} Famly") for n in range(500)]
    view = RecipientsView(sender=ME, recipients=tuple(to), known=known, known_domains=OURS, sensitive=True)
    # Some 0.5 s here; without its arrangements it would be minutes.
    costs_less_than(10, lambda: look_at_recipients(view))


@pytest.mark.parametrize(
    ("first", "second", "most", "expected"),
    [
        ("same", "same", 2, 0),
        ("abcd", "abdc", 2, 1),
        ("abcd", "abdc", 1, 1),
        ("abcd", "abc", 1, 1),
        ("abcd", "abxyd", 2, 2),
        ("abcd", "badc", 2, 2),
        ("abcd", "wxyz", 2, None),
        ("abcd", "abcdefg", 2, None),
        ("", "ab", 2, 2),
    ],
)
def test_edits_are_counted(first: str, second: str, most: int, expected: int | None) -> None:
    assert edits(first, second, most) == expected
    assert edits(second, first, most) == expected


def test_what_the_eye_takes_for_the_same() -> None:
    pairs: Mapping[str, str] = {"rnbeki": "mbeki", "paypa1": "paypal", "оkafor": "okafor", "vvard": "ward"}
    for shown, meant in pairs.items():
        assert to_the_eye(shown) == to_the_eye(meant)
    assert name_key("Okafor, Dr Ada") == name_key("Ada  OKAFOR") == "ada okafor"
    known = [Domain("stjudes.example")]
    assert looks_like(Domain("ward7.stjudes.example"), known) is None
    assert looks_like(Domain.parse("stjudеs.example"), known) == known[0]  # a Cyrillic letter in it
