"""Hostile HTML to safe HTML: Every vector is a case of its own."""

import random

import pytest
from selectolax.lexbor import LexborHTMLParser
from tests.cases.html.vectors import ALL, CLASSES, EVIL
from tests.fakes.cpu_time import costs_less_than

from carepost.message import sanitise_tags
from carepost.message.sanitise import _ATTRIBUTES, SanitiseLimits, safe_html
from carepost.message.sanitise_styles import PROPERTIES

ALLOWED_ANYWHERE = _ATTRIBUTES["*"] | {"rel", "target"}


def keep_cid(content_id: str) -> str:
    return "cid:" + content_id


def assert_harmless(html: str) -> None:
    tree = LexborHTMLParser(f"<body>{html}</body>")
    for node in tree.css("body *"):
        assert node.tag in sanitise_tags.TAGS, f"<{node.tag}> came through"
        for name, value in node.attributes.items():
            assert name in ALLOWED_ANYWHERE | _ATTRIBUTES.get(node.tag, set()), f"{name} came through on <{node.tag}>"
            assert not name.startswith("on")
            if name == "href":
                assert (value or "").startswith(("http://", "https://", "mailto:"))
                assert all(c.isprintable() and c != " " for c in value or "")
            if name == "src":
                assert (value or "").startswith("cid:")
            if name == "style":
                for declaration in filter(None, (value or "").split(";")):
                    assert declaration.split(":")[0].strip() in PROPERTIES
                assert not any(word in (value or "").lower() for word in ("url", "\\", "@", "expression", "var("))


@pytest.mark.parametrize(("group", "number", "vector"), ALL, ids=[f"{name}-{number}" for name, number, _ in ALL])
def test_a_hostile_letter_becomes_harmless(group: str, number: int, vector: str) -> None:
    safe = safe_html(f"<p>Dear Ada</p>{vector}", image_at=keep_cid)
    assert_harmless(safe.html)
    assert "Dear Ada" in safe.html


@pytest.mark.parametrize(("group", "number", "vector"), ALL, ids=[f"{name}-{number}" for name, number, _ in ALL])
def test_a_second_pass_changes_nothing(group: str, number: int, vector: str) -> None:
    once = safe_html(vector, image_at=keep_cid).html
    assert safe_html(once, image_at=keep_cid).html == once


def test_there_are_at_least_150_vectors_and_each_is_different() -> None:
    vectors = [vector for _, _, vector in ALL]
    assert len(set(vectors)) == len(vectors) >= 150
    assert all(len(group) >= 10 for group in CLASSES.values())


def test_the_negative_control_shows_that_the_harm_check_has_teeth() -> None:
    with pytest.raises(AssertionError):
        assert_harmless("<script>1</script>")
    with pytest.raises(AssertionError):
        assert_harmless("<p onclick=x>x</p>")
    with pytest.raises(AssertionError):
        assert_harmless("<a href=javascript:x>x</a>")
    with pytest.raises(AssertionError):
        assert_harmless("<p style='position:fixed'>x</p>")


@pytest.mark.parametrize("group", CLASSES)
def test_all_vectors_of_a_class_in_one_letter_become_harmless(group: str) -> None:
    vectors = list(CLASSES[group])
    random.Random(7).shuffle(vectors)
    assert_harmless(safe_html("".join(vectors), image_at=keep_cid).html)


def test_vectors_cut_and_joined_at_random_become_harmless() -> None:
    chance = random.Random(11)
    pieces = [vector for _, _, vector in ALL]
    for _ in range(600):
        one, other = chance.choice(pieces), chance.choice(pieces)
        letter = one[: chance.randrange(len(one) + 1)] + other[chance.randrange(len(other)) :] + chance.choice(pieces)
        safe = safe_html(letter, image_at=keep_cid)
        assert_harmless(safe.html)
        assert safe_html(safe.html, image_at=keep_cid).html == safe.html


# --- what stays -------------------------------------------------------------------------------------------------------


