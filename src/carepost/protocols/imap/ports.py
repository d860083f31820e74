"""What the IMAP server needs of the house, as it needs it. The areas' own classes have these shapes.

Promises
    Nothing else of the house is reachable from a conversation: these are all its doors.
    Every method may raise the five families of `base.errors`; ANSWERS says what IMAP makes of each.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from carepost.audit.model import Actor
from carepost.base.clock import Clock
from carepost.base.errors import Broken, MailError, Malformed, NotAllowed, NotPossible, TryLater
from carepost.base.ids import AppPasswordId, FolderId, MailboxId, OrganisationId, PersonId, Uid
from carepost.directory.access import AccessRights
from carepost.directory.model import MailboxAccess
from carepost.message.summary import Summary
from carepost.store.model import FlagsChanged, FolderView, Laid, MailboxLike, MessageRow, Outline
from carepost.store.search import Query
from carepost.wire.imap_limits import ImapLimits

# RFC 5530: what each family is in IMAP. A code that an error carries itself (`code=`) goes before these.
ANSWERS: Mapping[type[MailError], str] = {
    Malformed: "CANNOT",
    NotAllowed: "NOPERM",
    NotPossible: "CANNOT",
    TryLater: "UNAVAILABLE",
    Broken: "SERVERBUG",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """Who a conversation belongs to from here on."""

    person: PersonId
    organisation: OrganisationId
    app_password: AppPasswordId | None
    name: str


class SignInDoor(Protocol):
    async def sign_in(self, address: str, secret: str, client_address: str) -> SignedIn | None:
        """The person whose app password for IMAP this is, or None. Raise TryLater while there are too many tries."""
        ...


class People(Protocol):
    """The directory."""

    async def rights_of(self, organisation: OrganisationId, person: PersonId) -> AccessRights: ...

    async def mailboxes_of(self, organisation: OrganisationId, person: PersonId) -> Sequence[MailboxAccess]:
        """The person's own mailbox and the shared ones they belong to."""
        ...


class SharedMailboxLog(Protocol):
    async def opened(self, actor: Actor, mailbox: MailboxLike) -> None:
        """Record that a shared mailbox was opened (R51). The conversation calls it once for each mailbox."""
        ...


class MailFolders(Protocol):
    async def all(self, mailbox: MailboxLike) -> list[FolderView]: ...
    async def by_id(self, mailbox: MailboxLike, folder: FolderId) -> FolderView | None: ...
    async def named(self, mailbox: MailboxLike, name: str) -> FolderView | None: ...
    async def create(self, mailbox: MailboxLike, name: str) -> FolderId: ...
    async def rename(self, mailbox: MailboxLike, folder: FolderId, to: str) -> None: ...
    async def delete(self, mailbox: MailboxLike, folder: FolderId) -> None: ...
    async def subscribe(self, mailbox: MailboxLike, folder: FolderId, *, subscribed: bool) -> None: ...


class MailReading(Protocol):
    async def outlines(self, mailbox: MailboxLike, folder: FolderId, *, since_modseq: int = 0) -> list[Outline]: ...
    async def vanished(self, mailbox: MailboxLike, folder: FolderId, *, since_modseq: int) -> list[Uid]: ...
    async def rows(self, mailbox: MailboxLike, folder: FolderId, uids: Sequence[int]) -> list[MessageRow]: ...
    async def summaries(self, mailbox: MailboxLike, folder: FolderId, uids: Sequence[int]) -> dict[int, Summary]: ...
    def bodies(
        self, mailbox: MailboxLike, folder: FolderId, uids: Sequence[int]
    ) -> AsyncIterator[tuple[Uid, bytes]]: ...


class MailFiling(Protocol):
    async def append(
        self,
        mailbox: MailboxLike,
        folder: FolderId,
        raw: bytes,
        *,
        flags: int = 0,
        keywords: Sequence[str] = (),
        internal_date: datetime | None = None,
    ) -> Laid: ...

    async def set_flags(
        self,
        mailbox: MailboxLike,
        folder: FolderId,
        uids: Sequence[int],
        *,
        add: int = 0,
        remove: int = 0,
        add_keywords: Iterable[str] = (),
        remove_keywords: Iterable[str] = (),
        replace: bool = False,
        unchanged_since: int | None = None,
    ) -> FlagsChanged: ...

    async def expunge(
        self, actor: Actor, mailbox: MailboxLike, folder: FolderId, uids: Sequence[int] | None = None
    ) -> list[Uid]: ...

    async def copy(
        self,
        mailbox: MailboxLike,
        folder: FolderId,
        uids: Sequence[int],
        *,
        to_mailbox: MailboxLike,
        to_folder: FolderId,
    ) -> tuple[int, list[tuple[Uid, Uid]]]: ...

    async def move(
        self,
        actor: Actor,
        mailbox: MailboxLike,
        folder: FolderId,
        uids: Sequence[int],
        *,
        to_mailbox: MailboxLike,
        to_folder: FolderId,
    ) -> tuple[int, list[tuple[Uid, Uid]]]: ...


class WordSearch(Protocol):
    async def search(
        self, mailbox: MailboxLike, folder: FolderId | None, query: Query, *, limit: int = 1000
    ) -> list[tuple[FolderId, Uid]]: ...


class MailChanges(Protocol):
    def watch(
        self, mailbox: MailboxId, watcher: Callable[[FolderId | None, int], None]
    ) -> AbstractContextManager[None]: ...


class SentFolder(Protocol):
    async def kept(self, mailbox: MailboxLike, folder: FolderView, raw: bytes) -> Laid | None:
        """Where the message lies already of which `raw` is a mail program's own copy."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """The store, as its parts."""

    folders: MailFolders
    reading: MailReading
    filing: MailFiling
    words: WordSearch
    changes: MailChanges
    sent: SentFolder | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImapServices:
    """Everything a conversation may use."""

    sign_in: SignInDoor
    people: People
    shared_log: SharedMailboxLog
    mail: Mail
    clock: Clock
    limits: ImapLimits
