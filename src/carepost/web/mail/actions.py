"""What is done with messages: flags, moving, deleting; and taking it back.

Promises
    Moving and deleting are recorded by the store in the same transaction; what went to the bin can be taken back.
    Nothing is asked first (confirm boxes are clicked away); everything but "delete for good" has an Undo.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from carepost.base.errors import Malformed, NotPossible
from carepost.base.ids import FolderId, MailboxId
from carepost.directory.access import OnMailbox, Verb, authorize
from carepost.store.model import Flag, FolderView, SpecialUse
from carepost.web.mail import pages
from carepost.web.mail.rooms import MailRooms, Opened, open_mailbox
from carepost.web.sealing import SaidNote
from carepost.web.shell import Visit, own_path

CHOSEN_MAX = 500  # of one form: ten pages of a list

_FLAGS = {
    "read": (Flag.SEEN, 0, "marked as read"),
    "unread": (0, Flag.SEEN, "marked as unread"),
    "flag": (Flag.FLAGGED, 0, "flagged"),
    "unflag": (0, Flag.FLAGGED, "no longer flagged"),
}
_PLACES = {
    "archive": (SpecialUse.ARCHIVE, "moved to the archive"),
    "bin": (SpecialUse.TRASH, "moved to the bin"),
    "junk": (SpecialUse.JUNK, "moved to junk"),
    "not-junk": (SpecialUse.INBOX, "moved back to the inbox"),
}


@dataclass(frozen=True, slots=True)
class _Deed:
    """Which messages of which folder, and where to go afterwards."""

    opened: Opened
    folder: FolderView
    uids: Sequence[int]
    back: str


async def do(rooms: MailRooms, visit: Visit) -> Response:
    """Do the one thing that the pressed button names with the chosen messages of a folder."""
    opened = await open_mailbox(rooms, visit.mailbox())
    folder = opened.folder(visit.number("folder"))
    uids = sorted(set(visit.form.numbers("uid")))[:CHOSEN_MAX]
    deed = visit.form.text("do")
    back = own_path(visit.form.text("back") or pages.folder_href(folder.mailbox, folder.id))
    if not uids:
        return visit.go(back, SaidNote("No message was chosen."))
    if deed in _FLAGS:
        add, remove, says = _FLAGS[deed]
        await rooms.filing.set_flags(opened.access.mailbox, folder.id, uids, add=int(add), remove=int(remove))
        stay = visit.form.text("here") if deed in {"flag", "unflag"} else ""
        return visit.go(stay or back, SaidNote(f"{_messages(uids)} {says}."))
    if deed == "delete":
        return await _delete(rooms, visit, _Deed(opened, folder, uids, back))
    if deed in _PLACES:
        use, says = _PLACES[deed]
        target = opened.special(use)
    elif deed == "move":
        target = opened.folder(visit.form.number("to") or 0)
        says = f"moved to {pages.title_of(target)}"
    else:
        raise Malformed("The page did not say what to do.")
    return await _move(rooms, visit, _Deed(opened, folder, uids, back), target, says)


async def undo(rooms: MailRooms, visit: Visit) -> Response:
    """Move messages back to where they came from. The note names them; it works in this session only."""
    note = visit.house.notes.open(SaidNote, visit.form.secret("undo"), bound_to=visit.cookie)
    access = visit.me.mailboxes.get(MailboxId(note.mailbox))
    if access is None or not note.uids:
        raise NotPossible("There is nothing to take back.")
    authorize(visit.me.rights, Verb.MAILBOX_WRITE, OnMailbox.of(access.mailbox))
    _, pairs = await rooms.filing.move(
        visit.me.actor,
        access.mailbox,
        FolderId(note.folder),
        list(note.uids),
        to_mailbox=access.mailbox,
        to_folder=FolderId(note.back_to),
    )
    back = own_path(visit.form.text("back") or pages.folder_href(access.mailbox.id, FolderId(note.back_to)))
    says = f"{_messages(pairs)} moved back." if pairs else "The messages were no longer there."
    return visit.go(back, SaidNote(says))


async def _move(rooms: MailRooms, visit: Visit, deed: _Deed, target: FolderView, says: str) -> Response:
    mailbox, folder, uids, back = deed.opened.access.mailbox, deed.folder, deed.uids, deed.back
    if target.id == folder.id:
        return visit.go(back, SaidNote("The messages are in that folder already."))
    if target.special_use is SpecialUse.TRASH:
        authorize(visit.me.rights, Verb.MAILBOX_DELETE, OnMailbox.of(mailbox))
    _, pairs = await rooms.filing.move(
        visit.me.actor, mailbox, folder.id, uids, to_mailbox=mailbox, to_folder=target.id
    )
    if not pairs:
        return visit.go(back, SaidNote("Those messages had been moved already."))
    note = SaidNote(
        says=f"{_messages(pairs)} {says}.",
        mailbox=mailbox.id,
        folder=target.id,
        back_to=folder.id,
        uids=tuple(int(new) for _, new in pairs),
    )
    return visit.go(back, note)


async def _delete(rooms: MailRooms, visit: Visit, deed: _Deed) -> Response:
    mailbox, folder = deed.opened.access.mailbox, deed.folder
    if folder.special_use is not SpecialUse.TRASH:
        raise NotPossible("Only messages in the bin can be deleted for good. Move them there first.")
    authorize(visit.me.rights, Verb.MAILBOX_DELETE, OnMailbox.of(mailbox))
    gone = await rooms.filing.expunge(visit.me.actor, mailbox, folder.id, deed.uids)
    return visit.go(deed.back, SaidNote(f"{_messages(gone)} deleted for good."))


def _messages(several: Sequence[object]) -> str:
    return "1 message" if len(several) == 1 else f"{len(several)} messages"
