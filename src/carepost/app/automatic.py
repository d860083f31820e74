"""What mailboxes do by themselves, put together: automatic replies for the pages, the command line and the worker."""

from dataclasses import dataclass
from datetime import timedelta

from carepost.app.areas import Areas
from carepost.base.ids import OrganisationId
from carepost.directory.autoreply import Autoreplies, AutoreplyPolicy
from carepost.gateway.arrived import Arrivals
from carepost.gateway.out_answer import Answers
from carepost.gateway.out_ports import Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomaticRooms:
    """For whoever sets what a mailbox does by itself."""

    autoreplies: Autoreplies

    async def forget(self, organisation: OrganisationId) -> int:
        """What binds nobody any more. A chore; returns how much went."""
        return await self.autoreplies.forget(organisation)


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
    return AutomaticRooms(autoreplies=autoreplies)


def arrivals(areas: Areas, rooms: AutomaticRooms, queue: Queue) -> Arrivals:
    """For the worker: it answers what has arrived."""
    answers = Answers(
        directory=areas.directory.look,
        autoreplies=rooms.autoreplies,
        queue=queue,
        audit=areas.audit,
        host=areas.settings.service.hostname,
    )
    return Arrivals(
        db=areas.db,
        directory=areas.directory.look,
        messages=areas.store.messages,
        acts=[answers],
        clock=areas.clock,
    )
