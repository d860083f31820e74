"""The tree of parts, as offsets into the original bytes (RFC 2045, RFC 2046 §5.1).

Promises
    The bytes are walked once, forwards; no recursion; caps on depth, parts and header size (M1).
    Over a cap the rest is one opaque leaf and a defect: still stored, still delivered.
    A boundary line is "--" and exactly the boundary (then perhaps "--" and white space), as RFC 2046 says.
    Lines that only look like one don't split, and are reported.

When two open multiparts share a boundary the outer one has it. Parts after the closing line are the epilogue.
"""

from dataclasses import dataclass

from carepost.message.defects import Defect
from carepost.message.encodings import (
    beside_base64,
    holds_uuencoded,
    holds_yencoded,
    is_clean_base64,
    is_clean_quoted_printable,
)
from carepost.message.fields import IDENTITY, MimeFields, read_fields
from carepost.message.model import Header, Part, Span
from carepost.message.scan import BlankLines, boundary_key, examine_line_ends, line_end, newline_before, read_block

OPAQUE = "application/octet-stream"
_MESSAGES = frozenset({"message/rfc822", "message/global", "message/news"})
_LOOKALIKES_LOOKED_AT = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseLimits:
    """What we follow before we say "the rest is opaque" (M1)."""

    depth: int = 100  # multiparts and messages inside one another (Postfix mime_nesting_limit)
    parts: int = 1_000  # no mail program shows more; Dovecot stops at 10,000
    params: int = 128  # of one field
    header_bytes: int = 102_400  # of one header block (Postfix header_size_limit)
    headers: int = 1_000  # fields of one header block
    boundary: int = 2_048  # bytes of a boundary (Postfix mime_boundary_length_limit)


_NO_FIELDS = MimeFields("text/plain")


class _Node:
    """A part that is still growing."""

    __slots__ = (
        "block_end",
        "boundary",
        "children",
        "closed",
        "depth",
        "end",
        "fields",
        "headers",
        "is_message",
        "start",
    )

    def __init__(self, start: int, depth: int) -> None:
        self.start = start
        self.depth = depth
        self.block_end = start
        self.end = start
        self.headers: tuple[Header, ...] = ()
        self.fields = _NO_FIELDS
        self.boundary: bytes | None = None
        self.closed = False
        self.is_message = False
        self.children: list[_Node] = []


