"""A search as a plan: what can be known from less is asked first, and only what is still open is looked at. PURE.

Promises
    No message is opened whose answer is known without it.
    The plan works on all messages at once: a hundred thousand flags take a few operations on long integers.

Every key has two masks, one octet a message: where it certainly holds, and where it may hold. Looking at a message
makes both agree there. When they agree everywhere for the whole question, the search has ended.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import compress

from carepost.protocols.imap.session import Selected
from carepost.wire.imap_search_keys import (
    AllOf,
    AnyOf,
    Between,
    BodyHas,
    DateField,
    HasFlag,
    HeaderHas,
    InNumbers,
    LargerThan,
    ModseqFrom,
    Not,
    SearchKey,
    SmallerThan,
    Younger,
)

_SYSTEM_BITS = {"\\SEEN": 1, "\\ANSWERED": 2, "\\FLAGGED": 4, "\\DELETED": 8, "\\DRAFT": 16}
# Header fields that the stored summary answers.
SUMMARY_FIELDS = frozenset(
    {b"FROM", b"SENDER", b"REPLY-TO", b"TO", b"CC", b"BCC", b"SUBJECT", b"DATE", b"MESSAGE-ID", b"IN-REPLY-TO"}
)


class Needs(IntEnum):
    """What must be read to know whether a key holds, the cheapest first."""

    NOTHING = 0
    ROW = 1
    SUMMARY = 2
    BODY = 3


def needs(key: SearchKey) -> Needs:
    match key:
        case HasFlag() | InNumbers():
            return Needs.NOTHING
        case Between(what=DateField.SENT):
            return Needs.SUMMARY
        case Between() | Younger() | LargerThan() | SmallerThan() | ModseqFrom():
            return Needs.ROW
        case HeaderHas(name=name):
            return Needs.SUMMARY if name in SUMMARY_FIELDS else Needs.BODY
        case BodyHas():
            return Needs.BODY
        case Not(inner):
            return needs(inner)
        case AnyOf(keys) | AllOf(keys):
            return max((needs(inner) for inner in keys), default=Needs.NOTHING)


@dataclass(slots=True)
class _Leaf:
    """One key's masks. Without any, nothing is known: it may hold everywhere."""

    certain: bytes | bytearray | None
    possible: bytes | bytearray | None


@dataclass(slots=True)
class SearchPlan:
    """One question to one selected folder."""

    key: SearchKey
    selected: Selected
    _leaves: dict[SearchKey, _Leaf] = field(default_factory=dict)
    _all: int = 0

    def __post_init__(self) -> None:
        count = len(self.selected)
        self._all = int.from_bytes(b"\x01" * count, "little")
        for leaf in _leaves_of(self.key):
            if leaf not in self._leaves:
                known = self._known(leaf)
                self._leaves[leaf] = _Leaf(known, known)

    def leaves(self, need: Needs) -> list[SearchKey]:
        """The keys that need exactly this."""
        return [leaf for leaf in self._leaves if needs(leaf) is need]

    def undecided(self) -> list[int]:
        """Positions whose answer is still open."""
        certain, possible = self._masks(self.key)
        return self._positions(possible & ~certain)

    def found(self) -> list[int]:
        """Positions where the question certainly holds."""
        return self._positions(self._masks(self.key)[0])

    def settle(self, leaf: SearchKey, position: int, *, holds: bool) -> None:
        """A message was looked at."""
        masks = self._leaves[leaf]
        if not isinstance(masks.certain, bytearray) or not isinstance(masks.possible, bytearray):
            masks.certain = bytearray(len(self.selected))
            masks.possible = bytearray(b"\x01" * len(self.selected))
        masks.certain[position] = masks.possible[position] = holds

    def settle_all(self, leaf: SearchKey, positions: Iterable[int]) -> None:
        """An index answered for every message: the leaf holds at these and nowhere else."""
        known = bytes(self._marked(positions))
        self._leaves[leaf] = _Leaf(known, known)

    def _known(self, leaf: SearchKey) -> bytes | None:
        selected = self.selected
        if isinstance(leaf, HasFlag):
            bit = _SYSTEM_BITS.get(leaf.flag.upper())
            if bit is not None:
                return selected.flags.tobytes().translate(bytes(1 if octet & bit else 0 for octet in range(256)))
            word = leaf.flag.casefold()
            holding = (
                at
                for at in range(len(selected))
                if any(keyword.casefold() == word for keyword in selected.keywords_at(at))
            )
            return bytes(self._marked(holding))
        if isinstance(leaf, InNumbers):
            return bytes(self._marked(selected.positions(leaf.numbers, uid=leaf.uid)))
        return None

    def _marked(self, positions: Iterable[int]) -> bytearray:
        marks = bytearray(len(self.selected))
        for at in positions:
            marks[at] = 1
        return marks

    def _masks(self, key: SearchKey) -> tuple[int, int]:
        match key:
            case Not(inner):
                certain, possible = self._masks(inner)
                return self._all & ~possible, self._all & ~certain
            case AllOf(keys):
                return self._combined(keys, lambda one, other: one & other, self._all)
            case AnyOf(keys):
                return self._combined(keys, lambda one, other: one | other, 0)
            case _:
                masks = self._leaves[key]
                if masks.certain is None or masks.possible is None:
                    return 0, self._all
                return int.from_bytes(masks.certain, "little"), int.from_bytes(masks.possible, "little")

    def _combined(self, keys: Iterable[SearchKey], join: Callable[[int, int], int], start: int) -> tuple[int, int]:
        certain = possible = start
        for key in keys:
            more_certain, more_possible = self._masks(key)
            certain, possible = join(certain, more_certain), join(possible, more_possible)
        return certain, possible

    def _positions(self, mask: int) -> list[int]:
        count = len(self.selected)
        return list(compress(range(count), mask.to_bytes(count, "little"))) if mask else []


def _leaves_of(key: SearchKey) -> Iterator[SearchKey]:
    match key:
        case Not(inner):
            yield from _leaves_of(inner)
        case AnyOf(keys) | AllOf(keys):
            for inner in keys:
                yield from _leaves_of(inner)
        case _:
            yield key
