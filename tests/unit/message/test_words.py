"""The words of a message, for the index."""

import pytest

from carepost.message.parse import parse
from carepost.message.words import search_text, text_of_html

ALTERNATIVE = (
    b"Subject: s\r\nFrom: Dr Shah <a@b.example>\r\nTo: w@t.example\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n"
    b"--b\r\n\r\n%s\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>%s</p>\r\n--b--\r\n"
)


def test_people_and_subject_come_first() -> None:
    assert search_text(parse(ALTERNATIVE % (b"plain words", b"plain words"))).split("\n") == [
        "s",
        "Dr Shah a@b.example",
        "w@t.example",
        "plain words",
    ]


def test_html_that_says_more_than_the_plain_text_is_indexed_too() -> None:
    assert "morphine" in search_text(parse(ALTERNATIVE % (b"see html", b"the dose of morphine is on the chart")))


def test_attachment_names_and_embedded_subjects_are_found() -> None:
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/pdf; name=letter.pdf\r\n\r\nx\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: forwarded\r\n\r\ninside\r\n--b--\r\n"
    )
    words = search_text(parse(raw)).split()
    assert {"letter.pdf", "forwarded", "inside"} <= set(words)


def test_the_cap_holds() -> None:
    assert len(search_text(parse(b"Subject: s\r\n\r\n" + b"word " * 1_000), 100)) == 100


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a</p><p>b</p>", "a b"),
        ("a<b>b</b>c", "abc"),
        ("a<br>b", "a b"),
        ("&lt;b&gt; &eacute;", "<b> é"),
        ("<title>no</title>yes", "yes"),
        ("<STYLE>no</STYLE >yes", "yes"),
        ("<!-->yes<!-- no -->!", "yes !"),
        ("a < b", "a < b"),
        ("a<b", "a"),
        ("in\u00advisible\u200b", "invisible"),
        ("<scripture>yes", "yes"),
        ("", ""),
    ],
)
def test_html_becomes_words(html: str, text: str) -> None:
    assert text_of_html(html) == text
