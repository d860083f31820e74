"""A town for tests: one practice with a domain, and the services of the directory over a real database."""

from dataclasses import dataclass

from tests.fakes.key_mint import FakeKeyMint

from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.address import Domain, EmailAddress
from carepost.base.clock import FixedClock
from carepost.base.ids import OrganisationId
from carepost.directory.mailboxes import Mailboxes
from carepost.directory.model import OrganisationKind, Person, PersonStatus
from carepost.directory.organisations import Organisations
from carepost.directory.people import NewPerson, People
from carepost.directory.service import Directory
from carepost.infra.db import Database

OPERATOR = Actor.operator("root")


@dataclass(kw_only=True)
class Town:
    db: Database
    clock: FixedClock
    audit: AuditTrail
    directory: Directory
    organisations: Organisations
    people: People
    mailboxes: Mailboxes
    keys: FakeKeyMint
    practice: OrganisationId
    domain: Domain

    async def person(self, name: str, *, active: bool = True, organisation: OrganisationId | None = None) -> Person:
        """ "Amina Okafor", active unless told otherwise."""
        given, family = name.split()
        where = organisation or self.practice
        created = await self.people.create(
            OPERATOR, where, NewPerson(given_name=given, family_name=family, domain=self.domain)
        )
        if active:
            await self.people.set_status(OPERATOR, where, created.id, PersonStatus.ACTIVE, reason="for a test")
        found = await self.directory.person(where, created.id)
        assert found is not None
        return found

    def address(self, local: str) -> EmailAddress:
        return EmailAddress(local, self.domain)

    def as_person(self, person: Person) -> Actor:
        return Actor.for_person(person.id, person.organisation, person.name)


async def build_town(db: Database, clock: FixedClock | None = None) -> Town:
    clock = clock or FixedClock()
    audit, keys = AuditTrail(clock=clock), FakeKeyMint()
    directory = Directory(db=db, clock=clock)
    organisations = Organisations(db=db, audit=audit, clock=clock, directory=directory, keys=keys)
    practice = await organisations.create(
        OPERATOR, code="A81001", name="Riverside Practice", kind=OrganisationKind.PRACTICE
    )
    domain = Domain("riverside.example")
    await organisations.add_domain(OPERATOR, domain)
    return Town(
        db=db,
        clock=clock,
        audit=audit,
        directory=directory,
        organisations=organisations,
        people=People(db=db, audit=audit, clock=clock, directory=directory, keys=keys),
        mailboxes=Mailboxes(db=db, audit=audit, clock=clock, directory=directory, keys=keys),
        keys=keys,
        practice=practice,
        domain=domain,
    )
