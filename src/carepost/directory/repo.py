"""Runs directory/queries.sql: rows in, our values out; the only SQL of this area."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from carepost.base.address import Domain, EmailAddress
from carepost.base.ids import AppPasswordId, MailboxId, OrganisationId, PersonId, SessionId
from carepost.directory.access import AccessRights
from carepost.directory.model import (
    AddressRoute,
    DomainMatch,
    MailboxAccess,
    MailboxKind,
    MailboxRecord,
    MailboxStatus,
    MailDomain,
    Member,
    MemberRight,
    Organisation,
    OrganisationKind,
    OrganisationStatus,
    Person,
    PersonStatus,
    Role,
    RouteState,
    SecureDomain,
)
from carepost.infra.db import Row, Transaction
from carepost.infra.sql import load_queries

SQL = load_queries(__package__)


@dataclass(frozen=True, slots=True)
class Likeness:
    """Somebody who might be the same person."""

    person: PersonId
    name: str
    job_title: str
    address: str | None


@dataclass(frozen=True, slots=True)
class Joining:
    """How far a person has come in joining, while we hold their row's lock."""

    status: PersonStatus
    acceptance_at: datetime | None
    second_factor_at: datetime | None


@dataclass(frozen=True, slots=True)
class MemberCounts:
    members: int
    owners: int
    active_owners: int


# --- addresses and domains ------------------------------------------------------------------------------------------


async def route(tx: Transaction, domain: Domain, keys: Sequence[str]) -> tuple[bool, list[AddressRoute]]:
    rows = await tx.all(SQL["route"], {"domain": domain.name, "keys": list(keys)})
    routes = [
        AddressRoute(
            address=EmailAddress.parse(row["address"]),
            organisation=row["owner_organisation"],
            mailbox=row["mailbox_id"],
            kind=MailboxKind(row["kind"]),
            state=RouteState(row["state"]),
        )
        for row in rows
        if row["address"] is not None
    ]
    return bool(rows[0]["ours"]), routes


async def domain_owner(tx: Transaction, domain: Domain) -> OrganisationId | None:
    """None for a domain that is everybody's, and for one that is not ours."""
    row = await tx.maybe(SQL["domain_owner"], {"domain": domain.name})
    return None if row is None else row["owner_organisation"]


async def administrators(tx: Transaction, organisation: OrganisationId) -> list[tuple[Role, MailboxId]]:
    """Those of the organisation that the transaction acts for, whose own mailbox takes mail."""
    rows = await tx.all(SQL["administrators"], {"organisation": organisation})
    return [(Role(row["role"]), MailboxId(row["mailbox_id"])) for row in rows]


async def own_domains(tx: Transaction) -> list[MailDomain]:
    rows = await tx.all(SQL["own_domains"])
    return [MailDomain(domain=Domain(row["domain"]), owner=row["owner_organisation"]) for row in rows]


async def insert_domain(tx: Transaction, domain: Domain, owner: OrganisationId | None) -> bool:
    return await tx.run(SQL["insert_domain"], {"domain": domain.name, "owner": owner}) == 1


async def may_use_domain(tx: Transaction, organisation: OrganisationId, domain: Domain) -> bool:
    return await tx.maybe(SQL["domain_for"], {"domain": domain.name, "organisation": organisation}) is not None


async def locals_taken(tx: Transaction, beginning: str) -> frozenset[str]:
    escaped = beginning.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return frozenset(row["local"] for row in await tx.all(SQL["locals_taken"], {"beginning": escaped + "%"}))


async def secure_domains(tx: Transaction) -> list[SecureDomain]:
    return [
        SecureDomain(
            domain=Domain(row["domain"]),
            match=DomainMatch(row["match"]),
            source=row["source"],
            accredited_at=row["accredited_at"],
            accredited_until=row["accredited_until"],
        )
        for row in await tx.all(SQL["secure_domains"])
    ]


async def list_secure_domain(tx: Transaction, entry: SecureDomain) -> None:
    await tx.run(
        SQL["list_secure_domain"],
        {
            "domain": entry.domain.name,
            "match": entry.match.value,
            "source": entry.source,
            "accredited_at": entry.accredited_at,
            "accredited_until": entry.accredited_until,
        },
    )


