"""The desk of the delivery queue: operators and administrators look at what waits, and see to it.

Promises
    Nobody sees what a message says here, nor its subject: when it was queued, how it stands, why it waits.
    Every action asks `authorize`, and its record commits with it.
    What a worker has in hand is left to it: nothing is held back, given up or sent again while it may be leaving.
    What is sent again from the safety net is sent once more, however often that is asked for (C12).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from carepost.audit.events import Event
from carepost.audit.events_queue import (
    QueueHeld,
    QueueHurried,
    QueueLetGo,
    QueueRead,
    QueueReplayed,
    QueueStopped,
)
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.address import Domain
from carepost.base.errors import Malformed
from carepost.base.ids import DeliveryId, ObjectId, OrganisationId, TraceId
from carepost.delivery import repo, repo_desk
from carepost.delivery.dispatch import Dispatch, DispatchTo, Settled, Settlement
from carepost.delivery.parcels import Parcel, Recipient
from carepost.delivery.queue import CHANNEL
from carepost.delivery.repo_desk import WaitingRow
from carepost.delivery.settling import Settling
from carepost.directory.access import OnOrganisation, Verb
from carepost.directory.service import Directory
from carepost.infra.db import Transaction

PAGE_MAX = 200
REASON_MAX = 500
_REPLAYED_AT_ONCE = 100
_FIRST = (datetime(2000, 1, 1, tzinfo=UTC), DeliveryId(0))


class QueueState(StrEnum):
    """How a queued message stands, in words; the first that fits."""

    HELD = "held back"
    LEAVING = "is being sent"
    UNPROTECTED = "cannot be protected"  # TLS that may be trusted is missing: R107
    NEW = "not tried yet"
    ANSWERED = "told to come later"
    UNREACHED = "could not be reached"


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """One message of which somebody waits. Nothing in it tells whom it is for."""

    id: DeliveryId
    trace: TraceId
    state: QueueState
    reason: str  # "451 4.3.2"; empty: it was not tried yet
    queued_at: datetime
    next_at: datetime
    expires_at: datetime
    waiting: int  # recipients
    recipients: int
    attempts: int


@dataclass(frozen=True, slots=True)
class QueuePage:
    messages: Sequence[QueuedMessage]
    next_key: tuple[datetime, DeliveryId] | None  # None: there is no more


@dataclass(frozen=True, slots=True)
class ShownRecipient:
    """One recipient of one message, for whoever must find out why it does not arrive."""

    seq: int
    address: str
    state: str
    attempts: int
    reason: str
    host: str
    tls: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDesk:
    settling: Settling
    directory: Directory
    audit: AuditTrail

    async def page(
        self,
        actor: Actor,
        organisation: OrganisationId,
        *,
        domain: Domain | None = None,
        after: tuple[datetime, DeliveryId] | None = None,
        limit: int = 50,
    ) -> QueuePage:
        """What waits, the oldest first; of all, or for one destination. Raises NotAllowed."""
        await self.directory.require(actor, Verb.TRACE_READ, OnOrganisation(organisation))
        limit, queue = max(1, min(limit, PAGE_MAX)), self.settling.queue
        destination = queue.destination(domain) if domain is not None else None
        async with queue.db.transaction(organisation) as tx:
            rows = await repo_desk.waiting_page(
                tx, organisation, after=after or _FIRST, destination=destination, limit=limit + 1
            )
            await self.audit.record(tx, actor, QueueRead(found=len(rows[:limit])))
        found = [_message(row) for row in rows[:limit]]
        return QueuePage(found, (found[-1].queued_at, found[-1].id) if len(rows) > limit else None)

    async def show(
        self, actor: Actor, organisation: OrganisationId, delivery: DeliveryId
    ) -> Sequence[ShownRecipient] | None:
        """Its recipients and what was last said of each; None when the organisation has no such message."""
        await self.directory.require(actor, Verb.TRACE_READ, OnOrganisation(organisation))
        queue = self.settling.queue
        async with queue.db.transaction(organisation) as tx:
            row = await self._row(tx, organisation, delivery)
            if row is None:
                return None
            parcel = await queue.seals.open_parcel(tx, organisation, row)
            rows = await repo.recipients(tx, organisation, delivery)
            opened = await queue.seals.open_recipients(tx, parcel, rows)
            shown = [await self._shown(tx, parcel, to, one) for to, one in zip(opened, rows, strict=True)]
            await self.audit.record(tx, actor, QueueRead(found=len(shown), delivery=delivery))
        return shown

    async def hurry(self, actor: Actor, organisation: OrganisationId, which: DeliveryId | Domain) -> int:
        """Try at once what waits of one message, or for one destination. Returns for how many recipients."""
        await self.directory.require(actor, Verb.QUEUE_TEND, OnOrganisation(organisation))
        queue = self.settling.queue
        destination = queue.destination(which) if isinstance(which, Domain) else None
        delivery = None if isinstance(which, Domain) else which
        async with queue.db.transaction(organisation) as tx:
            hurried = await repo_desk.hurry(
                tx, organisation, delivery=delivery, destination=destination, now=queue.clock.now()
            )
            if hurried:
                await self.audit.record(tx, actor, QueueHurried(recipients=hurried, delivery=delivery))
                await tx.notify(CHANNEL, "")
        return hurried

    async def hold(self, actor: Actor, organisation: OrganisationId, delivery: DeliveryId, *, reason: str) -> int:
        """Hold back what is in nobody's hand: alarms and notices of delay go on. Returns for how many recipients."""
        await self.directory.require(actor, Verb.QUEUE_TEND, OnOrganisation(organisation))
        why = _reason(reason)

        def event(trace: TraceId, count: int) -> Event:
            return QueueHeld(trace=trace, delivery=delivery, recipients=count, reason=why)

        return await self._hold(actor, organisation, delivery, event, held=True)

    async def let_go(self, actor: Actor, organisation: OrganisationId, delivery: DeliveryId, *, reason: str) -> int:
        """What was held back is tried at once. Returns for how many recipients."""
        await self.directory.require(actor, Verb.QUEUE_TEND, OnOrganisation(organisation))
        why = _reason(reason)

        def event(trace: TraceId, count: int) -> Event:
            return QueueLetGo(trace=trace, delivery=delivery, recipients=count, reason=why)

        return await self._hold(actor, organisation, delivery, event, held=False)

    async def stop(self, actor: Actor, organisation: OrganisationId, delivery: DeliveryId, *, reason: str) -> int:
        """Give it up before its time; its sender is told (RFC 3464). Returns for how many recipients.

        Raises NotAllowed; Malformed without a reason, which is kept in the audit log.
        """
        await self.directory.require(actor, Verb.QUEUE_TEND, OnOrganisation(organisation))
        reason = _reason(reason)
        async with self.settling.queue.db.transaction(organisation) as tx:
            row = await self._row(tx, organisation, delivery)
            if row is None:
                return 0
            stopped = await self.settling.stop(tx, organisation, row)
            if stopped:
                event = QueueStopped(trace=row.trace, delivery=delivery, recipients=stopped, reason=reason)
                await self.audit.record(tx, actor, event)
        return stopped

    # The safety net

    async def delivered(
        self,
        actor: Actor,
        organisation: OrganisationId,
        *,
        since: datetime,
        until: datetime,
        domain: Domain | None = None,
    ) -> int:
        """How many recipients `replay` would send to once more. Raises NotAllowed."""
        await self.directory.require(actor, Verb.QUEUE_TEND, OnOrganisation(organisation))
        count, after = 0, DeliveryId(0)
        while True:
            async with self.settling.queue.db.transaction(organisation) as tx:
                found = await repo_desk.delivered(
                    tx, organisation, since=since, until=until, after=after, limit=_REPLAYED_AT_ONCE
                )
                for row, seqs in found:
                    _, to = await self._wanted(tx, organisation, row, seqs, domain)
                    count += len(to)
            if not found:
                return count
            after = found[-1][0].id

    async def replay(
        self,
        actor: Actor,
        organisation: OrganisationId,
        *,
        since: datetime,
        until: datetime,
        reason: str,
        domain: Domain | None = None,
    ) -> int:
        """Queue once more what was delivered from `since` to `until`, because whoever took it has lost it.

        With the same Message-ID, so that who has it after all can tell. What was replayed is not replayed again.
        Returns for how many recipients. Raises NotAllowed; Malformed without a reason.
        """
        await self.directory.require(actor, Verb.QUEUE_TEND, OnOrganisation(organisation))
        reason = _reason(reason)
        count, after, db = 0, DeliveryId(0), self.settling.queue.db
        while True:
            async with db.transaction(organisation) as tx:
                found = await repo_desk.delivered(
                    tx, organisation, since=since, until=until, after=after, limit=_REPLAYED_AT_ONCE
                )
            for row, _ in found:
                async with db.transaction(organisation) as tx:
                    # Looked at again under its lock: two who ask at once do not send twice.
                    await repo_desk.lock_delivery(tx, organisation, row.id)
                    for still, seqs in await repo_desk.delivered(
                        tx, organisation, since=since, until=until, only=row.id
                    ):
                        parcel, to = await self._wanted(tx, organisation, still, seqs, domain)
                        count += await self._again(tx, actor, parcel, to, reason)
            if not found:
                return count
            after = found[-1][0].id

    async def _wanted(
        self, tx: Transaction, organisation: OrganisationId, row: repo.ParcelRow, seqs: list[int], domain: Domain | None
    ) -> tuple[Parcel, list[Recipient]]:
        seals = self.settling.queue.seals
        parcel = await seals.open_parcel(tx, organisation, row)
        to = await seals.open_recipients(tx, parcel, await repo.recipients(tx, organisation, row.id, seqs))
        return parcel, [one for one in to if domain is None or one.address.domain == domain]

    async def _again(
        self, tx: Transaction, actor: Actor, parcel: Parcel, recipients: Sequence[Recipient], reason: str
    ) -> int:
        if not recipients or parcel.object is None or parcel.key is None:
            return 0
        await self.settling.queue.enqueue(tx, _dispatch(parcel, parcel.object, parcel.key, recipients))
        now = self.settling.queue.clock.now()
        for one in recipients:
            await self.settling.follower.settled(tx, _settlement(parcel, one, now))
        event = QueueReplayed(trace=parcel.trace, delivery=parcel.id, recipients=len(recipients), reason=reason)
        await self.audit.record(tx, actor, event)
        return len(recipients)

    async def _hold(
        self,
        actor: Actor,
        organisation: OrganisationId,
        delivery: DeliveryId,
        event: Callable[[TraceId, int], Event],
        *,
        held: bool,
    ) -> int:
        queue = self.settling.queue
        async with queue.db.transaction(organisation) as tx:
            row = await self._row(tx, organisation, delivery)
            if row is None:
                return 0
            count = await repo_desk.hold(tx, organisation, delivery, held=held, now=queue.clock.now())
            if count:
                await self.audit.record(tx, actor, event(row.trace, count))
                await tx.notify(CHANNEL, "")
        return count

    async def _row(self, tx: Transaction, organisation: OrganisationId, delivery: DeliveryId) -> repo.ParcelRow | None:
        return next(iter(await repo.open_deliveries(tx, organisation, [delivery])), None)

    async def _shown(self, tx: Transaction, parcel: Parcel, to: Recipient, row: repo.RecipientRow) -> ShownRecipient:
        word = await self.settling.queue.seals.open_last_word(tx, parcel, to, row.evidence)
        hop = word.evidence if word else None
        return ShownRecipient(
            seq=to.seq,
            address=str(to.address),
            state=row.state,
            attempts=row.attempts,
            reason=word.result.says if word else "",
            host=hop.host if hop else "",
            tls=f"{hop.tls_version} {hop.cipher} {hop.verified_by.value}".strip() if hop else "",
        )


