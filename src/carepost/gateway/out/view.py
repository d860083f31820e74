"""What the pages and commands show of mail that goes out: the list, one message, what waits, the "Not delivered" tray.

Promises
    Shown to whoever may send from the mailbox, members and owners of a shared one included (R165); to administrators
    what is held, and by reference what became of each recipient (`carepost trace`), never the content.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from carepost.audit.model import Actor
from carepost.base.clock import Clock
from carepost.base.errors import NotPossible
from carepost.base.ids import MailboxId, OrganisationId, OutgoingId, TraceId
from carepost.directory.access import OnMailbox, OnOrganisation, Verb
from carepost.directory.service import Directory
from carepost.gateway.out import repo as out_repo
from carepost.gateway.out.open import Opening
from carepost.gateway.out.outgoing import OutgoingPage, OutgoingRow

PAGE_MAX = 100
_TRAY_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingView:
    opening: Opening
    directory: Directory
    clock: Clock

    async def page(
        self, actor: Actor, mailbox: MailboxId, *, after: OutgoingId | None = None, limit: int = 50
    ) -> OutgoingPage:
        """Newest first. Raises NotAllowed."""
        organisation = await self._may_see(actor, mailbox)
        limit = max(1, min(limit, PAGE_MAX))
        async with self.opening.db.transaction(organisation) as tx:
            stored = await out_repo.page(tx, organisation, mailbox, before=after or out_repo.LATEST, limit=limit + 1)
            rows = await self.opening.rows(tx, organisation, stored[:limit], questions=False)
        return OutgoingPage(rows, rows[-1].id if len(stored) > limit else None)

    async def get(self, actor: Actor, outgoing: OutgoingId) -> OutgoingRow:
        """One message with its recipients and questions. Raises NotAllowed, NotPossible."""
        organisation = _organisation(actor)
        async with self.opening.db.transaction(organisation) as tx:
            stored = await out_repo.get(tx, organisation, outgoing)
            if stored is None:
                raise NotPossible("There is no such message.")
            [row] = await self.opening.rows(tx, organisation, [stored], questions=True)
        await self._may_see(actor, row.mailbox)
        return row

    async def by_trace(self, actor: Actor, mailbox: MailboxId, trace: TraceId) -> OutgoingId | None:
        """What went out from the mailbox under that reference; None: not known any more. Raises NotAllowed."""
        organisation = await self._may_see(actor, mailbox)
        async with self.opening.db.transaction(organisation) as tx:
            stored = await out_repo.by_trace(tx, organisation, [trace])
        return next((one.id for one in stored if one.mailbox == mailbox), None)

    async def draft(self, actor: Actor, outgoing: OutgoingId) -> bytes:
        """The message as it was written, to change it and send it anew. Raises NotAllowed, NotPossible."""
        organisation = _organisation(actor)
        async with self.opening.db.transaction(organisation) as tx:
            stored = await out_repo.get(tx, organisation, outgoing)
            if stored is None:
                raise NotPossible("There is no such message.")
            known = await self.opening.known(tx, organisation, stored)
        await self._may_see(actor, stored.mailbox)
        return await self.opening.raw(organisation, known)

    async def waiting(self, actor: Actor, mailbox: MailboxId) -> list[OutgoingRow]:
        """What waits for answers or for its hour. Raises NotAllowed."""
        organisation = await self._may_see(actor, mailbox)
        async with self.opening.db.transaction(organisation) as tx:
            stored = await out_repo.waiting(tx, organisation, mailbox, limit=PAGE_MAX)
            return await self.opening.rows(tx, organisation, stored, questions=True)

    async def not_delivered(self, actor: Actor, mailbox: MailboxId) -> list[OutgoingRow]:
        """The tray that a sender cannot miss. Raises NotAllowed."""
        organisation = await self._may_see(actor, mailbox)
        async with self.opening.db.transaction(organisation) as tx:
            stored = await out_repo.undelivered(tx, organisation, mailbox, limit=_TRAY_MAX)
            return await self.opening.rows(tx, organisation, stored, questions=False)

    async def tray(self, actor: Actor, mailbox: MailboxId) -> int:
        """How many recipients stand on it: for the badge. Raises NotAllowed."""
        organisation = await self._may_see(actor, mailbox)
        async with self.opening.db.transaction(organisation) as tx:
            return await out_repo.count_undelivered(tx, organisation, mailbox)

    async def clear(self, actor: Actor, outgoing: OutgoingId, seq: int) -> None:
        """Somebody has seen it: off the tray. Raises NotAllowed, NotPossible."""
        organisation = _organisation(actor)
        async with self.opening.db.transaction(organisation) as tx:
            stored = await out_repo.get(tx, organisation, outgoing)
        if stored is None:
            raise NotPossible("There is no such message.")
        await self._may_see(actor, stored.mailbox)
        async with self.opening.db.transaction(organisation) as tx:
            if not await out_repo.clear(tx, organisation, outgoing, seq, at=self.clock.now()):
                raise NotPossible("It is not on the tray any more.")

    async def held(self, actor: Actor, organisation: OrganisationId) -> list[OutgoingRow]:
        """What waits for an administrator: whom it is for and why; no content. Raises NotAllowed."""
        await self.directory.require(actor, Verb.QUARANTINE_REVIEW, OnOrganisation(organisation))
        async with self.opening.db.transaction(organisation) as tx:
            stored = await out_repo.held(tx, organisation, limit=PAGE_MAX)
            return await self.opening.rows(tx, organisation, stored, questions=False)

    async def became(
        self, actor: Actor, organisation: OrganisationId, traces: Sequence[TraceId]
    ) -> Mapping[TraceId, OutgoingRow]:
        """What became of each recipient of these messages, for `trace` and `why`. Raises NotAllowed."""
        await self.directory.require(actor, Verb.TRACE_READ, OnOrganisation(organisation))
        async with self.opening.db.transaction(organisation) as tx:
            stored = await out_repo.by_trace(tx, organisation, traces)
            rows = await self.opening.rows(tx, organisation, stored, questions=True)
        return {row.trace: row for row in rows}

    async def _may_see(self, actor: Actor, mailbox: MailboxId) -> OrganisationId:
        organisation = _organisation(actor)
        await self.directory.require(actor, Verb.MAILBOX_SEND, OnMailbox(mailbox, organisation))
        return organisation


def _organisation(actor: Actor) -> OrganisationId:
    if actor.organisation is None:
        raise NotPossible("Sign in to do this.")
    return actor.organisation
