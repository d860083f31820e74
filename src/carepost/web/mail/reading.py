"""The pages of one message: reading it, why it was delivered, where to move it, its parts."""

from dataclasses import dataclass
from datetime import timedelta

from markupsafe import Markup
from starlette.responses import RedirectResponse, Response

from carepost.base.errors import NotPossible
from carepost.directory.access import OnMailbox, Verb, is_allowed
from carepost.gateway.explain import explain
from carepost.message.model import Message
from carepost.message.summary import Summary, summarise
from carepost.store.model import Flag, FolderView, MessageRow, SpecialUse
from carepost.web.cleaning import clean, read
from carepost.web.mail import pages
from carepost.web.mail.letter import (
    PACKED,
    LetterView,
    attachment_views,
    is_viewable,
    plain_text,
    shown_attachments,
    shown_bodies,
)
from carepost.web.mail.lists import choices, folder_list, list_page
from carepost.web.mail.rooms import MailRooms, Opened, open_mailbox
from carepost.web.mail.sealed import AsRead
from carepost.web.mail.trust import scanned_words, trust_of
from carepost.web.sealing import ContentNote
from carepost.web.shell import NoSuchPage, Visit
from carepost.web.words import initials_of, long_time

GONE = "This message is no longer in this folder. It was moved or deleted."
FRAGMENT_HEADER = "x-carepost-part"  # the script asks for the reading pane alone


@dataclass(frozen=True, slots=True)
class _Found:
    """A message where it lies."""

    opened: Opened
    folder: FolderView
    row: MessageRow
    summary: Summary
    message: Message  # as it came
    seen: AsRead

    @property
    def at(self) -> str:
        return f"{pages.folder_href(self.folder.mailbox, self.folder.id)}/{self.row.uid}"


async def read_letter(rooms: MailRooms, visit: Visit) -> Response:
    found = await _fetch(rooms, visit)
    await _mark_seen(rooms, visit, found)
    letter = await _letter(visit, found)
    if visit.request.headers.get(FRAGMENT_HEADER) == "letter":
        return visit.page("mail/letter.html", reading=letter, heading="h2")
    opened = await open_mailbox(rooms, found.opened.access)  # the counts after it was marked as read
    folder = opened.folder(found.folder.id)
    shown = await folder_list(rooms, visit, opened, folder, opened_uid=found.row.uid)
    return await list_page(rooms, visit, opened, folder, shown, reading=letter, title=letter.subject)


async def why(rooms: MailRooms, visit: Visit) -> Response:
    """What was found about a message and what was decided, in plain words, by its trace id."""
    found = await _fetch(rooms, visit)
    record = None
    if found.row.trace is not None:
        mailbox = found.opened.access.mailbox
        record = await rooms.trace.for_reader(visit.me.actor, mailbox.organisation, mailbox.id, found.row.trace)
    return visit.page(
        "mail/why.html",
        title="Why it was delivered",
        back=found.at,
        subject=found.summary.subject or "No subject",
        trust=trust_of(found.message, found.row),
        story=explain(record, rooms.deck) if record else None,
        arrived=long_time(found.row.internal_date.astimezone(visit.house.policy.zone)),
        facts=_facts(found.row, found.summary),
    )


async def choose_folder(rooms: MailRooms, visit: Visit) -> Response:
    """Where to move a message: the menu that works everywhere."""
    opened = await open_mailbox(rooms, visit.mailbox())
    folder = opened.folder(visit.number("folder"))
    summary = await _summary(rooms, visit, opened, folder)
    at = pages.folder_href(folder.mailbox, folder.id)
    return visit.page(
        "mail/move.html",
        title="Move a message",
        back=f"{at}/{visit.number('uid')}",
        act=f"{at}/do",
        to_list=at,
        uid=visit.number("uid"),
        subject=summary.subject or "No subject",
        choices=choices(opened, folder),
    )


async def open_part(rooms: MailRooms, visit: Visit) -> Response:
    """To the content origin, with leave to look at one attachment for a few minutes."""
    opened = await open_mailbox(rooms, visit.mailbox())
    folder = opened.folder(visit.number("folder"))
    summary = await _summary(rooms, visit, opened, folder)
    if rooms.sealed is not None and any(kind in PACKED for _, _, kind, _ in summary.attachments):
        summary = (await _fetch(rooms, visit)).summary
    part = visit.request.path_params["part"]
    mode = "view" if visit.query("do") == "view" else "save"
    media_type = next((kind for path, _, kind, _ in summary.attachments if path == part), None)
    if media_type is None:
        raise NoSuchPage
    if mode == "view" and not is_viewable(media_type):
        raise NotPossible("A file of this kind can't be shown in the browser safely. It can only be saved.")
    if mode == "save" and visit.me.shared_computer:
        raise NotPossible("On a shared computer attachments can be looked at, and not saved.")
    return RedirectResponse(_content(visit, folder, part=part, mode=mode), status_code=303)


async def _fetch(rooms: MailRooms, visit: Visit) -> _Found:
    opened = await open_mailbox(rooms, visit.mailbox())
    folder = opened.folder(visit.number("folder"))
    uid, mailbox = visit.number("uid"), opened.access.mailbox
    rows = await rooms.messages.rows(mailbox, folder.id, [uid])
    raw = await rooms.messages.body(mailbox, folder.id, uid) if rows else None
    if raw is None:
        raise NotPossible(GONE)
    row, message = rows[0], await read(raw)
    seen = AsRead(message=message)
    if rooms.sealed is not None:
        seen = await rooms.sealed.as_read(mailbox, message, at=row.internal_date, trace=row.trace)
    return _Found(opened, folder, row, summarise(seen.message), message, seen)


