"""Address lists (RFC 5322 §3.4, §4.4; RFC 6854 groups; RFC 6532), read leniently and in linear time.

Promises
    An addr-spec is taken from the wire as it stands: encoded words in it are never decoded (M7).
    Comments count depth, they do not recurse. At most ADDRESSES_MAX addresses of a field are considered.
    `shown_name` never shows something that passes for another address (M8); `name_lies` says why not.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from carepost.message import charsets
from carepost.message.encodings import decode_header
from carepost.message.parameters import WHITE, skip_comment, unquote
from carepost.message.showing import clean, hides_something, mixes_scripts, names_other_address

ADDRESSES_MAX = 10_000  # the brief distribution lists of a trust have some thousands
# How many tokens one address may take on average; a field of commas alone must not cost more than one of people.
_TOKENS_PER_ADDRESS = 24
_TOKENS_AT_LEAST = 2_000
NAME_MAX = 200
_NAME_CONSIDERED = 1_000

_TOKEN = re.compile(
    r'"[^"\\]*(?:\\.[^"\\]*)*"?'  # quoted-string
    r"|\[[^\[\]\\\r\n]*\]"  # domain-literal
    r"|[<>,;:@(]"
    r"|[\s\x00]+"
    r'|[^\s\x00"<>,;:@(\[]+'  # atoms with their dots, and whatever else there is
    r"|\[",
    re.DOTALL | re.ASCII,
)

# What nearly everybody writes, in one step: `Name <a@b>`, `"Name" <a@b>`, `a@b`. No class overlaps its neighbour.
_SPEC = r'([^\s\x00"(),:;<>@\[\]\\]+)'
_USUAL = re.compile(rf'(?:"([^"\\\x00]*)"[ \t]*|([^"(),:;<>@\[\]\\\x00]*))<{_SPEC}@{_SPEC}>|{_SPEC}@{_SPEC}', re.ASCII)
_SPACES = re.compile(r"[ \t\r\n\v\f]+")
_USUAL_LENGTH = 20_000


class RawAddress(NamedTuple):
    """One address in the wire's octets (latin-1), as ENVELOPE wants it. A group's marks have no domain."""

    name: str
    route: str
    local: str
    domain: str
    group: str | None = None  # the group it is a member of


class RawGroup(NamedTuple):
    name: str
    members: tuple[RawAddress, ...]


@dataclass(frozen=True, slots=True)
class Address:
    """Who, as a stranger says: `name` decoded and safe to show, `address` the addr-spec, `raw` the phrase's octets."""

    name: str
    address: str
    raw: bytes = field(default=b"", compare=False, repr=False)

    @property
    def domain(self) -> str:
        """Lower case; empty when there is none."""
        return self.address.rpartition("@")[2].lower() if "@" in self.address else ""


Mailbox = Address  # RFC 5322's word for it; in this program a mailbox is where mail lies


@dataclass(frozen=True, slots=True)
class Group:
    """`Undisclosed recipients:;` and its relatives."""

    name: str
    members: tuple[Address, ...]


def read_addresses(raw: bytes, limit: int = ADDRESSES_MAX) -> tuple[RawAddress | RawGroup, ...]:
    """An unfolded field value as it stands. Never raises."""
    text = raw.decode("latin-1")
    if len(text) < _USUAL_LENGTH and (usual := _read_usual(text, limit)) is not None:
        return usual
    return _Reader(text, limit).read()


def _read_usual(text: str, limit: int) -> tuple[RawAddress, ...] | None:
    """The same as the long way round, when every address has one of the usual forms; else None."""
    out: list[RawAddress] = []
    for piece in text.split(",", limit):
        found = _USUAL.fullmatch(piece.strip(" \t"))
        if found is None:
            return None
        quoted, words, local, domain, bare_local, bare_domain = found.groups()
        if bare_local is not None:
            out.append(RawAddress("", "", bare_local, bare_domain))
        else:
            name = quoted.strip(WHITE) if quoted is not None else _SPACES.sub(" ", words).strip(" ")
            out.append(RawAddress(name, "", local, domain))
    return tuple(out)


