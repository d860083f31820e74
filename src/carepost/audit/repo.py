"""Runs audit/queries.sql; the only SQL of this area."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from carepost.audit.chain import Head
from carepost.audit.model import Entry
from carepost.base.ids import OrganisationId
from carepost.infra.db import Transaction
from carepost.infra.sql import load_queries

SQL = load_queries(__package__)


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    id: int
    at: datetime
    entries: int
    note: str


async def record_event(tx: Transaction, entry: dict[str, object], *, otherwise: Callable[[], Exception]) -> None:
    """Raises `otherwise()` when none was written: no organisation is set, or it has no chain. See Transaction.must."""
    await tx.must(SQL["record_event"], entry, rows=1, otherwise=otherwise)


async def acting_organisation(tx: Transaction) -> OrganisationId | None:
    row = await tx.one(SQL["acting_organisation"])
    return row["organisation"]  # type: ignore[no-any-return]


async def start_chain(tx: Transaction, organisation: OrganisationId) -> None:
    await tx.run(SQL["start_chain"], {"organisation": organisation})


async def head_of(tx: Transaction, organisation: OrganisationId) -> Head | None:
    row = await tx.maybe(SQL["head_of"], {"organisation": organisation})
    return None if row is None else Head(row["organisation_id"], row["seq"], bytes(row["hash"]))


async def entries_after(tx: Transaction, organisation: OrganisationId, after: int, *, limit: int) -> list[Entry]:
    rows = await tx.all(SQL["entries_after"], {"organisation": organisation, "after": after, "limit": limit})
    return [Entry(**row) for row in rows]


async def latest_entries(
    tx: Transaction,
    organisation: OrganisationId,
    *,
    before: int,
    event: str | None,
    person: int | None,
    limit: int,
) -> list[Entry]:
    rows = await tx.all(
        SQL["latest_entries"],
        {"organisation": organisation, "before": before, "event": event, "person": person, "limit": limit},
    )
    return [Entry(**row) for row in rows]


async def chained_organisations(tx: Transaction) -> list[OrganisationId]:
    return [row["id"] for row in await tx.all(SQL["chained_organisations"])]


async def insert_checkpoint(tx: Transaction, *, at: datetime, entries: int, note: str) -> None:
    await tx.run(SQL["insert_checkpoint"], {"at": at, "entries": entries, "note": note})


async def latest_checkpoint(tx: Transaction) -> StoredCheckpoint | None:
    row = await tx.maybe(SQL["latest_checkpoint"])
    return None if row is None else StoredCheckpoint(**row)


async def checkpoints_after(tx: Transaction, after: int, *, limit: int) -> list[StoredCheckpoint]:
    rows = await tx.all(SQL["checkpoints_after"], {"after": after, "limit": limit})
    return [StoredCheckpoint(**row) for row in rows]
