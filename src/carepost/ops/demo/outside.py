"""The world outside, for the demo: a mail host for every domain that is not ours, and a page that shows what arrived.

Promises
    Nothing leaves this machine: what arrives stays in memory, at most `messages_max` messages and `octets_max` octets.
    Every domain behaves as `world.MANNERS` says: takes, refuses, says later, hangs, or shows somebody else's certificate.
    What is shown is what was on the wire: envelope, TLS and every octet of the message.

One port stands for all hosts: which one is meant is told by the name that TLS asks for.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from weakref import WeakKeyDictionary

from carepost.base.clock import Clock
from carepost.infra.tls import DemoAuthority, server_context
from carepost.ops.demo.world import MANNERS, OUTSIDE, Manner
from carepost.wire import smtp_replies as replies
from carepost.wire.smtp import SmtpEngine
from carepost.wire.smtp_events import (
    ChunkEnds,
    Content,
    EngineSettings,
    Event,
    MessageBegins,
    MessageEnds,
    MessageFails,
)
from carepost.wire.smtp_grammar import Hello, Mail, Recipient, Reset, StartTls
from carepost.wire.smtp_grammar import Path as SmtpPath
from carepost.wire.smtp_replies import Reply

NAME = "outside.example"
_MOVED = Reply(550, "5.1.1", "Nobody of that name works here any more")
_LATER = Reply(451, "4.3.2", "The clinic is busy; try again later")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideLimits:
    messages_max: int = 500
    octets_max: int = 256_000_000
    message_max: int = 52_000_000  # 35 MB of attachments, encoded, and something
    attempts_max: int = 200  # of those that did not end in a message
    connections_max: int = 100
    silence_seconds: float = 120.0
    hang_seconds: float = 900.0  # longer than anybody's deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSeen:
    version: str
    cipher: str
    host: str  # the name that was asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """One message as it came."""

    number: int
    at: datetime
    sender: str
    recipients: tuple[str, ...]
    tls: TlsSeen | None
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A recipient who was not taken, or a conversation that ended before there was a message."""

    at: datetime
    to: str
    says: str


@dataclass(slots=True)
class Letterbox:
    """What has arrived, newest last. Old messages make room for new ones."""

    limits: OutsideLimits = field(default_factory=OutsideLimits)
    messages: deque[Arrived] = field(default_factory=deque)
    attempts: deque[Attempt] = field(default_factory=deque)
    total: int = 0
    _octets: int = 0

    def add(self, *, at: datetime, sender: str, recipients: Sequence[str], tls: TlsSeen | None, raw: bytes) -> None:
        self.total += 1
        self.messages.append(
            Arrived(number=self.total, at=at, sender=sender, recipients=tuple(recipients), tls=tls, raw=raw)
        )
        self._octets += len(raw)
        while len(self.messages) > self.limits.messages_max or self._octets > self.limits.octets_max:
            self._octets -= len(self.messages.popleft().raw)

    def note(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        while len(self.attempts) > self.limits.attempts_max:
            self.attempts.popleft()


@dataclass(slots=True)
class _Message:
    """What a conversation has said so far of the message it is at."""

    sender: str = ""
    recipients: list[str] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)


class OutsideTls:
    """One certificate for each host; the host whose certificate is wrong shows the one of a shop."""

    def __init__(self, authority: DemoAuthority, now: datetime) -> None:
        self._contexts = {f"mail.{domain}": self._context(authority, domain, now) for domain, _, _ in OUTSIDE}
        self.context = self._of(*authority.issue("outside", [NAME, "localhost", "127.0.0.1"], now))
        self.context.sni_callback = self._choose
        self._asked: WeakKeyDictionary[ssl.SSLObject, str] = WeakKeyDictionary()

    def seen(self, tls: ssl.SSLObject) -> TlsSeen:
        cipher = tls.cipher()
        return TlsSeen(version=tls.version() or "", cipher=cipher[0] if cipher else "", host=self._asked.get(tls, ""))

    def _choose(self, tls: ssl.SSLSocket | ssl.SSLObject, host: str | None, _context: ssl.SSLContext) -> None:
        if host is not None and isinstance(tls, ssl.SSLObject):
            self._asked[tls] = host
        if host in self._contexts:
            tls.context = self._contexts[host]

    def _context(self, authority: DemoAuthority, domain: str, now: datetime) -> ssl.SSLContext:
        wrong = MANNERS.get(domain) is Manner.WRONG_CERTIFICATE
        name = "mail.somebody-else.example" if wrong else f"mail.{domain}"
        return self._of(*authority.issue(f"outside-{domain}", [name], now))

    def _of(self, chain: Path, key: Path) -> ssl.SSLContext:
        context = server_context(opportunistic=True)
        context.load_cert_chain(chain, key)
        return context


