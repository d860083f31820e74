"""Bringing the schema to where the program needs it, in two halves.

Promises
    A `pre` file suits the program that still runs and the next one; a `post` file follows when the old one is gone.
    Each file is one transaction, and gives up rather than make the service wait for a lock.
    Two programs never migrate at once; a program outside the range of the schema refuses to start and says which
    way to go.

`schema_version` holds two numbers: `at`, the last file applied, and `oldest_program`, the lowest number a program
must have shipped to run on it. A program's number is that of its last file.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from carepost.base.errors import Broken, NotPossible, TryLater
from carepost.infra.db import Database

Half = Literal["pre", "post"]

# Long enough for any lock a short statement holds; short enough that nobody notices us queueing for one.
LOCK_TIMEOUT = "4s"
STATEMENT_TIMEOUT = "5s"
# Nothing else in the program takes advisory locks of this number ("carepost" on a telephone's keys).
_ADVISORY_LOCK = 22737678
_TURN_SECONDS = 60.0

_FILE_NAME = re.compile(r"(\d{4})_(pre|post)_[a-z0-9_]+\.sql")
_DIRECTIVE = re.compile(r"--\s*carepost:((?:\s+[a-z_]+=\S+)+)\s*")
_VERSION_TABLE = """
CREATE TABLE IF NOT EXISTS schema_version (
  only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  at             integer NOT NULL,
  oldest_program integer NOT NULL,
  changed_at     timestamptz NOT NULL DEFAULT now()
);
INSERT INTO schema_version (at, oldest_program) VALUES (0, 0) ON CONFLICT DO NOTHING;
GRANT SELECT ON schema_version TO carepost_app, carepost_relay;
COMMENT ON TABLE schema_version IS 'Where the schema is, and the oldest program that may run on it.';
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. Its first line may be `-- carepost: lock_timeout=9s statement_timeout=10min transaction=no`."""

    number: int
    half: Half
    name: str
    text: str = field(repr=False)
    lock_timeout: str = LOCK_TIMEOUT
    statement_timeout: str = STATEMENT_TIMEOUT
    transaction: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    applied: tuple[str, ...]
    # What remains for another time: files of the other half, and those behind them.
    waiting: tuple[str, ...]


def schema_text() -> str:
    """schema.sql, as shipped."""
    return files("carepost").joinpath("schema.sql").read_text("utf-8")


def shipped_migrations(folder: Traversable | None = None) -> list[Migration]:
    """In order. Raises Broken when numbers are missing, double, or a name does not follow the form."""
    folder = folder or files("carepost").joinpath("migrations")
    found = sorted(
        (_read(entry) for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda one: one.number
    )
    if [one.number for one in found] != list(range(1, len(found) + 1)):
        raise Broken("migrations are not numbered one after another", numbers=[one.number for one in found])
    return found


async def bootstrap(admin_dsn: str, *, database: str = "carepost") -> None:
    """Make the three roles and the database, unless they are there.

    `admin_dsn` connects as a superuser, or as a role that may make roles and databases. Raises NotPossible when a role
    of ours exists with powers that would undo row-level security.
    """
    text = files("carepost.infra").joinpath("bootstrap.sql").read_text("utf-8")
    async with await _connect(admin_dsn) as connection:
        try:
            await connection.execute(text)
        except psycopg.errors.RaiseException as error:
            raise NotPossible(str(error.diag.message_primary)) from error
        async with _as_member_of_owner(connection):
            await _make_database(connection, database)


async def _make_database(connection: psycopg.AsyncConnection[object], database: str) -> None:
    name = sql.Identifier(database)
    there = await (await connection.execute("SELECT FROM pg_database WHERE datname = %s", [database])).fetchone()
    if there is None:
        with suppress(psycopg.errors.DuplicateDatabase):  # Another bootstrap was a moment quicker.
            await connection.execute(sql.SQL("CREATE DATABASE {} OWNER carepost_owner").format(name))
    await connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    await connection.execute(
        sql.SQL("GRANT CONNECT ON DATABASE {} TO carepost_owner, carepost_app, carepost_relay").format(name)
    )


@asynccontextmanager
async def _as_member_of_owner(connection: psycopg.AsyncConnection[object]) -> AsyncIterator[None]:
    """Who is not superuser may give a database to a role only as its member: for this moment, then no more."""
    cursor = await connection.execute(
        "SELECT rolsuper OR pg_has_role('carepost_owner', 'SET') FROM pg_roles WHERE rolname = current_user"
        if connection.info.server_version >= 160000
        else "SELECT rolsuper OR pg_has_role('carepost_owner', 'MEMBER') FROM pg_roles WHERE rolname = current_user"
    )
    if await cursor.fetchone() == (True,):
        yield
        return
    await connection.execute("GRANT carepost_owner TO CURRENT_USER")
    try:
        yield
    finally:
        await connection.execute("REVOKE carepost_owner FROM CURRENT_USER")


async def migrate(
    owner_dsn: str, half: Literal["pre", "post", "all"] = "all", *, migrations: Sequence[Migration] | None = None
) -> Outcome:
    """Apply what is pending, in order, up to the first file of the other half.

    Raises TryLater when somebody else is migrating or a lock was not to be had, and Broken when a file fails: the
    files before it stay applied, it itself leaves no trace.
    """
    migrations = shipped_migrations() if migrations is None else migrations
    applied: list[str] = []
    async with await _connect(owner_dsn) as connection:
        await _take_turn(connection)
        await connection.execute(_VERSION_TABLE)
        at = await _where(connection)
        if at > len(migrations):
            raise NotPossible(f"The schema is at {at}, newer than this program, which knows {len(migrations)} steps.")
        pending = list(migrations[at:])
        while pending and half in (pending[0].half, "all"):
            migration = pending.pop(0)
            await _apply(connection, migration)
            applied.append(migration.name)
    return Outcome(tuple(applied), tuple(one.name for one in pending))


async def check_version(db: Database, *, migrations: Sequence[Migration] | None = None) -> None:
    """Raise NotPossible, saying which way to go, unless this program may run on the schema as it is."""
    migrations = shipped_migrations() if migrations is None else migrations
    needs = max((one.number for one in migrations if one.half == "pre"), default=0)
    async with db.transaction() as tx:
        there = await tx.maybe("SELECT to_regclass('schema_version') IS NOT NULL AS there")
        if not (there and there["there"]):
            raise NotPossible("The database has no Carepost schema yet. Run `carepost migrate`.")
        version = await tx.one("SELECT at, oldest_program FROM schema_version")
    if version["at"] < needs:
        raise NotPossible(
            f"The database schema is at step {version['at']} and this program needs step {needs}. "
            "Run `carepost migrate`, then start again."
        )
    if version["oldest_program"] > len(migrations):
        raise NotPossible(
            f"The database schema is at step {version['at']} and no longer suits this program, which knows "
            f"{len(migrations)} steps. Install the newer program; the schema does not go back."
        )


def parse_migration(name: str, text: str) -> Migration:
    """Raises Broken when the name or the first line breaks the form."""
    match = _FILE_NAME.fullmatch(name)
    if match is None:
        raise Broken("a migration's name must look like 0042_pre_hold_has_approver.sql", name=name)
    half: Half = "pre" if match[2] == "pre" else "post"
    first, _, _ = text.partition("\n")
    options: dict[str, str] = {}
    if directive := _DIRECTIVE.fullmatch(first):
        options = dict(word.split("=", 1) for word in directive[1].split())
    elif first.lstrip("- ").startswith("carepost:"):
        raise Broken("a migration's first line could not be understood", name=name)
    if unknown := options.keys() - {"lock_timeout", "statement_timeout", "transaction"}:
        raise Broken("a migration's first line has unknown options", name=name, unknown=sorted(unknown))
    return Migration(
        int(match[1]),
        half,
        name,
        text,
        lock_timeout=options.get("lock_timeout", LOCK_TIMEOUT),
        statement_timeout=options.get("statement_timeout", STATEMENT_TIMEOUT),
        transaction=options.get("transaction", "yes") != "no",
    )


def _read(entry: Traversable) -> Migration:
    return parse_migration(entry.name, entry.read_text("utf-8"))


async def _connect(dsn: str) -> psycopg.AsyncConnection[object]:
    parameters: dict[str, Any] = {
        "connect_timeout": "5",
        "application_name": "carepost migrate",
        **conninfo_to_dict(dsn),
    }
    try:
        return await psycopg.AsyncConnection.connect(make_conninfo(**parameters), autocommit=True)
    except psycopg.OperationalError as error:
        raise TryLater("The database does not answer.", cause=str(error)) from error


async def _take_turn(connection: psycopg.AsyncConnection[object]) -> None:
    """The lock is the session's: it goes when the connection does, however that ends."""
    try:
        async with asyncio.timeout(_TURN_SECONDS):
            while True:
                cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", [_ADVISORY_LOCK])
                if await cursor.fetchone() == (True,):
                    return
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise TryLater("Another program is migrating this database. Wait for it to end, then try again.") from None


