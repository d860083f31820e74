"""FETCH: what messages are, from what was worked out when they arrived. RFC 9051 §6.4.5, ADR-0010.

Promises
    Nothing is parsed: envelopes and structures are stored, sections are cut out by offsets.
    The store is asked once for a run of messages; nothing of it is held while the client is written to.
    Memory is bounded by a run of summaries and a batch of bodies, whatever is asked for.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from carepost.directory.access import OnMailbox, Verb, is_allowed
from carepost.message.summary import Summary
from carepost.protocols.imap.commands.fetch_items import Answers
from carepost.protocols.imap.conversation import Answer, Conversation
from carepost.protocols.imap.session import Selected
from carepost.store.model import Flag, MessageRow
from carepost.wire.imap_commands import Attribute, BinarySize, Fetch, FetchItem, Section, SectionText

_OF_ROWS = frozenset({Attribute.INTERNALDATE, Attribute.RFC822_SIZE, Attribute.MODSEQ})
_OF_SUMMARIES = frozenset({Attribute.ENVELOPE, Attribute.BODY, Attribute.BODYSTRUCTURE})
# Flags and UIDs are at hand: so many lines are written at once.
_LINES_AT_ONCE = 2000
# Written together, so that the client has something to do while we read on.
_OCTETS_AT_ONCE = 64 * 1024
# A body this long that is read in pieces is kept between the pieces.
_KEEP_FOR_PIECES = 128 * 1024


async def fetch(talk: Conversation, command: Fetch) -> Answer:
    selected = talk.folder
    await talk.ask(Verb.MAILBOX_READ, selected.mailbox)
    positions = selected.positions(command.numbers, uid=command.uid)
    if Attribute.MODSEQ in command.items:
        talk.condstore = True  # RFC 7162 §3.1: asking enables
    if command.changed_since is not None:
        positions = await _changed(talk, selected, positions, command.changed_since)
    work = await _work(talk, command)
    missed = 0
    at_once = talk.services.limits.fetch_chunk if work.reads else _LINES_AT_ONCE
    for start in range(0, len(positions), at_once):
        missed += await _run(talk, work, selected, positions[start : start + at_once])
    if missed:
        return Answer.ok("Some of these messages have been removed.", "EXPUNGEISSUED")
    return Answer.ok("That is all.")


@dataclass(frozen=True, slots=True)
class _Work:
    """What one FETCH needs to read and to change."""

    items: tuple[FetchItem, ...]
    rows: bool
    summaries: bool
    bodies: bool
    marks_seen: bool

    @property
    def reads(self) -> bool:
        return self.rows or self.summaries or self.bodies or self.marks_seen


async def _work(talk: Conversation, command: Fetch) -> _Work:
    items = command.items
    sections = [item for item in items if isinstance(item, Section)]
    marks_seen = any(not section.peek for section in sections) and not talk.folder.read_only
    if marks_seen:
        marks_seen = is_allowed(
            await talk.rights(), Verb.MAILBOX_WRITE, OnMailbox(talk.folder.mailbox.id, talk.folder.mailbox.organisation)
        )
    if marks_seen and Attribute.FLAGS not in items:
        items = (*items, Attribute.FLAGS)
    whole = all(not one.part and one.text is SectionText.ALL for one in sections)
    sized = any(isinstance(item, BinarySize) for item in items)
    return _Work(
        items=items,
        rows=not _OF_ROWS.isdisjoint(items),
        summaries=not _OF_SUMMARIES.isdisjoint(items) or not whole or sized,
        bodies=bool(sections) or sized,
        marks_seen=marks_seen,
    )


async def _changed(talk: Conversation, selected: Selected, positions: Sequence[int], since: int) -> list[int]:
    """RFC 7162 §3.1.4.1: only those that changed after it."""
    outlines = await talk.services.mail.reading.outlines(selected.mailbox, selected.folder, since_modseq=since)
    changed = {selected.position_of(outline.uid) for outline in outlines}
    return [at for at in positions if at in changed]


async def _run(talk: Conversation, work: _Work, selected: Selected, positions: Sequence[int]) -> int:
    """Answer for these messages; returns how many of them are no longer there."""
    uids = selected.uids_at(positions)
    places = dict(zip(uids, positions, strict=True))
    reading = talk.services.mail.reading
    modseqs: dict[int, int] = {}
    if work.marks_seen:
        modseqs = await _mark_seen(talk, selected, positions)
    rows: Mapping[int, MessageRow] | None = None
    if work.rows:
        rows = {row.uid: row for row in await reading.rows(selected.mailbox, selected.folder, uids)}
    summaries: Mapping[int, Summary] | None = None
    if work.summaries:
        summaries = await reading.summaries(selected.mailbox, selected.folder, uids)
    answers = Answers(work.items, selected, rows=rows, summaries=summaries, modseqs=modseqs)
    if work.bodies:
        return await _with_bodies(talk, answers, places)
    lines = answers.lines(positions, uids)
    await talk.say(*lines)
    await asyncio.sleep(0)  # others have their turn, and a client that has gone is noticed
    return len(uids) - len(lines)


async def _with_bodies(talk: Conversation, answers: Answers, places: dict[int, int]) -> int:
    left = dict(places)
    pending: list[bytes] = []
    octets = 0
    kept = talk.last_body
    if kept is not None and len(places) == 1 and kept[0] in places:
        await _say_one(talk, answers, places, kept[0], kept[1])
        return 0
    talk.last_body = None
    selected = answers.selected
    reading = talk.services.mail.reading
    async for uid, raw in reading.bodies(selected.mailbox, selected.folder, list(places)):
        at = left.pop(int(uid))
        line = answers.line(at, int(uid), raw)
        if line is None:
            continue
        if len(places) == 1 and len(raw) >= _KEEP_FOR_PIECES and answers.in_pieces:
            talk.last_body = (int(uid), raw)
        pending.append(line)
        octets += len(line)
        if octets >= _OCTETS_AT_ONCE:
            await talk.say(*pending)
            pending, octets = [], 0
    await talk.say(*pending)
    return len(left)


async def _say_one(talk: Conversation, answers: Answers, places: dict[int, int], uid: int, raw: bytes) -> None:
    line = answers.line(places[uid], uid, raw)
    if line is not None:
        await talk.say(line)


async def _mark_seen(talk: Conversation, selected: Selected, positions: Sequence[int]) -> dict[int, int]:
    unseen = selected.uids_at(at for at in positions if not selected.flags[at] & Flag.SEEN)
    if not unseen:
        return {}
    changed = await talk.services.mail.filing.set_flags(selected.mailbox, selected.folder, unseen, add=int(Flag.SEEN))
    for outline in changed.changed:
        selected.set_by_client(outline)
    return {int(outline.uid): outline.modseq for outline in changed.changed}
