"""What may be answered by a machine, one rule at a time, and the answer. RFC 3834."""

from datetime import UTC, datetime

import pytest

from carepost.base.address import EmailAddress
from carepost.message.automatic import AutomaticAnswer, Silence, why_not_answered, write_answer
from carepost.message.parse import parse

OWN = [EmailAddress.parse("desk@riverside.example"), EmailAddress.parse("reception@riverside.example")]
PAT = "pat@webmail.example"


def letter(extra: str = "", *, author: str = f"Pat <{PAT}>", to: str = "desk@riverside.example") -> bytes:
    return (
        f"From: {author}\r\nTo: {to}\r\nSubject: About my hip\r\nMessage-ID: <1@webmail.example>\r\n{extra}\r\nIt hurts.\r\n"
    ).encode()


def silence(raw: bytes, sender: str | None = PAT) -> Silence | None:
    return why_not_answered(parse(raw), EmailAddress.parse(sender) if sender else None, own=OWN)


def test_a_person_who_writes_to_the_mailbox_is_answered() -> None:
    assert silence(letter()) is None
    assert silence(letter("Auto-Submitted: no\r\nPrecedence: first-class\r\n")) is None
    assert silence(letter(to="RECEPTION@Riverside.example, other@trust.example")) is None
    assert silence(letter("Cc: desk@riverside.example\r\n", to="other@trust.example")) is None


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ("Auto-Submitted: auto-replied\r\n", Silence.ROBOT),
        ("Auto-Submitted: auto-generated; owner-email=x\r\n", Silence.ROBOT),
        ("X-Auto-Response-Suppress: OOF, AutoReply\r\n", Silence.ROBOT),
        ("Precedence: bulk\r\n", Silence.LIST),
        ("Precedence: List\r\n", Silence.LIST),
        ("Precedence: junk\r\n", Silence.LIST),
        ("List-Id: <news.trust.example>\r\n", Silence.LIST),
        ("List-Unsubscribe: <https://trust.example/off>\r\n", Silence.LIST),
        ("List-Post: NO\r\n", Silence.LIST),
        (
            'MIME-Version: 1.0\r\nContent-Type: multipart/report; boundary="b"\r\n\r\n--b\r\n\r\nno\r\n--b--\r\n',
            Silence.REPORT,
        ),
    ],
)
def test_what_lists_and_machines_send_is_not_answered(extra: str, why: Silence) -> None:
    assert silence(letter(extra)) is why


@pytest.mark.parametrize(
    "local",
    [
        "owner-staff", "staff-request", "staff-owner", "staff-bounces", "MAILER-DAEMON", "postmaster", "listserv",
        "bounces+pat=x", "no-reply", "noreply", "do-not-reply", "appointments-noreply", "prvs=123=pat", "SRS0=a=b",
    ],
)  # fmt: skip
def test_addresses_of_machines_are_not_answered(local: str) -> None:
    address = f"{local}@webmail.example"
    assert silence(letter(author=address), address) is Silence.ROBOT


@pytest.mark.parametrize("local", ["pat", "jo.owner", "request", "news.reader", "replyjo", "norep.ly", "dana-list"])
def test_people_whose_names_look_a_little_like_that_are(local: str) -> None:
    address = f"{local}@webmail.example"
    assert silence(letter(author=address), address) is None


def test_the_null_reverse_path_is_not_answered() -> None:
    assert silence(letter(), None) is Silence.NO_SENDER


def test_nobody_is_answered_but_who_wrote_it() -> None:
    """Else a stranger would choose whom we write to."""
    assert silence(letter(), "victim@other.example") is Silence.NOT_ITS_SENDER
    assert silence(letter(author=f"{PAT}, victim@other.example")) is Silence.NOT_ITS_SENDER
    assert silence(letter(author="")) is Silence.NOT_ITS_SENDER


def test_what_was_not_addressed_to_the_mailbox_is_not_answered() -> None:
    assert silence(letter(to="undisclosed-recipients:;")) is Silence.NOT_ADDRESSED
    assert silence(letter(to="other@trust.example")) is Silence.NOT_ADDRESSED


def test_a_mailbox_does_not_answer_itself() -> None:
    own = "reception@riverside.example"
    assert silence(letter(author=own), own) is Silence.OURSELVES


def test_an_answer_says_that_it_is_automatic_and_holds_nothing_of_what_it_answers() -> None:
    answer = AutomaticAnswer(
        sender=OWN[0],
        name="Front desk",
        to=EmailAddress.parse(PAT),
        subject="Automatic reply",
        text="We read this on working days.",
        at=datetime(2026, 11, 22, 9, tzinfo=UTC),
    )
    raw = write_answer(answer, parse(letter("References: <0@webmail.example>\r\n")))
    message = parse(raw)
    assert message.first("auto-submitted").strip() == b"auto-replied"
    assert message.first("in-reply-to").strip() == b"<1@webmail.example>"
    assert message.references == ("<0@webmail.example>", "<1@webmail.example>")
    assert message.subject == "Automatic reply"
    assert b"hip" not in raw
    assert b"hurts" not in raw
    again = why_not_answered(message, OWN[0], own=[EmailAddress.parse(PAT)])
    assert again is Silence.ROBOT


def test_a_message_id_that_cannot_stand_in_a_header_is_left_out() -> None:
    answer = AutomaticAnswer(
        sender=OWN[0],
        name="",
        to=EmailAddress.parse(PAT),
        subject="Automatic reply",
        text="Yes.",
        at=datetime(2026, 11, 22, tzinfo=UTC),
    )
    raw = write_answer(answer, parse(letter(f"References: <{'x' * 2000}@a.example>\r\n")))
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert parse(raw).first("auto-submitted").strip() == b"auto-replied"
