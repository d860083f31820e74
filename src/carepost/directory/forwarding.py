"""Forwarding: a mailbox's mail sent on to another address. Asked for by its people, allowed by an administrator. R162.

Promises
    It leads to an address of our own service or of the register of secure domains; for any other it is refused when it
    is asked for, and looked at again when it is allowed and with every message that is sent on.
    Nobody allows their own. It ends at once when its people or an administrator say so, and by itself after a year.
    The mailbox keeps every message: forwarding sends a copy. Addresses and reasons are sealed to the organisation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from carepost.audit.events_automatic import ForwardingAllowed, ForwardingAsked, ForwardingEnded
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.address import EmailAddress
from carepost.base.clock import Clock
from carepost.base.errors import Malformed, NotAllowed, NotPossible
from carepost.base.ids import DeliveryId, MailboxId, OrganisationId, PersonId
from carepost.directory import repo as directory_repo
from carepost.directory import repo_automatic
from carepost.directory import repo_forwarding as repo
from carepost.directory.access import OnMailbox, OnOrganisation, Verb
from carepost.directory.autoreply import SealsColumns
from carepost.directory.correspondents_model import MailboxPlace, Place
from carepost.directory.model import Found, MailboxRecord
from carepost.directory.repo_forwarding import ForwardingRow
from carepost.directory.service import Directory
from carepost.infra.db import Database, Transaction

_CONTEXT = "forwarding.details"
_REASON_MAX = 500
_SHOWN = 20


class ForwardingState(StrEnum):
    ASKED = "asked"  # waits for an administrator
    ALLOWED = "allowed"  # in force, until it expires
    REFUSED = "refused"
    ENDED = "ended"  # by its people, by an administrator, or because its year was over
    STOPPED = "stopped"  # by the service: its address is not secure any more


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardingPolicy:
    # Who needs it for longer asks again: one that nobody remembers is a leak.
    lasts: timedelta = timedelta(days=365)
    # What cannot be sent on is told of once in so long, however much of it there is.
    tell_again: timedelta = timedelta(hours=24)
    # Longer than the queue tries: then nothing is told of it any more.
    remembered: timedelta = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding:
    id: int
    organisation: OrganisationId
    mailbox: MailboxId
    state: ForwardingState
    address: EmailAddress
    reason: str  # why it was asked for
    because: str  # why it was refused, ended or stopped
    asked_at: datetime
    asked_by: PersonId | None
    decided_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime | None

    @property
    def is_open(self) -> bool:
        return self.state in {ForwardingState.ASKED, ForwardingState.ALLOWED}


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    """New fields go at the end, with a default: old rows are stored."""

    address: str
    reason: str
    because: str


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Sealed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwardings:
    db: Database
    directory: Directory
    keys: SealsColumns
    audit: AuditTrail
    clock: Clock
    policy: ForwardingPolicy = field(default_factory=ForwardingPolicy)

    # --- its people ---------------------------------------------------------------------------------------------------

    async def of_mailbox(self, actor: Actor, mailbox: MailboxPlace) -> list[Forwarding]:
        """What was asked for, newest first. Raises NotAllowed."""
        await self.directory.require(actor, Verb.MAILBOX_FORWARD, OnMailbox(mailbox.id, mailbox.organisation))
        async with self.db.transaction(mailbox.organisation) as tx:
            rows = await repo.forwardings(tx, mailbox.organisation, mailbox.id, limit=_SHOWN)
            return [await self._open(tx, mailbox.organisation, row) for row in rows]

    async def ask(self, actor: Actor, mailbox: MailboxPlace, address: EmailAddress, *, reason: str) -> int:
        """Ask an administrator for it; nothing is sent on before. Raises NotAllowed; NotPossible where it may not lead;
        Malformed without a reason."""
        organisation = mailbox.organisation
        await self.directory.require(actor, Verb.MAILBOX_FORWARD, OnMailbox(mailbox.id, organisation))
        sealed = _Sealed(str(address), _reason(reason, "Say what it is for: an administrator has to decide."), "")
        await self.refuse_unsafe(mailbox, address)
        async with self.db.transaction(organisation) as tx:
            number = await repo.ask_forwarding(
                tx,
                organisation,
                mailbox=mailbox.id,
                at=self.clock.now(),
                asked_by=actor.person,
                details=await self._seal(tx, organisation, mailbox.id, sealed),
            )
            if number is None:
                raise NotPossible("This mailbox has a forwarding already, or one is asked for. End it first.")
            await self.audit.record(tx, actor, ForwardingAsked(mailbox=mailbox.id, forwarding=number))
        return number

    async def end(self, actor: Actor, mailbox: MailboxPlace, number: int) -> None:
        """At once: the next message is not sent on. Raises NotAllowed, NotPossible."""
        await self.directory.require(actor, Verb.MAILBOX_FORWARD, OnMailbox(mailbox.id, mailbox.organisation))
        async with self.db.transaction(mailbox.organisation) as tx:
            found = await self._locked(tx, mailbox.organisation, number)
            if found.mailbox != mailbox.id:
                raise NotPossible("There is no such forwarding.")
            await self.close(tx, actor, found, ForwardingState.ENDED, "Somebody who may has ended it.")

    async def refuse_unsafe(self, mailbox: MailboxPlace, address: EmailAddress) -> None:
        """Raise NotPossible, in words, unless mail may be sent on to that address."""
        verdict = await self.directory.is_secure(address.domain)
        if not verdict.secure:
            raise NotPossible(
                f"Mail may not be forwarded to {address}. {verdict.because} What comes to this mailbox may be about "
                "patients, and would leave the secure circle unseen."
            )
        if address.domain in await self.directory.own_domains():
            found = await self.directory.route(address, from_outside=False)
            if not isinstance(found, Found):
                raise NotPossible(f"Nobody here has the address {address}.")
            if found.mailbox == mailbox.id:
                raise NotPossible("A mailbox cannot forward to itself.")

    # --- administrators -----------------------------------------------------------------------------------------------

    async def open(
        self, actor: Actor, organisation: OrganisationId, *, after: int = 0, limit: int = 50
    ) -> list[Forwarding]:
        """What waits and what is in force, oldest first. Raises NotAllowed."""
        await self.directory.require(actor, Verb.FORWARDING_ALLOW, OnOrganisation(organisation))
        async with self.db.transaction(organisation) as tx:
            return await self.all_open(tx, organisation, after=after, limit=limit)

    async def allow(self, actor: Actor, organisation: OrganisationId, number: int) -> None:
        """Raises NotAllowed, for one's own too; NotPossible when it may not lead there any more."""
        await self.directory.require(actor, Verb.FORWARDING_ALLOW, OnOrganisation(organisation))
        async with self.db.transaction(organisation) as tx:
            found = await self._locked(tx, organisation, number)
        await self._refuse_own(actor, found)
        await self.refuse_unsafe(Place(found.mailbox, organisation), found.address)
        now = self.clock.now()
        async with self.db.transaction(organisation) as tx:
            found = await self._locked(tx, organisation, number)
            if found.state is not ForwardingState.ASKED:
                raise NotPossible("Somebody has decided on it already.")
            await repo.allow_forwarding(tx, organisation, number, at=now, expires=now + self.policy.lasts)
            event = ForwardingAllowed(mailbox=found.mailbox, forwarding=number, domain=found.address.domain.name)
            await self.audit.record(tx, actor, event)

    async def refuse(self, actor: Actor, organisation: OrganisationId, number: int, *, reason: str) -> None:
        """Also ends one that was allowed. Raises NotAllowed, NotPossible, Malformed without a reason."""
        await self.directory.require(actor, Verb.FORWARDING_ALLOW, OnOrganisation(organisation))
        because = _reason(reason, "Say why: whoever asked for it reads this.")
        async with self.db.transaction(organisation) as tx:
            found = await self._locked(tx, organisation, number)
            asked = found.state is ForwardingState.ASKED
            await self.close(tx, actor, found, ForwardingState.REFUSED if asked else ForwardingState.ENDED, because)

    async def _refuse_own(self, actor: Actor, found: Forwarding) -> None:
        if actor.person is None:
            return
        rights = await self.directory.rights_of(found.organisation, actor.person)
        if actor.person == found.asked_by or found.mailbox == rights.personal or found.mailbox in rights.shared:
            raise NotAllowed("You asked for this, or the mailbox is yours too: another administrator has to allow it.")

    # --- for whoever sends on -----------------------------------------------------------------------------------------

    async def in_force(self, tx: Transaction, mailbox: MailboxPlace) -> Forwarding | None:
        row = await repo.forwarding_in_force(tx, mailbox.organisation, mailbox.id, at=self.clock.now())
        return await self._open(tx, mailbox.organisation, row) if row else None

    async def all_open(
        self, tx: Transaction, organisation: OrganisationId, *, after: int = 0, limit: int = 500
    ) -> list[Forwarding]:
        rows = await repo.forwardings_open(tx, organisation, after=after, limit=limit)
        return [await self._open(tx, organisation, row) for row in rows]

    async def close(
        self, tx: Transaction, actor: Actor, found: Forwarding, state: ForwardingState, because: str
    ) -> None:
        """Part of the caller's transaction. Raises NotPossible when it is over already."""
        if not found.is_open:
            raise NotPossible("It is over already.")
        sealed = _Sealed(str(found.address), found.reason, because)
        await repo.end_forwarding(
            tx,
            found.organisation,
            found.id,
            state=state.value,
            at=self.clock.now(),
            details=await self._seal(tx, found.organisation, found.mailbox, sealed),
        )
        event = ForwardingEnded(mailbox=found.mailbox, forwarding=found.id, how=state.value)
        await self.audit.record(tx, actor, event)

    async def stop(self, tx: Transaction, actor: Actor, number: int, organisation: OrganisationId, why: str) -> bool:
        """The service ends it. False when it was over already."""
        found = await self._locked(tx, organisation, number)
        if not found.is_open:
            return False
        over = found.expires_at is not None and found.expires_at <= self.clock.now()
        await self.close(tx, actor, found, ForwardingState.ENDED if over else ForwardingState.STOPPED, why)
        return True

    async def note_sent_on(self, tx: Transaction, found: Forwarding, delivery: DeliveryId) -> None:
        """Which delivery of the queue is its: `of_delivery` finds it again."""
        await repo.note_forwarded(tx, found.organisation, delivery, found.id, at=self.clock.now())

    async def of_delivery(
        self, tx: Transaction, organisation: OrganisationId, delivery: DeliveryId
    ) -> Forwarding | None:
        row = await repo.forwarding_of_delivery(tx, organisation, delivery)
        return await self._open(tx, organisation, row) if row else None

    async def may_tell(self, tx: Transaction, found: Forwarding) -> bool:
        """Whether its people may be told now that something could not be sent on; if so it is noted."""
        now = self.clock.now()
        before = now - self.policy.tell_again
        return await repo.tell_of_forwarding(tx, found.organisation, found.id, at=now, again_before=before)

    async def mailbox_of(self, tx: Transaction, found: Forwarding) -> MailboxRecord | None:
        return await directory_repo.mailbox(tx, found.organisation, found.mailbox)

    async def own_addresses(self, tx: Transaction, mailbox: MailboxPlace) -> Sequence[EmailAddress]:
        return await repo_automatic.own_addresses(tx, mailbox.organisation, mailbox.id)

    async def forget(self, organisation: OrganisationId) -> int:
        """Drop notes of deliveries of long ago. A chore; returns how many went."""
        async with self.db.transaction(organisation) as tx:
            before = self.clock.now() - self.policy.remembered
            return await repo.forget_forwarded(tx, organisation, before=before)

    async def _locked(self, tx: Transaction, organisation: OrganisationId, number: int) -> Forwarding:
        row = await repo.lock_forwarding(tx, organisation, number)
        if row is None:
            raise NotPossible("There is no such forwarding.")
        return await self._open(tx, organisation, row)

    async def _seal(self, tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, sealed: _Sealed) -> bytes:
        plain = _ENCODER.encode(sealed)
        return await self.keys.seal_column(tx, organisation, context=_CONTEXT, row=str(mailbox), plaintext=plain)

    async def _open(self, tx: Transaction, organisation: OrganisationId, row: ForwardingRow) -> Forwarding:
        plain = await self.keys.open_column(
            tx, organisation, context=_CONTEXT, row=str(row.mailbox), sealed=row.details
        )
        read = _DECODER.decode(plain)
        return Forwarding(
            id=row.id,
            organisation=organisation,
            mailbox=row.mailbox,
            state=ForwardingState(row.state),
            address=EmailAddress.parse(read.address),
            reason=read.reason,
            because=read.because,
            asked_at=row.asked_at,
            asked_by=row.asked_by,
            decided_at=row.decided_at,
            ended_at=row.ended_at,
            expires_at=row.expires_at,
        )


def _reason(text: str, otherwise: str) -> str:
    reason = " ".join(text.split())
    if not reason:
        raise Malformed(otherwise)
    return reason[:_REASON_MAX]
