"""The malware scanner clamd, over its socket: INSTREAM, FILDES and VERSION, nothing else.

Promises
    `scan` answers only what clamd answered about all the bytes. Anything else - no connection, a full queue, a time
    limit, half an answer - raises ScannerUnavailable, a TryLater: mail waits, it is never passed unscanned (R131).
    Nothing is written to disk by us; clamd unpacks in its own temporary folder (see docs: put it in memory).
    Over a Unix socket clamd is handed a piece of memory (a sealed memfd) instead of a stream, which it would write into
    a file first: no copy of the mail anywhere. Only what it would have taken as a stream: of a file that is too large
    for it clamd says that it is clean, of a stream that it is too large.
"""

import asyncio
import fcntl
import os
import re
import socket
import struct
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import ip_address

from carepost.base.errors import TryLater

_CHUNK = 131_072
_ANSWER_MAX = 4_096
_NO_MORE = struct.pack(">I", 0)


class ScannerUnavailable(TryLater):
    """The scanner did not give an answer that can be believed."""


class ScanStatus(StrEnum):
    CLEAN = "clean"
    FOUND = "found"
    TOO_LARGE = "too large"  # clamd's StreamMaxLength: asking again would not help


@dataclass(frozen=True, slots=True)
class ScanAnswer:
    status: ScanStatus
    name: str = ""  # what clamd calls it


@dataclass(frozen=True, slots=True, kw_only=True)
class ClamdLimits:
    connect_seconds: float = 5.0
    scan_seconds: float = 30.0  # clamd's own ReadTimeout is 120 s; a sender's patience is what we spend
    # clamd's StreamMaxLength as Debian sets it is 25 MB, 100 MB by default; what is larger is not sent at all.
    stream_max_bytes: int = 100_000_000
    at_once: int = 8  # below clamd's MaxThreads (10) and MaxQueue (100)
    # Scans in turn cost less than scans beside each other: each walks the same large tables of patterns, and there is
    # room for few of these in a core's cache. So many begin at once; of all processes together, one a core.
    turns: int = 2
    # A scan that takes longer than nearly all do lets the next begin: nothing small waits for something monstrous.
    turn_seconds: float = 1.0
    # What is no larger is handed over in memory, once clamd has shown that it takes streams of this size.
    handed_max_bytes: int = 4_000_000


