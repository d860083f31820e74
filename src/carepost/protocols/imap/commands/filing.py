"""Changing what folders hold: STORE, COPY, MOVE, EXPUNGE. RFC 9051 §6.4.3-6.4.8, RFC 4315, RFC 6851, RFC 7162."""

import re
from collections.abc import Sequence

from carepost.base.errors import Malformed, NotPossible
from carepost.directory.access import Verb
from carepost.protocols.imap.conversation import Answer, Conversation, flags_reply
from carepost.protocols.imap.session import Selected, ToldFlags
from carepost.store.model import Flag, FlagsChanged
from carepost.wire import imap_replies as replies
from carepost.wire.imap_commands import Copy, Expunge, Store, StoreMode
from carepost.wire.imap_sets import written

_SYSTEM = {name.upper(): bit for bit, name in replies.SYSTEM_FLAGS}
_KEYWORD = re.compile(r"[\x21-\x7e]{1,64}")
# Nobody reads more labels on one message; a program that sets more is counting with them.
KEYWORDS_MAX = 32
_CHANGED_AT_ONCE = 5000


def read_flags(flags: Sequence[str]) -> tuple[int, tuple[str, ...]]:
    """System flags as bits, and keywords. `\\Recent` can't be set and is passed over. Raise Malformed."""
    bits = 0
    keywords: list[str] = []
    for flag in flags:
        if flag.startswith("\\"):
            if flag.upper() == "\\RECENT":
                continue
            if flag.upper() not in _SYSTEM:
                raise Malformed("There is no such flag.", code="CANNOT")
            bits |= _SYSTEM[flag.upper()]
        elif _KEYWORD.fullmatch(flag):
            keywords.append(flag)
        else:
            raise Malformed("A keyword has at most 64 characters.", code="LIMIT")
    if len(keywords) > KEYWORDS_MAX:
        raise Malformed(f"A message has at most {KEYWORDS_MAX} keywords.", code="LIMIT")
    return bits, tuple(keywords)


async def store(talk: Conversation, command: Store) -> Answer:
    selected = await _writable(talk, Verb.MAILBOX_WRITE)
    wanted = read_flags(command.flags)
    if command.unchanged_since is not None:
        talk.condstore = True
    positions = selected.positions(command.numbers, uid=command.uid)
    refused: list[int] = []
    for start in range(0, len(positions), _CHANGED_AT_ONCE):
        uids = selected.uids_at(positions[start : start + _CHANGED_AT_ONCE])
        changed = await _set(talk, selected, uids, command, wanted)
        refused += map(int, changed.refused)
        await _tell(talk, selected, uids, command, changed)
    if refused:
        numbers = refused if command.uid else [at + 1 for at in map(selected.position_of, refused) if at is not None]
        return Answer.ok("Some were changed meanwhile and stay as they are.", f"MODIFIED {written(numbers).decode()}")
    return Answer.ok("The flags are set.")


async def _set(
    talk: Conversation, selected: Selected, uids: list[int], command: Store, wanted: tuple[int, tuple[str, ...]]
) -> FlagsChanged:
    bits, keywords = wanted
    remove = command.mode is StoreMode.REMOVE
    return await talk.services.mail.filing.set_flags(
        selected.mailbox,
        selected.folder,
        uids,
        add=0 if remove else bits,
        remove=bits if remove else 0,
        add_keywords=() if remove else keywords,
        remove_keywords=keywords if remove else (),
        replace=command.mode is StoreMode.REPLACE,
        unchanged_since=command.unchanged_since,
    )


async def _tell(
    talk: Conversation, selected: Selected, uids: Sequence[int], command: Store, changed: FlagsChanged
) -> None:
    """RFC 9051 §6.4.6: the new flags of every message named, changed or not; RFC 7162: MODSEQ even when silent."""
    modseqs = {int(outline.uid): outline.modseq for outline in changed.changed}
    for outline in changed.changed:
        selected.set_by_client(outline)
    if command.silent and not talk.condstore:
        return
    refused = set(map(int, changed.refused))
    lines = []
    for uid in uids:
        at = selected.position_of(uid)
        if at is None or uid in refused or selected.is_gone(uid) or (command.silent and uid not in modseqs):
            continue
        told = ToldFlags(at + 1, uid, selected.flags[at], selected.keywords_at(at), modseqs.get(uid, selected.synced))
        lines.append(flags_reply(talk, told, with_uid=command.uid or talk.rev2, silent=command.silent))
    await talk.say(*lines)


async def copy(talk: Conversation, command: Copy) -> Answer:
    """COPY and MOVE. RFC 9051 §6.4.7, §6.4.8."""
    if command.move:
        selected = await _writable(talk, Verb.MAILBOX_WRITE)
        await talk.ask(Verb.MAILBOX_DELETE, selected.mailbox)
    else:
        selected = talk.folder
        await talk.ask(Verb.MAILBOX_READ, selected.mailbox)
    try:
        place, view = await talk.view(command.to, Verb.MAILBOX_WRITE)
    except NotPossible as error:
        return Answer.no(error.public, "TRYCREATE" if error.private.get("code") == "NONEXISTENT" else "CANNOT")
    await talk.note_opened(place)
    uids = selected.uids_at(selected.positions(command.numbers, uid=command.uid))
    if not uids:
        return Answer.ok("There was nothing to copy.")
    filing, target = talk.services.mail.filing, place.access.mailbox
    if command.move:
        validity, pairs = await filing.move(
            talk.actor, selected.mailbox, selected.folder, uids, to_mailbox=target, to_folder=view.id
        )
    else:
        validity, pairs = await filing.copy(
            selected.mailbox, selected.folder, uids, to_mailbox=target, to_folder=view.id
        )
    if view.id == selected.folder:
        talk.changed = True
    if not pairs:
        return Answer.ok("There was nothing to copy.")
    code = replies.copy_uid(validity, [(int(old), int(new)) for old, new in pairs])
    if not command.move:
        return Answer.ok("The messages are copied.", code)
    # RFC 6851 §4.3: where they went is told before they go.
    await talk.say(replies.untagged("OK", "The messages are moved.", code))
    selected.learn((), [old for old, _ in pairs])
    await talk.tell(expunges=True)
    return Answer.ok("The messages are moved.")


async def expunge(talk: Conversation, command: Expunge) -> Answer:
    selected = await _writable(talk, Verb.MAILBOX_DELETE)
    uids: list[int] | None = None
    if command.uids is not None:
        await talk.look(certainly=True)
        chosen = selected.positions(command.uids, uid=True)
        uids = selected.uids_at(at for at in chosen if selected.flags[at] & Flag.DELETED)
        if not uids:
            return Answer.ok("Nothing was removed.")
    gone = await talk.services.mail.filing.expunge(talk.actor, selected.mailbox, selected.folder, uids)
    selected.learn((), gone)
    await talk.look(certainly=True)
    await talk.tell(expunges=True)
    code = f"HIGHESTMODSEQ {selected.synced}" if gone and talk.condstore else ""
    return Answer.ok("They are removed." if gone else "Nothing was removed.", code)


async def _writable(talk: Conversation, verb: Verb) -> Selected:
    """The selected folder, for changing it. Raise NotPossible when it was opened with EXAMINE."""
    selected = talk.folder
    if selected.read_only:
        raise NotPossible("The folder was opened for reading only.", code="CANNOT")
    await talk.ask(verb, selected.mailbox)
    return selected
