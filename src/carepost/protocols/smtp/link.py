"""One connection's bytes: in, out, and under TLS, each wait with its deadline.

Promises
    No more than INBOX_MAX octets and one read of the kernel's wait here: a peer faster than we are is made to wait.
    Nothing that arrived before TLS is read after it.
    Every wait ends: with octets, with None because the peer has gone or we have been interrupted, or with TimeoutError.

A Protocol class, not a StreamReader: it was measured to take four times the messages.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from enum import Enum, auto
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import cast

# Two windows of content. Above it reading stops until the conversation has caught up.
INBOX_MAX = 64 * 1024

_THIS_MACHINE = IPv4Address("127.0.0.1")


class Ended(Enum):
    """Why there are no octets."""

    GONE = auto()  # the peer has closed, or the connection is lost
    INTERRUPTED = auto()  # `interrupt` was called: we want to say something


class Link(asyncio.Protocol):
    """The asyncio end of one conversation. `began` is called once, when the connection is there."""

    def __init__(self, began: Callable[["Link"], None], ended: Callable[["Link"], None]) -> None:
        self._began = began
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._inbox: list[bytes] = []
        self._inbox_octets = 0
        self._reading_paused = False
        self._writing_paused = False
        self._starting_tls = False
        self._interrupted = False
        self._deaf = False
        self._eof = False
        self._lost = False
        self._changed: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.over_tls = False

    # -- what asyncio calls --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.over_tls = transport.get_extra_info("ssl_object") is not None  # a port that is TLS from the start
        self._began(self)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._inbox.append(data)
        self._inbox_octets += len(data)
        if self._inbox_octets > INBOX_MAX and not self._reading_paused and not self._starting_tls:
            self._reading_paused = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._eof = True
        self._wake()
        # Our last replies may still go out, except under TLS, which has no half-closed connections.
        return not self.over_tls

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self._lost:
            self._lost = self._eof = True
            self._wake()
            if self._timer is not None:
                self._timer.cancel()
            self._ended(self)

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._wake()

    # -- what the conversation calls --

    @property
    def transport(self) -> asyncio.Transport:
        if self._transport is None:
            raise RuntimeError("not connected yet")
        return self._transport

    @property
    def tls_object(self) -> ssl.SSLObject:
        """What was negotiated. Only when `over_tls`."""
        return cast("ssl.SSLObject", self.transport.get_extra_info("ssl_object"))

    @property
    def client(self) -> IPv4Address | IPv6Address | None:
        """Who is at the other end: whoever can open a socket file is on this machine. None: they have gone already."""
        listening = self.transport.get_extra_info("socket")
        if listening is not None and listening.family == socket.AF_UNIX:
            return _THIS_MACHINE
        peer = self.transport.get_extra_info("peername")
        if not peer:
            return None
        address = ip_address(str(peer[0]).partition("%")[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            return address.ipv4_mapped
        return address

    def interrupt(self) -> None:
        """Make `read` return: now if it is waiting, and each time it would wait from now on."""
        self._interrupted = True
        self._wake()

    def hurry(self, deadline: float) -> None:
        """Whoever waits now waits until `deadline` at the latest, in the loop's time."""
        if self._changed is not None and self._deadline > deadline:
            self._deadline = deadline
            self._set_timer()

    async def read(self, deadline: float, *, even_if_interrupted: bool = False) -> bytes | Ended:
        """All octets that have arrived; waits for the first. Raise TimeoutError at `deadline`, in the loop's time."""
        while not self._inbox:
            if self._eof:
                return Ended.GONE
            if self._interrupted and not even_if_interrupted:
                return Ended.INTERRUPTED
            await self._wait(deadline)
        octets = self._inbox[0] if len(self._inbox) == 1 else b"".join(self._inbox)
        self._inbox.clear()
        self._inbox_octets = 0
        if self._reading_paused and not self._lost:
            self._reading_paused = False
            self.transport.resume_reading()
        return octets

    async def write(self, octets: bytes, deadline: float) -> bool:
        """Send; wait while the peer does not take it. False: the peer has gone."""
        if self._lost or self.transport.is_closing():
            return False
        self.transport.write(octets)
        while self._writing_paused and not self._lost:
            await self._wait(deadline)
        return not self._lost

    async def start_tls(self, context: ssl.SSLContext, timeout: float) -> ssl.SSLObject:
        """Become TLS, server side. Raise OSError (ssl.SSLError, ConnectionError) or TimeoutError when it fails."""
        self._inbox.clear()
        self._inbox_octets = 0
        if self._reading_paused:
            self._reading_paused = False
            self.transport.resume_reading()
        self._starting_tls = True
        upgraded = None
        try:
            # No await before this line: what arrives from now on belongs to the handshake.
            upgraded = await self._loop.start_tls(
                self.transport, self, context, server_side=True, ssl_handshake_timeout=timeout
            )
        finally:
            self._starting_tls = False
            if upgraded is None:
                # A failed handshake closes the transport and never calls connection_lost.
                self.abort()
                self.connection_lost(None)
        if upgraded is None or self._lost:
            raise ConnectionResetError("the peer left during the handshake")
        self._transport = upgraded
        self.over_tls = True
        return self.tls_object

    async def close(self, deadline: float, *, after_the_peer: bool) -> None:
        """Close when what is written has gone out; at `deadline` without that.

        `after_the_peer`: when it has closed too. Closing first, with octets unread, would reset the connection, and the
        peer might lose our last reply.
        """
        self._deaf = True
        self._inbox.clear()
        if self._reading_paused and not self._lost:
            self._reading_paused = False
            self.transport.resume_reading()
        try:
            if after_the_peer and not (self._eof or self.over_tls):
                self.transport.write_eof()
                while not self._eof:
                    await self._wait(deadline)
            self.transport.close()
            while not self._lost:
                await self._wait(deadline)
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self, deadline: float) -> None:
        """Until something changes. One timer serves the whole connection: most waits are over long before it."""
        self._deadline = deadline
        self._set_timer()
        self._changed = self._loop.create_future()
        try:
            await self._changed
        finally:
            self._changed = None

    def _set_timer(self) -> None:
        if self._timer is None or self._timer.when() > self._deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._look_at_the_clock)

    def _look_at_the_clock(self) -> None:
        self._timer = None
        if self._changed is None or self._changed.done():
            return
        if self._loop.time() >= self._deadline:
            self._changed.set_exception(TimeoutError())
        else:
            self._set_timer()

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)
