"""The tree of parts, as offsets into the original bytes (RFC 2045, RFC 2046 §5.1).

Promises
    The bytes are walked once, forwards; no recursion; caps on depth, parts and header size (M1).
    Over a cap the rest is one opaque leaf and a defect: still stored, still delivered.
    A boundary line is "--" and exactly the boundary (then perhaps "--" and white space), as RFC 2046 says.
    Lines that only look like one don't split, and are reported.

When two open multiparts share a boundary the outer one has it. Parts after the closing line are the epilogue.
"""

from dataclasses import dataclass

from carepost.message import charsets
from carepost.message.defects import Defect
from carepost.message.encodings import (
    holds_uuencoded,
    holds_yencoded,
    is_clean_base64,
    is_clean_quoted_printable,
)
from carepost.message.headers import unfold
from carepost.message.model import Header, Part, Span
from carepost.message.parameters import Value, decode_parameters, needs_quotes, read_value
from carepost.message.scan import BlankLines, boundary_key, line_end, read_block

_IDENTITY = frozenset({"7bit", "8bit", "binary"})
_KNOWN_ENCODINGS = _IDENTITY | {"base64", "quoted-printable", "x-uuencode", "uuencode", "x-uue", "uue"}
_LOOKALIKES_LOOKED_AT = 1_000
_BOUNDARY_RFC_MAX = 70  # RFC 2046 §5.1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseLimits:
    """What we follow before we say "the rest is opaque". M1; in the size of what Postfix and Dovecot do."""

    depth: int = 100  # multiparts and messages inside one another (Postfix mime_nesting_limit)
    parts: int = 1_000  # no mail program shows more; Dovecot stops at 10,000
    params: int = 128  # of one field
    header_bytes: int = 102_400  # of one header block (Postfix header_size_limit)
    headers: int = 1_000  # fields of one header block
    boundary: int = 2_048  # bytes of a boundary (Postfix mime_boundary_length_limit)


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
        "media_type",
        "parent",
        "start",
        "wants_digest",
    )

    def __init__(self, start: int, depth: int, parent: "_Node | None") -> None:
        self.start = start
        self.depth = depth
        self.parent = parent
        self.block_end = start
        self.end = start
        self.headers: tuple[Header, ...] = ()
        self.media_type = "text/plain"
        self.fields: dict[str, object] = {}
        self.boundary: bytes | None = None
        self.closed = False
        self.is_message = False
        self.wants_digest = False
        self.children: list[_Node] = []


