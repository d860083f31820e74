"""What other systems report of mail that they had taken from us: failed after all, or late. RFC 3464, R165.

Promises
    A report counts only where it may come: with the null reverse-path, to the mailbox that the message was sent as, and
    only when it names the message (Message-ID, and ENVID where its sender gave one) and the recipient.
    Nothing in a report is proved. So it changes what only the other system knows: what it took may have failed there.
    What we know better stays: what we delivered, what was opened, what has not left or has come to another end.
    That something arrived is never believed: it would hide that it did not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from carepost.audit.events_outgoing import OutgoingNotDelivered
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.clock import Clock
from carepost.base.errors import TryLater
from carepost.base.ids import OrganisationId, TraceId
from carepost.gateway import repo
from carepost.gateway.arrived import Arrived, Deed
from carepost.gateway.out import repo as out_repo
from carepost.gateway.out.open import Opening, OpenRecipient
from carepost.gateway.out.outgoing import RecipientState
from carepost.gateway.out.repo import Change, StoredOutgoing
from carepost.gateway.out.seal import OutOutcome, Sealing
from carepost.gateway.verdict import SearchBy, findable
from carepost.infra.db import Transaction
from carepost.infra.vault import EdgeKey
from carepost.message.dsn import DsnAction, ReadDsn, ReadRecipient, plain_envid, read_dsn

_JOB = Actor.job("reports")
# Another system has taken it over: from there on only that one knows.
_THEIRS = frozenset({RecipientState.RELAYED, RecipientState.NOTICED})
_ALIKE_MAX = 20  # messages of ours under one Message-ID
_FROM, _UNTIL = datetime(2000, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Told:
    """A recipient of ours, and what is reported of them."""

    one: OpenRecipient
    report: ReadRecipient


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Implements Act."""

    opening: Opening
    edge: EdgeKey
    audit: AuditTrail
    clock: Clock
    # A report may overtake our own note that the other system has taken the message: so long it is tried again.
    overtakes: timedelta = timedelta(minutes=15)

    async def prepare(self, arrived: Arrived) -> Deed | None:
        """Raises TryLater for a report on what is leaving at this moment."""
        if arrived.message.first("return-path").strip() != b"<>" or (dsn := read_dsn(arrived.message)) is None:
            return None
        organisation = arrived.mailbox.organisation
        async with self.opening.db.transaction(organisation) as tx:
            found = await self._which(tx, arrived, dsn)
            if found is None:
                return None
            rows = (await out_repo.recipients(tx, organisation, [found.id])).get(found.id, [])
            told = _told(await self.opening.recipients(tx, organisation, found.trace, rows), dsn)
        newest = self.clock.now() - self.overtakes
        if any(t.one.row.state is RecipientState.QUEUED and t.one.row.changed_at > newest for t in told):
            raise TryLater("It is leaving at this moment.")
        told = [t for t in told if t.one.row.state in _THEIRS]
        return partial(self._settle, organisation, found, told) if told else None

    async def _which(self, tx: Transaction, arrived: Arrived, dsn: ReadDsn) -> StoredOutgoing | None:
        """The message of this mailbox that the report names."""
        organisation, traces = arrived.mailbox.organisation, await self._traces(tx, arrived, dsn)
        for row in await out_repo.by_trace(tx, organisation, traces) if traces else []:
            if row.mailbox != arrived.mailbox.id:
                continue
            given = (await self.opening.details(tx, organisation, row)).envid
            # Whoever cannot name the envelope that its sender gave a name to has not seen it.
            if not given or not dsn.envid or plain_envid(given) == dsn.envid:
                return row
        return None

    async def _traces(self, tx: Transaction, arrived: Arrived, dsn: ReadDsn) -> list[TraceId]:
        if dsn.about is None:
            return []
        organisation, kind = arrived.mailbox.organisation, SearchBy.MESSAGE_ID
        rows = await repo.verdicts_by_token(
            tx,
            organisation,
            token=self.edge.token(organisation, kind.value, findable(kind, dsn.about)),
            kind=kind.value,
            since=_FROM,
            until=_UNTIL,
            before_at=_UNTIL,
            before_trace=TraceId(""),
            limit=_ALIKE_MAX,
        )
        return [row.trace for row in rows]

    async def _settle(
        self, organisation: OrganisationId, row: StoredOutgoing, told: Sequence[_Told], tx: Transaction
    ) -> None:
        public = (await repo.intakes(tx, organisation, [row.mailbox])).organisation
        sealing, at = Sealing(organisation, row.trace, public), self.clock.now()
        for each in told:
            seq, failed = each.one.row.seq, each.report.action is DsnAction.FAILED
            state = RecipientState.FAILED if failed else each.one.row.state
            change = Change(seq, state, sealing.outcome(seq, _outcome(each)))
            among = {each.one.row.state}
            if await out_repo.settle_recipient(tx, organisation, row.id, change, among=among, at=at) and failed:
                event = OutgoingNotDelivered(trace=row.trace, mailbox=row.mailbox, recipient=seq, outcome="reported")
                await self.audit.record(tx, _JOB, event)


def _told(recipients: Sequence[OpenRecipient], dsn: ReadDsn) -> list[_Told]:
    """Who of ours is named as failed or late, by the address that we sent to or by the one it began with."""
    reports: dict[str, ReadRecipient] = {}
    for one in dsn.recipients:
        if one.action in {DsnAction.FAILED, DsnAction.DELAYED}:
            for address in (one.original, one.address):
                if address:
                    reports.setdefault(address.lower(), one)
    found = []
    for to in recipients:
        original = (to.details.original or "").partition(";")[2]
        report = reports.get(str(to.address).lower()) or (reports.get(original.lower()) if original else None)
        if report is not None:
            found.append(_Told(to, report))
    return found


def _outcome(told: _Told) -> OutOutcome:
    """How the hop to them was protected stays as it was noted (R106)."""
    happened = "it could not be delivered" if told.report.action is DsnAction.FAILED else "it is delayed there"
    said = f": “{told.report.diagnostic}”" if told.report.diagnostic else ""
    says = (
        f"The mail system of {told.one.address.domain} took it, and a report that came back says that {happened}{said}."
    )
    return msgspec.structs.replace(
        told.one.outcome or OutOutcome(says=says), says=says, enhanced=told.report.status or None
    )
