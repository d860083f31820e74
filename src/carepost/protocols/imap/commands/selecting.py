"""Opening and leaving a folder: SELECT, EXAMINE, CLOSE, UNSELECT, CHECK, NOOP. RFC 9051 §6.3.2, §6.4.1."""

from carepost.directory.access import OnMailbox, Verb, is_allowed
from carepost.protocols.imap.conversation import Answer, Conversation
from carepost.protocols.imap.session import Selected
from carepost.store.model import Flag
from carepost.wire import imap_replies as replies
from carepost.wire.imap_commands import Check, Close, Noop, Select, Unselect


async def select(talk: Conversation, command: Select) -> Answer:
    # RFC 9051 §6.3.2: whatever was selected is left, even when this fails.
    if talk.selected is not None:
        talk.unselect()
        await talk.say(replies.untagged("OK", "The folder that was open is closed.", "CLOSED"))
    place, view = await talk.view(command.name, Verb.MAILBOX_READ)
    await talk.note_opened(place)
    mailbox = place.access.mailbox
    may_write = is_allowed(await talk.rights(), Verb.MAILBOX_WRITE, OnMailbox.of(mailbox))
    talk.watch(mailbox.id, view.id)
    try:
        outlines = await talk.services.mail.reading.outlines(mailbox, view.id)
    except BaseException:
        talk.unselect()
        raise
    selected = Selected(
        mailbox=mailbox,
        view=view,
        name=command.name,
        outlines=outlines,
        read_only=command.read_only or not may_write,
        shared=place.shared,
    )
    if command.condstore:
        talk.condstore = True
    talk.select(selected)
    await talk.say(*_opening(talk, selected, uidnext=view.uidnext))
    code = "READ-ONLY" if selected.read_only else "READ-WRITE"
    return Answer.ok("The folder is open.", code)


def _opening(talk: Conversation, selected: Selected, *, uidnext: int) -> list[bytes]:
    keywords = selected.keywords_of_folder()
    permanent = "" if selected.read_only else " ".join((*replies_flags(), *keywords, "\\*"))
    last = selected.uids[-1] if selected.uids else 0
    lines = [
        replies.folder_flags(keywords),
        replies.untagged("OK", "These are kept.", f"PERMANENTFLAGS ({permanent})"),
        replies.exists(len(selected)),
    ]
    if not talk.rev2:
        lines.append(replies.recent())
        unseen = next((at for at, flags in enumerate(selected.flags) if not flags & Flag.SEEN), None)
        if unseen is not None:
            lines.append(replies.untagged("OK", "The first unread message.", f"UNSEEN {unseen + 1}"))
    lines += [
        replies.untagged("OK", "UIDs are valid.", f"UIDVALIDITY {selected.uidvalidity}"),
        replies.untagged("OK", "The next UID.", f"UIDNEXT {max(uidnext, last + 1)}"),
        replies.untagged("OK", "The newest change.", f"HIGHESTMODSEQ {max(selected.synced, 1)}"),
    ]
    if talk.rev2:
        lines.append(replies.listed([], selected.name, utf8=talk.utf8))
    return lines


def replies_flags() -> tuple[str, ...]:
    return tuple(name for _, name in replies.SYSTEM_FLAGS)


async def unselect(talk: Conversation, _command: Unselect) -> Answer:
    talk.unselect()
    return Answer.ok("The folder is closed.")


async def close(talk: Conversation, _command: Close) -> Answer:
    """RFC 9051 §6.4.1: what is \\Deleted goes, and nobody is told which."""
    selected = talk.folder
    talk.unselect()
    if not selected.read_only and any(flags & Flag.DELETED for flags in selected.flags):
        await talk.ask(Verb.MAILBOX_DELETE, selected.mailbox)
        await talk.services.mail.filing.expunge(talk.actor, selected.mailbox, selected.folder)
    return Answer.ok("The folder is closed.")


async def look(talk: Conversation, _command: Noop | Check) -> Answer:
    """NOOP and CHECK: say what is new, having asked the store."""
    if talk.selected is not None:
        await talk.ask(Verb.MAILBOX_READ, talk.selected.mailbox)
        await talk.look(certainly=True)
    return Answer.ok("That is all that is new.")
