"""The operator's commands on the live service, stopping it, and signing people out everywhere."""

import asyncio
import contextlib
import imaplib
import json
import os
import signal
import socket
import subprocess
import time
import tomllib
from pathlib import Path

import pytest
from tests.fakes.mail_load import Load, tally
from tests.fakes.running_service import CAREPOST, OPERATOR, PATIENCE, RunningService, http_get, message
from tests.system.conftest import Spawn

from carepost.app.areas import Areas
from carepost.base.address import Domain, EmailAddress
from carepost.base.ids import OrganisationId
from carepost.directory.model import PersonStatus
from carepost.directory.people import NewPerson
from carepost.infra.settings import Settings

pytestmark = pytest.mark.slow

ANN = "ann.lee@willow.example"
MANY = 200


def test_doctor_names_what_stands_well_and_what_to_mind(service: RunningService) -> None:
    told = service.run("doctor", "--json")
    found = {one["name"]: one for one in json.loads(told.stdout)}
    assert found["database"]["standing"] == "well", found
    assert found["keys"]["standing"] == "well"
    assert found["service"]["standing"] == "well", found
    assert found["certificate"]["standing"] == "well"
    assert not [one for one in found.values() if one["standing"] == "wrong"], found
    assert told.returncode == 0


def test_dns_prints_records_to_publish_and_checks_them(service: RunningService) -> None:
    printed = service.run("dns", "--address", "192.0.2.25")
    assert printed.returncode == 0, printed.stderr
    assert "willow.example" in printed.stdout
    assert "v=spf1" in printed.stdout
    checked = service.run("dns", "--check", "--json")
    standings = {json.loads(line)["standing"] for line in checked.stdout.splitlines()}
    assert "right" in standings
    assert checked.returncode == 1  # the table of names lacks some of them, and it says so


def test_the_defaults_are_a_settings_file_to_start_from(tmp_path: Path) -> None:
    shown = subprocess.run([CAREPOST, "config", "show", "--defaults"], capture_output=True, text=True, check=True)
    written = tmp_path / "carepost.toml"
    written.write_text(shown.stdout)
    again = subprocess.run(
        [CAREPOST, "config", "show", "--config", str(written)], capture_output=True, text=True, check=True
    )
    assert tomllib.loads(again.stdout) == tomllib.loads(shown.stdout)
    assert "[smtp]" in shown.stdout


def test_a_mistake_in_the_settings_stops_the_start_with_words(spawn: Spawn) -> None:
    service = spawn({"smtp": {"recipients_max": 3}})
    service.start(wait=False)
    assert service.process is not None
    assert service.process.wait(180) == 1
    assert "recipients_max" in service.told()
    assert "Traceback" not in service.told()


