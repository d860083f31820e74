"""The doors of web mail: address, method, permission, page. Nothing is done here."""

from collections.abc import Awaitable, Callable

from starlette.responses import Response

from carepost.base.errors import NotPossible
from carepost.base.ids import MailboxId
from carepost.directory.access import Verb
from carepost.web.mail import actions, folder_pages, lists, reading
from carepost.web.mail.rooms import MailRooms
from carepost.web.shell import Door, On, Visit

Page = Callable[[MailRooms, Visit], Awaitable[Response]]


def doors(rooms: MailRooms) -> list[Door]:
    folder, letter = "/mail/{mailbox:int}/{folder:int}", "/mail/{mailbox:int}/{folder:int}/{uid:int}"
    return [
        _own("/", "GET", "mail.start", rooms, _start),
        _own("/mail", "GET", "mail.first", rooms, _start),
        _own("/search", "GET", "mail.search", rooms, lists.search),
        _own("/mail/undo", "POST", "mail.undo", rooms, actions.undo),
        _mail("/mail/{mailbox:int}", "GET", "mail.mailbox", Verb.MAILBOX_READ, rooms, _inbox),
        _mail(folder, "GET", "mail.folder", Verb.MAILBOX_READ, rooms, lists.show_folder),
        _mail(f"{folder}/do", "POST", "mail.do", Verb.MAILBOX_WRITE, rooms, actions.do),
        _mail(letter, "GET", "mail.letter", Verb.MAILBOX_READ, rooms, reading.read_letter),
        _mail(f"{letter}/why", "GET", "mail.why", Verb.MAILBOX_READ, rooms, reading.why),
        _mail(f"{letter}/move", "GET", "mail.move", Verb.MAILBOX_WRITE, rooms, reading.choose_folder),
        _mail(f"{letter}/part/{{part}}", "GET", "mail.part", Verb.MAILBOX_READ, rooms, reading.open_part),
        _mail("/mailboxes/{mailbox:int}", "GET", "mail.places", Verb.MAILBOX_READ, rooms, lists.show_places),
        _mail("/counts/{mailbox:int}", "GET", "mail.counts", Verb.MAILBOX_READ, rooms, lists.counts),
        _mail("/folders/{mailbox:int}", "GET", "mail.folders", Verb.MAILBOX_READ, rooms, folder_pages.show),
        _mail("/folders/{mailbox:int}", "POST", "mail.folders.make", Verb.MAILBOX_WRITE, rooms, folder_pages.create),
        _mail(
            "/folders/{mailbox:int}/{folder:int}",
            "POST",
            "mail.folders.change",
            Verb.MAILBOX_WRITE,
            rooms,
            folder_pages.change,
        ),
    ]


async def _start(rooms: MailRooms, visit: Visit) -> Response:
    """To one's own inbox, or the first shared one."""
    access = visit.me.own or next(iter(visit.me.mailboxes.values()), None)
    if access is None:
        raise NotPossible("You have no mailbox yet. Your local administrator can tell you when it will be ready.")
    return await lists.first_folder(rooms, visit, access.mailbox.id)


async def _inbox(rooms: MailRooms, visit: Visit) -> Response:
    return await lists.first_folder(rooms, visit, MailboxId(visit.number("mailbox")))


def _own(path: str, method: str, name: str, rooms: MailRooms, page: Page) -> Door:
    """Pages that choose among the visitor's own mailboxes by themselves."""
    return Door(
        path=path, method=method, name=name, enter=lambda visit: page(rooms, visit), verb=Verb.OWN_ACCOUNT, on=On.SELF
    )


def _mail(path: str, method: str, name: str, verb: Verb, rooms: MailRooms, page: Page) -> Door:
    return Door(path=path, method=method, name=name, enter=lambda visit: page(rooms, visit), verb=verb, on=On.MAILBOX)