def test_a_letter_laid_out_by_people_keeps_its_layout() -> None:
    letter = (
        '<table width="600" cellpadding="4" bgcolor="#eeeeee"><tr><td style="color:#333; padding: 4px 8px">'
        "<h2>Clinic letter</h2><p>Dear <b>Mrs Price</b>,<br>your <i>next</i> visit:<ul><li>Monday<li>10:30</ul>"
        '<a href="https://trust.example/visit?id=4&amp;t=a">Details</a> <img src="cid:logo@trust" alt="Trust" width="80">'
        "</td></tr></table>"
    )
    safe = safe_html(letter, image_at=lambda content_id: f"/c/{content_id}")
    assert '<table width="600" cellpadding="4" bgcolor="#eeeeee">' in safe.html
    assert 'style="color:#333;padding:4px 8px"' in safe.html
    assert "<li>Monday</li><li>10:30</li>" in safe.html
    assert 'href="https://trust.example/visit?id=4&amp;t=a"' in safe.html
    assert '<img src="/c/logo@trust" alt="Trust" width="80">' in safe.html
    assert safe.findings == ()
    assert safe.remote_images == 0


def test_every_link_opens_elsewhere_and_tells_nothing_of_us() -> None:
    html = safe_html("<a href=https://ok.example target=_self rel=opener>x</a>").html
    assert 'target="_blank"' in html
    assert 'rel="noopener noreferrer nofollow"' in html


def test_a_plain_background_colour_written_short_is_kept() -> None:
    assert 'style="background-color:#fff"' in safe_html("<p style='background:#fff'>x").html


def test_the_first_of_two_attributes_of_one_name_counts_as_in_a_browser() -> None:
    assert (
        'href="https://one.example/"' in safe_html("<a href=https://one.example/ href=https://two.example/>x</a>").html
    )


def test_text_with_signs_of_less_and_more_survives() -> None:
    assert safe_html("<p>K < 3.5 & Na > 130 <3</p>").html == "<p>K &lt; 3.5 &amp; Na &gt; 130 &lt;3</p>"


def test_an_invoice_of_tables_within_tables_keeps_its_cells_apart() -> None:
    html = safe_html("<table><tr><td>a<table><tr><td>b</table>c<td>d</table>e").html
    assert html == (
        "<table><tbody><tr><td>a<table><tbody><tr><td>b</td></tr></tbody></table>c</td><td>d</td></tr></tbody></table>e"
    )


# --- what a reader is told -------------------------------------------------------------------------------------------


def test_remote_pictures_are_counted_not_fetched() -> None:
    safe = safe_html(f"<img src={EVIL}/1.gif><img src={EVIL}/2.gif alt=logo><p style='background:url({EVIL}/3)'>x")
    assert safe.remote_images == 3
    assert [finding.code for finding in safe.findings] == ["remote-images"]
    assert EVIL not in safe.html


def test_a_link_that_says_one_place_and_leads_to_another_is_told() -> None:
    safe = safe_html("<a href=https://evil.example/nhs.uk>https://www.nhs.uk/conditions</a>")
    assert [finding.code for finding in safe.findings] == ["link-leads-elsewhere"]
    assert "www.nhs.uk" in safe.findings[0].says
    assert "evil.example" in safe.findings[0].says


@pytest.mark.parametrize(
    "link",
    [
        "<a href=https://www.nhs.uk/x>nhs.uk</a>",
        "<a href=https://nhs.uk/x>https://www.nhs.uk/x</a>",
        "<a href=https://click.trust.example/x>trust.example</a>",
        "<a href=https://evil.example/>Click here</a>",
        "<a href=mailto:a@b.example>b.example</a>",
    ],
)
def test_an_honest_link_is_not_told(link: str) -> None:
    assert safe_html(link).findings == ()


def test_findings_are_bounded() -> None:
    many = "".join(f"<a href=https://e{n}.example/>nhs{n}.uk</a>" for n in range(500))
    assert len(safe_html(many).findings) == SanitiseLimits().findings_max


# --- what it may cost -------------------------------------------------------------------------------------------------

