"""Rows in, values out: the only SQL of the store. Names of folders leave it sealed; `folders.py` opens them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from carepost.base.ids import FolderId, MailboxId, ObjectId, OrganisationId, TraceId, Uid
from carepost.infra.db import Transaction
from carepost.infra.sql import load_queries
from carepost.store.model import Laid, MessageRow, Outline, SpecialUse

SQL = load_queries("carepost.store")

Uids = Sequence[int]


@dataclass(frozen=True, slots=True)
class OrganisationKeyRow:
    version: int
    root_version: int
    wrapped: bytes
    intake_public: bytes
    intake_wrapped: bytes


@dataclass(frozen=True, slots=True)
class MailboxKeyRow:
    organisation_version: int
    wrapped: bytes
    intake_public: bytes
    intake_wrapped: bytes


@dataclass(frozen=True, slots=True)
class FolderRow:
    id: FolderId
    name: bytes  # sealed
    special_use: SpecialUse | None
    uidvalidity: int
    uidnext: int
    highest_modseq: int
    messages: int
    unseen: int
    octets: int
    subscribed: bool


@dataclass(frozen=True, slots=True)
class FolderCounters:
    """What a locked folder gives out next."""

    highest_modseq: int
    uidnext: int
    uidvalidity: int


# --- keys -----------------------------------------------------------------------------------------------------------


async def insert_organisation_key(tx: Transaction, **columns: object) -> None:
    await tx.run(SQL["insert_organisation_key"], columns)


async def organisation_keys(tx: Transaction, organisation: OrganisationId) -> list[OrganisationKeyRow]:
    return [
        OrganisationKeyRow(*row) for row in await tx.tuples(SQL["organisation_keys"], {"organisation": organisation})
    ]


async def organisation_intake(tx: Transaction, organisation: OrganisationId) -> tuple[int, bytes] | None:
    rows = await tx.tuples(SQL["organisation_intake"], {"organisation": organisation})
    return (rows[0][0], rows[0][1]) if rows else None


async def rewrap_organisation_key(
    tx: Transaction, organisation: OrganisationId, *, version: int, root_version: int, wrapped: bytes
) -> int:
    return await tx.run(
        SQL["rewrap_organisation_key"],
        {"organisation": organisation, "version": version, "root_version": root_version, "wrapped": wrapped},
    )


async def retire_organisation_keys(
    tx: Transaction, organisation: OrganisationId, *, version: int, at: datetime
) -> None:
    await tx.run(SQL["retire_organisation_keys"], {"organisation": organisation, "version": version, "at": at})


async def insert_mailbox_key(tx: Transaction, **columns: object) -> None:
    await tx.run(SQL["insert_mailbox_key"], columns)


async def mailbox_key(tx: Transaction, mailbox: MailboxId) -> MailboxKeyRow | None:
    rows = await tx.tuples(SQL["mailbox_key"], {"mailbox": mailbox})
    return MailboxKeyRow(*rows[0]) if rows else None


async def mailbox_keys_of_older_version(
    tx: Transaction, organisation: OrganisationId, *, version: int, limit: int
) -> list[tuple[MailboxId, int, bytes]]:
    rows = await tx.tuples(
        SQL["mailbox_keys_of_older_version"], {"organisation": organisation, "version": version, "limit": limit}
    )
    return [(MailboxId(mailbox), old, wrapped) for mailbox, old, wrapped in rows]


async def rewrap_mailbox_key(tx: Transaction, mailbox: MailboxId, *, version: int, wrapped: bytes) -> None:
    await tx.run(SQL["rewrap_mailbox_key"], {"mailbox": mailbox, "version": version, "wrapped": wrapped})


async def hold_keys(
    tx: Transaction, mailboxes: Sequence[MailboxId], objects: Sequence[ObjectId]
) -> dict[tuple[MailboxId, ObjectId], bytes]:
    """Wrapped keys by mailbox and object, held until the transaction ends. Folders are locked before."""
    rows = await tx.tuples(SQL["hold_keys"], {"mailboxes": list(mailboxes), "objects": list(objects)})
    return {(MailboxId(mailbox), ObjectId(object_id)): wrapped for mailbox, object_id, wrapped in rows}


async def insert_object_keys(
    tx: Transaction, mailbox: MailboxId, organisation: OrganisationId, wraps: Sequence[tuple[ObjectId, bytes]]
) -> None:
    objects, wrapped = [pair[0] for pair in wraps], [pair[1] for pair in wraps]
    await tx.run(
        SQL["insert_object_keys"],
        {"mailbox": mailbox, "organisation": organisation, "objects": objects, "wraps": wrapped},
    )
    await tx.run(SQL["insert_search_tail"], {"mailbox": mailbox, "organisation": organisation, "objects": objects})


async def keep_wraps(tx: Transaction, mailbox: MailboxId, wraps: Sequence[tuple[ObjectId, bytes]]) -> None:
    await tx.run(
        SQL["keep_wraps"],
        {"mailbox": mailbox, "objects": [pair[0] for pair in wraps], "wraps": [pair[1] for pair in wraps]},
    )


# --- laying in ------------------------------------------------------------------------------------------------------


async def insert_object(tx: Transaction, **columns: object) -> None:
    await tx.run(SQL["insert_object"], columns)


async def lay_in(tx: Transaction, *, mailbox: MailboxId, **columns: object) -> Laid | None:
    """None when the mailbox has no folder for that use."""
    rows = await tx.tuples(SQL["lay_in"], {"mailbox": mailbox, **columns})
    if not rows:
        return None
    folder, uidvalidity, uid, modseq, _ = rows[0]
    return Laid(mailbox, FolderId(folder), uidvalidity, Uid(uid), modseq)


async def lay_in_blindly(
    tx: Transaction, *, mailbox: MailboxId, otherwise: Callable[[], Exception], **columns: object
) -> None:
    """As `lay_in`, without its answer, so that a pipeline need not wait. Raises `otherwise()` where that is None."""
    await tx.must(SQL["lay_in"], {"mailbox": mailbox, **columns}, rows=1, otherwise=otherwise)


async def insert_message(tx: Transaction, **columns: object) -> None:
    await tx.run(SQL["insert_message"], columns)


# --- folders --------------------------------------------------------------------------------------------------------


async def folders(tx: Transaction, mailbox: MailboxId) -> list[FolderRow]:
    return [_folder(row) for row in await tx.tuples(SQL["folders"], {"mailbox": mailbox})]


async def folder(tx: Transaction, mailbox: MailboxId, folder_id: FolderId) -> FolderRow | None:
    rows = await tx.tuples(SQL["folder"], {"mailbox": mailbox, "folder": folder_id})
    return _folder(rows[0]) if rows else None


async def insert_folder(tx: Transaction, **columns: object) -> FolderId | None:
    rows = await tx.tuples(SQL["insert_folder"], columns)
    return FolderId(rows[0][0]) if rows else None


async def rename_folder(
    tx: Transaction, mailbox: MailboxId, folder_id: FolderId, *, name: bytes, name_token: bytes
) -> None:
    await tx.run(
        SQL["rename_folder"], {"mailbox": mailbox, "folder": folder_id, "name": name, "name_token": name_token}
    )


async def subscribe_folder(tx: Transaction, mailbox: MailboxId, folder_id: FolderId, *, subscribed: bool) -> None:
    await tx.run(SQL["subscribe_folder"], {"mailbox": mailbox, "folder": folder_id, "subscribed": subscribed})


async def delete_folder(tx: Transaction, mailbox: MailboxId, folder_id: FolderId) -> bool:
    gone = await tx.run(SQL["delete_folder"], {"mailbox": mailbox, "folder": folder_id})
    await tx.run(SQL["forget_expunged"], {"mailbox": mailbox, "folder": folder_id})
    return gone == 1


async def lock_folder(tx: Transaction, mailbox: MailboxId, folder_id: FolderId) -> FolderCounters | None:
    rows = await tx.tuples(SQL["lock_folder"], {"mailbox": mailbox, "folder": folder_id})
    return FolderCounters(*rows[0]) if rows else None


async def settle_folder(
    tx: Transaction,
    mailbox: MailboxId,
    folder_id: FolderId,
    *,
    modseq: int,
    uids: int = 0,
    messages: int = 0,
    unseen: int = 0,
    octets: int = 0,
) -> None:
    await tx.run(
        SQL["settle_folder"],
        {
            "mailbox": mailbox,
            "folder": folder_id,
            "modseq": modseq,
            "uids": uids,
            "messages": messages,
            "unseen": unseen,
            "octets": octets,
        },
    )


# --- messages -------------------------------------------------------------------------------------------------------


async def outlines(tx: Transaction, mailbox: MailboxId, folder_id: FolderId, *, since: int) -> list[Outline]:
    rows = await tx.tuples(SQL["outlines"], {"mailbox": mailbox, "folder": folder_id, "since": since})
    return [Outline(uid, flags, modseq, tuple(words)) for uid, flags, modseq, words in rows]


async def rows_of(tx: Transaction, mailbox: MailboxId, folder_id: FolderId, uids: Uids) -> list[MessageRow]:
    found = await tx.tuples(SQL["rows_of"], {"mailbox": mailbox, "folder": folder_id, "uids": list(uids)})
    return [message_row(row) for row in found]


async def rows_between(
    tx: Transaction, mailbox: MailboxId, folder_id: FolderId, low: int, high: int
) -> list[MessageRow]:
    found = await tx.tuples(SQL["rows_between"], {"mailbox": mailbox, "folder": folder_id, "low": low, "high": high})
    return [message_row(row) for row in found]


async def summaries_of(
    tx: Transaction, mailbox: MailboxId, folder_id: FolderId, uids: Uids
) -> list[tuple[Uid, ObjectId, bytes, bytes]]:
    """(uid, object, sealed summary, wrapped key) of each."""
    return await tx.tuples(SQL["summaries_of"], {"mailbox": mailbox, "folder": folder_id, "uids": list(uids)})


async def bodies_of(
    tx: Transaction, mailbox: MailboxId, folder_id: FolderId, uids: Uids
) -> list[tuple[Uid, ObjectId, bytes, bytes, bytes]]:
    """(uid, object, sealed body, digest, wrapped key) of each."""
    return await tx.tuples(SQL["bodies_of"], {"mailbox": mailbox, "folder": folder_id, "uids": list(uids)})


async def page(tx: Transaction, **columns: object) -> list[tuple[MessageRow, bytes, bytes]]:
    """(row, sealed summary, wrapped key) of each line."""
    return [(message_row(row[:8]), row[8], row[9]) for row in await tx.tuples(SQL["page"], columns)]


async def set_flags(tx: Transaction, **columns: object) -> list[tuple[Outline, int]]:
    """What each message became, and the flags it had."""
    rows = await tx.tuples(SQL["set_flags"], columns)
    return [(Outline(uid, flags, modseq, tuple(words)), before) for uid, flags, modseq, words, before in rows]


async def changed_since(
    tx: Transaction, mailbox: MailboxId, folder_id: FolderId, uids: Uids, *, since: int
) -> list[Uid]:
    rows = await tx.tuples(
        SQL["changed_since"], {"mailbox": mailbox, "folder": folder_id, "uids": list(uids), "since": since}
    )
    return [Uid(row[0]) for row in rows]


async def deleted_uids(tx: Transaction, mailbox: MailboxId, folder_id: FolderId) -> list[Uid]:
    return [Uid(row[0]) for row in await tx.tuples(SQL["deleted_uids"], {"mailbox": mailbox, "folder": folder_id})]


async def remove_messages(tx: Transaction, **columns: object) -> list[tuple[Uid, ObjectId, int, int]]:
    """(uid, object, size, flags) of each that went."""
    return await tx.tuples(SQL["remove_messages"], columns)


async def shred(tx: Transaction, mailbox: MailboxId, objects: Sequence[ObjectId]) -> None:
    await hold_keys(tx, [mailbox], objects)
    await tx.run(SQL["shred"], {"mailbox": mailbox, "objects": list(objects)})


async def purge_objects(tx: Transaction, organisation: OrganisationId, *, before: datetime) -> int:
    return await tx.run(SQL["purge_objects"], {"organisation": organisation, "before": before})


async def objects_of(tx: Transaction, mailbox: MailboxId, folder_id: FolderId, uids: Uids) -> list[ObjectId]:
    rows = await tx.tuples(SQL["objects_of"], {"mailbox": mailbox, "folder": folder_id, "uids": list(uids)})
    return [ObjectId(row[0]) for row in rows]


async def copy_messages(tx: Transaction, **columns: object) -> list[tuple[Uid, Uid, ObjectId, int, int]]:
    """(uid, new uid, object, size, flags) of each that was copied."""
    return await tx.tuples(SQL["copy_messages"], columns)


async def vanished(tx: Transaction, mailbox: MailboxId, folder_id: FolderId, *, since: int) -> list[Uid]:
    rows = await tx.tuples(SQL["vanished"], {"mailbox": mailbox, "folder": folder_id, "since": since})
    return [Uid(row[0]) for row in rows]


async def find_by_trace(tx: Transaction, mailbox: MailboxId, trace: TraceId) -> list[tuple[FolderId, Uid]]:
    rows = await tx.tuples(SQL["find_by_trace"], {"mailbox": mailbox, "trace": trace})
    return [(FolderId(folder_id), Uid(uid)) for folder_id, uid in rows]


def message_row(row: tuple[Any, ...]) -> MessageRow:
    uid, flags, keywords, modseq, size, internal_date, object_id, trace = row
    return MessageRow(uid, flags, tuple(keywords), modseq, size, internal_date, ObjectId(object_id), trace)


def _folder(row: tuple[Any, ...]) -> FolderRow:
    folder_id, name, special_use, *counters = row
    return FolderRow(FolderId(folder_id), name, SpecialUse(special_use) if special_use else None, *counters)


# --- search ---------------------------------------------------------------------------------------------------------

Indexable = tuple[ObjectId, bytes, bytes, bytes]  # object, sealed summary, sealed words, wrapped key


async def tail(tx: Transaction, mailbox: MailboxId, *, limit: int) -> list[Indexable]:
    return await tx.tuples(SQL["tail"], {"mailbox": mailbox, "limit": limit})


async def indexed_again(tx: Transaction, mailbox: MailboxId, objects: Sequence[ObjectId]) -> list[Indexable]:
    return await tx.tuples(SQL["indexed_again"], {"mailbox": mailbox, "objects": list(objects)})


async def tail_size(tx: Transaction, mailbox: MailboxId) -> int:
    return int((await tx.one(SQL["tail_size"], {"mailbox": mailbox}))["objects"])


async def segments(tx: Transaction, mailbox: MailboxId) -> list[tuple[int, int]]:
    """(number, objects) of each segment."""
    return await tx.tuples(SQL["segments"], {"mailbox": mailbox})


async def segment(tx: Transaction, mailbox: MailboxId, number: int) -> bytes | None:
    rows = await tx.tuples(SQL["segment"], {"mailbox": mailbox, "number": number})
    return rows[0][0] if rows else None


async def lock_segments(tx: Transaction, mailbox: MailboxId) -> None:
    await tx.run(SQL["lock_segments"], {"mailbox": mailbox})


async def insert_segment(tx: Transaction, **columns: object) -> bool:
    return bool(await tx.tuples(SQL["insert_segment"], columns))


async def delete_segments(tx: Transaction, mailbox: MailboxId, numbers: Sequence[int]) -> None:
    await tx.run(SQL["delete_segments"], {"mailbox": mailbox, "numbers": list(numbers)})


async def fold_tail(tx: Transaction, mailbox: MailboxId, objects: Sequence[ObjectId]) -> None:
    await tx.run(SQL["fold_tail"], {"mailbox": mailbox, "objects": list(objects)})


async def uids_of_objects(tx: Transaction, **columns: object) -> list[tuple[FolderId, Uid]]:
    return [(FolderId(folder_id), Uid(uid)) for folder_id, uid in await tx.tuples(SQL["uids_of_objects"], columns)]


async def uids_by_date(tx: Transaction, **columns: object) -> list[tuple[FolderId, Uid]]:
    return [(FolderId(folder_id), Uid(uid)) for folder_id, uid in await tx.tuples(SQL["uids_by_date"], columns)]


async def long_tails(tx: Transaction, *, longer_than: int, limit: int) -> list[MailboxId]:
    rows = await tx.tuples(SQL["long_tails"], {"longer_than": longer_than, "limit": limit})
    return [MailboxId(row[0]) for row in rows]
