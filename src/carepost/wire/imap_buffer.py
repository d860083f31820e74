"""Lines and literals of IMAP, cut out of whatever pieces the network gave.

Promises
    Where the network cuts makes no difference.
    No octet of a literal is kept before the engine has accepted its announced size.
    Memory is bounded by the line limit plus the literals that were accepted.
    A line ends with CR LF; a bare LF is reported, never taken for an end.

RFC 9051 §4.3, RFC 7888.
"""

import re
from dataclasses import dataclass, field

# `{12}`, `{12+}` and `~{12}` at the end of a line. Twenty digits are enough to see that it is too many.
_ANNOUNCEMENT = re.compile(rb"(~?)\{([0-9]{1,20})(\+?)\}\Z")


@dataclass(frozen=True, slots=True)
class CommandRead:
    """One whole command. `pieces` alternate: text, literal, text … and end in text."""

    pieces: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class LiteralAnnounced:
    """A literal of `size` octets is coming; `first` is the command's first piece of text, `so_far` the octets of its
    earlier literals. Answer with `accept_literal` or `refuse_literal`."""

    size: int
    invited: bool
    first: bytes
    so_far: int


@dataclass(frozen=True, slots=True)
class LineTooLong:
    """No end of line within the limit. Nothing after it can be trusted."""


@dataclass(frozen=True, slots=True)
class BareLineFeed:
    """A line feed without its carriage return. `text` is the line."""

    text: bytes


Reading = CommandRead | LiteralAnnounced | LineTooLong | BareLineFeed


@dataclass(slots=True)
class ImapBuffer:
    """Octets in by `feed`, readings out by `next`; None when more is needed."""

    line_octets: int
    _waiting: bytearray = field(default_factory=bytearray)
    _searched: int = 0
    _pieces: list[bytes] = field(default_factory=list)
    _text_octets: int = 0
    _literal_octets: int = 0
    _announced: int | None = None
    _wanted: int | None = None
    _literal: list[bytes] = field(default_factory=list)
    _got: int = 0

    def feed(self, octets: bytes) -> None:
        if self._wanted is None:
            self._waiting += octets
        else:
            self._take_literal(octets)

    @property
    def waiting(self) -> int:
        """Octets that came and have not been read."""
        return len(self._waiting)

    @property
    def in_command(self) -> bool:
        """Part of a command has come and its end has not."""
        return bool(self._pieces or self._waiting or self._wanted is not None)

    @property
    def in_literal(self) -> bool:
        return self._wanted is not None

    def starts_with(self, octets: bytes) -> bool:
        return self._waiting.startswith(octets)

    def discard(self) -> int:
        """Forget everything that came; say how many octets it was. For STARTTLS (P4)."""
        count = len(self._waiting)
        self._waiting.clear()
        self._searched = 0
        self._restart()
        return count

    def next(self) -> Reading | None:
        if self._announced is not None:
            raise RuntimeError("the announced literal was neither accepted nor refused")
        if self._wanted is not None:
            return None
        end = self._waiting.find(b"\n", self._searched)
        if self._text_octets + (len(self._waiting) if end < 0 else end) > self.line_octets:
            return LineTooLong()
        if end < 0:
            self._searched = len(self._waiting)
            return None
        line = bytes(self._waiting[:end])
        del self._waiting[: end + 1]
        self._searched = 0
        return self._line(line)

    def accept_literal(self) -> None:
        assert self._announced is not None  # noqa: S101 - an engine that accepts nothing is our own defect
        self._wanted, self._announced = self._announced, None
        octets = bytes(self._waiting)
        self._waiting.clear()
        self._take_literal(octets)

    def refuse_literal(self) -> None:
        """Drop the command it belongs to. A client that asked first sends nothing of it."""
        self._restart()

    def _line(self, line: bytes) -> Reading:
        if not line.endswith(b"\r"):
            self._restart()
            return BareLineFeed(line)
        text = line[:-1]
        self._text_octets += len(line) + 1
        announcement = _ANNOUNCEMENT.search(text)
        if announcement is None:
            pieces = (*self._pieces, text)
            self._restart()
            return CommandRead(pieces)
        size = int(announcement[2])
        self._pieces.append(text[: announcement.start()])
        self._announced = size
        return LiteralAnnounced(size, not announcement[3], self._pieces[0], self._literal_octets)

    def _take_literal(self, octets: bytes) -> None:
        assert self._wanted is not None  # noqa: S101
        missing = self._wanted - self._got
        if octets:
            self._literal.append(octets[:missing] if len(octets) > missing else octets)
            self._got += len(self._literal[-1])
        if self._got == self._wanted:
            self._pieces.append(b"".join(self._literal))
            self._literal_octets += self._wanted
            self._literal, self._got, self._wanted = [], 0, None
            self._waiting += octets[missing:]

    def _restart(self) -> None:
        self._pieces, self._literal = [], []
        self._text_octets = self._literal_octets = self._got = 0
        self._announced = self._wanted = None
