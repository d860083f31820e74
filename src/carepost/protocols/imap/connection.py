"""One connection: octets to the engine, events to the commands, answers to the socket. Dull on purpose.

Promises
    One command at a time, in the order they came; the client that sends on without reading is made to wait.
    Every wait has an end: for a command, for a literal, for a client that takes nothing.
    A client that goes away ends whatever was being done for it.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol, cast

from carepost.infra.log import get_logger
from carepost.protocols.imap.commands import perform
from carepost.protocols.imap.commands.sign_in import greeting
from carepost.protocols.imap.conversation import Answer, Conversation
from carepost.protocols.imap.ports import ImapServices, SignedIn
from carepost.wire import imap_replies as replies
from carepost.wire.imap import Answered, Asked, Ended, Event, ImapServerEngine, Line, State
from carepost.wire.imap_commands import Authenticate, Login, Logout, StartTls

log = get_logger("imap")

_WRITE_AT_ONCE = 256 * 1024
_HIGH_WATER = 256 * 1024
# What was written last has this long to leave before the socket is shut.
_LINGER_S = 2.0
_TOO_MANY_WRONG = "Too many wrong passwords. Please check them and connect again."
_TOO_QUIET = "Nothing was heard for too long. Please connect again."


class House(Protocol):
    """What the server offers its connections."""

    @property
    def services(self) -> ImapServices: ...

    def tls(self) -> ssl.SSLContext:
        """The context to use now: certificates are renewed while we run."""
        ...

    def arrived(self, connection: "ImapConnection") -> bool:
        """A new connection; False when there is no room. Starts its conversation otherwise."""
        ...

    def signed_in(self, connection: "ImapConnection", who: SignedIn, *, asked_at: float) -> None: ...

    def left(self, connection: "ImapConnection") -> None: ...


class ImapConnection(asyncio.Protocol):
    """The `Line` of one conversation."""

    def __init__(self, house: House, *, secure: bool) -> None:
        limits = house.services.limits
        self.secure = secure
        self.who: SignedIn | None = None
        self.client_address = ""
        self._house = house
        self._limits = limits
        self._engine = ImapServerEngine(limits)
        self._talk = Conversation(house.services, self._engine, self)
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._heard = asyncio.Event()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._woken = False
        self._writing = False
        self._reading_paused = False
        self._lost = False
        self._listening = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        peer = transport.get_extra_info("peername")
        self.client_address = str(peer[0]) if isinstance(peer, tuple) else ""
        if not self._house.arrived(self):
            self._transport.write(replies.untagged("BYE", "Too many connections just now. Please try again soon."))
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._engine.feed(data)
        self._heard.set()
        if not self._listening and self._engine.waiting > self._limits.read_ahead_octets and self._transport:
            self._transport.pause_reading()
            self._reading_paused = True

    def eof_received(self) -> bool | None:
        return None  # closes: a mail client that sends no more wants no more

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it went makes no difference
        self._lost = True
        self._may_write.set()
        self._heard.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    # The conversation

    def run_in(self, create_task: Callable[..., asyncio.Task[None]]) -> None:
        """Begin the conversation as a task of the server's group."""
        self._task = create_task(self._run(), name=f"imap {self.client_address}")

    async def _run(self) -> None:
        try:
            await self._converse()
        except (ConnectionError, TimeoutError):
            pass  # the client has gone, or was told goodbye
        except Exception:
            log.exception("imap conversation failed")
        finally:
            self._talk.close()
            self._house.left(self)
            self._shut()

    def _shut(self) -> None:
        transport = self._transport
        if transport is not None and not self._lost:
            transport.close()
            asyncio.get_running_loop().call_later(_LINGER_S, transport.abort)

    def end(self, why: str) -> None:
        """Say goodbye, if a goodbye can be said here, and end."""
        if self._lost or self._task is None:
            return
        if not self._writing and self._transport is not None and self._may_write.is_set():
            self._transport.write(replies.untagged("BYE", why))
        self._task.cancel()

    async def _converse(self) -> None:
        await self.write(greeting(self._talk))
        until = asyncio.get_running_loop().time() + self._limits.sign_in_s
        while True:
            event = await self._next(until)
            match event:
                case Answered(octets):
                    await self.write(octets)
                case Ended(octets):
                    await self.write(octets)
                    return
                case Line():
                    await self.write(replies.untagged("BAD", "No answer was expected here."))
                case Asked(tag, command):
                    self._talk.tag = tag
                    answer = await perform(self._talk, command)
                    if isinstance(command, StartTls) and answer.how == "OK":
                        await self._start_tls(tag, answer)
                        continue
                    await self.write(replies.tagged(tag, answer.how, answer.text, answer.code))
                    if isinstance(command, Logout) or await self._is_over(command, answer):
                        self._engine.logged_out()
                        return

    async def _is_over(self, command: object, answer: Answer) -> bool:
        """Whether a conversation ends with this answer; says why."""
        if answer.how == "BAD" and self._engine.bad_command():
            await self.write(replies.untagged("BYE", "Too many commands that made no sense.", "CLIENTBUG"))
            return True
        if isinstance(command, (Login, Authenticate)) and answer.how == "NO":
            if answer.code == "LIMIT":
                return True
            if self._talk.wrong_passwords >= self._limits.wrong_passwords:
                await self.write(replies.untagged("BYE", _TOO_MANY_WRONG))
                return True
        return False

    async def _next(self, sign_in_until: float) -> Event:
        """The next event. Raises ConnectionError after goodbye when none came in time."""
        now = asyncio.get_running_loop().time()
        if self._engine.state is State.NOT_AUTHENTICATED:
            until = sign_in_until
        else:
            until = now + (self._limits.literal_s if self._engine.in_literal else self._limits.autologout_s)
        try:
            async with asyncio.timeout_at(until):
                while (event := self._engine.next()) is None:
                    await self._hear()
        except TimeoutError:
            await self.write(replies.untagged("BYE", _TOO_QUIET))
            raise ConnectionAbortedError("too quiet") from None
        return event

    async def _hear(self) -> None:
        """Wait for octets, or to be woken."""
        if self._lost:
            raise ConnectionResetError("the client has gone")
        self._heard.clear()
        self._listening = True
        if self._reading_paused and self._transport is not None:
            self._transport.resume_reading()
            self._reading_paused = False
        try:
            await self._heard.wait()
        finally:
            self._listening = False

    async def _start_tls(self, tag: str, answer: Answer) -> None:
        """RFC 9051 §6.2.1. What came in clear behind the command was injected: the conversation ends (P4)."""
        transport = self._transport
        if transport is None or not self._engine.starts_tls():
            raise ConnectionAbortedError("something was sent in clear after STARTTLS")
        transport.pause_reading()
        self._reading_paused = False
        await self.write(replies.tagged(tag, answer.how, answer.text, answer.code))
        loop = asyncio.get_running_loop()
        upgraded = await loop.start_tls(
            transport,
            self,
            self._house.tls(),
            server_side=True,
            ssl_handshake_timeout=self._limits.sign_in_s,
        )
        if upgraded is None or not self._engine.starts_tls():
            raise ConnectionAbortedError("TLS did not begin cleanly")
        self._transport = upgraded
        upgraded.set_write_buffer_limits(high=_HIGH_WATER)
        self.secure = True

    # conversation.Line

    @property
    def can_start_tls(self) -> bool:
        return not self.secure

    def admit(self, who: SignedIn, *, asked_at: float) -> None:
        self._house.signed_in(self, who, asked_at=asked_at)
        self.who = who

    def wake(self) -> None:
        self._woken = True
        self._heard.set()

    async def write(self, octets: bytes) -> None:
        view = memoryview(octets)
        self._writing = True
        for start in range(0, len(view), _WRITE_AT_ONCE):
            if self._lost or self._transport is None:
                raise ConnectionResetError("the client has gone")
            self._transport.write(view[start : start + _WRITE_AT_ONCE])
            if not self._may_write.is_set():
                await self._until_taken()
        self._writing = False

    async def _until_taken(self) -> None:
        try:
            async with asyncio.timeout(self._limits.write_s):
                await self._may_write.wait()
        except TimeoutError:
            if self._transport is not None:
                self._transport.abort()
            raise ConnectionAbortedError("the client takes nothing") from None

    async def read_line(self, *, wait_s: float, or_changed: bool = False) -> bytes | None:
        try:
            async with asyncio.timeout(wait_s):
                while (event := self._engine.next()) is None:
                    if or_changed and self._woken:
                        self._woken = False
                        return b""
                    await self._hear()
        except TimeoutError:
            return None
        if isinstance(event, Line):
            return event.text or b" "
        if isinstance(event, Ended):
            await self.write(event.octets)
            raise ConnectionAbortedError("the conversation was ended")
        return b"?"
