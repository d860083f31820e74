"""The desk of the queue: what operators see and do, who may, and that it is recorded; the safety net sends again once."""

import asyncio
from datetime import timedelta

import psycopg
import pytest
from tests.fakes.delivery_world import DeliveryWorld, later, silent, unprotected

from carepost.audit.events import EventName
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.address import Domain
from carepost.base.errors import Malformed, NotAllowed
from carepost.base.ids import DeliveryId, OrganisationId, PersonId
from carepost.delivery.desk import QueueDesk, QueueState
from carepost.delivery.dispatch import Settled
from carepost.delivery.upkeep import QueueUpkeep
from carepost.directory.service import Directory

OPERATOR = Actor.operator("root")
PAT, LEE = "pat@webmail.example", "lee@shop.example"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def desk(world: DeliveryWorld) -> QueueDesk:
    directory = Directory(db=world.db, clock=world.clock)
    return QueueDesk(settling=world.settling, directory=directory, audit=AuditTrail(clock=world.clock))


async def states(desk: QueueDesk, ours: OrganisationId) -> dict[DeliveryId, QueueState]:
    return {one.id: one.state for one in (await desk.page(OPERATOR, ours)).messages}


async def test_the_list_is_paged_by_age_and_says_how_each_stands_but_not_for_whom(
    world: DeliveryWorld, ours: OrganisationId, desk: QueueDesk
) -> None:
    told = []
    for answers in (later, silent, unprotected):
        world.outside.answers = answers
        told.append(await world.queued(ours, PAT))
        await world.worker().round()
        world.clock.advance(timedelta(seconds=1))
    told.append(await world.queued(ours, PAT, LEE))
    done = await world.queued(ours, LEE, outgoing=None)
    first = await desk.page(OPERATOR, ours, limit=3)
    assert first.next_key is not None
    second = await desk.page(OPERATOR, ours, after=first.next_key, limit=3)
    assert [one.id for one in (*first.messages, *second.messages)] == [*told, done]
    assert second.next_key is None
    assert [one.state for one in first.messages] == [
        QueueState.ANSWERED,
        QueueState.UNREACHED,
        QueueState.UNPROTECTED,
    ]
    assert [one.reason for one in first.messages] == ["451 4.3.2", "4.4.1", "4.7.10"]
    assert (second.messages[0].state, second.messages[0].waiting) == (QueueState.NEW, 2)
    assert "example" not in str((first, second))
    only = await desk.page(OPERATOR, ours, domain=Domain("shop.example"))
    assert [(one.id, one.waiting) for one in only.messages] == [(told[-1], 1), (done, 1)]


async def test_one_message_is_shown_with_what_was_last_said_of_each_recipient(
    world: DeliveryWorld, ours: OrganisationId, desk: QueueDesk
) -> None:
    world.outside.answers = later
    number = await world.queued(ours, PAT)
    await world.worker().round()
    shown = await desk.show(OPERATOR, ours, number)
    assert shown is not None
    assert [(one.address, one.state, one.attempts) for one in shown] == [(PAT, "queued", 1)]
    assert "come back later" in shown[0].reason
    assert shown[0].tls.startswith("TLSv1.3")
    assert await desk.show(OPERATOR, await world.organisation(), number) is None, "it is nobody else's"


async def test_what_waits_for_a_domain_is_tried_at_once(
    world: DeliveryWorld, ours: OrganisationId, desk: QueueDesk
) -> None:
    world.outside.answers = later
    await world.queued(ours, PAT, LEE)
    await world.worker().round()
    assert await desk.hurry(OPERATOR, ours, Domain("webmail.example")) == 1
    assert await desk.hurry(OPERATOR, ours, Domain("nobody.example")) == 0
    await world.worker().round()
    assert [len(of) for of in (sent(world, PAT), sent(world, LEE))] == [2, 1]


def sent(world: DeliveryWorld, address: str) -> list[object]:
    return [one for one in world.outside.sent if address in [str(to.address) for to in one[1].recipients]]


