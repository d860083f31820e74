"""The malware scanner clamd, over its socket: INSTREAM and VERSION, nothing else.

Promises
    `scan` answers only what clamd answered about all the bytes. Anything else - no connection, a full queue, a time
    limit, half an answer - raises ScannerUnavailable, a TryLater: mail waits, it is never passed unscanned (R131).
    Nothing is written to disk by us; clamd unpacks in its own temporary folder (see docs: put it in memory).
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from carepost.base.errors import TryLater

_CHUNK = 131_072
_ANSWER_MAX = 4_096


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
        async with self._slots, self._conversation(self.limits.scan_seconds) as (reader, writer):
            with suppress(ConnectionError):  # clamd answers and hangs up in the middle when the stream is too large
                writer.write(b"zINSTREAM\0")
                view = memoryview(data)
                for start in range(0, len(view), _CHUNK):
                    piece = view[start : start + _CHUNK]
                    writer.write(struct.pack(">I", len(piece)))
                    writer.write(piece)
                    await writer.drain()
                writer.write(struct.pack(">I", 0))
                await writer.drain()
            return _understood(await _answer(reader))

    async def version(self) -> str:
        """ "ClamAV 1.0.9/27500/Sun Nov 22 08:11:02 2026": program, signatures, and their date (R132)."""
        async with self._slots, self._conversation(self.limits.connect_seconds) as (reader, writer):
            writer.write(b"zVERSION\0")
            await writer.drain()
            return await _answer(reader)

    @asynccontextmanager
    async def _conversation(self, seconds: float) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        try:
            async with asyncio.timeout(self.limits.connect_seconds):
                reader, writer = await self._connect()
        except (OSError, TimeoutError, ValueError) as error:
            raise _unavailable(error) from error
        try:
            async with asyncio.timeout(seconds):
                yield reader, writer
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise _unavailable(error) from error
        finally:
            # The verdict is in, or never will be: there is nothing to wait for.
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if "/" in self.address:
            return await asyncio.open_unix_connection(Path(self.address), limit=_ANSWER_MAX)
        host, _, port = self.address.rpartition(":")
        return await asyncio.open_connection(host.strip("[]"), int(port), limit=_ANSWER_MAX)


async def _answer(reader: asyncio.StreamReader) -> str:
    return (await reader.readuntil(b"\0"))[:-1].decode("utf-8", "replace").strip()


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
