"""Changing a message on its way out: header fields put, replaced and taken out; the disclaimer, once a thread. PURE.

Promises
    Every byte that an edit does not have to change stays as it is, in its place.
    No value can become a second header, whatever it holds: Malformed is raised (P10).
    A disclaimer is added once for each thread: its mark is found again in what was quoted, wrapped or made HTML (R146).
    What is signed or encrypted end to end is left alone: a change would break it.
"""

import binascii
import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from textwrap import wrap
from typing import Protocol

from carepost.base.errors import Malformed
from carepost.message import charsets
from carepost.message.compose import header_field, text_entity
from carepost.message.model import Message, Part
from carepost.message.parse import parse
from carepost.message.words import readable_parts

_MARK = re.compile(r"[A-Z0-9][A-Z0-9-]{5,40}")
_SEALED = frozenset({"multipart/signed", "multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"})
_PGP = b"-----BEGIN PGP "
# Bytes of a part that are looked at for the mark: quotes of a year's thread are shorter.
_LOOKED_AT = 2 << 20
_PLAIN_FORMS = frozenset({"", "7bit", "8bit", "binary"})
# An ASCII letter is one octet of its own in these, wherever it stands.
_NOT_LIKE_ASCII = re.compile(r"utf-16|iso-2022|hz|shift|sjis|932|gb|big5|950|ks_c|euc|949", re.IGNORECASE)

Change = tuple[int, int, bytes]  # from, to, what comes there


# Header fields


def remove_fields(raw: bytes, *names: str) -> bytes:
    """Without every field of these names, folded lines included, however they are written."""
    unwanted = {name.lower().encode() for name in names}
    return _changed(raw, [(start, end, b"") for name, start, end in _fields(raw) if name in unwanted])


def put_field(raw: bytes, name: str, value: str) -> bytes:
    """With one more field, above all others. Raises Malformed."""
    return header_field(name, value) + raw


def replace_field(raw: bytes, name: str, value: str) -> bytes:
    """With this field once: where the first of its name stood, or above all others. Raises Malformed."""
    field, wanted = header_field(name, value), name.lower().encode()
    places = [(start, end) for found, start, end in _fields(raw) if found == wanted]
    if not places:
        return field + raw
    return _changed(raw, [(start, end, field if not at else b"") for at, (start, end) in enumerate(places)])


