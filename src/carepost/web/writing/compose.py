"""The pages of writing: a new message, an answer, a forward, a draft.

Promises
    Everything works as a plain form; the script only saves by itself, suggests recipients and lays out text.
    What was typed is saved as a draft before anything else is done with it: no press of a button loses a word.
"""

import secrets
from dataclasses import replace

from starlette.responses import JSONResponse, Response

from carepost.base.address import EmailAddress
from carepost.base.errors import MailError, Malformed, NotPossible, TryLater
from carepost.directory.correspondents_model import NOT_FOR_URGENT
from carepost.directory.model import MailboxAccess
from carepost.gateway.out.outgoing import Submitted
from carepost.message.addresses import Address
from carepost.web.cleaning import read
from carepost.web.mail import pages as mail_pages
from carepost.web.mail.rooms import open_mailbox
from carepost.web.sealing import SaidNote
from carepost.web.shell import NoSuchPage, Visit
from carepost.web.words import long_time
from carepost.web.writing.draft import Writing, forward_of, read_people, reply_to
from carepost.web.writing.drafts import Drafts, Saved
from carepost.web.writing.files import large_given, put_aside
from carepost.web.writing.insertions import begun, gone_on, sent_from, templates_for, with_chosen
from carepost.web.writing.pages import CheckView, several
from carepost.web.writing.rooms import WritingRooms, as_told
from carepost.web.writing.secure import ask_first
from carepost.web.writing.sending import Sending
from carepost.web.writing.typed import as_typed, look_for_errors, message_id_of, sender_of, written

# The script asks for a word about the draft instead of a page.
PART_HEADER = "x-carepost-part"
_ELSEWHERE = (
    "This message was sent or changed in another window, or Send was pressed twice. Look into Sent first. If this one "
    "must go as well, check its attachments and press Send again."
)
_ASK_FIRST = "ask-first:"
_GONE = "The message is no longer in this folder. It was moved or deleted."


async def begin(rooms: WritingRooms, visit: Visit) -> Response:
    """A new message, an answer (?reply=FOLDER-UID, ?all=FOLDER-UID), ?forward=, or ?draft=UID to go on with."""
    access = visit.mailbox()
    for name in ("reply", "all", "forward"):
        if visit.query(name):
            about = await _about(rooms, visit, access, name, visit.query(name))
            return await _page(rooms, visit, access, await begun(rooms, visit, access, about))
    if not visit.query("draft"):
        return await _page(rooms, visit, access, await begun(rooms, visit, access, Writing(to=visit.query("to"))))
    uid = _whole(visit.query("draft"))
    writing = await (await Drafts.of(rooms.mail, access)).open(uid)
    if writing is None:
        raise NotPossible("This draft is no longer there: it was sent, deleted, or changed in another window.")
    return await _page(rooms, visit, access, await gone_on(rooms, visit, access, writing), uid=uid)


async def act(rooms: WritingRooms, visit: Visit) -> Response:
    """Do what the pressed button says, with what was typed saved first."""
    access, form, deed = visit.mailbox(), visit.form, visit.form.text("do")
    drafts, uid = await Drafts.of(rooms.mail, access), form.number("draft")
    if deed == "discard":
        if uid is not None:
            await drafts.discard(uid)
        return visit.go(drafts.home, SaidNote("The draft was deleted."))
    try:
        writing = await written(form, await _earlier(rooms, visit, drafts, uid), rooms.policy)
        writing = await put_aside(rooms, visit, access, writing)
        saved = await _saved(visit, drafts, writing, uid)
    except Malformed as error:
        form.wrong("text", error.public)  # what cannot be a message cannot be a draft: the page keeps it
        return await _page(rooms, visit, access, as_typed(form), uid=uid)
    if deed == "send" and saved.elsewhere:
        # Whoever pressed Send before, here or in another window, has sent it, or changed it: a person looks first.
        form.wrong("text", _ELSEWHERE)
        return await _page(rooms, visit, access, writing, uid=saved.uid, saved=saved)
    if deed == "send":
        return await _send(rooms, visit, Sending(rooms, visit, drafts, writing, saved.uid), saved)
    if deed.startswith(_ASK_FIRST):
        return await _ask_first(rooms, visit, drafts, writing, saved)
    if deed in {"from", "template"}:
        return await _insert(rooms, visit, drafts, writing, saved)
    if visit.request.headers.get(PART_HEADER) == "saved":
        words = {**_saved_words(visit, saved), "not_urgent": await _not_for_urgent(rooms, writing)}
        return JSONResponse(words)
    if deed == "close":
        return visit.go(drafts.home, SaidNote("Saved as a draft."))
    return await _page(rooms, visit, access, writing, uid=saved.uid, saved=saved)


