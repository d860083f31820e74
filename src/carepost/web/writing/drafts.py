"""Drafts in the mailbox: opened, saved as a new version, claimed for sending, given up.

Promises
    A newer version is laid in before the older goes: saving never loses a letter.
    Two windows on one draft never overwrite each other: the later save is kept as a draft of its own, and told.
    A draft is claimed before it is sent, by one of all who press Send; it goes when the message is ours to deliver.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from carepost.base.errors import NotPossible
from carepost.directory.model import MailboxAccess
from carepost.message.addresses import Address
from carepost.store.model import Flag, FolderView, SpecialUse
from carepost.web.cleaning import read
from carepost.web.mail.pages import folder_href
from carepost.web.mail.rooms import MailRooms, open_mailbox
from carepost.web.writing.draft import Writing, draft_of, writing_of

# Set while a draft is being sent; a page that fails in between leaves it, and opening the draft takes it off.
SENDING = "$CarepostSending"


@dataclass(frozen=True, slots=True)
class Saved:
    uid: int
    at: datetime
    elsewhere: bool  # the version that was being written had been replaced by another window


@dataclass(frozen=True, slots=True)
class Drafts:
    """The drafts of one mailbox."""

    rooms: MailRooms
    access: MailboxAccess
    folder: FolderView
    home: str  # where one goes from here: the list of the inbox

    @classmethod
    async def of(cls, rooms: MailRooms, access: MailboxAccess) -> "Drafts":
        """Raises NotPossible when the mailbox has no folder for them."""
        opened = await open_mailbox(rooms, access)
        home = folder_href(access.mailbox.id, opened.special(SpecialUse.INBOX).id)
        return cls(rooms, access, opened.special(SpecialUse.DRAFTS), home)

    async def open(self, uid: int) -> Writing | None:
        """None when it has gone: sent, replaced or deleted."""
        raw = await self.rooms.messages.body(self.access.mailbox, self.folder.id, uid)
        if raw is None:
            return None
        await self.rooms.filing.set_flags(self.access.mailbox, self.folder.id, [uid], remove_keywords=[SENDING])
        return writing_of(await read(raw))

    async def save(self, writing: Writing, *, uid: int | None, sender: Address, message_id: str) -> Saved:
        """A new version in place of `uid`."""
        at = self.rooms.clock.now()
        raw = draft_of(writing, sender=sender, at=at, message_id=message_id)
        laid = await self.rooms.filing.append(
            self.access.mailbox, self.folder.id, raw, flags=Flag.SEEN | Flag.DRAFT, internal_date=at
        )
        elsewhere = False
        if uid is not None:
            elsewhere = not await self.rooms.filing.replace_draft(self.access.mailbox, self.folder.id, uid)
        return Saved(int(laid.uid), at, elsewhere)

    async def discard(self, uid: int) -> None:
        await self.rooms.filing.replace_draft(self.access.mailbox, self.folder.id, uid)

    @asynccontextmanager
    async def claimed(self, uid: int) -> AsyncIterator[None]:
        """Alone with it: of two who press Send at once the second is told. What fails inside gives it free again."""
        mailbox, folder, filing = self.access.mailbox, self.folder.id, self.rooms.filing
        rows = await self.rooms.messages.rows(mailbox, folder, [uid])
        if not rows or SENDING in rows[0].keywords:
            raise NotPossible("This message is being sent already, or has been. Look into Sent before you try again.")
        changed = await filing.set_flags(mailbox, folder, [uid], add_keywords=[SENDING], unchanged_since=rows[0].modseq)
        if changed.refused:
            raise NotPossible("This message is being sent already, or has been. Look into Sent before you try again.")
        try:
            yield
        except BaseException:
            await filing.set_flags(mailbox, folder, [uid], remove_keywords=[SENDING])
            raise
