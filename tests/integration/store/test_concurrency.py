"""Several at once on the same mail: nothing accepted is lost, no number is given twice, counters tell the truth."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.fakes.mailboxes import StoreWorld
from tests.fakes.paused_commit import PausedCommit, while_paused

from carepost.base.ids import FolderId, MailboxId, ObjectId
from carepost.infra.db import Transaction
from carepost.message.parse import parse
from carepost.message.summary import summarise
from carepost.store import repo
from carepost.store.model import Flag, Laid, MailboxRef, SpecialUse
from carepost.store.objects import Delivery, lay_in, lay_in_stored, prepare_object, store_object
from carepost.store.search import ImageCache, MailSearch
from carepost.store.search_index import Term


async def assert_all_can_be_read(world: StoreWorld, mailbox: MailboxRef) -> int:
    """Every row of every folder opens; how many there were."""
    seen = 0
    for view in await world.folders.all(mailbox):
        uids = [line.uid for line in await world.messages.outlines(mailbox, view.id)]
        opened = [uid async for uid, _ in world.messages.bodies(mailbox, view.id, uids)]
        assert opened == uids, f"{view.name} lists {len(uids)} messages and opens {len(opened)}"
        assert len(await world.messages.summaries(mailbox, view.id, uids)) == len(uids)
        seen += len(uids)
    return seen


async def test_a_copy_outlives_the_original_that_is_expunged_meanwhile(world: StoreWorld) -> None:
    mailbox = await world.mailbox(await world.organisation())
    (laid,) = await world.deliver(world.letter(), mailbox)
    archive = await world.special(mailbox, SpecialUse.ARCHIVE)
    paused = PausedCommit(world.db)
    copying = replace(world.filing, db=paused.as_database)
    await while_paused(
        paused,
        copying.copy(mailbox, laid.folder, [laid.uid], to_mailbox=mailbox, to_folder=archive),
        world.filing.expunge(world.actor, mailbox, laid.folder, [laid.uid]),
    )
    assert await assert_all_can_be_read(world, mailbox) == 1


async def test_a_copy_begun_while_the_original_goes_is_whole_or_not_there(world: StoreWorld) -> None:
    mailbox = await world.mailbox(await world.organisation())
    (laid,) = await world.deliver(world.letter(), mailbox)
    archive = await world.special(mailbox, SpecialUse.ARCHIVE)
    paused = PausedCommit(world.db)
    expunging = replace(world.filing, db=paused.as_database)
    gone, (_, pairs) = await while_paused(
        paused,
        expunging.expunge(world.actor, mailbox, laid.folder, [laid.uid]),
        world.filing.copy(mailbox, laid.folder, [laid.uid], to_mailbox=mailbox, to_folder=archive),
    )
    assert gone == [laid.uid]
    assert await assert_all_can_be_read(world, mailbox) == len(pairs)


async def test_a_copy_from_another_mailbox_outlives_the_one_that_was_there(world: StoreWorld) -> None:
    """The target holds the message already; its holder throws that away while a colleague's copy arrives."""
    organisation = await world.organisation()
    mine, shared = await world.mailbox(organisation), await world.mailbox(organisation)
    (there, here) = await world.deliver(world.letter(), mine, shared)
    archive = await world.special(shared, SpecialUse.ARCHIVE)
    paused = PausedCommit(world.db)
    copying = replace(world.filing, db=paused.as_database)
    await while_paused(
        paused,
        copying.copy(mine, there.folder, [there.uid], to_mailbox=shared, to_folder=archive),
        world.filing.expunge(world.actor, shared, here.folder, [here.uid]),
    )
    assert await assert_all_can_be_read(world, shared) == 1


