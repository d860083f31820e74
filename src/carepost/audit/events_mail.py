"""Events of mail: what became of a message, and who did what in which folder.

Promises
    Messages are named by trace id, mailboxes and folders by number: never by address, subject or folder name.
"""

from dataclasses import dataclass
from typing import ClassVar

from carepost.audit.events import Event, EventName
from carepost.base.ids import FolderId, HeldId, MailboxId, TraceId


@dataclass(frozen=True, slots=True, kw_only=True)
class MailReceived(Event):
    name: ClassVar = EventName.MAIL_RECEIVED
    trace: TraceId
    door: str  # "smtp", "lmtp", "append"
    size: int
    recipients: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MailDelivered(Event):
    """One for an organisation's share of a message: `mailbox` is set when it went to one only."""

    name: ClassVar = EventName.MAIL_DELIVERED
    trace: TraceId
    recipients: int
    mailbox: MailboxId | None = None
    card: str | None = None
    action: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MailHeld(Event):
    name: ClassVar = EventName.MAIL_HELD
    trace: TraceId
    recipients: int
    held: HeldId | None = None
    card: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MailReleased(Event):
    name: ClassVar = EventName.MAIL_RELEASED
    trace: TraceId
    held: HeldId
    reason: str
    mailbox: MailboxId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRefused(Event):
    name: ClassVar = EventName.MAIL_REFUSED
    trace: TraceId
    recipients: int
    card: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MailDeletedFromQuarantine(Event):
    name: ClassVar = EventName.MAIL_DELETED_FROM_QUARANTINE
    trace: TraceId
    held: HeldId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailExpiredInQuarantine(Event):
    name: ClassVar = EventName.MAIL_EXPIRED_IN_QUARANTINE
    trace: TraceId
    held: HeldId


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineReviewed(Event):
    """A reviewer looked at one held message's summary."""

    name: ClassVar = EventName.QUARANTINE_REVIEWED
    trace: TraceId
    held: HeldId


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderCreated(Event):
    name: ClassVar = EventName.FOLDER_CREATED
    mailbox: MailboxId
    folder: FolderId


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRenamed(Event):
    name: ClassVar = EventName.FOLDER_RENAMED
    mailbox: MailboxId
    folder: FolderId


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderDeleted(Event):
    name: ClassVar = EventName.FOLDER_DELETED
    mailbox: MailboxId
    folder: FolderId
    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesFiled(Event):
    """A client put messages there itself: IMAP APPEND."""

    name: ClassVar = EventName.MESSAGES_FILED
    mailbox: MailboxId
    folder: FolderId
    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesCopied(Event):
    name: ClassVar = EventName.MESSAGES_COPIED
    mailbox: MailboxId
    folder: FolderId
    to_mailbox: MailboxId
    to_folder: FolderId
    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesMoved(Event):
    name: ClassVar = EventName.MESSAGES_MOVED
    mailbox: MailboxId
    folder: FolderId
    to_mailbox: MailboxId
    to_folder: FolderId
    messages: int
    uids: str  # in the folder they left, as IMAP writes sets


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesExpunged(Event):
    name: ClassVar = EventName.MESSAGES_EXPUNGED
    mailbox: MailboxId
    folder: FolderId
    messages: int
    uids: str  # in the folder they left, as IMAP writes sets


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedMailboxOpened(Event):
    """Once for each session and mailbox: functional mailboxes must show who was in them (R51, NTA 7516)."""

    name: ClassVar = EventName.SHARED_MAILBOX_OPENED
    mailbox: MailboxId
    door: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRead(Event):
    name: ClassVar = EventName.TRACE_READ
    by: str  # "sender", "recipient", "message-id"
    found: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyRead(Event):
    name: ClassVar = EventName.WHY_READ
    trace: TraceId
