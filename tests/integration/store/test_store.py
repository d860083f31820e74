"""The store on PostgreSQL: what is laid in comes out, as itself, to those who may, and to nobody else."""

import asyncio
from datetime import timedelta

import psycopg
import pytest
from tests.fakes.mailboxes import StoreWorld

from carepost.base.errors import MailError, Malformed, NotPossible
from carepost.base.ids import FolderId
from carepost.infra.db import Database
from carepost.infra.vault import DoesNotOpen
from carepost.store.model import Flag, MailboxRef, SpecialUse
from carepost.store.search import SEGMENT_MAX, Query, _tier_to_merge
from carepost.store.search_index import Field, Term
from carepost.store.upkeep import Upkeep


async def test_a_delivered_message_is_read_byte_for_byte(world: StoreWorld) -> None:
    mailbox = await world.mailbox(await world.organisation())
    raw = world.letter("Discharge summary", "potassium 5.4")
    (laid,) = await world.deliver(raw, mailbox)
    inbox = await world.inbox(mailbox)
    assert laid.folder == inbox
    assert await world.messages.body(mailbox, inbox, laid.uid) == raw
    (line,) = (await world.messages.page(mailbox, inbox)).lines
    assert line.summary.subject == "Discharge summary"
    assert line.row.size == len(raw)


async def test_a_message_to_two_hundred_mailboxes_is_stored_once(world: StoreWorld, superuser_dsn: str) -> None:
    organisation = await world.organisation()
    mailboxes = [await world.mailbox(organisation) for _ in range(200)]
    raw = world.letter()
    laid = await world.deliver(raw, *mailboxes)
    assert len(laid) == 200
    with psycopg.connect(superuser_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM object").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM keystore.object_key").fetchone() == (200,)
    for mailbox in (mailboxes[0], mailboxes[199]):
        assert await world.messages.body(mailbox, await world.inbox(mailbox), 1) == raw


async def test_the_role_that_faces_strangers_lays_in_and_cannot_read(
    world: StoreWorld, relay_database: Database
) -> None:
    organisation = await world.organisation()
    mailbox = await world.mailbox(organisation)
    raw = world.letter()
    (laid,) = await world.deliver(raw, mailbox, db=relay_database)
    assert await world.messages.body(mailbox, laid.folder, laid.uid) == raw
    for table in ("object", "keystore.object_key", "keystore.mailbox_key", "message", "message_state", "search_tail"):
        with pytest.raises((MailError, psycopg.errors.InsufficientPrivilege)):
            async with relay_database.transaction(organisation) as tx:
                await tx.all("SELECT * FROM " + table)  # type: ignore[arg-type]
    for statement in (
        "DELETE FROM object",
        "UPDATE message_state SET flags = 1",
        "SELECT name FROM folder",
        "SELECT wrapped FROM keystore.organisation_key",
    ):
        with pytest.raises((MailError, psycopg.errors.InsufficientPrivilege)):
            async with relay_database.transaction(organisation) as tx:
                await tx.run(statement)


async def test_another_organisation_sees_nothing_even_with_the_right_numbers(world: StoreWorld) -> None:
    mailbox = await world.mailbox(await world.organisation())
    (laid,) = await world.deliver(world.letter(), mailbox)
    other = await world.organisation()
    async with world.db.transaction(other) as tx:
        for table in ("object", "message", "folder", "message_state", "keystore.object_key", "keystore.mailbox_key"):
            assert await tx.tuples("SELECT * FROM " + table) == []  # type: ignore[arg-type]
    async with world.db.transaction() as tx:
        assert await tx.tuples("SELECT * FROM message") == []
    assert laid.uid == 1


async def read_everything(world: StoreWorld, mailbox: MailboxRef, folder: FolderId) -> None:
    await world.messages.body(mailbox, folder, 1)
    await world.messages.summaries(mailbox, folder, [1])