BOMBS = {
    "nested divs": "<div>" * 100_000,
    "nested spans": "<span>" * 100_000,
    "nested tables": "<table><tr><td>" * 50_000,
    "tables that swallow closing tags": "<b><table><td></b></td></table>" * 10_000,
    "spans closed out of order": "<span><div></span></div>" * 10_000,
    "formatting reopened in every paragraph": "".join(f"<font color={n}>" for n in range(250)) + "<p>x</p>" * 10_000,
    "unclosed comments": "<!--" * 200_000,
    "ampersands": "&" * 500_000,
    "signs of less": "<" * 500_000,
    "one tag of a million attributes": "<a " + "x=1 " * 200_000 + ">",
    "a tag that never ends": "<a " + "x='" * 200_000,
    "slashes": "<a" + "/" * 500_000,
    "svg": "<svg>" * 100_000,
    "styles": "".join(f"<p style='color:#{n}'>x" for n in range(5_000)),
    "unclosed scripts": "<script>" * 50_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_little(name: str) -> None:
    # The issue asks for 0.25 s; CPU time of this process, so that a busy machine does not decide. Twice that as margin.
    safe = costs_less_than(0.5, lambda: safe_html(BOMBS[name]))
    assert_harmless(safe.html)


def test_a_letter_too_deep_shows_its_words_and_says_so() -> None:
    safe = safe_html("<div>" * 300 + "take 5 mg <b>twice</b> a day")
    assert safe.text_only
    assert "take 5 mg twice a day" in safe.html
    assert [finding.code for finding in safe.findings] == ["body-too-deep"]


def test_a_letter_too_long_shows_its_words_and_says_so() -> None:
    safe = safe_html("<p>take 5 mg</p>" + "x" * 2_000_000)
    assert safe.text_only
    assert "take 5 mg" in safe.html
    assert [finding.code for finding in safe.findings] == ["body-too-long"]


def test_256_deep_is_still_laid_out_and_257_is_not() -> None:
    assert not safe_html("<div>" * 256 + "x").text_only
    assert safe_html("<div>" * 257 + "x").text_only


def test_what_is_written_is_never_deeper_than_what_was_counted() -> None:
    """The tree that a browser builds from our tags is as deep as we think, give or take what it adds to tables."""
    chance = random.Random(3)
    tags = ["div", "span", "b", "i", "font", "p", "table", "tr", "td", "ul", "li", "a", "h1", "blockquote", "caption"]
    for _ in range(300):
        written = "".join(
            f"<{'/' if chance.random() < 0.45 else ''}{chance.choice(tags)}>{'x' if chance.random() < 0.3 else ''}"
            for _ in range(400)
        )
        try:
            bounded = sanitise_tags.balanced(written, depth_max=40, tags_max=10_000, decide=lambda _, value: value)
        except sanitise_tags.TooDeep:
            continue
        assert _depth(LexborHTMLParser(bounded)) <= 3 * 40 + 3


def _depth(tree: LexborHTMLParser) -> int:
    deepest, row = 0, [(tree.root, 1)]
    while row:
        node, depth = row.pop()
        deepest = max(deepest, depth)
        row += [(child, depth + 1) for child in node.iter()]
    return deepest


def test_what_stands_between_the_cells_of_a_table_is_given_a_cell() -> None:
    html = safe_html("<table><b>one</b><tr>two<td>three</table>").html
    assert html == ("<table><tbody><tr><td><b>one</b></td></tr><tr><td>two</td><td>three</td></tr></tbody></table>")


def test_parts_of_a_table_without_a_table_leave_their_words() -> None:
    assert safe_html("<tr><td>one</td><td>two</tr>").html == "onetwo"


def test_empty_lines_at_the_beginning_of_preformatted_text_do_not_grow_or_shrink() -> None:
    once = safe_html("<pre>\n\n\nPotassium  5.4</pre>").html
    assert once == "<pre>Potassium  5.4</pre>"


def test_tag_soup_becomes_harmless_and_a_second_pass_changes_nothing() -> None:
    chance = random.Random(5)
    tags = sorted(sanitise_tags.TAGS | {"svg", "style", "body", "center", "nav", "o:p", "select", "form"})
    for _ in range(400):
        soup = "".join(
            f"<{'/' if chance.random() < 0.4 else ''}{chance.choice(tags)}"
            f"{' href=https://x.example/' if chance.random() < 0.2 else ''}>{chance.choice(['', 'x', ' ', chr(10)])}"
            for _ in range(60)
        )
        once = safe_html(soup)
        assert_harmless(once.html)
        assert safe_html(once.html).html == once.html, soup
