"""Quarantine: messages held for a person to look at.

Promises
    A held message is in no mailbox until someone releases it.
    Release and deletion are recorded with the reason that was given, in the transaction that does them.
    Nothing here opens a message body; reviewers see the sender, the recipients and the reasons (R41).
    Of two who settle the same message at once, the second is told that it is settled.

A message enters by `carry_out` and leaves by `release`, `delete` or `expire`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from carepost.audit.events import Event
from carepost.audit.events_mail import (
    MailDeletedFromQuarantine,
    MailExpiredInQuarantine,
    MailReleased,
    QuarantineReviewed,
)
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.clock import Clock
from carepost.base.errors import Malformed, NotPossible
from carepost.base.ids import HeldId, MailboxId, OrganisationId, TraceId
from carepost.directory.access import OnOrganisation, Verb
from carepost.directory.service import Directory
from carepost.gateway import repo
from carepost.gateway.verdict import Details, Record, details_aad, held_key_aad, read_details
from carepost.infra.db import Database, Transaction
from carepost.store.keys import Keystore
from carepost.store.objects import Delivery, lay_in_stored

REASON_MAX = 500
PAGE_MAX = 200
_EXPIRED_AT_ONCE = 200
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)
# A person has looked and said yes: R142 keeps it from being forwarded all the same.
RELEASED = "$CarepostReleased"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a reviewer sees of a held message."""

    id: HeldId
    trace: TraceId
    size: int
    held_at: datetime
    expires_at: datetime
    risk: str  # "low" or "high". R136
    card: str
    unsure: bool
    state: str  # "held", "released", "deleted", "expired"
    mailboxes: tuple[MailboxId, ...]
    record: Record

    @property
    def details(self) -> Details:
        return self.record.details