@dataclass(frozen=True, slots=True)
class Clamd:
    """`address` is the path of a Unix socket, or `host:port`. Use one for the whole process."""

    address: str
    limits: ClamdLimits = field(default_factory=ClamdLimits)
    _slots: asyncio.Semaphore = field(init=False, repr=False, compare=False)
    _turns: asyncio.Semaphore = field(init=False, repr=False, compare=False)
    _handing: "_Handing" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_slots", asyncio.Semaphore(self.limits.at_once))
        object.__setattr__(self, "_turns", asyncio.Semaphore(self.limits.turns))
        object.__setattr__(self, "_handing", _Handing(is_possible=_CAN_HAND and "/" in self.address))

    async def scan(self, data: bytes) -> ScanAnswer:
        """Give clamd `data` and read the verdict."""
        if len(data) > self.limits.stream_max_bytes:
            return ScanAnswer(ScanStatus.TOO_LARGE)
        if data and len(data) <= self.limits.handed_max_bytes and await self._may_hand():
            answer = await self._handed(data)
            if answer is not None:
                return answer
            self._handing.is_possible = False
        return await self._streamed(data)

    async def _may_hand(self) -> bool:
        """Whether clamd takes what is handed to it, and takes all of it: tried once."""
        handing = self._handing
        if handing.is_possible and not handing.is_tried:
            handing.is_possible, handing.is_tried = False, True  # whoever comes meanwhile streams
            try:
                largest = await self._streamed(bytes(self.limits.handed_max_bytes))
            except BaseException:
                handing.is_possible, handing.is_tried = True, False
                raise
            handing.is_possible = largest.status is ScanStatus.CLEAN
        return handing.is_possible

    async def _handed(self, data: bytes) -> ScanAnswer | None:
        """None when what it says is no verdict: it may be confined, or be no clamd and know streams only."""
        async with self._turn(), self._slots, self._conversation(self.limits.scan_seconds) as wire:
            memory = _sealed_memory(data)
            try:
                # A few octets into an empty buffer: this does not block.
                wire.sendall(b"zFILDES\0")
                socket.send_fds(wire, [b"\0"], [memory])
            finally:
                os.close(memory)
            answer = await _answer(wire)
        with suppress(ScannerUnavailable):
            return _understood(answer)
        return None

    async def _streamed(self, data: bytes) -> ScanAnswer:
        async with self._turn(), self._slots, self._conversation(self.limits.scan_seconds) as wire:
            # clamd answers and hangs up in the middle of a stream that is too large: its answer is there all the same.
            with suppress(ConnectionError):
                await _stream(wire, data)
            return _understood(await _answer(wire))

    async def scan_pieces(self, size: int, pieces: AsyncIterable[bytes], *, most: int, seconds: float) -> ScanAnswer:
        """As `scan`, for what is too large to be in memory. `most` is what clamd was set up to read of a stream, its
        MaxFileSize and MaxScanSize included: of what lies beyond these it says that it is clean."""
        if size > most:
            return ScanAnswer(ScanStatus.TOO_LARGE)
        loop = asyncio.get_running_loop()
        async with self._slots, self._conversation(seconds) as wire:
            # As in `_streamed`: it may answer and hang up in the middle.
            with suppress(ConnectionError):
                await loop.sock_sendall(wire, b"zINSTREAM\0")
                async for piece in pieces:
                    if piece:
                        await loop.sock_sendall(wire, struct.pack(">I", len(piece)) + piece)
                await loop.sock_sendall(wire, _NO_MORE)
            return _understood(await _answer(wire))

    async def version(self) -> str:
        """ "ClamAV 1.0.9/27500/Sun Nov 22 08:11:02 2026": program, signatures, and their date (R132)."""
        async with self._slots, self._conversation(self.limits.connect_seconds) as wire:
            await asyncio.get_running_loop().sock_sendall(wire, b"zVERSION\0")
            return await _answer(wire)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Begin when it is our turn, and let the next begin when we are done, or have taken long."""
        await self._turns.acquire()
        is_over = False

        def end() -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                self._turns.release()

        timer = asyncio.get_running_loop().call_later(self.limits.turn_seconds, end)
        try:
            yield
        finally:
            timer.cancel()
            end()

    @asynccontextmanager
    async def _conversation(self, seconds: float) -> AsyncIterator[socket.socket]:
        """A plain socket, not a stream: after a broken write its answer can still be read."""
        try:
            async with asyncio.timeout(self.limits.connect_seconds):
                wire = await self._connect()
        except (OSError, ValueError) as error:
            raise _unavailable(error) from error
        try:
            async with asyncio.timeout(seconds):
                yield wire
        except OSError as error:
            raise _unavailable(error) from error
        finally:
            wire.close()

    async def _connect(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        if "/" in self.address:
            family, where = socket.AF_UNIX, self.address
        else:
            host, _, port = self.address.rpartition(":")
            family, where = await _place(host.strip("[]"), int(port))  # type: ignore[assignment]
        wire = socket.socket(family, socket.SOCK_STREAM)
        try:
            wire.setblocking(False)
            await loop.sock_connect(wire, where)
        except BaseException:
            wire.close()
            raise
        return wire


async def _place(host: str, port: int) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    """Where that is. Asking for the name of what is no name would cost a thread for each message."""
    try:
        numeric = ip_address(host)
    except ValueError:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return found[0][0], found[0][4]
    return (socket.AF_INET if numeric.version == 4 else socket.AF_INET6), (host, port)


_CAN_HAND = hasattr(os, "memfd_create")  # Linux


@dataclass(slots=True)
class _Handing:
    """What is known about handing files to this clamd."""

    is_possible: bool
    is_tried: bool = False


def _sealed_memory(data: bytes) -> int:
    """A descriptor of memory that holds `data` and can never hold anything else. In no folder, on no disk."""
    memory = os.memfd_create("mail", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(memory, rest) :]
        os.lseek(memory, 0, os.SEEK_SET)
        fcntl.fcntl(
            memory,
            fcntl.F_ADD_SEALS,
            fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL,
        )
    except BaseException:
        os.close(memory)
        raise
    return memory


async def _stream(wire: socket.socket, data: bytes) -> None:
    """Command, chunks and end; with few octets, in one write."""
    loop = asyncio.get_running_loop()
    before, view = b"zINSTREAM\0", memoryview(data)
    for start in range(0, len(view), _CHUNK):
        piece = view[start : start + _CHUNK]
        chunk = b"".join((before, struct.pack(">I", len(piece)), piece))
        if start + _CHUNK >= len(view):
            chunk += _NO_MORE
        await loop.sock_sendall(wire, chunk)
        before = b""
    if not data:
        await loop.sock_sendall(wire, before + _NO_MORE)


async def _answer(wire: socket.socket) -> str:
    """Up to the NUL that ends it; raises ConnectionError when it never comes."""
    loop, answer = asyncio.get_running_loop(), b""
    while not answer.endswith(b"\0"):
        piece = await loop.sock_recv(wire, _ANSWER_MAX)
        if not piece or len(answer) > _ANSWER_MAX:
            raise ConnectionError("no whole answer")
        answer += piece
    return answer[:-1].decode("utf-8", "replace").strip()


def signatures_at(version: str) -> datetime | None:
    """How new the signatures are, from clamd's answer to VERSION; None when it does not say (R132)."""
    _, _, when = version.rpartition("/")
    try:
        return datetime.strptime(when.strip(), "%a %b %d %H:%M:%S %Y").replace(tzinfo=UTC)
    except ValueError:
        return None


_ABOUT = re.compile(r"\A(?:stream|fd\[\d{1,9}\]): ")


def _understood(answer: str) -> ScanAnswer:
    """ "stream: OK", "fd[10]: OK", "stream: NAME FOUND", "INSTREAM size limit exceeded. ERROR"."""
    said = _ABOUT.sub("", answer)
    if said == "OK" and said != answer:
        return ScanAnswer(ScanStatus.CLEAN)
    if answer.endswith(" FOUND"):
        return ScanAnswer(ScanStatus.FOUND, said.removesuffix(" FOUND")[:200])
    if "size limit exceeded" in answer:
        return ScanAnswer(ScanStatus.TOO_LARGE)
    raise ScannerUnavailable("The message cannot be examined just now; please try again later.", answer=answer[:200])


def _unavailable(error: BaseException) -> ScannerUnavailable:
    return ScannerUnavailable(
        "The message cannot be examined just now; please try again later.", cause=type(error).__name__
    )
