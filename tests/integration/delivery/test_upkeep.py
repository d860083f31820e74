"""The count that must come out even (C2), delays told once, the safety net (C12), and what operators see (R145)."""

from datetime import timedelta

import psycopg
from tests.fakes.delivery_world import DeliveryWorld, later, refused, silent, taken

from carepost.base.ids import OrganisationId, TraceId
from carepost.delivery.dispatch import Settled
from carepost.delivery.upkeep import QueueUpkeep
from carepost.store import repo as store_repo

PAT = "pat@webmail.example"
HOUR = timedelta(hours=1)


async def test_a_delay_is_told_within_the_hour_and_once_at_each_age(world: DeliveryWorld, ours: OrganisationId) -> None:
    world.outside.answers = silent
    await world.queued(ours, PAT, "lee@webmail.example")
    await world.queued(ours, "urgent@webmail.example", urgent=True)
    told: list[tuple[float, int]] = []
    for minutes in range(0, 26 * 60, 15):
        number = await world.settling.tell_delays(ours)
        if number:
            told.append((minutes / 60, number))
        world.clock.advance(timedelta(minutes=15))
    assert told == [(1.0, 3), (4.0, 3), (24.0, 3)]
    delayed = world.follows.of(Settled.DELAYED)
    letters = [one for one in delayed if one.dsn is not None]
    assert len(delayed) == 9
    assert len(letters) == 6, "one letter for both recipients of one message"
    assert await world.states(ours) == {"queued": 3}


async def test_a_delay_letter_says_what_the_last_attempt_came_to(world: DeliveryWorld, ours: OrganisationId) -> None:
    world.outside.answers = later
    await world.queued(ours, PAT)
    await world.worker().round()
    world.clock.advance(5 * HOUR)
    await world.settling.tell_delays(ours)
    (letter,) = world.follows.letters
    assert b"asked us to come back later" in letter
    assert b"451 4.3.2 Not now" in letter
    assert b"Subject: Delayed: Appointment letter" in letter


async def test_who_is_in_a_workers_hand_is_told_of_later(world: DeliveryWorld, ours: OrganisationId) -> None:
    await world.queued(ours, PAT)
    turns = await world.queue.take("w", limit=5)
    world.clock.advance(5 * HOUR)
    assert await world.settling.tell_delays(ours) == 0
    await world.queue.give_back("w", turns)
    assert await world.settling.tell_delays(ours) == 1


async def test_every_recipient_is_accounted_for(world: DeliveryWorld, ours: OrganisationId) -> None:
    upkeep = QueueUpkeep(queue=world.queue)
    await world.queued(ours, PAT, "lee@webmail.example")
    await world.worker().round()
    world.outside.answers = refused
    await world.queued(ours, PAT)
    await world.worker().round()
    world.outside.answers = later
    await world.queued(ours, PAT)
    await world.worker().round()
    found = await upkeep.reconcile(ours)
    assert (found.accepted, found.ended, found.pending, found.unaccounted) == (4, 3, 1, 0)


async def test_a_hole_in_the_queue_is_noticed_and_mended(
    world: DeliveryWorld, ours: OrganisationId, superuser_dsn: str
) -> None:
    """D16: a turn, a recipient or a state is lost behind our back."""
    upkeep = QueueUpkeep(queue=world.queue)
    await world.queued(ours, PAT, "lee@webmail.example", "kim@webmail.example")
    with psycopg.connect(superuser_dsn, autocommit=True) as behind:
        behind.execute("DELETE FROM delivery_turn WHERE seq = 0")
        behind.execute("UPDATE delivery_recipient SET state = 'delivered', settled_at = now() WHERE seq = 1")
    found = await upkeep.reconcile(ours)
    assert (found.without_turn, found.turn_too_many, found.unaccounted) == (1, 1, 2)
    assert (await upkeep.reconcile(ours)).unaccounted == 0
    await world.worker().round()
    assert world.outside.arrived == {PAT: 1, "kim@webmail.example": 1}
    with psycopg.connect(superuser_dsn, autocommit=True) as behind:
        behind.execute("DELETE FROM delivery_recipient WHERE seq = 2")
    assert (await upkeep.reconcile(ours)).unaccounted == 1, "nobody can say what became of that one"


async def test_bodies_of_what_was_delivered_are_kept_for_two_days_and_then_gone(
    world: DeliveryWorld, ours: OrganisationId
) -> None:
    upkeep = QueueUpkeep(queue=world.queue)
    await world.queued(ours, PAT)
    world.outside.answers = later
    await world.queued(ours, PAT)
    await world.worker().round()
    world.outside.answers = taken
    world.clock.advance(timedelta(minutes=1, seconds=30))
    await world.worker().round()
    await world.queued(ours, "waiting@webmail.example")

    async def bodies() -> int:
        world.clock.advance(timedelta(0))
        async with world.db.transaction(ours) as tx:
            await store_repo.purge_objects(tx, ours, before=world.clock.now() - timedelta(days=1))
            return int((await tx.one("SELECT count(*) AS n FROM object"))["n"])

    world.clock.advance(47 * HOUR)
    assert await upkeep.let_go(ours) == 0
    assert await bodies() == 3
    world.clock.advance(2 * HOUR)
    assert await upkeep.let_go(ours) == 2
    assert await bodies() == 1, "what still waits keeps its body"
    world.clock.advance(timedelta(days=90))
    await upkeep.let_go(ours)
    assert await world.states(ours) == {"queued": 1}


async def test_operators_see_what_waits_for_too_long(world: DeliveryWorld, ours: OrganisationId) -> None:
    await world.queued(ours, PAT)
    world.clock.advance(timedelta(minutes=20))
    await world.queued(ours, PAT)
    assert (await world.queue.standing()).too_long == 0
    world.clock.advance(timedelta(minutes=11))
    standing = await world.queue.standing()
    assert (standing.waiting, standing.due, standing.too_long) == (2, 2, 1)
    assert standing.oldest == world.clock.now() - timedelta(minutes=31)


async def test_the_queue_tells_what_became_of_each_recipient_of_a_message(
    world: DeliveryWorld, ours: OrganisationId
) -> None:
    upkeep = QueueUpkeep(queue=world.queue)
    await world.queued(ours, PAT, trace=TraceId("TRACE0000000000000AA"))
    (before,) = await upkeep.by_trace(ours, TraceId("TRACE0000000000000AA"))
    assert (before.address, before.state, before.attempts, before.tls) == (PAT, "queued", 0, "")
    await world.worker().round()
    (after,) = await upkeep.by_trace(ours, TraceId("TRACE0000000000000AA"))
    assert (after.state, after.attempts, after.host) == ("delivered", 1, "mx.example")
    assert after.tls == "TLSv1.3 TLS_AES_256_GCM_SHA384 pkix"
