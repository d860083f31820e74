"""Shared mailboxes: created, closed, and who may open them. R50-R55.

Promises
    A shared mailbox has no password: it is opened by its members, each with their own account (R50).
    Who was made a member, by whom and when, is in the record; whoever is removed is out within seconds.
    Fewer than two owners who can act is allowed, and said (R54).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from carepost.audit.events import (
    AddressAdded,
    MailboxCreated,
    MailboxStatusChanged,
    MemberAdded,
    MemberRemoved,
)
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.address import EmailAddress
from carepost.base.clock import Clock
from carepost.base.errors import NotPossible
from carepost.base.ids import MailboxId, OrganisationId, PersonId
from carepost.directory import repo
from carepost.directory.access import OnMailbox, OnOrganisation, Verb
from carepost.directory.model import (
    MailboxKind,
    MailboxRecord,
    MailboxStatus,
    MemberRight,
    PersonStatus,
    RouteState,
)
from carepost.directory.naming import clean_display_name
from carepost.directory.organisations import KeyMint
from carepost.directory.people import address_taken, refuse_foreign_domain, refuse_if_closed
from carepost.directory.repo_correspondents import publish
from carepost.directory.revoking import Revoked, announce
from carepost.directory.service import Directory
from carepost.infra.db import Database, Transaction

_MAY_JOIN = frozenset({PersonStatus.INVITED, PersonStatus.ACTIVE})


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedMailboxPolicy:
    # R53: the national service's limits.
    members_max: int = 250
    owners_max: int = 100
    # R54: one on leave must not leave a mailbox without anybody who can add a colleague.
    owners_wanted: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipChange:
    """What stands after a change; `warnings` are sentences for whoever made it."""

    mailbox: MailboxId
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailboxes:
    db: Database
    audit: AuditTrail
    clock: Clock
    directory: Directory
    keys: KeyMint
    policy: SharedMailboxPolicy = field(default_factory=SharedMailboxPolicy)

    async def create_shared(
        self,
        actor: Actor,
        organisation: OrganisationId,
        *,
        address: EmailAddress,
        display_name: str,
        owners: Sequence[PersonId] = (),
        members: Sequence[PersonId] = (),
        not_for_urgent: bool = False,
    ) -> MembershipChange:
        """Raises NotAllowed, Malformed, NotPossible."""
        await self.directory.require(actor, Verb.MAILBOX_CREATE, OnOrganisation(organisation))
        name = clean_display_name(display_name)
        async with self.db.transaction(organisation) as tx:
            await refuse_if_closed(tx, organisation)
            await refuse_foreign_domain(tx, organisation, address.domain)
            mailbox = await repo.insert_mailbox(
                tx,
                organisation,
                kind=MailboxKind.SHARED,
                person=None,
                address=address,
                display_name=name,
                not_for_urgent=not_for_urgent,
                at=self.clock.now(),
            )
            if mailbox is None:
                raise address_taken(address)
            await self._insert_route(tx, organisation, address, mailbox, is_alias=False)
            public = await self.keys.mint_mailbox(tx, organisation, mailbox)
            await repo.set_intake_key(tx, organisation, mailbox, public)
            await publish(tx, organisation, mailbox)
            events = [MailboxCreated(mailbox=mailbox, kind=MailboxKind.SHARED.value)]
            wanted = {**dict.fromkeys(members, MemberRight.MEMBER), **dict.fromkeys(owners, MemberRight.OWNER)}
            joined = [await self._join(tx, organisation, mailbox, person, right) for person, right in wanted.items()]
            warnings = await self._check_counts(tx, organisation, mailbox)
            for event in [*events, *joined]:
                await self.audit.record(tx, actor, event)
        return MembershipChange(mailbox=mailbox, warnings=warnings)

    async def add_member(
        self,
        actor: Actor,
        organisation: OrganisationId,
        mailbox: MailboxId,
        person: PersonId,
        right: MemberRight = MemberRight.MEMBER,
    ) -> MembershipChange:
        """Also makes a member an owner and the reverse. Raises NotAllowed, NotPossible (also over the limits)."""
        await self.directory.require(actor, Verb.MAILBOX_MANAGE_MEMBERS, OnMailbox(mailbox, organisation))
        async with self.db.transaction(organisation) as tx:
            await self._lock_shared(tx, organisation, mailbox)
            event = await self._join(tx, organisation, mailbox, person, right)
            warnings = await self._check_counts(tx, organisation, mailbox)
            await self.audit.record(tx, actor, event)
        return MembershipChange(mailbox=mailbox, warnings=warnings)

    async def remove_member(
        self, actor: Actor, organisation: OrganisationId, mailbox: MailboxId, person: PersonId
    ) -> MembershipChange:
        """Raises NotAllowed; NotPossible when they are not a member."""
        await self.directory.require(actor, Verb.MAILBOX_MANAGE_MEMBERS, OnMailbox(mailbox, organisation))
        async with self.db.transaction(organisation) as tx:
            await self._lock_shared(tx, organisation, mailbox)
            right = await repo.member_right(tx, organisation, mailbox, person)
            if right is None:
                raise NotPossible("They are not a member of this mailbox.")
            await repo.delete_member(tx, organisation, mailbox, person)
            warnings = await self._check_counts(tx, organisation, mailbox)
            # Their open connections may have this mailbox selected: they reconnect without it.
            await announce(tx, Revoked(person=person))
            await self.audit.record(tx, actor, MemberRemoved(mailbox=mailbox, person=person, right=right.value))
        return MembershipChange(mailbox=mailbox, warnings=warnings)

    async def set_status(
        self,
        actor: Actor,
        organisation: OrganisationId,
        mailbox: MailboxId,
        status: MailboxStatus,
        *,
        reason: str,
    ) -> None:
        """Close a shared mailbox, or open it again. What it holds stays; mail to a closed one is refused."""
        await self.directory.require(actor, Verb.MAILBOX_CLOSE, OnMailbox(mailbox, organisation))
        async with self.db.transaction(organisation) as tx:
            record = await self._lock_shared(tx, organisation, mailbox)
            if record.status is status:
                raise NotPossible(f"This mailbox is {status.value} already.")
            await repo.set_mailbox_status(tx, organisation, mailbox, status)
            await publish(tx, organisation, mailbox)
            for member in await repo.members_of(tx, organisation, mailbox):
                await announce(tx, Revoked(person=member.person))
            event = MailboxStatusChanged(mailbox=mailbox, before=record.status.value, after=status.value, reason=reason)
            await self.audit.record(tx, actor, event)

    async def add_address(
        self, actor: Actor, organisation: OrganisationId, mailbox: MailboxId, address: EmailAddress
    ) -> None:
        """Another address for a shared mailbox. Raises NotPossible when it is or was somebody's (R14)."""
        await self.directory.require(actor, Verb.MAILBOX_CREATE, OnOrganisation(organisation))
        async with self.db.transaction(organisation) as tx:
            await self._lock_shared(tx, organisation, mailbox)
            await refuse_foreign_domain(tx, organisation, address.domain)
            await self._insert_route(tx, organisation, address, mailbox, is_alias=True)
            await publish(tx, organisation, mailbox)
            await self.audit.record(tx, actor, AddressAdded(mailbox=mailbox))

    async def _insert_route(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        address: EmailAddress,
        mailbox: MailboxId,
        *,
        is_alias: bool,
    ) -> None:
        done = await repo.insert_route(
            tx,
            organisation,
            address,
            mailbox,
            kind=MailboxKind.SHARED,
            state=RouteState.ACCEPTING,
            is_alias=is_alias,
        )
        if not done:
            raise address_taken(address)

    async def _lock_shared(self, tx: Transaction, organisation: OrganisationId, mailbox: MailboxId) -> MailboxRecord:
        record = await repo.mailbox(tx, organisation, mailbox, lock=True)
        if record is None or record.kind is not MailboxKind.SHARED:
            raise NotPossible("There is no such shared mailbox.")
        return record

    async def _join(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        mailbox: MailboxId,
        person: PersonId,
        right: MemberRight,
    ) -> MemberAdded:
        row = await repo.lock_person(tx, organisation, person)
        if row is None or row.status not in _MAY_JOIN:
            raise NotPossible("There is no such person in this organisation, or they cannot sign in.")
        before = await repo.member_right(tx, organisation, mailbox, person)
        if before is right:
            raise NotPossible(f"They are {'an owner' if right is MemberRight.OWNER else 'a member'} already.")
        await repo.set_member(tx, organisation, mailbox, person, right, at=self.clock.now())
        return MemberAdded(
            mailbox=mailbox, person=person, right=right.value, before=None if before is None else before.value
        )

    async def _check_counts(self, tx: Transaction, organisation: OrganisationId, mailbox: MailboxId) -> tuple[str, ...]:
        counts = await repo.member_counts(tx, organisation, mailbox)
        if counts.members > self.policy.members_max:
            raise NotPossible(f"A shared mailbox has at most {self.policy.members_max} members.")
        if counts.owners > self.policy.owners_max:
            raise NotPossible(f"A shared mailbox has at most {self.policy.owners_max} owners.")
        if counts.active_owners >= self.policy.owners_wanted:
            return ()
        owners = "1 active owner" if counts.active_owners == 1 else f"{counts.active_owners} active owners"
        wanted = self.policy.owners_wanted
        return (f"This mailbox has {owners}; it should have at least {wanted}. Please add another.",)
