"""The IMAP engine: octets in, events out, wherever the network cuts."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from carepost.wire import imap_commands as c
from carepost.wire.imap import Answered, Asked, Ended, Event, ImapServerEngine, Line, State
from carepost.wire.imap_limits import ImapLimits

LIMITS = ImapLimits(message_octets=100_000)


def engine(*, signed_in: bool = False) -> ImapServerEngine:
    made = ImapServerEngine(LIMITS)
    if signed_in:
        made.signed_in()
    return made


def events(of: ImapServerEngine, *pieces: bytes) -> list[Event]:
    found: list[Event] = []
    for piece in pieces:
        of.feed(piece)
        while (event := of.next()) is not None:
            if event != Answered(b""):
                found.append(event)
    return found


SCRIPT = (
    b"a1 NOOP\r\na2 SELECT {5+}\r\nINBOX\r\na3 APPEND Sent (\\Seen) {12}\r\nSubject: x\r\n\r\n"
    b"a4 BOGUS\r\na5 CREATE {4}\r\nKeep\r\na6 LOGOUT\r\n"
)


@given(st.lists(st.integers(0, len(SCRIPT)), max_size=12))
def test_where_the_network_cuts_makes_no_difference(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(SCRIPT)]
    pieces = [SCRIPT[low:high] for low, high in pairwise(places)]
    whole = engine(signed_in=True)
    cut = engine(signed_in=True)
    assert events(cut, *pieces) == events(whole, SCRIPT)


def test_literals_become_one_command() -> None:
    asked = events(engine(signed_in=True), SCRIPT)
    assert [event.command for event in asked if isinstance(event, Asked)] == [
        c.Noop(),
        c.Select("INBOX", read_only=False),
        c.Append("Sent", ("\\Seen",), None, b"Subject: x\r\n"),
        c.Create("Keep"),
        c.Logout(),
    ]


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_garbage_never_raises(pieces: list[bytes]) -> None:
    made = engine()
    for event in events(made, *pieces):
        assert isinstance(event, (Asked, Answered, Ended, Line))


def test_a_literal_is_invited_before_it_is_sent() -> None:
    made = engine(signed_in=True)
    assert events(made, b"a1 APPEND INBOX {5}\r\n") == [Answered(b"+ Go on.\r\n")]
    assert made.in_literal
    assert events(made, b"hello\r\n") == [Asked("a1", c.Append("INBOX", (), None, b"hello"))]


def test_a_message_too_large_is_refused_before_it_is_invited() -> None:
    made = engine(signed_in=True)
    [answer] = events(made, b"a1 APPEND INBOX {4294967295}\r\n")
    assert isinstance(answer, Answered)
    assert answer.octets.startswith(b"a1 NO [TOOBIG]")
    assert events(made, b"a2 NOOP\r\n") == [Asked("a2", c.Noop())]


def test_a_size_of_twenty_digits_is_refused() -> None:
    [answer] = events(engine(signed_in=True), b"a1 APPEND INBOX {99999999999999999999}\r\n")
    assert isinstance(answer, Answered)
    assert b"[TOOBIG]" in answer.octets


def test_before_login_four_kilobytes_of_literals_are_the_most() -> None:
    assert events(engine(), b"a1 LOGIN {4096}\r\n") == [Answered(b"+ Go on.\r\n")]
    [refused] = events(engine(), b"a1 LOGIN {4097}\r\n")
    assert isinstance(refused, Answered)
    assert refused.octets.startswith(b"a1 BAD [TOOBIG]")


def test_literals_before_login_are_counted_together() -> None:
    made = engine()
    events(made, b"a1 LOGIN {4000}\r\n", b"x" * 4000, b" {100}\r\n")
    assert not made.in_literal


def test_an_uninvited_literal_of_more_than_four_kilobytes_ends_the_conversation() -> None:
    for signed_in in (False, True):
        [ended] = events(engine(signed_in=signed_in), b"a1 APPEND INBOX {4097+}\r\n")
        assert isinstance(ended, Ended)
        assert b"* BYE [TOOBIG]" in ended.octets


def test_a_line_without_an_end_ends_the_conversation() -> None:
    [ended] = events(engine(), b"a" * (LIMITS.line_octets + 1))
    assert isinstance(ended, Ended)
    assert ended.octets.startswith(b"* BYE")


def test_many_literals_do_not_make_a_line_longer_than_its_limit() -> None:
    made = engine(signed_in=True)
    made.feed(b"a1 SEARCH ")
    found: list[Event] = []
    for _ in range(9000):
        found += events(made, b"SUBJECT {1+}\r\nx ")
        if found and not isinstance(found[-1], Answered):
            break
    assert isinstance(found[-1], Ended)


def test_a_bare_line_feed_is_refused() -> None:
    [answer] = events(engine(), b"a1 NOOP\n")
    assert answer == Answered(b"a1 BAD A line ends with CR LF.\r\n")


def test_other_protocols_are_shut_out_without_a_word() -> None:
    for words in (
        b"GET / HTTP/1.1\r\n",
        b"POST /x HTTP/1.1\n",
        b"EHLO x\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"Host: x\r\n",
    ):
        made = engine()
        assert events(made, words) == [Ended(b"")]
        assert made.state is State.LOGGED_OUT


def test_a_command_out_of_place_is_refused() -> None:
    [answer] = events(engine(), b"a1 FETCH 1 FLAGS\r\n")
    assert answer == Answered(b"a1 BAD Sign in first.\r\n")
    [answer] = events(engine(signed_in=True), b"a1 FETCH 1 FLAGS\r\n")
    assert isinstance(answer, Answered)
    [answer] = events(engine(signed_in=True), b"a1 LOGIN a b\r\n")
    assert isinstance(answer, Answered)


def test_a_stranger_cannot_append() -> None:
    made = engine()
    [answer] = events(made, b"a1 APPEND INBOX {5000}\r\n")
    assert isinstance(answer, Answered)
    assert answer.octets.startswith(b"a1 BAD")
    assert not made.in_literal


def test_fifty_bad_commands_end_the_conversation() -> None:
    made = engine()
    found = events(made, b"a1 BOGUS\r\n" * 60)
    assert len(found) == 50
    assert isinstance(found[-1], Ended)
    assert b"* BYE" in found[-1].octets


def test_what_came_in_clear_behind_starttls_is_seen() -> None:
    made = engine()
    made.feed(b"a1 STARTTLS\r\na2 NOOP\r\n")
    assert made.next() == Asked("a1", c.StartTls())
    assert not made.starts_tls()
    assert made.next() is None


def test_a_half_command_behind_starttls_is_seen_too() -> None:
    made = engine()
    made.feed(b"a1 STARTTLS\r\na2")
    assert made.next() == Asked("a1", c.StartTls())
    assert not made.starts_tls()


def test_an_awaited_line_is_not_a_command() -> None:
    made = engine()
    made.await_line()
    assert events(made, b"AGpvAHg=\r\na2 NOOP\r\n") == [Line(b"AGpvAHg="), Asked("a2", c.Noop())]


def test_nothing_follows_logout() -> None:
    made = engine(signed_in=True)
    made.logged_out()
    assert events(made, b"a1 NOOP\r\n") == []
