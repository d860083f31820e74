"""Messages while they arrive: small ones in memory, large ones in a file that nobody else can open or read.

Promises
    No octet of a message is on disk in clear: the key is made for each spool and exists only in memory (E1).
    The file has no name; it is gone with the process.
    Memory is bounded: by each message, by all that arrive, and by all that are being examined.
    A full disk is NoRoom: the sender keeps the message and comes again.
"""

import asyncio
import contextlib
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from carepost.base.errors import TryLater
from carepost.protocols.smtp.limits import SpoolLimits

Result = TypeVar("Result")

# Sealed and written in pieces of at least this size, however crowded it is: a thread is not worth less.
_BLOCK_MIN = 64 * 1024


class NoRoom(TryLater):
    """The disk that messages arrive on is full."""

    def __init__(self, **private: object) -> None:
        super().__init__("There is no room for the message just now", **private)


class ByteBudget:
    """So many octets at once, first come, first served."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.free = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def take_now(self, octets: int) -> int:
        """What was taken, to be given back; 0 if one would have to wait. More than the whole counts as the whole."""
        wanted = max(1, min(octets, self.total))
        if self._waiting or wanted > self.free:
            return 0
        self.free -= wanted
        return wanted

    async def take(self, octets: int) -> int:
        """Wait until there is room, and take it."""
        if taken := self.take_now(octets):
            return taken
        wanted = max(1, min(octets, self.total))
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(wanted)
            else:
                with contextlib.suppress(ValueError):  # `_let_in` may have met it, cancelled, before
                    self._waiting.remove((wanted, turn))
                self._let_in()
            raise
        return wanted

    def give_back(self, octets: int) -> None:
        self.free += octets
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._waiting[0][0] <= self.free:
            wanted, turn = self._waiting.popleft()
            if not turn.cancelled():
                self.free -= wanted
                turn.set_result(None)


@dataclass(slots=True)
class Spools:
    """The room that all arriving messages share."""

    folder: Path
    limits: SpoolLimits = field(default_factory=SpoolLimits)
    in_memory: int = field(default=0, init=False)
    examined: ByteBudget = field(init=False)

    def __post_init__(self) -> None:
        self.examined = ByteBudget(self.limits.examined_total)

    def open(self) -> "Spool":
        return Spool(self)

    def has_room_for(self, octets: int | None) -> bool:
        """Whether the disk would hold a message of this size, or of an unknown one. Postfix's queue_minfree."""
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize >= self.limits.disk_free_min + 2 * (octets or 0)


class Spool:
    """One arriving message."""

    def __init__(self, spools: Spools) -> None:
        self._spools = spools
        self._chunks: list[bytes] = []
        self._in_memory = 0
        self._blocks: list[int] = []  # lengths of the sealed pieces in the file
        self._file: int | None = None
        self._cipher: AESGCM | None = None
        self._thread: asyncio.Future[Any] | None = None
        self._budget = 0
        self.octets = 0

    @property
    def is_on_disk(self) -> bool:
        return self._file is not None

    async def write(self, chunk: bytes) -> None:
        """Keep the next octets. Raise NoRoom when the disk is full."""
        self._chunks.append(chunk)
        self._count(len(chunk))
        self.octets += len(chunk)
        limits = self._spools.limits
        crowded = self._spools.in_memory > limits.memory_total and self._in_memory >= _BLOCK_MIN
        if crowded or self._in_memory > limits.memory_each:
            await self._to_disk()

    async def whole(self) -> bytes:
        """All of it, once there is room among the messages being examined. Raise TryLater after the deadline."""
        self._budget = self._spools.examined.take_now(self.octets) or await self._wait_for_budget()
        in_memory = b"".join(self._chunks)
        self._chunks = [in_memory]
        if self._file is None:
            return in_memory
        return await self._in_thread(lambda: b"".join([*self._read_back(), in_memory]))

    async def _wait_for_budget(self) -> int:
        try:
            async with asyncio.timeout(self._spools.limits.budget_timeout):
                return await self._spools.examined.take(self.octets)
        except TimeoutError as error:
            raise TryLater("Too many messages are being examined just now", octets=self.octets) from error

    def close(self) -> None:
        """Forget it. May be called at any time, and more than once."""
        self._chunks.clear()
        self._count(-self._in_memory)
        if self._budget:
            self._spools.examined.give_back(self._budget)
            self._budget = 0
        if self._thread is not None and not self._thread.done():
            # A closed descriptor's number may be another file's a moment later: the thread must not write to that.
            self._thread.add_done_callback(lambda _: self._close_file())
        else:
            self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file = None
        self._cipher = None

    def _count(self, octets: int) -> None:
        self._in_memory += octets
        self._spools.in_memory += octets

    async def _to_disk(self) -> None:
        block = b"".join(self._chunks)
        try:
            await self._in_thread(lambda: self._write_block(block))
        except OSError as error:
            # ENOSPC, EDQUOT, EIO, EROFS: whatever the disk has, the sender still has the message.
            raise NoRoom(error=error.strerror) from error
        self._chunks.clear()
        self._count(-self._in_memory)

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        thread = asyncio.get_running_loop().run_in_executor(None, work)
        self._thread = thread
        return await asyncio.shield(thread)

    # -- in the thread --

    def _write_block(self, block: bytes) -> None:
        if self._file is None or self._cipher is None:
            self._file = _nameless_file(self._spools.folder)
            self._cipher = AESGCM(AESGCM.generate_key(bit_length=256))
        # The counter is the nonce: the key is this spool's alone and each number is used once.
        rest = memoryview(self._cipher.encrypt(len(self._blocks).to_bytes(12, "big"), block, None))
        self._blocks.append(len(rest))
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def _read_back(self) -> Iterator[bytes]:
        if self._file is None or self._cipher is None:
            raise TryLater("The message has gone")
        at = 0
        for number, length in enumerate(self._blocks):
            sealed = _read_exactly(self._file, length, at)
            yield self._cipher.decrypt(number.to_bytes(12, "big"), sealed, None)
            at += length


def _read_exactly(file: int, length: int, at: int) -> bytes:
    pieces = []
    while length:
        piece = os.pread(file, length, at)
        if not piece:
            raise TryLater("The message has been cut short", at=at)
        pieces.append(piece)
        at += len(piece)
        length -= len(piece)
    return b"".join(pieces)


def _nameless_file(folder: Path) -> int:
    with contextlib.suppress(OSError):
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    # Not every file system knows O_TMPFILE.
    file, name = tempfile.mkstemp(dir=folder, prefix="arriving-")
    Path(name).unlink()
    return file
