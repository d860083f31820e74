"""The MIME fields of one part: what it is, how it is encoded, what it is called (RFC 2045, RFC 2183).

Promises
    The first of two equal fields counts; a defect says that there were two (M3).
    A field that can't be read is as if it were absent, but for its defect.
"""

from dataclasses import dataclass, field

from carepost.message import charsets
from carepost.message.defects import Defect
from carepost.message.headers import unfold
from carepost.message.model import Header
from carepost.message.parameters import WHITE, Value, decode_parameters, needs_quotes, read_value

# RFC 2045 §6.2: these say that nothing was encoded. Only under them can parts lie within a body (§6.4).
IDENTITY = frozenset({"7bit", "8bit", "binary"})
_KNOWN_ENCODINGS = IDENTITY | {"base64", "quoted-printable", "x-uuencode", "uuencode", "x-uue", "uue"}
_BOUNDARY_RFC_MAX = 70  # RFC 2046 §5.1.1
_SHOWN_MAX = 4_000  # characters of a description or an identifier
_TYPE_MAX = 200


@dataclass(slots=True)
class MimeFields:
    """Of one part. Its tree may still change `media_type`: to what we treat the part as."""

    media_type: str
    params: dict[str, str] = field(default_factory=dict)
    boundary: bytes = b""
    encoding: str = "7bit"
    disposition: str | None = None
    disposition_params: dict[str, str] = field(default_factory=dict)
    content_id: str | None = None
    description: str | None = None
    language: str | None = None
    location: str | None = None
    md5: str | None = None


# The names we read; those with a defect must not come twice.
_READ: dict[str, Defect | None] = {
    "content-type": Defect.DUPLICATE_CONTENT_TYPE,
    "content-transfer-encoding": Defect.DUPLICATE_ENCODING,
    "content-disposition": Defect.DUPLICATE_DISPOSITION,
    "content-id": None,
    "content-description": None,
    "content-language": None,
    "content-location": None,
    "content-md5": None,
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


def read_fields(
    raw: bytes, headers: tuple[Header, ...], *, default: str, limit: int, defects: set[Defect]
) -> MimeFields:
    """`default` is the media type when none is given; `limit` the parameters considered of one field."""
    found: dict[str, bytes] = {}
    for header in headers:
        name = header.name
        if name.startswith("content-") and name in _READ:
            if name not in found:
                found[name] = unfold(raw[header.value.start : header.value.end])
            elif (twice := _READ[name]) is not None:
                defects.add(twice)
    fields = MimeFields(default)
    if not found:
        return fields
    if (value := found.get("content-type")) is not None:
        _content_type(fields, read_value(value, limit), defects)
    if (value := found.get("content-transfer-encoding")) is not None:
        fields.encoding = _encoding(value, limit, defects)
    if (value := found.get("content-disposition")) is not None:
        _disposition(fields, read_value(value, limit), defects)
    fields.content_id = _text(found.get("content-id"))
    fields.description = _text(found.get("content-description"))
    fields.language = _text(found.get("content-language"))
    fields.location = _text(found.get("content-location"))
    fields.md5 = _text(found.get("content-md5"))
    return fields


def _content_type(fields: MimeFields, value: Value, defects: set[Defect]) -> None:
    defects |= value.defects
    fields.params, odd = decode_parameters(value.parameters)
    defects |= odd
    media_type = value.text.strip(WHITE).lower()
    kind, slash, subtype = (piece.strip(WHITE) for piece in media_type.partition("/"))
    if slash and kind and subtype and media_type.isascii() and media_type.isprintable():
        fields.media_type = f"{kind}/{subtype}"[:_TYPE_MAX]
    else:
        defects.add(Defect.BAD_CONTENT_TYPE)  # RFC 2045 §5.2: then as if it were absent
    if kind == "multipart":
        fields.boundary = _boundary(value, defects) or fields.params.get("boundary", "").encode()
    charset = fields.params.get("charset")
    if charset and not charsets.is_known(charset):
        defects.add(Defect.UNKNOWN_CHARSET)


def _boundary(value: Value, defects: set[Defect]) -> bytes:
    for name, text, quoted in value.parameters:
        if name == "boundary":
            boundary = text.rstrip(" \t") if quoted else text.strip(WHITE)
            if len(boundary) > _BOUNDARY_RFC_MAX or (not quoted and _SPLITS_READERS.intersection(boundary)):
                defects.add(Defect.ODD_BOUNDARY)
            return boundary.encode("latin-1", "replace")
    return b""


# Of the characters that need quotes, "=", "/", ":" and "?" stand unquoted in much honest mail; every reader copes.
_SPLITS_READERS = frozenset(c for c in map(chr, range(128)) if needs_quotes(c) and c not in "=/:?")


def _encoding(raw: bytes, limit: int, defects: set[Defect]) -> str:
    if b"(" in raw or b";" in raw or b'"' in raw:
        value = read_value(raw, limit)
        defects |= value.defects
        encoding = value.text.strip(" \t\"'").lower()[:_TYPE_MAX]
    else:
        encoding = raw[:_TYPE_MAX].decode("latin-1").strip(WHITE).lower()
    if encoding in _KNOWN_ENCODINGS:
        return encoding
    defects.add(Defect.UNKNOWN_ENCODING)
    return _REPAIRED.get(encoding, encoding)


def _disposition(fields: MimeFields, value: Value, defects: set[Defect]) -> None:
    defects |= value.defects
    fields.disposition_params, odd = decode_parameters(value.parameters)
    defects |= odd
    fields.disposition = value.text.strip(' \t"').lower()[:_TYPE_MAX] or None
    name = fields.params.get("name")
    if name and fields.disposition_params.get("filename", name) != name:
        defects.add(Defect.FILENAME_CONFLICT)
    if any(p.name == "filename" and "=?" in p.value for p in value.parameters):
        defects.add(Defect.FILENAME_ENCODED_WORD)


def _text(raw: bytes | None) -> str | None:
    return raw.decode("utf-8", "replace")[:_SHOWN_MAX] if raw else None
