"""Finding lines in the raw bytes: header blocks and boundary lines, each byte looked at a bounded number of times.

Promises
    Only `bytes.find` is used: no pattern that could run away.
    Searches move forward only; an answer that still holds is not looked for again.
"""

from typing import NamedTuple

from carepost.message.defects import Defect
from carepost.message.model import Header, Span

# RFC 5322 §2.2: printable ASCII without the colon.
_NAME_BYTES = bytes(range(33, 58)) + bytes(range(59, 127))
_NAME_MAX = 1_000  # how far a colon is looked for: RFC 5322 §2.1.1 ends the line there
# Nine fields in ten: looked up rather than checked and made again.
_USUAL_NAMES = {
    name.encode(): name
    for name in (
        *(
            "from",
            "to",
            "cc",
            "bcc",
            "subject",
            "date",
            "message-id",
            "in-reply-to",
            "references",
            "reply-to",
            "sender",
        ),
        *("mime-version", "content-type", "content-transfer-encoding", "content-disposition", "content-id"),
        *("content-language", "received", "return-path", "delivered-to", "dkim-signature", "received-spf"),
        *("authentication-results", "arc-seal", "arc-message-signature", "arc-authentication-results"),
        *("x-mailer", "user-agent", "list-id", "list-unsubscribe", "list-unsubscribe-post", "precedence"),
    )
}
_LF, _CR = 0x0A, 0x0D


class Block(NamedTuple):
    """A header block's fields, and where it ends: after the blank line."""

    headers: tuple[Header, ...]
    end: int


class BlankLine(NamedTuple):
    """Where it begins and where it ends. Beyond the raw bytes when there is none."""

    start: int
    end: int


class BlankLines:
    """Where the next blank line is. Asked with growing positions; linear over all questions together."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        # Where the line end before the next blank line is, of either kind; and how far the second kind was looked for.
        self._crlf = self._lf = -1
        self._lf_searched = 0

    def after(self, start: int) -> BlankLine:
        """The first one at or after `start`, where a line begins."""
        raw, size = self._raw, len(self._raw)
        if raw.startswith((b"\n", b"\r\n"), start):
            return BlankLine(start, start + (1 if raw[start] == _LF else 2))
        if self._crlf < start:
            found = raw.find(b"\n\r\n", start)
            self._crlf = found if found >= 0 else size
        if self._lf < start and self._lf_searched < self._crlf:
            self._lf = raw.find(b"\n\n", max(start, self._lf_searched - 1), self._crlf)
            self._lf_searched = self._lf + 1 if self._lf >= 0 else self._crlf
        if start <= self._lf < self._crlf:
            return BlankLine(self._lf + 1, self._lf + 2)
        return BlankLine(self._crlf + 1, self._crlf + 3)


def read_block(
    raw: bytes,
    start: int,
    limit: int,
    *,
    blank: BlankLine,
    bytes_max: int,
    fields_max: int,
    defects: set[Defect],
) -> Block:
    """The header block at `start`, which does not reach beyond `limit`.

    A field that begins within `bytes_max` is read whole; what begins later is part of the block and not looked at.
    """
    separated = blank.end <= limit
    stop = blank.start if separated else limit
    headers: list[Header] = []
    position = start
    while position < stop:
        if position - start >= bytes_max:
            defects.add(Defect.HEADER_TOO_LARGE)
            break
        if len(headers) >= fields_max:
            defects.add(Defect.TOO_MANY_HEADERS)
            break
        after = _field_end(raw, position, stop)
        header = _field(raw, position, after, defects)
        if not header.name and not (position == start and raw.startswith((b"From ", b">From "), start)):
            # Noise between fields stays noise. With no field around it, the body has begun without a blank line;
            # and so it has where a boundary line stands.
            is_noise = separated and (_is_field(raw, after, stop) or any(one.name for one in headers))
            if not is_noise or raw.startswith(b"--", position):
                defects.add(Defect.NO_BLANK_LINE)
                return Block(tuple(headers), position)
            defects.add(Defect.BAD_HEADER_LINE)
        headers.append(header)
        position = after
    if not separated and stop > start:
        defects.add(Defect.NO_BLANK_LINE)
    return Block(tuple(headers), blank.end if separated else stop)


def _is_field(raw: bytes, position: int, stop: int) -> bool:
    if position >= stop:
        return False
    name, colon, _ = raw[position : min(stop, position + _NAME_MAX)].partition(b":")
    name = name.rstrip(b" \t")
    return bool(colon) and bool(name) and not name.translate(None, _NAME_BYTES)


def _field_end(raw: bytes, position: int, stop: int) -> int:
    """Where the field that begins at `position` ends: after the line end that no white space follows."""
    while True:
        newline = raw.find(b"\n", position, stop)
        if newline < 0:
            return stop
        position = newline + 1
        if position >= stop or raw[position] not in b" \t":
            return position


def _field(raw: bytes, start: int, end: int, defects: set[Defect]) -> Header:
    """The field between; its name is empty when the line is none."""
    span = Span(start, end)
    colon = raw.find(b":", start, min(end, start + _NAME_MAX))
    if colon <= start:
        return Header("", span, span)
    name = raw[start:colon]
    if (usual := _USUAL_NAMES.get(name.lower())) is not None:
        return Header(usual, span, Span(colon + 1, end))
    if name.translate(None, _NAME_BYTES):
        name = name.rstrip(b" \t")
        if not name or name.translate(None, _NAME_BYTES):
            return Header("", span, span)
        defects.add(Defect.SPACE_BEFORE_COLON)  # RFC 5322 §4.5 obsolete; some readers see no field here
    return Header(name.decode("ascii").lower(), span, Span(colon + 1, end))


def boundary_key(raw: bytes, line: int, longest: int) -> bytes:
    """What stands after "--" on the line that begins at `line`, the space at its end dropped. RFC 2046 §5.1.1."""
    start = line + 2
    stop = start + longest + 200  # longer lines are no boundary, however they begin
    end = raw.find(b"\n", start, stop)
    return raw[start : end if end >= 0 else stop].rstrip(b" \t\r")


def line_end(raw: bytes, position: int, stop: int) -> int:
    """Where the next line begins."""
    newline = raw.find(b"\n", position, stop)
    return stop if newline < 0 else newline + 1


def newline_before(raw: bytes, line: int) -> int:
    """Where the line end before `line` begins: before a boundary line it belongs to the boundary. RFC 2046 §5.1.1."""
    end = line
    if end > 0 and raw[end - 1] == _LF:
        end -= 1
        if end > 0 and raw[end - 1] == _CR:
            end -= 1
    return end


def examine_line_ends(data: bytes, defects: set[Defect]) -> None:
    """A bare CR or LF is where smugglers' readers differ (P1)."""
    pairs = data.count(b"\r\n")
    if data.count(b"\r") > pairs:
        defects.add(Defect.BARE_CR)
    if data.count(b"\n") > pairs:
        defects.add(Defect.BARE_LF)
