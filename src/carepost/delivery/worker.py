"""The delivery worker: takes turns, opens, signs, sends, settles; again and again.

Promises
    Nobody holds a connection to the database while talking to another system; every attempt has a deadline.
    What is in hand is bounded: recipients, conversations, conversations with one destination, octets of bodies.
    A worker that is killed loses nothing: its leases lapse and others take over (C5). One that is asked to stop ends
    the conversations under way, if they end soon, and gives back the rest.
    What has been sent is written down, however long the database is away; it is not sent again meanwhile.
"""

import asyncio
import secrets
import time
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import groupby
from operator import attrgetter

from carepost.base.address import Domain
from carepost.base.errors import Broken, MailError
from carepost.delivery.bodies import Bodies
from carepost.delivery.destinations import DestinationLimits, Destinations
from carepost.delivery.dispatch import Sends
from carepost.delivery.model import LeastTls, Outcome, OutEnvelope, RecipientResult, SendResult
from carepost.delivery.parcels import Parcel, Recipient, Turn
from carepost.delivery.queue import DeliveryQueue
from carepost.delivery.settling import Counted, Settling
from carepost.infra.log import get_logger

log = get_logger("delivery")

# Puts our signature above a message that is about to leave.
Signs = Callable[[Parcel, bytes], Awaitable[bytes]]
_OPENED_SHORT = "Our own store could not give the message out. The operators of this service are told."
_TOGETHER_SECONDS = 0.01
_PAUSES = (0.2, 1.0, 5.0, 15.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLimits:
    in_hand: int = 1000  # recipients taken and not settled yet
    take: int = 100  # recipients taken at once
    conversations: int = 200
    recipients_a_conversation: int = 100  # what RFC 5321 §4.5.3.1.8 makes sure of
    octets: int = 256 << 20  # of opened messages
    # The transport has deadlines of its own; this one ends what they forgot. RFC 5321 §4.5.3.2 adds up to less.
    attempt_seconds: float = 1800.0
    renew_seconds: float = 120.0  # C5: a fifth of the lease
    idle_seconds: float = 15.0  # how often we look, whatever NOTIFY says
    stop_seconds: float = 4.0  # for conversations under way
    again_seconds: float = 60.0  # before what could not be opened is looked at again
    destination: DestinationLimits = field(default_factory=DestinationLimits)


@dataclass(frozen=True, slots=True)
class Load:
    """What one conversation carries: a message for recipients of one domain that want the same protection."""

    parcel: Parcel
    domain: Domain
    destination: bytes
    least: LeastTls
    recipients: tuple[Recipient, ...]

    @property
    def turns(self) -> list[Turn]:
        parcel = self.parcel
        return [Turn(parcel.organisation, parcel.id, to.seq, self.destination) for to in self.recipients]

    @property
    def envelope(self) -> OutEnvelope:
        parcel = self.parcel
        return OutEnvelope(
            reverse_path=parcel.reverse_path,
            recipients=tuple(to.out for to in self.recipients),
            smtputf8=parcel.smtputf8,
            require_tls=parcel.require_tls,
            envid=parcel.envid,
            ret=parcel.ret,
        )


@dataclass(slots=True, kw_only=True)
class DeliveryWorker:
    """One of however many; they meet in the database only."""

    queue: DeliveryQueue
    transport: Sends
    settling: Settling
    signs: Signs
    counted: Callable[[Counted], None] = lambda _counted: None
    limits: WorkerLimits = field(default_factory=WorkerLimits)
    name: str = field(default_factory=lambda: f"worker-{secrets.token_hex(8)}")
    _destinations: Destinations = field(init=False)
    _bodies: Bodies = field(init=False)
    _hands: asyncio.Semaphore = field(init=False)
    _in_hand: set[Turn] = field(default_factory=set, init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _wants_more: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        self._destinations = Destinations(self.queue.clock, self.limits.destination)
        self._bodies = Bodies(self._ready, self.limits.octets)
        self._hands = asyncio.Semaphore(self.limits.conversations)

    async def run(self) -> None:
        """Deliver until cancelled."""
        log.info("delivering", worker=self.name)
        async with asyncio.TaskGroup() as watch:
            watching = [watch.create_task(self._hear()), watch.create_task(self._renew())]
            try:
                async with asyncio.TaskGroup() as group:
                    under_way: set[asyncio.Task[None]] = set()
                    try:
                        while True:
                            if not await self._begin(group, under_way):
                                await self._rest()
                    except asyncio.CancelledError:
                        await self._drain(under_way)
                        raise
            finally:
                await self._let_go()
                for task in watching:
                    task.cancel()

    async def round(self) -> int:
        """Take what is due once, and see it through. Returns how many recipients were taken."""
        async with asyncio.TaskGroup() as group:
            return await self._begin(group, set())

    async def _begin(self, group: asyncio.TaskGroup, under_way: set[asyncio.Task[None]]) -> int:
        room = min(self.limits.take, self.limits.in_hand - len(self._in_hand))
        if room < self.limits.take // 4 and self._in_hand:
            self._wants_more = True
            return 0
        busy = self._destinations.busy()
        try:
            turns = await self.queue.take(self.name, limit=room, busy=busy)
        except MailError as error:
            log.warning("no turns could be taken", error=error)
            return 0
        # Otherwise there was nothing more: then only an arrival or the time brings something.
        self._wants_more = bool(busy) or len(turns) >= room // 2
        self._in_hand.update(turns)
        for _, mine in groupby(turns, key=attrgetter("organisation")):
            for load in await self._keep(await self._open(list(mine))):
                task = group.create_task(self._carry(load))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
        return len(turns)

    async def _open(self, turns: Sequence[Turn]) -> list[Load]:
        """The loads of some turns of one organisation. One that cannot be opened keeps the others from nothing."""
        try:
            loads = await self._loads(turns)
        except Exception as error:  # noqa: BLE001 - whatever one row holds: the others have their turn
            if len(turns) > 1:
                return [load for turn in turns for load in await self._open([turn])]
            log.error("a queued recipient could not be opened", delivery=turns[0].delivery, error=error)
            loads = []
            await self._give_back(turns, after_seconds=self.limits.again_seconds)
        # What is in no load was settled or cancelled between taking and opening, or is damaged.
        self._in_hand.difference_update(set(turns) - {turn for load in loads for turn in load.turns})
        return loads

    async def _keep(self, loads: Sequence[Load]) -> list[Load]:
        """All, while hands are free. Then no more for one destination than it takes, so that it delays no other."""
        if len(self._in_hand) <= self.limits.in_hand // 2:
            return list(loads)
        kept: list[Load] = []
        beyond: list[Load] = []
        counts = Tally[bytes]()
        for load in loads:
            counts[load.destination] += 1
            (kept if counts[load.destination] <= self.limits.destination.most else beyond).append(load)
        back = [turn for load in beyond for turn in load.turns]
        self._in_hand.difference_update(back)
        await self._give_back(back)
        return kept

    async def _loads(self, turns: Sequence[Turn]) -> list[Load]:
        destinations = {(turn.delivery, turn.seq): turn.destination for turn in turns}
        loads = []
        for parcel, recipients in await self.queue.open(self.name, turns):
            ordered = sorted(recipients, key=lambda to: (to.address.domain.name, to.least.rank, to.seq))
            for (_, least), same in groupby(ordered, key=lambda to: (to.address.domain, to.least)):
                alike = list(same)
                for at in range(0, len(alike), self.limits.recipients_a_conversation):
                    some = tuple(alike[at : at + self.limits.recipients_a_conversation])
                    where = destinations[parcel.id, some[0].seq]
                    loads.append(Load(parcel, some[0].address.domain, where, least, some))
        return loads

    async def _carry(self, load: Load) -> None:
        try:
            async with self._destinations.conversation(load.destination), self._hands:
                try:
                    async with self._bodies.lend(load.parcel) as raw:
                        sent = await self._send(load, raw)
                        await self._settle(load, sent, raw)
                except Broken as error:
                    # Damaged or gone: it is kept, tried again, and told to operators and, in the end, to its sender.
                    log.error("a queued message could not be opened", trace=load.parcel.trace, error=error)
                    await self._settle(load, _later(load, _OPENED_SHORT), b"\r\n")
        except MailError as error:
            log.warning("an attempt could not be made", trace=load.parcel.trace, error=error)
            await self._give_back(load.turns, after_seconds=self.limits.again_seconds)
        except Exception as error:  # noqa: BLE001 - a fault of ours with one message keeps nobody else's from leaving
            log.error("an attempt failed", trace=load.parcel.trace, error=error)
        # One that is cancelled stays in hand, and is given back with the rest.
        self._in_hand.difference_update(load.turns)
        if self._wants_more:
            self._wake.set()

    async def _send(self, load: Load, raw: bytes) -> SendResult:
        if (says := self._destinations.down(load.destination)) is not None:
            return _later(load, says)
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.limits.attempt_seconds):
                sent = await self.transport.send(load.domain, load.envelope, raw, load.least)
        except TimeoutError:
            sent = _unanswered(load, "The other system took too long.")
        except Exception as error:  # noqa: BLE001 - what crossed the wire is not known: it counts as a lost reply
            log.error("the transport failed", trace=load.parcel.trace, error=error)
            sent = _unanswered(load, "The conversation with the other system broke off.")
        if len(sent.results) != len(load.recipients):
            log.error("the transport answered for others than it was asked for", trace=load.parcel.trace)
            sent = _unanswered(load, "The conversation with the other system broke off.")
        if all(one.outcome is Outcome.LATER and one.code is None and not one.tls_missing for one in sent.results):
            self._destinations.silent(load.destination, sent.results[0].says)
        else:
            self._destinations.answered(load.destination, seconds=time.monotonic() - began)
        return sent

    async def _settle(self, load: Load, sent: SendResult, raw: bytes) -> None:
        """Until it is written down: what has been sent must not be sent again because the database was away."""
        tries = 0
        while True:
            try:
                self.counted(await self.settling.settle(self.name, load.parcel, load.recipients, sent, raw))
                return
            except Exception as error:  # noqa: BLE001 - whatever it was: told, and tried again
                log.error("what became of a message could not be written down", trace=load.parcel.trace, error=error)
                await asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
                tries += 1

    async def _ready(self, parcel: Parcel) -> bytes:
        return await self.signs(parcel, await self.queue.body(parcel))

    async def _hear(self) -> None:
        async for _ in self.queue.arrivals():
            self._wake.set()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self.limits.renew_seconds)
            try:
                await self.queue.renew(self.name, self._in_hand)
                await self.queue.tidy()
            except MailError as error:
                log.warning("leases not renewed", error=error)

    async def _rest(self) -> None:
        """Until something arrives, ends, or comes due; not for long."""
        seconds = self.limits.idle_seconds
        with suppress(MailError):
            if len(self._in_hand) < self.limits.in_hand and (at := await self.queue.next_at()) is not None:
                # What is due and was not taken waits for its destination: that ends with an event.
                due = (at - self.queue.clock.now()).total_seconds()
                seconds = min(seconds, due) if due > 0 else min(seconds, 1.0)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
                # Many arrive or end together: one look for all of them.
                await asyncio.sleep(_TOGETHER_SECONDS)
        self._wake.clear()

    async def _drain(self, under_way: set[asyncio.Task[None]]) -> None:
        if under_way:
            log.info("ending conversations", conversations=len(under_way))
            await asyncio.wait(under_way, timeout=self.limits.stop_seconds)

    async def _let_go(self) -> None:
        await self._give_back(list(self._in_hand))

    async def _give_back(self, turns: Sequence[Turn], *, after_seconds: float = 0.0) -> None:
        """Best done, not needed: a lease lapses by itself."""
        with suppress(MailError):
            not_before = self.queue.clock.now() + timedelta(seconds=after_seconds)
            await self.queue.give_back(self.name, turns, not_before=not_before)


def _later(load: Load, says: str) -> SendResult:
    return _all(load, Outcome.LATER, says)


def _unanswered(load: Load, says: str) -> SendResult:
    return _all(load, Outcome.INDETERMINATE, says)


def _all(load: Load, outcome: Outcome, says: str) -> SendResult:
    one = RecipientResult(load.recipients[0].address, outcome, None, None, says)
    return SendResult(tuple(replace(one, address=to.address) for to in load.recipients), None)
