"""Hostile HTML to HTML that may be shown, on its own origin, in a frame that can do nothing.

Promises
    Bounded: over two million characters, 256 deep or 60,000 tags, the words alone are shown, and a finding says so.
    Nothing that is returned loads, submits, scripts, styles over or navigates by itself; nothing edits it afterwards.
    A second pass changes nothing.
    What a reader should know (pictures withheld, a link that says one place and leads to another) is data beside it.

A sanitiser alone is not the control: what comes out is served only from the content origin, under a policy of
`sandbox; default-src 'none'`. The order: `sanitise_tags` bounds and nests, `_Cleaning` decides on
every attribute, nh3 parses, cleans and writes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import unescape

import nh3
from selectolax.lexbor import LexborHTMLParser

from carepost.message.sanitise_styles import fetches, safe_style
from carepost.message.sanitise_tags import TAGS, TooDeep, as_paragraphs, balanced, words_of
from carepost.message.sanitise_urls import content_id, host_in_words, host_of, is_remote, safe_link, same_place


@dataclass(frozen=True, slots=True, kw_only=True)
class SanitiseLimits:
    """What a body may cost. Size and depth first, because sanitisers are quadratic in depth."""

    html_max: int = 2_000_000  # Characters. Newsletters are below 200,000; Gmail clips at 102 kB.
    depth_max: int = 256  # Open elements. Deep layouts of nested tables reach about 60.
    tags_max: int = 60_000  # Start tags, and character references: a browser takes seconds to lay out more.
    styles_max: int = 1_000  # Different style attributes; each costs 0.15 ms to read. Newsletters have about 100.
    words_max: int = 200_000  # Characters looked at when only the words are shown.
    findings_max: int = 20  # Sentences shown to a reader; more would not be read.


@dataclass(frozen=True, slots=True)
class BodyFinding:
    """Something about a body that its reader should know. `says` is a plain sentence."""

    code: str
    says: str


@dataclass(frozen=True, slots=True)
class SafeHtml:
    """HTML fit for the content origin's frame, and what to tell its reader."""

    html: str
    findings: tuple[BodyFinding, ...]
    remote_images: int
    text_only: bool


ImageAddress = Callable[[str], str | None]

_SIZED = {"width", "height", "align", "valign", "bgcolor"}
_ATTRIBUTES: Mapping[str, set[str]] = {
    "*": {"style", "dir", "lang", "title"},
    "a": {"href", "name", "target"},
    "img": {"src", "alt", "width", "height", "border", "align"},
    "table": {*_SIZED, "border", "cellpadding", "cellspacing"},
    "tr": _SIZED,
    "td": {*_SIZED, "colspan", "rowspan", "nowrap"},
    "th": {*_SIZED, "colspan", "rowspan", "nowrap", "scope"},
    "col": {"span", "width", "align"},
    "colgroup": {"span", "width", "align"},
    "font": {"color", "face", "size"},
    "ol": {"start", "type"},
    "ul": {"type"},
    "li": {"value"},
    "div": {"align"},
    "p": {"align"},
    "h1": {"align"},
    "h2": {"align"},
    "h3": {"align"},
    "blockquote": {"type"},
    "hr": {"width", "size", "align"},
    "time": {"datetime"},
}
_PLAIN_ATTRIBUTE_MAX = 1000
_SHOWN_HOST_MAX = 100


def no_images(_content_id: str) -> str | None:
    """No picture of the message itself is shown."""
    return None


def safe_html(html: str, *, image_at: ImageAddress = no_images, limits: SanitiseLimits | None = None) -> SafeHtml:
    """What may be shown of `html`. `image_at` gives the address of a picture inside the message, by Content-ID.

    `image_at` must return an address on the content origin (or None); it is written as returned.
    """
    limits = limits or SanitiseLimits()
    html = html.replace("\x00", "")
    if len(html) > limits.html_max:
        return _words_alone(
            html[: limits.words_max],
            "body-too-long",
            "This message is too long to show as it was laid out. Its words are below.",
        )
    cleaning = _Cleaning(image_at, limits.styles_max)
    try:
        bounded = balanced(html, depth_max=limits.depth_max, tags_max=limits.tags_max, decide=cleaning.decide)
    except TooDeep:
        return _words_alone(
            html[: limits.words_max],
            "body-too-deep",
            "This message is built in a way no ordinary program writes. Its words are below.",
        )
    clean = nh3.clean(
        bounded,
        tags=set(TAGS),
        clean_content_tags=set(),
        attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
        attribute_filter=cleaning.confirm,
        url_schemes={"http", "https", "mailto", "cid", "data"},
        link_rel="noopener noreferrer nofollow",
        strip_comments=True,
    )
    findings = _findings(clean, cleaning, limits.findings_max)
    return SafeHtml(clean, findings, cleaning.remote_images, text_only=False)


@dataclass(slots=True)
class _Cleaning:
    """Decides on each attribute before the sanitiser sees it, counts what was withheld, and confirms what comes out."""

    image_at: ImageAddress
    styles_max: int
    remote_images: int = 0
    _styles: dict[str, str] = field(default_factory=dict)
    _written: set[str] = field(default_factory=set)
    _images: set[str] = field(default_factory=set)

    def decide(self, name: str, value: str) -> str | None:
        match name:
            case "href":
                return safe_link(value)
            case "src":
                return self._image(value)
            case "background":
                self.remote_images += is_remote(value)
                return None
            case "style":
                self.remote_images += fetches(value)
                return self._style(value)
            case _:
                return value[:_PLAIN_ATTRIBUTE_MAX]

    def confirm(self, _tag: str, name: str, value: str) -> str | None:
        """The sanitiser's own look at each attribute: nothing passes that `decide` would not have written."""
        match name:
            case "href":
                return safe_link(value)
            case "src":
                return value if value in self._images else None
            case "target":
                return "_blank"
            case "style":
                return value if value in self._written else safe_style(value) or None
            case _:
                return value

    def _style(self, value: str) -> str | None:
        if value not in self._styles:
            if len(self._styles) >= self.styles_max:
                return None
            self._styles[value] = safe_style(value)
            self._written.add(self._styles[value])
        return self._styles[value] or None

    def _image(self, value: str) -> str | None:
        if inside := content_id(value):
            address = self.image_at(inside)
            if address is not None:
                self._images.add(address)
            return address
        # A remote picture tells its sender who read the letter, when and where. It is counted and not fetched.
        self.remote_images += is_remote(value)
        return None


def _findings(clean: str, cleaning: _Cleaning, most: int) -> tuple[BodyFinding, ...]:
    found: dict[str, BodyFinding] = {}
    if cleaning.remote_images:
        found["remote"] = BodyFinding(
            "remote-images",
            "Pictures kept on other computers are not shown: fetching them would tell the sender that you read this.",
        )
    for link in LexborHTMLParser(clean).css("a[href]") if "<a " in clean else ():
        says, leads = host_in_words(link.text(deep=True)), host_of(unescape(link.attributes.get("href") or ""))
        if says and leads and not same_place(says, leads):
            sentence = f"A link that says “{says[:_SHOWN_HOST_MAX]}” leads to “{leads[:_SHOWN_HOST_MAX]}”."
            found.setdefault(sentence, BodyFinding("link-leads-elsewhere", sentence))
        if len(found) >= most:
            break
    return tuple(found.values())


def _words_alone(html: str, code: str, says: str) -> SafeHtml:
    return SafeHtml(as_paragraphs(words_of(html)), (BodyFinding(code, says),), 0, text_only=True)
