"""The server's words: one writer per response, and the only place that knows how IMAP quotes. RFC 9051 §7.

Promises
    Whatever octets go in, what comes out is one well-formed response: a CR, LF or NUL can't end a line early (P10).
    Literals are counted in octets.
    Names of folders are written as the client asked for: modified UTF-7, or UTF-8 after ENABLE.

ENVELOPE and BODYSTRUCTURE are written in `imap_structure`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from carepost.wire import utf7
from carepost.wire.imap_sets import written

CRLF = b"\r\n"
NIL = b"NIL"
_MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
# What may stand between quotes as it is: printable ASCII without quotes. RFC 9051 §9, quoted.
_PLAIN = re.compile(rb"[\x20\x21\x23-\x5b\x5d-\x7e\t]{0,4000}").fullmatch
_QUOTABLE = re.compile(rb"[\x20-\x7e\t]{0,4000}").fullmatch
_NEEDS_ESCAPE = re.compile(rb'(["\\])')
_UNSAFE_TEXT = re.compile(r"[^\x20-\x7e]")

# Flags as the store numbers them. RFC 9051 §2.3.2.
SYSTEM_FLAGS: tuple[tuple[int, str], ...] = (
    (1, "\\Seen"),
    (2, "\\Answered"),
    (4, "\\Flagged"),
    (8, "\\Deleted"),
    (16, "\\Draft"),
)
_FLAG_TEXTS: tuple[bytes, ...] = tuple(
    " ".join(name for bit, name in SYSTEM_FLAGS if bits & bit).encode() for bits in range(32)
)


# Words and strings


def string(octets: bytes) -> bytes:
    """Quoted when it can be, else a literal."""
    if _PLAIN(octets):
        return b'"' + octets + b'"'
    if _QUOTABLE(octets):
        return b'"' + _NEEDS_ESCAPE.sub(rb"\\\1", octets) + b'"'
    return literal(octets.replace(b"\0", b" ") if b"\0" in octets else octets)


def nstring(octets: bytes | None) -> bytes:
    return NIL if octets is None else string(octets)


def literal(octets: bytes) -> bytes:
    return b"{%d}\r\n%b" % (len(octets), octets)


def literal8(octets: bytes) -> bytes:
    """RFC 3516: octets that may hold NUL."""
    return b"~{%d}\r\n%b" % (len(octets), octets)


def folder_name(name: str, *, utf8: bool) -> bytes:
    octets = name.encode("utf-8", "replace") if utf8 else utf7.encode(name)
    if utf8 and not octets.isascii() and not any(octet < 0x20 or octet in b'"\\' for octet in octets):
        return b'"' + octets + b'"'
    return string(octets)


def flags(bits: int, keywords: Sequence[str] = ()) -> bytes:
    """`(\\Seen $Forwarded)`."""
    words = _FLAG_TEXTS[bits & 31]
    if keywords:
        more = " ".join(keywords).encode("ascii", "replace")
        words = words + b" " + more if words else more
    return b"(" + words + b")"


def date_time(at: datetime) -> bytes:
    """RFC 9051 §9, date-time: `"17-Jul-1996 02:44:25 -0700"`."""
    return b'"%2d-%b-%04d %02d:%02d:%02d %b"' % (
        at.day,
        _MONTHS[at.month - 1],
        at.year,
        at.hour,
        at.minute,
        at.second,
        b"+0000" if at.tzinfo is UTC else _zone(at),
    )


def _zone(at: datetime) -> bytes:
    offset = at.utcoffset()
    minutes = int(offset.total_seconds()) // 60 if offset else 0
    hours, left = divmod(abs(minutes), 60)
    return b"%b%02d%02d" % (b"-" if minutes < 0 else b"+", hours, left)


# Whole responses


def tagged(tag: str, how: str, text: str, code: str = "") -> bytes:
    """`a1 OK [CODE] text`. Whatever is not printable ASCII in the text becomes `?`."""
    bracket = f"[{_one_line(code)}] " if code else ""
    return f"{tag} {how} {bracket}{_one_line(text)}\r\n".encode("ascii", "replace")


def untagged(how: str, text: str, code: str = "") -> bytes:
    return tagged("*", how, text, code)


def go_on(text: str = "Go on.") -> bytes:
    return f"+ {_one_line(text)}\r\n".encode("ascii", "replace")


def challenge(octets: bytes = b"") -> bytes:
    """A SASL challenge, base64 already."""
    return b"+ " + octets + CRLF


def capability(names: Iterable[str]) -> bytes:
    return f"* CAPABILITY {' '.join(names)}\r\n".encode("ascii")


def enabled(names: Iterable[str]) -> bytes:
    return f"* {' '.join(('ENABLED', *names))}\r\n".encode("ascii")


def identification(fields: Mapping[str, str]) -> bytes:
    pairs = b" ".join(string(key.encode()) + b" " + string(value.encode()) for key, value in fields.items())
    return b"* ID (" + pairs + b")\r\n" if pairs else b"* ID NIL\r\n"


def exists(count: int) -> bytes:
    return b"* %d EXISTS\r\n" % count


def recent() -> bytes:
    return b"* 0 RECENT\r\n"


def expunged(sequence: int) -> bytes:
    return b"* %d EXPUNGE\r\n" % sequence


def folder_flags(keywords: Iterable[str]) -> bytes:
    return b"* FLAGS " + flags(31, tuple(keywords)) + CRLF


def listed(
    attributes: Iterable[str],
    name: str,
    *,
    utf8: bool,
    word: bytes = b"LIST",
    child_info: bool = False,
) -> bytes:
    """`child_info`: the name matched by its subscribed children. RFC 5258 §3.5."""
    line = b'* %b (%b) "/" %b' % (word, " ".join(attributes).encode("ascii"), folder_name(name, utf8=utf8))
    return line + (b' ("CHILDINFO" ("SUBSCRIBED"))' if child_info else b"") + CRLF


def status(name: str, items: Mapping[str, int], *, utf8: bool) -> bytes:
    pairs = " ".join(f"{item} {number}" for item, number in items.items()).encode("ascii")
    return b"* STATUS %b (%b)\r\n" % (folder_name(name, utf8=utf8), pairs)


def namespace(*, personal: str, others: str | None, utf8: bool) -> bytes:
    def one(prefix: str | None) -> bytes:
        if prefix is None:
            return NIL
        return b"((" + folder_name(prefix, utf8=utf8) + b' "/"))'

    return b"* NAMESPACE " + one(personal) + b" " + one(others) + b" NIL\r\n"


def search(numbers: Sequence[int], modseq: int | None = None) -> bytes:
    """The old response. RFC 3501 §7.2.5, RFC 7162 §3.1.5."""
    found = b"".join(b" %d" % number for number in numbers)
    ending = b" (MODSEQ %d)" % modseq if modseq is not None and numbers else b""
    return b"* SEARCH" + found + ending + CRLF


def esearch(tag: str, *, uid: bool, items: Sequence[bytes]) -> bytes:
    """RFC 9051 §7.3.4. `items` are whole pairs: `COUNT 17`."""
    words = [b'* ESEARCH (TAG "%b")' % tag.encode("ascii")]
    if uid:
        words.append(b"UID")
    words.extend(items)
    return b" ".join(words) + CRLF


def fetched(sequence: int, items: Sequence[bytes]) -> bytes:
    """`items` are whole pairs: `UID 7`."""
    return b"* %d FETCH (%b)\r\n" % (sequence, b" ".join(items))


def append_uid(uidvalidity: int, uid: int) -> str:
    """RFC 4315 §3."""
    return f"APPENDUID {uidvalidity} {uid}"


def copy_uid(uidvalidity: int, pairs: Sequence[tuple[int, int]]) -> str:
    """RFC 4315 §3: both sets are in the same order, which the store keeps ascending in both."""
    old = written(number for number, _ in pairs).decode()
    new = written(number for _, number in pairs).decode()
    return f"COPYUID {uidvalidity} {old} {new}"


def _one_line(text: str) -> str:
    return _UNSAFE_TEXT.sub("?", text)