class Tree:
    """Grows the tree of one message: `grow()` once, then `defects`."""

    def __init__(self, raw: bytes, limits: ParseLimits) -> None:
        self.raw = raw
        self.limits = limits
        self.defects: set[Defect] = set()
        self.lines_seen: list[Span] = []  # bodies whose line ends have been examined, the last one first
        self._nodes: list[_Node] = []  # parents before their children
        self._open: list[_Node] = []  # the path from the root to where we are
        self._by_boundary: dict[bytes, _Node] = {}
        self._blanks = BlankLines(raw)
        self._lookalikes = 0

    def grow(self) -> Part:
        """The root, finished."""
        self._begin(0, None)
        self._split()
        self._finish(len(self.raw), None)
        parts: dict[int, Part] = {}
        for node in reversed(self._nodes):
            parts[id(node)] = self._frozen(node, tuple(parts[id(child)] for child in node.children))
        return parts[id(self._nodes[0])]

    def _split(self) -> None:
        """Boundary line after boundary line, until nothing is open or nothing more comes."""
        position = 0
        while self._by_boundary:
            line = self._next_dashes(position)
            if line < 0:
                return
            position = line + 2
            key = boundary_key(self.raw, line, self.limits.boundary)
            node = self._by_boundary.get(key)
            closes = node is None and key.endswith(b"--")
            if closes:
                node = self._by_boundary.get(key[:-2])
            if node is None:
                self._look_alike(key)
            elif line >= node.block_end:  # not within the header that names it
                self._at_boundary(node, line, closes=closes)

    def _next_dashes(self, position: int) -> int:
        """Where the next line that may be a boundary begins; -1 when there is none."""
        raw = self.raw
        if position == 0 and raw.startswith(b"--"):
            return 0
        if len(self._by_boundary) == 1:
            (only,) = self._by_boundary
            found = raw.find(b"\n--" + only, position)
        else:
            found = raw.find(b"\n--", position)
        return found + 1 if found >= 0 else -1

    def _look_alike(self, key: bytes) -> None:
        if self._lookalikes < _LOOKALIKES_LOOKED_AT and key:
            self._lookalikes += 1
            if key.startswith(next(reversed(self._by_boundary))):
                self.defects.add(Defect.BOUNDARY_LOOKALIKE)

    def _at_boundary(self, node: _Node, line: int, *, closes: bool) -> None:
        """A boundary line of `node` begins at `line`: what lies inside `node` ends, and perhaps a part begins."""
        if node.closed:
            self.defects.add(Defect.PARTS_AFTER_CLOSE)
            return
        self._finish(newline_before(self.raw, line), node)
        if closes:
            node.closed = True
        elif len(self._nodes) < self.limits.parts:
            self._begin(line_end(self.raw, line, len(self.raw)), node)
        else:
            self.defects.add(Defect.TOO_MANY_PARTS)
            rest = self._add(line_end(self.raw, line, len(self.raw)), node)
            rest.fields = MimeFields(OPAQUE, encoding="binary")
            self._by_boundary.clear()  # nothing that follows is looked at any more

    def _finish(self, end: int, upto: _Node | None) -> None:
        """Everything open inside `upto` ends here (everything there is, when None)."""
        while self._open and self._open[-1] is not upto:
            node = self._open.pop()
            node.end = max(end, node.children[-1].end if node.children else node.block_end)
            if node.boundary is None:
                continue
            if not node.children:
                self.defects.add(Defect.BOUNDARY_NEVER_FOUND)
            elif not node.closed:
                self.defects.add(Defect.BOUNDARY_NEVER_CLOSED)
            if self._by_boundary.get(node.boundary) is node:
                del self._by_boundary[node.boundary]

    def _add(self, start: int, parent: _Node | None) -> _Node:
        node = _Node(start, parent.depth + 1 if parent is not None else 0)
        if parent is not None:
            parent.children.append(node)
        self._nodes.append(node)
        self._open.append(node)
        return node

    def _begin(self, start: int, parent: _Node | None) -> None:
        """Open the part whose header begins at `start`, and the messages it directly holds."""
        while True:
            node = self._add(start, parent)
            self._read_header(node, in_digest=parent is not None and parent.fields.media_type == "multipart/digest")
            self._decide_kind(node)
            if not node.is_message:
                return
            start, parent = node.block_end, node

    def _read_header(self, node: _Node, *, in_digest: bool) -> None:
        limits = self.limits
        blank = self._blanks.after(node.start)
        block = read_block(
            self.raw,
            node.start,
            self._header_limit(node.start, min(blank.end, len(self.raw))),
            blank=blank,
            bytes_max=limits.header_bytes,
            fields_max=limits.headers,
            defects=self.defects,
        )
        node.headers, node.block_end = block.headers, block.end
        default = "message/rfc822" if in_digest else "text/plain"  # RFC 2046 §5.1.5
        node.fields = read_fields(self.raw, node.headers, default=default, limit=limits.params, defects=self.defects)

    def _header_limit(self, start: int, end: int) -> int:
        """A header block also ends where a boundary line of an open multipart comes before the blank line."""
        found = start - 1
        while self._by_boundary:
            found = self.raw.find(b"\n--", max(found, 0), end)
            if found < 0:
                return end
            key = boundary_key(self.raw, found + 1, self.limits.boundary)
            if key in self._by_boundary or (key.endswith(b"--") and key[:-2] in self._by_boundary):
                return max(found + 1, start)
            found += 1
        return end

    def _decide_kind(self, node: _Node) -> None:
        """Whether `node` has parts, holds a message, or is a leaf."""
        fields = node.fields
        if fields.media_type.startswith("multipart/"):
            self._open_multipart(node)
        elif fields.media_type in _MESSAGES:
            if fields.encoding not in IDENTITY:
                self.defects.add(Defect.MESSAGE_ENCODED)
            elif not self._is_too_deep(node):
                node.is_message = len(self._nodes) < self.limits.parts
                if not node.is_message:
                    self.defects.add(Defect.TOO_MANY_PARTS)
                    fields.media_type = OPAQUE
        elif fields.media_type == "message/partial":
            self.defects.add(Defect.MESSAGE_PARTIAL)
        elif fields.media_type == "message/external-body":
            self.defects.add(Defect.EXTERNAL_BODY)

    def _is_too_deep(self, node: _Node) -> bool:
        if node.depth < self.limits.depth:
            return False
        self.defects.add(Defect.TOO_DEEP)
        node.fields.media_type = OPAQUE
        return True

    def _open_multipart(self, node: _Node) -> None:
        fields, boundary = node.fields, node.fields.boundary
        if fields.encoding not in IDENTITY:
            self.defects.add(Defect.MULTIPART_ENCODED)
        if not boundary:
            self.defects.add(Defect.NO_BOUNDARY)
            fields.media_type = "text/plain"  # what there is to read, is read
        elif len(boundary) > self.limits.boundary:
            fields.media_type = OPAQUE
        elif not self._is_too_deep(node):
            earlier = self._by_boundary.pop(boundary, None)
            if earlier is not None and not earlier.closed:
                self.defects.add(Defect.BOUNDARY_REUSED)
                self._by_boundary[boundary] = earlier
                fields.media_type = "text/plain"
                return
            node.boundary = boundary
            self._by_boundary[boundary] = node

    def _frozen(self, node: _Node, below: tuple[Part, ...]) -> Part:
        fields = node.fields
        if node.boundary is not None and not below:
            fields.media_type = "text/plain"  # its boundary never came: what there is to read, is read
        body = Span(node.block_end, node.end)
        if not below:
            self._examine_body(body, fields)
        return Part(
            headers=node.headers,
            header=Span(node.start, node.block_end),
            body=body,
            media_type=fields.media_type,
            params=fields.params,
            encoding=fields.encoding,
            disposition=fields.disposition,
            disposition_params=fields.disposition_params,
            content_id=fields.content_id,
            description=fields.description,
            language=fields.language,
            location=fields.location,
            md5=fields.md5,
            children=() if node.is_message else below,
            message=below[0] if node.is_message else None,
            lines=self.raw.count(b"\n", body.start, body.end)
            if node.is_message or fields.media_type.startswith("text/")
            else 0,
        )

    def _examine_body(self, body: Span, fields: MimeFields) -> None:
        """What readers decode differently (M3)."""
        if fields.encoding == "base64":
            data = self.raw[body.start : body.end]
            beside = beside_base64(data)
            examine_line_ends(beside, self.defects)
            self.lines_seen.append(body)
            if not is_clean_base64(data, beside):
                self.defects.add(Defect.BAD_BASE64)
        elif fields.encoding == "quoted-printable":
            if not is_clean_quoted_printable(self.raw[body.start : body.end]):
                self.defects.add(Defect.BAD_QUOTED_PRINTABLE)
        elif fields.media_type.startswith("text/"):
            data = self.raw[body.start : body.end]
            if holds_uuencoded(data):
                self.defects.add(Defect.UUENCODED)
            if holds_yencoded(data):
                self.defects.add(Defect.YENCODED)
