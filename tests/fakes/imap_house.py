"""The IMAP server on real sockets, with TLS, over the real store; people and rights stay in memory."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.fakes.imap_mail import MemoryPeople
from tests.fakes.mailboxes import StoreWorld

from carepost.base.clock import SystemClock
from carepost.directory.model import MailboxRecord
from carepost.infra.tls import DemoAuthority, server_context
from carepost.protocols.imap.ports import ImapServices, Mail, People, SharedMailboxLog, SignInDoor
from carepost.protocols.imap.server import ImapServer, RevocationFeed
from carepost.wire.imap_limits import ImapLimits

PASSWORD = "correct-horse"
JO = "jo@surgery.example"
CLINIC = "clinic@surgery.example"


@dataclass
class ImapHouse:
    """A running server, its ports, and the mailboxes of one person."""

    store: StoreWorld
    server: ImapServer
    people: MemoryPeople
    authority: Path
    mailbox: MailboxRecord
    clinic: MailboxRecord
    plain_port: int
    tls_port: int
    client_tls: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        self.client_tls = ssl.create_default_context(cafile=str(self.authority))


@asynccontextmanager
async def imap_house(store: StoreWorld, folder: Path, limits: ImapLimits | None = None) -> AsyncIterator[ImapHouse]:
    """Runs in the caller's loop until the block ends."""
    organisation = await store.organisation()
    own, shared = await store.mailbox(organisation), await store.mailbox(organisation)
    people = MemoryPeople()
    record = people.join(own.id, JO, PASSWORD, organisation)
    clinic = people.share(shared.id, CLINIC, [own.id], organisation)
    services = imap_services(store, people, people, people, limits)
    async with serving(services, people, folder) as (server, ports, authority), running(store.changes.run()):
        yield ImapHouse(
            store=store,
            server=server,
            people=people,
            authority=authority,
            mailbox=record,
            clinic=clinic,
            plain_port=ports[0],
            tls_port=ports[1],
        )


def imap_services(
    store: StoreWorld,
    sign_in: SignInDoor,
    people: People,
    shared_log: SharedMailboxLog,
    limits: ImapLimits | None = None,
) -> ImapServices:
    """The real store behind whatever says who people are."""
    return ImapServices(
        sign_in=sign_in,
        people=people,
        shared_log=shared_log,
        mail=Mail(
            folders=store.folders,
            reading=store.messages,
            filing=store.filing,
            words=store.search,
            changes=store.changes,
        ),
        clock=SystemClock(),
        limits=limits or ImapLimits(wrong_password_wait_s=0.01),
    )


@asynccontextmanager
async def serving(
    services: ImapServices, revocations: RevocationFeed, folder: Path
) -> AsyncIterator[tuple[ImapServer, tuple[int, int], Path]]:
    """(the server, its ports in clear and with TLS, the authority to trust)."""
    authority = DemoAuthority(folder)
    certificate, key = authority.issue("imap", ["localhost", "127.0.0.1"], datetime.now(UTC))
    context = server_context(alpn=["imap"])
    context.load_cert_chain(certificate, key)
    server = ImapServer(services=services, revocations=revocations, tls_context=lambda: context)
    plain, implicit = _listening(), _listening()
    async with running(server.serve(starttls=[plain], implicit=[implicit])):
        yield server, (plain.getsockname()[1], implicit.getsockname()[1]), authority.certificate


@asynccontextmanager
async def running(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Beside the block, and no longer."""
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0.05)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _listening() -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", 0))
    made.listen()  # who connects before the server looks is kept waiting, not refused
    made.setblocking(False)
    return made
