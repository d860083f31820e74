"""The canonical forms against the RFC's own examples and against a second, slower reading of the same rules."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.cpu_time import costs_less_than

from carepost.mailauth.canonical import BodyHashes, Canonical, canonical_body, canonical_field


def test_the_example_of_rfc_6376_section_3_4_5() -> None:
    assert canonical_field(Canonical.RELAXED, b"A: X\r\n") == b"a:X\r\n"
    assert canonical_field(Canonical.RELAXED, b"B : Y\t\r\n\tZ  \r\n") == b"b:Y Z\r\n"
    assert canonical_field(Canonical.SIMPLE, b"B : Y\t\r\n\tZ  \r\n") == b"B : Y\t\r\n\tZ  \r\n"
    body = b" C \r\nD \t E\r\n\r\n\r\n"
    assert bytes(canonical_body(Canonical.RELAXED, body)) == b" C\r\nD E\r\n"
    assert bytes(canonical_body(Canonical.SIMPLE, body)) == b" C \r\nD \t E\r\n"


def test_an_empty_body_differs_between_the_forms() -> None:
    for body in (b"", b"\r\n", b"\r\n\r\n"):
        assert bytes(canonical_body(Canonical.SIMPLE, body)) == b"\r\n"
        assert bytes(canonical_body(Canonical.RELAXED, body)) == b""


def _slowly(form: Canonical, body: bytes) -> bytes:
    """The rules of §3.4.3 and §3.4.4, one after the other, line by line."""
    lines = body.split(b"\r\n")
    if form is Canonical.RELAXED:
        lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    text = b"".join(line + b"\r\n" for line in lines)
    return text or (b"\r\n" if form is Canonical.SIMPLE else b"")


_PIECES = st.sampled_from([b" ", b"\t", b"\r\n", b"\r", b"\n", b"x", b" \r\n", b"\r\n\r\n", b"y" * 100, b"\0"])


@settings(max_examples=1500, deadline=None)
@given(pieces=st.lists(_PIECES, max_size=30), form=st.sampled_from(Canonical))
def test_both_readings_of_the_rules_agree(pieces: list[bytes], form: Canonical) -> None:
    body = b"".join(pieces)
    assert bytes(canonical_body(form, body)) == _slowly(form, body)
    assert bytes(canonical_body(form, memoryview(body))) == _slowly(form, body)


@pytest.mark.parametrize("unit", [b"\r\n", b" ", b"\t", b"\r", b"\n", b" \r\n", b"\r\r\n", b" \t"])
def test_a_body_of_nothing_but_line_ends_and_spaces_costs_time_in_proportion(unit: bytes) -> None:
    body = unit * (4_000_000 // len(unit))
    # Some 0.1 s of work; quadratic would be minutes.
    costs_less_than(2, lambda: [BodyHashes(body).digest(form) for form in Canonical])
