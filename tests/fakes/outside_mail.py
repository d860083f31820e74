"""Mail systems outside, on loopback: obedient, slow, broken, lying or hostile, as a script says; and a tap on the wire.

async with outside_mail(Script(...)) as host:          one host, on an address and port of its own
async with tap(host.address) as wire:                  what passes, both ways, as it stood on the wire
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes.certificates import Issued

OFFERS = ("PIPELINING", "SIZE 50000000", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")


@dataclass
class Script:
    """How a host behaves. Verbs: CONNECT, EHLO, STARTTLS, MAIL, RCPT, DATA, BDAT, CONTENT, QUIT."""

    offers: Sequence[str] = OFFERS
    offers_in_tls: Sequence[str] | None = None  # None: the same
    tls: ssl.SSLContext | None = None
    answers: Mapping[str, bytes] = field(default_factory=dict)  # by verb, whole replies
    recipients: Mapping[str, bytes] = field(default_factory=dict)  # by address, to RCPT
    hang_at: frozenset[str] = frozenset()  # takes it in and says nothing
    drop_at: frozenset[str] = frozenset()  # hangs up instead of the answer
    behind_starttls: bytes = b""  # in clear, in one breath with the yes to STARTTLS
    rubbish_for_tls: bytes = b""  # instead of a handshake
    drop_within_content: int | None = None  # hangs up after so many octets of the message
    answer_within_content: bytes = b""  # says so before it has seen the end, then hangs up
    drip: bool = False  # replies come one octet at a time


@dataclass
class Transaction:
    """One message as it was taken."""

    mail: str
    recipients: list[str]
    content: bytes
    verb: str
    tls: tuple[str, str] | None


@dataclass
class OutsideHost:
    script: Script
    address: tuple[str, int] = ("", 0)
    taken: list[Transaction] = field(default_factory=list)
    lines: list[tuple[bool, str]] = field(default_factory=list)  # in TLS?, what was said
    connections: int = 0
    _tasks: set["asyncio.Task[None] | None"] = field(default_factory=set)
    _stopping: bool = False

    def said(self, verb: str) -> list[str]:
        return [line for _, line in self.lines if line.upper().startswith(verb)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            await _Conversation(self, reader, writer).run()
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError, TimeoutError):
            pass
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            self._tasks.discard(task)
            writer.close()

    def stop(self) -> None:
        self._stopping = True
        for task in list(self._tasks):
            if task is not None:
                task.cancel()


class _Gone(ConnectionError):
    """The script wants the connection to end here."""


class _Conversation:
    def __init__(self, host: OutsideHost, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.host, self.script = host, host.script
        self.reader, self.writer = reader, writer
        self.in_tls = False
        self.mail: str | None = None
        self.recipients: list[str] = []

    async def run(self) -> None:
        await self.answer("CONNECT", b"220 outside ESMTP\r\n")
        steps: dict[str, Callable[[str], Awaitable[None]]] = {
            "EHLO": self.ehlo, "STARTTLS": self.starttls, "MAIL": self.on_mail, "RCPT": self.on_rcpt,
            "DATA": self.data, "BDAT": self.bdat, "RSET": self.rset,
        }  # fmt: skip
        while line := await self.reader.readline():
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            self.host.lines.append((self.in_tls, text))
            verb = text.split(" ")[0].upper()
            if verb == "QUIT":
                await self.answer("QUIT", b"221 bye\r\n")
                return
            step = steps.get(verb)
            if step is None:
                await self.say(b"500 5.5.1 what?\r\n")
            else:
                await step(text)

    async def answer(self, verb: str, usual: bytes) -> bytes:
        """Say it, unless the script wants something else here. What was said."""
        if verb in self.script.hang_at:
            await asyncio.Event().wait()
        if verb in self.script.drop_at:
            raise _Gone
        reply = self.script.answers.get(verb, usual)
        await self.say(reply)
        return reply

    async def say(self, reply: bytes) -> None:
        if self.script.drip:
            for octet in reply:
                self.writer.write(bytes([octet]))
                await self.writer.drain()
                await asyncio.sleep(0)
        else:
            self.writer.write(reply)
        await self.writer.drain()

    async def ehlo(self, _line: str) -> None:
        offers = list(self.script.offers)
        if self.in_tls and self.script.offers_in_tls is not None:
            offers = list(self.script.offers_in_tls)
        if not self.in_tls and (self.script.tls is not None or self.script.rubbish_for_tls):
            offers.append("STARTTLS")
        said = ["outside", *offers]
        usual = "".join(f"250{'-' if n < len(said) - 1 else ' '}{one}\r\n" for n, one in enumerate(said))
        await self.answer("EHLO", usual.encode())

    async def starttls(self, _line: str) -> None:
        reply = await self.answer("STARTTLS", b"220 2.0.0 go\r\n" + self.script.behind_starttls)
        if not reply.startswith(b"2"):
            return
        if self.script.rubbish_for_tls:
            await self.say(self.script.rubbish_for_tls)
            await self.reader.read(65536)
            raise _Gone
        assert self.script.tls is not None
        await self.writer.start_tls(self.script.tls)
        self.in_tls = True
        self.mail, self.recipients = None, []

    async def on_mail(self, line: str) -> None:
        reply = await self.answer("MAIL", b"250 2.1.0 ok\r\n")
        self.mail, self.recipients = (line if reply.startswith(b"2") else None), []

    async def on_rcpt(self, line: str) -> None:
        address = line.partition("<")[2].partition(">")[0]
        usual = b"250 2.1.5 ok\r\n" if self.mail is not None else b"503 5.5.1 MAIL first\r\n"
        reply = await self.answer("RCPT", self.script.recipients.get(address, usual))
        if reply.startswith(b"2"):
            self.recipients.append(line)

    async def rset(self, _line: str) -> None:
        self.mail, self.recipients = None, []
        await self.answer("RSET", b"250 ok\r\n")

    async def data(self, _line: str) -> None:
        if not self.recipients:
            await self.say(b"554 5.5.1 no recipients\r\n")
            return
        reply = await self.answer("DATA", b"354 go\r\n")
        if not reply.startswith(b"354"):
            return
        await self._cut_short()
        content = bytearray()
        while (line := await self.reader.readuntil(b"\r\n")) != b".\r\n":
            content += line[1:] if line.startswith(b".") else line
        await self._end(bytes(content), "DATA")

    async def bdat(self, line: str) -> None:
        octets = int(line.split(" ")[1])
        await self._cut_short()
        await self._end(await self.reader.readexactly(octets), "BDAT")

    async def _cut_short(self) -> None:
        if self.script.answer_within_content:
            await self.say(self.script.answer_within_content)
            raise _Gone
        if self.script.drop_within_content is not None:
            await self.reader.readexactly(self.script.drop_within_content)
            self.writer.transport.abort()
            raise _Gone

    async def _end(self, content: bytes, verb: str) -> None:
        tls = None
        if self.in_tls:
            shown = self.writer.get_extra_info("ssl_object")
            tls = (shown.version(), shown.cipher()[0])
        self.host.taken.append(Transaction(self.mail or "", self.recipients, content, verb, tls))
        self.mail, self.recipients = None, []
        await self.answer("CONTENT", b"250 2.0.0 taken as 42\r\n")


def server_tls(issued: Issued, folder: Path, name: str, *, with_chain: bool = True) -> ssl.SSLContext:
    chain, key = issued.write(folder, name, with_chain=with_chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context


@contextlib.asynccontextmanager
async def outside_mail(script: Script, *, ip: str = "127.0.0.1", port: int = 0) -> AsyncIterator[OutsideHost]:
    host = OutsideHost(script)
    server = await asyncio.start_server(host.serve, ip, port, limit=1 << 20)
    host.address = server.sockets[0].getsockname()[:2]
    try:
        yield host
    finally:
        server.close()
        host.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):  # meant to run out
                await server.wait_closed()


@dataclass
class Tap:
    """Every octet that passed, in both directions together."""

    address: tuple[str, int] = ("", 0)
    octets: bytearray = field(default_factory=bytearray)


@contextlib.asynccontextmanager
async def tap(target: tuple[str, int]) -> AsyncIterator[Tap]:
    wire = Tap()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while octets := await reader.read(65536):
                wire.octets += octets
                writer.write(octets)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*target)
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(reader, back))
            group.create_task(pump(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    wire.address = server.sockets[0].getsockname()[:2]
    try:
        yield wire
    finally:
        server.close()
