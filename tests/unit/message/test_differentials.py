"""M3: shapes in which two readers see two messages. Each is seen through, or said to be odd, or both."""

import base64

import pytest

from carepost.message.model import Defect, Message
from carepost.message.parse import parse
from carepost.message.second_reading import disagreements, second_reading

PAYLOAD = b"this is the attachment that somebody wants to hide from the scanner"
ENCODED = base64.b64encode(PAYLOAD)
HEAD = b"From: a@a.example\r\nMIME-Version: 1.0\r\n"
MIXED = HEAD + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
FILE = b'Content-Type: application/x-thing; name="a.docm"\r\nContent-Disposition: attachment; filename="a.docm"\r\n'
FILE64 = FILE + b"Content-Transfer-Encoding: base64\r\n\r\n" + ENCODED + b"\r\n"
TEXT = b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n"


def _file(fields: bytes, body: bytes = ENCODED) -> bytes:
    return MIXED + TEXT + b"--b\r\n" + fields + b"\r\n" + body + b"\r\n--b--\r\n"


# shape: (the bytes, the defect that says so, whether we still find the attachment)
SHAPES: dict[str, tuple[bytes, Defect, bool]] = {
    "two content types, the innocent one first": (
        _file(
            b"Content-Type: text/plain\r\nContent-Type: application/x-thing\r\nContent-Transfer-Encoding: base64\r\n"
        ),
        Defect.DUPLICATE_CONTENT_TYPE,
        True,
    ),
    "two content types of the message": (
        HEAD
        + b"Content-Type: text/plain\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        + FILE64
        + b"--b--\r\n",
        Defect.DUPLICATE_CONTENT_TYPE,
        False,
    ),
    "two encodings": (
        _file(FILE + b"Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit\r\n"),
        Defect.DUPLICATE_ENCODING,
        True,
    ),
    "two dispositions": (
        _file(FILE + b"Content-Disposition: inline\r\nContent-Transfer-Encoding: base64\r\n"),
        Defect.DUPLICATE_DISPOSITION,
        True,
    ),
    "two boundaries": (
        HEAD + b"Content-Type: multipart/mixed; boundary=b; boundary=c\r\n\r\n--b\r\n" + FILE64 + b"--b--\r\n",
        Defect.DUPLICATE_PARAMETER,
        True,
    ),
    "a boundary in two encodings": (
        HEAD
        + b"Content-Type: multipart/mixed; boundary=b; boundary*=us-ascii''c\r\n\r\n--b\r\n"
        + FILE64
        + b"--b--\r\n",
        Defect.DUPLICATE_PARAMETER,
        True,
    ),
    "a line that begins like the boundary": (
        MIXED + TEXT + b"--bb\r\n" + FILE64 + b"--b--\r\n",
        Defect.BOUNDARY_LOOKALIKE,
        False,
    ),
    "a boundary line with words behind it": (
        MIXED + TEXT + b"--b and more\r\n" + FILE64 + b"--b--\r\n",
        Defect.BOUNDARY_LOOKALIKE,
        False,
    ),
    "no mime version": (
        b"From: a@a.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + FILE64 + b"--b--\r\n",
        Defect.NO_MIME_VERSION,
        True,
    ),
    "a comment in the encoding": (
        _file(FILE + b"Content-Transfer-Encoding: base64 (7bit)\r\n"),
        Defect.COMMENT_IN_MIME_HEADER,
        True,
    ),
    "a comment before the encoding": (
        _file(FILE + b"Content-Transfer-Encoding: (7bit) base64\r\n"),
        Defect.COMMENT_IN_MIME_HEADER,
        True,
    ),
    "a comment in the media type": (
        HEAD + b"Content-Type: multipart/(text)mixed; boundary=b\r\n\r\n--b\r\n" + FILE64 + b"--b--\r\n",
        Defect.COMMENT_IN_MIME_HEADER,
        True,
    ),
    "padding in the middle of base64": (
        _file(
            FILE + b"Content-Transfer-Encoding: base64\r\n",
            base64.b64encode(PAYLOAD[:10]) + base64.b64encode(PAYLOAD[10:]),
        ),
        Defect.BAD_BASE64,
        True,
    ),
    "characters outside the alphabet in base64": (
        _file(FILE + b"Content-Transfer-Encoding: base64\r\n", ENCODED[:9] + b"!.-" + ENCODED[9:]),
        Defect.BAD_BASE64,
        True,
    ),
    "spaces and commas in base64": (
        _file(FILE + b"Content-Transfer-Encoding: base64\r\n", b", ".join([ENCODED[:20], ENCODED[20:]])),
        Defect.BAD_BASE64,
        True,
    ),
    "an encoding with a misspelt name": (
        _file(FILE + b"Content-Transfer-Encoding: base-64\r\n"),
        Defect.UNKNOWN_ENCODING,
        True,
    ),
    "an encoding nobody knows": (
        _file(FILE + b"Content-Transfer-Encoding: yenc\r\n", PAYLOAD),
        Defect.UNKNOWN_ENCODING,
        True,
    ),
    "quoted-printable with wrong escapes": (
        _file(FILE + b"Content-Transfer-Encoding: quoted-printable\r\n", b"=ZZ=\r\n" + PAYLOAD),
        Defect.BAD_QUOTED_PRINTABLE,
        False,
    ),
    "two file names, plain and extended": (
        _file(
            b"Content-Disposition: attachment; filename=a.txt; filename*=utf-8''a.docm\r\nContent-Transfer-Encoding: base64\r\n"
        ),
        Defect.FILENAME_CONFLICT,
        True,
    ),
    "two file names, in two fields": (
        _file(
            b"Content-Type: application/x-thing; name=a.docm\r\nContent-Disposition: attachment; filename=a.txt\r\nContent-Transfer-Encoding: base64\r\n"
        ),
        Defect.FILENAME_CONFLICT,
        True,
    ),
    "an encoded word as the file name": (
        _file(
            b'Content-Disposition: attachment; filename="=?utf-8?b?YS5kb2Nt?="\r\nContent-Transfer-Encoding: base64\r\n'
        ),
        Defect.FILENAME_ENCODED_WORD,
        True,
    ),
    "a uuencoded file in the text": (
        HEAD + b"Content-Type: text/plain\r\n\r\nhello\r\nbegin 644 a.docm\r\n#86)C\r\n`\r\nend\r\n",
        Defect.UUENCODED,
        False,
    ),
    "a yencoded file in the text": (
        HEAD
        + b"Content-Type: text/plain\r\n\r\nhello\r\n=ybegin line=128 size=3 name=a.docm\r\nabc\r\n=yend size=3\r\n",
        Defect.YENCODED,
        False,
    ),
    "a fragment of a message": (
        HEAD + b'Content-Type: message/partial; id="x@y"; number=1; total=2\r\n\r\nSubject: inner\r\n\r\nx\r\n',
        Defect.MESSAGE_PARTIAL,
        False,
    ),
    "a body somewhere else": (
        HEAD
        + b'Content-Type: message/external-body; access-type=URL; URL="http://x.example/a"\r\n\r\nContent-Type: text/plain\r\n\r\n',
        Defect.EXTERNAL_BODY,
        False,
    ),
    "a part behind the closing line": (
        MIXED + TEXT + b"--b--\r\n--b\r\n" + FILE64 + b"--b--\r\n",
        Defect.PARTS_AFTER_CLOSE,
        False,
    ),
    "the same boundary twice": (
        MIXED + b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + FILE64 + b"--b--\r\n",
        Defect.BOUNDARY_REUSED,
        True,
    ),
    "base64 around the parts": (
        HEAD
        + b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\n--b\r\n"
        + FILE64
        + b"--b--\r\n",
        Defect.MULTIPART_ENCODED,
        True,
    ),
    "base64 around a message": (
        _file(
            b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n",
            base64.b64encode(b"Subject: x\r\n\r\n" + PAYLOAD),
        ),
        Defect.MESSAGE_ENCODED,
        True,
    ),
    "a multipart without a boundary": (
        HEAD + b"Content-Type: multipart/mixed\r\n\r\n--b\r\n" + FILE64 + b"--b--\r\n",
        Defect.NO_BOUNDARY,
        False,
    ),
    "a boundary that never comes": (
        HEAD + b"Content-Type: multipart/mixed; boundary=c\r\n\r\n--b\r\n" + FILE64 + b"--b--\r\n",
        Defect.BOUNDARY_NEVER_FOUND,
        False,
    ),
    "a boundary that is never closed": (MIXED + TEXT + b"--b\r\n" + FILE64, Defect.BOUNDARY_NEVER_CLOSED, True),
    "an unquoted boundary with a space": (
        HEAD + b"Content-Type: multipart/mixed; boundary=b c\r\n\r\n--b c\r\n" + FILE64 + b"--b c--\r\n",
        Defect.ODD_BOUNDARY,
        True,
    ),
    "an unquoted boundary with brackets": (
        HEAD + b"Content-Type: multipart/mixed; boundary=b<c>\r\n\r\n--b<c>\r\n" + FILE64 + b"--b<c>--\r\n",
        Defect.ODD_BOUNDARY,
        True,
    ),
    "a boundary of 80 characters": (
        HEAD + b"Content-Type: multipart/mixed; boundary=" + b"b" * 80 + b"\r\n\r\n--" + b"b" * 80 + b"\r\n" + FILE64,
        Defect.ODD_BOUNDARY,
        True,
    ),
    "space before the colon": (
        b"From: a@a.example\r\nMIME-Version: 1.0\r\nContent-Type : multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        + FILE64
        + b"--b--\r\n",
        Defect.SPACE_BEFORE_COLON,
        True,
    ),
    "noise among the headers": (
        b"From: a@a.example\r\nMIME-Version: 1.0\r\nnoise\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        + FILE64
        + b"--b--\r\n",
        Defect.BAD_HEADER_LINE,
        True,
    ),
    "no blank line before the first part": (
        b"From: a@a.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n--b\r\n"
        + FILE64
        + b"--b--\r\n",
        Defect.NO_BLANK_LINE,
        True,
    ),
    "a media type that is none": (
        _file(b"Content-Type: thing\r\nContent-Transfer-Encoding: base64\r\n"),
        Defect.BAD_CONTENT_TYPE,
        True,
    ),
    "a missing semicolon": (
        HEAD + b"Content-Type: multipart/mixed boundary=b\r\n\r\n--b\r\n" + FILE64 + b"--b--\r\n",
        Defect.BAD_CONTENT_TYPE,
        True,
    ),
    "a bare line feed before the boundary": (
        MIXED + TEXT.removesuffix(b"\r\n") + b"\n--b\r\n" + FILE64 + b"--b--\r\n",
        Defect.BARE_LF,
        True,
    ),
    "a bare carriage return before the boundary": (
        MIXED + TEXT.removesuffix(b"\r\n") + b"\r--b\r\n" + FILE64 + b"--b--\r\n",
        Defect.BARE_CR,
        False,
    ),
    "a NUL in the boundary line": (MIXED + TEXT + b"--b\0\r\n" + FILE64 + b"--b--\r\n", Defect.NUL, False),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_that_readers_differ_on_is_reported(shape: str) -> None:
    raw, defect, _ = SHAPES[shape]
    assert defect in parse(raw).defects


@pytest.mark.parametrize("shape", [name for name, (_, _, found) in SHAPES.items() if found])
def test_the_attachment_is_found_nevertheless(shape: str) -> None:
    assert PAYLOAD in _everything_decoded(parse(SHAPES[shape][0]))


def _everything_decoded(message: Message) -> bytes:
    return b"\n".join(message.body_bytes(part) for _, part in message.leaves())


def test_an_honest_message_has_no_defect_and_no_disagreement() -> None:
    raw = MIXED + TEXT + b"--b\r\n" + FILE64 + b"--b--\r\n"
    message = parse(raw)
    assert message.defects == frozenset()
    assert disagreements(message, second_reading(raw)) == []
    assert PAYLOAD in _everything_decoded(message)


@pytest.mark.parametrize(
    "form",
    [
        b'boundary="b"',
        b"boundary=b",
        b"BOUNDARY=b",
        b"boundary = b",
        b"charset=us-ascii; boundary=b",
        b'x="a;boundary=c"; boundary=b',
        b"boundary*=us-ascii''b",
        b"boundary*0=b",
        b'boundary="b" ;',
        b";; boundary=b",
        b'boundary="b',
    ],
)
def test_a_boundary_is_found_however_it_is_written(form: bytes) -> None:
    message = parse(HEAD + b"Content-Type: multipart/mixed; " + form + b"\r\n\r\n--b\r\n" + FILE64 + b"--b--\r\n")
    assert PAYLOAD in _everything_decoded(message)


@pytest.mark.parametrize("line", [b"--b\r\n", b"--b \r\n", b"--b\t\r\n", b"--b\n"])
def test_white_space_behind_a_boundary_is_part_of_its_line(line: bytes) -> None:
    assert PAYLOAD in _everything_decoded(parse(MIXED + TEXT + line + FILE64 + b"--b--\r\n"))
