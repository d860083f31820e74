"""PURE. What each page of web mail is given: words and links, ready to be written.

Promises
    Nothing here is markup; templates escape every character of it.
    The sender's address is always shown when the name is not the address, and a name that lies is never shown (M8).
    Times are the reader's (Europe/London unless said otherwise), and every short form has the whole date beside it.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from urllib.parse import urlencode

from carepost.base.ids import FolderId, MailboxId
from carepost.message.summary import Summary
from carepost.store.model import Flag, FolderView, Listed, PageKey, SpecialUse
from carepost.web.words import initials_of

FACES = 8  # Colours of the round face; the same sender always has the same.
RECIPIENTS_SHOWN = 6

# Set by the gateway where a card wants the reader warned (R139): of something particular, or that it is from outside.
WARNED, OUTSIDE = "$CarepostWarning", "$CarepostOutside"

_TITLES = {
    SpecialUse.INBOX: "Inbox",
    SpecialUse.ARCHIVE: "Archive",
    SpecialUse.DRAFTS: "Drafts",
    SpecialUse.JUNK: "Junk",
    SpecialUse.SENT: "Sent",
    SpecialUse.TRASH: "Bin",
}
_ICONS = {
    SpecialUse.INBOX: "inbox",
    SpecialUse.ARCHIVE: "archive",
    SpecialUse.DRAFTS: "drafts",
    SpecialUse.JUNK: "junk",
    SpecialUse.SENT: "sent",
    SpecialUse.TRASH: "trash",
}
_ORDER = (SpecialUse.INBOX, SpecialUse.DRAFTS, SpecialUse.SENT, SpecialUse.ARCHIVE, SpecialUse.JUNK, SpecialUse.TRASH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder in the side bar."""

    name: str
    href: str
    icon: str
    unread: int
    current: bool
    level: int
    key: str  # what the counts are told by


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPlace:
    name: str
    href: str
    unread: int
    current: bool
    key: str
    folders: tuple[Place, ...]  # only of the one that is open


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidebar:
    mailbox: MailboxId  # where a search looks
    own_name: str
    own: tuple[Place, ...]
    shared: tuple[SharedPlace, ...]
    folders_href: str
    quarantine: int | None  # waiting; None for those who may not review
    at_quarantine: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One message in a list."""

    uid: int
    href: str
    sender: str
    initials: str
    hue: int
    subject: str
    preview: str
    when: str
    at: str
    day: str  # a heading above this line; empty when the line before has the same
    unread: bool
    flagged: bool
    answered: bool
    attachments: bool
    pill: str  # "Take care", "Outside", or nothing
    open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    name: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    id: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListView:
    title: str
    unread: int
    lines: tuple[Line, ...]
    filters: tuple[Filter, ...]
    act: str
    move_to: tuple[Choice, ...]
    newer: str
    older: str
    nothing: str
    nothing_more: str
    in_bin: bool = False
    in_junk: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """One sentence on where the message came from. `kind` is good, outside or bad."""

    kind: str
    icon: str
    title: str
    says: str


def folder_href(mailbox: MailboxId, folder: FolderId) -> str:
    return f"/mail/{mailbox}/{folder}"


def title_of(folder: FolderView) -> str:
    """What people call it: the bin is the Bin, whatever IMAP says."""
    if folder.special_use is not None and "/" not in folder.name:
        return _TITLES[folder.special_use]
    return folder.name.rpartition("/")[2]


def in_order(folders: Sequence[FolderView]) -> list[FolderView]:
    """The special ones in their usual order, then the rest by name."""

    def place(folder: FolderView) -> tuple[int, str]:
        rank = _ORDER.index(folder.special_use) if folder.special_use in _ORDER else len(_ORDER)
        return rank, folder.name.casefold()

    return sorted(folders, key=place)


def places(folders: Sequence[FolderView], *, current: FolderId | None) -> tuple[Place, ...]:
    return tuple(
        Place(
            name=title_of(folder),
            href=folder_href(folder.mailbox, folder.id),
            icon=_ICONS[folder.special_use] if folder.special_use else "folder",
            # In the bin, junk and sent an unread count asks for nothing; in drafts every message counts.
            unread=_asking(folder),
            current=folder.id == current,
            level=min(folder.name.count("/") + 1, 3),
            key=f"{folder.mailbox}-{folder.id}",
        )
        for folder in in_order(folders)
    )


def _asking(folder: FolderView) -> int:
    if folder.special_use in {SpecialUse.TRASH, SpecialUse.JUNK, SpecialUse.SENT}:
        return 0
    return folder.messages if folder.special_use is SpecialUse.DRAFTS else folder.unseen


def lines(
    listed: Sequence[Listed], *, href: Callable[[int], str], now: datetime, zone: tzinfo, opened: int | None = None
) -> tuple[Line, ...]:
    shown: list[Line] = []
    heading = ""
    for item in listed:
        at = item.row.internal_date.astimezone(zone)
        day = day_of(at, now.astimezone(zone))
        shown.append(
            _line(
                item,
                href=href(item.row.uid),
                at=at,
                now=now.astimezone(zone),
                day="" if day == heading else day,
                is_open=item.row.uid == opened,
            )
        )
        heading = day
    return tuple(shown)


def _line(item: Listed, *, href: str, at: datetime, now: datetime, day: str, is_open: bool) -> Line:
    row, summary = item.row, item.summary
    sender = summary.sender_name or summary.sender_address or "No sender"
    return Line(
        uid=row.uid,
        href=href,
        sender=sender,
        initials=initials_of(sender),
        hue=hue_of(summary.sender_address),
        subject=summary.subject or "No subject",
        preview=summary.preview,
        when=short_time(at, now),
        at=at.isoformat(timespec="minutes"),
        day=day,
        unread=not row.flags & Flag.SEEN,
        flagged=bool(row.flags & Flag.FLAGGED),
        answered=bool(row.flags & Flag.ANSWERED),
        attachments=bool(summary.attachments),
        pill="Take care" if WARNED in row.keywords else "Outside" if OUTSIDE in row.keywords else "",
        open=is_open,
    )


def filters(at: str, show: str) -> tuple[Filter, ...]:
    return tuple(
        Filter(name=name, href=at + (f"?show={value}" if value else ""), current=show == value)
        for name, value in (("All", ""), ("Unread", "unread"), ("Flagged", "flagged"))
    )


def with_query(path: str, **words: str | int | None) -> str:
    kept = {name: str(value) for name, value in words.items() if value not in (None, "")}
    return f"{path}?{urlencode(kept)}" if kept else path


def key_words(key: PageKey | None) -> str:
    """A page's key as it stands in a link: whole microseconds, then the uid."""
    if key is None:
        return ""
    at, uid = key
    return f"{round(at.timestamp() * 1_000_000)}-{uid}"


