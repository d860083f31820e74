"""Letting go, taking back, and what becomes of it: exactly once, whatever breaks and whoever comes at the same time."""

import asyncio
from datetime import timedelta

import pytest
from tests.fakes.gateway_world import OPERATOR
from tests.fakes.outgoing_world import NHS, OutgoingWorld, answered

from carepost.audit.events import EventName
from carepost.base.errors import NotPossible, TryLater
from carepost.delivery.dispatch import Settled, Settlement
from carepost.delivery.model import HopEvidence, VerifiedBy
from carepost.gateway.model import Refused
from carepost.gateway.out.outgoing import Draft, NeedsAnswers, OutState, Recall, RecipientState, Submitted
from carepost.gateway.out.story import became as story
from carepost.gateway.out.story import states_of
from carepost.infra.db import Database
from carepost.store.model import Flag, SpecialUse


@pytest.fixture
async def world(database: Database, relay_database: Database) -> OutgoingWorld:
    built = OutgoingWorld(database, relay_database)
    await built.furnish()
    return built


async def submitted(world: OutgoingWorld, *to: str, **more: object) -> Submitted:
    done = await world.outbound.submit(world.submission(*to, **more))  # type: ignore[arg-type]
    assert isinstance(done, Submitted)
    return done


@pytest.mark.parametrize("fault", [False, True])
async def test_a_crash_in_the_middle_leaves_all_of_it_for_the_next_turn(world: OutgoingWorld, fault: bool) -> None:
    """The queue fails after copies were laid in: nothing was. Then everything is, once."""
    to = (str(world.his.address), str(world.theirs.address), "a@shop.example")
    done = await submitted(world, *to)
    world.queue.fails = RuntimeError("a fault of ours") if fault else TryLater("not now")
    world.carrying.links.made.clear()  # type: ignore[attr-defined]
    assert await world.later() == 1
    assert await world.inbox(world.his) == await world.inbox(world.theirs) == []
    assert (await world.view.get(world.nurse, done.id)).state is OutState.WAITING
    world.queue.fails = None
    assert await world.later(1) == 0, "not at once"
    assert await world.later(20) == 1
    assert len(await world.inbox(world.his)) == len(await world.inbox(world.theirs)) == 1
    assert len(world.queue.dispatches) == 1
    assert await world.later(3600) == 0


async def test_a_worker_that_died_is_followed_by_another_when_its_lease_is_over(world: OutgoingWorld) -> None:
    from carepost.gateway.out import repo as out_repo

    await submitted(world, str(world.his.address))
    world.clock.advance(timedelta(seconds=30))
    async with world.db.transaction() as tx:  # it claimed, and was killed
        [claimed] = await out_repo.claim_due(
            tx, now=world.clock.now(), until=world.clock.now() + timedelta(minutes=5), limit=9
        )
    assert await world.release.run_due() == 0
    assert await world.later(301) == 1
    assert claimed.tries == 1
    assert len(await world.inbox(world.his)) == 1


async def test_many_workers_release_each_message_once(world: OutgoingWorld) -> None:
    for number in range(8):
        await submitted(world, str(world.his.address), text=f"Number {number}\r\n")
    world.clock.advance(timedelta(seconds=30))
    taken = await asyncio.gather(*(world.release.run_due(limit=3) for _ in range(4)))
    assert sum(taken) == 8
    assert len(await world.inbox(world.his)) == 8


@pytest.mark.parametrize("first", ["undo", "release"])
async def test_of_an_undo_and_a_release_exactly_one_wins(world: OutgoingWorld, first: str) -> None:
    for number in range(4):
        done = await submitted(world, str(world.his.address), "a@shop.example", text=f"{number}\r\n")
        world.clock.advance(timedelta(seconds=40))
        race = [world.outbound.undo(world.nurse, done.id), world.release.run_due()]
        if first == "release":
            race.reverse()
        results = await asyncio.gather(*race, return_exceptions=True)
        undone = any(isinstance(one, Draft) for one in results)
        told = [one for one in results if isinstance(one, NotPossible)]
        assert undone is not bool(told), results
        laid = [one for one in await world.inbox(world.his) if f"\r\n\r\n{number}\r\n".encode() in one]
        sent = [one for one in world.queue.dispatches if one.outgoing == done.id]
        assert (len(laid), len(sent)) == ((0, 0) if undone else (1, 1))
        row = await world.view.get(world.nurse, done.id)
        assert row.state is (OutState.CANCELLED if undone else OutState.RELEASED)