def _message(row: WaitingRow) -> QueuedMessage:
    said = [str(row.code)] if row.code else []
    return QueuedMessage(
        id=row.id,
        trace=row.trace,
        state=_state(row),
        reason=" ".join([*said, *([row.enhanced] if row.enhanced else [])]),
        queued_at=row.queued_at,
        next_at=row.next_at,
        expires_at=row.expires_at,
        waiting=row.waiting,
        recipients=row.recipients,
        attempts=row.attempts,
    )


def _state(row: WaitingRow) -> QueueState:
    if row.held:
        return QueueState.HELD
    if row.in_hand:
        return QueueState.LEAVING
    if row.unprotected:
        return QueueState.UNPROTECTED
    if not row.attempts:
        return QueueState.NEW
    return QueueState.ANSWERED if row.code else QueueState.UNREACHED


def _dispatch(parcel: Parcel, body: ObjectId, key: bytes, recipients: Sequence[Recipient]) -> Dispatch:
    return Dispatch(
        organisation=parcel.organisation,
        trace=parcel.trace,
        object=body,
        key=key,
        size=parcel.size,
        reverse_path=parcel.reverse_path,
        recipients=tuple(
            DispatchTo(seq=one.seq, address=one.address, least=one.least, notify=one.notify, original=one.original)
            for one in recipients
        ),
        outgoing=parcel.outgoing,
        envid=parcel.envid,
        ret=parcel.ret,
        require_tls=parcel.require_tls,
        smtputf8=parcel.smtputf8,
        urgent=parcel.urgent,
        lane=parcel.lane,
        forwarded=parcel.forwarded,
        replays=parcel.id,
    )


def _settlement(parcel: Parcel, to: Recipient, now: datetime) -> Settlement:
    return Settlement(
        organisation=parcel.organisation,
        delivery=parcel.id,
        outgoing=parcel.outgoing,
        trace=parcel.trace,
        seq=to.seq,
        address=to.address,
        outcome=Settled.AGAIN,
        says="The system that had taken it lost it; it is sent once more.",
        at=now,
        attempts=to.attempts,
    )


def _reason(reason: str) -> str:
    reason = " ".join(reason.split())
    if not reason:
        raise Malformed("Say why: the reason is kept in the audit log.")
    return reason[:REASON_MAX]
