"""Files too large for email at rest: taken in pieces, gone on with, looked at, read from any place, deleted. R127."""

import hashlib
import io
import zipfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import psycopg
import pytest
from tests.conftest import PostgresForTests
from tests.fakes.canary import Canary
from tests.fakes.gateway_world import OPERATOR, GatewayWorld
from tests.fakes.large_files import PIECE, FakePieceScanner, kept_by, looked_at_by

from carepost.audit.events import EventName
from carepost.base.errors import Malformed, NotPossible
from carepost.base.ids import OutgoingId
from carepost.directory.model import MailboxRecord
from carepost.gateway.checks.malware import EICAR
from carepost.gateway.file_look import FileLook
from carepost.infra.clamd import ScanAnswer, ScannerUnavailable, ScanStatus
from carepost.infra.db import Database
from carepost.infra.vault import DoesNotOpen
from carepost.store.large_files import (
    Elsewhere,
    FileState,
    LargeFile,
    LargeFiles,
    NoSuchFile,
    Scanned,
)

CONTENT = b"".join(b"%06d|" % n for n in range(1_500))  # 10,500 octets: ten pieces and a half
OUTGOING = OutgoingId(7)


@dataclass
class FilesHouse:
    world: GatewayWorld
    files: LargeFiles
    ann: MailboxRecord
    scanner: FakePieceScanner = field(default_factory=FakePieceScanner)

    def look(self, **policy: int) -> FileLook:
        return looked_at_by(self.files, self.scanner, **policy)

    async def begun(self, content: bytes = CONTENT, called: str = "scan.bin") -> LargeFile:
        return await self.files.begin(self.ann.organisation, self.ann.id, called, "application/zip", len(content))

    async def fresh(self, file: LargeFile) -> LargeFile:
        found = await self.files.get(file.organisation, file.name)
        assert found is not None
        return found

    async def uploaded(self, content: bytes = CONTENT, called: str = "scan.bin") -> LargeFile:
        file = await self.begun(content, called)
        await self.files.take(file, 0, in_parts(content))
        return await self.fresh(file)

    async def ready(self, content: bytes = CONTENT, called: str = "scan.bin") -> LargeFile:
        return await self.look().look(await self.uploaded(content, called))

    async def events(self) -> list[str]:
        async with self.world.db.transaction(self.ann.organisation) as tx:
            rows = await tx.all("SELECT event FROM audit_event WHERE event LIKE 'store.large_file.%%' ORDER BY seq")
        return [row["event"] for row in rows]

    async def count(self, table: str) -> int:
        async with self.world.db.transaction(self.ann.organisation) as tx:
            return int((await tx.one(f"SELECT count(*) AS n FROM {table}"))["n"])  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def database_name(postgres: PostgresForTests) -> Iterator[str]:
    """One database for all of these: each has a practice of its own in it."""
    name = postgres.clone()
    yield name
    postgres.drop(name)


@pytest.fixture
async def house(database: Database, relay_database: Database, superuser_dsn: str) -> FilesHouse:
    world = GatewayWorld(database, relay_database)
    with psycopg.connect(superuser_dsn, autocommit=True) as behind:
        behind.execute("TRUNCATE large_file CASCADE")
    if world.domain not in await world.directory.own_domains():
        await world.organisations.add_domain(OPERATOR, world.domain)
    organisation = await world.organisation(f"A{len(await world.directory.organisations())}")
    _, mailbox = await world.person(organisation, "Ann Lee")
    files = kept_by(world)
    return FilesHouse(world, files, mailbox)


async def in_parts(content: bytes, step: int = 333, breaks_after: int | None = None) -> AsyncIterator[bytes]:
    """As a network gives it: in parts that are no pieces, and perhaps not to the end."""
    for at in range(0, len(content), step):
        if breaks_after is not None and at >= breaks_after:
            raise ConnectionError
        yield content[at : at + step]


