"""The tree of parts: RFC 2046's rules, offsets, section numbers."""

import pytest
from tests.unit.message.spans import spans_are_nested

from carepost.message.model import Defect
from carepost.message.parse import ParseLimits, parse

HEAD = b"From: a@a.example\r\nMIME-Version: 1.0\r\n"
FORWARD = (
    HEAD
    + b'Content-Type: multipart/mixed; boundary="o"\r\n\r\n'
    + b"--o\r\n\r\nsee below\r\n"
    + b"--o\r\nContent-Type: message/rfc822\r\n\r\n"
    + b"From: b@b.example\r\nSubject: inner\r\nMIME-Version: 1.0\r\n"
    + b'Content-Type: multipart/alternative; boundary="i"\r\n\r\n'
    + b"--i\r\nContent-Type: text/plain\r\n\r\nplain\r\n--i\r\nContent-Type: text/html\r\n\r\n<p>html</p>\r\n--i--\r\n"
    + b"--o\r\nContent-Type: message/rfc822\r\n\r\nSubject: short\r\n\r\nonly text\r\n"
    + b"--o--\r\n"
)


def test_section_numbers_are_those_of_imap() -> None:
    message = parse(FORWARD)
    assert [(path, part.media_type) for path, part in message.walk()] == [
        ("", "multipart/mixed"),
        ("1", "text/plain"),
        ("2", "message/rfc822"),
        ("2", "multipart/alternative"),
        ("2.1", "text/plain"),
        ("2.2", "text/html"),
        ("3", "message/rfc822"),
        ("3.1", "text/plain"),
    ]
    assert [path for path, _ in message.leaves()] == ["1", "2.1", "2.2", "3.1"]
    assert message.defects == frozenset()


def test_a_part_is_found_by_its_section_number() -> None:
    message = parse(FORWARD)
    found = message.part_at("3.1")
    assert found is not None
    assert message.text(found) == "only text"
    second = message.part_at("2")
    assert second is not None
    assert second.message is not None
    assert message.subject_of(second.message) == "inner"
    assert message.part_at("9") is None


def test_the_line_end_before_a_boundary_is_not_the_parts() -> None:
    raw = HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n\r\n--b\r\n\r\ntwo\r\n--b--"
    message = parse(raw)
    assert [message.body_bytes(part) for _, part in message.leaves()] == [b"one\r\n", b"two"]


def test_line_feeds_alone_are_read_too() -> None:
    raw = FORWARD.replace(b"\r\n", b"\n")
    message = parse(raw)
    assert [path for path, _ in message.leaves()] == ["1", "2.1", "2.2", "3.1"]
    assert message.defects == {Defect.BARE_LF}


def test_mixed_line_ends_are_read_too() -> None:
    raw = FORWARD.replace(b"\r\n--", b"\n--")
    assert [path for path, _ in parse(raw).leaves()] == ["1", "2.1", "2.2", "3.1"]


def test_preamble_and_epilogue_are_nobodys() -> None:
    raw = HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\n\r\nx\r\n--b--\r\npost\r\n"
    message = parse(raw)
    assert [message.body_bytes(part) for _, part in message.leaves()] == [b"x"]
    assert message.raw[message.root.body.start : message.root.body.end].endswith(b"post\r\n")


def test_the_boundary_may_be_the_very_first_line_of_the_body_or_of_a_nested_one() -> None:
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=c\n\n"
        b"--c\n\ninner\n--c--\n--b--\n"
    )
    assert [(path, parse(raw).body_bytes(part)) for path, part in parse(raw).leaves()] == [("1.1", b"inner")]


@pytest.mark.parametrize(("outer", "inner"), [(b"b", b"bb"), (b"bb", b"b"), (b"b", b"b-"), (b"b", b"b--")])
def test_a_boundary_that_begins_another_does_not_split_it(outer: bytes, inner: bytes) -> None:
    raw = b"Content-Type: multipart/mixed; boundary=%s\n\n--%s\nContent-Type: multipart/mixed; boundary=%s\n\n" % (
        outer,
        outer,
        inner,
    )
    raw += b"--%s\n\none\n--%s\n\ntwo\n--%s--\n--%s\n\nthree\n--%s--\n" % (inner, inner, inner, outer, outer)
    message = parse(raw)
    leaves = [(path, message.body_bytes(part)) for path, part in message.leaves()]
    if (
        inner == b"b--"
    ):  # its line is also the outer one's closing line: RFC 2046 leaves no other reading than one of two
        assert leaves[0] == ("1.1", b"one")
    else:
        assert leaves == [("1.1", b"one"), ("1.2", b"two"), ("2", b"three")]


def test_an_outer_boundary_ends_an_unclosed_inner_multipart() -> None:
    raw = b"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\none\n--a\n\ntwo\n--a--\n"
    message = parse(raw)
    assert [(path, message.body_bytes(part)) for path, part in message.leaves()] == [("1.1", b"one"), ("2", b"two")]
    assert Defect.BOUNDARY_NEVER_CLOSED in message.defects


def test_a_digests_parts_are_messages_by_default() -> None:
    raw = HEAD + b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: one\r\n\r\nx\r\n--b--\r\n"
    message = parse(raw)
    (first,) = message.root.children
    assert first.media_type == "message/rfc822"
    assert first.message is not None
    assert message.subject_of(first.message) == "one"