def test_a_backup_of_the_live_service_is_proved_by_restoring_it(service: RunningService, tmp_path: Path) -> None:
    service.deliver(message("Backed up"), ANN)
    made = service.run("backup", str(tmp_path), "--json")
    assert made.returncode == 0, made.stderr
    folder = Path(json.loads(made.stdout)["folder"])
    whole = subprocess.run(
        [CAREPOST, "restore", "--check", str(folder), "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert json.loads(whole.stdout)["objects"] >= 1
    dump = folder / "mail.dump"
    octets = bytearray(dump.read_bytes())
    octets[len(octets) // 2] ^= 1
    dump.write_bytes(octets)
    broken = subprocess.run(
        [CAREPOST, "restore", "--check", str(folder), "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert broken.returncode == 1, broken.stdout + broken.stderr


def test_metrics_and_health_answer_without_an_address_or_a_word_of_mail(service: RunningService) -> None:
    service.deliver(message("Not in metrics"), ANN)
    status, metrics = http_get(f"http://127.0.0.1:{service.ports['observe']}/metrics")
    assert status == 200
    assert 'carepost_messages_received_total{outcome="taken"}' in metrics
    assert "willow.example" not in metrics
    service.await_ready()
    assert http_get(f"http://127.0.0.1:{service.ports['observe']}/livez") == (200, "alive\n")


def test_a_message_to_two_hundred_mailboxes_is_stored_once(service: RunningService) -> None:
    organisation = service.accounts["ann.lee"].organisation
    service.with_areas(lambda areas: _crowd(areas, organisation))
    before = service.count("SELECT count(*) FROM object")
    reference = service.deliver(message("To everybody"), *(f"crowd{number}@willow.example" for number in range(MANY)))
    assert reference
    assert service.count("SELECT count(*) FROM object") == before + 1
    newest = "(SELECT id FROM object ORDER BY created_at DESC LIMIT 1)"
    assert service.count(f"SELECT count(*) FROM message WHERE object_id = {newest}") == MANY
    assert (
        service.count(f"SELECT count(DISTINCT mailbox_id) FROM keystore.object_key WHERE object_id = {newest}") == MANY
    )


async def _crowd(areas: Areas, organisation: OrganisationId) -> None:
    for number in range(MANY):
        name = f"crowd{number}"
        new = NewPerson(
            given_name=f"Crowd {number}",
            family_name="Member",
            domain=Domain("willow.example"),
            job_title="",
            address=EmailAddress.parse(f"{name}@willow.example"),
        )
        person = await areas.directory.people.create(OPERATOR, organisation, new, override_reason="a crowd")
        await areas.directory.people.set_status(OPERATOR, organisation, person.id, PersonStatus.ACTIVE, reason="test")


class Idle:
    """A mail program that sleeps until it is told something."""

    def __init__(self, service: RunningService, name: str) -> None:
        account = service.accounts[name]
        self.client = imaplib.IMAP4_SSL(
            "localhost", service.ports["imaps"], ssl_context=service.client_tls(), timeout=PATIENCE
        )
        self.client.login(account.address, account.app_password)
        self.client.select("INBOX")
        self.client.send(b"X IDLE\r\n")
        assert self.client.readline().startswith(b"+")

    def is_told(self) -> bytes:
        return self.client.readline()

    def until_closed(self) -> None:
        """Raises TimeoutError when it is not."""
        with contextlib.suppress(ConnectionError):
            while self.client.readline():
                pass

    def close(self) -> None:
        self.client.shutdown()


def test_a_sleeping_mail_program_is_told_of_new_mail(service: RunningService) -> None:
    idle = Idle(service, "ann.lee")
    service.deliver(message("Wake up"), ANN)
    while not (told := idle.is_told()).endswith(b"EXISTS\r\n"):
        assert told
    idle.close()


@pytest.mark.parametrize(
    "command",
    [
        ("password", "revoke-sessions", "max.out@willow.example", "--reason", "lost phone"),
        ("person", "status", "nan.out@willow.example", "disabled", "--reason", "left"),
    ],
    ids=["sessions revoked", "account disabled"],
)
def test_signing_somebody_out_closes_their_sleeping_mail_program(
    service: RunningService, command: tuple[str, ...]
) -> None:
    """That it takes five seconds at most is what tests/integration/identity holds the listener to."""
    name = next(word for word in command if "@" in word).partition("@")[0]
    idle, other = Idle(service, name), Idle(service, "ann.lee")
    done = service.run(*command)
    assert done.returncode == 0, done.stderr
    idle.until_closed()
    service.deliver(message("Others go on"), ANN)
    assert other.is_told()
    idle.close()
    other.close()


async def test_asked_to_stop_it_finishes_the_mail_in_hand_and_is_gone(spawn: Spawn) -> None:
    """By itself, long before anybody would be ended by force. By default that is after ten seconds; a slow and busy
    machine may need them all for the mail in hand, and so this one has longer."""
    assert Settings().workers.stop_seconds == 10
    service = spawn({"workers": {"stop_seconds": 120}})
    await asyncio.to_thread(service.start)
    assert service.process is not None
    family = [service.process.pid, service.postmaster(), *service.workers("relay"), *service.workers("access")]
    load = Load(service.ports["smtp"], (ANN,))
    async with load.running():
        await load.until_acknowledged(10)
        code, seconds = await asyncio.to_thread(service.stop)
    print(f"stopped in {seconds:.1f} s; {load.figures()}")
    assert code == 0
    assert seconds < 60
    assert "ended by force" not in service.log.read_text("utf-8", "replace")
    assert not [pid for pid in family if Path(f"/proc/{pid}").exists()]
    # Nobody was left without an answer after the last dot.
    assert load.in_doubt == []
    assert load.wrong == []
    assert "is recovering" not in service.told()
    await asyncio.to_thread(service.start)
    result = await asyncio.to_thread(tally, service, "ann.lee", load)
    assert (result.lost, result.twice, result.never_sent, result.deferred) == ([], [], [], 0)


def test_a_message_being_received_at_a_ctrl_c_is_answered(spawn: Spawn) -> None:
    service = spawn({"workers": {"stop_seconds": 120}})
    service.start()
    with (
        socket.create_connection(("127.0.0.1", service.ports["smtp"]), timeout=PATIENCE) as client,
        client.makefile("rb") as reader,
    ):
        reader.readline()
        for line in ("HELO mail.local.example", "MAIL FROM:<pat@local.example>", f"RCPT TO:<{ANN}>", "DATA"):
            client.sendall(line.encode() + b"\r\n")
            reader.readline()
        client.sendall(message("In hand"))
        assert service.process is not None
        os.killpg(service.process.pid, signal.SIGINT)  # as a terminal does: to everybody
        time.sleep(0.5)
        client.sendall(b".\r\n")
        answer = reader.readline()
    assert answer[:1] in (b"2", b"4"), answer
    assert service.process.wait(180) == 0
    service.process = None
    service.start()
    arrived = [raw for raw in service.read("ann.lee") if b"Subject: In hand" in raw]
    assert len(arrived) == (1 if answer.startswith(b"2") else 0)