async def remove_secure_domain(tx: Transaction, domain: Domain) -> bool:
    return await tx.run(SQL["remove_secure_domain"], {"domain": domain.name}) == 1


# --- organisations --------------------------------------------------------------------------------------------------


async def insert_organisation(
    tx: Transaction, *, code: str, name: str, kind: OrganisationKind, parent: OrganisationId | None
) -> OrganisationId | None:
    row = await tx.maybe(SQL["insert_organisation"], {"code": code, "name": name, "kind": kind.value, "parent": parent})
    return None if row is None else OrganisationId(row["id"])


async def organisation_by_id(tx: Transaction, organisation: OrganisationId) -> Organisation | None:
    return _organisation(await tx.maybe(SQL["organisation_by_id"], {"organisation": organisation}))


async def organisation_by_code(tx: Transaction, code: str) -> Organisation | None:
    return _organisation(await tx.maybe(SQL["organisation_by_code"], {"code": code}))


async def organisations(tx: Transaction) -> list[Organisation]:
    found = [_organisation(row) for row in await tx.all(SQL["organisations"])]
    return [organisation for organisation in found if organisation is not None]


async def lock_organisation(tx: Transaction, organisation: OrganisationId) -> OrganisationStatus | None:
    row = await tx.maybe(SQL["lock_organisation"], {"organisation": organisation})
    return None if row is None else OrganisationStatus(row["status"])


async def close_organisation(tx: Transaction, organisation: OrganisationId) -> bool:
    return await tx.run(SQL["close_organisation"], {"organisation": organisation}) == 1


def _organisation(row: Row | None) -> Organisation | None:
    if row is None:
        return None
    return Organisation(
        id=row["id"],
        code=row["code"],
        name=row["name"],
        kind=OrganisationKind(row["kind"]),
        status=OrganisationStatus(row["status"]),
        parent=row["parent"],
    )


# --- people ---------------------------------------------------------------------------------------------------------


async def insert_person(
    tx: Transaction, organisation: OrganisationId, columns: dict[str, str | None], *, at: datetime
) -> PersonId:
    row = await tx.one(SQL["insert_person"], {**columns, "organisation": organisation, "at": at})
    return PersonId(row["id"])


async def people_like(tx: Transaction, organisation: OrganisationId, columns: dict[str, str | None]) -> list[Likeness]:
    rows = await tx.all(SQL["people_like"], {**columns, "organisation": organisation})
    return [
        Likeness(
            person=row["id"],
            name=f"{row['given_name']} {row['family_name']}",
            job_title=row["job_title"],
            address=row["address"],
        )
        for row in rows
    ]


async def person(tx: Transaction, organisation: OrganisationId, person: PersonId) -> Person | None:
    row = await tx.maybe(SQL["person"], {"organisation": organisation, "person": person})
    return None if row is None else _person(row)


async def person_of_mailbox(tx: Transaction, organisation: OrganisationId, mailbox: MailboxId) -> Person | None:
    row = await tx.maybe(SQL["person_of_mailbox"], {"organisation": organisation, "mailbox": mailbox})
    return None if row is None else _person(row)


async def people(
    tx: Transaction, organisation: OrganisationId, *, after: tuple[str, str, int], limit: int
) -> list[Person]:
    family, given, number = after
    rows = await tx.all(
        SQL["people"],
        {
            "organisation": organisation,
            "after_family": family,
            "after_given": given,
            "after_id": number,
            "limit": limit,
        },
    )
    return [_person(row) for row in rows]


def _person(row: Row) -> Person:
    return Person(
        id=row["id"],
        organisation=row["organisation_id"],
        given_name=row["given_name"],
        family_name=row["family_name"],
        title=row["title"],
        job_title=row["job_title"],
        status=PersonStatus(row["status"]),
        acceptance_at=row["acceptance_at"],
        second_factor_at=row["second_factor_at"],
        mailbox=row["mailbox"],
        address=None if row["address"] is None else EmailAddress.parse(row["address"]),
    )


async def lock_person(tx: Transaction, organisation: OrganisationId, person: PersonId) -> Joining | None:
    row = await tx.maybe(SQL["lock_person"], {"organisation": organisation, "person": person})
    return None if row is None else Joining(PersonStatus(row["status"]), row["acceptance_at"], row["second_factor_at"])


