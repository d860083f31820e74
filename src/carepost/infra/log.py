"""Logs: events with fields, one line each, without content.

Promises
    Only plain values are written: numbers, words, times, network addresses, enumerations. Anything else (bytes, a
    message, an address of mail, a settings object) is replaced by the name of its type.
    Fields that are named like content or secrets, and words that look like an address of mail, are replaced too.
    A line that cannot be written, on a full disk or to a reader that has gone, is lost: nobody's mail waits for it.
    No value can break a line, colour a terminal or turn a reader's letters around: control characters are escaped.
    An exception leaves its type and where it happened, never its text, which may quote what it choked on.

A field that is refused is a mistake of ours: tests configure `strict`, where it raises.
"""

import logging
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from datetime import date, datetime, timedelta
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TextIO, cast

import msgspec
import structlog

from carepost.base.clock import Clock, SystemClock
from carepost.base.errors import MailError

Logger = structlog.typing.FilteringBoundLogger
EventDict = MutableMapping[str, Any]
Style = Literal["auto", "json", "text"]

# By whole word of a name: `subject_line` is refused, `subjective` is not.
SECRET_WORDS = frozenset(
    {"authorization", "cookie", "key", "mobile", "nhs", "otp", "passphrase", "password", "secret", "token", "totp"}
)
# Of these a number may be told: `recipients=3`, `attachment_octets=40960`.
CONTENT_WORDS = frozenset(
    {
        *("attachment", "attachments", "body", "content", "envelope", "filename", "html", "plaintext", "preview"),
        *("raw", "recipient", "recipients", "sender", "snippet", "subject"),
    }
)
_VALUE_MAX = 500
_FRAMES_MAX = 12
_ADDRESS = re.compile(r"[^\s@<>\"'(),;:=\[\]]+@[^\s@<>\"'(),;:=\[\]]+")
# C0, DEL, C1; line and paragraph separators; marks that turn or hide letters; lone surrogates.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)


class LogRefused(AssertionError):
    """Somebody tried to log content. Only in strict mode; otherwise the value is replaced."""


class Private:
    """Marks a value that must not be shown: it prints as nothing, wherever it ends up."""

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value

    def reveal(self) -> object:
        return self._value

    def __repr__(self) -> str:
        return "[private]"

    __str__ = __repr__


def get_logger(name: str) -> Logger:
    """A logger; `name` says which room speaks. Safe at import: nothing is opened before the first line."""
    return cast("Logger", structlog.get_logger(room=name))


def configure(
    *,
    style: Style = "auto",
    level: Literal["debug", "info", "warning", "error"] = "info",
    stream: TextIO | None = None,
    clock: Clock | None = None,
    strict: bool = False,
    libraries: bool = True,
) -> None:
    """Once, at start, before the first line. With `libraries`, other people's are caught too, and treated the same."""
    stream = stream or sys.stderr
    readable = style == "text" or (style == "auto" and stream.isatty())
    number = getattr(logging, level.upper())
    lines = _Lines(stream)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _stamp(clock or SystemClock()),
            _describe_error(),
            _without_content(strict=strict),
            _as_text if readable else _as_json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    if not libraries:
        return
    root = logging.getLogger()
    root.handlers[:] = [_FromLibraries()]
    root.setLevel(max(number, logging.WARNING))


def harmless(value: object) -> object:
    """`value` as it may be logged: itself, escaped, or the name of its type in brackets."""
    match value:
        case None | bool() | int() | float():
            return value
        case Enum():
            return harmless(value.value)
        case str():
            return escape(_ADDRESS.sub("[address]", value[:_VALUE_MAX]))
        case datetime() | date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case IPv4Address() | IPv6Address() | Path():
            return escape(str(value))
        case list() | tuple() | set() | frozenset():
            return [harmless(item) for item in list(value)[:20]]
        case Mapping():
            return {escape(str(name)): harmless(item) for name, item in list(value.items())[:20]}
        case _:
            return f"[{type(value).__name__}]"


