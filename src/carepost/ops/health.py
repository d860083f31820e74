"""Alive, ready, and how much: /livez, /readyz and /metrics, on an address that is never public.

Promises
    /livez answers as long as the process turns; /readyz answers 200 only while this role can do its work.
    Nothing here shows a person, an address or a word of mail.

Twenty lines of HTTP of our own, so that the role that faces port 25 need not load a web framework.
"""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

REQUEST_MAX = 8192
PATIENCE_SECONDS = 5.0

Look = Callable[[], Awaitable[str | None]]  # None: well; otherwise a sentence that says what is wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What this process can say of itself. `looks` are asked at every /readyz, each for a bounded time."""

    role: str
    looks: Mapping[str, Look]
    metrics: Callable[[], bytes]

    async def serve(self, sockets: Sequence[socket.socket]) -> None:
        """Answer until cancelled."""
        servers = [await asyncio.start_server(self._converse, sock=sock, limit=REQUEST_MAX) for sock in sockets]
        try:
            await asyncio.Event().wait()
        finally:
            for server in servers:
                server.close()

    async def ready(self) -> dict[str, str]:
        """What is wrong, by name; empty means ready."""
        names = list(self.looks)
        answers = await asyncio.gather(*(self._ask(self.looks[name]) for name in names))
        return {name: answer for name, answer in zip(names, answers, strict=True) if answer is not None}

    async def _ask(self, look: Look) -> str | None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await look()
        except TimeoutError:
            return "It does not answer."
        except Exception as error:  # noqa: BLE001 - whatever it is, it means: not ready
            return f"It cannot be asked ({type(error).__name__})."

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(2 * PATIENCE_SECONDS):
                request = (await reader.readline()).split()
                status, kind, body = await self._answer(request)
                fields = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
                writer.write(f"HTTP/1.1 {status}\r\n{fields}\r\n".encode() + body)
                await writer.drain()
        except (TimeoutError, OSError, ValueError):
            pass  # whoever asks comes again
        finally:
            writer.close()

    async def _answer(self, request: Sequence[bytes]) -> tuple[str, str, bytes]:
        if len(request) < 2 or request[0] != b"GET":
            return "400 Bad Request", "text/plain", b"GET /livez, /readyz or /metrics\n"
        match request[1].partition(b"?")[0]:
            case b"/livez":
                return "200 OK", "text/plain", b"alive\n"
            case b"/readyz":
                wrong = await self.ready()
                told = json.dumps({"role": self.role, "ready": not wrong, "wrong": wrong}).encode() + b"\n"
                return ("503 Service Unavailable" if wrong else "200 OK"), "application/json", told
            case b"/metrics":
                return "200 OK", "text/plain; version=0.0.4; charset=utf-8", self.metrics()
            case _:
                return "404 Not Found", "text/plain", b"There is /livez, /readyz and /metrics.\n"
