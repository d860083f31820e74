"""One TCP connection to another system, in clear and then perhaps in TLS, with nothing kept between the two.

Promises
    The switch to TLS is made on octets that we hold ourselves: nothing that came in clear is ever read as having come
    inside TLS, whichever event loop runs us (P5).
    The certificates are those of this very handshake. TLS 1.2 at least, in every mode (R106).
    Nothing here has a deadline of its own: the caller holds the clock, and `close` never waits.
"""

import asyncio
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, Self

from carepost.infra.tls import OPPORTUNISTIC_SUITES

IpAddress = IPv4Address | IPv6Address

READ_AT_ONCE = 64 * 1024


@dataclass(frozen=True, slots=True)
class ClientTls:
    """The two ways in which we begin TLS: with a certificate that must be good, and with any."""

    verified: ssl.SSLContext
    unverified: ssl.SSLContext  # opportunistic, and DANE, which looks at the certificate itself

    @classmethod
    def make(cls, roots: Path | None = None) -> Self:
        """`roots`: a PEM file of the authorities to trust. None: those of this machine."""
        verified = _context()
        if roots is None:
            verified.load_default_certs(ssl.Purpose.SERVER_AUTH)
        else:
            verified.load_verify_locations(cafile=roots)
        unverified = _context()
        unverified.check_hostname = False
        unverified.verify_mode = ssl.CERT_NONE
        return cls(verified, unverified)


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # names and chains are checked unless told otherwise
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(OPPORTUNISTIC_SUITES)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What a handshake came to. `chain`: what the other side showed, DER, its own certificate first."""

    version: str
    cipher: str
    chain: tuple[bytes, ...]


class Link:
    """Use `connect`. Every method may raise OSError (ssl.SSLError is one)."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire
        self._loop = asyncio.get_running_loop()
        self._arrived = ssl.MemoryBIO()
        self._leaving = ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self.tls: TlsFacts | None = None

    @classmethod
    async def connect(cls, ip: IpAddress, port: int, *, source: IpAddress | None = None) -> Self:
        family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
        wire = socket.socket(family, socket.SOCK_STREAM)
        try:
            wire.setblocking(False)
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if source is not None:
                wire.bind((str(source), 0))
            await asyncio.get_running_loop().sock_connect(wire, (str(ip), port))
        except BaseException:
            wire.close()
            raise
        return cls(wire)

    async def start_tls(self, context: ssl.SSLContext, host: str) -> TlsFacts:
        """Shake hands as a client of `host`. Raises ssl.SSLError when it fails or the certificate is not good."""
        tls = context.wrap_bio(self._arrived, self._leaving, server_hostname=host)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._fetch():
                    raise ConnectionResetError("closed during the handshake") from None
            except ssl.SSLError:
                with suppress(OSError):
                    await self._flush()  # so that it learns why: the alert
                raise
            else:
                break
        await self._flush()
        self._tls = tls
        cipher = tls.cipher()
        self.tls = TlsFacts(tls.version() or "", cipher[0] if cipher else "", _chain(tls))
        return self.tls

    async def write(self, octets: bytes) -> None:
        """Returns when the kernel has them all."""
        if self._tls is None:
            await self._loop.sock_sendall(self._wire, octets)
            return
        view = memoryview(octets)
        while view:
            try:
                view = view[self._tls.write(view) :]
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._fetch():
                    raise ConnectionResetError("closed while we wrote") from None
        await self._flush()

    async def read(self) -> bytes:
        """What has arrived; empty: the other side has closed."""
        if self._tls is None:
            return await self._loop.sock_recv(self._wire, READ_AT_ONCE)
        while True:
            try:
                return self._tls.read(READ_AT_ONCE)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fetch()
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return b""

    def close(self) -> None:
        """Say goodbye if that is possible at once, and hang up."""
        if self._tls is not None:
            with suppress(OSError, ValueError):
                self._tls.unwrap()
            with suppress(OSError):
                self._wire.send(self._leaving.read())
        self._wire.close()

    async def _flush(self) -> None:
        while octets := self._leaving.read():
            await self._loop.sock_sendall(self._wire, octets)

    async def _fetch(self) -> bool:
        octets = await self._loop.sock_recv(self._wire, READ_AT_ONCE)
        if octets:
            self._arrived.write(octets)
        else:
            self._arrived.write_eof()
        return bool(octets)


def _chain(tls: ssl.SSLObject) -> tuple[bytes, ...]:
    """The chain as it was shown, without regard to whether it is any good."""
    shown = getattr(tls, "get_unverified_chain", None)  # Python 3.13
    if shown is not None:
        return tuple(shown())
    inner: Any = getattr(tls, "_sslobj", None)  # the same, before it had a public name: 3.10 to 3.12
    if inner is not None and hasattr(inner, "get_unverified_chain"):
        return tuple(ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in inner.get_unverified_chain() or ())
    leaf = tls.getpeercert(binary_form=True)
    return (leaf,) if leaf else ()
