"""Return-Path and Received."""

from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carepost.base.address import Domain, EmailAddress
from carepost.base.ids import MailboxId, OrganisationId, TraceId
from carepost.gateway.model import Connection, Recipient, TlsFacts, Via
from carepost.protocols.smtp.trace_fields import Hop, trace_fields

JO = Recipient(address=EmailAddress.parse("jo@care.example"), mailbox=MailboxId(1), organisation=OrganisationId(1))
TLS = TlsFacts(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384")


def connection(**changes: object) -> Connection:
    facts: dict[str, object] = {
        "client_ip": ip_address("192.0.2.7"),
        "client_name": "out.example",
        "hello": "out.example",
        "tls": None,
        "via": Via.SMTP,
        "local_name": "mx.care.example",
    }
    return Connection(**{**facts, **changes})  # type: ignore[arg-type]


def hop(**changes: object) -> Hop:
    facts: dict[str, object] = {
        "trace": TraceId("W75WM41M301REQ83F5AW"),
        "reverse_path": EmailAddress.parse("ann@out.example"),
        "recipients": (JO,),
        "smtputf8": False,
        "extended": True,
        "at": datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
    }
    return Hop(**{**facts, **changes})  # type: ignore[arg-type]


def test_both_fields() -> None:
    assert trace_fields(connection(tls=TLS), hop()) == (
        b"Return-Path: <ann@out.example>\r\n"
        b"Received: from out.example (out.example [192.0.2.7])\r\n"
        b"\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n"
        b"\tby mx.care.example (Carepost) with ESMTPS\r\n"
        b"\tid W75WM41M301REQ83F5AW for <jo@care.example>; Sun, 22 Nov 2026 09:30:00 +0000\r\n"
    )


def test_a_report_has_an_empty_return_path() -> None:
    assert trace_fields(connection(), hop(reverse_path=None)).startswith(b"Return-Path: <>\r\n")


def test_several_recipients_are_not_named() -> None:
    assert b" for " not in trace_fields(connection(), hop(recipients=(JO, JO)))


@pytest.mark.parametrize(
    ("via", "tls", "smtputf8", "extended", "name"),
    [
        (Via.SMTP, None, False, False, b"SMTP"),
        (Via.SMTP, None, False, True, b"ESMTP"),
        (Via.SMTP, TLS, False, True, b"ESMTPS"),
        (Via.SMTP, None, True, True, b"UTF8SMTP"),
        (Via.SMTP, TLS, True, True, b"UTF8SMTPS"),
        (Via.LMTP, None, False, True, b"LMTP"),
        (Via.LMTP, TLS, False, True, b"LMTPS"),
        (Via.LMTP, TLS, True, True, b"UTF8LMTPS"),
    ],
)
def test_the_protocol_is_named_as_the_registry_does(
    via: Via, tls: TlsFacts | None, smtputf8: bool, extended: bool, name: bytes
) -> None:
    fields = trace_fields(connection(via=via, tls=tls), hop(smtputf8=smtputf8, extended=extended))
    assert b" with " + name + b"\r\n" in fields


def test_an_ipv6_client_is_marked_as_one() -> None:
    fields = trace_fields(connection(client_ip=ip_address("2001:db8::1"), client_name=None), hop())
    assert b"(unknown [IPv6:2001:db8::1])" in fields


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_no_word_of_a_stranger_ends_a_field(hello: str, name: str, local: str) -> None:
    sender = EmailAddress(local, Domain("out.example"))
    fields = trace_fields(connection(hello=hello, client_name=name), hop(reverse_path=sender))
    lines = fields.decode().split("\r\n")
    assert lines.pop() == ""
    assert len(lines) == 4
    assert [line[:1] for line in lines] == ["R", "R", "\t", "\t"]
    assert all(line.removeprefix("\t").isprintable() for line in lines)
    assert lines[1].count("(") == lines[1].count(")") == 1
