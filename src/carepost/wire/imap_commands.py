"""What a client may ask, one dataclass a command. Parsed once, then trusted. RFC 9051 §6.

Names of folders are text, decoded; strings of searches are text; header names are upper-case ASCII. No value
here holds a NUL.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from carepost.wire.imap_search_keys import SearchKey
from carepost.wire.imap_sets import NumberSet


@dataclass(frozen=True, slots=True)
class Capability: ...


@dataclass(frozen=True, slots=True)
class Noop: ...


@dataclass(frozen=True, slots=True)
class Logout: ...


@dataclass(frozen=True, slots=True)
class Id:
    """RFC 2971. What the client says of itself is read and let go."""


@dataclass(frozen=True, slots=True)
class StartTls: ...


@dataclass(frozen=True, slots=True)
class Login:
    address: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authenticate:
    mechanism: str
    initial: bytes | None = field(default=None, repr=False)  # base64 as sent, RFC 4959


@dataclass(frozen=True, slots=True)
class Enable:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Namespace: ...


class StatusItem(StrEnum):
    MESSAGES = "MESSAGES"
    RECENT = "RECENT"
    UIDNEXT = "UIDNEXT"
    UIDVALIDITY = "UIDVALIDITY"
    UNSEEN = "UNSEEN"
    DELETED = "DELETED"
    SIZE = "SIZE"
    HIGHESTMODSEQ = "HIGHESTMODSEQ"


@dataclass(frozen=True, slots=True, kw_only=True)
class List:
    """LIST as RFC 9051 §6.3.9 and RFC 5258 have it."""

    reference: str
    patterns: tuple[str, ...]
    only_subscribed: bool = False
    only_special_use: bool = False
    recursive_match: bool = False
    tell_subscribed: bool = False
    tell_children: bool = False
    tell_special_use: bool = False
    status: tuple[StatusItem, ...] = ()


@dataclass(frozen=True, slots=True)
class Lsub:
    reference: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Create:
    name: str
    special_use: str | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    name: str


@dataclass(frozen=True, slots=True)
class Rename:
    name: str
    to: str


@dataclass(frozen=True, slots=True)
class Subscribe:
    name: str


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    name: str


@dataclass(frozen=True, slots=True)
class Status:
    name: str
    items: tuple[StatusItem, ...]


@dataclass(frozen=True, slots=True)
class Select:
    name: str
    read_only: bool
    condstore: bool = False


@dataclass(frozen=True, slots=True)
class Append:
    name: str
    flags: tuple[str, ...]
    at: datetime | None
    message: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Idle: ...


@dataclass(frozen=True, slots=True)
class Check: ...


@dataclass(frozen=True, slots=True)
class Close: ...


@dataclass(frozen=True, slots=True)
class Unselect: ...


@dataclass(frozen=True, slots=True)
class Expunge:
    uids: NumberSet | None = None  # None: all that are \Deleted


class Attribute(StrEnum):
    """FETCH's items without arguments."""

    FLAGS = "FLAGS"
    UID = "UID"
    INTERNALDATE = "INTERNALDATE"
    RFC822_SIZE = "RFC822.SIZE"
    ENVELOPE = "ENVELOPE"
    BODY = "BODY"
    BODYSTRUCTURE = "BODYSTRUCTURE"
    MODSEQ = "MODSEQ"


class SectionText(StrEnum):
    """Which octets of a part. ALL is the part's content (or the whole message)."""

    ALL = ""
    HEADER = "HEADER"
    HEADER_FIELDS = "HEADER.FIELDS"
    HEADER_FIELDS_NOT = "HEADER.FIELDS.NOT"
    MIME = "MIME"
    TEXT = "TEXT"


@dataclass(frozen=True, slots=True)
class Partial:
    start: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """BODY[…], BINARY[…] and the three RFC822 items. `label` is how the answer names it."""

    part: tuple[int, ...] = ()
    text: SectionText = SectionText.ALL
    fields: tuple[bytes, ...] = ()  # upper case
    partial: Partial | None = None
    peek: bool = False
    decoded: bool = False
    label: bytes = b""


@dataclass(frozen=True, slots=True)
class BinarySize:
    part: tuple[int, ...]
    label: bytes


FetchItem = Attribute | Section | BinarySize


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    numbers: NumberSet
    uid: bool
    items: tuple[FetchItem, ...]
    changed_since: int | None = None


class StoreMode(StrEnum):
    REPLACE = "FLAGS"
    ADD = "+FLAGS"
    REMOVE = "-FLAGS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    numbers: NumberSet
    uid: bool
    mode: StoreMode
    silent: bool
    flags: tuple[str, ...]
    unchanged_since: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    numbers: NumberSet
    uid: bool
    to: str
    move: bool = False


class Return(StrEnum):
    """What SEARCH RETURN may ask for. RFC 9051 §6.4.4, RFC 4731, RFC 5182."""

    MIN = "MIN"
    MAX = "MAX"
    ALL = "ALL"
    COUNT = "COUNT"
    SAVE = "SAVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    key: SearchKey
    uid: bool
    returns: frozenset[Return] | None = None  # None: the old SEARCH response
    uses_modseq: bool = False


AnyState = Capability | Noop | Logout | Id
BeforeLogin = StartTls | Login | Authenticate
AfterLogin = (
    Enable
    | Namespace
    | List
    | Lsub
    | Create
    | Delete
    | Rename
    | Subscribe
    | Unsubscribe
    | Status
    | Select
    | Append
    | Idle
)
WhenSelected = Check | Close | Unselect | Expunge | Fetch | Store | Copy | Search
Command = AnyState | BeforeLogin | AfterLogin | WhenSelected
