"""Transactions, tenancy and the pool, on a real PostgreSQL."""
# ruff: noqa: PT012 (a transaction that is to fail is a block)

import asyncio
import random
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from carepost.base.errors import Broken, NotPossible, TryLater
from carepost.base.ids import OrganisationId
from carepost.infra.db import Database, DatabaseLimits, with_password

NORTH, SOUTH = OrganisationId(1), OrganisationId(2)
TENANCY = """
CREATE TABLE note (organisation_id bigint NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY, body bytea NOT NULL,
                   PRIMARY KEY (organisation_id, id));
ALTER TABLE note ENABLE ROW LEVEL SECURITY;
ALTER TABLE note FORCE ROW LEVEL SECURITY;
CREATE POLICY note_of_one_organisation ON note
  USING (organisation_id = nullif(current_setting('carepost.organisation', true), '')::bigint)
  WITH CHECK (organisation_id = nullif(current_setting('carepost.organisation', true), '')::bigint);
GRANT SELECT, INSERT, UPDATE, DELETE ON note TO carepost_app;
"""


@pytest.fixture
def dsn(empty_dsn: str) -> str:
    with psycopg.connect(empty_dsn, autocommit=True) as owner:
        owner.execute(TENANCY)
    return empty_dsn.replace("carepost_owner", "carepost_app")


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[Database]:
    async with Database.open(dsn, pool_max=4, role="carepost_app") as opened:
        yield opened


async def test_a_transaction_commits_at_the_end_of_its_block(db: Database) -> None:
    async with db.transaction(NORTH) as tx:
        assert await tx.run("INSERT INTO note (organisation_id, body) VALUES (%s, %s)", [NORTH, b"\x00\xff"]) == 1
    async with db.transaction(NORTH) as tx:
        assert await tx.all("SELECT body FROM note") == [{"body": b"\x00\xff"}]
        assert await tx.tuples("SELECT body FROM note") == [(b"\x00\xff",)]


