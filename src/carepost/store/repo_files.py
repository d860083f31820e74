"""Runs store/files.sql: rows in, our values out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from carepost.base.ids import MailboxId, OrganisationId, OutgoingId
from carepost.infra.db import Transaction
from carepost.infra.sql import load_queries

SQL = load_queries(__package__, "files.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    id: int
    name: bytes
    mailbox: MailboxId
    state: str
    size: int
    received: int
    piece_octets: int
    sealed: bytes = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class EndedRow:
    id: int
    mailbox: MailboxId
    why: str


async def insert(tx: Transaction, organisation: OrganisationId, **values: object) -> int | None:
    """None when the mailbox would hold too much."""
    await tx.one(SQL["lock_mailbox"], {"organisation": organisation, "mailbox": values["mailbox"]})
    row = await tx.maybe(SQL["insert"], {"organisation": organisation, **values})
    return int(row["id"]) if row else None


async def by_names(
    tx: Transaction, organisation: OrganisationId, names: Sequence[bytes], *, now: datetime
) -> list[FileRow]:
    rows = await tx.all(SQL["by_names"], {"organisation": organisation, "names": list(names), "now": now})
    return [_file(row) for row in rows]


async def of_outgoing(
    tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, *, now: datetime
) -> list[FileRow]:
    rows = await tx.all(SQL["of_outgoing"], {"organisation": organisation, "outgoing": outgoing, "now": now})
    return [_file(row) for row in rows]


async def go_on(tx: Transaction, organisation: OrganisationId, file: int, **values: object) -> int | None:
    """How much there is now; None when the file does not stand there."""
    row = await tx.maybe(SQL["go_on"], {"organisation": organisation, "file": file, **values})
    return int(row["received"]) if row else None


async def insert_piece(tx: Transaction, organisation: OrganisationId, file: int, number: int, sealed: bytes) -> None:
    given = {"organisation": organisation, "file": file, "number": number, "sealed": sealed}
    await tx.run(SQL["insert_piece"], given)


async def piece(
    tx: Transaction, organisation: OrganisationId, file: int, number: int, *, now: datetime
) -> bytes | None:
    given = {"organisation": organisation, "file": file, "number": number, "now": now}
    row = await tx.maybe(SQL["piece"], given)
    return bytes(row["sealed"]) if row else None


async def claim_look(
    tx: Transaction, organisation: OrganisationId, file: int, *, now: datetime, until: datetime
) -> bool:
    given = {"organisation": organisation, "file": file, "now": now, "until": until}
    return await tx.maybe(SQL["claim_look"], given) is not None


async def give_up_look(tx: Transaction, organisation: OrganisationId, file: int) -> None:
    await tx.run(SQL["give_up_look"], {"organisation": organisation, "file": file})


async def unlooked(tx: Transaction, organisation: OrganisationId, *, now: datetime, limit: int) -> list[bytes]:
    given = {"organisation": organisation, "now": now, "limit": limit}
    return [bytes(row["name"]) for row in await tx.all(SQL["unlooked"], given)]


async def judge(tx: Transaction, organisation: OrganisationId, file: int, **values: object) -> bool:
    return await tx.maybe(SQL["judge"], {"organisation": organisation, "file": file, **values}) is not None


async def use(tx: Transaction, organisation: OrganisationId, **values: object) -> int:
    """How many of the named files there are to be used."""
    return len(await tx.all(SQL["use"], {"organisation": organisation, **values}))


async def keep_longer(tx: Transaction, organisation: OrganisationId, **values: object) -> None:
    await tx.run(SQL["keep_longer"], {"organisation": organisation, **values})


async def share(tx: Transaction, organisation: OrganisationId, **values: object) -> None:
    await tx.run(SQL["share"], {"organisation": organisation, **values})


async def unshare(tx: Transaction, organisation: OrganisationId, **values: object) -> int:
    return await tx.run(SQL["unshare"], {"organisation": organisation, **values})


async def shared_with(
    tx: Transaction, organisation: OrganisationId, **values: object
) -> tuple[OrganisationId, MailboxId] | None:
    """(whose it is, the mailbox that may have it)."""
    row = await tx.maybe(SQL["shared_with"], {"organisation": organisation, **values})
    return (OrganisationId(row["owner_organisation"]), MailboxId(row["mailbox_id"])) if row else None


async def ended(tx: Transaction, organisation: OrganisationId, **values: object) -> list[EndedRow]:
    rows = await tx.all(SQL["ended"], {"organisation": organisation, **values})
    return [EndedRow(int(row["id"]), MailboxId(row["mailbox_id"]), row["why"]) for row in rows]


async def close(tx: Transaction, organisation: OrganisationId, files: Sequence[int], *, now: datetime) -> None:
    await tx.run(SQL["close"], {"organisation": organisation, "files": list(files), "now": now})


async def delete_pieces(tx: Transaction, organisation: OrganisationId, file: int, *, limit: int) -> int:
    return await tx.run(SQL["delete_pieces"], {"organisation": organisation, "file": file, "limit": limit})


async def delete(tx: Transaction, organisation: OrganisationId, file: int) -> bool:
    return await tx.maybe(SQL["delete"], {"organisation": organisation, "file": file}) is not None


async def forget_shares(tx: Transaction, organisation: OrganisationId, *, now: datetime) -> None:
    await tx.run(SQL["forget_shares"], {"organisation": organisation, "now": now})


def _file(row: dict[str, Any]) -> FileRow:
    return FileRow(
        id=int(row["id"]),
        name=bytes(row["name"]),
        mailbox=MailboxId(row["mailbox_id"]),
        state=row["state"],
        size=int(row["size"]),
        received=int(row["received"]),
        piece_octets=int(row["piece_octets"]),
        sealed=bytes(row["sealed"]),
        expires_at=row["expires_at"],
    )
