"""The scanner's client against a scanner that we play: every answer, and every way of not answering. R131."""

import asyncio
import os
import socket
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import pytest

from carepost.infra.clamd import Clamd, ClamdLimits, ScanAnswer, ScannerUnavailable, ScanStatus, signatures_at

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PATIENT = ClamdLimits(connect_seconds=60, scan_seconds=60)
IMPATIENT = ClamdLimits(connect_seconds=0.5, scan_seconds=0.5)  # meant to run out


@asynccontextmanager
async def playing(answer: Handler, limits: ClamdLimits = PATIENT) -> AsyncIterator[Clamd]:
    async def and_hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await answer(reader, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(and_hang_up, "127.0.0.1", 0)
    async with server:
        yield Clamd(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", limits)


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


async def test_what_comes_in_pieces_is_scanned_as_one_stream_and_what_is_too_large_not_at_all() -> None:
    taken: list[bytes] = []
    pieces = [b"abc" * 50_000, b"", b"d"]

    async def coming() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async with playing(answering(b"stream: OK\0", taken)) as clamd:
        answer = await clamd.scan_pieces(150_001, coming(), most=150_001, seconds=30)
        too_large = await clamd.scan_pieces(150_001, coming(), most=150_000, seconds=30)
    assert (answer.status, too_large.status) == (ScanStatus.CLEAN, ScanStatus.TOO_LARGE)
    assert taken == [b"".join(pieces)]


async def test_a_scanner_that_hangs_up_in_the_middle_of_pieces_has_said_nothing() -> None:
    async def coming() -> AsyncIterator[bytes]:
        for _ in range(2_000):
            yield bytes(10_000)

    async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(50_000)
        writer.close()

    async with playing(hangs_up) as clamd:
        with pytest.raises(ScannerUnavailable):
            await clamd.scan_pieces(20_000_000, coming(), most=20_000_000, seconds=60)


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

    async with playing(handler, IMPATIENT) as clamd:
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
            await Clamd(address, IMPATIENT).scan(b"hello")


async def test_no_more_than_the_agreed_number_are_asked_at_once() -> None:
    now, most = 0, 0
    three = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await read_stream(reader)
        if now == 3:
            three.set()
        async with asyncio.timeout(180):
            await three.wait()
        await asyncio.sleep(0.01)
        now -= 1
        writer.write(b"stream: OK\0")
        await writer.drain()
        writer.close()

    async with playing(handler) as played:
        clamd = Clamd(played.address, ClamdLimits(at_once=3, turns=9))
        answers = await asyncio.gather(*(clamd.scan(b"x") for _ in range(20)))
    assert {answer.status for answer in answers} == {ScanStatus.CLEAN}
    assert most == 3


async def test_scans_take_turns() -> None:
    going_on, most = 0, 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal going_on, most
        await read_stream(reader)
        going_on += 1
        most = max(most, going_on)
        await asyncio.sleep(0)
        going_on -= 1
        writer.write(b"stream: OK\0")
        await writer.drain()

    async with playing(handler) as played:
        clamd = Clamd(played.address, ClamdLimits(at_once=8, turns=1, turn_seconds=60))
        answers = await asyncio.gather(*(clamd.scan(b"x") for _ in range(12)))
    assert {answer.status for answer in answers} == {ScanStatus.CLEAN}
    assert most == 1


async def test_a_scan_that_takes_long_holds_nobody_up() -> None:
    second_has_come = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await read_stream(reader) == b"monstrous":
            await second_has_come.wait()
        second_has_come.set()
        writer.write(b"stream: OK\0")
        await writer.drain()

    async with playing(handler) as played:
        clamd = Clamd(played.address, ClamdLimits(turns=1, turn_seconds=0.01))  # no deadline
        async with asyncio.timeout(180):
            first = asyncio.create_task(clamd.scan(b"monstrous"))
            await asyncio.sleep(0)
            assert (await clamd.scan(b"small")).status is ScanStatus.CLEAN
            assert (await first).status is ScanStatus.CLEAN


async def test_a_scan_that_fails_gives_its_turn_back() -> None:
    asked = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await read_stream(reader)
        if asked > 1:
            writer.write(b"stream: OK\0")
            await writer.drain()

    async with playing(handler) as played:
        clamd = Clamd(played.address, ClamdLimits(turns=1, turn_seconds=60))
        with pytest.raises(ScannerUnavailable):
            await clamd.scan(b"x")
        async with asyncio.timeout(180):
            assert (await clamd.scan(b"x")).status is ScanStatus.CLEAN


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


class HandedTo:
    """A scanner on a Unix socket: it answers streams and what it is handed, and keeps both."""

    def __init__(self, folder: Path, *, stream_max: int, on_file: bytes) -> None:
        self.streamed: list[int] = []
        self.handed: list[bytes] = []
        self._stream_max, self._on_file = stream_max, on_file
        self._listening = socket.socket(socket.AF_UNIX)
        self.address = str(folder / "clamd.sock")
        self._listening.bind(self.address)
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join(60)
        self._listening.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                with connection:
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        command, files, _, _ = socket.recv_fds(connection, 10, 1)
        if command.startswith(b"zFILDES"):
            while not files:
                _, files, _, _ = socket.recv_fds(connection, 10, 1)
            with open(files[0], "rb") as file:  # noqa: PTH123 - a descriptor, not a path
                self.handed.append(file.read())
                with pytest.raises(OSError, match="not permitted"):
                    os.pwrite(files[0], b"x", 0)
            connection.sendall(self._on_file)
            return
        with connection.makefile("rb") as reader:
            size = 0
            while length := struct.unpack(">I", reader.read(4))[0]:
                size += len(reader.read(length))
        self.streamed.append(size)
        too_large = size > self._stream_max
        connection.sendall(b"INSTREAM size limit exceeded. ERROR\0" if too_large else b"stream: OK\0")


ON_A_SOCKET = ClamdLimits(handed_max_bytes=1_000)


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [(b"fd[9]: OK\0", ScanAnswer(ScanStatus.CLEAN)), (b"fd[9]: Bad FOUND\0", ScanAnswer(ScanStatus.FOUND, "Bad"))],
)
async def test_over_a_socket_file_memory_that_cannot_change_is_handed_over(
    tmp_path: Path, answer: bytes, meaning: ScanAnswer
) -> None:
    with HandedTo(tmp_path, stream_max=5_000, on_file=answer) as played:
        clamd = Clamd(played.address, ON_A_SOCKET)
        assert [await clamd.scan(b"one"), await clamd.scan(b"two")] == [meaning, meaning]
        assert await clamd.scan(b"x" * 1_001) == ScanAnswer(ScanStatus.CLEAN)
    assert played.handed == [b"one", b"two"]
    assert played.streamed == [1_000, 1_001], "first the trial: whether it takes streams of that size"


async def test_a_scanner_that_takes_only_small_streams_is_handed_nothing(tmp_path: Path) -> None:
    """Of a file above its limits clamd says that it is clean; of a stream, that it is too large."""
    with HandedTo(tmp_path, stream_max=500, on_file=b"fd[9]: OK\0") as played:
        clamd = Clamd(played.address, ON_A_SOCKET)
        assert await clamd.scan(b"x" * 600) == ScanAnswer(ScanStatus.TOO_LARGE)
        assert await clamd.scan(b"x" * 400) == ScanAnswer(ScanStatus.CLEAN)
    assert played.handed == []


@pytest.mark.parametrize(
    "answer", [b"fd[9]: Permission denied. ERROR\0", b"UNKNOWN COMMAND\0", b"OK\0", b"\0", b"fd[x]: OK\0"]
)
async def test_a_scanner_that_cannot_read_what_it_is_handed_gets_a_stream(tmp_path: Path, answer: bytes) -> None:
    with HandedTo(tmp_path, stream_max=5_000, on_file=answer) as played:
        clamd = Clamd(played.address, ON_A_SOCKET)
        assert [await clamd.scan(b"one"), await clamd.scan(b"two")] == [ScanAnswer(ScanStatus.CLEAN)] * 2
    assert played.handed == [b"one"]
    assert played.streamed == [1_000, 3, 3]


async def test_half_an_answer_about_what_was_handed_is_none(tmp_path: Path) -> None:
    with HandedTo(tmp_path, stream_max=5_000, on_file=b"fd[9]: OK") as played, pytest.raises(ScannerUnavailable):
        await Clamd(played.address, ON_A_SOCKET).scan(b"one")
