"""Events of delivery: the keys that our mail is signed with. What became of a message is told in events_outgoing.py."""

from dataclasses import dataclass
from typing import ClassVar

from carepost.audit.events import Event, EventName


@dataclass(frozen=True, slots=True, kw_only=True)
class DkimRotated(Event):
    """The keys that stood by sign a domain's mail from here on; those before them were destroyed."""

    name: ClassVar = EventName.DKIM_ROTATED
    domain: str
