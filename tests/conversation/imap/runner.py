"""Runs conversations written as text against the IMAP server, without sockets.

A script is a folder of lines:

    # why, with the RFC's paragraph
    given mailbox INBOX holds letter.eml          before the client signs in; more: given flags INBOX 1 \\Seen
    C: a1 SELECT INBOX                            the client writes a line
    C| text                                       the client writes one line of a literal (CR LF is added)
    S: * 1 EXISTS                                 the server must write this line; `...` within it stands for anything
    S: ...                                        any lines, as few as needed
    S| Subject: Clinic letter                     the next line of a literal
    then mailbox INBOX gets letter.eml            something happens meanwhile
    then flags INBOX 1 \\Seen                     another client sets flags of the UID
    then expunged INBOX 1                         another client removes the UID
    S: -                                          nothing more was written
    S: closed                                     the server has closed

Every script begins signed in as jo@surgery.example unless its first line that matters is `given nobody`.
"""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tests.fakes.imap_mail import MemoryFolder, MemoryMail, MemoryPeople

from carepost.base.clock import FixedClock
from carepost.base.ids import MailboxId
from carepost.protocols.imap.connection import ImapConnection
from carepost.protocols.imap.ports import ImapServices, Mail
from carepost.protocols.imap.server import ImapServer
from carepost.wire.imap_limits import ImapLimits
from carepost.wire.imap_replies import SYSTEM_FLAGS

HERE = Path(__file__).parent
MESSAGES = HERE / "messages"
JO, SAM, CLINIC = 1, 2, 50
_FLAGS = {name: bit for bit, name in SYSTEM_FLAGS}


