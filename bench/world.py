"""Our own service, started for a measurement: a data folder, people with mailboxes and app passwords, `carepost serve`.

Promises
    Everything is below one folder and on loopback; names are answered from a table, so nothing asks the outside.
    What was started is ended, by its process number, when the `with` block ends.
"""

import asyncio
import contextlib
import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

from bench.corpus import CLIENT_ADDRESS, SELECTOR, SIGNING
from bench.ports import free_port, is_listening
from bench.words import INSIDE, OUTSIDE
from carepost.app.areas import Areas, key_files, open_areas
from carepost.app.storage import prepare, storage
from carepost.audit.model import Actor
from carepost.base.address import Domain
from carepost.base.ids import MailboxId, OrganisationId, PersonId
from carepost.directory.model import OrganisationKind, PersonStatus
from carepost.directory.people import NewPerson
from carepost.identity.model import Scope
from carepost.infra.settings import Settings, load

Result = TypeVar("Result")

_OPERATOR = Actor.operator("bench")


@dataclass(frozen=True, slots=True)
class Member:
    """One of our people, with a mailbox and a password for mail programs."""

    address: str
    app_password: str
    organisation: OrganisationId
    person: PersonId
    mailbox: MailboxId


@dataclass(frozen=True, slots=True)
class Ports:
    smtp: int
    imap: int
    imaps: int
    web: int
    content: int
    observe: int

    @classmethod
    def free(cls) -> "Ports":
        return cls(*(free_port() for _ in range(6)))


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A prepared data folder; `serving` runs the service on it."""

    folder: Path
    config: Path
    settings: Settings
    ports: Ports
    people: list[Member]
    empty_octets: int  # what the database took before any mail

    @contextlib.contextmanager
    def serving(self) -> Iterator[int]:
        """The process number of `carepost serve`, once its ports answer."""
        log = (self.folder / "serve.log").open("ab")
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("carepost")), "serve", "--config", str(self.config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            deadline = time.monotonic() + 60
            wanted = [self.ports.smtp, self.ports.imaps, self.ports.web]
            while not all(map(is_listening, wanted)):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"carepost serve did not start; see {self.folder}/serve.log")
                time.sleep(0.05)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            log.close()

    def within(self, work: Callable[[Areas], Awaitable[Result]]) -> Result:
        """Do something with the rooms themselves; the service may be running or not."""

        async def opened() -> Result:
            async with storage(self.settings) as dsns, open_areas(self.settings, dsns) as areas:
                return await work(areas)

        return asyncio.run(opened())


def make_world(
    folder: Path,
    *,
    mailboxes: int,
    relay_workers: int,
    clamd: Path | None,
    dkim_public: str,
    further: Mapping[str, Mapping[str, object]] | None = None,
) -> World:
    """A new data folder with an organisation and its people. `further` adds to the settings."""
    folder.mkdir(parents=True)
    data = folder / "data"
    data.mkdir(mode=0o700)
    _write_zone(data / "names.toml", dkim_public)
    _write_certificate(data)
    ports = Ports.free()
    config = folder / "carepost.toml"
    config.write_text(_config(data, ports, further or {}, relay_workers=relay_workers, clamd=clamd))
    settings = load(config, {})
    people, empty = asyncio.run(_populate(settings, mailboxes))
    return World(folder=folder, config=config, settings=settings, ports=ports, people=people, empty_octets=empty)


def _config(
    data: Path, ports: Ports, further: Mapping[str, Mapping[str, object]], *, relay_workers: int, clamd: Path | None
) -> str:
    sections: dict[str, dict[str, object]] = {
        "service": {"data": str(data), "hostname": f"mx.{INSIDE}"},
        "smtp": {
            "listen": [f"127.0.0.1:{ports.smtp}"],
            "trusted_xclient": ["127.0.0.0/8"],
            "certificate_file": "cert.pem",
            "key_file": "key.pem",
        },
        "imap": {
            "listen": [f"127.0.0.1:{ports.imap}"],
            "listen_tls": [f"127.0.0.1:{ports.imaps}"],
            "connections_a_person": 300,
        },
        "submission": {"listen": [], "listen_tls": []},
        "portal": {"listen": []},
        "web": {
            "listen": [f"127.0.0.1:{ports.web}"],
            "content_listen": [f"127.0.0.1:{ports.content}"],
            "url": f"http://127.0.0.1:{ports.web}",
            "content_url": f"http://127.0.0.1:{ports.content}",
        },
        "observe": {"listen": [f"127.0.0.1:{ports.observe}"], "log": "json"},
        "gateway": {"dns_zone": "names.toml", "clamd": str(clamd or "")},
        "workers": {"relay": relay_workers, "access": 1},
    }
    for name, values in further.items():
        sections.setdefault(name, {}).update(values)
    lines = []
    for name, values in sections.items():
        # JSON's strings, numbers and lists of strings are TOML's too.
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items()), ""]
    return "\n".join(lines)


def _write_zone(path: Path, dkim_public: str) -> None:
    network = CLIENT_ADDRESS.rpartition(".")[0]
    txt: dict[str, list[str]] = {}
    for domain in (*OUTSIDE, INSIDE):
        txt[domain] = [f"v=spf1 ip4:{network}.0/24 -all"]
        txt[f"_dmarc.{domain}"] = ["v=DMARC1; p=none"]
        if domain in SIGNING:
            txt[f"{SELECTOR}._domainkey.{domain}"] = [f"v=DKIM1; k=rsa; p={dkim_public}"]
    lines = ["[txt]", *(f"{json.dumps(name)} = {json.dumps(records)}" for name, records in txt.items())]
    lines += ["[mx]", *(f'{json.dumps(domain)} = [[10, "mail.{domain}"]]' for domain in (*OUTSIDE, INSIDE))]
    lines += ["[a]"]
    for domain in (*OUTSIDE, INSIDE):
        lines += [f"{json.dumps(name)} = {json.dumps([CLIENT_ADDRESS])}" for name in (domain, f"mail.{domain}")]
    path.write_text("\n".join(lines) + "\n")


def _write_certificate(data: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"mx.{INSIDE}")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    (data / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    private = os.open(data / "key.pem", os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(private, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


async def _populate(settings: Settings, mailboxes: int) -> tuple[list[Member], int]:
    key_files(settings).create_missing()
    async with storage(settings) as dsns:
        await prepare(dsns)
        async with open_areas(settings, dsns) as areas:
            organisation = await areas.directory.organisations.create(
                _OPERATOR, code="B0001", name="Bench Practice", kind=OrganisationKind.PRACTICE
            )
            await areas.directory.organisations.add_domain(_OPERATOR, Domain(INSIDE), owner=organisation)
            people = [await _member(areas, organisation, number) for number in range(mailboxes)]
            async with areas.db.transaction() as tx:
                row = await tx.one("SELECT pg_database_size(current_database()) AS octets")
            return people, int(row["octets"])


async def _member(areas: Areas, organisation: OrganisationId, number: int) -> Member:
    people = areas.directory.people
    letters = "".join(chr(ord("a") + int(digit)) for digit in f"{number:04d}")
    new = NewPerson(given_name=f"Person{letters}", family_name=f"Sample{letters}", domain=Domain(INSIDE))
    person = await people.create(_OPERATOR, organisation, new, override_reason="one of many for a measurement")
    await people.set_status(_OPERATOR, organisation, person.id, PersonStatus.ACTIVE, reason="bench")
    await people.allow_mail_clients(_OPERATOR, organisation, person.id, allowed=True)
    granted = await areas.identity.app_passwords.grant(
        _OPERATOR, organisation, person.id, name="bench", scopes=[Scope.IMAP, Scope.SUBMISSION]
    )
    (held,) = [one.mailbox for one in await areas.directory.look.mailboxes_of(organisation, person.id)]
    return Member(str(person.address), granted.secret, organisation, person.id, held.id)
