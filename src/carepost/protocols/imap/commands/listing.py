"""What folders there are: LIST, LSUB, STATUS, NAMESPACE. RFC 9051 §6.3.9-6.3.11, RFC 5258, RFC 5819, RFC 6154."""

from collections.abc import Sequence

from carepost.base.ids import FolderId, MailboxId
from carepost.directory.access import OnMailbox, Verb, is_allowed
from carepost.directory.model import MailboxAccess
from carepost.protocols.imap.conversation import Answer, Conversation
from carepost.protocols.imap.names import DELIMITER, SHARED, SPECIAL_USES, Shown, matches, tree
from carepost.store.model import Flag, FolderView, MailboxLike
from carepost.wire import imap_replies as replies
from carepost.wire.imap_commands import List, Lsub, Namespace, Status, StatusItem


async def namespace(talk: Conversation, _command: Namespace) -> Answer:
    await talk.say(replies.namespace(personal="", others=SHARED + DELIMITER, utf8=talk.utf8))
    return Answer.ok("Your own folders are at the top; shared mailboxes are under Shared.")


async def list_folders(talk: Conversation, command: List) -> Answer:
    if command.patterns == ("",) and not command.only_subscribed:
        # RFC 9051 §6.3.9: the delimiter and the root of the reference.
        root = SHARED if command.reference.startswith(SHARED) else ""
        await talk.say(replies.listed(["\\Noselect"], root, utf8=talk.utf8))
        return Answer.ok("Names are divided by a slash.")
    patterns = [command.reference + pattern for pattern in command.patterns if pattern]
    folders = await _folders(talk)
    owners = {(view.mailbox, view.id): access for access, view in folders}
    lines: list[bytes] = []
    for shown in tree(folders):
        if not any(matches(pattern, shown.name) for pattern in patterns):
            continue
        lines += await _lines(talk, command, shown, folders, owners)
    await talk.say(*lines)
    return Answer.ok("That is all.")


async def _lines(
    talk: Conversation,
    command: List,
    shown: Shown,
    folders: Sequence[tuple[MailboxAccess, FolderView]],
    owners: dict[tuple[MailboxId, FolderId], MailboxAccess],
) -> list[bytes]:
    view = shown.view
    below = command.recursive_match and _subscribed_below(shown, folders)
    if command.only_subscribed and not (view is not None and view.subscribed) and not below:
        return []
    if command.only_special_use and (view is None or shown.shared or view.special_use not in SPECIAL_USES):
        return []
    attributes = _attributes(shown)
    if command.tell_subscribed and view is not None and view.subscribed:
        attributes.append("\\Subscribed")
    lines = [replies.listed(attributes, shown.name, utf8=talk.utf8, child_info=below)]
    if command.status and view is not None:
        mailbox = owners[view.mailbox, view.id].mailbox
        items = await _status(talk, mailbox, view, command.status)
        lines.append(replies.status(shown.name, items, utf8=talk.utf8))
    return lines


def _attributes(shown: Shown) -> list[str]:
    attributes = ["\\HasChildren" if shown.has_children else "\\HasNoChildren"]
    if shown.view is None:
        # RFC 9051 §7.3.1: there is nothing by this name, only below it.
        return ["\\NonExistent", "\\Noselect", *attributes]
    if shown.view.special_use in SPECIAL_USES and not shown.shared:
        # A client takes one folder for each purpose: those of shared mailboxes would compete with one's own.
        attributes.append(SPECIAL_USES[shown.view.special_use])
    return attributes


def _subscribed_below(shown: Shown, folders: Sequence[tuple[MailboxAccess, FolderView]]) -> bool:
    return any(
        one.view is not None and one.view.subscribed and one.name.startswith(shown.name + DELIMITER)
        for one in tree(folders)
    )


async def lsub(talk: Conversation, command: Lsub) -> Answer:
    """The old LIST of subscriptions. RFC 3501 §6.3.9: `%` shows a level whose children are subscribed."""
    pattern = command.reference + command.pattern
    shown = [one for one in tree(await _folders(talk)) if one.view is not None and one.view.subscribed]
    lines: dict[str, bytes] = {}
    for one in shown:
        if matches(pattern, one.name):
            lines[one.name] = replies.listed(_attributes(one)[1:], one.name, utf8=talk.utf8, word=b"LSUB")
            continue
        parent = one.name
        while pattern.endswith("%") and DELIMITER in parent:
            parent = parent.rpartition(DELIMITER)[0]
            if parent not in lines and matches(pattern, parent):
                lines[parent] = replies.listed(["\\Noselect"], parent, utf8=talk.utf8, word=b"LSUB")
    await talk.say(*lines.values())
    return Answer.ok("That is all.")


async def status(talk: Conversation, command: Status) -> Answer:
    place, view = await talk.view(command.name, Verb.MAILBOX_READ)
    items = await _status(talk, place.access.mailbox, view, command.items)
    await talk.say(replies.status(command.name, items, utf8=talk.utf8))
    return Answer.ok("That is how it stands.")


async def _status(
    talk: Conversation, mailbox: MailboxLike, view: FolderView, items: Sequence[StatusItem]
) -> dict[str, int]:
    if StatusItem.HIGHESTMODSEQ in items:
        talk.condstore = True  # RFC 7162 §3.1: asking enables
    told: dict[str, int] = {}
    for item in items:
        match item:
            case StatusItem.MESSAGES:
                told[item] = view.messages
            case StatusItem.RECENT:
                told[item] = 0
            case StatusItem.UIDNEXT:
                told[item] = view.uidnext
            case StatusItem.UIDVALIDITY:
                told[item] = view.uidvalidity
            case StatusItem.UNSEEN:
                told[item] = view.unseen
            case StatusItem.SIZE:
                told[item] = view.octets
            case StatusItem.HIGHESTMODSEQ:
                told[item] = view.highest_modseq
            case StatusItem.DELETED:
                outlines = await talk.services.mail.reading.outlines(mailbox, view.id)
                told[item] = sum(1 for outline in outlines if outline.flags & Flag.DELETED)
    return told


async def _folders(talk: Conversation) -> list[tuple[MailboxAccess, FolderView]]:
    """Every folder of every mailbox that the person may read now."""
    rights = await talk.rights()
    return [
        (access, view)
        for access in await talk.mailboxes()
        if is_allowed(rights, Verb.MAILBOX_READ, OnMailbox.of(access.mailbox))
        for view in await talk.services.mail.folders.all(access.mailbox)
    ]
