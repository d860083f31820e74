"""SEARCH: a plan, and what must be read to settle it. RFC 9051 §6.4.4, RFC 4731, RFC 5182, RFC 7162 §3.1.5; P23.

Promises
    It ends within `limits.search_s`, found or not; a client that goes away ends it at once.
    Messages are read in runs, the cheapest thing first, and only those that are still in doubt.
    In large folders words are looked up in the index, which finds words from their beginning (RFC 9051 §6.4.4 lets a
    server match more freely); in small ones every substring is found.
"""

import asyncio
from collections.abc import Sequence

from carepost.directory.access import Verb
from carepost.protocols.imap.commands.search_facts import body_holds, row_holds, summary_holds
from carepost.protocols.imap.conversation import Answer, Conversation
from carepost.protocols.imap.search_plan import Needs, SearchPlan
from carepost.protocols.imap.session import Selected
from carepost.store.search import Query
from carepost.store.search_index import Field, Term
from carepost.wire import imap_replies as replies
from carepost.wire.imap_commands import Return, Search
from carepost.wire.imap_search_keys import BodyHas, HeaderHas, SearchKey
from carepost.wire.imap_sets import written

# More messages than this in doubt: the index is asked for words instead of opening each.
SCAN_BODIES_MAX = 500
SCAN_SUMMARIES_MAX = 5_000
_FOUND_MAX = 100_000
_IN_THREAD_OCTETS = 256 * 1024
_FIELDS = {b"SUBJECT": Field.SUBJECT, b"FROM": Field.SENDER, b"TO": Field.RECIPIENTS, b"CC": Field.RECIPIENTS}


async def search(talk: Conversation, command: Search) -> Answer:
    selected = talk.folder
    await talk.ask(Verb.MAILBOX_READ, selected.mailbox)
    if command.uses_modseq:
        talk.condstore = True
    plan = SearchPlan(command.key, selected)
    try:
        async with asyncio.timeout(talk.services.limits.search_s) as deadline:
            await _settle(talk, plan)
    except TimeoutError:
        if not deadline.expired():
            raise
        if command.returns is not None and Return.SAVE in command.returns:
            del selected.saved[:]
        return Answer.no("This search takes too long. Ask for fewer messages or a whole word.", "LIMIT")
    await _tell(talk, command, selected, plan.found())
    return Answer.ok("That is all.")


async def _settle(talk: Conversation, plan: SearchPlan) -> None:
    for need in (Needs.ROW, Needs.SUMMARY, Needs.BODY):
        leaves = plan.leaves(need)
        undecided = plan.undecided() if leaves else []
        if not undecided:
            continue
        if need is not Needs.ROW:
            leaves = await _ask_index(talk, plan, need, leaves, len(undecided))
            undecided = plan.undecided()
        step = talk.services.limits.fetch_chunk
        for start in range(0, len(undecided) if leaves else 0, step):
            await _read(talk, plan, need, leaves, undecided[start : start + step])
            await asyncio.sleep(0)


async def _ask_index(
    talk: Conversation, plan: SearchPlan, need: Needs, leaves: Sequence[SearchKey], in_doubt: int
) -> list[SearchKey]:
    """Settle by the index what would be too much to open; returns the leaves that must be looked at."""
    if in_doubt <= (SCAN_BODIES_MAX if need is Needs.BODY else SCAN_SUMMARIES_MAX):
        return list(leaves)
    selected = plan.selected
    left: list[SearchKey] = []
    for leaf in leaves:
        term = _term(leaf)
        if term is None:
            left.append(leaf)
            continue
        found = await talk.services.mail.words.search(
            selected.mailbox, selected.folder, Query(terms=(term,)), limit=_FOUND_MAX
        )
        plan.settle_all(leaf, [at for _, uid in found if (at := selected.position_of(uid)) is not None])
    return left


def _term(leaf: SearchKey) -> Term | None:
    match leaf:
        case BodyHas(text, header_too=header_too) if _has_word(text):
            return Term(text, None if header_too else Field.TEXT)
        case HeaderHas(name, text) if name in _FIELDS and _has_word(text):
            return Term(text, _FIELDS[name])
        case _:
            return None


