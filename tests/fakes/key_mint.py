"""FakeKeyMint: keys that only remember for whom they were made."""

from dataclasses import dataclass, field

from carepost.base.ids import MailboxId, OrganisationId
from carepost.infra.db import Transaction


@dataclass
class FakeKeyMint:
    organisations: list[OrganisationId] = field(default_factory=list)
    mailboxes: list[tuple[OrganisationId, MailboxId]] = field(default_factory=list)
    fails: bool = False

    async def mint_organisation(self, tx: Transaction, organisation: OrganisationId) -> None:
        self.organisations.append(organisation)

    async def mint_mailbox(self, tx: Transaction, organisation: OrganisationId, mailbox: MailboxId) -> bytes:
        if self.fails:
            raise RuntimeError("no key could be made")
        self.mailboxes.append((organisation, mailbox))
        return bytes([mailbox % 256]) * 32
