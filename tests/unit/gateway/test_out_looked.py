"""What the checks saw is used by the send that follows its preview, and by nothing else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from carepost.base.ids import MailboxId, OrganisationId, PersonId
from carepost.gateway.contents import Contents, read_contents
from carepost.gateway.examine import failed
from carepost.gateway.out.looked import Looked, LookedPolicy, Seen
from carepost.gateway.out.outgoing import OutDoor, Submission
from carepost.message.parse import parse

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
RAW = b"From: a@b.example\r\nSubject: x\r\n\r\nwords\r\n"
SUBMISSION = Submission(
    organisation=OrganisationId(1),
    person=PersonId(2),
    mailbox=MailboxId(3),
    reverse_path=None,
    recipients=(),
    raw=RAW,
    door=OutDoor.WEB,
)


def seen() -> Seen:
    message = parse(RAW)
    contents: Contents = read_contents(message)
    return Seen(message, contents, ())


def test_it_is_used_once_for_the_same_bytes_of_the_same_sender_within_seconds() -> None:
    for other in (
        replace(SUBMISSION, raw=RAW + b"."),
        replace(SUBMISSION, person=PersonId(9)),
        replace(SUBMISSION, mailbox=MailboxId(9)),
        replace(SUBMISSION, organisation=OrganisationId(9)),
        replace(SUBMISSION, door=OutDoor.SUBMISSION),
    ):
        looked = Looked()
        looked.keep(SUBMISSION, kept := seen(), NOW)
        assert looked.take(other, NOW) is None
        assert looked.take(SUBMISSION, NOW + timedelta(seconds=10)) is kept
        assert looked.take(SUBMISSION, NOW) is None
    looked = Looked()
    looked.keep(SUBMISSION, seen(), NOW)
    assert looked.take(SUBMISSION, NOW + timedelta(seconds=11)) is None
    looked.keep(SUBMISSION, seen(), NOW)
    assert looked.take(SUBMISSION, NOW - timedelta(seconds=1)) is None, "a clock that was set back"


def test_what_a_check_could_not_find_out_is_looked_for_again() -> None:
    looked = Looked()
    looked.keep(SUBMISSION, replace(seen(), findings=(failed("malware", "TimeoutError"),)), NOW)
    assert looked.take(SUBMISSION, NOW) is None


def test_it_is_bounded_in_memory() -> None:
    looked = Looked(LookedPolicy(octets_max=250))
    many = [replace(SUBMISSION, raw=bytes([n]) * 100) for n in range(5)]
    for one in many:
        looked.keep(one, seen(), NOW)
    assert [looked.take(one, NOW) is not None for one in many] == [False, False, False, True, True]
    looked.keep(replace(SUBMISSION, raw=b"x" * 251), seen(), NOW)
    assert looked.take(replace(SUBMISSION, raw=b"x" * 251), NOW) is None
