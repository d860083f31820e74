"""What a log line may hold."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import ip_address

import pytest
import structlog

from carepost.base.address import EmailAddress
from carepost.base.clock import FixedClock
from carepost.base.errors import TryLater
from carepost.infra.log import LogRefused, Private, configure, escape, get_logger


class Colour(StrEnum):
    RED = "red"


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root, handlers, level = logging.getLogger(), logging.getLogger().handlers[:], logging.getLogger().level
    configure(style="json", stream=stream, clock=FixedClock(datetime(2026, 11, 22, 9, tzinfo=UTC)), level="debug")
    yield stream
    root.handlers[:], root.level = handlers, level


def last(lines: io.StringIO) -> dict[str, object]:
    return json.loads(lines.getvalue().splitlines()[-1])


def test_a_line_is_json_with_its_time_room_and_fields(lines: io.StringIO) -> None:
    get_logger("smtp").info(
        "message accepted", trace="ABC", octets=5, client=ip_address("192.0.2.7"), colour=Colour.RED
    )
    assert last(lines) == {
        "at": "2026-11-22T09:00:00.000+00:00",
        "level": "info",
        "room": "smtp",
        "event": "message accepted",
        "trace": "ABC",
        "octets": 5,
        "client": "192.0.2.7",
        "colour": "red",
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": "Mrs Jones's results"},
        {"body": "zwiebel"},
        {"password": "zwiebel"},
        {"new_password": "zwiebel"},
        {"token": "zwiebel"},
        {"session_token": "zwiebel"},
        {"otp": 123456},
        {"sender": "zwiebel"},
        {"filename": "zwiebel.pdf"},
        {"value": b"zwiebel"},
        {"value": Private("zwiebel")},
        {"value": EmailAddress.parse("zwiebel@example.org")},
        {"value": "told zwiebel@example.org"},
        {"value": ["x", "<zwiebel@example.org>"]},
        {"value": {"a": b"zwiebel"}},
    ],
    ids=str,
)
def test_content_secrets_and_addresses_are_replaced(lines: io.StringIO, fields: dict[str, object]) -> None:
    get_logger("smtp").info("something", **fields)
    written = lines.getvalue()
    assert "something" in written
    for canary in ("zwiebel", "Jones", "123456"):
        assert canary not in written


def test_a_number_of_recipients_may_be_told(lines: io.StringIO) -> None:
    get_logger("smtp").info("accepted", recipients=3, body_octets=7, nobody="x")
    assert (last(lines)["recipients"], last(lines)["body_octets"], last(lines)["nobody"]) == (3, 7, "x")


def test_no_value_can_break_a_line_or_turn_letters_around(lines: io.StringIO) -> None:
    get_logger("smtp").info("hello\nforged", hello="a\r\nb\x1b[31m\u202egpj.exe\u2028\x9b\ud800")
    (line,) = lines.getvalue().splitlines()
    record = json.loads(line)
    assert record["event"] == "hello\\x0aforged"
    assert record["hello"] == "a\\x0d\\x0ab\\x1b[31m\\u202egpj.exe\\u2028\\x9b\\ud800"
    assert escape("plain é text") == "plain é text"


def test_an_error_leaves_its_type_and_place_but_not_its_text(lines: io.StringIO) -> None:
    try:
        int("zwiebel")
    except ValueError as error:
        get_logger("store").error("failed", error=error)
    record = last(lines)
    assert record["error"] == "ValueError"
    assert "test_an_error_leaves_its_type_and_place" in str(record["where"])
    assert "zwiebel" not in lines.getvalue()


def test_our_own_errors_say_their_public_words_and_their_harmless_reasons(lines: io.StringIO) -> None:
    error = TryLater("Please try again.", state="53100", password="zwiebel", raw=b"zwiebel")
    get_logger("store").warning("not taken", error=error)
    record = last(lines)
    assert (record["public"], record["why_state"]) == ("Please try again.", "53100")
    assert "zwiebel" not in lines.getvalue()


def test_what_libraries_say_goes_the_same_way_without_their_arguments(lines: io.StringIO) -> None:
    logging.getLogger("psycopg.pool").warning("discarding %s", "zwiebel")
    assert last(lines)["event"] == "discarding %s"
    assert last(lines)["room"] == "psycopg.pool"
    assert "zwiebel" not in lines.getvalue()


def test_in_strict_mode_a_refused_field_is_an_error() -> None:
    stream = io.StringIO()
    configure(style="json", stream=stream, strict=True)
    log = get_logger("test")
    for fields in ({"subject": "x"}, {"value": b"x"}, {"value": object()}):
        with pytest.raises(LogRefused):
            log.info("something", **fields)
    log.info("fine", value=Private("x"), number=1)
    assert "fine" in stream.getvalue()


def test_on_a_terminal_lines_are_for_people() -> None:
    stream = io.StringIO()
    configure(style="text", stream=stream, clock=FixedClock(datetime(2026, 11, 22, 9, tzinfo=UTC)))
    get_logger("smtp").info("message accepted", trace="ABC")
    assert stream.getvalue() == "09:00:00.000 info    smtp: message accepted trace=ABC\n"
