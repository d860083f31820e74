"""IMAP's grammar: a line in, a value out. RFC 9051 §9."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carepost.base.errors import Malformed
from carepost.wire import imap_commands as c
from carepost.wire import imap_search_keys as k
from carepost.wire.imap_commands import Attribute as Att
from carepost.wire.imap_commands import Command, Return, Section, SectionText, StatusItem, StoreMode
from carepost.wire.imap_grammar import is_append, parse, tag_of
from carepost.wire.imap_grammar_search import BadCharset
from carepost.wire.imap_limits import ImapLimits
from carepost.wire.imap_search_keys import DateField
from carepost.wire.imap_sets import NumberSet, written

LIMITS = ImapLimits()


def read(line: bytes, *literals_and_text: bytes) -> Command:
    tag, command = parse((b"a1 " + line, *literals_and_text), LIMITS)
    assert tag == "a1"
    return command


def nums(*ranges: tuple[int, int]) -> NumberSet:
    return NumberSet(ranges)


WHOLE = [
    (b"CAPABILITY", c.Capability()),
    (b"noop", c.Noop()),
    (b"NOOP ", c.Noop()),
    (b"ID NIL", c.Id()),
    (b'ID ("name" "Thunderbird" "version" NIL)', c.Id()),
    (b"LOGIN jo@surgery.example secret", c.Login("jo@surgery.example", "secret")),
    (b'LOGIN "jo" "a\\"b\\\\c"', c.Login("jo", 'a"b\\c')),
    (b"LOGIN jo b]c", c.Login("jo", "b]c")),
    (b"AUTHENTICATE PLAIN", c.Authenticate("PLAIN")),
    (b"AUTHENTICATE PLAIN AGpvAHg=", c.Authenticate("PLAIN", b"AGpvAHg=")),
    (b"AUTHENTICATE PLAIN =", c.Authenticate("PLAIN", b"=")),
    (b"ENABLE CONDSTORE imap4rev2", c.Enable(("CONDSTORE", "IMAP4REV2"))),
    (b"SELECT inbox", c.Select("INBOX", read_only=False)),
    (b"EXAMINE inbox/Old", c.Select("INBOX/Old", read_only=True)),
    (b"SELECT INBOX (CONDSTORE)", c.Select("INBOX", read_only=False, condstore=True)),
    (b'CREATE "Entw&APw-rfe"', c.Create("Entwürfe")),
    ('CREATE "Entwürfe"'.encode(), c.Create("Entwürfe")),
    (b"CREATE Keep (USE (\\Archive))", c.Create("Keep", "\\Archive")),
    (b"RENAME a b", c.Rename("a", "b")),
    (b"DELETE a", c.Delete("a")),
    (b"STATUS a (MESSAGES UIDNEXT)", c.Status("a", (StatusItem.MESSAGES, StatusItem.UIDNEXT))),
    (b'LIST "" *', c.List(reference="", patterns=("*",))),
    (b'LIST "" ""', c.List(reference="", patterns=("",))),
    (b'LIST "" (INBOX "A/%")', c.List(reference="", patterns=("INBOX", "A/%"))),
    (
        b'LIST (SUBSCRIBED) "" * RETURN (CHILDREN SPECIAL-USE STATUS (UNSEEN))',
        c.List(
            reference="",
            patterns=("*",),
            only_subscribed=True,
            tell_subscribed=True,
            tell_children=True,
            tell_special_use=True,
            status=(StatusItem.UNSEEN,),
        ),
    ),
    (b'LSUB "" %', c.Lsub("", "%")),
    (b"EXPUNGE", c.Expunge()),
    (b"UID EXPUNGE 3:5", c.Expunge(nums((3, 5)))),
    (b"FETCH 1 FLAGS", c.Fetch(numbers=nums((1, 1)), uid=False, items=(Att.FLAGS,))),
    (b"FETCH 2:* (FLAGS UID)", c.Fetch(numbers=nums((2, 0)), uid=False, items=(Att.FLAGS, Att.UID))),
    (b"UID FETCH * ENVELOPE", c.Fetch(numbers=nums((0, 0)), uid=True, items=(Att.UID, Att.ENVELOPE))),
    (b"FETCH 1 FAST", c.Fetch(numbers=nums((1, 1)), uid=False, items=(Att.FLAGS, Att.INTERNALDATE, Att.RFC822_SIZE))),
    (
        b"FETCH 1 FLAGS (CHANGEDSINCE 12)",
        c.Fetch(numbers=nums((1, 1)), uid=False, items=(Att.FLAGS, Att.MODSEQ), changed_since=12),
    ),
    (
        b"STORE 1,3:4 +FLAGS.SILENT (\\Seen $Forwarded)",
        c.Store(
            numbers=nums((1, 1), (3, 4)),
            uid=False,
            mode=StoreMode.ADD,
            silent=True,
            flags=("\\Seen", "$Forwarded"),
        ),
    ),
    (
        b"UID STORE 7 (UNCHANGEDSINCE 320162338) FLAGS ()",
        c.Store(
            numbers=nums((7, 7)),
            uid=True,
            mode=StoreMode.REPLACE,
            silent=False,
            flags=(),
            unchanged_since=320162338,
        ),
    ),
    (
        b"STORE 1 -FLAGS \\Deleted \\Seen",
        c.Store(numbers=nums((1, 1)), uid=False, mode=StoreMode.REMOVE, silent=False, flags=("\\Deleted", "\\Seen")),
    ),
    (b"COPY 1:3 Archive", c.Copy(numbers=nums((1, 3)), uid=False, to="Archive")),
    (b"UID MOVE 9 Trash", c.Copy(numbers=nums((9, 9)), uid=True, to="Trash", move=True)),
    (b"COPY $ Archive", c.Copy(numbers=NumberSet((), saved=True), uid=False, to="Archive")),
]


@pytest.mark.parametrize(
    ("line", "value"), WHOLE, ids=lambda value: value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
)
def test_a_line_is_read_as_one_value(line: bytes, value: Command) -> None:
    assert read(line) == value


SECTIONS = [
    (b"BODY[]", Section(label=b"BODY[]")),
    (b"BODY.PEEK[]", Section(peek=True, label=b"BODY[]")),
    (
        b"body.peek[header]<0.512>",
        Section(text=SectionText.HEADER, peek=True, partial=c.Partial(0, 512), label=b"BODY[HEADER]<0>"),
    ),
    (b"BODY[1.2.MIME]", Section(part=(1, 2), text=SectionText.MIME, label=b"BODY[1.2.MIME]")),
    (b"BODY[4.1]", Section(part=(4, 1), label=b"BODY[4.1]")),
    (b"BODY[TEXT]", Section(text=SectionText.TEXT, label=b"BODY[TEXT]")),
    (
        b'BODY[2.HEADER.FIELDS (from "Subject")]',
        Section(
            part=(2,),
            text=SectionText.HEADER_FIELDS,
            fields=(b"FROM", b"SUBJECT"),
            label=b"BODY[2.HEADER.FIELDS (FROM SUBJECT)]",
        ),
    ),
    (
        b"BODY[HEADER.FIELDS.NOT (X-A)]",
        Section(text=SectionText.HEADER_FIELDS_NOT, fields=(b"X-A",), label=b"BODY[HEADER.FIELDS.NOT (X-A)]"),
    ),
    (b"BINARY[1]", Section(part=(1,), decoded=True, label=b"BINARY[1]")),
    (b"RFC822.HEADER", Section(text=SectionText.HEADER, peek=True, label=b"RFC822.HEADER")),
    (b"BINARY.SIZE[1]", c.BinarySize((1,), b"BINARY.SIZE[1]")),
]


@pytest.mark.parametrize(("item", "value"), SECTIONS)
def test_a_section_is_read_as_one_value(item: bytes, value: c.FetchItem) -> None:
    command = read(b"FETCH 1 (" + item + b")")
    assert isinstance(command, c.Fetch)
    assert command.items == (value,)


SEARCHES = [
    (b"ALL", k.AllOf(())),
    (b"UNSEEN", k.Not(k.HasFlag("\\Seen"))),
    (b"1:3 UID 7", k.AllOf((k.InNumbers(nums((1, 3)), uid=False), k.InNumbers(nums((7, 7)), uid=True)))),
    (b"OR FROM jo TO sam", k.AnyOf((k.HeaderHas(b"FROM", "jo"), k.HeaderHas(b"TO", "sam")))),
    (b"NOT (DELETED FLAGGED)", k.Not(k.AllOf((k.HasFlag("\\Deleted"), k.HasFlag("\\Flagged"))))),
    (b"ON 1-Feb-2026", k.Between(DateField.INTERNAL, since=date(2026, 2, 1), before=date(2026, 2, 2))),
    (b'SENTBEFORE "28-Feb-2026"', k.Between(DateField.SENT, since=None, before=date(2026, 2, 28))),
    (b"HEADER Message-ID <x@y>", k.HeaderHas(b"MESSAGE-ID", "<x@y>")),
    (b'CHARSET UTF-8 SUBJECT "caf\xc3\xa9"', k.HeaderHas(b"SUBJECT", "café")),
    (b"KEYWORD $Junk LARGER 10", k.AllOf((k.HasFlag("$Junk"), k.LargerThan(10)))),
    (b'MODSEQ "/flags/\\\\draft" all 620162338', k.ModseqFrom(620162338)),
    (b"YOUNGER 3600", k.Younger(3600)),
    (b'TEXT "x"', k.BodyHas("x", header_too=True)),
]


@pytest.mark.parametrize(("keys", "value"), SEARCHES)
def test_search_keys_are_read_as_one_value(keys: bytes, value: k.SearchKey) -> None:
    command = read(b"SEARCH " + keys)
    assert isinstance(command, c.Search)
    assert command.key == value
    assert command.returns is None


def test_return_options_are_read_as_a_set() -> None:
    command = read(b"UID SEARCH RETURN (MIN COUNT) UNSEEN")
    assert isinstance(command, c.Search)
    assert command.returns == {Return.MIN, Return.COUNT}
    assert command.uid


def test_an_empty_return_means_all() -> None:
    command = read(b"SEARCH RETURN () ALL")
    assert isinstance(command, c.Search)
    assert command.returns == {Return.ALL}


def test_append_keeps_the_message_byte_for_byte() -> None:
    message = b"Subject: x\r\n\r\n\x00\xff"
    command = read(b'APPEND Sent (\\Seen) " 1-Feb-2026 09:30:00 +0100" ', message, b"")
    zone = timezone(timedelta(hours=1))
    assert command == c.Append("Sent", ("\\Seen",), datetime(2026, 2, 1, 9, 30, tzinfo=zone), message)


def test_a_date_with_a_negative_zone_is_earlier_than_utc_says() -> None:
    command = read(b'APPEND Sent "17-Jul-1996 02:44:25 -0700" ', b"x", b"")
    assert isinstance(command, c.Append)
    assert command.at == datetime(1996, 7, 17, 9, 44, 25, tzinfo=UTC)


REFUSED = [
    b"",
    b"FROBNICATE",
    b"NOOP x",
    b"LOGIN jo",
    b'LOGIN "jo" "unclosed',
    b'LOGIN "jo\0" x',
    b'LOGIN "j\xff" x',
    b"SELECT",
    b"SELECT &bad",
    b'SELECT "a&AAo-b"',
    b"SELECT a (QRESYNC (1 2))",
    b"FETCH 0 FLAGS",
    b"FETCH 4294967296 FLAGS",
    b"FETCH 1,,2 FLAGS",
    b"FETCH 1:2:3 FLAGS",
    b"FETCH 1 ()",
    b"FETCH 1 (FLAGS",
    b"FETCH 1 NOTHING",
    b"FETCH 1 BODY[MIME]",
    b"FETCH 1 BODY[0]",
    b"FETCH 1 BODY[1..2]",
    b"FETCH 1 BODY[]<5.0>",
    b"FETCH 1 BODY[]<99999999999999999999.1>",
    b'FETCH 1 BODY[HEADER.FIELDS ("a\\"")] x',
    b"FETCH 1 BODY[HEADER.FIELDS (a:b)]",
    b"FETCH 1 FLAGS (CHANGEDSINCE 9 VANISHED)",
    b"STORE 1 FLAGS",
    b"STORE 1 =FLAGS (\\Seen)",
    b"SEARCH",
    b"SEARCH OR SEEN",
    b"SEARCH ON 32-Jan-2026",
    b"SEARCH ON 31-Dec-9999",
    b"SEARCH (",
    b"SEARCH RETURN (MOST) ALL",
    b"STATUS a ()",
    b"APPEND a {3}",
    b'APPEND a "31-Feb-2026 00:00:00 +0000" x',
    b"ID (a)",
    b"ENABLE",
]


@pytest.mark.parametrize("line", REFUSED)
def test_what_is_not_well_formed_is_refused(line: bytes) -> None:
    with pytest.raises(Malformed):
        read(line)


def test_the_refusal_never_repeats_a_password() -> None:
    with pytest.raises(Malformed) as refusal:
        read(b'LOGIN jo "hunter2')
    assert "hunter2" not in str(refusal.value)
    assert "hunter2" not in repr(c.Login("jo", "hunter2"))


def test_another_charset_is_refused_by_name() -> None:
    with pytest.raises(BadCharset):
        read(b"SEARCH CHARSET KOI8-R ALL")


@pytest.mark.parametrize("nested", [b"(" * 51 + b"ALL" + b")" * 51, b"NOT " * 51 + b"ALL", b"OR " * 51 + b"ALL " * 52])
def test_a_search_nested_deeper_than_fifty_is_refused(nested: bytes) -> None:
    with pytest.raises(Malformed, match="nested"):
        read(b"SEARCH " + nested)


def test_a_search_nested_fifty_deep_is_read() -> None:
    assert isinstance(read(b"SEARCH " + b"(" * 50 + b"ALL" + b")" * 50), c.Search)


def test_more_than_three_hundred_keys_are_refused() -> None:
    assert isinstance(read(b"SEARCH" + b" SEEN" * 300), c.Search)
    with pytest.raises(Malformed, match="too many"):
        read(b"SEARCH" + b" SEEN" * 301)


def test_more_than_ten_thousand_ranges_are_refused() -> None:
    with pytest.raises(Malformed, match="too many"):
        read(b"FETCH " + b",".join(b"%d" % n for n in range(1, 10_003)) + b" FLAGS")


def test_the_tag_of_a_bad_command_is_found() -> None:
    assert tag_of(b"a1 FROB") == "a1"
    assert tag_of(b"a(1 FROB") is None
    assert tag_of(b"") is None


def test_only_append_is_known_for_a_message() -> None:
    assert is_append(b"a1 append INBOX ")
    assert not is_append(b"a1 LOGIN append ")


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=5))
def test_garbage_is_refused_and_never_worse(pieces: list[bytes]) -> None:
    whole = pieces if len(pieces) % 2 else pieces[:-1]
    try:
        parse(tuple(whole), LIMITS)
    except Malformed:
        return
    assert len(whole[0]) >= 4  # the shortest command is longer


WORDS = st.sampled_from(
    [word for line, _ in WHOLE for word in line.split()]
    + [b"(", b")", b'"', b"{3}", b"\\", b"[", b"<1.2>", b"SEARCH", b"OR", b"BODY[1.", b"\x00", b"\xc3\xa9"]
)


@given(st.lists(WORDS, max_size=12), st.sampled_from([b" ", b""]))
def test_words_in_any_order_are_read_or_refused(words: list[bytes], between: bytes) -> None:
    try:
        tag, _ = parse((b"a1 " + between.join(words),), LIMITS)
    except Malformed:
        return
    assert tag == "a1"


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=8), st.sets(st.integers(1, 50)))
def test_a_set_has_exactly_the_numbers_that_it_names(ranges: list[tuple[int, int]], present: set[int]) -> None:
    numbers = sorted(present)
    found = [numbers[at] for at in NumberSet(tuple(ranges)).positions(numbers)]
    largest = numbers[-1] if numbers else 0

    def named(number: int) -> bool:
        pairs = [sorted((low or largest, high or largest)) for low, high in ranges]
        return any(low <= number <= high for low, high in pairs)

    assert found == [number for number in numbers if named(number)]


@given(st.sets(st.integers(1, 200)))
def test_a_written_set_reads_back_the_same(numbers: set[int]) -> None:
    text = written(sorted(numbers))
    if not numbers:
        assert text == b""
        return
    command = read(b"UID EXPUNGE " + text)
    assert isinstance(command, c.Expunge)
    assert command.uids is not None
    universe = list(range(1, 201))
    assert [universe[at] for at in command.uids.positions(universe)] == sorted(numbers)
