"""Events of those who write: signatures, templates, and how long a person may undo.

Promises
    Words are named by number and version: what they say is in no event.
"""

from dataclasses import dataclass
from typing import ClassVar

from carepost.audit.events import Event, EventName
from carepost.base.ids import MailboxId


@dataclass(frozen=True, slots=True, kw_only=True)
class WordingChanged(Event):
    """A signature or template was made or changed (R164); `mailbox` is None for the organisation's."""

    name: ClassVar = EventName.WORDING_CHANGED
    wording: int
    version: int
    kind: str
    mailbox: MailboxId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WordingRemoved(Event):
    name: ClassVar = EventName.WORDING_REMOVED
    wording: int
    kind: str
    mailbox: MailboxId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoChosen(Event):
    """A person chose how long they may undo (R148); None: as the service has it."""

    name: ClassVar = EventName.UNDO_CHOSEN
    seconds: int | None