async def set_person_status(
    tx: Transaction, organisation: OrganisationId, person: PersonId, status: PersonStatus, *, at: datetime
) -> None:
    await tx.run(
        SQL["set_person_status"], {"organisation": organisation, "person": person, "status": status.value, "at": at}
    )


async def note_acceptance(tx: Transaction, organisation: OrganisationId, person: PersonId, *, at: datetime) -> None:
    await tx.run(SQL["note_acceptance"], {"organisation": organisation, "person": person, "at": at})


async def note_second_factor(
    tx: Transaction, organisation: OrganisationId, person: PersonId, *, at: datetime | None
) -> None:
    await tx.run(SQL["note_second_factor"], {"organisation": organisation, "person": person, "at": at})


async def set_routes_of_person(
    tx: Transaction, organisation: OrganisationId, person: PersonId, state: RouteState
) -> None:
    await tx.run(SQL["set_routes_of_person"], {"organisation": organisation, "person": person, "state": state.value})


async def end_sessions_before(tx: Transaction, organisation: OrganisationId, person: PersonId, *, at: datetime) -> None:
    await tx.run(SQL["end_sessions_before"], {"organisation": organisation, "person": person, "at": at})


async def allow_mail_clients(tx: Transaction, organisation: OrganisationId, person: PersonId, *, allowed: bool) -> bool:
    values = {"organisation": organisation, "person": person, "allowed": allowed}
    return await tx.run(SQL["allow_mail_clients"], values) == 1


async def lock_roles(tx: Transaction, organisation: OrganisationId) -> None:
    await tx.one(SQL["lock_roles"], {"organisation": organisation})


async def note_revocation(
    tx: Transaction,
    *,
    person: PersonId | None = None,
    app_password: AppPasswordId | None = None,
    session: SessionId | None = None,
) -> None:
    await tx.run(SQL["note_revocation"], {"person": person, "app_password": app_password, "session": session})


# --- mailboxes and members ------------------------------------------------------------------------------------------


async def insert_mailbox(
    tx: Transaction,
    organisation: OrganisationId,
    *,
    kind: MailboxKind,
    person: PersonId | None,
    address: EmailAddress,
    display_name: str,
    not_for_urgent: bool,
    at: datetime,
) -> MailboxId | None:
    row = await tx.maybe(
        SQL["insert_mailbox"],
        {
            "organisation": organisation,
            "kind": kind.value,
            "person": person,
            "address": address.key,
            "display_name": display_name,
            "not_for_urgent": not_for_urgent,
            "at": at,
        },
    )
    return None if row is None else MailboxId(row["id"])


async def set_intake_key(
    tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, intake_public: bytes
) -> None:
    await tx.run(
        SQL["set_intake_key"], {"organisation": organisation, "mailbox": mailbox, "intake_public": intake_public}
    )


async def insert_route(
    tx: Transaction,
    organisation: OrganisationId,
    address: EmailAddress,
    mailbox: MailboxId,
    *,
    kind: MailboxKind,
    state: RouteState,
    is_alias: bool,
) -> bool:
    values = {
        "address": address.key,
        "organisation": organisation,
        "mailbox": mailbox,
        "kind": kind.value,
        "state": state.value,
        "is_alias": is_alias,
    }
    return await tx.run(SQL["insert_route"], values) == 1


async def set_mailbox_status(
    tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, status: MailboxStatus
) -> None:
    values = {"organisation": organisation, "mailbox": mailbox}
    await tx.run(SQL["set_mailbox_status"], {**values, "status": status.value})
    state = RouteState.ACCEPTING if status is MailboxStatus.OPEN else RouteState.CLOSED
    await tx.run(SQL["set_routes_of_mailbox"], {**values, "state": state.value})


async def mailbox(
    tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, *, lock: bool = False
) -> MailboxRecord | None:
    statement = SQL["lock_mailbox"] if lock else SQL["mailbox"]
    row = await tx.maybe(statement, {"organisation": organisation, "mailbox": mailbox})
    return None if row is None else _mailbox(row)


async def shared_mailboxes(tx: Transaction, organisation: OrganisationId) -> list[MailboxRecord]:
    return [_mailbox(row) for row in await tx.all(SQL["shared_mailboxes"], {"organisation": organisation})]


