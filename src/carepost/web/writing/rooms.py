"""What the pages of writing and of mail that goes out work with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from carepost.audit.model import Actor
from carepost.base.address import EmailAddress
from carepost.directory.correspondents_model import MailboxPlace, Suggestion
from carepost.directory.repo_correspondents import DirectoryEntry
from carepost.directory.wording import Wordings
from carepost.web.mail.rooms import MailRooms
from carepost.web.writing.file_desk import FilesDesk
from carepost.web.writing.ports import OutboundWalk, OutgoingLook, SecureDesk


class Suggestions(Protocol):
    """Whom somebody may mean. `Correspondents` is the one there is."""

    async def suggest(self, actor: Actor, mailbox: MailboxPlace, prefix: str, limit: int = 10) -> list[Suggestion]:
        """Raises NotAllowed."""
        ...

    async def forget(self, actor: Actor, mailbox: MailboxPlace, address: EmailAddress) -> None:
        """Not to be suggested any more (R150). Raises NotAllowed."""
        ...

    async def entries(self, addresses: Sequence[EmailAddress]) -> dict[str, DirectoryEntry]:
        """What the directory says of these addresses, by key."""
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
    # R148: what is offered to choose from, up to the longest; the service's own is what is used without a choice.
    undo_longest: timedelta = timedelta(minutes=10)
    undo_inside: timedelta = timedelta(seconds=10)
    undo_outside: timedelta = timedelta(seconds=30)
    templates_shown: int = 50
    # Whether codes can be sent to telephones: a provider is set.
    texts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WritingRooms:
    mail: MailRooms
    outbound: OutboundWalk
    look: OutgoingLook
    suggestions: Suggestions
    links: SecureDesk
    wordings: Wordings
    policy: WritingPolicy = field(default_factory=WritingPolicy)
    files: FilesDesk | None = None  # None where no large files are kept


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
