"""C1, asked of a real server."""

import psycopg
import pytest

from carepost.base.errors import NotPossible
from carepost.infra.db import Database
from carepost.infra.durability import DurabilityWatch, durability_findings, insist_on_durability


@pytest.fixture
def app_dsn(empty_dsn: str) -> str:
    return empty_dsn.replace("carepost_owner", "carepost_app")


async def test_the_embedded_server_keeps_what_it_commits(app_dsn: str) -> None:
    async with Database.open(app_dsn) as db:
        await insist_on_durability(db)
        async with db.transaction() as tx:
            assert await durability_findings(tx) == []


async def test_a_database_that_may_forget_is_refused_at_start(app_dsn: str, empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn.replace("carepost_owner", "postgres"), autocommit=True) as superuser:
        superuser.execute(
            "ALTER ROLE carepost_app IN DATABASE " + str(superuser.info.dbname) + " SET synchronous_commit = off"
        )
    async with Database.open(app_dsn) as db:
        with pytest.raises(NotPossible, match="synchronous_commit is off"):
            await insist_on_durability(db)


async def test_the_watch_notices_a_later_change_and_a_silence(app_dsn: str) -> None:
    told: list[int] = []
    async with Database.open(app_dsn, pool_max=1) as db:
        watch = DurabilityWatch(db, tell=lambda findings: told.append(len(findings)))
        await watch.look()
        assert watch.sound
        async with db.transaction() as tx:
            await tx.run("SET synchronous_commit = off")
        await watch.look()
        assert not watch.sound
        assert told == [0, 1]
        async with db.transaction() as tx:
            await tx.run("SET synchronous_commit = on")
        await watch.look()
        assert watch.sound
        watch.every_seconds = 0.0  # As if it had been silent for too long.
        assert not watch.sound
