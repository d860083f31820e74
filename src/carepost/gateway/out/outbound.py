"""The outbound walk: every message that our people send is examined, decided on for each recipient, and kept.

Promises
    `consider` is the preview and the truth: the same function, facts, cards and words at every door.
    `submit` returns only after COMMIT: then the message is in Sent and waits for its time, or waits for its sender's
    answers. It raises and has kept nothing: Refused, NotAllowed or NotPossible (with words), TryLater, Broken.
    An unknown fact means hold or ask, never send. Nothing leaves before `release_at`; until then it can be undone.

Start reading here: out_consider.py looks, out_decide.py decides, out_keep.py writes down. release.py lets go what is
due, follow.py hears what became of it, out_change.py takes back.
"""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from carepost.audit.events_outgoing import OutgoingAnswered, OutgoingRefused, OutgoingTaken
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.address import EmailAddress
from carepost.base.clock import Clock
from carepost.base.errors import NotPossible, TryLater
from carepost.base.ids import FolderId, MailboxId, OrganisationId, OutgoingId, Uid, new_trace_id
from carepost.directory.access import OnMailbox, Verb
from carepost.gateway.facts import must_wait
from carepost.gateway.model import Refused
from carepost.gateway.out import letters as out_letters
from carepost.gateway.out import repo as out_repo
from carepost.gateway.out.change import Changing
from carepost.gateway.out.consider import Considered, Considering
from carepost.gateway.out.form import completed
from carepost.gateway.out.keep import Keeping, Kept, Outcome
from carepost.gateway.out.open import Opening, locked
from carepost.gateway.out.outgoing import (
    Answer,
    Choice,
    Consideration,
    Draft,
    NeedsAnswers,
    OutDoor,
    OutState,
    RecallReport,
    RepliesTo,
    Route,
    Submission,
    Submitted,
    Wanted,
)
from carepost.gateway.out.ports import Counting
from carepost.gateway.out.post import Inbox, Post, SealedLetter
from carepost.gateway.out.repo import StoredOutgoing
from carepost.gateway.out.rules import guidance_read
from carepost.gateway.out.seal import OutDetails, message_id_for
from carepost.infra.db import Transaction
from carepost.portal.model import Agreed
from carepost.store.model import Flag, SpecialUse
from carepost.store.objects import store_object
from carepost.store.sent import KnownObject, Target, lay_in_own

