"""What became of a message: by reference, sender, recipient, Message-ID, time. R189, `carepost trace` and `why`.

Promises
    Searching asks `authorize` and is recorded: who looked, by what, and how much was found; never for whom they looked.
    Addresses are looked up by keyed hash: the database has none of them in clear.
    An organisation sees its own recipients only; the operator asks each organisation in turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from carepost.audit.events_mail import TraceRead, WhyRead
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.clock import Clock
from carepost.base.ids import MailboxId, OrganisationId, TraceId
from carepost.directory.access import OnMailbox, OnOrganisation, Verb
from carepost.directory.service import Directory
from carepost.gateway import repo
from carepost.gateway.verdict import Record, SearchBy, details_aad, findable, read_details
from carepost.infra.db import Database, Transaction
from carepost.infra.vault import EdgeKey
from carepost.store.keys import Keystore

PAGE_MAX = 200
KEPT_FOR = timedelta(days=90)  # R189
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TracePage:
    records: Sequence[Record]
    next_key: tuple[datetime, TraceId] | None  # None: there is no more


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageTrace:
    db: Database
    keys: Keystore
    audit: AuditTrail
    directory: Directory
    edge: EdgeKey
    clock: Clock

    async def search(
        self,
        actor: Actor,
        organisation: OrganisationId,
        by: SearchBy | None,
        value: str = "",
        *,
        since: datetime = _EARLIEST,
        until: datetime = _LATEST,
        before: tuple[datetime, TraceId] | None = None,
        limit: int = 50,
    ) -> TracePage:
        """Newest first; `by` None lists everything of the time. Raises NotAllowed."""
        await self.directory.require(actor, Verb.TRACE_READ, OnOrganisation(organisation))
        limit = max(1, min(limit, PAGE_MAX))
        before_at, before_trace = before or (_LATEST, TraceId(""))
        window = {
            "since": since,
            "until": until,
            "before_at": before_at,
            "before_trace": before_trace,
            "limit": limit + 1,
        }
        async with self.db.transaction(organisation) as tx:
            if by is None:
                rows = await repo.verdicts(tx, organisation, **window)
            else:
                token = self.edge.token(organisation, by.value, findable(by, value))
                rows = await repo.verdicts_by_token(tx, organisation, token=token, kind=by.value, **window)
            records = [await self._opened(tx, organisation, row) for row in rows[:limit]]
            event = TraceRead(by=by.value if by else "time", found=len(records))
            await self.audit.record(tx, actor, event)
        more = len(rows) > limit
        return TracePage(records, (records[-1].at, TraceId(records[-1].trace)) if more else None)

    async def why(self, actor: Actor, organisation: OrganisationId, trace: TraceId) -> Record | None:
        """The verdict with this reference, if the organisation has one. Raises NotAllowed."""
        await self.directory.require(actor, Verb.TRACE_READ, OnOrganisation(organisation))
        async with self.db.transaction(organisation) as tx:
            row = await repo.verdict(tx, organisation, TraceId(trace.upper()))
            if row is None:
                return None
            record = await self._opened(tx, organisation, row)
            await self.audit.record(tx, actor, WhyRead(trace=TraceId(record.trace)))
        return record

    async def for_reader(
        self, actor: Actor, organisation: OrganisationId, mailbox: MailboxId, trace: TraceId
    ) -> Record | None:
        """The verdict on a message that came into this mailbox, for whoever may read the mailbox: its copies alone.

        Raises NotAllowed.
        """
        await self.directory.require(actor, Verb.MAILBOX_READ, OnMailbox(mailbox, organisation))
        async with self.db.transaction(organisation) as tx:
            row = await repo.verdict(tx, organisation, trace)
            record = await self._opened(tx, organisation, row) if row is not None else None
            theirs = tuple(one for one in record.details.recipients if one.mailbox == mailbox) if record else ()
            if record is None or not theirs:
                return None
            await self.audit.record(tx, actor, WhyRead(trace=TraceId(record.trace)))
        return msgspec.structs.replace(record, details=msgspec.structs.replace(record.details, recipients=theirs))

    async def find(self, actor: Actor, organisation: OrganisationId, text: str) -> list[Record]:
        """What `carepost why` was given: a reference or a Message-ID, with or without its angle brackets."""
        text = text.strip()
        found = await self.why(actor, organisation, TraceId(text)) if _could_be_reference(text) else None
        if found is not None:
            return [found]
        return list((await self.search(actor, organisation, SearchBy.MESSAGE_ID, text)).records)

    async def forget(self, organisation: OrganisationId, *, kept_for: timedelta = KEPT_FOR) -> int:
        """Remove verdicts that are older than they are kept. A chore; returns how many."""
        async with self.db.transaction(organisation) as tx:
            before = self.clock.now() - kept_for
            await repo.forget_held(tx, organisation, before=before)
            return await repo.forget_verdicts(tx, organisation, before=before)

    async def _opened(self, tx: Transaction, organisation: OrganisationId, row: repo.VerdictRow) -> Record:
        opened = await self.keys.open_intake(
            tx, organisation, aad=details_aad(organisation, row.trace), sealed=row.details
        )
        return Record(trace=row.trace, at=row.at, door=row.door, size=row.size, details=read_details(opened))


def _could_be_reference(text: str) -> bool:
    return len(text) <= 64 and text.isalnum()
