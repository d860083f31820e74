"""schema.sql is a document; the migrations are the truth. They say the same."""

import difflib
import importlib.resources

import psycopg
import pytest

from carepost.base.errors import Broken, NotPossible, TryLater
from carepost.infra.catalogue import catalogue
from carepost.infra.db import Database
from carepost.infra.migrate import check_version, migrate, parse_migration, schema_text, shipped_migrations


async def test_all_migrations_give_exactly_the_schema(owner_dsn: str, empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as owner:
        owner.execute(schema_text())
    by_migration, by_document = await catalogue(owner_dsn), await catalogue(empty_dsn)
    differences = difflib.unified_diff(
        by_document.splitlines(), by_migration.splitlines(), "schema.sql", "migrations", lineterm="", n=0
    )
    assert "\n".join(differences) == ""


async def test_the_catalogue_notices_a_grant_a_default_and_a_policy(empty_dsn: str) -> None:
    statements = [
        "CREATE TABLE thing (id bigint PRIMARY KEY, name text)",
        "GRANT SELECT (name) ON thing TO carepost_relay",
        "ALTER TABLE thing ALTER COLUMN name SET DEFAULT 'x'",
        "ALTER TABLE thing ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY everyone ON thing USING (true)",
        "CREATE FUNCTION one() RETURNS integer LANGUAGE sql RETURN 1",
        "REVOKE EXECUTE ON FUNCTION one() FROM PUBLIC",
        "COMMENT ON COLUMN thing.name IS 'what it is called'",
    ]
    texts = [await catalogue(empty_dsn)]
    for statement in statements:
        with psycopg.connect(empty_dsn, autocommit=True) as owner:
            owner.execute(statement)
        texts.append(await catalogue(empty_dsn))
    assert len(set(texts)) == len(statements) + 1


def test_migrations_are_numbered_one_after_another_and_shipped_with_the_package() -> None:
    numbers = [migration.number for migration in shipped_migrations()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert importlib.resources.files("carepost").joinpath("migrations").is_dir()


def test_a_first_line_may_set_the_time_limits() -> None:
    slow = parse_migration("0007_post_fill.sql", "-- carepost: statement_timeout=10min transaction=no\nSELECT 1;")
    assert (slow.number, slow.half, slow.statement_timeout, slow.lock_timeout) == (7, "post", "10min", "4s")
    assert slow.transaction is False
    for name, text in [
        ("7_pre_x.sql", ""),
        ("0007_x.sql", ""),
        ("0007_pre_x.sql", "-- carepost: haste=yes\n"),
        ("0007_pre_x.sql", "-- carepost: statement_timeout 10min\n"),
    ]:
        with pytest.raises(Broken):
            parse_migration(name, text)


STEPS = [
    parse_migration("0001_pre_first.sql", "CREATE TABLE first ();"),
    parse_migration("0002_pre_second.sql", "CREATE TABLE second ();"),
    parse_migration("0003_post_second.sql", "DROP TABLE first;"),
    parse_migration("0004_pre_third.sql", "CREATE TABLE third ();"),
]


async def test_halves_stop_at_each_other(empty_dsn: str) -> None:
    first = await migrate(empty_dsn, "pre", migrations=STEPS)
    assert first.applied == ("0001_pre_first.sql", "0002_pre_second.sql")
    assert first.waiting == ("0003_post_second.sql", "0004_pre_third.sql")
    assert (await migrate(empty_dsn, "pre", migrations=STEPS)).applied == ()
    assert (await migrate(empty_dsn, "post", migrations=STEPS)).applied == ("0003_post_second.sql",)
    assert (await migrate(empty_dsn, "all", migrations=STEPS)).applied == ("0004_pre_third.sql",)
    assert await migrate(empty_dsn, "all", migrations=STEPS) == type(first)((), ())


async def test_a_step_that_fails_leaves_no_trace_and_those_before_it_stay(empty_dsn: str) -> None:
    bad = parse_migration("0002_pre_bad.sql", "CREATE TABLE half (); SELECT 1/0;")
    with pytest.raises(Broken, match="0002_pre_bad"):
        await migrate(empty_dsn, migrations=[STEPS[0], bad])
    with psycopg.connect(empty_dsn) as owner:
        assert owner.execute("SELECT at FROM schema_version").fetchone() == (1,)
        assert owner.execute("SELECT to_regclass('half')").fetchone() == (None,)


async def test_a_step_gives_up_rather_than_make_the_service_wait(empty_dsn: str) -> None:
    await migrate(empty_dsn, migrations=STEPS[:1])
    patient = parse_migration("0002_pre_alter.sql", "-- carepost: lock_timeout=100ms\nALTER TABLE first ADD x integer;")
    with psycopg.connect(empty_dsn) as service:
        service.execute("SELECT * FROM first")  # Holds its lock until the transaction ends.
        with pytest.raises(TryLater):
            await migrate(empty_dsn, migrations=[STEPS[0], patient])
    await migrate(empty_dsn, migrations=[STEPS[0], patient])


async def test_a_program_outside_the_range_of_the_schema_is_told_which_way_to_go(empty_dsn: str) -> None:
    async with Database.open(empty_dsn.replace("carepost_owner", "carepost_app")) as db:
        with pytest.raises(NotPossible, match="carepost migrate"):
            await check_version(db, migrations=STEPS)
        await migrate(empty_dsn, migrations=STEPS[:2])
        with pytest.raises(NotPossible, match="at step 2 and this program needs step 4"):
            await check_version(db, migrations=STEPS)
        await check_version(db, migrations=STEPS[:1])  # The old program, while the new half is in place.
        await migrate(empty_dsn, migrations=STEPS)
        await check_version(db, migrations=STEPS)
        with pytest.raises(NotPossible, match="newer program"):
            await check_version(db, migrations=STEPS[:2])
    with pytest.raises(NotPossible, match="newer than this program"):
        await migrate(empty_dsn, migrations=STEPS[:2])
