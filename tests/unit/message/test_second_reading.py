"""The second reader: another parser's opinion, never an exception."""

import pytest
from tests.fakes.cpu_time import costs_less_than

from carepost.message import second_reading as module
from carepost.message.parse import parse
from carepost.message.second_reading import SecondReading, disagreements, second_reading

HONEST = (
    b"From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n"
    b"--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\nx\r\n--b--\r\n"
)


def test_two_readers_of_an_honest_message_agree() -> None:
    second = second_reading(HONEST)
    assert second == SecondReading(("a.pdf",), 2)
    assert disagreements(parse(HONEST), second) == []


def test_a_different_number_of_parts_is_said_in_words() -> None:
    trap = HONEST.replace(b"--b\r\nContent-Type: application", b"--bb\r\nContent-Type: application")
    assert disagreements(parse(trap), second_reading(trap)) == [
        "one reader finds 1 part, another 2 parts",
        "two readers find different names for its attachments",
    ]


def test_different_names_are_said_in_words() -> None:
    assert disagreements(parse(HONEST), SecondReading(("b.exe",), 2)) == [
        "two readers find different names for its attachments"
    ]


def test_names_that_differ_only_in_space_and_letters_outside_ascii_are_the_same() -> None:
    assert disagreements(parse(HONEST), SecondReading((" A.pdf",), 2)) == []


def test_a_reader_that_fails_says_that_it_failed_and_nothing_of_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    class HeaderParseError(Exception):
        pass

    def fails(raw: bytes, *, mode: str) -> None:
        raise HeaderParseError("Subject: secret")

    monkeypatch.setattr(module.fast_mail_parser, "parse_email_tree", fails)
    second = second_reading(HONEST)
    assert second.error == "the second reader could not read it (header parse error)"
    assert disagreements(parse(HONEST), second) == [second.error]


def test_a_reader_that_panics_is_survived_and_a_signal_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        pass

    def breaks(raw: bytes, *, mode: str) -> None:
        raise PanicException

    def stopped(raw: bytes, *, mode: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.fast_mail_parser, "parse_email_tree", breaks)
    assert second_reading(HONEST).error == "the second reader broke off"
    monkeypatch.setattr(module.fast_mail_parser, "parse_email_tree", stopped)
    with pytest.raises(KeyboardInterrupt):
        second_reading(HONEST)


def test_a_message_too_large_is_not_given_to_the_second_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECOND_READING_MAX", 10)
    assert second_reading(HONEST).error == "too large for a second reading"


def _bomb(field: bytes) -> bytes:
    return b"From: a@b.example\r\n" + field + b"\r\n\r\nhi\r\n"


@pytest.mark.parametrize(
    "field",
    [
        b"Subject: " + b"=?" * 500_000,
        b"Subject: " + b"=?utf-8?q?aa?= " * 60_000,
        b"Subject: x" + b"\r\n =?utf-8?q?aa?=" * 60_000,
        b"\r\n".join(b"X-%d: " % number + b"=?" * 1000 for number in range(2000)),
    ],
    ids=["marks", "words", "folded", "many fields"],
)
def test_a_field_that_the_other_parser_reads_again_and_again_is_not_given_to_it(field: bytes) -> None:
    """Six seconds for 250 kB of "=?", and four times that for twice as much."""
    read = costs_less_than(0.5, lambda: second_reading(_bomb(field)))
    assert read.error == "too many encoded words for a second reading"


@pytest.mark.parametrize(
    "raw",
    [
        _bomb(b"Subject: " + b"=?utf-8?q?aa?= " * 1_000),
        _bomb(b"X: y") + b"in a text =?like this\r\n" * 100_000,
    ],
    ids=["a long subject", "a long text"],
)
def test_encoded_words_that_people_write_are_read_twice(raw: bytes) -> None:
    assert second_reading(raw).error is None
