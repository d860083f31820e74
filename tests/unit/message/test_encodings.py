"""Transfer encodings, encoded words and charsets (M6, M7)."""

import base64
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carepost.message import charsets, encodings
from carepost.message.encodings import decode_base64, decode_header, decode_transfer, decode_words
from carepost.message.model import Defect
from carepost.message.parse import parse
from carepost.message.words import search_text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"=?utf-8?q?caf=C3=A9?=", "café"),
        (b"=?UTF-8?B?Y2Fmw6k=?=", "café"),
        (b"=?iso-8859-1?q?caf=E9?= bar", "café bar"),
        (b"=?utf-8?q?a_b?=", "a b"),
        (b"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?=\t =?iso-8859-1?q?=E9?=", "aé"),
        (b"=?utf-8?q?a?= x =?utf-8?q?b?=", "a x b"),
        (b"=?utf-8?b?w6==?= =?utf-8?q?=A9?=", "é"),  # split within a character
        (b"=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "é"),
        (b"=?utf-8*en?q?caf=C3=A9?=", "café"),
        (b"=?utf-8?q?with space?=", "with space"),
        (b"=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
        (b"=?utf-8?q?abc", "=?utf-8?q?abc"),
        (b"=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=", "日本"),
        (b"caf\xc3\xa9", "café"),
        (b"caf\xe9", "café"),
        (b"=?iso-8859-1?q?caf\xe9?=", "café"),
        (b"caf\xe9 =?utf-8?q?=C3=A9?=", "café é"),
        (b"=?nonsense?q?caf=C3=A9?=", "café"),
        (b"plain", "plain"),
    ],
)
def test_encoded_words_become_text(raw: bytes, text: str) -> None:
    assert decode_header(raw) == text


def test_encoded_words_are_decoded_once() -> None:
    assert decode_words("=?utf-8?q?=3D=3Futf-8=3Fq=3F=41=3F=3D?=") == "=?utf-8?q?A?="


@pytest.mark.parametrize(
    "charset",
    [
        "utf-7",
        "UTF-7",
        "unicode-1-1-utf-7",
        "hz-gb-2312",
        "hz",
        "iso-2022-kr",
        "iso-2022-cn",
        "utf-32",
        "ibm037",
        "cp500",
        "rot13",
        "base64",
        "zlib",
        "idna",
        "unicode_escape",
        "raw_unicode_escape",
        "punycode",
    ],
)
def test_a_charset_that_can_hide_markup_is_never_decoded(charset: str) -> None:
    data = b"+ADw-script+AD4- \\u003cscript"
    assert "<" not in charsets.decode(data, charset)
    assert not charsets.is_known(charset)
    raw = b"From: a@a.example\r\nContent-Type: text/html; charset=" + charset.encode() + b"\r\n\r\n" + data
    message = parse(raw)
    assert Defect.UNKNOWN_CHARSET in message.defects
    assert "<script" not in message.text(message.root)
    assert message.raw == raw


def test_every_whitelisted_codec_exists_and_never_raises() -> None:
    for charset in charsets._CODECS:
        assert isinstance(charsets.decode(bytes(range(256)), charset), str)


def test_a_wrong_label_costs_no_letter() -> None:
    assert charsets.decode("café".encode(), "us-ascii") == "café"
    assert charsets.decode(b"caf\xe9", "us-ascii") == "café"
    assert charsets.decode(b"\x93x\x94", "iso-8859-1") == "“x”"
    assert charsets.decode(b"\xc0\xbc", "utf-8") == "��"  # an overlong "<"


@pytest.mark.parametrize(
    ("encoded", "decoded"),
    [
        (b"aGVsbG8=", b"hello"),
        (b"aGVsbG8", b"hello"),
        (b"aGVs\r\nbG8=\r\n", b"hello"),
        (b"aGVs!bG8=", b"hello"),
        (b"aGU=bGxv", b"hello"),
        (b"aA==ZWxsbw==", b"hello"),
        (b"aGVsbG8=\r\n-- \r\nfooter", b"hello" + base64.b64decode("footer==")),
        (b"====", b""),
        (b"a", b""),
        (b"", b""),
    ],
)
def test_base64_is_read_past_what_is_wrong(encoded: bytes, decoded: bytes) -> None:
    assert decode_base64(encoded) == decoded


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["base64", "quoted-printable", "x-uuencode", "7bit", "nonsense"]))
def test_any_bytes_can_be_decoded(data: bytes, encoding: str) -> None:
    assert isinstance(decode_transfer(data, encoding), bytes)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_good_base64_is_decoded_exactly(data: bytes) -> None:
    assert decode_base64(base64.encodebytes(data)) == data


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_header_value(data: bytes) -> None:
    decode_header(b"=?utf-8?q?" + data + b"?=" + data).encode("utf-8", "surrogatepass")


def test_a_uuencoded_part_is_decoded() -> None:
    assert decode_transfer(b"begin 644 a.txt\r\n#86)C\r\n`\r\nend\r\n", "x-uuencode") == b"abc"


def test_the_search_text_holds_what_the_encoding_hid() -> None:
    raw = b"Subject: =?utf-8?q?caf=C3=A9?=\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.b64encode(b"morphine")
    assert search_text(parse(raw)) == "café\nmorphine"


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda text: text,
        lambda text: text.replace(b"\r\n", b""),
        lambda text: text.replace(b"\r\n", b"\n"),
        lambda text: text.rstrip(b"=\r\n"),
        lambda text: text[:2000] + b"=\r\n" + text[2000:],
        lambda text: text[:2000] + b"\\u0041" + text[2000:],
        lambda text: text[:2000] + b"\\/" + text[2000:],
        lambda text: text[:2000] + b'"' + text[2000:],
        lambda text: text[:2000] + b" \t" + text[2000:],
        lambda text: text[:2000] + b"-_" + text[2000:],
        lambda text: text[:2000] + "é".encode() + text[2000:],
        lambda text: text[:2000] + b"\xff\0" + text[2000:],
        lambda text: text[:-3],
        lambda text: text + b"=",
        lambda text: text + b"AAAA",
    ],
)
@pytest.mark.parametrize("size", [4_500, 4_501, 4_502])
def test_a_large_file_in_base64_is_read_as_a_small_one_is(
    spoiled: Callable[[bytes], bytes], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = spoiled(base64.encodebytes(bytes(n * n % 251 for n in range(size))).replace(b"\n", b"\r\n"))
    read = decode_base64(text)
    monkeypatch.setattr("carepost.message.encodings._LARGE", 1 << 30)
    assert read == decode_base64(text)


@given(st.binary(max_size=200) | st.text('AQ=\\"\r\n/+u0', max_size=40).map(str.encode))
def test_whatever_is_read_fast_is_what_is_read_slowly(data: bytes) -> None:
    fast = encodings._decode_clean_base64(data)
    letters = data.translate(None, encodings._NOT_BASE64)
    assert fast is None or fast == b"".join(encodings._base64_run(run) for run in letters.split(b"=") if run)