async def test_what_is_undone_lies_in_drafts_and_no_longer_in_sent(world: OutgoingWorld) -> None:
    done = await submitted(world, "a@shop.example", bcc=["b@shop.example"])
    draft = await world.outbound.undo(world.nurse, done.id)
    assert await world.sent(world.hers) == []
    assert await world.bodies(world.hers, SpecialUse.DRAFTS) == [draft.raw]
    assert b"Bcc: b@shop.example" in draft.raw
    assert await world.later() == 0
    assert world.queue.dispatches == []
    with pytest.raises(NotPossible, match="cancelled already"):
        await world.outbound.undo(world.nurse, done.id)


async def test_a_message_may_wait_for_its_hour_and_for_a_persons_own_delay(world: OutgoingWorld) -> None:
    now = world.clock.now()
    at_nine = await submitted(world, str(world.his.address), send_at=now + timedelta(hours=9))
    patient = await submitted(world, str(world.his.address), undo_seconds=3600)
    at_once = await submitted(world, str(world.his.address), undo_seconds=0)
    assert (at_nine.release_at - now, patient.release_at - now) == (timedelta(hours=9), timedelta(minutes=10))
    assert at_once.release_at == now
    assert await world.release.run_due() == 1
    assert await world.release.next_due() == patient.release_at
    assert await world.later(601) == 1
    assert await world.later(9 * 3600) == 1


async def test_a_recall_says_for_each_recipient_what_it_came_to(world: OutgoingWorld) -> None:
    done = await submitted(
        world,
        str(world.his.address),
        str(world.theirs.address),
        "ward@trust.example",
        "other@trust.example",
        "pat@gmail.example",
        text=f"NHS number {NHS}\r\n",
    )
    await world.later()
    folder = next(one for one in await world.folders.all(world.theirs) if one.messages)
    from carepost.store.filing import Filing

    filing = Filing(db=world.db, keys=world.keys, audit=world.audit, clock=world.clock)
    [line] = await world.messages.outlines(world.theirs, folder.id)
    await filing.set_flags(world.theirs, folder.id, [line.uid], add=Flag.SEEN)
    world.queue.still_here = {3}
    raw = world.letter(str(world.his.address), extra="In-Reply-To: <one@riverside.example>\r\n").replace(
        b"<one@", b"<two@", 1
    )
    quoting = await submitted(world, str(world.his.address), raw=raw)
    report = await world.outbound.recall(world.nurse, done.id)
    assert [one.result for one in report.results] == [
        Recall.REMOVED,
        Recall.READ,
        Recall.TOO_LATE,
        Recall.STOPPED,
        Recall.REVOKED,
    ]
    assert await world.inbox(world.his) == []
    assert len(await world.inbox(world.theirs)) == 1
    assert world.links.revoked == [4]
    assert [one.trace for one in report.quoted] == [quoting.trace]
    row = await world.view.get(world.nurse, done.id)
    assert [one.state for one in row.recipients] == [
        RecipientState.REVOKED,
        RecipientState.DELIVERED,
        RecipientState.QUEUED,
        RecipientState.CANCELLED,
        RecipientState.REVOKED,
    ]
    assert len(await world.sent(world.hers)) == 2, "the sender's own copy stays"


async def test_one_recipient_taken_off_before_it_leaves_gets_nothing(world: OutgoingWorld) -> None:
    done = await submitted(world, str(world.his.address), "a@shop.example")
    report = await world.outbound.recall(world.nurse, done.id, [world.his.address])
    assert [one.result for one in report.results] == [Recall.STOPPED]
    await world.later()
    assert await world.inbox(world.his) == []
    assert len(world.queue.dispatches) == 1


