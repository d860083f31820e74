"""What a sender is asked, what an answer changes, and that nobody sees whom they should not."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.fakes.gateway_world import OPERATOR
from tests.fakes.outgoing_world import OutgoingWorld, answered

from carepost.base.errors import NotAllowed, NotPossible
from carepost.base.ids import FolderId, OutgoingId, Uid
from carepost.gateway.model import Finding, Refused
from carepost.gateway.out.outgoing import (
    Choice,
    NeedsAnswers,
    OutDoor,
    OutState,
    Question,
    RecipientState,
    RepliesTo,
    Submitted,
)
from carepost.infra.db import Database
from carepost.message.parse import parse
from carepost.store.model import Flag, SpecialUse


@pytest.fixture
async def world(database: Database, relay_database: Database) -> OutgoingWorld:
    built = OutgoingWorld(database, relay_database)
    await built.furnish()
    return built


PATIENTS = tuple(f"patient{number}@gmail.example" for number in range(45))


def finding(code: str, **facts: str) -> Finding:
    return Finding(code=code, weight=2, says=f"It looks like {code}.", check="recipients", facts=facts)


async def questions(world: OutgoingWorld, *to: str, **more: object) -> tuple[Question, ...]:
    answer = await world.outbound.submit(world.submission(*to, **more))  # type: ignore[arg-type]
    assert isinstance(answer, NeedsAnswers), answer
    return answer.consideration.questions


async def asked_by_letter(world: OutgoingWorld, *to: str, **more: object) -> Submitted:
    done = await world.outbound.submit(world.submission(*to, door=OutDoor.SUBMISSION, **more))  # type: ignore[arg-type]
    assert isinstance(done, Submitted)
    assert done.asked
    return done


async def test_45_patients_in_to_leave_as_45_messages_or_not_at_all(world: OutgoingWorld) -> None:
    """R151, R153, from web: every copy is parsed."""
    [question] = await questions(world, *PATIENTS)
    assert question.choices == (Choice.INDIVIDUALLY,)
    for choice, reason in ((Choice.CONFIRM, ""), (Choice.BCC, ""), (Choice.REASON, "they know each other")):
        again = await questions(world, *PATIENTS, answers=[answered(question, choice, reason)])
        assert again == (question,)
    await world.later()
    assert world.queue.dispatches == []
    answers = [answered(question, Choice.INDIVIDUALLY)]
    assert isinstance(await world.outbound.submit(world.submission(*PATIENTS, answers=answers)), Submitted)
    await world.later()
    assert len(world.queue.dispatches) == 45
    for dispatch in world.queue.dispatches:
        [only] = dispatch.recipients
        raw = await world.sent_bytes(dispatch)
        assert [who for who in PATIENTS if who.encode() in raw] == [str(only.address)]
        assert parse(raw).header_values("to") == [str(only.address).encode()]
        assert parse(raw).header_values("cc") == []


async def test_45_patients_from_a_mail_program_are_kept_and_asked_about(world: OutgoingWorld) -> None:
    done = await asked_by_letter(world, *PATIENTS)
    assert await world.later(3600) == 0
    assert await world.sent(world.hers) == []
    [letter] = await world.inbox(world.hers)
    message = parse(letter)
    assert message.subject == "Not sent yet: A meeting"
    text = message.text(message.root)
    assert f"https://mail.riverside.example/outgoing/{done.id}" in text
    assert "send each of them a message of their own" in text
    assert message.header_values("auto-submitted") == [b"auto-generated"]
    [asked] = (await world.view.get(world.nurse, done.id)).questions
    with pytest.raises(NotAllowed):
        await world.outbound.answer(world.doctor, done.id, [answered(asked.question, Choice.INDIVIDUALLY)])
    unsettled = await world.outbound.answer(world.nurse, done.id, [answered(asked.question, Choice.CONFIRM)])
    assert isinstance(unsettled, NeedsAnswers)
    settled = await world.outbound.answer(world.nurse, done.id, [answered(asked.question, Choice.INDIVIDUALLY)])
    assert isinstance(settled, Submitted)
    assert (settled.id, settled.asked) == (done.id, False)
    assert len(await world.sent(world.hers)) == 1
    await world.later()
    assert len(world.queue.dispatches) == 45
    row = await world.view.get(world.nurse, done.id)
    assert {one.state for one in row.recipients} == {RecipientState.QUEUED}
    with pytest.raises(NotPossible):
        await world.outbound.answer(world.nurse, done.id, [])
    record = await world.trace.why(OPERATOR, world.practice, done.trace)
    assert record is not None
    assert len(record.details.recipients) == 45


async def test_a_program_that_sends_to_each_apart_is_asked_all_the_same(world: OutgoingWorld) -> None:
    """One RCPT, and 45 in the header: it is the header that tells."""
    done = await asked_by_letter(world, PATIENTS[0], raw=world.letter(*PATIENTS))
    [asked] = (await world.view.get(world.nurse, done.id)).questions
    assert asked.question.choices == (Choice.INDIVIDUALLY,)


async def test_bcc_is_kept_in_sent_and_is_in_nothing_that_leaves(world: OutgoingWorld) -> None:
    raw = world.letter(str(world.his.address), "a@shop.example", bcc=["hidden@shop.example"])
    raw = raw.replace(b"Bcc:", b"bCC:").replace(b"Subject:", b"X-Carepost-Notice: no\r\nSubject:")
    done = await world.outbound.submit(
        world.submission(str(world.his.address), "a@shop.example", bcc=["hidden@shop.example"], raw=raw)
    )
    assert isinstance(done, Submitted)
    await world.later()
    [dispatch] = world.queue.dispatches
    copies = [*await world.inbox(world.his), await world.sent_bytes(dispatch)]
    assert all(b"hidden" not in copy and b"carepost-notice" not in copy.lower() for copy in copies)
    assert {str(one.address) for one in dispatch.recipients} == {"a@shop.example", "hidden@shop.example"}
    [kept] = await world.sent(world.hers)
    assert b"hidden@shop.example" in kept


async def test_bcc_instead_of_to_hides_outsiders_from_everybody(world: OutgoingWorld) -> None:
    world.people_known.finds = [finding("too-many-outsiders")]
    outsiders = [f"group{number}@charity{number}.example" for number in range(6)]
    to = [str(world.his.address), *outsiders]
    [question] = await questions(world, *to)
    assert question.choices == (Choice.BCC, Choice.INDIVIDUALLY, Choice.REASON)
    await world.outbound.submit(world.submission(*to, answers=[answered(question, Choice.BCC)]))
    await world.later()
    [dispatch] = world.queue.dispatches
    for copy in (await world.sent_bytes(dispatch), *await world.inbox(world.his)):
        assert not any(one.encode() in copy for one in outsiders)
        assert parse(copy).header_values("to") == [str(world.his.address).encode()]


async def test_an_answer_counts_for_the_question_as_it_was_asked_only(world: OutgoingWorld) -> None:
    world.people_known.finds = [finding("first-time", recipient="a@shop.example")]
    [question] = await questions(world, "a@shop.example", "b@shop.example")
    assert [str(one) for one in question.recipients] == ["a@shop.example"]
    stale = replace(answered(question, Choice.CONFIRM), fingerprint="0" * 16)
    assert await questions(world, "a@shop.example", "b@shop.example", answers=[stale]) == (question,)
    world.people_known.finds = [finding("first-time", recipient="b@shop.example")]
    [other] = await questions(world, "a@shop.example", "b@shop.example", answers=[answered(question, Choice.CONFIRM)])
    assert [str(one) for one in other.recipients] == ["b@shop.example"]
    left_out = [answered(other, Choice.LEAVE_OUT)]
    await world.outbound.submit(world.submission("a@shop.example", "b@shop.example", answers=left_out))
    await world.later()
    assert [str(one.address) for one in world.queue.dispatches[0].recipients] == ["a@shop.example"]
    assert world.habits.shown == ["first-time"]
    assert world.habits.answered == [("first-time", True)]


async def test_when_the_recipients_cannot_be_looked_at_the_sender_gives_a_reason(world: OutgoingWorld) -> None:
    world.people_known.fails = RuntimeError("away")
    [question] = await questions(world, "a@shop.example")
    assert question.unsure
    assert "could not be found out" in question.says[0]
    assert await questions(world, "a@shop.example", answers=[answered(question, Choice.REASON, "  ")]) == (question,)
    done = await world.outbound.submit(
        world.submission("a@shop.example", answers=[answered(question, Choice.REASON, "I have looked myself")])
    )
    assert isinstance(done, Submitted)
    stored = (await world.view.get(world.nurse, done.id)).questions[0]
    assert stored.answer is not None
    assert stored.answer.reason == "I have looked myself"


async def test_a_check_that_breaks_lets_nothing_leave(world: OutgoingWorld) -> None:
    from carepost.gateway.model import Check, Examination

    async def broken(_: Examination) -> list[Finding]:
        raise RuntimeError("no")

    intact = list(world.outbound.considering.checks)
    for check in intact:
        world.build([Check(one.name, broken) if one is check else one for one in intact])
        seen = await world.outbound.consider(world.submission("a@shop.example"))
        assert seen.questions, check.name
        assert [one.route.value for one in seen.routes] == ["hold"], check.name


async def test_an_address_that_is_wrong_keeps_back_itself_and_not_the_others(world: OutgoingWorld) -> None:
    """From a mail program: the others get it, and the sender reads who did not."""
    done = await world.outbound.submit(
        world.submission(str(world.his.address), "nobody@riverside.example", door=OutDoor.SUBMISSION)
    )
    assert isinstance(done, Submitted)
    await world.later()
    assert len(await world.inbox(world.his)) == 1
    [letter] = await world.inbox(world.hers)
    assert parse(letter).subject == "Not delivered: A meeting"
    [tray] = await world.view.not_delivered(world.nurse, world.hers.id)
    assert [one.is_on_tray for one in tray.recipients] == [False, True]
    assert await world.view.tray(world.nurse, world.hers.id) == 1
    with pytest.raises(NotPossible):
        await world.outbound.resend(world.nurse, done.id, 1)
    await world.view.clear(world.nurse, done.id, 1)
    assert await world.view.tray(world.nurse, world.hers.id) == 0


async def test_what_was_asked_and_not_answered_is_reminded_once_and_kept(world: OutgoingWorld) -> None:
    done = await asked_by_letter(world, *PATIENTS)
    assert await world.release.remind(world.practice) == 0
    await world.later(31 * 60)
    asked, held, oldest = await world.release.waiting(world.practice)
    assert (asked, held) == (1, 0)
    assert oldest is not None
    assert await world.release.remind(world.practice) == 1
    assert await world.release.remind(world.practice) == 0
    assert parse((await world.inbox(world.hers))[1]).subject == "Still not sent: A meeting"
    draft = await world.outbound.cancel(world.nurse, done.id)
    [kept] = await world.bodies(world.hers, SpecialUse.DRAFTS)
    assert kept == draft.raw
    assert b"patient44@gmail.example" in kept
    assert (await world.view.get(world.nurse, done.id)).state is OutState.CANCELLED


async def test_what_should_have_left_and_cannot_alarms_too(world: OutgoingWorld) -> None:
    """R145: no queue is left out, that of what waits for its release included."""
    await world.outbound.submit(world.submission(str(world.his.address)))
    assert await world.release.waiting(world.practice) == (0, 0, None), "its hour has not come"
    due = await world.release.next_due()
    world.clock.advance(timedelta(minutes=40))
    assert await world.release.waiting(world.practice) == (1, 0, due)


async def test_what_is_held_waits_for_an_administrator_who_says_why(world: OutgoingWorld) -> None:
    assert world.scanner is not None
    world.scanner.too_large = 10
    [question] = await questions(world, "a@shop.example")
    assert question.choices == (Choice.CONFIRM,)
    done = await world.outbound.submit(world.submission("a@shop.example", answers=[answered(question, Choice.CONFIRM)]))
    assert isinstance(done, Submitted)
    await world.later()
    assert world.queue.dispatches == []
    assert (await world.view.get(world.nurse, done.id)).recipients[0].state is RecipientState.HELD
    with pytest.raises(NotAllowed):
        await world.held_mail.let_go(world.nurse, world.practice, done.id, reason="mine")
    from carepost.directory.model import Role

    boss, _ = await world.person(world.practice, "Bea Boss", Role.LOCAL_ADMINISTRATOR)
    assert [row.id for row in await world.view.held(boss, world.practice)] == [done.id]
    assert [row.id for row in await world.view.held(OPERATOR, world.practice)] == [done.id]
    with pytest.raises(NotPossible):
        await world.held_mail.let_go(OPERATOR, world.pharmacy, done.id, reason="at the command line")
    assert await world.held_mail.let_go(boss, world.practice, done.id, reason="looked at it") == 1
    assert len(world.links.made) == 1, "by the link: nobody knows what is in it"
    with pytest.raises(NotPossible):
        await world.held_mail.let_go(boss, world.practice, done.id, reason="again")


async def test_a_storm_and_a_stranger_to_the_service_are_stopped_with_words(world: OutgoingWorld) -> None:
    world.habits.storm = "Replies to all are stopped."
    raw = world.letter("a@shop.example", extra="References: <0@x.example>\r\n")
    with pytest.raises(NotPossible, match="stopped"):
        await world.outbound.submit(world.submission("a@shop.example", raw=raw, reply_all=True))
    with pytest.raises(NotAllowed):
        await world.outbound.submit(replace(world.submission("a@shop.example"), person=None))
    with pytest.raises(Refused, match="for nobody"):
        await world.outbound.submit(world.submission())


async def test_what_a_message_answers_is_marked_when_it_leaves(world: OutgoingWorld) -> None:
    await world.receive(b"From: a@shop.example\r\nSubject: q\r\n\r\nq\r\n", world.hers, sender=None)
    folder = next(one for one in await world.folders.all(world.hers) if one.messages)
    [line] = await world.messages.outlines(world.hers, folder.id)
    answers = RepliesTo(world.hers.id, FolderId(folder.id), Uid(line.uid))
    await world.outbound.submit(world.submission("a@shop.example", answers_to=answers))
    await world.later()
    [line] = await world.messages.outlines(world.hers, folder.id)
    assert line.flags & Flag.ANSWERED


async def test_nobody_looks_at_what_a_mailbox_sends_but_its_own(world: OutgoingWorld) -> None:
    done = await world.outbound.submit(world.submission("a@shop.example"))
    assert isinstance(done, Submitted)
    for stranger in (world.doctor, world.pharmacist):
        for call in (
            world.view.page(stranger, world.hers.id),
            world.view.get(stranger, done.id),
            world.view.draft(stranger, done.id),
            world.outbound.undo(stranger, done.id),
            world.outbound.recall(stranger, done.id),
            world.view.not_delivered(stranger, world.hers.id),
        ):
            with pytest.raises((NotAllowed, NotPossible)):
                await call
    page = await world.view.page(world.nurse, world.hers.id)
    assert [row.id for row in page.rows] == [done.id]
    assert (await world.view.page(world.nurse, world.hers.id, after=OutgoingId(done.id))).rows == []