async def test_swapped_ciphertexts_do_not_open(world: StoreWorld, superuser_dsn: str) -> None:
    """E2: bodies, summaries and keys moved between rows, mailboxes and organisations."""
    organisation = await world.organisation()
    one, two = await world.mailbox(organisation), await world.mailbox(organisation)
    await world.deliver(world.letter("one"), one)
    await world.deliver(world.letter("two"), two)
    inbox = await world.inbox(one)
    swaps = [
        "UPDATE object o SET sealed = p.sealed, digest = p.digest FROM object p WHERE p.id <> o.id",
        "UPDATE object o SET summary = p.summary FROM object p WHERE p.id <> o.id",
        "UPDATE keystore.object_key k SET wrapped = l.wrapped FROM keystore.object_key l WHERE l.mailbox_id <> k.mailbox_id",
    ]
    for swap in swaps:
        with psycopg.connect(superuser_dsn) as connection:
            connection.execute(swap)  # type: ignore[arg-type]
        with pytest.raises(DoesNotOpen):
            await read_everything(world, one, inbox)
        with psycopg.connect(superuser_dsn) as connection:
            connection.execute(swap)  # type: ignore[arg-type]  # swapped back
    assert (await world.messages.summaries(one, inbox, [1]))[1].subject == "one"


async def test_rot_on_disk_is_noticed_and_never_served(world: StoreWorld, superuser_dsn: str) -> None:
    mailbox = await world.mailbox(await world.organisation())
    await world.deliver(world.letter(), mailbox)
    with psycopg.connect(superuser_dsn) as connection:
        connection.execute(
            "UPDATE object SET sealed = set_byte(sealed, length(sealed) / 2, (get_byte(sealed, length(sealed) / 2) + 1) % 256)"
        )
    with pytest.raises(DoesNotOpen, match="damaged"):
        await world.messages.body(mailbox, await world.inbox(mailbox), 1)


async def test_uids_grow_and_are_never_used_twice(world: StoreWorld) -> None:
    mailbox = await world.mailbox(await world.organisation())
    inbox = await world.inbox(mailbox)
    await world.deliver(world.letter(), mailbox)
    await world.deliver(world.letter(), mailbox)
    assert await world.filing.expunge(world.actor, mailbox, inbox, [2]) == [2]
    (laid,) = await world.deliver(world.letter(), mailbox)
    assert laid.uid == 3
    assert [line.uid for line in await world.messages.outlines(mailbox, inbox)] == [1, 3]
    assert await world.messages.vanished(mailbox, inbox, since_modseq=0) == [2]


async def test_counters_agree_with_what_is_there(world: StoreWorld) -> None:
    mailbox = await world.mailbox(await world.organisation())
    inbox, archive = await world.inbox(mailbox), await world.special(mailbox, SpecialUse.ARCHIVE)
    for _ in range(5):
        await world.deliver(world.letter(), mailbox)
    await world.filing.append(mailbox, inbox, world.letter("mine"), flags=Flag.SEEN | Flag.DRAFT, keywords=["$Work"])
    await world.filing.set_flags(mailbox, inbox, [1, 2], add=Flag.SEEN)
    await world.filing.set_flags(mailbox, inbox, [2], remove=Flag.SEEN)
    _, pairs = await world.filing.move(world.actor, mailbox, inbox, [1, 3], to_mailbox=mailbox, to_folder=archive)
    assert pairs == [(1, 1), (3, 2)]
    await world.filing.copy(mailbox, inbox, [4], to_mailbox=mailbox, to_folder=archive)
    await world.filing.expunge(world.actor, mailbox, inbox, [5])
    views = {view.id: view for view in await world.folders.all(mailbox)}
    for folder in (inbox, archive):
        outlines = await world.messages.outlines(mailbox, folder)
        rows = await world.messages.rows(mailbox, folder, [line.uid for line in outlines])
        assert views[folder].messages == len(outlines) == len(rows)
        assert views[folder].unseen == sum(1 for line in outlines if not line.flags & Flag.SEEN)
        assert views[folder].octets == sum(row.size for row in rows)
        assert views[folder].highest_modseq >= max(line.modseq for line in outlines)
    assert [line.keywords for line in await world.messages.outlines(mailbox, inbox)] == [(), (), ("$Work",)]