async def test_what_is_held_back_does_not_leave_until_it_is_let_go_and_its_sender_hears_of_the_delay(
    world: DeliveryWorld, ours: OrganisationId, desk: QueueDesk
) -> None:
    number = await world.queued(ours, PAT)
    assert await desk.hold(OPERATOR, ours, number, reason="asked by the sender") == 1
    assert await states(desk, ours) == {number: QueueState.HELD}
    assert await desk.hurry(OPERATOR, ours, number) == 0
    world.clock.advance(5 * HOUR)
    await world.worker().round()
    assert world.outside.sent == []
    assert await world.queue.next_at() is None
    assert await world.settling.tell_delays(ours) == 1
    standing = await world.queue.standing()
    assert (standing.held, standing.due, standing.too_long) == (1, 0, 1), "and it alarms (R145)"
    assert await desk.let_go(OPERATOR, ours, number, reason="they agreed") == 1
    await world.worker().round()
    assert world.outside.arrived == {PAT: 1}


async def test_what_is_given_up_comes_to_its_end_and_its_sender_is_told_why(
    world: DeliveryWorld, ours: OrganisationId, desk: QueueDesk
) -> None:
    world.outside.answers = later
    number = await world.queued(ours, PAT, LEE)
    await world.worker().round()
    assert await desk.stop(OPERATOR, ours, number, reason="sent to the wrong ward") == 2
    assert await world.states(ours) == {"expired": 2}
    assert [one.seq for one in world.follows.of(Settled.EXPIRED)] == [0, 1]
    (letter,) = world.follows.letters
    assert b"Subject: Not delivered: Appointment letter" in letter
    assert b"stopped it before it could be delivered" in letter
    assert b"451 4.3.2 Not now" in letter
    assert b"wrong ward" not in letter, "the reason is for the record"
    assert await desk.stop(OPERATOR, ours, number, reason="once more") == 0
    assert (await QueueUpkeep(queue=world.queue).reconcile(ours)).unaccounted == 0


async def test_what_is_in_a_workers_hand_is_left_to_it(
    world: DeliveryWorld, ours: OrganisationId, desk: QueueDesk
) -> None:
    number = await world.queued(ours, PAT)
    await world.queue.take("w", limit=5)
    assert await states(desk, ours) == {number: QueueState.LEAVING}
    assert await desk.hold(OPERATOR, ours, number, reason="stop") == 0
    assert await desk.stop(OPERATOR, ours, number, reason="stop") == 0
    assert await desk.hurry(OPERATOR, ours, number) == 0


async def test_what_a_receiver_lost_is_sent_again_once_with_its_message_id(
    world: DeliveryWorld, ours: OrganisationId, desk: QueueDesk
) -> None:
    """C12: the net holds what was delivered outside; asked twice, and by two at once, it sends once."""
    began = world.clock.now()
    await world.queued(ours, PAT, LEE)
    await world.worker().round()
    world.clock.advance(HOUR)
    after = world.clock.now()
    await world.queued(ours, PAT)
    await world.worker().round()
    window = {"since": began - MINUTE, "until": after - MINUTE}
    assert await desk.delivered(OPERATOR, ours, **window) == 2
    assert await desk.delivered(OPERATOR, ours, **window, domain=Domain("webmail.example")) == 1
    counts = await asyncio.gather(
        *(
            desk.replay(OPERATOR, ours, **window, reason="they lost a disk", domain=Domain("webmail.example"))
            for _ in range(3)
        )
    )
    assert sorted(counts) == [0, 0, 1]
    assert [one.address.local for one in world.follows.of(Settled.AGAIN)] == ["pat"]
    await world.worker().round()
    assert world.outside.arrived == {PAT: 3, LEE: 1}, "two messages, and one of them again"
    assert world.outside.sent[-1][2] == world.outside.sent[0][2], "the same octets, and with them its Message-ID"
    assert await desk.replay(OPERATOR, ours, since=began, until=world.clock.now() + MINUTE, reason="all") == 2
    await world.worker().round()
    assert world.outside.arrived == {PAT: 4, LEE: 2}
    found = await QueueUpkeep(queue=world.queue).reconcile(ours)
    assert (found.unaccounted, found.pending) == (0, 0)
    world.clock.advance(49 * HOUR)
    await world.queued(ours, PAT)
    await QueueUpkeep(queue=world.queue).let_go(ours)
    assert await desk.delivered(OPERATOR, ours, since=began, until=world.clock.now()) == 0, "the net holds 48 hours"


