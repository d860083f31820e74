"""A mail server on loopback with a directory and a gateway that are dictionaries."""

import asyncio
import contextlib
import datetime
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from carepost.base.address import EmailAddress
from carepost.base.clock import FixedClock
from carepost.base.ids import AppPasswordId, MailboxId, OrganisationId, PersonId, TraceId, new_trace_id
from carepost.directory.model import Found, MailboxKind, RefusalReason, Refusing, Route, Unknown
from carepost.gateway.model import Connection, Envelope, Receipt, Via
from carepost.protocols.smtp.limits import SmtpLimits, SpoolLimits
from carepost.protocols.smtp.relay import Relay, RelaySettings
from carepost.protocols.smtp.server import SmtpServer
from carepost.protocols.smtp.spool import Spools
from carepost.protocols.smtp.submission import HandedIn, Submissions, SubmissionSettings, Submitter
from carepost.protocols.smtp.throttle import Throttle


@dataclass
class FakeRoutes:
    """A directory: addresses and the mailboxes behind them."""

    mailboxes: dict[str, int] = field(
        default_factory=lambda: {"jo@care.example": 1, "ann@care.example": 2, "info@care.example": 1}
    )
    full: set[str] = field(default_factory=lambda: {"full@care.example"})
    pending: set[str] = field(default_factory=lambda: {"new@care.example"})
    fails: Exception | None = None
    asked: list[str] = field(default_factory=list)

    async def route(self, address: EmailAddress, *, from_outside: bool) -> Route:
        assert from_outside
        self.asked.append(address.key)
        if self.fails is not None:
            raise self.fails
        if address.key in self.full:
            return Refusing(RefusalReason.FULL)
        if address.key in self.pending:
            return Refusing(RefusalReason.NOT_ACTIVATED)
        mailbox = self.mailboxes.get(address.key)
        if mailbox is None:
            return Unknown(ours=address.domain.name == "care.example")
        return Found(address, MailboxId(mailbox), OrganisationId(1), MailboxKind.PERSONAL)


@dataclass
class FakeInbound:
    """A gateway that keeps what it is given, or raises; `hold` makes it wait."""

    received: list[tuple[Connection, Envelope, bytes]] = field(default_factory=list)
    fails: BaseException | None = None
    hold: asyncio.Event | None = None
    entered: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self, connection: Connection, envelope: Envelope, raw: bytes) -> Receipt:
        self.entered.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.fails is not None:
            raise self.fails
        self.received.append((connection, envelope, raw))
        return Receipt(envelope.trace)

    @property
    def messages(self) -> list[bytes]:
        return [raw for _, _, raw in self.received]


@dataclass
class FakeDoor:
    """Submission's way in: one person, Jo, who may also write for a shared mailbox."""

    secrets: dict[str, str] = field(default_factory=lambda: {"jo@care.example": "correct horse"})
    may_use: set[str] = field(default_factory=lambda: {"jo@care.example", "reception@care.example"})
    handed: list[HandedIn] = field(default_factory=list)
    fails: BaseException | None = None
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    hold: asyncio.Event | None = None

    async def sign_in(self, address: str, secret: str, client_address: str) -> Submitter | None:
        if self.secrets.get(address) != secret:
            return None
        return Submitter(person=PersonId(7), organisation=OrganisationId(1), app_password=AppPasswordId(3), name="Jo")

    async def may_write_as(self, who: Submitter, sender: EmailAddress) -> bool:
        return sender.key in self.may_use

    async def exists(self, address: EmailAddress) -> bool:
        return address.domain.name != "care.example" or address.key in self.may_use

    async def submit(self, who: Submitter, handed: HandedIn) -> TraceId:
        self.entered.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.fails is not None:
            raise self.fails
        self.handed.append(handed)
        return new_trace_id()


