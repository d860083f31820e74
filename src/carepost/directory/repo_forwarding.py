"""Runs the statements of directory/automatic.sql that are about forwarding: rows in, our values out."""

from dataclasses import dataclass
from datetime import datetime

from carepost.base.ids import DeliveryId, MailboxId, OrganisationId, PersonId
from carepost.directory.repo_automatic import SQL
from carepost.infra.db import Row, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardingRow:
    id: int
    mailbox: MailboxId
    state: str
    asked_at: datetime
    asked_by: PersonId | None
    decided_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime | None
    told_at: datetime | None
    details: bytes  # sealed


async def forwardings(
    tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, *, limit: int
) -> list[ForwardingRow]:
    values = {"organisation": organisation, "mailbox": mailbox, "limit": limit}
    return [_row(row) for row in await tx.all(SQL["forwardings"], values)]


async def forwardings_open(
    tx: Transaction, organisation: OrganisationId, *, after: int, limit: int
) -> list[ForwardingRow]:
    values = {"organisation": organisation, "after": after, "limit": limit}
    return [_row(row) for row in await tx.all(SQL["forwardings_open"], values)]


async def lock_forwarding(tx: Transaction, organisation: OrganisationId, number: int) -> ForwardingRow | None:
    row = await tx.maybe(SQL["lock_forwarding"], {"organisation": organisation, "id": number})
    return _row(row) if row else None


async def forwarding_in_force(
    tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, *, at: datetime
) -> ForwardingRow | None:
    values = {"organisation": organisation, "mailbox": mailbox, "at": at}
    row = await tx.maybe(SQL["forwarding_in_force"], values)
    return _row(row) if row else None


async def ask_forwarding(tx: Transaction, organisation: OrganisationId, **values: object) -> int | None:
    """`mailbox`, `at`, `asked_by`, `details`. None when there is one already."""
    row = await tx.maybe(SQL["ask_forwarding"], {"organisation": organisation, **values})
    return int(row["id"]) if row else None


async def allow_forwarding(
    tx: Transaction, organisation: OrganisationId, number: int, *, at: datetime, expires: datetime
) -> None:
    values = {"organisation": organisation, "id": number, "at": at, "expires": expires}
    await tx.run(SQL["allow_forwarding"], values)


async def end_forwarding(
    tx: Transaction, organisation: OrganisationId, number: int, *, state: str, at: datetime, details: bytes
) -> None:
    values = {"organisation": organisation, "id": number, "state": state, "at": at, "details": details}
    await tx.run(SQL["end_forwarding"], values)


async def tell_of_forwarding(
    tx: Transaction, organisation: OrganisationId, number: int, *, at: datetime, again_before: datetime
) -> bool:
    values = {"organisation": organisation, "id": number, "at": at, "again_before": again_before}
    return await tx.maybe(SQL["tell_of_forwarding"], values) is not None


async def note_forwarded(
    tx: Transaction, organisation: OrganisationId, delivery: DeliveryId, number: int, *, at: datetime
) -> None:
    await tx.run(SQL["note_forwarded"], {"organisation": organisation, "delivery": delivery, "id": number, "at": at})


async def forwarding_of_delivery(
    tx: Transaction, organisation: OrganisationId, delivery: DeliveryId
) -> ForwardingRow | None:
    values = {"organisation": organisation, "delivery": delivery}
    row = await tx.maybe(SQL["forwarding_of_delivery"], values)
    return _row(row) if row else None


async def forget_forwarded(tx: Transaction, organisation: OrganisationId, *, before: datetime) -> int:
    return await tx.run(SQL["forget_forwarded"], {"organisation": organisation, "before": before})


def _row(row: Row) -> ForwardingRow:
    return ForwardingRow(
        id=row["id"],
        mailbox=MailboxId(row["mailbox_id"]),
        state=row["state"],
        asked_at=row["asked_at"],
        asked_by=None if row["asked_by"] is None else PersonId(row["asked_by"]),
        decided_at=row["decided_at"],
        ended_at=row["ended_at"],
        expires_at=row["expires_at"],
        told_at=row["told_at"],
        details=bytes(row["details"]),
    )
