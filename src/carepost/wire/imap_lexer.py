"""The words of IMAP's grammar: one scanner over the pieces of one command. RFC 9051 §9.

Promises
    Malformed is the only error. It names what was expected, never what was sent: that may be a password.
    NUL, a bare CR and eight-bit octets outside UTF-8 end in Malformed (P8).
    Depth and number of arguments are bounded (P23).
"""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from typing import TypeVar

from carepost.base.errors import Malformed
from carepost.wire import utf7

Value = TypeVar("Value")

_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_ASTRING = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\]+')
_LIST_PATTERN = re.compile(rb'[^\x00-\x20\x7f(){"\\]+')
_TAG = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]+]{1,128}')
_NUMBER = re.compile(rb"[0-9]{1,20}")
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\x00]|\\["\\])*)"')
_ESCAPED = re.compile(rb'\\(["\\])')
_FLAG = re.compile(rb'\\?[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_SET = re.compile(rb"[0-9*:,]+")
_DATE = re.compile(rb'"?([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})"?')
_DATE_TIME = re.compile(
    rb'"([ 0-9][0-9])-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"'
)
_MONTHS = {name: at for at, name in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}

NUMBER_MAX = 2**32 - 1  # RFC 9051 §9, number.
NUMBER64_MAX = 2**63 - 1  # RFC 9051 §9, number64; RFC 7162 §7, mod-sequence-value.


class Scanner:
    """Reads one command from left to right."""

    __slots__ = ("_arguments", "_arguments_max", "_at", "_depth", "_depth_max", "_piece", "_pieces", "_text")

    def __init__(self, pieces: tuple[bytes, ...], *, depth: int, arguments: int) -> None:
        self._pieces = pieces
        self._piece = 0
        self._text = pieces[0]
        self._at = 0
        self._depth, self._depth_max = 0, depth
        self._arguments, self._arguments_max = 0, arguments

    # What is there

    def peek(self, expected: bytes) -> bool:
        return self._text.startswith(expected, self._at)

    def peek_word(self, expected: bytes) -> bool:
        """The same without regard to case."""
        return self._text[self._at : self._at + len(expected)].upper() == expected

    def at_end(self) -> bool:
        return self._at == len(self._text) and self._piece == len(self._pieces) - 1

    def at_literal(self) -> bool:
        return self._at == len(self._text) and self._piece < len(self._pieces) - 1

    # Marks

    def take(self, expected: bytes) -> bool:
        """Step over `expected` if it is there."""
        if self._text.startswith(expected, self._at):
            self._at += len(expected)
            return True
        return False

    def take_word(self, expected: bytes) -> bool:
        if self.peek_word(expected):
            self._at += len(expected)
            return True
        return False

    def expect(self, expected: bytes) -> None:
        if not self.take(expected):
            raise Malformed(f"expected {_shown(expected)}")

    def space(self) -> None:
        self.expect(b" ")

    def end(self) -> None:
        # A space before the end is wrong, common and harmless.
        while self.take(b" "):
            pass
        if not self.at_end():
            raise Malformed("there is more after the end of the command")

    # Bounds

    def count(self, times: int = 1) -> None:
        """One more argument. Malformed when there are too many (P23)."""
        self._arguments += times
        if self._arguments > self._arguments_max:
            raise Malformed("too many arguments in one command")

    def deeper(self) -> None:
        self._depth += 1
        if self._depth > self._depth_max:
            raise Malformed("too deeply nested")

    def shallower(self) -> None:
        self._depth -= 1

    # Values

    def tag(self) -> str:
        return self._match(_TAG, "a tag")[0].decode("ascii")

    def atom(self, what: str = "a word") -> str:
        return self._match(_ATOM, what)[0].decode("ascii")

    def keyword(self, what: str = "a word") -> str:
        return self.atom(what).upper()

    def number(self, what: str = "a number") -> int:
        return self._number(what, NUMBER_MAX)

    def number64(self, what: str = "a number") -> int:
        return self._number(what, NUMBER64_MAX)

    def string(self, what: str = "a string") -> bytes:
        if self.at_literal():
            return self.literal()
        if not self.peek(b'"'):
            raise Malformed(f"expected {what}")
        return _ESCAPED.sub(rb"\1", self._match(_QUOTED, what)[1])

    def astring(self, what: str = "a string") -> bytes:
        if self.at_literal() or self.peek(b'"'):
            return self.string(what)
        return self._match(_ASTRING, what)[0]

    def nstring(self, what: str = "a string or NIL") -> bytes | None:
        if self.peek_word(b"NIL"):
            self._at += 3
            return None
        return self.string(what)

    def text(self, what: str = "a string") -> str:
        """An astring in UTF-8 without NUL."""
        return utf8(self.astring(what), what)

    def literal(self) -> bytes:
        if not self.at_literal():
            raise Malformed("expected a literal")
        octets = self._pieces[self._piece + 1]
        self._piece += 2
        self._text, self._at = self._pieces[self._piece], 0
        return octets

    def folder(self) -> str:
        """The name of a folder, decoded. INBOX is INBOX in any case. RFC 9051 §5.1."""
        return folder_name(self.astring("the name of a folder"))

    def list_pattern(self) -> str:
        if self.at_literal() or self.peek(b'"'):
            octets = self.string("a pattern")
        else:
            octets = self._match(_LIST_PATTERN, "a pattern")[0]
        if b"\0" in octets:
            raise Malformed("a pattern may not hold NUL")
        return utf7.decode(octets)

    def flag(self) -> str:
        self.count()
        return self._match(_FLAG, "a flag")[0].decode("ascii")

    def set_text(self) -> bytes:
        return self._match(_SET, "a set of numbers")[0]

    def date(self) -> date:
        day, month, year = self._match(_DATE, "a date such as 1-Feb-2026").groups()
        return _day(day, month, year)

    def date_time(self) -> datetime:
        found = self._match(_DATE_TIME, 'a date such as " 1-Feb-2026 09:00:00 +0000"').groups()
        offset = timedelta(hours=int(found[7]), minutes=int(found[8]))
        if offset >= timedelta(hours=24):
            raise Malformed("no such time zone")
        zone = timezone(-offset if found[6] == b"-" else offset)
        day = _day(found[0].strip(), found[1], found[2])
        try:
            return datetime(
                day.year, day.month, day.day, int(found[3]), int(found[4]), min(int(found[5]), 59), tzinfo=zone
            )
        except ValueError as error:
            raise Malformed("no such time") from error

    def listed(self, one: Callable[[], Value]) -> list[Value]:
        """`(one one …)`, at least one, each counted."""
        self.expect(b"(")
        self.deeper()
        values = [one()]
        while self.take(b" "):
            self.count()
            values.append(one())
        self.expect(b")")
        self.shallower()
        return values

    def _number(self, what: str, most: int) -> int:
        number = int(self._match(_NUMBER, what)[0])
        if number > most:
            raise Malformed("the number is too large")
        return number

    def _match(self, grammar: re.Pattern[bytes], what: str) -> re.Match[bytes]:
        found = grammar.match(self._text, self._at)
        if found is None:
            raise Malformed(f"expected {what}")
        self._at = found.end()
        return found


def utf8(octets: bytes, what: str) -> str:
    """Strict UTF-8 without NUL, or Malformed."""
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"{what} is not UTF-8") from error
    if "\0" in text:
        raise Malformed(f"{what} may not hold NUL")
    return text


def folder_name(octets: bytes) -> str:
    """Raise Malformed for what can't be a folder's name: empty, NUL and other control characters."""
    name = utf7.decode(octets)
    if any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 or character in "\u2028\u2029" for character in name):
        raise Malformed("the name of a folder may not hold control characters")
    head, slash, rest = name.partition("/")
    return f"INBOX{slash}{rest}" if head.upper() == "INBOX" else name


def _day(day: bytes, month: bytes, year: bytes) -> date:
    try:
        return date(int(year), _MONTHS[month.lower()], int(day))
    except (KeyError, ValueError) as error:
        raise Malformed("no such day") from error


def _shown(expected: bytes) -> str:
    return "a space" if expected == b" " else f'"{expected.decode("ascii")}"'
