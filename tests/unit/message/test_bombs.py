"""M1: shapes that bring parsers to their knees cost ours a quarter of a second at most, and no memory to speak of."""

import re
import tracemalloc
from collections import deque
from functools import partial

import pytest
from tests.fakes.cpu_time import costs_less_than

from carepost.message import addresses, encodings, headers, parameters, second_reading, showing, threads, words
from carepost.message.model import Defect, Message, Part
from carepost.message.parse import parse
from carepost.message.summary import decode, encode, summarise
from carepost.message.words import search_text

CPU_MAX = 0.25  # seconds; M1
MEMORY_MAX = 50 * 1024 * 1024


def _head(*fields: bytes) -> bytes:
    return b"\r\n".join([b"From: a@a.example", b"Subject: s", *fields, b"", b""])


def _multipart(body: bytes, *fields: bytes) -> bytes:
    return _head(b"MIME-Version: 1.0", *fields, b'Content-Type: multipart/mixed; boundary="b"') + body


def _nested(depth: int) -> bytes:
    out = b"From: a@a.example\n"
    for level in range(depth):
        out += b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (level, level)
    return out + b"\nhello\n"


def _nested_messages(depth: int) -> bytes:
    return b"From: a@a.example\n" + b"Content-Type: message/rfc822\n\n" * depth + b"\nhello\n"


def _params(count: int, form: bytes) -> bytes:
    return b"Content-Type: text/plain" + b"".join(b";\r\n " + form % number for number in range(count))


def _word(count: int) -> bytes:
    return b"\r\n ".join([b"=?utf-8?q?=C3=A9?="] * count)


def _html(markup: bytes) -> bytes:
    return _head(b"MIME-Version: 1.0", b"Content-Type: text/html; charset=utf-8") + markup


