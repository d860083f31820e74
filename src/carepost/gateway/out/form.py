"""Is what a person hands in one whole message, from the person it says, and nothing else? PURE.

Promises
    No value can be a second header, and no line end is but CRLF (P2, P10): what would be is a fault, told in words.
    `completed` adds the Date and Message-ID that RFC 5322 §3.6 wants and changes no other byte.
    Who the message says it is from is read strictly: where two readers could differ there is no sender (P12).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from carepost.base.address import EmailAddress
from carepost.base.errors import Malformed
from carepost.mailauth.author import read_author
from carepost.mailauth.fields import Field, field_value, split_message
from carepost.message.addresses import addresses_of, each
from carepost.message.compose import format_date
from carepost.message.encodings import decode_header

# RFC 5322 §3.6: at most once. A second one is how two readers are made to see two messages.
_ONCE = frozenset(
    b"date from sender reply-to to cc bcc message-id in-reply-to references subject mime-version content-type".split()
)
LINE_MAX = 998  # octets, without CRLF. RFC 5322 §2.1.1
_STRAY = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\u0085\u2028\u2029]")


class Fault(StrEnum):
    """Why a message is not taken, in the words that its sender reads."""

    STRAY_LINE_END = "It holds a line end that is only half of one (a bare CR or LF), by which other mail is smuggled."
    NUL = "It holds a NUL character."
    LONG_LINE = "A line of its header is longer than 998 octets."
    NOT_A_FIELD = "Its header holds a line that is no header field."
    TWICE = "A header field that may stand once stands in it twice."
    HIDDEN_LINE = "A header field holds a line end or another control character in disguise."
    NOT_ASCII = "A header field holds characters that must be encoded, and are not."
    EMPTY = "It is empty."


def faults(raw: bytes) -> list[Fault]:
    """Everything that keeps it from leaving as it is; empty for what a proper mail client writes."""
    if not raw.strip():
        return [Fault.EMPTY]
    found = dict.fromkeys(_faults(raw))
    return list(found)


def _faults(raw: bytes) -> Iterator[Fault]:
    if _STRAY.search(raw):
        yield Fault.STRAY_LINE_END
    if b"\0" in raw:
        yield Fault.NUL
    fields, _ = split_message(raw)
    seen: set[bytes] = set()
    for name, octets in fields:
        if not name:
            yield Fault.NOT_A_FIELD
        if name in _ONCE and name in seen:
            yield Fault.TWICE
        seen.add(name)
        if any(len(line) > LINE_MAX for line in octets.split(b"\r\n")):
            yield Fault.LONG_LINE
        if _hides_a_line(octets):
            yield Fault.HIDDEN_LINE
        try:
            octets.decode("utf-8")  # RFC 6532: UTF-8 or nothing
        except UnicodeDecodeError:
            yield Fault.NOT_ASCII


def _hides_a_line(octets: bytes) -> bool:
    value = octets.partition(b":")[2].replace(b"\r\n ", b" ").replace(b"\r\n\t", b"\t").removesuffix(b"\r\n")
    if b"=?" not in value:
        return bool(_CONTROL.search(value.decode("utf-8", "replace")))
    return bool(_CONTROL.search(decode_header(value[:16_384]).replace("\t", " ")))


@dataclass(frozen=True, slots=True)
class Names:
    """Whom the header names: the author, and who sent it for them. None: nobody who could be told for sure."""

    author: EmailAddress | None
    sender: EmailAddress | None
    fault: str = ""


def names(raw: bytes) -> Names:
    fields, _ = split_message(raw)
    author = read_author(fields)
    if author.fault or not author.address:
        return Names(None, None, author.fault or "there is no From field")
    try:
        first = EmailAddress.parse(author.address)
    except Malformed:
        return Names(None, None, "its From field holds no address")
    given = [field_value(field) for name, field in fields if name == b"sender"]
    if not given:
        return Names(first, None)
    # One plain address: the strict reader of From reads it, under that name.
    read = read_author([(b"from", b"From:" + given[0] + b"\r\n")])
    try:
        return Names(first, EmailAddress.parse(read.address))
    except Malformed:
        return Names(first, None, f"its Sender field cannot be read: {read.fault or 'no address'}")


def completed(raw: bytes, *, at: datetime, message_id: str, sender: EmailAddress | None = None) -> bytes:
    """With Date and Message-ID if they were missing (RFC 6409 §8), and Sender where somebody writes for another."""
    fields, _ = split_message(raw)
    present = {name for name, _ in fields}
    added = b""
    if b"date" not in present:
        added += f"Date: {format_date(at)}\r\n".encode()
    if b"message-id" not in present:
        added += f"Message-ID: <{message_id}>\r\n".encode()
    if sender is not None and b"sender" not in present:
        added += f"Sender: {sender}\r\n".encode()
    return added + raw


def visible_keys(fields: Sequence[Field]) -> frozenset[str]:
    """The addresses that stand in To and Cc, as the directory compares them."""
    found: set[str] = set()
    for name, octets in fields:
        if name in {b"to", b"cc"}:
            for address in each(addresses_of(octets.partition(b":")[2].replace(b"\r\n", b""))):
                found.add(address.address.lower())
    return frozenset(found)
