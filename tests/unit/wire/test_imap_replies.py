"""The server's words: whatever goes in, one well-formed response comes out."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carepost.base.errors import Malformed
from carepost.message.parse import parse
from carepost.message.summary import Summary, summarise
from carepost.wire import imap_replies as replies
from carepost.wire import imap_structure as structure
from carepost.wire import sasl, utf7
from carepost.wire.imap_buffer import CommandRead, ImapBuffer, LiteralAnnounced
from carepost.wire.imap_commands import Fetch, Section
from carepost.wire.imap_grammar import parse as parse_command
from carepost.wire.imap_lexer import Scanner
from carepost.wire.imap_limits import ImapLimits


@given(st.binary(max_size=300))
def test_a_string_reads_back_as_it_was_but_for_nul(octets: bytes) -> None:
    buffer = ImapBuffer(10_000)
    buffer.feed(replies.string(octets) + b"\r\n")
    reading = buffer.next()
    if isinstance(reading, LiteralAnnounced):
        buffer.accept_literal()
        reading = buffer.next()
    assert isinstance(reading, CommandRead)
    assert Scanner(reading.pieces, depth=5, arguments=5).string() == octets.replace(b"\0", b" ")


@given(st.text(max_size=80))
def test_no_text_can_end_its_line_early(text: str) -> None:
    line = replies.tagged("a1", "NO", text, code=text)
    assert line.count(b"\r") == line.count(b"\n") == 1
    assert line.endswith(b"\r\n")


@given(st.text(st.characters(blacklist_categories=("Cs",)), max_size=40))
def test_modified_utf7_reads_back(name: str) -> None:
    encoded = utf7.encode(name)
    assert encoded.isascii()
    assert utf7.decode(encoded) == name


def test_modified_utf7_as_the_rfc_shows_it() -> None:
    assert utf7.encode("~peter/mail/台北/日本語") == b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"
    assert utf7.encode("A & B") == b"A &- B"


@pytest.mark.parametrize("octets", [b"&", b"&AOk", b"&*-", b"&2AA-", b"\xff"])
def test_what_is_no_modified_utf7_is_refused(octets: bytes) -> None:
    with pytest.raises(Malformed):
        utf7.decode(octets)


@given(st.binary(max_size=40))
def test_modified_utf7_raises_nothing_but_malformed(octets: bytes) -> None:
    try:
        utf7.decode(octets)
    except Malformed:
        return


def test_a_date_is_written_with_its_zone() -> None:
    at = datetime(1996, 7, 7, 2, 44, 25, tzinfo=timezone(timedelta(hours=-7, minutes=-30)))
    assert replies.date_time(at) == b'" 7-Jul-1996 02:44:25 -0730"'
    assert replies.date_time(datetime(2026, 11, 22, 9, 0, tzinfo=UTC)) == b'"22-Nov-2026 09:00:00 +0000"'


def test_flags_are_written_as_the_rfc_spells_them() -> None:
    assert replies.flags(0) == b"()"
    assert replies.flags(1 | 8, ("$Junk",)) == b"(\\Seen \\Deleted $Junk)"
    assert replies.flags(0, ("$Junk", "x")) == b"($Junk x)"


def test_copyuid_pairs_both_sets() -> None:
    assert replies.copy_uid(38505, [(304, 3956), (319, 3957), (320, 3958)]) == "COPYUID 38505 304,319:320 3956:3958"


def test_a_name_is_written_in_utf8_after_enable_only() -> None:
    assert replies.listed(["\\Drafts"], "Entwürfe", utf8=False) == b'* LIST (\\Drafts) "/" "Entw&APw-rfe"\r\n'
    assert replies.listed([], "Entwürfe", utf8=True) == '* LIST () "/" "Entwürfe"\r\n'.encode()


# Plain credentials


def test_plain_is_three_fields() -> None:
    credentials = sasl.plain(sasl.decode_response(b"AGpvQHN1cmdlcnkuZXhhbXBsZQBzZWNyZXQ="))
    assert credentials == sasl.PlainCredentials("", "jo@surgery.example", "secret")
    assert "secret" not in repr(credentials)


@pytest.mark.parametrize("line", [b"***", b"AAA", b"A" * 2000, b"*", b"\xff\xff"])
def test_what_is_not_base64_is_refused(line: bytes) -> None:
    with pytest.raises(Malformed):
        sasl.decode_response(line)


@pytest.mark.parametrize("message", [b"", b"\0", b"\0\0", b"a\0b\0c\0d", b"\0jo\0", b"\0\0x", b"\0\xff\0x"])
def test_what_is_not_plain_is_refused(message: bytes) -> None:
    with pytest.raises(Malformed):
        sasl.plain(message)


# Sections, cut by offsets

NESTED = (
    b"From: Jo <jo@surgery.example>\r\nTo: sam@trust.example\r\nSubject: Letter\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=out\r\n\r\npreamble\r\n"
    b"--out\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n"
    b"--out\r\nContent-Type: message/rfc822\r\nContent-Description: inner\r\n\r\n"
    b"Subject: Inner\r\nFrom: a@b.example\r\n\r\nInner text\r\n"
    b"--out\r\nContent-Type: message/rfc822\r\n\r\n"
    b"Subject: Deep\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n"
    b"--in\r\nX-A: 1\r\n\r\none\r\n--in\r\nContent-Type: text/html\r\n\r\n<p>two\r\n--in--\r\n"
    b"--out--\r\n"
)
PLAIN = b"Subject: x\r\nX-Long: one\r\n two\r\nSUBJECT: again\r\n\r\nbody\r\n"


def summary_of(raw: bytes) -> Summary:
    return summarise(parse(raw))


def cut(raw: bytes, item: bytes) -> bytes | None:
    _, command = parse_command((b"a FETCH 1 " + item,), ImapLimits())
    assert isinstance(command, Fetch)
    [section] = command.items
    assert isinstance(section, Section)
    return structure.cut(raw, summary_of(raw).structure, section)


@pytest.mark.parametrize(
    ("item", "octets"),
    [
        (b"BODY[]", NESTED),
        (b"BODY[1]", b"aGVsbG8="),
        (b"BINARY[1]", b"hello"),
        (b"BODY[1.MIME]", b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"),
        (b"BODY[2]", b"Subject: Inner\r\nFrom: a@b.example\r\n\r\nInner text"),
        (b"BODY[2.HEADER]", b"Subject: Inner\r\nFrom: a@b.example\r\n\r\n"),
        (b"BODY[2.TEXT]", b"Inner text"),
        (b"BODY[2.1]", b"Inner text"),
        (b"BODY[2.HEADER.FIELDS (from)]", b"From: a@b.example\r\n\r\n"),
        (b"BODY[3.1]", b"one"),
        (b"BODY[3.2]", b"<p>two"),
        (b"BODY[3.1.MIME]", b"X-A: 1\r\n\r\n"),
        (b"BODY[1.1]", None),
        (b"BODY[1.HEADER]", None),
        (b"BODY[4]", None),
        (b"BODY[2.2]", None),
        (b"BODY[3.3]", None),
        (b"BODY[HEADER.FIELDS (SUBJECT TO)]", b"To: sam@trust.example\r\nSubject: Letter\r\n\r\n"),
    ],
)
def test_a_section_is_cut_out_by_offsets(item: bytes, octets: bytes | None) -> None:
    assert cut(NESTED, item) == octets


@pytest.mark.parametrize(
    ("item", "octets"),
    [
        (b"BODY[1]", b"body\r\n"),
        (b"BODY[TEXT]", b"body\r\n"),
        (b"BODY[1.1]", None),
        (b"BODY[2]", None),
        (b"BODY[HEADER]", PLAIN[:-6]),
        (b"BODY[HEADER.FIELDS (subject)]", b"Subject: x\r\nSUBJECT: again\r\n\r\n"),
        (b"BODY[HEADER.FIELDS (X-LONG)]", b"X-Long: one\r\n two\r\n\r\n"),
        (b"BODY[HEADER.FIELDS.NOT (SUBJECT)]", b"X-Long: one\r\n two\r\n\r\n"),
        (b"BODY[HEADER.FIELDS (NONE)]", b"\r\n"),
    ],
)
def test_a_message_without_parts_has_part_one(item: bytes, octets: bytes | None) -> None:
    assert cut(PLAIN, item) == octets


def test_an_envelope_is_written_as_the_rfc_shows_it() -> None:
    assert structure.envelope(summary_of(NESTED).envelope) == (
        b'(NIL "Letter" (("Jo" NIL "jo" "surgery.example")) (("Jo" NIL "jo" "surgery.example")) '
        b'(("Jo" NIL "jo" "surgery.example")) ((NIL NIL "sam" "trust.example")) NIL NIL NIL NIL)'
    )


def test_a_structure_is_written_as_the_rfc_shows_it() -> None:
    whole = structure.body(summary_of(NESTED).structure, extended=False)
    assert whole.startswith(
        b'(("text" "plain" ("charset" "utf-8") NIL NIL "base64" 8 0)("message" "rfc822" NIL NIL "inner" "7bit" 47 (NIL "Inner"'
    )
    assert whole.endswith(b' "mixed")')


@given(st.binary(max_size=400))
def test_whatever_the_message_its_structure_is_one_balanced_value(raw: bytes) -> None:
    summary = summary_of(raw)
    for value in (
        structure.envelope(summary.envelope),
        structure.body(summary.structure, extended=True),
        structure.body(summary.structure, extended=False),
    ):
        assert value.startswith(b"(")
        assert value.endswith(b")")
        assert b"\0" not in value
