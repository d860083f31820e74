"""ENVELOPE and BODYSTRUCTURE as plain data (RFC 9051 §7.5.2), computed once, at arrival.

Promises
    Strings are the sender's octets: nothing decoded, 8-bit safe, unfolded; None is NIL.
    Every node knows its offsets into the raw message, so that FETCH BODY[1.2] is a slice.
    A node that IMAP could not express (a multipart without parts, a message we did not enter) is an opaque leaf.
"""

import msgspec

from carepost.message.addresses import RawAddress, RawGroup, read_addresses
from carepost.message.model import Message, Part
from carepost.message.parameters import WHITE, read_value

# A mail program lists them all in one line of the reply; more is noise, and the header itself is still there.
ENVELOPE_ADDRESSES_MAX = 2_000
ENVELOPE_STRING_MAX = 8_192

EnvelopeAddress = tuple[bytes | None, bytes | None, bytes | None, bytes | None]
"""(name, at-domain-list, mailbox, host). A group begins with (None, None, its name, None) and ends with four None."""

Pairs = list[tuple[bytes, bytes]]


class Envelope(msgspec.Struct, array_like=True, frozen=True):
    date: bytes | None
    subject: bytes | None
    from_: list[EnvelopeAddress]
    sender: list[EnvelopeAddress]
    reply_to: list[EnvelopeAddress]
    to: list[EnvelopeAddress]
    cc: list[EnvelopeAddress]
    bcc: list[EnvelopeAddress]
    in_reply_to: bytes | None
    message_id: bytes | None


class BodyPart(msgspec.Struct, array_like=True, frozen=True):
    """One node. `children` for a multipart; `envelope` and `message` for an embedded message; else a leaf.

    `size` and `lines` are those of the body as it stands on the wire. The header span includes the blank line.
    """

    kind: bytes  # "text", in lower case
    subtype: bytes
    params: Pairs
    content_id: bytes | None
    description: bytes | None
    encoding: bytes
    size: int
    lines: int
    md5: bytes | None
    disposition: tuple[bytes, Pairs] | None
    language: list[bytes]
    location: bytes | None
    header_start: int
    header_end: int
    body_start: int
    body_end: int
    children: list["BodyPart"] = []
    envelope: Envelope | None = None
    message: "BodyPart | None" = None


def envelope(message: Message, part: Part | None = None) -> Envelope:
    """Of the message, or of the embedded one whose root is `part`."""
    values: dict[str, list[bytes]] = {}
    root = part or message.root
    for name in ("date", "subject", "in-reply-to", "message-id"):
        values[name] = [v] if (v := message.first(name, root)) else []
    authors = _addresses(message, "from", root)
    return Envelope(
        date=_string(values["date"]),
        subject=_string(values["subject"]),
        from_=authors,
        sender=_addresses(message, "sender", root) or authors,  # RFC 9051 §7.5.2: the server defaults these two
        reply_to=_addresses(message, "reply-to", root) or authors,
        to=_addresses(message, "to", root),
        cc=_addresses(message, "cc", root),
        bcc=_addresses(message, "bcc", root),
        in_reply_to=_string(values["in-reply-to"]),
        message_id=_string(values["message-id"]),
    )


def _string(values: list[bytes]) -> bytes | None:
    return _wire(values[0]) if values else None


def _wire(value: bytes) -> bytes:
    """What may stand in an IMAP string: no NUL, no line end, bounded."""
    value = value[:ENVELOPE_STRING_MAX]
    if b"\r" in value or b"\n" in value or b"\0" in value:
        value = value.translate(None, b"\r\n\0")
    return value


def _addresses(message: Message, name: str, root: Part) -> list[EnvelopeAddress]:
    out: list[EnvelopeAddress] = []
    for value in message.header_values(name, root):
        for item in read_addresses(value, ENVELOPE_ADDRESSES_MAX - len(out)):
            if isinstance(item, RawGroup):
                out.append((None, None, _octets(item.name), None))
                out.extend(_address(member) for member in item.members)
                out.append((None, None, None, None))
            else:
                out.append(_address(item))
        if len(out) >= ENVELOPE_ADDRESSES_MAX:
            break
    return out


def _address(item: RawAddress) -> EnvelopeAddress:
    # A host of None would open a group: an address without a domain has an empty one.
    return (
        _octets(item.name) or None,
        _octets(item.route) or None,
        _octets(item.local),
        _octets(item.domain),
    )


def _octets(text: str) -> bytes:
    return _wire(text[:ENVELOPE_STRING_MAX].encode("latin-1", "replace"))


def body_structure(message: Message) -> BodyPart:
    """The whole tree. Depth is bounded by the parser's limits."""
    return _node(message, message.root)


def _node(message: Message, part: Part) -> BodyPart:
    kind, _, subtype = part.media_type.partition("/")
    declared = read_value(message.first("content-type", part))
    is_as_declared = declared.text.strip(WHITE).lower() == part.media_type
    params: Pairs = _pairs(declared.parameters) if is_as_declared else []
    if part.message is None and kind == "message" and subtype in {"rfc822", "global", "news"}:
        kind, subtype, params = "application", "octet-stream", []
    if not params and kind == "text":
        params = [(b"charset", b"us-ascii")]
    return BodyPart(
        kind=_octets(kind),
        subtype=_octets(subtype),
        params=params,
        content_id=_field(part.content_id),
        description=_field(part.description),
        encoding=_octets(part.encoding),
        size=part.body.size,
        lines=part.lines,
        md5=_field(part.md5),
        disposition=_disposition(message, part),
        language=_languages(part.language),
        location=_field(part.location),
        header_start=part.header.start,
        header_end=part.header.end,
        body_start=part.body.start,
        body_end=part.body.end,
        children=[_node(message, child) for child in part.children],
        envelope=envelope(message, part.message) if part.message is not None else None,
        message=_node(message, part.message) if part.message is not None else None,
    )


def _pairs(parameters: tuple[tuple[str, str, bool], ...]) -> Pairs:
    return [(_octets(name), _octets(value)) for name, value, _ in parameters]


def _field(text: str | None) -> bytes | None:
    return _wire(text.encode("utf-8", "replace")) if text else None


def _disposition(message: Message, part: Part) -> tuple[bytes, Pairs] | None:
    if part.disposition is None:
        return None
    return _octets(part.disposition), _pairs(read_value(message.first("content-disposition", part)).parameters)


def _languages(text: str | None) -> list[bytes]:
    if not text:
        return []
    return [_octets(tag.strip()) for tag in text.split(",")[:20] if tag.strip()]
