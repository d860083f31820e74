"""What the outbound walk needs from others, as it would like to have it. app/mail_out.py joins it to what there is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from carepost.audit.model import Actor
from carepost.base.address import EmailAddress
from carepost.base.ids import MailboxId, OrganisationId, OutgoingId, PersonId, TraceId
from carepost.delivery.dispatch import Dispatch
from carepost.gateway.model import Finding
from carepost.gateway.outgoing import RepliesTo
from carepost.infra.db import Transaction
from carepost.message.model import Message
from carepost.policy.outbound import Reach


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
    ) -> None: ...


class LimitsSending(Protocol):
    """R158: how much one person may send."""

    async def refusal(
        self, organisation: OrganisationId, person: PersonId | None, recipients: int, *, at: datetime
    ) -> str | None:
        """Why so many would be too many, in words; None when they are not. Counts nothing."""
        ...

    async def count(
        self, tx: Transaction, organisation: OrganisationId, person: PersonId | None, recipients: int, *, at: datetime
    ) -> str | None:
        """Count them, in the caller's transaction; words when that is too many after all, and then nothing counts."""
        ...


class TakesDispatches(Protocol):
    """The delivery queue."""

    async def enqueue(self, tx: Transaction, dispatch: Dispatch) -> None: ...


class WithdrawsDispatches(Protocol):
    async def withdraw(
        self, tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, seqs: Sequence[int]
    ) -> frozenset[int]:
        """Take back what nobody has tried to deliver yet; which those were."""
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
    at: datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """The message that tells the recipient of the link. Holds nothing of the content (R117)."""

    raw: bytes = field(repr=False)
    reverse_path: EmailAddress | None


class MakesLinks(Protocol):
    """The portal."""

    async def make(self, tx: Transaction, wanted: LinkWanted) -> Notice:
        """Seal it for its reader, in the caller's transaction."""
        ...

    async def revoke(
        self, tx: Transaction, actor: Actor, organisation: OrganisationId, outgoing: OutgoingId, seqs: Sequence[int]
    ) -> frozenset[int]:
        """Make these links dead; which of them there were."""
        ...
