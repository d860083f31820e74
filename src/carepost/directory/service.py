"""The directory as everyone else asks it: where does this address go, who is this, what may they open?

Promises
    Looking changes nothing and needs no key: the role that faces port 25 may call `route`, `own_domains`, `is_secure`.
    Answers about a person's rights are never cached: a right taken away is gone at the next question (ASVS 8.3.1).
    Domains and the register may be as much as `LookupPolicy.register_age` old.

The verbs that change things are in organisations.py, people.py and mailboxes.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from carepost.audit.model import Actor, ActorKind
from carepost.base.address import Domain, EmailAddress
from carepost.base.clock import Clock
from carepost.base.errors import NotAllowed
from carepost.base.ids import MailboxId, OrganisationId, PersonId
from carepost.directory import repo, repo_rules
from carepost.directory.access import AccessRights, OnPerson, Thing, Verb, authorize, outranks
from carepost.directory.duties import Duties
from carepost.directory.model import (
    Found,
    MailboxAccess,
    MailboxKind,
    MailboxRecord,
    Member,
    Organisation,
    Person,
    Route,
    SecureDomain,
    SecureVerdict,
    TlsException,
    Unknown,
)
from carepost.directory.register import judge
from carepost.directory.routing import RoutingPolicy, choose, is_duty, keys_of
from carepost.infra.db import Database

_NOBODY = AccessRights(person=None, organisation=None, status=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupPolicy:
    # Domains and the register change a few times a year and are asked for with every message.
    register_age: timedelta = timedelta(seconds=5)
    routing: RoutingPolicy = field(default_factory=RoutingPolicy)


@dataclass(frozen=True, slots=True)
class _Register:
    read_at: datetime
    own: frozenset[Domain]
    secure: tuple[SecureDomain, ...]
    by_name: Mapping[str, SecureDomain]
    excused: Mapping[Domain, TlsException]

    def about(self, domain: Domain) -> list[SecureDomain]:
        """The entries that could cover a domain: its own and those of the domains above it, the nearest first."""
        labels = domain.name.split(".")
        names = (".".join(labels[number:]) for number in range(len(labels)))
        return [self.by_name[name] for name in names if name in self.by_name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    db: Database
    clock: Clock
    policy: LookupPolicy = field(default_factory=LookupPolicy)
    _duties: Duties = field(default_factory=Duties, init=False, compare=False, repr=False)
    _register: list[_Register] = field(default_factory=list, init=False, compare=False, repr=False)

    async def route(self, address: EmailAddress, *, from_outside: bool = True) -> Route:  # noqa: ARG002 - lists closed to outsiders arrive with lists
        """Where mail to `address` goes. One query; never a guess: raises TryLater when the database is away."""
        keys = keys_of(address, self.policy.routing)
        async with self.db.glance() as tx:
            ours, rows = await repo.route(tx, address.domain, keys)
        ours = ours or address.domain == self.policy.routing.hostname
        found = choose(address, keys, rows, ours=ours)
        if isinstance(found, Unknown) and ours and is_duty(address, self.policy.routing):
            async with self.db.transaction() as tx:
                holder = await self._duties.holder(tx, address.domain, now=self.clock.now())
            if holder is not None:
                return Found(address, holder[1], holder[0], MailboxKind.PERSONAL)
        return found

    async def own_domains(self) -> frozenset[Domain]:
        return (await self._read_register()).own

    async def is_secure(self, domain: Domain) -> SecureVerdict:
        """Whether mail to and from `domain` counts as staying inside, and why (R102)."""
        register, now = await self._read_register(), self.clock.now()
        verdict = judge(domain, own=register.own, entries=register.about(domain), now=now)
        excused = register.excused.get(domain)
        return replace(verdict, tls_exception=True) if excused is not None and now < excused.until else verdict

    async def register(self) -> tuple[SecureDomain, ...]:
        """Every entry of the register, for its page."""
        return (await self._read_register()).secure

    def forget_register(self) -> None:
        """It was changed here: the next question reads it anew."""
        self._register.clear()

    async def organisations(self) -> list[Organisation]:
        async with self.db.transaction() as tx:
            return await repo.organisations(tx)

    async def organisation(self, organisation: OrganisationId) -> Organisation | None:
        async with self.db.transaction() as tx:
            return await repo.organisation_by_id(tx, organisation)

    async def organisation_by_code(self, code: str) -> Organisation | None:
        async with self.db.transaction() as tx:
            return await repo.organisation_by_code(tx, code.strip().upper())

    async def person(self, organisation: OrganisationId, person: PersonId) -> Person | None:
        async with self.db.transaction(organisation) as tx:
            return await repo.person(tx, organisation, person)

    async def person_at(self, address: EmailAddress) -> Person | None:
        """Whose personal mailbox the address leads to, in whatever state they are."""
        keys = keys_of(address, RoutingPolicy(separator=""))
        async with self.db.transaction() as tx:
            _, rows = await repo.route(tx, address.domain, keys)
            if not rows:
                return None
            await tx.act_for(rows[0].organisation)
            return await repo.person_of_mailbox(tx, rows[0].organisation, rows[0].mailbox)

    async def people(
        self, organisation: OrganisationId, *, after: Person | None = None, limit: int = 100
    ) -> list[Person]:
        """A page of an organisation's people by family name, after the one given."""
        key = ("", "", 0) if after is None else (after.family_name, after.given_name, int(after.id))
        async with self.db.transaction(organisation) as tx:
            return await repo.people(tx, organisation, after=key, limit=limit)

    async def personal_names(self, organisation: OrganisationId) -> list[str]:
        """What an organisation's people are called, for noticing who imitates them (R140). The relay may ask."""
        async with self.db.transaction(organisation) as tx:
            return await repo.personal_names(tx, organisation)

    async def mailbox(self, organisation: OrganisationId, mailbox: MailboxId) -> MailboxRecord | None:
        async with self.db.transaction(organisation) as tx:
            return await repo.mailbox(tx, organisation, mailbox)

    async def mailbox_at(self, address: EmailAddress) -> MailboxRecord | None:
        """The mailbox that has this very address, open or closed."""
        async with self.db.transaction() as tx:
            _, rows = await repo.route(tx, address.domain, keys_of(address, RoutingPolicy(separator="")))
            if not rows:
                return None
            await tx.act_for(rows[0].organisation)
            return await repo.mailbox(tx, rows[0].organisation, rows[0].mailbox)

    async def administrators(self, organisation: OrganisationId) -> list[MailboxRecord]:
        """The mailboxes of those who administer an organisation, for its people's help page (R42)."""
        async with self.db.transaction(organisation) as tx:
            places = dict.fromkeys(mailbox for _, mailbox in await repo.administrators(tx, organisation))
            found = [await repo.mailbox(tx, organisation, mailbox) for mailbox in places]
        return [mailbox for mailbox in found if mailbox is not None]

    async def shared_mailboxes(self, organisation: OrganisationId) -> list[MailboxRecord]:
        async with self.db.transaction(organisation) as tx:
            return await repo.shared_mailboxes(tx, organisation)

    async def members_of(self, organisation: OrganisationId, mailbox: MailboxId) -> list[Member]:
        async with self.db.transaction(organisation) as tx:
            return await repo.members_of(tx, organisation, mailbox)

    async def mailboxes_of(self, organisation: OrganisationId, person: PersonId) -> list[MailboxAccess]:
        """What a person may open: their own mailbox first, then the shared ones by name."""
        async with self.db.transaction(organisation) as tx:
            return await repo.mailboxes_of(tx, organisation, person, at=self.clock.now())

    async def rights_of(self, organisation: OrganisationId, person: PersonId) -> AccessRights:
        """For `authorize`. Somebody who does not exist has no rights."""
        async with self.db.transaction(organisation) as tx:
            return await repo.rights_of(tx, organisation, person) or _NOBODY

    async def require(self, actor: Actor, verb: Verb, thing: Thing) -> None:
        """Ask `authorize` with the actor's rights as they are now. Raises NotAllowed.

        The operator at the command line is let through where the matrix says so; jobs and strangers nowhere.
        """
        authorize(await self._rights_of_actor(actor), verb, thing)

    async def require_over(self, actor: Actor, verb: Verb, thing: OnPerson) -> None:
        """As `require`, and the actor must outrank the person, or be them. Raises NotAllowed."""
        rights = await self._rights_of_actor(actor)
        authorize(rights, verb, thing)
        if rights.person == thing.person and rights.organisation == thing.organisation:
            return
        async with self.db.transaction(thing.organisation) as tx:
            others = await repo.roles_of(tx, thing.organisation, thing.person)
        if not outranks(rights, others):
            raise NotAllowed("This person is an administrator: somebody of higher standing has to do this.")

    async def _rights_of_actor(self, actor: Actor) -> AccessRights:
        if actor.kind is ActorKind.ADMINISTRATOR:
            return AccessRights.of_operator()
        if actor.person is not None and actor.organisation is not None:
            return await self.rights_of(actor.organisation, actor.person)
        return _NOBODY

    async def _read_register(self) -> _Register:
        now = self.clock.now()
        if self._register and timedelta(0) <= now - self._register[0].read_at < self.policy.register_age:
            return self._register[0]
        async with self.db.transaction() as tx:
            own = frozenset(entry.domain for entry in await repo.own_domains(tx))
            secure = tuple(await repo.secure_domains(tx))
            excused = {one.domain: one for one in await repo_rules.tls_exceptions(tx)}
        register = _Register(now, own, secure, {entry.domain.name: entry for entry in secure}, excused)
        self._register[:] = [register]
        return register
