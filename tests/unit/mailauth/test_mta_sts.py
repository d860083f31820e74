"""MTA-STS policies: read, refused, matched. RFC 8461."""

import pytest

from carepost.base.errors import Malformed
from carepost.mailauth.mta_sts import AGE_MAX, Mode, StsPolicy, policy_id, read_policy

GOOD = b"version: STSv1\r\nmode: enforce\r\nmx: mail.trust.example\r\nmx: *.mx.trust.example\r\nmax_age: 604800\r\n"


def test_a_policy_is_read() -> None:
    policy = read_policy(GOOD)
    assert policy == StsPolicy(Mode.ENFORCE, ("mail.trust.example", "*.mx.trust.example"), 604800)
    assert read_policy(policy.text.encode()) == policy


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (GOOD.replace(b"\r\n", b"\n"), StsPolicy(Mode.ENFORCE, ("mail.trust.example", "*.mx.trust.example"), 604800)),
        (b"version:STSv1\nmode:none\nmax_age:0", StsPolicy(Mode.NONE, (), 0)),
        (GOOD + b"colour: blue\r\n\r\n", read_policy(GOOD)),
        (GOOD + b"mode: none\r\nmax_age: 1\r\n", read_policy(GOOD)),
        (GOOD.replace(b"604800", b"9999999999"), StsPolicy(Mode.ENFORCE, read_policy(GOOD).mx, AGE_MAX)),
        (GOOD.replace(b"mail.TRUST", b"MAIL.trust"), read_policy(GOOD)),
        (GOOD.replace(b"enforce", b"testing"), StsPolicy(Mode.TESTING, read_policy(GOOD).mx, 604800)),
    ],
)
def test_line_ends_unknown_fields_and_repeated_ones_do_not_matter(text: bytes, read: StsPolicy) -> None:
    assert read_policy(text) == read


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>Not found</html>",
        GOOD.replace(b"STSv1", b"STSv2"),
        GOOD.replace(b"version: STSv1\r\n", b""),
        GOOD.replace(b"enforce", b"strict"),
        GOOD.replace(b"mode: enforce\r\n", b""),
        GOOD.replace(b"604800", b"a week"),
        GOOD.replace(b"604800", b"-1"),
        GOOD.replace(b"604800", "\u0661\u0662".encode()),
        b"version: STSv1\nmode: enforce\nmax_age: 1\n",
        GOOD.replace(b"mail.trust.example", b"[192.0.2.1]"),
        GOOD.replace(b"mail.trust.example", b"*"),
        GOOD.replace(b"mail.trust.example", b"mx*.trust.example"),
        GOOD.replace(b"mail.trust.example", b"a b"),
        GOOD.replace(b"mail.trust.example", b"\xff\xfe"),
        GOOD + b"mx: a.example\n" * 501,
        GOOD + b"x: " + b"y" * 65536,
    ],
)
def test_what_is_no_policy_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed):
        read_policy(text)


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("mail.trust.example", True),
        ("MAIL.Trust.Example.", True),
        ("a.mx.trust.example", True),
        ("mx.trust.example", False),
        (".mx.trust.example", False),
        ("a.b.mx.trust.example", False),
        ("mail.trust.example.evil.example", False),
        ("evilmail.trust.example", False),
        ("", False),
    ],
)
def test_a_wildcard_stands_for_one_label(host: str, named: bool) -> None:
    assert read_policy(GOOD).names(host) is named


@pytest.mark.parametrize(
    ("records", "announced"),
    [
        ([b"v=STSv1; id=20261122T090000;"], "20261122T090000"),
        ([b"v=STSv1;id=1"], "1"),
        ([b"v=spf1 -all", b"v=STSv1; x=y; id=abc"], "abc"),
        ([], None),
        ([b"v=STSv1"], None),
        ([b"v=STSv1; id="], None),
        ([b"v=STSv1; id=not-alphanumeric"], None),
        ([b"v=STSv1; id=" + b"a" * 33], None),
        ([b"v=STSv10; id=1"], None),
        ([b"v=STSv1; id=1", b"v=STSv1; id=2"], None),
        ([b"\xff\xfe"], None),
    ],
)
def test_the_record_announces_one_policy_or_none(records: list[bytes], announced: str | None) -> None:
    assert policy_id(records) == announced


def test_another_policy_has_another_id() -> None:
    one, other = StsPolicy(Mode.TESTING, ("mx.example",), 86400), StsPolicy(Mode.ENFORCE, ("mx.example",), 86400)
    assert one.id != other.id
    assert policy_id([f"v=STSv1; id={one.id}".encode()]) == one.id
