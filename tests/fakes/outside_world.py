"""The world outside in a thread: the demo's mail hosts for a service under test, and a tap on the wire to them.

OutsideWorld    `port` is what `transport.connect_to` names; `letterbox` holds what arrived; `wire` every octet that passed
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from carepost.base.clock import SystemClock
from carepost.infra.tls import DemoAuthority
from carepost.ops.demo.outside import Arrived, Letterbox, OutsideTls, Sink


@dataclass
class OutsideWorld:
    """Started by `start`, with the authority in `folder`; `close` ends it."""

    folder: Path
    port: int = 0
    letterbox: Letterbox = field(default_factory=Letterbox)
    wire: bytearray = field(default_factory=bytearray)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _thread: threading.Thread | None = None

    def start(self) -> "OutsideWorld":
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready.set,), name="outside", daemon=True)
        self._thread.start()
        assert ready.wait(180)
        return self

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join(20)

    def arrived(self, subject: str) -> list[Arrived]:
        """What came under that subject."""
        wanted = f"\r\nSubject: {subject}\r\n".encode()
        return [one for one in list(self.letterbox.messages) if wanted in b"\r\n" + one.raw]

    def arrived_for(self, recipient: str) -> list[Arrived]:
        return [one for one in list(self.letterbox.messages) if recipient in one.recipients]

    def _run(self, ready: Callable[[], None]) -> None:
        self._loop.run_until_complete(self._live(ready))
        self._loop.close()

    async def _live(self, ready: Callable[[], None]) -> None:
        sink = Sink(self.letterbox, OutsideTls(DemoAuthority(self.folder), datetime.now(UTC)), SystemClock())
        async with await asyncio.start_server(sink.converse, host="127.0.0.1", port=0) as hosts:
            at = hosts.sockets[0].getsockname()[1]

            async def tap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                with suppress(OSError):
                    there, away = await asyncio.open_connection("127.0.0.1", at)
                    await asyncio.gather(self._pass(reader, away), self._pass(there, writer))

            async with await asyncio.start_server(tap, host="127.0.0.1", port=0) as tapped:
                self.port = tapped.sockets[0].getsockname()[1]
                ready()
                await self._stop.wait()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while octets := await reader.read(65_536):
                self.wire += octets
                writer.write(octets)
                await writer.drain()
        except OSError:
            pass  # one of the two has gone
        finally:
            writer.close()
