"""A backup is proved by restoring it: whole, by its own manifest, and readable only with the keys."""

import json
from pathlib import Path

import psycopg
import pytest
from tests.conftest import PostgresForTests
from tests.fakes.mailboxes import StoreWorld

from carepost.base.clock import SystemClock
from carepost.base.errors import NotPossible
from carepost.infra.db import Database
from carepost.infra.postgres import EmbeddedPostgres
from carepost.infra.postgres_config import EmbeddedPolicy
from carepost.ops.backup import Backups
from carepost.ops.restore import restore_into


async def backed_up(world: StoreWorld, postgres: PostgresForTests, dsn: str, into: Path) -> Path:
    assert postgres.server.binaries
    program = postgres.server.binaries.program("pg_dump")
    made = await Backups(dsn=dsn, pg_dump=program, clock=SystemClock()).make(into)
    assert made.rows > 0
    return made.folder


async def test_a_restored_backup_is_whole_and_opens_with_the_keys(
    database: Database, postgres: PostgresForTests, superuser_dsn: str, tmp_path: Path, short_folder: Path
) -> None:
    world = StoreWorld(database)
    mailbox = await world.mailbox(await world.organisation())
    raw = world.letter("Canary Zyxomma")
    await world.deliver(raw, mailbox)
    before = {view.uidvalidity for view in await world.folders.all(mailbox)}
    backup = await backed_up(world, postgres, superuser_dsn, tmp_path)
    await world.folders.create(mailbox, "Made after the backup")
    before |= {view.uidvalidity for view in await world.folders.all(mailbox)}
    for name in ("mail.dump", "keystore.dump", "manifest.json"):
        assert b"Zyxomma" not in (backup / name).read_bytes()
    async with EmbeddedPostgres(short_folder / "restored", EmbeddedPolicy(shared_buffers_mb=32)) as server:
        report = await restore_into(backup, server, SystemClock())
        assert report.faults == []
        assert report.objects == 1
        async with Database.open(server.dsn("carepost_app"), role="carepost_app") as copy:
            again = StoreWorld(copy, root=world.root)
            assert await again.messages.body(mailbox, await again.inbox(mailbox), 1) == raw
            await again.folders.create(mailbox, "Made after the restore")
            validities = [view.uidvalidity for view in await again.folders.all(mailbox)]
            assert min(validities) > max(before), "UIDs are given again, so nobody may take them for the old ones"
            assert len(set(validities)) == len(validities)
        with pytest.raises(NotPossible, match="empty folder"):
            await restore_into(backup, server, SystemClock())


async def test_a_backup_that_was_changed_or_is_incomplete_says_so(
    database: Database, postgres: PostgresForTests, superuser_dsn: str, tmp_path: Path, short_folder: Path
) -> None:
    world = StoreWorld(database)
    mailbox = await world.mailbox(await world.organisation())
    await world.deliver(world.letter(), mailbox)
    with psycopg.connect(superuser_dsn) as connection:
        connection.execute("UPDATE object SET sealed = set_byte(sealed, 100, (get_byte(sealed, 100) + 1) % 256)")
    backup = await backed_up(world, postgres, superuser_dsn, tmp_path)
    manifest = json.loads((backup / "manifest.json").read_text())
    manifest["rows"]["public.message"] += 1
    (backup / "manifest.json").write_text(json.dumps(manifest))
    async with EmbeddedPostgres(short_folder / "damaged", EmbeddedPolicy(shared_buffers_mb=32)) as server:
        report = await restore_into(backup, server, SystemClock())
        assert any("message" in fault and "the backup says 2" in fault for fault in report.faults)
        assert any("1 message bodies" in fault for fault in report.faults)
        with (backup / "mail.dump").open("ab") as file:
            file.write(b"x")
        assert "digest" in (await restore_into(backup, server, SystemClock())).faults[0]
        (backup / "manifest.json").unlink()
        with pytest.raises(NotPossible, match="not a complete backup"):
            await restore_into(backup, server, SystemClock())
