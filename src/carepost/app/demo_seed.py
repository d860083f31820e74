"""Furnishing the sample world: organisations, people who can sign in, shared mailboxes, the register."""

import secrets
from dataclasses import asdict, dataclass
from typing import Any

import pyotp

from carepost.app.areas import Areas
from carepost.audit.model import Actor
from carepost.base.address import Domain, EmailAddress
from carepost.base.ids import OrganisationId
from carepost.directory.model import OrganisationKind, Person, PersonStatus, Role
from carepost.directory.people import NewPerson
from carepost.governance.acceptable_use import first_text
from carepost.identity.model import Scope
from carepost.ops.demo.world import ORGANISATIONS, OUTSIDE, SampleOrganisation, SamplePerson
from carepost.store.model import Flag

OPERATOR = Actor.operator("demo")
# Who has yet to read the acceptable use policy: sign in as them to see the first day of somebody new.
NEWCOMER = "ruth.evans@northside-pharmacy.example"

_WORDS = [
    "amber",
    "apple",
    "arrow",
    "badge",
    "basil",
    "beach",
    "birch",
    "bridge",
    "brook",
    "candle",
    "canvas",
    "cedar",
    "cherry",
    "clover",
    "copper",
    "coral",
    "cotton",
    "daisy",
    "delta",
    "ember",
    "fabric",
    "falcon",
    "fern",
    "field",
    "flint",
    "forest",
    "garden",
    "ginger",
    "glacier",
    "granite",
    "harbour",
    "hazel",
    "heron",
    "honey",
    "indigo",
    "island",
    "ivory",
    "jasper",
    "jungle",
    "kettle",
    "lagoon",
    "lantern",
    "lemon",
    "linen",
    "lunar",
    "maple",
    "marble",
    "meadow",
    "mint",
    "mosaic",
    "nectar",
    "nutmeg",
    "oasis",
    "olive",
    "orchid",
    "otter",
    "pepper",
    "pillar",
    "planet",
    "plum",
    "prairie",
    "quartz",
    "quill",
    "raven",
    "ribbon",
    "river",
    "saddle",
    "saffron",
    "shell",
    "silver",
    "spruce",
    "stone",
    "summit",
    "sunset",
    "thistle",
    "timber",
    "topaz",
    "tulip",
    "valley",
    "velvet",
    "violet",
    "walnut",
    "willow",
    "winter",
    "yellow",
]


@dataclass(frozen=True, slots=True)
class Inhabitant:
    """A sample person as the ready file tells of them."""

    name: str
    address: str
    password: str
    totp_secret: str
    app_password: str
    organisation: str
    roles: tuple[str, ...]
    title: str


async def furnish(areas: Areas) -> dict[str, Any]:
    """Make everything but the mail. Returns `people` and `shared_mailboxes`, as the ready file has them."""
    if await areas.acceptable_use.current() is None:
        await areas.acceptable_use.publish(OPERATOR, first_text())
    for domain, _, listed in OUTSIDE:
        if listed:
            await areas.directory.organisations.list_secure_domain(
                OPERATOR, Domain(domain), source="The sample world's register"
            )
    people: list[Inhabitant] = []
    shared: list[dict[str, Any]] = []
    for organisation in ORGANISATIONS:
        number = await areas.directory.organisations.create(
            OPERATOR, code=organisation.code, name=organisation.name, kind=OrganisationKind(organisation.kind)
        )
        await areas.directory.organisations.add_domain(OPERATOR, Domain(organisation.domain), owner=number)
        made = {one.local: await _person(areas, number, organisation, one) for one in organisation.people}
        people += [inhabitant for inhabitant, _ in made.values()]
        shared += [await _shared(areas, number, organisation, made, one) for one in organisation.shared]
    return {"people": [asdict(one) for one in people], "shared_mailboxes": shared}


async def mark_older_mail_read(areas: Areas, newest: int = 6) -> None:
    """So that an inbox looks like one in use: all but the newest few are read."""
    for organisation in await areas.organisations():
        for person in await areas.directory.look.people(organisation.id):
            for access in await areas.directory.look.mailboxes_of(organisation.id, person.id):
                inbox = await areas.store.folders.named(access.mailbox, "INBOX")
                if inbox is None:
                    continue
                lines = await areas.store.messages.outlines(access.mailbox, inbox.id)
                older = [line.uid for line in lines[:-newest]]
                if older:
                    await areas.store.filing.set_flags(access.mailbox, inbox.id, older, add=Flag.SEEN)


async def _person(
    areas: Areas, organisation: OrganisationId, of: SampleOrganisation, sample: SamplePerson
) -> tuple[Inhabitant, Person]:
    given, _, family = sample.name.partition(" ")
    address = sample.address(of.domain)
    new = NewPerson(
        given_name=given,
        family_name=family,
        domain=Domain(of.domain),
        job_title=sample.title,
        address=EmailAddress.parse(address),
    )
    person = await areas.directory.people.create(OPERATOR, organisation, new)
    password, totp = _password(), pyotp.random_base32()
    identity, change = areas.identity, areas.directory.people
    await identity.accounts.set_password(OPERATOR, organisation, person.id, password)
    await identity.second_factors.preset(areas.db, OPERATOR, organisation, person.id, totp)
    await _accept_policy(areas, organisation, person, address)
    for role in sample.roles:
        await change.grant_role(OPERATOR, organisation, person.id, Role(role))
    await change.allow_mail_clients(OPERATOR, organisation, person.id, allowed=True)
    app_password = await identity.app_passwords.grant(
        OPERATOR, organisation, person.id, name="Sample mail program", scopes=(Scope.IMAP, Scope.SUBMISSION)
    )
    told = Inhabitant(
        name=sample.name,
        address=address,
        password=password,
        totp_secret=totp,
        app_password=app_password.secret,
        organisation=of.name,
        roles=sample.roles,
        title=sample.title,
    )
    return told, person


async def _accept_policy(areas: Areas, organisation: OrganisationId, person: Person, address: str) -> None:
    if address == NEWCOMER:
        await areas.directory.people.set_status(
            OPERATOR, organisation, person.id, PersonStatus.ACTIVE, reason="sample newcomer: mail may come already"
        )
        return
    current = await areas.acceptable_use.current()
    if current is not None:
        actor = Actor.for_person(person.id, organisation, person.name)
        await areas.acceptable_use.accept(actor, current.version, client="sample world")


async def _shared(
    areas: Areas,
    organisation: OrganisationId,
    of: SampleOrganisation,
    made: dict[str, tuple[Inhabitant, Person]],
    sample: Any,
) -> dict[str, Any]:
    address = f"{sample.local}@{of.domain}"
    await areas.directory.mailboxes.create_shared(
        OPERATOR,
        organisation,
        address=EmailAddress.parse(address),
        display_name=sample.name,
        owners=[made[local][1].id for local in sample.owners],
        members=[made[local][1].id for local in sample.members],
        not_for_urgent=sample.not_for_urgent,
    )
    return {
        "address": address,
        "name": sample.name,
        "owners": [made[local][0].address for local in sample.owners],
        "members": [made[local][0].address for local in sample.members],
    }


def _password() -> str:
    """Three words and a number: easy to type at a demonstration, and unlike anybody's."""
    return "-".join([*(secrets.choice(_WORDS) for _ in range(3)), str(secrets.randbelow(90) + 10)])