@dataclass(slots=True)
class Sink:
    """The mail hosts, on one port."""

    letterbox: Letterbox
    tls: OutsideTls
    clock: Clock
    arrived: Callable[[], None] = lambda: None  # told after each message
    manners: Mapping[str, Manner] = field(default_factory=lambda: MANNERS)
    _open: int = 0

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, for `asyncio.start_server`."""
        self._open += 1
        try:
            if self._open <= self.letterbox.limits.connections_max:
                await _Conversation(self, reader, writer).hold()
        except (OSError, ssl.SSLError, TimeoutError, asyncio.IncompleteReadError) as error:
            why = "the other side could not agree on TLS" if isinstance(error, ssl.SSLError) else "it broke off"
            self.letterbox.note(Attempt(at=self.clock.now(), to="", says=f"A conversation ended early: {why}."))
        finally:
            self._open -= 1
            writer.close()


class _Conversation:
    def __init__(self, sink: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._sink, self._reader, self._writer = sink, reader, writer
        settings = EngineSettings(
            hostname=NAME, tls_offered=True, message_max=sink.letterbox.limits.message_max, errors_max=20
        )
        self._engine = SmtpEngine(settings)
        self._tls: TlsSeen | None = None
        self._message = _Message()

    async def hold(self) -> None:
        limits = self._sink.letterbox.limits
        self._engine.greet()
        await self._send()
        while not self._engine.closed:
            async with asyncio.timeout(limits.silence_seconds):
                octets = await self._reader.read(65_536)
            if not octets:
                return
            self._engine.feed(octets)
            while (event := self._engine.next_event()) is not None:
                await self._on(event)
            await self._send()

    async def _send(self) -> None:
        self._writer.write(self._engine.to_send())
        await self._writer.drain()

    async def _on(self, event: Event) -> None:
        match event:
            case StartTls():
                await self._begin_tls()
            case Mail(sender=sender):
                self._message = _Message(sender=_written(sender))
                self._engine.answer(replies.SENDER_OK)
            case Recipient(address=address):
                self._engine.answer(await self._recipient(_written(address)))
            case MessageBegins():
                self._engine.answer(replies.GO_AHEAD)
            case Content(octets=octets):
                self._message.pieces.append(octets)
            case ChunkEnds(octets=count):
                self._engine.answer(replies.chunk_taken(count))
            case MessageEnds():
                self._engine.answer(self._take())
            case Hello() | Reset() | MessageFails():
                self._message = _Message()
            case _:
                pass

    async def _begin_tls(self) -> None:
        await self._send()
        await self._writer.start_tls(self._sink.tls.context)
        self._tls = self._sink.tls.seen(self._writer.get_extra_info("ssl_object"))
        self._engine.tls_begun()

    async def _recipient(self, address: str) -> Reply:
        match self._sink.manners.get(address.rpartition("@")[2].lower(), Manner.TAKES):
            case Manner.REFUSES:
                return self._not_taken(address, _MOVED)
            case Manner.DEFERS:
                return self._not_taken(address, _LATER)
            case Manner.HANGS:
                self._note(address, "It was left without an answer.")
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._sink.letterbox.limits.hang_seconds):
                        await asyncio.Event().wait()
                return _LATER
            case _:
                self._message.recipients.append(address)
                return replies.RECIPIENT_OK

    def _not_taken(self, address: str, reply: Reply) -> Reply:
        self._note(address, f"{reply.code} {reply.status} {reply.text}")
        return reply

    def _note(self, address: str, says: str) -> None:
        self._sink.letterbox.note(Attempt(at=self._sink.clock.now(), to=address, says=says))

    def _take(self) -> Reply:
        message, self._message = self._message, _Message()
        self._sink.letterbox.add(
            at=self._sink.clock.now(),
            sender=message.sender,
            recipients=message.recipients,
            tls=self._tls,
            raw=b"".join(message.pieces),
        )
        self._sink.arrived()
        return replies.OK


def _written(path: SmtpPath | None) -> str:
    return "" if path is None else str(path)
