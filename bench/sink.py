"""Where all mail goes that is sent for a measurement: a mail host in a process of its own that counts and keeps nothing."""

import asyncio
import contextlib
import multiprocessing
import multiprocessing.sharedctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.ports import free_port, is_listening


@dataclass(frozen=True, slots=True)
class Sink:
    port: int
    pid: int
    _count: Any

    @property
    def count(self) -> int:
        """Messages taken so far."""
        return int(self._count.value)


class _Host(asyncio.Protocol):
    def __init__(self, count: Any) -> None:
        self._count, self._in_data, self._tail = count, False, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._say(b"220 sink.example ESMTP\r\n")

    def _say(self, octets: bytes) -> None:
        self._transport.write(octets)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        buffer = self._tail + data
        while buffer:
            if self._in_data:
                end = buffer.find(b"\r\n.\r\n")
                if end < 0:
                    buffer = buffer[-4:]
                    break
                buffer, self._in_data = buffer[end + 5 :], False
                with self._count.get_lock():
                    self._count.value += 1
                self._say(b"250 2.0.0 taken\r\n")
                continue
            line, ending, rest = buffer.partition(b"\r\n")
            if not ending:
                break
            buffer = rest
            self._command(line[:4].upper())
        self._tail = buffer

    def _command(self, verb: bytes) -> None:
        if verb == b"EHLO":
            self._say(b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 100000000\r\n")
        elif verb == b"DATA":
            self._in_data = True
            self._say(b"354 go on\r\n")
        elif verb == b"QUIT":
            self._say(b"221 goodbye\r\n")
            self._transport.close()  # type: ignore[attr-defined]
        else:
            self._say(b"250 2.1.0 fine\r\n")


def _run(port: int, count: Any) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: _Host(count), "127.0.0.1", port, backlog=1024)
        await server.serve_forever()

    asyncio.run(serve())


@contextlib.contextmanager
def sink() -> Iterator[Sink]:
    context = multiprocessing.get_context("spawn")
    port, count = free_port(), context.Value("L", 0)
    process = context.Process(target=_run, args=(port, count), daemon=True)
    process.start()
    try:
        while not is_listening(port):
            if not process.is_alive():
                raise RuntimeError("the sink did not start")
        yield Sink(port, process.pid or 0, count)
    finally:
        process.terminate()
        process.join(10)
