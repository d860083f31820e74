"""Second thoughts: undo, cancel, send again, let go what was held, recall.

Promises
    Of an undo and a release that meet, exactly one wins: both hold the message's row, and the second finds it settled.
    What is undone lies in Drafts, whole; nothing of it has left.
    A recall says for each recipient what it came to, and what it could not do (R148, R201).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from carepost.audit.events import Event
from carepost.audit.events_outgoing import (
    CopyTakenBack,
    OutgoingCancelled,
    OutgoingRecalled,
    OutgoingResent,
)
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.address import EmailAddress
from carepost.base.clock import Clock
from carepost.base.errors import NotPossible
from carepost.base.ids import OrganisationId, OutgoingId
from carepost.delivery.model import LeastTls
from carepost.delivery.tls_policy import DaneState, Instead, StsState, least_tls
from carepost.directory.access import OnMailbox, Verb
from carepost.directory.model import Found, Unknown
from carepost.directory.service import Directory
from carepost.gateway import repo
from carepost.gateway.out import repo as out_repo
from carepost.gateway.out.carry import Carrying, Message
from carepost.gateway.out.encrypt import held_words
from carepost.gateway.out.open import Opening, OpenRecipient, locked
from carepost.gateway.out.outgoing import (
    Draft,
    OutState,
    Quoted,
    Recall,
    RecallReport,
    RecallResult,
    RecipientState,
    Route,
)
from carepost.gateway.out.repo import Change, StoredOutgoing
from carepost.gateway.out.seal import OutDetails, OutOutcome, Sealing
from carepost.gateway.verdict import SearchBy, findable
from carepost.infra.db import Transaction
from carepost.store.sent import TakenBack, Target, back_to_drafts, take_back

_QUOTED_MAX = 100
# Not what was refused: whatever a card refuses has to be changed and looked at anew.
_RESENT_FROM = frozenset({RecipientState.FAILED, RecipientState.EXPIRED})
_QUEUED = frozenset({RecipientState.QUEUED})
_SAYS = {
    Recall.STOPPED: "It had not left yet, and will not.",
    Recall.REMOVED: "It was unread, and is gone from their mailbox.",
    Recall.REVOKED: "The secure link is dead.",
    Recall.READ: "They have read it already; it was left where it is.",
    Recall.GONE: "They have deleted it, or moved it out of reach.",
    Recall.NEVER: "They never got it.",
    Recall.TOO_LATE: "It has left our systems and cannot be fetched back. Ask them to delete it.",
}
_LINKED = frozenset({RecipientState.QUEUED, RecipientState.NOTICED, RecipientState.OPENED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Changing:
    opening: Opening
    carrying: Carrying
    directory: Directory
    audit: AuditTrail
    clock: Clock

    async def cancel(self, actor: Actor, outgoing: OutgoingId) -> Draft:
        """Raises NotAllowed; NotPossible when it has left or was cancelled already."""
        organisation, at = _organisation(actor), self.clock.now()
        await self._may_send(actor, organisation, outgoing)
        async with self.opening.db.transaction(organisation) as tx:
            row = await locked(tx, organisation, outgoing)
            if row.state is OutState.RELEASED:
                raise NotPossible("It has left already. You can still try to recall it.")
            if row.state is OutState.CANCELLED:
                raise NotPossible("It has been cancelled already: it lies among the drafts.")
            known = await self.opening.known(tx, organisation, row)
            intakes = await repo.intakes(tx, organisation, [row.mailbox])
            target = Target(row.mailbox, intakes.mailboxes[row.mailbox])
            laid = await back_to_drafts(tx, known, target, row.trace, at=at)
            rows = (await out_repo.recipients(tx, organisation, [outgoing])).get(outgoing, [])
            changes = [Change(one.seq, RecipientState.CANCELLED) for one in rows]
            await out_repo.set_recipients(tx, organisation, outgoing, changes, at=at)
            await out_repo.settle(tx, organisation, outgoing, state=OutState.CANCELLED, at=at)
            await out_repo.delete_due(tx, organisation, outgoing)
            await self.audit.record(tx, actor, OutgoingCancelled(trace=row.trace, mailbox=row.mailbox))
        return Draft(await self.opening.raw(organisation, known), row.mailbox, laid.folder, laid.uid)

    # --- again --------------------------------------------------------------------------------------------------------

    async def resend(self, actor: Actor, outgoing: OutgoingId, seq: int, *, by_link: bool) -> None:
        """Raises NotAllowed; NotPossible unless this recipient did not get it, or waits in the queue and a link is
        wanted instead."""
        organisation = _organisation(actor)
        await self._may_send(actor, organisation, outgoing)

        if not await self.carry(organisation, outgoing, _Resending(self, actor, seq, by_link)):
            raise NotPossible("There is no such recipient.")

    async def rerouted(self, one: OpenRecipient, *, by_link: bool) -> OpenRecipient:
        """As the directory and the register say today. Never weaker than it was: what went by link goes by link.

        Raises NotPossible for an address that takes no mail.
        """
        route = await self.directory.route(one.address, from_outside=False)
        if isinstance(route, Found):
            row = replace(
                one.row, route=Route.INSIDE, least=None, mailbox=route.mailbox, organisation=route.organisation
            )
            return replace(one, row=row)
        if not isinstance(route, Unknown) or route.ours:
            raise NotPossible(f"{one.address} takes no mail here. Find out their right address and write anew.")
        if by_link:
            return replace(one, row=replace(one.row, route=Route.PORTAL, least=None))
        verdict = await self.directory.is_secure(one.address.domain)
        # Only what was once let go without asking for proof is known to be free of what matters.
        known_free = one.row.route is Route.RELAY and one.row.least is LeastTls.OPPORTUNISTIC
        if not verdict.secure and one.row.route is Route.RELAY:
            return one
        least = least_tls(
            listed=verdict.secure,
            dane=DaneState.NONE,
            sts=StsState.NONE,
            sensitive=not known_free,
            exception=verdict.tls_exception,
        )
        match least:
            case Instead.PORTAL | Instead.WAIT:
                return replace(one, row=replace(one.row, route=Route.PORTAL, least=None))
        return replace(one, row=replace(one.row, route=Route.RELAY, least=least))

    async def carry(
        self, organisation: OrganisationId, outgoing: OutgoingId, carriage: "Carriage"
    ) -> tuple[StoredOutgoing, list[OpenRecipient]] | None:
        """Carry it out anew for those that `carriage` chooses, with its record; None: it chose nobody."""
        async with self.opening.db.transaction(organisation) as tx:
            row = await out_repo.get(tx, organisation, outgoing)
            if row is None or row.state is not OutState.RELEASED:
                raise NotPossible("It has not left yet.")
            details = await self.opening.details(tx, organisation, row)
            rows = (await out_repo.recipients(tx, organisation, [outgoing])).get(outgoing, [])
            opened = await self.opening.recipients(tx, organisation, row.trace, rows)
            known = await self.opening.known(tx, organisation, row)
        chosen = [one for each in opened if (one := await carriage.choose(each)) is not None]
        if not chosen:
            return None
        await self._proved_enough(organisation, details, chosen)
        before = {one.row.seq: one.row.state for one in opened}
        raw = await self.opening.raw(organisation, known)
        message = Message(organisation=organisation, row=row, details=details, raw=raw)
        load = await self.carrying.load(message, chosen)
        if load.unsealed:
            raise NotPossible(held_words(next(iter(load.unsealed.values()))))
        await carriage.prepare(organisation, row, details, chosen)
        at = self.clock.now()
        async with self.opening.db.transaction(organisation) as tx:
            await locked(tx, organisation, outgoing)
            now_rows = (await out_repo.recipients(tx, organisation, [outgoing])).get(outgoing, [])
            if any(one.state is not before[one.seq] for one in now_rows if one.seq in load.recipients):
                raise NotPossible("Somebody else has done this meanwhile.")
            await self._out_of_the_queue(
                tx, organisation, outgoing, [seq for seq in load.recipients if before[seq] in _QUEUED]
            )
            await self._reroute(tx, organisation, outgoing, chosen, at=at)
            carried = await self.carrying.carry(tx, load, at=at)
            await out_repo.set_recipients(tx, organisation, outgoing, carried.changes, at=at)
            await carriage.complete(tx, at=at)
            await self.carrying.record(tx, organisation, carried.events, own=carriage.event(row, chosen))
        return row, chosen

    async def _proved_enough(
        self, organisation: OrganisationId, details: OutDetails, chosen: Sequence[OpenRecipient]
    ) -> None:
        """A link that nobody asked its sender about before. Raises NotPossible where a code by email is not enough."""
        if not any(one.row.route is Route.PORTAL for one in chosen):
            return
        rules = await self.carrying.rules.of(organisation)
        alone = not details.passphrase and not details.telephone
        if alone and details.patient is not False and rules.portal_level != "L1":
            raise NotPossible(
                "By a secure link its reader would need words agreed by voice, and none were agreed. "
                "Its sender can agree on some, and send it anew with them."
            )

    async def _out_of_the_queue(
        self, tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, seqs: Sequence[int]
    ) -> None:
        """It never goes both ways: who is being delivered to just now stays where they are."""
        if seqs and set(await self.carrying.queue.cancel(tx, organisation, outgoing, seqs)) != set(seqs):
            raise NotPossible("It is being sent at this moment. Look again in a minute.")

    async def _reroute(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        outgoing: OutgoingId,
        chosen: Sequence[OpenRecipient],
        *,
        at: datetime,
    ) -> None:
        for one in chosen:
            await out_repo.reroute(
                tx,
                organisation,
                outgoing,
                seq=one.row.seq,
                route=one.row.route.value,
                state=RecipientState.WAITING.value,
                least=one.row.least.value if one.row.least else None,
                mailbox=one.row.mailbox,
                mailbox_organisation=one.row.organisation,
                at=at,
            )

    # --- recall -------------------------------------------------------------------------------------------------------

    async def recall(
        self, actor: Actor, outgoing: OutgoingId, recipients: Sequence[EmailAddress] | None
    ) -> RecallReport:
        organisation, at = _organisation(actor), self.clock.now()
        await self._may_send(actor, organisation, outgoing)
        wanted = None if recipients is None else {one.key for one in recipients}
        async with self.opening.db.transaction(organisation) as tx:
            row = await locked(tx, organisation, outgoing)
            if row.state is OutState.ASKED:
                raise NotPossible("It has not been sent: cancel it instead.")
            details = await self.opening.details(tx, organisation, row)
            rows = (await out_repo.recipients(tx, organisation, [outgoing])).get(outgoing, [])
            opened = await self.opening.recipients(tx, organisation, row.trace, rows)
            chosen = [one for one in opened if wanted is None or one.address.key in wanted]
            results = await self._recall(tx, actor, row, chosen)
            public = (await repo.intakes(tx, organisation, [row.mailbox])).organisation
            sealing = Sealing(organisation, row.trace, public)
            changes = [change for one in results if (change := _change(one, sealing)) is not None]
            await out_repo.set_recipients(tx, organisation, outgoing, changes, at=at)
            quoted = await self._quoted(tx, organisation, details.message_id)
            events: list[tuple[OrganisationId, Event]] = [
                (theirs, CopyTakenBack(trace=row.trace, mailbox=one.row.mailbox))
                for one, result in zip(chosen, results, strict=True)
                if result.result is Recall.REMOVED
                and one.row.mailbox is not None
                and (theirs := one.row.organisation) is not None
                and theirs != organisation
            ]
            await self.carrying.record(tx, organisation, events)
            await self.audit.record(tx, actor, _recalled(row, results))
        return RecallReport(tuple(results), tuple(quoted))

    async def _recall(
        self, tx: Transaction, actor: Actor, row: StoredOutgoing, chosen: Sequence[OpenRecipient]
    ) -> list[RecallResult]:
        organisation = _organisation(actor)
        # The queue first: whoever settles a delivery takes its rows in this order too.
        queued = [one.row.seq for one in chosen if one.row.state is RecipientState.QUEUED]
        stopped = set(await self.carrying.queue.cancel(tx, organisation, row.id, queued)) if queued else set[int]()
        linked = [one.row.seq for one in chosen if one.row.route is Route.PORTAL and one.row.state in _LINKED]
        revoked = (
            await self.carrying.links.revoke(tx, actor, organisation, row.id, linked) if linked else frozenset[int]()
        )
        found: dict[int, Recall] = {}
        for one in sorted(chosen, key=lambda one: (one.row.organisation or 0, one.row.mailbox or 0)):
            seq = one.row.seq
            if seq in revoked:
                found[seq] = Recall.REVOKED
            elif seq in stopped or one.row.state in {RecipientState.WAITING, RecipientState.HELD}:
                found[seq] = Recall.STOPPED
            elif one.row.state is RecipientState.DELIVERED and one.row.route is Route.INSIDE:
                found[seq] = await self._inside(tx, organisation, row, one)
            else:
                found[seq] = _already(one.row.state)
        return [_result(one, found[one.row.seq]) for one in chosen]

    async def _inside(
        self, tx: Transaction, organisation: OrganisationId, row: StoredOutgoing, one: OpenRecipient
    ) -> Recall:
        mailbox, theirs = one.row.mailbox, one.row.organisation
        if mailbox is None or theirs is None:
            return Recall.TOO_LATE
        if theirs != organisation:
            await tx.act_for(theirs)
        taken = await take_back(tx, theirs, mailbox, row.trace, sent_object=row.object)
        # Read or not: what has not been fetched yet stays here.
        await self.carrying.files.unshare(tx, theirs, mailbox, organisation, row.id)
        if theirs != organisation:
            await tx.act_for(organisation)
        return {TakenBack.REMOVED: Recall.REMOVED, TakenBack.READ: Recall.READ}.get(taken, Recall.GONE)

    async def _quoted(self, tx: Transaction, organisation: OrganisationId, message_id: str) -> list[Quoted]:
        if not message_id:
            return []
        by = SearchBy.REFERENCE
        token = self.carrying.edge.token(organisation, by.value, findable(by, message_id))
        return await out_repo.replies(tx, organisation, token=token, limit=_QUOTED_MAX)

    async def _may_send(self, actor: Actor, organisation: OrganisationId, outgoing: OutgoingId) -> None:
        async with self.opening.db.transaction(organisation) as tx:
            row = await out_repo.get(tx, organisation, outgoing)
        if row is None:
            raise NotPossible("There is no such message.")
        await self.directory.require(actor, Verb.MAILBOX_SEND, OnMailbox(row.mailbox, organisation))


class Carriage(Protocol):
    """For whom a message is carried out anew, and what belongs to it in the same transaction."""

    async def choose(self, one: OpenRecipient) -> OpenRecipient | None:
        """The recipient with the route that it takes now; None: not for them."""
        ...

    async def prepare(
        self, organisation: OrganisationId, row: StoredOutgoing, details: OutDetails, to: Sequence[OpenRecipient]
    ) -> None:
        """Whatever takes time. Holds nothing."""
        ...

    async def complete(self, tx: Transaction, *, at: datetime) -> None: ...

    def event(self, row: StoredOutgoing, to: Sequence[OpenRecipient]) -> tuple[Actor, Event]: ...


@dataclass(frozen=True, slots=True)
class _Resending:
    """A Carriage."""

    changing: Changing
    actor: Actor
    seq: int
    by_link: bool

    async def choose(self, one: OpenRecipient) -> OpenRecipient | None:
        if one.row.seq != self.seq:
            return None
        instead = self.by_link and one.row.state is RecipientState.QUEUED and one.row.route is Route.RELAY
        if one.row.state not in _RESENT_FROM and not instead:
            raise NotPossible("This recipient has it, it is still on its way, or it was refused and must be changed.")
        return await self.changing.rerouted(one, by_link=self.by_link)

    async def prepare(
        self, organisation: OrganisationId, row: StoredOutgoing, details: OutDetails, to: Sequence[OpenRecipient]
    ) -> None:
        """There is nothing to prepare."""

    async def complete(self, tx: Transaction, *, at: datetime) -> None:
        """... nor to add."""

    def event(self, row: StoredOutgoing, to: Sequence[OpenRecipient]) -> tuple[Actor, Event]:
        return self.actor, OutgoingResent(trace=row.trace, recipient=self.seq, route=to[0].row.route.value)


def _already(state: RecipientState) -> Recall:
    if state in {RecipientState.CANCELLED, RecipientState.REFUSED, RecipientState.FAILED, RecipientState.EXPIRED}:
        return Recall.NEVER
    return Recall.REVOKED if state is RecipientState.REVOKED else Recall.TOO_LATE


def _result(one: OpenRecipient, result: Recall) -> RecallResult:
    return RecallResult(one.address, one.row.seq, result, _SAYS[result], one.row.opened_at)


def _change(one: RecallResult, sealing: Sealing) -> Change | None:
    state = {
        Recall.STOPPED: RecipientState.CANCELLED,
        Recall.REMOVED: RecipientState.REVOKED,
        Recall.REVOKED: RecipientState.REVOKED,
    }.get(one.result)
    if state is None:
        return None
    return Change(one.seq, state, sealing.outcome(one.seq, OutOutcome(says=one.says)))


def _recalled(row: StoredOutgoing, results: Sequence[RecallResult]) -> OutgoingRecalled:
    found = [one.result for one in results]
    return OutgoingRecalled(
        trace=row.trace,
        stopped=found.count(Recall.STOPPED),
        removed=found.count(Recall.REMOVED),
        revoked=found.count(Recall.REVOKED),
        read=found.count(Recall.READ),
        too_late=found.count(Recall.TOO_LATE) + found.count(Recall.GONE),
    )


def _organisation(actor: Actor) -> OrganisationId:
    if actor.organisation is None:
        raise NotPossible("Sign in to do this.")
    return actor.organisation
