"""Events of files too large for email: looked at, fetched inside, deleted. What outsiders fetch is in events_portal.py.

Promises
    A file is named by its number and its hash: its name is in no event.
"""

from dataclasses import dataclass
from typing import ClassVar

from carepost.audit.events import Event, EventName
from carepost.base.ids import MailboxId, OrganisationId


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeFileJudged(Event):
    """All of it has come and was looked at: it may be sent, or may not."""

    name: ClassVar = EventName.LARGE_FILE_JUDGED
    file: int
    mailbox: MailboxId
    octets: int
    digest: str  # SHA-256
    ready: bool
    scanned: str  # "wholly", "no": larger than the scanner takes, "no scanner"


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeFileDownloaded(Event):
    """Somebody who is signed in fetched it, or a part of it."""

    name: ClassVar = EventName.LARGE_FILE_DOWNLOADED
    file: int
    owner: OrganisationId  # whose file it is
    mailbox: MailboxId  # that may have it
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeFileDeleted(Event):
    name: ClassVar = EventName.LARGE_FILE_DELETED
    file: int
    mailbox: MailboxId
    why: str  # "expired", "given up"
