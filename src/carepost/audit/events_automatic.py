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
