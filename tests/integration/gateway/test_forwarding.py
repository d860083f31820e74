"""Forwarding, from the asking to the copy in the queue, and everything that stops it. R162."""

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from tests.conftest import PostgresForTests
from tests.fakes.automatic_world import AutomaticWorld
from tests.fakes.gateway_world import OPERATOR

from carepost.audit.model import Actor
from carepost.base.address import Domain, EmailAddress
from carepost.base.errors import Malformed, NotAllowed, NotPossible
from carepost.delivery.dispatch import Settled, Settlement
from carepost.delivery.model import LeastTls
from carepost.delivery.queue import DeliveryQueue
from carepost.directory.forwarding import ForwardingState
from carepost.directory.model import MailboxRecord, Role
from carepost.infra.db import Database
from carepost.message.parse import parse

TRUST = EmailAddress.parse("nia@trust.example")


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
        behind.execute("DELETE FROM secure_domain")
    built = AutomaticWorld(database, relay_database)
    await built.furnish()
    return built


@pytest.fixture
async def manager(world: AutomaticWorld) -> Actor:
    actor, _ = await world.person(world.practice, "Mo Manager", Role.LOCAL_ADMINISTRATOR)
    return actor


async def forward(world: AutomaticWorld, mailbox: MailboxRecord, to: EmailAddress = TRUST) -> int:
    """Asked for and allowed."""
    number = await world.forwardings.ask(OPERATOR, mailbox, to, reason="She works there on Mondays")
    await world.forwardings.allow(OPERATOR, mailbox.organisation, number)
    return number


async def states(world: AutomaticWorld, mailbox: MailboxRecord) -> list[ForwardingState]:
    return [one.state for one in await world.forwardings.of_mailbox(OPERATOR, mailbox)]


async def test_what_is_allowed_is_sent_on_over_verified_tls_and_a_copy_stays(
    world: AutomaticWorld, manager: Actor
) -> None:
    number = await world.forwardings.ask(world.nurse, world.hers, TRUST, reason="She works there on Mondays")
    await world.arrive(world.hers)
    assert await world.worked() == []
    await world.forwardings.allow(manager, world.practice, number)
    trace = await world.arrive(world.hers)
    [raw] = await world.worked()
    [dispatch] = world.queue.dispatches
    assert dispatch.reverse_path == world.hers.address  # SPF passes, and failures come back here
    assert dispatch.forwarded
    assert [(to.address, to.least) for to in dispatch.recipients] == [(TRUST, LeastTls.VERIFIED)]
    message = parse(raw)
    assert message.first("delivered-to").strip().decode() == str(world.hers.address)
    assert message.subject == "About my hip"
    assert b"Return-Path" not in raw
    assert b"X-Carepost" not in raw
    assert raw.endswith(b"It hurts.\r\n")
    assert len(await world.inbox(world.hers)) == 2
    async with world.db.transaction(world.practice) as tx:
        rows = await tx.all(
            "SELECT event, details::text AS details FROM audit_event WHERE event LIKE 'mail.forwarding.%%'", {}
        )
    events = [row["event"] for row in rows]
    assert events == ["mail.forwarding.asked", "mail.forwarding.allowed", "mail.forwarding.sent_on"]
    assert trace in rows[2]["details"]
    assert all("nia@" not in row["details"] for row in rows)


async def test_an_address_that_is_not_secure_is_refused_when_it_is_asked_for(world: AutomaticWorld) -> None:
    for text in ("nia@webmail.example", "nia@trust.example.evil.example", "nia@xtrust.example"):
        with pytest.raises(NotPossible, match="may not be forwarded"):
            await world.forwardings.ask(world.nurse, world.hers, EmailAddress.parse(text), reason="x")
    with pytest.raises(NotPossible, match="Nobody here"):
        await world.forwardings.ask(world.nurse, world.hers, EmailAddress("nobody", world.domain), reason="x")
    with pytest.raises(NotPossible, match="to itself"):
        await world.forwardings.ask(world.nurse, world.hers, world.hers.address, reason="x")
    with pytest.raises(Malformed, match="what it is for"):
        await world.forwardings.ask(world.nurse, world.hers, TRUST, reason="  ")
    assert await states(world, world.hers) == []


async def test_nobody_allows_their_own_nor_another_organisations(world: AutomaticWorld, manager: Actor) -> None:
    desk = await world.shared(f"desk@{world.domain}", owner=world.nurse)
    number = await world.forwardings.ask(manager, desk, TRUST, reason="x")
    with pytest.raises(NotAllowed, match="another administrator"):
        await world.forwardings.allow(manager, world.practice, number)
    for actor in (world.nurse, world.pharmacist):
        with pytest.raises(NotAllowed):
            await world.forwardings.allow(actor, world.practice, number)
    with pytest.raises(NotAllowed):
        await world.forwardings.ask(world.doctor, world.hers, TRUST, reason="x")
    with pytest.raises(NotPossible, match="already"):
        await world.forwardings.ask(world.nurse, desk, TRUST, reason="again")
    await world.forwardings.refuse(manager, world.practice, number, reason="The trust has no need of it.")
    assert await states(world, desk) == [ForwardingState.REFUSED]
    with pytest.raises(NotPossible):
        await world.forwardings.allow(OPERATOR, world.practice, number)


