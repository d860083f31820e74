"""The demo's world outside: what arrives is shown as it was on the wire, and every domain behaves as it is said to."""

import asyncio
import json
import os
import signal
import smtplib
import ssl
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.fakes.ports import free_ports

from carepost.app.demo import _OUTSIDE_SMTP_OFFSET, HOSTNAME, Demo
from carepost.app.resolving import read_zone
from carepost.app.transport import transport_rooms
from carepost.base.address import EmailAddress
from carepost.base.clock import FixedClock, SystemClock
from carepost.delivery.model import LeastTls, Outcome, OutEnvelope, OutRecipient, RecipientResult
from carepost.infra.db import Database
from carepost.infra.tls import DemoAuthority
from carepost.infra.vault import EdgeKey
from carepost.message.identifiers import Identifier, look_for_identifiers
from carepost.ops.demo.letters import NUMBERS
from carepost.ops.demo.outside import Letterbox, OutsideLimits, OutsideTls, Sink
from carepost.ops.demo.outside_pages import OutsidePages
from carepost.ops.demo.outside_process import start_outside
from carepost.ops.demo.world import MANNERS, OUTSIDE
from carepost.ops.demo.zone import zone_toml

Result = TypeVar("Result")
NOW = datetime(2026, 11, 22, 9, 52, tzinfo=UTC)
LETTER = (
    b"From: ada@riverside.example\r\nSubject: A secure message <b>\r\n\r\nHello,\r\n.dot and <script>x</script>\r\n"
)


@dataclass
class Outside:
    port: int
    authority: DemoAuthority
    letterbox: Letterbox

    async def talk(self, work: Callable[[smtplib.SMTP], Result], *, host: str | None = "mail.gmail.example") -> Result:
        """A conversation with the mail host of that name; None: without TLS."""

        def conversation() -> Result:
            context = ssl.create_default_context(cafile=self.authority.certificate)
            with smtplib.SMTP("127.0.0.1", self.port, local_hostname="mail.carepost.example", timeout=180) as smtp:
                if host is not None:
                    smtp._host = host  # type: ignore[attr-defined] - what TLS asks for
                    smtp.starttls(context=context)
                return work(smtp)

        return await asyncio.to_thread(conversation)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> DemoAuthority:
    return DemoAuthority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def tls(authority: DemoAuthority) -> OutsideTls:
    return OutsideTls(authority, datetime.now(UTC))


@pytest.fixture
async def outside(authority: DemoAuthority, tls: OutsideTls) -> AsyncIterator[Outside]:
    letterbox = Letterbox(OutsideLimits(hang_seconds=0.2))  # meant to run out
    sink = Sink(letterbox, tls, FixedClock(NOW))
    async with await asyncio.start_server(sink.converse, host="127.0.0.1", port=0) as server:
        yield Outside(server.sockets[0].getsockname()[1], authority, letterbox)


async def test_what_arrives_over_tls_is_kept_octet_for_octet(outside: Outside) -> None:
    await outside.talk(lambda smtp: smtp.sendmail("ada@riverside.example", ["jo@gmail.example"], LETTER))
    (message,) = outside.letterbox.messages
    assert (message.sender, message.recipients, message.raw) == ("ada@riverside.example", ("jo@gmail.example",), LETTER)
    assert message.tls is not None
    assert (message.tls.version, message.tls.host) == ("TLSv1.3", "mail.gmail.example")


async def test_what_arrives_in_clear_is_shown_as_in_clear(outside: Outside) -> None:
    await outside.talk(lambda smtp: smtp.sendmail("", ["jo@gmail.example"], LETTER), host=None)
    assert outside.letterbox.messages[0].tls is None
    told = json.loads(OutsidePages(outside.letterbox).answer("/messages.json")[2])
    assert told == [
        {
            "envelope": {"from": "", "to": ["jo@gmail.example"]},
            "tls": None,
            "raw": LETTER.decode(),
            "at": NOW.isoformat(),
        }
    ]


async def test_every_host_has_a_certificate_of_its_own_but_one(outside: Outside) -> None:
    for domain, _, _ in OUTSIDE:
        if domain == "harbour-trust.example":
            with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
                await outside.talk(lambda smtp: smtp.noop(), host=f"mail.{domain}")
        else:
            assert (await outside.talk(lambda smtp: smtp.noop(), host=f"mail.{domain}"))[0] == 250


@pytest.mark.parametrize(
    ("address", "code"),
    [("jo@closed-clinic.example", 550), ("jo@busy-clinic.example", 451), ("jo@silent-clinic.example", 451)],
)
async def test_a_domain_that_does_not_take_mail_says_so_in_its_manner(
    outside: Outside, address: str, code: int
) -> None:
    def ask(smtp: smtplib.SMTP) -> int:
        smtp.ehlo()
        smtp.mail("ada@riverside.example")
        return smtp.rcpt(address)[0]

    assert await outside.talk(ask) == code
    assert [attempt.to for attempt in outside.letterbox.attempts] == [address]
    assert address in OutsidePages(outside.letterbox).answer("/")[2].decode()


