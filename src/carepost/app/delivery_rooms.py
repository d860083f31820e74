"""The rooms of delivery, built on the areas: the queue that mail out fills, the keys it is signed with."""

from dataclasses import dataclass
from datetime import timedelta

from carepost.app.areas import Areas
from carepost.app.resolving import resolver
from carepost.audit.model import Actor
from carepost.base.address import Domain
from carepost.base.errors import NotPossible
from carepost.delivery.bounce import Bounces
from carepost.delivery.desk import QueueDesk
from carepost.delivery.destinations import DestinationLimits
from carepost.delivery.dispatch import Follower
from carepost.delivery.queue import DeliveryQueue, QueuePolicy
from carepost.delivery.schedule import Schedule
from carepost.delivery.settling import Settling
from carepost.delivery.signing import KeyState, Signing, SigningPolicy
from carepost.delivery.upkeep import QueueUpkeep
from carepost.delivery.worker import WorkerLimits
from carepost.infra.settings import Settings
from carepost.ops.publish import Standing, check, signing_record


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRooms:
    """Whoever sends asks `queue`; the worker takes from it."""

    queue: DeliveryQueue
    upkeep: QueueUpkeep
    signing: Signing
    bounces: Bounces

    def settling(self, follower: Follower) -> Settling:
        return Settling(queue=self.queue, follower=follower, bounces=self.bounces)


def delivery_rooms(areas: Areas) -> DeliveryRooms:
    settings = areas.settings
    queue = DeliveryQueue(
        db=areas.db,
        keys=areas.store.keys,
        edge=areas.edge,
        clock=areas.clock,
        schedule=schedule(settings),
        policy=queue_policy(settings),
    )
    signing = Signing(
        db=areas.db,
        keys=areas.store.keys,
        audit=areas.audit,
        clock=areas.clock,
        authserv_id=settings.service.hostname,
        resolver=resolver(settings),
        policy=SigningPolicy(rsa_bits=settings.delivery.dkim_bits, ed25519=settings.delivery.dkim_ed25519),
    )
    bounces = Bounces(hostname=settings.service.hostname, service=settings.service.name)
    return DeliveryRooms(queue=queue, upkeep=QueueUpkeep(queue=queue), signing=signing, bounces=bounces)


def queue_desk(areas: Areas, rooms: DeliveryRooms, follower: Follower) -> QueueDesk:
    """What operators and administrators do to the queue."""
    return QueueDesk(settling=rooms.settling(follower), directory=areas.directory.look, audit=areas.audit)


def schedule(settings: Settings) -> Schedule:
    given = settings.delivery
    return Schedule(
        gaps=[timedelta(minutes=minutes) for minutes in given.retry_minutes],
        gap_most=timedelta(minutes=given.retry_most_minutes),
        expires_after=timedelta(days=given.expire_days),
        delays=[timedelta(minutes=minutes) for minutes in given.delay_notice_minutes],
    )


def queue_policy(settings: Settings) -> QueuePolicy:
    given = settings.delivery
    return QueuePolicy(
        lease=timedelta(minutes=given.lease_minutes),
        kept_for=timedelta(hours=given.kept_hours),
        too_long=timedelta(minutes=given.alarm_minutes),
    )


def worker_limits(settings: Settings) -> WorkerLimits:
    """What one worker may do: with several, a destination's conversations are shared among them."""
    given = settings.delivery
    most = max(1, given.conversations_per_destination // max(1, settings.workers.worker))
    return WorkerLimits(
        conversations=given.conversations,
        renew_seconds=given.lease_minutes * 60 / 5,
        stop_seconds=max(0.5, settings.workers.stop_seconds / 2 - 1),
        destination=DestinationLimits(most=most, first=min(4, most)),
    )


async def signed_domains(areas: Areas, rooms: DeliveryRooms) -> list[tuple[str, str]]:
    """Names and TXT records of every key that has to stand in DNS, for `carepost dns`."""
    found = []
    for domain in sorted(await areas.directory.look.own_domains(), key=str):
        found += [(one.name, one.record) for one in await rooms.signing.published(Domain(domain.name))]
    return found


async def rotate_signing_keys(areas: Areas, actor: Actor, name: str, *, unpublished: bool) -> list[str]:
    """Rotate a domain's signing keys; returns the lines that have to stand in DNS, each with what it is for.

    Raises NotPossible when the keys that would sign are not seen in DNS, unless `unpublished`; Malformed.
    """
    domain, rooms = Domain.parse(name), delivery_rooms(areas)
    standing_by = [one for one in await rooms.signing.published(domain) if one.state is KeyState.STANDBY]
    records = [signing_record(one.name, one.record) for one in standing_by]
    checked = await check(resolver(areas.settings), records)
    missing = [one.record.line for one in checked if one.standing is not Standing.RIGHT]
    if missing and not unpublished:
        raise NotPossible(
            "The next keys are not in DNS yet: mail signed with them could not be checked. Publish these records, wait "
            "until they are seen, and run this again:\n" + "\n".join(missing)
        )
    published = await rooms.signing.rotate(actor, domain)
    return [f"{signing_record(one.name, one.record).line}  ; {_FOR[one.state]}" for one in published]


_FOR = {
    KeyState.ACTIVE: "signs",
    KeyState.STANDBY: "signs after the next rotation",
    KeyState.RETIRED: "may go in a week",
}
