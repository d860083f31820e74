"""The doors of web mail: address, method, permission, page. Nothing is done here."""

from collections.abc import Awaitable, Callable

from starlette.responses import Response

from carepost.base.errors import NotPossible
from carepost.base.ids import MailboxId
from carepost.directory.access import Verb
from carepost.web.mail import actions, folder_pages, lists, quarantine, reading
from carepost.web.mail.rooms import MailRooms
from carepost.web.mail.shared_log import SharedLog
from carepost.web.shell import Door, Enter, On, Visit

Page = Callable[[MailRooms, Visit], Awaitable[Response]]


_FOLDER = "/mail/{mailbox:int}/{folder:int}"
_LETTER = "/mail/{mailbox:int}/{folder:int}/{uid:int}"
_FOLDERS = "/folders/{mailbox:int}"
_HELD = "/quarantine/{held:int}"


def doors(rooms: MailRooms) -> list[Door]:
    """Every door, with the page behind it given its rooms."""
    log = SharedLog(rooms.filing)
    return [
        Door(path=path, method=method, name=name, enter=_given(rooms, page, log, on), verb=verb, on=on)
        for path, method, name, verb, on, page in _table()
    ]


def _table() -> list[tuple[str, str, str, Verb, On, Page]]:
    own, box, ours = On.SELF, On.MAILBOX, On.ORGANISATION
    read, write, may = Verb.MAILBOX_READ, Verb.MAILBOX_WRITE, Verb.OWN_ACCOUNT
    review, release = Verb.QUARANTINE_REVIEW, Verb.QUARANTINE_RELEASE
    return [
        ("/", "GET", "mail.start", may, own, _start),
        ("/mail", "GET", "mail.first", may, own, _start),
        ("/mail/undo", "POST", "mail.undo", may, own, actions.undo),  # asks for the mailbox that its note names
        ("/mail/{mailbox:int}", "GET", "mail.mailbox", read, box, _inbox),
        (_FOLDER, "GET", "mail.folder", read, box, lists.show_folder),
        (f"{_FOLDER}/do", "POST", "mail.do", write, box, actions.do),
        (_LETTER, "GET", "mail.letter", read, box, reading.read_letter),
        (f"{_LETTER}/why", "GET", "mail.why", read, box, reading.why),
        (f"{_LETTER}/move", "GET", "mail.move", write, box, reading.choose_folder),
        (f"{_LETTER}/part/{{part}}", "GET", "mail.part", read, box, reading.open_part),
        ("/mailboxes/{mailbox:int}", "GET", "mail.places", read, box, lists.show_places),
        ("/search/{mailbox:int}", "GET", "mail.search", read, box, lists.search),
        ("/counts/{mailbox:int}", "GET", "mail.counts", read, box, lists.counts),
        (_FOLDERS, "GET", "mail.folders", read, box, _folders),
        (_FOLDERS, "POST", "mail.folders.make", write, box, folder_pages.create),
        (f"{_FOLDERS}/{{folder:int}}", "POST", "mail.folders.change", write, box, folder_pages.change),
        ("/quarantine", "GET", "quarantine", review, ours, quarantine.show_all),
        (_HELD, "GET", "quarantine.one", review, ours, _one_held),
        (_HELD, "POST", "quarantine.settle", release, ours, quarantine.settle),
    ]


def _given(rooms: MailRooms, page: Page, log: SharedLog, on: On) -> Enter:
    async def enter(visit: Visit) -> Response:
        if on is On.MAILBOX:
            await log.note(visit)
        return await page(rooms, visit)

    return enter


async def _one_held(rooms: MailRooms, visit: Visit) -> Response:
    return await quarantine.show_one(rooms, visit)


async def _folders(rooms: MailRooms, visit: Visit) -> Response:
    return await folder_pages.show(rooms, visit)


async def _start(_rooms: MailRooms, visit: Visit) -> Response:
    """To one's own inbox, or the first shared one."""
    access = visit.me.own or next(iter(visit.me.mailboxes.values()), None)
    if access is None:
        raise NotPossible("You have no mailbox yet. Your local administrator can tell you when it will be ready.")
    return visit.go(f"/mail/{access.mailbox.id}")


async def _inbox(rooms: MailRooms, visit: Visit) -> Response:
    return await lists.first_folder(rooms, visit, MailboxId(visit.number("mailbox")))
