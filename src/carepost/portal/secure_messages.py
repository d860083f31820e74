"""Secure messages: made for one outsider each, revoked, extended, purged, and what their sender sees of them.

Promises
    Content is sealed under a key of its own; at L2 the agreed phrase is needed as well to open it.
    A link's secret half is returned once and kept by nobody: only its SHA-256 is stored.
    Revoked and expired are final: the key is destroyed in the transaction that says so (crypto-shredding).
    Everything here happens in one transaction with its audit event, and the follower's.

A message enters by `make` or `invite`; it leaves by `revoke` or `purge`. Readers come by reading.py.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from carepost.audit.events_portal import SecureMessageClosed, SecureMessageExtended, SecureMessageMade
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.address import EmailAddress
from carepost.base.clock import Clock
from carepost.base.errors import Malformed, NotPossible
from carepost.base.ids import MailboxId, OrganisationId, OutgoingId, TraceId, new_trace_id
from carepost.infra.db import Database, Transaction
from carepost.infra.vault import EdgeKey
from carepost.message.parse import parse
from carepost.message.summary import summarise
from carepost.portal import links, repo
from carepost.portal.invitations import Letterhead, confirmation, invitation
from carepost.portal.model import (
    Agreed,
    Details,
    Happened,
    Kind,
    Level,
    Made,
    PortalLetter,
    PortalPolicy,
    RecipientRecord,
    SecureMessage,
    SecureMessageId,
    State,
    What,
)
from carepost.portal.post import PortalPost
from carepost.portal.seals import SALT_BYTES, PortalSeals
from carepost.store.large_files import LargeFiles
from carepost.store.objects import Prepared, prepare_object, store_object

_PURGED_AT_ONCE = 200
_INVITATIONS_SHOWN = 100
PHRASE_MIN = 8  # characters; a date of birth has as many digits
JOB = Actor.job("portal")


class PortalFollower(Protocol):
    """Whoever keeps count of what was sent. Called inside the transaction; it commits with it."""

    async def seen(  # noqa: PLR0917 - one event, flat
        self, tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, seq: int, what: str, at: datetime
    ) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepping:
    """A letter whose content is sealed already, before any transaction."""

    letter: PortalLetter
    prepared: Prepared = field(repr=False)
    salt: bytes | None
    phrase_key: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalRecord:
    """What happened to a message is written here: for its sender, its reader, and whoever follows."""

    seals: PortalSeals
    audit: AuditTrail
    clock: Clock
    follower: PortalFollower

    async def note(
        self, tx: Transaction, message: SecureMessage, what: What, *, where: str = "", at: datetime | None = None
    ) -> None:
        """`where` is a network address; it is sealed."""
        at = at or self.clock.now()
        sealed = await self.seals.seal_note(tx, message.organisation, message.id, where) if where else None
        await repo.insert_event(tx, message.organisation, message.id, at=at, what=what, details=sealed)
        if message.outgoing is not None:
            await self.follower.seen(tx, message.organisation, message.outgoing, message.seq, what.value, at)

    async def happened(
        self, tx: Transaction, organisation: OrganisationId, messages: Sequence[SecureMessageId]
    ) -> dict[SecureMessageId, list[Happened]]:
        found: dict[SecureMessageId, list[Happened]] = {one: [] for one in messages}
        for row in await repo.events(tx, organisation, messages):
            where = await self.seals.open_note(tx, organisation, row.message, row.details) if row.details else ""
            found[row.message].append(Happened(at=row.at, what=row.what, note=where))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureMessages:
    db: Database
    seals: PortalSeals
    record_: PortalRecord
    post: PortalPost
    edge: EdgeKey
    policy: PortalPolicy = field(default_factory=PortalPolicy)
    files: LargeFiles | None = None  # None where no large files are kept

    @property
    def clock(self) -> Clock:
        return self.record_.clock

    # --- making -----------------------------------------------------------------------------------------------------

    async def prepare(self, letter: PortalLetter) -> Prepping:
        """Seal the content. CPU only (a phrase costs some 0.2 s); raises Malformed for a level without its proof."""
        phrase = links.normal_phrase(letter.phrase or "", letter.agreed)
        level = Level.AGREED if phrase and letter.level is Level.MAILBOX else letter.level
        if level is Level.AGREED and len(phrase) < PHRASE_MIN:
            raise Malformed(f"The agreed phrase is too short: at least {PHRASE_MIN} letters or digits.")
        if level is Level.MAILBOX and self.policy.patient_level is not Level.MAILBOX and letter.patient is not False:
            raise Malformed("Agree on some words with the recipient first: a code by email alone is not enough here.")
        if level is Level.STRONG and not letter.telephone:
            raise Malformed("For this level of proof the recipient's mobile number is needed.")
        message = parse(letter.raw)
        prepared = prepare_object(letter.organisation, letter.raw, summary=summarise(message), words="")
        salt = _salt() if phrase else None
        key = await self.seals.phrase_key(phrase, salt) if salt else None
        return Prepping(letter=replace(letter, level=level), prepared=prepared, salt=salt, phrase_key=key)

    async def make(self, tx: Transaction, letter: PortalLetter | Prepping, *, actor: Actor = JOB) -> Made:
        """Make it, in the caller's transaction, which acts for its organisation. Raises Malformed."""
        ready = letter if isinstance(letter, Prepping) else await self.prepare(letter)
        given, now = ready.letter, self.clock.now()
        await store_object(tx, ready.prepared, at=now)
        wrapped = await self.seals.wrap(
            tx, given.organisation, ready.prepared.id, ready.prepared.key, phrase_key=ready.phrase_key
        )
        details = Details(
            address=str(given.address),
            sender=str(given.sender),
            sender_name=given.sender_name,
            organisation_name=given.organisation_name,
            agreed=given.agreed,
            telephone=given.telephone or "",
        )
        return await self._insert(
            tx,
            actor,
            given.organisation,
            details,
            kind=Kind.LETTER,
            mailbox=given.mailbox,
            outgoing=given.outgoing,
            seq=given.seq,
            trace=given.trace,
            level=given.level,
            expires=self._until(given.expires_at),
            object=ready.prepared.id,
            wrapped=wrapped,
            salt=ready.salt,
        )

    async def invite(
        self,
        actor: Actor,
        *,
        organisation: OrganisationId,
        mailbox: MailboxId,
        address: EmailAddress,
        sender: EmailAddress,
        sender_name: str,
        organisation_name: str,
        writer: EmailAddress,
        kind: Kind = Kind.INVITATION,
    ) -> Made:
        """Ask an outsider to write to a mailbox, or whether this is them: a link without content goes to them by mail.

        The caller has asked whether the actor may send from the mailbox. Raises NotPossible over the day's number.
        """
        now = self.clock.now()
        details = Details(
            address=str(address), sender=str(sender), sender_name=sender_name, organisation_name=organisation_name
        )
        async with self.db.transaction(organisation) as tx:
            key = self.edge.token(organisation, "portal invitations", str(mailbox))
            if await repo.spend(tx, key, now=now, since=now - timedelta(days=1)) > self.policy.invitations_per_day:
                raise NotPossible("This mailbox has invited as many people as it may in a day. Try again tomorrow.")
            made = await self._insert(tx, actor, organisation, details, **self._without_content(kind, mailbox))
            head = Letterhead(organisation_name=organisation_name, writer=writer, to=address, at=now)
            letter = confirmation if kind is Kind.CONFIRMATION else invitation
            raw = letter(head, link=made.link, expires_at=made.expires_at)
            await self.post.send(tx, organisation, address, raw, reverse_path=sender)
        return made

    def _without_content(self, kind: Kind, mailbox: MailboxId) -> dict[str, Any]:
        return {
            "kind": kind,
            "mailbox": mailbox,
            "outgoing": None,
            "seq": 0,
            "trace": new_trace_id(),
            "level": Level.MAILBOX,
            "expires": self._until(None),
            "object": None,
            "wrapped": None,
            "salt": None,
        }

    async def give_another(self, tx: Transaction, actor: Actor, message: SecureMessage, address: EmailAddress) -> Made:
        """The same content for one more reader, with what the first must prove. Raises NotPossible when it is shut."""
        if not message.is_live(self.clock.now()) or message.object is None or message.wrapped is None:
            raise NotPossible("The message can no longer be read, so it cannot be shared.")
        return await self._insert(
            tx,
            actor,
            message.organisation,
            replace(message.details, address=str(address)),
            kind=message.kind,
            mailbox=message.mailbox,
            outgoing=message.outgoing,
            seq=message.seq,
            trace=message.trace,
            level=message.level,
            expires=message.expires_at,
            object=message.object,
            wrapped=message.wrapped,
            salt=message.salt,
        )

    # --- the sender's side ------------------------------------------------------------------------------------------

    async def get(
        self, tx: Transaction, organisation: OrganisationId, message: SecureMessageId
    ) -> SecureMessage | None:
        row = await repo.message(tx, organisation, message)
        return await self.opened(tx, organisation, row) if row else None

    async def revoke(
        self,
        tx: Transaction,
        actor: Actor,
        organisation: OrganisationId,
        outgoing: OutgoingId,
        seqs: Sequence[int] | None = None,
    ) -> frozenset[int]:
        """Shut the links of a message (None: all), for good. Which recipients had one that was open. R123.

        The caller has asked whether the actor may. Downloads that run stop within `policy.recheck`.
        """
        shut: set[int] = set()
        for row in await repo.messages_of(tx, organisation, outgoing):
            if (seqs is None or row.seq in seqs) and await repo.close(tx, organisation, row.id, State.REVOKED):
                message = await self.opened(tx, organisation, row)
                await self.record_.note(tx, message, What.REVOKED)
                event = SecureMessageClosed(message=row.id, trace=row.trace, why=State.REVOKED.value)
                await self.record_.audit.record(tx, actor, event)
                shut.add(row.seq)
        return frozenset(shut)

    async def revoke_one(
        self, tx: Transaction, actor: Actor, organisation: OrganisationId, message: SecureMessageId
    ) -> bool:
        """The same for one link: an invitation, or a copy that was given to who asked. False when it was shut."""
        found = await self.get(tx, organisation, message)
        if found is None or not await repo.close(tx, organisation, message, State.REVOKED):
            return False
        await self.record_.note(tx, replace(found, outgoing=None), What.REVOKED)
        event = SecureMessageClosed(message=message, trace=found.trace, why=State.REVOKED.value)
        await self.record_.audit.record(tx, actor, event)
        return True

    async def extend(
        self,
        tx: Transaction,
        actor: Actor,
        organisation: OrganisationId,
        outgoing: OutgoingId,
        seqs: Sequence[int] | None = None,
        *,
        until: datetime,
    ) -> frozenset[int]:
        """Give links that are still open more time (R122). Raises Malformed past `expires_max`."""
        now, longer = self.clock.now(), set()
        if not now < until <= now + self.policy.expires_max:
            days = self.policy.expires_max.days
            raise Malformed(f"A secure message can be kept open for at most {days} days from today.")
        for row in await repo.messages_of(tx, organisation, outgoing):
            wanted = seqs is None or row.seq in seqs
            if wanted and await repo.extend(tx, organisation, row.id, expires=until, now=now):
                message = await self.opened(tx, organisation, row)
                await self.record_.note(tx, message, What.EXTENDED)
                event = SecureMessageExtended(message=row.id, trace=row.trace, until=until.isoformat())
                await self.record_.audit.record(tx, actor, event)
                longer.add(row.seq)
        if longer and self.files is not None:
            await self.files.keep_longer(tx, organisation, outgoing, until)
        return frozenset(longer)

    async def noticed(
        self, tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, seq: int, at: datetime
    ) -> None:
        """The recipient's mail system has taken the notice over. Told by whoever follows the delivery queue."""
        for row in await repo.messages_of(tx, organisation, outgoing):
            if row.seq == seq:
                await repo.insert_event(tx, organisation, row.id, at=at, what=What.NOTICED, details=None)

    async def record(self, organisation: OrganisationId, outgoing: OutgoingId) -> list[RecipientRecord]:
        """What each recipient's link has come to, with times (R124). The caller has asked whether they may know."""
        async with self.db.transaction(organisation) as tx:
            rows = await repo.messages_of(tx, organisation, outgoing)
            return await self._records(tx, organisation, rows)

    async def invitations(self, organisation: OrganisationId, mailbox: MailboxId) -> list[RecipientRecord]:
        """The links by which people were asked to write to a mailbox, newest first."""
        async with self.db.transaction(organisation) as tx:
            rows = await repo.invitations(tx, organisation, mailbox, limit=_INVITATIONS_SHOWN)
            return await self._records(tx, organisation, rows)

    # --- the end ----------------------------------------------------------------------------------------------------

    async def purge(self, organisation: OrganisationId) -> int:
        """Destroy the keys of what has run out, forget sessions and codes that nobody can use. A chore; how many."""
        now, policy = self.clock.now(), self.policy
        async with self.db.transaction(organisation) as tx:
            due = await repo.due(tx, organisation, now=now, limit=_PURGED_AT_ONCE)
            for one in due:
                message = await self.get(tx, organisation, one)
                if message is not None and await repo.close(tx, organisation, one, State.EXPIRED):
                    await self.record_.note(tx, message, What.EXPIRED)
                    event = SecureMessageClosed(message=one, trace=message.trace, why=State.EXPIRED.value)
                    await self.record_.audit.record(tx, JOB, event)
            await repo.forget(
                tx,
                organisation,
                idle=now - policy.idle,
                begun=now - policy.session,
                codes=now - timedelta(days=1),
            )
            await repo.forget_budgets(tx, before=now - timedelta(days=2))
        return len(due)

    # --- within -----------------------------------------------------------------------------------------------------

    async def opened(self, tx: Transaction, organisation: OrganisationId, row: repo.MessageRow) -> SecureMessage:
        details = await self.seals.open_details(tx, organisation, row.lookup, row.details)
        columns = {name: getattr(row, name) for name in repo.MessageRow.__slots__ if name != "details"}
        return SecureMessage(organisation=organisation, details=details, **columns)

    async def _insert(
        self,
        tx: Transaction,
        actor: Actor,
        organisation: OrganisationId,
        details: Details,
        *,
        kind: Kind,
        mailbox: MailboxId,
        outgoing: OutgoingId | None,
        seq: int,
        trace: TraceId,
        level: Level,
        expires: datetime,
        **content: object,
    ) -> Made:
        link, now = links.new_link(), self.clock.now()
        message = await repo.insert_message(
            tx,
            organisation,
            kind=kind.value,
            mailbox=mailbox,
            outgoing=outgoing,
            seq=seq,
            trace=trace,
            lookup=link.lookup,
            verifier_hash=links.verifier_hash(link.verifier),
            level=level.value,
            at=now,
            expires=expires,
            details=await self.seals.seal_details(tx, organisation, link.lookup, details),
            **content,
        )
        await repo.insert_event(tx, organisation, message, at=now, what=What.MADE, details=None)
        event = SecureMessageMade(message=message, trace=trace, mailbox=mailbox, level=level.value)
        await self.record_.audit.record(tx, actor, event)
        return Made(message, f"{self.policy.url}/m/{links.link_text(link)}", expires)

    async def _records(
        self, tx: Transaction, organisation: OrganisationId, rows: Sequence[repo.MessageRow]
    ) -> list[RecipientRecord]:
        happened = await self.record_.happened(tx, organisation, [row.id for row in rows])
        now = self.clock.now()
        return [
            RecipientRecord(
                id=row.id,
                seq=row.seq,
                address=(await self.seals.open_details(tx, organisation, row.lookup, row.details)).address,
                level=row.level,
                state=State.EXPIRED if row.state is State.OPEN and row.expires_at <= now else row.state,
                expires_at=row.expires_at,
                frozen=row.frozen_until is not None and now < row.frozen_until,
                replies=row.replies,
                happened=tuple(happened[row.id]),
            )
            for row in rows
        ]

    def _until(self, wanted: datetime | None) -> datetime:
        now = self.clock.now()
        until = wanted or now + self.policy.expires_after
        if not now < until <= now + self.policy.expires_max:
            raise Malformed(f"A secure message can be kept open for at most {self.policy.expires_max.days} days.")
        return until


def agreed_words(level: Level, agreed: Agreed) -> str:
    """What a notice says will be asked for besides the code."""
    if level is not Level.AGREED:
        return "a code that we send to your mobile telephone" if level is Level.STRONG else ""
    return "your date of birth" if agreed is Agreed.BIRTH else "the words that were agreed with you"


def _salt() -> bytes:
    return secrets.token_bytes(SALT_BYTES)
