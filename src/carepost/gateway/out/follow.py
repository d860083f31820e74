"""What became of it: the delivery queue and the portal tell, each recipient's state follows, bad news gets a letter.

Promises
    A state changes in the transaction that makes it true, once; a final one is never made less final by a late word.
    Whoever sent it cannot miss that it did not arrive (R165): the "Not delivered" tray and a letter in the inbox of the
    mailbox it was sent as; nothing is ever sent to anybody else (P18).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from carepost.audit.events_outgoing import OutgoingNotDelivered
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.address import EmailAddress
from carepost.base.clock import Clock
from carepost.base.ids import OrganisationId, OutgoingId
from carepost.delivery.dispatch import Settled, Settlement
from carepost.gateway import repo
from carepost.gateway.out import letters as out_letters
from carepost.gateway.out import repo as out_repo
from carepost.gateway.out.open import Opening
from carepost.gateway.out.outgoing import RecipientState, Route
from carepost.gateway.out.ports import MakesLinks
from carepost.gateway.out.post import Post, sending_inbox
from carepost.gateway.out.repo import Change, StoredOutgoing, StoredRecipient
from carepost.gateway.out.seal import OutOutcome, Sealing
from carepost.infra.db import Transaction

_JOB = Actor.job("delivery")
_OPEN = frozenset({RecipientState.QUEUED, RecipientState.WAITING})
# Another system has taken it over; what became of it there nobody here has seen.
_TAKEN = frozenset({RecipientState.RELAYED, RecipientState.NOTICED})
_ENDS = {
    Settled.AGAIN: RecipientState.QUEUED,
    Settled.FAILED: RecipientState.FAILED,
    Settled.EXPIRED: RecipientState.EXPIRED,
    Settled.CANCELLED: RecipientState.CANCELLED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow:
    """Implements the delivery queue's Follower and what the portal tells."""

    opening: Opening
    post: Post
    audit: AuditTrail
    clock: Clock
    # The portal keeps times of its own. It is built after this, since it tells this: whoever builds both joins them.
    portal: list[MakesLinks] = field(default_factory=list, repr=False)

    async def settled(self, tx: Transaction, settlement: Settlement) -> None:
        """Called in the transaction that settles; it acts for the organisation of the message."""
        if settlement.outgoing is None:
            return
        organisation, outgoing = settlement.organisation, settlement.outgoing
        row = await out_repo.get(tx, organisation, outgoing)
        rows = (await out_repo.recipients(tx, organisation, [outgoing])).get(outgoing, [])
        one = next((one for one in rows if one.seq == settlement.seq), None)
        again = settlement.outcome is Settled.AGAIN
        among = _TAKEN if again else _OPEN
        if row is None or one is None or one.state not in among:
            return
        public = (await repo.intakes(tx, organisation, [row.mailbox])).organisation
        outcome = Sealing(organisation, row.trace, public).outcome(settlement.seq, _outcome(settlement))
        if settlement.outcome is Settled.DELAYED:
            await out_repo.delay(tx, organisation, outgoing, seq=settlement.seq, at=settlement.at, outcome=outcome)
        else:
            change = Change(settlement.seq, _state(one, settlement), outcome)
            if not await out_repo.settle_recipient(tx, organisation, outgoing, change, among=among, at=settlement.at):
                return
        if settlement.outcome is Settled.DELIVERED and one.route is Route.PORTAL:
            for portal in self.portal:
                await portal.noticed(tx, organisation, outgoing, settlement.seq, settlement.at)
        await self._tell(tx, row, settlement)

    async def seen(  # noqa: PLR0917 - the portal's port
        self, tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, seq: int, what: str, at: datetime
    ) -> None:
        """The portal: `what` is "noticed", "opened" (read), "expired". Others are the portal's own record."""
        match what:
            case "opened" | "read":
                state = RecipientState.OPENED
            case "noticed":
                state = RecipientState.NOTICED
            case "expired":
                await self._expired(tx, organisation, outgoing, seq, at)
                return
            case _:
                return
        await out_repo.see(tx, organisation, outgoing, seq, state=state, at=at)

    async def _expired(
        self, tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, seq: int, at: datetime
    ) -> None:
        """The link ran out. Only who never opened it did not get it."""
        row = await out_repo.get(tx, organisation, outgoing)
        rows = (await out_repo.recipients(tx, organisation, [outgoing])).get(outgoing, [])
        one = next((one for one in rows if one.seq == seq), None)
        if row is None or one is None or one.state not in _OPEN | {RecipientState.NOTICED}:
            return
        public = (await repo.intakes(tx, organisation, [row.mailbox])).organisation
        says = "The secure link ran out before anybody opened it."
        sealed = Sealing(organisation, row.trace, public).outcome(seq, OutOutcome(says=says))
        change, among = Change(seq, RecipientState.EXPIRED, sealed), _OPEN | {RecipientState.NOTICED}
        if not await out_repo.settle_recipient(tx, organisation, outgoing, change, among=among, at=at):
            return
        [opened] = await self.opening.recipients(tx, organisation, row.trace, [one])
        await self._letter(tx, organisation, row, [(opened.address, says)], at=at)
        await self._record(tx, row, seq, Settled.EXPIRED.value, None)

    async def _tell(self, tx: Transaction, row: StoredOutgoing, settlement: Settlement) -> None:
        organisation = settlement.organisation
        if settlement.dsn is not None:
            details = await self.opening.details(tx, organisation, row)
            inbox, _ = await sending_inbox(tx, organisation, row.mailbox, EmailAddress.parse(details.sender))
            await self.post.lay(tx, self.post.seal(inbox, settlement.dsn), at=settlement.at)
        if settlement.outcome in {Settled.FAILED, Settled.EXPIRED}:
            await self._record(tx, row, settlement.seq, settlement.outcome.value, settlement.code)

    async def _letter(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        row: StoredOutgoing,
        failed: Sequence[tuple[EmailAddress, str]],
        *,
        at: datetime,
    ) -> None:
        details = await self.opening.details(tx, organisation, row)
        sender = EmailAddress.parse(details.sender)
        inbox, _ = await sending_inbox(tx, organisation, row.mailbox, sender)
        raw = out_letters.bad_news(
            self.post.head(sender),
            sender,
            outgoing=row.id,
            trace=row.trace,
            subject=details.subject,
            failed=failed,
            at=at,
        )
        await self.post.lay(tx, self.post.seal(inbox, raw), at=at)

    async def _record(self, tx: Transaction, row: StoredOutgoing, seq: int, outcome: str, code: int | None) -> None:
        event = OutgoingNotDelivered(trace=row.trace, mailbox=row.mailbox, recipient=seq, outcome=outcome, code=code)
        await self.audit.record(tx, _JOB, event)


def _state(one: StoredRecipient, settlement: Settlement) -> RecipientState:
    if settlement.outcome is Settled.DELIVERED:
        return RecipientState.NOTICED if one.route is Route.PORTAL else RecipientState.RELAYED
    return _ENDS[settlement.outcome]


def _outcome(settlement: Settlement) -> OutOutcome:
    outcome = OutOutcome(
        says=settlement.says,
        code=settlement.code,
        enhanced=settlement.enhanced,
        attempts=settlement.attempts,
        tls_missing=settlement.tls_missing,
    )
    evidence = settlement.evidence
    if evidence is None:
        return outcome
    tls = f"{evidence.tls_version} {evidence.cipher}".strip()
    return OutOutcome(
        says=outcome.says,
        code=outcome.code,
        enhanced=outcome.enhanced,
        attempts=outcome.attempts,
        tls_missing=outcome.tls_missing,
        host=evidence.host,
        tls=tls,
        verified_by=evidence.verified_by.value,
    )
