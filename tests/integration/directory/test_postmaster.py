"""Mail to postmaster reaches somebody at every domain of ours. RFC 5321 §4.5.1."""

import pytest
from tests.fakes.town import OPERATOR, Town, build_town

from carepost.base.address import Domain, EmailAddress
from carepost.base.ids import OrganisationId
from carepost.directory.duties import REMEMBER
from carepost.directory.model import Found, MailboxKind, OrganisationKind, Person, PersonStatus, Role, Unknown
from carepost.directory.routing import RoutingPolicy
from carepost.directory.service import Directory, LookupPolicy
from carepost.infra.db import Database

HOST = Domain("mx.care.example")


@pytest.fixture
async def town(database: Database) -> Town:
    return await build_town(database)


@pytest.fixture
def door(town: Town, relay_database: Database) -> Directory:
    """The directory as port 25 has it: in the role that reads neither people nor secrets."""
    return Directory(db=relay_database, clock=town.clock, policy=LookupPolicy(routing=RoutingPolicy(hostname=HOST)))


async def appointed(town: Town, name: str, role: Role, organisation: OrganisationId | None = None) -> Person:
    person = await town.person(name, organisation=organisation)
    await town.people.grant_role(OPERATOR, person.organisation, person.id, role)
    return person


async def reader(door: Directory, text: str, town: Town) -> int | None:
    town.clock.advance(REMEMBER)
    address = EmailAddress.parse(text)
    route = await door.route(address)
    if isinstance(route, Unknown):
        return None
    assert isinstance(route, Found)
    assert (route.address, route.kind) == (address, MailboxKind.PERSONAL)
    return route.mailbox


async def test_postmaster_reaches_the_highest_administrator_who_takes_mail(town: Town, door: Directory) -> None:
    assert await reader(door, "postmaster@riverside.example", town) is None  # there is nobody yet
    await appointed(town, "Hal Desk", Role.LOCAL_HELPDESK)
    await town.person("Ada Okafor")
    assert await reader(door, "postmaster@riverside.example", town) is None
    local = await appointed(town, "Lu Local", Role.LOCAL_ADMINISTRATOR)
    assert await reader(door, "Postmaster@Riverside.example", town) == local.mailbox
    primary = await appointed(town, "Pat Primary", Role.PRIMARY_LOCAL_ADMINISTRATOR)
    assert await reader(door, "abuse@riverside.example", town) == primary.mailbox
    boss = await appointed(town, "Gil Global", Role.GLOBAL_ADMINISTRATOR)
    assert await reader(door, "postmaster@riverside.example", town) == boss.mailbox
    await town.people.set_status(OPERATOR, town.practice, boss.id, PersonStatus.DISABLED, reason="left")
    assert await reader(door, "postmaster@riverside.example", town) == primary.mailbox


async def test_an_organisations_own_domain_has_its_own_postmaster(town: Town, door: Directory) -> None:
    await appointed(town, "Gil Global", Role.GLOBAL_ADMINISTRATOR)
    trust = await town.organisations.create(OPERATOR, code="RXX", name="Trust", kind=OrganisationKind.TRUST)
    await town.organisations.add_domain(OPERATOR, Domain("trust.example"), owner=trust)
    assert await reader(door, "postmaster@trust.example", town) is None
    local = await appointed(town, "Lu Local", Role.LOCAL_ADMINISTRATOR, trust)
    assert await reader(door, "postmaster@trust.example", town) == local.mailbox


async def test_our_host_has_a_postmaster_and_nobody_else_there(town: Town, door: Directory) -> None:
    boss = await appointed(town, "Gil Global", Role.GLOBAL_ADMINISTRATOR)
    assert await reader(door, f"postmaster@{HOST}", town) == boss.mailbox
    assert await reader(door, f"gil.global@{HOST}", town) is None
    assert await door.route(EmailAddress.parse("postmaster@elsewhere.example")) == Unknown(ours=False)
    assert await door.route(EmailAddress.parse("postmasters@riverside.example")) == Unknown(ours=True)


async def test_whom_the_operator_named_comes_first(town: Town, relay_database: Database) -> None:
    await appointed(town, "Gil Global", Role.GLOBAL_ADMINISTRATOR)
    named = await town.person("Ada Okafor")
    routing = RoutingPolicy(hostname=HOST, postmaster=town.address("ada.okafor"))
    door = Directory(db=relay_database, clock=town.clock, policy=LookupPolicy(routing=routing))
    for text in ("postmaster@riverside.example", f"postmaster@{HOST}", "abuse@riverside.example"):
        assert await reader(door, text, town) == named.mailbox