BOMBS: dict[str, bytes] = {
    "a subject of one megabyte": b"From: a@a.example\r\nSubject: " + b"x" * 1_000_000 + b"\r\n\r\nhello\r\n",
    "a folded subject of one megabyte": b"From: a@a.example\r\nSubject: " + b"x\r\n " * 250_000 + b"\r\n\r\nhello\r\n",
    "256 kB of encoded words": b"From: a@a.example\r\nSubject: " + _word(13_000) + b"\r\n\r\nhello\r\n",
    "encoded words that never end": b"From: a@a.example\r\nSubject: " + b"=?utf-8?q?" * 26_000 + b"\r\n\r\nhello\r\n",
    "encoded words in a name": b"To: " + _word(13_000) + b" <a@a.example>\r\n\r\nhello\r\n",
    "437 kB of addresses": _head(b"To: " + b", ".join([b"Name <somebody@example.org>"] * 15_000)),
    "437 kB of bare addresses": _head(b"To: " + b",".join([b"a@b.c"] * 73_000)),
    "437 kB of commas": _head(b"To: " + b"," * 437_000),
    "437 kB of opening brackets": _head(b"To: " + b"<" * 437_000),
    "437 kB of quotes": _head(b"To: " + b'"' * 437_000),
    "437 kB of backslashes in quotes": _head(b'To: "' + b"\\" * 437_000),
    "437 kB of groups": _head(b"To: " + b"g: a@b.c; " * 43_700),
    "437 kB of colons": _head(b"To: " + b"a:" * 218_000),
    "many To fields": _head(*[b"To: a@b.example, c@d.example"] * 900),
    "213 kB of numbered parameters": _head(_params(8_000, b"filename*%d*=utf-8''%%41%%42")),
    "213 kB of plain parameters": _head(_params(16_000, b"p%d=v")),
    "a parameter of 213 kB": _head(b"Content-Type: text/plain; name=" + b"x" * 213_000),
    "213 kB of parameter quotes": _head(b"Content-Type: text/plain; name=" + b'"a' * 106_000),
    "213 kB of semicolons": _head(b"Content-Type: text/plain" + b";" * 213_000),
    "213 kB of percent signs": _head(b"Content-Disposition: attachment; filename*=utf-8''" + b"%41" * 71_000),
    "a media type followed by spaces": _head(b"Content-Type: text/plain" + b" " * 213_000 + b"x"),
    "a parameter followed by spaces": _head(b"Content-Type: text/plain; a=b" + b" " * 213_000 + b'"x'),
    "tabs and semicolons": _head(b"Content-Type: text/plain" + b"\t;" * 106_000),
    "a disposition of equals signs": _head(b"Content-Disposition: " + b" =" * 106_000),
    "an encoding of spaces and brackets": _head(b"Content-Transfer-Encoding: " + b" (" * 106_000),
    "one name of spaces": _head(b"To: a" + b" " * 400_000 + b"<a@b.example>"),
    "spaces between dots": _head(b"To: a" + b" ." * 200_000 + b"@b.example"),
    "800 kB of headers": b"".join(b"X-Header-%d: %s\r\n" % (n, b"v" * 800) for n in range(1_000)) + b"\r\nhello\r\n",
    "800 kB of empty headers": b"a:\r\n" * 200_000 + b"\r\nhello\r\n",
    "800 kB of lines without a colon": b"From: a@a.example\r\n" + b"nothing\r\n" * 90_000 + b"\r\nhello\r\n",
    "800 kB of Received lines, folded": b"Received: from a\r\n\tby b\r\n" * 32_000 + b"\r\nhello\r\n",
    "500 kB of empty parts": _multipart(b"--b\n" * 125_000),
    "500 kB of empty parts with blank lines": _multipart(b"--b\r\n\r\n" * 71_000),
    "10,000 parts": _multipart(b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n" * 10_000 + b"--b--\r\n"),
    "500 kB of closing lines": _multipart(b"--b--\n" * 83_000),
    "500 kB of lookalikes": _multipart(b"--b\n\nx\n" + b"--bb\n" * 100_000),
    "500 kB of dashes with two boundaries open": _multipart(
        b"--b\nContent-Type: multipart/mixed; boundary=c\n\n" + b"--x\n" * 125_000
    ),
    "a boundary of 100 kB": _head(b"Content-Type: multipart/mixed; boundary=" + b"b" * 100_000) + b"--b\n" * 1_000,
    "the same boundary all the way down": b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" * 10_000,
    "2 kB of nested comments": _head(b"To: " + b"(" * 1_000 + b")" * 1_000 + b" a@a.example"),
    "100 kB of nested comments": _head(b"To: " + b"(" * 50_000 + b")" * 50_000 + b" a@a.example"),
    "100 kB of nested comments in Content-Type": _head(b"Content-Type: text/plain " + b"(" * 100_000),
    "437 kB of comments": _head(b"To: " + b"(a)" * 146_000),
    "56 kB of nested multiparts": _nested(1_300),
    "nested messages": _nested_messages(10_000),
    "nested comments in the date": _head(b"Date: " + b"(" * 100_000),
    "spaces in the date": _head(b"Date: 1" + b" " * 100_000),
    "a References of 500 kB": _head(b"References: " + b"<a@b.example> " * 36_000),
    "a References of brackets": _head(b"References: " + b"<" * 500_000),
    "100,000 nested divs": _html(b"<div>" * 100_000),
    "500 kB of opening brackets in HTML": _html(b"<" * 500_000),
    "500 kB of little tags": _html(b"<a<b<i>" * 71_000),
    "500 kB of paragraphs": _html(b"<p>x</p>" * 62_000),
    "500 kB of unclosed scripts": _html(b"<script>" * 62_000),
    "500 kB of unclosed heads": _html(b"<head><title>" * 38_000),
    "500 kB of comments begun": _html(b"<!--" * 125_000),
    "500 kB of entities": _html(b"&#x41;" * 83_000),
    "500 kB of ampersands": _html(b"&" * 500_000),
    "500 kB of closing scripts": _html(b"<script></script" * 31_000),
    "padding in the middle of base64": _head(b"Content-Transfer-Encoding: base64") + b"QQ==" * 125_000,
    "500 kB of equals signs as quoted-printable": _head(b"Content-Transfer-Encoding: quoted-printable")
    + b"=" * 500_000,
    "500 kB of spaces as quoted-printable": _head(b"Content-Transfer-Encoding: quoted-printable")
    + b"="
    + b" \t" * 250_000,
    "500 kB of begin lines": _head() + b"begin 644 \n" * 45_000,
    "500 kB of carriage returns": b"\r" * 500_000,
    "500 kB of line feeds": b"\n" * 500_000,
    "500 kB of NUL": b"\0" * 500_000,
    "500 kB of spaces": b" " * 500_000,
    "500 kB of colons": b":" * 500_000,
    "500 kB of Re": b"Subject: " + b"Re: " * 125_000 + b"\r\n\r\nhello\r\n",
    "500 kB of subject brackets": b"Subject: " + b"[" * 500_000 + b"\r\n\r\nhello\r\n",
    "500 kB of at signs in a name": b'From: "' + b"a@" * 250_000 + b'" <a@a.example>\r\n\r\nhello\r\n',
}


def _everything(raw: bytes) -> Message:
    message = parse(raw)
    assert decode(encode(summarise(message)))
    search_text(message)
    return message


@pytest.mark.parametrize("shape", BOMBS)
def test_no_shape_costs_more_than_a_quarter_of_a_second(shape: str) -> None:
    raw = BOMBS[shape]
    message = costs_less_than(CPU_MAX, lambda: _everything(raw))
    assert message.raw == raw


@pytest.mark.parametrize("shape", BOMBS)
def test_no_shape_takes_fifty_megabytes(shape: str) -> None:
    raw = BOMBS[shape]
    tracemalloc.start()
    try:
        _everything(raw)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY_MAX


@pytest.mark.parametrize(
    ("shape", "defect"),
    [
        ("800 kB of headers", Defect.HEADER_TOO_LARGE),
        ("800 kB of empty headers", Defect.TOO_MANY_HEADERS),
        ("213 kB of plain parameters", Defect.TOO_MANY_PARAMETERS),
        ("500 kB of empty parts", Defect.TOO_MANY_PARTS),
        ("10,000 parts", Defect.TOO_MANY_PARTS),
        ("56 kB of nested multiparts", Defect.TOO_DEEP),
        ("nested messages", Defect.TOO_DEEP),
        ("a boundary of 100 kB", Defect.ODD_BOUNDARY),
        ("500 kB of lookalikes", Defect.BOUNDARY_LOOKALIKE),
    ],
)
def test_what_was_not_followed_is_said(shape: str, defect: Defect) -> None:
    assert defect in parse(BOMBS[shape]).defects


BOUNDED_BY_THEIR_CALLERS = {"_DATE", "_ASCTIME", "_ISO"}  # these see 300 characters of a field
FULL_MATCHES = {"_USUAL", "_SIMPLE", "_SECTION"}  # these are tried once, from the beginning
SEEDS = [
    "a",
    "<",
    "(",
    "\\",
    '"',
    " ",
    "\t",
    "=?u?q?",
    "a@",
    "1 ",
    "--",
    "Re:",
    "Re[",
    "<a",
    "</script",
    "<!--",
    "begin 644 ",
    "\n",
    " \n",
    "a=",
    "*0",
    ",",
    "< ",
    "a, ",
    "a;",
]


def _patterns() -> dict[str, re.Pattern[str] | re.Pattern[bytes]]:
    modules = [addresses, encodings, headers, parameters, showing, threads, words, second_reading]
    return {
        f"{module.__name__}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, re.Pattern) and name not in BOUNDED_BY_THEIR_CALLERS
    }


@pytest.mark.parametrize("name", _patterns())
def test_no_pattern_runs_away(name: str) -> None:
    """M12: 20 kB of what it half likes, in a time that a quadratic search would exceed many times over."""
    pattern = _patterns()[name]
    for seed in SEEDS:
        text = seed * (20_000 // len(seed)) + "!"
        subject: object = text if isinstance(pattern.pattern, str) else text.encode()
        if name.rpartition(".")[2] in FULL_MATCHES:
            costs_less_than(0.05, partial(pattern.fullmatch, subject))  # type: ignore[call-overload]
        else:
            costs_less_than(0.05, lambda: deque(pattern.finditer(subject), maxlen=0))  # type: ignore[call-overload]  # noqa: B023


def test_the_parts_beyond_the_cap_are_one_opaque_leaf() -> None:
    message = parse(BOMBS["10,000 parts"])
    leaves = [part for _, part in message.leaves()]
    assert len(leaves) == 1_000
    assert leaves[-2].media_type == "text/plain"
    assert leaves[-1].media_type == "application/octet-stream"
    assert message.raw[leaves[-1].body.start : leaves[-1].body.end].endswith(b"--b--\r\n")


def test_what_lies_too_deep_is_one_opaque_leaf() -> None:
    message = parse(BOMBS["56 kB of nested multiparts"])
    ((_, leaf),) = message.leaves()
    assert leaf.media_type == "application/octet-stream"
    assert leaf.body.end == len(message.raw)
    depth, part = 0, message.root
    while part.children:
        depth, part = depth + 1, _only(part)
    assert depth == 100


def _only(part: Part) -> Part:
    (child,) = part.children
    return child
