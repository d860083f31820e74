"""Searching a mailbox: sealed index segments, opened in memory, and the tail of what came since.

Promises
    Neither the index nor what is asked of it is ever on disk in clear (E1).
    A message can be found as soon as it is there: what no segment knows yet is looked through at the time of asking.
    Folding and merging can be stopped anywhere: a segment counts once it is committed, and only then the tail shrinks.

Segments of a mailbox grow in tiers: `FOLD_AT` new messages become a small one, `MERGE_AT` small ones a larger one.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from carepost.base.clock import Clock
from carepost.base.errors import TryLater
from carepost.base.ids import FolderId, MailboxId, ObjectId, Uid
from carepost.infra import vault
from carepost.infra.db import Database, Transaction
from carepost.store import objects, repo, search_index
from carepost.store.keys import Keystore, MailboxKeys
from carepost.store.model import MailboxLike
from carepost.store.search_index import ATTACHMENT_MARK, Document, Term

FOLD_AT = 200  # new messages that are looked through one by one before they become a segment: about 20 ms
FOLD_MAX = 5_000  # messages one fold takes: bounds the memory of building (about 60 MB of text)
MERGE_AT = 8  # segments of one tier before they become one of the next
SEGMENT_MAX = 20_000  # messages of a segment: more are not merged, for the memory of building one (about 100 MB)
CACHE_OCTETS = 96 << 20  # of opened images a process remembers, the least recently used go first
FOUND_MAX = 100_000
_LOOKS = 5  # at segments that are being merged meanwhile; a merge takes longer than a look


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is looked for. Every part must hold; parts left out do not count."""

    terms: tuple[Term, ...] = ()
    after: datetime | None = None  # internal date at or after
    before: datetime | None = None  # internal date before
    mask: int = 0  # of Flag: (SEEN, 0) is what is unread
    value: int = 0


@dataclass(slots=True)
class ImageCache:
    """Opened segments, by (mailbox, number): they never change under their number."""

    octets_max: int = CACHE_OCTETS
    octets: int = 0
    images: OrderedDict[tuple[MailboxId, int], bytes] = field(default_factory=OrderedDict)

    def get(self, mailbox: MailboxId, number: int) -> bytes | None:
        image = self.images.get((mailbox, number))
        if image is not None:
            self.images.move_to_end((mailbox, number))
        return image

    def put(self, mailbox: MailboxId, number: int, image: bytes) -> None:
        before = self.images.pop((mailbox, number), b"")  # two may have opened it at once
        self.images[mailbox, number] = image
        self.octets += len(image) - len(before)
        while self.octets > self.octets_max and len(self.images) > 1:
            _, dropped = self.images.popitem(last=False)
            self.octets -= len(dropped)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSearch:
    """Find messages of a mailbox. The caller has asked `authorize()` already."""

    db: Database
    keys: Keystore
    clock: Clock
    cache: ImageCache = field(default_factory=ImageCache)

    async def search(
        self, mailbox: MailboxLike, folder: FolderId | None, query: Query, *, limit: int = 1000
    ) -> list[tuple[FolderId, Uid]]:
        """Where the messages lie that match, newest first; one folder, or all of the mailbox."""
        columns = {
            "mailbox": mailbox.id,
            "folder": folder,
            "after": query.after,
            "before": query.before,
            "mask": query.mask,
            "value": query.value,
            "limit": min(limit, FOUND_MAX),
        }
        if not search_index.has_words(query.terms):
            if query.terms:
                return []
            async with self.db.transaction(mailbox.organisation) as tx:
                return await repo.uids_by_date(tx, **columns)
        found = await self.matching(mailbox, query.terms)
        if not found:
            return []
        async with self.db.transaction(mailbox.organisation) as tx:
            return await repo.uids_of_objects(tx, objects=list(found), **columns)

    async def matching(self, mailbox: MailboxLike, terms: Sequence[Term]) -> set[ObjectId]:
        """The objects of a mailbox that hold every term."""
        async with self.db.transaction(mailbox.organisation) as tx:
            waiting = await repo.tail_size(tx, mailbox.id)
        while waiting > FOLD_AT and await self.fold(mailbox):
            waiting -= FOLD_MAX
        found: set[ObjectId] = set()
        async with self.db.transaction(mailbox.organisation) as tx:
            held = await self.keys.mailbox(tx, mailbox)
            tail = await repo.tail(tx, mailbox.id, limit=FOLD_MAX)
            segments = await self._segments(tx, mailbox)
        for number, (known, sealed) in segments.items():
            image = known
            if image is None:
                image = await asyncio.to_thread(_open_image, mailbox, held, number, sealed)
                self.cache.put(mailbox.id, number, image)
            found |= await asyncio.to_thread(search_index.find, image, terms)
        if tail:
            found |= await asyncio.to_thread(_find_in_tail, mailbox, held, tail, terms)
        return found

    async def _segments(self, tx: Transaction, mailbox: MailboxLike) -> dict[int, tuple[bytes | None, bytes]]:
        """(opened image or None, sealed if so) of every segment there is. When one was merged into a larger one
        between two looks, looks again: else its messages would not be found."""
        for _ in range(_LOOKS):
            found: dict[int, tuple[bytes | None, bytes]] = {}
            for number, _ in await repo.segments(tx, mailbox.id):
                image = self.cache.get(mailbox.id, number)
                sealed = b"" if image is not None else await repo.segment(tx, mailbox.id, number)
                if sealed is None:
                    break
                found[number] = image, sealed
            else:
                return found
        raise TryLater("The search index is being rebuilt. Please search again.", mailbox=mailbox.id)

    async def fold(self, mailbox: MailboxLike) -> int:
        """Make a segment of what came since the last one; merge where a tier is full. Returns how many were new."""
        async with self.db.transaction(mailbox.organisation) as tx:
            held = await self.keys.mailbox(tx, mailbox)
            fresh = await repo.tail(tx, mailbox.id, limit=FOLD_MAX)
            numbers = await repo.segments(tx, mailbox.id)
        if not fresh:
            return 0
        merging = _tier_to_merge(numbers, len(fresh))
        merged = await self._members(mailbox, held, merging)
        documents = await asyncio.to_thread(_documents, mailbox, held, fresh)
        for start in range(0, len(merged), FOLD_MAX):
            async with self.db.transaction(mailbox.organisation) as tx:
                again = await repo.indexed_again(tx, mailbox.id, merged[start : start + FOLD_MAX])
            documents += await asyncio.to_thread(_documents, mailbox, held, again)
        number = max((number for number, _ in numbers), default=0) + 1
        image = await asyncio.to_thread(search_index.build, documents)
        sealed = await asyncio.to_thread(vault.seal_object, _segment_key(held), _segment_aad(mailbox, number), image)
        async with self.db.transaction(mailbox.organisation) as tx:
            # One at a time, and a number that was ever given is not given again: caches know images by it.
            await repo.lock_segments(tx, mailbox.id)
            if not await self._keep(tx, mailbox, number, len(documents), sealed):
                return 0  # another worker was quicker: its segment holds these
            await repo.delete_segments(tx, mailbox.id, merging)
            await repo.fold_tail(tx, mailbox.id, [row[0] for row in fresh])
        return len(fresh)

    async def _keep(self, tx: Transaction, mailbox: MailboxLike, number: int, count: int, sealed: bytes) -> bool:
        return await repo.insert_segment(
            tx,
            mailbox=mailbox.id,
            number=number,
            organisation=mailbox.organisation,
            objects=count,
            sealed=sealed,
            at=self.clock.now(),
        )

    async def _members(self, mailbox: MailboxLike, held: MailboxKeys, numbers: Sequence[int]) -> list[ObjectId]:
        found: list[ObjectId] = []
        for number in numbers:
            async with self.db.transaction(mailbox.organisation) as tx:
                sealed = await repo.segment(tx, mailbox.id, number)
            if sealed is not None:
                image = await asyncio.to_thread(_open_image, mailbox, held, number, sealed)
                found += search_index.members(image)
        return found


