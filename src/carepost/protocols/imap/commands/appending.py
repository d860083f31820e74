"""APPEND: a message of the client's own, laid into a folder. RFC 9051 §6.3.12, RFC 4315, RFC 7889."""

from carepost.base.errors import NotPossible
from carepost.directory.access import Verb
from carepost.protocols.imap.commands.filing import read_flags
from carepost.protocols.imap.conversation import Answer, Conversation
from carepost.store.model import SpecialUse
from carepost.wire import imap_replies as replies
from carepost.wire.imap_commands import Append


async def append(talk: Conversation, command: Append) -> Answer:
    """The message is kept byte for byte; the answer comes after COMMIT."""
    if not command.message:
        return Answer.no("An empty message is not kept.", "CANNOT")
    bits, keywords = read_flags(command.flags)
    try:
        place, view = await talk.view(command.name, Verb.MAILBOX_WRITE)
    except NotPossible as error:
        return Answer.no(error.public, "TRYCREATE" if error.private.get("code") == "NONEXISTENT" else "CANNOT")
    await talk.note_opened(place)
    mail, mailbox = talk.services.mail, place.access.mailbox
    laid = None
    if mail.sent is not None and view.special_use is SpecialUse.SENT:
        # Their program keeps a copy of what it has just sent: it lies there, and only what it marks is noted.
        laid = await mail.sent.kept(mailbox, view, command.message)
    if laid is not None:
        await mail.filing.set_flags(mailbox, view.id, [laid.uid], add=bits, add_keywords=keywords)
    else:
        laid = await mail.filing.append(
            mailbox, view.id, command.message, flags=bits, keywords=keywords, internal_date=command.at
        )
    if talk.selected is not None and talk.selected.folder == view.id:
        talk.changed = True  # RFC 9051 §6.3.12: EXISTS comes before the answer
    return Answer.ok("The message is there.", replies.append_uid(laid.uidvalidity, laid.uid))
