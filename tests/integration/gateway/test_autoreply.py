"""Automatic replies, from the message that comes in to the answer in the queue or the inbox. R60, R61, R163."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from tests.conftest import PostgresForTests
from tests.fakes.automatic_world import AutomaticWorld
from tests.fakes.gateway import connection
from tests.fakes.gateway_world import OPERATOR

from carepost.base.errors import Malformed, NotAllowed
from carepost.delivery.model import LeastTls
from carepost.directory.autoreply import Autoreply
from carepost.directory.model import MailboxRecord
from carepost.gateway.model import Via
from carepost.infra.db import Database
from carepost.message.parse import parse
from carepost.store.model import SpecialUse

DESK = Autoreply(
    is_on=True,
    inside="Colleagues: ring the desk.",
    outside="Thank you for your message.",
    to_outside=True,
    telephone="01632 960123",
    chase_days=2,
)


@pytest.fixture(scope="module")
def database_name(postgres: PostgresForTests) -> Iterator[str]:
    """One database for the tests of a module: each has a practice of its own in it."""
    name = postgres.clone()
    yield name
    postgres.drop(name)


@pytest.fixture
async def world(database: Database, relay_database: Database, superuser_dsn: str) -> AutomaticWorld:
    with psycopg.connect(superuser_dsn, autocommit=True) as behind:
        behind.execute("TRUNCATE arrival")
    built = AutomaticWorld(database, relay_database)
    await built.furnish()
    return built


@pytest.fixture
async def desk(world: AutomaticWorld) -> MailboxRecord:
    shared = await world.shared(f"desk@{world.domain}", owner=world.nurse)
    await world.autoreplies.set(world.nurse, shared, DESK)
    return shared


async def answers(world: AutomaticWorld) -> list[bytes]:
    return await world.worked()


async def test_somebody_outside_gets_one_answer_and_none_within_the_day(
    world: AutomaticWorld, desk: MailboxRecord
) -> None:
    await world.arrive(desk)
    [raw] = await answers(world)
    [dispatch] = world.queue.dispatches
    assert dispatch.reverse_path is None
    assert dispatch.outgoing is None
    assert [str(to.address) for to in dispatch.recipients] == ["pat@webmail.example"]
    assert dispatch.recipients[0].least is LeastTls.OPPORTUNISTIC
    text = raw.decode()
    assert "Thank you for your message." in text
    assert "not for urgent clinical advice.\r\nIf it is urgent, call 01632 960123." in text
    assert "If you have heard nothing in 2 working days, ring 01632 960123." in text
    assert "Colleagues" not in text
    assert "hip" not in text
    world.clock.advance(timedelta(hours=23))
    await world.arrive(desk)
    assert len(await answers(world)) == 1
    world.clock.advance(timedelta(hours=2))
    await world.arrive(desk)
    assert len(await answers(world)) == 2
    assert len(await world.inbox(desk)) == 3


async def test_what_was_changed_and_what_was_sent_is_in_the_record(world: AutomaticWorld, desk: MailboxRecord) -> None:
    trace = await world.arrive(desk)
    await answers(world)
    async with world.db.transaction(world.practice) as tx:
        rows = await tx.all(
            "SELECT event, details::text AS details FROM audit_event WHERE event LIKE 'mail.autoreply.%%'", {}
        )
    assert [row["event"] for row in rows] == ["mail.autoreply.set", "mail.autoreply.sent"]
    assert trace in rows[1]["details"]
    assert "pat" not in rows[1]["details"]


async def test_a_colleague_is_answered_in_the_inside_words_in_their_inbox(
    world: AutomaticWorld, desk: MailboxRecord
) -> None:
    await world.outbound.submit(world.submission(str(desk.address), actor=world.pharmacist, mailbox=world.theirs))
    await world.later()
    assert await answers(world) == []
    [raw] = await world.inbox(world.theirs)
    assert b"Colleagues: ring the desk." in raw
    assert b"Thank you" not in raw
    assert parse(raw).first("return-path").strip() == b"<>"
    assert parse(raw).first("auto-submitted").strip() == b"auto-replied"


async def test_two_who_answer_each_other_come_to_an_end(world: AutomaticWorld, desk: MailboxRecord) -> None:
    away = Autoreply(is_on=True, inside="I am away.")
    await world.autoreplies.set(world.pharmacist, world.theirs, away)
    await world.outbound.submit(world.submission(str(desk.address), actor=world.pharmacist, mailbox=world.theirs))
    await world.later()
    assert await answers(world) == []
    assert len(await world.inbox(world.theirs)) == 1
    assert len(await world.inbox(desk)) == 1


async def test_a_persons_own_mailbox_answers_nobody_outside_unless_they_say_so(world: AutomaticWorld) -> None:
    away = Autoreply(is_on=True, inside="I am on leave.", outside="She is away.")
    await world.autoreplies.set(world.nurse, world.hers, away)
    await world.arrive(world.hers)
    assert await answers(world) == []
    await world.autoreplies.set(world.nurse, world.hers, replace(away, to_outside=True))
    await world.arrive(world.hers)
    [raw] = await answers(world)
    assert b"She is away." in raw
    assert b"on leave" not in raw


async def test_neither_machines_nor_lists_nor_those_who_are_not_proved_are_answered(
    world: AutomaticWorld, desk: MailboxRecord
) -> None:
    pat = "pat@webmail.example"
    for sender, extra, from_ in [
        (None, "", connection()),
        (pat, "Auto-Submitted: auto-replied\r\n", connection()),
        (pat, "List-Id: <x.webmail.example>\r\n", connection()),
        ("other@webmail.example", "", connection()),
        # Not who it says: SPF fails softly, and nothing is signed.
        (pat, "", connection(client="192.0.2.51")),
        # A front server has met the stranger: nothing is proved here.
        (pat, "", connection(via=Via.LMTP)),
    ]:
        await world.arrive(desk, sender=sender, extra=extra, from_=from_)
    assert len(await world.inbox(desk)) == 6
    assert await answers(world) == []


async def test_neither_junk_nor_what_is_held_is_answered(world: AutomaticWorld, desk: MailboxRecord) -> None:
    junk = (
        b"From: Shop <news@shop.example>\r\nTo: %s\r\nSubject: Offers\r\n"
        b"Message-ID: <2@shop.example>\r\n\r\nFor you.\r\n"
    ) % str(desk.address).encode()
    held = (
        b"From: Pat <pat@webmail.example>\r\nTo: %s\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: application/octet-stream; name="a.exe"\r\nContent-Disposition: attachment; filename="a.exe"\r\n\r\nMZ\r\n'
    ) % str(desk.address).encode()
    await world.arrive(desk, raw=junk, sender="news@shop.example")
    await world.arrive(desk, raw=held)
    assert await world.inbox(desk) == []
    assert len(await world.bodies(desk, SpecialUse.JUNK)) == 1
    assert await world.arrivals.run_due() == 0


async def test_it_answers_from_its_first_moment_until_its_last(world: AutomaticWorld) -> None:
    now = world.clock.now()
    away = Autoreply(
        is_on=True,
        inside="Away.",
        outside="Away.",
        to_outside=True,
        starts_at=now + timedelta(hours=1),
        ends_at=now + timedelta(hours=2),
    )
    await world.autoreplies.set(world.nurse, world.hers, away)
    await world.arrive(world.hers)
    assert await answers(world) == []
    assert await world.autoreplies.on(world.practice, [world.hers.id]) == frozenset()
    world.clock.advance(timedelta(minutes=90))
    assert await world.autoreplies.on(world.practice, [world.hers.id]) == {world.hers.id}
    await world.arrive(world.hers)
    assert len(await answers(world)) == 1
    world.clock.advance(timedelta(minutes=31))
    assert await world.autoreplies.on(world.practice, [world.hers.id]) == frozenset()


async def test_a_shared_mailboxs_reply_cannot_be_saved_without_whom_to_call(
    world: AutomaticWorld, desk: MailboxRecord
) -> None:
    for wrong, says in [
        (replace(DESK, telephone=""), "telephone number"),
        (replace(DESK, telephone="", chase_days=None), "urgent clinical advice"),
        (replace(DESK, telephone="ring us"), "not a telephone number"),
        (replace(DESK, telephone="01632 960123\r\nBcc: x@y.example"), "not a telephone number"),
        (replace(DESK, subject=""), "subject"),
        (replace(DESK, starts_at=world.clock.now(), ends_at=world.clock.now()), "end before it begins"),
        (replace(DESK, outside="x" * 6_000), "characters"),
    ]:
        with pytest.raises(Malformed, match=says):
            await world.autoreplies.set(world.nurse, desk, wrong)
    assert await world.autoreplies.get(world.nurse, desk) == DESK
    async with world.db.transaction(world.practice) as tx:
        row = await tx.one("SELECT details FROM autoreply WHERE mailbox_id = %(m)s", {"m": desk.id})
    assert b"Thank you" not in bytes(row["details"])  # sealed
    assert b"01632" not in bytes(row["details"])
    await world.autoreplies.set(OPERATOR, desk, replace(DESK, is_on=False, telephone="", chase_days=None))


async def test_only_who_owns_it_changes_it(world: AutomaticWorld, desk: MailboxRecord) -> None:
    for actor, mailbox in ((world.doctor, desk), (world.doctor, world.hers), (world.pharmacist, desk)):
        with pytest.raises(NotAllowed):
            await world.autoreplies.set(actor, mailbox, DESK)
        with pytest.raises(NotAllowed):
            await world.autoreplies.get(actor, mailbox)


async def test_a_queue_that_fails_is_asked_again_and_nobody_is_answered_twice(
    world: AutomaticWorld, desk: MailboxRecord
) -> None:
    world.queue.fails = RuntimeError("the disk is full")
    await world.arrive(desk)
    assert await world.arrivals.run_due() == 1
    assert await world.arrivals.run_due() == 0
    world.queue.fails = None
    world.clock.advance(timedelta(minutes=1))
    assert len(await answers(world)) == 1
    world.clock.advance(timedelta(hours=1))
    assert await world.arrivals.run_due() == 0


async def test_what_its_reader_has_deleted_for_good_is_not_answered(world: AutomaticWorld, desk: MailboxRecord) -> None:
    await world.arrive(desk)
    async with world.db.transaction(world.practice) as tx:
        await tx.run("DELETE FROM message WHERE mailbox_id = %(m)s", {"m": desk.id})
    assert await answers(world) == []


async def test_notes_of_who_was_answered_are_forgotten_after_the_day(
    world: AutomaticWorld, desk: MailboxRecord
) -> None:
    await world.arrive(desk)
    await answers(world)
    assert await world.autoreplies.forget(world.practice) == 0
    world.clock.advance(timedelta(hours=25))
    assert await world.autoreplies.forget(world.practice) == 1