async def _send(rooms: WritingRooms, visit: Visit, sending: Sending, saved: Saved) -> Response:
    access, writing = sending.drafts.access, sending.writing
    now, zone = rooms.mail.clock.now(), visit.house.policy.zone
    if not look_for_errors(visit.form, writing, rooms.policy, now=now, zone=zone):
        return await _page(rooms, visit, access, writing, uid=saved.uid, saved=saved)
    try:
        result = await sending.send()
    except TryLater as error:
        visit.form.wrong("text", f"{error.public} The message is safe among your drafts.")
        return await _page(rooms, visit, access, writing, uid=saved.uid, saved=saved)
    except MailError as error:
        visit.form.wrong("to", error.public)
        return await _page(rooms, visit, access, writing, uid=saved.uid, saved=saved)
    if isinstance(result, Submitted):
        return visit.go(sending.drafts.home, sending.leaves(result))
    for number, refusal in enumerate(result.refusals):
        visit.form.wrong("to" if number == 0 else f"refusal-{number}", refusal)
    return await _page(rooms, visit, access, writing, uid=saved.uid, saved=saved, check=result)


async def _ask_first(rooms: WritingRooms, visit: Visit, drafts: Drafts, writing: Writing, saved: Saved) -> Response:
    """One of the recipients is asked whether this is them; the message stays a draft. R130."""
    typed = visit.form.text("do").removeprefix(_ASK_FIRST)
    named = [one for field in (writing.to, writing.cc, writing.bcc) for one in read_people(field).found]
    try:
        address = EmailAddress.parse(typed)
        if address.key not in {EmailAddress.parse(one.address).key for one in named}:
            raise Malformed("They are not among the recipients any more.")
        said = await ask_first(rooms.links, visit, address)
    except MailError as error:
        visit.form.wrong("to", error.public)
        return await _page(rooms, visit, drafts.access, writing, uid=saved.uid, saved=saved)
    note = SaidNote(f"{said} The message was not sent: it is kept as a draft.")
    return visit.go(f"/write/{drafts.access.mailbox.id}?draft={saved.uid}", note)


async def _insert(rooms: WritingRooms, visit: Visit, drafts: Drafts, writing: Writing, saved: Saved) -> Response:
    """Another mailbox to send from, or a template's words: saved, and shown."""
    form, access, deed = visit.form, drafts.access, visit.form.text("do")
    try:
        if deed == "from":
            other, writing = await sent_from(rooms, visit, writing, form.number("from"))
            if other.mailbox.id == access.mailbox.id:
                return await _page(rooms, visit, access, writing, uid=saved.uid, saved=saved)
            there = await Drafts.of(rooms.mail, other)
            moved = await _saved(visit, there, replace(writing, message_id=""), None)
            await drafts.discard(saved.uid)
            said = SaidNote(f"It is sent from {other.mailbox.display_name} now.")
            return visit.go(f"/write/{other.mailbox.id}?draft={moved.uid}", said)
        writing = await with_chosen(rooms, visit, access, writing, form.number("template"))
    except MailError as error:
        form.wrong(deed, error.public)
        return await _page(rooms, visit, access, writing, uid=saved.uid, saved=saved)
    saved = await _saved(visit, drafts, writing, saved.uid)
    return await _page(rooms, visit, access, writing, uid=saved.uid, saved=saved)


async def _saved(visit: Visit, drafts: Drafts, writing: Writing, uid: int | None) -> Saved:
    access = drafts.access
    return await drafts.save(
        writing, uid=uid, sender=sender_of(visit.me, access), message_id=message_id_of(writing, access)
    )


async def _earlier(rooms: WritingRooms, visit: Visit, drafts: Drafts, uid: int | None) -> Writing | None:
    """What has the files that the form cannot carry: the draft, or the message that is forwarded."""
    if uid is not None:
        return await drafts.open(uid)
    forwarded = visit.form.text("forward")
    return await _about(rooms, visit, drafts.access, "forward", forwarded) if forwarded else None


