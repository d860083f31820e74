"""Reports that others write, as they write them. RFC 3464."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carepost.message.dsn import DsnAction, read_dsn
from carepost.message.parse import parse

POSTFIX = b"""From: MAILER-DAEMON@mx.webmail.example (Mail Delivery System)\r
Subject: Undelivered Mail Returned to Sender\r
To: sam.ray@riverside.example\r
Auto-Submitted: auto-replied\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status;\r
\tboundary="X"\r
\r
--X\r
Content-Description: Notification\r
Content-Type: text/plain; charset=us-ascii\r
\r
This is the mail system.\r
\r
--X\r
Content-Description: Delivery report\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; mx.webmail.example\r
X-Postfix-Queue-ID: 4XbT1\r
Original-Envelope-Id: 7Q2M4X8D\r
Arrival-Date: Sun, 22 Nov 2026 09:00:00 +0000 (UTC)\r
\r
Final-Recipient: rfc822; Pat@webmail.example\r
Original-Recipient: rfc822;pat@old.example\r
Action: failed\r
Status: 5.2.2\r
Remote-MTA: dns; store.webmail.example\r
Diagnostic-Code: smtp; 552 5.2.2\r
    The mailbox is full\r
\r
Final-Recipient: rfc822; lee@webmail.example\r
Action: delayed\r
Status: 4.4.1 (later)\r
\r
--X\r
Content-Description: Undelivered Message\r
Content-Type: message/rfc822\r
\r
From: sam.ray@riverside.example\r
Message-ID:\r
 <one@riverside.example>\r
Subject: x\r
\r
body\r
--X--\r
"""


def test_a_report_is_read_recipient_by_recipient() -> None:
    found = read_dsn(parse(POSTFIX))
    assert found is not None
    assert (found.envid, found.about) == ("7Q2M4X8D", "<one@riverside.example>")
    first, second = found.recipients
    assert (first.address, first.original, first.action, first.status) == (
        "Pat@webmail.example",
        "pat@old.example",
        DsnAction.FAILED,
        "5.2.2",
    )
    assert (first.remote, first.diagnostic) == ("store.webmail.example", "552 5.2.2 The mailbox is full")
    assert (second.address, second.action, second.status) == ("lee@webmail.example", DsnAction.DELAYED, "4.4.1")


def test_a_report_with_headers_only_is_read_too() -> None:
    raw = POSTFIX.replace(b"message/rfc822", b"text/rfc822-headers")
    found = read_dsn(parse(raw))
    assert found is not None
    assert found.about == "<one@riverside.example>"


@pytest.mark.parametrize(
    "broken",
    [
        POSTFIX.replace(b"multipart/report", b"multipart/mixed"),
        POSTFIX.replace(b"message/delivery-status", b"text/plain"),
        POSTFIX.replace(b"Action: failed", b"Action: exploded").replace(b"Action: delayed", b"Action:"),
        POSTFIX.replace(b"Final-Recipient", b"X-Final").replace(b"Original-Recipient", b"X-Original"),
        b"",
    ],
)
def test_what_is_no_report_is_none(broken: bytes) -> None:
    assert read_dsn(parse(broken)) is None


def test_a_report_of_ten_thousand_recipients_is_read_to_its_bound() -> None:
    block = b"Final-Recipient: rfc822; a@b.example\r\nAction: failed\r\nStatus: 5.0.0\r\n\r\n"
    head = b"MIME-Version: 1.0\r\nContent-Type: multipart/report; boundary=X\r\n\r\n--X\r\nContent-Type: message/delivery-status\r\n\r\n"
    found = read_dsn(parse(head + b"Reporting-MTA: dns; x\r\n\r\n" + block * 10_000 + b"--X--\r\n"))
    assert found is not None
    assert len(found.recipients) <= 1_000


@given(st.binary(max_size=300))
def test_nothing_in_a_report_makes_reading_fail(noise: bytes) -> None:
    at = POSTFIX.index(b"Reporting-MTA")
    read_dsn(parse(POSTFIX[:at] + noise + POSTFIX[at:]))
    read_dsn(parse(POSTFIX[:at] + noise))
