"""Signatures and templates kept (R164): the organisation's by a local administrator, a mailbox's by who sends from it.

Promises
    The words are sealed to the organisation; a version is bound to its place, and the record says who changed it.
    Of the organisation's every version is kept: what stood under a letter last year can be shown.
    Whoever may send from a mailbox may use and change its words; everybody of the organisation may use its own.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

import msgspec

from carepost.audit.events_writing import UndoChosen, WordingChanged, WordingRemoved
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.clock import Clock
from carepost.base.errors import Malformed, NotAllowed, NotPossible
from carepost.base.ids import MailboxId, OrganisationId, PersonId
from carepost.directory import repo_wording as repo
from carepost.directory.access import OnMailbox, OnOrganisation, OnPerson, Verb
from carepost.directory.model import MailboxKind, MailboxRecord
from carepost.directory.repo_wording import WordingRow
from carepost.directory.service import Directory
from carepost.directory.wording_model import Filling, Wording, WordingKind, WordingPolicy, checked
from carepost.infra.db import Database, Transaction

_CONTEXT = "wording.sealed"
# Numbers are drawn, so that they say nothing about how many there are; 18 digits at most, as a form may bring.
_NUMBER_BITS = 59


class SealsColumns(Protocol):
    """The keystore, as this area needs it."""

    async def seal_column(
        self, tx: Transaction, organisation: OrganisationId, *, context: str, row: str, plaintext: bytes
    ) -> bytes: ...

    async def open_column(
        self, tx: Transaction, organisation: OrganisationId, *, context: str, row: str, sealed: bytes
    ) -> bytes: ...


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    """New fields go at the end, with a default: old rows are stored."""

    name: str
    text: str


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Sealed)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose words: a mailbox's, or (None) the organisation's."""

    organisation: OrganisationId
    mailbox: MailboxId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wordings:
    db: Database
    directory: Directory
    seals: SealsColumns
    audit: AuditTrail
    clock: Clock
    policy: WordingPolicy = field(default_factory=WordingPolicy)

    async def signatures(self, actor: Actor, owner: Owner) -> tuple[Wording | None, Wording | None]:
        """The organisation's signature and the mailbox's own lines, as kept. Raises NotAllowed."""
        await self._may_use(actor, owner)
        async with self.db.transaction(owner.organisation) as tx:
            general = await self._all(tx, Owner(owner.organisation), WordingKind.SIGNATURE)
            own = await self._all(tx, owner, WordingKind.SIGNATURE) if owner.mailbox is not None else []
        return (general[0] if general else None), (own[0] if own else None)

    async def templates(self, actor: Actor, owner: Owner) -> list[Wording]:
        """By name. Raises NotAllowed."""
        await self._may_use(actor, owner)
        async with self.db.transaction(owner.organisation) as tx:
            return await self._all(tx, owner, WordingKind.TEMPLATE)

    async def to_choose_from(self, actor: Actor, owners: Sequence[Owner]) -> list[Wording]:
        """The templates of all these, in this order, each by name. Raises NotAllowed."""
        for owner in owners:
            await self._may_use(actor, owner)
        found: list[Wording] = []
        async with self.db.transaction(owners[0].organisation) as tx:
            for owner in owners:
                found += await self._all(tx, owner, WordingKind.TEMPLATE)
        return found

    async def get(self, actor: Actor, organisation: OrganisationId, wording: int) -> Wording:
        """One to use. Raises NotAllowed; NotPossible when there is none."""
        async with self.db.transaction(organisation) as tx:
            row = await repo.get(tx, organisation, wording)
            found = await self._opened(tx, organisation, row) if row is not None else None
        if found is None:
            raise NotPossible("There is no such text any more: somebody has removed it.")
        await self._may_use(actor, Owner(organisation, found.mailbox))
        return found

    async def keep(
        self,
        actor: Actor,
        owner: Owner,
        kind: WordingKind,
        *,
        text: str,
        name: str = "",
        allows_own: bool = True,
        wording: int | None = None,
    ) -> Wording:
        """A new text, or a new version of `wording`; a signature always takes the place of the one there was.

        Raises NotAllowed, Malformed (with what to mend), NotPossible when there are too many or it is gone.
        """
        await self._may_change(actor, owner)
        whose = "mailbox" if owner.mailbox is not None else "organisation"
        name, text = checked(kind, name, text, whose=whose, policy=self.policy)
        async with self.db.transaction(owner.organisation) as tx:
            await repo.lock(tx, owner.organisation, owner.mailbox)
            id_, version = await self._next(tx, owner, kind, wording)
            sealed = await self.seals.seal_column(
                tx, owner.organisation, context=_CONTEXT, row=_place(id_, version), plaintext=_packed(name, text)
            )
            row = WordingRow(
                id=id_,
                version=version,
                kind=kind,
                mailbox=owner.mailbox,
                allows_own=allows_own,
                sealed=sealed,
                changed_by=actor.person,
                changed_at=self.clock.now(),
            )
            await repo.insert(tx, owner.organisation, row)
            event = WordingChanged(wording=id_, version=version, kind=kind.value, mailbox=owner.mailbox)
            await self.audit.record(tx, actor, event)
        return _wording(row, _Sealed(name, text))

    async def remove(self, actor: Actor, owner: Owner, wording: int) -> None:
        """Raises NotAllowed; NotPossible when it is not there, or another's."""
        await self._may_change(actor, owner)
        async with self.db.transaction(owner.organisation) as tx:
            await repo.lock(tx, owner.organisation, owner.mailbox)
            row = await repo.get(tx, owner.organisation, wording)
            if row is None or row.mailbox != owner.mailbox:
                raise NotPossible("There is no such text any more: somebody has removed it.")
            await repo.retire(tx, owner.organisation, wording)
            event = WordingRemoved(wording=wording, kind=row.kind.value, mailbox=owner.mailbox)
            await self.audit.record(tx, actor, event)

    async def filling(
        self, organisation: OrganisationId, person: PersonId, mailbox: MailboxRecord, day: str
    ) -> Filling:
        """What the blanks of a text are filled with that is sent from `mailbox`, as the directory has it now."""
        found = await self.directory.organisation(organisation)
        who = await self.directory.person(organisation, person)
        own = mailbox.kind is MailboxKind.PERSONAL and who is not None
        return Filling(
            name=who.name if own and who else mailbox.display_name,
            role=who.job_title if own and who else "",
            practice=found.name if found else "",
            address=str(mailbox.address),
            today=day,
        )

    # --- how long a person may undo (R148) ----------------------------------------------------------------------------

    async def undo_seconds(self, organisation: OrganisationId, person: PersonId) -> int | None:
        """What they have chosen; None: as the service has it."""
        async with self.db.transaction(organisation) as tx:
            return await repo.undo_seconds(tx, organisation, person)

    async def choose_undo(self, actor: Actor, seconds: int | None, *, longest: timedelta) -> None:
        """Raises NotAllowed; Malformed past the longest."""
        if actor.person is None or actor.organisation is None:
            raise NotAllowed("Sign in to choose how long you may undo.")
        await self.directory.require(actor, Verb.OWN_ACCOUNT, OnPerson(actor.person, actor.organisation))
        if seconds is not None and not 0 <= seconds <= longest.total_seconds():
            raise Malformed(f"Choose a number of seconds from 0 to {longest.total_seconds():.0f}.")
        async with self.db.transaction(actor.organisation) as tx:
            await repo.choose_undo(tx, actor.organisation, actor.person, seconds)
            await self.audit.record(tx, actor, UndoChosen(seconds=seconds))

    # --- within -------------------------------------------------------------------------------------------------------

    async def _may_use(self, actor: Actor, owner: Owner) -> None:
        if owner.mailbox is None:
            await self.directory.require(actor, Verb.ORGANISATION_READ, OnOrganisation(owner.organisation))
        else:
            await self.directory.require(actor, Verb.MAILBOX_SEND, OnMailbox(owner.mailbox, owner.organisation))

    async def _may_change(self, actor: Actor, owner: Owner) -> None:
        if owner.mailbox is None:
            await self.directory.require(actor, Verb.WORDING_EDIT, OnOrganisation(owner.organisation))
        else:
            await self.directory.require(actor, Verb.MAILBOX_SEND, OnMailbox(owner.mailbox, owner.organisation))

    async def _next(self, tx: Transaction, owner: Owner, kind: WordingKind, wording: int | None) -> tuple[int, int]:
        """Number and version of what is about to be written. The owner's words are locked."""
        row = await repo.get(tx, owner.organisation, wording) if wording is not None else None
        if wording is not None and (row is None or row.mailbox != owner.mailbox or row.kind is not kind):
            raise NotPossible("There is no such text any more: somebody has removed it.")
        if row is None and kind is WordingKind.SIGNATURE:
            row = next(iter(await repo.all_of(tx, owner.organisation, owner.mailbox, kind)), None)
        if row is not None:
            return row.id, row.version + 1
        if await repo.count(tx, owner.organisation, owner.mailbox, kind) >= self.policy.templates_max:
            raise NotPossible(f"There are {self.policy.templates_max} templates already. Remove one first.")
        return secrets.randbits(_NUMBER_BITS), 1

    async def _all(self, tx: Transaction, owner: Owner, kind: WordingKind) -> list[Wording]:
        rows = await repo.all_of(tx, owner.organisation, owner.mailbox, kind)
        found = [await self._opened(tx, owner.organisation, row) for row in rows]
        return sorted(found, key=lambda one: (one.name.casefold(), one.id))

    async def _opened(self, tx: Transaction, organisation: OrganisationId, row: WordingRow) -> Wording:
        plain = await self.seals.open_column(
            tx, organisation, context=_CONTEXT, row=_place(row.id, row.version), sealed=row.sealed
        )
        return _wording(row, _DECODER.decode(plain))


def _packed(name: str, text: str) -> bytes:
    return _ENCODER.encode(_Sealed(name, text))


def _place(wording: int, version: int) -> str:
    return f"{wording} {version}"


def _wording(row: WordingRow, opened: _Sealed) -> Wording:
    return Wording(
        id=row.id,
        kind=row.kind,
        mailbox=row.mailbox,
        name=opened.name,
        text=opened.text,
        allows_own=row.allows_own,
        version=row.version,
        changed_by=row.changed_by,
        changed_at=row.changed_at,
    )
