"""The scanner's client against a scanner that we play: every answer, and every way of not answering. R131."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from carepost.infra.clamd import Clamd, ClamdLimits, ScanAnswer, ScannerUnavailable, ScanStatus, signatures_at

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LIMITS = ClamdLimits(connect_seconds=0.5, scan_seconds=0.5)


@asynccontextmanager
async def playing(answer: Handler) -> AsyncIterator[Clamd]:
    async def and_hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await answer(reader, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(and_hang_up, "127.0.0.1", 0)
    async with server:
        yield Clamd(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", LIMITS)


async def read_stream(reader: asyncio.StreamReader) -> bytes:
    assert await reader.readuntil(b"\0") == b"zINSTREAM\0"
    data = b""
    while size := struct.unpack(">I", await reader.readexactly(4))[0]:
        data += await reader.readexactly(size)
    return data


def answering(answer: bytes, taken: list[bytes] | None = None) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await read_stream(reader)
        if taken is not None:
            taken.append(data)
        writer.write(answer)
        await writer.drain()
        writer.close()

    return handler


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (b"stream: OK\0", ScanAnswer(ScanStatus.CLEAN)),
        (b"stream: Win.Test.EICAR_HDB-1 FOUND\0", ScanAnswer(ScanStatus.FOUND, "Win.Test.EICAR_HDB-1")),
        (b"INSTREAM size limit exceeded. ERROR\0", ScanAnswer(ScanStatus.TOO_LARGE)),
    ],
)
async def test_an_answer_is_understood(answer: bytes, meaning: ScanAnswer) -> None:
    taken: list[bytes] = []
    data = bytes(range(256)) * 2_000
    async with playing(answering(answer, taken)) as clamd:
        assert await clamd.scan(data) == meaning
    assert taken == [data]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"stream: OK",
        b"stream: Can't allocate memory ERROR\0",
        b"COMMAND READ TIMED OUT\0",
        b"\0",
        b"x" * 9_000 + b"\0",
    ],
)
async def test_anything_else_is_no_answer(answer: bytes) -> None:
    async with playing(answering(answer)) as clamd:
        with pytest.raises(ScannerUnavailable):
            await clamd.scan(b"hello")


async def test_a_scanner_that_hangs_up_at_once_is_no_answer() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with playing(handler) as clamd:
        with pytest.raises(ScannerUnavailable):
            await clamd.scan(bytes(3_000_000))


async def test_a_scanner_that_says_nothing_is_no_answer() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(10_000):
            pass

    async with playing(handler) as clamd:
        with pytest.raises(ScannerUnavailable):
            await clamd.scan(b"hello")


async def test_a_stream_that_is_cut_off_as_too_large_is_still_understood() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(100)
        writer.write(b"INSTREAM size limit exceeded. ERROR\0")
        await writer.drain()
        await reader.read(10_000_000)
        writer.close()

    async with playing(handler) as clamd:
        assert (await clamd.scan(bytes(500_000))).status is ScanStatus.TOO_LARGE


async def test_a_scanner_that_is_not_there_is_no_answer(tmp_path: Path) -> None:
    for address in (str(tmp_path / "none.sock"), "127.0.0.1:1", "nonsense"):
        with pytest.raises(ScannerUnavailable):
            await Clamd(address, LIMITS).scan(b"hello")


async def test_no_more_than_the_agreed_number_are_asked_at_once() -> None:
    now, most = 0, 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await read_stream(reader)
        await asyncio.sleep(0.01)
        now -= 1
        writer.write(b"stream: OK\0")
        await writer.drain()
        writer.close()

    async with playing(handler) as played:
        clamd = Clamd(played.address, ClamdLimits(at_once=3))
        answers = await asyncio.gather(*(clamd.scan(b"x") for _ in range(20)))
    assert {answer.status for answer in answers} == {ScanStatus.CLEAN}
    assert most == 3


async def test_the_version_tells_how_old_the_signatures_are() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readuntil(b"\0") == b"zVERSION\0"
        writer.write(b"ClamAV 1.0.9/27500/Sun Nov 22 08:11:02 2026\0")
        await writer.drain()
        writer.close()

    async with playing(handler) as clamd:
        version = await clamd.version()
    assert version.startswith("ClamAV 1.0.9/27500")
    assert signatures_at(version) == datetime(2026, 11, 22, 8, 11, 2, tzinfo=UTC)
    assert signatures_at("ClamAV 1.0.9") is None
