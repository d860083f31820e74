"""Unwelcome mail ends where the cards say, the command line says why, and the record of it can be proved."""

import json
import re
import smtplib

import psycopg
import pytest
from tests.fakes.gateway import with_files
from tests.fakes.running_service import RunningService, message
from tests.system.conftest import Spawn

from carepost.ops.demo import papers

pytestmark = pytest.mark.slow

ANN = "ann.lee@willow.example"
PAT = "Pat Example <pat@local.example>"


def _held(service: RunningService) -> list[dict[str, str]]:
    listed = service.run("quarantine", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    return [json.loads(line) for line in listed.stdout.splitlines()]


def _why(service: RunningService, reference: str) -> str:
    told = service.run("why", reference)
    assert told.returncode == 0, told.stderr
    return told.stdout


def _refused(service: RunningService, raw: bytes) -> None:
    with pytest.raises(smtplib.SMTPResponseException) as told:
        service.deliver(raw, ANN)
    assert told.value.smtp_code == 550
    # One answer for every policy: the sender learns nothing about which rule it was.
    assert b"from us" not in told.value.smtp_error


def _identified(raw: bytes, name: str) -> bytes:
    return re.sub(rb"(?im)^Message-ID:.*\r\n", b"", raw).replace(b"From:", f"Message-ID: <{name}>\r\nFrom:".encode(), 1)


def test_eicar_is_held_away_from_its_reader_and_why_says_so(service: RunningService) -> None:
    reference = service.deliver(with_files(("letter.txt", papers.eicar()), author=PAT), ANN)
    told = _why(service, reference)
    assert "EICAR" in told
    assert "Malware" in told
    assert [one["card"] for one in _held(service) if one["reference"] == reference] == ["malware"]
    assert not [one for one in service.read("ann.lee") if reference.encode() in one]


def test_a_spoof_of_our_own_domain_is_refused_and_why_says_so(service: RunningService) -> None:
    spoof = message("Urgent payment", sender="jo.ray@willow.example")
    _refused(service, _identified(spoof, "spoof-1@willow.example"))
    assert "Mail from outside that claims to be from us" in _why(service, "spoof-1@willow.example")


def test_a_document_with_macros_waits_for_a_person_who_releases_it(service: RunningService) -> None:
    raw = _identified(
        with_files(("timesheet.docm", papers.docx(["Hours"], macro=True)), author=PAT), "macro-1@local.example"
    )
    reference = service.deliver(raw, ANN)
    assert not [one for one in service.read("ann.lee") if b"macro-1@local.example" in one]
    assert "Documents with macros" in _why(service, reference)
    [held] = [one for one in _held(service) if one["reference"] == reference]
    assert held["card"] == "macros"
    done = service.run(
        "quarantine", "release", held["organisation"], str(held["number"]), "--reason", "Asked the sender"
    )
    assert done.returncode == 0, done.stderr
    assert "Released to 1 mailboxes" in done.stdout
    [arrived] = [one for one in service.read("ann.lee") if b"macro-1@local.example" in one]
    assert arrived.endswith(raw)
    assert not [one for one in _held(service) if one["reference"] == reference]
    again = service.run("quarantine", "release", held["organisation"], str(held["number"]), "--reason", "Once more")
    assert again.returncode == 1
    assert again.stderr.startswith("carepost: ")


def test_trace_finds_a_message_by_recipient_and_by_message_id(service: RunningService) -> None:
    reference = service.deliver(_identified(message("Traced"), "traced-1@local.example"), ANN)
    for asked in (
        ("--recipient", ANN),
        ("--sender", "pat@local.example"),
        ("--message-id", "<traced-1@local.example>"),
    ):
        told = service.run("trace", *asked, "--json")
        assert told.returncode == 0, told.stderr
        found = [json.loads(line) for line in told.stdout.splitlines()]
        assert [one["recipient"] for one in found if one["reference"] == reference] == [ANN], asked


def test_the_record_is_proved_whole_and_an_edit_by_a_superuser_is_found(spawn: Spawn) -> None:
    service = spawn()
    service.start()
    for number in range(3):
        service.deliver(message(f"Recorded {number}"), ANN)
    assert service.run("audit", "checkpoint").returncode == 0
    sound = service.run("audit", "verify", "--json")
    assert sound.returncode == 0, sound.stdout + sound.stderr
    assert json.loads(sound.stdout)["entries"] > 3
    with service.superuser() as connection:
        # Whoever owns the machine can do this; the point is that it shows.
        try:
            changed = connection.execute(
                "UPDATE audit_event SET at = at + interval '1 second' WHERE (organisation_id, seq) ="
                " (SELECT organisation_id, max(seq) - 1 FROM audit_event GROUP BY 1 ORDER BY count(*) DESC LIMIT 1)"
            ).rowcount
        except psycopg.errors.RaiseException:
            connection.execute("SET session_replication_role = replica")  # past the trigger that forbids it
            changed = connection.execute(
                "UPDATE audit_event SET at = at + interval '1 second' WHERE (organisation_id, seq) ="
                " (SELECT organisation_id, max(seq) - 1 FROM audit_event GROUP BY 1 ORDER BY count(*) DESC LIMIT 1)"
            ).rowcount
    assert changed == 1
    edited = service.run("audit", "verify")
    assert edited.returncode == 1
    assert "NOT whole" in edited.stdout
    assert "Fault: " in edited.stdout
