"""People: created, activated, changed, and the roles they hold.

Promises
    A person is created with a mailbox, its keys and an address, in one transaction, or not at all.
    Until they have accepted the policy and set a second factor, mail to them is refused with a reason (R15).
    When somebody may no longer sign in, everything they hold open is closed within seconds (R99).
    An address that was somebody's is never given to anybody else (R14).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import assert_never

from carepost.audit.events import (
    MailboxCreated,
    MailClientsAllowed,
    PersonCreated,
    PersonStatusChanged,
    RoleGranted,
    RoleRevoked,
)
from carepost.audit.model import Actor, ActorKind
from carepost.audit.record import AuditTrail
from carepost.base.address import Domain, EmailAddress
from carepost.base.clock import Clock
from carepost.base.errors import Malformed, NotAllowed, NotPossible
from carepost.base.ids import MailboxId, OrganisationId, PersonId
from carepost.directory import repo
from carepost.directory.access import OnOrganisation, OnPerson, Verb
from carepost.directory.model import (
    MailboxKind,
    OrganisationStatus,
    Person,
    PersonStatus,
    Role,
    RouteState,
)
from carepost.directory.naming import clean_person_name, local_base, suggest_local
from carepost.directory.organisations import KeyMint
from carepost.directory.repo import Likeness
from carepost.directory.repo_correspondents import publish, publish_person
from carepost.directory.revoking import Revoked, announce, end_everything
from carepost.directory.service import Directory
from carepost.infra.db import Database, Transaction

_P = PersonStatus
# R17. What may follow what; anything absent is refused. Deletion for good comes with retention.
NEXT: Mapping[PersonStatus, frozenset[PersonStatus]] = MappingProxyType(
    {
        _P.INVITED: frozenset({_P.ACTIVE, _P.INACTIVE, _P.DISABLED, _P.DELETED}),
        _P.ACTIVE: frozenset({_P.INACTIVE, _P.LEAVER, _P.LOCKED, _P.DISABLED, _P.DELETED}),
        _P.INACTIVE: frozenset({_P.INVITED, _P.ACTIVE, _P.DISABLED, _P.DELETED}),
        _P.LEAVER: frozenset({_P.ACTIVE, _P.INACTIVE, _P.DISABLED, _P.DELETED}),
        _P.LOCKED: frozenset({_P.ACTIVE, _P.DISABLED, _P.DELETED}),
        _P.DISABLED: frozenset({_P.ACTIVE, _P.DELETED}),
        _P.DELETED: frozenset({_P.DISABLED}),
    }
)
# R40: these a primary local administrator may give within their organisation.
LOCALLY_GRANTED = frozenset({Role.LOCAL_HELPDESK, Role.LOCAL_ADMINISTRATOR, Role.PRIMARY_LOCAL_ADMINISTRATOR})


class PossibleDuplicate(NotPossible):
    """Somebody like them exists (R11). `likenesses` says who, for a page that asks for a reason to go on."""

    def __init__(self, likenesses: list[Likeness]) -> None:
        names = "; ".join(f"{like.name} ({like.address or like.job_title or 'no address'})" for like in likenesses)
        super().__init__(
            f"This may be somebody who has an account already: {names}. If it is not, give the reason and go on."
        )
        self.likenesses = likenesses


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPerson:
    """What is asked for when a person is created. Without an `address` one is made from the name (R13)."""

    given_name: str
    family_name: str
    domain: Domain
    title: str = ""
    job_title: str = ""
    mobile: str | None = None
    registration_number: str | None = None
    address: EmailAddress | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    db: Database
    audit: AuditTrail
    clock: Clock
    directory: Directory
    keys: KeyMint

    async def suggest_address(self, given_name: str, family_name: str, domain: Domain) -> EmailAddress:
        """The address that `create` would choose now."""
        async with self.db.transaction() as tx:
            return await self._suggest(tx, given_name, family_name, domain)

    async def create(
        self, actor: Actor, organisation: OrganisationId, new: NewPerson, *, override_reason: str | None = None
    ) -> Person:
        """An invited person. Raises NotAllowed, Malformed, NotPossible; PossibleDuplicate unless a reason is given."""
        await self.directory.require(actor, Verb.PERSON_CREATE, OnOrganisation(organisation))
        columns = _columns(new)
        async with self.db.transaction(organisation) as tx:
            await refuse_if_closed(tx, organisation)
            likenesses = await repo.people_like(tx, organisation, columns)
            if likenesses and not (override_reason and override_reason.strip()):
                raise PossibleDuplicate(likenesses)
            address = new.address or await self._suggest(tx, new.given_name, new.family_name, new.domain)
            await refuse_foreign_domain(tx, organisation, address.domain)
            person = await repo.insert_person(tx, organisation, columns, at=self.clock.now())
            name = f"{columns['given_name']} {columns['family_name']}"
            mailbox = await self._mailbox(tx, organisation, person, address, display_name=name)
            created = await repo.person(tx, organisation, person)
            await self.audit.record(tx, actor, MailboxCreated(mailbox=mailbox, kind=MailboxKind.PERSONAL.value))
            reason = override_reason if likenesses else None
            await self.audit.record(tx, actor, PersonCreated(person=person, mailbox=mailbox, duplicate_override=reason))
        if created is None:
            raise NotPossible("The person was not created.")
        return created

    async def _mailbox(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        person: PersonId,
        address: EmailAddress,
        *,
        display_name: str,
    ) -> MailboxId:
        """Their mailbox, its keys and its address, which takes no mail yet. Raises NotPossible when it is taken."""
        mailbox = await repo.insert_mailbox(
            tx,
            organisation,
            kind=MailboxKind.PERSONAL,
            person=person,
            address=address,
            display_name=display_name,
            not_for_urgent=False,
            at=self.clock.now(),
        )
        if mailbox is None or not await repo.insert_route(
            tx, organisation, address, mailbox, kind=MailboxKind.PERSONAL, state=RouteState.PENDING, is_alias=False
        ):
            raise address_taken(address)
        public = await self.keys.mint_mailbox(tx, organisation, mailbox)
        await repo.set_intake_key(tx, organisation, mailbox, public)
        await publish(tx, organisation, mailbox)
        return mailbox

    async def set_status(
        self, actor: Actor, organisation: OrganisationId, person: PersonId, status: PersonStatus, *, reason: str
    ) -> None:
        """Change a person's status as NEXT allows. Raises NotAllowed, NotPossible.

        An invited person becomes active by themselves; only the operator may do it for them, for a demonstration.
        """
        await self.directory.require_over(actor, Verb.PERSON_SET_STATUS, OnPerson(person, organisation))
        async with self.db.transaction(organisation) as tx:
            row = await repo.lock_person(tx, organisation, person)
            if row is None:
                raise NotPossible("There is no such person in this organisation.")
            if status not in NEXT[row.status]:
                raise NotPossible(f"A person who is {row.status.value} cannot become {status.value}.")
            unready = row.acceptance_at is None or row.second_factor_at is None
            if status is _P.ACTIVE and unready and actor.kind is not ActorKind.ADMINISTRATOR:
                raise NotAllowed(
                    "They become active when they have accepted the acceptable use policy and set a second factor."
                )
            if status in {_P.LEAVER, _P.DELETED}:
                await self._keep_one_primary(tx, organisation, person, Role.PRIMARY_LOCAL_ADMINISTRATOR)
            await self._change(
                tx, actor, organisation, person, before=row.status, after=status, unready=unready, reason=reason
            )

    async def note_acceptance(
        self, tx: Transaction, actor: Actor, organisation: OrganisationId, person: PersonId
    ) -> None:
        """The policy was accepted: the last step for some. Called in the transaction that keeps the acceptance."""
        await repo.note_acceptance(tx, organisation, person, at=self.clock.now())
        await self._activate_if_ready(tx, actor, organisation, person)

    async def note_second_factor(
        self, tx: Transaction, actor: Actor, organisation: OrganisationId, person: PersonId
    ) -> None:
        """A second factor was set. Called in the transaction that keeps it."""
        await repo.note_second_factor(tx, organisation, person, at=self.clock.now())
        await self._activate_if_ready(tx, actor, organisation, person)

    async def grant_role(self, actor: Actor, organisation: OrganisationId, person: PersonId, role: Role) -> None:
        """Raises NotAllowed; NotPossible when they are not there or have it already."""
        verb = Verb.ROLE_GRANT_LOCAL if role in LOCALLY_GRANTED else Verb.ROLE_GRANT_ANY
        await self.directory.require(actor, verb, OnOrganisation(organisation))
        async with self.db.transaction(organisation) as tx:
            if await repo.lock_person(tx, organisation, person) is None:
                raise NotPossible("There is no such person in this organisation.")
            if not await repo.grant_role(tx, organisation, person, role, at=self.clock.now()):
                raise NotPossible(f"They are {role.value} already.")
            await self.audit.record(tx, actor, RoleGranted(person=person, role=role.value))

    async def revoke_role(self, actor: Actor, organisation: OrganisationId, person: PersonId, role: Role) -> None:
        """Raises NotAllowed; NotPossible when they have no such role or are the last primary administrator (R40)."""
        verb = Verb.ROLE_GRANT_LOCAL if role in LOCALLY_GRANTED else Verb.ROLE_GRANT_ANY
        await self.directory.require(actor, verb, OnOrganisation(organisation))
        async with self.db.transaction(organisation) as tx:
            await self._keep_one_primary(tx, organisation, person, role)
            if not await repo.revoke_role(tx, organisation, person, role):
                raise NotPossible(f"They are not {role.value}.")
            await self.audit.record(tx, actor, RoleRevoked(person=person, role=role.value))

    async def allow_mail_clients(
        self, actor: Actor, organisation: OrganisationId, person: PersonId, *, allowed: bool
    ) -> None:
        """Whether they may use mail clients, with app passwords (R193). Off closes those that are open."""
        await self.directory.require(actor, Verb.PERSON_ALLOW_MAIL_CLIENTS, OnPerson(person, organisation))
        async with self.db.transaction(organisation) as tx:
            if not await repo.allow_mail_clients(tx, organisation, person, allowed=allowed):
                raise NotPossible("There is no such person in this organisation.")
            if not allowed:
                await announce(tx, Revoked(person=person))
            await self.audit.record(tx, actor, MailClientsAllowed(person=person, allowed=allowed))

    async def _suggest(self, tx: Transaction, given_name: str, family_name: str, domain: Domain) -> EmailAddress:
        taken = await repo.locals_taken(tx, local_base(given_name, family_name))
        return EmailAddress(suggest_local(given_name, family_name, taken), domain)

    async def _activate_if_ready(
        self, tx: Transaction, actor: Actor, organisation: OrganisationId, person: PersonId
    ) -> None:
        row = await repo.lock_person(tx, organisation, person)
        if row is None or row.status is not _P.INVITED:
            return
        if row.acceptance_at is not None and row.second_factor_at is not None:
            reason = "policy accepted and second factor set"
            await self._change(
                tx, actor, organisation, person, before=row.status, after=_P.ACTIVE, unready=False, reason=reason
            )

    async def _change(
        self,
        tx: Transaction,
        actor: Actor,
        organisation: OrganisationId,
        person: PersonId,
        *,
        before: PersonStatus,
        after: PersonStatus,
        unready: bool,
        reason: str,
    ) -> None:
        now = self.clock.now()
        await repo.set_person_status(tx, organisation, person, after, at=now)
        await repo.set_routes_of_person(tx, organisation, person, route_state(after, unready=unready))
        await publish_person(tx, organisation, person)
        if not (before is _P.INVITED and after is _P.ACTIVE):
            await end_everything(tx, organisation, person, at=now)
        event = PersonStatusChanged(person=person, before=before.value, after=after.value, reason=reason)
        await self.audit.record(tx, actor, event)

    async def _keep_one_primary(
        self, tx: Transaction, organisation: OrganisationId, person: PersonId, role: Role
    ) -> None:
        if role is not Role.PRIMARY_LOCAL_ADMINISTRATOR:
            return
        # Held until the end, so that two administrators cannot remove each other at once.
        await repo.lock_roles(tx, organisation)
        if (
            role in await repo.roles_of(tx, organisation, person)
            and await repo.holders_of_role(tx, organisation, role) <= 1
        ):
            raise NotPossible("They are the last primary local administrator here. Appoint another one first.")


def route_state(status: PersonStatus, *, unready: bool) -> RouteState:
    """Whether mail is taken. A locked or inactive person's mail is: they will be back for it."""
    match status:
        case PersonStatus.INVITED:
            return RouteState.PENDING
        case PersonStatus.INACTIVE:
            return RouteState.PENDING if unready else RouteState.ACCEPTING
        case PersonStatus.ACTIVE | PersonStatus.LEAVER | PersonStatus.LOCKED:
            return RouteState.ACCEPTING
        case PersonStatus.DISABLED | PersonStatus.DELETED:
            return RouteState.CLOSED
        case _:
            assert_never(status)