async def suggest(rooms: WritingRooms, visit: Visit) -> Response:
    """Whom the person may mean, for the script. Nobody is chosen for them (R147)."""
    mailbox, typed = visit.mailbox().mailbox, visit.query("q")[:100]
    return JSONResponse(
        as_told(await rooms.suggestions.suggest(visit.me.actor, mailbox, typed, rooms.policy.suggestions))
    )


async def forget(rooms: WritingRooms, visit: Visit) -> Response:
    """A suggestion that is not wanted any more (R150)."""
    address = EmailAddress.parse(visit.form.text("address"))
    await rooms.suggestions.forget(visit.me.actor, visit.mailbox().mailbox, address)
    return visit.go(f"/write/{visit.mailbox().mailbox.id}", SaidNote("It will not be suggested again."))


async def _about(rooms: WritingRooms, visit: Visit, access: MailboxAccess, name: str, place: str) -> Writing:
    """What an answer to, or a forward of, the message at `place` (FOLDER-UID) begins with."""
    folder_text, _, uid_text = place.partition("-")
    uid = _whole(uid_text)
    folder = (await open_mailbox(rooms.mail, access)).folder(_whole(folder_text))
    rows = await rooms.mail.messages.rows(access.mailbox, folder.id, [uid])
    raw = await rooms.mail.messages.body(access.mailbox, folder.id, uid)
    if raw is None or not rows:
        raise NotPossible(_GONE)
    original = await read(raw)
    sender = next(iter(original.authors()), Address("", ""))
    when = long_time((original.date or rows[0].internal_date).astimezone(visit.house.policy.zone))
    if name == "forward":
        return forward_of(original, when=when, sender=sender)
    ours = str(access.mailbox.address)
    return reply_to(original, ours=ours, folder=folder.id, uid=uid, everybody=name == "all", when=when, sender=sender)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise NoSuchPage
    return int(text)


async def _page(
    rooms: WritingRooms,
    visit: Visit,
    access: MailboxAccess,
    writing: Writing,
    *,
    uid: int | None = None,
    saved: Saved | None = None,
    check: CheckView | None = None,
) -> Response:
    mailbox = access.mailbox
    sizes = [mail_pages.size_words(len(file.content)) for file in writing.files]
    given = {
        "title": writing.subject or "New message",
        "writing": writing,
        "form": visit.form,
        "act": f"/write/{mailbox.id}",
        "back": f"/mail/{mailbox.id}",
        "sender": f"{sender_of(visit.me, access).name} <{mailbox.address}>",
        "boxes": [one.mailbox for one in visit.me.mailboxes.values()],
        "mailbox": mailbox,
        "templates": await templates_for(rooms, visit, access),
        "not_urgent": await _not_for_urgent(rooms, writing),
        "once": secrets.token_urlsafe(16) if uid is None else "",
        "uid": uid,
        "forward": visit.query("forward") or visit.form.text("forward"),
        "files": [(n, file.filename, size) for n, (file, size) in enumerate(zip(writing.files, sizes, strict=True))],
        "attach_max": mail_pages.size_words(rooms.policy.attachments_octets_max),
        **await large_given(rooms, visit, mailbox, writing),
        "saved": _saved_words(visit, saved) if saved is not None else None,
        "check": check,
        "suggest_at": f"/write/{mailbox.id}/suggest",
    }
    again = check is not None or not visit.form.is_right
    return (visit.page_again if again else visit.page)("writing/compose.html", **given)


async def _not_for_urgent(rooms: WritingRooms, writing: Writing) -> str:
    """Who of the recipients does not look at it at once (R62), in words; empty for nobody."""
    typed = (writing.to, writing.cc, writing.bcc)
    people = [EmailAddress.parse(one.address) for field in typed for one in read_people(field).found]
    entries = await rooms.suggestions.entries(people) if people else {}
    names = [entry.name for entry in entries.values() if entry.not_for_urgent]
    return f"{NOT_FOR_URGENT}: {several(names)}. Telephone if it cannot wait." if names else ""


def _saved_words(visit: Visit, saved: Saved) -> dict[str, object]:
    says = f"Saved {saved.at.astimezone(visit.house.policy.zone):%H:%M}"
    if saved.elsewhere:
        says += ". This draft was changed or sent in another window: yours is kept as a draft of its own."
    return {"uid": saved.uid, "says": says}