def escape(text: str) -> str:
    """Control characters, and those that turn or hide others, as \\xNN or \\uNNNN. A6."""
    return _UNPRINTABLE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    number = ord(match[0])
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _is_refused(name: str, value: object) -> bool:
    words = set(name.lower().split("_"))
    return bool(words & SECRET_WORDS) or bool(words & CONTENT_WORDS and not isinstance(value, int | float))


def _without_content(*, strict: bool) -> Callable[[Any, str, EventDict], EventDict]:
    def process(_logger: Any, _method: str, event: EventDict) -> EventDict:
        clean: dict[str, object] = {}
        for name, value in event.items():
            if _is_refused(name, value):
                if strict:
                    raise LogRefused(f"{name} may not be logged")
                clean[name] = "[refused]"
                continue
            clean[name] = harmless(value)
            if strict and not isinstance(value, Private) and clean[name] == f"[{type(value).__name__}]":
                raise LogRefused(f"{name} is a {type(value).__name__}, which may not be logged")
        return clean

    return process


def _stamp(clock: Clock) -> Callable[[Any, str, EventDict], EventDict]:
    def process(_logger: Any, _method: str, event: EventDict) -> EventDict:
        event["at"] = clock.now().isoformat(timespec="milliseconds")
        return event

    return process


def _describe_error() -> Callable[[Any, str, EventDict], EventDict]:
    """`error=` (or exc_info) becomes its type and place; of our own errors also what may be said."""

    def process(_logger: Any, _method: str, event: EventDict) -> EventDict:
        error = event.pop("error", None)
        info = event.pop("exc_info", None)
        if error is None and info:
            error = info[1] if isinstance(info, tuple) else sys.exc_info()[1] if info is True else info
        if not isinstance(error, BaseException):
            if error is not None:
                event["error"] = error
            return event
        event["error"] = type(error).__name__
        event["where"] = _frames(error.__traceback__)
        if isinstance(error, MailError):
            event["public"] = error.public
            for name, value in error.private.items():
                # Errors are raised far from here; a name that is refused must not hide the error itself.
                event.setdefault(
                    f"why_{len(event)}" if _is_refused(name, value) else f"why_{name}", _shielded(name, value)
                )
        if error.__cause__ is not None:
            event["cause"] = type(error.__cause__).__name__
        return event

    return process


def _shielded(name: str, value: object) -> object:
    return Private(value) if _is_refused(name, value) or harmless(value) == f"[{type(value).__name__}]" else value


def _frames(traceback: TracebackType | None) -> list[str]:
    found: list[str] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        found.append(f"{Path(code.co_filename).name}:{traceback.tb_lineno} {code.co_name}")
        traceback = traceback.tb_next
    return found[-_FRAMES_MAX:]


def _as_json(_logger: Any, _method: str, event: EventDict) -> str:
    order = {name: event.pop(name) for name in ("at", "level", "room", "event") if name in event}
    # All but ASCII escaped, too: what a viewer makes of exotic letters is out of our hands.
    return msgspec.json.encode({**order, **event}).decode()


def _as_text(_logger: Any, _method: str, event: EventDict) -> str:
    at, level = str(event.pop("at", ""))[11:23], str(event.pop("level", ""))
    room, what = event.pop("room", ""), event.pop("event", "")
    fields = " ".join(f"{name}={value}" for name, value in event.items())
    return f"{at} {level:7} {room}: {what} {fields}".rstrip()


class _Lines:
    """Where lines go."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        with suppress(OSError, ValueError):  # ENOSPC, EPIPE; a stream that was closed
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = write


class _FromLibraries(logging.Handler):
    """What uvicorn, psycopg, asyncio … say through `logging`: their words without their arguments, by our rules."""

    def emit(self, record: logging.LogRecord) -> None:
        log = get_logger(record.name)
        fields: dict[str, Any] = {"exc_info": record.exc_info} if record.exc_info else {}
        # The template, not the filled-in text: "discarding closed connection: %s".
        log.log(record.levelno, str(record.msg), **fields)