async def test_flags_change_only_where_nobody_was_quicker(world: StoreWorld) -> None:
    mailbox = await world.mailbox(await world.organisation())
    inbox = await world.inbox(mailbox)
    await world.deliver(world.letter(), mailbox)
    await world.deliver(world.letter(), mailbox)
    before = (await world.folders.by_id(mailbox, inbox)).highest_modseq  # type: ignore[union-attr]
    await world.filing.set_flags(mailbox, inbox, [1], add=Flag.FLAGGED)
    result = await world.filing.set_flags(mailbox, inbox, [1, 2], add=Flag.SEEN, unchanged_since=before)
    assert [line.uid for line in result.changed] == [2]
    assert list(result.refused) == [1]
    replaced = await world.filing.set_flags(mailbox, inbox, [1], add=Flag.ANSWERED, add_keywords=["a"], replace=True)
    assert [(line.flags, line.keywords) for line in replaced.changed] == [(Flag.ANSWERED, ("a",))]


async def test_what_was_expunged_can_no_longer_be_opened_and_its_body_goes(
    world: StoreWorld, superuser_dsn: str
) -> None:
    organisation = await world.organisation()
    one, two = await world.mailbox(organisation), await world.mailbox(organisation)
    await world.deliver(world.letter(), one, two)
    await world.filing.expunge(world.actor, one, await world.inbox(one), [1])
    with psycopg.connect(superuser_dsn) as connection:
        assert connection.execute("SELECT mailbox_id FROM keystore.object_key").fetchall() == [(two.id,)]
    assert await world.messages.body(two, await world.inbox(two), 1) is not None


async def test_a_copy_in_another_mailbox_opens_with_that_mailboxes_own_key(world: StoreWorld) -> None:
    organisation = await world.organisation()
    one, shared = await world.mailbox(organisation), await world.mailbox(organisation)
    raw = world.letter()
    await world.deliver(raw, one)
    target = await world.inbox(shared)
    await world.filing.move(world.actor, one, await world.inbox(one), [1], to_mailbox=shared, to_folder=target)
    assert await world.messages.body(shared, target, 1) == raw
    assert await world.messages.body(one, await world.inbox(one), 1) is None
    stranger = await world.mailbox(await world.organisation())
    with pytest.raises(NotPossible):
        await world.filing.copy(shared, target, [1], to_mailbox=stranger, to_folder=await world.inbox(stranger))


async def test_two_movers_in_opposite_directions_do_not_deadlock(world: StoreWorld) -> None:
    mailbox = await world.mailbox(await world.organisation())
    inbox, archive = await world.inbox(mailbox), await world.special(mailbox, SpecialUse.ARCHIVE)
    for _ in range(10):
        await world.deliver(world.letter(), mailbox)
    await world.filing.copy(mailbox, inbox, range(1, 11), to_mailbox=mailbox, to_folder=archive)
    forth = [
        world.filing.move(world.actor, mailbox, inbox, [uid], to_mailbox=mailbox, to_folder=archive)
        for uid in range(1, 11)
    ]
    back = [
        world.filing.move(world.actor, mailbox, archive, [uid], to_mailbox=mailbox, to_folder=inbox)
        for uid in range(1, 11)
    ]
    await asyncio.gather(*forth, *back)
    assert sum(view.messages for view in await world.folders.all(mailbox)) == 20


async def test_pages_follow_one_another_without_gap_or_repeat(world: StoreWorld) -> None:
    mailbox = await world.mailbox(await world.organisation())
    inbox = await world.inbox(mailbox)
    for number in range(25):
        await world.deliver(world.letter(f"letter {number}"), mailbox)
    await world.filing.set_flags(mailbox, inbox, [3, 7], add=Flag.SEEN)
    seen, key = [], None
    while True:
        page = await world.messages.page(mailbox, inbox, after=key, limit=10)
        seen += [line.summary.subject for line in page.lines]
        if (key := page.next_key) is None:
            break
    assert seen == [f"letter {number}" for number in reversed(range(25))]
    unread = await world.messages.page(mailbox, inbox, mask=Flag.SEEN, value=0, limit=100)
    assert len(unread.lines) == 23


