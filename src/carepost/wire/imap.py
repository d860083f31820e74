"""The IMAP server's engine: octets in, events out. RFC 9051, RFC 3501, RFC 7888.

Promises
    It does not await, log, look at the clock or know any mailbox.
    What may follow what is the table ALLOWED; anything else is refused before the server hears of it.
    An announced literal is refused before it is invited when it is larger than the client may send now (P22).
    A command cut into pieces anywhere gives the same events.

The server asks `next` for one event at a time, and answers one command before it asks for the next.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import get_args

from carepost.base.errors import Malformed
from carepost.wire import imap_commands as commands
from carepost.wire.imap_buffer import BareLineFeed, CommandRead, ImapBuffer, LineTooLong, LiteralAnnounced
from carepost.wire.imap_commands import Command
from carepost.wire.imap_grammar import is_append, parse, tag_of
from carepost.wire.imap_grammar_search import BadCharset
from carepost.wire.imap_limits import ImapLimits


class State(StrEnum):
    """RFC 9051 §3."""

    NOT_AUTHENTICATED = "not authenticated"
    AUTHENTICATED = "authenticated"
    SELECTED = "selected"
    LOGGED_OUT = "logged out"


_ANY: frozenset[type] = frozenset(get_args(commands.AnyState))
_BEFORE: frozenset[type] = frozenset(get_args(commands.BeforeLogin))
_AFTER: frozenset[type] = frozenset(get_args(commands.AfterLogin))
_SELECTED: frozenset[type] = frozenset(get_args(commands.WhenSelected))

# RFC 9051 §6: which commands belong to which state. Anything absent here is refused.
ALLOWED: Mapping[State, frozenset[type]] = {
    State.NOT_AUTHENTICATED: _ANY | _BEFORE,
    State.AUTHENTICATED: _ANY | _AFTER,
    State.SELECTED: _ANY | _AFTER | _SELECTED,
    State.LOGGED_OUT: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One command, allowed now, for the server to answer."""

    tag: str
    command: Command


