"""What somebody typed into the form of a message, and what of it is not right."""

from datetime import datetime, timedelta, tzinfo

from carepost.base.errors import Malformed
from carepost.base.ids import new_trace_id
from carepost.directory.model import MailboxAccess, MailboxKind
from carepost.message.addresses import Address
from carepost.message.compose import Attachment
from carepost.message.words import text_of_html
from carepost.web.cleaning import clean
from carepost.web.forms import Form
from carepost.web.mail import pages as mail_pages
from carepost.web.model import Visitor
from carepost.web.writing.draft import AnswersTo, Writing, read_people
from carepost.web.writing.file_desk import names_in
from carepost.web.writing.rooms import WritingPolicy

_PEOPLE = ("to", "cc", "bcc")
_TYPED_MAX = 12_000  # characters of one field of recipients
_SIGNATURE_MAX = 10_000  # what a signature and its blanks, filled, can come to


def as_typed(form: Form) -> Writing:
    """The words alone: what is shown again when they cannot be made into a message."""
    to, cc, bcc = (form.words(name, _TYPED_MAX) for name in _PEOPLE)
    return Writing(
        to=to,
        cc=cc,
        bcc=bcc,
        subject=form.text("subject"),
        text=form.words("text"),
        signature=form.words("signature", _SIGNATURE_MAX),
        large=_large(form, None),
    )


async def written(form: Form, earlier: Writing | None, policy: WritingPolicy) -> Writing:
    """The whole form, with the files that the draft `earlier` has already. Raises Malformed."""
    if len(form.values.get("text", "")) > policy.text_characters_max:
        raise Malformed("The text is too long for a message. Attach it as a file.")  # never cut off in silence
    typed = as_typed(form)
    html = _layout(form, typed, earlier)
    safe = (await clean(html)).html if html else ""
    return Writing(
        to=typed.to,
        cc=typed.cc,
        bcc=typed.bcc,
        subject=typed.subject,
        text=typed.text if typed.text.strip() or not safe else text_of_html(safe),
        html=safe,
        files=_files(form, earlier),
        answers_to=_answers_to(form, earlier),
        reply_all=form.text("reply_all") == "yes",
        in_reply_to=form.text("in_reply_to"),
        references=tuple(form.words("references", _TYPED_MAX).split()),
        secure=form.text("secure") == "yes",
        send_at=form.text("send_at"),
        message_id=earlier.message_id if earlier is not None else "",
        signature=form.words("signature", _SIGNATURE_MAX),
        large=_large(form, earlier),
    )


def _large(form: Form, earlier: Writing | None) -> tuple[str, ...]:
    """Files too large for email: the draft's, and what the page has uploaded since."""
    kept, removed = earlier.large if earlier is not None else (), form.text("remove_large")
    return tuple(name for name in names_in([*kept, *form.many.get("large", ())]) if name != removed)


def _layout(form: Form, typed: Writing, earlier: Writing | None) -> str:
    """The laid-out form of the text, if it is of this very text: without the script only the plain text changes."""
    if form.text("laid") == "yes":
        return form.words("html")
    unchanged = earlier is not None and earlier.text.split() == typed.text.split()
    return earlier.html if earlier is not None and unchanged else ""


def _files(form: Form, earlier: Writing | None) -> tuple[Attachment, ...]:
    removed = form.number("remove")
    kept = earlier.files if earlier is not None else ()
    stays = [file for number, file in enumerate(kept) if number != removed]
    return (*stays, *(_attachment(one.name, one.media_type, one.content) for one in form.files if one.content))


def _attachment(name: str, media_type: str, content: bytes) -> Attachment:
    """The browser's word for what it is, if it is one that a message can carry as a file."""
    kind, slash, subtype = media_type.partition("/")
    plain = media_type.isascii() and all(c.isalnum() or c in ".+-" for c in kind + subtype)
    right = bool(slash and kind and subtype and plain and kind not in {"multipart", "message"})
    return Attachment(name, media_type if right else "application/octet-stream", content)


def _answers_to(form: Form, earlier: Writing | None) -> AnswersTo | None:
    if earlier is not None and earlier.answers_to is not None:
        return earlier.answers_to
    folder, uid = form.number("answers_folder"), form.number("answers_uid")
    if folder is None or uid is None:
        return None
    return AnswersTo(folder, uid, {"yes": True, "no": False}.get(form.text("answers_bcc")))


def look_for_errors(form: Form, writing: Writing, policy: WritingPolicy, *, now: datetime, zone: tzinfo) -> bool:
    """Notes on the form what must be put right before it can be sent; True when nothing must."""
    people = {name: read_people(getattr(writing, name)) for name in _PEOPLE}
    for name, read in people.items():
        if read.wrong:
            form.wrong(name, f"This is not an email address: {read.wrong[0]}. Check it, or take it out.")
    if not any(read.found for read in people.values()) and "to" not in form.errors:
        form.wrong("to", "Say whom the message is for.")
    if writing.octets > policy.attachments_octets_max:
        most = mail_pages.size_words(policy.attachments_octets_max)
        form.wrong("files", f"The attachments come to more than {most}. Take some out.")
    try:
        send_at(writing.send_at, policy, now=now, zone=zone)
    except Malformed as error:
        form.wrong("send_at", error.public)
    return form.is_right


def send_at(typed: str, policy: WritingPolicy, *, now: datetime, zone: tzinfo) -> datetime | None:
    """The hour they chose, in their own time; None for at once. Raises Malformed."""
    if not typed:
        return None
    try:
        local = datetime.fromisoformat(typed)
    except ValueError as error:
        raise Malformed("The time to send it at is not a time: for example 2026-11-24T08:30.") from error
    at = local.replace(tzinfo=local.tzinfo or zone)
    if at < now - timedelta(minutes=5):
        raise Malformed("The time to send it at has passed. Choose a later one, or leave it empty.")
    if at > now + timedelta(days=policy.schedule_days_max):
        raise Malformed(f"A message can wait for {policy.schedule_days_max} days at most.")
    return at


def sender_of(visitor: Visitor, access: MailboxAccess) -> Address:
    """Who it comes from, as recipients see it: the person, or the shared mailbox."""
    own = access.mailbox.kind is MailboxKind.PERSONAL
    return Address(visitor.name if own else access.mailbox.display_name, str(access.mailbox.address))


def message_id_of(writing: Writing, access: MailboxAccess) -> str:
    """The draft's own, so that a letter that is sent again by mistake is known as the same."""
    return writing.message_id or f"{new_trace_id()}@{access.mailbox.address.domain.name}"
