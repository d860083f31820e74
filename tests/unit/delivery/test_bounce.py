"""D11: who is told, of what, in which form (RFC 3461, RFC 3464); and P18, C8: strangers are told nothing."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carepost.base.address import EmailAddress
from carepost.base.ids import DeliveryId, ObjectId, OrganisationId, OutgoingId, TraceId
from carepost.delivery.bounce import Bounces, News, is_owed
from carepost.delivery.dispatch import Lane, Settled
from carepost.delivery.model import HopEvidence, LeastTls, Outcome, RecipientResult, VerifiedBy
from carepost.delivery.parcels import LastWord, Parcel, Recipient
from carepost.message.dsn import DsnAction, ReadDsn, read_dsn
from carepost.message.parse import parse

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
RAW = (
    b"From: Sam Ray <sam.ray@riverside.example>\r\nTo: pat@webmail.example\r\nSubject: Blood test\r\n"
    b"Date: Sun, 22 Nov 2026 08:59:00 +0000\r\nMessage-ID: <one@riverside.example>\r\n\r\nThe words of the letter.\r\n"
)
PARCEL = Parcel(
    organisation=OrganisationId(7),
    id=DeliveryId(9),
    trace=TraceId("7Q2M4X8D9K1V5B3N6P0R"),
    outgoing=OutgoingId(3),
    object=ObjectId(b"o" * 16),
    key=b"k" * 32,
    size=len(RAW),
    reverse_path=EmailAddress.parse("sam.ray@riverside.example"),
    envid=None,
    ret=None,
    require_tls=False,
    smtputf8=False,
    forwarded=False,
    lane=Lane.PERSON,
    urgent=False,
    queued_at=NOW - timedelta(hours=4),
    expires_at=NOW + timedelta(days=5),
)
BOUNCES = Bounces(hostname="mx.riverside.example")
TOLD = (Settled.DELIVERED, Settled.FAILED, Settled.EXPIRED, Settled.DELAYED)
# RFC 3461 §4.1: NEVER stands alone; the others in any company; none of them: the sender did not say.
NOTIFY = [
    frozenset(),
    frozenset({"NEVER"}),
    *(frozenset(some) for n in (1, 2, 3) for some in itertools.combinations(("SUCCESS", "FAILURE", "DELAY"), n)),
]
WANTS = {Settled.DELIVERED: "SUCCESS", Settled.FAILED: "FAILURE", Settled.EXPIRED: "FAILURE", Settled.DELAYED: "DELAY"}


def news(
    outcome: Settled,
    *,
    address: str = "pat@webmail.example",
    seq: int = 0,
    notify: frozenset[str] = frozenset(),
    passed_on: bool = False,
    original: str | None = None,
    reply: str = "550 5.1.1 No such user",
    enhanced: str | None = "5.1.1",
    says: str = "There is no such mailbox there.",
) -> News:
    to = EmailAddress.parse(address)
    recipient = Recipient(
        seq=seq, address=to, least=LeastTls.OPPORTUNISTIC, notify=notify, original=original, attempts=3
    )
    result = RecipientResult(
        to, Outcome.LATER, 550, enhanced, says, reply=reply, host="mx.webmail.example", dsn_passed_on=passed_on
    )
    hop = HopEvidence("mx.webmail.example", "192.0.2.1", "TLSv1.3", "AES", VerifiedBy.PKIX, NOW, reply)
    return News(to=recipient, outcome=outcome, word=LastWord(result=result, evidence=hop))


def read(letter: bytes | None) -> ReadDsn:
    assert letter is not None
    found = read_dsn(parse(letter))
    assert found is not None
    return found


@pytest.mark.parametrize("notify", NOTIFY, ids=lambda one: "+".join(sorted(one)) or "unsaid")
@pytest.mark.parametrize("outcome", TOLD)
@pytest.mark.parametrize("passed_on", [False, True])
def test_notify_is_obeyed(notify: frozenset[str], outcome: Settled, passed_on: bool) -> None:
    letter = BOUNCES.letter(PARCEL, [news(outcome, notify=notify, passed_on=passed_on)], RAW, now=NOW)
    wanted = WANTS[outcome] in (notify or {"FAILURE", "DELAY"})
    if outcome is Settled.DELIVERED and passed_on:
        wanted = False  # RFC 3461 §6.2.1: the next system reports
    assert (letter is not None) == wanted


@pytest.mark.parametrize("ret", [None, "FULL", "HDRS"])
@pytest.mark.parametrize("outcome", TOLD)
def test_ret_says_how_much_comes_back_and_envid_and_orcpt_come_back_as_they_were(
    ret: str | None, outcome: Settled
) -> None:
    parcel = replace(PARCEL, ret=ret, envid="QQ314159+2Bx")
    told = news(outcome, notify=frozenset({"SUCCESS", "FAILURE", "DELAY"}), original="rfc822;pat+2Bx@old.example")
    letter = BOUNCES.letter(parcel, [told], RAW, now=NOW)
    found = read(letter)
    assert found.envid == "QQ314159+x"
    assert found.about == "<one@riverside.example>"
    (one,) = found.recipients
    assert (one.address, one.original) == ("pat@webmail.example", "pat+x@old.example")
    assert letter is not None
    whole = b"The words of the letter." in letter
    assert whole == (ret == "FULL" and outcome in (Settled.FAILED, Settled.EXPIRED))
    assert b"Subject: Blood test\r\n" in letter


@pytest.mark.parametrize(
    ("outcome", "action", "status"),
    [
        (Settled.DELIVERED, DsnAction.RELAYED, "2.0.0"),
        (Settled.FAILED, DsnAction.FAILED, "5.1.1"),
        (Settled.EXPIRED, DsnAction.FAILED, "5.4.7"),
        (Settled.DELAYED, DsnAction.DELAYED, "4.4.7"),
    ],
)
def test_action_and_status_are_of_one_class(outcome: Settled, action: DsnAction, status: str) -> None:
    told = news(outcome, notify=frozenset({"SUCCESS", "FAILURE", "DELAY"}))
    (one,) = read(BOUNCES.letter(PARCEL, [told], RAW, now=NOW)).recipients
    assert (one.action, one.status) == (action, status)


def test_one_letter_tells_of_several_recipients_and_of_none_who_did_not_want_it() -> None:
    letter = BOUNCES.letter(
        PARCEL,
        [
            news(Settled.FAILED, address="a@x.example", seq=0),
            news(Settled.DELIVERED, address="b@x.example", seq=1, notify=frozenset({"SUCCESS"})),
            news(Settled.FAILED, address="c@x.example", seq=2, notify=frozenset({"NEVER"})),
            news(Settled.DELIVERED, address="d@x.example", seq=3),
            news(Settled.DELAYED, address="e@x.example", seq=4),
        ],
        RAW,
        now=NOW,
    )
    found = {one.address: one.action for one in read(letter).recipients}
    assert found == {
        "a@x.example": DsnAction.FAILED,
        "b@x.example": DsnAction.RELAYED,
        "e@x.example": DsnAction.DELAYED,
    }
    assert letter is not None
    assert b"c@x.example" not in letter
    assert b"d@x.example" not in letter


def test_the_letter_is_what_another_reader_reads_and_no_machine_answers() -> None:
    letter = BOUNCES.letter(PARCEL, [news(Settled.FAILED)], RAW, now=NOW)
    assert letter is not None
    other = message_from_bytes(letter, policy=policy.default)
    assert other.get_content_type() == "multipart/report"
    assert other.get_param("report-type") == "delivery-status"
    assert [part.get_content_type() for part in other.iter_parts()] == [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    assert other["Auto-Submitted"] == "auto-replied"
    assert other["In-Reply-To"] == "<one@riverside.example>"
    assert str(other["To"]) == "sam.ray@riverside.example"
    assert str(other["From"]) == "Carepost <postmaster@riverside.example>"
    assert other["Subject"] == "Not delivered: Blood test"
    status = other.get_payload()[1].get_payload()  # type: ignore[union-attr, index]
    assert [block["Action"] for block in status[1:]] == ["failed"]  # type: ignore[index]
    assert status[1]["Diagnostic-Code"] == "smtp; 550 5.1.1 No such user"  # type: ignore[index, call-overload]
    assert not parse(letter).defects


def test_the_words_say_what_happened_to_whom_why_and_what_to_do() -> None:
    letter = BOUNCES.letter(PARCEL, [news(Settled.FAILED)], RAW, now=NOW)
    assert letter is not None
    message = parse(letter)
    words = message.text(message.root.children[0])
    order = [
        "NOT delivered",
        "pat@webmail.example",
        "There is no such mailbox there.",
        "550 5.1.1 No such user",
        "Check the address letter by letter",
        "Blood test",
        PARCEL.trace,
    ]
    places = [words.index(part) for part in order]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "parcel",
    [
        replace(PARCEL, reverse_path=None),
        replace(PARCEL, outgoing=None),
        replace(PARCEL, forwarded=True),
    ],
    ids=["the null reverse-path", "the service's own mail", "somebody else's mail, passed on"],
)
def test_a_stranger_is_never_told(parcel: Parcel) -> None:
    """P18: whatever the reverse-path of what we passed on says, nobody there hears of it."""
    for outcome, notify in itertools.product(Settled, NOTIFY):
        assert BOUNCES.letter(parcel, [news(outcome, notify=notify)], RAW, now=NOW) is None


def test_what_was_cancelled_is_told_by_nobody() -> None:
    assert not is_owed(PARCEL, news(Settled.CANCELLED, notify=frozenset({"SUCCESS", "FAILURE", "DELAY"})))


def test_a_message_that_was_never_tried_has_a_delay_notice_too() -> None:
    untried = replace(news(Settled.DELAYED), word=None)
    letter = BOUNCES.letter(PARCEL, [untried], RAW, now=NOW)
    (one,) = read(letter).recipients
    assert one.status == "4.4.7"
    assert b"It has not been possible to try yet." in (letter or b"")


def test_an_address_beyond_ascii_is_told_in_its_own_letters() -> None:
    """RFC 6533."""
    letter = BOUNCES.letter(PARCEL, [news(Settled.FAILED, address="jürgen@webmail.example")], RAW, now=NOW)
    (one,) = read(letter).recipients
    assert one.address == "jürgen@webmail.example"
    assert b"message/global-delivery-status" in (letter or b"")


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=60))
def test_nothing_that_a_peer_says_becomes_a_field_or_a_part(reply: str, says: str, subject: str) -> None:
    """P10."""
    raw = RAW.replace(b"Blood test", subject.encode("utf-8", "replace").replace(b"\r", b"").replace(b"\n", b""))
    letter = BOUNCES.letter(PARCEL, [news(Settled.FAILED, reply=reply, says=says)], raw, now=NOW)
    assert letter is not None
    message = parse(letter)
    assert [header.name for header in message.root.headers] == [
        *("from", "to", "subject", "date", "message-id", "in-reply-to", "references", "auto-submitted"),
        *("mime-version", "content-type"),
    ]
    assert len(message.root.children) == 3
    (one,) = read(letter).recipients
    assert (one.address, one.action, one.status) == ("pat@webmail.example", DsnAction.FAILED, "5.1.1")
