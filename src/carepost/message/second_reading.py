"""A second reader's opinion: what a parser that is not ours sees in the same bytes (ADR-0007, M3).

Promises
    `second_reading` never raises, whatever the other parser does, and gives it SECOND_READING_MAX bytes at most.
    Nothing that the other parser would work on for long is given to it: see `is_bearable`.
    A disagreement is a finding for the gateway, in words; it is never decided here who is right.

Differing readings are how attachments are hidden from the scanner that the reader's program then shows.
"""

import re
from dataclasses import dataclass

import fast_mail_parser

from carepost.message.model import Message
from carepost.message.showing import clean, clean_filename

SECOND_READING_MAX = 64 * 1024 * 1024  # bytes; over the largest message we accept
# The other parser reads the rest of a field again at every "=?" in it: 250 kB of them cost it six seconds. This much
# (marks times bytes, summed over fields) costs it a tenth of one.
_REREADING_MAX = 500_000_000
_FIELD_COST = 2_000  # finding the ends of a field costs us as much as this would cost it
_MARKS_LOOKED_AT = 200
_NAMES_MAX = 1_000
_PARTS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class SecondReading:
    """Names as the other parser decoded them, made safe to show; `error` says why there is no reading."""

    attachment_names: tuple[str, ...]
    leaf_count: int
    error: str | None = None


def is_bearable(raw: bytes) -> bool:
    """Whether the other parser reads this in a bounded time. It is, for every message that a person wrote."""
    if _at_most(raw, _REREADING_MAX // max(1, len(raw))):
        return True
    cost = end = 0
    while (mark := raw.find(b"=?", end)) >= 0:
        start, end = _field_around(raw, mark, end)
        cost += raw.count(b"=?", start, end) * (end - start) + _FIELD_COST
        if cost > _REREADING_MAX:
            return False
    return True


def _at_most(raw: bytes, marks: int) -> bool:
    """Whether there are no more "=?" than these. Of large attachments no octet is a "?", and those C skips fastest."""
    at = -1
    for _ in range(min(marks, _MARKS_LOOKED_AT)):
        at = raw.find(b"?", at + 1)
        if at < 0:
            return True
    return raw.count(b"=?") <= marks


def _field_around(raw: bytes, mark: int, floor: int) -> tuple[int, int]:
    """Where the line that holds `mark` begins and ends, lines that go on with a space or a tab included."""
    start = raw.rfind(b"\n", floor, mark) + 1 or floor
    end = mark
    while (line_end := raw.find(b"\n", end)) >= 0 and raw[line_end + 1 : line_end + 2] in (b" ", b"\t"):
        end = line_end + 1
    return start, len(raw) if line_end < 0 else line_end + 1


def second_reading(raw: bytes) -> SecondReading:
    """Read `raw` with fast-mail-parser, its metadata only. Never raises."""
    if len(raw) > SECOND_READING_MAX:
        return SecondReading((), 0, "too large for a second reading")
    if not is_bearable(raw):
        return SecondReading((), 0, "too many encoded words for a second reading")
    try:
        root = fast_mail_parser.parse_email_tree(raw, mode="metadata")
        return _counted(root)
    except Exception as error:  # noqa: BLE001 - a stranger's library and a stranger's bytes: any failure is an answer
        return SecondReading((), 0, _reason(error))
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # how Rust's panics arrive; the rest is not ours to keep
            raise
        return SecondReading((), 0, "the second reader broke off")


def _reason(error: Exception) -> str:
    """Its kind only: the text may quote the message, and findings are shown and logged."""
    kind = re.sub(r"(?<!^)(?=[A-Z])", " ", type(error).__name__).lower()
    return f"the second reader could not read it ({kind})"


def _counted(root: "fast_mail_parser.PyMimePartMetadata") -> SecondReading:
    names: list[str] = []
    leaves = seen = 0
    stack = [root]
    while stack and seen < _PARTS_MAX:
        part = stack.pop()
        seen += 1
        children = part.children
        stack.extend(reversed(children))
        if not children:
            leaves += 1
        if part.filename and len(names) < _NAMES_MAX:
            names.append(clean_filename(part.filename))
    return SecondReading(tuple(names), leaves)


def disagreements(message: Message, second: SecondReading) -> list[str]:
    """What the two readings see differently, in words; empty when they agree."""
    if second.error is not None:
        return [second.error]
    out: list[str] = []
    ours = _leaf_count(message)
    if ours != second.leaf_count:
        out.append(f"one reader finds {_parts(ours)}, another {_parts(second.leaf_count)}")
    our_names = sorted(name for _, part in message.walk() if (name := part.filename))
    if sorted(second.attachment_names) != our_names and not _same_names(our_names, second.attachment_names):
        out.append("two readers find different names for its attachments")
    return out


def _parts(count: int) -> str:
    return "1 part" if count == 1 else f"{count} parts"


def _leaf_count(message: Message) -> int:
    return sum(1 for _ in message.leaves())


_SQUEEZED = re.compile(r"[^a-z0-9.]+")


def _same_names(ours: list[str], theirs: tuple[str, ...]) -> bool:
    """Equal but for space, case and how what is not ASCII was decoded: the extension is what matters."""
    return sorted(map(_squeezed, ours)) == sorted(map(_squeezed, theirs))


def _squeezed(name: str) -> str:
    return _SQUEEZED.sub("", clean(name).lower())