async def test_the_key_goes_with_the_last_of_two_copies_expunged_at_once(world: StoreWorld) -> None:
    mailbox = await world.mailbox(await world.organisation())
    (laid,) = await world.deliver(world.letter(), mailbox)
    archive = await world.special(mailbox, SpecialUse.ARCHIVE)
    await world.filing.copy(mailbox, laid.folder, [laid.uid], to_mailbox=mailbox, to_folder=archive)
    paused = PausedCommit(world.db)
    expunging = replace(world.filing, db=paused.as_database)
    async with world.db.transaction(mailbox.organisation) as tx:
        before = await tx.one("SELECT count(*) AS keys FROM keystore.object_key")
    await while_paused(
        paused,
        expunging.expunge(world.actor, mailbox, laid.folder, [laid.uid]),
        world.filing.expunge(world.actor, mailbox, archive, [1]),
    )
    async with world.db.transaction(mailbox.organisation) as tx:
        after = await tx.one("SELECT count(*) AS keys FROM keystore.object_key")
    assert (before["keys"], after["keys"]) == (1, 0)


async def test_a_release_reaches_a_mailbox_that_holds_the_message_already(world: StoreWorld) -> None:
    """Held for one, delivered to another, who copied it into the first one's shared mailbox."""
    mailbox = await world.mailbox(await world.organisation())
    raw = world.letter()
    prepared = prepare_object(mailbox.organisation, raw, summary=summarise(parse(raw)), words="")
    delivery, at = Delivery(mailbox.id, world.intakes[mailbox.id]), world.clock.now()
    async with world.db.transaction(mailbox.organisation) as tx:
        await store_object(tx, prepared, at=at)
        (first,) = await lay_in(tx, prepared, [delivery], trace=None, at=at)
    paused = PausedCommit(world.db)

    async def release() -> list[Laid]:
        async with paused.transaction(mailbox.organisation) as tx:
            return await lay_in_stored(
                tx,
                mailbox.organisation,
                prepared.id,
                key=prepared.key,
                size=prepared.size,
                deliveries=[replace(delivery, special_use=SpecialUse.JUNK)],
                trace=None,
                at=at,
            )

    await while_paused(paused, release(), world.filing.expunge(world.actor, mailbox, first.folder, [first.uid]))
    assert await assert_all_can_be_read(world, mailbox) == 1


async def test_two_who_read_the_same_new_mail_do_not_wait_for_each_other(world: StoreWorld) -> None:
    """Keys in their arrival form are written anew by whoever reads first; never by two who hold some each."""
    mailbox = await world.mailbox(await world.organisation())
    laid = [(await world.deliver(world.letter(), mailbox))[0] for _ in range(2)]
    rows = await world.messages.rows(mailbox, laid[0].folder, [one.uid for one in laid])
    async with world.db.transaction(mailbox.organisation) as tx:
        wrapped = await repo.hold_keys(tx, [mailbox.id], [row.object for row in rows])
    (first, one), (second, two) = [(object_id, wrap) for (_, object_id), wrap in wrapped.items()]

    async def read(mine: tuple[bytes, bytes], theirs: tuple[bytes, bytes], turn: asyncio.Barrier) -> None:
        async with world.db.transaction(mailbox.organisation) as tx:
            await repo.keep_wraps(tx, mailbox.id, [mine])  # type: ignore[list-item]
            await turn.wait()
            await repo.keep_wraps(tx, mailbox.id, [theirs])  # type: ignore[list-item]

    turn = asyncio.Barrier(2)
    async with asyncio.timeout(180), asyncio.TaskGroup() as group:
        group.create_task(read((first, one), (second, two), turn))
        group.create_task(read((second, two), (first, one), turn))
    assert await assert_all_can_be_read(world, mailbox) == 2


Place = tuple[MailboxRef, FolderId]


