"""E1: words of mail are looked for in everything that stands on the disk, and are not there."""

import base64
import contextlib
import imaplib
import os
import signal
import smtplib
import socket
import time
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from tests.fakes.canary import Canary
from tests.fakes.running_service import PATIENCE, RunningService
from tests.system.conftest import Spawn

from carepost.app.areas import Areas
from carepost.protocols.smtp.limits import SpoolLimits

pytestmark = pytest.mark.slow

# Too large to arrive in memory: it goes through the spool's file.
LARGE = SpoolLimits().memory_each

ANN = "ann.lee@willow.example"


@pytest.fixture
def sung(spawn: Spawn) -> tuple[RunningService, Canary]:
    """A service through whose every door canaries have come in."""
    service, canary = spawn(), Canary()
    service.start()
    for letter in (_letter(canary), _letter(canary, size=LARGE), _letter(canary, program=True)):
        service.deliver(letter, ANN, sender=f"{canary.word()}@local.example")
    _refused(service, canary)
    _unknown(service, canary)
    _appended(service, canary)
    _mistaken_commands(service, canary)
    service.with_areas(_chores)
    with contextlib.suppress(psycopg.Error):
        _wrong_and_slow_statements(service, canary)
    for command in (("trace", "--sender", f"{canary.word()}@local.example"), ("why", f"{canary.word()}@local.example")):
        service.run(*command)
    made = service.run("backup", str(service.data / "backups"))
    assert made.returncode == 0, made.stderr
    _killed_in_mid_data(service, canary)
    with service.superuser() as connection:
        connection.execute("CHECKPOINT")
    return service, canary


def test_no_word_of_mail_stands_anywhere_on_the_disk(sung: tuple[RunningService, Canary]) -> None:
    service, canary = sung
    assert list(canary.hits(service.home)) == []
    # What the database would show to somebody who took it whole, whatever it compresses on the disk.
    with service.superuser() as connection:
        rows = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        assert len(rows) > 25
        for schema, table in rows:
            for (row,) in connection.execute(
                sql.SQL("SELECT t::text FROM {} AS t").format(sql.Identifier(schema, table))
            ):
                assert canary.in_octets(row.encode()) == [], f"{schema}.{table}"
    # The words did arrive, and the search would have found them.
    read = b"".join(service.read("ann.lee"))
    assert sum(word.encode() in read for word in canary.given) >= 8
    for number, form in enumerate(canary.forms().values()):
        (service.data / f"planted-{number}").write_bytes(b"..." + form + b"...")
    assert len({hit.partition(":")[0] for hit in canary.hits(service.home)}) == len(canary.forms())


def test_the_service_leaves_no_core_file(service: RunningService) -> None:
    assert service.process is not None
    for pid in (service.process.pid, *service.workers("relay"), *service.workers("access")):
        limits = Path(f"/proc/{pid}/limits").read_text()
        [line] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert line.split()[4:6] == ["0", "0"]
        # Only root may look into the memory of a process that must not be dumped: its files in /proc are root's.
        if os.geteuid() != 0:
            assert Path(f"/proc/{pid}").stat().st_uid == 0
    relay = service.workers("relay")[0]
    os.kill(relay, signal.SIGSEGV)
    service.await_ready()
    cores = [
        path
        for folder in (Path("/"), Path.cwd(), service.home, service.data)
        for path in folder.glob("core*")
        if path.is_file()
    ]
    assert cores == []


