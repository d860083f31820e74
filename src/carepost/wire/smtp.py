"""The server end of SMTP and LMTP, without I/O: bytes in, events out; replies in, bytes out.

Promises
    `next_event` never raises on anything that a stranger can send: what is wrong is answered here and counted.
    One message in gives at most one MessageEnds; where the network cuts makes no difference.
    A bare CR or LF, in a command or a message, ends the conversation: nothing after it is understood.
    Nothing sent in clear survives STARTTLS. AUTH exists on the submission ports only, and only under TLS (P6).
    Content is handed on as it arrives: the engine keeps less than a line.

The server feeds what it reads, asks for events until there are none, answers those that are questions, and writes what
`to_send` gives. RFC 5321, 2033 (LMTP), 2920 (PIPELINING), 3030 (CHUNKING), 3207 (STARTTLS), 4954
(AUTH), 6409 (submission). The order of commands is
the table `smtp_events.NEXT`.
"""

from collections.abc import Sequence
from typing import assert_never

from carepost.wire import smtp_replies as replies
from carepost.wire.buffer import Flaw, LineBuffer
from carepost.wire.sasl import RESPONSE_OCTETS_MAX
from carepost.wire.smtp_auth import MECHANISMS, SignIn, SignInDialogue
from carepost.wire.smtp_content import DISCARD_FACTOR, ContentFlaw, MessageArrival, Pause
from carepost.wire.smtp_events import (
    MISSING,
    NEXT,
    ChunkEnds,
    Content,
    Dialect,
    EngineSettings,
    Event,
    MessageBegins,
    MessageEnds,
    MessageFails,
    Question,
    State,
)
from carepost.wire.smtp_grammar import (
    COMMAND_MAX_WITH_PARAMETERS,
    Authenticate,
    Chunk,
    ClientIs,
    Command,
    Data,
    Hello,
    Mail,
    Misunderstood,
    Quit,
    Recipient,
    Reset,
    StartTls,
    Told,
    is_another_protocol,
    understand,
)
from carepost.wire.smtp_replies import Reply

# Tuples, not sets: an enum's hash is slow and its identity is not.
_CONTENT = (State.IN_DATA, State.IN_CHUNK, State.DISCARDING)
_BETWEEN_MESSAGES = (State.CONNECTED, State.READY)
_DEAF = (State.CLOSED, State.STARTING_TLS)


