"""Rows of mailboxes' and correspondents' certificates to values, and back. The only caller of certificates.sql."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from carepost.base.ids import OrganisationId
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


@dataclass(frozen=True, slots=True)
class CorrespondentRow:
    token: bytes
    fingerprint: bytes
    certificate: bytes = field(repr=False)  # sealed


async def put_correspondent(tx: Transaction, organisation: OrganisationId, **values: object) -> None:
    await tx.run(SQL["put_correspondent"], {"organisation": organisation, **values})


async def correspondents(
    tx: Transaction, organisation: OrganisationId, tokens: Collection[bytes]
) -> list[CorrespondentRow]:
    rows = await tx.all(SQL["correspondents"], {"organisation": organisation, "tokens": list(tokens)})
    return [CorrespondentRow(row["token"], row["fingerprint"], row["certificate"]) for row in rows]


async def correspondents_page(
    tx: Transaction, organisation: OrganisationId, *, after: bytes, limit: int
) -> list[CorrespondentRow]:
    values = {"organisation": organisation, "after": after, "limit": limit}
    rows = await tx.all(SQL["correspondents_page"], values)
    return [CorrespondentRow(row["token"], row["fingerprint"], row["certificate"]) for row in rows]


async def remove_correspondent(tx: Transaction, organisation: OrganisationId, token: bytes) -> bytes | None:
    """The fingerprint of what was removed; None when there was none."""
    row = await tx.maybe(SQL["remove_correspondent"], {"organisation": organisation, "token": token})
    return None if row is None else bytes(row["fingerprint"])


def _of(mailbox: MailboxLike) -> dict[str, object]:
    return {"organisation": mailbox.organisation, "mailbox": mailbox.id}
