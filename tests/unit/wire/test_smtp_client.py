"""The sending side of SMTP: replies, commands, content, and the engine that keeps them in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carepost.base.address import Domain, EmailAddress
from carepost.wire.smtp_client import ClientState, Content, Greeting, OutOfOrder, SmtpClientEngine
from carepost.wire.smtp_client_commands import (
    CannotBeSaid,
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
    to_xtext,
)
from carepost.wire.smtp_client_content import OutgoingFlaw, counted, dotted, flaw_of, has_utf8_headers
from carepost.wire.smtp_client_replies import PeerReply, ReplyReader, Unintelligible
from carepost.wire.smtp_content import DottedContent

JO = EmailAddress.parse("jo@trust.example")
ANN = EmailAddress.parse("ann@care.example")
ALL = Offers({"PIPELINING": "", "DSN": "", "SIZE": "1000", "8BITMIME": "", "SMTPUTF8": "", "REQUIRETLS": ""})


def read(octets: bytes) -> list[PeerReply]:
    reader, replies = ReplyReader(), []
    reader.feed(octets)
    while (reply := reader.next()) is not None:
        replies.append(reply)
    return replies


# -- replies


@pytest.mark.parametrize(
    ("octets", "reply"),
    [
        (b"220 mx.example ESMTP\r\n", PeerReply(220, "", ("mx.example ESMTP",))),
        (b"250\r\n", PeerReply(250, "", ("",))),
        (b"250-a\r\n250-b\r\n250 c\r\n", PeerReply(250, "", ("a", "b", "c"))),
        (b"550 5.1.1 Unknown\r\n", PeerReply(550, "5.1.1", ("Unknown",))),
        (b"550-5.1.1 Unknown\r\n550 5.1.1 Sorry\r\n", PeerReply(550, "5.1.1", ("Unknown", "Sorry"))),
        (b"550 4.1.1 Another class\r\n", PeerReply(550, "", ("4.1.1 Another class",))),
        (b"250 2.0.0\r\n", PeerReply(250, "2.0.0", ("",))),
        (b"250 \x1b[31mred\x07\r\n", PeerReply(250, "", ("[31mred",))),
        ("250 gr\u00fc\u00dfe\r\n".encode(), PeerReply(250, "", ("gr\u00fc\u00dfe",))),
        (b"250 \xff\r\n", PeerReply(250, "", ("\ufffd",))),
    ],
)
def test_a_reply_is_read(octets: bytes, reply: PeerReply) -> None:
    assert read(octets) == [reply]
    reader = ReplyReader()
    for n in range(len(octets)):
        assert reader.next() is None
        reader.feed(octets[n : n + 1])
    assert reader.next() == reply


@pytest.mark.parametrize(
    "octets",
    [
        b"250 ok\n",
        b"250 o\rk\r\n",
        b"\r\n",
        b"ok\r\n",
        b"25\r\n",
        b"2500 ok\r\n",
        b"250+ok\r\n",
        b"150 not yet\r\n",
        b"650 what\r\n",
        b"250-a\r\n251 b\r\n",
        b"250-a\r\n354 b\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16\r\n",
        b"* PREAUTH ready\r\n",
        b"250 " + b"x" * 3000 + b"\r\n",
        b"x" * 200_000,
        b"250-x\r\n" * 1000,
    ],
    ids=lambda octets: repr(octets[:20]),
)
def test_what_is_no_reply_ends_the_conversation(octets: bytes) -> None:
    with pytest.raises(Unintelligible):
        read(octets)


def test_a_flood_is_not_kept() -> None:
    reader = ReplyReader()
    fed, over = 0, False
    while not over and fed < 10_000:
        reader.feed(b"y" * 1000)
        fed += 1
        try:
            assert reader.next() is None
        except Unintelligible:
            over = True
    assert fed < 100
    assert len(reader._buffer) < 100_000


def test_the_text_of_a_reply_is_one_short_printable_line() -> None:
    (reply,) = read(b"".join(b"550-" + b"z" * 1500 + b"\r\n" for _ in range(20)) + b"550 end\r\n")
    assert len(reply.text) == 1000
    assert reply.text.isprintable()


def test_offers_are_read_and_rubbish_among_them_is_passed_over() -> None:
    (reply,) = read(
        b"250-mx.example hello\r\n250-PIPELINING\r\n250-size 1000\r\n250-SIZE 5\r\n250-=LOGIN\r\n250-\r\n250 Starttls\r\n"
    )
    offers = read_offers(reply)
    assert offers.keywords == {"PIPELINING": "", "SIZE": "1000", "STARTTLS": ""}
    assert offers.size_max == 1000
    for value in ("", "0", "-1", "x", "\u0661", "9" * 30):
        assert Offers({"SIZE": value}).size_max is None


# -- commands


def said(command: object, offers: Offers = ALL) -> str:
    return encode(command, offers).decode()  # type: ignore[arg-type]


def test_commands_as_they_go_over_the_wire() -> None:
    assert said(Ehlo("mail.care.example")) == "EHLO mail.care.example\r\n"
    assert said(MailFrom(reverse_path=None, size=5)) == "MAIL FROM:<> SIZE=5\r\n"
    full = MailFrom(
        reverse_path=ANN, size=5, eight_bit=True, smtputf8=True, require_tls=True, ret="HDRS", envid="a+b=c d"
    )
    assert said(full) == (
        "MAIL FROM:<ann@care.example> SIZE=5 BODY=8BITMIME SMTPUTF8 REQUIRETLS RET=HDRS ENVID=a+2Bb+3Dc+20d\r\n"
    )
    one = RcptTo(address=JO, notify=frozenset({"SUCCESS", "FAILURE"}), original="rfc822;jo+2Bx@old.example")
    assert said(one) == "RCPT TO:<jo@trust.example> NOTIFY=FAILURE,SUCCESS ORCPT=rfc822;jo+2Bx@old.example\r\n"
    assert said(LastChunk(7)) == "BDAT 7 LAST\r\n"


def test_nothing_is_asked_that_was_not_offered() -> None:
    nothing = Offers()
    assert (
        said(MailFrom(reverse_path=ANN, size=5, ret="FULL", envid="x"), nothing) == "MAIL FROM:<ann@care.example>\r\n"
    )
    for needed in ({"eight_bit": True}, {"smtputf8": True}, {"require_tls": True}):
        with pytest.raises(CannotBeSaid):
            said(MailFrom(reverse_path=ANN, size=5, **needed), nothing)
    one = RcptTo(address=JO, notify=frozenset({"NEVER"}), original="rfc822;jo@trust.example")
    assert said(one, nothing) == "RCPT TO:<jo@trust.example>\r\n"


FORGED = EmailAddress("jo", Domain("trust.example>\r\nRCPT TO:<all@trust.example"))


@pytest.mark.parametrize(
    "command",
    [
        Ehlo("care.example\r\nMAIL FROM:<>"),
        Ehlo("care example"),
        Ehlo(""),
        Helo("x" * 300),
        MailFrom(reverse_path=FORGED, size=1),
        RcptTo(address=FORGED),
        RcptTo(address=EmailAddress("jo> NOTIFY=NEVER x", Domain("trust.example"))),
        RcptTo(address=EmailAddress("j\u00f6", Domain("trust.example"))),
        RcptTo(address=EmailAddress("jo\u2028x", Domain("trust.example")), smtputf8=True),
        RcptTo(address=JO, notify=frozenset({"SUCCESS ORCPT=x"})),
        RcptTo(address=JO, original="rfc822;jo@trust.example BODY=x"),
        RcptTo(address=JO, original="rfc822;jo\r\nDATA"),
        RcptTo(address=JO, original="rfc822"),
        RcptTo(address=JO, original="rfc822;" + "x" * 600),
        MailFrom(reverse_path=ANN, size=1, ret="FULL\r\n"),
        MailFrom(reverse_path=ANN, size=1, envid="a\r\nb"),
        MailFrom(reverse_path=ANN, size=1, envid="\u00fc"),
    ],
    ids=repr,
)
def test_no_value_brings_a_second_line_or_parameter_onto_the_wire(command: object) -> None:
    with pytest.raises(CannotBeSaid):
        said(command)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60))
def test_xtext_is_one_word_whatever_it_was(text: str) -> None:
    encoded = to_xtext(text)
    assert not set(encoded) & set(" =")
    assert bytes.fromhex("".join(c.encode().hex() for c in encoded)).decode() == encoded
    pieces = encoded.split("+")
    assert pieces[0] + "".join(chr(int(p[:2], 16)) + p[2:] for p in pieces[1:]) == text


# -- content


@pytest.mark.parametrize(
    ("raw", "flaw"),
    [
        (b"Subject: x\r\n\r\nbody\r\n", None),
        (b"\r\n", None),
        (b"", OutgoingFlaw.EMPTY),
        (b"a\nb\r\n", OutgoingFlaw.STRAY_LINE_END),
        (b"a\rb\r\n", OutgoingFlaw.STRAY_LINE_END),
        (b"a\r\n.\n\r\n", OutgoingFlaw.STRAY_LINE_END),
        (b"a\n.\r\nMAIL FROM:<x>\r\n", OutgoingFlaw.STRAY_LINE_END),
        (b"a\r.\r\n", OutgoingFlaw.STRAY_LINE_END),
        (b"a\r\r\n", OutgoingFlaw.STRAY_LINE_END),
        (b"a\n\r\n", OutgoingFlaw.STRAY_LINE_END),
        (b"\n\r", OutgoingFlaw.STRAY_LINE_END),
        (b"a\r\nb", OutgoingFlaw.NO_FINAL_LINE_END),
        (b"a\0\r\n", OutgoingFlaw.NUL),
    ],
)
def test_a_message_with_stray_line_ends_may_not_leave(raw: bytes, flaw: OutgoingFlaw | None) -> None:
    assert flaw_of(raw) is flaw


LINES = st.lists(
    st.binary(max_size=40).map(lambda b: b.replace(b"\r", b".").replace(b"\n", b".")), min_size=1, max_size=30
)


@given(LINES)
def test_what_is_dotted_arrives_as_it_was(lines: list[bytes]) -> None:
    raw = b"".join(line + b"\r\n" for line in lines)
    wire = bytearray(b"".join(dotted(raw)))
    assert wire.endswith(b"\r\n.\r\n")
    assert (b"\r\n" + wire).count(b"\r\n.\r\n") == 1
    assert DottedContent().take(wire) == (raw, True)
    assert b"".join(counted(raw)) == raw


@pytest.mark.parametrize("line", [b"." * 100, b"x" * 98, b".", b"", b"y" * 70_000, b"." + b"z" * 140_000])
def test_long_messages_are_cut_between_lines_and_arrive_whole(line: bytes) -> None:
    raw = (line + b"\r\n") * (400_000 // (len(line) + 2))
    pieces = list(dotted(raw))
    assert all(piece.endswith(b"\r\n") for piece in pieces)
    received, wire, ended = b"", bytearray(), False
    reader = DottedContent()
    for piece in pieces:
        wire += piece
        content, ended = reader.take(wire)
        received += content
    assert ended
    assert received == raw


def test_utf8_in_headers_is_seen_and_in_the_body_is_not_meant() -> None:
    assert has_utf8_headers("Subject: \u00fc\r\n\r\nx\r\n".encode())
    assert not has_utf8_headers("Subject: u\r\n\r\n\u00fc\r\n".encode())


# -- the engine


def greeted(offers: bytes = b"250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n") -> SmtpClientEngine:
    engine = SmtpClientEngine()
    assert isinstance(engine.hear(b"220 mx\r\n")[0].to, Greeting)
    engine.say(Ehlo("care.example"))
    engine.hear(offers)
    return engine


MAIL = MailFrom(reverse_path=ANN, size=3)
RCPT = RcptTo(address=JO)


def test_a_whole_conversation() -> None:
    engine = greeted()
    assert engine.say(MAIL, RCPT, RCPT).count(b"\r\n") == 3
    heard = engine.hear(b"250 ok\r\n250 ok\r\n550 no\r\n")
    assert [one.to for one in heard] == [MAIL, RCPT, RCPT]
    assert [one.reply.code for one in heard] == [250, 250, 550]
    engine.say(Data())
    engine.hear(b"354 go\r\n")
    assert engine.state is ClientState.IN_CONTENT
    engine.content_sent()
    (last,) = engine.hear(b"250 2.0.0 taken\r\n")
    assert last.to == Content()
    assert engine.state is ClientState.READY
    engine.say(MAIL)


def test_without_pipelining_each_command_waits_for_its_answer() -> None:
    engine = greeted(b"250 mx\r\n")
    engine.say(MAIL)
    with pytest.raises(OutOfOrder):
        engine.say(RCPT)


def test_data_is_never_said_before_all_recipients_are_answered() -> None:
    engine = greeted()
    engine.say(MAIL, RCPT)
    with pytest.raises(OutOfOrder):
        engine.say(Data())


@pytest.mark.parametrize("command", [MAIL, RCPT, Data(), LastChunk(1), StartTls(), Reset()])
def test_nothing_is_said_before_the_greeting(command: object) -> None:
    with pytest.raises(OutOfOrder):
        SmtpClientEngine().say(command)  # type: ignore[arg-type]


def test_a_reply_that_nobody_asked_for_ends_the_conversation_and_those_before_it_count() -> None:
    engine = greeted()
    engine.say(MAIL, RCPT)
    assert len(engine.hear(b"250 ok\r\n250 ok\r\n250 and more\r\n")) == 2
    with pytest.raises(Unintelligible):
        engine.hear(b"")
    with pytest.raises(OutOfOrder):
        engine.say(Data())


def test_a_message_that_was_taken_counts_though_rubbish_follows() -> None:
    engine = greeted()
    engine.say(MAIL, RCPT)
    engine.hear(b"250 ok\r\n250 ok\r\n")
    engine.say(Data())
    engine.hear(b"354 go\r\n")
    engine.content_sent()
    (last,) = engine.hear(b"250 taken\r\n\x00\x01rubbish\n")
    assert last.reply.is_yes


def test_a_yes_before_the_end_of_the_message_is_a_lie() -> None:
    engine = greeted()
    engine.say(MAIL, RCPT)
    engine.hear(b"250 ok\r\n250 ok\r\n")
    engine.say(Data())
    engine.hear(b"354 go\r\n250 taken\r\n")
    with pytest.raises(Unintelligible):
        engine.hear(b"")


def test_a_no_before_the_end_of_the_message_is_believed_and_ends_the_conversation() -> None:
    for content in (Data(), LastChunk(3)):
        engine = greeted()
        engine.say(MAIL, RCPT)
        engine.hear(b"250 ok\r\n250 ok\r\n")
        engine.say(content)
        if isinstance(content, Data):
            engine.hear(b"354 go\r\n")
        (last,) = engine.hear(b"552 5.3.4 too large\r\n")
        assert last.reply.is_never
        assert engine.state is ClientState.CLOSED


def test_what_came_in_clear_does_not_count_inside_tls() -> None:
    engine = greeted()
    engine.say(StartTls())
    heard = engine.hear(b"220 go\r\n250-injected\r\n250 AUTH PLAIN\r\n")
    assert len(heard) == 1
    assert engine.tls_begins() is True
    assert engine.offers == Offers()
    with pytest.raises(OutOfOrder):
        engine.say(MAIL)
    engine.say(Ehlo("care.example"))
    engine.hear(b"250-mx\r\n250 SIZE 10\r\n")
    assert engine.offers.keywords == {"SIZE": "10"}


def test_half_a_line_in_clear_is_not_continued_inside_tls() -> None:
    engine = greeted()
    engine.say(StartTls())
    engine.hear(b"220 go\r\n250-half a li")
    assert engine.tls_begins() is True
    engine.say(Ehlo("care.example"))
    (answer,) = engine.hear(b"250 whole\r\n")
    assert answer.reply.lines == ("whole",)


def test_a_no_to_starttls_leaves_us_in_clear() -> None:
    engine = greeted()
    engine.say(StartTls())
    engine.hear(b"454 not now\r\n")
    assert engine.state is ClientState.READY
    with pytest.raises(OutOfOrder):
        engine.tls_begins()


def test_after_a_greeting_that_refuses_we_only_say_goodbye() -> None:
    engine = SmtpClientEngine()
    engine.hear(b"554 no service\r\n")
    with pytest.raises(OutOfOrder):
        engine.say(Ehlo("care.example"))
    assert engine.say(Quit()) == b"QUIT\r\n"


def test_a_refused_sender_leaves_no_transaction() -> None:
    engine = greeted()
    engine.say(MAIL, RCPT)
    engine.hear(b"550 no\r\n503 no sender\r\n")
    assert engine.state is ClientState.READY
    with pytest.raises(OutOfOrder):
        engine.say(Data())


@given(st.binary(max_size=400))
def test_whatever_it_says_the_engine_answers_or_refuses(octets: bytes) -> None:
    engine = SmtpClientEngine()
    try:
        for heard in engine.hear(octets):
            assert isinstance(heard.to, Greeting)
            assert heard.reply.text.isprintable()
    except Unintelligible:
        assert engine.state is ClientState.CLOSED
