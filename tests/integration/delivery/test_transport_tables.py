"""Policies and counts in the database: sealed, shared between processes, reported once."""

import gzip
import json
import re
from base64 import b64decode
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes

import psycopg
import pytest

from carepost.base.address import Domain, EmailAddress
from carepost.base.clock import FixedClock
from carepost.base.errors import TryLater
from carepost.delivery.hosts import MailHost
from carepost.delivery.proof import HostProof, Proof
from carepost.delivery.repo_transport import StsPolicyTable, TransportSeals
from carepost.delivery.sts_policies import KeptPolicy, StsProof
from carepost.delivery.tls_policy import DaneState, StsState
from carepost.delivery.tls_results import ReportMail, ReportPolicy, TlsReports, TlsResults
from carepost.infra.db import Database, Transaction
from carepost.infra.vault import EdgeKey
from carepost.mailauth.mta_sts import Mode, StsPolicy
from carepost.mailauth.resolver import FakeResolver
from carepost.mailauth.tls_report import FailureKind, Reporter, read_report

TRUST, OTHER = Domain("trust-canary.example"), Domain("other.example")
POLICY = StsPolicy(Mode.ENFORCE, ("mx-canary.example",), 604800)
SEALS = TransportSeals(EdgeKey(b"e" * 32))
SERVICE = ReportPolicy(
    reporter=Reporter("Carepost", "postmaster@care.example", "mail.care.example"),
    sender=EmailAddress.parse("postmaster@care.example"),
)


@pytest.fixture(autouse=True)
def nothing_kept_yet(superuser_dsn: str) -> None:
    with psycopg.connect(superuser_dsn, autocommit=True) as behind:
        behind.execute("TRUNCATE sts_policy, tls_result, tls_report_done")


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


async def test_a_policy_is_kept_for_every_process_and_its_domain_stands_nowhere_in_clear(
    database: Database, superuser_dsn: str, clock: FixedClock
) -> None:
    table = StsPolicyTable(database, SEALS, clock)
    assert await table.get(TRUST) is None
    await table.put(TRUST, KeptPolicy("1", POLICY, clock.now()))
    assert await table.get(TRUST) == KeptPolicy("1", POLICY, clock.now())
    assert await table.get(OTHER) is None
    with psycopg.connect(superuser_dsn) as everything:
        (row,) = everything.execute("SELECT sts_policy::text FROM sts_policy").fetchone() or ("",)
    for word in ("canary", b"canary".hex()):
        assert word not in row


async def test_the_newest_policy_stays_and_one_whose_time_is_over_is_none(
    database: Database, clock: FixedClock
) -> None:
    table = StsPolicyTable(database, SEALS, clock)
    later = clock.now() + timedelta(hours=1)
    await table.put(TRUST, KeptPolicy("new", POLICY, later))
    await table.put(TRUST, KeptPolicy("old", StsPolicy(Mode.NONE, (), 604800), clock.now()))
    kept = await table.get(TRUST)
    assert kept is not None
    assert kept.id == "new"
    clock.advance(timedelta(days=8))
    assert await table.get(TRUST) is None


async def test_what_was_sealed_with_another_key_is_as_if_it_were_not_there(
    database: Database, clock: FixedClock
) -> None:
    class Same(TransportSeals):
        def domain(self, domain: Domain) -> bytes:
            return SEALS.domain(domain)

    await StsPolicyTable(database, SEALS, clock).put(TRUST, KeptPolicy("1", POLICY, clock.now()))
    assert await StsPolicyTable(database, Same(EdgeKey(b"x" * 32)), clock).get(TRUST) is None


def connection(domain: Domain = TRUST, *, state: StsState = StsState.ENFORCE) -> tuple[Proof, HostProof, str]:
    host = HostProof(MailHost("mx-canary.example", 10, False), DaneState.NONE)
    return Proof(domain, (host,), StsProof(state, POLICY)), host, "192.0.2.1"


@dataclass
class Post:
    given: list[ReportMail] = field(default_factory=list)

    async def __call__(self, _tx: Transaction, mail: ReportMail) -> None:
        self.given.append(mail)


def reports(database: Database, clock: FixedClock, resolver: FakeResolver | None = None) -> TlsReports:
    asks = FakeResolver(txt={f"_smtp._tls.{TRUST}": ["v=TLSRPTv1; rua=mailto:tls@trust-canary.example"]})
    return TlsReports(db=database, seals=SEALS, clock=clock, resolver=resolver or asks, policy=SERVICE)


