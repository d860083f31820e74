"""Events of what a mailbox does by itself: automatic replies and forwarding.

Promises
    Mailboxes and forwardings are named by number, messages by trace id: never by address or text.
"""

from dataclasses import dataclass
from typing import ClassVar

from carepost.audit.events import Event, EventName
from carepost.base.ids import MailboxId, TraceId


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoreplySet(Event):
    """Somebody changed it, or switched it on or off."""

    name: ClassVar = EventName.AUTOREPLY_SET
    mailbox: MailboxId
    on: bool
    outside: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoreplySent(Event):
    """The message of that trace was answered."""

    name: ClassVar = EventName.AUTOREPLY_SENT
    trace: TraceId
    mailbox: MailboxId
    inside: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardingAsked(Event):
    name: ClassVar = EventName.FORWARDING_ASKED
    mailbox: MailboxId
    forwarding: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardingAllowed(Event):
    """By an administrator; from here mail is sent on."""

    name: ClassVar = EventName.FORWARDING_ALLOWED
    mailbox: MailboxId
    forwarding: int
    domain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardingEnded(Event):
    """Refused, ended by somebody or by time, or stopped because its address is not secure any more."""

    name: ClassVar = EventName.FORWARDING_ENDED
    mailbox: MailboxId
    forwarding: int
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailForwarded(Event):
    """A copy of the message of that trace was sent on."""

    name: ClassVar = EventName.MAIL_FORWARDED
    trace: TraceId
    mailbox: MailboxId
    forwarding: int
    inside: bool
