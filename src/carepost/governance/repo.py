"""Runs governance/queries.sql; the only SQL of this area."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address

from carepost.base.ids import OrganisationId, PersonId
from carepost.infra.db import Row, Transaction
from carepost.infra.sql import load_queries

SQL = load_queries(__package__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AupVersion:
    """One version of the acceptable use policy. `changes` says, in words, what is new in it (R75)."""

    version: int
    text: str
    changes: str
    published_at: datetime
    accept_by: datetime


async def insert_version(tx: Transaction, version: AupVersion) -> bool:
    values = {
        "version": version.version,
        "text": version.text,
        "changes": version.changes,
        "published_at": version.published_at,
        "accept_by": version.accept_by,
    }
    return await tx.run(SQL["insert_version"], values) == 1


async def versions(tx: Transaction) -> list[AupVersion]:
    return [AupVersion(**row) for row in await tx.all(SQL["versions"])]


async def current_version(tx: Transaction) -> AupVersion | None:
    row = await tx.maybe(SQL["current_version"])
    return None if row is None else AupVersion(**row)


async def accepted_version(tx: Transaction, organisation: OrganisationId, person: PersonId) -> int:
    row = await tx.one(SQL["accepted_version"], {"organisation": organisation, "person": person})
    return int(row["version"] or 0)


async def insert_acceptance(
    tx: Transaction,
    organisation: OrganisationId,
    person: PersonId,
    version: int,
    *,
    at: datetime,
    address: IPv4Address | IPv6Address | None,
    client: str,
) -> bool:
    values = {
        "organisation": organisation,
        "person": person,
        "version": version,
        "at": at,
        "address": address,
        "client": client,
    }
    return await tx.run(SQL["insert_acceptance"], values) == 1


async def who_has_not_accepted(
    tx: Transaction, organisation: OrganisationId, version: int
) -> list[tuple[PersonId, str]]:
    rows = await tx.all(SQL["who_has_not_accepted"], {"organisation": organisation, "version": version})
    return [(row["id"], _name(row)) for row in rows]


def _name(row: Row) -> str:
    return " ".join(part for part in (row["title"], row["given_name"], row["family_name"]) if part)
