"""Runs directory/correspondents.sql: the directory that everybody searches, and each mailbox's correspondents."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from carepost.base.address import EmailAddress
from carepost.base.ids import MailboxId, OrganisationId, PersonId
from carepost.directory.model import MailboxKind
from carepost.infra.db import Row, Transaction
from carepost.infra.sql import load_queries

SQL = load_queries(__package__, "correspondents.sql")
_LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryEntry:
    """One line of the directory."""

    address: EmailAddress
    organisation: OrganisationId
    organisation_name: str
    mailbox: MailboxId
    kind: MailboxKind
    name: str
    job: str
    state: str  # "open", "joining", "leaver", "gone"
    not_for_urgent: bool


@dataclass(frozen=True, slots=True)
class KnownRow:
    times: int
    last_at: datetime | None
    consented_at: datetime | None
    patient: bool
    verified_at: datetime | None
    verified_how: str | None
    denied_at: datetime | None


async def publish(tx: Transaction, organisation: OrganisationId, mailbox: MailboxId) -> None:
    """The directory shows the mailbox as it is now. In the transaction that changed it."""
    values = {"organisation": organisation, "mailbox": mailbox}
    await tx.run(SQL["forget_words"], values)
    await tx.run(SQL["publish_entries"], values)
    await tx.run(SQL["publish_words"], values)


async def publish_person(tx: Transaction, organisation: OrganisationId, person: PersonId) -> None:
    row = await tx.maybe(SQL["mailbox_of_person"], {"organisation": organisation, "person": person})
    if row is not None:
        await publish(tx, organisation, row["id"])


async def find_entries(
    tx: Transaction, organisation: OrganisationId, words: Sequence[str], *, whole: bool = False, limit: int
) -> list[DirectoryEntry]:
    """Entries with words that begin like each of `words` (or, `whole`, are each of them). `words` is not empty."""
    end = "" if whole else _LAST
    first, *others = sorted(words, key=len, reverse=True)
    values = {
        "organisation": organisation,
        "first_from": first,
        "first_to": first + (end or "\x01"),
        "froms": others,
        "tos": [other + (end or "\x01") for other in others],
        "limit": limit,
    }
    return [_entry(row) for row in await tx.all(SQL["find_entries"], values)]


async def entries_at(tx: Transaction, addresses: Sequence[EmailAddress]) -> dict[str, DirectoryEntry]:
    """By the key of the address."""
    rows = await tx.all(SQL["entries_at"], {"keys": [address.key for address in addresses]})
    return {row["address"]: _entry(row) for row in rows}


def _entry(row: Row) -> DirectoryEntry:
    return DirectoryEntry(
        address=EmailAddress.parse(row["address"]),
        organisation=row["owner_organisation"],
        organisation_name=row["organisation_name"],
        mailbox=row["mailbox_id"],
        kind=MailboxKind(row["kind"]),
        name=row["name"],
        job=row["job"],
        state=row["state"],
        not_for_urgent=row["not_for_urgent"],
    )


# --- correspondents -------------------------------------------------------------------------------------------------


async def note(
    tx: Transaction,
    organisation: OrganisationId,
    mailbox: MailboxId,
    sealed: Mapping[bytes, bytes],
    pairs: Sequence[tuple[bytes, bytes]],
    *,
    named: Collection[bytes],
    at: datetime,
) -> None:
    """`sealed` by token, `named` those whose name the message gave; `pairs` of tokens, each in order."""
    place = {"organisation": organisation, "mailbox": mailbox, "at": at}
    tokens = sorted(sealed)
    given = {"tokens": tokens, "sealed": [sealed[token] for token in tokens], "named": list(named)}
    await tx.run(SQL["note_correspondents"], {**place, **given})
    if pairs:
        ones, others = zip(*sorted(pairs), strict=True)
        await tx.run(SQL["note_together"], {**place, "ones": list(ones), "others": list(others)})


async def together(
    tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, tokens: Sequence[bytes], *, limit: int
) -> list[tuple[bytes, bytes, int]]:
    values = {"organisation": organisation, "mailbox": mailbox, "tokens": list(tokens), "limit": limit}
    rows = await tx.all(SQL["together"], values)
    return [(bytes(row["one"]), bytes(row["other"]), row["times"]) for row in rows]


async def known(
    tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, tokens: Sequence[bytes]
) -> dict[bytes, KnownRow]:
    values = {"organisation": organisation, "mailbox": mailbox, "tokens": list(tokens)}
    rows = await tx.all(SQL["known"], values)
    return {bytes(row.pop("token")): KnownRow(**row) for row in rows}


async def correspondents(
    tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, *, limit: int
) -> list[tuple[bytes, bytes, int, datetime | None]]:
    """Token, sealed, times, last time; those written to most lately first."""
    values = {"organisation": organisation, "mailbox": mailbox, "limit": limit}
    return [
        (bytes(token), bytes(sealed), *rest) for token, sealed, *rest in await tx.tuples(SQL["correspondents"], values)
    ]


async def meet(tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, token: bytes, sealed: bytes) -> None:
    values = {"organisation": organisation, "mailbox": mailbox, "token": token, "sealed": sealed}
    await tx.run(SQL["meet_correspondent"], values)


async def set_consent(
    tx: Transaction,
    organisation: OrganisationId,
    mailbox: MailboxId,
    token: bytes,
    *,
    at: datetime | None,
    person: PersonId | None,
) -> None:
    values = {"organisation": organisation, "mailbox": mailbox, "token": token, "at": at, "person": person}
    await tx.run(SQL["set_consent"], values)


async def set_patient(
    tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, token: bytes, *, patient: bool
) -> None:
    values = {"organisation": organisation, "mailbox": mailbox, "token": token, "patient": patient}
    await tx.run(SQL["set_patient"], values)


async def set_verified(
    tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, token: bytes, *, at: datetime, how: str
) -> None:
    values = {"organisation": organisation, "mailbox": mailbox, "token": token, "at": at, "how": how}
    await tx.run(SQL["set_verified"], values)


async def set_denied(
    tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, token: bytes, *, at: datetime
) -> None:
    values = {"organisation": organisation, "mailbox": mailbox, "token": token, "at": at}
    await tx.run(SQL["set_denied"], values)


async def forget(tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, token: bytes) -> bool:
    values = {"organisation": organisation, "mailbox": mailbox, "token": token}
    return await tx.run(SQL["forget_correspondent"], values) == 1


async def forget_strangers(tx: Transaction, organisation: OrganisationId, *, before: datetime) -> int:
    values = {"organisation": organisation, "before": before}
    await tx.run(SQL["forget_company"], values)
    return await tx.run(SQL["forget_strangers"], values)
