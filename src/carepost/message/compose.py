"""Building a new message: notices, the sample world, tests. The composer of web mail builds on it.

Promises
    CRLF throughout, no line over 998 octets, header lines folded at 78 (RFC 5322 §2.1.1).
    No value can become a second header: a line end or any other control in one raises Malformed (P10).
    The same arguments give the same bytes: no chance, no clock.
"""

import binascii
import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

from carepost.base.address import EmailAddress
from carepost.base.errors import Malformed
from carepost.message.addresses import Address, addresses_of, each
from carepost.message.parameters import needs_quotes
from carepost.message.showing import has_control

LINE = 78
LINE_MAX = 998
_WORD_BYTES = 42  # base64 of 42 octets and "=?utf-8?b?…?=" stay under the 75 of RFC 2047 §2
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-")
# RFC 5322 §3.2.3 atext and space: a display name of these needs no quotes.
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~ ")


class Attachment(NamedTuple):
    filename: str
    media_type: str
    content: bytes


Who = str | Address | EmailAddress
"""An addr-spec, `Name <addr-spec>`, or a value that is one already."""


def compose(
    from_: Who,
    to: Sequence[Who] | Who,
    subject: str,
    text: str,
    *,
    html: str | None = None,
    attachments: Iterable[Attachment | tuple[str, str, bytes]] = (),
    date: datetime,
    message_id: str,
    extra_headers: Iterable[tuple[str, str]] = (),
    cc: Sequence[Who] | Who = (),
) -> bytes:
    """A message ready for the wire. Raises Malformed for an address, a name or a value that can't stand in a header."""
    head = [
        _field("From", _people([from_])),
        _field("To", _people(_several(to))) if to else b"",
        _field("Cc", _people(_several(cc))) if cc else b"",
        _field("Subject", _unstructured(subject)),
        _field("Date", [format_date(date)]),
        _field("Message-ID", [_message_id(message_id)]),
        *(_field(_field_name(name), _unstructured(value)) for name, value in extra_headers),
        b"MIME-Version: 1.0\r\n",
    ]
    body = text_entity("plain", text)
    if html is not None:
        body = multipart("alternative", [body, text_entity("html", html)], message_id)
    files = [_file_entity(Attachment(*one)) for one in attachments]
    if files:
        body = multipart("mixed", [body, *files], message_id)
    return b"".join(head) + body


