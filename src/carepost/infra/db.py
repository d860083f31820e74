"""The database as the rest of the program sees it: a pool, and transactions that belong to one organisation.

Promises
    `transaction` returns only after COMMIT; a commit that the server turned into a rollback raises.
    The organisation is set for one transaction (SET LOCAL) and never outlives it: a connection that comes back
    with one set is closed, counted and reported, never lent again (T5).
    A database that is full, slow, restarting or gone is TryLater, never a crash and never a wrong answer.
    Cancellation in mid-statement leaves no half-done work: the transaction is rolled back or the connection closed.
"""

import select
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, LiteralString, Self

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row, tuple_row
from psycopg_pool import AsyncConnectionPool

from carepost.base.errors import Broken, NotPossible, TryLater
from carepost.base.ids import OrganisationId

Parameters = Mapping[str, object] | Sequence[object] | None
Row = dict[str, Any]
Connection = psycopg.AsyncConnection[Any]

_COMMIT = "COMMIT; SELECT current_setting('carepost.organisation', true)"
_ROLLBACK = "ROLLBACK; SELECT current_setting('carepost.organisation', true)"
# What a stranger is told whenever the database can't take it: nothing about the database.
_NOT_NOW = "The service cannot do this just now. Nothing is lost; please try again in a few minutes."


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseLimits:
    """Bounds on everything that waits for the database."""

    # A caller waits this long for a connection, then is told to try later. Below every protocol's own deadline.
    acquire_seconds: float = 10.0
    # As many callers may queue for one connection; more would only time out together.
    waiting_max: int = 500
    connect_seconds: int = 10
    # No statement of ours needs seconds; one that does is a fault that must not hold others up.
    statement_seconds: float = 30.0
    lock_seconds: float = 10.0
    # A transaction that sits idle holds locks and keeps VACUUM from working.
    idle_in_transaction_seconds: float = 30.0
    # Prepared statements kept by each connection.
    prepared_max: int = 200


@dataclass(slots=True)
class DatabaseCounters:
    """What happened, for metrics and tests."""

    leaks: int = 0  # connections that came back with an organisation set; anything but 0 is a fault of ours
    unavailable: int = 0  # times a caller was told to try later


@dataclass(frozen=True, slots=True)
class _Owed:
    """How many rows a statement has to touch."""

    cursor: psycopg.AsyncCursor[Any]
    rows: int
    otherwise: Callable[[], Exception]

    def insist(self) -> None:
        if self.cursor.rowcount != self.rows:
            raise self.otherwise()


class Transaction:
    """One open transaction. Ends with the `async with` that gave it."""

    __slots__ = ("_connection", "_owed")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._owed: list[_Owed] | None = None  # what a pipeline's statements are to have touched, while one is open

    async def act_for(self, organisation: OrganisationId) -> None:
        """From here to the end of the transaction, see and touch this organisation's rows only."""
        await self._connection.execute("SELECT set_config('carepost.organisation', %s, true)", [str(int(organisation))])

    async def all(self, sql: LiteralString, params: Parameters = None) -> list[Row]:
        """Every row, as a dict by column name."""
        cursor = self._connection.cursor(row_factory=dict_row, binary=True)
        await cursor.execute(sql, params)
        return await cursor.fetchall()

    async def tuples(self, sql: LiteralString, params: Parameters = None) -> list[tuple[Any, ...]]:
        """Every row, as a tuple: for long lists."""
        cursor = self._connection.cursor(row_factory=tuple_row, binary=True)
        await cursor.execute(sql, params)
        return await cursor.fetchall()

    async def maybe(self, sql: LiteralString, params: Parameters = None) -> Row | None:
        """The only row, or None. Raises Broken when there are more."""
        rows = await self.all(sql, params)
        if len(rows) > 1:
            raise Broken("a statement found more rows than there may be", rows=len(rows))
        return rows[0] if rows else None

    async def one(self, sql: LiteralString, params: Parameters = None) -> Row:
        """The only row. Raises Broken when there is none, or more."""
        row = await self.maybe(sql, params)
        if row is None:
            raise Broken("a statement found no row where there must be one")
        return row

    async def run(self, sql: LiteralString, params: Parameters = None) -> int:
        """Execute for its effect; how many rows it touched."""
        cursor = self._connection.cursor()
        await cursor.execute(sql, params)
        return cursor.rowcount

    async def many(self, sql: LiteralString, each: Sequence[Parameters]) -> int:
        """Execute once for each set of parameters, in one round trip; how many rows were touched."""
        if not each:
            return 0
        cursor = self._connection.cursor()
        await cursor.executemany(sql, [params or () for params in each])
        return cursor.rowcount

    async def must(
        self, sql: LiteralString, params: Parameters = None, *, rows: int, otherwise: Callable[[], Exception]
    ) -> None:
        """Execute; raises `otherwise()` unless it touches (or finds) just so many rows.

        In a pipeline that is known, and raised, at its end: before COMMIT in any case.
        """
        owed = _Owed(self._connection.cursor(), rows, otherwise)
        await owed.cursor.execute(sql, params)
        if self._owed is None:
            owed.insist()
        else:
            self._owed.append(owed)

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[None]:
        """Statements inside travel together: their answers are awaited at the end, and `must` is checked there.

        A statement whose rows are asked for inside is waited for, and so are those before it.
        """
        owed = self._owed = []
        try:
            async with self._connection.pipeline():
                yield
        finally:
            self._owed = None
        for one in owed:
            one.insist()

    async def notify(self, channel: str, payload: str) -> None:
        """Tell listeners, once this commits. Ids only: payloads are seen by every role."""
        await self._connection.execute("SELECT pg_notify(%s, %s)", [channel, payload])


