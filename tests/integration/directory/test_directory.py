"""Who exists, where their mail goes, and what they may open: on PostgreSQL."""

from datetime import timedelta

import psycopg
import pytest
from tests.fakes.town import OPERATOR, Town, build_town

from carepost.base.address import Domain, EmailAddress
from carepost.base.errors import Malformed, NotAllowed, NotPossible
from carepost.directory.access import OnMailbox, OnOrganisation, Verb, is_allowed
from carepost.directory.mailboxes import SharedMailboxPolicy
from carepost.directory.model import (
    DomainMatch,
    Found,
    MailboxKind,
    MailboxStatus,
    MemberRight,
    OrganisationKind,
    PersonStatus,
    RefusalReason,
    Refusing,
    Role,
    Unknown,
)
from carepost.directory.people import NewPerson, PossibleDuplicate
from carepost.infra.db import Database


@pytest.fixture
async def town(database: Database) -> Town:
    return await build_town(database)


async def test_mail_to_a_person_finds_their_mailbox_whatever_the_case_or_the_tag(town: Town) -> None:
    amina = await town.person("Amina Okafor")
    for text in (
        "amina.okafor@riverside.example",
        "Amina.Okafor@RIVERSIDE.example",
        "amina.okafor+rota@riverside.example",
    ):
        address = EmailAddress.parse(text)
        assert await town.directory.route(address) == Found(address, amina.mailbox, town.practice, MailboxKind.PERSONAL)


async def test_nobody_there_and_not_our_domain_are_told_apart(town: Town) -> None:
    assert await town.directory.route(town.address("nobody")) == Unknown(ours=True)
    assert await town.directory.route(EmailAddress.parse("jo@elsewhere.example")) == Unknown(ours=False)


