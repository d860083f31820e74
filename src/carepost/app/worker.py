"""The process that does what waits: it releases, delivers, retries, reports, and looks after the queue.

Promises
    It talks to other systems, and holds the root key: nothing that listens to strangers runs in it.
    As many as one likes may run, on as many machines: they meet in the database only.
    A chore that fails is told about and tried again in its next turn; it keeps no other from its own.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from carepost.app.areas import Areas, open_areas
from carepost.app.delivery_rooms import DeliveryRooms, delivery_rooms, worker_limits
from carepost.app.observing import Observing
from carepost.app.storage import Dsns
from carepost.base.errors import MailError
from carepost.base.ids import OrganisationId
from carepost.delivery.dispatch import Follower, Sends
from carepost.delivery.settling import Counted, Settling
from carepost.delivery.worker import DeliveryWorker
from carepost.gateway.out.prompts import PromptReport
from carepost.infra.log import get_logger
from carepost.infra.settings import Settings
from carepost.infra.tasks import Restart, supervised

log = get_logger("worker")

DELAYS_SECONDS = 30.0
STANDING_SECONDS = 30.0
RECONCILE_SECONDS = 3600.0  # C2
LET_GO_SECONDS = 600.0
PROMPTS_SECONDS = 300.0
_BREATH_SECONDS = 0.05  # between two turns of a chore that has much to do


@dataclass(frozen=True, slots=True)
class Chore:
    """Done again and again: at once while it finds something to do, else after `every_seconds`."""

    name: str
    every_seconds: float
    work: Callable[[], Awaitable[object]]  # returns how much it did


# Of an organisation: how many messages wait for their sender's answer, how many for a person's, and since when.
Waiting = Callable[[OrganisationId], Awaitable[tuple[int, int, datetime | None]]]


# How often each rule asked people of an organisation before they sent.
Prompted = Callable[[OrganisationId], Awaitable[PromptReport]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What the rooms above delivery bring: how mail crosses the wire, who follows it, and what else is done here."""

    transport: Sends
    follower: Follower
    waiting: Waiting
    prompts: Prompted
    chores: Sequence[Chore] = ()


# Given the rooms, builds what is joined to them; open for as long as the worker runs.
Joins = Callable[[Areas, DeliveryRooms], AbstractAsyncContextManager[Joined]]


async def run_worker(settings: Settings, dsns: Dsns, observing: Observing, *, joins: Joins) -> None:
    """Work until cancelled."""
    async with open_areas(settings, dsns) as areas:
        rooms = delivery_rooms(areas)
        async with joins(areas, rooms) as joined, supervised("worker") as tasks:
            restart = Restart()
            watch = observing.watch(areas.db)
            tasks.start("durability", watch.run, restart=restart)
            tasks.start("health", partial(observing.health("worker", areas.db, watch, {}).serve, observing.sockets))
            worker = DeliveryWorker(
                queue=rooms.queue,
                transport=joined.transport,
                settling=rooms.settling(joined.follower),
                signs=rooms.signing.ready,
                counted=partial(_count, observing),
                limits=worker_limits(settings),
            )
            tasks.start("delivery", worker.run, restart=restart)
            prompts = Chore("prompts", PROMPTS_SECONDS, partial(show_prompts, areas, observing, joined.prompts))
            chores = (*_chores(areas, rooms, worker.settling, observing, joined.waiting), prompts, *joined.chores)
            for chore in chores:
                tasks.start(chore.name, partial(_again_and_again, chore), restart=restart)
            await asyncio.Event().wait()


def _chores(
    areas: Areas, rooms: DeliveryRooms, settling: Settling, observing: Observing, waiting: Waiting
) -> Sequence[Chore]:
    def each(work: Callable[[OrganisationId], Awaitable[object]]) -> Callable[[], Awaitable[object]]:
        return partial(_each_organisation, areas, work)

    alarm = Alarm(areas, rooms, observing, waiting)
    return (
        Chore("lapsed leases", 60.0, rooms.queue.tidy),
        Chore("notices of delay", DELAYS_SECONDS, each(settling.tell_delays)),
        Chore("safety net", LET_GO_SECONDS, each(rooms.upkeep.let_go)),
        Chore("signing keys", LET_GO_SECONDS, partial(_keys_for_all, areas, rooms)),
        Chore("standing of the queue", STANDING_SECONDS, alarm.look),
        Chore("reconciliation", RECONCILE_SECONDS, alarm.reconcile),
    )