@dataclass
class Town:
    """What several tasks did to some folders, by what they were told."""

    world: StoreWorld
    places: Sequence[Place]
    letters: dict[tuple[Place, int], bytes] = field(default_factory=dict)  # everything that was ever laid
    gone: set[tuple[Place, int]] = field(default_factory=set)
    flags: dict[tuple[Place, int], tuple[int, int]] = field(default_factory=dict)  # modseq, flags
    done: Counter[str] = field(default_factory=Counter)

    def some(self, chance: random.Random, place: Place) -> list[int]:
        known = [uid for (where, uid) in self.letters if where == place and (where, uid) not in self.gone]
        return sorted(chance.sample(known, min(len(known), chance.randint(1, 4))))

    def laid(self, place: Place, uid: int, raw: bytes) -> None:
        assert (place, uid) not in self.letters, "a UID was given twice"
        self.letters[place, uid] = raw

    def went(self, place: Place, uids: Sequence[int]) -> None:
        for uid in uids:
            assert (place, uid) not in self.gone, "a message went twice"
            self.gone.add((place, uid))


async def act(town: Town, chance: random.Random) -> None:
    world, place, other = town.world, chance.choice(town.places), chance.choice(town.places)
    (mailbox, folder), (to_mailbox, to_folder) = place, other
    match what := chance.choice(("append", "deliver", "flag", "expunge", "purge", "copy", "move", "move")):
        case "append":
            raw = world.letter(text=f"{chance.random()}")
            laid = await world.filing.append(mailbox, folder, raw, flags=chance.choice((0, Flag.SEEN)))
            town.laid(place, laid.uid, raw)
        case "deliver":
            raw = world.letter(text=f"{chance.random()}")
            to = chance.sample([ref for ref, _ in town.places[::2]], 2)
            for one in await world.deliver(raw, *to):
                town.laid((next(ref for ref in to if ref.id == one.mailbox), one.folder), one.uid, raw)
        case "flag":
            bits = chance.randint(0, 31)
            changed = await world.filing.set_flags(
                mailbox, folder, town.some(chance, place), add=bits, replace=chance.random() < 0.5
            )
            for now in changed.changed:
                before = town.flags.get((place, now.uid), (0, 0))
                town.flags[place, now.uid] = max(before, (now.modseq, now.flags))
        case "expunge" | "purge":
            uids = town.some(chance, place) if what == "expunge" else None
            town.went(place, await world.filing.expunge(world.actor, mailbox, folder, uids))
        case "copy" | "move":
            uids = town.some(chance, place)
            if what == "copy":
                _, pairs = await world.filing.copy(mailbox, folder, uids, to_mailbox=to_mailbox, to_folder=to_folder)
            elif place == other:
                return
            else:
                _, pairs = await world.filing.move(
                    world.actor, mailbox, folder, uids, to_mailbox=to_mailbox, to_folder=to_folder
                )
                town.went(place, [old for old, _ in pairs])
            for old, new in pairs:
                town.laid(other, new, town.letters[place, old])
    town.done[what] += 1


