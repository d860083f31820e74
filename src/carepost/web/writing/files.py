"""Uploading files too large for email, in parts that can be gone on with; and fetching what one was sent. R127.

Promises
    An upload is begun with a name and a size, and sent in requests that each say where they go on; whatever breaks, the
    browser asks how far it has come. Nothing of it is held but one piece, and nothing is stored in clear.
    Each request is proved to be our page's. Whoever may not send from the mailbox is told that there is no such file.
    What is fetched is asked about every second: a session that ended or a message taken back stops it.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from carepost.base.errors import MailError, Malformed, NotPossible, TryLater
from carepost.base.ids import MailboxId, OutgoingId
from carepost.directory.access import OnMailbox, Verb, is_allowed
from carepost.directory.model import MailboxAccess, MailboxRecord
from carepost.gateway.out.files import file_size
from carepost.message.compose import Attachment
from carepost.message.showing import clean_filename
from carepost.store.large_files import Elsewhere, LargeFile, NoSuchFile, with_received
from carepost.web.downloads import download
from carepost.web.model import Visitor
from carepost.web.shell import NoSuchPage, Visit
from carepost.web.words import long_time
from carepost.web.writing.draft import Writing
from carepost.web.writing.file_desk import FileLine, FilesDesk, file_line
from carepost.web.writing.rooms import WritingRooms

OFFSET = "upload-offset"
_STREAM = "application/offset+octet-stream"
_RECHECK_SECONDS = 1.0


def _desk(rooms: WritingRooms) -> FilesDesk:
    if rooms.files is None:
        raise NoSuchPage
    return rooms.files


def _told(line: FileLine, *, offset: int, status: int = 200) -> JSONResponse:
    told = {
        "name": line.name,
        "called": line.called,
        "size": line.size,
        "octets": line.octets,
        "state": line.state,
        "mark": line.mark,
        "says": line.says,
        "offset": offset,
    }
    return JSONResponse(told, status_code=status, headers={OFFSET: str(offset), "cache-control": "no-store"})


def _refused(error: MailError, status: int) -> JSONResponse:
    return JSONResponse({"says": error.public}, status_code=status, headers={"cache-control": "no-store"})


async def begin(rooms: WritingRooms, visit: Visit) -> Response:
    """A place for a file: who it is called, how large, and by what the browser knows it again."""
    desk, access, form = _desk(rooms), visit.mailbox(), visit.form
    called, kind = clean_filename(form.text("called")) or "file", form.text("kind") or "application/octet-stream"
    try:
        file = await desk.files.begin(
            visit.me.organisation, access.mailbox.id, called, kind, form.number("octets") or 0, form.text("mark")
        )
    except MailError as error:
        return _refused(error, 400)
    return _told(file_line(file.name, file), offset=0, status=201)


async def standing(rooms: WritingRooms, visit: Visit) -> Response:
    """How far it has come."""
    file = await _file(rooms, visit)
    return _told(file_line(file.name, file), offset=file.received)


async def take(rooms: WritingRooms, visit: Visit) -> Response:
    """A part of it, from where the browser says."""
    desk, request = _desk(rooms), visit.request
    offset = request.headers.get(OFFSET, "")
    if request.headers.get("content-type", "") != _STREAM or not offset.isdigit() or len(offset) > 15:
        return Response(status_code=415)
    file = await _file(rooms, visit)
    try:
        async with desk.slot():
            came = await desk.files.take(file, int(offset), request.stream())
    except Elsewhere as error:
        now = await _file(rooms, visit)
        return JSONResponse({"says": error.public}, status_code=409, headers={OFFSET: str(now.received)})
    except TryLater as error:
        return _refused(error, 503)
    except ClientDisconnect:
        return Response(status_code=499)  # nobody reads it: what has come is kept
    except MailError as error:
        return _refused(error, 400)
    file = with_received(file, came)
    return _told(file_line(file.name, file), offset=came)


async def look(rooms: WritingRooms, visit: Visit) -> Response:
    """All of it has come: look at it now. The page waits; if it does not, a chore looks."""
    desk, file = _desk(rooms), await _file(rooms, visit)
    try:
        file = await desk.look.look(file, visit.me.actor)
    except TryLater as error:
        return _refused(error, 503)
    return _told(file_line(file.name, file), offset=file.received)


async def _file(rooms: WritingRooms, visit: Visit) -> LargeFile:
    """The one that the path names, if it is this mailbox's."""
    file = await _desk(rooms).files.get(visit.me.organisation, visit.request.path_params["file"])
    if file is None or file.mailbox != visit.mailbox().mailbox.id:
        raise NoSuchPage
    return file


