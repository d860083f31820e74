"""Runs directory/automatic.sql: rows in, our values out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from carepost.base.address import EmailAddress
from carepost.base.ids import MailboxId, OrganisationId
from carepost.infra.db import Transaction
from carepost.infra.sql import load_queries

SQL = load_queries(__package__, "automatic.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoreplyRow:
    is_on: bool
    starts_at: datetime | None
    ends_at: datetime | None
    changed_at: datetime
    details: bytes  # sealed


async def autoreply(tx: Transaction, organisation: OrganisationId, mailbox: MailboxId) -> AutoreplyRow | None:
    row = await tx.maybe(SQL["autoreply"], {"organisation": organisation, "mailbox": mailbox})
    if row is None:
        return None
    return AutoreplyRow(
        is_on=row["is_on"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        changed_at=row["changed_at"],
        details=bytes(row["details"]),
    )


async def autoreplies_on(
    tx: Transaction, organisation: OrganisationId, mailboxes: Sequence[MailboxId], *, at: datetime
) -> frozenset[MailboxId]:
    values = {"organisation": organisation, "mailboxes": list(mailboxes), "at": at}
    return frozenset(MailboxId(row["mailbox_id"]) for row in await tx.all(SQL["autoreplies_on"], values))


async def set_autoreply(tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, **values: object) -> None:
    """`is_on`, `starts_at`, `ends_at`, `at`, `details`."""
    await tx.run(SQL["set_autoreply"], {"organisation": organisation, "mailbox": mailbox, **values})


async def tell_once(
    tx: Transaction,
    organisation: OrganisationId,
    mailbox: MailboxId,
    token: bytes,
    *,
    at: datetime,
    again_before: datetime,
) -> bool:
    """False when they were told already. Of two at once the second waits for the first, and is told no."""
    values = {
        "organisation": organisation,
        "mailbox": mailbox,
        "token": token,
        "at": at,
        "again_before": again_before,
    }
    return await tx.maybe(SQL["tell_once"], values) is not None


async def told_since(tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, *, since: datetime) -> int:
    row = await tx.one(SQL["told_since"], {"organisation": organisation, "mailbox": mailbox, "since": since})
    return int(row["told"])


async def forget_told(tx: Transaction, organisation: OrganisationId, *, before: datetime) -> int:
    return await tx.run(SQL["forget_told"], {"organisation": organisation, "before": before})


async def own_addresses(tx: Transaction, organisation: OrganisationId, mailbox: MailboxId) -> list[EmailAddress]:
    rows = await tx.all(SQL["own_addresses"], {"organisation": organisation, "mailbox": mailbox})
    return [EmailAddress.parse(row["address"]) for row in rows]
