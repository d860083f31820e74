"""Events of mail that goes out: who sent as which mailbox, what they were asked and answered, and what became of it.

Promises
    Messages are named by trace id, mailboxes by number, recipients by their number in the message: never by address.
    Delegated sending names both (R82): the actor is the person, `mailbox` the one it was sent as.
"""

from dataclasses import dataclass
from typing import ClassVar

from carepost.audit.events import Event, EventName
from carepost.base.ids import MailboxId, TraceId


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingTaken(Event):
    """A message was handed in; it waits for its time, or for its sender's answers."""

    name: ClassVar = EventName.OUTGOING_TAKEN
    trace: TraceId
    mailbox: MailboxId
    door: str
    recipients: int
    outside: int
    asked: int  # questions that are open


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingRefused(Event):
    """A message was not taken; its sender was told why."""

    name: ClassVar = EventName.OUTGOING_REFUSED
    mailbox: MailboxId
    door: str
    recipients: int
    card: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingAnswered(Event):
    """Its sender answered a question; `reason` is what they wrote."""

    name: ClassVar = EventName.OUTGOING_ANSWERED
    trace: TraceId
    card: str
    choice: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingCancelled(Event):
    """Undone before it left, or never confirmed: it lies among the drafts again."""

    name: ClassVar = EventName.OUTGOING_CANCELLED
    trace: TraceId
    mailbox: MailboxId


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingReleased(Event):
    """It left, recipient by recipient."""

    name: ClassVar = EventName.OUTGOING_RELEASED
    trace: TraceId
    mailbox: MailboxId
    inside: int
    relayed: int
    links: int
    held: int
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingNotDelivered(Event):
    """One recipient will not get it: `outcome` is "failed", "expired", or "reported" by who had taken it."""

    name: ClassVar = EventName.OUTGOING_NOT_DELIVERED
    trace: TraceId
    mailbox: MailboxId
    recipient: int
    outcome: str
    code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingResent(Event):
    name: ClassVar = EventName.OUTGOING_RESENT
    trace: TraceId
    recipient: int
    route: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingLetGo(Event):
    """An administrator looked at what was held and let it go."""

    name: ClassVar = EventName.OUTGOING_LET_GO
    trace: TraceId
    recipients: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingRecalled(Event):
    """Somebody took a message back; how many recipients each result was for."""

    name: ClassVar = EventName.OUTGOING_RECALLED
    trace: TraceId
    stopped: int
    removed: int
    revoked: int
    read: int
    too_late: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyTakenBack(Event):
    """In the record of the organisation whose mailbox it was taken from, where that is another one."""

    name: ClassVar = EventName.COPY_TAKEN_BACK
    trace: TraceId
    mailbox: MailboxId