async def settle(world: OutgoingWorld, done: Submitted, seq: int, outcome: Settled, **more: object) -> None:
    row = await world.view.get(world.nurse, done.id)
    async with world.db.transaction(world.practice) as tx:
        await world.follow.settled(
            tx,
            Settlement(
                organisation=world.practice,
                delivery=1,  # type: ignore[arg-type]
                outgoing=done.id,
                trace=done.trace,
                seq=seq,
                address=row.recipients[seq].address,
                outcome=outcome,
                says=f"It was {outcome.value}.",
                at=world.clock.now(),
                attempts=1,
                **more,  # type: ignore[arg-type]
            ),
        )


async def test_what_became_of_each_recipient_is_told_once_and_cannot_be_missed(world: OutgoingWorld) -> None:
    done = await submitted(
        world, "a@shop.example", "b@shop.example", "pat@gmail.example", text=f"NHS {NHS}\r\n", secure=True
    )
    await world.later()
    evidence = HopEvidence(
        "mx.shop.example", "192.0.2.1", "TLSv1.3", "AES", VerifiedBy.PKIX, world.clock.now(), "250 ok"
    )
    await settle(world, done, 0, Settled.DELAYED)
    await settle(world, done, 0, Settled.DELIVERED, evidence=evidence)
    bounce = b"From: postmaster@riverside.example\r\nSubject: It did not arrive\r\n\r\nNo.\r\n"
    await settle(world, done, 1, Settled.FAILED, code=550, dsn=bounce)
    await settle(world, done, 1, Settled.DELIVERED)
    await settle(world, done, 2, Settled.DELIVERED)
    async with world.db.transaction(world.practice) as tx:
        await world.follow.seen(tx, world.practice, done.id, 2, "opened", world.clock.now())
    row = await world.view.get(world.nurse, done.id)
    assert [one.state for one in row.recipients] == [
        RecipientState.NOTICED,
        RecipientState.FAILED,
        RecipientState.OPENED,
    ]
    assert row.recipients[0].delayed
    assert world.links.noticed_ == [0, 2], "the portal knows that its notices were taken"
    assert row.recipients[2].opened_at == world.clock.now()
    assert await world.inbox(world.hers) == [bounce]
    assert await world.view.tray(world.nurse, world.hers.id) == 1
    await world.outbound.resend(world.nurse, done.id, 1)
    assert len(world.links.made) == 4, "by link again: never weaker than it was"
    assert await world.view.tray(world.nurse, world.hers.id) == 0
    await world.later(3600)
    await settle(world, done, 1, Settled.EXPIRED)
    became = await world.view.became(OPERATOR, world.practice, [done.trace])
    assert [one.state.value for one in became[done.trace].recipients] == ["noticed", "expired", "opened"]
    told = "\n".join(story(became[done.trace]))
    assert "b@shop.example: was not delivered in time" in told
    assert "pat@gmail.example: the secure message was opened, first on 22 November 2026" in told
    assert states_of(became[done.trace])["a@shop.example"] == "noticed"
    assert states_of(None) == {}


async def test_what_is_sent_again_from_the_safety_net_is_on_its_way_again_and_may_fail(world: OutgoingWorld) -> None:
    """C12: who took it has lost it; who is known to have read it is left alone."""
    done = await submitted(world, "a@shop.example", "pat@gmail.example", text=f"NHS {NHS}\r\n", secure=True)
    await world.later()
    for seq in (0, 1):
        await settle(world, done, seq, Settled.DELIVERED)
    async with world.db.transaction(world.practice) as tx:
        await world.follow.seen(tx, world.practice, done.id, 1, "opened", world.clock.now())
    for seq in (0, 1):
        await settle(world, done, seq, Settled.AGAIN)
    row = await world.view.get(world.nurse, done.id)
    assert [one.state for one in row.recipients] == [RecipientState.QUEUED, RecipientState.OPENED]
    assert await world.inbox(world.hers) == []
    await settle(world, done, 0, Settled.FAILED, code=550)
    assert await world.view.tray(world.nurse, world.hers.id) == 1


