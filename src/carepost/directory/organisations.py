"""Organisations, their domains, and the register of secure domains: the verbs that change them.

Promises
    An organisation is born with its keys and its chain of the record, in one transaction, or not at all.
    A code belongs to one organisation for ever (R3).
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from carepost.audit.events import (
    DomainAdded,
    OrganisationClosed,
    OrganisationCreated,
    SecureDomainListed,
    SecureDomainRemoved,
)
from carepost.audit.heads import start_chain
from carepost.audit.model import PLATFORM, Actor
from carepost.audit.record import AuditTrail
from carepost.base.address import Domain
from carepost.base.clock import Clock
from carepost.base.errors import Malformed, NotPossible
from carepost.base.ids import MailboxId, OrganisationId
from carepost.directory import repo
from carepost.directory.access import OnOrganisation, OnPlatform, Verb
from carepost.directory.model import DomainMatch, OrganisationKind, OrganisationStatus, SecureDomain
from carepost.directory.register import RegisterPolicy
from carepost.directory.service import Directory
from carepost.infra.db import Database, Transaction

CODE_MIN, CODE_MAX = 2, 12  # ODS codes have 3 to 9 characters; other services' are a little longer or shorter.
NAME_MAX = 250


class KeyMint(Protocol):
    """Makes keys where something that needs them is created. The keystore has the real one."""

    async def mint_organisation(self, tx: Transaction, organisation: OrganisationId) -> None: ...

    async def mint_mailbox(self, tx: Transaction, organisation: OrganisationId, mailbox: MailboxId) -> bytes:
        """The public half of the new mailbox's intake key, 32 bytes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisations:
    db: Database
    audit: AuditTrail
    clock: Clock
    directory: Directory
    keys: KeyMint
    register: RegisterPolicy = field(default_factory=RegisterPolicy)

    async def create(
        self,
        actor: Actor,
        *,
        code: str,
        name: str,
        kind: OrganisationKind,
        parent: OrganisationId | None = None,
    ) -> OrganisationId:
        """Raises NotAllowed; Malformed for a code or name that will not do; NotPossible when the code is taken."""
        await self.directory.require(actor, Verb.ORGANISATION_CREATE, OnPlatform())
        code, name = code.strip().upper(), " ".join(name.split())
        if not (code.isascii() and code.isalnum() and CODE_MIN <= len(code) <= CODE_MAX):
            raise Malformed(f"An organisation's code is {CODE_MIN} to {CODE_MAX} letters and digits, such as A81001.")
        if not 0 < len(name) <= NAME_MAX:
            raise Malformed(f"An organisation's name has between 1 and {NAME_MAX} characters.")
        async with self.db.transaction() as tx:
            organisation = await repo.insert_organisation(tx, code=code, name=name, kind=kind, parent=parent)
            if organisation is None:
                raise NotPossible(f"There is an organisation with the code {code} already.")
            await tx.act_for(organisation)
            await start_chain(tx, organisation)
            await self.keys.mint_organisation(tx, organisation)
            await self.audit.record(
                tx, actor, OrganisationCreated(organisation=organisation, code=code, kind=kind.value)
            )
        return organisation

    async def close(self, actor: Actor, organisation: OrganisationId, *, reason: str) -> None:
        """Nothing new may be created in it any more (R3); what it holds stays. Raises NotPossible if it is closed."""
        await self.directory.require(actor, Verb.ORGANISATION_CLOSE, OnOrganisation(organisation))
        if organisation == PLATFORM:
            raise NotPossible("The organisation that stands for the service itself cannot be closed.")
        async with self.db.transaction(organisation) as tx:
            if not await repo.close_organisation(tx, organisation):
                raise NotPossible("There is no such organisation, or it is closed already.")
            await self.audit.record(tx, actor, OrganisationClosed(organisation=organisation, reason=reason))

    async def add_domain(self, actor: Actor, domain: Domain, *, owner: OrganisationId | None = None) -> None:
        """One of our own from now on: `owner`'s, or shared by all. Raises NotPossible when it is there already."""
        await self.directory.require(actor, Verb.DOMAIN_ADD, OnPlatform())
        if domain.is_literal:
            raise Malformed("A mail domain has a name; an address literal cannot be one.")
        async with self.db.transaction() as tx:
            if owner is not None and await repo.lock_organisation(tx, owner) is not OrganisationStatus.OPEN:
                raise NotPossible("There is no such organisation, or it is closed.")
            if not await repo.insert_domain(tx, domain, owner):
                raise NotPossible(f"{domain} is one of our domains already.")
            event = DomainAdded(domain=domain.name, organisation=owner)
            await self.audit.record(tx, actor, event, organisation=owner or PLATFORM)

    async def list_secure_domain(
        self,
        actor: Actor,
        domain: Domain,
        *,
        source: str,
        match: DomainMatch = DomainMatch.EXACT,
        until: datetime | None = None,
    ) -> SecureDomain:
        """Enter or renew an entry of the register (R102), for a year unless told otherwise."""
        await self.directory.require(actor, Verb.SECURE_DOMAIN_EDIT, OnPlatform())
        now = self.clock.now()
        until = until or now + self.register.accreditation
        if not source.strip():
            raise Malformed("Say who accredited the domain, and under what.")
        if until <= now:
            raise Malformed("The accreditation ends before it begins.")
        if match is DomainMatch.SUFFIX and "." not in domain.name:
            raise Malformed(f"{domain} is a whole top-level domain: too much to trust at once.")
        entry = SecureDomain(
            domain=domain, match=match, source=source.strip(), accredited_at=now, accredited_until=until
        )
        async with self.db.transaction(PLATFORM) as tx:
            await repo.list_secure_domain(tx, entry)
            event = SecureDomainListed(
                domain=domain.name, match=match.value, source=entry.source, until=until.date().isoformat()
            )
            await self.audit.record(tx, actor, event)
        return entry

    async def remove_secure_domain(self, actor: Actor, domain: Domain, *, reason: str) -> None:
        """Raises NotPossible when it is not in the register."""
        await self.directory.require(actor, Verb.SECURE_DOMAIN_EDIT, OnPlatform())
        async with self.db.transaction(PLATFORM) as tx:
            if not await repo.remove_secure_domain(tx, domain):
                raise NotPossible(f"{domain} is not in the register of secure domains.")
            await self.audit.record(tx, actor, SecureDomainRemoved(domain=domain.name, reason=reason))