@dataclass(frozen=True, slots=True)
class Answered:
    """The engine's own words: refusals and invitations. Write them."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Line:
    """What the client wrote where no command was due: a SASL answer, or DONE."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """Write these words, if any, and close."""

    octets: bytes


Event = Asked | Answered | Line | Ended

# ALPACA, and people who mistake the port (P7): other protocols' first words. There is nothing to say to them.
_OTHER_PROTOCOL = re.compile(
    rb"(?:GET|POST|PUT|HEAD|DELETE|OPTIONS|TRACE|CONNECT|PATCH|PRI|PROPFIND) [^ ]+ HTTP/"
    rb"|(?:HOST|USER-AGENT): |EHLO |HELO |\x16\x03",
    re.IGNORECASE,
)
_LINE_TOO_LONG = b"* BYE [CLIENTBUG] The line is too long.\r\n"
_TOO_OFTEN_WRONG = b"* BYE [CLIENTBUG] Too many commands that could not be understood.\r\n"
_WRONG_STATE: Mapping[State, str] = {
    State.NOT_AUTHENTICATED: "Sign in first.",
    State.AUTHENTICATED: "Select a folder first, or you are signed in already.",
    State.SELECTED: "You are signed in already.",
    State.LOGGED_OUT: "You have logged out.",
}


class ImapServerEngine:
    """One conversation's grammar and state."""

    __slots__ = ("_awaiting_line", "_bad", "_buffer", "_ended", "_limits", "_spoken", "_state")

    def __init__(self, limits: ImapLimits) -> None:
        self._limits = limits
        self._buffer = ImapBuffer(limits.line_octets)
        self._state = State.NOT_AUTHENTICATED
        self._awaiting_line = False
        self._bad = 0
        self._ended = False
        self._spoken = False

    @property
    def state(self) -> State:
        return self._state

    @property
    def waiting(self) -> int:
        """Octets that came and were not yet made into events."""
        return self._buffer.waiting

    @property
    def in_literal(self) -> bool:
        return self._buffer.in_literal

    @property
    def in_command(self) -> bool:
        """A command has begun to come and is not whole."""
        return self._buffer.in_command

    def feed(self, octets: bytes) -> None:
        self._buffer.feed(octets)

    # What the server says happened

    def signed_in(self) -> None:
        self._state = State.AUTHENTICATED

    def selected(self) -> None:
        self._state = State.SELECTED

    def unselected(self) -> None:
        self._state = State.AUTHENTICATED

    def logged_out(self) -> None:
        self._state = State.LOGGED_OUT
        self._ended = True

    def await_line(self) -> None:
        """After a `+`: the next line is an answer, not a command."""
        self._awaiting_line = True

    def bad_command(self) -> bool:
        """One more command that was wrong; True when it was the last we bear."""
        self._bad += 1
        return self._bad >= self._limits.bad_commands

    def starts_tls(self) -> bool:
        """Forget what came in clear. False if anything did: it was injected, and the conversation must end (P4)."""
        return self._buffer.discard() == 0

    # What the client says

    def next(self) -> Event | None:
        """The next event; None when more octets are needed."""
        if self._ended:
            return None
        reading = self._buffer.next()
        if reading is None:
            return self._stranger()
        first_words, self._spoken = not self._spoken, True
        match reading:
            case LineTooLong():
                return self._end(_LINE_TOO_LONG)
            case BareLineFeed(text):
                if first_words and _OTHER_PROTOCOL.match(text):
                    return self._end(b"")
                self._awaiting_line = False
                return self._refuse(tag_of(text), "BAD", "A line ends with CR LF.")
            case LiteralAnnounced():
                return self._literal(reading)
            case CommandRead(pieces):
                if _OTHER_PROTOCOL.match(pieces[0]) and self._state is State.NOT_AUTHENTICATED:
                    return self._end(b"")
                return self._command(pieces)

    def _stranger(self) -> Event | None:
        """Something that speaks TLS to the port for clear text sends no line at all."""
        if not self._spoken and self._buffer.starts_with(b"\x16\x03"):
            return self._end(b"")
        return None

    def _command(self, pieces: tuple[bytes, ...]) -> Event:
        if self._awaiting_line:
            self._awaiting_line = False
            return Line(pieces[0]) if len(pieces) == 1 else self._refuse(None, "BAD", "No literal was expected here.")
        try:
            tag, command = parse(pieces, self._limits)
        except BadCharset as error:
            return self._refuse(tag_of(pieces[0]), "NO", f"[BADCHARSET (UTF-8)] {_sentence(error)}")
        except Malformed as error:
            return self._refuse(tag_of(pieces[0]), "BAD", _sentence(error))
        if type(command) not in ALLOWED[self._state]:
            return self._refuse(tag, "BAD", _WRONG_STATE[self._state])
        return Asked(tag, command)

    def _literal(self, announced: LiteralAnnounced) -> Event:
        if self._awaiting_line:
            self._buffer.refuse_literal()
            return self._end(b"* BYE [CLIENTBUG] No literal was expected here.\r\n")
        limits = self._limits
        before_login = self._state is State.NOT_AUTHENTICATED
        message = is_append(announced.first) and not before_login
        if before_login:
            most = limits.literal_before_login_octets
        elif message:
            # The names before the message are bounded by the line; the message is what is meant.
            most = limits.message_octets + limits.literal_octets
        else:
            most = limits.literal_octets
        too_big = announced.so_far + announced.size > most or (message and announced.size > limits.message_octets)
        if not announced.invited and (too_big or announced.size > limits.literal_uninvited_octets):
            # The octets come whether we want them or not: there is no way to find the next command (RFC 7888 §4).
            tag = tag_of(announced.first) or "*"
            refusal = b"" if tag == "*" else f"{tag} BAD [TOOBIG] The literal is too large.\r\n".encode()
            return self._end(refusal + b"* BYE [TOOBIG] The literal is too large to send without asking.\r\n")
        if too_big:
            self._buffer.refuse_literal()
            what = "The message is larger than this service takes." if message else "The literal is too large."
            return self._refuse(tag_of(announced.first), "NO" if message else "BAD", f"[TOOBIG] {what}")
        self._buffer.accept_literal()
        return Answered(b"+ Go on.\r\n" if announced.invited else b"")

    def _refuse(self, tag: str | None, how: str, why: str) -> Event:
        octets = f"{tag or '*'} {how} {why}\r\n".encode()
        if how == "BAD" and self.bad_command():
            return self._end(octets + _TOO_OFTEN_WRONG)
        return Answered(octets)

    def _end(self, octets: bytes) -> Ended:
        self._ended = True
        self._state = State.LOGGED_OUT
        return Ended(octets)


def _sentence(error: Malformed) -> str:
    return f"{error.public[:1].upper()}{error.public[1:]}."
