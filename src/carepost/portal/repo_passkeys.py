"""Rows of passkeys to values, and back. The only caller of passkeys.sql."""

from dataclasses import dataclass
from datetime import datetime

from carepost.base.ids import OrganisationId
from carepost.infra.db import Transaction
from carepost.infra.sql import load_queries
from carepost.portal.model import Level, SecureMessageId

SQL = load_queries("carepost.portal", "passkeys.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyRow:
    id: int
    credential: bytes
    public_key: bytes
    counted: int
    proved: Level
    state: str  # "kept", "copied"
    kept_at: datetime
    used_at: datetime | None


async def passkeys_of(tx: Transaction, organisation: OrganisationId, whose: bytes, *, limit: int) -> list[PasskeyRow]:
    rows = await tx.all(SQL["passkeys_of"], {"organisation": organisation, "whose": whose, "limit": limit})
    return [
        PasskeyRow(
            id=row["id"],
            credential=row["credential"],
            public_key=row["public_key"],
            counted=row["counted"],
            proved=Level(row["proved"]),
            state=row["state"],
            kept_at=row["kept_at"],
            used_at=row["used_at"],
        )
        for row in rows
    ]


async def insert(tx: Transaction, organisation: OrganisationId, **values: object) -> int | None:
    row = await tx.maybe(SQL["insert_passkey"], {"organisation": organisation, **values})
    return int(row["id"]) if row else None


async def use(tx: Transaction, organisation: OrganisationId, passkey: int, *, counted: int, now: datetime) -> bool:
    given = {"organisation": organisation, "passkey": passkey, "counted": counted, "now": now}
    return await tx.maybe(SQL["use_passkey"], given) is not None


async def copied(tx: Transaction, organisation: OrganisationId, passkey: int) -> bool:
    given = {"organisation": organisation, "passkey": passkey}
    return await tx.maybe(SQL["passkey_copied"], given) is not None


async def remove(tx: Transaction, organisation: OrganisationId, passkey: int, whose: bytes) -> bool:
    given = {"organisation": organisation, "passkey": passkey, "whose": whose}
    return await tx.maybe(SQL["remove_passkey"], given) is not None


async def put_challenge(
    tx: Transaction, organisation: OrganisationId, message: SecureMessageId, **values: object
) -> None:
    await tx.run(SQL["put_challenge"], {"organisation": organisation, "message": message, **values})


async def take_challenge(
    tx: Transaction,
    organisation: OrganisationId,
    message: SecureMessageId,
    *,
    token: bytes,
    purpose: str,
    now: datetime,
) -> bytes | None:
    """None when there is none, or its time is over. Gone either way, once the transaction commits."""
    given = {"organisation": organisation, "message": message, "token": token, "purpose": purpose}
    row = await tx.maybe(SQL["take_challenge"], given)
    return row["challenge"] if row and now < row["expires_at"] else None