class Database:
    """A pool of connections of one role."""

    def __init__(self, pool: AsyncConnectionPool[Connection], dsn: str, limits: DatabaseLimits) -> None:
        self._pool = pool
        self._dsn = dsn
        self._limits = limits
        self.counters = DatabaseCounters()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        dsn: str,
        *,
        pool_min: int = 1,
        pool_max: int = 8,
        role: str | None = None,
        limits: DatabaseLimits | None = None,
    ) -> AsyncIterator[Self]:
        """Connect; raises TryLater when the database does not answer.

        With `role`, refuses (NotPossible) unless we are that role and it is neither superuser nor exempt from
        row-level security.
        """
        limits = limits or DatabaseLimits()
        full = _with_limits(dsn, limits)
        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            full,
            min_size=pool_min,
            max_size=max(pool_max, pool_min, 1),
            open=False,
            timeout=limits.acquire_seconds,
            max_waiting=limits.waiting_max,
            configure=_configure_with(limits),
            kwargs={"autocommit": True},
            name=role or "carepost",
        )
        try:
            try:
                await pool.open(wait=True, timeout=limits.acquire_seconds)
            except psycopg.OperationalError as error:
                raise TryLater(_NOT_NOW, cause=type(error).__name__) from error
            database = cls(pool, full, limits)
            if role is not None:
                await database._insist_on(role)
            yield database
        finally:
            await pool.close()

    @asynccontextmanager
    async def transaction(self, organisation: OrganisationId | None = None) -> AsyncIterator[Transaction]:
        """A transaction, for one organisation or (None) for none: then tenant tables show no rows.

        Commits at the end of the block, rolls back when it raises. Raises TryLater when the database is not there,
        at the start, in the middle or at COMMIT; after that last one, whether it committed is not known.
        """
        try:
            async with self._lend() as connection:
                await _begin(connection, organisation)
                try:
                    yield Transaction(connection)
                except BaseException:
                    await self._abandon(connection)
                    raise
                await self._finish(connection)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self.counters.unavailable += 1
            raise TryLater(_NOT_NOW, cause=type(error).__name__, state=getattr(error, "sqlstate", None)) from error

    @asynccontextmanager
    async def glance(self) -> AsyncIterator[Transaction]:
        """For one statement that only reads, and no organisation's rows: it is a transaction by itself.

        One round trip instead of three, for every recipient of every message. Raises TryLater as `transaction` does.
        """
        try:
            async with self._lend() as connection:
                yield Transaction(connection)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self.counters.unavailable += 1
            raise TryLater(_NOT_NOW, cause=type(error).__name__, state=getattr(error, "sqlstate", None)) from error

    async def listen(self, channel: LiteralString) -> AsyncIterator[str]:
        """What is notified on `channel`, for ever, over a connection of its own that comes back when lost.

        Yields "" after every (re)connection: something may have been missed, so look for yourself.
        """
        from carepost.infra.listen import listen

        async for payload in listen(self._dsn, channel):
            yield payload

    @property
    def statistics(self) -> Mapping[str, int]:
        """The pool's own counts: pool_size, pool_available, requests_waiting …"""
        return self._pool.get_stats()

    @asynccontextmanager
    async def _lend(self) -> AsyncIterator[Connection]:
        connection = await self._usable()
        try:
            yield connection
        finally:
            if connection.info.transaction_status is not pq.TransactionStatus.IDLE:
                # Cancelled twice, or lost: nobody knows what it is in the middle of.
                with suppress(psycopg.Error):
                    await connection.close()
            await self._pool.putconn(connection)

    async def _usable(self) -> Connection:
        """A connection from the pool. Those that died while resting there are thrown away first."""
        while True:
            connection = await self._pool.getconn()
            if not connection.closed and not (_spoke(connection) and not await _answers(connection)):
                return connection
            await connection.close()
            await self._pool.putconn(connection)

    async def _finish(self, connection: Connection) -> None:
        cursor = connection.cursor(row_factory=tuple_row)
        await cursor.execute(_COMMIT)
        committed = cursor.statusmessage == "COMMIT"
        await self._assert_unset(connection, cursor)
        if not committed:
            # PostgreSQL answers COMMIT of a failed transaction with a quiet ROLLBACK: somebody swallowed an error.
            raise Broken("the change was not kept", cause="COMMIT of a failed transaction")

    async def _abandon(self, connection: Connection) -> None:
        try:
            cursor = connection.cursor(row_factory=tuple_row)
            await cursor.execute(_ROLLBACK)
            await self._assert_unset(connection, cursor)
        except psycopg.Error:
            # The first error is the one worth telling; a connection that can't roll back is of no further use.
            with suppress(psycopg.Error):
                await connection.close()

    async def _assert_unset(self, connection: Connection, cursor: psycopg.AsyncCursor[tuple[Any, ...]]) -> None:
        cursor.nextset()
        row = await cursor.fetchone()
        if row is None or row[0] not in (None, ""):
            self.counters.leaks += 1
            await connection.close()

    async def _insist_on(self, role: str) -> None:
        async with self.transaction() as tx:
            us = await tx.one(
                "SELECT current_user AS name, rolsuper OR rolbypassrls AS above, "
                "       EXISTS (SELECT FROM pg_class WHERE relowner = pg_roles.oid AND relkind = 'r') AS owns "
                "  FROM pg_roles WHERE rolname = current_user"
            )
        if us["name"] != role or us["above"] or us["owns"]:
            raise NotPossible(
                f"The database must be used as {role}, a role that owns no tables and is bound by row-level security; "
                f"this connection is {us['name']}. See `carepost migrate --help`."
            )