@dataclass(frozen=True, slots=True)
class HeldPage:
    held: Sequence[Held]
    next_key: tuple[datetime, HeldId] | None  # None: there is no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    db: Database
    keys: Keystore
    audit: AuditTrail
    directory: Directory
    clock: Clock

    async def page(
        self,
        actor: Actor,
        organisation: OrganisationId,
        *,
        before: tuple[datetime, HeldId] | None = None,
        limit: int = 50,
    ) -> HeldPage:
        """What waits, newest first. Raises NotAllowed."""
        await self.directory.require(actor, Verb.QUARANTINE_REVIEW, OnOrganisation(organisation))
        before_at, before_id = before or (_LATEST, HeldId(0))
        limit = max(1, min(limit, PAGE_MAX))
        async with self.db.transaction(organisation) as tx:
            rows = await repo.held_page(tx, organisation, before_at=before_at, before_id=before_id, limit=limit + 1)
            held = [await self._opened(tx, organisation, row) for row in rows[:limit]]
        more = len(rows) > limit
        return HeldPage(held, (held[-1].held_at, held[-1].id) if more else None)

    async def get(self, actor: Actor, organisation: OrganisationId, held: HeldId) -> Held:
        """One held message, whatever became of it; looking is recorded. Raises NotAllowed, NotPossible."""
        await self.directory.require(actor, Verb.QUARANTINE_REVIEW, OnOrganisation(organisation))
        async with self.db.transaction(organisation) as tx:
            row = await repo.held(tx, organisation, held)
            if row is None:
                raise NotPossible("There is no such message in quarantine.")
            found = await self._opened(tx, organisation, row)
            await self.audit.record(tx, actor, QuarantineReviewed(trace=found.trace, held=held))
        return found

    async def waiting(self, organisation: OrganisationId) -> tuple[int, datetime | None]:
        """How many are held, and since when the oldest is (R145). For alarms and the head of a page."""
        async with self.db.transaction(organisation) as tx:
            return await repo.count_held(tx, organisation)

    async def release(
        self, actor: Actor, organisation: OrganisationId, held: HeldId, *, reason: str
    ) -> tuple[MailboxId, ...]:
        """Lay it into the mailboxes it was for; returns them after COMMIT.

        Raises NotAllowed, NotPossible, Malformed. `reason` is kept in the audit log.
        """
        await self.directory.require(actor, Verb.QUARANTINE_RELEASE, OnOrganisation(organisation))
        reason = _reason(reason)
        at = self.clock.now()
        async with self.db.transaction(organisation) as tx:
            row = await self._lock(tx, organisation, held)
            if row.object is None or row.wrapped is None:
                raise NotPossible(_SETTLED)
            mailboxes = await repo.held_mailboxes(tx, organisation, held)
            intakes = await repo.intakes(tx, organisation, mailboxes)
            aad = held_key_aad(organisation, row.object)
            key = await self.keys.open_intake(tx, organisation, aad=aad, sealed=row.wrapped)
            await lay_in_stored(
                tx,
                organisation,
                row.object,
                key=key,
                size=row.size,
                deliveries=[
                    Delivery(mailbox, intakes.mailboxes[mailbox], keywords=(RELEASED,)) for mailbox in mailboxes
                ],
                trace=row.trace,
                at=at,
            )
            await repo.settle_held(tx, organisation, held, state="released", at=at)
            only = mailboxes[0] if len(mailboxes) == 1 else None
            event = MailReleased(trace=row.trace, held=held, reason=reason, mailbox=only)
            await self.audit.record(tx, actor, event)
        return tuple(mailboxes)

    async def delete(self, actor: Actor, organisation: OrganisationId, held: HeldId, *, reason: str) -> None:
        """Destroy the only key to it. Raises NotAllowed, NotPossible, Malformed."""
        await self.directory.require(actor, Verb.QUARANTINE_RELEASE, OnOrganisation(organisation))
        reason = _reason(reason)
        async with self.db.transaction(organisation) as tx:
            row = await self._lock(tx, organisation, held)
            await repo.settle_held(tx, organisation, held, state="deleted", at=self.clock.now())
            event: Event = MailDeletedFromQuarantine(trace=row.trace, held=held, reason=reason)
            await self.audit.record(tx, actor, event)

    async def expire(self, actor: Actor, organisation: OrganisationId) -> int:
        """Destroy the keys of what nobody asked for in time. A chore; returns how many."""
        now = self.clock.now()
        async with self.db.transaction(organisation) as tx:
            due = await repo.expired_held(tx, organisation, now=now, limit=_EXPIRED_AT_ONCE)
            for held, _ in due:
                await repo.settle_held(tx, organisation, held, state="expired", at=now)
            for held, trace in due:
                await self.audit.record(tx, actor, MailExpiredInQuarantine(trace=trace, held=held))
        return len(due)

    async def _lock(self, tx: Transaction, organisation: OrganisationId, held: HeldId) -> repo.LockedHeld:
        row = await repo.lock_held(tx, organisation, held)
        if row is None:
            raise NotPossible("There is no such message in quarantine.")
        if row.state != "held":
            raise NotPossible(_SETTLED, state=row.state)
        return row

    async def _opened(self, tx: Transaction, organisation: OrganisationId, row: repo.HeldRow) -> Held:
        opened = await self.keys.open_intake(
            tx, organisation, aad=details_aad(organisation, row.trace), sealed=row.details
        )
        record = Record(trace=row.trace, at=row.at, door=row.door, size=row.size, details=read_details(opened))
        return Held(
            id=row.id,
            trace=row.trace,
            size=row.size,
            held_at=row.held_at,
            expires_at=row.expires_at,
            risk=row.risk,
            card=row.card,
            unsure=row.unsure,
            state=row.state,
            mailboxes=row.mailboxes,
            record=record,
        )


_SETTLED = "Somebody has released or deleted this message already."


def _reason(text: str) -> str:
    reason = " ".join(text.split())
    if not reason:
        raise Malformed("Please give a reason: it is kept with the record of what you do.")
    return reason[:REASON_MAX]
