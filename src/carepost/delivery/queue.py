"""The delivery queue: what leaves for other systems, each recipient by itself, for as long as it takes.

Promises
    Who is queued after COMMIT ends in exactly one of delivered, failed, expired, cancelled (C2): see settling.py.
    A recipient is in one worker's hand at a time, by a lease that lapses when the worker is not heard of (C5).
    Nothing that is waiting is forgotten because a clock was wrong (D8).
    What urgent mail and people's mail want comes before bulk, and bulk is never starved.

`enqueue` is called in the transaction that lets the message go; workers wake by NOTIFY.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from carepost.base.address import Domain
from carepost.base.clock import Clock
from carepost.base.errors import Broken
from carepost.base.ids import DeliveryId, OrganisationId, OutgoingId
from carepost.delivery import repo
from carepost.delivery.dispatch import Dispatch, Lane
from carepost.delivery.parcels import Parcel, Recipient, Seals, Turn
from carepost.delivery.schedule import Schedule, latest
from carepost.infra.db import Database, Transaction
from carepost.infra.vault import EdgeKey
from carepost.store.keys import Keystore
from carepost.store.objects import open_body

CHANNEL = "delivery"
# Destinations are counted over all organisations: their token is of none.
_NOBODYS = 0
_TOGETHER = 32 * 1024  # octets of a message that is fetched with others, in one statement
_IN_LINE = 256 * 1024  # octets that are opened in a millisecond


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePolicy:
    lease: timedelta = timedelta(minutes=10)  # C5. Longer than any silence of a worker that is well
    # Of what is taken at once so much is bulk while there is some, whoever else waits.
    bulk_share: float = 0.1
    # The safety net: bodies of what was delivered are kept so long (C12).
    kept_for: timedelta = timedelta(hours=48)
    remembered_for: timedelta = timedelta(days=90)  # R189
    # What is queued for longer is told to operators (R145).
    too_long: timedelta = timedelta(minutes=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryQueue:
    db: Database
    keys: Keystore
    edge: EdgeKey
    clock: Clock
    schedule: Schedule = field(default_factory=Schedule)
    policy: QueuePolicy = field(default_factory=QueuePolicy)

    @property
    def seals(self) -> Seals:
        return Seals(self.keys)

    async def enqueue(self, tx: Transaction, dispatch: Dispatch) -> DeliveryId:
        """Queue a message in the caller's transaction, which acts for its organisation. Its object is stored there too.

        Raises Broken when there are no recipients, or two with one number: such a message would never come to an end.
        """
        numbers = [to.seq for to in dispatch.recipients]
        if not numbers or len(set(numbers)) != len(numbers):
            raise Broken("A message was to be queued for nobody, or for two under one number.", recipients=len(numbers))
        now, seals = self.clock.now(), self.seals
        delivery = await repo.insert_delivery(
            tx,
            organisation=dispatch.organisation,
            trace=dispatch.trace,
            outgoing=dispatch.outgoing,
            object=dispatch.object,
            wrapped=await seals.key(tx, dispatch),
            size=dispatch.size,
            details=await seals.envelope(tx, dispatch),
            lane=Lane.URGENT if dispatch.urgent else dispatch.lane,
            urgent=dispatch.urgent,
            at=now,
            expires=now + (dispatch.expires_after or self.schedule.expires_after),
            replays=dispatch.replays,
            recipients=[
                (to.seq, await seals.recipient(tx, dispatch, to), self.destination(to.address.domain))
                for to in dispatch.recipients
            ],
        )
        await tx.notify(CHANNEL, "")
        return delivery

    def destination(self, domain: Domain) -> bytes:
        """The keyed hash by which conversations with a domain are counted."""
        return self.edge.token(_NOBODYS, "destination", domain.name)

    async def arrivals(self) -> AsyncIterator[None]:
        """Something may have been queued: look. For ever."""
        async for _ in self.db.listen(CHANNEL):
            yield

    # What a worker does

    async def take(self, owner: str, *, limit: int, busy: Sequence[bytes] = ()) -> list[Turn]:
        """Up to `limit` recipients whose turn has come, from here in this worker's hand; none for `busy` ones."""
        now = self.clock.now()
        taken: list[tuple[repo.Place, bytes]] = []
        # The share of bulk stays free for it: what the others leave is its own too.
        share = max(1, int(limit * self.policy.bulk_share)) if limit > 1 else 0
        async with self.db.transaction() as tx:
            await repo.take_turns_of_all(tx)
            for lane, most in ((Lane.URGENT, limit - share), (Lane.PERSON, limit - share), (Lane.BULK, limit)):
                if (room := most - len(taken)) > 0:
                    taken += await repo.take_turns(
                        tx, owner=owner, lane=lane, now=now, until=now + self.policy.lease, busy=busy, limit=room
                    )
        taken.sort(key=lambda one: one[0])
        return [Turn(*place, destination) for place, destination in taken]

    async def open(self, owner: str, turns: Sequence[Turn]) -> list[tuple[Parcel, list[Recipient]]]:
        """The messages of some turns of one organisation, each with those of its recipients that are still in hand."""
        wanted = [(turn.delivery, turn.seq) for turn in turns]
        organisation = turns[0].organisation
        seals, found = self.seals, []
        async with self.db.transaction(organisation) as tx:
            rows = await repo.open_recipients(tx, organisation, owner, wanted)
            parcel_rows = await repo.open_deliveries(tx, organisation, {delivery for delivery, _ in wanted})
            small = [row.object for row in parcel_rows if row.object is not None and row.size <= _TOGETHER]
            bodies = await repo.small_bodies(tx, organisation, small) if small else {}
            for row in parcel_rows:
                parcel = await seals.open_parcel(tx, organisation, row)
                if row.object is not None:
                    parcel = replace(parcel, sealed=bodies.get(row.object))
                mine = [one for one in rows if one.delivery == row.id]
                if mine:
                    found.append((parcel, await seals.open_recipients(tx, parcel, mine)))
        return found

    async def body(self, parcel: Parcel) -> bytes:
        """The message, in memory only. Raises Broken when there is none any more, DoesNotOpen when it is damaged."""
        if parcel.sealed is not None and parcel.object is not None and parcel.key is not None:
            return open_body(parcel.key, parcel.organisation, parcel.object, *parcel.sealed)
        async with self.db.transaction(parcel.organisation) as tx:
            sealed = await self._sealed(tx, parcel)
        # Nobody's connection is held while a large one is opened, nor everybody's loop.
        return await asyncio.to_thread(sealed) if parcel.size > _IN_LINE else sealed()

    async def body_in(self, tx: Transaction, parcel: Parcel) -> bytes:
        """As `body`, in a transaction of the caller's."""
        return (await self._sealed(tx, parcel))()

    async def _sealed(self, tx: Transaction, parcel: Parcel) -> Callable[[], bytes]:
        if parcel.object is None or parcel.key is None:
            raise Broken("A queued message has no body any more.", trace=parcel.trace)
        stored = await repo.body(tx, parcel.organisation, parcel.object)
        if stored is None:
            raise Broken("The body of a queued message is not in the store.", trace=parcel.trace)
        return partial(open_body, parcel.key, parcel.organisation, parcel.object, *stored)

    async def renew(self, owner: str, turns: Iterable[Turn]) -> None:
        """The worker is well and still has these in hand."""
        if places := _places(turns):
            async with self.db.transaction() as tx:
                await repo.take_turns_of_all(tx)
                await repo.renew_leases(tx, owner, places, until=self.clock.now() + self.policy.lease)

    async def give_back(self, owner: str, turns: Iterable[Turn], *, not_before: datetime | None = None) -> None:
        """The worker did not come to these. No attempt is counted."""
        if places := _places(turns):
            async with self.db.transaction() as tx:
                await repo.take_turns_of_all(tx)
                await repo.give_back(tx, owner, places, next_at=not_before or self.clock.now())

    async def tidy(self) -> int:
        """Turns of workers that were not heard of are anybody's again; those a wrong clock set come now. How many."""
        now = self.clock.now()
        async with self.db.transaction() as tx:
            await repo.take_turns_of_all(tx)
            freed = await repo.free_lapsed(tx, now=now)
            freed += await repo.pull_back(tx, now=now, latest=latest(self.schedule, now))
            if freed:
                await tx.notify(CHANNEL, "")
        return freed

    async def next_at(self) -> datetime | None:
        """When the next turn comes, if there is any that nobody has in hand."""
        async with self.db.transaction() as tx:
            await repo.take_turns_of_all(tx)
            return await repo.next_turn(tx)

    async def standing(self) -> repo.Standing:
        """How the queue of all organisations stands: for alarms (R145) and metrics."""
        now = self.clock.now()
        async with self.db.transaction() as tx:
            await repo.take_turns_of_all(tx)
            return await repo.standing(tx, now=now, too_long=now - self.policy.too_long)

    # What a sender may do

    async def cancel(
        self, tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, seqs: Sequence[int] | None = None
    ) -> list[int]:
        """Take recipients (None: all) of a message out of the queue, in the caller's transaction. Returns whom.

        Who is missing from the answer has left already, or is leaving at this moment. The Follower is not told: the
        caller is, by the answer.
        """
        cancelled: list[int] = []
        now = self.clock.now()
        for delivery, waiting in (await repo.turns_of_outgoing(tx, organisation, outgoing, seqs)).items():
            told = [repo.Told(seq=seq, state="cancelled", next_at=None) for seq in waiting]
            await repo.settle(tx, organisation, delivery, told, now=now, evidence=None, attempted=False)
            cancelled += waiting
        return sorted(cancelled)

    async def try_now(self, tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId) -> int:
        """What of a message waits is tried at once. Returns for how many recipients."""
        hurried = await repo.retry_outgoing(tx, organisation, outgoing, now=self.clock.now())
        if hurried:
            await tx.notify(CHANNEL, "")
        return hurried


def _places(turns: Iterable[Turn]) -> list[repo.Place]:
    """In one order for everybody, so that two who touch the same rows never wait for each other in a ring."""
    return sorted((turn.organisation, turn.delivery, turn.seq) for turn in turns)
