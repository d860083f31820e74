"""What the pages of writing and of mail that goes out work with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from carepost.audit.model import Actor
from carepost.base.address import EmailAddress
from carepost.base.ids import MailboxId, OrganisationId
from carepost.directory.correspondents_model import Suggestion
from carepost.web.mail.rooms import MailRooms
from carepost.web.writing.ports import OutboundWalk, OutgoingLook, SecureDesk


class Place(Protocol):
    """A mailbox and whose it is."""

    @property
    def id(self) -> MailboxId: ...
    @property
    def organisation(self) -> OrganisationId: ...


class Suggestions(Protocol):
    """Whom somebody may mean. `Correspondents` is the one there is."""

    async def suggest(self, actor: Actor, mailbox: Place, prefix: str, limit: int = 10) -> list[Suggestion]:
        """Raises NotAllowed."""
        ...

    async def forget(self, actor: Actor, mailbox: Place, address: EmailAddress) -> None:
        """Not to be suggested any more (R150). Raises NotAllowed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WritingPolicy:
    # By what the attachments are, not by how they travel: national services accept 35 MB.
    attachments_octets_max: int = 35_000_000
    suggestions: int = 8
    outgoing_lines: int = 50
    # The longest letter anybody writes by hand, many times over.
    text_characters_max: int = 1_000_000
    # How far ahead somebody may ask for a message to be sent.
    schedule_days_max: int = 365


@dataclass(frozen=True, slots=True, kw_only=True)
class WritingRooms:
    mail: MailRooms
    outbound: OutboundWalk
    look: OutgoingLook
    suggestions: Suggestions
    links: SecureDesk
    policy: WritingPolicy = field(default_factory=WritingPolicy)


def as_told(people: Sequence[Suggestion]) -> list[dict[str, object]]:
    """As the page's script is told."""
    return [
        {
            "name": one.name,
            "address": str(one.address),
            "organisation": one.organisation,
            "role": one.role,
            "initials": one.initials,
            "chip": one.chip,
            "warning": one.warning,
        }
        for one in people
    ]
