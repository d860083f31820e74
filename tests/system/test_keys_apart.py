"""The role that faces strangers has no root key: not in a file, not in its memory, not in a parent's."""

import contextlib
import re
from pathlib import Path

import psycopg
import pytest
from tests.fakes.running_service import RunningService, message
from tests.system.conftest import Spawn

from carepost.infra.confine import is_supported

pytestmark = pytest.mark.slow

ANN = "ann.lee@willow.example"


def test_the_relay_takes_mail_with_nothing_but_the_edge_key_and_others_open_it_later(spawn: Spawn) -> None:
    service = spawn()
    keys = service.data / "keys"
    safe = {path.name: path.read_bytes() for path in keys.glob("*.key") if path.name != "edge.key"}
    assert "root-1.key" in safe
    for name in safe:
        (keys / name).unlink()
    service.start("--role", "relay")
    service.deliver(message("Sealed without a key to open"), ANN)
    service.stop()
    assert [path.name for path in keys.glob("*.key")] == ["edge.key"], "a key was made beside sealed mail"
    for name, octets in safe.items():
        (keys / name).write_bytes(octets)
    service.start()
    assert any(b"Subject: Sealed without a key to open" in raw for raw in service.read("ann.lee"))


def test_a_root_key_that_went_missing_is_never_made_anew(spawn: Spawn) -> None:
    service = spawn()
    (service.data / "keys" / "root-1.key").unlink()
    service.start(wait=False)
    assert service.process is not None
    assert service.process.wait(180) != 0
    assert "Put root-*.key and edge.key back from their safe copy" in service.told()
    assert not (service.data / "keys" / "root-1.key").exists()


def test_the_root_key_is_in_the_memory_of_the_access_role_only(service: RunningService) -> None:
    root = (service.data / "keys" / "root-1.key").read_bytes()
    edge = (service.data / "keys" / "edge.key").read_bytes()
    service.deliver(message(), ANN)
    service.read("ann.lee")
    assert service.process is not None
    [relay], [access] = service.workers("relay"), service.workers("access")
    assert memory_holds(access, root), "the look into memory is blind"
    assert memory_holds(relay, edge), "the look into memory is blind"
    assert not memory_holds(relay, root)
    assert not memory_holds(service.process.pid, root)


def test_the_relay_holds_no_key_file_and_no_port_that_people_sign_in_on(service: RunningService) -> None:
    [relay] = service.workers("relay")
    held = [str(path.readlink()) for path in Path(f"/proc/{relay}/fd").iterdir() if _is_link(path)]
    assert not [path for path in held if "/keys/" in path]
    inodes = {match[1] for path in held if (match := re.fullmatch(r"socket:\[(\d+)\]", path))}
    listening = _listening()
    assert listening[service.ports["smtp"]] in inodes, "the look at its sockets is blind"
    for door in ("imap", "imaps", "web", "content"):
        assert listening[service.ports[door]] not in inodes, door
    environment = Path(f"/proc/{relay}/environ").read_bytes()
    assert (service.data / "keys" / "root-1.key").read_bytes() not in environment


def test_the_relays_database_role_reads_no_mail_and_no_keys(service: RunningService) -> None:
    service.deliver(message(), ANN)
    with service.superuser() as connection:
        given = f"host={connection.info.host} port={connection.info.port} dbname=carepost user=carepost_relay"
        organisation = service.accounts["ann.lee"].organisation
    with psycopg.connect(given, autocommit=True) as relay:
        relay.execute(f"SET carepost.organisation = '{int(organisation)}'")
        for table in (
            "keystore.object_key",
            "keystore.mailbox_key",
            "session",
            "credential",
            "totp_factor",
            "app_password",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                relay.execute(f"SELECT * FROM {table} LIMIT 1")
        for column in ("summary", "sealed", "words"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                relay.execute(f"SELECT {column} FROM object LIMIT 1")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            relay.execute("DELETE FROM audit_event")


def _is_link(path: Path) -> bool:
    try:
        path.readlink()
    except OSError:
        return False
    return True


def memory_holds(pid: int, secret: bytes) -> bool:
    """Whether these octets stand anywhere in what the process may read."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            if not rights.startswith("r") or "[v" in line:
                continue
            first, last = (int(each, 16) for each in span.split("-"))
            with contextlib.suppress(OSError, ValueError, OverflowError):
                memory.seek(first)
                if secret in memory.read(last - first):
                    return True
    return False


def _listening() -> dict[int, str]:
    """Inodes of listening sockets, by port."""
    found = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A":
            found[int(words[1].rpartition(":")[2], 16)] = words[9]
    return found


def test_the_relay_cannot_open_the_root_key_even_as_its_own_user(service: RunningService) -> None:
    """Where the kernel has Landlock: whoever takes the relay over is still locked out of every other file."""
    if not is_supported():
        pytest.skip("this kernel has no Landlock")
    [relay], [access] = service.workers("relay"), service.workers("access")
    # That it does lock out is tried by tests/system/test_relay_taken_over.py.
    assert "NoNewPrivs:\t1" in Path(f"/proc/{relay}/status").read_text()
    assert "NoNewPrivs:\t0" in Path(f"/proc/{access}/status").read_text()