def _fields(raw: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name in lower case, and where each field begins and ends, however many there are.

    A line ends with LF here, with CR before it or not: what some reader takes for a field is one (P12).
    """
    name, began, at = b"", 0, 0
    while at < len(raw):
        end = raw.find(b"\n", at) + 1 or len(raw)
        line = raw[at:end]
        if not line.strip(b"\r\n"):
            break
        if line[:1] not in b" \t" or not at:
            if at:
                yield name, began, at
            name, began = line.partition(b":")[0].strip(b" \t").lower(), at
        at = end
    if at:
        yield name, began, at


def _changed(raw: bytes, changes: Iterable[Change]) -> bytes:
    pieces, at = [], 0
    for start, end, new in sorted(changes):
        pieces += [raw[at:start], new]
        at = end
    return b"".join([*pieces, raw[at:]]) if pieces else raw


# The disclaimer


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclaimer:
    """What an organisation puts under what leaves it. `mark` stands in it, and is what it is recognised by."""

    text: str
    mark: str  # "RIVERSIDE-7KQ2": capital letters, digits, hyphens; the same for all versions of the text
    version: str

    def __post_init__(self) -> None:
        if not _MARK.fullmatch(self.mark):
            raise Malformed("A disclaimer's mark has 6 to 41 capital letters, digits and hyphens.", mark=self.mark)

    @property
    def as_text(self) -> str:
        lines = "\n".join(_wrapped(line) for line in self.text.strip().splitlines())
        return f"\n\n{_RULE}\n{lines}\n[{self.mark}]\n"

    @property
    def as_html(self) -> str:
        lines = "<br>\n".join(html.escape(_wrapped(line)) for line in self.text.strip().splitlines())
        return f'\n<hr>\n<p style="font-size:small">{lines}<br>\n[{self.mark}]</p>\n'


_RULE = "-" * 20
# RFC 5322 §2.1.1: 78 is what everybody reads, 998 octets is the most; an escaped character has six.
_COLUMNS, _WORD_MAX = 76, 160


def _wrapped(line: str) -> str:
    """One paragraph as lines that no mail system has to break; nothing is joined, no word but a monstrous one cut."""
    words = [word[at : at + _WORD_MAX] for word in line.split() for at in range(0, len(word), _WORD_MAX)]
    return "\n".join(wrap(" ".join(words), _COLUMNS, break_long_words=False, break_on_hyphens=False))


class Disclaimed(StrEnum):
    """What came of adding one."""

    ADDED = "added"
    QUOTED = "quoted"  # the thread has it already
    SEALED = "sealed"  # signed or encrypted end to end: a change would break it
    NO_PLACE = "no place"  # nothing but a file


def has_disclaimer(message: Message, mark: str) -> bool:
    """Whether the mark stands anywhere a reader sees, quoted ("> ") or wrapped or not."""
    wanted = _squeezed(f"[{mark}]")
    return any(wanted in _squeezed(message.text(part, _LOOKED_AT)) for _, part in readable_parts(message))


def _squeezed(text: str) -> str:
    return re.sub(r"[\s>|]+|&gt;|<wbr>", "", text).upper()


class Footer(Protocol):
    """Words that are put under what is written."""

    @property
    def as_text(self) -> str: ...

    @property
    def as_html(self) -> str: ...


def add_footer(raw: bytes, footer: Footer) -> bytes:
    """Under the text and under the HTML, as a disclaimer stands, but every time. What is sealed stays as it is."""
    message = parse(raw)
    if is_sealed(message):
        return raw
    parts = [part for part in _written(message.root) if not part.is_attachment()]
    return _changed(raw, [_under(message, part, footer) for part in parts] or _as_part(message, footer))


def add_disclaimer(raw: bytes, disclaimer: Disclaimer) -> bytes:
    """Under the text and under the HTML of what is written, unless the thread has it already.

    A message whose first part is no text gets it as a part of its own, at the end; one that is sealed end to end, or
    is nothing but a file, stays as it is.
    """
    return disclaim(raw, disclaimer)[0]


def disclaim(raw: bytes, disclaimer: Disclaimer) -> tuple[bytes, Disclaimed]:
    """As `add_disclaimer`, with what came of it, for the record."""
    message = parse(raw)
    if is_sealed(message):
        return raw, Disclaimed.SEALED
    if has_disclaimer(message, disclaimer.mark):
        return raw, Disclaimed.QUOTED
    parts = [part for part in _written(message.root) if not part.is_attachment()]
    changes = [_under(message, part, disclaimer) for part in parts] if parts else _as_part(message, disclaimer)
    return _changed(raw, changes), Disclaimed.ADDED if changes else Disclaimed.NO_PLACE


def is_sealed(message: Message) -> bool:
    """Signed or encrypted end to end: a change would break it."""
    if any(part.media_type in _SEALED for _, part in message.walk()):
        return True
    return any(_PGP in message.body_bytes(part, _LOOKED_AT) for _, part in readable_parts(message))


def _written(part: Part) -> list[Part]:
    """The text that people wrote: both forms of it. Not what is attached, nor forwarded messages."""
    if not part.children:
        return [part] if part.media_type in {"text/plain", "text/html"} else []
    if part.media_type == "multipart/alternative":
        return [found for child in part.children for found in _written(child)]
    return _written(part.children[0])


def _under(message: Message, part: Part, disclaimer: Footer) -> Change:
    """The disclaimer put in, every other byte left; or the part written anew where that is not possible."""
    is_html = part.media_type == "text/html"
    added = disclaimer.as_html if is_html else disclaimer.as_text
    charset = part.params.get("charset", "")
    body = message.raw[part.body.start : part.body.end]
    fits = charsets.is_known(charset) and not _NOT_LIKE_ASCII.search(charset)
    octets = _octets(added, charset, html_too=is_html) if fits else None
    if octets is not None and part.encoding in _PLAIN_FORMS | {"quoted-printable"}:
        if part.encoding == "quoted-printable":
            octets = _quoted_printable(octets)
        elif part.encoding in {"", "7bit"} and not octets.isascii():
            return _anew(message, part, added)
        at = _end_of_html(body) if is_html else len(body)
        if at is None:
            return _anew(message, part, added)
        between = b"" if body[:at].endswith(b"\n") or not at else b"\r\n"
        place = part.body.start + at
        return place, place, between + octets
    return _anew(message, part, added)


def _octets(text: str, charset: str, *, html_too: bool) -> bytes | None:
    text = text.replace("\n", "\r\n")
    if text.isascii():
        return text.encode()
    if html_too:
        return text.encode("ascii", "xmlcharrefreplace")
    return text.encode() if charset.lower() in {"utf-8", "utf8"} else None


def _quoted_printable(octets: bytes) -> bytes:
    return binascii.b2a_qp(octets.replace(b"\r\n", b"\n"), istext=True).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _end_of_html(body: bytes) -> int | None:
    """Where the body of the page ends; None when that cannot be seen in its encoded form."""
    lower = body.lower()
    for tag in (b"</body", b"</html"):
        if (at := lower.rfind(tag)) >= 0:
            return at
    return None if b"=\r\n" in body and (b"</" in lower[-2_000:]) else len(body)


def _anew(message: Message, part: Part, added: str) -> Change:
    """The part in UTF-8, its own Content- fields written anew, its others kept."""
    text = message.text(part)
    if part.media_type == "text/html":
        at = _end_of_html(text.encode("utf-8"))
        octets = text.encode("utf-8")
        text = (octets[:at] + added.encode() + octets[at:]).decode() if at is not None else text + added
    else:
        text += added
    fresh = text_entity(part.media_type.partition("/")[2], text)
    kept = b"".join(
        message.raw[header.span.start : header.span.end]
        for header in part.headers
        if header.name not in {"content-type", "content-transfer-encoding"}
    )
    # A part within a multipart ends before the CRLF of its boundary.
    whole = fresh if part is message.root else fresh.removesuffix(b"\r\n")
    start = part.headers[0].span.start if part.headers else part.header.start
    mime = b"" if part is not message.root or message.first("mime-version") else b"MIME-Version: 1.0\r\n"
    return start, part.body.end, kept + mime + whole


def _as_part(message: Message, disclaimer: Footer) -> list[Change]:
    """A last part of a multipart/mixed; nothing for any other message."""
    root = message.root
    if root.media_type != "multipart/mixed" or not root.children or "boundary" not in root.params:
        return []
    boundary = root.params["boundary"].encode()
    closing = message.raw.rfind(b"\r\n--" + boundary + b"--", root.body.start)
    if closing < 0:
        return []
    entity = text_entity("plain", disclaimer.as_text.lstrip("\n")).removesuffix(b"\r\n")
    return [(closing, closing, b"\r\n--" + boundary + b"\r\n" + entity)]
