"""The malware scanner clamd, over its socket: INSTREAM and VERSION, nothing else.

Promises
    `scan` answers only what clamd answered about all the bytes. Anything else - no connection, a full queue, a time
    limit, half an answer - raises ScannerUnavailable, a TryLater: mail waits, it is never passed unscanned (R131).
    Nothing is written to disk by us; clamd unpacks in its own temporary folder (see docs: put it in memory).
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
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


@dataclass(frozen=True, slots=True)
class Clamd:
    """`address` is the path of a Unix socket, or `host:port`. Use one for the whole process."""

    address: str
    limits: ClamdLimits = field(default_factory=ClamdLimits)
    _slots: asyncio.Semaphore = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_slots", asyncio.Semaphore(self.limits.at_once))

    async def scan(self, data: bytes) -> ScanAnswer:
        """Stream `data` and read the verdict."""
        if len(data) > self.limits.stream_max_bytes:
            return ScanAnswer(ScanStatus.TOO_LARGE)
        async with self._slots, self._conversation(self.limits.scan_seconds) as wire:
            # clamd answers and hangs up in the middle of a stream that is too large: its answer is there all the same.
            with suppress(ConnectionError):
                await _stream(wire, data)
            return _understood(await _answer(wire))

    async def version(self) -> str:
        """ "ClamAV 1.0.9/27500/Sun Nov 22 08:11:02 2026": program, signatures, and their date (R132)."""
        async with self._slots, self._conversation(self.limits.connect_seconds) as wire:
            await asyncio.get_running_loop().sock_sendall(wire, b"zVERSION\0")
            return await _answer(wire)

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


def _understood(answer: str) -> ScanAnswer:
    """ "stream: OK", "stream: NAME FOUND", "INSTREAM size limit exceeded. ERROR"."""
    if answer == "stream: OK":
        return ScanAnswer(ScanStatus.CLEAN)
    if answer.endswith(" FOUND"):
        return ScanAnswer(ScanStatus.FOUND, answer.removeprefix("stream: ").removesuffix(" FOUND")[:200])
    if "size limit exceeded" in answer:
        return ScanAnswer(ScanStatus.TOO_LARGE)
    raise ScannerUnavailable("The message cannot be examined just now; please try again later.", answer=answer[:200])


def _unavailable(error: BaseException) -> ScannerUnavailable:
    return ScannerUnavailable(
        "The message cannot be examined just now; please try again later.", cause=type(error).__name__
    )
