"""`carepost org`, `domain`, `person` and `mailbox`: who exists."""

from typing import TYPE_CHECKING, Annotated

import typer

from carepost.base.address import Domain, EmailAddress
from carepost.base.errors import NotPossible
from carepost.base.ids import OrganisationId
from carepost.cli import common
from carepost.cli.common import ConfigOption, JsonOption
from carepost.directory.model import (
    DomainMatch,
    MemberRight,
    OrganisationKind,
    Person,
    PersonStatus,
    Role,
)

if TYPE_CHECKING:
    from carepost.app.areas import Areas
    from carepost.directory.mailboxes import MembershipChange

org = typer.Typer(no_args_is_help=True, help="Organisations: practices, pharmacies, trusts.")
domain = typer.Typer(no_args_is_help=True, help="Our own mail domains, and the register of secure ones.")
person = typer.Typer(no_args_is_help=True, help="People and their accounts.")
mailbox = typer.Typer(no_args_is_help=True, help="Shared mailboxes, their members and owners.")

Code = Annotated[str, typer.Argument(help="The organisation's code, such as A81001.")]
Address = Annotated[str, typer.Argument(help="An email address.")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(org, name="org")
    app.add_typer(domain, name="domain")
    app.add_typer(person, name="person")
    app.add_typer(mailbox, name="mailbox")


@org.command("add")
def org_add(
    code: Code,
    name: Annotated[str, typer.Argument(help="Its name.")],
    kind: Annotated[OrganisationKind, typer.Option(help="What it is.")] = OrganisationKind.PRACTICE,
    config: ConfigOption = None,
) -> None:
    """Create an organisation, with keys of its own."""

    async def work(areas: "Areas") -> OrganisationId:
        return await areas.directory.organisations.create(common.operator(), code=code, name=name, kind=kind)

    common.say(f"Created {name} ({code.upper()}) as organisation {common.with_areas(config, work)}.")


@org.command("list")
def org_list(*, json: JsonOption = False, config: ConfigOption = None) -> None:
    """Every organisation."""

    async def work(areas: "Areas") -> list[tuple[object, ...]]:
        found = await areas.directory.look.organisations()
        return [(one.code, one.name, one.kind.value, one.status.value) for one in found]

    rows = common.with_areas(config, work)
    if json:
        common.show([dict(zip(("code", "name", "kind", "status"), row, strict=True)) for row in rows])
    else:
        common.table(("code", "name", "kind", "status"), rows)


@domain.command("add")
def domain_add(
    name: Annotated[str, typer.Argument(help="The domain.")],
    owner: Annotated[str | None, typer.Option("--org", help="Whose it is; nobody's: shared by all.")] = None,
    config: ConfigOption = None,
) -> None:
    """Make a domain one of our own: mail to it is taken, and nobody outside may pretend to be in it."""

    async def work(areas: "Areas") -> None:
        organisation = await _organisation(areas, owner) if owner else None
        await areas.directory.organisations.add_domain(common.operator(), Domain.parse(name), owner=organisation)

    common.with_areas(config, work)
    common.say(f"{name} is one of our domains now. See `carepost dns` for the records it needs.")


@domain.command("trust")
def domain_trust(
    name: Annotated[str, typer.Argument(help="The domain.")],
    source: Annotated[str, typer.Option(help="Who accredited it, and under what.")],
    *,
    suffix: Annotated[bool, typer.Option("--suffix", help="Every domain below it too.")] = False,
    config: ConfigOption = None,
) -> None:
    """Enter a domain in the register of secure domains, or renew it, for a year."""

    async def work(areas: "Areas") -> str:
        match = DomainMatch.SUFFIX if suffix else DomainMatch.EXACT
        entry = await areas.directory.organisations.list_secure_domain(
            common.operator(), Domain.parse(name), source=source, match=match
        )
        return entry.accredited_until.date().isoformat()

    common.say(f"{name} counts as secure until {common.with_areas(config, work)}.")


@person.command("add")
def person_add(
    code: Code,
    given_name: Annotated[str, typer.Argument()],
    family_name: Annotated[str, typer.Argument()],
    mail_domain: Annotated[str, typer.Option("--domain", help="The domain of the address.")],
    *,
    address: Annotated[str | None, typer.Option(help="The address; without it one is made from the name.")] = None,
    job: Annotated[str, typer.Option(help="Job title.")] = "",
    duplicate_reason: Annotated[str | None, typer.Option(help="Why this is not the person with a like name.")] = None,
    config: ConfigOption = None,
) -> None:
    """Create a person with a mailbox. They stay invited until a second factor is set and the policy accepted."""
    from carepost.directory.people import NewPerson

    async def work(areas: "Areas") -> Person:
        new = NewPerson(
            given_name=given_name,
            family_name=family_name,
            domain=Domain.parse(mail_domain),
            job_title=job,
            address=EmailAddress.parse(address) if address else None,
        )
        organisation = await _organisation(areas, code)
        return await areas.directory.people.create(
            common.operator(), organisation, new, override_reason=duplicate_reason
        )

    made = common.with_areas(config, work)
    common.say(f"Created {made.name}, {made.address}. Next: carepost password set {made.address}")


@person.command("list")
def person_list(code: Code, *, json: JsonOption = False, config: ConfigOption = None) -> None:
    """People of an organisation."""

    async def work(areas: "Areas") -> list[Person]:
        organisation = await _organisation(areas, code)
        found: list[Person] = []
        while page := await areas.directory.look.people(organisation, after=found[-1] if found else None, limit=500):
            found += page
        return found

    people = common.with_areas(config, work)
    rows: list[tuple[object, ...]] = [
        (one.id, one.given_name, one.family_name, one.job_title, one.status.value) for one in people
    ]
    if json:
        common.show([dict(zip(("id", "given_name", "family_name", "job", "status"), row, strict=True)) for row in rows])
    else:
        common.table(("id", "given name", "family name", "job", "status"), rows)


@person.command("status")
def person_status(
    address: Address,
    status: Annotated[PersonStatus, typer.Argument(help="The new status.")],
    reason: Annotated[str, typer.Option(help="Why. Kept in the audit log.")],
    config: ConfigOption = None,
) -> None:
    """Disable, enable, lock, mark as a leaver. Whoever may no longer sign in is out within seconds, everywhere."""

    async def work(areas: "Areas") -> None:
        who = await find_person(areas, address)
        await areas.directory.people.set_status(common.operator(), who.organisation, who.id, status, reason=reason)

    common.with_areas(config, work)
    common.say(f"{address} is {status.value} now.")


@person.command("role")
def person_role(
    address: Address,
    role: Annotated[Role, typer.Argument()],
    *,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take it away.")] = False,
    config: ConfigOption = None,
) -> None:
    """Give a role, or take it away."""

    async def work(areas: "Areas") -> None:
        who = await find_person(areas, address)
        change = areas.directory.people.revoke_role if revoke else areas.directory.people.grant_role
        await change(common.operator(), who.organisation, who.id, role)

    common.with_areas(config, work)
    common.say(f"{address} {'no longer has' if revoke else 'has'} the role {role.value}.")


@mailbox.command("add")
def mailbox_add(
    code: Code,
    address: Address,
    name: Annotated[str, typer.Argument(help="What people see.")],
    *,
    owner: Annotated[list[str] | None, typer.Option(help="An owner's address; give two.")] = None,
    member: Annotated[list[str] | None, typer.Option(help="A member's address.")] = None,
    not_urgent: Annotated[bool, typer.Option(help="Tell senders that it is not for urgent advice.")] = False,
    config: ConfigOption = None,
) -> None:
    """Create a shared mailbox."""

    async def work(areas: "Areas") -> "MembershipChange":
        organisation = await _organisation(areas, code)
        return await areas.directory.mailboxes.create_shared(
            common.operator(),
            organisation,
            address=EmailAddress.parse(address),
            display_name=name,
            owners=[(await find_person(areas, one)).id for one in owner or ()],
            members=[(await find_person(areas, one)).id for one in member or ()],
            not_for_urgent=not_urgent,
        )

    change = common.with_areas(config, work)
    common.say(f"Created {name}, {address}.")
    _warn(change)


@mailbox.command("member")
def mailbox_member(
    address: Annotated[str, typer.Argument(help="The shared mailbox.")],
    who: Annotated[str, typer.Argument(help="The person's address.")],
    *,
    owner: Annotated[bool, typer.Option("--owner", help="As an owner.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="No longer.")] = False,
    config: ConfigOption = None,
) -> None:
    """Add somebody to a shared mailbox, make them an owner, or remove them."""

    async def work(areas: "Areas") -> "MembershipChange":
        shared = await areas.directory.look.mailbox_at(EmailAddress.parse(address))
        if shared is None:
            raise NotPossible(f"There is no mailbox {address}.")
        somebody = await find_person(areas, who)
        change = areas.directory.mailboxes
        if remove:
            return await change.remove_member(common.operator(), shared.organisation, shared.id, somebody.id)
        right = MemberRight.OWNER if owner else MemberRight.MEMBER
        return await change.add_member(common.operator(), shared.organisation, shared.id, somebody.id, right)

    _warn(common.with_areas(config, work))
    common.say(f"{who} {'no longer belongs' if remove else 'belongs'} to {address}.")


async def find_person(areas: "Areas", address: str) -> Person:
    """Raise NotPossible when nobody has that address."""
    found = await areas.directory.look.person_at(EmailAddress.parse(address))
    if found is None:
        raise NotPossible(f"Nobody here has the address {address}.")
    return found


async def _organisation(areas: "Areas", code: str) -> OrganisationId:
    found = await areas.directory.look.organisation_by_code(code)
    if found is None:
        raise NotPossible(f"There is no organisation with the code {code.upper()}. See `carepost org list`.")
    return found.id


def _warn(change: "MembershipChange") -> None:
    for warning in change.warnings:
        common.say(f"Note: {warning}")