class Tree:
    """Builds the tree of one message. `grow()` once, then `root` and `defects`."""

    def __init__(self, raw: bytes, limits: ParseLimits) -> None:
        self.raw = raw
        self.limits = limits
        self.defects: set[Defect] = set()
        self._nodes: list[_Node] = []
        self._open: list[_Node] = []  # the path from the root to where we are
        self._by_boundary: dict[bytes, _Node] = {}
        self._blanks = BlankLines(raw)
        self._lookalikes = 0

    def grow(self) -> Part:
        self._begin(0, 0, None)
        self._split()
        self._finish(len(self.raw), None)
        return self._freeze()

    # Walking

    def _split(self) -> None:
        """Boundary line after boundary line, until nothing is open or nothing more comes."""
        position = self._open[-1].start if self._open else 0
        position = max(position - 1, 0)
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
            elif line >= node.block_end:  # not a line of the header that names it
                if not self._at_boundary(node, line, closes=closes):
                    return

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
            innermost = next(reversed(self._by_boundary))
            if key.startswith(innermost):
                self.defects.add(Defect.BOUNDARY_LOOKALIKE)

    def _at_boundary(self, node: _Node, line: int, *, closes: bool) -> bool:
        """A boundary line of `node` at `line`. Says whether to go on."""
        if node.closed:
            self.defects.add(Defect.PARTS_AFTER_CLOSE)
            return True
        self._finish(_before_newline(self.raw, line), node)
        after = line_end(self.raw, line, len(self.raw))
        if closes:
            node.closed = True
            return True
        if len(self._nodes) >= self.limits.parts:
            self.defects.add(Defect.TOO_MANY_PARTS)
            self._add_opaque(node, after)
            return False
        self._begin(after, node.depth + 1, node)
        return True

    def _finish(self, end: int, upto: _Node | None) -> None:
        """Everything open inside `upto` ends here (everything there is, when None)."""
        while self._open and self._open[-1] is not upto:
            node = self._open.pop()
            last = node.children[-1].end if node.children else node.block_end
            node.end = max(end, last)
            if node.boundary is not None:
                if not node.children:
                    self.defects.add(Defect.BOUNDARY_NEVER_FOUND)
                elif not node.closed:
                    self.defects.add(Defect.BOUNDARY_NEVER_CLOSED)
                if self._by_boundary.get(node.boundary) is node:
                    del self._by_boundary[node.boundary]

    def _add_opaque(self, parent: _Node, start: int) -> None:
        node = _Node(start, parent.depth + 1, parent)
        node.media_type = "application/octet-stream"
        node.fields["encoding"] = "binary"
        parent.children.append(node)
        self._nodes.append(node)
        self._open.append(node)
        self._by_boundary.clear()  # nothing below is looked at any more

    # One part

    def _begin(self, start: int, depth: int, parent: _Node | None) -> None:
        """Open the part whose header begins at `start`, and the messages it directly holds."""
        while True:
            node = _Node(start, depth, parent)
            if parent is not None:
                parent.children.append(node)
            self._nodes.append(node)
            self._open.append(node)
            blank = self._blanks.after(start)
            limit = self._header_limit(start, min(blank[1], len(self.raw)))
            caps = (self.limits.header_bytes, self.limits.headers)
            block = read_block(self.raw, start, limit, blank, caps, self.defects)
            node.headers, node.block_end = block.headers, block.end
            self._read_mime_fields(node)
            if not node.is_message:
                return
            if len(self._nodes) >= self.limits.parts:
                self.defects.add(Defect.TOO_MANY_PARTS)
                node.is_message = False
                node.media_type = "application/octet-stream"
                return
            start, depth, parent = node.block_end, depth + 1, node

    def _header_limit(self, start: int, end: int) -> int:
        """A header block also ends where a boundary line of an open multipart comes first."""
        if not self._by_boundary:
            return end
        raw = self.raw
        found = start - 1
        while True:
            found = raw.find(b"\n--", max(found, 0), end)
            if found < 0:
                return end
            key = boundary_key(raw, found + 1, self.limits.boundary)
            if key in self._by_boundary or (key.endswith(b"--") and key[:-2] in self._by_boundary):
                return max(found + 1, start)
            found += 1

    def _read_mime_fields(self, node: _Node) -> None:
        raw, fields = self.raw, node.fields
        for header in node.headers:
            if not header.name.startswith("content-"):
                continue
            kind = _KINDS.get(header.name)
            if kind is None:
                continue
            if kind in fields:
                if kind in _DUPLICATES:
                    self.defects.add(_DUPLICATES[kind])
                continue
            fields[kind] = unfold(raw[header.value.start : header.value.end])
        self._content_type(node)
        self._encoding(node)
        self._disposition(node)
        self._decide_kind(node)

    def _content_type(self, node: _Node) -> None:
        digest = node.parent is not None and node.parent.wants_digest
        node.media_type = "message/rfc822" if digest else "text/plain"
        field = node.fields.get("type")
        if not isinstance(field, bytes):
            return
        value = read_value(field, self.limits.params)
        self.defects |= value.defects
        params, odd = decode_parameters(value.parameters)
        self.defects |= odd
        node.fields["params"] = params
        media_type = value.text.strip().lower()
        kind, slash, subtype = media_type.partition("/")
        if slash and kind.strip() and subtype.strip() and media_type.isascii():
            node.media_type = f"{kind.strip()}/{subtype.strip()}"[:200]
        else:
            self.defects.add(Defect.BAD_CONTENT_TYPE)
            if kind == "text" or not kind:
                node.media_type = "text/plain"
        node.fields["boundary"] = _boundary(value)
        charset = params.get("charset")
        if charset and not charsets.is_known(charset):
            self.defects.add(Defect.UNKNOWN_CHARSET)

    def _encoding(self, node: _Node) -> None:
        field = node.fields.get("encoding")
        encoding = "7bit"
        if isinstance(field, bytes):
            if b"(" in field or b";" in field or b'"' in field:
                value = read_value(field, self.limits.params)
                self.defects |= value.defects
                encoding = value.text.strip().strip("\"'").lower()[:60]
            else:
                encoding = field.decode("latin-1").strip().lower()[:60]
            if encoding not in _KNOWN_ENCODINGS:
                encoding = _REPAIRED.get(encoding, encoding)
                self.defects.add(Defect.UNKNOWN_ENCODING)
        node.fields["encoding"] = encoding or "7bit"

    def _disposition(self, node: _Node) -> None:
        field = node.fields.get("disposition")
        if not isinstance(field, bytes):
            return
        value = read_value(field, self.limits.params)
        self.defects |= value.defects
        params, odd = decode_parameters(value.parameters)
        self.defects |= odd
        node.fields["disposition"] = value.text.strip().strip('"').lower()[:60] or None
        node.fields["disposition_params"] = params
        named = node.fields.get("params")
        name = named.get("name") if isinstance(named, dict) else None
        if name and params.get("filename", name) != name:
            self.defects.add(Defect.FILENAME_CONFLICT)
        if any("=?" in p.value and p.name == "filename" for p in value.parameters):
            self.defects.add(Defect.FILENAME_ENCODED_WORD)

    def _decide_kind(self, node: _Node) -> None:
        """Whether `node` has parts, holds a message, or is a leaf."""
        if node.media_type.startswith("multipart/"):
            self._open_multipart(node)
        elif node.media_type in {"message/rfc822", "message/global", "message/news"}:
            if node.fields["encoding"] not in _IDENTITY:
                self.defects.add(Defect.MESSAGE_ENCODED)
            elif node.depth + 1 > self.limits.depth:
                self.defects.add(Defect.TOO_DEEP)
                node.media_type = "application/octet-stream"
            else:
                node.is_message = True
        elif node.media_type == "message/partial":
            self.defects.add(Defect.MESSAGE_PARTIAL)
        elif node.media_type == "message/external-body":
            self.defects.add(Defect.EXTERNAL_BODY)

    def _open_multipart(self, node: _Node) -> None:
        boundary = node.fields.get("boundary")
        if not isinstance(boundary, bytes) or not boundary:
            self.defects.add(Defect.NO_BOUNDARY)
            node.media_type = "text/plain"
            return
        if node.fields["encoding"] not in _IDENTITY:
            self.defects.add(Defect.MULTIPART_ENCODED)
        if node.depth + 1 > self.limits.depth or len(boundary) > self.limits.boundary:
            self.defects.add(Defect.TOO_DEEP if node.depth + 1 > self.limits.depth else Defect.ODD_BOUNDARY)
            node.media_type = "application/octet-stream"
            return
        value = boundary.decode("latin-1")
        if len(boundary) > _BOUNDARY_RFC_MAX or (node.fields.get("boundary_bare") and needs_quotes(value)):
            self.defects.add(Defect.ODD_BOUNDARY)
        if boundary in self._by_boundary:
            if not self._by_boundary[boundary].closed:
                self.defects.add(Defect.BOUNDARY_REUSED)
                node.media_type = "text/plain"
                return
            del self._by_boundary[boundary]
        node.boundary = boundary
        node.wants_digest = node.media_type == "multipart/digest"
        self._by_boundary[boundary] = node

    # What comes out

    def _freeze(self) -> Part:
        parts: dict[int, Part] = {}
        for node in reversed(self._nodes):  # children stand after their parents
            parts[id(node)] = self._part(node, tuple(parts[id(child)] for child in node.children))
        return parts[id(self._nodes[0])]

    def _part(self, node: _Node, below: tuple[Part, ...]) -> Part:
        fields = node.fields
        media_type = node.media_type
        if node.boundary is not None and not below:
            media_type = "text/plain"  # its boundary never came: what there is to read, is read
        params = fields.get("params")
        disposition = fields.get("disposition")
        disposition_params = fields.get("disposition_params")
        encoding = str(fields.get("encoding", "7bit"))
        body = Span(node.block_end, node.end)
        if not below:
            self._examine_body(body, media_type, encoding)
        return Part(
            headers=node.headers,
            header=Span(node.start, node.block_end),
            body=body,
            media_type=media_type,
            params=params if isinstance(params, dict) else {},
            encoding=encoding,
            disposition=disposition if isinstance(disposition, str) else None,
            disposition_params=disposition_params if isinstance(disposition_params, dict) else {},
            content_id=_text(fields.get("id")),
            description=_text(fields.get("description")),
            language=_text(fields.get("language")),
            location=_text(fields.get("location")),
            md5=_text(fields.get("md5")),
            children=() if node.is_message else below,
            message=below[0] if node.is_message and below else None,
            lines=self.raw.count(b"\n", body.start, body.end),
        )

    def _examine_body(self, body: Span, media_type: str, encoding: str) -> None:
        if encoding == "base64":
            if not is_clean_base64(self.raw[body.start : body.end]):
                self.defects.add(Defect.BAD_BASE64)
        elif encoding == "quoted-printable":
            if not is_clean_quoted_printable(self.raw[body.start : body.end]):
                self.defects.add(Defect.BAD_QUOTED_PRINTABLE)
        elif media_type.startswith("text/") and body.size > 40:
            data = self.raw[body.start : body.end]
            if holds_uuencoded(data):
                self.defects.add(Defect.UUENCODED)
            if holds_yencoded(data):
                self.defects.add(Defect.YENCODED)


