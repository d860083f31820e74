"""`carepost serve`, started as an operator starts it: the installed command, a settings file, processes, real ports.

    RunningService    start it, wait until it answers, furnish a small world, find its processes by number, stop it
    Account           somebody who can sign in

The world outside is a table: `local.example` sends from 127.0.0.1 and says so by SPF; `strict.example` does not.
"""

import asyncio
import contextlib
import copy
import json
import os
import secrets
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from imaplib import IMAP4_SSL
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from tests.fakes.ports import free_ports

from carepost.app.areas import Areas, open_areas
from carepost.app.storage import storage
from carepost.audit.model import Actor
from carepost.base.address import Domain, EmailAddress
from carepost.base.clock import SystemClock
from carepost.base.ids import OrganisationId
from carepost.directory.model import OrganisationKind, PersonStatus
from carepost.directory.people import NewPerson
from carepost.identity.model import Scope
from carepost.infra.postgres import EmbeddedPostgres
from carepost.infra.postgres_process import processes_of
from carepost.infra.settings import load
from carepost.infra.tls import DemoAuthority

Result = TypeVar("Result")

CAREPOST = str(Path(sys.executable).with_name("carepost"))
HOSTNAME = "mail.willow.example"
OPERATOR = Actor.operator("system test")
# How long a slow and busy machine may take for what must happen. Nobody waits that long on a good day.
PATIENCE = 180.0
_PORTS = ("smtp", "lmtp", "imap", "imaps", "submission", "submissions", "web", "content", "portal", "observe")

ZONE = f"""
[txt]
"local.example" = ["v=spf1 ip4:127.0.0.1 -all"]
"strict.example" = ["v=spf1 ip4:192.0.2.1 -all"]
"_dmarc.strict.example" = ["v=DMARC1; p=reject"]
"willow.example" = ["v=spf1 mx -all"]
"_dmarc.willow.example" = ["v=DMARC1; p=reject"]
[a]
"{HOSTNAME}" = ["127.0.0.1"]
"mail.local.example" = ["127.0.0.1"]
[ptr]
"127.0.0.1" = ["mail.local.example"]
[mx]
"local.example" = [[10, "mail.local.example"]]
"willow.example" = [[10, "{HOSTNAME}"]]
"""


@dataclass(frozen=True, slots=True)
class Account:
    """A person with a mailbox and a password for mail programs."""

    address: str
    app_password: str
    organisation: OrganisationId