async def _summary(rooms: MailRooms, visit: Visit, opened: Opened, folder: FolderView) -> Summary:
    uid = visit.number("uid")
    summaries = await rooms.messages.summaries(opened.access.mailbox, folder.id, [uid])
    if uid not in summaries:
        raise NotPossible(GONE)
    return summaries[uid]


async def _mark_seen(rooms: MailRooms, visit: Visit, found: _Found) -> None:
    mailbox, row = found.opened.access.mailbox, found.row
    if not row.flags & Flag.SEEN and is_allowed(visit.me.rights, Verb.MAILBOX_WRITE, OnMailbox.of(mailbox)):
        await rooms.filing.set_flags(mailbox, found.folder.id, [row.uid], add=int(Flag.SEEN))


async def _letter(visit: Visit, found: _Found) -> LetterView:
    folder, row, summary, message = found.folder, found.row, found.summary, found.seen.message
    list_at = pages.folder_href(folder.mailbox, folder.id)
    show, after = visit.query("show"), visit.query("after")
    bodies = shown_bodies(found.seen)
    as_html = bodies.html is not None and (visit.query("as") == "html" or bodies.plain is None)
    written = row.internal_date.astimezone(visit.house.policy.zone)
    sender = summary.sender_name or summary.sender_address or "No sender"
    findings = pages.summary_matters(summary)
    if bodies.html is not None and as_html:
        findings += [finding.says for finding in (await clean(message.text(bodies.html[1]))).findings]
    return LetterView(
        uid=row.uid,
        href=pages.with_query(found.at, show=show, after=after),
        back=pages.with_query(list_at, show=show, after=after),
        folder=pages.title_of(folder),
        act=f"{list_at}/do",
        move_href=f"{found.at}/move",
        why_href=f"{found.at}/why",
        write_at=f"/write/{folder.mailbox}",
        place=f"{folder.id}-{row.uid}",
        subject=summary.subject or "No subject",
        sender=sender,
        address=summary.sender_address,
        initials=initials_of(sender),
        hue=pages.hue_of(summary.sender_address),
        to=pages.people(summary.to_shown) or "nobody it names",
        cc=pages.people(summary.cc_shown),
        at=written.isoformat(timespec="minutes"),
        when=long_time(written),
        flagged=bool(row.flags & Flag.FLAGGED),
        in_archive=folder.special_use is SpecialUse.ARCHIVE,
        in_bin=folder.special_use is SpecialUse.TRASH,
        trust=trust_of(found.message, row),
        seals=found.seen.notices,
        findings=tuple(findings),
        shown_as=_shown_as(is_html=as_html, both=bodies.html is not None and bodies.plain is not None),
        other_href=_other(found.at, show, after, is_html=as_html) if bodies.html and bodies.plain else "",
        other_words="Show it as plain text" if as_html else "Show it as it was laid out",
        frame_at=_content(visit, folder, part="", mode="body") if as_html else "",
        own_page_href=_content(visit, folder, part="", mode="page") if as_html else "",
        text=plain_text(message, bodies.plain[1]) if bodies.plain and not as_html else _no_text(summary, found.seen),
        attachments=attachment_views(
            shown_attachments(found.seen, summary),
            at=found.at,
            scanned=scanned_words(row),
            may_save=not visit.me.shared_computer,
        ),
        sent_href=_sent(folder, row),
    )


def _sent(folder: FolderView, row: MessageRow) -> str:
    went = folder.special_use is SpecialUse.SENT and row.trace is not None
    return f"/sent/{folder.mailbox}/{folder.id}/{row.uid}" if went else ""


def _shown_as(*, is_html: bool, both: bool) -> str:
    if is_html:
        return "Shown as it was laid out."
    return "Shown as plain text." if both else ""


def _other(at: str, show: str, after: str, *, is_html: bool) -> str:
    return pages.with_query(at, **{"as": "text" if is_html else "html", "show": show, "after": after})


def _no_text(summary: Summary, seen: AsRead) -> Markup:
    if seen.is_shut:
        return Markup("Nothing of it is shown.")
    if summary.attachments:
        return Markup("This message has no text of its own. See what is attached.")
    return Markup("This message is empty.")


def _content(visit: Visit, folder: FolderView, *, part: str, mode: str) -> str:
    me = visit.me
    note = ContentNote(
        organisation=me.organisation,
        person=me.person,
        session=me.session,
        mailbox=folder.mailbox,
        folder=folder.id,
        uid=visit.number("uid"),
        part=part,
        mode=mode,
    )
    policy = visit.house.policy
    sealed = visit.house.notes.seal(note, bound_to="", lasts=timedelta(seconds=policy.content_link_seconds))
    return f"{policy.content_origin}/c/{sealed}"


def _facts(row: MessageRow, summary: Summary) -> tuple[tuple[str, str], ...]:
    return (
        ("From", f"{summary.sender_name} <{summary.sender_address}>" if summary.sender_address else "No sender"),
        ("To", pages.people(summary.to_shown)),
        ("Message-ID", summary.message_id or "None"),
        ("Trace", str(row.trace) if row.trace else "None: it did not come through the gateway"),
        ("Size", pages.size_words(row.size)),
    )
