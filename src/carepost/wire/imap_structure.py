"""ENVELOPE, BODY and BODYSTRUCTURE as IMAP writes them, and where in the raw octets a section lies.

Promises
    Nothing is parsed: what is written and cut was worked out at arrival (`message.structure`).
    A section that does not exist is None, which the answer shows as NIL or as empty, never as an error.

RFC 9051 §6.4.5, §7.5.2.
"""

from collections.abc import Sequence

from carepost.message.encodings import decode_transfer
from carepost.message.structure import BodyPart, Envelope, EnvelopeAddress, Pairs
from carepost.wire.imap_commands import Section, SectionText
from carepost.wire.imap_replies import NIL, nstring, string


def envelope(value: Envelope) -> bytes:
    authors = _addresses(value.from_)
    return b"(%b)" % b" ".join(
        (
            nstring(value.date),
            nstring(value.subject),
            authors,
            # Nearly always the same people: written once.
            authors if value.sender == value.from_ else _addresses(value.sender),
            authors if value.reply_to == value.from_ else _addresses(value.reply_to),
            _addresses(value.to),
            _addresses(value.cc),
            _addresses(value.bcc),
            nstring(value.in_reply_to),
            nstring(value.message_id),
        )
    )


def _addresses(addresses: Sequence[EnvelopeAddress]) -> bytes:
    if not addresses:
        return NIL
    return b"(" + b"".join(b"(" + b" ".join(map(nstring, address)) + b")" for address in addresses) + b")"


def body(part: BodyPart, *, extended: bool) -> bytes:
    """BODYSTRUCTURE, or BODY without the extension data."""
    if part.children:
        inner = b"".join(body(child, extended=extended) for child in part.children)
        fields = [inner + b" " + string(part.subtype)]
        if extended:
            fields += [_pairs(part.params), *_extension(part)]
        return b"(" + b" ".join(fields) + b")"
    fields = [
        string(part.kind),
        string(part.subtype),
        _pairs(part.params),
        nstring(part.content_id),
        nstring(part.description),
        string(part.encoding),
        b"%d" % part.size,
    ]
    if part.message is not None and part.envelope is not None:
        fields += [envelope(part.envelope), body(part.message, extended=extended), b"%d" % part.lines]
    elif part.kind == b"text":
        fields.append(b"%d" % part.lines)
    if extended:
        fields += [nstring(part.md5), *_extension(part)]
    return b"(" + b" ".join(fields) + b")"


def _extension(part: BodyPart) -> list[bytes]:
    disposition = NIL
    if part.disposition is not None:
        kind, params = part.disposition
        disposition = b"(" + string(kind) + b" " + _pairs(params) + b")"
    return [disposition, _languages(part.language), nstring(part.location)]


def _languages(languages: Sequence[bytes]) -> bytes:
    if len(languages) < 2:
        return string(languages[0]) if languages else NIL
    return b"(" + b" ".join(map(string, languages)) + b")"


def _pairs(pairs: Pairs) -> bytes:
    if not pairs:
        return NIL
    return b"(" + b" ".join(string(name) + b" " + string(value) for name, value in pairs) + b")"


# Sections


def cut(raw: bytes, structure: BodyPart, section: Section) -> bytes | None:
    """The octets that `section` names, before any <partial>; None when there is no such part."""
    if section.decoded:
        return decoded(raw, structure, section.part)
    if not section.part:
        return _of_message(raw, structure, section)
    part = part_at(structure, section.part)
    if part is None:
        return None
    match section.text:
        case SectionText.ALL:
            return raw[part.body_start : part.body_end]
        case SectionText.MIME:
            return raw[part.header_start : part.header_end]
        case _:
            # RFC 9051 §6.4.5.1: HEADER and TEXT of a part are those of the message it holds.
            return _of_message(raw, part.message, section) if part.message is not None else None


def part_at(structure: BodyPart, path: Sequence[int]) -> BodyPart | None:
    """The part with that number. Part 1 of a message that has no parts is its text."""
    node: BodyPart | None = None
    for number in path:
        is_message = node is None or node.message is not None
        holder = structure if node is None else node.message or node
        if holder.children:
            if number > len(holder.children):
                return None
            node = holder.children[number - 1]
        elif is_message and number == 1:
            node = holder
        else:
            return None
    return node


def decoded(raw: bytes, structure: BodyPart, path: Sequence[int]) -> bytes | None:
    """BINARY: the part's octets without their transfer encoding. RFC 3516 §4.2."""
    if not path:
        return raw
    part = part_at(structure, path)
    if part is None:
        return None
    octets = raw[part.body_start : part.body_end]
    if part.children or part.message is not None:
        return octets
    return decode_transfer(octets, part.encoding.decode("ascii", "replace"))


def _of_message(raw: bytes, root: BodyPart, section: Section) -> bytes:
    match section.text:
        case SectionText.HEADER:
            return raw[root.header_start : root.header_end]
        case SectionText.HEADER_FIELDS | SectionText.HEADER_FIELDS_NOT:
            wanted = frozenset(section.fields)
            keep = section.text is SectionText.HEADER_FIELDS
            return _fields(raw[root.header_start : root.header_end], wanted, keep=keep)
        case SectionText.TEXT:
            return raw[root.body_start : root.body_end]
        case _:
            return raw[root.header_start : root.body_end]


def _fields(header: bytes, names: frozenset[bytes], *, keep: bool) -> bytes:
    """The fields so named (or all others), as they stand, and the blank line."""
    kept: list[bytes] = []
    taking = False
    for line in _lines(header):
        if line in (b"\r\n", b"\n"):
            break
        if line[:1] not in b" \t":
            taking = (line.partition(b":")[0].rstrip(b" \t").upper() in names) is keep
        if taking:
            kept.append(line)
    return b"".join(kept) + b"\r\n"


def _lines(octets: bytes) -> list[bytes]:
    """Split after every LF and nowhere else."""
    *whole, rest = octets.split(b"\n")
    lines = [line + b"\n" for line in whole]
    return [*lines, rest] if rest else lines
