"""Bytes -> Message. Never raises: what is wrong with a message is data about it.

Promises
    Any bytes give a Message whose `raw` is those bytes, in time and memory linear in their number (M1).
    What we do not follow (see ParseLimits) is kept as one opaque leaf, with a defect: stored and deliverable.
"""

from carepost.message.defects import Defect
from carepost.message.mime import ParseLimits, Tree
from carepost.message.model import Message, Part, Span
from carepost.message.scan import examine_line_ends

__all__ = ["Message", "ParseLimits", "parse"]

# RFC 5322 §3.6: at most once. (From and the Content- fields have defects of their own.)
_ONCE = frozenset(
    {"subject", "date", "to", "cc", "bcc", "sender", "reply-to", "message-id", "in-reply-to", "references"}
)
_DEFAULTS = ParseLimits()


def parse(raw: bytes, limits: ParseLimits = _DEFAULTS) -> Message:
    """Read a message. RFC 5322, 2045, 2046, 2183, 2231, 6532."""
    tree = Tree(raw, limits)
    root = tree.grow()
    defects = tree.defects
    _examine_bytes(raw, tree.lines_seen, defects)
    _examine_fields(raw, root, defects)
    message = Message(raw, root, frozenset(defects))
    if Defect.MULTIPLE_FROM not in defects and _has_several_authors(message):
        return Message(raw, root, frozenset(defects | {Defect.MULTIPLE_FROM}))
    return message


def _examine_bytes(raw: bytes, lines_seen: list[Span], defects: set[Defect]) -> None:
    """NUL anywhere; line ends wherever the tree has not examined them."""
    if b"\0" in raw:
        defects.add(Defect.NUL)
    position = 0
    for body in reversed(lines_seen):  # the tree was finished from its end
        if body.start > position:
            examine_line_ends(raw[position : body.start], defects)
        position = max(position, body.end)
    examine_line_ends(raw[position:], defects)


def _examine_fields(raw: bytes, root: Part, defects: set[Defect]) -> None:
    seen: set[str] = set()
    for header in root.headers:
        if header.name in seen:
            if header.name in _ONCE:
                defects.add(Defect.DUPLICATE_FIELD)
            elif header.name == "from":
                defects.add(Defect.MULTIPLE_FROM)
        seen.add(header.name)
    if "from" not in seen:
        defects.add(Defect.NO_FROM)
    if "mime-version" not in seen and ("content-type" in seen or "content-transfer-encoding" in seen):
        defects.add(Defect.NO_MIME_VERSION)
    block = raw[root.header.start : root.header.end]
    if not block.isascii():
        try:
            block.decode("utf-8")
        except UnicodeDecodeError:
            defects.add(Defect.EIGHT_BIT_HEADER)


def _has_several_authors(message: Message) -> bool:
    value = message.first("from")
    if b"," in value and not message.first("sender"):
        return sum(1 for _ in message.authors()) > 1
    return False
