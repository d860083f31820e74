"""Authentication-Results: ours says what we found and nothing else; other people's cannot pass for ours."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carepost.mailauth.arc import ArcResult, ArcStatus
from carepost.mailauth.dkim import DkimResult, DkimStatus
from carepost.mailauth.dmarc import DmarcPolicy, DmarcResult, DmarcStatus
from carepost.mailauth.fields import split_message
from carepost.mailauth.results import authentication_results, strip_spans
from carepost.mailauth.spf import SpfResult, SpfStatus

OURS = "mx.care.example"


def test_what_was_found_is_written_a_method_a_line() -> None:
    field = authentication_results(
        OURS,
        spf=SpfResult(SpfStatus.PASS, "bounce.trust.example"),
        dkim=[
            DkimResult(
                status=DkimStatus.PASS,
                domain="trust.example",
                selector="s1",
                algorithm="rsa-sha256",
                signature_start="ab+/cdef",
            )
        ],
        dmarc=DmarcResult(status=DmarcStatus.PASS, policy=DmarcPolicy.REJECT, from_domain="trust.example"),
        arc=ArcResult(status=ArcStatus.NONE),
    )
    assert field.decode() == (
        "Authentication-Results: mx.care.example;\r\n"
        "\tspf=pass smtp.mailfrom=bounce.trust.example;\r\n"
        "\tdkim=pass header.d=trust.example header.s=s1 header.a=rsa-sha256\r\n"
        '\t header.b="ab+/cdef";\r\n'
        "\tdmarc=pass (p=reject) header.from=trust.example;\r\n"
        "\tarc=none\r\n"
    )


def test_nothing_found_is_written_as_none() -> None:
    assert authentication_results(OURS) == b"Authentication-Results: mx.care.example;\r\n\tnone\r\n"


def test_the_null_senders_result_is_about_helo() -> None:
    field = authentication_results(OURS, spf=SpfResult(SpfStatus.PASS, "mail.trust.example", helo=True))
    assert b"smtp.helo=mail.trust.example" in field


@settings(max_examples=300, deadline=None)
@given(hostile=st.text(max_size=300), reason=st.text(max_size=300))
def test_nothing_that_a_stranger_chose_can_add_a_line_or_a_method(hostile: str, reason: str) -> None:
    field = authentication_results(
        OURS,
        spf=SpfResult(SpfStatus.FAIL, hostile, reason=reason),
        dkim=[DkimResult(status=DkimStatus.FAIL, domain=hostile, selector=hostile, reason=reason)],
        dmarc=DmarcResult(status=DmarcStatus.FAIL, from_domain=hostile, reason=reason),
    )
    text = field.decode("ascii")
    assert text.endswith("\r\n")
    lines = text.removesuffix("\r\n").split("\r\n")
    assert all(line.isprintable() or line[0] == "\t" for line in lines)
    assert all(line.startswith("\t") for line in lines[1:])
    assert len(split_message(field)[0]) == 1
    outside = _outside_quotes(text)
    assert outside.count(";") == 3
    assert outside.count("=pass") == 0
    assert "(" not in outside.replace("(p=none)", "")


def _outside_quotes(text: str) -> str:
    kept, quoted, at = [], False, 0
    while at < len(text):
        if quoted and text[at] == "\\":
            at += 1
        elif text[at] == '"':
            quoted = not quoted
        elif not quoted:
            kept.append(text[at])
        at += 1
    assert not quoted
    return "".join(kept)


@pytest.mark.parametrize(
    "value",
    [
        b"mx.care.example; spf=pass",
        b"MX.Care.Example; spf=pass",
        b"mx.care.example. ; spf=pass",
        b"mx.care.example 1; spf=pass",
        b"\r\n mx.care.example;\r\n spf=pass",
        b"(hello) mx.care.example; spf=pass",
        b"mx.care.example (hello); spf=pass",
        b'"mx.care.example"; spf=pass',
        b"mx.care.example'; spf=pass",
        b"'mx.care.example; spf=pass",
        b"mx.care.example(; spf=pass",
        b"mx.\r\n care.example; spf=pass",
        b"mx.care.example 2; spf=pass",
        b"mx.care.example spf=pass",
        b"care.example; spf=pass",
        b"a.mx.care.example; spf=pass",
        b"mx.care\x00.example; spf=pass",
        b"; spf=pass",
        b"",
    ],
)
def test_a_field_that_may_claim_to_be_ours_is_found(value: bytes) -> None:
    raw = b"Subject: x\r\nAuthentication-Results:" + value + b"\r\nFrom: a@b.example\r\n\r\nbody"
    ((start, end),) = strip_spans(split_message(raw)[0], OURS)
    assert raw[:start] + raw[end:] == b"Subject: x\r\nFrom: a@b.example\r\n\r\nbody"


@pytest.mark.parametrize(
    "name", [b"authentication-results", b"AUTHENTICATION-RESULTS ", b"Authentication-Results\r\n "]
)
def test_no_spelling_of_the_fields_name_hides_it(name: bytes) -> None:
    raw = name + b": mx.care.example; spf=pass\r\n\r\n"
    assert len(strip_spans(split_message(raw)[0], OURS)) == 1


@pytest.mark.parametrize(
    "value",
    [b" mx.other.example; spf=pass", b" notmx.care.example; spf=pass", b" mx.google.com;\r\n dkim=pass header.d=x"],
)
def test_what_others_say_under_their_own_plain_name_is_left(value: bytes) -> None:
    assert strip_spans(split_message(b"Authentication-Results:" + value + b"\r\n\r\n")[0], OURS) == []


def test_every_span_is_found_and_points_into_the_original() -> None:
    forged = b"Authentication-Results: mx.care.example; spf=pass\r\n"
    raw = forged + b"From: a@b\r\n" + forged + b"X: " + b"y" * 50 + b"\r\n" + forged + b"\r\nbody"
    spans = strip_spans(split_message(raw)[0], OURS)
    assert [raw[start:end] for start, end in spans] == [forged] * 3