async def test_folders_are_made_named_and_removed_with_words(world: StoreWorld, superuser_dsn: str) -> None:
    mailbox = await world.mailbox(await world.organisation())
    made = await world.folders.create(mailbox, "Safeguarding/Smith family")
    await world.folders.create(mailbox, "Safeguarding")
    with pytest.raises(NotPossible, match="already"):
        await world.folders.create(mailbox, "Safeguarding")
    with pytest.raises(NotPossible):
        await world.folders.create(mailbox, "inbox")
    for bad in ("", "a//b", "a\r\nb", " a", "100%", "*", "x" * 501):
        with pytest.raises(Malformed):
            await world.folders.create(mailbox, bad)
    parent = await world.folders.named(mailbox, "Safeguarding")
    assert parent
    await world.folders.rename(mailbox, parent.id, "Children")
    assert {view.name for view in await world.folders.all(mailbox)} >= {
        "Children",
        "Children/Smith family",
        "INBOX",
        "Bin",
    }
    await world.filing.append(mailbox, made, world.letter())
    with pytest.raises(NotPossible, match="still holds"):
        await world.folders.delete(mailbox, made)
    await world.filing.expunge(world.actor, mailbox, made, [1])
    old = await world.folders.by_id(mailbox, made)
    await world.folders.delete(mailbox, made)
    again = await world.folders.by_id(mailbox, await world.folders.create(mailbox, "Children/Smith family"))
    assert old
    assert again
    assert again.uidvalidity > old.uidvalidity
    with psycopg.connect(superuser_dsn) as connection:
        assert all(b"Smith" not in row[0] for row in connection.execute("SELECT name FROM folder"))


