"""What mailboxes do by themselves, put together: automatic replies and forwarding, for the pages, the command
line and the worker."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from carepost.app.areas import Areas
from carepost.base.ids import OrganisationId
from carepost.delivery.dispatch import Follower, Settlement
from carepost.directory.autoreply import Autoreplies, AutoreplyPolicy
from carepost.directory.forwarding import ForwardingPolicy, Forwardings
from carepost.gateway.arrived import Arrivals
from carepost.gateway.out.answer import Answers
from carepost.gateway.out.forward import ForwardPolicy, Forwards
from carepost.gateway.out.open import Opening
from carepost.gateway.out.ports import Queue
from carepost.gateway.out.post import Post
from carepost.gateway.out.reports import Reports
from carepost.infra.db import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomaticRooms:
    """For whoever sets what a mailbox does by itself."""

    autoreplies: Autoreplies
    forwardings: Forwardings

    async def forget(self, organisation: OrganisationId) -> int:
        """What binds nobody any more. A chore; returns how much went."""
        return await self.autoreplies.forget(organisation) + await self.forwardings.forget(organisation)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomaticWork:
    """For the worker: `arrivals` answers and sends on, `forwards` is told what became of it."""

    arrivals: Arrivals
    forwards: Forwards


def automatic_rooms(areas: Areas) -> AutomaticRooms:
    given = areas.settings.automatic
    autoreplies = Autoreplies(
        db=areas.db,
        directory=areas.directory.look,
        keys=areas.store.keys,
        edge=areas.edge,
        audit=areas.audit,
        clock=areas.clock,
        policy=AutoreplyPolicy(again_after=timedelta(hours=given.reply_again_hours), an_hour=given.replies_an_hour),
    )
    forwardings = Forwardings(
        db=areas.db,
        directory=areas.directory.look,
        keys=areas.store.keys,
        audit=areas.audit,
        clock=areas.clock,
        policy=ForwardingPolicy(lasts=timedelta(days=given.forwarding_days)),
    )
    return AutomaticRooms(autoreplies=autoreplies, forwardings=forwardings)


def automatic_work(areas: Areas, rooms: AutomaticRooms, queue: Queue) -> AutomaticWork:
    """`queue` is the delivery queue."""
    settings, directory = areas.settings, areas.directory.look
    answers = Answers(
        directory=directory,
        autoreplies=rooms.autoreplies,
        queue=queue,
        audit=areas.audit,
        host=settings.service.hostname,
    )
    forwards = Forwards(
        directory=directory,
        forwardings=rooms.forwardings,
        queue=queue,
        post=Post(directory=directory, service=settings.service.name, pages=settings.web.url),
        audit=areas.audit,
        host=settings.service.hostname,
        policy=ForwardPolicy(hops_max=settings.automatic.forwarding_hops),
    )
    arrivals = Arrivals(
        db=areas.db,
        directory=directory,
        messages=areas.store.messages,
        acts=[answers, forwards, _reports(areas)],
        clock=areas.clock,
    )
    return AutomaticWork(arrivals=arrivals, forwards=forwards)


def _reports(areas: Areas) -> Reports:
    """What other systems report of mail that they had taken."""
    opening = Opening(db=areas.db, keys=areas.store.keys)
    return Reports(opening=opening, edge=areas.edge, audit=areas.audit, clock=areas.clock)


@dataclass(frozen=True, slots=True)
class FollowAll:
    """Whoever keeps count of what was sent, one after another. Implements Follower."""

    followers: Sequence[Follower]

    async def settled(self, tx: Transaction, settlement: Settlement) -> None:
        for one in self.followers:
            await one.settled(tx, settlement)