async def test_an_error_rolls_back(db: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with db.transaction(NORTH) as tx:
            await tx.run("INSERT INTO note (organisation_id, body) VALUES (1, 'x')")
            raise ZeroDivisionError
    async with db.transaction(NORTH) as tx:
        assert await tx.all("SELECT * FROM note") == []


async def test_a_swallowed_error_does_not_pass_for_a_commit(db: Database) -> None:
    with pytest.raises(Broken):
        async with db.transaction(NORTH) as tx:
            await tx.run("INSERT INTO note (organisation_id, body) VALUES (1, 'x')")
            with pytest.raises(psycopg.errors.DivisionByZero):
                await tx.run("SELECT 1/0")


async def test_no_organisation_sees_nothing_and_another_sees_only_its_own(db: Database) -> None:
    for organisation in (NORTH, SOUTH):
        async with db.transaction() as tx:
            await tx.act_for(organisation)
            await tx.run("INSERT INTO note (organisation_id, body) VALUES (%s, 'x')", [organisation])
    async with db.transaction() as tx:
        assert await tx.all("SELECT * FROM note") == []
    async with db.transaction(SOUTH) as tx:
        assert [row["organisation_id"] for row in await tx.all("SELECT * FROM note")] == [SOUTH]


async def test_writing_for_another_organisation_is_refused(db: Database) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with db.transaction(NORTH) as tx:
            await tx.run("INSERT INTO note (organisation_id, body) VALUES (2, 'x')")


async def test_one_and_maybe_are_strict_about_numbers(db: Database) -> None:
    async with db.transaction() as tx:
        assert await tx.maybe("SELECT 1 AS n WHERE false") is None
        assert await tx.one("SELECT 1 AS n") == {"n": 1}
    with pytest.raises(Broken):
        async with db.transaction() as tx:
            await tx.one("SELECT 1 AS n WHERE false")
    with pytest.raises(Broken):
        async with db.transaction() as tx:
            await tx.maybe("SELECT generate_series(1, 2) AS n")


async def test_many_runs_once_for_each_and_counts(db: Database) -> None:
    async with db.transaction(NORTH) as tx:
        insert = "INSERT INTO note (organisation_id, body) VALUES (%s, %s)"
        assert await tx.many(insert, [(NORTH, bytes([n])) for n in range(5)]) == 5
        assert await tx.many(insert, []) == 0
        async with tx.pipeline():
            await tx.run(insert, [NORTH, b"p"])
            await tx.run(insert, [NORTH, b"q"])
        assert (await tx.one("SELECT count(*) AS n FROM note"))["n"] == 7


async def test_what_must_touch_rows_and_does_not_undoes_all_of_its_pipeline(db: Database) -> None:
    insert = "INSERT INTO note (organisation_id, body) VALUES (1, 'x')"
    nothing = "UPDATE note SET body = 'y' WHERE false"
    with pytest.raises(Broken, match="nothing there"):
        async with db.transaction(NORTH) as tx, tx.pipeline():
            await tx.must(nothing, rows=1, otherwise=lambda: Broken("nothing there"))
            await tx.must(insert, rows=1, otherwise=lambda: Broken("not reached"))
    with pytest.raises(Broken, match="nothing there"):
        async with db.transaction(NORTH) as tx:
            await tx.must(nothing, rows=1, otherwise=lambda: Broken("nothing there"))
    with pytest.raises(psycopg.errors.DivisionByZero):
        async with db.transaction(NORTH) as tx, tx.pipeline():
            await tx.run("SELECT 1/0")
            await tx.must(insert, rows=1, otherwise=lambda: Broken("the first error is the one told"))
    async with db.transaction(NORTH) as tx:
        assert await tx.all("SELECT * FROM note") == []
        async with tx.pipeline():
            await tx.must(insert, rows=1, otherwise=lambda: Broken("not reached"))
        assert len(await tx.all("SELECT * FROM note")) == 1


async def test_a_glance_sees_no_organisation_s_rows_and_leaves_the_connection_as_it_was(db: Database) -> None:
    async with db.transaction(NORTH) as tx:
        await tx.run("INSERT INTO note (organisation_id, body) VALUES (1, 'x')")
    async with db.glance() as tx:
        assert await tx.all("SELECT * FROM note") == []
    async with db.glance() as tx:
        with pytest.raises(psycopg.errors.DivisionByZero):
            await tx.all("SELECT 1/0")
        assert await tx.one("SELECT 1 AS well") == {"well": 1}  # in a transaction the error would have ended it
    async with db.transaction(NORTH) as tx:
        assert await tx.all("SELECT body FROM note") == [{"body": b"x"}]
    assert db.counters.leaks == 0


async def test_a_session_wide_organisation_is_noticed_and_the_connection_is_never_lent_again(dsn: str) -> None:
    async with Database.open(dsn, pool_max=1) as db:
        async with db.transaction() as tx:
            await tx.run("SELECT set_config('carepost.organisation', '2', false)")
        assert db.counters.leaks == 1
        async with db.transaction() as tx:
            assert await tx.one("SELECT current_setting('carepost.organisation', true) AS who") == {"who": None}


async def test_two_hundred_tasks_of_two_organisations_leak_nothing(db: Database) -> None:
    """T5: cancellations and errors in the middle of transactions, over four connections."""
    for organisation in (NORTH, SOUTH):
        async with db.transaction(organisation) as tx:
            await tx.run("INSERT INTO note (organisation_id, body) VALUES (%s, 'seed')", [organisation])
    chance = random.Random(5)
    seen: list[tuple[OrganisationId | None, set[int]]] = []

    async def work(organisation: OrganisationId | None, trouble: float) -> None:
        async with db.transaction(organisation) as tx:
            rows = await tx.tuples("SELECT organisation_id FROM note")
            seen.append((organisation, {row[0] for row in rows}))
            if organisation is not None:
                await tx.run("INSERT INTO note (organisation_id, body) VALUES (%s, 'x')", [organisation])
            if trouble < 0.2:
                raise ZeroDivisionError
            await tx.run("SELECT pg_sleep(0.003)")
            seen.append((organisation, {row[0] for row in await tx.tuples("SELECT organisation_id FROM note")}))

    tasks = []
    for number in range(200):
        task = asyncio.create_task(work((NORTH, SOUTH, None)[number % 3] if number % 7 else None, chance.random()))
        tasks.append(task)
        if chance.random() < 0.4:
            asyncio.get_running_loop().call_later(chance.random() * 0.4, task.cancel)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    outcomes = {type(result) for result in results}
    assert {asyncio.CancelledError, ZeroDivisionError, type(None)} <= outcomes
    assert outcomes <= {asyncio.CancelledError, ZeroDivisionError, type(None)}
    assert [item for item in seen if item[1] != (set() if item[0] is None else {item[0]})] == []
    assert db.counters.leaks == 0


async def test_a_server_that_hangs_up_is_noticed_before_the_connection_is_lent(
    db: Database, superuser: psycopg.Connection
) -> None:
    async with db.transaction() as tx:
        await tx.one("SELECT 1 AS n")
    superuser.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'carepost_app'")
    for _ in range(1500):
        if not superuser.execute("SELECT FROM pg_stat_activity WHERE usename = 'carepost_app'").fetchall():
            break
        await asyncio.sleep(0.02)
    async with db.transaction() as tx:
        assert await tx.one("SELECT 1 AS n") == {"n": 1}
    assert db.counters.unavailable == 0


async def test_a_connection_lost_in_a_transaction_means_try_later(db: Database, superuser: psycopg.Connection) -> None:
    with pytest.raises(TryLater) as raised:
        async with db.transaction(NORTH) as tx:
            me = (await tx.one("SELECT pg_backend_pid() AS pid"))["pid"]
            await tx.run("INSERT INTO note (organisation_id, body) VALUES (1, 'x')")
            superuser.execute("SELECT pg_terminate_backend(%s, 5000)", [me])
    assert "database" not in raised.value.public
    async with db.transaction(NORTH) as tx:
        assert await tx.all("SELECT * FROM note") == []


async def test_an_exhausted_pool_means_try_later(dsn: str) -> None:
    async with Database.open(dsn, pool_max=1) as db:
        async with db.transaction():
            db._pool.timeout = 0.5  # meant to run out
            with pytest.raises(TryLater):
                async with db.transaction():
                    pytest.fail("there was only one connection")
            db._pool.timeout = 60
        async with db.transaction() as tx:
            assert await tx.one("SELECT 1 AS n") == {"n": 1}


async def test_a_statement_that_takes_too_long_means_try_later(dsn: str) -> None:
    async with Database.open(dsn, limits=DatabaseLimits(statement_seconds=2)) as db:  # meant to run out
        with pytest.raises(TryLater):
            async with db.transaction() as tx:
                await tx.run("SELECT pg_sleep(10)")


async def test_a_database_that_is_not_there_means_try_later() -> None:
    with pytest.raises(TryLater):
        async with Database.open(
            "host=/nonexistent dbname=carepost", limits=DatabaseLimits(acquire_seconds=0.3)
        ):  # meant to run out
            pytest.fail("it opened")


async def test_the_owner_and_the_superuser_are_refused_as_the_program(dsn: str) -> None:
    for role in ("carepost_owner", "postgres"):
        with pytest.raises(NotPossible):
            async with Database.open(dsn.replace("carepost_app", role), role=role):
                pytest.fail(f"{role} was let in")


def test_a_password_is_added_to_either_form_of_address() -> None:
    for dsn in ("host=h user=u", "postgresql://u@h/"):
        assert conninfo_to_dict(with_password(dsn, "it's \\ secret")) == {
            "host": "h",
            "user": "u",
            "password": "it's \\ secret",
        }


async def test_listeners_hear_what_was_committed_and_start_with_a_look_for_yourself(
    db: Database, superuser: psycopg.Connection
) -> None:
    heard: list[str] = []
    listening = db.listen("mailbox_changed")
    async with asyncio.timeout(180):
        heard.append(await anext(listening))
        async with db.transaction() as tx:
            await tx.notify("mailbox_changed", "42:7")
        heard.append(await anext(listening))
        superuser.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        heard.append(await anext(listening))
        async with db.transaction() as tx:
            await tx.notify("mailbox_changed", "42:8")
        heard.append(await anext(listening))
    await listening.aclose()
    assert heard == ["", "42:7", "", "42:8"]


@pytest.fixture
def superuser(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn.replace("carepost_app", "postgres"), autocommit=True) as connection:
        yield connection
