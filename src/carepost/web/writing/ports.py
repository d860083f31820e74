"""What the pages of writing ask of the gateway: protocols, so that a test may stand in for it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from carepost.audit.model import Actor
from carepost.base.address import EmailAddress
from carepost.base.ids import MailboxId, OrganisationId, OutgoingId, TraceId
from carepost.directory.model import MailboxAccess
from carepost.gateway.out.outgoing import (
    Answer,
    Consideration,
    Draft,
    NeedsAnswers,
    OutgoingPage,
    OutgoingRow,
    RecallReport,
    Submission,
    Submitted,
)
from carepost.portal.model import AccessRequest, AccessRequestId, Kind, RecipientRecord, SecureMessageId


class OutboundWalk(Protocol):
    """The walk of mail that goes out. `Outbound` is the one there is."""

    async def consider(self, submission: Submission) -> Consideration:
        """What would become of it. Raises NotAllowed when the person may not send from the mailbox; TryLater."""
        ...

    async def submit(self, submission: Submission) -> Submitted | NeedsAnswers:
        """Take responsibility for it. NeedsAnswers for OutDoor.WEB only. Raises Refused, NotAllowed, TryLater."""
        ...

    async def answer(self, actor: Actor, outgoing: OutgoingId, answers: Sequence[Answer]) -> Submitted | NeedsAnswers:
        """Answer what was asked in a letter. Raises NotAllowed, NotPossible."""
        ...

    async def undo(self, actor: Actor, outgoing: OutgoingId) -> Draft:
        """Take it back before it leaves: it lies in Drafts. Raises NotAllowed, NotPossible ("It has left already")."""
        ...

    async def cancel(self, actor: Actor, outgoing: OutgoingId) -> Draft:
        """Never send what was asked about, or what waits for its hour: it lies in Drafts."""
        ...

    async def resend(self, actor: Actor, outgoing: OutgoingId, seq: int, *, by_link: bool = False) -> None:
        """Try again for a recipient who did not get it. Raises NotAllowed, NotPossible."""
        ...

    async def recall(
        self, actor: Actor, outgoing: OutgoingId, recipients: Sequence[EmailAddress] | None = None
    ) -> RecallReport:
        """Take back what can be taken back, from all (None) or some; one result a recipient. Raises NotAllowed."""
        ...


class OutgoingLook(Protocol):
    """What the pages show of it. `OutgoingView` is the one there is."""

    async def page(
        self, actor: Actor, mailbox: MailboxId, *, after: OutgoingId | None = None, limit: int = 50
    ) -> OutgoingPage:
        """Newest first. Raises NotAllowed."""
        ...

    async def get(self, actor: Actor, outgoing: OutgoingId) -> OutgoingRow:
        """One message with its recipients and questions. Raises NotAllowed, NotPossible."""
        ...

    async def by_trace(self, actor: Actor, mailbox: MailboxId, trace: TraceId) -> OutgoingId | None:
        """What went out from the mailbox under that reference. Raises NotAllowed."""
        ...

    async def not_delivered(self, actor: Actor, mailbox: MailboxId) -> list[OutgoingRow]:
        """The tray that a sender cannot miss (R165)."""
        ...

    async def tray(self, actor: Actor, mailbox: MailboxId) -> int:
        """How many stand on it: for the badge."""
        ...

    async def clear(self, actor: Actor, outgoing: OutgoingId, seq: int) -> None:
        """Somebody has seen it: off the tray. Raises NotAllowed, NotPossible."""
        ...


class SecureDesk(Protocol):
    """The sender's side of secure messages. Whoever calls has asked whether the person may look at the message."""

    async def record(self, organisation: OrganisationId, outgoing: OutgoingId) -> list[RecipientRecord]:
        """What each recipient's link has come to, with times (R124)."""
        ...

    async def extend(
        self, actor: Actor, organisation: OrganisationId, outgoing: OutgoingId, seq: int, *, until: datetime
    ) -> None:
        """Give a link that is still open more time (R122). Raises Malformed past the longest, NotPossible."""
        ...

    async def requests(self, organisation: OrganisationId, outgoing: OutgoingId) -> list[AccessRequest]:
        """Who was forwarded a notice and asks to read it (R121)."""
        ...

    async def settle(
        self,
        actor: Actor,
        organisation: OrganisationId,
        message: SecureMessageId,
        request: AccessRequestId,
        *,
        approve: bool,
    ) -> None:
        """Yes or no, once. Raises NotPossible."""
        ...

    async def invite(
        self,
        actor: Actor,
        access: MailboxAccess,
        address: EmailAddress,
        *,
        sender_name: str,
        organisation_name: str,
        kind: Kind = Kind.INVITATION,
    ) -> None:
        """Ask an outsider to write securely, or whether this is them. Raises NotPossible over the day's number."""
        ...