async def mailboxes_of(
    tx: Transaction, organisation: OrganisationId, person: PersonId, *, at: datetime
) -> list[MailboxAccess]:
    rows = await tx.all(SQL["mailboxes_of"], {"organisation": organisation, "person": person, "at": at})
    return [
        MailboxAccess(mailbox=_mailbox(row), right=MemberRight(row["right"]), replies=row["replies"]) for row in rows
    ]


def _mailbox(row: dict[str, Any]) -> MailboxRecord:
    key = row["intake_public"]
    return MailboxRecord(
        id=row["id"],
        organisation=row["organisation_id"],
        kind=MailboxKind(row["kind"]),
        person=row["person_id"],
        address=EmailAddress.parse(row["address"]),
        display_name=row["display_name"],
        status=MailboxStatus(row["status"]),
        intake_public=None if key is None else bytes(key),
        not_for_urgent=row["not_for_urgent"],
    )


async def members_of(tx: Transaction, organisation: OrganisationId, mailbox: MailboxId) -> list[Member]:
    rows = await tx.all(SQL["members_of"], {"organisation": organisation, "mailbox": mailbox})
    return [
        Member(
            person=row["person"],
            name=" ".join(part for part in (row["title"], row["given_name"], row["family_name"]) if part),
            job_title=row["job_title"],
            right=MemberRight(row["right"]),
            status=PersonStatus(row["status"]),
        )
        for row in rows
    ]


async def member_counts(tx: Transaction, organisation: OrganisationId, mailbox: MailboxId) -> MemberCounts:
    return MemberCounts(**await tx.one(SQL["member_counts"], {"organisation": organisation, "mailbox": mailbox}))


async def member_right(
    tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, person: PersonId
) -> MemberRight | None:
    values = {"organisation": organisation, "mailbox": mailbox, "person": person}
    row = await tx.maybe(SQL["member_right"], values)
    return None if row is None else MemberRight(row["right"])


async def set_member(
    tx: Transaction,
    organisation: OrganisationId,
    mailbox: MailboxId,
    person: PersonId,
    right: MemberRight,
    *,
    at: datetime,
) -> None:
    values = {"organisation": organisation, "mailbox": mailbox, "person": person, "right": right.value, "at": at}
    await tx.run(SQL["set_member"], values)


async def delete_member(tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, person: PersonId) -> None:
    await tx.run(SQL["delete_member"], {"organisation": organisation, "mailbox": mailbox, "person": person})


# --- roles and rights -----------------------------------------------------------------------------------------------


async def roles_of(tx: Transaction, organisation: OrganisationId, person: PersonId) -> frozenset[Role]:
    rows = await tx.all(SQL["roles_of"], {"organisation": organisation, "person": person})
    return frozenset(Role(row["role"]) for row in rows)


async def holders_of_role(tx: Transaction, organisation: OrganisationId, role: Role) -> int:
    row = await tx.one(SQL["holders_of_role"], {"organisation": organisation, "role": role.value})
    return int(row["holders"])


async def grant_role(
    tx: Transaction, organisation: OrganisationId, person: PersonId, role: Role, *, at: datetime
) -> bool:
    values = {"organisation": organisation, "person": person, "role": role.value, "at": at}
    return await tx.run(SQL["grant_role"], values) == 1


async def revoke_role(tx: Transaction, organisation: OrganisationId, person: PersonId, role: Role) -> bool:
    values = {"organisation": organisation, "person": person, "role": role.value}
    return await tx.run(SQL["revoke_role"], values) == 1


async def rights_of(tx: Transaction, organisation: OrganisationId, person: PersonId) -> AccessRights | None:
    row = await tx.maybe(SQL["rights_of"], {"organisation": organisation, "person": person})
    if row is None:
        return None
    shared = {MailboxId(number): MemberRight(right) for number, right in zip(row["shared"], row["rights"], strict=True)}
    return AccessRights(
        person=person,
        organisation=organisation,
        status=PersonStatus(row["status"]),
        roles=frozenset(Role(role) for role in row["roles"]),
        personal=row["personal"],
        shared=MappingProxyType(shared),
    )


async def personal_names(tx: Transaction, organisation: OrganisationId) -> list[str]:
    return [row[0] for row in await tx.tuples(SQL["personal_names"], {"organisation": organisation})]
