"""PostgreSQL's processes: made, watched and found by what the kernel knows of them.

Promises
    A cluster is made whole or not at all. The server dies with the thread that launched it, and knows nothing of our
    environment. A process is taken for PostgreSQL by its program and its folder, never by a number in a file.
"""

import asyncio
import ctypes
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from carepost.base.errors import NotPossible
from carepost.infra.postgres_binaries import Binaries
from carepost.infra.postgres_config import SUPERUSER
from carepost.infra.postgres_place import Owner, Place, own_folder

LOOK_SECONDS = 0.02
_STATUS_LINE = 7  # postmaster.pid, eighth line: starting, ready, standby or stopping.
_PR_SET_PDEATHSIG = 1


def major_of(cluster: Path) -> int | None:
    try:
        return int((cluster / "PG_VERSION").read_text("ascii"))
    except FileNotFoundError:
        return None


def initialise(place: Place, binaries: Binaries) -> None:
    """initdb beside the final place, then one rename: a cluster is whole or absent."""
    fresh = place.cluster.with_name("cluster.new")
    shutil.rmtree(fresh, ignore_errors=True)
    own_folder(fresh, place.owner)
    if binaries.major >= 17:
        # Case folding and `\w` right without ICU, and no change of order when the C library changes.
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    else:
        locale = ["--locale=C.UTF-8"]
    command = [
        binaries.program("initdb"),
        *("-D", str(fresh), f"--username={SUPERUSER}", "--encoding=UTF8", "--data-checksums"),
        *("--auth-local=peer", "--auth-host=reject", "--no-instructions", *locale),
    ]
    done = run_as(command, place.owner)
    if done.returncode != 0:
        raise NotPossible(f"PostgreSQL could not make a database in {place.cluster}: {done.stderr.strip()[-500:]}")
    fresh.rename(place.cluster)
    parent = os.open(place.cluster.parent, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(parent)
    os.close(parent)


def run_as(command: list[str], owner: Owner, *, said: str = "") -> subprocess.CompletedProcess[str]:
    """Run one of PostgreSQL's programs as the server's user, with `said` on its standard input."""
    common = {"input": said, "capture_output": True, "text": True, "check": False, "cwd": "/", "env": _environment()}
    if owner.lent:
        common |= {"user": owner.uid, "group": owner.gid, "extra_groups": []}
    return subprocess.run(command, **common)  # type: ignore[call-overload,no-any-return]  # noqa: S603, PLW1510


def launch(place: Place, binaries: Binaries) -> subprocess.Popen[bytes]:
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def die_with_us() -> None:
        # After the change of user, which would clear it. SIGINT is PostgreSQL's clean and fast shutdown.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    lend = {"user": place.owner.uid, "group": place.owner.gid, "extra_groups": []} if place.owner.lent else {}
    with (place.log / "start.log").open("wb") as said:
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]  # noqa: S603
            [binaries.program("postgres"), "-D", str(place.cluster)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            cwd="/",
            env=_environment(),
            preexec_fn=die_with_us,  # noqa: PLW1509 (nothing in it takes a lock)
            # Its own session: Ctrl-C in a terminal must stop us first and the database last.
            start_new_session=True,
            **lend,
        )


def _environment() -> dict[str, str]:
    """Nothing of ours: no PG* variables, no secrets, no locale to depend on."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def status(cluster: Path, pid: int) -> str | None:
    try:
        lines = (cluster / "postmaster.pid").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return None
    if len(lines) <= _STATUS_LINE or lines[0] != str(pid):
        return None
    return lines[_STATUS_LINE].strip()


def processes_of(cluster: Path) -> list[int]:
    """Every PostgreSQL process of this cluster: each works in its folder."""
    home = os.path.realpath(cluster)
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and _works_in(entry, home)]  # noqa: PTH208


def _works_in(pid: str, home: str) -> bool:
    try:
        # A deleted program's link ends in " (deleted)": an upgrade replaced it under the running server.
        program = os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")  # noqa: PTH115
        return program.endswith("/postgres") and os.readlink(f"/proc/{pid}/cwd") == home  # noqa: PTH115
    except OSError:  # It ended, or is another user's.
        return False


def send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


async def ended(child: subprocess.Popen[bytes], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while child.poll() is None:
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(LOOK_SECONDS)
    return True


def last_words(place: Place) -> str:
    try:
        return (place.log / "start.log").read_text("utf-8", "replace")[-2000:]
    except OSError:
        return ""
