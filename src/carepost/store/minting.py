"""What the directory asks for when it makes an organisation or a mailbox: keys, and folders to lay mail into."""

from dataclasses import dataclass

from carepost.base.ids import MailboxId, OrganisationId
from carepost.infra.db import Transaction
from carepost.store.folders import Folders
from carepost.store.keys import Keystore
from carepost.store.model import MailboxRef


@dataclass(frozen=True, slots=True)
class Minting:
    """The directory's KeyMint. Works in the directory's own transaction: a mailbox is born whole or not at all."""

    keys: Keystore
    folders: Folders

    async def mint_organisation(self, tx: Transaction, organisation: OrganisationId) -> None:
        await self.keys.mint_organisation(tx, organisation)

    async def mint_mailbox(self, tx: Transaction, organisation: OrganisationId, mailbox: MailboxId) -> bytes:
        """The public half of the new mailbox's intake key, 32 bytes."""
        public = await self.keys.mint_mailbox(tx, organisation, mailbox)
        await self.folders.furnish(tx, MailboxRef(mailbox, organisation))
        return public
