"""The doors of writing and of mail that goes out: address, method, permission, page. Nothing is done here."""

from collections.abc import Awaitable, Callable

from starlette.responses import Response

from carepost.directory.access import Verb
from carepost.web.shell import Door, Enter, On, Visit
from carepost.web.writing import compose, files, outgoing, secure, wording
from carepost.web.writing.rooms import WritingRooms

Page = Callable[[WritingRooms, Visit], Awaitable[Response]]

_WRITE = "/write/{mailbox:int}"
_OUTGOING = "/outgoing/{outgoing:int}"


def doors(rooms: WritingRooms) -> list[Door]:
    """Every door, with the page behind it given its rooms."""
    return [
        Door(
            path=path,
            method=method,
            name=name,
            enter=_given(rooms, page),
            verb=verb,
            on=on,
            takes_files=name == "write.act",
            streams=name == "files.take",
        )
        for path, method, name, verb, on, page in _table()
    ]


def _table() -> list[tuple[str, str, str, Verb, On, Page]]:
    send, may, box, own = Verb.MAILBOX_SEND, Verb.OWN_ACCOUNT, On.MAILBOX, On.SELF
    return [
        (_WRITE, "GET", "write", send, box, compose.begin),
        (_WRITE, "POST", "write.act", send, box, compose.act),
        (f"{_WRITE}/suggest", "GET", "write.suggest", send, box, compose.suggest),
        (f"{_WRITE}/forget", "POST", "write.forget", send, box, compose.forget),
        ("/sent/{mailbox:int}", "GET", "outgoing.all", send, box, outgoing.show_all),
        ("/sent/{mailbox:int}/{folder:int}/{uid:int}", "GET", "outgoing.of", send, box, outgoing.of_letter),
        # The walk asks for the mailbox that sent it: the number in the path does not name it.
        (_OUTGOING, "GET", "outgoing.one", may, own, outgoing.show_one),
        (_OUTGOING, "POST", "outgoing.settle", may, own, outgoing.settle),
        (f"{_OUTGOING}/secure", "GET", "outgoing.secure", may, own, secure.show),
        (f"{_OUTGOING}/secure", "POST", "outgoing.secure.settle", may, own, secure.settle),
        *_wording(),
        *_files(),
        ("/invite/{mailbox:int}", "GET", "invite", send, box, secure.ask),
        ("/invite/{mailbox:int}", "POST", "invite.send", send, box, secure.invite),
    ]


def _wording() -> list[tuple[str, str, str, Verb, On, Page]]:
    send, box, edit, house = Verb.MAILBOX_SEND, On.MAILBOX, Verb.WORDING_EDIT, On.ORGANISATION
    own, general = "/wording/{mailbox:int}", "/admin/wording"
    return [
        (own, "GET", "wording", send, box, wording.show),
        (own, "POST", "wording.change", send, box, wording.change),
        (f"{own}/template", "GET", "wording.template", send, box, wording.template),
        (f"{own}/template", "POST", "wording.template.keep", send, box, wording.keep_template),
        (general, "GET", "admin.wording", edit, house, wording.show),
        (general, "POST", "admin.wording.change", edit, house, wording.change),
        (f"{general}/template", "GET", "admin.wording.template", edit, house, wording.template),
        (f"{general}/template", "POST", "admin.wording.template.keep", edit, house, wording.keep_template),
        ("/settings/writing", "GET", "settings.writing", Verb.OWN_ACCOUNT, On.SELF, wording.choices),
        ("/settings/writing", "POST", "settings.writing.choose", Verb.OWN_ACCOUNT, On.SELF, wording.choose),
    ]


def _files() -> list[tuple[str, str, str, Verb, On, Page]]:
    send, box, one = Verb.MAILBOX_SEND, On.MAILBOX, f"{_WRITE}/files/{{file}}"
    return [
        (f"{_WRITE}/files", "POST", "files.begin", send, box, files.begin),
        (one, "GET", "files.standing", send, box, files.standing),
        (one, "PATCH", "files.take", send, box, files.take),
        (one, "POST", "files.look", send, box, files.look),
        # Which mailboxes may have it is asked within: the path names none.
        ("/files/{file}", "GET", "files.fetch", Verb.OWN_ACCOUNT, On.SELF, files.fetch),
    ]


def _given(rooms: WritingRooms, page: Page) -> Enter:
    async def enter(visit: Visit) -> Response:
        return await page(rooms, visit)

    return enter