async def whole(files: LargeFiles, file: LargeFile, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join([piece async for piece in files.read(file, start, stop)])


async def test_what_was_uploaded_comes_back_from_every_place(house: FilesHouse) -> None:
    file = await house.ready()
    assert (file.state, file.scanned) == (FileState.READY, Scanned.WHOLLY)
    assert file.digest == hashlib.sha256(CONTENT).hexdigest()
    assert bytes(house.scanner.seen) == CONTENT
    for start, stop in ((0, None), (0, 1), (999, 1_001), (1_000, 2_000), (10_499, 10_500), (4_321, 9_876)):
        assert await whole(house.files, file, start, stop) == CONTENT[start:stop]


async def test_an_upload_that_breaks_off_goes_on_behind_the_last_whole_piece(house: FilesHouse) -> None:
    file = await house.begun()
    with pytest.raises(ConnectionError):
        await house.files.take(file, 0, in_parts(CONTENT, breaks_after=4_600))
    file = await house.fresh(file)
    assert (file.received, file.state) == (4_000, FileState.COMING)
    with pytest.raises(Elsewhere):
        await house.files.take(file, 4_600, in_parts(CONTENT[4_600:]))
    assert await house.files.take(file, 4_000, in_parts(CONTENT[4_000:])) == len(CONTENT)
    assert await whole(house.files, await house.fresh(file)) == CONTENT


async def test_of_two_who_upload_the_same_piece_one_is_told_to_look_again(house: FilesHouse) -> None:
    file = await house.begun()
    await house.files.take(file, 0, in_parts(CONTENT[:3_000]))
    with pytest.raises(Elsewhere):  # a second tab, which knows nothing of the first
        await house.files.take(file, 0, in_parts(b"x" * 3_000))
    again = await house.fresh(file)
    await house.files.take(again, 3_000, in_parts(CONTENT[3_000:]))
    assert await whole(house.files, await house.fresh(file)) == CONTENT


async def test_more_than_was_announced_is_refused(house: FilesHouse) -> None:
    file = await house.begun()
    with pytest.raises(Malformed):
        await house.files.take(file, 0, in_parts(CONTENT + b"x"))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE large_file_piece SET sealed = set_byte(sealed, 40, get_byte(sealed, 40) # 1) WHERE number = 3",
        "UPDATE large_file_piece SET sealed = (SELECT sealed FROM large_file_piece WHERE number = 4) WHERE number = 3",
        "UPDATE large_file_piece SET sealed = (SELECT sealed FROM large_file_piece WHERE number = 9) WHERE number = 10",
        "UPDATE large_file SET size = 10000, received = 10000",
        "UPDATE large_file SET size = 10499",
    ],
    ids=["a bit", "another piece", "an earlier end", "shortened by a piece", "shortened by an octet"],
)
async def test_a_piece_that_was_changed_moved_or_cut_off_does_not_open(
    house: FilesHouse, change: str, superuser_dsn: str
) -> None:
    file = await house.ready()
    with psycopg.connect(superuser_dsn, autocommit=True) as behind:
        behind.execute(
            "ALTER TABLE large_file DROP CONSTRAINT IF EXISTS large_file_check"
        )  # whoever changes rows changes these
        behind.execute(change)  # type: ignore[arg-type]
    with pytest.raises(DoesNotOpen):
        await whole(house.files, await house.fresh(file))


