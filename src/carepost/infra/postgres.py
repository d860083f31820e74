"""An embedded PostgreSQL under our own supervisor: a child in the foreground that dies with us.

Promises
    `start` returns when the server takes connections; crash recovery is waited for, however long, and reported.
    A kill -9 of us ends the server cleanly (SIGINT by the kernel); a kill -9 of both is recovered at the next start.
    Two of us never open one cluster: the second is told so.
    Nothing listens on TCP; the socket sits in a 0700 folder; every role but the relay's needs a secret
    (`postgres_access`).
"""

import asyncio
import fcntl
import os
import signal
import subprocess
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from carepost.base.errors import Broken, NotPossible
from carepost.infra.postgres_access import SECRETIVE, give_secrets, pg_hba_conf, pg_ident_conf, secrets_file
from carepost.infra.postgres_binaries import Binaries, choose_binaries
from carepost.infra.postgres_config import PORT, EmbeddedPolicy, postgresql_conf
from carepost.infra.postgres_place import (
    Place,
    erase_place,
    find_owner,
    find_place,
    reachable_binaries,
    write_owned,
)
from carepost.infra.postgres_process import (
    LOOK_SECONDS,
    ended,
    initialise,
    last_words,
    launch,
    major_of,
    processes_of,
    send,
    status,
)

DATABASE = "carepost"
_PROGRESS_SECONDS = 5.0
_ORPHAN_PATIENCE_SECONDS = 10.0  # After this an orphan of a killed Carepost is asked, then made, to end.
_REVIVE_PAUSE_SECONDS = 2.0

Progress = Callable[[str], None]


class AlreadyRunning(NotPossible):
    """Another Carepost has the cluster open. `find` tells where."""


