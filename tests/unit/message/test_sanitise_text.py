"""Plain text as HTML: CVE-2023-43770, CVE-2020-35730."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from carepost.message.sanitise_text import text_as_html
from carepost.message.sanitise_urls import host_in_words, safe_link, same_place


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("<>&\"'/:.ahtps @\n\u202e[]()"), max_size=200))
def test_nothing_of_a_text_becomes_markup_but_links(text: str) -> None:
    tree = LexborHTMLParser(f"<body>{text_as_html(text)}</body>")
    for node in tree.css("body *"):
        assert node.tag in {"a", "span"}
        assert set(node.attributes) <= {"href", "rel", "target", "class"}
        assert (node.attributes.get("href") or "http").startswith("http")


@settings(deadline=None)
@given(st.text(max_size=300))
def test_what_is_read_is_what_was_written(text: str) -> None:
    shown = LexborHTMLParser(f"<body><pre>\n{text_as_html(text)}</pre></body>").css_first("pre")
    plain = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")
    assert shown is not None
    assert (shown.text(deep=True) or "").replace("\x00", "\ufffd") == plain


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("See https://trust.example/a?b=c&d=e.", "https://trust.example/a?b=c&amp;d=e"),
        ("(https://trust.example/a)", "https://trust.example/a"),
        ("<https://trust.example/a>", "https://trust.example/a"),
        ('"https://trust.example/a"onmouseover=x', "https://trust.example/a"),
    ],
)
def test_an_address_of_the_web_becomes_a_link_without_the_sentence_round_it(text: str, link: str) -> None:
    assert f'href="{link}"' in text_as_html(text)


@pytest.mark.parametrize(
    "text", ["javascript:x", "https://", "https://%65vil.example/", "ftp://x.example", "//x.example"]
)
def test_what_is_no_address_stays_words(text: str) -> None:
    assert "<a" not in text_as_html(text)


def test_a_quoted_line_is_marked() -> None:
    assert text_as_html("> you wrote\nI answer") == '<span class="quoted">&gt; you wrote</span>\nI answer'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://ok.example", "https://ok.example"),
        (" HTTPS://ok.example/A b", "https://ok.example/A%20b"),
        ("https://ok.example/é", "https://ok.example/%C3%A9"),
        ("https://ok.example/%C3%A9", "https://ok.example/%C3%A9"),
        ("https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443/x"),
        ("mailto:a.b@c.example?subject=x&bcc=z@y.example", "mailto:a.b@c.example"),
        ("https://a@b.example/", None),
        ("https://b%2eexample/", None),
        ("https:///x", None),
        ("x" * 5000, None),
        ("", None),
    ],
)
def test_a_link_is_absolute_and_plain_or_nothing(value: str, expected: str | None) -> None:
    assert safe_link(value) == expected
    assert expected is None or safe_link(expected) == expected


def test_hosts_are_compared_by_whole_labels() -> None:
    assert same_place("nhs.uk", "www.nhs.uk")
    assert not same_place("nhs.uk", "evilnhs.uk")
    assert host_in_words("www.nhs.uk/x") == "www.nhs.uk"
    assert host_in_words("Dr. Smith") is None