async def _again_and_again(chore: Chore) -> None:
    while True:
        did: object = 0
        try:
            did = await chore.work()
        except MailError as error:
            log.warning("chore failed", chore=chore.name, error=error)
        await asyncio.sleep(min(chore.every_seconds, _BREATH_SECONDS) if did else chore.every_seconds)


async def _each_organisation(areas: Areas, work: Callable[[OrganisationId], Awaitable[object]]) -> None:
    for organisation in await areas.organisations():
        try:
            await work(organisation.id)
        except MailError as error:
            log.warning("chore failed", organisation=int(organisation.id), error=error)


async def _keys_for_all(areas: Areas, rooms: DeliveryRooms) -> None:
    """A domain that was added has keys before its first message leaves: `carepost dns` can tell them."""
    for domain in await areas.directory.look.own_domains():
        await rooms.signing.signers(domain)


def _count(observing: Observing, counted: Counted) -> None:
    outcomes: Mapping[str, int] = {
        "delivered": counted.delivered,
        "failed": counted.failed,
        "expired": counted.expired,
        "later": counted.later - counted.indeterminate,
        "indeterminate": counted.indeterminate,
    }
    for outcome, number in outcomes.items():
        if number > 0:
            observing.gauges.sent.labels(outcome=outcome).inc(number)


async def show_prompts(areas: Areas, observing: Observing, prompted: Prompted) -> None:
    """False alarms are counted and shown: of all organisations together, rule by rule, and "all" of them."""
    messages, shown, accepted, overridden = 0, Counter[str](), Counter[str](), Counter[str]()
    for organisation in await areas.organisations():
        report = await prompted(organisation.id)
        messages += report.messages
        for rule in report.rules:
            for kind in (rule.rule, "all"):
                shown[kind] += rule.shown
                accepted[kind] += rule.accepted
                overridden[kind] += rule.overridden
    gauges = observing.gauges
    for kind, count in shown.items():
        if messages:
            gauges.prompts.labels(kind=kind).set(100 * count / messages)
        if answers := accepted[kind] + overridden[kind]:
            gauges.prompts_overridden.labels(kind=kind).set(overridden[kind] / answers)


@dataclass(slots=True)
class Alarm:
    """What operators must not miss (R145, C2): told in the log when it changes, and in numbers always."""

    areas: Areas
    rooms: DeliveryRooms
    observing: Observing
    waiting: Waiting
    _told: int = field(default=0, init=False)

    async def look(self) -> None:
        """What has been queued, or held back for a person, for longer than the alarm allows."""
        standing = await self.rooms.queue.standing()
        now, gauges = self.areas.clock.now(), self.observing.gauges
        states = {
            "waiting": standing.waiting,
            "due": standing.due,
            "in hand": standing.in_hand,
            "unprotected": standing.tls_missing,
            "held": standing.held,
        }
        for state, number in states.items():
            gauges.queued.labels(state=state).set(number)
        gauges.oldest.set((now - standing.oldest).total_seconds() if standing.oldest else 0)
        before = now - timedelta(minutes=self.areas.settings.delivery.alarm_minutes)
        held, outgoing = await self._held_for_long(before), await self._kept_back_for_long(before)
        for kind, number in (("queue", standing.too_long), ("quarantine", held), ("outgoing", outgoing)):
            gauges.overdue.labels(kind=kind).set(number)
        if (overdue := standing.too_long + held + outgoing) > self._told:
            log.error("mail waits for too long", queued=standing.too_long, held=held, outgoing=outgoing)
        self._told = overdue

    async def _held_for_long(self, before: datetime) -> int:
        count = 0
        for organisation in await self.areas.organisations():
            waiting, oldest = await self.areas.gateway.quarantine.waiting(organisation.id)
            if oldest is not None and oldest < before:
                count += waiting
        return count

    async def _kept_back_for_long(self, before: datetime) -> int:
        """Mail that has not left: its sender has been asked, or a person must let it go."""
        count = 0
        for organisation in await self.areas.organisations():
            asked, held, oldest = await self.waiting(organisation.id)
            if oldest is not None and oldest < before:
                count += asked + held
        return count

    async def reconcile(self) -> None:
        """Σ taken over = Σ at an end + Σ pending, or somebody is told."""
        unaccounted = 0
        for organisation in await self.areas.organisations():
            found = await self.rooms.upkeep.reconcile(organisation.id)
            if found.unaccounted:
                unaccounted += found.unaccounted
                log.error(
                    "the delivery queue does not come out even",
                    organisation=int(organisation.id),
                    accepted=found.accepted,
                    ended=found.ended,
                    pending=found.pending,
                    mended=found.without_turn + found.turn_too_many,
                )
        self.observing.gauges.unaccounted.set(unaccounted)
