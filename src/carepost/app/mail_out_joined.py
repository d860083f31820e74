"""Mail out, put together: what the doors use, and what the worker is joined to.

Promises
    The doors and the worker are built from the same settings on the same rooms: what one promises the other does.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from carepost.app.areas import Areas
from carepost.app.automatic import AutomaticRooms, FollowAll, automatic_rooms, automatic_work
from carepost.app.delivery_rooms import DeliveryRooms, delivery_rooms
from carepost.app.large_files import tend_files
from carepost.app.mail_out import MailOutRooms, mail_out_rooms, portal_links
from carepost.app.portal import PortalRooms, portal_rooms, secure_messages
from carepost.app.resolving import resolver
from carepost.app.tls_reports import write_reports
from carepost.app.transport import transport_rooms
from carepost.app.worker import Chore, Joined
from carepost.base.errors import MailError
from carepost.base.ids import OrganisationId
from carepost.infra.log import get_logger

log = get_logger("worker")

# How late a message may leave after its time. The look is one indexed query.
_RELEASE_SECONDS = 1.0
_FLUSH_SECONDS = 60.0
_REMIND_SECONDS = 60.0
_TEND_SECONDS = 60.0
_REPORT_SECONDS = 3600.0
_FORGET_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Sending:
    """What a process that sends has: the walk, and the portal that it makes links in."""

    out: MailOutRooms
    portal: PortalRooms


def sending(areas: Areas, delivery: DeliveryRooms | None = None) -> Sending:
    """For the pages, the submission ports, the portal and the worker alike."""
    queue = (delivery or delivery_rooms(areas)).queue
    secure = secure_messages(areas, queue=queue)
    out = mail_out_rooms(areas, queue=queue, links=portal_links(areas, secure))
    return Sending(out, portal_rooms(areas, secure))


@asynccontextmanager
async def mail_out_joined(areas: Areas, delivery: DeliveryRooms) -> AsyncIterator[Joined]:
    """What `run_worker` is given: the wire, who follows what becomes of mail, and the chores of mail out."""
    transport = transport_rooms(
        areas.settings, db=areas.db, edge=areas.edge, clock=areas.clock, resolver=resolver(areas.settings)
    )
    joined = sending(areas, delivery)
    out = joined.out
    automatic = automatic_rooms(areas)
    work = automatic_work(areas, automatic, delivery.queue)
    chores = (
        Chore("release", _RELEASE_SECONDS, out.release.run_due),
        Chore("arrivals", _RELEASE_SECONDS, work.arrivals.run_due),
        Chore("forwarding", _FORGET_SECONDS, partial(_each, areas, work.forwards.tend)),
        Chore("reminders", _REMIND_SECONDS, partial(_each, areas, out.release.remind)),
        Chore("large files", _TEND_SECONDS, partial(tend_files, areas)),
        Chore("TLS counts", _FLUSH_SECONDS, transport.results.flush),
        Chore("TLS reports", _REPORT_SECONDS, partial(write_reports, areas, delivery.queue, transport)),
        Chore("secure messages that ran out", _FORGET_SECONDS, joined.portal.purge),
        Chore("forgetting mail out", _FORGET_SECONDS, partial(_forget, areas, out, automatic)),
    )
    yield Joined(
        transport=transport.transport,
        follower=FollowAll((out.follow, work.forwards)),
        waiting=out.release.waiting,
        prompts=out.prompts.report,
        chores=chores,
    )


async def _each(areas: Areas, work: Callable[[OrganisationId], Awaitable[int]]) -> int:
    done = 0
    for organisation in await areas.organisations():
        try:
            done += await work(organisation.id)
        except MailError as error:
            log.warning("chore failed", organisation=int(organisation.id), error=error)
    return done


async def _forget(areas: Areas, out: MailOutRooms, automatic: AutomaticRooms) -> None:
    """What is kept for a time only."""
    await _each(areas, out.release.forget)
    await _each(areas, out.prompts.forget)
    await _each(areas, automatic.forget)
    await _each(areas, out.correspondents.forget_strangers)
    await out.storms.forget()