class SmtpEngine:
    """One conversation, our end of it."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.state = State.CONNECTED
        self.tls = False
        self.signed_in = False
        self._dialogue: SignInDialogue | None = None
        self._sign_in_failures = 0
        self._buffer = LineBuffer()
        self._out: list[bytes] = []
        self._asked: Question | None = None
        self._accepted = 0  # recipients of this message
        self._errors = 0
        self._idle_commands = 0
        self._arrival: MessageArrival | None = None
        self._begun_by: Data | Chunk = Data()
        self._to_discard = 0
        self._after_discard: tuple[Sequence[Reply], State] = ((), State.READY)

    # -- the server's side of it --

    @property
    def closed(self) -> bool:
        return self.state is State.CLOSED

    @property
    def in_content(self) -> bool:
        """Whether octets that come now belong to a message."""
        return self.state in _CONTENT

    @property
    def is_idle(self) -> bool:
        """Whether no message is under way and nothing has been asked."""
        return self._asked is None and self.state in _BETWEEN_MESSAGES

    @property
    def flawed(self) -> bool:
        """Whether the arriving message has a bare CR or LF: its sender may believe that it has ended already."""
        return self._arrival is not None and self._arrival.watch.flaw is ContentFlaw.BARE_LINE_END

    def greet(self) -> None:
        protocol = "LMTP" if self.settings.dialect is Dialect.LMTP else "ESMTP"
        self._say(replies.greeting(self.settings.hostname, protocol))

    def feed(self, data: bytes) -> None:
        # P4: in clear, after STARTTLS: nobody's. After CLOSED: too late.
        if self.state not in _DEAF:
            self._buffer.feed(data)

    def to_send(self) -> bytes:
        """All replies since the last call, to be written at once (RFC 2920 §3.2)."""
        out, self._out = b"".join(self._out), []
        return out

    def close(self, reply: Reply | None = None) -> None:
        """End the conversation, with a last word or none. Whatever is still unread stays unread."""
        if self.state is State.CLOSED:
            return
        if reply is not None:
            self._out.append(reply.encode())
        self.state = State.CLOSED
        self._buffer.clear()

    def tls_begun(self) -> None:
        """RFC 3207 §4.2: the client knows nothing of what was said before, and neither do we."""
        self.tls = True
        self.signed_in = False
        self._buffer.clear()
        self._forget_message()
        self.state = State.CONNECTED

    def next_event(self) -> Event | None:
        """The next event, or None: more bytes are needed, or an answer is."""
        while self._asked is None:
            match self.state:
                case State.CLOSED | State.STARTING_TLS:
                    return None
                case State.DISCARDING:
                    event, waits = None, self._discard()
                case State.IN_DATA | State.IN_CHUNK:
                    event, waits = self._read_content()
                case State.SIGNING_IN:
                    event, waits = self._read_secret()
                case _:
                    event, waits = self._read_command()
            if event is not None:
                return event
            if waits:
                return None
        return None

    def answer(self, *given: Reply) -> None:
        """Answer the question that `next_event` asked last."""
        asked, self._asked = self._asked, None
        match asked:
            case None:
                raise RuntimeError("nothing was asked")
            case SignIn():
                self._answer_sign_in(given[0])
            case Mail():
                self._answer_command(Mail, given[0])
            case Recipient():
                self._accepted += given[0].is_positive
                self._answer_command(Recipient, given[0])
            case MessageBegins():
                self._answer_begin(given[0])
            case ChunkEnds():
                self._say(given[0])
                self._become(State.BETWEEN_CHUNKS if given[0].is_positive else State.CHUNKS_REFUSED)
            case MessageEnds():
                if any(reply.is_positive for reply in given):
                    self._errors = self._idle_commands = 0
                self._answer_message(given)
            case _:
                assert_never(asked)

    # -- commands --

    def _read_command(self) -> tuple[Event | None, bool]:
        line = self._buffer.line(COMMAND_MAX_WITH_PARAMETERS)
        if line is None:
            return None, True
        if isinstance(line, Flaw):
            self._flawed_line(line)
        else:
            try:
                return self._obey(understand(line)), False
            except Misunderstood as why:
                self._misunderstood(line, why.reply)
        return None, False

    def _misunderstood(self, line: bytes, reply: Reply) -> None:
        if is_another_protocol(line):
            self.close(replies.NOT_A_MAIL_COMMAND)
            return
        self._say(reply)
        if line[:4].upper() == b"BDAT":
            # Nobody knows how much content follows: the only safe thing is to read none of it.
            self.close()

    def _flawed_line(self, flaw: Flaw) -> None:
        match flaw:
            case Flaw.BARE_LINE_END:
                self.close(replies.BARE_LINE_END_IN_COMMAND)
            case Flaw.RUNAWAY:
                self.close(replies.LINE_TOO_LONG)
            case Flaw.TOO_LONG:
                self._say(replies.LINE_TOO_LONG)
            case _:
                assert_never(flaw)

    def _obey(self, command: Command) -> Event | None:
        if isinstance(command, Told):
            self._count_idle()
            self._say(command.reply)
            return None
        if not isinstance(command, Quit) and (refusal := self._refusal(command)) is not None:
            self._refuse(command, refusal)
            return None
        match command:
            case Quit():
                self.close(replies.GOODBYE)
            case Hello():
                self._hello(command)
            case Reset():
                self._reset()
            case StartTls():
                return self._start_tls(command)
            case ClientIs():
                self._forget_message()
                self.state = State.CONNECTED
                self.greet()
            case Mail() | Recipient():
                self._asked = command
            case Data():
                return self._begin(command)
            case Chunk():
                return self._chunk_arrives(command)
            case Authenticate():
                self._dialogue = SignInDialogue(command.mechanism)
                return self._sign_in_goes_on(self._dialogue.begin(command.initial))
            case _:
                assert_never(command)
        return command

    def _refusal(self, command: Command) -> Reply | None:
        """Why the engine itself says no to this command here, if it does."""
        settings, kind = self.settings, type(command)
        match command:
            case Hello(verb=verb) if (verb == "LHLO") is not (settings.dialect is Dialect.LMTP):
                return replies.USE_LHLO if settings.dialect is Dialect.LMTP else replies.USE_EHLO
            case StartTls() if not settings.tls_offered:
                return replies.TLS_NOT_OFFERED
            case StartTls() if self.tls:
                return replies.TLS_ALREADY
            case ClientIs() if not settings.client_may_be_told:
                return replies.XCLIENT_NOT_ALLOWED
            case Authenticate() | Mail() if self.state is State.READY:
                if (refusal := self._sign_in_refusal(command)) is not None:
                    return refusal
        if kind not in NEXT[self.state]:
            return MISSING.get((self.state, kind), replies.OUT_OF_ORDER)
        match command:
            case Mail(size=size) if size is not None and size > settings.message_max:
                return replies.TOO_LARGE
            case Recipient() if self._accepted >= settings.recipients_max:
                return replies.TOO_MANY_RECIPIENTS
        return None

    def _refuse(self, command: Command, refusal: Reply) -> None:
        if isinstance(command, Chunk):
            self._discard_chunk(command, (refusal,), then=self.state)
        else:
            self._say(refusal)

    def _hello(self, command: Hello) -> None:
        self._forget_message()
        self.state = State.READY
        if command.verb == "HELO":
            self._say(replies.hello(self.settings.hostname))
        else:
            self._out.append(replies.keywords(self.settings.hostname, self._keywords()))

    def _keywords(self) -> list[str]:
        settings = self.settings
        lines = ["PIPELINING", f"SIZE {settings.message_max}"]
        if settings.tls_offered and not self.tls:
            lines.append("STARTTLS")
        # LIMITS: RFC 9422. BINARYMIME is not offered: a message is lines, and they are checked.
        lines += ["ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING"]
        if settings.submission and self.tls:
            lines += [f"AUTH {' '.join(MECHANISMS)}", "REQUIRETLS"]
        lines.append(f"LIMITS RCPTMAX={settings.recipients_max}")
        if settings.client_may_be_told:
            lines.append("XCLIENT NAME ADDR PROTO HELO")
        return lines

    def _reset(self) -> None:
        self._forget_message()
        self._count_idle()
        self._say(replies.OK)
        self._become(NEXT[self.state].get(Reset, self.state))

    def _start_tls(self, command: StartTls) -> Event | None:
        # P4: whatever came with it came in clear, and perhaps not from the client.
        if len(self._buffer):
            self.close(replies.NOTHING_AFTER_STARTTLS)
            return None
        self._say(replies.TLS_READY)
        self._become(State.STARTING_TLS)
        return command

    def _answer_command(self, kind: type[Command], reply: Reply) -> None:
        self._say(reply)
        if reply.is_positive:
            self._become(NEXT[self.state].get(kind, self.state))

    # -- signing in --

    def _sign_in_refusal(self, command: Authenticate | Mail) -> Reply | None:
        here = self.settings.submission
        match command:
            case Authenticate() if not here:
                return replies.NOT_OFFERED
            case Authenticate() if not self.tls:
                return replies.TLS_BEFORE_SIGN_IN
            case Authenticate() if self.signed_in:
                return replies.SIGNED_IN_ALREADY
            case Mail() if here and not self.signed_in:
                return replies.SIGN_IN_FIRST if self.tls else replies.TLS_FIRST
            case Mail(require_tls=True) | Mail(submitter=True) if not here:
                return replies.PARAMETER_UNKNOWN
        return None

    def _read_secret(self) -> tuple[Event | None, bool]:
        line = self._buffer.line(RESPONSE_OCTETS_MAX)
        if line is None or self._dialogue is None:
            return None, True
        if isinstance(line, Flaw):
            self._become(State.READY)
            self._flawed_line(line)
            return None, False
        return self._sign_in_goes_on(self._dialogue.read(line)), False

    def _sign_in_goes_on(self, then: Reply | SignIn) -> Event | None:
        if isinstance(then, SignIn):
            self._asked = then
            return then
        self._become(State.SIGNING_IN if then.code == 334 else State.READY)
        self._say(then)
        return None

    def _answer_sign_in(self, reply: Reply) -> None:
        self._dialogue = None
        self._become(State.READY)
        self._say(reply)
        self.signed_in = reply.is_positive
        self._sign_in_failures += not reply.is_positive
        if self._sign_in_failures >= self.settings.sign_in_failures_max:
            self.close(replies.TOO_MANY_FAILURES)

    # -- content --

    def _begin(self, by: Data | Chunk) -> Event:
        settings = self.settings
        self._arrival = MessageArrival(message_max=settings.message_max, line_max=settings.content_line_max)
        self._begun_by = by
        self._asked = MessageBegins()
        return self._asked

    def _answer_begin(self, reply: Reply) -> None:
        by = self._begun_by
        match by, reply.is_positive:
            case Data(), is_positive:
                self._arrival = self._arrival if is_positive else None
                self._say(reply)
                self._become(State.IN_DATA if is_positive else self.state)
            case Chunk(octets, last), True:
                self._arriving().chunk_begins(octets, last=last)
                self._become(State.IN_CHUNK)
            case Chunk(), False:
                self._chunk_fails(by, reply)

    def _chunk_arrives(self, chunk: Chunk) -> Event | None:
        seen = self._arrival.watch.octets if self._arrival is not None else 0
        if seen + chunk.octets > self.settings.message_max:
            self._chunk_fails(chunk, replies.TOO_LARGE)
            return MessageFails(ContentFlaw.TOO_LARGE)
        if not chunk.octets:
            self._count_idle()  # P3: an endless row of empty chunks
        if self._arrival is None:
            return self._begin(chunk)
        self._arrival.chunk_begins(chunk.octets, last=chunk.last)
        self._become(State.IN_CHUNK)
        return None

    def _chunk_fails(self, chunk: Chunk, reply: Reply) -> None:
        answers = [reply] * (self._answers_wanted() if chunk.last else 1)
        self._forget_message()
        self._discard_chunk(chunk, answers, then=State.READY if chunk.last else State.CHUNKS_REFUSED)

    def _read_content(self) -> tuple[Event | None, bool]:
        arrival = self._arriving()
        found = arrival.read(self._buffer)
        if isinstance(found, bytes):
            return Content(found), False
        if arrival.is_hopeless:
            self.close(replies.TOO_LARGE)
            return MessageFails(ContentFlaw.TOO_LARGE), False
        match found:
            case Pause.MORE:
                return None, True
            case Pause.CHUNK if arrival.watch.flaw is None:
                self._asked = ChunkEnds(arrival.chunk_octets)
                return self._asked, False
            case Pause.MESSAGE if arrival.watch.flaw is None:
                self._asked = MessageEnds(arrival.watch.octets, arrival.watch.has_long_lines)
                return self._asked, False
        return self._flawed_message(arrival.watch.flaw), False

    def _flawed_message(self, flaw: ContentFlaw | None) -> Event:
        if flaw is ContentFlaw.TOO_LARGE:
            # Only by DATA: a chunk that would be too large was refused before it came.
            self._answer_message([replies.TOO_LARGE] * self._answers_wanted())
            return MessageFails(ContentFlaw.TOO_LARGE)
        self.close(replies.BARE_LINE_END_IN_MESSAGE)
        return MessageFails(ContentFlaw.BARE_LINE_END)

    def _answers_wanted(self) -> int:
        """RFC 2033 §4.2: LMTP answers for each recipient that it accepted, in their order."""
        return self._accepted if self.settings.dialect is Dialect.LMTP else 1

    def _answer_message(self, given: Sequence[Reply]) -> None:
        """All of them, whatever they are: a missing answer would make an LMTP client send a message twice."""
        self._forget_message()
        self._become(State.READY)
        self._say_all(given)

    def _discard_chunk(self, chunk: Chunk, answers: Sequence[Reply], *, then: State) -> None:
        """RFC 3030 §2: the content of a refused chunk comes all the same, and is thrown away."""
        if chunk.octets > self.settings.message_max * DISCARD_FACTOR:
            self.close(answers[0])
            return
        self._to_discard, self._after_discard = chunk.octets, (answers, then)
        self._become(State.DISCARDING)

    def _discard(self) -> bool:
        """Whether there is more to come."""
        self._to_discard -= len(self._buffer.take(self._to_discard))
        if self._to_discard:
            return True
        answers, then = self._after_discard
        self._become(then)
        self._say_all(answers)
        return False

    def _arriving(self) -> MessageArrival:
        if self._arrival is None:
            raise RuntimeError("no message has begun")
        return self._arrival

    def _forget_message(self) -> None:
        self._arrival = None
        self._accepted = 0

    # -- replies --

    def _become(self, state: State) -> None:
        if self.state is not State.CLOSED:
            self.state = state

    def _say(self, reply: Reply) -> None:
        if self.state is State.CLOSED:
            return
        self._out.append(reply.encode())
        if reply.code == 421:
            self.close()  # RFC 5321 §3.8
        elif reply.code >= 500:
            self._errors += 1
            if self._errors >= self.settings.errors_max:
                self.close(replies.TOO_MANY_ERRORS)

    def _say_all(self, given: Sequence[Reply]) -> None:
        """Several at once, whatever they are: they count as one, so that none is cut off by the limit of errors."""
        if self.state is State.CLOSED:
            return
        self._out.extend(reply.encode() for reply in given[:-1])
        self._say(given[-1])

    def _count_idle(self) -> None:
        self._idle_commands += 1
        if self._idle_commands > self.settings.idle_commands_max:
            self.close(replies.TOO_MANY_ERRORS)
