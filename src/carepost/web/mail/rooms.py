"""What web mail works with, and the side bar that every one of its pages has."""

from dataclasses import dataclass

from carepost.base.clock import Clock
from carepost.base.errors import NotPossible
from carepost.base.ids import FolderId
from carepost.directory.access import OnOrganisation, Verb, is_allowed
from carepost.directory.model import MailboxAccess, MailboxKind
from carepost.gateway.quarantine import Quarantine
from carepost.gateway.trace import MessageTrace
from carepost.policy.card import Deck
from carepost.policy.inbound import InboundFacts
from carepost.store.filing import Filing
from carepost.store.folders import Folders
from carepost.store.messages import MessageStore
from carepost.store.model import FolderView, SpecialUse
from carepost.store.search import MailSearch
from carepost.web.mail import pages
from carepost.web.mail.sealed import SealedMail
from carepost.web.model import Visitor
from carepost.web.shell import NoSuchPage


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRooms:
    """The store's services, and what the gateway tells of its decisions."""

    folders: Folders
    messages: MessageStore
    filing: Filing
    search: MailSearch
    quarantine: Quarantine
    trace: MessageTrace
    deck: Deck[InboundFacts]  # to tell a decision in the words of its card
    clock: Clock
    sealed: SealedMail | None = None  # None where no certificate was ever trusted or kept


@dataclass(frozen=True, slots=True)
class Opened:
    """A mailbox with its folders, as of this request."""

    access: MailboxAccess
    folders: list[FolderView]

    def folder(self, number: int) -> FolderView:
        """Raise NoSuchPage when it is not one of this mailbox."""
        for folder in self.folders:
            if folder.id == number:
                return folder
        raise NoSuchPage

    def special(self, use: SpecialUse) -> FolderView:
        """Raise NotPossible when the mailbox has none: somebody deleted it with another program."""
        for folder in self.folders:
            if folder.special_use is use:
                return folder
        raise NotPossible("This mailbox has no such folder. Make one first.")


async def open_mailbox(rooms: MailRooms, access: MailboxAccess) -> Opened:
    return Opened(access, await rooms.folders.all(access.mailbox))


async def sidebar(
    rooms: MailRooms, visitor: Visitor, opened: Opened, current: FolderId | None, *, at_quarantine: bool = False
) -> pages.Sidebar:
    """Own folders, every shared mailbox with what is unread in its inbox, and what waits in quarantine."""
    mailbox = opened.access.mailbox
    own = visitor.own
    own_folders: list[FolderView] = []
    if own is not None:
        own_folders = opened.folders if own.mailbox.id == mailbox.id else await rooms.folders.all(own.mailbox)
    shared = [
        await _shared(rooms, access, opened, current)
        for access in visitor.mailboxes.values()
        if access.mailbox.kind is not MailboxKind.PERSONAL
    ]
    may_review = is_allowed(visitor.rights, Verb.QUARANTINE_REVIEW, OnOrganisation(visitor.organisation))
    return pages.Sidebar(
        mailbox=mailbox.id,
        own_name=visitor.name,
        own=pages.places(own_folders, current=current),
        shared=tuple(shared),
        folders_href=f"/folders/{mailbox.id}",
        quarantine=(await rooms.quarantine.waiting(visitor.organisation))[0] if may_review else None,
        at_quarantine=at_quarantine,
    )


async def _shared(
    rooms: MailRooms, access: MailboxAccess, opened: Opened, current: FolderId | None
) -> pages.SharedPlace:
    is_open = access.mailbox.id == opened.access.mailbox.id
    folders = opened.folders if is_open else await rooms.folders.all(access.mailbox)
    inbox = next((folder for folder in folders if folder.special_use is SpecialUse.INBOX), None)
    return pages.SharedPlace(
        name=access.mailbox.display_name,
        href=pages.folder_href(access.mailbox.id, inbox.id) if inbox else f"/mail/{access.mailbox.id}",
        unread=inbox.unseen if inbox else 0,
        current=inbox is not None and inbox.id == current,
        key=f"{access.mailbox.id}-{inbox.id}" if inbox else "",
        folders=tuple(p for p in pages.places(folders, current=current) if p.icon != "inbox") if is_open else (),
    )
