"""Upkeep of the delivery queue: the count that must come out even, what operators must know, what may be let go.

Promises
    Every recipient that was taken over is in exactly one state, or somebody is told (C2). One that has lost its turn is
    given another: it is better sent late than never.
    Bodies of what was delivered are kept for the safety net's time, and no longer (C12).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from carepost.base.ids import OrganisationId, TraceId
from carepost.delivery import repo
from carepost.delivery.queue import DeliveryQueue

_MENDED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The count of one organisation. `unaccounted` is 0, or something is broken."""

    accepted: int
    ended: int
    pending: int
    without_turn: int  # queued, and would never have come: mended
    turn_too_many: int  # at an end, and would have been sent again: taken away

    @property
    def unaccounted(self) -> int:
        """Recipients of which nobody can say what became of them."""
        return (
            abs(self.accepted - self.ended - self.pending - self.without_turn) + self.without_turn + self.turn_too_many
        )


@dataclass(frozen=True, slots=True)
class QueuedRecipient:
    """What the queue knows of one recipient, for `carepost trace` and the help desk."""

    seq: int
    address: str
    state: str
    attempts: int
    settled_at: datetime | None
    says: str
    host: str
    tls: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueUpkeep:
    queue: DeliveryQueue

    async def reconcile(self, organisation: OrganisationId) -> Reconciliation:
        """Count, and mend what can be mended. To be run every hour, and by `carepost doctor`."""
        queue = self.queue
        now = queue.clock.now()
        async with queue.db.transaction(organisation) as tx:
            found = await repo.reckon(tx, organisation)
            if found.without_turn:
                for row in await repo.recipients_without_turn(tx, organisation, limit=_MENDED_AT_ONCE):
                    address = await queue.seals.open_address(
                        tx, organisation, TraceId(row["trace"]), row["seq"], bytes(row["details"])
                    )
                    destination = queue.destination(address.domain)
                    await repo.insert_turn(tx, organisation, row, destination=destination, now=now)
            if found.turn_too_many:
                await repo.remove_turns_too_many(tx, organisation)
        return Reconciliation(found.accepted, found.ended, found.pending, found.without_turn, found.turn_too_many)

    async def let_go(self, organisation: OrganisationId) -> int:
        """Give up the keys to bodies whose time in the safety net is over, and forget what is long past. A chore."""
        queue = self.queue
        now, policy = queue.clock.now(), queue.policy
        async with queue.db.transaction(organisation) as tx:
            await repo.settle_the_rest(tx, organisation, now=now)
            gone = await repo.let_go_of_bodies(tx, organisation, before=now - policy.kept_for)
            await repo.forget_deliveries(tx, organisation, before=now - policy.remembered_for)
        return gone

    async def by_trace(self, organisation: OrganisationId, trace: TraceId) -> Sequence[QueuedRecipient]:
        """Every recipient of a message that was given to the queue, and what became of each."""
        seals, found = self.queue.seals, []
        async with self.queue.db.transaction(organisation) as tx:
            for row in await repo.deliveries_of_walk(tx, organisation, trace):
                parcel = await seals.open_parcel(tx, organisation, row)
                rows = await repo.recipients(tx, organisation, row.id)
                for to, one in zip(await seals.open_recipients(tx, parcel, rows), rows, strict=True):
                    word = await seals.open_last_word(tx, parcel, to, one.evidence)
                    hop = word.evidence if word else None
                    found.append(
                        QueuedRecipient(
                            seq=to.seq,
                            address=str(to.address),
                            state=one.state,
                            attempts=one.attempts,
                            settled_at=one.settled_at,
                            says=word.result.says if word else "",
                            host=hop.host if hop else "",
                            tls=f"{hop.tls_version} {hop.cipher} {hop.verified_by.value}".strip() if hop else "",
                        )
                    )
        return found
