"""What a message may be asked in a SEARCH: keys, and keys of keys. RFC 9051 §6.4.4, RFC 5032, RFC 7162 §3.1.5.

Each is a value that compares by content, so that one that is asked twice is answered once.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from carepost.wire.imap_sets import NumberSet


@dataclass(frozen=True, slots=True)
class HasFlag:
    flag: str


@dataclass(frozen=True, slots=True)
class InNumbers:
    numbers: NumberSet
    uid: bool


class DateField(StrEnum):
    INTERNAL = "internal"
    SENT = "sent"


@dataclass(frozen=True, slots=True)
class Between:
    """On or after `since` and before `before`; None is open. Days as written, zones disregarded, as the RFC has it."""

    what: DateField
    since: date | None
    before: date | None


@dataclass(frozen=True, slots=True)
class Younger:
    """RFC 5032: its internal date is within so many seconds from now. OLDER is its opposite."""

    seconds: int


@dataclass(frozen=True, slots=True)
class LargerThan:
    octets: int


@dataclass(frozen=True, slots=True)
class SmallerThan:
    octets: int


@dataclass(frozen=True, slots=True)
class ModseqFrom:
    modseq: int


@dataclass(frozen=True, slots=True)
class HeaderHas:
    """`name` is upper case; an empty `text` asks whether the field is there."""

    name: bytes
    text: str


@dataclass(frozen=True, slots=True)
class BodyHas:
    text: str
    header_too: bool


@dataclass(frozen=True, slots=True)
class Not:
    key: "SearchKey"


@dataclass(frozen=True, slots=True)
class AnyOf:
    keys: tuple["SearchKey", ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """An empty one is ALL."""

    keys: tuple["SearchKey", ...]


SearchKey = (
    HasFlag
    | InNumbers
    | Between
    | Younger
    | LargerThan
    | SmallerThan
    | ModseqFrom
    | HeaderHas
    | BodyHas
    | Not
    | AnyOf
    | AllOf
)