def with_password(dsn: str, password: str) -> str:
    """`dsn`, in either of its forms, with a password that came from elsewhere."""
    return make_conninfo(dsn, password=password)


async def _begin(connection: Connection, organisation: OrganisationId | None) -> None:
    if organisation is None:
        await connection.execute("BEGIN")
    else:
        # One round trip for both. An int has no way to be anything but digits.
        await connection.execute(b"BEGIN; SET LOCAL carepost.organisation = '%d'" % int(organisation))


def _spoke(connection: Connection) -> bool:
    """Whether the server said something while the connection rested: most likely goodbye. Does not wait."""
    looking = select.poll()
    looking.register(connection.pgconn.socket, select.POLLIN)
    return bool(looking.poll(0))


async def _answers(connection: Connection) -> bool:
    try:
        await connection.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True


def _configure_with(limits: DatabaseLimits) -> Any:
    async def configure(connection: Connection) -> None:
        connection.prepare_threshold = 2
        connection.prepared_max = limits.prepared_max

    return configure


def _with_limits(dsn: str, limits: DatabaseLimits) -> str:
    given = conninfo_to_dict(dsn)
    options = [
        str(given.get("options") or ""),
        f"-c statement_timeout={int(limits.statement_seconds * 1000)}",
        f"-c lock_timeout={int(limits.lock_seconds * 1000)}",
        f"-c idle_in_transaction_session_timeout={int(limits.idle_in_transaction_seconds * 1000)}",
        "-c timezone=UTC",
    ]
    defaults: dict[str, Any] = {
        "application_name": "carepost",
        "connect_timeout": limits.connect_seconds,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
    }
    return make_conninfo(**{**defaults, **given, "options": " ".join(options).strip()})