_KINDS = {
    "content-type": "type",
    "content-transfer-encoding": "encoding",
    "content-disposition": "disposition",
    "content-id": "id",
    "content-description": "description",
    "content-language": "language",
    "content-location": "location",
    "content-md5": "md5",
}
_DUPLICATES = {
    "type": Defect.DUPLICATE_CONTENT_TYPE,
    "encoding": Defect.DUPLICATE_ENCODING,
    "disposition": Defect.DUPLICATE_DISPOSITION,
}
# Misspellings that readers forgive: if they decode it, so do we.
_REPAIRED = {
    "base-64": "base64",
    "base 64": "base64",
    "quoted_printable": "quoted-printable",
    "quotedprintable": "quoted-printable",
    "quoted printable": "quoted-printable",
    "qp": "quoted-printable",
    "7-bit": "7bit",
    "8-bit": "8bit",
    "7bits": "7bit",
    "8bits": "8bit",
    "none": "7bit",
    "": "7bit",
}


def _boundary(value: Value) -> bytes | None:
    for name, text, quoted in value.parameters:
        if name == "boundary":
            boundary = text.rstrip(" \t") if quoted else text.strip()
            return boundary.encode("latin-1", "replace")
    return None


def _text(value: object) -> str | None:
    return value.decode("utf-8", "replace")[:4_000] if isinstance(value, bytes) else None


def _before_newline(raw: bytes, line: int) -> int:
    """The line end before a boundary line belongs to the boundary. RFC 2046 §5.1.1."""
    end = line
    if end > 0 and raw[end - 1] == 0x0A:
        end -= 1
        if end > 0 and raw[end - 1] == 0x0D:
            end -= 1
    return end