async def test_nothing_of_a_file_is_on_the_disk_in_clear(house: FilesHouse, superuser_dsn: str) -> None:
    canary = Canary()
    content = b" ".join(canary.word().encode() for _ in range(200))
    await house.ready(content, called=f"{canary.word()}.txt")
    with psycopg.connect(superuser_dsn) as behind:
        tables = [row[0] for row in behind.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        for table in tables:
            rows = behind.execute(f"SELECT t::text FROM {table} AS t").fetchall()  # type: ignore[arg-type]
            assert canary.in_octets("\n".join(row[0] for row in rows).encode()) == [], table


async def test_a_mailbox_can_hold_so_much_and_a_file_be_so_large(house: FilesHouse) -> None:
    tight = kept_by(house.world, octets_max=100, mailbox_octets_max=150)
    with pytest.raises(Malformed):
        await tight.begin(house.ann.organisation, house.ann.id, "a", "b/c", 101)
    await tight.begin(house.ann.organisation, house.ann.id, "a", "b/c", 100)
    with pytest.raises(NotPossible):
        await tight.begin(house.ann.organisation, house.ann.id, "a", "b/c", 51)


async def test_malware_across_two_pieces_a_program_and_a_program_in_a_zip_are_refused(house: FilesHouse) -> None:
    house.scanner = FakePieceScanner()
    hidden = await house.ready(b"x" * (PIECE - 20) + EICAR + b"y" * 4_000)
    assert hidden.state is FileState.REFUSED
    assert "malware" in hidden.says
    assert "a Windows program" in (await house.ready(b"MZ" + b"\0" * 5_000, called="film.mp4")).says
    assert ".exe" in (await house.ready(CONTENT, called="film.exe")).says
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("scan.dcm", CONTENT)
        archive.writestr("viewer.exe", b"anything")
    assert ".exe" in (await house.ready(packed.getvalue(), called="scan.zip")).says
    house.scanner.answer = ScanAnswer(ScanStatus.FOUND, "Win.Test")
    assert "Win.Test" in (await house.ready()).says


async def test_what_the_scanner_does_not_take_is_marked_and_a_scanner_that_is_away_is_waited_for(
    house: FilesHouse,
) -> None:
    file = await house.look(scanner_octets_max=5_000).look(await house.uploaded())
    assert (file.state, file.scanned) == (FileState.READY, Scanned.NO)
    waits = await house.uploaded()
    house.scanner.fails = ScannerUnavailable("away")
    with pytest.raises(ScannerUnavailable):
        await house.look().look(waits)
    assert (await house.fresh(waits)).state is FileState.WHOLE
    house.scanner.fails = None
    assert await house.look().look_at_all(house.ann.organisation) == 1
    assert (await house.fresh(waits)).state is FileState.READY


async def test_only_whose_it_is_and_who_was_given_it_may_have_it_and_no_longer_than_they_may(house: FilesHouse) -> None:
    world, files = house.world, house.files
    theirs = await world.organisation(f"B{len(await world.directory.organisations())}")
    _, ben = await world.person(theirs, "Ben Roe")
    _, eve = await world.person(theirs, "Eve Dun")
    file = await house.ready()
    async with world.db.transaction(theirs) as tx:
        await files.share(tx, theirs, OUTGOING, [file], [ben.id])
    assert (await files.for_mailboxes(theirs, [ben.id, eve.id], file.name))[1] == ben.id
    for organisation, mailbox in ((theirs, eve.id), (house.ann.organisation, ben.id), (theirs, house.ann.id)):
        with pytest.raises(NoSuchFile):
            await files.for_mailboxes(organisation, [mailbox], file.name)
    for name in ("", "x" * 26, file.name.upper(), "../" + file.name, file.name[:-1] + "8"):
        with pytest.raises(NoSuchFile):
            await files.for_mailboxes(theirs, [ben.id], name)
    async with world.db.transaction(theirs) as tx:
        assert await files.unshare(tx, theirs, ben.id, house.ann.organisation, OUTGOING)
    with pytest.raises(NoSuchFile):
        await files.for_mailboxes(theirs, [ben.id], file.name)


async def test_a_message_takes_only_files_of_its_own_mailbox_that_are_ready(house: FilesHouse) -> None:
    world, files = house.world, house.files
    _, other = await world.person(house.ann.organisation, "Ben Roe")
    ready, coming = await house.ready(), await house.begun()
    organisation, now = house.ann.organisation, world.clock.now()
    for mailbox, names in ((other.id, [ready.name]), (house.ann.id, [coming.name]), (house.ann.id, ["nothing"])):
        with pytest.raises(NotPossible):
            async with world.db.transaction(organisation) as tx:
                await files.use(tx, organisation, mailbox, OUTGOING, names, now)
    leaves = now + timedelta(days=300)  # a message that is sent much later
    async with world.db.transaction(organisation) as tx:
        await files.use(tx, organisation, house.ann.id, OUTGOING, [ready.name], leaves)
        assert [one.name for one in await files.of_outgoing(tx, organisation, OUTGOING)] == [ready.name]
    assert (await house.fresh(ready)).expires_at == leaves + files.policy.kept_for
    async with world.db.transaction(organisation) as tx:
        await files.keep_longer(tx, organisation, OUTGOING, leaves + timedelta(days=60))
    assert (await house.fresh(ready)).expires_at == leaves + timedelta(days=60)


async def test_what_has_ended_is_deleted_with_its_pieces_also_while_somebody_reads(house: FilesHouse) -> None:
    file, unfinished = await house.ready(), await house.begun()
    await house.files.take(unfinished, 0, in_parts(CONTENT[:2_000]))
    reading = house.files.read(file)
    assert await anext(reading) == CONTENT[:PIECE]
    assert await house.files.tidy(house.ann.organisation) == 0
    house.world.clock.advance(timedelta(days=3))
    assert await house.files.tidy(house.ann.organisation) == 1  # the upload that nobody goes on with
    assert await anext(reading) == CONTENT[PIECE : 2 * PIECE]
    house.world.clock.advance(timedelta(days=26))
    with pytest.raises(NoSuchFile):
        await anext(reading)
    assert await house.files.tidy(house.ann.organisation) == 1
    assert (await house.count("large_file"), await house.count("large_file_piece")) == (0, 0)
    assert await house.events() == [
        EventName.LARGE_FILE_JUDGED,
        EventName.LARGE_FILE_DELETED,
        EventName.LARGE_FILE_DELETED,
    ]
