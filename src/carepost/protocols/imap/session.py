"""What one client has been told of its selected folder, and what it has not been told yet. PURE.

Promises
    A sequence number means the message that the client believes it means, whatever happened meanwhile.
    EXPUNGE is told only when the caller says that it may be: never in answer to FETCH, STORE or SEARCH by sequence
    number (RFC 9051 §7.5.1).
    UIDs and flags are kept in arrays, five octets a message: a hundred thousand messages cost half a megabyte.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from carepost.base.ids import FolderId
from carepost.store.model import FolderView, MailboxLike, Outline
from carepost.wire.imap_sets import NumberSet


@dataclass(frozen=True, slots=True)
class ToldExists:
    count: int


@dataclass(frozen=True, slots=True)
class ToldExpunged:
    sequence: int


@dataclass(frozen=True, slots=True)
class ToldFlags:
    sequence: int
    uid: int
    flags: int
    keywords: tuple[str, ...]
    modseq: int


@dataclass(frozen=True, slots=True)
class ToldKeywords:
    """The folder has keywords that FLAGS did not name."""

    keywords: tuple[str, ...]


Told = ToldExists | ToldExpunged | ToldFlags | ToldKeywords


class Selected:
    """A selected folder as its client sees it. Positions count from 0; sequence numbers from 1."""

    __slots__ = (
        "_changed",
        "_fresh",
        "_gone",
        "_keywords",
        "_known_keywords",
        "_told_keywords",
        "flags",
        "folder",
        "mailbox",
        "name",
        "read_only",
        "saved",
        "shared",
        "synced",
        "uids",
        "uidvalidity",
    )

    def __init__(
        self,
        *,
        mailbox: MailboxLike,
        view: FolderView,
        name: str,
        outlines: Sequence[Outline],
        read_only: bool,
        shared: bool,
    ) -> None:
        self.mailbox = mailbox
        self.folder: FolderId = view.id
        self.name = name  # as the client calls it
        self.uidvalidity = view.uidvalidity
        self.read_only = read_only
        self.shared = shared
        self.uids = array("I", (outline.uid for outline in outlines))
        self.flags = array("B", (outline.flags for outline in outlines))
        self._keywords = {int(outline.uid): outline.keywords for outline in outlines if outline.keywords}
        # The MODSEQ up to which everything has been learnt.
        self.synced = max((outline.modseq for outline in outlines), default=0)
        self.synced = max(self.synced, view.highest_modseq)
        self.saved = array("I")  # what SEARCH RETURN (SAVE) found, by UID
        self._fresh: list[Outline] = []
        self._changed: dict[int, int] = {}  # uid: modseq
        self._gone: set[int] = set()
        self._known_keywords = {word for words in self._keywords.values() for word in words}
        self._told_keywords: set[str] = set()

    def __len__(self) -> int:
        return len(self.uids)

    # Asking

    def keywords_at(self, position: int) -> tuple[str, ...]:
        return self._keywords.get(self.uids[position], ())

    def keywords_of_folder(self) -> tuple[str, ...]:
        """Those known now; the client counts as told."""
        self._told_keywords |= self._known_keywords
        return tuple(sorted(self._known_keywords))

    def position_of(self, uid: int) -> int | None:
        at = bisect_left(self.uids, uid)
        return at if at < len(self.uids) and self.uids[at] == uid else None

    def positions(self, numbers: NumberSet, *, uid: bool) -> list[int]:
        """Ascending positions of the messages named; numbers beyond the last name nothing."""
        if numbers.saved:
            return [at for at in map(self.position_of, self.saved) if at is not None]
        if uid:
            return numbers.positions(self.uids)
        count = len(self.uids)
        spans = numbers.spans(count)
        return [at - 1 for low, high in spans for at in range(low, min(high, count) + 1)]

    def uids_at(self, positions: Iterable[int]) -> list[int]:
        uids = self.uids
        return [uids[at] for at in positions]

    @property
    def has_news(self) -> bool:
        return bool(self._fresh or self._changed or self._gone or self._known_keywords - self._told_keywords)

    def is_gone(self, uid: int) -> bool:
        """Removed, and the client has not been told."""
        return uid in self._gone

    # Learning

    def learn(self, outlines: Iterable[Outline], gone: Iterable[int] = (), *, up_to: int = 0) -> None:
        """What the store says now. What the client doesn't know is kept until `tell`."""
        last = self.uids[-1] if self.uids else 0
        fresh = {int(outline.uid): outline for outline in self._fresh}
        for outline in outlines:
            self.synced = max(self.synced, outline.modseq)
            if outline.uid > last:
                fresh[int(outline.uid)] = outline
            else:
                self._learn_flags(outline)
        for uid in gone:
            if fresh.pop(int(uid), None) is None and self.position_of(uid) is not None:
                self._gone.add(int(uid))
        self._fresh = [fresh[uid] for uid in sorted(fresh)]
        self.synced = max(self.synced, up_to)

    def set_by_client(self, outline: Outline) -> int | None:
        """Flags that the client itself changed: it is answered by its command. Returns the position."""
        at = self.position_of(outline.uid)
        if at is not None:
            self._put_flags(at, outline)
            self._changed.pop(int(outline.uid), None)
        return at

    def _learn_flags(self, outline: Outline) -> None:
        at = self.position_of(outline.uid)
        if at is None:
            return
        if self.flags[at] != outline.flags or self._keywords.get(int(outline.uid), ()) != outline.keywords:
            self._put_flags(at, outline)
            self._changed[int(outline.uid)] = outline.modseq

    def _put_flags(self, at: int, outline: Outline) -> None:
        self.flags[at] = outline.flags
        if outline.keywords:
            self._keywords[int(outline.uid)] = outline.keywords
            self._known_keywords.update(outline.keywords)
        else:
            self._keywords.pop(int(outline.uid), None)

    # Telling

    def tell(self, *, expunges: bool) -> list[Told]:
        """What the client should hear now. From here on it counts as told."""
        told: list[Told] = []
        if expunges and self._gone:
            told.extend(self._tell_gone())
        if self._fresh:
            self._take_fresh()
            told.append(ToldExists(len(self.uids)))
        if unknown := self._known_keywords - self._told_keywords:
            self._told_keywords |= unknown
            told.append(ToldKeywords(tuple(sorted(self._told_keywords))))
        if self._changed:
            told.extend(self._tell_flags())
        return told

    def _tell_gone(self) -> Iterator[Told]:
        places = sorted(at for at in map(self.position_of, self._gone) if at is not None)
        for uid in self._gone:
            self._keywords.pop(uid, None)
            self._changed.pop(uid, None)
        removed = set(places)
        self._gone = set()
        self.uids = array("I", (uid for at, uid in enumerate(self.uids) if at not in removed))
        self.flags = array("B", (flags for at, flags in enumerate(self.flags) if at not in removed))
        # Each EXPUNGE moves what follows down by one.
        return (ToldExpunged(at + 1 - before) for before, at in enumerate(places))

    def _take_fresh(self) -> None:
        for outline in self._fresh:
            self.uids.append(outline.uid)
            self.flags.append(outline.flags)
            if outline.keywords:
                self._keywords[int(outline.uid)] = outline.keywords
                self._known_keywords.update(outline.keywords)
        self._fresh = []

    def _tell_flags(self) -> Iterator[Told]:
        changed, self._changed = self._changed, {}
        for uid in sorted(changed):
            at = self.position_of(uid)
            if at is not None and uid not in self._gone:
                yield ToldFlags(at + 1, uid, self.flags[at], self._keywords.get(uid, ()), changed[uid])
