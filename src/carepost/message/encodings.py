"""Transfer encodings and encoded words, read leniently (RFC 2045 §6, RFC 2047).

Promises
    Nothing here raises on any input, and all of it is linear in its input.
    Base64 is read past wrong characters and past padding in the middle: what another reader might see, we see (M3).
    Encoded words are decoded once; what comes out is never decoded again (M7).
"""

import binascii
import re
from typing import Final

import msgspec

from carepost.message import charsets

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64: Final = bytes(sorted(set(range(256)) - set(_BASE64) - {0x3D}))
# JSON has no octets: msgspec writes them as base64, and reads it strictly and fast.
_FLAWLESS: Final = msgspec.json.Decoder(bytes)
_LARGE = 4_096
# Padding restarts beyond this are noise made to cost us time; the rest is read as one run.
_PADDED_RUNS_MAX = 1_000
# RFC 2047 §2: charset, encoding, text; spaces inside the text are wrong and common.
_WORD = re.compile(rb"=\?([^?\s*]{1,40})(?:\*[^?\s]{0,40})?\?([BbQq])\?([^?]*)\?=")
_QP_BAD = re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]*\r?\n|[ \t]*\Z)")
_UU_BEGIN = re.compile(rb"(?:^|\n)begin(?:-base64)? [0-7]{3,4} [^\r\n]+\r?\n")


def decode_transfer(data: bytes, encoding: str) -> bytes:
    """What the sender encoded. An unknown encoding is left as it is (RFC 2045 §6.4)."""
    if encoding == "base64":
        return decode_base64(data)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(data)
    if encoding in {"x-uuencode", "uuencode", "x-uue", "uue"}:
        return decode_uu(data)
    return data


def decode_base64(data: bytes) -> bytes:
    """Every run between paddings, wrong characters skipped."""
    if len(data) >= _LARGE and (clean := _decode_clean_base64(data)) is not None:
        return clean
    end = data.find(b"=")
    if end < 0 or not data[end:].strip(b"=\r\n \t"):
        return _base64_run(data if end < 0 else data[:end])
    runs = data.translate(None, _NOT_BASE64).split(b"=", _PADDED_RUNS_MAX)
    runs[-1] = runs[-1].replace(b"=", b"")
    return b"".join(_base64_run(run) for run in runs if run)


def _decode_clean_base64(data: bytes) -> bytes | None:
    """What is flawless, in half the time; None when it is not. A backslash would mean something else in JSON."""
    if b"\\" in data:
        return None
    try:
        return _FLAWLESS.decode(b'"%b"' % data.translate(None, b"\r\n"))
    except msgspec.MsgspecError:
        return None


def _base64_run(run: bytes) -> bytes:
    try:
        return binascii.a2b_base64(run + b"==")
    except binascii.Error:
        pass
    letters = run.translate(None, _NOT_BASE64).rstrip(b"=")
    if len(letters) % 4 == 1:  # six bits are no byte
        letters = letters[:-1]
    try:
        return binascii.a2b_base64(letters + b"==")
    except binascii.Error:
        return b""


def beside_base64(data: bytes) -> bytes:
    """A body without the alphabet of base64: its line ends, its padding, and what should not be there."""
    return data.translate(None, _BASE64)


def is_clean_base64(data: bytes, beside: bytes) -> bool:
    """Only the alphabet and line ends, padding only at the end (RFC 2045 §6.8). `beside`: see `beside_base64`."""
    rest = beside.translate(None, b"\r\n")
    if not rest:
        return True
    if rest.strip(b" \t="):
        return False
    first = data.find(b"=")
    return (first < 0 or not data[first:].strip(b"=\r\n \t")) and rest.count(b"=") <= 2


def is_clean_quoted_printable(data: bytes) -> bool:
    return _QP_BAD.search(data) is None


def decode_uu(data: bytes) -> bytes:
    """The first uuencoded file in `data`; wrong lines are skipped."""
    begin = _UU_BEGIN.search(data)
    if begin is None:
        return data
    out: list[bytes] = []
    for line in data[begin.end() :].splitlines():
        if line in (b"end", b"`"):
            break
        try:
            out.append(binascii.a2b_uu(line))
        except binascii.Error:
            continue
    return b"".join(out)


def holds_uuencoded(data: bytes) -> bool:
    return b"begin" in data and _UU_BEGIN.search(data) is not None


def holds_yencoded(data: bytes) -> bool:
    return data.startswith(b"=ybegin ") or b"\n=ybegin " in data


def decode_words(text: str) -> str:
    """Encoded words in text that is text already. See `decode_header`."""
    return decode_header(text.encode("utf-8", "replace")) if "=?" in text else text


def decode_header(raw: bytes) -> str:
    """An unfolded header value as text: encoded words decoded, the rest UTF-8 or windows-1252 (RFC 2047, RFC 6532).

    Neighbouring words of one charset are joined before they are decoded, so that a character may be split (M7).
    """
    if b"=?" not in raw:
        return charsets.decode(raw)
    out: list[str] = []
    pending: list[bytes] = []
    charset = b""
    end = 0
    for word in _WORD.finditer(raw):
        between = raw[end : word.start()]
        follows = end > 0 and not between.strip(b" \t\r\n")
        if pending and not (follows and word[1].lower() == charset):
            out.append(_word_text(pending, charset))
            pending.clear()
        if not follows:
            out.append(charsets.decode(between))
        charset = word[1].lower()
        # RFC 2047 §4.2: in Q, "_" is a space.
        pending.append(decode_base64(word[3]) if word[2] in b"Bb" else binascii.a2b_qp(word[3], header=True))
        end = word.end()
    if pending:
        out.append(_word_text(pending, charset))
    out.append(charsets.decode(raw[end:]))
    return "".join(out)


def _word_text(words: list[bytes], charset: bytes) -> str:
    return charsets.decode(b"".join(words), charset.decode("latin-1"))
