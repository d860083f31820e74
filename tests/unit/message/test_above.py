"""Fields put above a message: the same as reading the two together."""

import os
from pathlib import Path

import pytest

from carepost.message.above import put_above
from carepost.message.parse import parse

OURS = (
    b"Received: from a.example (a.example [192.0.2.1])\r\n\tby mx.example with ESMTPS id 1;\r\n\tMon, 5 Jan 2026 08:00:00 +0000\r\n"
    b"Authentication-Results: mx.example; spf=pass\r\nX-Carepost-Notice: from-outside\r\n"
)
PLAIN = b"From: a@b.example\r\nSubject: hello\r\n\r\nwords\r\n"
NESTED = (
    b"From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=one\r\n\r\nbefore\r\n--one\r\n\r\ntext\r\n"
    b"--one\r\nContent-Type: message/rfc822\r\n\r\nFrom: c@d.example\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/alternative; boundary=two\r\n\r\n--two\r\n\r\nwords\r\n--two\r\nContent-Type: text/html\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nPGI+aGk8L2I+\r\n--two--\r\n\r\n--one--\r\nafter\r\n"
)
ODD = {
    "empty": b"",
    "no header": b"\r\nwords\r\n",
    "begins with a continuation": b" folded: on\r\nFrom: a@b.example\r\n\r\nwords",
    "begins with a tab": b"\tx\r\nFrom: a@b.example\r\n\r\nwords",
    "no blank line": b"From: a@b.example\r\nSubject: x",
    "body at once": b"just words\r\nand more",
    "an mbox line": b"From me Mon Jan  5 08:00:00 2026\r\nFrom: a@b.example\r\n\r\nwords",
    "bare line feeds": PLAIN.replace(b"\r\n", b"\n"),
    "no From": b"Subject: x\r\n\r\nwords\r\n",
    "many fields": b"From: a@b.example\r\n" + b"X: y\r\n" * 997 + b"\r\nwords\r\n",
    "a long header": b"From: a@b.example\r\nX: " + b"y" * 102_300 + b"\r\nSubject: x\r\n\r\nwords\r\n",
    "a boundary in our place": b"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--",
}


@pytest.mark.parametrize("raw", [PLAIN, NESTED, *ODD.values()], ids=["plain", "nested", *ODD])
def test_fields_put_above_a_message_give_what_reading_both_gives(raw: bytes) -> None:
    assert put_above(parse(raw), OURS) == parse(OURS + raw)


def test_a_message_with_nothing_wrong_is_not_read_a_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    message, read = parse(NESTED), []
    monkeypatch.setattr("carepost.message.above.parse", lambda raw: read.append(raw) or parse(raw))
    put_above(message, OURS)
    assert read == [OURS + b"\r\n"]


def test_nothing_put_above_changes_nothing() -> None:
    message = parse(PLAIN)
    assert put_above(message, b"") is message


def test_it_holds_for_every_message_of_the_corpora() -> None:
    folder = Path(os.environ.get("CAREPOST_CORPORA") or Path(__file__).parents[4] / "shared" / "data") / "mime"
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size < 200_000)[:1500]
    if not files:
        pytest.skip(f"no corpora at {folder}; CAREPOST_CORPORA names their folder")
    differing = [path.name for path in files if not _holds(path.read_bytes())]
    assert differing == []


def _holds(raw: bytes) -> bool:
    return put_above(parse(raw), OURS) == parse(OURS + raw)
