"""What the service stands on is gone or weak: mail is asked to come later, and flows again by itself (C1, D9, R131)."""

import asyncio
import contextlib
import os
import signal
import smtplib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fakes.mail_load import Load, tally
from tests.fakes.running_service import RunningService, forget, message, short_home
from tests.system.conftest import Spawn

from carepost.base.errors import NotPossible
from carepost.infra.postgres import EmbeddedPostgres
from carepost.infra.postgres_process import processes_of
from carepost.infra.settings import Settings, load

pytestmark = pytest.mark.slow

ANN = "ann.lee@willow.example"


class Scanner:
    """clamd's protocol on a Unix socket, with nothing behind it: it finds nothing. Can be dead, and can hang."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hangs = False
        self._socket: socket.socket | None = None

    def start(self) -> None:
        self.path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(self.path))
        self.path.chmod(0o777)
        self._socket.listen(16)
        threading.Thread(target=self._serve, args=(self._socket,), daemon=True).start()

    def end(self) -> None:
        assert self._socket is not None
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as reader:
            command = b""
            while not command.endswith((b"\0", b"\n")):
                octet = reader.read(1)
                if not octet:
                    return
                command += octet
            if b"INSTREAM" in command:
                while size := int.from_bytes(reader.read(4), "big"):
                    reader.read(size)
                while self.hangs:
                    time.sleep(0.05)
                connection.sendall(b"stream: OK\0")
            elif b"VERSION" in command:
                connection.sendall(b"ClamAV 1.4.3/27000/Sun Nov 22 10:00:00 2026\0")
            else:
                connection.sendall(b"PONG\0")


def _told(service: RunningService) -> int:
    """The code for one message, whatever it is."""
    try:
        service.deliver(message(), ANN)
    except smtplib.SMTPResponseException as error:
        return error.smtp_code
    return 250


def _until_taken(service: RunningService, seconds: float = 180) -> set[int]:
    """Everything that is said until mail is taken again."""
    said: set[int] = set()
    until = time.monotonic() + seconds
    while (code := _told(service)) != 250:
        said.add(code)
        assert time.monotonic() < until, f"mail is not taken again: {said}\n{service.told()}"
        time.sleep(0.2)
    return said


def test_a_dead_or_hanging_scanner_means_later_and_never_unscanned(spawn: Spawn) -> None:
    home = short_home()
    scanner = Scanner(home / "clamd.sock")
    scanner.start()
    service = spawn({"gateway": {"clamd": str(scanner.path), "scanner_seconds": 3}})  # meant to run out
    service.start()
    _until_taken(service)  # on a slow machine a healthy scanner may be late once, and the sender comes again
    scanner.end()
    assert _told(service) == 451
    scanner.start()
    _until_taken(service)
    scanner.hangs = True
    assert _told(service) == 451
    scanner.hangs = False
    _until_taken(service)
    assert len(service.read("ann.lee")) == 3
    scanner.end()
    forget(home)


async def test_a_dead_database_means_later_and_nothing_else(spawn: Spawn) -> None:
    service = spawn()
    await asyncio.to_thread(service.start)
    load = Load(service.ports["smtp"], (ANN,), clients=2)
    async with load.running():
        await load.until_acknowledged(5)
        os.kill(service.postmaster(), signal.SIGSTOP)
        for pid in service_backends(service):
            os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(3)
        for pid in [service.postmaster(), *service_backends(service)]:
            os.kill(pid, signal.SIGKILL)
        await load.until_acknowledged(10)
    result = await asyncio.to_thread(tally, service, "ann.lee", load)
    print(f"{load.figures()}; {result}")
    assert load.wrong == []
    assert (result.lost, result.twice, result.never_sent) == ([], [], [])


def service_backends(service: RunningService) -> list[int]:
    return [pid for pid in processes_of(service.cluster) if pid != service.postmaster()]


def test_it_does_not_start_on_a_database_that_could_forget(spawn: Spawn) -> None:
    service = spawn()
    # What an administrator who wants speed would do; it outranks our postgresql.conf.
    weak = ("fsync", "full_page_writes", "synchronous_commit")
    with (service.cluster / "postgresql.auto.conf").open("a") as file:
        file.writelines(f"{setting} = off\n" for setting in weak)
    service.start(wait=False)
    assert service.process is not None
    assert service.process.wait(180) != 0
    said = service.told()
    assert "could lose accepted mail" in said
    assert [setting for setting in weak if f"{setting} is off" in said] == list(weak)


def test_it_does_not_start_on_an_external_database_that_could_forget(
    spawn: Spawn, postgres_home: RunningService
) -> None:
    """The operator's own PostgreSQL, by DSN; its role was told not to wait."""
    server = postgres_home
    with server.superuser() as connection:
        connection.execute("ALTER ROLE carepost_app SET synchronous_commit = off")
    dsn = {role: _dsn(server, f"carepost_{role}") for role in ("app", "relay", "owner")}
    service = spawn({"database": {"dsn": dsn["app"], "relay_dsn": dsn["relay"], "owner_dsn": dsn["owner"]}})
    service.start(wait=False)
    assert service.process is not None
    assert service.process.wait(180) != 0
    assert "synchronous_commit is off" in service.told()
    with server.superuser() as connection:
        connection.execute("ALTER ROLE carepost_app RESET synchronous_commit")
    service.start()
    assert _told(service) == 250


@pytest.fixture
def postgres_home(spawn: Spawn) -> RunningService:
    """A PostgreSQL that somebody else runs, here by another Carepost, with our tables and keys of the template."""
    server = spawn()
    server.start()
    return server


def _dsn(server: RunningService, role: str) -> str:
    found = EmbeddedPostgres(server.data / "database")
    found.find()
    return found.dsn(role)


def _until(holds: Callable[[], bool], else_says: str, seconds: float = 50) -> None:
    """Below a minute, so that a look which is disabled, or comes at its default, is told from one that works."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, else_says
        time.sleep(0.2)


def test_the_look_at_durability_is_once_a_minute_and_no_setting_makes_it_rarer() -> None:
    assert Settings().database.durability_seconds == 60
    with pytest.raises(NotPossible, match=r"database\.durability_seconds"):
        load(None, {"CAREPOST__DATABASE__DURABILITY_SECONDS": "61"})


def test_settings_weakened_while_it_runs_close_the_door_within_a_minute(spawn: Spawn) -> None:
    """The looks come every second here; that they are never more than a minute apart is the test above."""
    service = spawn({"database": {"durability_seconds": 1}})  # no deadline
    service.start()
    # A look that is three seconds old counts as none, and on a slow machine may be: the next one opens the door again.
    _until_taken(service)
    with service.superuser() as connection:
        connection.execute("ALTER SYSTEM SET synchronous_commit = off")
        connection.execute("SELECT pg_reload_conf()")
    _until(lambda: _told(service) == 451, "mail is still taken on a database that could forget it")
    # Each worker looks for itself, and any of them may answer.
    _until(lambda: "durability" in service.readiness()[1], "it says that it is ready")
    assert "synchronous_commit is off" in service.told()
    with service.superuser() as connection:
        connection.execute("ALTER SYSTEM RESET synchronous_commit")
        connection.execute("SELECT pg_reload_conf()")
    assert _until_taken(service) <= {451}