async def test_words_are_found_in_the_tail_and_in_segments(world: StoreWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carepost.store.search.FOLD_AT", 3)
    mailbox = await world.mailbox(await world.organisation())
    inbox, archive = await world.inbox(mailbox), await world.special(mailbox, SpecialUse.ARCHIVE)
    for number in range(12):
        await world.deliver(
            world.letter(f"Letter {number}", "amoxicillin é 5 mg" if number % 4 == 0 else "nothing"), mailbox
        )
        if number % 3 == 0:
            await world.search.search(mailbox, inbox, Query(terms=(Term("amoxi"),)))
    found = await world.search.search(mailbox, inbox, Query(terms=(Term("AMOXI"),)))
    assert [uid for _, uid in found] == [9, 5, 1]
    assert await world.search.search(mailbox, archive, Query(terms=(Term("amoxi"),))) == []
    by_subject = await world.search.search(mailbox, None, Query(terms=(Term("letter 11", Field.SUBJECT),)))
    assert by_subject == [(inbox, 12)]
    assert len(await world.search.search(mailbox, None, Query(terms=(Term("mbeki", Field.SENDER),)))) == 12
    assert await world.search.search(mailbox, None, Query(terms=(Term("mbeki", Field.SUBJECT),))) == []
    await world.filing.set_flags(mailbox, inbox, [9], add=Flag.SEEN)
    unread = Query(terms=(Term("amoxicillin"),), mask=Flag.SEEN, value=0)
    assert [uid for _, uid in await world.search.search(mailbox, inbox, unread)] == [5, 1]
    await world.filing.expunge(world.actor, mailbox, inbox, [5])
    assert [uid for _, uid in await world.search.search(mailbox, inbox, unread)] == [1]
    recent = Query(after=world.clock.now() - timedelta(seconds=2))
    assert [uid for _, uid in await world.search.search(mailbox, inbox, recent)] == [12, 11]


@pytest.mark.parametrize("typed", ['"', "a OR b", "subject:x", "* ^ -", "NEAR(a b)", "\x00", "(", "-- ;", "x" * 5000])
async def test_what_people_type_is_never_search_syntax(world: StoreWorld, typed: str) -> None:
    mailbox = await world.mailbox(await world.organisation())
    await world.deliver(world.letter(), mailbox)
    assert await world.search.search(mailbox, None, Query(terms=(Term(typed),))) == []


async def test_many_segments_become_few(world: StoreWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carepost.store.search.MERGE_AT", 3)
    mailbox = await world.mailbox(await world.organisation())
    for number in range(30):
        await world.deliver(world.letter(f"Letter {number}"), mailbox)
        await world.search.fold(mailbox)
    async with world.db.transaction(mailbox.organisation) as tx:
        segments = await tx.tuples("SELECT number, objects FROM search_segment")
    assert len(segments) <= 8
    assert sum(objects for _, objects in segments) == 30
    assert len(await world.search.search(mailbox, None, Query(terms=(Term("letter"),)))) == 30


async def test_watchers_hear_of_a_delivery(world: StoreWorld) -> None:
    mailbox = await world.mailbox(await world.organisation())
    heard: asyncio.Queue[tuple[object, int]] = asyncio.Queue()
    feed = asyncio.create_task(world.changes.run())
    try:
        with world.changes.watch(mailbox.id, lambda folder, modseq: heard.put_nowait((folder, modseq))):
            async with asyncio.timeout(180):
                assert await heard.get() == (None, 0)  # the feed is there
                (laid,) = await world.deliver(world.letter(), mailbox)
                assert await heard.get() == (laid.folder, laid.modseq)
    finally:
        feed.cancel()


async def test_keys_rotate_while_mail_stays_readable(world: StoreWorld) -> None:
    """E7, in the small: root and organisation keys, stopped in the middle and run again."""
    organisation = await world.organisation()
    mailboxes = [await world.mailbox(organisation) for _ in range(5)]
    raw = world.letter()
    await world.deliver(raw, *mailboxes)
    rotated = StoreWorld(world.db, clock=world.clock, root=type(world.root)({**world.root.by_version, 2: b"n" * 32}))
    assert await rotated.keys.rotate_root(organisation) == 1
    assert await rotated.keys.rotate_root(organisation) == 0
    assert await rotated.keys.begin_rotation(organisation) == 2
    assert await rotated.keys.go_on_rotating(organisation, batch=2) == 2
    fresh = StoreWorld(world.db, clock=world.clock, root=type(world.root)({2: b"n" * 32}))
    while await fresh.keys.go_on_rotating(organisation, batch=2):
        pass
    for mailbox in mailboxes:
        assert await fresh.messages.body(mailbox, await fresh.inbox(mailbox), 1) == raw
    async with world.db.transaction(organisation) as tx:
        rows = await tx.tuples(
            "SELECT version, root_version, retired_at IS NULL FROM keystore.organisation_key ORDER BY version"
        )
    assert rows == [(1, 2, False), (2, 2, True)]


async def test_upkeep_folds_what_has_piled_up_and_removes_bodies_without_a_key(
    world: StoreWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carepost.store.upkeep.FOLD_AT", 3)
    organisation = await world.organisation()
    one, two = await world.mailbox(organisation), await world.mailbox(organisation)
    upkeep = Upkeep(db=world.db, search=world.search, clock=world.clock)
    for _ in range(5):
        await world.deliver(world.letter(), one)
    await world.deliver(world.letter(), two)
    assert await upkeep.fold_indexes(organisation) == 5  # two has nothing worth folding yet
    assert await upkeep.fold_indexes(organisation) == 0
    await world.filing.expunge(world.actor, one, await world.inbox(one), [1, 2])
    assert await upkeep.purge_bodies(organisation, older_than=timedelta(days=1)) == 0  # too young
    world.clock.advance(timedelta(days=2))
    assert await upkeep.purge_bodies(organisation, older_than=timedelta(days=1)) == 2
    assert await world.messages.body(one, await world.inbox(one), 3) is not None


def test_segments_grow_in_tiers_and_never_too_large() -> None:
    assert _tier_to_merge([(n, 200) for n in range(1, 8)], 200) == []
    assert _tier_to_merge([(n, 200) for n in range(1, 9)], 200) == list(range(1, 9))
    large = [(n, SEGMENT_MAX) for n in range(1, 20)]
    assert _tier_to_merge(large, 5000) == []
    mixed = [*large, *[(100 + n, 200) for n in range(8)]]
    assert _tier_to_merge(mixed, 200) == [100 + n for n in range(8)]
