"""Automatic replies: what a mailbox answers by itself, to whom, and from when until when. R60, R61, R163.

Promises
    Outside texts are apart from inside ones, and off for a person's own mailbox until they switch them on (R163).
    A shared mailbox's reply always says whom to telephone when it is urgent: it cannot be saved without (R60).
    Texts are sealed to the organisation. Whoever changed them is in the record.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from carepost.audit.events_automatic import AutoreplySet
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.address import EmailAddress
from carepost.base.clock import Clock
from carepost.base.errors import Malformed, NotPossible
from carepost.base.ids import MailboxId, OrganisationId
from carepost.directory import repo_automatic as repo
from carepost.directory.access import OnMailbox, Verb
from carepost.directory.correspondents_model import MailboxPlace
from carepost.directory.model import MailboxKind
from carepost.directory.service import Directory
from carepost.infra.db import Database, Transaction
from carepost.infra.vault import EdgeKey

_CONTEXT = "autoreply.details"
_TELEPHONE = re.compile(r"\+?[0-9][0-9 ()/-]{1,28}[0-9]")
# 999, 111: the shortest that one can ring.
_DIGITS_MIN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoreplyPolicy:
    # R60: one reply a sender a day.
    again_after: timedelta = timedelta(hours=24)
    # So many senders an hour are answered: more is an attack, or a list that does not say so.
    an_hour: int = 500
    text_max: int = 5_000
    subject_max: int = 150
    days_max: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoreply:
    """What is answered. `inside`: to our own people; `outside`: to everybody else; empty: nothing to those."""

    is_on: bool = False
    inside: str = ""
    outside: str = ""
    to_outside: bool = False  # R163: off for a person's own mailbox
    subject: str = "Automatic reply"
    telephone: str = ""  # R60: whom to ring when it is urgent
    chase_days: int | None = None  # R61: working days of silence after which to ring
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def is_on_at(self, at: datetime) -> bool:
        begun = self.starts_at is None or self.starts_at <= at
        return self.is_on and begun and (self.ends_at is None or at < self.ends_at)

    def text_for(self, *, inside: bool) -> str | None:
        """What one of them is answered; None: nothing."""
        written = self.inside if inside else self.outside if self.to_outside else ""
        if not written.strip() and not (self.telephone and (inside or self.to_outside)):
            return None
        return "\n\n".join(part for part in (written.strip(), *self._lines()) if part) + "\n"

    def _lines(self) -> list[str]:
        """The lines that nobody has to remember to write."""
        lines = []
        if self.telephone:
            # Two lines, so that no mail program breaks the number.
            lines.append(f"This mailbox is not for urgent clinical advice.\nIf it is urgent, call {self.telephone}.")
        if self.telephone and self.chase_days:
            days = "1 working day" if self.chase_days == 1 else f"{self.chase_days} working days"
            lines.append(f"If you have heard nothing in {days}, ring {self.telephone}.")
        return lines


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    """New fields go at the end, with a default: old rows are stored."""

    inside: str
    outside: str
    to_outside: bool
    subject: str
    telephone: str
    chase_days: int | None


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Sealed)


class SealsColumns(Protocol):
    """Seals to an organisation, and opens. The keystore does."""

    async def seal_column(
        self, tx: Transaction, organisation: OrganisationId, *, context: str, row: str, plaintext: bytes
    ) -> bytes: ...

    async def open_column(
        self, tx: Transaction, organisation: OrganisationId, *, context: str, row: str, sealed: bytes
    ) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoreplies:
    db: Database
    directory: Directory
    keys: SealsColumns
    edge: EdgeKey
    audit: AuditTrail
    clock: Clock
    policy: AutoreplyPolicy = field(default_factory=AutoreplyPolicy)

    async def get(self, actor: Actor, mailbox: MailboxPlace) -> Autoreply:
        """As it is set. Raises NotAllowed."""
        await self.directory.require(actor, Verb.MAILBOX_AUTOREPLY, OnMailbox(mailbox.id, mailbox.organisation))
        async with self.db.transaction(mailbox.organisation) as tx:
            return await self.of(tx, mailbox) or Autoreply()

    async def set(self, actor: Actor, mailbox: MailboxPlace, wanted: Autoreply) -> None:
        """Raises NotAllowed; Malformed, with words, when something that must be there is not."""
        await self.directory.require(actor, Verb.MAILBOX_AUTOREPLY, OnMailbox(mailbox.id, mailbox.organisation))
        found = await self.directory.mailbox(mailbox.organisation, mailbox.id)
        if found is None:
            raise NotPossible("There is no such mailbox.")
        refuse_unfit(wanted, found.kind, self.policy)
        sealed = _Sealed(
            wanted.inside, wanted.outside, wanted.to_outside, wanted.subject, wanted.telephone, wanted.chase_days
        )
        async with self.db.transaction(mailbox.organisation) as tx:
            details = await self.keys.seal_column(
                tx,
                mailbox.organisation,
                context=_CONTEXT,
                row=str(mailbox.id),
                plaintext=_ENCODER.encode(sealed),
            )
            await repo.set_autoreply(
                tx,
                mailbox.organisation,
                mailbox.id,
                is_on=wanted.is_on,
                starts_at=wanted.starts_at,
                ends_at=wanted.ends_at,
                at=self.clock.now(),
                details=details,
            )
            event = AutoreplySet(mailbox=mailbox.id, on=wanted.is_on, outside=wanted.to_outside)
            await self.audit.record(tx, actor, event)

    async def on(self, organisation: OrganisationId, mailboxes: Sequence[MailboxId]) -> frozenset[MailboxId]:
        """Which of these answer at this moment: a person has to see it while they read and write."""
        if not mailboxes:
            return frozenset()
        async with self.db.transaction(organisation) as tx:
            return await repo.autoreplies_on(tx, organisation, mailboxes, at=self.clock.now())

    # For whoever answers

    async def of(self, tx: Transaction, mailbox: MailboxPlace) -> Autoreply | None:
        row = await repo.autoreply(tx, mailbox.organisation, mailbox.id)
        if row is None:
            return None
        plain = await self.keys.open_column(
            tx, mailbox.organisation, context=_CONTEXT, row=str(mailbox.id), sealed=row.details
        )
        read = _DECODER.decode(plain)
        return Autoreply(
            is_on=row.is_on,
            inside=read.inside,
            outside=read.outside,
            to_outside=read.to_outside,
            subject=read.subject,
            telephone=read.telephone,
            chase_days=read.chase_days,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
        )

    async def own_addresses(self, tx: Transaction, mailbox: MailboxPlace) -> Sequence[EmailAddress]:
        """Every address that leads to the mailbox."""
        return await repo.own_addresses(tx, mailbox.organisation, mailbox.id)

    async def take_turn(self, tx: Transaction, mailbox: MailboxPlace, address: EmailAddress) -> bool:
        """Whether they may be answered now; if so it is noted, and they may not for a day. R60."""
        now = self.clock.now()
        hour = await repo.told_since(tx, mailbox.organisation, mailbox.id, since=now - timedelta(hours=1))
        if hour >= self.policy.an_hour:
            return False
        token = self.edge.token(mailbox.organisation, "autoreply", f"{int(mailbox.id)} {address.key}")
        return await repo.tell_once(
            tx,
            mailbox.organisation,
            mailbox.id,
            token,
            at=now,
            again_before=now - self.policy.again_after,
        )

    async def forget(self, organisation: OrganisationId) -> int:
        """Drop notes of answers that bind nobody any more. A chore; returns how many went."""
        async with self.db.transaction(organisation) as tx:
            return await repo.forget_told(tx, organisation, before=self.clock.now() - self.policy.again_after)


def refuse_unfit(wanted: Autoreply, kind: MailboxKind, policy: AutoreplyPolicy) -> None:
    """PURE. Raise Malformed, with words for whoever wrote it, unless it may be used."""
    if len(wanted.inside) > policy.text_max or len(wanted.outside) > policy.text_max:
        raise Malformed(f"A text may have at most {policy.text_max:,} characters.")
    if not wanted.subject.strip() or len(wanted.subject) > policy.subject_max:
        raise Malformed(f"Give it a subject of at most {policy.subject_max} characters.")
    if wanted.starts_at and wanted.ends_at and wanted.starts_at >= wanted.ends_at:
        raise Malformed("It would end before it begins. Check the two times.")
    if wanted.telephone and not is_telephone(wanted.telephone):
        raise Malformed(f"“{wanted.telephone[:40]}” is not a telephone number. Use digits and spaces.")
    if wanted.chase_days is not None and not 1 <= wanted.chase_days <= policy.days_max:
        raise Malformed(f"Say after how many working days to ring: 1 to {policy.days_max}.")
    if wanted.chase_days is not None and not wanted.telephone:
        raise Malformed("Give the telephone number to ring.")
    if not wanted.is_on:
        return
    if kind is MailboxKind.SHARED and not wanted.telephone:
        raise Malformed(
            "Give the telephone number for urgent clinical advice. Senders are told to call it: this mailbox is not "
            "read at every hour."
        )
    if wanted.text_for(inside=True) is None and wanted.text_for(inside=False) is None:
        raise Malformed("Write what is to be answered.")


def is_telephone(text: str) -> bool:
    return bool(_TELEPHONE.fullmatch(text) or text.isdigit()) and sum(c.isdigit() for c in text) >= _DIGITS_MIN
