"""PostgreSQL's own dump and restore, under one snapshot, and the counts that prove a copy whole.

Promises
    Two dumps taken in one `snapshot` show the database at the same instant.
    What these return are numbers and digests; nothing that people wrote.
"""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql

from carepost.base.errors import Broken, TryLater

DUMP_HOURS_MAX = 12  # a dump that takes longer has lost its server

_TABLES = """
SELECT n.nspname, c.relname
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND n.nspname IN ('public', 'keystore')
 ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One instant of the database."""

    name: str
    counts: dict[str, int]  # rows by "schema.table"
    heads: dict[str, str]  # "seq:hash" of each organisation's audit chain


@asynccontextmanager
async def snapshot(dsn: str) -> AsyncIterator[Snapshot]:
    """An instant that stays readable while the block lasts. `dsn` must see behind row-level security."""
    async with await _connect(dsn) as connection:
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = await (await connection.execute("SELECT pg_export_snapshot()")).fetchone()
        yield Snapshot(str(row[0]) if row else "", await _counts(connection), await _heads(connection))


async def census(dsn: str) -> tuple[dict[str, int], dict[str, str]]:
    """(rows by table, audit heads) as they are now."""
    async with await _connect(dsn) as connection:
        return await _counts(connection), await _heads(connection)


async def census_or_nothing(dsn: str) -> tuple[dict[str, int], dict[str, str]]:
    """As `census`; both empty where no table of ours exists."""
    async with await _connect(dsn) as connection:
        counts = await _counts(connection)
        return counts, await _heads(connection) if "public.audit_head" in counts else {}


async def damaged_objects(dsn: str) -> int:
    """How many stored bodies are not the bytes that were written (C10)."""
    async with await _connect(dsn) as connection:
        row = await (await connection.execute("SELECT count(*) FROM object WHERE sha256(sealed) <> digest")).fetchone()
        return int(str(row[0])) if row else 0


async def begin_anew(dsn: str) -> None:
    """Make a restored database one to go on from: what clients and browsers hold is of a time that did not happen.

    UIDs given since the backup will be given again, to other messages: every folder gets a UIDVALIDITY that it never
    had, so that no mail client takes new mail for what it has seen or deleted (RFC 9051 §2.3.1.1). Sessions end, those
    that were revoked since among them.
    """
    async with await _connect(dsn) as connection, connection.transaction():
        for statement in _ANEW:
            await connection.execute(statement)


_ANEW: tuple[LiteralString, ...] = (
    # Beyond all that may have been given since the backup.
    (
        "SELECT setval('folder_uidvalidity', least(greatest(last_value + 1000000, extract(epoch FROM now())::bigint),"
        " 4200000000)) FROM folder_uidvalidity"
    ),
    "UPDATE folder SET uidvalidity = nextval('folder_uidvalidity')",
    "UPDATE session SET revoked_at = now() WHERE revoked_at IS NULL",
)


async def dump(program: str, dsn: str, into: Path, *, snapshot_name: str, arguments: Sequence[str]) -> str:
    """pg_dump in the custom format, synced to disk; returns the file's SHA-256 in hex."""
    await run([program, "-Fc", f"--snapshot={snapshot_name}", f"--file={into}", *arguments, dsn])
    return await asyncio.to_thread(_seal_file, into)


async def restore(program: str, dsn: str, dumped: Path) -> None:
    """pg_restore in one transaction: all of it or nothing."""
    await run([program, "--single-transaction", "--exit-on-error", f"--dbname={dsn}", str(dumped)])


async def run(command: Sequence[str]) -> None:
    """Run one of PostgreSQL's programs. Raises Broken with what it said."""
    child = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DUMP_HOURS_MAX * 3600):
            _, said = await child.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
        raise
    if child.returncode:
        raise Broken(f"{Path(command[0]).name} failed: {said.decode(errors='replace').strip()[-500:]}")


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seal_file(path: Path) -> str:
    path.chmod(0o600)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return digest_of(path)


async def _connect(dsn: str) -> psycopg.AsyncConnection[tuple[object, ...]]:
    try:
        return await psycopg.AsyncConnection.connect(dsn, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as error:
        raise TryLater("The database does not answer. Nothing was changed.") from error


async def _counts(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> dict[str, int]:
    found = {}
    for schema, table in await (await connection.execute(_TABLES)).fetchall():
        statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(str(schema), str(table)))
        row = await (await connection.execute(statement)).fetchone()
        found[f"{schema}.{table}"] = int(str(row[0])) if row else 0
    return found


async def _heads(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> dict[str, str]:
    rows = await connection.execute("SELECT organisation_id, seq, encode(hash, 'hex') FROM audit_head ORDER BY 1")
    return {str(organisation): f"{seq}:{hashed}" for organisation, seq, hashed in await rows.fetchall()}