def _has_word(text: str) -> bool:
    return any(character.isalnum() for character in text)


async def _read(
    talk: Conversation, plan: SearchPlan, need: Needs, leaves: Sequence[SearchKey], positions: Sequence[int]
) -> None:
    selected, reading = plan.selected, talk.services.mail.reading
    uids = selected.uids_at(positions)
    seen: set[int] = set()
    match need:
        case Needs.ROW:
            now = talk.services.clock.now()
            for row in await reading.rows(selected.mailbox, selected.folder, uids):
                seen.add(int(row.uid))
                _settle_one(plan, leaves, row.uid, [row_holds(leaf, row, now) for leaf in leaves])
        case Needs.SUMMARY:
            for uid, summary in (await reading.summaries(selected.mailbox, selected.folder, uids)).items():
                seen.add(int(uid))
                _settle_one(plan, leaves, uid, [summary_holds(leaf, summary) for leaf in leaves])
        case _:
            async for uid, raw in reading.bodies(selected.mailbox, selected.folder, uids):
                seen.add(int(uid))
                if len(raw) > _IN_THREAD_OCTETS:
                    holds = await asyncio.to_thread(body_holds, leaves, raw)
                else:
                    holds = body_holds(leaves, raw)
                _settle_one(plan, leaves, uid, holds)
    for uid in set(uids) - seen:  # gone meanwhile: nothing holds of it
        _settle_one(plan, leaves, uid, [False] * len(leaves))


def _settle_one(plan: SearchPlan, leaves: Sequence[SearchKey], uid: int, holds: Sequence[bool]) -> None:
    at = plan.selected.position_of(uid)
    if at is not None:
        for leaf, truth in zip(leaves, holds, strict=True):
            plan.settle(leaf, at, holds=truth)


async def _tell(talk: Conversation, command: Search, selected: Selected, found: list[int]) -> None:
    uids = selected.uids_at(found)
    numbers = uids if command.uid else [at + 1 for at in found]
    modseq = None
    if command.uses_modseq and uids:
        modseq = await _newest(talk, selected, uids)
    if command.returns is None and not talk.rev2:
        await talk.say(replies.search(numbers, modseq))
        return
    returns = command.returns if command.returns is not None else frozenset({Return.ALL})
    if Return.SAVE in returns:
        _save(selected, returns, uids)
        if returns == {Return.SAVE}:
            return
    tag = talk.tag
    items: list[bytes] = []
    if numbers and Return.MIN in returns:
        items.append(b"MIN %d" % numbers[0])
    if numbers and Return.MAX in returns:
        items.append(b"MAX %d" % numbers[-1])
    if numbers and Return.ALL in returns:
        items.append(b"ALL " + written(numbers))
    if Return.COUNT in returns:
        items.append(b"COUNT %d" % len(numbers))
    if modseq is not None:
        items.append(b"MODSEQ %d" % modseq)
    await talk.say(replies.esearch(tag, uid=command.uid, items=items))


def _save(selected: Selected, returns: frozenset[Return], uids: list[int]) -> None:
    """RFC 5182 §2.1: what `$` means from here on; MIN and MAX alone save only those."""
    del selected.saved[:]
    if returns & {Return.ALL, Return.COUNT} or not returns & {Return.MIN, Return.MAX}:
        selected.saved.extend(uids)
        return
    ends = ([uids[0]] if Return.MIN in returns else []) + ([uids[-1]] if Return.MAX in returns else []) if uids else []
    selected.saved.extend(sorted(set(ends)))


async def _newest(talk: Conversation, selected: Selected, uids: list[int]) -> int:
    """RFC 7162 §3.1.5: the highest MODSEQ of what was found."""
    outlines = await talk.services.mail.reading.outlines(selected.mailbox, selected.folder)
    found = set(uids)
    return max((outline.modseq for outline in outlines if outline.uid in found), default=0)
