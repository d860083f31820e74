"""Rows of mailboxes' certificates to values, and back. The only caller of certificates.sql."""

from dataclasses import dataclass, field
from datetime import datetime

from carepost.infra.db import Transaction
from carepost.infra.sql import load_queries
from carepost.store.model import MailboxLike

SQL = load_queries("carepost.store", "certificates.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRow:
    fingerprint: bytes
    certificates: tuple[bytes, ...]
    private_key: bytes = field(repr=False)  # sealed
    signs: bool
    since: datetime
    until: datetime
    added_at: datetime


async def insert(tx: Transaction, mailbox: MailboxLike, **values: object) -> bool:
    """False when the mailbox has it already."""
    return await tx.maybe(SQL["insert_certificate"], {**_of(mailbox), **values}) is not None


async def certificates(tx: Transaction, mailbox: MailboxLike, *, limit: int) -> list[CertificateRow]:
    rows = await tx.all(SQL["certificates"], {**_of(mailbox), "limit": limit})
    return [
        CertificateRow(
            fingerprint=row["fingerprint"],
            certificates=tuple(row["certificates"]),
            private_key=row["private_key"],
            signs=row["signs"],
            since=row["since"],
            until=row["until"],
            added_at=row["added_at"],
        )
        for row in rows
    ]


async def remove(tx: Transaction, mailbox: MailboxLike, fingerprint: bytes) -> bool:
    return await tx.maybe(SQL["remove_certificate"], {**_of(mailbox), "fingerprint": fingerprint}) is not None


def _of(mailbox: MailboxLike) -> dict[str, object]:
    return {"organisation": mailbox.organisation, "mailbox": mailbox.id}