def _letter(canary: Canary, *, size: int = 2000, program: bool = False) -> bytes:
    """Canaries in every place that a message has."""
    secret = f"{canary.word()}\r\n" * (size // 24)
    name = canary.word() + (".exe" if program else ".txt")
    attached = (b"MZ" if program else b"") + secret.encode()
    return (
        f"From: {canary.word()} <{canary.word()}@local.example>\r\nTo: {canary.word()} <{ANN}>\r\n"
        f"Subject: {canary.word()} results\r\nMessage-ID: <{canary.word()}@local.example>\r\n"
        "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
        f"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{canary.word()} in the text\r\n"
        f"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>{canary.word()}</p>\r\n"
        f'--b\r\nContent-Type: application/octet-stream; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n'
        f'Content-Disposition: attachment; filename="{name}"\r\n\r\n'
        f"{base64.encodebytes(attached).decode().replace(chr(10), chr(13) + chr(10))}--b--\r\n"
    ).encode()


def _refused(service: RunningService, canary: Canary) -> None:
    spoof = (
        f"From: {canary.word()} <jo.ray@willow.example>\r\nTo: {ANN}\r\nSubject: {canary.word()}\r\n"
        f"Message-ID: <{canary.word()}@willow.example>\r\n\r\n{canary.word()}\r\n"
    )
    with pytest.raises(smtplib.SMTPResponseException):
        service.deliver(spoof.encode(), ANN, sender=f"{canary.word()}@local.example")


def _unknown(service: RunningService, canary: Canary) -> None:
    with pytest.raises(smtplib.SMTPResponseException):
        service.deliver(b"Subject: x\r\n\r\nx\r\n", f"{canary.word()}@willow.example")
    with service.smtp() as client:
        client.docmd(f"HELO {canary.word()}")
        client.docmd(canary.word())


def _appended(service: RunningService, canary: Canary) -> None:
    with service.imap("ann.lee") as client:
        folder = canary.word()
        assert client.create(folder)[0] == "OK"
        assert client.append(folder, "", imaplib.Time2Internaldate(time.time()), _letter(canary))[0] == "OK"
        assert client.subscribe(folder)[0] == "OK"
        for word in (canary.given[0], canary.word()):
            assert client.uid("SEARCH", "TEXT", word)[0] == "OK"
            assert client.uid("SEARCH", "SUBJECT", word)[0] == "OK"


def _mistaken_commands(service: RunningService, canary: Canary) -> None:
    client = imaplib.IMAP4_SSL("localhost", service.ports["imaps"], ssl_context=service.client_tls(), timeout=PATIENCE)
    with contextlib.suppress(imaplib.IMAP4.error):
        client.login(ANN, canary.word())
    with contextlib.suppress(imaplib.IMAP4.error):
        client.xatom(canary.word())
    client.shutdown()


async def _chores(areas: Areas) -> None:
    for organisation in await areas.organisations():
        await areas.store.upkeep.fold_indexes(organisation.id)
    await areas.checkpoints.signing.sign()


def _wrong_and_slow_statements(service: RunningService, canary: Canary) -> None:
    with service.superuser() as connection:
        for statement in (
            "SELECT 1 / 0, %s::text",
            "SELECT pg_sleep(1.2), %s::text",
            "INSERT INTO organisation (id, name) VALUES (1, %s)",
            "SELECT nothing_such(%s)",
        ):
            with contextlib.suppress(psycopg.Error):
                connection.execute(statement, [canary.word()])
            with contextlib.suppress(psycopg.Error):
                connection.execute(statement.replace("%s", f"'{canary.word()}'"))  # type: ignore[call-overload]


def _killed_in_mid_data(service: RunningService, canary: Canary) -> None:
    """Megabytes on their way in, in the spool's file; then the process is killed."""
    with (
        socket.create_connection(("127.0.0.1", service.ports["smtp"]), timeout=PATIENCE) as client,
        client.makefile("rb") as reader,
    ):
        reader.readline()
        for line in (f"HELO {canary.word()}", f"MAIL FROM:<{canary.word()}@local.example>", f"RCPT TO:<{ANN}>", "DATA"):
            client.sendall(line.encode() + b"\r\n")
            assert reader.readline()[:1] in (b"2", b"3")
        client.sendall(_letter(canary, size=2 * LARGE))
        relay = service.workers("relay")[0]
        deadline = time.monotonic() + PATIENCE
        while not (spooled := _spooled(relay, service)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert sum(map(len, spooled)) > 1 << 19
        for octets in spooled:
            assert canary.in_octets(octets) == []
        os.kill(relay, signal.SIGKILL)
    service.await_ready()


def _spooled(pid: int, service: RunningService) -> list[bytes]:
    """What stands in the nameless files of the spool."""
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(descriptor.readlink()).startswith(str(service.data / "spool")):
                found.append(descriptor.read_bytes())
    return [octets for octets in found if len(octets) > 1 << 19]
