"""Events of the portal: what was made to be read by a link, who proved what, who read, who shut it.

Promises
    Messages are named by trace id and number: never by address, subject or file name. A file is named by its hash.
"""

from dataclasses import dataclass
from typing import ClassVar

from carepost.audit.events import Event, EventName
from carepost.base.ids import MailboxId, TraceId


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureMessageMade(Event):
    name: ClassVar = EventName.SECURE_MESSAGE_MADE
    message: int
    trace: TraceId
    mailbox: MailboxId
    level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureMessageOpened(Event):
    """Somebody proved who they are, as far as the level asks."""

    name: ClassVar = EventName.SECURE_MESSAGE_OPENED
    message: int
    trace: TraceId
    level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureMessageRead(Event):
    name: ClassVar = EventName.SECURE_MESSAGE_READ
    message: int
    trace: TraceId


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureFileDownloaded(Event):
    name: ClassVar = EventName.SECURE_FILE_DOWNLOADED
    message: int
    trace: TraceId
    digest: str  # SHA-256 of what was given out


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureMessageAnswered(Event):
    name: ClassVar = EventName.SECURE_MESSAGE_ANSWERED
    message: int
    trace: TraceId
    reply: TraceId


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureProofFailed(Event):
    name: ClassVar = EventName.SECURE_PROOF_FAILED
    message: int
    trace: TraceId
    proof: str  # "mail", "text", "phrase"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureMessageFrozen(Event):
    name: ClassVar = EventName.SECURE_MESSAGE_FROZEN
    message: int
    trace: TraceId


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureMessageClosed(Event):
    """Revoked by its sender, or its time was over: its key is destroyed."""

    name: ClassVar = EventName.SECURE_MESSAGE_CLOSED
    message: int
    trace: TraceId
    why: str  # "revoked", "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureMessageExtended(Event):
    name: ClassVar = EventName.SECURE_MESSAGE_EXTENDED
    message: int
    trace: TraceId
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessAsked(Event):
    """Somebody to whom the notice was forwarded (R121)."""

    name: ClassVar = EventName.ACCESS_ASKED
    message: int
    trace: TraceId
    request: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettled(Event):
    name: ClassVar = EventName.ACCESS_SETTLED
    message: int
    trace: TraceId
    request: int
    approved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyKept(Event):
    """A reader outside kept a passkey for their address, with what they had proved of themselves then."""

    name: ClassVar = EventName.PASSKEY_KEPT
    message: int
    trace: TraceId
    passkey: int
    proved: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyUsed(Event):
    """It stood in for the code by mail."""

    name: ClassVar = EventName.PASSKEY_USED
    message: int
    trace: TraceId
    passkey: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyRemoved(Event):
    name: ClassVar = EventName.PASSKEY_REMOVED
    message: int
    trace: TraceId
    passkey: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyCopied(Event):
    """Its counter did not grow: there may be a second of it. It opens nothing any more."""

    name: ClassVar = EventName.PASSKEY_COPIED
    message: int
    trace: TraceId
    passkey: int
