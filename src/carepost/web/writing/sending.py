"""Pressing Send: what the server would do is considered, shown, asked about, and done.

Promises
    A message that would go by secure link, be held or be asked about is never sent as a surprise: the page says so
    first, with the sentence of the card, and only a second press sends it.
    Of two presses at once one sends. What was typed is a draft until the message is ours to deliver.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from carepost.base.address import EmailAddress
from carepost.base.ids import FolderId, MailboxId, Uid
from carepost.gateway.out.outgoing import (
    Answer,
    Choice,
    Consideration,
    NeedsAnswers,
    OutDoor,
    RepliesTo,
    Route,
    Submission,
    Submitted,
    Wanted,
)
from carepost.web.forms import Form
from carepost.web.sealing import SaidNote
from carepost.web.shell import Visit
from carepost.web.words import long_time
from carepost.web.writing.draft import AnswersTo, Writing, message_of, read_people
from carepost.web.writing.drafts import Drafts
from carepost.web.writing.pages import CheckView, check_view
from carepost.web.writing.proofs import chosen as chosen_proof
from carepost.web.writing.proofs import least_words, proof_lines
from carepost.web.writing.rooms import WritingRooms
from carepost.web.writing.typed import message_id_of, send_at, sender_of

_PLAINLY = frozenset({Route.INSIDE, Route.RELAY})
_SOON_SECONDS = 120
_ONCE_MAX = 100


@dataclass(frozen=True, slots=True)
class Sending:
    """One press of Send, on a draft that has just been saved."""

    rooms: WritingRooms
    visit: Visit
    drafts: Drafts
    writing: Writing
    uid: int

    async def send(self) -> Submitted | CheckView:
        """Sent, or what must be looked at first. Raises a MailError: nothing was sent then."""
        submission = await self._submission()
        consideration = await self.rooms.outbound.consider(submission)
        seen = self.visit.form.text("mark") == _mark(consideration)
        if not consideration.may_leave or not (seen or _goes_plainly(consideration)):
            return self._check(consideration)
        async with self.drafts.claimed(self.uid):
            result = await self.rooms.outbound.submit(submission)
        if isinstance(result, NeedsAnswers):
            return self._check(result.consideration)
        await self.drafts.discard(self.uid)
        return result

    def _check(self, consideration: Consideration) -> CheckView:
        form = self.visit.form
        view = check_view(consideration, chosen=chosen(form), mark=_mark(consideration))
        lines = proof_lines(consideration, form, texts=self.rooms.policy.texts)
        return replace(view, proofs=lines, least=least_words(consideration, lines))

    async def _submission(self) -> Submission:
        visit, writing, access = self.visit, self.writing, self.drafts.access
        now, zone = self.rooms.mail.clock.now(), visit.house.policy.zone
        sender, message_id = sender_of(visit.me, access), message_id_of(writing, access)
        everybody = [one for typed in (writing.to, writing.cc, writing.bcc) for one in read_people(typed).found]
        answers_to, proof = writing.answers_to, chosen_proof(visit.form)
        return Submission(
            organisation=visit.me.organisation,
            person=visit.me.person,
            mailbox=access.mailbox.id,
            reverse_path=access.mailbox.address,
            recipients=tuple(
                {one.address.lower(): Wanted(EmailAddress.parse(one.address)) for one in everybody}.values()
            ),
            raw=message_of(writing, sender=sender, at=now, message_id=message_id),
            door=OutDoor.WEB,
            answers=answers(visit.form),
            send_at=send_at(writing.send_at, self.rooms.policy, now=now, zone=zone),
            answers_to=None if answers_to is None else _original(access.mailbox.id, answers_to),
            reply_all=writing.reply_all,
            secure=writing.secure,
            undo_seconds=await self.rooms.wordings.undo_seconds(visit.me.organisation, visit.me.person),
            once=visit.form.text("once")[:_ONCE_MAX],
            passphrase=proof.passphrase,
            agreed=proof.agreed,
            telephone=proof.telephone,
        )

    def leaves(self, result: Submitted) -> SaidNote:
        """What the next page says, with Undo on it."""
        seconds = round((result.release_at - self.rooms.mail.clock.now()).total_seconds())
        at = result.release_at.astimezone(self.visit.house.policy.zone)
        if seconds <= 0:
            return SaidNote("Your message has left.", outgoing=int(result.id))
        when = f"in {seconds} seconds" if seconds < _SOON_SECONDS else f"on {long_time(at)}"
        return SaidNote(f"Your message leaves {when}.", outgoing=int(result.id))


def _original(mailbox: MailboxId, answers_to: AnswersTo) -> RepliesTo:
    return RepliesTo(mailbox, FolderId(answers_to.folder), Uid(answers_to.uid), answers_to.was_bcc)


def answers(form: Form) -> tuple[Answer, ...]:
    """What was answered, to which question. An answer that is none of ours is left out."""
    known = {choice.value for choice in Choice}
    return tuple(
        Answer(card=form.text(f"card-{fingerprint}"), choice=Choice(choice), fingerprint=fingerprint, reason=reason)
        for fingerprint, (choice, reason) in chosen(form).items()
        if choice in known
    )


def chosen(form: Form) -> Mapping[str, tuple[str, str]]:
    """Fingerprint -> choice and reason, as the form has them."""
    prints = [name.removeprefix("answer-") for name in form.values if name.startswith("answer-")]
    return {one: (form.text(f"answer-{one}"), form.text(f"reason-{one}")) for one in prints[:100]}


def _goes_plainly(consideration: Consideration) -> bool:
    return all(one.route in _PLAINLY for one in consideration.routes)


def _mark(consideration: Consideration) -> str:
    """Of what the page showed: if the next press would do anything else, that is shown first."""
    shown = sorted(f"{one.address.key} {one.route}" for one in consideration.routes)
    return hashlib.sha256("\n".join(shown).encode()).hexdigest()[:16]