async def test_a_link_that_ran_out_unopened_is_not_delivered(world: OutgoingWorld) -> None:
    done = await submitted(world, "pat@gmail.example", secure=True)
    await world.later()
    async with world.db.transaction(world.practice) as tx:
        await world.follow.seen(tx, world.practice, done.id, 0, "expired", world.clock.now())
    assert (await world.view.get(world.nurse, done.id)).recipients[0].state is RecipientState.EXPIRED
    assert len(await world.inbox(world.hers)) == 1
    assert len(await world.view.not_delivered(world.nurse, world.hers.id)) == 1


async def test_bodies_are_forgotten_when_nobody_can_need_them(world: OutgoingWorld) -> None:
    done = await submitted(world, str(world.his.address))
    await world.later()
    await world.later(3 * 86400)
    await world.release.forget(world.practice)
    with pytest.raises(NotPossible, match="no longer kept here"):
        await world.view.draft(world.nurse, done.id)
    await world.later(90 * 86400)
    assert await world.release.forget(world.practice) == 1


async def test_the_record_tells_of_every_step_and_of_no_address(world: OutgoingWorld) -> None:
    done = await submitted(world, str(world.theirs.address), "a@shop.example")
    await world.later()
    await world.outbound.recall(world.nurse, done.id)
    kept = []
    for organisation in (world.practice, world.pharmacy):
        async with world.db.transaction(organisation) as tx:
            kept += await tx.all("SELECT event, details::text AS details, actor_person FROM audit_event")
    found = {row["event"] for row in kept}
    assert {
        EventName.OUTGOING_TAKEN.value,
        EventName.OUTGOING_RELEASED.value,
        EventName.OUTGOING_RECALLED.value,
        EventName.COPY_TAKEN_BACK.value,
        EventName.MAIL_DELIVERED.value,
    } <= found
    assert not any("@" in row["details"] for row in kept if row["event"].startswith("mail."))
    record = await world.trace.why(OPERATOR, world.pharmacy, done.trace)
    assert record is not None
    assert [one.address for one in record.details.recipients] == [str(world.theirs.address)]


async def test_nothing_of_a_message_stands_in_clear_in_any_row(world: OutgoingWorld) -> None:
    done = await submitted(
        world, "canary@shop.example", subject="Canary subject", text="canary text\r\n", passphrase="canary phrase"
    )
    async with world.db.transaction(world.practice) as tx:
        rows = await tx.all(
            "SELECT row_to_json(o)::text AS a FROM outgoing AS o UNION ALL SELECT row_to_json(r)::text FROM outgoing_recipient AS r"
        )
    hexed = b"canary".hex()
    assert rows
    assert not any("canary" in row["a"].lower() or hexed in row["a"] for row in rows)
    assert done.trace


async def test_second_thoughts_bad_news_and_refusals_are_in_the_record(world: OutgoingWorld) -> None:
    with pytest.raises(Refused):
        await submitted(world, "nobody@riverside.example")
    undone = await submitted(world, "a@shop.example")
    await world.outbound.cancel(world.nurse, undone.id)
    assert world.scanner is not None
    world.scanner.too_large = 10
    another = "Dear all,\r\nwe meet at ten.\r\n"  # what was seen in the same bytes a moment ago would be used again
    asked = await world.outbound.submit(world.submission("a@shop.example", text=another))
    assert isinstance(asked, NeedsAnswers)
    [question] = asked.consideration.questions
    held = await submitted(world, "a@shop.example", text=another, answers=[answered(question, question.choices[0])])
    await world.later()
    await world.held_mail.let_go(OPERATOR, world.practice, held.id, reason="looked at it")
    await settle(world, held, 0, Settled.FAILED, code=550)
    await world.outbound.resend(world.nurse, held.id, 0, by_link=True)
    async with world.db.transaction(world.practice) as tx:
        rows = await tx.all("SELECT event, details::text AS details FROM audit_event")
    assert {
        EventName.OUTGOING_REFUSED.value,
        EventName.OUTGOING_CANCELLED.value,
        EventName.OUTGOING_ANSWERED.value,
        EventName.OUTGOING_LET_GO.value,
        EventName.OUTGOING_NOT_DELIVERED.value,
        EventName.OUTGOING_RESENT.value,
    } <= {row["event"] for row in rows}
    assert any("looked at it" in row["details"] for row in rows)
    assert not any("@" in row["details"] for row in rows if row["event"].startswith("mail.outgoing"))
