"""What an attempt came to is made true: in one transaction with whoever follows it, and told once.

Promises
    A recipient that has come to an end is never settled again, whoever else tried it at the same time (C2).
    What the other system has taken is delivered, even by a worker whose lease had lapsed: the truth is not thrown away.
    A lost final reply means another attempt, counted as such (C3, RFC 1047).
    The follower, and the letter that is owed, commit with the state they tell of; if they fail, nothing is settled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from carepost.base.errors import Broken
from carepost.base.ids import DeliveryId, OrganisationId
from carepost.delivery import repo
from carepost.delivery.bounce import Bounces, News, says
from carepost.delivery.dispatch import Follower, Settled, Settlement
from carepost.delivery.model import Outcome, RecipientResult, SendResult
from carepost.delivery.parcels import LastWord, Parcel, Recipient
from carepost.delivery.queue import DeliveryQueue
from carepost.delivery.schedule import Again, delays_due, what_next
from carepost.infra.db import Transaction

_DELAYS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Counted:
    """What came of one settling, for metrics."""

    delivered: int = 0
    failed: int = 0
    expired: int = 0
    later: int = 0
    indeterminate: int = 0
    passed_over: int = 0  # settled or cancelled by somebody else meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    queue: DeliveryQueue
    follower: Follower
    bounces: Bounces
    chance: Random = field(default_factory=Random)

    async def settle(
        self, owner: str, parcel: Parcel, recipients: Sequence[Recipient], sent: SendResult, raw: bytes
    ) -> Counted:
        """Write down what an attempt came to: a result for each recipient, in their order.

        `raw` is what was sent, or its header: letters quote it.
        """
        now = self.queue.clock.now()
        async with self.queue.db.transaction(parcel.organisation) as tx:
            locked = await repo.lock_turns(tx, parcel.organisation, parcel.id, [to.seq for to in recipients])
            told: list[repo.Told] = []
            news: list[News] = []
            # Those that were put off together come back together, in one conversation.
            seed = self.chance.getrandbits(64)
            for to, result in zip(recipients, sent.results, strict=True):
                word = LastWord(result=result, evidence=sent.evidence)
                turn = locked.get(to.seq)
                if turn is None or not _may_settle(turn, owner, word.result):
                    continue
                told.append(await self._told(tx, parcel, turn, word, now=now, chance=Random(seed)))
                outcome = _outcome(told[-1], turn)
                if outcome is not None:
                    news.append(News(to=to, outcome=outcome, word=word))
            if told:
                await repo.settle(tx, parcel.organisation, parcel.id, told, now=now, evidence=sent.evidence)
            await self._tell(tx, parcel, news, raw, now=now, attempts=_attempts(locked))
        return _counted(told, len(recipients))

    async def tell_delays(self, organisation: OrganisationId) -> int:
        """Tell senders of what has been waiting for too long, once at each age. A chore; returns of how many."""
        now, schedule = self.queue.clock.now(), self.queue.schedule
        seals, told = self.queue.seals, 0
        async with self.queue.db.transaction(organisation) as tx:
            late = await repo.delays(
                tx,
                organisation,
                before=[now - age for age in schedule.delays],
                limit=_DELAYS_AT_ONCE,
            )
            groups: dict[DeliveryId, list[repo.Delayed]] = {}
            for one in late:
                groups.setdefault(one.delivery, []).append(one)
            for row in await repo.open_deliveries(tx, organisation, groups):
                parcel = await seals.open_parcel(tx, organisation, row)
                group = groups[row.id]
                ages = {one.seq: delays_due(schedule, queued_at=one.queued_at, now=now) for one in group}
                await repo.delays_told(tx, organisation, parcel.id, ages)
                news = await self._delayed(tx, parcel, list(ages))
                attempts = {one.to.seq: one.to.attempts for one in news}
                try:
                    raw = await self.queue.body_in(tx, parcel)
                except Broken:  # told when it is sent; the sender hears of the delay all the same
                    raw = b"\r\n"
                await self._tell(tx, parcel, news, raw, now=now, attempts=attempts)
                told += len(news)
        return told

    async def stop(self, tx: Transaction, organisation: OrganisationId, row: repo.ParcelRow) -> int:
        """An operator gives a message up, in the caller's transaction: its sender is told as of one that expired.

        What is in a worker's hand is left to it. Returns how many recipients have come to their end by this.
        """
        now, seals = self.queue.clock.now(), self.queue.seals
        parcel = await seals.open_parcel(tx, organisation, row)
        waiting = await repo.recipients(tx, organisation, parcel.id)
        seqs = [one.seq for one in waiting if one.state == "queued"]
        locked = await repo.lock_turns(tx, organisation, parcel.id, seqs)
        mine = [seq for seq, turn in locked.items() if turn.owner is None]
        if not mine:
            return 0
        news = [
            News(to=one.to, outcome=Settled.EXPIRED, word=one.word, stopped=True)
            for one in await self._delayed(tx, parcel, mine)
        ]
        results = {one.to.seq: one.result for one in news}
        told = [
            repo.Told(seq=seq, state="expired", next_at=None, code=one.code, enhanced=one.enhanced)
            if (one := results[seq])
            else repo.Told(seq=seq, state="expired", next_at=None)
            for seq in mine
        ]
        raw = await self.queue.body_in(tx, parcel)
        await repo.settle(tx, organisation, parcel.id, told, now=now, evidence=None, attempted=False)
        await self._tell(tx, parcel, news, raw, now=now, attempts={one.to.seq: one.to.attempts for one in news})
        return len(mine)

    async def _told(
        self,
        tx: Transaction,
        parcel: Parcel,
        turn: repo.Locked,
        word: LastWord,
        *,
        now: datetime,
        chance: Random,
    ) -> repo.Told:
        """The state that follows. PURE but for the sealing."""
        result, state, next_at = word.result, "queued", None
        if result.outcome is Outcome.DELIVERED:
            state = "delivered"
        elif result.outcome is Outcome.FAILED:
            state = "failed"
        else:
            attempts = turn.attempts + 1
            step = what_next(
                self.queue.schedule, attempts=attempts, expires_at=parcel.expires_at, now=now, chance=chance
            )
            if isinstance(step, Again):
                next_at = step.at
            else:
                state = "expired"
        return repo.Told(
            seq=turn.seq,
            state=state,
            next_at=next_at,
            lost=int(result.outcome is Outcome.INDETERMINATE),
            code=result.code,
            enhanced=result.enhanced,
            evidence=await self.queue.seals.last_word(tx, parcel, turn.seq, word),
            tls_missing=result.tls_missing and state == "queued",
        )

    async def _delayed(self, tx: Transaction, parcel: Parcel, seqs: Sequence[int]) -> list[News]:
        rows = await repo.recipients(tx, parcel.organisation, parcel.id, seqs)
        seals, news = self.queue.seals, []
        for to, row in zip(await seals.open_recipients(tx, parcel, rows), rows, strict=True):
            word = await seals.open_last_word(tx, parcel, to, row.evidence)
            news.append(News(to=to, outcome=Settled.DELAYED, word=word))
        return news

    async def _tell(
        self,
        tx: Transaction,
        parcel: Parcel,
        news: Sequence[News],
        raw: bytes,
        *,
        now: datetime,
        attempts: Mapping[int, int],
    ) -> None:
        letter = self.bounces.letter(parcel, news, raw, now=now)
        for one in news:
            result = one.result
            settlement = Settlement(
                organisation=parcel.organisation,
                delivery=parcel.id,
                outgoing=parcel.outgoing,
                trace=parcel.trace,
                seq=one.to.seq,
                address=one.to.address,
                outcome=one.outcome,
                says=says(parcel, one),
                at=now,
                attempts=attempts.get(one.to.seq, one.to.attempts),
                evidence=one.word.evidence if one.word else None,
                code=result.code if result else None,
                enhanced=result.enhanced if result else None,
                tls_missing=result.tls_missing if result else False,
                dsn=letter,
            )
            letter = None  # The first carries it for all.
            await self.follower.settled(tx, settlement)


def _may_settle(turn: repo.Locked, owner: str, result: RecipientResult) -> bool:
    """Whose lease has lapsed may say that it was taken; anything else is for whoever has it in hand now."""
    return turn.owner == owner or result.outcome is Outcome.DELIVERED


def _outcome(told: repo.Told, turn: repo.Locked) -> Settled | None:
    """What is to be told; None: nothing yet."""
    if told.state != "queued":
        return Settled(told.state)
    # That a hop cannot be protected is told at once: the sender may not want to wait.
    return Settled.DELAYED if told.tls_missing and not turn.tls_missing else None


def _attempts(locked: Mapping[int, repo.Locked]) -> dict[int, int]:
    return {seq: turn.attempts + 1 for seq, turn in locked.items()}


def _counted(told: Sequence[repo.Told], given: int) -> Counted:
    states = [one.state for one in told]
    return Counted(
        delivered=states.count("delivered"),
        failed=states.count("failed"),
        expired=states.count("expired"),
        later=states.count("queued"),
        indeterminate=sum(one.lost for one in told),
        passed_over=given - len(told),
    )
