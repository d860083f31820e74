"""TLS-RPT: what is counted about TLS with other mail systems, and the daily report about it. RFC 8460. PURE.

Promises
    A report says how often TLS came about, how often and why not, and with which host; nothing about any message.
    Reports that others send are read within bounds: compressed octets, octets, policies, failures. What cannot be read
    raises Malformed.
"""

import gzip
import re
import zlib
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from carepost.base.address import EmailAddress
from carepost.base.errors import Malformed

COMPRESSED_MAX = 1_000_000  # octets of a report as it comes; one about a busy domain has some thousand
REPORT_MAX = 10_000_000  # octets when unpacked
POLICIES_MAX = 100  # RFC 8460 §4.4 sets no bound; one report tells of one domain
FAILURES_MAX = 1_000
ADDRESSES_MAX = 5  # of one domain, that are told
TEXT_MAX = 500  # characters of any text that is kept

_FILE_PART = re.compile(r"[^A-Za-z0-9.-]")


class FailureKind(StrEnum):
    """RFC 8460 §4.3."""

    STARTTLS_NOT_SUPPORTED = "starttls-not-supported"
    CERTIFICATE_HOST_MISMATCH = "certificate-host-mismatch"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_NOT_TRUSTED = "certificate-not-trusted"
    VALIDATION_FAILURE = "validation-failure"
    TLSA_INVALID = "tlsa-invalid"
    DNSSEC_INVALID = "dnssec-invalid"
    DANE_REQUIRED = "dane-required"
    STS_POLICY_FETCH_ERROR = "sts-policy-fetch-error"
    STS_POLICY_INVALID = "sts-policy-invalid"
    STS_WEBPKI_INVALID = "sts-webpki-invalid"


class PolicyKind(StrEnum):
    """Which promise of the domain a connection was measured by. RFC 8460 §4.2."""

    TLSA = "tlsa"
    STS = "sts"
    NONE = "no-policy-found"


class Tally(msgspec.Struct, frozen=True, array_like=True):
    """How often one thing happened. New fields go at the end, with a default: old tallies are stored."""

    domain: str
    policy: PolicyKind
    policy_text: tuple[str, ...]  # the policy, line by line
    mx_patterns: tuple[str, ...]  # those of an MTA-STS policy
    host: str
    ip: str
    failure: FailureKind | None
    successes: int = 0
    failures: int = 0

    @property
    def key(self) -> str:
        """The same for the same thing on the same day."""
        return "\n".join(
            (self.domain, self.policy, *self.policy_text, *self.mx_patterns, self.host, self.ip, self.failure or "ok")
        )


class Reporter(msgspec.Struct, frozen=True):
    """Who reports: the service's name, whom to write to, and the name of its mail host."""

    organisation: str
    contact: str
    hostname: str