async def assert_as_told(town: Town) -> None:
    """Rows, bodies, counters, flags and the list of what went are what the tasks were told."""
    world = town.world
    for place in town.places:
        mailbox, folder = place
        expected = {uid: raw for (where, uid), raw in town.letters.items() if where == place}
        went = {uid for where, uid in town.gone if where == place}
        outlines = await world.messages.outlines(mailbox, folder)
        view = await world.folders.by_id(mailbox, folder)
        assert view is not None
        assert {line.uid for line in outlines} == expected.keys() - went
        assert set(await world.messages.vanished(mailbox, folder, since_modseq=0)) == went
        async for uid, raw in world.messages.bodies(mailbox, folder, [line.uid for line in outlines]):
            assert raw == expected.pop(uid)
        assert expected.keys() == went, "a message is listed and cannot be opened"
        assert view.messages == len(outlines)
        assert view.unseen == sum(1 for line in outlines if not line.flags & Flag.SEEN)
        rows = await world.messages.rows(mailbox, folder, [line.uid for line in outlines])
        assert view.octets == sum(row.size for row in rows)
        assert view.uidnext > max((uid for where, uid in town.letters if where == place), default=0)
        assert view.highest_modseq >= max((line.modseq for line in outlines), default=1)
        for line in outlines:
            modseq, flags = town.flags.get((place, line.uid), (line.modseq, line.flags))
            assert (line.modseq, line.flags) == (modseq, flags)
    async with world.db.transaction(town.places[0][0].organisation) as tx:
        held = "SELECT DISTINCT mailbox_id, object_id FROM message"
        keys = "SELECT mailbox_id, object_id FROM keystore.object_key"
        assert sorted(await tx.tuples(held)) == sorted(await tx.tuples(keys)), "keys are those of what is held"


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_thousand_changes_by_eight_at_once_leave_what_each_was_told(world: StoreWorld, seed: int) -> None:
    organisation = await world.organisation()
    mailboxes = [await world.mailbox(organisation) for _ in range(3)]
    uses = (SpecialUse.INBOX, SpecialUse.ARCHIVE)
    town = Town(world, [(ref, await world.special(ref, use)) for ref in mailboxes for use in uses])

    async def work(number: int) -> None:
        chance = random.Random(seed * 100 + number)
        for _ in range(130):
            await act(town, chance)

    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(work(number))
    await assert_as_told(town)
    assert min(town.done.values()) > 50


async def fold_alone(world: StoreWorld, mailbox: MailboxRef, texts: Sequence[str]) -> None:
    for text in texts:
        await world.deliver(world.letter(text=text), mailbox)
    assert await world.search.fold(mailbox) == len(texts)


async def test_a_search_finds_everything_while_segments_are_merged(
    world: StoreWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of segments is read, then another worker merges them, then they are fetched."""
    monkeypatch.setattr("carepost.store.search.MERGE_AT", 2)
    mailbox = await world.mailbox(await world.organisation())
    await fold_alone(world, mailbox, ["warfarin"])
    await world.deliver(world.letter(text="warfarin"), mailbox)
    listing, merged = repo.segments, False

    async def list_and_wait(tx: Transaction, mailbox_id: MailboxId) -> list[tuple[int, int]]:
        nonlocal merged
        found = await listing(tx, mailbox_id)
        if not merged:
            merged = True
            monkeypatch.setattr("carepost.store.search.MERGE_AT", 1)
            await other.fold(mailbox)
        return found

    other = replace(world.search, cache=ImageCache())
    monkeypatch.setattr(repo, "segments", list_and_wait)
    assert len(await replace(world.search, cache=ImageCache()).matching(mailbox, [Term("warfarin")])) == 2
    assert merged


async def test_the_number_of_a_merged_segment_is_not_given_again(
    world: StoreWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow worker comes when the segment that took its number has been merged into a larger one already."""
    mailbox = await world.mailbox(await world.organisation())
    await world.deliver(world.letter(text="warfarin"), mailbox)
    began, go_on = asyncio.Event(), asyncio.Event()
    slow = replace(world.search, cache=ImageCache())
    members = type(slow)._members

    async def wait_then_read(self: MailSearch, *rest: Any) -> list[ObjectId]:
        if self is slow:
            began.set()
            await go_on.wait()
        return await members(self, *rest)

    monkeypatch.setattr(MailSearch, "_members", wait_then_read)
    folding = asyncio.create_task(slow.fold(mailbox))
    await began.wait()
    assert await world.search.fold(mailbox) == 1
    monkeypatch.setattr("carepost.store.search.MERGE_AT", 1)
    await fold_alone(world, mailbox, ["digoxin"])
    go_on.set()
    assert await folding == 0
    async with world.db.transaction(mailbox.organisation) as tx:
        assert await repo.segments(tx, mailbox.id) == [(2, 2)]


def test_an_image_opened_by_two_at_once_is_counted_once() -> None:
    cache = ImageCache()
    cache.put(MailboxId(1), 1, b"12345")
    cache.put(MailboxId(1), 1, b"12345")
    assert cache.octets == 5