class _Reader:
    """One pass over the tokens; what is being collected lies in the fields."""

    def __init__(self, text: str, limit: int) -> None:
        self.text = text
        self.left = limit
        self.out: list[RawAddress | RawGroup] = []
        self.members: list[RawAddress] | None = None
        self.group_name = ""
        self.words: list[str] = []  # phrase or addr-spec, spaces kept as " "
        self.spec: list[str] | None = None  # inside <…>
        self.angle: str | None = None  # what stood in <…>
        self.comment = ""

    def read(self) -> tuple[RawAddress | RawGroup, ...]:
        text, position, end = self.text, 0, len(self.text)
        match = _TOKEN.match
        tokens = self.left * _TOKENS_PER_ADDRESS + _TOKENS_AT_LEAST
        while position < end and self.left > 0 and tokens > 0:
            tokens -= 1
            found = match(text, position)
            if found is None:  # cannot be; never loop on it
                position += 1
                continue
            piece = found[0]
            position = found.end()
            if piece == "(":
                start = position
                position = skip_comment(text, position)
                if len(self.comment) < _NAME_CONSIDERED:
                    self.comment = text[start : min(position - 1, start + _NAME_CONSIDERED)]
            else:
                self._take(piece)
        self._end_address()
        self._end_group()
        return tuple(self.out)

    def _take(self, piece: str) -> None:
        if self.spec is not None:
            self._take_inside(piece)
        elif piece == "<":
            self.spec = []
        elif piece == ",":
            self._end_address()
        elif piece == ":" and self.members is None and self.angle is None and "@" not in self.words:
            self.group_name = _phrase(self.words)
            self.words = []
            self.comment = ""
            self.members = []
        elif piece == ";":
            self._end_address()
            self._end_group()
        elif piece != ">":
            self.words.append(" " if piece[0] in WHITE or piece[0] == "\x00" else piece)

    def _take_inside(self, piece: str) -> None:
        spec = self.spec
        if spec is None or piece == "<":
            return
        if piece == ">":
            self.angle = "".join(spec)
            self.spec = None
        elif piece == "," and not (spec and spec[0] == "@"):  # not a source route: the ">" is missing
            self.angle = "".join(spec)
            self.spec = None
            self._end_address()
        elif piece[0] not in WHITE and piece[0] != "\x00":
            spec.append(piece)

    def _end_address(self) -> None:
        if self.spec is not None:
            self.angle = "".join(self.spec)
        name, route = "", ""
        if self.angle is not None:
            name = _phrase(self.words)
            spec = self.angle
            if spec.startswith("@") and ":" in spec:  # RFC 5322 §4.4 obs-route
                route, _, spec = spec.partition(":")
        else:
            spec = _bare(self.words)
        if not name and self.comment:
            name = self.comment.strip(WHITE)
        had_something = self.angle is not None or any(word != " " for word in self.words)
        self.words, self.spec, self.angle, self.comment = [], None, None, ""
        if not had_something:
            return
        self.left -= 1
        local, at, domain = spec.rpartition("@")
        if not at:
            local, domain = domain, ""
        address = RawAddress(name, route, local, domain, self.group_name if self.members is not None else None)
        if self.members is None:
            self.out.append(address)
        else:
            self.members.append(address)

    def _end_group(self) -> None:
        if self.members is not None:
            self.out.append(RawGroup(self.group_name, tuple(self.members)))
        self.members = None
        self.group_name = ""


def _phrase(words: list[str]) -> str:
    return "".join(unquote(word) if word.startswith('"') else word for word in words).strip(WHITE)


def _bare(words: list[str]) -> str:
    """An addr-spec without brackets. Space around dots and "@" is obsolete and goes; elsewhere it stays."""
    joined = "".join(words).strip(WHITE)
    if " " not in joined or joined.startswith('"'):
        return joined
    return re.sub(r" ?([.@]) ?", r"\1", _SPACES.sub(" ", joined))


def addresses_of(raw: bytes, limit: int = ADDRESSES_MAX) -> tuple[Address | Group, ...]:
    """An unfolded field value as people may see it."""
    return _remembered(raw, limit) if len(raw) <= _REMEMBERED_OCTETS else _addresses_of(raw, limit)


def _addresses_of(raw: bytes, limit: int) -> tuple[Address | Group, ...]:
    return tuple(
        _shown(item)
        if isinstance(item, RawAddress)
        else Group(_name(item.name), tuple(_shown(m) for m in item.members))
        for item in read_addresses(raw, limit)
    )


# From is asked for ten times on a message's way in, and other fields twice; a few messages are on their way at once.
_REMEMBERED_OCTETS = 2_000
_remembered = lru_cache(maxsize=128)(_addresses_of)


def each(items: tuple[Address | Group, ...]) -> Iterator[Address]:
    """Every address, those in groups too."""
    for item in items:
        if isinstance(item, Group):
            yield from item.members
        else:
            yield item


def _shown(item: RawAddress) -> Address:
    spec = f"{item.local}@{item.domain}" if item.domain else item.local
    if not (spec.isascii() and spec.isprintable()):
        spec = clean(charsets.decode(spec.encode("latin-1")), 1_000)
    return Address(_name(item.name), spec[:1_000], item.name[:_NAME_CONSIDERED].encode("latin-1"))


def _name(raw: str) -> str:
    if not raw:
        return ""
    if raw.isascii() and "=?" not in raw:
        return clean(raw, NAME_MAX)
    return clean(_decoded(raw), NAME_MAX)


def _decoded(raw: str) -> str:
    return decode_header(raw[:_NAME_CONSIDERED].encode("latin-1"))


def name_lies(address: Address) -> bool:
    """Whether the display name passes for something else: another address, hidden characters, mixed scripts (M8)."""
    if not address.name and not address.raw:
        return False
    if (address.raw and not address.raw.isascii()) or b"=?" in address.raw:
        said = _decoded(address.raw.decode("latin-1"))
        if hides_something(said):
            return True
    return names_other_address(address.name, address.address) or mixes_scripts(address.name)


def shown_name(address: Address) -> str:
    """What a reader may see as the name; the address itself when there is none or it lies."""
    return address.address if not address.name or name_lies(address) else address.name