async def test_every_action_is_in_the_record_without_an_address(
    world: DeliveryWorld, ours: OrganisationId, desk: QueueDesk
) -> None:
    number = await world.queued(ours, PAT)
    await desk.page(OPERATOR, ours)
    await desk.hurry(OPERATOR, ours, number)
    await desk.hold(OPERATOR, ours, number, reason="one moment")
    await desk.let_go(OPERATOR, ours, number, reason="go on")
    await world.worker().round()
    window = {"since": world.clock.now() - HOUR, "until": world.clock.now() + HOUR}
    await desk.replay(OPERATOR, ours, **window, reason="lost")
    again = (await desk.page(OPERATOR, ours)).messages[0].id
    await desk.stop(OPERATOR, ours, again, reason="found again")
    async with world.db.transaction(ours) as tx:
        rows = await tx.all(
            "SELECT event, details::text AS details FROM audit_event WHERE event LIKE 'mail.queue.%%'", {}
        )
    assert {row["event"] for row in rows} == {
        EventName.QUEUE_READ.value,
        EventName.QUEUE_HURRIED.value,
        EventName.QUEUE_HELD.value,
        EventName.QUEUE_LET_GO.value,
        EventName.QUEUE_STOPPED.value,
        EventName.QUEUE_REPLAYED.value,
    }
    assert not any("example" in row["details"] for row in rows)
    assert any("found again" in row["details"] for row in rows)


async def test_nobody_tends_the_queue_without_a_right_or_without_a_reason(
    world: DeliveryWorld, ours: OrganisationId, desk: QueueDesk
) -> None:
    number = await world.queued(ours, PAT)
    window = {"since": world.clock.now() - HOUR, "until": world.clock.now() + HOUR}
    stranger = Actor.for_person(PersonId(1), ours, "Nobody In Particular")
    for refused in (
        desk.page(stranger, ours),
        desk.show(stranger, ours, number),
        desk.hurry(stranger, ours, number),
        desk.hold(stranger, ours, number, reason="x"),
        desk.let_go(stranger, ours, number, reason="x"),
        desk.stop(stranger, ours, number, reason="x"),
        desk.delivered(stranger, ours, **window),
        desk.replay(stranger, ours, **window, reason="x"),
    ):
        with pytest.raises(NotAllowed):
            await refused
    for unexplained in (
        desk.hold(OPERATOR, ours, number, reason=" "),
        desk.stop(OPERATOR, ours, number, reason=""),
        desk.replay(OPERATOR, ours, **window, reason="\n"),
    ):
        with pytest.raises(Malformed):
            await unexplained
    assert await states(desk, ours) == {number: QueueState.NEW}


async def test_a_held_turn_survives_lapsed_leases_and_wrong_clocks(
    world: DeliveryWorld, ours: OrganisationId, desk: QueueDesk, superuser_dsn: str
) -> None:
    number = await world.queued(ours, PAT)
    await desk.hold(OPERATOR, ours, number, reason="wait")
    with psycopg.connect(superuser_dsn, autocommit=True) as behind:
        behind.execute("UPDATE delivery_turn SET next_at = now() + interval '9 years'")
    await world.queue.tidy()
    await world.worker().round()
    assert world.outside.sent == []
    assert await states(desk, ours) == {number: QueueState.HELD}