async def large_given(rooms: WritingRooms, visit: Visit, mailbox: MailboxRecord, writing: Writing) -> dict[str, object]:
    """What the page of the message is given."""
    if rooms.files is None:
        return {"large": (), "large_at": ""}
    return {
        "large": await rooms.files.lines(visit.me.organisation, mailbox.id, writing.large),
        "large_at": f"/write/{mailbox.id}/files",
        "large_over": rooms.policy.attachments_octets_max,
        "large_most": rooms.files.files.policy.octets_max,
        "large_most_words": file_size(rooms.files.files.policy.octets_max),
        "form_most": file_size(visit.house.uploads.octets_max),
    }


async def of_outgoing(rooms: WritingRooms, visit: Visit, outgoing: OutgoingId) -> list[dict[str, str]]:
    """For the page of a message that was sent: what it brought, as long as it is there."""
    if rooms.files is None:
        return []
    files, organisation = rooms.files.files, visit.me.organisation
    async with files.db.transaction(organisation) as tx:
        found = await files.of_outgoing(tx, organisation, outgoing)
    zone = visit.house.policy.zone
    return [
        {
            "name": one.name,
            "called": one.called,
            "size": file_size(one.size),
            "until": long_time(one.expires_at.astimezone(zone)),
        }
        for one in found
    ]


# --- without scripts ------------------------------------------------------------------------------------------------


async def put_aside(rooms: WritingRooms, visit: Visit, access: MailboxAccess, writing: Writing) -> Writing:
    """What a plain form brought and email does not carry becomes a large file, the largest first. Raises Malformed."""
    desk, most = rooms.files, rooms.policy.attachments_octets_max
    if desk is None:
        return writing
    while writing.octets > most and any(len(file.content) > most for file in writing.files):
        largest = max(writing.files, key=lambda file: len(file.content))
        name = await _put(desk, visit, access, largest)
        stays = tuple(file for file in writing.files if file is not largest)
        writing = replace(writing, files=stays, large=(*writing.large, name))
    return writing


async def _put(desk: FilesDesk, visit: Visit, access: MailboxAccess, attached: Attachment) -> str:
    content = attached.content
    try:
        file = await desk.files.begin(
            visit.me.organisation, access.mailbox.id, attached.filename, attached.media_type, len(content)
        )
    except NotPossible as error:
        raise Malformed(error.public) from error  # the page keeps what was typed

    async def octets() -> AsyncIterator[bytes]:
        yield content

    await desk.files.take(file, 0, octets())
    whole = await desk.files.get(file.organisation, file.name)
    if whole is not None:
        with suppress(TryLater):  # the page says that it is being examined, and a chore does
            await desk.look.look(whole, visit.me.actor)
    return file.name


# --- fetching what one was sent -------------------------------------------------------------------------------------


async def fetch(rooms: WritingRooms, visit: Visit) -> Response:
    """A large file that came with a message of one's own mailboxes, or that they sent."""
    desk, name = _desk(rooms), visit.request.path_params["file"]
    try:
        file, mailbox = await desk.files.for_mailboxes(visit.me.organisation, _readable(visit.me), name)
    except NoSuchFile as error:
        raise _NoFile from error
    return download(
        visit.request,
        called=file.called,
        size=file.size,
        digest=file.digest,
        fetch=lambda start, stop: _fetched(desk, visit, file, mailbox, start, stop),
    )


async def _fetched(  # noqa: PLR0917 - what, for whom, from where
    desk: FilesDesk, visit: Visit, file: LargeFile, mailbox: MailboxId, start: int, stop: int
) -> AsyncIterator[bytes]:
    await desk.files.downloaded(visit.me.actor, visit.me.organisation, mailbox, file)
    clock = desk.files.clock
    asked = clock.now()
    async for piece in desk.files.read(file, start, stop):
        if (clock.now() - asked).total_seconds() >= _RECHECK_SECONDS:
            await _may_still(desk, visit, file)
            asked = clock.now()
        yield piece


async def _may_still(desk: FilesDesk, visit: Visit, file: LargeFile) -> None:
    """Raises NoSuchFile, which breaks the download off."""
    visitor = await visit.house.who_is(visit.cookie, visit.client)
    if visitor is None:
        raise NoSuchFile
    await desk.files.for_mailboxes(visitor.organisation, _readable(visitor), file.name)


def _readable(visitor: Visitor) -> list[MailboxId]:
    return [
        access.mailbox.id
        for access in visitor.mailboxes.values()
        if is_allowed(visitor.rights, Verb.MAILBOX_READ, OnMailbox.of(access.mailbox))
    ]


class _NoFile(NoSuchPage):
    """As for a page that is not there; the words are a file's."""

    def __init__(self) -> None:
        NotPossible.__init__(
            self,
            "There is no such file, or its time is over, or the message was taken back, or it was not sent to you. "
            "Ask whoever sent it.",
        )