def _tier_to_merge(segments: Sequence[tuple[int, int]], fresh: int) -> list[int]:
    """Segments about as small as the one being made, when there are enough of them; and what they grow into."""
    chosen: dict[int, int] = {}
    size = fresh
    while True:
        alike: dict[int, int] = {}
        for number, count in sorted(segments, key=lambda segment: segment[1]):
            fits = size + sum(alike.values()) + count <= SEGMENT_MAX
            if number not in chosen and count <= size * MERGE_AT and fits:
                alike[number] = count
        if len(alike) < MERGE_AT:
            return list(chosen)
        chosen |= alike
        size = sum(chosen.values()) + fresh


def _documents(mailbox: MailboxLike, held: MailboxKeys, rows: Sequence[repo.Indexable]) -> list[Document]:
    return [_document(mailbox, held, row) for row in rows]


def _document(mailbox: MailboxLike, held: MailboxKeys, row: repo.Indexable) -> Document:
    object_id, sealed_summary, sealed_words, wrapped = row
    aad = objects.object_key_aad(mailbox.organisation, mailbox.id, object_id)
    key = vault.unwrap_key(held.key, held.intake_private, aad, wrapped)
    summary = objects.open_summary(key, mailbox.organisation, object_id, sealed_summary)
    people = [*summary.to_shown, *summary.cc_shown]
    return Document(
        object=object_id,
        subject=summary.subject,
        sender=f"{summary.sender_name} {summary.sender_address}",
        recipients=" ".join(f"{name} {address}" for name, address in people),
        text=objects.open_words(key, mailbox.organisation, object_id, sealed_words),
        marks=ATTACHMENT_MARK if summary.attachments else "",
    )


def _find_in_tail(
    mailbox: MailboxLike, held: MailboxKeys, tail: Sequence[repo.Indexable], terms: Sequence[Term]
) -> set[ObjectId]:
    return search_index.find(search_index.build(_document(mailbox, held, row) for row in tail), terms)


def _open_image(mailbox: MailboxLike, held: MailboxKeys, number: int, sealed: bytes) -> bytes:
    return vault.open_object(_segment_key(held), _segment_aad(mailbox, number), sealed)


def _segment_key(held: MailboxKeys) -> bytes:
    return vault.subkey(held.key, b"carepost search segments")


def _segment_aad(mailbox: MailboxLike, number: int) -> bytes:
    return vault.bound("search segment", mailbox.organisation, mailbox.id, number)
