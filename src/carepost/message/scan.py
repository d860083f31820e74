"""Finding lines in the raw bytes: header blocks and boundary lines, each byte looked at a bounded number of times.

Promises
    Only `bytes.find` and `count` are used: no pattern that could run away.
    Searches move forward only; an answer that still holds is not looked for again.
"""

from typing import NamedTuple

from carepost.message.defects import Defect
from carepost.message.model import Header, Span

# RFC 5322 §2.2: printable ASCII without the colon.
_NAME_BYTES = bytes(range(33, 58)) + bytes(range(59, 127))
_KNOWN_NAMES: dict[bytes, str] = {}  # filled below: the usual names need no checking


class Block(NamedTuple):
    """A header block: its fields, where it ends (after the blank line), and what is wrong with it."""

    headers: tuple[Header, ...]
    end: int


class BlankLines:
    """Where the next blank line ends. Asked with growing positions; linear over all questions together."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._from = 0
        self._end = -1  # end of the blank line found last; the raw's size when there is none
        self._line = 0

    def after(self, start: int) -> tuple[int, int]:
        """(where the blank line begins, where it ends) at or after the line that begins at `start`."""
        raw = self._raw
        if raw.startswith((b"\n", b"\r\n"), start):
            return start, start + (1 if raw[start] == 0x0A else 2)
        if self._from <= start < self._line:
            return self._line, self._end
        crlf, lf = raw.find(b"\n\r\n", start), raw.find(b"\n\n", start)
        size = len(raw)
        line = min(crlf if crlf >= 0 else size, lf if lf >= 0 else size)
        self._from = start
        if line == size:
            self._line, self._end = size + 1, size + 1
        else:
            self._line = line + 1
            self._end = line + (3 if line == crlf else 2)
        return self._line, self._end


def read_block(
    raw: bytes, start: int, limit: int, blank: tuple[int, int], caps: tuple[int, int], defects: set[Defect]
) -> Block:
    """The header block at `start`, which may not reach beyond `limit`. `caps`: bytes considered, fields considered."""
    blank_line, end = blank
    found_blank = blank_line <= limit and end <= limit
    stop = blank_line if found_blank else limit
    headers: list[Header] = []
    considered, count = start + caps[0], caps[1]
    position = start
    while position < stop:
        if position >= considered or len(headers) >= count:
            defects.add(Defect.HEADER_TOO_LARGE if position >= considered else Defect.TOO_MANY_HEADERS)
            break
        next_field = _field_end(raw, position, stop)
        header = _field(raw, position, next_field, defects)
        if not header.name:
            if position == start and raw.startswith((b"From ", b">From "), start):
                pass  # an mbox separator that came along
            elif not found_blank or not any(h.name for h in headers):
                if not _has_field_before_blank(raw, next_field, stop, found=found_blank):
                    # No header here, or no more of it: from this line on it is the body.
                    defects.add(Defect.NO_BLANK_LINE)
                    return Block(tuple(headers), position)
                defects.add(Defect.BAD_HEADER_LINE)
            else:
                defects.add(Defect.BAD_HEADER_LINE)
        headers.append(header)
        position = next_field
    if not found_blank and stop > start:
        defects.add(Defect.NO_BLANK_LINE)
    return Block(tuple(headers), end if found_blank else stop)


def _has_field_before_blank(raw: bytes, position: int, stop: int, *, found: bool) -> bool:
    """Whether the line after a wrong one is a field again: then the wrong one is noise between fields."""
    if not found or position >= stop:
        return False
    line_end = raw.find(b"\n", position, min(stop, position + 1000))
    name, colon, _ = raw[position : line_end if line_end >= 0 else stop][:200].partition(b":")
    return bool(colon) and bool(name) and not name.rstrip(b" \t").translate(None, _NAME_BYTES)


def _field_end(raw: bytes, position: int, stop: int) -> int:
    """Where the field that begins at `position` ends: after the line end that no white space follows."""
    find = raw.find
    at = position
    while True:
        newline = find(b"\n", at, stop)
        if newline < 0:
            return stop
        at = newline + 1
        if at >= stop or raw[at] not in b" \t":
            return at


def _field(raw: bytes, start: int, end: int, defects: set[Defect]) -> Header:
    span = Span(start, end)
    colon = raw.find(b":", start, min(end, start + 1_000))
    if colon <= start:
        return Header("", span, span)
    name = raw[start:colon]
    known = _KNOWN_NAMES.get(name)
    if known is None:
        stripped = name.rstrip(b" \t")
        if not stripped or stripped.translate(None, _NAME_BYTES):
            return Header("", span, span)
        if stripped is not name and stripped != name:
            defects.add(Defect.SPACE_BEFORE_COLON)
        known = stripped.decode("ascii").lower()
    return Header(known, span, Span(colon + 1, end))


_KNOWN_NAMES.update(
    (name.encode(), name.lower())
    for name in ["Received", "Return-Path", "Delivered-To", "DKIM-Signature", "From", "To", "Cc", "Bcc", "Subject", "Date", "Message-ID", "Message-Id", "MIME-Version", "Mime-Version", "Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "Content-ID", "Content-Language", "Reply-To", "Sender", "In-Reply-To", "References", "X-Mailer", "User-Agent", "List-Unsubscribe", "List-Id", "Authentication-Results", "Received-SPF", "ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results", "Precedence", "X-Originating-IP", "Thread-Topic", "Thread-Index"]
)


def boundary_key(raw: bytes, line: int, longest: int) -> bytes:
    """What stands after "--" on the line that begins at `line`, the space at its end dropped. RFC 2046 §5.1.1."""
    start = line + 2
    end = raw.find(b"\n", start, start + longest + 200)
    text = raw[start : end if end >= 0 else start + longest + 200]
    return text.rstrip(b" \t\r")


def line_end(raw: bytes, position: int, stop: int) -> int:
    """Where the next line begins."""
    newline = raw.find(b"\n", position, stop)
    return stop if newline < 0 else newline + 1
