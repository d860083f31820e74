"""The record of who did what: written in the change's own transaction, or the change does not happen.

Promises
    An entry commits with the change it describes, or neither does (A4).
    Nobody, our own roles included, may change or remove an entry (GRANT); whoever does it as superuser is found (A1).
    Bodies, subjects, addresses of mail and attachment names are never recorded: events.py has no place for them.
"""

from dataclasses import dataclass

from carepost.audit import repo
from carepost.audit.events import Event, canonical
from carepost.audit.model import Actor, body_of
from carepost.base.clock import Clock
from carepost.base.errors import Broken
from carepost.base.ids import OrganisationId
from carepost.infra.db import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditTrail:
    clock: Clock

    async def record(
        self, tx: Transaction, actor: Actor, event: Event, *, organisation: OrganisationId | None = None
    ) -> None:
        """Add `event` to the chain of the organisation that `tx` acts for, or of the one given.

        Call it last: it locks the chain's head until the transaction ends. After an `organisation` of its own the
        transaction acts for the organisation it acted for before. Raises Broken, and so undoes the change, if the
        entry cannot be written.
        """
        if organisation is None:
            await self._write(tx, actor, event)
            return
        before = await repo.acting_organisation(tx)
        if before != organisation:
            await tx.act_for(organisation)
        await self._write(tx, actor, event)
        if before is not None and before != organisation:
            await tx.act_for(before)

    async def _write(self, tx: Transaction, actor: Actor, event: Event) -> None:
        at = self.clock.now()
        details = canonical(event.details())
        body = body_of(
            at=at,
            event=event.name.value,
            actor=(actor.kind.value, actor.name),
            numbers=(actor.person, actor.organisation),
            origin=(actor.session, actor.address),
            details=details,
        )
        entry = {
            "body": body,
            "at": at,
            "event": event.name.value,
            "actor_kind": actor.kind.value,
            "actor_name": actor.name,
            "actor_person": actor.person,
            "actor_organisation": actor.organisation,
            "actor_session": actor.session,
            "actor_address": actor.address,
            "details": details,
        }
        await repo.record_event(
            tx,
            entry,
            otherwise=lambda: Broken("This could not be recorded, so it was not done.", event=event.name.value),
        )
