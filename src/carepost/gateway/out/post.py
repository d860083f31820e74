"""The service's own letters to its people, laid into their inboxes as part of a transaction.

Promises
    A letter commits with what it tells of, or neither does. It goes into mailboxes of the sender's organisation only.
"""

from dataclasses import dataclass
from datetime import datetime

from carepost.base.address import EmailAddress
from carepost.base.ids import MailboxId, OrganisationId
from carepost.directory.model import MailboxRecord
from carepost.directory.service import Directory
from carepost.gateway import repo
from carepost.gateway.out.letters import Letterhead
from carepost.infra.db import Transaction
from carepost.message.parse import parse
from carepost.message.summary import summarise
from carepost.message.words import search_text
from carepost.store.objects import Delivery, Prepared, lay_in, prepare_object, store_object


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """Where a letter goes."""

    organisation: OrganisationId
    mailbox: MailboxId
    address: EmailAddress
    intake_public: bytes

    @classmethod
    def of(cls, record: MailboxRecord) -> "Inbox | None":
        if record.intake_public is None:
            return None
        return cls(
            organisation=record.organisation,
            mailbox=record.id,
            address=record.address,
            intake_public=record.intake_public,
        )


@dataclass(frozen=True, slots=True)
class SealedLetter:
    prepared: Prepared
    to: Inbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    directory: Directory
    service: str = "Carepost"
    pages: str = ""  # where the pages are, for links

    def head(self, mailbox: EmailAddress) -> Letterhead:
        return Letterhead(
            service=self.service, postmaster=EmailAddress("postmaster", mailbox.domain), pages=self.pages.rstrip("/")
        )

    async def inbox_of(self, person: EmailAddress | None, otherwise: MailboxRecord) -> Inbox | None:
        """The person's own mailbox, if it is open; else the one they sent as. Not to be asked within a transaction."""
        if person is not None:
            mailbox = await self.directory.mailbox_at(person)
            if mailbox is not None and mailbox.organisation == otherwise.organisation:
                return Inbox.of(mailbox)
        return Inbox.of(otherwise)

    def seal(self, to: Inbox, raw: bytes) -> SealedLetter:
        message = parse(raw)
        summary, words = summarise(message), search_text(message)
        return SealedLetter(prepare_object(to.organisation, raw, summary=summary, words=words), to)

    async def lay(self, tx: Transaction, letter: SealedLetter, *, at: datetime) -> None:
        """The transaction acts for the mailbox's organisation."""
        await store_object(tx, letter.prepared, at=at)
        delivery = Delivery(letter.to.mailbox, letter.to.intake_public)
        await lay_in(tx, letter.prepared, [delivery], trace=None, at=at)


async def sending_inbox(
    tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, address: EmailAddress
) -> tuple[Inbox, bytes]:
    """The inbox of the mailbox a message was sent as, and the organisation's own public half."""
    intakes = await repo.intakes(tx, organisation, [mailbox])
    inbox = Inbox(organisation=organisation, mailbox=mailbox, address=address, intake_public=intakes.mailboxes[mailbox])
    return inbox, intakes.organisation
