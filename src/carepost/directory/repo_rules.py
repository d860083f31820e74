"""Runs directory/rules.sql: each organisation's rules for mail that leaves, and exceptions from mandatory TLS."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from carepost.base.address import Domain
from carepost.base.ids import OrganisationId, PersonId
from carepost.directory.model import TlsException
from carepost.infra.db import Transaction
from carepost.infra.sql import load_queries
from carepost.policy.rules import Chosen

SQL = load_queries(__package__, "rules.sql")
_ENCODER, _DECODER = msgspec.json.Encoder(order="sorted"), msgspec.json.Decoder(Chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesVersion:
    """One version, as it was set."""

    version: int
    chosen: Chosen
    reason: str
    set_at: datetime
    set_by: str  # a person's name; empty: the operator


async def versions(tx: Transaction, organisation: OrganisationId, *, limit: int) -> list[RulesVersion]:
    """Newest first."""
    rows = await tx.all(SQL["newest_rules"], {"organisation": organisation, "limit": limit})
    return [
        RulesVersion(
            version=row["version"],
            chosen=_DECODER.decode(row["chosen"]),
            reason=row["reason"],
            set_at=row["set_at"],
            set_by=f"{row['given_name']} {row['family_name']}" if row["family_name"] is not None else "",
        )
        for row in rows
    ]


async def insert(
    tx: Transaction,
    organisation: OrganisationId,
    chosen: Chosen,
    *,
    version: int,
    reason: str,
    at: datetime,
    person: PersonId | None,
) -> bool:
    """False when there is such a version already."""
    given = {
        "organisation": organisation,
        "version": version,
        "chosen": _ENCODER.encode(chosen).decode(),
        "reason": reason,
        "at": at,
        "person": person,
    }
    return await tx.run(SQL["insert_rules"], given) == 1


async def guidance_seen(tx: Transaction, organisation: OrganisationId, person: PersonId) -> bytes | None:
    row = await tx.maybe(SQL["guidance_seen"], {"organisation": organisation, "person": person})
    return None if row is None else bytes(row["digest"])


async def note_guidance(
    tx: Transaction, organisation: OrganisationId, person: PersonId, digest: bytes, *, at: datetime
) -> None:
    given = {"organisation": organisation, "person": person, "digest": digest, "at": at}
    await tx.run(SQL["note_guidance"], given)


async def tls_exceptions(tx: Transaction) -> list[TlsException]:
    return [
        TlsException(domain=Domain(row["domain"]), reason=row["reason"], made_at=row["made_at"], until=row["until_at"])
        for row in await tx.all(SQL["tls_exceptions"])
    ]


async def put_tls_exception(tx: Transaction, one: TlsException) -> None:
    given = {"domain": one.domain.name, "reason": one.reason, "made_at": one.made_at, "until_at": one.until}
    await tx.run(SQL["put_tls_exception"], given)


async def end_tls_exception(tx: Transaction, domain: Domain) -> bool:
    return await tx.run(SQL["end_tls_exception"], {"domain": domain.name}) == 1