def day_of(at: datetime, now: datetime) -> str:
    """The heading under which a day's messages stand."""
    days = (now.date() - at.date()).days
    if days <= 0:
        return "Today"
    if days == 1:
        return "Yesterday"
    if days <= now.weekday():
        return "Earlier this week"
    if days <= now.weekday() + 7:
        return "Last week"
    if (at.year, at.month) == (now.year, now.month):
        return "Earlier this month"
    return f"{at:%B %Y}"


def short_time(at: datetime, now: datetime) -> str:
    """Time today, weekday this week, date this year, else the whole date. British order."""
    if at.date() == now.date():
        return f"{at:%H:%M}"
    if timedelta(0) <= now - at < timedelta(days=6):
        return f"{at:%a} {at:%H:%M}"
    return f"{at.day} {at:%b}" if at.year == now.year else f"{at.day} {at:%b} {at:%Y}"


def hue_of(address: str) -> int:
    return zlib.crc32(address.lower().encode()) % FACES


def people(shown: Sequence[tuple[str, str]]) -> str:
    """Names for the To line; after six, how many more."""
    names = [name or address for name, address in shown]
    more = len(names) - RECIPIENTS_SHOWN
    return ", ".join(names[:RECIPIENTS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def size_words(octets: int) -> str:
    if octets < 1000:
        return f"{octets} bytes"
    if octets < 1_000_000:
        return f"{round(octets / 1000)} KB"
    return f"{octets / 1_000_000:.1f} MB"


def summary_matters(summary: Summary) -> list[str]:
    """What the parser noticed and a reader should know."""
    return ["Parts of this message are not built as they should be."] if summary.defects else []