async def _where(connection: psycopg.AsyncConnection[object]) -> int:
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute("SELECT at FROM schema_version")
    row = await cursor.fetchone()
    return int(row["at"]) if row else 0


async def _apply(connection: psycopg.AsyncConnection[object], migration: Migration) -> None:
    try:
        if migration.transaction:
            async with connection.transaction():
                await _run(connection, migration, is_local=True)
        else:
            await _run(connection, migration, is_local=False)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled) as error:
        raise TryLater(
            f"{migration.name} waited too long for others and was undone. Try again at a quieter time."
        ) from error
    except psycopg.Error as error:
        raise Broken(f"{migration.name} failed and was undone: {error}", state=error.sqlstate) from error


async def _run(connection: psycopg.AsyncConnection[object], migration: Migration, *, is_local: bool) -> None:
    for name, value in (("lock_timeout", migration.lock_timeout), ("statement_timeout", migration.statement_timeout)):
        await connection.execute("SELECT set_config(%s, %s, %s)", [name, value, is_local])
    # Shipped with the program: as safe as a literal in it.
    await connection.execute(migration.text)
    await connection.execute(
        "UPDATE schema_version SET at = %s, changed_at = now(), "
        "       oldest_program = CASE WHEN %s THEN %s ELSE oldest_program END",
        [migration.number, migration.half == "post", migration.number],
    )