async def test_it_ends_at_once_and_by_itself_after_a_year(world: AutomaticWorld) -> None:
    number = await forward(world, world.hers)
    await world.arrive(world.hers)
    await world.forwardings.end(world.nurse, world.hers, number)
    assert await world.worked() == []
    await forward(world, world.hers)
    world.clock.advance(timedelta(days=366))
    await world.organisations.list_secure_domain(OPERATOR, Domain("trust.example"), source="a test")
    await world.arrive(world.hers)
    assert await world.worked() == []
    assert await world.forwards.tend(world.practice) == 1
    assert await world.forwards.tend(world.practice) == 0
    assert await states(world, world.hers) == [ForwardingState.ENDED, ForwardingState.ENDED]
    async with world.db.transaction(world.practice) as tx:
        rows = await tx.all(
            "SELECT details::jsonb->>'how' AS how FROM audit_event WHERE event = 'mail.forwarding.ended'", {}
        )
    assert [row["how"] for row in rows] == ["ended", "ended"]
    assert sum(b"Forwarding has stopped" in one for one in await world.inbox(world.hers)) == 1


async def test_a_domain_that_leaves_the_register_stops_it_and_its_people_are_told(
    world: AutomaticWorld, superuser_dsn: str
) -> None:
    await forward(world, world.hers)
    with psycopg.connect(superuser_dsn, autocommit=True) as behind:
        behind.execute("DELETE FROM secure_domain")
    world.directory.forget_register()
    await world.arrive(world.hers)
    assert await world.worked() == []
    assert await states(world, world.hers) == [ForwardingState.STOPPED]
    [letter] = [one for one in map(parse, await world.inbox(world.hers)) if one.subject == "Forwarding has stopped"]
    assert "trust.example is not in the register of secure domains" in letter.text(letter.root)


async def test_a_chore_stops_it_too_before_anything_arrives(world: AutomaticWorld, superuser_dsn: str) -> None:
    number = await world.forwardings.ask(world.nurse, world.hers, TRUST, reason="x")
    with psycopg.connect(superuser_dsn, autocommit=True) as behind:
        behind.execute("DELETE FROM secure_domain")
    world.directory.forget_register()
    with pytest.raises(NotPossible, match="may not be forwarded"):
        await world.forwardings.allow(OPERATOR, world.practice, number)
    assert await world.forwards.tend(world.practice) == 1
    assert await states(world, world.hers) == [ForwardingState.STOPPED]


async def test_what_is_warned_of_reports_and_what_went_round_stay_here(world: AutomaticWorld) -> None:
    await forward(world, world.hers)
    me = str(world.hers.address)
    await world.arrive(world.hers, sender=None)
    await world.arrive(world.hers, extra=f"Delivered-To: {me.upper()}\r\n")
    hops = "".join(f"Delivered-To: h{number}@trust.example\r\n" for number in range(5))
    await world.arrive(world.hers, extra=hops)
    lookalike = f"From: Asha Patel <asha@webmail.example>\r\nTo: {me}\r\nSubject: Hello\r\nMessage-ID: <3@webmail.example>\r\n\r\nHi.\r\n"
    await world.arrive(world.hers, sender="asha@webmail.example", raw=lookalike.encode())
    assert len(await world.inbox(world.hers)) == 4
    assert await world.worked() == []
    assert await states(world, world.hers) == [ForwardingState.ALLOWED]


async def test_a_colleagues_mailbox_gets_it_laid_in_and_two_that_forward_to_each_other_come_to_an_end(
    world: AutomaticWorld,
) -> None:
    await forward(world, world.hers, world.theirs.address)
    await forward(world, world.theirs, world.hers.address)
    await world.arrive(world.hers)
    assert await world.worked() == []
    assert len(await world.inbox(world.hers)) == 2  # what came, and what came back: not a third
    [copy] = await world.inbox(world.theirs)
    assert parse(copy).first("delivered-to").strip().decode() == str(world.hers.address)
    assert copy.endswith(b"It hurts.\r\n")


async def test_its_people_are_told_once_a_day_what_could_not_be_sent_on(world: AutomaticWorld) -> None:
    """By the real queue: it knows which delivery is a forwarding's."""
    queue = DeliveryQueue(db=world.db, keys=world.keys, edge=world.edge, clock=world.clock)
    object.__setattr__(world.forwards, "queue", queue)
    await forward(world, world.hers)
    await world.arrive(world.hers)
    await world.worked()
    async with world.db.transaction(world.practice) as tx:
        row = await tx.one("SELECT delivery_id FROM forwarded WHERE organisation_id = %(o)s", {"o": world.practice})
    for _ in range(2):
        settlement = Settlement(
            organisation=world.practice,
            delivery=row["delivery_id"],
            outgoing=None,
            trace="x",  # type: ignore[arg-type]
            seq=0,
            address=TRUST,
            outcome=Settled.FAILED,
            says="The mailbox is full.",
            at=world.clock.now(),
            attempts=1,
        )
        async with world.db.transaction(world.practice) as tx:
            await world.forwards.settled(tx, settlement)
    letters = [one for one in await world.inbox(world.hers) if b"could not be forwarded" in one]
    assert len(letters) == 1
    assert b"The mailbox is full." in letters[0]
    world.clock.advance(timedelta(days=31))
    assert await world.forwardings.forget(world.practice) == 1
