"""TLS-RPT from our side: connections are counted, and each day's report goes to who asks for it. RFC 8460.

Promises
    Counting never waits and never fails a message: counts are kept in memory and written by `flush`. A crash loses the
    last minute's counts, nothing else.
    A domain that publishes no address gets no report; nobody gets the same report twice. A report is mail of our own:
    it goes even where TLS with that domain fails (RFC 8460 §3), and nobody is told when it does not arrive.
"""

from base64 import b64encode
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from email.utils import format_datetime
from typing import Protocol

import msgspec

from carepost.base.address import Domain, EmailAddress
from carepost.base.clock import Clock
from carepost.delivery import repo_transport as repo
from carepost.delivery.proof import HostProof, Proof
from carepost.delivery.repo_transport import TransportSeals
from carepost.delivery.tls_policy import DaneState
from carepost.infra.db import Database, Transaction
from carepost.mailauth.resolver import NoSuchName, Resolver, ResolverTrouble
from carepost.mailauth.tls_report import (
    FailureKind,
    PolicyKind,
    Reporter,
    Tally,
    file_name,
    report,
    report_id,
    report_to,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPolicy:
    reporter: Reporter
    sender: EmailAddress  # From, and whom the reverse-path names
    kept: timedelta = timedelta(days=14)  # counts, in case somebody asks about a report
    at_once: int = 100  # reports written in one turn


@dataclass(frozen=True, slots=True)
class ReportMail:
    """A report to give to the queue: least TLS opportunistic, DSNs for nobody (RFC 8460 §3)."""

    domain: Domain  # that it is about
    to: tuple[EmailAddress, ...]
    raw: bytes


class SendsReport(Protocol):
    async def __call__(self, tx: Transaction, mail: ReportMail) -> None:
        """Give it to the queue, in this transaction."""
        ...


@dataclass(slots=True, kw_only=True)
class TlsResults:
    """The TlsCounts of the transport. One in a process."""

    db: Database
    seals: TransportSeals
    clock: Clock
    counted_max: int = 50_000  # different things counted between two flushes; more are not counted
    _counts: Counter[tuple[date, Tally]] = field(default_factory=Counter, init=False)

    def note(self, proof: Proof, host: HostProof, ip: str, failure: FailureKind | None) -> None:
        """One connection to one host of a domain: TLS came about (None), or failed so."""
        tally = _tally(proof, host, ip, failure)
        key = (self.clock.now().date(), tally)
        if key in self._counts or len(self._counts) < self.counted_max:
            self._counts[key] += 1

    async def flush(self) -> None:
        """Write down what was counted. Raises TryLater, and forgets nothing then."""
        counts, self._counts = self._counts, Counter()
        try:
            async with self.db.transaction() as tx:
                for day in sorted({day for day, _ in counts}):
                    tallies = [_counted(tally, count) for (of, tally), count in counts.items() if of == day]
                    await repo.add_results(tx, self.seals, day, tallies)
        except BaseException:
            self._counts.update(counts)
            raise


def _counted(tally: Tally, count: int) -> Tally:
    if tally.failure is None:
        return msgspec.structs.replace(tally, successes=count)
    return msgspec.structs.replace(tally, failures=count)


# RFC 8460 §4.3.2: what went wrong before any mail host was asked.
_ABOUT_THE_POLICY = {
    FailureKind.STS_POLICY_FETCH_ERROR,
    FailureKind.STS_POLICY_INVALID,
    FailureKind.STS_WEBPKI_INVALID,
}


def _tally(proof: Proof, host: HostProof, ip: str, failure: FailureKind | None) -> Tally:
    """Measured by DANE where there are signed records, else by the MTA-STS policy, else by nothing. RFC 8460 §4.2."""
    kind = PolicyKind.NONE
    text: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    if host.dane is not DaneState.NONE:
        kind = PolicyKind.TLSA
        text = tuple(f"{one.usage} {one.selector} {one.matching} {one.association.hex()}" for one in host.tlsa)
    elif failure in _ABOUT_THE_POLICY:
        kind = PolicyKind.STS
    elif proof.sts.policy is not None:
        kind, patterns = PolicyKind.STS, proof.sts.policy.mx
        text = tuple(proof.sts.policy.text.splitlines())
    if failure is None:
        return Tally(proof.domain.name, kind, text, patterns, "", "", None)
    return Tally(proof.domain.name, kind, text, patterns, host.host.name, ip, failure)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsReports:
    """A chore: once a day is enough, more often does no harm."""

    db: Database
    seals: TransportSeals
    clock: Clock
    resolver: Resolver
    policy: ReportPolicy

    async def write_due(self, send: SendsReport) -> int:
        """Reports about days that are over; how many `send` has given to the queue. Raises TryLater."""
        now, given = self.clock.now(), 0
        async with self.db.transaction() as tx:
            await repo.forget_policies(tx, now)
            await repo.forget_results(tx, (now - self.policy.kept).date())
            due = await repo.days_to_report(tx, now.date(), self.policy.at_once)
        for which in due:
            async with self.db.transaction() as tx:
                tallies = await repo.results_of(tx, self.seals, which)
            # The transaction has ended: a slow name server must not hold our connections.
            asked = await self._asked(tallies[0].domain) if tallies else []
            if asked is None:
                continue  # DNS gave no answer: next time
            async with self.db.transaction() as tx:
                if await repo.claim(tx, which, now) and asked:
                    await send(tx, self._mail(tallies, which.day, asked))
                    given += 1
        return given

    async def _asked(self, domain: str) -> list[EmailAddress] | None:
        try:
            return report_to((await self.resolver.txt(f"_smtp._tls.{domain}")).records)
        except NoSuchName:
            return []
        except ResolverTrouble:
            return None

    def _mail(self, tallies: list[Tally], day: date, to: list[EmailAddress]) -> ReportMail:
        domain, policy = tallies[0].domain, self.policy
        octets = report(policy.reporter, domain, day, tallies)
        raw = report_mail(policy, domain, day, to=to, octets=octets, clock=self.clock)
        return ReportMail(Domain(domain), tuple(to), raw)


_BOUNDARY = "=_carepost_tls_report"


def report_mail(
    policy: ReportPolicy, domain: str, day: date, *, to: list[EmailAddress], octets: bytes, clock: Clock
) -> bytes:
    """The message that carries a report. RFC 8460 §3, §5.3. It wants our DKIM signature like all our mail."""
    identifier = report_id(policy.reporter, domain, day)
    name = file_name(policy.reporter, domain, day)
    encoded = b64encode(octets).decode("ascii")
    lines = [
        f"From: {policy.sender}",
        f"To: {', '.join(str(one) for one in to)}",
        f"Date: {format_datetime(clock.now())}",
        f"Message-ID: <{identifier.replace(':', '.')}>",
        f"Subject: Report Domain: {domain} Submitter: {policy.reporter.hostname} Report-ID: <{identifier}>",
        f"TLS-Report-Domain: {domain}",
        f"TLS-Report-Submitter: {policy.reporter.hostname}",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type="tlsrpt"; boundary="{_BOUNDARY}"',
        "",
        f"--{_BOUNDARY}",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        f"This is an aggregate report about TLS between our mail system and that of {domain}",
        f"on {day.isoformat()} (UTC). It tells of connections, not of messages.",
        "",
        f"--{_BOUNDARY}",
        f'Content-Type: application/tlsrpt+gzip; name="{name}"',
        f'Content-Disposition: attachment; filename="{name}"',
        "Content-Transfer-Encoding: base64",
        "",
        *(encoded[at : at + 76] for at in range(0, len(encoded), 76)),
        f"--{_BOUNDARY}--",
        "",
    ]
    return "\r\n".join(lines).encode("ascii")
