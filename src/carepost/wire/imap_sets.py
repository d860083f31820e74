"""Sets of sequence numbers or UIDs: `2,4:7,9:*`, and `$` for what the last search saved. RFC 9051 §9, RFC 5182.

Promises
    A set is a value: sorted, merged, without overlaps, whatever the client wrote.
    `*` is resolved when the set is asked, against the largest number there is.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from carepost.base.errors import Malformed
from carepost.wire.imap_lexer import NUMBER_MAX, Scanner

_STAR = 0


@dataclass(frozen=True, slots=True)
class NumberSet:
    """`ranges` are pairs as written, with 0 for `*`. `saved` means `$`: the ranges are empty."""

    ranges: tuple[tuple[int, int], ...]
    saved: bool = False

    def spans(self, largest: int) -> list[tuple[int, int]]:
        """Sorted, merged, inclusive ranges, with `*` as `largest` (of an empty folder: nothing)."""
        if largest < 1:
            return []
        resolved = sorted(
            (min(pair), max(pair)) for pair in ((low or largest, high or largest) for low, high in self.ranges)
        )
        merged: list[tuple[int, int]] = []
        for low, high in resolved:
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        return merged

    def positions(self, numbers: Sequence[int]) -> list[int]:
        """The indexes in `numbers` (ascending) of those in the set. For UIDs."""
        found: list[int] = []
        for low, high in self.spans(numbers[-1] if len(numbers) else 0):
            found.extend(range(bisect_left(numbers, low), bisect_right(numbers, high)))
        return found

    def has(self, number: int, largest: int) -> bool:
        return any(low <= number <= high for low, high in self.spans(largest))


def number_set(scanner: Scanner) -> NumberSet:
    """Read one set, or `$`."""
    if scanner.take(b"$"):
        return NumberSet((), saved=True)
    written = scanner.set_text().split(b",")
    scanner.count(len(written))
    return NumberSet(tuple(_pair(item) for item in written))


def written(numbers: Iterable[int]) -> bytes:
    """Ascending `numbers` as IMAP writes a set: `1:3,7`. Empty for none."""
    pieces: list[bytes] = []
    start = last = -1
    for number in numbers:
        if number == last + 1 and start >= 0:
            last = number
            continue
        if start >= 0:
            pieces.append(_range(start, last))
        start = last = number
    if start >= 0:
        pieces.append(_range(start, last))
    return b",".join(pieces)


def _range(start: int, last: int) -> bytes:
    return b"%d" % start if start == last else b"%d:%d" % (start, last)


def _pair(item: bytes) -> tuple[int, int]:
    low, colon, high = item.partition(b":")
    first = _one(low)
    return (first, _one(high)) if colon else (first, first)


def _one(item: bytes) -> int:
    if item == b"*":
        return _STAR
    if not item.isdigit() or len(item) > 10:
        raise Malformed("expected a set of numbers")
    number = int(item)
    if not 1 <= number <= NUMBER_MAX:
        raise Malformed("expected a set of numbers")
    return number
