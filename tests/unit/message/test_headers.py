"""Dates, message identifiers, folding, parameters, file names."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carepost.message.defects import Defect
from carepost.message.headers import message_ids, read_date, unfold
from carepost.message.parameters import decode_parameters, read_value
from carepost.message.parse import parse
from carepost.message.showing import clean, clean_filename

NINE = datetime(2026, 11, 22, 9, 5, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("raw", "at"),
    [
        (b"Sun, 22 Nov 2026 09:05:07 +0000", NINE),
        (b"22 Nov 2026 09:05:07 GMT", NINE),
        (b"Sun, 22 Nov 2026 10:05:07 +0100 (CET)", NINE.replace(hour=10, tzinfo=timezone(timedelta(hours=1)))),
        (b"Sun, 22 Nov 26 04:05:07 EST", NINE),
        (b"Sun,22 Nov 2026 09:05 -0000", NINE.replace(second=0)),
        (b"Sun, 22 November 2026 09:05:07 Z", NINE),
        (b"Sun Nov 22 09:05:07 2026", NINE),
        (b"Sun Nov 22 09:05:07 UTC 2026", NINE),
        (b"2026-11-22T09:05:07Z", NINE),
        (b"2026-11-22 09:05:07+00:00", NINE),
        (b"Tue, 22 Nov 99 09:05:07 +0000", NINE.replace(year=1999)),
        (b"Sun, 22 Nov 2026 09:05:60 +0000", NINE.replace(second=59)),
        (b"Sun, 22 Nov 2026 09:05:07", NINE),
        (b"Sun, 22 Nov 2026 09:05:07 +9999", NINE),
        (b"Sun, 32 Nov 2026 09:05:07 +0000", None),
        (b"Sun, 22 Foo 2026 09:05:07 +0000", None),
        (b"0000-00-00 00:00:00", None),
        (b"yesterday", None),
        (b"", None),
        (b"Fri, 31 Dec 9999 23:59:59 -1200", None),
    ],
)
def test_a_date_is_aware_or_absent(raw: bytes, at: datetime | None) -> None:
    assert read_date(raw) == at


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_date_or_none(raw: bytes) -> None:
    at = read_date(b"22 Nov 2026 " + raw)
    assert at is None or at.tzinfo is not None


def test_identifiers_are_found_among_noise() -> None:
    assert message_ids(b"<a@b> junk (c) <d@e>\t<f g>") == ("<a@b>", "<d@e>", "<f g>")
    assert message_ids(b"none") == ()


def test_a_long_thread_keeps_its_root_and_its_newest() -> None:
    ids = message_ids(b" ".join(b"<%d@x>" % n for n in range(1_000)))
    assert (ids[0], ids[-1], len(ids)) == ("<0@x>", "<999@x>", 200)


def test_folding_goes_and_nothing_else() -> None:
    assert unfold(b" one\r\n two\n\tthree \r\n") == b"one two\tthree"


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b"attachment; filename=a.txt", {"filename": "a.txt"}),
        (b'attachment; filename="a b.txt"', {"filename": "a b.txt"}),
        (b'attachment; filename="a\\"b.txt"', {"filename": 'a"b.txt'}),
        (b"attachment; filename*=utf-8'en'%E2%82%AC.txt", {"filename": "€.txt"}),
        (b"attachment; filename*0=a; filename*1=b.txt", {"filename": "ab.txt"}),
        (b"attachment; filename*1=b.txt; filename*0=a", {"filename": "ab.txt"}),
        (b"attachment; filename*0*=utf-8''%E2%82; filename*1*=%AC; filename*2=.txt", {"filename": "€.txt"}),
        (b"attachment; filename*=%41.txt", {"filename": "A.txt"}),
        (b"attachment; filename*=utf-7''+ADw-.txt", {"filename": "+ADw-.txt"}),
        (b"attachment; filename=a b.txt", {"filename": "a b.txt"}),
        (b"attachment; filename=a.txt size=3", {"filename": "a.txt"}),
        (b'attachment; filename="=?utf-8?q?=E2=82=AC?=.txt"', {"filename": "€.txt"}),
        (b"attachment; filename=a.txt; filename=b.exe", {"filename": "a.txt"}),
        (b'attachment; filename="a.txt"b', {"filename": "a.txt"}),
        (b'attachment (c;omment); filename(x)="a;b.txt"', {"filename": "a;b.txt"}),
        ("attachment; filename=é.txt".encode(), {"filename": "é.txt"}),
        (b"attachment", {}),
        (b";;;", {}),
        (b"", {}),
    ],
)
def test_parameters_become_text(field: bytes, expected: dict[str, str]) -> None:
    assert decode_parameters(read_value(field).parameters)[0] == expected


def test_parameters_beyond_the_cap_are_not_read() -> None:
    value = read_value(b"text/plain" + b"".join(b"; p%d=v" % n for n in range(500)))
    assert len(value.parameters) == 128
    assert Defect.TOO_MANY_PARAMETERS in value.defects


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [b"a", b";", b"=", b'"', b"\\", b"(", b")", b" ", b"*", b"0", b"'", b"%4", b"\xe9", b"filename"]
        )
    )
)
def test_any_tokens_are_a_field(tokens: list[bytes]) -> None:
    decode_parameters(read_value(b"".join(tokens)).parameters)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("letter.pdf", "letter.pdf"),
        ("letter\u202efdp.exe", "letterfdp.exe"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("C:\\x\\a.exe", "C__x_a.exe"),
        ("a.exe . .", "a.exe"),
        ("a.pdf\x00.exe", "a.pdf.exe"),
        ("a.p\u200bdf.e\u200dxe", "a.pdf.exe"),
        ("a\r\nb.txt", "a b.txt"),
        (".htaccess", "htaccess"),
        ("...", "unnamed"),
        ("", "unnamed"),
        ("=?utf-8?q?a=2Eexe?=", "a.exe"),
        ("Ärztebrief.pdf", "Ärztebrief.pdf"),
    ],
)
def test_a_file_name_shows_what_it_is(name: str, shown: str) -> None:
    assert clean_filename(name) == shown


def test_a_long_file_name_keeps_its_extension() -> None:
    name = clean_filename("x" * 400 + ".docm")
    assert len(name) == 255
    assert name.endswith(".docm")


@settings(deadline=None)
@given(st.text(max_size=300))
def test_a_cleaned_text_is_one_printable_line(text: str) -> None:
    shown = clean(text, 100)
    assert len(shown) <= 100
    assert not any(c in shown for c in "\r\n\t\x00\u2028\u2029\u202e\u2066\x85")


def test_a_subject_is_safe_to_show() -> None:
    raw = b"Subject: =?utf-8?q?Result=0D=0ABcc:_x=40y.example=E2=80=AE?=\r\n\r\n"
    assert parse(raw).subject == "Result Bcc: x@y.example"
