"""Rows of the keys that mail is signed with. Only signing calls this."""

from dataclasses import dataclass
from datetime import datetime

from carepost.base.address import Domain
from carepost.base.ids import OrganisationId
from carepost.infra.db import Transaction
from carepost.infra.sql import load_queries

SQL = load_queries(__package__, "keys.sql")


@dataclass(frozen=True, slots=True)
class KeyRow:
    selector: str
    algorithm: str
    public: bytes
    private: bytes | None
    state: str
    created_at: datetime
    activated_at: datetime | None
    retired_at: datetime | None


async def is_own_domain(tx: Transaction, domain: Domain) -> bool:
    return bool(await tx.all(SQL["own_domain"], {"domain": domain.name}))


async def domain_owner(tx: Transaction, domain: Domain) -> OrganisationId | None:
    """None: all organisations share it."""
    row = await tx.maybe(SQL["own_domain"], {"domain": domain.name})
    return OrganisationId(row["owner_organisation"]) if row and row["owner_organisation"] is not None else None


async def dkim_keys(tx: Transaction, organisation: OrganisationId, domain: Domain) -> list[KeyRow]:
    rows = await tx.all(SQL["dkim_keys"], {"organisation": organisation, "domain": domain.name})
    return [
        KeyRow(
            row["selector"],
            row["algorithm"],
            bytes(row["public"]),
            bytes(row["private"]) if row["private"] is not None else None,
            row["state"],
            row["created_at"],
            row["activated_at"],
            row["retired_at"],
        )
        for row in rows
    ]


async def insert(tx: Transaction, organisation: OrganisationId, domain: Domain, key: KeyRow) -> None:
    await tx.run(
        SQL["insert_dkim_key"],
        {
            "organisation": organisation,
            "domain": domain.name,
            "selector": key.selector,
            "algorithm": key.algorithm,
            "public": key.public,
            "private": key.private,
            "state": key.state,
            "at": key.created_at,
        },
    )


async def retire(tx: Transaction, organisation: OrganisationId, domain: Domain, *, at: datetime) -> None:
    await tx.run(SQL["retire_dkim_keys"], {"organisation": organisation, "domain": domain.name, "at": at})


async def activate(tx: Transaction, organisation: OrganisationId, domain: Domain, *, at: datetime) -> None:
    await tx.run(SQL["activate_dkim_keys"], {"organisation": organisation, "domain": domain.name, "at": at})


async def forget(tx: Transaction, organisation: OrganisationId, domain: Domain, *, before: datetime) -> None:
    await tx.run(SQL["forget_dkim_keys"], {"organisation": organisation, "domain": domain.name, "before": before})
