"""ENVELOPE and BODYSTRUCTURE as data (RFC 9051 §7.5.2)."""

from carepost.message.parse import parse
from carepost.message.structure import ENVELOPE_ADDRESSES_MAX, body_structure, envelope

RAW = (
    b"Date: Sun, 22 Nov 2026 09:00:00 +0000\r\n"
    b"Subject: =?utf-8?q?caf=C3=A9?=\r\n folded\r\n"
    b'From: "Shah, A." <a.shah@riverside.example>\r\n'
    b"To: Ward 7: w7@trust.example, Night <n@trust.example>;, x@y.example\r\n"
    b"Cc: caf\xe9 <c@d.example>, nobody\r\n"
    b"In-Reply-To: <0@x>\r\nMessage-ID: <1@x>\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Language: en, cy\r\nContent-MD5: Q2hlY2s=\r\n\r\none\r\ntwo\r\n--b\r\n"
    b"Content-Type: application/pdf; name*=utf-8''%C3%A9.pdf\r\nContent-ID: <cid@x>\r\nContent-Description: A letter\r\n"
    b'Content-Disposition: attachment; filename="e.pdf"\r\nContent-Location: http://x.example/\r\n'
    b"Content-Transfer-Encoding: BASE64\r\n\r\nQUJD\r\n--b\r\n"
    b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\nFrom: i@x.example\r\n\r\nhello\r\n--b--\r\n"
)


def test_an_envelope_holds_the_senders_octets() -> None:
    found = envelope(parse(RAW))
    assert found.subject == b"=?utf-8?q?caf=C3=A9?= folded"
    assert found.date == b"Sun, 22 Nov 2026 09:00:00 +0000"
    assert found.from_ == [(b"Shah, A.", None, b"a.shah", b"riverside.example")]
    assert found.sender == found.reply_to == found.from_
    assert found.cc == [(b"caf\xe9", None, b"c", b"d.example"), (None, None, b"nobody", b"")]
    assert found.bcc == []
    assert (found.in_reply_to, found.message_id) == (b"<0@x>", b"<1@x>")


def test_a_group_has_its_marks_in_the_envelope() -> None:
    assert envelope(parse(RAW)).to == [
        (None, None, b"Ward 7", None),
        (None, None, b"w7", b"trust.example"),
        (b"Night", None, b"n", b"trust.example"),
        (None, None, None, None),
        (None, None, b"x", b"y.example"),
    ]


def test_an_absent_field_is_nil() -> None:
    found = envelope(parse(b"\r\n"))
    assert (found.date, found.subject, found.in_reply_to, found.message_id) == (None, None, None, None)
    assert found.from_ == found.to == []


def test_every_node_knows_where_it_lies() -> None:
    text, pdf, forwarded = body_structure(parse(RAW)).children
    assert RAW[text.body_start : text.body_end] == b"one\r\ntwo"
    assert (text.size, text.lines) == (8, 1)
    assert RAW[pdf.header_start : pdf.header_end].startswith(b"Content-Type: application/pdf")
    assert RAW[pdf.header_start : pdf.header_end].endswith(b"\r\n\r\n")
    assert forwarded.message is not None
    assert RAW[forwarded.message.body_start : forwarded.message.body_end] == b"hello"


def test_a_nodes_fields_are_those_of_the_wire() -> None:
    text, pdf, _ = body_structure(parse(RAW)).children
    assert (text.kind, text.subtype, text.params) == (b"text", b"plain", [(b"charset", b"utf-8")])
    assert (text.language, text.md5, text.encoding) == ([b"en", b"cy"], b"Q2hlY2s=", b"7bit")
    assert pdf.params == [(b"name*", b"utf-8''%C3%A9.pdf")]
    assert pdf.disposition == (b"attachment", [(b"filename", b"e.pdf")])
    assert (pdf.content_id, pdf.description, pdf.location) == (b"<cid@x>", b"A letter", b"http://x.example/")
    assert pdf.encoding == b"base64"


def test_an_embedded_message_has_its_envelope_and_structure() -> None:
    node = body_structure(parse(RAW)).children[2]
    assert (node.kind, node.subtype) == (b"message", b"rfc822")
    assert node.envelope is not None
    assert node.envelope.subject == b"inner"
    assert node.message is not None
    assert (node.message.kind, node.message.params) == (b"text", [(b"charset", b"us-ascii")])


def test_what_imap_could_not_express_is_an_opaque_leaf() -> None:
    node = body_structure(parse(b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\n"))
    assert (node.kind, node.subtype, node.message) == (b"application", b"octet-stream", None)
    empty = body_structure(parse(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"))
    assert (empty.kind, empty.subtype, empty.params) == (b"text", b"plain", [(b"charset", b"us-ascii")])


def test_no_string_of_an_envelope_holds_a_line_end_or_nul() -> None:
    found = envelope(parse(b'Subject: a\0b\rc\r\nFrom: "x\ry\0" <a@b.example>\r\n\r\n'))
    assert found.subject == b"abc"
    assert found.from_[0][0] == b"xy"


def test_an_envelope_is_bounded() -> None:
    raw = b"To: " + b", ".join([b"a@b.example"] * 5_000) + b"\r\nSubject: " + b"x" * 50_000 + b"\r\n\r\n"
    found = envelope(parse(raw))
    assert len(found.to) == ENVELOPE_ADDRESSES_MAX
    assert found.subject is not None
    assert len(found.subject) == 8_192
