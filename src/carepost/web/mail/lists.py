"""The pages with a list of messages: a folder, a search, the counts that they are kept fresh with."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from starlette.responses import JSONResponse, Response

from carepost.base.ids import FolderId, MailboxId
from carepost.directory.model import MailboxKind
from carepost.store.model import Flag, FolderView, Listed, PageKey, SpecialUse
from carepost.store.search import Query
from carepost.web.mail import pages
from carepost.web.mail.rooms import MailRooms, Opened, open_mailbox, sidebar
from carepost.web.mail.search_words import read_words
from carepost.web.shell import Visit

_SHOWS = {"": (0, 0), "unread": (Flag.SEEN, 0), "flagged": (Flag.FLAGGED, Flag.FLAGGED)}
_NOTHING = {
    "": ("Nothing here", "Messages that arrive or are moved here will be listed."),
    "unread": ("Everything is read", "Choose All to see every message."),
    "flagged": ("Nothing is flagged", "Flag a message to find it here again."),
}


async def show_folder(rooms: MailRooms, visit: Visit) -> Response:
    opened = await open_mailbox(rooms, visit.mailbox())
    folder = opened.folder(visit.number("folder"))
    shown = await folder_list(rooms, visit, opened, folder, opened_uid=None)
    return await list_page(rooms, visit, opened, folder, shown)


async def first_folder(rooms: MailRooms, visit: Visit, mailbox: MailboxId) -> Response:
    """To the inbox of a mailbox."""
    opened = await open_mailbox(rooms, visit.me.mailboxes[mailbox])
    return visit.go(pages.folder_href(mailbox, opened.special(SpecialUse.INBOX).id))


async def list_page(
    rooms: MailRooms, visit: Visit, opened: Opened, folder: FolderView | None, shown: pages.ListView, **more: object
) -> Response:
    """The three panes round a list."""
    side = await sidebar(rooms, visit.me, opened, folder.id if folder else None)
    given = {
        "title": shown.title,
        "sidebar": side,
        "list": shown,
        "reading": None,
        # One first heading a page: the letter's where one is open, else the list's.
        "heading": "h1" if "reading" in more else "h2",
        "list_heading": "h2" if "reading" in more else "h1",
        "query": "",
        "at_places": False,
        "here": visit.here,
        "counts_at": f"/counts/{opened.access.mailbox.id}",
        "places_href": f"/mailboxes/{opened.access.mailbox.id}",
    }
    return visit.page("mail/folder.html", **(given | more))


async def folder_list(
    rooms: MailRooms, visit: Visit, opened: Opened, folder: FolderView, *, opened_uid: int | None
) -> pages.ListView:
    show = visit.query("show") if visit.query("show") in _SHOWS else ""
    after = visit.query("after")
    at = pages.folder_href(folder.mailbox, folder.id)
    mask, value = _SHOWS[show]
    page = await rooms.messages.page(
        opened.access.mailbox,
        folder.id,
        after=_key(after),
        limit=visit.house.policy.page_lines,
        mask=int(mask),
        value=int(value),
    )
    nothing, nothing_more = _NOTHING[show]
    return pages.ListView(
        title=_title(opened, folder),
        unread=folder.unseen,
        lines=pages.lines(
            page.lines,
            href=partial(_line_href, visit, folder, show=show, after=after),
            now=rooms.clock.now(),
            zone=visit.house.policy.zone,
            opened=opened_uid,
        ),
        filters=pages.filters(at, show),
        act=f"{at}/do",
        move_to=choices(opened, folder),
        newer=pages.with_query(at, show=show) if after else "",
        older=pages.with_query(at, show=show, after=pages.key_words(page.next_key)) if page.next_key else "",
        nothing=nothing,
        nothing_more=nothing_more,
        in_bin=folder.special_use is SpecialUse.TRASH,
        in_junk=folder.special_use is SpecialUse.JUNK,
    )


def _line_href(visit: Visit, folder: FolderView, uid: int, *, show: str, after: str) -> str:
    """A draft is gone on with; everything else is read."""
    if folder.special_use is SpecialUse.DRAFTS and visit.house.writes:
        return f"/write/{folder.mailbox}?draft={uid}"
    return pages.with_query(f"{pages.folder_href(folder.mailbox, folder.id)}/{uid}", show=show, after=after)


def _title(opened: Opened, folder: FolderView) -> str:
    """A shared mailbox is called by its name: nobody should take its inbox for their own."""
    mailbox, name = opened.access.mailbox, pages.title_of(folder)
    if mailbox.kind is MailboxKind.PERSONAL:
        return name
    is_inbox = folder.special_use is SpecialUse.INBOX
    return mailbox.display_name if is_inbox else f"{mailbox.display_name}: {name}"


def choices(opened: Opened, folder: FolderView) -> tuple[pages.Choice, ...]:
    """Where a message of this folder may be moved to."""
    return tuple(
        pages.Choice(id=other.id, name=pages.title_of(other) if other.special_use else other.name)
        for other in pages.in_order(opened.folders)
        if other.id != folder.id
    )


async def search(rooms: MailRooms, visit: Visit) -> Response:
    """Found messages of one mailbox, newest first."""
    opened = await open_mailbox(rooms, visit.mailbox())
    words = visit.query("q")[:500]
    wanted = read_words(words, visit.house.policy.zone)
    folder, note = _wanted_folder(opened, wanted.folder)
    lines: tuple[pages.Line, ...] = ()
    if not wanted.is_empty and not note:
        lines = await _found(rooms, visit, opened, folder, wanted.query)
    most = visit.house.policy.search_lines
    if len(lines) >= most:
        note = f"The {most} newest are shown. Add a word, or a date such as after:2026-11-01, to find older ones."
    shown = pages.ListView(
        title=f"Search {opened.access.mailbox.display_name}",
        unread=0,
        lines=lines,
        filters=(),
        act="",
        move_to=(),
        newer="",
        older="",
        nothing="Nothing was found" if words else "What are you looking for?",
        nothing_more="Try fewer words. from: to: subject: has:attachment is:unread before: after: in: narrow a search.",
        note=note,
    )
    return await list_page(rooms, visit, opened, None, shown, query=words, title="Search")


async def _found(
    rooms: MailRooms, visit: Visit, opened: Opened, folder: FolderView | None, query: Query
) -> tuple[pages.Line, ...]:
    mailbox = opened.access.mailbox
    places = await rooms.search.search(
        mailbox, folder.id if folder else None, query, limit=visit.house.policy.search_lines
    )
    by_folder: dict[FolderId, list[int]] = {}
    for at, uid in places:
        by_folder.setdefault(at, []).append(uid)
    lines: list[tuple[datetime, pages.Line]] = []
    for at, uids in by_folder.items():
        rows = await rooms.messages.rows(mailbox, at, sorted(uids))
        summaries = await rooms.messages.summaries(mailbox, at, sorted(uids))
        listed = [Listed(row, summaries[row.uid]) for row in rows if row.uid in summaries]
        shown = pages.lines(
            listed,
            href=partial(_letter_href, mailbox.id, at),
            now=rooms.clock.now(),
            zone=visit.house.policy.zone,
        )
        lines += [(item.row.internal_date, replace(line, day="")) for item, line in zip(listed, shown, strict=True)]
    lines.sort(key=lambda pair: pair[0], reverse=True)
    return tuple(line for _, line in lines)


def _letter_href(mailbox: MailboxId, folder: FolderId, uid: int) -> str:
    return f"{pages.folder_href(mailbox, folder)}/{uid}"


def _wanted_folder(opened: Opened, name: str | None) -> tuple[FolderView | None, str]:
    if name is None:
        return None, ""
    for folder in opened.folders:
        if name.casefold() in {folder.name.casefold(), pages.title_of(folder).casefold()}:
            return folder, ""
    return None, f"There is no folder called “{name}” in this mailbox."


async def counts(rooms: MailRooms, visit: Visit) -> Response:
    """Unread counts of a mailbox as JSON, for the script; with an ETag, so that no news costs no bytes."""
    opened = await open_mailbox(rooms, visit.mailbox())
    unread = {place.key: place.unread for place in pages.places(opened.folders, current=None)}
    stamp = hashlib.sha256(repr([(f.id, f.highest_modseq) for f in opened.folders]).encode()).hexdigest()[:20]
    headers = {"etag": f'"{stamp}"'}
    if visit.request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return JSONResponse({"unread": unread, "stamp": stamp}, headers=headers)


async def show_places(rooms: MailRooms, visit: Visit) -> Response:
    """The side bar as a page of its own, for narrow screens."""
    opened = await open_mailbox(rooms, visit.mailbox())
    side = await sidebar(rooms, visit.me, opened, None)
    return visit.page(
        "mail/places_page.html",
        title="Folders",
        sidebar=side,
        reading=None,
        query="",
        at_places=True,
        here=visit.here,
        counts_at="",
        places_href=f"/mailboxes/{opened.access.mailbox.id}",
    )


def _key(text: str) -> PageKey | None:
    """A page's key out of a link; anything else is the first page."""
    at, dash, uid = text.partition("-")
    if (
        not (dash and at.isascii() and at.isdigit() and uid.isascii() and uid.isdigit())
        or len(at) > 17
        or len(uid) > 10
    ):
        return None
    try:
        return datetime.fromtimestamp(int(at) / 1_000_000, tz=UTC), int(uid)
    except (OverflowError, ValueError, OSError):
        return None
