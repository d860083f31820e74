"""TLS reports: ours as others read them, and theirs as we do. RFC 8460."""

import gzip
import json
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carepost.base.errors import Malformed
from carepost.mailauth.tls_report import (
    COMPRESSED_MAX,
    REPORT_MAX,
    FailureKind,
    PolicyKind,
    Reporter,
    Tally,
    file_name,
    read_report,
    report,
    report_to,
)

US = Reporter("Carepost of the tests", "postmaster@care.example", "mail.care.example")
DAY = date(2026, 11, 21)
STS = ("version: STSv1", "mode: testing")
TALLIES = [
    Tally("trust.example", PolicyKind.STS, STS, ("mx.trust.example",), "", "", None, successes=40),
    Tally(
        "trust.example",
        PolicyKind.STS,
        STS,
        ("mx.trust.example",),
        "mx.trust.example",
        "192.0.2.1",
        FailureKind.CERTIFICATE_EXPIRED,
        failures=2,
    ),
    Tally(
        "trust.example",
        PolicyKind.STS,
        STS,
        ("mx.trust.example",),
        "mx.trust.example",
        "192.0.2.2",
        FailureKind.STARTTLS_NOT_SUPPORTED,
        failures=1,
    ),
    Tally("trust.example", PolicyKind.NONE, (), (), "", "", None, successes=7),
]


def test_a_report_says_what_was_counted_and_for_which_policy() -> None:
    told = json.loads(gzip.decompress(report(US, "trust.example", DAY, TALLIES)))
    assert told["organization-name"] == "Carepost of the tests"
    assert told["date-range"] == {"start-datetime": "2026-11-21T00:00:00Z", "end-datetime": "2026-11-21T23:59:59Z"}
    assert told["contact-info"] == "postmaster@care.example"
    assert told["report-id"] == "2026-11-21T00:00:00Z_trust.example@mail.care.example"
    sts, none = told["policies"]
    assert sts["policy"] == {
        "policy-type": "sts",
        "policy-domain": "trust.example",
        "policy-string": list(STS),
        "mx-host": ["mx.trust.example"],
    }
    assert sts["summary"] == {"total-successful-session-count": 40, "total-failure-session-count": 3}
    assert sts["failure-details"][0] == {
        "result-type": "certificate-expired",
        "receiving-mx-hostname": "mx.trust.example",
        "receiving-ip": "192.0.2.1",
        "failed-session-count": 2,
    }
    assert none["summary"] == {"total-successful-session-count": 7, "total-failure-session-count": 0}
    assert "failure-details" not in none


def test_our_own_reports_can_be_read() -> None:
    read = read_report(report(US, "trust.example", DAY, TALLIES))
    assert read.organisation == "Carepost of the tests"
    assert read.begin == datetime(2026, 11, 21, tzinfo=UTC)
    assert read.failures == 3
    assert [(one.kind, one.sessions) for one in read.policies[0].details] == [
        ("certificate-expired", 2),
        ("starttls-not-supported", 1),
    ]
    assert read.policies[1].successes == 7


def test_a_report_that_is_not_compressed_is_read_too() -> None:
    assert read_report(gzip.decompress(report(US, "trust.example", DAY, TALLIES))).failures == 3


def _changed(**change: object) -> bytes:
    told = json.loads(gzip.decompress(report(US, "trust.example", DAY, TALLIES)))
    told.update(change)
    return json.dumps(told).encode()


GOOD = json.loads(gzip.decompress(report(US, "trust.example", DAY, TALLIES)))["policies"][0]
BOMB = gzip.compress(b" " * (REPORT_MAX + 1), mtime=0)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"{}",
        b"[]",
        b"\x1f\x8b rubbish",
        gzip.compress(b"{}", mtime=0),
        report(US, "trust.example", DAY, TALLIES)[:-20],
        BOMB,
        b" " * (COMPRESSED_MAX + 1),
        b"[" * 100_000,
        _changed(policies=[GOOD] * 101),
        _changed(policies=[{**GOOD, "failure-details": GOOD["failure-details"] * 1000}]),
        _changed(policies=[{**GOOD, "summary": {"total-successful-session-count": -1}}]),
        _changed(policies=[{**GOOD, "summary": {"total-successful-session-count": 10**30}}]),
        _changed(policies=[{**GOOD, "summary": {"total-successful-session-count": "many"}}]),
        _changed(**{"date-range": {"start-datetime": "yesterday", "end-datetime": "today"}}),
    ],
    ids=range(15),  # numbered: what is packed differs from run to run, and every worker must collect the same names
)
def test_what_is_no_report_is_refused(octets: bytes) -> None:
    with pytest.raises(Malformed):
        read_report(octets)


@given(st.binary(max_size=300))
def test_rubbish_is_refused_whatever_it_is(octets: bytes) -> None:
    for rubbish in (octets, b"\x1f\x8b" + octets, gzip.compress(octets)):
        with pytest.raises(Malformed):
            read_report(rubbish)


def test_what_others_write_into_reports_is_shown_as_one_short_line() -> None:
    read = read_report(_changed(**{"organization-name": "a\r\nb\x1b[31m" + "x" * 5000}))
    assert read.organisation.isprintable()
    assert len(read.organisation) == 500


@pytest.mark.parametrize(
    ("records", "to"),
    [
        ([b"v=TLSRPTv1; rua=mailto:tls@trust.example"], ["tls@trust.example"]),
        (
            [b"v=TLSRPTv1;rua=mailto:a@trust.example,https://x.example/r,mailto:b@trust.example!10m"],
            ["a@trust.example"],
        ),
        ([b"v=spf1 -all", b"v=TLSRPTv1; rua=mailto:a@trust.example?subject=x"], ["a@trust.example"]),
        ([], []),
        ([b"v=TLSRPTv1; rua=https://trust.example"], []),
        ([b"v=TLSRPTv1; rua=mailto:a@x.example", b"v=TLSRPTv1; rua=mailto:b@x.example"], []),
        ([b"v=TLSRPTv1; rua=mailto:a b@x.example\r\nBcc: c@x.example"], []),
        ([b"v=TLSRPTv1; rua=mailto:j\xc3\xbc@x.example"], []),
        (
            [b"v=TLSRPTv1; rua=" + b",".join(b"mailto:p%d@x.example" % n for n in range(50))],
            [f"p{n}@x.example" for n in range(5)],
        ),
    ],
)
def test_who_asks_for_reports(records: list[bytes], to: list[str]) -> None:
    assert [str(one) for one in report_to(records)] == to


def test_the_file_is_named_as_the_rfc_says() -> None:
    assert file_name(US, "trust.example", DAY) == "mail.care.example!trust.example!1795219200!1795305599!001.json.gz"
