"""The delivery queue on a real database: whoever is in it comes to exactly one end, and is told of it once."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from tests.fakes.delivery_world import (
    SENDER,
    DeliveryWorld,
    by_local,
    later,
    lost,
    refused,
    several,
    silent,
    taken,
    unprotected,
)

from carepost.base.address import EmailAddress
from carepost.base.errors import Broken
from carepost.base.ids import OrganisationId, OutgoingId
from carepost.delivery.dispatch import DispatchTo, Lane, Settled
from carepost.delivery.model import LeastTls
from carepost.delivery.worker import WorkerLimits

PAT = "pat@webmail.example"


def to(seq: int, address: str, *, least: LeastTls = LeastTls.OPPORTUNISTIC, notify: str = "") -> DispatchTo:
    return DispatchTo(
        seq=seq, address=EmailAddress.parse(address), least=least, notify=frozenset(filter(None, notify.split(",")))
    )


async def test_a_message_is_taken_opened_sent_and_settled(world: DeliveryWorld, ours: OrganisationId) -> None:
    await world.queued(ours, PAT)
    assert await world.worker().round() == 1
    ((domain, envelope, raw, _),) = world.outside.sent
    assert (str(domain), envelope.reverse_path) == ("webmail.example", SENDER)
    assert b"Please come at ten." in raw
    assert await world.states(ours) == {"delivered": 1}
    (told,) = world.follows.told
    assert (told.outcome, told.attempts, told.evidence and told.evidence.tls_version) == (
        Settled.DELIVERED,
        1,
        "TLSv1.3",
    )
    assert told.dsn is None
    assert await world.worker().round() == 0


async def test_recipients_of_one_domain_share_a_conversation_and_others_do_not(
    world: DeliveryWorld, ours: OrganisationId
) -> None:
    await world.queued(
        ours,
        to(0, "a@one.example"),
        to(1, "b@two.example"),
        to(2, "c@one.example"),
        to(3, "d@one.example", least=LeastTls.VERIFIED),
    )
    await world.worker().round()
    sent = Counter((str(domain), len(envelope.recipients), least) for domain, envelope, _, least in world.outside.sent)
    assert sent == {
        ("one.example", 2, LeastTls.OPPORTUNISTIC): 1,
        ("one.example", 1, LeastTls.VERIFIED): 1,
        ("two.example", 1, LeastTls.OPPORTUNISTIC): 1,
    }


async def test_a_message_for_nobody_or_twice_for_one_number_is_not_queued(
    world: DeliveryWorld, ours: OrganisationId
) -> None:
    for recipients in ((), (to(1, PAT), to(1, "sam@webmail.example"))):
        with pytest.raises(Broken):
            await world.queued(ours, *recipients)
    assert await world.states(ours) == {}


async def test_what_is_rolled_back_was_never_queued(world: DeliveryWorld, ours: OrganisationId) -> None:
    async with world.db.transaction(ours) as tx:
        await world.queue_in(tx, ours, PAT)
        assert (await tx.one("SELECT count(*) AS n FROM delivery_turn"))["n"] == 1
    assert await world.states(ours) == {"queued": 1}
    with pytest.raises(Undone):
        await _queue_and_fail(world, ours)
    assert await world.states(ours) == {"queued": 1}


class Undone(Exception):
    pass


async def _queue_and_fail(world: DeliveryWorld, ours: OrganisationId) -> None:
    async with world.db.transaction(ours) as tx:
        await world.queue_in(tx, ours, PAT)
        raise Undone


async def test_who_is_refused_fails_and_the_sender_is_told_once(world: DeliveryWorld, ours: OrganisationId) -> None:
    world.outside.answers = by_local({"gone": refused})
    await world.queued(ours, "gone@webmail.example", PAT)
    await world.run_until_idle(world.worker())
    assert await world.states(ours) == {"delivered": 1, "failed": 1}
    (failed,) = world.follows.of(Settled.FAILED)
    assert failed.dsn is not None
    assert b"gone@webmail.example" in failed.dsn
    assert b"pat@webmail.example" not in failed.dsn
    assert (failed.code, failed.enhanced, failed.says) == (550, "5.1.1", "There is no such mailbox there.")
    assert len(world.follows.letters) == 1


async def test_who_is_not_taken_now_is_tried_again_by_the_schedule_until_it_works(
    world: DeliveryWorld, ours: OrganisationId
) -> None:
    world.outside.answers = several(later, silent, later, taken)
    began = world.clock.now()
    await world.queued(ours, PAT)
    await world.run_until_idle(world.worker())
    assert await world.states(ours) == {"delivered": 1}
    assert len(world.outside.sent) == 4
    # 1, 2 and 5 minutes, a fifth more or less
    assert timedelta(minutes=6.4) <= world.clock.now() - began <= timedelta(minutes=9.6)


async def test_who_is_never_taken_expires_after_five_days_and_not_before(
    world: DeliveryWorld, ours: OrganisationId
) -> None:
    world.outside.answers = later
    began = world.clock.now()
    await world.queued(ours, PAT)
    await world.run_until_idle(world.worker())
    assert await world.states(ours) == {"expired": 1}
    assert world.clock.now() - began == timedelta(days=5)
    (expired,) = world.follows.of(Settled.EXPIRED)
    assert expired.says.startswith("We tried for 5 days")
    assert expired.attempts > 100
    assert b"Status: 5.4.7" in (expired.dsn or b"")


async def test_a_lost_reply_is_counted_and_tried_again(world: DeliveryWorld, ours: OrganisationId) -> None:
    world.outside.answers = several(lost, taken)
    await world.queued(ours, PAT)
    await world.run_until_idle(world.worker())
    assert await world.states(ours) == {"delivered": 1}
    assert world.outside.arrived[PAT] == 2  # RFC 1047: it cannot be helped, and it is counted
    async with world.db.transaction(ours) as tx:
        assert (await tx.one("SELECT lost_replies FROM delivery_recipient"))["lost_replies"] == 1


async def test_that_a_hop_cannot_be_protected_is_told_at_once_and_once(
    world: DeliveryWorld, ours: OrganisationId
) -> None:
    world.outside.answers = several(unprotected, unprotected, taken)
    await world.queued(ours, to(0, PAT, least=LeastTls.VERIFIED))
    worker = world.worker()
    await worker.round()
    (delayed,) = world.follows.of(Settled.DELAYED)
    assert delayed.tls_missing
    assert b"secure link" in (delayed.dsn or b"")
    assert (await world.queue.standing()).tls_missing == 1
    await world.run_until_idle(worker)
    assert len(world.follows.of(Settled.DELAYED)) == 1
    assert await world.states(ours) == {"delivered": 1}


async def test_two_workers_never_take_the_same_recipient(world: DeliveryWorld, ours: OrganisationId) -> None:
    """D12, in small; test_two_workers.py has thousands."""
    for _ in range(10):
        await world.queued(ours, *(f"p{n}@d{n % 7}.example" for n in range(20)))
    taken_by = await asyncio.gather(*(world.queue.take(f"w{n}", limit=60) for n in range(4)))
    turns = [turn for some in taken_by for turn in some]
    assert len(turns) == len(set(turns)) == 200


async def test_a_lease_that_lapses_gives_the_recipient_to_another_worker(
    world: DeliveryWorld, ours: OrganisationId
) -> None:
    """C5."""
    await world.queued(ours, PAT)
    assert len(await world.queue.take("dies", limit=10)) == 1
    assert await world.worker().round() == 0
    await world.queue.tidy()
    assert await world.worker().round() == 0
    world.clock.advance(world.policy.lease + timedelta(seconds=1))
    assert await world.queue.tidy() == 1
    assert await world.worker().round() == 1
    assert await world.states(ours) == {"delivered": 1}


async def test_a_lease_that_is_renewed_does_not_lapse(world: DeliveryWorld, ours: OrganisationId) -> None:
    await world.queued(ours, PAT)
    turns = await world.queue.take("lives", limit=10)
    for _ in range(3):
        world.clock.advance(timedelta(minutes=9))
        await world.queue.renew("lives", turns)
        assert await world.queue.tidy() == 0
    await world.queue.renew("somebody else", turns)
    world.clock.advance(timedelta(minutes=11))
    assert await world.queue.tidy() == 1


async def test_what_a_worker_whose_lease_lapsed_has_delivered_is_delivered(
    world: DeliveryWorld, ours: OrganisationId
) -> None:
    await world.queued(ours, PAT)
    turns = await world.queue.take("slow", limit=10)
    ((parcel, recipients),) = await world.queue.open("slow", turns)
    world.clock.advance(timedelta(minutes=11))
    await world.queue.tidy()
    again = await world.queue.take("quick", limit=10)
    assert len(again) == 1
    sent = await world.outside.send(recipients[0].address.domain, _envelope(recipients), b"", LeastTls.OPPORTUNISTIC)
    counted = await world.settling.settle("slow", parcel, recipients, sent, b"\r\n")
    assert (counted.delivered, counted.passed_over) == (1, 0)
    counted = await world.settling.settle("quick", parcel, recipients, sent, b"\r\n")
    assert (counted.delivered, counted.passed_over) == (0, 1)
    assert len(world.follows.told) == 1


async def test_a_worker_whose_lease_lapsed_does_not_put_off_what_another_has_in_hand(
    world: DeliveryWorld, ours: OrganisationId
) -> None:
    await world.queued(ours, PAT)
    turns = await world.queue.take("slow", limit=10)
    ((parcel, recipients),) = await world.queue.open("slow", turns)
    world.clock.advance(timedelta(minutes=11))
    await world.queue.tidy()
    await world.queue.take("quick", limit=10)
    world.outside.answers = refused
    sent = await world.outside.send(recipients[0].address.domain, _envelope(recipients), b"", LeastTls.OPPORTUNISTIC)
    assert (await world.settling.settle("slow", parcel, recipients, sent, b"\r\n")).passed_over == 1
    assert await world.states(ours) == {"queued": 1}


async def test_urgent_mail_and_peoples_mail_come_before_bulk_and_bulk_is_not_starved(
    world: DeliveryWorld, ours: OrganisationId
) -> None:
    for number in range(30):
        await world.queued(ours, f"b{number}@bulk.example", lane=Lane.BULK)
    for number in range(30):
        await world.queued(ours, f"p{number}@people.example")
    await world.queued(ours, "u@urgent.example", urgent=True)
    first = await world.queue.take("w", limit=20)
    domains = Counter(str(one.address.domain) for _, some in await world.queue.open("w", first) for one in some)
    assert domains == {"urgent.example": 1, "people.example": 17, "bulk.example": 2}


async def test_a_cancelled_recipient_is_not_sent_to_and_one_in_hand_is_not_cancelled(
    world: DeliveryWorld, ours: OrganisationId
) -> None:
    outgoing = OutgoingId(77)
    await world.queued(ours, "a@one.example", "b@two.example", "c@three.example", outgoing=outgoing)
    (in_hand,) = await world.queue.take("w", limit=1)
    async with world.db.transaction(ours) as tx:
        cancelled = await world.queue.cancel(tx, ours, outgoing)
    assert sorted([*cancelled, in_hand.seq]) == [0, 1, 2]
    assert await world.states(ours) == {"cancelled": 2, "queued": 1}
    await world.queue.give_back("w", [in_hand])
    await world.worker().round()
    assert await world.states(ours) == {"cancelled": 2, "delivered": 1}
    assert len(world.outside.sent) == 1


async def test_when_the_follower_fails_nothing_is_settled_and_nothing_is_sent_twice(
    world: DeliveryWorld, ours: OrganisationId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carepost.delivery.worker._PAUSES", (0.01,))
    world.follows.fails = 3
    await world.queued(ours, PAT)
    await world.worker().round()
    assert world.outside.arrived[PAT] == 1
    assert len(world.follows.told) == 1
    assert await world.states(ours) == {"delivered": 1}


async def test_a_body_that_is_damaged_is_kept_and_its_sender_is_told_in_the_end(
    world: DeliveryWorld, ours: OrganisationId, superuser_dsn: str
) -> None:
    import psycopg

    await world.queued(ours, PAT)
    await world.queued(ours, "well@webmail.example")
    with psycopg.connect(superuser_dsn, autocommit=True) as behind:
        behind.execute(
            "UPDATE object SET sealed = overlay(sealed PLACING '\\x00ff00'::bytea FROM 30) "
            " WHERE id = (SELECT object_id FROM delivery ORDER BY id LIMIT 1)"
        )
    await world.run_until_idle(world.worker())
    assert world.outside.arrived == {"well@webmail.example": 1}
    (expired,) = world.follows.of(Settled.EXPIRED)
    assert expired.dsn is not None


async def test_a_turn_set_into_the_far_future_by_a_wrong_clock_comes_back(
    world: DeliveryWorld, ours: OrganisationId
) -> None:
    """D8: the clock jumps a year ahead, an attempt is made, and it jumps back."""
    world.outside.answers = several(later, taken)
    await world.queued(ours, PAT)
    world.clock.advance(timedelta(days=365))
    await world.worker().round()
    assert await world.states(ours) == {"queued": 1}, "a clock alone gives nobody up"
    world.clock.advance(timedelta(days=-365))
    await world.queue.tidy()
    await world.worker().round()
    assert await world.states(ours) == {"delivered": 1}


async def test_a_destination_is_given_as_many_conversations_as_it_takes_and_no_more(
    world: DeliveryWorld, ours: OrganisationId
) -> None:
    for number in range(60):
        await world.queued(ours, f"p{number}@slow.example")
    several, waiting = asyncio.get_running_loop().create_future(), world.outside.at_once

    async def until_several() -> None:
        if waiting["slow.example"] >= 4 and not several.done():
            several.set_result(None)
        async with asyncio.timeout(180):
            await asyncio.shield(several)
        await asyncio.sleep(0.02)

    world.outside.before = lambda _domain: asyncio.ensure_future(until_several())
    await world.run_until_idle(world.worker())
    assert world.outside.arrived.total() == 60
    assert 4 <= world.outside.most_at_once["slow.example"] <= 20


async def test_a_destination_that_is_down_is_asked_by_few_and_keeps_nobody_else_waiting(
    world: DeliveryWorld, ours: OrganisationId
) -> None:
    for number in range(50):
        await world.queued(ours, f"p{number}@down.example")
    await world.queued(ours, PAT)
    world.outside.answers = lambda address: silent(address) if address.domain.name == "down.example" else taken(address)
    worker = world.worker()
    await worker.round()
    asked = sum(str(domain) == "down.example" for domain, *_ in world.outside.sent)
    assert asked <= 8
    assert await world.states(ours) == {"queued": 50, "delivered": 1}
    async with world.db.transaction(ours) as tx:
        attempts = await tx.one("SELECT min(attempts) AS least FROM delivery_recipient WHERE state = 'queued'")
    assert attempts["least"] == 1, "all of them were put off by what the first found out"


async def test_notify_wakes_a_worker_that_rests(world: DeliveryWorld, ours: OrganisationId) -> None:
    worker = world.worker(WorkerLimits(idle_seconds=600))
    running = asyncio.ensure_future(worker.run())
    try:
        async with asyncio.timeout(180):
            while not await _somebody_listens(world):
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)  # for its first look; should it come later, it finds what is queued as well
        await world.queued(ours, PAT)
        async with asyncio.timeout(180):
            while not world.follows.told:
                await asyncio.sleep(0.02)
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert await world.states(ours) == {"delivered": 1}


async def _somebody_listens(world: DeliveryWorld) -> bool:
    async with world.db.transaction() as tx:
        found = await tx.one(
            "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'listen%'"
        )
    return bool(found["n"])


async def test_a_worker_that_is_stopped_gives_back_what_it_did_not_come_to(
    world: DeliveryWorld, ours: OrganisationId
) -> None:
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    world.outside.before = lambda domain: gate if domain.name == "stuck.example" else None
    for number in range(30):
        await world.queued(ours, f"p{number}@stuck.example")
    worker = world.worker(WorkerLimits(stop_seconds=0.2))  # meant to run out
    running = asyncio.ensure_future(worker.run())
    async with asyncio.timeout(180):
        while not world.outside.at_once["stuck.example"]:
            await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    standing = await world.queue.standing()
    assert (standing.waiting, standing.in_hand) == (30, 0)


async def test_an_organisation_sees_its_own_turns_only(world: DeliveryWorld, ours: OrganisationId) -> None:
    theirs = await world.organisation()
    await world.queued(theirs, PAT)
    for acting in (ours, None):
        async with world.db.transaction(acting) as tx:
            for table in ("delivery", "delivery_recipient", "delivery_turn"):
                assert (await tx.one(f"SELECT count(*) AS n FROM {table}"))["n"] == 0, (acting, table)  # type: ignore[arg-type]


async def test_no_address_and_no_word_of_a_peer_is_in_clear_in_the_queue(
    world: DeliveryWorld, ours: OrganisationId
) -> None:
    world.outside.answers = refused
    await world.queued(ours, "canary-zyxomma@kangaroo.example", envid="wallaby")
    await world.worker().round()
    async with world.db.transaction(ours) as tx:
        rows = [
            str(row)
            for table in ("delivery", "delivery_recipient", "delivery_turn")
            for row in await tx.all(f"SELECT * FROM {table}")  # type: ignore[arg-type]
        ]
    text = " ".join(rows)
    assert rows
    assert not any(word in text for word in ("zyxomma", "kangaroo", "wallaby", "No such user", "mx.example"))


def _envelope(recipients: list) -> object:  # type: ignore[type-arg]
    from carepost.delivery.model import OutEnvelope

    return OutEnvelope(SENDER, tuple(one.out for one in recipients))
