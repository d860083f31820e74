"""One connection: read, feed the engine, act on its events, write. So dull that it needs few tests.

Promises
    Replies to a pipelined group go out in one write (RFC 2920 §3.2).
    A command has `command_timeout` to arrive whole, however slowly its octets drip; content must keep up
    `data_rate_min` (P25).
    Whatever goes wrong here, nothing has been promised that was not kept: the connection closes, a spool is dropped.
"""

import asyncio
import ssl
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from carepost.gateway.model import TlsFacts
from carepost.infra.log import get_logger
from carepost.protocols.smtp.limits import SmtpLimits
from carepost.protocols.smtp.link import Ended, Link
from carepost.wire import smtp_events as wire
from carepost.wire import smtp_replies as replies
from carepost.wire.smtp import SmtpEngine
from carepost.wire.smtp_replies import Reply

log = get_logger("smtp")

# How long a last word may take to be read before we close all the same.
_FAREWELL = 3.0


@dataclass(slots=True)
class Patience:
    """Until when we wait, in the loop's time. Postfix's smtpd_per_request_deadline and smtpd_min_data_rate."""

    limits: SmtpLimits
    deadline: float = 0

    def anew(self, now: float, *, stressed: bool) -> None:
        """A command has been dealt with: the next one has its time."""
        self.deadline = now + self._longest(stressed=stressed)

    def content(self, now: float, octets: int, *, stressed: bool) -> None:
        """Content has come: it earns the time that it would take at the slowest rate that we bear."""
        earned = self.deadline + octets / self.limits.data_rate_min
        self.deadline = min(earned, now + self._longest(stressed=stressed))

    def _longest(self, *, stressed: bool) -> float:
        return self.limits.command_timeout_stressed if stressed else self.limits.command_timeout


class Session(Protocol):
    """What the conversation means: port 25's, or submission's."""

    tls: TlsFacts | None

    async def on(self, event: wire.Event) -> tuple[Reply, ...]:
        """The answers to a question; none to anything else."""
        ...

    def forget_message(self) -> None:
        """Drop what has been gathered. May be called at any time."""
        ...


class Conversation:
    """Between a Link, an engine and a session. `run` is one task."""

    def __init__(
        self,
        link: Link,
        engine: SmtpEngine,
        session: Session,
        *,
        limits: SmtpLimits,
        client: IPv4Address | IPv6Address,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._link = link
        self._engine = engine
        self.session = session
        self._limits = limits
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._patience = Patience(limits)
        self.client = client
        self.stressed = False

    async def run(self) -> None:
        """From the greeting to the end. Raises nothing but CancelledError."""
        patient = True
        try:
            if self._link.over_tls:
                self._tls_is_there(self._link.tls_object)
            self._engine.greet()
            while await self._turn():
                pass
        except TimeoutError:
            self._engine.close(replies.TOO_SLOW)
            patient = False
        except OSError:
            pass  # the peer has gone; that is its right
        except asyncio.CancelledError:
            self._link.abort()
            raise
        except Exception as error:  # noqa: BLE001 - one conversation's bug must not end the others
            log.error("conversation broke", error=error)
            self._engine.close(replies.TRY_LATER)
        finally:
            self.session.forget_message()
        await self._farewell(patient=patient)

    def stop(self) -> None:
        """We are shutting down: finish the message that is arriving, if one is, and close."""
        self._link.interrupt()

    def hurry(self) -> None:
        """Connections run short: whoever idles now idles no longer than the stressed limit allows."""
        self.stressed = True
        self._link.hurry(self._loop.time() + self._limits.command_timeout_stressed)

    async def _turn(self) -> bool:
        """Everything that can be done with what has arrived, then one read. False: it is over."""
        engine = self._engine
        content = engine.in_content
        busy = False
        while (event := engine.next_event()) is not None:
            busy = busy or not isinstance(event, wire.Content)
            answers = await self.session.on(event)
            if answers:
                engine.answer(*answers)
            elif isinstance(event, wire.StartTls):
                await self._start_tls()
        out = engine.to_send()
        if out and not await self._link.write(out, self._loop.time() + self._limits.write_timeout):
            return False
        if engine.closed:
            return False
        if out or busy or content is not engine.in_content:
            self._patience.anew(self._loop.time(), stressed=self.stressed)
        return await self._listen()

    async def _listen(self) -> bool:
        engine, now = self._engine, self._loop.time()
        deadline = self._patience.deadline
        if engine.flawed:
            deadline = min(deadline, now + self._limits.flawed_timeout)
        try:
            octets = await self._link.read(deadline, even_if_interrupted=engine.in_content)
        except TimeoutError:
            if not engine.flawed:
                raise
            # Its sender believes that the message ended at a bare LF. It did not, and now it hears why.
            engine.close(replies.BARE_LINE_END_IN_MESSAGE)
            return False
        if isinstance(octets, Ended):
            engine.close(replies.SHUTTING_DOWN if octets is Ended.INTERRUPTED else None)
            return False
        engine.feed(octets)
        if engine.in_content:
            self._patience.content(self._loop.time(), len(octets), stressed=self.stressed)
        return True

    async def _start_tls(self) -> None:
        if self._tls is None:
            raise RuntimeError("TLS was offered and there is no certificate")
        now = self._loop.time()
        if not await self._link.write(self._engine.to_send(), now + self._limits.write_timeout):
            raise ConnectionResetError
        self._tls_is_there(await self._link.start_tls(self._tls, self._limits.tls_timeout))

    def _tls_is_there(self, tls: ssl.SSLObject) -> None:
        cipher = tls.cipher()
        self.session.tls = TlsFacts(version=tls.version() or "", cipher=cipher[0] if cipher else "")
        self._engine.tls_begun()

    async def _farewell(self, *, patient: bool) -> None:
        deadline = self._loop.time() + _FAREWELL
        try:
            out = self._engine.to_send()
            if out:
                await self._link.write(out, deadline)
            await self._link.close(deadline, after_the_peer=patient)
        except (OSError, TimeoutError):
            self._link.abort()
