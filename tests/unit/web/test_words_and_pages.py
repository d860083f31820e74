"""What pages say: names, times, folders, searches. Values in, values out."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carepost.base.ids import FolderId, MailboxId, ObjectId, Uid
from carepost.message.parse import parse
from carepost.message.summary import summarise
from carepost.store.model import Flag, FolderView, Listed, MessageRow, SpecialUse
from carepost.store.search_index import ATTACHMENT_MARK, Field, Term
from carepost.web.mail import pages
from carepost.web.mail.lists import _key
from carepost.web.mail.search_words import read_words
from carepost.web.people import browser_name
from carepost.web.words import initials_of, long_time

LONDON = ZoneInfo("Europe/London")
NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)  # a Wednesday


def folder(number: int, name: str, use: SpecialUse | None = None, *, unseen: int = 0, messages: int = 0) -> FolderView:
    return FolderView(
        id=FolderId(number),
        mailbox=MailboxId(7),
        name=name,
        special_use=use,
        uidvalidity=1,
        uidnext=1,
        highest_modseq=1,
        messages=messages,
        unseen=unseen,
        octets=0,
        subscribed=True,
    )


def listed(uid: int, at: datetime, *, flags: int = 0, keywords: tuple[str, ...] = ()) -> Listed:
    raw = b"From: Sam <sam@trust.example>\r\nSubject: Hello\r\n\r\nwords\r\n"
    row = MessageRow(Uid(uid), flags, keywords, 1, len(raw), at, ObjectId(b"x" * 16), None)
    return Listed(row, summarise(parse(raw)))


@pytest.mark.parametrize(
    ("name", "initials"),
    [
        ("Dr Ada Okafor", "AO"),
        ("Sam Mbeki", "SM"),
        ("Riverside results", "RR"),
        ("j.porter@webmail.example", "JP"),
        ("noreply@shop.example", "N"),
        ("Safeguarding", "S"),
        ("", "?"),
        ("12345", "?"),
        ("Mrs Jean-Luc O'Neil", "JN"),
    ],
)
def test_a_face_has_the_letters_of_its_name(name: str, initials: str) -> None:
    assert initials_of(name) == initials


@pytest.mark.parametrize(
    ("ago", "heading"),
    [
        (timedelta(hours=2), "Today"),
        (timedelta(hours=20), "Yesterday"),
        (timedelta(days=2), "Earlier this week"),
        (timedelta(days=5), "Last week"),
        (timedelta(days=20), "Earlier this month"),
        (timedelta(days=40), "October 2026"),
        (timedelta(hours=-3), "Today"),
    ],
)
def test_a_letter_stands_under_its_day(ago: timedelta, heading: str) -> None:
    assert pages.day_of((NOW - ago).astimezone(LONDON), NOW.astimezone(LONDON)) == heading


@pytest.mark.parametrize(
    ("ago", "short"),
    [
        (timedelta(hours=2), "07:30"),
        (timedelta(days=2), "Mon 09:30"),
        (timedelta(days=30), "26 Oct"),
        (timedelta(days=700), "25 Dec 2024"),
    ],
)
def test_a_time_is_as_short_as_it_may_be(ago: timedelta, short: str) -> None:
    assert pages.short_time((NOW - ago).astimezone(LONDON), NOW.astimezone(LONDON)) == short


def test_a_whole_time_is_in_british_order() -> None:
    assert long_time(NOW.astimezone(LONDON)) == "Wednesday 25 November 2026, 09:30"


def test_summer_time_is_the_readers() -> None:
    line = pages.lines([listed(1, datetime(2026, 7, 1, 9, tzinfo=UTC))], href=str, now=NOW, zone=LONDON)[0]
    assert line.at == "2026-07-01T10:00+01:00"


def test_a_heading_stands_above_the_first_letter_of_its_day_only() -> None:
    items = [listed(3, NOW), listed(2, NOW - timedelta(hours=1)), listed(1, NOW - timedelta(days=1))]
    assert [line.day for line in pages.lines(items, href=str, now=NOW, zone=LONDON)] == ["Today", "", "Yesterday"]


def test_marks_of_a_line_follow_the_flags() -> None:
    line = pages.lines(
        [listed(1, NOW, flags=Flag.FLAGGED | Flag.ANSWERED, keywords=(pages.OUTSIDE,))], href=str, now=NOW, zone=LONDON
    )[0]
    assert (line.unread, line.flagged, line.answered, line.pill) == (True, True, True, "Outside")


def test_folders_stand_in_their_usual_order_and_by_the_names_people_use() -> None:
    views = [
        folder(1, "Trash", SpecialUse.TRASH, unseen=4),
        folder(2, "Letters/Cardiology", unseen=1),
        folder(3, "INBOX", SpecialUse.INBOX, unseen=2),
        folder(4, "Drafts", SpecialUse.DRAFTS, messages=3),
        folder(5, "Archive", SpecialUse.ARCHIVE),
        folder(6, "Letters"),
    ]
    places = pages.places(views, current=FolderId(3))
    assert [place.name for place in places] == ["Inbox", "Drafts", "Archive", "Bin", "Letters", "Cardiology"]
    assert [place.unread for place in places] == [2, 3, 0, 0, 0, 1]
    assert [place.level for place in places][-2:] == [1, 2]
    assert [place.current for place in places] == [True, False, False, False, False, False]


def test_the_key_of_a_page_survives_its_link() -> None:
    key = (datetime(2026, 11, 25, 9, 30, 0, 123457, tzinfo=UTC), 4711)
    assert _key(pages.key_words(key)) == key


@pytest.mark.parametrize("text", ["", "x", "1-", "-1", "1-2-3", "9" * 30 + "-1", "-5-1", "٣-١"])
def test_a_key_that_was_tampered_with_is_the_first_page(text: str) -> None:
    assert _key(text) is None


def test_many_recipients_are_counted() -> None:
    assert pages.people([(f"N{n}", f"n{n}@x.example") for n in range(9)]) == "N0, N1, N2, N3, N4, N5 and 3 more"


@pytest.mark.parametrize(("octets", "words"), [(38, "38 bytes"), (4_200, "4 KB"), (2_345_678, "2.3 MB")])
def test_sizes_are_round(octets: int, words: str) -> None:
    assert pages.size_words(octets) == words


def test_a_browser_is_named_for_its_person() -> None:
    firefox = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
    chrome = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36"
    assert browser_name(firefox) == "Firefox on Windows"
    assert browser_name(chrome) == "Chrome on Android"
    assert browser_name("") == "A browser"


# --- the search box ---------------------------------------------------------------------------------------------------


def test_signs_of_the_search_box_narrow_it() -> None:
    wanted = read_words('blood "iron low" from:sam to:results subject:"discharge summary" has:attachment', LONDON)
    assert wanted.query.terms == (
        Term("blood"),
        Term("iron low"),
        Term("sam", Field.SENDER),
        Term("results", Field.RECIPIENTS),
        Term("discharge summary", Field.SUBJECT),
        Term(ATTACHMENT_MARK, Field.MARKS),
    )


def test_flags_days_and_folders_are_understood() -> None:
    wanted = read_words("is:unread is:flagged after:2026-11-01 before:22/11/2026 in:Archive", LONDON)
    assert (wanted.query.mask, wanted.query.value) == (Flag.SEEN | Flag.FLAGGED, Flag.FLAGGED)
    assert wanted.query.after == datetime(2026, 11, 1, tzinfo=LONDON)
    assert wanted.query.before == datetime(2026, 11, 22, tzinfo=LONDON)
    assert wanted.folder == "Archive"
    assert wanted.query.terms == ()


@pytest.mark.parametrize(
    "text", ["after:yesterday", "before:31/02/2026", "after:9999-12-31", "colour:red", "http://x.example"]
)
def test_what_is_not_understood_is_looked_for_as_it_stands(text: str) -> None:
    assert read_words(text, LONDON).query.terms == (Term(text),)


def test_nothing_typed_is_nothing_wanted() -> None:
    assert read_words("   ", LONDON).is_empty
    assert not read_words("x", LONDON).is_empty


@given(st.text(max_size=300))
def test_nothing_that_is_typed_is_an_error(text: str) -> None:
    assert len(read_words(text, LONDON).query.terms) <= 20