@dataclass
class RunningService:
    """One service in a folder of its own, with a short path that PostgreSQL's user can reach."""

    home: Path
    further: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    # -- where things are --

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def config(self) -> Path:
        return self.home / "carepost.toml"

    @property
    def log(self) -> Path:
        return self.home / "serve.log"

    @property
    def ca_file(self) -> Path:
        return self.home / "tls" / "demo-ca.pem"

    @property
    def cluster(self) -> Path:
        return self.data / "database" / "cluster"

    def settle(self) -> None:
        """Write settings, certificates and the table of names; choose ports. Once, before the first start."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o711)
        self.data.mkdir(exist_ok=True)
        # PostgreSQL's user passes through: only then the database stays in this folder, where the tests look for it.
        self.data.chmod(0o711)
        DemoAuthority(self.home / "tls").issue("mail", [HOSTNAME, "localhost", "127.0.0.1"], SystemClock().now())
        (self.home / "zone.toml").write_text(ZONE)
        self.ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        self.write_config()

    def write_config(self, further: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """The settings file; `further` adds to and replaces what `self.further` says."""
        at = {name: [f"127.0.0.1:{port}"] for name, port in self.ports.items()}
        tls = {"certificate_file": str(self.home / "tls/mail.pem"), "key_file": str(self.home / "tls/mail.key")}
        sections: dict[str, dict[str, Any]] = {
            "service": {"data": str(self.data), "hostname": HOSTNAME},
            "smtp": {"listen": at["smtp"], "lmtp": at["lmtp"], "trusted_xclient": ["127.0.0.0/8"], **tls},
            "imap": {"listen": at["imap"], "listen_tls": at["imaps"]},
            "submission": {"listen": at["submission"], "listen_tls": at["submissions"]},
            "web": {
                "listen": at["web"],
                "content_listen": at["content"],
                "url": f"http://localhost:{self.ports['web']}",
                "content_url": f"http://localhost:{self.ports['content']}",
            },
            "portal": {"listen": at["portal"], "url": f"http://localhost:{self.ports['portal']}"},
            "gateway": {"dns_zone": str(self.home / "zone.toml")},
            "observe": {"listen": at["observe"], "log": "json", "log_level": "debug"},
            "limits": {"disk_free_mb": 10},
            "database": {"shared_buffers_mb": 32},
        }
        for given in (self.further, further or {}):
            for name, values in given.items():
                sections.setdefault(name, {}).update(values)
        lines = [
            f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
            for name, values in sections.items()
        ]
        self.config.write_text("\n".join(lines))

    # -- its life --

    def start(self, *options: str, before: Sequence[str] = (), wait: bool = True) -> None:
        """Run it; with `wait`, until every port answers and /readyz says so. `before`: a program that runs it."""
        log = self.log.open("ab")
        command = [*before, CAREPOST, "serve", "--config", str(self.config), *options]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CAREPOST")}
        (self.home / "tmp").mkdir(exist_ok=True)
        environment["TMPDIR"] = str(self.home / "tmp")
        with log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        if wait:
            self.await_ready(roles=options_roles(options))

    def await_ready(self, *, roles: Sequence[str] = ("relay", "access"), seconds: float = PATIENCE) -> float:
        """Until each role's port greets and /readyz is 200; how long that took. Raises AssertionError with its log."""
        began = time.monotonic()
        wanted = [self.ports[{"relay": "smtp", "access": "imap"}[role]] for role in roles]
        while not (all(greets(port) for port in wanted) and self.readiness()[0] == 200):
            assert self.process is None or self.process.poll() is None, f"it ended:\n{self.told()}"
            assert time.monotonic() - began < seconds, f"not ready: {self.readiness()}\n{self.told()}"
            time.sleep(0.05)
        return time.monotonic() - began

    def readiness(self) -> tuple[int, str]:
        """What /readyz says: status and body; status 0 when nobody answers."""
        return http_get(f"http://127.0.0.1:{self.ports['observe']}/readyz")

    def stop(self, how: signal.Signals = signal.SIGTERM, *, seconds: float = PATIENCE) -> tuple[int, float]:
        """Ask it to stop; its exit code and how long it took. Ends by force, and fails, after `seconds`."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(how)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it did not stop within {seconds} s:\n{self.told()}") from None
        finally:
            self.process = None
        return code, time.monotonic() - began

    def close(self) -> None:
        """Stop it if it runs, and see its database end, whatever a test did to it."""
        if self.process is not None:
            if self.process.poll() is None:
                with contextlib.suppress(AssertionError):
                    self.stop()
            self.process = None
        deadline = time.monotonic() + PATIENCE
        while (left := processes_of(self.cluster)) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGQUIT)
            time.sleep(0.1)

    def told(self, last: int = 6000) -> str:
        """The end of what it logged."""
        return self.log.read_text("utf-8", "replace")[-last:] if self.log.exists() else ""

    def run(self, *arguments: str, text: str = "", seconds: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """`carepost ARGUMENTS --config …` beside the running service."""
        return subprocess.run(
            [CAREPOST, *arguments, "--config", str(self.config)],
            input=text, capture_output=True, text=True, check=False, timeout=seconds,
        )  # fmt: skip

    # -- its processes --

    def workers(self, role: str) -> list[int]:
        """The process numbers of a role's workers."""
        assert self.process is not None
        return [pid for pid in children_of(self.process.pid) if name_of(pid) == f"carepost {role}"[:15]]

    def postmaster(self) -> int:
        return int((self.cluster / "postmaster.pid").read_text().splitlines()[0])

    def backends(self) -> list[int]:
        """PostgreSQL's processes that serve our connections."""
        with self.superuser() as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            ).fetchall()
        return [int(pid) for (pid,) in rows]

    def superuser(self, database: str = "carepost") -> "psycopg.Connection[tuple[Any, ...]]":
        """A connection that sees behind everything, to look and to do harm."""
        server = EmbeddedPostgres(self.data / "database")
        server.find()
        return psycopg.connect(server.dsn("postgres", database=database), autocommit=True)

    def count(self, query: str) -> int:
        with self.superuser() as connection:
            row = connection.execute(query).fetchone()  # type: ignore[call-overload]
        assert row is not None
        return int(row[0])

    # -- its people --

    def with_areas(self, work: Callable[[Areas], Awaitable[Result]]) -> Result:
        """Do something with the rooms of the running service, as the command line does."""

        async def opened() -> Result:
            settings = load(self.config)
            async with storage(settings) as dsns, open_areas(settings, dsns) as areas:
                return await work(areas)

        return run_apart(opened())

    def furnish(self, *names: str, shared: Sequence[str] = ()) -> None:
        """An organisation, and people with mailboxes and app passwords; `shared` mailboxes belong to the first of them."""

        async def work(areas: Areas) -> None:
            organisations = areas.directory.organisations
            number = await organisations.create(
                OPERATOR, code="Y90001", name="Willow Practice", kind=OrganisationKind.PRACTICE
            )
            await organisations.add_domain(OPERATOR, Domain("willow.example"), owner=number)
            people = [await self._furnish_person(areas, number, name) for name in names]
            for name in shared:
                await areas.directory.mailboxes.create_shared(
                    OPERATOR,
                    number,
                    address=EmailAddress.parse(f"{name}@willow.example"),
                    display_name=name.title(),
                    owners=people[:2],
                    members=(),
                )

        self.with_areas(work)

    async def _furnish_person(self, areas: Areas, number: OrganisationId, name: str) -> Any:
        given, _, family = name.partition(".")
        address = f"{name}@willow.example"
        new = NewPerson(
            given_name=given.title(),
            family_name=family.title() or "Willow",
            domain=Domain("willow.example"),
            job_title="Tester",
            address=EmailAddress.parse(address),
        )
        person = await areas.directory.people.create(OPERATOR, number, new, override_reason="a test's crowd")
        await areas.directory.people.set_status(OPERATOR, number, person.id, PersonStatus.ACTIVE, reason="test")
        await areas.directory.people.allow_mail_clients(OPERATOR, number, person.id, allowed=True)
        granted = await areas.identity.app_passwords.grant(
            OPERATOR, number, person.id, name="Test", scopes=(Scope.IMAP, Scope.SUBMISSION)
        )
        self.accounts[name] = Account(address, granted.secret, number)
        return person.id

    # -- its doors --

    def client_tls(self) -> ssl.SSLContext:
        """Verifies our certificate."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    def smtp(self, *, tls: bool = True, timeout: float = PATIENCE) -> smtplib.SMTP:
        """A conversation with port 25, over verified TLS."""
        client = smtplib.SMTP("localhost", self.ports["smtp"], local_hostname="mail.local.example", timeout=timeout)
        if tls:
            client.starttls(context=self.client_tls())
        return client

    def deliver(self, raw: bytes, *recipients: str, sender: str = "pat@local.example") -> str:
        """Send one message; the reference in the 250. Raises what smtplib raises."""
        with self.smtp() as client:
            client.ehlo()
            code, said = client.mail(sender)
            for recipient in recipients:
                if code == 250:
                    code, said = client.rcpt(recipient)
            if code == 250:
                code, said = client.data(raw)
            if code != 250:
                raise smtplib.SMTPResponseException(code, said)
        return said.split()[1].decode()

    def deliver_plainly(self, raw: bytes, *recipients: str) -> None:
        """The same without TLS, for those who watch the wire. Raises AssertionError on any other reply than 250."""
        with self.smtp(tls=False) as client:
            client.ehlo()
            client.mail("pat@local.example")
            for recipient in recipients:
                client.rcpt(recipient)
            code, said = client.data(raw)
            assert code == 250, said

    @contextlib.contextmanager
    def imap(self, name: str, *, folder: str | None = "INBOX") -> Iterator[IMAP4_SSL]:
        """Signed in over verified TLS, with a folder open."""
        account = self.accounts[name]
        client = IMAP4_SSL("localhost", self.ports["imaps"], ssl_context=self.client_tls(), timeout=PATIENCE)
        try:
            client.login(account.address, account.app_password)
            if folder is not None:
                status, said = client.select(folder)
                assert status == "OK", said
            yield client
        finally:
            with contextlib.suppress(Exception):
                client.logout()

    def read(self, name: str, *, folder: str = "INBOX") -> list[bytes]:
        """Every message of a folder, whole."""
        with self.imap(name, folder=folder) as client:
            _, found = client.uid("FETCH", "1:*", "(BODY.PEEK[])")
        return [part[1] for part in found if isinstance(part, tuple)]


def copied(
    template: RunningService, home: Path, further: Mapping[str, Mapping[str, Any]] | None = None
) -> RunningService:
    """A service of its own with the world of a stopped one: quicker than furnishing it again."""
    home.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", f"{template.home}/.", str(home)], check=True)
    for left in (home / "serve.log", home / "data/database/postgres.location"):
        left.unlink(missing_ok=True)
    made = RunningService(home, further=further or {}, accounts=copy.deepcopy(template.accounts))
    made.settle()
    return made


def short_home(parent: str = "/tmp") -> Path:
    """A new folder with a short path that others may pass through."""
    home = Path(tempfile.mkdtemp(prefix="cps-", dir=parent))
    home.chmod(0o711)
    return home


def forget(home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)


def options_roles(options: Sequence[str]) -> Sequence[str]:
    named = [options[at + 1] for at, option in enumerate(options) if option == "--role"]
    return named or ("relay", "access")


def greets(port: int) -> bool:
    """Whether a worker answers: the parent's socket alone takes the connection and stays silent.

    Asked again and again by who waits: an answer that is late is one of the next look.
    """
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
    ):  # meant to run out, and asked again
        connection.settimeout(10)  # meant to run out
        return bool(connection.recv(16))
    return False


def http_get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def children_of(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(after_name[1]) == parent and after_name[0] != "Z":
                    found.append(int(entry.name))
    return found


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    except OSError:
        return ""


def run_apart(work: Any) -> Any:
    """From a test that has no loop, or in a thread of one that has."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(work)


def message(
    subject: str = "Clinic list", text: str = "Hello.", *, sender: str = "pat@local.example", more: str = ""
) -> bytes:
    """An ordinary message from outside."""
    number = secrets.token_hex(8)
    fields = (
        f"From: Pat Example <{sender}>\r\nTo: somebody@willow.example\r\nSubject: {subject}\r\n"
        f"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{number}@local.example>\r\n{more}"
    )
    return f"{fields}\r\n{text}\r\n".encode()
