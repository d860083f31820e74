"""SMTP from the side of who sends: an engine without I/O. RFC 5321, 1870, 2920, 3030, 3207, 3461, 6152, 6531, 8689.

Promises
    Every reply belongs to the command that was said before it; one that belongs to none ends the conversation. So a
    peer that answers ahead, or somebody on the line who adds replies of his own, is never believed (P5).
    `tls_begins` forgets all that came in clear: octets, offers, promises. Inside TLS the conversation begins again.
    Only what the table allows is said; saying anything else raises OutOfOrder, which is a fault of ours.

The caller says commands (`say` gives the octets), feeds what arrives (`hear` gives the answers, in order), and sends
the content itself, between a yes to DATA and `content_sent`, or right after BDAT.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from carepost.wire.smtp_client_commands import (
    ClientCommand,
    Data,
    Ehlo,
    Helo,
    LastChunk,
    MailFrom,
    Offers,
    Quit,
    RcptTo,
    Reset,
    StartTls,
    encode,
    read_offers,
)
from carepost.wire.smtp_client_replies import PeerReply, ReplyReader, Unintelligible


class OutOfOrder(RuntimeError):
    """We were about to say what may not be said now."""


class ClientState(Enum):
    CONNECTED = auto()  # its greeting has not come yet
    GREETED = auto()
    READY = auto()
    STARTING_TLS = auto()  # it has said yes to STARTTLS
    ADDRESSING = auto()
    IN_CONTENT = auto()  # DATA may be sent, or BDAT's octets are due
    CONTENT_SENT = auto()
    CLOSED = auto()


# RFC 5321 §4.1.4, RFC 3207 §4: what may be said when, and where a yes leads. Anything absent is out of order.
NEXT: Mapping[ClientState, Mapping[type[ClientCommand], ClientState]] = {
    ClientState.CONNECTED: {Quit: ClientState.CLOSED},
    ClientState.GREETED: {Ehlo: ClientState.READY, Helo: ClientState.READY, Quit: ClientState.CLOSED},
    ClientState.READY: {
        Ehlo: ClientState.READY,
        Helo: ClientState.READY,
        StartTls: ClientState.STARTING_TLS,
        MailFrom: ClientState.ADDRESSING,
        Reset: ClientState.READY,
        Quit: ClientState.CLOSED,
    },
    ClientState.STARTING_TLS: {},
    ClientState.ADDRESSING: {
        RcptTo: ClientState.ADDRESSING,
        Data: ClientState.IN_CONTENT,
        LastChunk: ClientState.IN_CONTENT,
        Reset: ClientState.READY,
        Quit: ClientState.CLOSED,
    },
    ClientState.IN_CONTENT: {},
    ClientState.CONTENT_SENT: {Quit: ClientState.CLOSED},
    ClientState.CLOSED: {},
}
# RFC 2920 §3.1: what may be said before the answers to what was said before have come.
_MAY_BE_PIPELINED = (MailFrom, RcptTo, Reset)


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the first reply answers to: that we have connected."""


@dataclass(frozen=True, slots=True)
class Content:
    """What the last reply of a transaction answers to: the message."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer, and to what."""

    to: ClientCommand | Greeting | Content
    reply: PeerReply


# Where a yes leads from what was answered.
_YES: Mapping[type[ClientCommand | Greeting | Content], ClientState] = {
    Greeting: ClientState.GREETED,
    Ehlo: ClientState.READY,
    Helo: ClientState.READY,
    StartTls: ClientState.STARTING_TLS,
    Reset: ClientState.READY,
}


class SmtpClientEngine:
    """One conversation."""

    __slots__ = ("_awaited", "_flaw", "_reader", "in_tls", "offers", "state")

    def __init__(self) -> None:
        self._reader = ReplyReader()
        self._awaited: deque[ClientCommand | Greeting | Content] = deque([Greeting()])
        self._flaw: Unintelligible | None = None
        self.state = ClientState.CONNECTED
        self.offers = Offers()
        self.in_tls = False

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is still to come."""
        return bool(self._awaited)

    def say(self, *commands: ClientCommand) -> bytes:
        """The octets to send. Raises OutOfOrder, and CannotBeSaid for a value that has no place on the wire."""
        return b"".join([self._say(command) for command in commands])

    def _say(self, command: ClientCommand) -> bytes:
        leads_to = NEXT[self.state].get(type(command))
        if leads_to is None:
            raise OutOfOrder(f"{type(command).__name__} when {self.state.name}")
        pipelined = isinstance(command, _MAY_BE_PIPELINED) and "PIPELINING" in self.offers
        if self._awaited and not pipelined and not isinstance(command, Quit):
            raise OutOfOrder(f"{type(command).__name__} before the answer has come")
        octets = encode(command, self.offers)
        self._awaited.append(command)
        if isinstance(command, MailFrom | RcptTo | LastChunk | Quit):
            self.state = leads_to  # what follows in the same breath supposes a yes
        return octets

    def content_sent(self) -> None:
        """All octets of the message have been sent."""
        if self.state is not ClientState.IN_CONTENT:
            raise OutOfOrder("content that nobody waits for")
        self.state = ClientState.CONTENT_SENT

    def hear(self, octets: bytes) -> Sequence[Heard]:
        """The answers that are whole now, in order. Raises Unintelligible when the next thing is none.

        An answer that came before the rubbish still counts: a message that was taken is not sent twice for it.
        """
        if self._flaw is not None:
            raise self._flaw
        self._reader.feed(octets)
        heard: list[Heard] = []
        try:
            while self.state is not ClientState.STARTING_TLS and (reply := self._reader.next()) is not None:
                heard.append(self._belonging(reply))
        except Unintelligible as flaw:
            self._flaw, self.state = flaw, ClientState.CLOSED
            if not heard:
                raise
        return heard

    def tls_begins(self) -> bool:
        """The handshake begins: nothing said in clear counts. Whether there was more than the yes to STARTTLS."""
        if self.state is not ClientState.STARTING_TLS:
            raise OutOfOrder("TLS that nobody agreed on")
        injected = self._reader.holds_octets
        self._reader.clear()
        self._awaited.clear()
        self.offers = Offers()
        self.in_tls = True
        self.state = ClientState.GREETED
        return injected

    def _belonging(self, reply: PeerReply) -> Heard:
        if not self._awaited:
            raise Unintelligible("a reply to nothing that was said")
        heard = Heard(self._awaited[0], reply)
        if isinstance(heard.to, Content | LastChunk):
            if self.state is ClientState.IN_CONTENT and reply.is_yes:
                raise Unintelligible("a yes to a message that it has not seen the end of")
            # After an early no the rest of the content would be read as commands.
            self.state = ClientState.CLOSED if self.state is ClientState.IN_CONTENT else ClientState.READY
        elif isinstance(heard.to, Data) and reply.is_go_ahead:
            self.state = ClientState.IN_CONTENT
            self._awaited.append(Content())
        elif isinstance(heard.to, MailFrom) and not reply.is_yes and self.state is ClientState.ADDRESSING:
            self.state = ClientState.READY
        elif reply.is_yes:
            self.state = _YES.get(type(heard.to), self.state)
            if isinstance(heard.to, Ehlo | Helo):
                self.offers = read_offers(reply) if isinstance(heard.to, Ehlo) else Offers()
        self._awaited.popleft()
        return heard