def format_date(at: datetime) -> str:
    """RFC 5322 §3.3. `at` must be aware."""
    offset = at.utcoffset()
    if offset is None:
        raise Malformed("a date in a message needs its time zone")
    minutes = int(offset.total_seconds() // 60)
    sign = "-" if minutes < 0 else "+"
    hours, rest = divmod(abs(minutes), 60)
    return (
        f"{_DAYS[at.weekday()]}, {at.day} {_MONTHS[at.month - 1]} {at.year:04d} "
        f"{at.hour:02d}:{at.minute:02d}:{at.second:02d} {sign}{hours:02d}{rest:02d}"
    )


# Headers


def header_field(name: str, value: str) -> bytes:
    """One unstructured field, encoded and folded as needed. Raises Malformed for what can't stand in one (P10)."""
    return _field(_field_name(name), _unstructured(value))


def people_field(name: str, people: Sequence[Who] | Who) -> bytes:
    """One field of addresses. Raises Malformed."""
    return _field(_field_name(name), _people(_several(people)))


def id_field(name: str, *message_ids: str) -> bytes:
    """Message-ID, In-Reply-To, References. Raises Malformed."""
    return _field(_field_name(name), [_message_id(one) for one in message_ids])


def _field(name: str, words: Iterable[str]) -> bytes:
    """One field, folded before the words that would pass column 78."""
    line = f"{name}:"
    lines: list[str] = []
    for word in words:
        if len(line) + 1 + len(word.encode()) > LINE and line != f"{name}:":
            lines.append(line)
            line = ""
        line += f" {word}"
    lines.append(line)
    out = "\r\n".join(lines).encode()
    if any(len(one) > LINE_MAX for one in out.split(b"\r\n")):
        raise Malformed("a header of the message has a word that is too long", field=name)
    return out + b"\r\n"


def _field_name(name: str) -> str:
    if not name or not _NAME.issuperset(name):
        raise Malformed("not the name of a header", name=name)
    return name


def _checked(value: str) -> str:
    if has_control(value):
        raise Malformed("a header of the message holds a line end or another control character")
    return value


def _unstructured(value: str) -> list[str]:
    """Words to fold between. What is not ASCII, or looks encoded already, is encoded as a whole (RFC 2047)."""
    _checked(value)
    words = value.split(" ")
    blank = any(not word for word in words[1:-1]) or value != value.strip(" ")
    if value.isascii() and "=?" not in value and not blank and max(map(len, words)) < LINE_MAX // 2:
        return words
    return _encoded_words(value)


def _encoded_words(value: str) -> list[str]:
    """Base64 words, none of which splits a character (RFC 2047 §5)."""
    words: list[str] = []
    piece = b""
    for character in value:
        octets = character.encode("utf-8", "replace")
        if len(piece) + len(octets) > _WORD_BYTES:
            words.append(_encoded_word(piece))
            piece = b""
        piece += octets
    return [*words, _encoded_word(piece)] if piece else words


def _encoded_word(octets: bytes) -> str:
    return f"=?utf-8?b?{binascii.b2a_base64(octets, newline=False).decode()}?="


def _several(who: Sequence[Who] | Who) -> list[Who]:
    return [who] if isinstance(who, str | Address | EmailAddress) else list(who)


def _people(people: Sequence[Who]) -> list[str]:
    words: list[str] = []
    for number, who in enumerate(people, start=1):
        mine = _person(who)
        if number < len(people):
            mine[-1] += ","
        words.extend(mine)
    return words


def _person(who: Who) -> list[str]:
    if isinstance(who, str):
        who = _read_person(_checked(who))
    if isinstance(who, EmailAddress):
        return [str(who)]
    address = EmailAddress.parse(_checked(who.address))
    if not who.name:
        return [str(address)]
    return [*_display_name(_checked(who.name)), f"<{address}>"]


def _read_person(text: str) -> Address:
    found = list(each(addresses_of(text.encode())))
    if len(found) != 1:
        raise Malformed("not one email address", text=text)
    return found[0]


def _display_name(name: str) -> list[str]:
    if not name.isascii() or "=?" in name:
        return _encoded_words(name)
    if _PLAIN.issuperset(name) and name == name.strip() and "  " not in name:
        return name.split(" ")
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return [f'"{escaped}"']


def _message_id(message_id: str) -> str:
    _checked(message_id)
    bare = message_id.removeprefix("<").removesuffix(">")
    if not bare or any(c in bare for c in "<> \t") or len(bare) > LINE_MAX - 20:
        raise Malformed("not a message identifier", text=message_id)
    return f"<{bare}>"


# Entities: each begins with its Content- fields and ends without a line end of the boundary's


def text_entity(subtype: str, text: str) -> bytes:
    """A text part in whichever encoding is shortest and safe on any way."""
    octets = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace")
    longest = max(map(len, octets.split(b"\n")))
    if octets.isascii() and longest <= LINE and b"\0" not in octets:
        encoding, body = "7bit", octets.replace(b"\n", b"\r\n")
    elif len(octets.decode()) * 2 < len(octets):  # mostly not Latin: base64 is shorter
        encoding, body = "base64", _base64(octets.replace(b"\n", b"\r\n"))
    else:
        encoding, body = "quoted-printable", _quoted_printable(octets)
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + body + (b"" if body.endswith(b"\r\n") else b"\r\n")


def _quoted_printable(octets: bytes) -> bytes:
    return binascii.b2a_qp(octets, istext=True).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _base64(octets: bytes) -> bytes:
    line = 57  # octets that give 76 characters, RFC 2045 §6.8
    pieces = [binascii.b2a_base64(octets[at : at + line], newline=False) for at in range(0, len(octets), line)]
    return b"\r\n".join(pieces)


def _file_entity(file: Attachment) -> bytes:
    media_type = _checked(file.media_type).lower()
    kind, _, subtype = media_type.partition("/")
    if not kind or not subtype or needs_quotes(kind) or needs_quotes(subtype) or not media_type.isascii():
        raise Malformed("not a media type", text=file.media_type)
    words = ["attachment;", *_parameter("filename", _checked(file.filename))]
    head = _field("Content-Type", [media_type]) + _field("Content-Disposition", words)
    return head + b"Content-Transfer-Encoding: base64\r\n\r\n" + _base64(file.content) + b"\r\n"


def _parameter(name: str, value: str) -> list[str]:
    """RFC 2231: percent-encoded and in sections when it must be."""
    if value.isascii() and len(value) < 60:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return [f'{name}="{escaped}"']
    encoded = "utf-8''" + quote(value, safe="")
    if len(encoded) < 60:
        return [f"{name}*={encoded}"]
    sections: list[str] = []
    while encoded:
        cut = min(60, len(encoded))
        while cut < len(encoded) and "%" in encoded[cut - 2 : cut]:  # not inside %XX
            cut -= 1
        sections.append(f"{name}*{len(sections)}*={encoded[:cut]};")
        encoded = encoded[cut:]
    sections[-1] = sections[-1].removesuffix(";")
    return sections


def multipart(subtype: str, entities: list[bytes], salt: str, *, parameters: str = "") -> bytes:
    """Parts with a boundary that none of them holds. `parameters`: further ones, as `report-type=delivery-status`."""
    boundary = _boundary(entities, salt + subtype)
    further = f" {parameters};" if parameters else ""
    head = f'Content-Type: multipart/{subtype};{further}\r\n boundary="{boundary}"\r\n\r\n'.encode()
    marked = b"".join(b"--" + boundary.encode() + b"\r\n" + entity for entity in entities)
    return head + marked + b"--" + boundary.encode() + b"--\r\n"


def _boundary(entities: list[bytes], salt: str) -> str:
    """Made from the content, so that no stranger's text can hold it; "=_" can't occur in either encoding."""
    digest = hashlib.sha256(salt.encode("utf-8", "replace"))
    for entity in entities:
        digest.update(entity)
    while True:
        boundary = f"=_{digest.hexdigest()[:32]}"
        if not any(boundary.encode() in entity for entity in entities):
            return boundary
        digest.update(b"again")
