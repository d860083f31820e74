"""Somebody runs code of their own inside the relay. What they reach: what its own database role may, and no more (ADR-0003).

By an ordinary user, whose database server is the same user's: tests/system/test_demo.py.
"""

import os
import re
from pathlib import Path

import psycopg
import pytest
from tests.fakes.intruder import OTHER_ROLES, intrude, refused
from tests.fakes.running_service import RunningService
from tests.system.conftest import Spawn
from tests.system.test_keys_apart import memory_holds

from carepost.infra.confine import is_supported
from carepost.infra.postgres import EmbeddedPostgres

pytestmark = pytest.mark.slow

needs_landlock = pytest.mark.skipif(not is_supported(), reason="this kernel has no Landlock")


def _server(service: RunningService) -> EmbeddedPostgres:
    server = EmbeddedPostgres(service.data / "database")
    server.find()
    return server


@needs_landlock
def test_a_relay_that_was_taken_over_connects_as_no_role_but_its_own(service: RunningService) -> None:
    free = intrude(service.config, confined=False)
    assert free.roles == {role: role for role in (*OTHER_ROLES, "carepost_relay")}, (
        "the control: files are all it lacks"
    )
    caught = intrude(service.config, confined=True)
    assert caught.roles["carepost_relay"] == "carepost_relay"
    for role in OTHER_ROLES:
        assert refused(caught.roles[role]), role
        assert "password" in caught.roles[role], "it got as far as being asked for a secret"


@needs_landlock
def test_a_relay_that_was_taken_over_reads_no_secret_from_any_file(service: RunningService) -> None:
    assert service.process is not None
    [access] = service.workers("access")
    secrets = (
        service.data / "keys/root-1.key",
        _passfile(service),
        service.cluster / "global/pg_control",
        # By way of another process.
        Path(f"/proc/{access}/root") / str(service.data / "keys/root-1.key").lstrip("/"),
        Path(f"/proc/{access}/environ"),
        # By way of the disk and of the kernel's memory, where we are root.
        *_raw_disks_and_memory(),
    )
    free, caught = (intrude(service.config, confined=confined, files=secrets).files for confined in (False, True))
    assert [free[str(secret)] for secret in secrets[:3]] == [1, 1, 1], "the control: nothing else forbids it"
    assert [name for name, answer in caught.items() if not refused(answer)] == []


@needs_landlock
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has such powers to give up")
def test_a_relay_that_was_taken_over_is_no_longer_root_in_more_than_name(service: RunningService) -> None:
    assert intrude(service.config, confined=False).nobody == 0
    assert refused(intrude(service.config, confined=True).nobody)
    [relay] = service.workers("relay")
    status = Path(f"/proc/{relay}/status").read_text()
    powers = {name: int(mask, 16) for name, mask in re.findall(r"^(Cap(?:Eff|Prm|Inh|Amb)):\t(\w+)$", status, re.M)}
    assert powers == {"CapEff": 2, "CapPrm": 2, "CapInh": 0, "CapAmb": 0}, "CAP_DAC_OVERRIDE is all that it keeps"


def _raw_disks_and_memory() -> list[Path]:
    if os.geteuid() != 0:
        return []
    candidates = [*sorted(Path("/dev").glob("[svx]d[a-z]")), Path("/dev/mem"), Path("/proc/kcore")]
    return [path for path in candidates if path.exists() and os.access(path, os.R_OK)]


def test_no_secret_of_a_database_role_is_in_the_memory_of_the_relay_or_its_parent(service: RunningService) -> None:
    assert service.process is not None
    [relay], [access] = service.workers("relay"), service.workers("access")
    for line in _passfile(service).read_text().splitlines()[1:]:
        role, secret = line.split(":")[3:]
        for pid in (relay, service.process.pid):
            assert not memory_holds(pid, secret.encode()), role
        if role == "carepost_app":
            assert memory_holds(access, secret.encode()), "the look into memory is blind"


def test_a_cluster_of_an_earlier_release_is_given_secrets_at_the_next_start(spawn: Spawn) -> None:
    service = spawn()
    # What 0.1.0 left behind: no secrets, and everybody told by operating-system user.
    (service.cluster / "carepost.secrets").unlink()
    _passfile(service).unlink()
    (service.cluster / "pg_hba.conf").write_text("local all all peer map=carepost\n")
    service.start()
    with service.superuser() as connection:
        kept = connection.execute("SELECT rolname FROM pg_authid WHERE rolpassword LIKE 'SCRAM-SHA-256$%'").fetchall()
    assert sorted(name for (name,) in kept) == sorted(OTHER_ROLES)
    assert _passfile(service).stat().st_mode & 0o777 == 0o600
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(_server(service).dsn("postgres").partition(" passfile")[0])
    assert service.read("ann.lee") == []


def test_secrets_that_were_lost_are_made_anew_and_no_others_are(spawn: Spawn) -> None:
    service = spawn()
    service.start()
    first = _passfile(service).read_text()
    service.stop()
    service.start()
    assert _passfile(service).read_text() == first
    service.stop()
    _passfile(service).unlink()
    service.start()
    assert _passfile(service).read_text() != first
    assert service.run("doctor").returncode in (0, 1)
    assert "database: It answers" in service.run("doctor").stdout


def _passfile(service: RunningService) -> Path:
    return service.cluster.with_name("carepost.pgpass")
