"""What every test may ask for.

    postgres         one embedded PostgreSQL for each pytest worker, durable as in production
    database         a fresh, migrated database of this test's own, opened as carepost_app
    relay_database   the same database, opened as carepost_relay
    owner_dsn        the same database, for psycopg, as carepost_owner (who is bound by forced row-level security too)
    superuser_dsn    the same database as superuser, to look behind row-level security
    empty_dsn        a fresh database with roles and no tables, as carepost_owner

Nothing here reaches the network: sockets connect to this machine only.
"""

import asyncio
import io
import itertools
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest
from psycopg import sql

from carepost.infra.db import Database
from carepost.infra.log import configure
from carepost.infra.migrate import bootstrap, migrate
from carepost.infra.postgres import EmbeddedPostgres
from carepost.infra.postgres_config import EmbeddedPolicy

Result = TypeVar("Result")

TEMPLATE = "carepost_template"


# What takes longest comes first, so that no worker ends up alone with it; within these, the order is chance's.
_LONGEST_FIRST = ("system", "journeys", "guard", "integration", "migration")


class NetworkForbidden(AssertionError):
    """A test tried to leave this machine."""


@dataclass
class PostgresForTests:
    """A running server, and databases made from its migrated template."""

    server: EmbeddedPostgres
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    migrated: bool = False

    @property
    def admin_dsn(self) -> str:
        return self.server.dsn("postgres", database="postgres")

    def dsn(self, role: str, database: str) -> str:
        return self.server.dsn(role, database=database)

    def clone(self, template: str | None = None) -> str:
        """A new database, a copy of the migrated template unless told otherwise; its name."""
        if template is None:
            template = self._template()
        name = f"test_{next(self.numbers)}"
        with psycopg.connect(self.admin_dsn, autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER carepost_owner STRATEGY file_copy").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
        return name

    def drop(self, name: str) -> None:
        with psycopg.connect(self.admin_dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _template(self) -> str:
        if not self.migrated:
            run_apart(bootstrap(self.admin_dsn, database=TEMPLATE))
            run_apart(migrate(self.dsn("carepost_owner", TEMPLATE)))
            self.migrated = True
        return TEMPLATE


def run_apart(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run it in a loop of its own, from a fixture or a test that has none; leaves pytest-asyncio's loop alone."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


class _WhereTestsPrint(io.TextIOBase):
    """Standard output of the moment: pytest shows it with the test that failed."""

    def write(self, text: str) -> int:
        return sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The folders in an order of their own, after pytest-randomly has shuffled."""
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        return _LONGEST_FIRST.index(folder) if folder in _LONGEST_FIRST else len(_LONGEST_FIRST)

    items.sort(key=rank)


@pytest.fixture(scope="session", autouse=True)
def strict_logs() -> None:
    """A log line with content in it fails the test that wrote it."""
    configure(style="text", level="debug", stream=_WhereTestsPrint(), strict=True, libraries=False)


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user can reach and whose socket paths are short. Pytest's own are neither."""
    folder = Path(tempfile.mkdtemp(prefix="cp-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresForTests]:
    folder = Path(tempfile.mkdtemp(prefix=f"cp-{os.getpid()}-", dir=_where_databases_are_quick()))
    folder.chmod(0o711)
    log = {"max_wal_size": "192MB", "min_wal_size": "64MB"}
    server = EmbeddedPostgres(folder / "pg", EmbeddedPolicy(shared_buffers_mb=64, extra=log))
    run_apart(server.start())
    run_apart(bootstrap(server.dsn("postgres", database="postgres")))
    try:
        yield PostgresForTests(server)
    finally:
        run_apart(server.stop())
        shutil.rmtree(folder, ignore_errors=True)


def _where_databases_are_quick() -> str | None:
    """In memory, where there is plenty: each test makes and drops a database, which is mostly waiting for the disk.

    What a disk does, and a lack of it, is for tests/system to see.
    """
    memory = Path("/dev/shm")
    for left in memory.glob("cp-[0-9]*-*"):  # by a run that was killed: memory is dear
        if not Path(f"/proc/{left.name.split('-')[1]}").exists():
            shutil.rmtree(left, ignore_errors=True)
    if not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < 3 << 30:
        return None
    words = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return str(memory) if int(words["MemAvailable"].split()[0]) > 5 << 20 else None


@pytest.fixture
def database_name(postgres: PostgresForTests) -> Iterator[str]:
    name = postgres.clone()
    yield name
    postgres.drop(name)


@pytest.fixture
async def database(postgres: PostgresForTests, database_name: str) -> AsyncIterator[Database]:
    dsn = postgres.dsn("carepost_app", database_name)
    async with Database.open(dsn, pool_min=1, pool_max=6, role="carepost_app") as opened:
        yield opened


@pytest.fixture
async def relay_database(postgres: PostgresForTests, database_name: str) -> AsyncIterator[Database]:
    dsn = postgres.dsn("carepost_relay", database_name)
    async with Database.open(dsn, pool_min=1, pool_max=4, role="carepost_relay") as opened:
        yield opened


@pytest.fixture
def owner_dsn(postgres: PostgresForTests, database_name: str) -> str:
    return postgres.dsn("carepost_owner", database_name)


@pytest.fixture
def superuser_dsn(postgres: PostgresForTests, database_name: str) -> str:
    return postgres.dsn("postgres", database_name)


@pytest.fixture
def empty_dsn(postgres: PostgresForTests) -> Iterator[str]:
    name = postgres.clone(template="template0")
    yield postgres.dsn("carepost_owner", name)
    postgres.drop(name)


@pytest.fixture(scope="session", autouse=True)
def this_machine_only() -> Iterator[None]:
    """Refuse connections and name look-ups that would leave this machine."""
    patch = pytest.MonkeyPatch()
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo
    ours = {"localhost", socket.gethostname(), ""}

    def allow(family: int, address: Any) -> None:
        if family == socket.AF_UNIX or address[0] in ours:
            return
        if not (str(address[0]).startswith("127.") or address[0] in ("::1", "0.0.0.0", "::")):
            raise NetworkForbidden(f"a test tried to reach {address!r}; give it a fake instead")

    def guarded_connect(self: socket.socket, address: Any) -> None:
        allow(self.family, address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        allow(self.family, address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, *rest: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and name not in ours and not _is_address(name) and not name.endswith(".localhost"):
            raise NetworkForbidden(f"a test tried to look up {name!r}; give it a fake resolver instead")
        return getaddrinfo(host, *rest, **named)

    patch.setattr(socket.socket, "connect", guarded_connect)
    patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The public corpora that we measure on and never ship. Skips, visibly, where they are not."""
    folder = Path(os.environ.get("CAREPOST_CORPORA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the corpora are not on this machine (set CAREPOST_CORPORA)")
    return folder


def _is_address(name: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, name.partition("%")[0])
        except OSError:
            continue
        return True
    return False