class EmbeddedPostgres:
    """The server of one data folder. Use as an async context manager, or `start` and `stop`."""

    def __init__(self, folder: Path, policy: EmbeddedPolicy | None = None, *, progress: Progress | None = None) -> None:
        self.folder = folder.absolute()
        self.policy = policy or EmbeddedPolicy()
        self.place: Place | None = None
        self.binaries: Binaries | None = None
        self._tell = progress or _tell_nobody
        self._lock: IO[str] | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._revive_at = 0.0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def dsn(self, role: str = "carepost_app", *, database: str = DATABASE) -> str:
        """How `role` connects: carepost_owner, carepost_app, carepost_relay or the superuser postgres.

        It holds no secret: it says which file does, for all but the relay's role.
        """
        if self.place is None:
            raise Broken("the embedded database was not started")
        passfile = f" passfile={_quoted(secrets_file(self.place))}" if role in SECRETIVE else ""
        return f"host={_quoted(self.place.socket)} port={PORT} dbname={database} user={role}{passfile}"

    def find(self) -> None:
        """Learn where the server is that another Carepost runs on this folder: then `dsn` works without `start`."""
        owner = find_owner()
        self.place = find_place(self.folder, owner)
        chosen = choose_binaries(self.policy.binaries, for_major=major_of(self.place.cluster))
        self.binaries = reachable_binaries(chosen, owner)

    def program(self, name: str) -> str:
        """The path of one of PostgreSQL's own programs, of the server's version. Raises Broken before `start`."""
        _, binaries = self._placed()
        return binaries.program(name)

    async def start(self) -> None:
        """Make the cluster when there is none, run it, and return when it answers.

        Raises NotPossible, with words for the operator, when it can't be run here.
        """
        try:
            owner = find_owner()
            self.place = place = find_place(self.folder, owner)
            self._take_lock(place)
            chosen = choose_binaries(self.policy.binaries, for_major=major_of(place.cluster))
            self.binaries = reachable_binaries(chosen, owner)
            if not (place.cluster / "PG_VERSION").exists():
                self._tell("Making the database (once)")
                await asyncio.to_thread(initialise, place, self.binaries)
            await self._outlast_orphans()
            self._configure()
            await asyncio.to_thread(give_secrets, self.folder, place, self.binaries.program("postgres"))
            # From this thread: the kernel ties the child's death to the thread that made it.
            self._child = launch(place, self.binaries)
            await self._await_ready()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Fast shutdown: clients are cut off, everything committed is on disk. Harmless when not running."""
        child, self._child = self._child, None
        try:
            if child is not None and child.poll() is None:
                child.send_signal(signal.SIGINT)
                if not await ended(child, self.policy.stop_seconds):
                    # Immediate shutdown: nothing committed is lost, the next start replays the log.
                    child.send_signal(signal.SIGQUIT)
                    if not await ended(child, self.policy.stop_seconds):
                        child.kill()
                        child.wait()
        finally:
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def erase(self) -> None:
        """Delete this folder's cluster, wherever it is, and all that is in it. Raises AlreadyRunning.

        Deleting the data folder alone would leave behind a cluster that lives elsewhere (see `postgres_place`).
        """
        place = find_place(self.folder, find_owner())
        self._take_lock(place)
        try:
            if processes_of(place.cluster):
                raise AlreadyRunning(f"The database of {self.folder} is still ending. Try again in a moment.")
            erase_place(self.folder, place)
        finally:
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    async def keep_running(self, *, retry_seconds: float = 1.0) -> None:
        """Run until cancelled: when the server ends without our asking, start it again."""
        while True:
            if self.alive:
                await asyncio.sleep(0.2)
            elif not await self._revive():
                await asyncio.sleep(retry_seconds)

    def start_now(self) -> None:
        """`start`, for a parent without an event loop. Call from the main thread: the server lives as long as it."""
        asyncio.run(self.start())

    def stop_now(self) -> None:
        """`stop`, for a parent without an event loop."""
        asyncio.run(self.stop())

    def tend(self) -> None:
        """For a parent without an event loop, every now and then: start the server again if it has ended."""
        if not self.alive and time.monotonic() >= self._revive_at and not asyncio.run(self._revive()):
            self._revive_at = time.monotonic() + _REVIVE_PAUSE_SECONDS

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    async def _revive(self) -> bool:
        self._tell("The database ended unexpectedly; starting it again")
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        try:
            await self.start()
        except (NotPossible, Broken, OSError) as error:
            self._tell(f"The database did not start: {error}")
            return False
        return True

    def _take_lock(self, place: Place) -> None:
        # Beside the cluster, not in the data folder: a copied data folder must not open the original's cluster.
        lock = place.cluster.with_name("carepost.lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise AlreadyRunning(
                f"Another Carepost is running on {self.folder}. Stop it first, or choose another data folder."
            ) from None
        self._lock = lock
        _hide_from_forks(lock)

    def _configure(self) -> None:
        place, binaries = self._placed()
        users = [place.owner.name, "root"] if os.geteuid() == 0 else [place.owner.name]
        conf = postgresql_conf(self.policy, major=binaries.major, socket=place.socket, log=place.log)
        write_owned(place.cluster / "postgresql.conf", conf, place.owner)
        write_owned(place.cluster / "pg_hba.conf", pg_hba_conf(), place.owner)
        write_owned(place.cluster / "pg_ident.conf", pg_ident_conf(users), place.owner)

    async def _outlast_orphans(self) -> None:
        """Wait for servers that a killed Carepost left behind; then clear away their lock files."""
        place, _ = self._placed()
        began = told = time.monotonic()
        insisted = False
        while orphans := processes_of(place.cluster):
            now = time.monotonic()
            if now - told >= _PROGRESS_SECONDS:
                self._tell("Waiting for the database of an earlier run to end")
                told = now
            if now - began >= _ORPHAN_PATIENCE_SECONDS and not insisted:
                for orphan in orphans:
                    send(orphan, signal.SIGQUIT)
                insisted = True
            await asyncio.sleep(LOOK_SECONDS)
        # Nobody has this cluster open, whatever a reused process number in the lock files may suggest.
        (place.cluster / "postmaster.pid").unlink(missing_ok=True)
        for stale in place.socket.glob(".s.PGSQL.*"):
            stale.unlink(missing_ok=True)

    async def _await_ready(self) -> None:
        place, _ = self._placed()
        child = self._child
        began = told = time.monotonic()
        while child is not None:
            if child.poll() is not None:
                raise Broken("the database did not start", code=child.returncode, log=last_words(place))
            if status(place.cluster, child.pid) == "ready":
                return
            now = time.monotonic()
            if now - told >= _PROGRESS_SECONDS:
                self._tell(f"The database is recovering from a sudden stop ({now - began:.0f} s so far)")
                told = now
            await asyncio.sleep(LOOK_SECONDS)

    def _placed(self) -> tuple[Place, Binaries]:
        if self.place is None or self.binaries is None:
            raise Broken("the embedded database was not started")
        return self.place, self.binaries


# Locks that forked workers must not hold on to: they may outlive a killed parent for a moment.
_locks: "weakref.WeakSet[IO[str]]" = weakref.WeakSet()


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("\\", "\\\\").replace("'", "\\'") + "'"


def _hide_from_forks(lock: IO[str]) -> None:
    if not _locks:
        os.register_at_fork(after_in_child=_close_locks)
    _locks.add(lock)


def _close_locks() -> None:
    for lock in list(_locks):
        lock.close()


def _tell_nobody(_text: str) -> None:
    """Where progress goes when nobody asked for it."""