class Client:
    """The other end, as dumb as netcat."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def reply(self) -> str:
        """One reply, all its lines; "" when the server has closed."""
        lines = []
        async with asyncio.timeout(180):
            while True:
                try:
                    line = await self.reader.readline()
                except ConnectionError:
                    line = b""
                lines.append(line.decode().rstrip("\r\n"))
                if line[3:4] != b"-":
                    return "\n".join(lines)

    async def say(self, line: str | bytes) -> str:
        self.send((line if isinstance(line, bytes) else line.encode()) + b"\r\n")
        return await self.reply()

    async def rest(self) -> str:
        """Everything until the server closes."""
        async with asyncio.timeout(180):
            try:
                return (await self.reader.read()).decode()
            except ConnectionError:
                return ""

    async def start_tls(self) -> None:
        await self.writer.start_tls(_trusting())

    async def mail(self, sender: str, *recipients: str) -> list[str]:
        return [await self.say(f"MAIL FROM:<{sender}>"), *[await self.say(f"RCPT TO:<{one}>") for one in recipients]]

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


def _trusting() -> ssl.SSLContext:
    """Takes any certificate: what is tested here is our own end."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@dataclass
class SmtpWorld:
    """A running server. `world(...)` makes one."""

    server: SmtpServer
    address: tuple[str, int]
    routes: FakeRoutes
    inbound: FakeInbound
    spools: Spools
    stop: asyncio.Event
    serving: asyncio.Task[None]
    clients: list[Client] = field(default_factory=list)
    door: FakeDoor = field(default_factory=FakeDoor)
    implicit: bool = False

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection(*self.address, ssl=_trusting() if self.implicit else None))
        self.clients.append(client)
        return client

    async def greeted(self, hello: str = "EHLO out.example") -> Client:
        client = await self.connect()
        assert (await client.reply()).startswith("220 ")
        assert (await client.say(hello)).startswith("250")
        return client


@contextlib.asynccontextmanager
async def world(
    folder: Path,
    *,
    limits: SmtpLimits | None = None,
    spool: SpoolLimits | None = None,
    tls: ssl.SSLContext | None = None,
    trusted: Sequence[str] = (),
    exempt: Sequence[str] = (),
    via: Via = Via.SMTP,
    submission: bool = False,
    implicit: bool = False,
) -> AsyncIterator[SmtpWorld]:
    """Port 25; with `submission` 587, and 465 when `implicit`."""
    limits, door = limits or SmtpLimits(), FakeDoor()
    routes, inbound, spools = FakeRoutes(), FakeInbound(), Spools(folder, spool or SpoolLimits(disk_free_min=0))
    throttle = Throttle(limits, exempt=[ip_network(one) for one in exempt])
    relay: Relay | Submissions = Relay(
        routes=routes,
        inbound=inbound,
        spools=spools,
        throttle=throttle,
        clock=FixedClock(),
        settings=RelaySettings(hostname="mx.care.example", limits=limits, via=via),
    )
    if submission:
        shared = SubmissionSettings(hostname="mx.care.example", limits=limits)
        relay = Submissions(door=door, spools=spools, throttle=throttle, settings=shared)
    server = SmtpServer(relay=relay, tls=lambda: tls, trusted=[ip_network(one) for one in trusted])
    listening = socket.create_server(("127.0.0.1", 0))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        sockets = {"sockets": [], "implicit": [listening]} if implicit else {"sockets": [listening]}
        serving = group.create_task(server.serve(stop=stop, **sockets))
        made = SmtpWorld(server, listening.getsockname(), routes, inbound, spools, stop, serving)
        made.door, made.implicit = door, implicit
        await asyncio.sleep(0)
        try:
            yield made
        finally:
            stop.set()
            for client in made.clients:
                await client.close()
            async with asyncio.timeout(180):
                await asyncio.wait([serving])


def changed(limits: SmtpLimits | SpoolLimits, **fields: float) -> None:
    """From now on, for a server that has them already. So a test may talk at its leisure, and run out of time after."""
    for name, value in fields.items():
        object.__setattr__(limits, name, value)


def server_context(folder: Path) -> ssl.SSLContext:
    """A certificate of one minute's making."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mx.care.example")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("mx.care.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(file)
    return context