class MemoryTransport(asyncio.Transport):
    """What the server writes, kept."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False
        self.protocol: ImapConnection | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:  # type: ignore[override]
        self.written += data

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            if self.protocol is not None:
                asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("192.0.2.7", 40000) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


@dataclass
class ImapWorld:
    """A server, two people, a shared mailbox: everything in memory."""

    limits: ImapLimits = field(default_factory=lambda: ImapLimits(wrong_password_wait_s=0.0))

    def __post_init__(self) -> None:
        self.clock = FixedClock()
        self.mail = MemoryMail(self.clock)
        self.people = MemoryPeople()
        for number, address in ((JO, "jo@surgery.example"), (SAM, "sam@surgery.example")):
            self.people.join(number, address, "correct horse")
        self.people.share(CLINIC, "clinic@surgery.example", [JO, SAM])
        for mailbox in (JO, SAM, CLINIC):
            self.mail.furnish(MailboxId(mailbox))
        self.server = ImapServer(
            services=ImapServices(
                sign_in=self.people,
                people=self.people,
                shared_log=self.people,
                mail=Mail(folders=self.mail, reading=self.mail, filing=self.mail, words=self.mail, changes=self.mail),
                clock=self.clock,
                limits=self.limits,
            ),
            revocations=self.people,
            tls_context=lambda: (_ for _ in ()).throw(AssertionError("no TLS in memory")),
        )

    def folder(self, name: str, mailbox: int = JO) -> MemoryFolder:
        if name.startswith("Shared/"):
            mailbox, name = CLINIC, name.split("/", 2)[2]
        return self.mail.folder(MailboxId(mailbox), name)


@dataclass
class Client:
    """One connection to the server of a world."""

    world: ImapWorld
    secure: bool = True

    def __post_init__(self) -> None:
        self.transport = MemoryTransport()
        self.connection = ImapConnection(self.world.server, secure=self.secure)
        self.transport.protocol = self.connection
        self.connection.connection_made(self.transport)
        self.read = 0

    async def write(self, octets: bytes) -> None:
        if not self.transport.closed:
            self.connection.data_received(octets)
        await settle()

    def line(self) -> bytes | None:
        """The next line that the server wrote, without its CR LF."""
        end = self.transport.written.find(b"\r\n", self.read)
        if end < 0:
            return None
        line = bytes(self.transport.written[self.read : end])
        self.read = end + 2
        return line

    def rest(self) -> bytes:
        rest = bytes(self.transport.written[self.read :])
        self.read = len(self.transport.written)
        return rest

    async def ask(self, *lines: bytes) -> list[bytes]:
        """Write each line; return every line that came back."""
        self.rest()
        for line in lines:
            await self.write(line + b"\r\n")
        return self.rest().split(b"\r\n")[:-1]

    async def sign_in(self) -> None:
        answer = await self.ask(b'in LOGIN jo@surgery.example "correct horse"')
        assert answer[-1].startswith(b"in OK"), answer


async def settle() -> None:
    """Let everything that can happen, happen."""
    for _ in range(60):
        await asyncio.sleep(0)


async def run_script(path: Path) -> None:
    world = ImapWorld()
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(world.server.serve())
        await settle()
        try:
            await _Script(world, path).run()
        finally:
            serving.cancel()


class _Script:
    def __init__(self, world: ImapWorld, path: Path) -> None:
        self.world = world
        self.path = path
        self.lines = path.read_text(encoding="utf-8").splitlines()
        self.client: Client | None = None
        self.number = 0

    async def run(self) -> None:
        nobody = any(line.startswith("given nobody") for line in self.lines)
        pending: list[str] = []
        for number, line in enumerate(self.lines, 1):
            self.number = number
            if not line.strip() or line.startswith("#"):
                continue
            if line.startswith(("given ", "then ")):
                await self._happens(line)
                continue
            client = await self._client(signed_in=not nobody)
            if line.startswith(("C:", "C|")):
                await client.write(line[3:].encode() + b"\r\n")
            elif line.startswith("S:") and line[3:] == "...":
                pending.append("...")
                continue
            elif line.startswith(("S:", "S|")):
                self._expect(client, line[3:], skip=bool(pending))
                pending.clear()
            else:
                raise AssertionError(f"{self.path.name}:{self.number}: not a line of a script: {line}")

    async def _client(self, *, signed_in: bool) -> Client:
        if self.client is None:
            self.client = Client(self.world, secure=not any("given in clear" in line for line in self.lines))
            await settle()
            if signed_in:
                await self.client.sign_in()
                self.client.rest()
        return self.client

    def _expect(self, client: Client, expected: str, *, skip: bool) -> None:
        where = f"{self.path.name}:{self.number}"
        if expected == "closed":
            assert client.transport.closed, f"{where}: the server has not closed"
            return
        if expected == "-":
            assert client.rest() == b"", f"{where}: the server wrote more"
            return
        pattern = re.compile(".*".join(re.escape(part) for part in expected.split("...")), re.DOTALL)
        seen = []
        while (line := client.line()) is not None:
            text = line.decode("utf-8", "replace")
            if pattern.fullmatch(text):
                return
            seen.append(text)
            if not skip:
                break
        raise AssertionError(f"{where}: expected {expected!r}, the server wrote {seen!r}")

    async def _happens(self, line: str) -> None:
        words = line.split()
        mail = self.world.mail
        match words[1:]:
            case ["nobody"] | ["in", "clear"]:
                return
            case ["mailbox", name, "holds" | "gets", *files]:
                for file in files:
                    mail.put(self.world.folder(name), message(file))
            case ["folder", name]:
                mail._add(MailboxId(JO), name, None)
            case ["flags", name, uid, *flags]:
                folder = self.world.folder(name)
                bits = sum(_FLAGS.get(flag, 0) for flag in flags)
                keywords = [flag for flag in flags if flag not in _FLAGS]
                owner = self.world.people.mailboxes[1][0].mailbox
                await mail.set_flags(owner, folder.id, [int(uid)], add=bits, add_keywords=keywords)
            case ["expunged", name, *uids]:
                folder = self.world.folder(name)
                mail._remove(folder, folder.chosen([int(uid) for uid in uids]))
            case ["removed", "from", "clinic"]:
                self.world.people.remove_member(MailboxId(CLINIC), JO)
                self.world.clock.advance(timedelta(minutes=1))
            case _:
                raise AssertionError(f"{self.path.name}:{self.number}: nothing happens by: {line}")
        await settle()


def message(file: str) -> bytes:
    """A message of `messages/`, with CR LF whatever the working copy has."""
    return (MESSAGES / file).read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def scripts() -> Iterator[Path]:
    yield from sorted(HERE.glob("*.imap"))


__all__ = ["Client", "ImapWorld", "message", "run_script", "scripts", "settle"]
