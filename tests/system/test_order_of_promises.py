"""D4: seen from the kernel, no `250 … is now with us` leaves before the database's log is on disk."""

import contextlib
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.fakes.running_service import RunningService, message
from tests.system.conftest import Spawn

from carepost.infra.postgres_process import processes_of

pytestmark = pytest.mark.slow

MESSAGES = 20
_CALL = re.compile(r"^(?P<pid>\d+) +(?P<at>\d+\.\d+) (?P<call>\w+)\((?P<rest>.*)$")
_RESUMED = re.compile(r"^(?P<pid>\d+) +(?P<at>\d+\.\d+) <\.\.\. (?P<call>\w+) resumed>(?P<rest>.*)$")
_WATCHED = (
    "trace=fsync,fdatasync,sync_file_range,pwrite64,pwritev,write,writev,sendto,sendmsg,recvfrom,recvmsg,read,readv"
)


@dataclass
class Order:
    """The events that matter, in the order in which they happened."""

    bodies: int = 0
    promises: int = 0
    # Promises that no finished fsync of the log came before, counted from the last octet of their message.
    broken: list[str] = field(default_factory=list)


def test_every_promise_follows_a_sync_of_the_log_that_follows_the_last_octet(spawn: Spawn, tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not on this machine (Debian: apt-get install strace)")
    service = spawn()
    service.start()
    sound = _order(_watched(service, tmp_path / "sound"))
    print(f"{sound.promises} promises, {sound.bodies} bodies, {len(sound.broken)} too early")
    assert (sound.promises, sound.bodies, sound.broken) == (MESSAGES, MESSAGES, [])
    # The judge has teeth: a database that is told not to wait, and whose log's writer is lazy, is found out. A fresh
    # start: the look at durability comes once a minute, and would end the control.
    service.stop()
    service.start()
    with service.superuser() as connection:
        connection.execute("ALTER SYSTEM SET synchronous_commit = off")
        connection.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        connection.execute("SELECT pg_reload_conf()")
    weak = _order(_watched(service, tmp_path / "weak", must=False))
    print(f"control: {weak.promises} promises, {len(weak.broken)} too early")
    assert weak.promises >= 1
    assert weak.broken


def _watched(service: RunningService, record: Path, *, must: bool = True) -> str:
    """The system calls of relay and database while messages come in. Unless they `must`, the door may close on them."""
    pids = [*service.workers("relay"), *processes_of(service.cluster)]
    command = ["strace", "-qq", "-f", "-ttt", "-y", "-s", "400", "-e", _WATCHED, "-e", "signal=none", "-o", str(record)]
    with subprocess.Popen([*command, *(word for pid in pids for word in ("-p", str(pid)))]) as watcher:
        try:
            _await(lambda: all(_is_traced(pid) for pid in pids))
            with contextlib.nullcontext() if must else contextlib.suppress(AssertionError):
                for number in range(MESSAGES):
                    service.deliver_plainly(message(f"Order {number}"), "ann.lee@willow.example")
        finally:
            watcher.terminate()
    return record.read_text("utf-8", "replace")


def _order(record: str) -> Order:
    order = Order()
    synced_since_body = False
    begun_sync: dict[str, bool] = {}  # a sync that began before the last octet proves nothing about it
    for line in record.splitlines():
        if resumed := _RESUMED.match(line):
            call, rest, pid = resumed["call"], resumed["rest"], resumed["pid"]
            if call in ("fsync", "fdatasync") and rest.rstrip().endswith("= 0"):
                synced_since_body = synced_since_body or begun_sync.pop(pid, False)
            elif call in ("read", "recvfrom", "recvmsg", "readv") and _ends_a_message(rest):
                order.bodies += 1
                synced_since_body = False
                begun_sync = dict.fromkeys(begun_sync, False)
            continue
        found = _CALL.match(line)
        if found is None:
            continue
        call, rest, pid = found["call"], found["rest"], found["pid"]
        if call in ("fsync", "fdatasync") and "pg_wal" in rest:
            if "<unfinished" in rest:
                begun_sync[pid] = True
            elif rest.rstrip().endswith("= 0"):
                synced_since_body = True
        elif call in ("read", "recvfrom", "recvmsg", "readv") and _ends_a_message(rest):
            order.bodies += 1
            synced_since_body = False
            begun_sync = dict.fromkeys(begun_sync, False)
        elif call in ("write", "writev", "sendto", "sendmsg") and "is now with us" in rest:
            order.promises += 1
            if not synced_since_body:
                order.broken.append(line)
    return order


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _is_traced(pid: int) -> bool:
    return "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()


def _ends_a_message(rest: str) -> bool:
    return r"\r\n.\r\n" in rest
