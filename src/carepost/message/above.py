"""A message with fields of ours put above it, without reading all of it a second time.

Promises
    `put_above(message, fields)` is what `parse(fields + message.raw)` is; tests hold the two against each other.
    A message with anything wrong in it is read again, whole: what is odd may read differently further down.
"""

from dataclasses import replace

from carepost.message.defects import Defect
from carepost.message.mime import ParseLimits
from carepost.message.model import Header, Message, Part, Span
from carepost.message.parse import parse

_LIMITS = ParseLimits()


def put_above(message: Message, fields: bytes) -> Message:
    """`fields` are whole header fields, each ended by CRLF. Never raises."""
    raw = fields + message.raw
    if not fields:
        return message
    ours = parse(fields + b"\r\n")
    if message.defects or ours.defects - {Defect.NO_FROM} or not _has_room(ours, message):
        return parse(raw)
    moved = _moved(message.root, len(fields))
    root = replace(moved, headers=ours.root.headers + moved.headers, header=Span(0, moved.header.end))
    return Message(raw, root, message.defects)


def _has_room(ours: Message, message: Message) -> bool:
    """Whether the header, ours included, stays below what a reader follows."""
    headers = message.root.headers
    if not headers or not headers[0].name or headers[0].span.start != 0:
        return False
    octets = len(ours.raw) + message.root.header.size
    return octets < _LIMITS.header_bytes and len(ours.root.headers) + len(headers) < _LIMITS.headers


def _moved(part: Part, by: int) -> Part:
    """Depth is bounded by the parser's limits."""
    return replace(
        part,
        headers=tuple(Header(name, _later(span, by), _later(value, by)) for name, span, value in part.headers),
        header=_later(part.header, by),
        body=_later(part.body, by),
        children=tuple(_moved(child, by) for child in part.children),
        message=None if part.message is None else _moved(part.message, by),
    )


def _later(span: Span, by: int) -> Span:
    return Span(span.start + by, span.end + by)