def test_a_boundary_inside_a_parts_header_ends_the_header() -> None:
    raw = (
        HEAD
        + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n--b\r\n\r\nx\r\n--b--\r\n"
    )
    message = parse(raw)
    assert [(part.media_type, message.body_bytes(part)) for _, part in message.leaves()] == [
        ("text/html", b""),
        ("text/plain", b"x"),
    ]


@pytest.mark.parametrize(
    ("raw", "body", "names"),
    [
        (b"", b"", []),
        (b"\r\n", b"", []),
        (b"\r\nhello", b"hello", []),
        (b"hello world", b"hello world", []),
        (b"hello world\r\n\r\nmore", b"hello world\r\n\r\nmore", []),
        (b"Subject: x", b"", ["subject"]),
        (b"Subject: x\r\nhello\r\n", b"hello\r\n", ["subject"]),
        (b"Subject: x\r\n\r\n", b"", ["subject"]),
        (b"From a@b Sun Nov 22\r\nSubject: x\r\n\r\nb", b"b", ["", "subject"]),
        (b"Subject: x\r\nnoise\r\nTo: y\r\n\r\nb", b"b", ["subject", "", "to"]),
        (b"Subject: x\r\n y\r\n\tz\r\n\r\nb", b"b", ["subject"]),
        (b"Subject: x\n\r\nb", b"b", ["subject"]),
        (b": x\r\n\r\nb", b": x\r\n\r\nb", []),
    ],
)
def test_header_and_body_are_told_apart(raw: bytes, body: bytes, names: list[str]) -> None:
    message = parse(raw)
    assert raw[message.root.body.start : message.root.body.end] == body
    assert [header.name for header in message.root.headers] == names


def test_a_multipart_without_parts_is_text_to_read() -> None:
    message = parse(HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\nhello\r\n")
    ((path, part),) = message.leaves()
    assert (path, part.media_type, message.text(part)) == ("1", "text/plain", "hello\r\n")


def test_limits_are_settings() -> None:
    message = parse(FORWARD, ParseLimits(depth=1))
    assert Defect.TOO_DEEP in message.defects
    assert [part.media_type for _, part in message.leaves()] == [
        "text/plain",
        "application/octet-stream",
        "application/octet-stream",
    ]
    assert Defect.TOO_MANY_PARTS in parse(FORWARD, ParseLimits(parts=3)).defects
    assert Defect.TOO_MANY_HEADERS in parse(FORWARD, ParseLimits(headers=1)).defects


def test_a_header_beyond_the_cap_is_kept_and_not_read() -> None:
    raw = b"X-Pad: " + b"x" * 200 + b"\r\nSubject: late\r\n\r\nbody"
    message = parse(raw, ParseLimits(header_bytes=100))
    assert message.subject == ""
    assert message.raw[message.root.header.start : message.root.header.end].endswith(b"late\r\n\r\n")
    assert message.text(message.root) == "body"


def test_lines_are_counted_where_imap_asks() -> None:
    message = parse(FORWARD)
    assert {path: part.lines for path, part in message.leaves()} == {"1": 0, "2.1": 0, "2.2": 0, "3.1": 0}
    text = parse(b"\r\none\r\ntwo\r\n")
    assert text.root.lines == 2


def test_two_authors_without_a_sender_are_reported() -> None:
    assert Defect.MULTIPLE_FROM in parse(b"From: a@a.example, b@b.example\r\n\r\n").defects
    assert Defect.MULTIPLE_FROM in parse(b"From: a@a.example\r\nFrom: b@b.example\r\n\r\n").defects
    assert Defect.MULTIPLE_FROM not in parse(b"From: a@a.example, b@b.example\r\nSender: a@a.example\r\n\r\n").defects
    assert Defect.MULTIPLE_FROM not in parse(b"From: Ward 7, Trust <a@a.example>\r\n\r\n").defects


def test_a_comma_in_a_name_without_quotes_leaves_the_address() -> None:
    message = parse(b"From: Ward 7, Trust <a@a.example>\r\n\r\n")
    assert [author.address for author in message.authors()] == ["a@a.example"]


def test_raw_eight_bit_headers_are_reported_unless_utf8() -> None:
    assert Defect.EIGHT_BIT_HEADER in parse(b"Subject: caf\xe9\r\n\r\n").defects
    assert Defect.EIGHT_BIT_HEADER not in parse("Subject: café\r\n\r\n".encode()).defects


@pytest.mark.parametrize(
    ("fields", "is_attachment"),
    [
        (b"Content-Type: text/plain", False),
        (b"Content-Type: text/html", False),
        (b"Content-Type: text/plain; name=a.txt", True),
        (b"Content-Type: text/plain\r\nContent-Disposition: attachment", True),
        (b"Content-Type: text/plain; name=a.txt\r\nContent-Disposition: inline", False),
        (b"Content-Type: image/png\r\nContent-ID: <x>", False),
        (b"Content-Type: image/png", True),
        (b"Content-Type: application/pdf", True),
        (b"Content-Type: text/calendar", True),
    ],
)
def test_what_is_to_be_opened_is_told_from_what_is_to_be_read(fields: bytes, is_attachment: bool) -> None:
    assert parse(fields + b"\r\n\r\nx").root.is_attachment() is is_attachment


def test_spans_of_a_forwarded_message_are_nested() -> None:
    assert spans_are_nested(parse(FORWARD))
