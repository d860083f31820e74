"""A message: the sender's bytes, and where in them everything lies.

Promises
    `raw` is never changed. Every header, part and body is a Span of it; a child's spans lie within its parent's body.
    Nothing here raises because of what a message holds; what is wrong with it stands in `defects`.
    Whatever is returned as `str` for people is free of controls and overrides, and bounded.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from carepost.message import charsets
from carepost.message.addresses import ADDRESSES_MAX, Address, Group, Mailbox, addresses_of, each
from carepost.message.defects import Defect
from carepost.message.encodings import decode_header, decode_transfer
from carepost.message.headers import message_ids, read_date, unfold
from carepost.message.showing import clean, clean_filename

__all__ = ["Address", "Defect", "Group", "Header", "Mailbox", "Message", "Part", "Span"]

# One decoded text body; longer than any letter, shorter than a decoding that could hurt.
TEXT_MAX = 8 * 1024 * 1024
AUTHORS_MAX = 100  # two are one too many for us already
DECODED_CONSIDERED = 16_384  # bytes of one field that are decoded for people


class Span(NamedTuple):
    """Offsets into `raw`: from `start` up to, not including, `end`."""

    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


class Header(NamedTuple):
    """One field. `name` is in lower case (empty for a line that is no field); `span` includes its line ends."""

    name: str
    span: Span
    value: Span


@dataclass(frozen=True, slots=True)
class Part:
    """One entity of RFC 2045: headers and a body, or children, or an embedded message.

    `header` includes the blank line. `media_type` is how we treat the part, in lower case: what claims to be a
    multipart and has no parts is `text/plain`; what we do not look into is `application/octet-stream`.
    """

    headers: tuple[Header, ...]
    header: Span
    body: Span
    media_type: str = "text/plain"
    params: dict[str, str] = field(default_factory=dict)
    encoding: str = "7bit"
    disposition: str | None = None
    disposition_params: dict[str, str] = field(default_factory=dict)
    content_id: str | None = None
    description: str | None = None
    language: str | None = None
    location: str | None = None
    md5: str | None = None
    children: tuple["Part", ...] = ()
    message: "Part | None" = None
    lines: int = 0

    @property
    def is_multipart(self) -> bool:
        return bool(self.children)

    @property
    def filename(self) -> str | None:
        """What the sender calls it, safe to show and to save under (M5); None when it has no name."""
        name = self.disposition_params.get("filename") or self.params.get("name")
        return clean_filename(name) if name else None

    def is_attachment(self) -> bool:
        """Something to open, not something to read: said so, has a name, or is no text. RFC 2183 §2."""
        if self.children:
            return False
        if self.disposition == "attachment" or self.message is not None:
            return True
        if self.media_type in {"text/plain", "text/html"}:
            return self.disposition != "inline" and self.filename is not None
        # A picture with a Content-ID is shown within the text that refers to it.
        return not (self.media_type.startswith("image/") and self.content_id)


@dataclass(frozen=True, slots=True)
class Message:
    raw: bytes
    root: Part
    defects: frozenset[Defect]

    def header_values(self, name: str, part: Part | None = None) -> list[bytes]:
        """Every value of the field, unfolded, as the sender wrote it; of the message, or of `part`."""
        name = name.lower()
        raw = self.raw
        return [unfold(raw[h.value.start : h.value.end]) for h in (part or self.root).headers if h.name == name]

    def first(self, name: str, part: Part | None = None) -> bytes:
        """The first value of the field; empty when there is none."""
        for header in (part or self.root).headers:
            if header.name == name:
                return unfold(self.raw[header.value.start : header.value.end])
        return b""

    def decoded(self, name: str) -> str:
        """The first value, encoded words decoded, safe to show; empty when there is none."""
        return clean(decode_header(self.first(name.lower())[:DECODED_CONSIDERED]))

    def addresses(self, name: str, limit: int = ADDRESSES_MAX) -> tuple[Mailbox | Group, ...]:
        """The addresses of every such field, in order; of each field at most `limit`."""
        return tuple(item for value in self.header_values(name) for item in addresses_of(value, limit))

    def authors(self) -> Iterator[Address]:
        """Every address of every From field. Words without an "@" are a piece of a name, if there is anything else."""
        everyone = list(each(self.addresses("from", AUTHORS_MAX)))
        return iter([one for one in everyone if one.domain] or everyone)

    @property
    def subject(self) -> str:
        return self.decoded("subject")

    def subject_of(self, part: Part) -> str:
        """The subject of the embedded message whose root is `part`."""
        return clean(decode_header(self.first("subject", part)[:DECODED_CONSIDERED]))

    @property
    def message_id(self) -> str | None:
        ids = message_ids(self.first("message-id")[:DECODED_CONSIDERED], 1)
        return ids[0] if ids else None

    @property
    def references(self) -> tuple[str, ...]:
        """Root first, direct parent last; In-Reply-To when there are none."""
        return message_ids(self.first("references")) or message_ids(self.first("in-reply-to"))[:1]

    @property
    def date(self) -> datetime | None:
        return read_date(self.first("date"))

    def leaves(self) -> Iterator[tuple[str, Part]]:
        """Every part with a body of its own and its IMAP section number, those of embedded messages included.

        A `message/rfc822` that we entered is not a leaf; what it holds is. One that we could not enter is.
        """
        for path, part in self.walk():
            if not part.children and part.message is None:
                yield path, part

    def walk(self) -> Iterator[tuple[str, Part]]:
        """Every part in order, before its children, with its IMAP section number (RFC 9051 §6.4.5.1).

        The root of a message that is a multipart has the number of the message that holds it; the outermost has "".
        """
        stack: list[tuple[str, Part, bool]] = [("", self.root, True)]
        while stack:
            path, part, is_root = stack.pop()
            if is_root and not part.children:
                path = f"{path}.1" if path else "1"
            yield path, part
            if part.message is not None:
                stack.append((path, part.message, True))
            prefix = f"{path}." if path else ""
            stack.extend((f"{prefix}{n}", part.children[n - 1], False) for n in range(len(part.children), 0, -1))

    def part_at(self, path: str) -> Part | None:
        """The part with that section number; a message's own number rather than its root's."""
        for found, part in self.walk():
            if found == path:
                return part
        return None

    def body_bytes(self, part: Part, limit: int | None = None) -> bytes:
        """The body, transfer-decoded leniently; of at most `limit` bytes on the wire."""
        end = part.body.end if limit is None else min(part.body.end, part.body.start + limit)
        return decode_transfer(self.raw[part.body.start : end], part.encoding)

    def text(self, part: Part, limit: int = TEXT_MAX) -> str:
        """The body as text, its charset by whitelist (M6). Not cleaned: HTML goes to `sanitise`, text is escaped."""
        return charsets.decode(self.body_bytes(part, limit), part.params.get("charset", ""))