async def test_port_25_may_route_but_not_read_people_or_keys(town: Town, relay_database: Database) -> None:
    amina = await town.person("Amina Okafor")
    relay = type(town.directory)(db=relay_database, clock=town.clock)
    assert isinstance(await relay.route(town.address("amina.okafor")), Found)
    assert town.domain in await relay.own_domains()
    assert not (await relay.is_secure(Domain("elsewhere.example"))).secure
    for table in ("person", "credential", "session", "totp_factor", "app_password", "mailbox_member", "role_grant"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with relay_database.transaction(amina.organisation) as tx:
                await tx.all("SELECT * FROM " + table)  # type: ignore[arg-type]
    async with relay_database.transaction(amina.organisation) as tx:
        row = await tx.one("SELECT intake_public FROM mailbox WHERE id = %s", [amina.mailbox])
    assert len(row["intake_public"]) == 32


async def test_mail_to_an_invited_person_is_refused_with_a_reason_until_they_have_joined(town: Town) -> None:
    amina = await town.person("Amina Okafor", active=False)
    me = town.as_person(amina)
    assert await town.directory.route(town.address("amina.okafor")) == Refusing(RefusalReason.NOT_ACTIVATED)
    async with town.db.transaction(town.practice) as tx:
        await town.people.note_second_factor(tx, me, town.practice, amina.id)
    assert await town.directory.route(town.address("amina.okafor")) == Refusing(RefusalReason.NOT_ACTIVATED)
    async with town.db.transaction(town.practice) as tx:
        await town.people.note_acceptance(tx, me, town.practice, amina.id)
    assert isinstance(await town.directory.route(town.address("amina.okafor")), Found)
    joined = await town.directory.person(town.practice, amina.id)
    assert joined is not None
    assert joined.status is PersonStatus.ACTIVE


@pytest.mark.parametrize(
    ("status", "refused"),
    [
        (PersonStatus.LOCKED, None),
        (PersonStatus.LEAVER, None),
        (PersonStatus.INACTIVE, None),
        (PersonStatus.DISABLED, RefusalReason.CLOSED),
        (PersonStatus.DELETED, RefusalReason.CLOSED),
    ],
)
async def test_mail_follows_the_status_of_the_person(
    town: Town, status: PersonStatus, refused: RefusalReason | None
) -> None:
    amina = await town.person("Amina Okafor")
    async with town.db.transaction(town.practice) as tx:
        await town.people.note_second_factor(tx, OPERATOR, town.practice, amina.id)
        await town.people.note_acceptance(tx, OPERATOR, town.practice, amina.id)
    await town.people.set_status(OPERATOR, town.practice, amina.id, status, reason="test")
    route = await town.directory.route(town.address("amina.okafor"))
    assert (route.reason if isinstance(route, Refusing) else None) is refused


async def test_a_status_does_not_jump_where_the_table_has_no_way(town: Town) -> None:
    amina = await town.person("Amina Okafor")
    await town.people.set_status(OPERATOR, town.practice, amina.id, PersonStatus.DELETED, reason="left")
    with pytest.raises(NotPossible, match="cannot become active"):
        await town.people.set_status(OPERATOR, town.practice, amina.id, PersonStatus.ACTIVE, reason="back")


async def test_a_second_person_of_the_same_name_gets_a_number_and_needs_a_reason(town: Town) -> None:
    await town.person("Jo Bloggs")
    new = NewPerson(given_name="Jo", family_name="Bloggs", domain=town.domain)
    with pytest.raises(PossibleDuplicate, match="Jo Bloggs") as caught:
        await town.people.create(OPERATOR, town.practice, new)
    assert [like.address for like in caught.value.likenesses] == ["jo.bloggs@riverside.example"]
    second = await town.people.create(
        OPERATOR, town.practice, new, override_reason="another person: checked the register"
    )
    assert str(second.address) == "jo.bloggs2@riverside.example"


async def test_a_local_part_taken_at_another_organisation_gets_a_number_too(town: Town) -> None:
    await town.person("Jo Bloggs")
    other = await town.organisations.create(
        OPERATOR, code="FX123", name="High Street Pharmacy", kind=OrganisationKind.PHARMACY
    )
    domain = Domain("highstreet.example")
    await town.organisations.add_domain(OPERATOR, domain, owner=other)
    created = await town.people.create(OPERATOR, other, NewPerson(given_name="Jo", family_name="Bloggs", domain=domain))
    assert str(created.address) == "jo.bloggs2@highstreet.example"


async def test_a_domain_of_one_organisation_is_not_for_another(town: Town) -> None:
    other = await town.organisations.create(
        OPERATOR, code="FX123", name="High Street Pharmacy", kind=OrganisationKind.PHARMACY
    )
    domain = Domain("highstreet.example")
    await town.organisations.add_domain(OPERATOR, domain, owner=other)
    with pytest.raises(NotPossible, match="not a mail domain of this organisation"):
        await town.people.create(
            OPERATOR, town.practice, NewPerson(given_name="Jo", family_name="Bloggs", domain=domain)
        )


async def test_an_address_once_given_is_never_given_again(town: Town) -> None:
    jo = await town.person("Jo Bloggs")
    await town.people.set_status(OPERATOR, town.practice, jo.id, PersonStatus.DELETED, reason="left")
    with pytest.raises(NotPossible, match="was somebody's before"):
        await town.people.create(
            OPERATOR,
            town.practice,
            NewPerson(given_name="Joan", family_name="Bloggs", domain=town.domain, address=town.address("jo.bloggs")),
        )


async def test_nothing_is_created_when_the_key_cannot_be_made(town: Town) -> None:
    town.keys.fails = True
    with pytest.raises(RuntimeError):
        await town.person("Amina Okafor")
    assert await town.directory.people(town.practice) == []
    assert await town.directory.route(town.address("amina.okafor")) == Unknown(ours=True)


async def test_a_closed_organisation_gets_nothing_new(town: Town) -> None:
    await town.organisations.close(OPERATOR, town.practice, reason="merged")
    with pytest.raises(NotPossible, match="closed"):
        await town.person("Amina Okafor")


async def test_a_code_belongs_to_one_organisation(town: Town) -> None:
    with pytest.raises(NotPossible, match="A81001"):
        await town.organisations.create(OPERATOR, code="a81001", name="Copy", kind=OrganisationKind.PRACTICE)
    with pytest.raises(Malformed):
        await town.organisations.create(OPERATOR, code="A 81001", name="Copy", kind=OrganisationKind.PRACTICE)


async def test_a_shared_mailbox_is_opened_by_its_members_and_by_no_administrator(town: Town) -> None:
    amina, jo, root = await town.person("Amina Okafor"), await town.person("Jo Bloggs"), await town.person("Pat Admin")
    await town.people.grant_role(OPERATOR, town.practice, root.id, Role.GLOBAL_ADMINISTRATOR)
    change = await town.mailboxes.create_shared(
        OPERATOR,
        town.practice,
        address=town.address("reception"),
        display_name="Reception",
        owners=[amina.id],
        members=[jo.id],
    )
    thing = OnMailbox(change.mailbox, town.practice)

    async def may(person: object, verb: Verb) -> bool:
        return is_allowed(await town.directory.rights_of(town.practice, person.id), verb, thing)  # type: ignore[attr-defined]

    assert "at least 2" in change.warnings[0]
    assert await may(amina, Verb.MAILBOX_READ)
    assert await may(jo, Verb.MAILBOX_READ)
    assert not await may(jo, Verb.MAILBOX_MANAGE_MEMBERS)
    assert not await may(root, Verb.MAILBOX_READ)
    assert await may(root, Verb.MAILBOX_MANAGE_MEMBERS)
    with pytest.raises(NotAllowed):
        await town.mailboxes.add_member(town.as_person(jo), town.practice, change.mailbox, root.id)
    promoted = await town.mailboxes.add_member(
        town.as_person(amina), town.practice, change.mailbox, jo.id, MemberRight.OWNER
    )
    assert promoted.warnings == ()
    assert [str(a.mailbox.address) for a in await town.directory.mailboxes_of(town.practice, jo.id)] == [
        "jo.bloggs@riverside.example",
        "reception@riverside.example",
    ]
    await town.mailboxes.remove_member(town.as_person(amina), town.practice, change.mailbox, jo.id)
    assert not await may(jo, Verb.MAILBOX_READ)
    assert [m.name for m in await town.directory.members_of(town.practice, change.mailbox)] == ["Amina Okafor"]


async def test_more_members_than_the_policy_allows_are_refused(town: Town) -> None:
    people = [await town.person(f"{name} Person") for name in ("Ann", "Ben", "Cat")]
    small = type(town.mailboxes)(
        db=town.db,
        audit=town.audit,
        clock=town.clock,
        directory=town.directory,
        keys=town.keys,
        policy=SharedMailboxPolicy(members_max=2),
    )
    with pytest.raises(NotPossible, match="at most 2 members"):
        await small.create_shared(
            OPERATOR, town.practice, address=town.address("all"), display_name="All", members=[p.id for p in people]
        )
    assert await town.directory.shared_mailboxes(town.practice) == []


async def test_mail_to_a_closed_shared_mailbox_is_refused_and_its_other_address_too(town: Town) -> None:
    change = await town.mailboxes.create_shared(
        OPERATOR, town.practice, address=town.address("reception"), display_name="Reception"
    )
    await town.mailboxes.add_address(OPERATOR, town.practice, change.mailbox, town.address("front-desk"))
    assert isinstance(await town.directory.route(town.address("front-desk")), Found)
    await town.mailboxes.set_status(OPERATOR, town.practice, change.mailbox, MailboxStatus.CLOSED, reason="merged")
    for local in ("reception", "front-desk"):
        assert await town.directory.route(town.address(local)) == Refusing(RefusalReason.CLOSED)


async def test_the_last_primary_administrator_cannot_be_removed(town: Town) -> None:
    first, second = await town.person("First Admin"), await town.person("Second Admin")
    role = Role.PRIMARY_LOCAL_ADMINISTRATOR
    await town.people.grant_role(OPERATOR, town.practice, first.id, role)
    with pytest.raises(NotPossible, match="last primary"):
        await town.people.revoke_role(OPERATOR, town.practice, first.id, role)
    with pytest.raises(NotPossible, match="last primary"):
        await town.people.set_status(OPERATOR, town.practice, first.id, PersonStatus.LEAVER, reason="leaving")
    await town.people.grant_role(town.as_person(first), town.practice, second.id, role)
    await town.people.revoke_role(town.as_person(second), town.practice, first.id, role)


async def test_a_local_administrator_appoints_nobody_and_reaches_no_other_organisation(town: Town) -> None:
    admin, jo = await town.person("Local Admin"), await town.person("Jo Bloggs")
    await town.people.grant_role(OPERATOR, town.practice, admin.id, Role.LOCAL_ADMINISTRATOR)
    other = await town.organisations.create(
        OPERATOR, code="FX123", name="High Street Pharmacy", kind=OrganisationKind.PHARMACY
    )
    me = town.as_person(admin)
    with pytest.raises(NotAllowed):
        await town.people.grant_role(me, town.practice, jo.id, Role.LOCAL_ADMINISTRATOR)
    with pytest.raises(NotAllowed):
        await town.people.create(me, other, NewPerson(given_name="X", family_name="Y", domain=town.domain))
    rights = await town.directory.rights_of(town.practice, admin.id)
    assert is_allowed(rights, Verb.QUARANTINE_RELEASE, OnOrganisation(town.practice))
    assert not is_allowed(rights, Verb.QUARANTINE_RELEASE, OnOrganisation(other))


async def test_one_organisation_sees_nobody_of_another(town: Town) -> None:
    amina = await town.person("Amina Okafor")
    other = await town.organisations.create(
        OPERATOR, code="FX123", name="High Street Pharmacy", kind=OrganisationKind.PHARMACY
    )
    async with town.db.transaction(other) as tx:
        assert await tx.all("SELECT * FROM person") == []
        assert await tx.all("SELECT * FROM mailbox") == []
    async with town.db.transaction() as tx:
        assert await tx.all("SELECT * FROM person") == []
    assert await town.directory.person(other, amina.id) is None
    assert await town.directory.mailboxes_of(other, amina.id) == []


async def test_the_register_says_who_is_secure_and_forgets_who_has_expired(town: Town) -> None:
    await town.organisations.list_secure_domain(OPERATOR, Domain("trust.example"), source="DCB1596")
    await town.organisations.list_secure_domain(
        OPERATOR, Domain("gov.example"), source="government", match=DomainMatch.SUFFIX
    )
    town.clock.advance(timedelta(seconds=6))
    ask = town.directory.is_secure
    assert (await ask(Domain("trust.example"))).secure
    assert not (await ask(Domain("a.trust.example"))).secure
    assert (await ask(Domain("council.gov.example"))).secure
    assert not (await ask(Domain("council-gov.example"))).secure
    assert (await ask(town.domain)).because == "riverside.example is one of our own domains."
    town.clock.advance(timedelta(days=366))
    assert "ended on" in (await ask(Domain("trust.example"))).because
    await town.organisations.remove_secure_domain(OPERATOR, Domain("trust.example"), reason="left the scheme")
    town.clock.advance(timedelta(seconds=6))
    assert "not in the register" in (await ask(Domain("trust.example"))).because
