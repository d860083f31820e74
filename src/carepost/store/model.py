"""The values of mail at rest: mailboxes by reference, folders, messages, flags."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntFlag, StrEnum
from typing import Protocol

from carepost.base.ids import FolderId, MailboxId, ObjectId, OrganisationId, TraceId, Uid
from carepost.message.summary import Summary


class MailboxLike(Protocol):
    """Whatever knows which mailbox it is and whose: the directory's records do, and `MailboxRef`."""

    @property
    def id(self) -> MailboxId: ...
    @property
    def organisation(self) -> OrganisationId: ...


@dataclass(frozen=True, slots=True)
class MailboxRef:
    id: MailboxId
    organisation: OrganisationId


class Flag(IntFlag):
    """System flags as stored. RFC 9051 §2.3.2."""

    SEEN = 1
    ANSWERED = 2
    FLAGGED = 4
    DELETED = 8
    DRAFT = 16


class SpecialUse(StrEnum):
    """What a folder is for. RFC 6154 §2; `inbox` is ours, so that mail can be laid in without reading names."""

    INBOX = "inbox"
    ARCHIVE = "archive"
    DRAFTS = "drafts"
    JUNK = "junk"
    SENT = "sent"
    TRASH = "trash"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderView:
    id: FolderId
    mailbox: MailboxId
    name: str  # levels divided by "/"
    special_use: SpecialUse | None
    uidvalidity: int
    uidnext: int
    highest_modseq: int
    messages: int
    unseen: int
    octets: int
    subscribed: bool


@dataclass(frozen=True, slots=True)
class MessageRow:
    uid: Uid
    flags: int  # of Flag
    keywords: tuple[str, ...]
    modseq: int
    size: int  # octets as received
    internal_date: datetime
    object: ObjectId
    trace: TraceId | None


@dataclass(frozen=True, slots=True)
class Outline:
    """What a client must know of each message of a folder to number it, and no more."""

    uid: Uid
    flags: int
    modseq: int
    keywords: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of a list: the row and what it says."""

    row: MessageRow
    summary: Summary


PageKey = tuple[datetime, int]  # internal date and uid of the last line shown: the next page begins after it


@dataclass(frozen=True, slots=True)
class Page:
    lines: Sequence[Listed]
    next_key: PageKey | None  # None: there is no more


@dataclass(frozen=True, slots=True)
class FlagsChanged:
    changed: Sequence[Outline]
    # Asked for with UNCHANGEDSINCE and changed meanwhile. RFC 7162 §3.1.3.
    refused: Sequence[Uid]


@dataclass(frozen=True, slots=True)
class Laid:
    """Where a message came to lie."""

    mailbox: MailboxId
    folder: FolderId
    uidvalidity: int
    uid: Uid
    modseq: int
