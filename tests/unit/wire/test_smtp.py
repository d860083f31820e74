"""The SMTP engine: bytes in, events out."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carepost.wire import smtp_replies as replies
from carepost.wire.smtp import SmtpEngine
from carepost.wire.smtp_content import ContentFlaw
from carepost.wire.smtp_events import (
    NEXT,
    ChunkEnds,
    ClientIs,
    Content,
    Dialect,
    EngineSettings,
    Event,
    Hello,
    Mail,
    MessageBegins,
    MessageEnds,
    MessageFails,
    Quit,
    Recipient,
    Reset,
    StartTls,
    State,
)
from carepost.wire.smtp_grammar import Path

HELLO = b"EHLO a.example\r\n"
ADDRESSED = HELLO + b"MAIL FROM:<x@a.example>\r\nRCPT TO:<y@b.example>\r\n"
MESSAGE = b"Subject: hi\r\n\r\n.dot\r\n..two\r\nlast\r\n"
STUFFED = b"Subject: hi\r\n\r\n..dot\r\n...two\r\nlast\r\n.\r\n"


@dataclass
class Talk:
    """An engine, and a server around it that says yes to everything."""

    engine: SmtpEngine
    events: list[Event] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    said: bytes = b""
    content: bytes = b""
    accepted: int = 0

    def send(self, *pieces: bytes) -> "Talk":
        for piece in pieces:
            self.engine.feed(piece)
            while (event := self.engine.next_event()) is not None:
                self._on(event)
            self.said += self.engine.to_send()
        return self

    def _on(self, event: Event) -> None:
        if not isinstance(event, Content):
            self.events.append(event)
        match event:
            case Content(octets):
                assert octets
                self.content += octets
            case Mail():
                self.accepted, self.content = 0, b""
                self.engine.answer(replies.SENDER_OK)
            case Recipient(address=address):
                good = address.local != "nobody"
                self.accepted += good
                self.engine.answer(replies.RECIPIENT_OK if good else replies.NO_SUCH_RECIPIENT)
            case MessageBegins():
                self.content = b""
                self.engine.answer(replies.GO_AHEAD)
            case ChunkEnds(octets):
                self.engine.answer(replies.chunk_taken(octets))
            case MessageEnds(octets):
                assert octets == len(self.content)
                self.messages.append(self.content)
                lmtp = self.engine.settings.dialect is Dialect.LMTP
                self.engine.answer(*[replies.with_us("T")] * (self.accepted if lmtp else 1))

    @property
    def codes(self) -> list[int]:
        return [int(line[:3]) for line in self.said.split(b"\r\n") if line and line[3:4] != b"-"]

    @property
    def last(self) -> str:
        return self.said.decode().rstrip("\r\n").rpartition("\r\n")[2]


def talk(*pieces: bytes, **options: object) -> Talk:
    options.setdefault("message_max", 10_000)
    return Talk(SmtpEngine(EngineSettings(hostname="mx.b.example", **options))).send(*pieces)  # type: ignore[arg-type]


def cut(whole: bytes, sizes: list[int]) -> list[bytes]:
    pieces, rest = [], whole
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    return [*pieces, rest]


# -- a message --


def test_a_whole_message_pipelined() -> None:
    done = talk(ADDRESSED + b"DATA\r\n" + STUFFED + b"QUIT\r\n")
    assert done.messages == [MESSAGE]
    assert done.codes == [250, 250, 250, 354, 250, 221]
    assert done.engine.closed
    assert done.events == [
        Hello("EHLO", "a.example"),
        Mail(sender=Path("x", "a.example")),
        Recipient(address=Path("y", "b.example")),
        MessageBegins(),
        MessageEnds(len(MESSAGE), has_long_lines=False),
        Quit(),
    ]


@given(st.lists(st.integers(0, 40), max_size=40))
def test_where_the_network_cuts_makes_no_difference_to_data(sizes: list[int]) -> None:
    whole = ADDRESSED + b"DATA\r\n" + STUFFED + b"MAIL FROM:<>\r\nRCPT TO:<y@b.example>\r\nDATA\r\n.\r\nQUIT\r\n"
    done = talk(*cut(whole, sizes))
    assert done.messages == [MESSAGE, b""]
    assert done.said == talk(whole).said


@given(st.lists(st.integers(0, 40), max_size=40))
def test_where_the_network_cuts_makes_no_difference_to_bdat(sizes: list[int]) -> None:
    first, second = MESSAGE[:20], MESSAGE[20:]
    whole = ADDRESSED + b"BDAT %d\r\n%bBDAT %d LAST\r\n%bQUIT\r\n" % (len(first), first, len(second), second)
    done = talk(*cut(whole, sizes))
    assert done.messages == [MESSAGE]
    assert done.said == talk(whole).said
    assert done.codes == [250, 250, 250, 250, 250, 221]


_LINES = st.lists(st.sampled_from([b"", b".", b"..", b".a", b"a", b"a.", b"\x00.", b"\xff"]), max_size=12)


@given(_LINES, st.lists(st.integers(0, 5), max_size=60))
def test_every_message_comes_out_as_it_went_in(lines: list[bytes], sizes: list[int]) -> None:
    stuffed = b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines) + b".\r\n"
    done = talk(ADDRESSED + b"DATA\r\n", *cut(stuffed, sizes))
    assert done.messages == [b"".join(line + b"\r\n" for line in lines)]


@given(_LINES, st.integers(0, 60), st.lists(st.integers(0, 9), max_size=30))
def test_bdat_is_consumed_to_the_octet(lines: list[bytes], at: int, sizes: list[int]) -> None:
    message = b"".join(line + b"\r\n" for line in lines)
    first, second = message[:at], message[at:]
    whole = b"BDAT %d\r\n%bBDAT %d LAST\r\n%bNOOP\r\n" % (len(first), first, len(second), second)
    done = talk(ADDRESSED, *cut(whole, sizes))
    assert done.messages == [message]
    assert done.codes[3:] == [250, 250, 250]


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=200), max_size=10))
def test_no_noise_makes_it_raise(noise: list[bytes]) -> None:
    done = talk(*noise)
    assert done.messages == []


_COMMANDS = [HELLO, b"MAIL FROM:<x@a.example>\r\n", b"RCPT TO:<y@b.example>\r\n", b"DATA\r\n", b"BDAT 3\r\n"]
_OTHERS = [b"BDAT 0 LAST\r\n", b"RSET\r\n", b"STARTTLS\r\n", b"NOOP\r\n", b"BDAT 99999 LAST\r\n", b"LHLO x\r\n"]
_NOISE = [b"abc", b"\r\n", b"\n", b"\r", b".", b"\r\n.\r\n", b"\x00", b"\xc3\xa9\r\n", b"x" * 1200, b"QUIT\r\n"]
_WORDS = st.sampled_from([*_COMMANDS, *_OTHERS, *_NOISE, b"XCLIENT NAME=a\r\n"])


@settings(max_examples=500)
@given(st.lists(_WORDS, max_size=25), st.sampled_from(list(Dialect)), st.booleans())
def test_no_order_of_words_makes_it_raise_or_bloat(words: list[bytes], dialect: Dialect, trusted: bool) -> None:
    done = talk(*words, dialect=dialect, client_may_be_told=trusted, tls_offered=True)
    assert len(done.engine._buffer) <= 1000
    assert sum(len(message) for message in done.messages) <= sum(map(len, words))


# -- P1: smuggling --

ENDINGS = [
    b"\n.\n",
    b"\n.\r",
    b"\r.\n",
    b"\r.\r",
    b"\n.\r\n",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
]
SMUGGLED = b"MAIL FROM:<evil@a.example>\r\nRCPT TO:<y@b.example>\r\nDATA\r\nSubject: smuggled\r\n\r\nevil\r\n.\r\n"


@pytest.mark.parametrize("ending", ENDINGS, ids=repr)
@given(st.lists(st.integers(1, 7), max_size=40))
def test_no_false_ending_smuggles_a_second_message(ending: bytes, sizes: list[int]) -> None:
    pieces = cut(b"Subject: hi\r\n\r\nbody" + ending + SMUGGLED, sizes)
    done = talk(ADDRESSED + b"DATA\r\n", *pieces)
    assert done.messages == []
    assert [event.sender for event in done.events if isinstance(event, Mail)] == [Path("x", "a.example")]
    assert done.last.startswith("550 5.6.11")
    assert done.engine.closed


def test_a_nul_before_the_dot_is_content_of_one_message() -> None:
    content = b"Subject: hi\r\n\r\nbody\r\n\x00.\r\n"
    done = talk(ADDRESSED + b"DATA\r\n" + content + b"MAIL FROM:<e@a.example>\r\n.\r\n")
    assert done.messages == [content + b"MAIL FROM:<e@a.example>\r\n"]


@pytest.mark.parametrize("ending", ENDINGS, ids=repr)
def test_a_false_ending_inside_a_chunk_is_refused_like_one_in_data(ending: bytes) -> None:
    content = b"Subject: hi\r\n\r\nbody" + ending + SMUGGLED
    done = talk(ADDRESSED + b"BDAT %d LAST\r\n%bNOOP\r\n" % (len(content), content))
    assert done.messages == []
    assert done.last.startswith("550 5.6.11")
    assert done.engine.closed


def test_a_return_at_the_end_of_the_last_chunk_is_bare() -> None:
    done = talk(ADDRESSED + b"BDAT 3\r\nab\rBDAT 2\r\n\nc" + b"BDAT 2 LAST\r\nd\r")
    assert done.codes[3:] == [250, 250, 550]
    assert done.messages == []


def test_a_return_and_its_feed_may_be_in_two_chunks() -> None:
    done = talk(ADDRESSED + b"BDAT 3\r\nab\rBDAT 2 LAST\r\n\nc")
    assert done.messages == [b"ab\r\nc"]


def test_a_flaw_is_known_before_the_message_has_ended() -> None:
    done = talk(ADDRESSED + b"DATA\r\nbody\n.\n")
    assert done.engine.flawed
    assert not done.engine.closed


@pytest.mark.parametrize("line", [b"NOOP\n", b"NO\rOP\r\n", b"NOOP\r\r\n", b"\n", b"MAIL FROM:<a@b\n.c>\r\n"])
def test_a_bare_line_end_in_a_command_ends_the_conversation(line: bytes) -> None:
    done = talk(HELLO, line + b"MAIL FROM:<x@a.example>\r\n")
    assert done.codes == [250, 500]
    assert done.engine.closed
    assert done.events == [Hello("EHLO", "a.example")]


# -- P3: chunks --


@pytest.mark.parametrize("argument", [b"-1", b"", b"x", b"0x10", b"1 FIRST", b"1 LAST x", b"9" * 21, b"+5", b"1.0"])
def test_a_chunk_of_unknown_size_ends_the_conversation(argument: bytes) -> None:
    done = talk(ADDRESSED, b"BDAT " + argument + b"\r\nMAIL FROM:<e@a.example>\r\n")
    assert done.codes[-1] == 501
    assert done.engine.closed
    assert sum(isinstance(event, Mail) for event in done.events) == 1


@pytest.mark.parametrize("size", [2**63, 2**63 - 1, 2**64 - 1, 10**19])
def test_an_absurd_chunk_is_refused_and_not_waited_for(size: int) -> None:
    done = talk(ADDRESSED, b"BDAT %d LAST\r\n" % size)
    assert done.codes[-1] == 552
    assert done.engine.closed


def test_a_chunk_that_is_too_large_is_thrown_away_and_the_next_command_is_understood() -> None:
    done = talk(ADDRESSED, b"BDAT 20000\r\n" + b"x" * 20000 + b"BDAT 2 LAST\r\nhiRSET\r\nNOOP\r\n")
    assert done.codes[3:] == [552, 503, 250, 250]
    assert done.messages == []


def test_chunks_count_together() -> None:
    done = talk(ADDRESSED, b"BDAT 6000\r\n" + b"x" * 6000 + b"BDAT 6000 LAST\r\n" + b"x" * 6000 + b"NOOP\r\n")
    assert done.codes[3:] == [250, 552, 250]
    assert done.messages == []
    assert done.events[-1] == MessageFails(ContentFlaw.TOO_LARGE)


def test_data_may_not_follow_chunks() -> None:
    done = talk(ADDRESSED, b"BDAT 2\r\nhiDATA\r\nBDAT 0 LAST\r\n")
    assert done.codes[3:] == [250, 503, 250]
    assert done.messages == [b"hi"]


def test_a_chunk_after_data_needs_a_new_sender() -> None:
    done = talk(ADDRESSED, b"DATA\r\n.\r\nBDAT 6 LAST\r\nRSET\r\n")
    assert done.codes[3:] == [354, 250, 503]
    assert done.messages == [b""]
    assert not any(isinstance(event, Reset) for event in done.events)


def test_an_empty_last_chunk_ends_a_message() -> None:
    assert talk(ADDRESSED, b"BDAT 5\r\nhi\r\n.BDAT 0 LAST\r\n").messages == [b"hi\r\n."]
    assert talk(ADDRESSED, b"BDAT 0 LAST\r\n").messages == [b""]


def test_an_endless_row_of_empty_chunks_is_ended() -> None:
    done = talk(ADDRESSED, b"BDAT 0\r\n" * 200)
    assert done.engine.closed
    assert done.last.startswith("421 4.7.0")


def test_the_content_of_a_chunk_without_recipients_is_not_understood_as_commands() -> None:
    evil = b"RCPT TO:<y@b.example>\r\n"
    done = talk(HELLO + b"MAIL FROM:<x@a.example>\r\n", b"BDAT %d LAST\r\n%bNOOP\r\n" % (len(evil), evil))
    assert done.codes[2:] == [554, 250]
    assert not any(isinstance(event, Recipient) for event in done.events)


# -- P4: STARTTLS --


@pytest.mark.parametrize("injected", [b"NOOP x\r\n", b"MAIL FROM:<e@a.example>\r\n", b"\r\n", b"E"])
def test_nothing_sent_with_starttls_is_ever_understood(injected: bytes) -> None:
    done = talk(HELLO, b"STARTTLS\r\n" + injected, tls_offered=True)
    assert done.engine.closed
    assert done.events == [Hello("EHLO", "a.example")]


def test_tls_makes_a_new_conversation() -> None:
    done = talk(HELLO + b"STARTTLS\r\n", tls_offered=True)
    assert done.events[-1] == StartTls()
    assert done.engine.state is State.STARTING_TLS
    done.engine.feed(b"MAIL FROM:<e@a.example>\r\n")  # in clear, before the handshake
    done.engine.tls_begun()
    done.send(b"MAIL FROM:<x@a.example>\r\n" + HELLO + b"STARTTLS\r\n")
    assert done.codes[2:] == [503, 250, 503]
    assert b"STARTTLS" not in done.said.partition(b"220 ")[2]


def test_starttls_where_there_is_none_or_in_the_middle_of_a_message() -> None:
    assert talk(HELLO, b"STARTTLS\r\n").codes == [250, 502]
    assert talk(b"STARTTLS\r\n", tls_offered=True).codes == [503]
    assert talk(HELLO + b"MAIL FROM:<>\r\nSTARTTLS\r\n", tls_offered=True).codes == [250, 250, 503]
    assert talk(HELLO + b"STARTTLS now\r\n", tls_offered=True).codes == [250, 501]


# -- P6, P7 --


def test_there_is_no_way_to_sign_in() -> None:
    done = talk(HELLO, b"AUTH PLAIN AGEAYQ==\r\n", tls_offered=True)
    assert b"AUTH" not in done.said
    assert done.codes == [250, 502]


@pytest.mark.parametrize(
    "line",
    [b"GET / HTTP/1.1", b"post /x HTTP/1.0", b"Host: mx.b.example", b"CONNECT a:25 HTTP/1.1", b"\x16\x03\x01\x02"],
)
def test_another_protocol_is_shown_the_door(line: bytes) -> None:
    done = talk(line + b"\r\n\r\n" + ADDRESSED)
    assert done.engine.closed
    assert done.events == []


# -- order, limits, counting --


def test_the_table_of_states_is_complete() -> None:
    assert set(NEXT) == set(State)
    for state in (State.IN_DATA, State.IN_CHUNK, State.DISCARDING, State.STARTING_TLS, State.CLOSED):
        assert not NEXT[state]


@pytest.mark.parametrize(
    ("said", "codes"),
    [
        (b"MAIL FROM:<x@a.example>\r\n", [503]),
        (b"RCPT TO:<y@b.example>\r\n", [503]),
        (HELLO + b"DATA\r\n", [250, 503]),
        (HELLO + b"RCPT TO:<y@b.example>\r\n", [250, 503]),
        (HELLO + b"MAIL FROM:<>\r\nMAIL FROM:<>\r\n", [250, 250, 503]),
        (HELLO + b"MAIL FROM:<>\r\nDATA\r\n", [250, 250, 554]),
        (HELLO + b"MAIL FROM:<>\r\nRCPT TO:<nobody@b.example>\r\nDATA\r\n", [250, 250, 550, 554]),
        (ADDRESSED + HELLO + b"RCPT TO:<y@b.example>\r\n", [250, 250, 250, 250, 503]),
        (ADDRESSED + b"RSET\r\nDATA\r\n", [250, 250, 250, 250, 503]),
        (b"RSET\r\nMAIL FROM:<>\r\n", [250, 503]),
        (b"NOOP\r\nNOOP anything\r\nHELP\r\nVRFY y\r\nEXPN list\r\n", [250, 250, 214, 252, 502]),
        (b"WIZ\r\n", [500]),
        (b"LHLO a.example\r\n", [500]),
    ],
)
def test_what_is_out_of_order_is_answered_so(said: bytes, codes: list[int]) -> None:
    assert talk(said).codes == codes


def test_too_many_recipients_are_a_passing_refusal() -> None:
    done = talk(ADDRESSED + b"RCPT TO:<z@b.example>\r\nRCPT TO:<w@b.example>\r\n", recipients_max=2)
    assert done.codes[2:] == [250, 250, 452]


def test_a_declared_size_is_believed() -> None:
    assert talk(HELLO + b"MAIL FROM:<> SIZE=10001\r\n").codes == [250, 552]
    assert talk(HELLO + b"MAIL FROM:<> SIZE=10000\r\n").codes == [250, 250]


def test_a_message_that_is_too_large_is_read_to_its_end_and_refused() -> None:
    done = talk(ADDRESSED + b"DATA\r\n", *[b"x" * 99 + b"\r\n"] * 120, b".\r\nNOOP\r\n")
    assert done.codes[3:] == [354, 552, 250]
    assert done.messages == []
    assert len(done.content) <= 10_000


def test_a_message_that_never_stops_is_not_read_for_ever() -> None:
    done = talk(ADDRESSED + b"DATA\r\n", *[b"x" * 1000] * 50)
    assert done.engine.closed
    assert done.codes[-1] == 552


@pytest.mark.parametrize("length", [512, 513, 900, 70_000, 200_000])
def test_a_long_command_line_is_skipped_and_not_kept(length: int) -> None:
    line = b"NOOP " + b"x" * (length - 7) + b"\r\n"
    done = talk(HELLO, *cut(line, [300] * 700))
    assert len(done.engine._buffer) <= 1000
    assert done.codes[1] == (250 if length <= 512 else 500)
    assert done.engine.closed is (length > 66_000)


def test_mail_and_rcpt_may_be_longer_for_their_parameters() -> None:
    original = b"rfc822;" + b"y" * 450 + b"@b.example"
    assert talk(ADDRESSED, b"RCPT TO:<" + b"y" * 60 + b"@b.example> ORCPT=" + original + b"\r\n").codes[-1] == 250


def test_long_lines_of_a_message_are_accepted_and_noticed() -> None:
    for length, noticed in ((998, False), (999, True), (5000, True)):
        for sizes in ([], [100] * 60):
            done = talk(ADDRESSED + b"DATA\r\n", *cut(b"a\r\n" * 9 + b"x" * length + b"\r\nb\r\n.\r\n", sizes))
            assert done.events[-1] == MessageEnds(27 + length + 5, has_long_lines=noticed)


def test_a_client_that_errs_without_end_is_sent_away() -> None:
    done = talk(b"WIZ\r\n" * 50)
    assert done.codes == [500] * 20 + [421]
    assert done.engine.closed


def test_a_client_that_only_makes_noise_is_sent_away() -> None:
    done = talk(b"NOOP\r\n" * 200)
    assert done.engine.closed
    assert done.codes[-1] == 421
    assert len(done.codes) <= 102


def test_a_message_that_was_taken_forgives_errors() -> None:
    done = talk(HELLO, b"WIZ\r\n" * 19, b"MAIL FROM:<>\r\nRCPT TO:<y@b.example>\r\nDATA\r\n.\r\n", b"WIZ\r\n" * 19)
    assert not done.engine.closed


# -- LMTP, XCLIENT, EHLO --


def test_lmtp_answers_for_each_accepted_recipient() -> None:
    said = b"LHLO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nRCPT TO:<nobody@b.example>\r\nRCPT TO:<c@b.example>\r\n"
    done = talk(said + b"DATA\r\nhi\r\n.\r\nQUIT\r\n", dialect=Dialect.LMTP)
    assert done.codes == [250, 250, 250, 550, 250, 354, 250, 250, 221]


def test_lmtp_refuses_a_large_message_for_each_recipient() -> None:
    said = b"LHLO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nRCPT TO:<c@b.example>\r\n"
    whole = said + b"DATA\r\n" + b"x\r\n" * 5000 + b".\r\n"
    assert talk(whole, dialect=Dialect.LMTP).codes[-3:] == [354, 552, 552]
    chunk = said + b"BDAT 12000 LAST\r\n" + b"x" * 12000 + b"NOOP\r\n"
    assert talk(chunk, dialect=Dialect.LMTP).codes[-4:] == [250, 552, 552, 250]


def test_lmtp_wants_lhlo() -> None:
    assert talk(HELLO, b"HELO a\r\n", dialect=Dialect.LMTP).codes == [500, 500]


def test_only_a_trusted_peer_may_speak_for_another() -> None:
    said = HELLO + b"XCLIENT ADDR=192.0.2.7 NAME=out.a.example HELO=a.example\r\n"
    assert talk(said).codes == [250, 550]
    done = talk(said + b"MAIL FROM:<>\r\n", client_may_be_told=True)
    assert done.codes == [250, 220, 503]
    told = done.events[-1]
    assert isinstance(told, ClientIs)
    assert (str(told.address), told.name, told.hello) == ("192.0.2.7", "out.a.example", "a.example")


def test_what_ehlo_offers() -> None:
    done = talk(HELLO, tls_offered=True)
    lines = [line[4:].decode() for line in done.said.split(b"\r\n")[1:-1]]
    assert lines == [
        "PIPELINING",
        "SIZE 10000",
        "STARTTLS",
        "ENHANCEDSTATUSCODES",
        "8BITMIME",
        "DSN",
        "SMTPUTF8",
        "CHUNKING",
        "LIMITS RCPTMAX=1000",
    ]
    assert talk(b"HELO a.example\r\n").said == b"250 mx.b.example at your service\r\n"


def test_a_reset_is_an_event_so_that_the_spool_is_dropped() -> None:
    done = talk(ADDRESSED, b"BDAT 2\r\nhiRSET\r\n")
    assert done.events[-1] == Reset()
    assert done.messages == []


def test_replies_of_a_pipelined_group_are_written_together() -> None:
    engine = SmtpEngine(EngineSettings(hostname="mx.b.example"))
    engine.greet()
    engine.feed(HELLO + b"NOOP\r\nNOOP\r\n")
    while engine.next_event() is not None:
        pass
    assert engine.to_send().count(b"250 2.0.0 OK\r\n") == 2
    assert engine.to_send() == b""
