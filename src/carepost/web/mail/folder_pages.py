"""Making, renaming and deleting folders."""

from starlette.responses import Response

from carepost.base.errors import MailError
from carepost.base.ids import FolderId
from carepost.web.forms import Form
from carepost.web.mail import pages
from carepost.web.mail.rooms import MailRooms, open_mailbox
from carepost.web.sealing import SaidNote
from carepost.web.shell import Visit


async def show(rooms: MailRooms, visit: Visit, form: Form | None = None) -> Response:
    opened = await open_mailbox(rooms, visit.mailbox())
    mailbox = opened.access.mailbox
    page = visit.page_again if form else visit.page
    return page(
        "mail/folders.html",
        title="Manage folders",
        form=form or Form(),
        at=f"/folders/{mailbox.id}",
        back=f"/mail/{mailbox.id}",
        mailbox=mailbox.display_name,
        folders=[
            {"id": f.id, "name": f.name, "messages": f.messages, "href": pages.folder_href(mailbox.id, f.id)}
            for f in pages.in_order(opened.folders)
            if f.special_use is None
        ],
    )


async def create(rooms: MailRooms, visit: Visit) -> Response:
    name = visit.form.require("name", "Enter a name for the folder")
    if visit.form.is_right:
        try:
            await rooms.folders.create(visit.mailbox().mailbox, name)
        except MailError as error:
            visit.form.wrong("name", error.public)
    if not visit.form.is_right:
        return await show(rooms, visit, visit.form)
    return visit.go(f"/folders/{visit.number('mailbox')}", SaidNote(f"Folder {name} made."))


async def change(rooms: MailRooms, visit: Visit) -> Response:
    """Rename or delete one, by the button that was pressed."""
    mailbox, folder = visit.mailbox().mailbox, FolderId(visit.number("folder"))
    field = f"rename-{folder}"
    try:
        if visit.form.text("do") == "delete":
            await rooms.folders.delete(mailbox, folder)
            says = "Folder deleted."
        else:
            await rooms.folders.rename(mailbox, folder, visit.form.require(field, "Enter the new name"))
            says = "Folder renamed."
    except MailError as error:
        visit.form.wrong(field, visit.form.errors.get(field) or error.public)
        return await show(rooms, visit, visit.form)
    return visit.go(f"/folders/{mailbox.id}", SaidNote(says))
