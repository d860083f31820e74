"""What an SMTP conversation consists of: its settings, its events, and the table of what may follow what.

Promises
    `NEXT` is the whole order of the protocol: what is absent from it is out of order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from carepost.wire import smtp_replies as replies
from carepost.wire.smtp_auth import SignIn
from carepost.wire.smtp_content import ContentFlaw
from carepost.wire.smtp_grammar import (
    Authenticate,
    Chunk,
    ClientIs,
    Command,
    Data,
    Hello,
    Mail,
    Quit,
    Recipient,
    Reset,
    StartTls,
)
from carepost.wire.smtp_replies import Reply


class Dialect(Enum):
    SMTP = "SMTP"
    LMTP = "LMTP"  # RFC 2033: LHLO, and one answer for each recipient


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What one conversation may be. The policy and its reasons are in `SmtpLimits`."""

    hostname: str
    dialect: Dialect = Dialect.SMTP
    tls_offered: bool = False
    client_may_be_told: bool = False  # XCLIENT, from addresses that the settings trust
    message_max: int = 50_000_000
    recipients_max: int = 1000
    errors_max: int = 20
    idle_commands_max: int = 100
    content_line_max: int = 998
    submission: bool = False  # people sign in here, under TLS, before anything else. RFC 6409
    sign_in_failures_max: int = 3


@dataclass(frozen=True, slots=True)
class MessageBegins:
    """A question: may the content come? GO_AHEAD says yes."""


@dataclass(frozen=True, slots=True)
class Content:
    """A piece of the message, un-stuffed. Not a question."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class ChunkEnds:
    """A question: have these octets of BDAT been kept?"""

    octets: int


@dataclass(frozen=True, slots=True)
class MessageEnds:
    """A question: is the message ours now? In LMTP it wants one answer for each accepted recipient."""

    octets: int
    has_long_lines: bool


@dataclass(frozen=True, slots=True)
class MessageFails:
    """The content so far is worthless; the engine has said why."""

    flaw: ContentFlaw


# SignIn, Mail, Recipient and the first, third and fourth of the above are questions. After Hello, Reset, ClientIs,
# MessageFails and Quit, whatever was gathered for a message is to be dropped.
Event: TypeAlias = (
    Hello
    | StartTls
    | ClientIs
    | Mail
    | Recipient
    | MessageBegins
    | Content
    | ChunkEnds
    | MessageEnds
    | MessageFails
    | Reset
    | Quit
    | SignIn
)
Question: TypeAlias = SignIn | Mail | Recipient | MessageBegins | ChunkEnds | MessageEnds


class State(Enum):
    CONNECTED = auto()
    READY = auto()
    ADDRESSING = auto()
    ADDRESSED = auto()
    IN_DATA = auto()
    IN_CHUNK = auto()
    BETWEEN_CHUNKS = auto()
    CHUNKS_REFUSED = auto()  # RFC 3030 §2: after a chunk that failed, only RSET helps
    DISCARDING = auto()  # the octets of a chunk that has been refused already
    STARTING_TLS = auto()
    SIGNING_IN = auto()  # the next line belongs to AUTH. RFC 4954 §4
    CLOSED = auto()


# RFC 5321 §4.1.4, RFC 3030 §2, RFC 3207 §4: what may follow what, and where a "yes" leads. Anything absent is out of
# order. NOOP, HELP, VRFY and QUIT may stand anywhere between messages and change nothing.
NEXT: Mapping[State, Mapping[type[Command], State]] = {
    State.CONNECTED: {Hello: State.READY, ClientIs: State.CONNECTED, Reset: State.CONNECTED},
    State.READY: {
        Hello: State.READY,
        ClientIs: State.CONNECTED,
        StartTls: State.STARTING_TLS,
        Authenticate: State.SIGNING_IN,
        Mail: State.ADDRESSING,
        Reset: State.READY,
    },
    State.ADDRESSING: {Hello: State.READY, Recipient: State.ADDRESSED, Reset: State.READY},
    State.ADDRESSED: {
        Hello: State.READY,
        Recipient: State.ADDRESSED,
        Data: State.IN_DATA,
        Chunk: State.IN_CHUNK,
        Reset: State.READY,
    },
    State.IN_DATA: {},
    State.IN_CHUNK: {},
    State.BETWEEN_CHUNKS: {Hello: State.READY, Chunk: State.IN_CHUNK, Reset: State.READY},
    State.CHUNKS_REFUSED: {Hello: State.READY, Reset: State.READY},
    State.DISCARDING: {},
    State.STARTING_TLS: {},
    State.SIGNING_IN: {},
    State.CLOSED: {},
}

# What to say when a command is out of order and the reason is plain.
MISSING: Mapping[tuple[State, type[Command]], Reply] = {
    (State.CONNECTED, Mail): replies.HELLO_FIRST,
    (State.CONNECTED, Recipient): replies.HELLO_FIRST,
    (State.CONNECTED, StartTls): replies.HELLO_FIRST,
    (State.CONNECTED, Authenticate): replies.HELLO_FIRST,
    (State.READY, Recipient): replies.SENDER_FIRST,
    (State.READY, Data): replies.SENDER_FIRST,
    (State.READY, Chunk): replies.SENDER_FIRST,
    (State.ADDRESSING, Data): replies.NO_RECIPIENTS,
    (State.ADDRESSING, Chunk): replies.NO_RECIPIENTS,
}

__all__ = [
    "MISSING",
    "NEXT",
    "Authenticate",
    "ChunkEnds",
    "ClientIs",
    "Content",
    "Dialect",
    "EngineSettings",
    "Event",
    "Hello",
    "Mail",
    "MessageBegins",
    "MessageEnds",
    "MessageFails",
    "Question",
    "Quit",
    "Recipient",
    "Reset",
    "SignIn",
    "StartTls",
    "State",
]
