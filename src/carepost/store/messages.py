"""Reading mail at rest: what a folder holds, what its lists show, the messages themselves.

Promises
    Nothing is parsed again: lists and structures come from the summary that was made when the message arrived.
    What is returned was whole and in its place; a damaged message raises, it is never shown in part.
    No transaction is held while the caller works with what it got.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from carepost.base.ids import FolderId, ObjectId, TraceId, Uid
from carepost.infra import vault
from carepost.infra.db import Database
from carepost.message.summary import Summary
from carepost.store import objects, repo
from carepost.store.keys import Keystore, MailboxKeys
from carepost.store.model import Listed, MailboxLike, MessageRow, Outline, Page, PageKey

Rows = TypeVar("Rows")
Opened = TypeVar("Opened")

SUMMARIES_AT_ONCE = 500  # about 1 MB of sealed summaries in one answer of the database
# Opening more than this takes over 10 ms and is done in a thread: 150 µs a summary that just arrived, 3 ms a megabyte.
SUMMARIES_IN_LINE = 60
OCTETS_IN_LINE = 2 << 20
BODIES_AT_ONCE_OCTETS = 8 << 20  # bodies are fetched together up to this many octets, larger ones alone
PAGE_MAX = 200

FIRST_PAGE: PageKey = (datetime(9999, 1, 1, tzinfo=UTC), (1 << 32) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageStore:
    """Read messages of a mailbox. The caller has asked `authorize()` already."""

    db: Database
    keys: Keystore

    async def outlines(self, mailbox: MailboxLike, folder: FolderId, *, since_modseq: int = 0) -> list[Outline]:
        """Every message of the folder in the order of UIDs; with `since_modseq`, only those changed after it."""
        async with self.db.transaction(mailbox.organisation) as tx:
            return await repo.outlines(tx, mailbox.id, folder, since=since_modseq)

    async def rows(self, mailbox: MailboxLike, folder: FolderId, uids: Sequence[int]) -> list[MessageRow]:
        """The rows of these messages, in the order of UIDs; those that have gone are left out."""
        async with self.db.transaction(mailbox.organisation) as tx:
            if _is_run(uids):
                return await repo.rows_between(tx, mailbox.id, folder, uids[0], uids[-1])
            return await repo.rows_of(tx, mailbox.id, folder, uids)

    async def summaries(self, mailbox: MailboxLike, folder: FolderId, uids: Sequence[int]) -> dict[int, Summary]:
        """What lists show of these messages, by UID. At most `SUMMARIES_AT_ONCE` are read in one transaction."""
        found: dict[int, Summary] = {}
        for start in range(0, len(uids), SUMMARIES_AT_ONCE):
            async with self.db.transaction(mailbox.organisation) as tx:
                held = await self.keys.mailbox(tx, mailbox)
                rows = await repo.summaries_of(tx, mailbox.id, folder, uids[start : start + SUMMARIES_AT_ONCE])
            opening = _Opening(mailbox, held)
            found |= await _perhaps_aside(len(rows) > SUMMARIES_IN_LINE, opening.summaries, rows)
            await self._keep(mailbox, opening)
        return found

    async def bodies(
        self, mailbox: MailboxLike, folder: FolderId, uids: Sequence[int]
    ) -> AsyncIterator[tuple[Uid, bytes]]:
        """(uid, the message as received) of each, in the order asked for; several a round trip, bounded in memory."""
        sizes = {row.uid: row.size for row in await self.rows(mailbox, folder, sorted(uids))}
        for batch in _batches([uid for uid in uids if uid in sizes], sizes):
            opened = await self._open_bodies(mailbox, folder, batch)
            for uid in batch:
                if uid in opened:
                    yield Uid(uid), opened.pop(uid)

    async def body(self, mailbox: MailboxLike, folder: FolderId, uid: int) -> bytes | None:
        """One message as received, or None when it has gone."""
        return (await self._open_bodies(mailbox, folder, [uid])).get(uid)

    async def page(
        self,
        mailbox: MailboxLike,
        folder: FolderId,
        *,
        after: PageKey | None = None,
        limit: int = 50,
        mask: int = 0,
        value: int = 0,
    ) -> Page:
        """One page, newest first. `mask` and `value` filter by flags: (SEEN, 0) is what is unread."""
        limit = min(limit, PAGE_MAX)
        before_date, before_uid = after or FIRST_PAGE
        async with self.db.transaction(mailbox.organisation) as tx:
            held = await self.keys.mailbox(tx, mailbox)
            found = await repo.page(
                tx,
                mailbox=mailbox.id,
                folder=folder,
                before_date=before_date,
                before_uid=before_uid,
                mask=mask,
                value=value,
                limit=limit + 1,
            )
        opening = _Opening(mailbox, held)
        lines = []
        for row, sealed, wrapped in found[:limit]:
            key = opening.key(row.object, wrapped)
            lines.append(Listed(row, objects.open_summary(key, mailbox.organisation, row.object, sealed)))
        await self._keep(mailbox, opening)
        more = len(found) > limit
        return Page(lines, (lines[-1].row.internal_date, lines[-1].row.uid) if more else None)

    async def vanished(self, mailbox: MailboxLike, folder: FolderId, *, since_modseq: int) -> list[Uid]:
        """UIDs that went from the folder after a MODSEQ. RFC 7162 §3.2.5."""
        async with self.db.transaction(mailbox.organisation) as tx:
            return await repo.vanished(tx, mailbox.id, folder, since=since_modseq)

    async def find_by_trace(self, mailbox: MailboxLike, trace: TraceId) -> list[tuple[FolderId, Uid]]:
        """Where the message of a walk lies now."""
        async with self.db.transaction(mailbox.organisation) as tx:
            return await repo.find_by_trace(tx, mailbox.id, trace)

    async def _open_bodies(self, mailbox: MailboxLike, folder: FolderId, uids: Sequence[int]) -> dict[int, bytes]:
        async with self.db.transaction(mailbox.organisation) as tx:
            held = await self.keys.mailbox(tx, mailbox)
            rows = await repo.bodies_of(tx, mailbox.id, folder, uids)
        octets = sum(len(sealed) for _, _, sealed, _, _ in rows)
        return await _perhaps_aside(octets > OCTETS_IN_LINE, _Opening(mailbox, held).bodies, rows)

    async def _keep(self, mailbox: MailboxLike, opening: "_Opening") -> None:
        """In a transaction of its own: opening takes time, and nobody holds a connection meanwhile."""
        if opening.fresh:
            async with self.db.transaction(mailbox.organisation) as tx:
                await repo.keep_wraps(tx, mailbox.id, opening.fresh)


class _Opening:
    """Unwraps the keys of one answer; those in their arrival form are kept in the form that opens quickly."""

    def __init__(self, mailbox: MailboxLike, held: MailboxKeys) -> None:
        self._mailbox = mailbox
        self._held = held
        self.fresh: list[tuple[ObjectId, bytes]] = []

    def key(self, object_id: ObjectId, wrapped: bytes) -> bytes:
        aad = objects.object_key_aad(self._mailbox.organisation, self._mailbox.id, object_id)
        key = vault.unwrap_key(self._held.key, self._held.intake_private, aad, wrapped)
        if vault.was_sealed_on_arrival(wrapped):
            self.fresh.append((object_id, vault.wrap_key(self._held.key, aad, key)))
        return key

    def summaries(self, rows: Sequence[tuple[Uid, ObjectId, bytes, bytes]]) -> dict[int, Summary]:
        """By UID; of rows as `repo.summaries_of` gives them."""
        organisation = self._mailbox.organisation
        return {
            int(uid): objects.open_summary(self.key(object_id, wrapped), organisation, object_id, sealed)
            for uid, object_id, sealed, wrapped in rows
        }

    def bodies(self, rows: Sequence[tuple[Uid, ObjectId, bytes, bytes, bytes]]) -> dict[int, bytes]:
        """By UID; of rows as `repo.bodies_of` gives them."""
        organisation = self._mailbox.organisation
        return {
            int(uid): objects.open_body(self.key(object_id, wrapped), organisation, object_id, sealed, digest)
            for uid, object_id, sealed, digest, wrapped in rows
        }


async def _perhaps_aside(aside: bool, work: Callable[[Rows], Opened], rows: Rows) -> Opened:
    return await asyncio.to_thread(work, rows) if aside else work(rows)


def _is_run(uids: Sequence[int]) -> bool:
    return len(uids) > 1 and uids[-1] - uids[0] == len(uids) - 1


def _batches(uids: Sequence[int], sizes: dict[Uid, int]) -> list[list[int]]:
    batches: list[list[int]] = []
    octets = 0
    for uid in uids:
        size = sizes[Uid(uid)]
        if not batches or octets + size > BODIES_AT_ONCE_OCTETS:
            batches.append([])
            octets = 0
        batches[-1].append(uid)
        octets += size
    return batches