async def test_counts_equal_what_happened_and_are_reported_once(
    database: Database, superuser_dsn: str, clock: FixedClock
) -> None:
    results, other_process, post = (
        TlsResults(db=database, seals=SEALS, clock=clock),
        TlsResults(db=database, seals=SEALS, clock=clock),
        Post(),
    )
    for _ in range(3):
        for _ in range(5):
            results.note(*connection(), None)
        other_process.note(*connection(), FailureKind.CERTIFICATE_EXPIRED)
        other_process.note(*connection(OTHER), FailureKind.STARTTLS_NOT_SUPPORTED)
        await results.flush()
        await other_process.flush()
        await results.flush()
    with psycopg.connect(superuser_dsn) as everything:
        rows = str(everything.execute("SELECT tls_result::text FROM tls_result").fetchall())
    assert "canary" not in rows
    chore = reports(database, clock)
    assert await chore.write_due(post) == 0, "the day is not over"
    clock.advance(timedelta(days=1))
    assert await chore.write_due(post) == 1
    assert await chore.write_due(post) == 0
    assert await reports(database, clock).write_due(post) == 0
    (mail,) = post.given
    assert (mail.domain, [str(one) for one in mail.to]) == (TRUST, ["tls@trust-canary.example"])
    message = message_from_bytes(mail.raw)
    assert message["TLS-Report-Domain"] == TRUST.name
    assert message.get_content_type() == "multipart/report"
    text, attached = message.get_payload()  # type: ignore[misc]
    octets = b64decode(attached.get_payload())  # type: ignore[union-attr, arg-type]
    read = read_report(octets)
    assert (read.policies[0].successes, read.policies[0].failures) == (15, 3)
    assert read.policies[0].details[0].kind == "certificate-expired"
    assert json.loads(gzip.decompress(octets))["policies"][0]["policy"]["mx-host"] == ["mx-canary.example"]
    assert re.fullmatch(rb"(?:[^\r\n]*\r\n)+", mail.raw)
    assert text is not None


async def test_a_domain_that_does_not_ask_gets_no_report_and_is_not_asked_again(
    database: Database, clock: FixedClock
) -> None:
    results, post, resolver = TlsResults(db=database, seals=SEALS, clock=clock), Post(), FakeResolver()
    results.note(*connection(), None)
    await results.flush()
    clock.advance(timedelta(days=1))
    for _ in range(3):
        assert await reports(database, clock, resolver).write_due(post) == 0
    assert len(resolver.asked) == 1


async def test_when_dns_gives_no_answer_the_report_waits(database: Database, clock: FixedClock) -> None:
    results, post = TlsResults(db=database, seals=SEALS, clock=clock), Post()
    results.note(*connection(), None)
    await results.flush()
    clock.advance(timedelta(days=1))
    away = FakeResolver(fails={f"_smtp._tls.{TRUST}"})
    assert await reports(database, clock, away).write_due(post) == 0
    assert await reports(database, clock).write_due(post) == 1


async def test_a_report_that_the_queue_does_not_take_is_written_again(database: Database, clock: FixedClock) -> None:
    class Full:
        async def __call__(self, _tx: Transaction, _mail: ReportMail) -> None:
            raise TryLater("not now")

    results, post = TlsResults(db=database, seals=SEALS, clock=clock), Post()
    results.note(*connection(), None)
    await results.flush()
    clock.advance(timedelta(days=1))
    with pytest.raises(TryLater):
        await reports(database, clock).write_due(Full())
    assert await reports(database, clock).write_due(post) == 1


async def test_counts_are_bounded_and_survive_a_database_that_is_away(database: Database, clock: FixedClock) -> None:
    results = TlsResults(db=database, seals=SEALS, clock=clock, counted_max=3)
    for number in range(10):
        results.note(*connection(Domain(f"d{number}.example")), None)
    assert len(results._counts) == 3

    class Away:
        def transaction(self) -> None:
            raise TryLater("not now")

    here, results.db = results.db, Away()  # type: ignore[assignment]
    with pytest.raises(TryLater):
        await results.flush()
    results.db = here
    assert len(results._counts) == 3
    await results.flush()
    assert len(results._counts) == 0


async def test_old_policies_and_counts_are_forgotten(database: Database, superuser_dsn: str, clock: FixedClock) -> None:
    results = TlsResults(db=database, seals=SEALS, clock=clock)
    results.note(*connection(), None)
    await results.flush()
    await StsPolicyTable(database, SEALS, clock).put(TRUST, KeptPolicy("1", POLICY, clock.now()))
    clock.advance(timedelta(days=30))
    await reports(database, clock).write_due(Post())
    with psycopg.connect(superuser_dsn) as everything:
        left = everything.execute(
            "SELECT (SELECT count(*) FROM tls_result) + (SELECT count(*) FROM sts_policy) "
            "     + (SELECT count(*) FROM tls_report_done)"
        ).fetchone()
    assert left == (0,)
