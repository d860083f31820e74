"""What lists show of a message."""

import msgspec
import pytest

from carepost.message.parse import parse
from carepost.message.summary import Summary, decode, encode, summarise


def _summary(*fields: bytes, body: bytes = b"hello\r\n") -> Summary:
    return summarise(parse(b"\r\n".join([*fields, b"", body])))


def test_a_summary_tells_who_what_and_when() -> None:
    summary = _summary(
        b"From: Dr A. Shah <a@b.example>",
        b"To: Ward 7 <w@t.example>, g: x@y.example;",
        b"Cc: c@d.example",
        b"Subject: =?utf-8?q?caf=C3=A9?=",
        b"Date: Sun, 22 Nov 2026 09:00:00 +0100",
        b"Message-ID: <2@x>",
        b"References: <1@x>",
    )
    assert (summary.sender_name, summary.sender_address) == ("Dr A. Shah", "a@b.example")
    assert summary.to_shown == [("Ward 7", "w@t.example"), ("x@y.example", "x@y.example")]
    assert summary.cc_shown == [("c@d.example", "c@d.example")]
    assert (summary.subject, summary.preview) == ("café", "hello")
    assert summary.date == 1795334400
    assert (summary.message_id, summary.references) == ("<2@x>", ["<1@x>"])
    assert summary.defects == []


def test_a_name_that_lies_is_not_in_the_summary() -> None:
    summary = _summary(b'From: "ceo@trust.example" <x@evil.example>')
    assert (summary.sender_name, summary.sender_address) == ("x@evil.example", "x@evil.example")


def test_an_empty_message_has_an_empty_summary() -> None:
    summary = summarise(parse(b""))
    assert (summary.sender_name, summary.subject, summary.preview, summary.date) == ("", "", "", None)
    assert summary.attachments == []
    assert "no-from" in summary.defects


def test_an_attached_message_is_an_attachment_and_what_it_holds_is_not() -> None:
    inner = b"Content-Type: application/pdf; name=inner.pdf\r\n\r\nx"
    summary = _summary(
        b"From: a@b.example",
        b"Content-Type: multipart/mixed; boundary=b",
        body=b"--b\r\n\r\nsee\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
        + inner
        + b"\r\n--b\r\nContent-Type: application/zip; name=z.zip\r\n\r\nPK\r\n--b--\r\n",
    )
    assert [(path, name) for path, name, _, _ in summary.attachments] == [("2", "Attached message.eml"), ("3", "z.zip")]


def test_a_picture_within_the_text_is_no_attachment() -> None:
    summary = _summary(
        b"Content-Type: multipart/related; boundary=b",
        body=b"--b\r\nContent-Type: text/html\r\n\r\n<img src=cid:x>hello\r\n--b\r\nContent-Type: image/png; name=logo.png\r\nContent-ID: <x>\r\n\r\nx\r\n--b--\r\n",
    )
    assert summary.attachments == []


@pytest.mark.parametrize(
    ("content_type", "body", "preview"),
    [
        (b"text/plain", b"  hello\r\n\r\n  world  ", "hello world"),
        (b"text/plain", b"> quoted\r\nanswer\r\n-- \r\nsignature", "answer signature"),
        (b"text/html", b"<style>p{}</style><p>hel<b>lo</b></p><p>world &amp; all</p>", "hello world & all"),
        (b"text/html", b"<!-- no --><script>no</script>yes", "yes"),
        (b"text/html", b"before<script>never closed", "before"),
        (b"text/plain", b"x" * 500, "x" * 200),
        (b"application/pdf", b"%PDF", ""),
    ],
)
def test_the_preview_is_what_a_reader_would_see_first(content_type: bytes, body: bytes, preview: str) -> None:
    assert _summary(b"Content-Type: " + content_type, body=body).preview == preview


def test_anything_else_is_no_summary() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(b"\x93\x01\x02\x03")


def test_an_older_summary_with_fewer_fields_would_be_refused_rather_than_guessed() -> None:
    shorter = msgspec.msgpack.encode(msgspec.msgpack.decode(encode(summarise(parse(b""))))[:-1])
    with pytest.raises(msgspec.ValidationError):
        decode(shorter)