async def refuse_if_closed(tx: Transaction, organisation: OrganisationId) -> None:
    """Raise NotPossible unless the organisation is open; it stays so to the end of the transaction (R3)."""
    match await repo.lock_organisation(tx, organisation):
        case OrganisationStatus.OPEN:
            return
        case OrganisationStatus.CLOSED:
            raise NotPossible("This organisation is closed: nothing new can be created in it.")
        case None:
            raise NotPossible("There is no such organisation.")


async def refuse_foreign_domain(tx: Transaction, organisation: OrganisationId, domain: Domain) -> None:
    """Raise NotPossible unless the organisation may have addresses in the domain."""
    if not await repo.may_use_domain(tx, organisation, domain):
        raise NotPossible(f"{domain} is not a mail domain of this organisation.")


def address_taken(address: EmailAddress) -> NotPossible:
    """What to raise when somebody has, or had, the address (R14)."""
    return NotPossible(f"The address {address} is taken, or was somebody's before.")


def _columns(new: NewPerson) -> dict[str, str | None]:
    if len(new.title) > 30 or len(new.job_title) > 100:
        raise Malformed("The title has at most 30 characters, the job title at most 100.")
    return {
        "given_name": clean_person_name(new.given_name, which="first name"),
        "family_name": clean_person_name(new.family_name, which="last name"),
        "title": " ".join(new.title.split()),
        "job_title": " ".join(new.job_title.split()),
        "mobile": new.mobile,
        "registration_number": new.registration_number,
    }