def report_id(reporter: Reporter, domain: str, day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z_{domain}@{reporter.hostname}"


def report(reporter: Reporter, domain: str, day: date, tallies: Sequence[Tally]) -> bytes:
    """The report about one domain and one day (UTC), JSON as RFC 8460 §4.4 has it, compressed by gzip."""
    begin = datetime.combine(day, time(), UTC)
    text = {
        "organization-name": reporter.organisation,
        "date-range": {
            "start-datetime": _moment(begin),
            "end-datetime": _moment(begin + timedelta(days=1, seconds=-1)),
        },
        "contact-info": reporter.contact,
        "report-id": report_id(reporter, domain, day),
        "policies": [_policy(domain, group) for group in _by_policy(tallies)],
    }
    return gzip.compress(msgspec.json.encode(text), mtime=0)


def file_name(reporter: Reporter, domain: str, day: date) -> str:
    """RFC 8460 §5.1: reporter, domain, begin and end."""
    begin = int(datetime.combine(day, time(), UTC).timestamp())
    name = f"{reporter.hostname}!{domain}!{begin}!{begin + 86399}!001.json.gz"
    return "!".join(_FILE_PART.sub("_", part) for part in name.split("!"))


def report_to(records: Iterable[bytes]) -> list[EmailAddress]:
    """The addresses that `_smtp._tls.<domain>` asks to be told at. RFC 8460 §3. Web addresses are passed over."""
    ours = [text for text in records if text.startswith((b"v=TLSRPTv1;", b"v=TLSRPTv1 "))]
    if len(ours) != 1:
        return []
    found: list[EmailAddress] = []
    for part in ours[0].decode("ascii", "replace").split(";")[1:]:
        key, _, value = part.partition("=")
        if key.strip() != "rua":
            continue
        for uri in value.split(",")[:ADDRESSES_MAX]:
            scheme, _, address = uri.strip().partition(":")
            try:
                if scheme.lower() == "mailto" and address.isascii():
                    found.append(EmailAddress.parse(address.partition("?")[0]))
            except Malformed:
                continue
    return found


class ReceivedFailure(msgspec.Struct, frozen=True):
    kind: str
    host: str
    sessions: int


class ReceivedPolicy(msgspec.Struct, frozen=True):
    policy: str
    domain: str
    successes: int
    failures: int
    details: tuple[ReceivedFailure, ...]


class ReceivedReport(msgspec.Struct, frozen=True):
    """What another mail system tells about TLS with ours."""

    organisation: str
    report_id: str
    begin: datetime
    end: datetime
    policies: tuple[ReceivedPolicy, ...]

    @property
    def failures(self) -> int:
        return sum(policy.failures for policy in self.policies)


def read_report(octets: bytes) -> ReceivedReport:
    """A report of somebody else, compressed or not. Raises Malformed."""
    text = _unpacked(octets)
    try:
        given = msgspec.json.decode(text, type=_Report)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Malformed("It is no TLS report.") from error
    if len(given.policies) > POLICIES_MAX:
        raise Malformed("The report tells of more policies than anybody has.")
    return ReceivedReport(
        _shown(given.organisation),
        _shown(given.report_id),
        given.date_range.begin,
        given.date_range.end,
        tuple(_received(one) for one in given.policies),
    )


def _unpacked(octets: bytes) -> bytes:
    if len(octets) > COMPRESSED_MAX:
        raise Malformed("The report is larger than reports are.")
    if not octets.startswith(b"\x1f\x8b"):
        return octets
    inflate = zlib.decompressobj(wbits=31)
    try:
        text = inflate.decompress(octets, REPORT_MAX)
    except zlib.error as error:
        raise Malformed("The report cannot be unpacked.") from error
    if inflate.unconsumed_tail or not inflate.eof:
        raise Malformed("The report is larger than reports are, or not whole.")
    return text


class _Dates(msgspec.Struct):
    begin: datetime = msgspec.field(name="start-datetime")
    end: datetime = msgspec.field(name="end-datetime")


class _Summary(msgspec.Struct):
    successes: int = msgspec.field(name="total-successful-session-count", default=0)
    failures: int = msgspec.field(name="total-failure-session-count", default=0)


class _Policy(msgspec.Struct):
    kind: str = msgspec.field(name="policy-type", default="")
    domain: str = msgspec.field(name="policy-domain", default="")


class _Failure(msgspec.Struct):
    kind: str = msgspec.field(name="result-type", default="")
    host: str = msgspec.field(name="receiving-mx-hostname", default="")
    sessions: int = msgspec.field(name="failed-session-count", default=0)


class _PolicyResult(msgspec.Struct):
    policy: _Policy
    summary: _Summary
    details: list[_Failure] = msgspec.field(name="failure-details", default_factory=list)


class _Report(msgspec.Struct):
    date_range: _Dates = msgspec.field(name="date-range")
    policies: list[_PolicyResult]
    organisation: str = msgspec.field(name="organization-name", default="")
    report_id: str = msgspec.field(name="report-id", default="")


def _received(given: _PolicyResult) -> ReceivedPolicy:
    counts = (given.summary.successes, given.summary.failures, *(one.sessions for one in given.details))
    if len(given.details) > FAILURES_MAX or not all(0 <= count < 1 << 53 for count in counts):
        raise Malformed("The report counts in a way that cannot be.")
    details = tuple(ReceivedFailure(_shown(one.kind), _shown(one.host), one.sessions) for one in given.details)
    return ReceivedPolicy(
        _shown(given.policy.kind), _shown(given.policy.domain), given.summary.successes, given.summary.failures, details
    )


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:TEXT_MAX])


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _by_policy(tallies: Sequence[Tally]) -> list[list[Tally]]:
    groups: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[Tally]] = {}
    for tally in tallies:
        groups.setdefault((tally.policy, tally.policy_text, tally.mx_patterns), []).append(tally)
    return list(groups.values())


def _policy(domain: str, group: Sequence[Tally]) -> dict[str, Any]:
    first = group[0]
    policy: dict[str, Any] = {"policy-type": first.policy.value, "policy-domain": domain}
    if first.policy_text:
        policy["policy-string"] = list(first.policy_text)
    if first.mx_patterns:
        policy["mx-host"] = list(first.mx_patterns)
    told: dict[str, Any] = {
        "policy": policy,
        "summary": {
            "total-successful-session-count": sum(one.successes for one in group),
            "total-failure-session-count": sum(one.failures for one in group),
        },
    }
    details = [_failure(one) for one in group if one.failure is not None and one.failures]
    if details:
        told["failure-details"] = details
    return told


def _failure(tally: Tally) -> dict[str, Any]:
    told: dict[str, Any] = {"result-type": tally.failure, "failed-session-count": tally.failures}
    if tally.host:
        told["receiving-mx-hostname"] = tally.host
    if tally.ip:
        told["receiving-ip"] = tally.ip
    return told
