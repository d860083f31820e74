"""Mail of our own people that is held for a person to look at: listed, let go, sent by link, or refused with a reason.

Promises
    Who looks sees sender, recipients and reasons; never the subject or the text, and of a file only the name that
    a reason calls it by (R41). Looking is recorded.
    What is decided commits with its record and with the letter that tells the sender, or nothing does.
    Nothing is let go less protected than the table of TLS asks: what would go in clear goes by link.

A message comes here by a card that holds (`out_decide`), and leaves by `let_go` or `refuse`; its sender may recall it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from carepost.audit.events import Event
from carepost.audit.events_outgoing import OutgoingLetGo
from carepost.audit.events_rules import OutgoingHeldRefused, OutgoingReviewed
from carepost.audit.model import Actor
from carepost.base.address import EmailAddress
from carepost.base.errors import Malformed, NotPossible
from carepost.base.ids import OrganisationId, OutgoingId, TraceId
from carepost.directory.access import OnOrganisation, Verb
from carepost.gateway import repo
from carepost.gateway.out import letters as out_letters
from carepost.gateway.out import repo as out_repo
from carepost.gateway.out.change import Changing
from carepost.gateway.out.letters import Letterhead
from carepost.gateway.out.open import OpenRecipient, locked
from carepost.gateway.out.outgoing import OutgoingRecipient, RecipientState
from carepost.gateway.out.post import Inbox, Post, SealedLetter
from carepost.gateway.out.repo import Change, StoredOutgoing
from carepost.gateway.out.seal import OutDetails, OutOutcome, Sealing
from carepost.infra.db import Transaction

PAGE_MAX = 100
REASON_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutgoing:
    """What a reviewer sees of a message that is held, for some of its recipients or all."""

    id: OutgoingId
    trace: TraceId
    sender: str
    person: str  # who sent it, where that is another; "" for the service itself
    submitted_at: datetime
    size: int
    held: tuple[OutgoingRecipient, ...]
    others: int  # recipients for whom it is not held
    found: tuple[str, ...]  # what its sender was told was found

    @property
    def since(self) -> datetime:
        return min(one.changed_at for one in self.held) if self.held else self.submitted_at


@dataclass(frozen=True, slots=True)
class HeldOutgoingPage:
    held: Sequence[HeldOutgoing]
    next_key: OutgoingId | None  # None: there is no more


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldMail:
    changing: Changing
    post: Post

    async def page(
        self, actor: Actor, organisation: OrganisationId, *, after: OutgoingId | None = None, limit: int = 50
    ) -> HeldOutgoingPage:
        """What waits, oldest first. Raises NotAllowed."""
        await self._may(actor, organisation, Verb.QUARANTINE_REVIEW)
        limit = max(1, min(limit, PAGE_MAX))
        async with self.changing.opening.db.transaction(organisation) as tx:
            stored = await out_repo.held(tx, organisation, after=after or OutgoingId(0), limit=limit + 1)
            held = [await self._shown(tx, organisation, one) for one in stored[:limit]]
        return HeldOutgoingPage(held, held[-1].id if len(stored) > limit else None)

    async def get(self, actor: Actor, organisation: OrganisationId, outgoing: OutgoingId) -> HeldOutgoing:
        """One of them, also when nothing of it is held any more. Raises NotAllowed, NotPossible."""
        await self._may(actor, organisation, Verb.QUARANTINE_REVIEW)
        async with self.changing.opening.db.transaction(organisation) as tx:
            stored = await out_repo.get(tx, organisation, outgoing)
            if stored is None:
                raise NotPossible("There is no such message.")
            found = await self._shown(tx, organisation, stored)
            await self.changing.audit.record(tx, actor, OutgoingReviewed(trace=found.trace))
        return found

    async def let_go(
        self, actor: Actor, organisation: OrganisationId, outgoing: OutgoingId, *, reason: str, by_link: bool = False
    ) -> int:
        """It goes, as well protected as may be; `by_link`: to everybody outside by a secure link.

        Returns for how many. Raises NotAllowed, Malformed; NotPossible when nothing of it is held any more.
        """
        await self._may(actor, organisation, Verb.QUARANTINE_RELEASE)
        reason = _reason(reason)
        carriage = _LettingGo(self.changing, self, actor, reason, by_link)
        done = await self.changing.carry(organisation, outgoing, carriage)
        if not done:
            raise NotPossible("Nothing of this message is held any more.")
        return len(done[1])

    async def refuse(self, actor: Actor, organisation: OrganisationId, outgoing: OutgoingId, *, reason: str) -> int:
        """It does not go to those it is held for; its sender is told why. Returns for how many.

        Raises NotAllowed, Malformed; NotPossible when nothing of it is held any more.
        """
        await self._may(actor, organisation, Verb.QUARANTINE_RELEASE)
        reason, changing, at = _reason(reason), self.changing, self.changing.clock.now()
        row, details, held = await self._held(organisation, outgoing)
        says = f"An administrator has looked at it and did not let it go. They wrote: {reason}"
        letter = await self.letter(
            organisation,
            row,
            lambda head, to: out_letters.bad_news(
                head,
                to,
                outgoing=row.id,
                trace=row.trace,
                subject=details.subject,
                failed=[(one.address, says) for one in held],
                at=at,
            ),
        )
        async with changing.opening.db.transaction(organisation) as tx:
            await locked(tx, organisation, outgoing)
            rows = (await out_repo.recipients(tx, organisation, [outgoing])).get(outgoing, [])
            still = {one.seq for one in rows if one.state is RecipientState.HELD}
            if still != {one.row.seq for one in held}:
                raise NotPossible("Somebody else has done this meanwhile.")
            public = (await repo.intakes(tx, organisation, [row.mailbox])).organisation
            sealing = Sealing(organisation, row.trace, public)
            changes = [
                Change(seq, RecipientState.REFUSED, sealing.outcome(seq, OutOutcome(says=says))) for seq in still
            ]
            await out_repo.set_recipients(tx, organisation, outgoing, changes, at=at)
            if letter is not None:
                await self.post.lay(tx, letter, at=at)
            event = OutgoingHeldRefused(trace=row.trace, recipients=len(still), reason=reason)
            await changing.audit.record(tx, actor, event)
        return len(still)

    async def _held(
        self, organisation: OrganisationId, outgoing: OutgoingId
    ) -> tuple[StoredOutgoing, OutDetails, list[OpenRecipient]]:
        opening = self.changing.opening
        async with opening.db.transaction(organisation) as tx:
            row = await out_repo.get(tx, organisation, outgoing)
            if row is None:
                raise NotPossible("There is no such message.")
            details = await opening.details(tx, organisation, row)
            rows = (await out_repo.recipients(tx, organisation, [outgoing])).get(outgoing, [])
            held = [one for one in rows if one.state is RecipientState.HELD]
            opened = await opening.recipients(tx, organisation, row.trace, held)
        if not opened:
            raise NotPossible("Nothing of this message is held any more.")
        return row, details, opened

    async def _may(self, actor: Actor, organisation: OrganisationId, verb: Verb) -> None:
        await self.changing.directory.require(actor, verb, OnOrganisation(organisation))

    async def _shown(self, tx: Transaction, organisation: OrganisationId, stored: StoredOutgoing) -> HeldOutgoing:
        opening = self.changing.opening
        [row] = await opening.rows(tx, organisation, [stored], questions=True)
        details = await opening.details(tx, organisation, stored)
        held = tuple(one for one in row.recipients if one.state is RecipientState.HELD)
        return HeldOutgoing(
            id=row.id,
            trace=row.trace,
            sender=details.sender,
            person=details.person,
            submitted_at=row.submitted_at,
            size=stored.size,
            held=held,
            others=len(row.recipients) - len(held),
            found=tuple(dict.fromkeys(says for one in row.questions for says in one.question.says)),
        )

    async def letter(
        self, organisation: OrganisationId, row: StoredOutgoing, write: Callable[[Letterhead, EmailAddress], bytes]
    ) -> SealedLetter | None:
        """To the inbox that it was sent from; None when that takes no mail any more."""
        mailbox = await self.changing.directory.mailbox(organisation, row.mailbox)
        inbox = Inbox.of(mailbox) if mailbox is not None else None
        if mailbox is None or inbox is None:
            return None
        return self.post.seal(inbox, write(self.post.head(mailbox.address), mailbox.address))


@dataclass(slots=True)
class _LettingGo:
    """A Carriage."""

    changing: Changing
    mail: HeldMail
    actor: Actor
    reason: str
    by_link: bool
    _letter: SealedLetter | None = None

    async def choose(self, one: OpenRecipient) -> OpenRecipient | None:
        held = one.row.state is RecipientState.HELD
        return await self.changing.rerouted(one, by_link=self.by_link) if held else None

    async def prepare(
        self, organisation: OrganisationId, row: StoredOutgoing, details: OutDetails, to: Sequence[OpenRecipient]
    ) -> None:
        self._letter = await self.mail.letter(
            organisation,
            row,
            lambda head, address: out_letters.let_go(
                head,
                address,
                outgoing=row.id,
                trace=row.trace,
                subject=details.subject,
                people=[one.address for one in to],
                reason=self.reason,
                at=self.changing.clock.now(),
            ),
        )

    async def complete(self, tx: Transaction, *, at: datetime) -> None:
        if self._letter is not None:
            await self.mail.post.lay(tx, self._letter, at=at)

    def event(self, row: StoredOutgoing, to: Sequence[OpenRecipient]) -> tuple[Actor, Event]:
        return self.actor, OutgoingLetGo(trace=row.trace, recipients=len(to), reason=self.reason)


def _reason(text: str) -> str:
    reason = " ".join(text.split())[:REASON_MAX]
    if not reason:
        raise Malformed("Please give a reason: it is kept with the record of what you do.")
    return reason
