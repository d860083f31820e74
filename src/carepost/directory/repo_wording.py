"""Runs directory/wording.sql: signatures, templates, and how long a person may undo."""

from dataclasses import dataclass
from datetime import datetime

from carepost.base.ids import MailboxId, OrganisationId, PersonId
from carepost.directory.wording_model import WordingKind
from carepost.infra.db import Row, Transaction
from carepost.infra.sql import load_queries

SQL = load_queries(__package__, "wording.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class WordingRow:
    id: int
    version: int
    kind: WordingKind
    mailbox: MailboxId | None
    allows_own: bool
    sealed: bytes
    changed_by: PersonId | None
    changed_at: datetime


async def lock(tx: Transaction, organisation: OrganisationId, mailbox: MailboxId | None) -> None:
    await tx.one(SQL["lock_wordings"], {"organisation": int(organisation), "mailbox": mailbox})


async def all_of(
    tx: Transaction, organisation: OrganisationId, mailbox: MailboxId | None, kind: WordingKind
) -> list[WordingRow]:
    values = {"organisation": organisation, "mailbox": mailbox, "kind": kind.value}
    return [_row(row) for row in await tx.all(SQL["wordings"], values)]


async def get(tx: Transaction, organisation: OrganisationId, wording: int) -> WordingRow | None:
    row = await tx.maybe(SQL["wording"], {"organisation": organisation, "id": wording})
    return _row(row) if row is not None else None


async def count(tx: Transaction, organisation: OrganisationId, mailbox: MailboxId | None, kind: WordingKind) -> int:
    values = {"organisation": organisation, "mailbox": mailbox, "kind": kind.value}
    return int((await tx.one(SQL["count_wordings"], values))["many"])


async def insert(tx: Transaction, organisation: OrganisationId, row: WordingRow) -> None:
    """The newest version; an older one is put aside, or, of a mailbox, forgotten."""
    await retire(tx, organisation, row.id)
    values = {
        "organisation": organisation,
        "id": row.id,
        "version": row.version,
        "kind": row.kind.value,
        "mailbox": row.mailbox,
        "allows_own": row.allows_own,
        "sealed": row.sealed,
        "person": row.changed_by,
        "at": row.changed_at,
    }
    await tx.run(SQL["insert_wording"], values)


async def retire(tx: Transaction, organisation: OrganisationId, wording: int) -> None:
    await tx.run(SQL["retire_wording"], {"organisation": organisation, "id": wording})
    await tx.run(SQL["forget_older_wording"], {"organisation": organisation, "id": wording})


async def undo_seconds(tx: Transaction, organisation: OrganisationId, person: PersonId) -> int | None:
    row = await tx.maybe(SQL["undo_seconds"], {"organisation": organisation, "person": person})
    return int(row["undo_seconds"]) if row is not None else None


async def choose_undo(tx: Transaction, organisation: OrganisationId, person: PersonId, seconds: int | None) -> None:
    values = {"organisation": organisation, "person": person}
    if seconds is None:
        await tx.run(SQL["choose_nothing"], values)
    else:
        await tx.run(SQL["choose_undo"], {**values, "seconds": seconds})


def _row(row: Row) -> WordingRow:
    return WordingRow(
        id=row["id"],
        version=row["version"],
        kind=WordingKind(row["kind"]),
        mailbox=row["mailbox_id"],
        allows_own=row["allows_own"],
        sealed=bytes(row["sealed"]),
        changed_by=row["changed_by"],
        changed_at=row["changed_at"],
    )
