"""What the outbound walk needs from others, as it would like to have it. app/mail_out.py joins it to what there is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from carepost.audit.model import Actor
from carepost.base.address import EmailAddress
from carepost.base.ids import MailboxId, OrganisationId, OutgoingId, PersonId, TraceId
from carepost.delivery.dispatch import Dispatch
from carepost.gateway.model import Finding
from carepost.gateway.out.outgoing import RepliesTo
from carepost.infra.db import Transaction
from carepost.message.model import Message
from carepost.policy.outbound import Reach
from carepost.policy.rules import OutgoingRules
from carepost.portal.model import Agreed


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientsAsked:
    """A message's recipients, for whoever knows what the sender's mailbox usually does."""

    organisation: OrganisationId
    mailbox: MailboxId
    sender: EmailAddress
    message: Message
    recipients: Mapping[EmailAddress, Reach | None]
    visible: frozenset[str]  # keys of those in To and Cc
    sensitive: bool | None
    attachments: bool
    reply_all: bool
    answers: RepliesTo | None
    rules: OutgoingRules | None = None  # the organisation's own numbers (R151); None: the service's


class LooksAtRecipients(Protocol):
    """Raises when it cannot look: the facts that it would have given are then unknown."""

    async def look(self, asked: RecipientsAsked) -> list[Finding]: ...

    async def agreed_to_plain(
        self, organisation: OrganisationId, mailbox: MailboxId, addresses: Sequence[EmailAddress]
    ) -> frozenset[str]:
        """The keys of those who have agreed to plain email."""
        ...


class NotesSent(Protocol):
    """Remembers whom a mailbox has written to."""

    async def note_sent(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        mailbox: MailboxId,
        addresses: Sequence[EmailAddress],
        at: datetime,
        *,
        names: Mapping[str, str] | None = None,  # as the message calls them, by key
    ) -> None: ...


class LimitsSending(Protocol):
    """R158: how much one person may send. Both raise NotPossible, with words for the sender."""

    def refuse_too_many(self, recipients: int) -> None: ...

    async def count(self, tx: Transaction, organisation: OrganisationId, person: PersonId, recipients: int) -> None: ...


class BreaksStorms(Protocol):
    """R72: a conversation that everybody answers to everybody is closed for a while. `count` raises NotPossible."""

    def conversation(self, references: Sequence[str], in_reply_to: str | None) -> bytes | None: ...

    async def count(self, conversation: bytes, people: int) -> None: ...


class CountsPrompts(Protocol):
    """How often each rule asks, and what is answered: false alarms are counted and shown."""

    async def note_sent(self, tx: Transaction, organisation: OrganisationId, person: PersonId) -> None: ...

    async def note_shown(
        self, tx: Transaction, organisation: OrganisationId, person: PersonId, rules: Iterable[str]
    ) -> None: ...

    async def note_answered(
        self, tx: Transaction, organisation: OrganisationId, person: PersonId, rules: Iterable[str], *, changed: bool
    ) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """Whatever is counted when a message is taken."""

    limits: LimitsSending
    storms: BreaksStorms
    prompts: CountsPrompts


class Queue(Protocol):
    """The delivery queue. Both act in the caller's transaction."""

    async def enqueue(self, tx: Transaction, dispatch: Dispatch) -> object: ...

    async def cancel(
        self, tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, seqs: Sequence[int] | None = None
    ) -> list[int]:
        """Take back what has not left yet; who is missing from the answer has left, or is leaving now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkWanted:
    """One recipient who shall read by a secure link."""

    organisation: OrganisationId
    mailbox: MailboxId
    sender: EmailAddress
    sender_name: str
    outgoing: OutgoingId
    trace: TraceId
    seq: int
    address: EmailAddress
    raw: bytes = field(repr=False)  # as this recipient may see it: no Bcc
    passphrase: str | None = field(default=None, repr=False)
    agreed: Agreed = Agreed.PHRASE
    telephone: str | None = field(default=None, repr=False)
    patient: bool | None = None  # it holds a patient's details; None: not known


@dataclass(frozen=True, slots=True)
class Notice:
    """The message that tells the recipient of the link. Holds nothing of the content (R117)."""

    raw: bytes = field(repr=False)
    reverse_path: EmailAddress | None


class MakesLinks(Protocol):
    """The portal."""

    async def prepare(self, wanted: LinkWanted) -> object:
        """Seal it for its reader: whatever takes time. Holds nothing."""
        ...

    async def make(self, tx: Transaction, ready: Any) -> Notice:
        """Write what was prepared, in the caller's transaction."""
        ...

    async def revoke(
        self, tx: Transaction, actor: Actor, organisation: OrganisationId, outgoing: OutgoingId, seqs: Sequence[int]
    ) -> frozenset[int]:
        """Make these links dead; which of them there were."""
        ...

    async def noticed(
        self, tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, seq: int, at: datetime
    ) -> None:
        """The recipient's mail system has taken the notice over."""
        ...