def test_old_messages_make_room_for_new_ones() -> None:
    box = Letterbox(OutsideLimits(messages_max=3, octets_max=1_000))
    for number in range(10):
        box.add(at=NOW, sender="a", recipients=[f"{number}"], tls=None, raw=b"x" * 10)
    assert [message.number for message in box.messages] == [8, 9, 10]
    box.add(at=NOW, sender="a", recipients=["11"], tls=None, raw=b"x" * 990)
    assert [message.number for message in box.messages] == [10, 11]


def test_the_pages_show_what_arrived_as_text_a_page_at_a_time() -> None:
    box = Letterbox()
    pages = OutsidePages(box)
    assert "Nothing has arrived yet" in pages.answer("/")[2].decode()
    for number in range(60):
        box.add(at=NOW, sender="<x>", recipients=[f"jo{number}@gmail.example"], tls=None, raw=LETTER)
    first, last = pages.answer("/")[2].decode(), pages.answer("/?page=3")[2].decode()
    assert "jo59@gmail.example" in first
    assert "Page 1 of 3" in first
    assert "jo0@gmail.example" in last
    assert pages.answer("/?page=99")[2] == pages.answer("/?page=3")[2]
    shown = pages.answer("/message/1")[2].decode()
    assert "&lt;script&gt;x&lt;/script&gt;" in shown
    assert "<script>" not in first + last + shown
    assert pages.answer("/message/61")[0] == "404 Not Found"
    assert pages.answer("/../etc/passwd")[0] == "404 Not Found"


def test_every_manner_belongs_to_a_domain_outside() -> None:
    assert MANNERS.keys() <= {domain for domain, _, _ in OUTSIDE}


def test_the_process_answers_on_both_ports_and_ends_with_its_parent(authority: DemoAuthority) -> None:
    smtp_port, page_port = free_ports(2)
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        child = start_outside(authority, smtp_port=smtp_port, page_port=page_port)
        os.write(writing, str(child).encode() + b"\n")
        signal.pause()
        os._exit(0)
    child = int(os.read(reading, 20))
    try:
        _eventually(lambda: _get(page_port) is not None)
        with smtplib.SMTP("127.0.0.1", smtp_port, timeout=180) as smtp:
            smtp.sendmail("ada@riverside.example", ["jo@gmail.example"], LETTER)
        assert _get(page_port)[0]["envelope"]["to"] == ["jo@gmail.example"]
    finally:
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
    _eventually(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text())


def _get(port: int) -> Any:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/messages.json", timeout=180) as answer:
            return json.load(answer)
    except OSError:
        return None


def _eventually(holds: Callable[[], bool], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


async def test_mail_that_leaves_the_demo_ends_here_and_only_where_the_certificate_is_right(
    outside: Outside, database: Database, tmp_path: Path
) -> None:
    """The transport as the demo's settings build it, against the demo's mail hosts."""
    data = tmp_path / "data"
    (data / "tls").mkdir(parents=True)
    (data / "tls" / "demo-ca.pem").write_bytes(outside.authority.certificate.read_bytes())
    (data / "zone.toml").write_text(zone_toml(HOSTNAME))
    demo = Demo(outside.port - _OUTSIDE_SMTP_OFFSET, data, None)
    settings = demo.settings()
    rooms = transport_rooms(
        settings,
        db=database,
        edge=EdgeKey(b"e" * 32),
        clock=SystemClock(),
        resolver=read_zone(data / "zone.toml"),
    )

    async def send(address: str, least: LeastTls) -> RecipientResult:
        to = EmailAddress.parse(address)
        envelope = OutEnvelope(
            reverse_path=EmailAddress.parse("ada@riverside.example"), recipients=(OutRecipient(address=to),)
        )
        (result,) = (await rooms.transport.send(to.domain, envelope, LETTER, least)).results
        return result

    taken = await send("jo@lakeside-trust.example", LeastTls.VERIFIED)
    assert (taken.outcome, outside.letterbox.messages[-1].raw) == (Outcome.DELIVERED, LETTER)
    assert (await send("jo@gmail.example", LeastTls.OPPORTUNISTIC)).outcome is Outcome.DELIVERED
    assert outside.letterbox.messages[-1].tls is not None
    assert (await send("jo@harbour-trust.example", LeastTls.VERIFIED)).outcome is Outcome.LATER
    assert (await send("jo@closed-clinic.example", LeastTls.OPPORTUNISTIC)).outcome is Outcome.FAILED
    assert (await send("jo@busy-clinic.example", LeastTls.OPPORTUNISTIC)).outcome is Outcome.LATER
    assert len(outside.letterbox.messages) == 2


def test_the_numbers_of_the_sample_world_are_taken_for_patients_numbers() -> None:
    for number in NUMBERS:
        (found,) = look_for_identifiers(f"NHS number {number}", where="text")
        assert found.kind is Identifier.NHS