_LATER = "The message cannot be examined just now; nothing was sent and nothing is lost. Please try again later."
# A form that lies open longer than this is proved again anyway.
_PRESSES_KEPT = timedelta(days=2)
_PRESSED = "This message has been sent: Send was pressed twice. Look into Sent before you send it again."
# Answers that change what is sent; the others send it all the same.
_CHANGES = frozenset({Choice.BCC, Choice.INDIVIDUALLY, Choice.PORTAL, Choice.LEAVE_OUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class SendDelay:
    """How long a message can be undone (R148)."""

    inside: timedelta = timedelta(seconds=10)
    outside: timedelta = timedelta(seconds=30)
    longest: timedelta = timedelta(minutes=10)  # what a person may choose
    latest: timedelta = timedelta(days=365)  # how far ahead a message may be scheduled

    def release_at(self, submission: Submission, routes: Sequence[Route], now: datetime) -> datetime:
        if submission.door is OutDoor.SYSTEM:
            return now
        delay = self.inside if all(route is Route.INSIDE for route in routes) else self.outside
        if submission.undo_seconds is not None:
            delay = min(max(timedelta(seconds=submission.undo_seconds), timedelta()), self.longest)
        earliest = now + delay
        if submission.send_at is None or submission.send_at <= earliest:
            return earliest
        return min(submission.send_at, now + self.latest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbound:
    considering: Considering
    keeping: Keeping
    opening: Opening
    counting: Counting
    post: Post
    audit: AuditTrail
    clock: Clock
    changing: Changing
    delay: SendDelay = field(default_factory=SendDelay)

    async def consider(self, submission: Submission) -> Consideration:
        """What would become of it. Raises NotAllowed when the person may not send from the mailbox; TryLater."""
        return (await self.considering.consider(submission)).consideration

    async def submit(self, submission: Submission) -> Submitted | NeedsAnswers:
        """Take responsibility for it; returns after COMMIT. NeedsAnswers for OutDoor.WEB only, and nothing was kept.

        Raises Refused, NotAllowed, NotPossible (limits, storms), TryLater.
        """
        considered = await self.considering.consider(submission)
        consideration = considered.consideration
        if consideration.refusals:
            await self._refuse(submission, considered)
        if waiting := must_wait(considered.findings):
            raise TryLater(_LATER, cause=waiting.code)
        if consideration.questions and submission.door is OutDoor.WEB:
            return NeedsAnswers(consideration)
        if consideration.questions and submission.person is None:
            raise Refused("This needs a person's answer, and no person sends it.")
        await self._no_storm(submission, considered)
        return await self._take(submission, considered)

    async def _refuse(self, submission: Submission, considered: Considered) -> None:
        routes, refusals = considered.ruling.routes, considered.consideration.refusals
        event = OutgoingRefused(
            mailbox=submission.mailbox,
            door=submission.door.value,
            recipients=len(submission.recipients),
            card=routes[0].decision.card if routes else None,
        )
        async with self.opening.db.transaction(submission.organisation) as tx:
            await self.audit.record(tx, _actor(submission), event)
        raise Refused(" ".join(refusals))

    async def _no_storm(self, submission: Submission, considered: Considered) -> None:
        """R72. A mail program does not say that it replies to all: an answer to many is one."""
        message = considered.message
        if message is None or not message.references:
            return
        conversation = self.counting.storms.conversation(message.references, None)
        if conversation is not None and (submission.reply_all or len(submission.recipients) > 1):
            await self.counting.storms.count(conversation, len(submission.recipients))

    async def _take(self, submission: Submission, considered: Considered) -> Submitted:
        now, trace = self.clock.now(), new_trace_id()
        sender = considered.sender
        domain = sender.address.domain.name if sender else ""
        raw = completed(
            submission.raw,
            at=now,
            message_id=message_id_for(trace, domain),
            sender=sender.on_behalf if sender else None,
        )
        kept = await self.keeping.prepare(submission, considered, raw, trace=trace, at=now)
        questions = considered.ruling.questions
        release_at = self.delay.release_at(submission, [one.route for one in considered.ruling.routes], now)
        inbox = await self.post.inbox_of(kept.sender.person, kept.sender.mailbox) if questions else None
        outcome = Outcome(state=OutState.ASKED if questions else OutState.WAITING, release_at=release_at, at=now)
        async with self.opening.db.transaction(submission.organisation) as tx:
            await _pressed_once(tx, submission, at=now)
            if kept.prepared is not None:
                await store_object(tx, kept.prepared, at=now)
            outgoing = await self.keeping.write(tx, kept, outcome)
            await self.keeping.note_answers(tx, kept, outgoing, considered.ruling.answered, at=now)
            if questions:
                await self.keeping.ask(tx, kept, outgoing, questions, at=now)
                if inbox is not None:
                    await self.post.lay(tx, self._letter(kept, outgoing, inbox, at=now), at=now)
            else:
                await self._goes(tx, kept, outgoing, _known(kept), release_at, at=now)
            await self._count(tx, kept, asked=len(questions))
        return Submitted(outgoing, trace, release_at, asked=bool(questions))

    def _letter(self, kept: Kept, outgoing: OutgoingId, to: Inbox, *, at: datetime) -> SealedLetter:
        message = kept.considered.message
        raw = out_letters.ask(
            self.post.head(kept.sender.mailbox.address),
            to.address,
            outgoing=outgoing,
            trace=kept.trace,
            subject=message.subject if message else "",
            questions=kept.considered.ruling.questions,
            at=at,
        )
        return self.post.seal(to, raw)

    async def _goes(
        self,
        tx: Transaction,
        kept: Kept,
        outgoing: OutgoingId,
        known: KnownObject,
        release_at: datetime,
        *,
        at: datetime,
    ) -> None:
        """From here it leaves by itself: a copy in Sent, its large files, and its place in the line."""
        files, raw = self.considering.files, kept.submission.raw
        await files.use(tx, kept.organisation, kept.mailbox, outgoing, raw, release_at)
        target = Target(kept.mailbox, kept.intake)
        await lay_in_own(tx, known, target, special_use=SpecialUse.SENT, flags=Flag.SEEN, trace=kept.trace, at=at)
        await out_repo.insert_due(tx, kept.organisation, outgoing, due_at=release_at)

    async def _count(self, tx: Transaction, kept: Kept, *, asked: int) -> None:
        """What others wait for goes last: counts, and the record."""
        submission, ruling = kept.submission, kept.considered.ruling
        addresses = [one.address for one in ruling.routes]
        await self.keeping.write_verdict(tx, kept)
        person = submission.person
        if person is not None:
            await self.counting.limits.count(tx, kept.organisation, person, len(addresses))
            await self._prompts(tx, kept)
        outside = sum(1 for one in ruling.routes if one.route is not Route.INSIDE)
        taken = OutgoingTaken(
            trace=kept.trace,
            mailbox=kept.mailbox,
            door=submission.door.value,
            recipients=len(addresses),
            outside=outside,
            asked=asked,
        )
        actor = _actor(submission)
        await self.audit.record(tx, actor, taken)
        for question, answer in ruling.answered:
            event = OutgoingAnswered(
                trace=kept.trace, card=question.card, choice=answer.choice.value, reason=answer.reason or None
            )
            await self.audit.record(tx, actor, event)
        if guidance_read(ruling.answered):
            await self.considering.rules.note_read(tx, actor, kept.organisation)

    async def _prompts(self, tx: Transaction, kept: Kept) -> None:
        person, ruling = kept.submission.person, kept.considered.ruling
        if person is None:
            return
        shown = [one.card for one in ruling.questions] + [question.card for question, _ in ruling.answered]
        prompts, organisation = self.counting.prompts, kept.organisation
        await prompts.note_sent(tx, organisation, person)
        await prompts.note_shown(tx, organisation, person, shown)
        for changed in (True, False):
            cards = [question.card for question, answer in ruling.answered if (answer.choice in _CHANGES) is changed]
            await prompts.note_answered(tx, organisation, person, cards, changed=changed)

    # --- answering what a letter asked --------------------------------------------------------------------------------

    async def answer(self, actor: Actor, outgoing: OutgoingId, answers: Sequence[Answer]) -> Submitted | NeedsAnswers:
        """Answer what was asked. What is known now is looked at anew: it may ask something else.

        Raises NotAllowed; NotPossible when it waits for no answer.
        """
        organisation = _organisation(actor)
        row, details, given, raw = await self._asked(actor, organisation, outgoing)
        submission = _submission(organisation, row, details, raw, (*given, *answers))
        async with self.opening.db.transaction(organisation) as tx:
            rows = (await out_repo.recipients(tx, organisation, [outgoing])).get(outgoing, [])
            to = await self.opening.recipients(tx, organisation, row.trace, rows)
        wanted = tuple(Wanted(one.address, frozenset(one.details.notify), one.details.original) for one in to)
        submission = replace(submission, recipients=wanted)
        considered = await self.considering.consider(submission)
        if considered.consideration.refusals:
            raise Refused(" ".join(considered.consideration.refusals))
        if waiting := must_wait(considered.findings):
            raise TryLater(_LATER, cause=waiting.code)
        return await self._apply(actor, row, considered, submission)

    async def _asked(
        self, actor: Actor, organisation: OrganisationId, outgoing: OutgoingId
    ) -> tuple[StoredOutgoing, OutDetails, list[Answer], bytes]:
        async with self.opening.db.transaction(organisation) as tx:
            row = await out_repo.get(tx, organisation, outgoing)
            if row is None:
                raise NotPossible("There is no such message.")
            asked = (await out_repo.questions(tx, organisation, [outgoing])).get(outgoing, [])
            questions = await self.opening.questions(tx, organisation, row.trace, asked)
            details = await self.opening.details(tx, organisation, row)
            known = None
            with suppress(NotPossible):
                known = await self.opening.known(tx, organisation, row)
        await self.considering.directory.require(actor, Verb.MAILBOX_SEND, OnMailbox(row.mailbox, organisation))
        if row.state is not OutState.ASKED or known is None:
            raise NotPossible("This message waits for no answer: it has been answered, cancelled or sent.")
        given = [one.answer for one in questions if one.answer is not None]
        return row, details, given, await self.opening.raw(organisation, known)

    async def _apply(
        self, actor: Actor, row: StoredOutgoing, considered: Considered, submission: Submission
    ) -> Submitted | NeedsAnswers:
        now, organisation = self.clock.now(), submission.organisation
        kept = await self.keeping.prepare_again(submission, considered, submission.raw, trace=row.trace, at=now)
        release_at = self.delay.release_at(submission, [one.route for one in considered.ruling.routes], now)
        async with self.opening.db.transaction(organisation) as tx:
            again = await locked(tx, organisation, row.id)
            if again.state is not OutState.ASKED:
                raise NotPossible("Somebody else has answered or cancelled it meanwhile.")
            await self._note(tx, actor, kept, row.id, now)
            if considered.ruling.questions:
                return NeedsAnswers(considered.consideration)
            known = await self.opening.known(tx, organisation, again)
            await out_repo.delete_recipients(tx, organisation, row.id)
            await out_repo.insert_recipients(tx, organisation, row.id, kept.recipients, at=now)
            await out_repo.wait(tx, organisation, row.id, details=kept.details, release_at=release_at)
            await self._goes(tx, kept, row.id, known, release_at, at=now)
            await out_repo.delete_verdict(tx, organisation, row.trace)
            await self.keeping.write_verdict(tx, kept)
            await self._record_answers(tx, actor, kept)
        return Submitted(row.id, row.trace, release_at, asked=False)

    async def _note(self, tx: Transaction, actor: Actor, kept: Kept, outgoing: OutgoingId, now: datetime) -> None:
        """Write the answers to the questions that were asked, and add the questions that are new."""
        ruling, organisation = kept.considered.ruling, kept.organisation
        stored = (await out_repo.questions(tx, organisation, [outgoing])).get(outgoing, [])
        opened = await self.opening.questions(tx, organisation, kept.trace, stored)
        numbers = {one.question.fingerprint: one.number for one in opened}
        answered = {one.question.fingerprint for one in opened if one.answer is not None}
        for question, answer in ruling.answered:
            number = numbers.get(question.fingerprint)
            if number is None:
                await self.keeping.note_answers(tx, kept, outgoing, [(question, answer)], at=now)
            elif question.fingerprint not in answered:
                await out_repo.answer_question(
                    tx,
                    organisation,
                    outgoing,
                    number=number,
                    at=now,
                    person=actor.person,
                    choice=answer.choice.value,
                    reason=kept.sealing.reason(question.card, answer) if answer.reason else None,
                )
        new = [one for one in ruling.questions if one.fingerprint not in numbers]
        await self.keeping.ask(tx, kept, outgoing, new, at=now)

    async def _record_answers(self, tx: Transaction, actor: Actor, kept: Kept) -> None:
        person, ruling = actor.person, kept.considered.ruling
        for changed in (True, False):
            cards = [question.card for question, answer in ruling.answered if (answer.choice in _CHANGES) is changed]
            if person is not None:
                await self.counting.prompts.note_answered(tx, kept.organisation, person, cards, changed=changed)
        for question, answer in ruling.answered:
            event = OutgoingAnswered(
                trace=kept.trace, card=question.card, choice=answer.choice.value, reason=answer.reason or None
            )
            await self.audit.record(tx, actor, event)

    # --- taking back: see out_change.py -------------------------------------------------------------------------------

    async def undo(self, actor: Actor, outgoing: OutgoingId) -> Draft:
        """Take it back before it leaves: it lies in Drafts. Raises NotAllowed, NotPossible ("It has left already")."""
        return await self.changing.cancel(actor, outgoing)

    async def cancel(self, actor: Actor, outgoing: OutgoingId) -> Draft:
        """Never send what was asked about, or what waits for its hour: it lies in Drafts."""
        return await self.changing.cancel(actor, outgoing)

    async def resend(self, actor: Actor, outgoing: OutgoingId, seq: int, *, by_link: bool = False) -> None:
        """Try again for a recipient who did not get it, or by the secure link. Raises NotAllowed, NotPossible."""
        await self.changing.resend(actor, outgoing, seq, by_link=by_link)

    async def recall(
        self, actor: Actor, outgoing: OutgoingId, recipients: Sequence[EmailAddress] | None = None
    ) -> RecallReport:
        """Take back what can be taken back, from all (None) or some; one result a recipient. Raises NotAllowed."""
        return await self.changing.recall(actor, outgoing, recipients)


def _known(kept: Kept) -> KnownObject:
    prepared = kept.prepared
    if prepared is None:
        raise NotPossible("There is no message to send.")
    return KnownObject(organisation=kept.organisation, id=prepared.id, key=prepared.key, size=prepared.size)


async def _pressed_once(tx: Transaction, submission: Submission, *, at: datetime) -> None:
    """Of two presses of one form the first to commit sends. Raises NotPossible for the other."""
    if not submission.once:
        return
    token = hashlib.sha256(f"{submission.mailbox}\0{submission.once}".encode()).digest()[:16]
    before = at - _PRESSES_KEPT
    if not await out_repo.note_press(tx, submission.organisation, token, at=at, before=before):
        raise NotPossible(_PRESSED)


def _actor(submission: Submission) -> Actor:
    if submission.person is None:
        return Actor.job("outbound")
    address = str(submission.client_ip) if submission.client_ip else None
    return Actor.for_person(submission.person, submission.organisation, "", address=address)


def _organisation(actor: Actor) -> OrganisationId:
    if actor.organisation is None:
        raise NotPossible("Sign in to do this.")
    return actor.organisation


def _submission(
    organisation: OrganisationId, row: StoredOutgoing, details: OutDetails, raw: bytes, answers: tuple[Answer, ...]
) -> Submission:
    """The submission as it was, with more answers."""
    back = details.answers_to
    return Submission(
        organisation=organisation,
        person=row.person,
        mailbox=row.mailbox,
        reverse_path=EmailAddress.parse(details.reverse_path) if details.reverse_path else None,
        recipients=(),
        raw=raw,
        door=row.door,
        answers=answers,
        send_at=datetime.fromtimestamp(details.send_at, UTC) if details.send_at is not None else None,
        undo_seconds=details.undo_seconds,
        answers_to=RepliesTo(MailboxId(back[0]), FolderId(back[1]), Uid(back[2]), back[3]) if back else None,
        reply_all=details.reply_all,
        envid=details.envid,
        ret=details.ret,
        require_tls=details.require_tls,
        secure=details.secure,
        passphrase=details.passphrase,
        agreed=Agreed(details.agreed),
        telephone=details.telephone,
    )
