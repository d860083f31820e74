"""What a message says and where it leads, for the checks that judge what it is after. PURE, and bounded.

Promises
    Nothing is fetched. Work is linear in the first `TEXT_CONSIDERED` characters of the message's text and pages.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import unescape
from itertools import islice
from urllib.parse import unquote

from carepost.gateway.phrases import groups_in
from carepost.mailauth.suffixes import organisational_domain
from carepost.message.addresses import each
from carepost.message.model import Message
from carepost.message.words import search_text

TEXT_CONSIDERED = 10_000  # characters: what a reader sees before losing patience
PAGE_CONSIDERED = 100_000  # octets of each HTML part; longer pages repeat themselves
LINKS_MAX = 200

_ANCHOR = re.compile(r"<a\s[^>]{0,4000}>", re.IGNORECASE)
_HREF = re.compile(r"""href\s*=\s*(?:"([^"]{0,4000})"|'([^']{0,4000})'|([^\s>]{1,4000}))""", re.IGNORECASE)
_ANSWER = re.compile(r"(?:^|[\]\s])(?:re|aw|sv|antw?)\s?:", re.IGNORECASE)
_TAG = re.compile(r"<[^>]{0,4000}>")
_IMAGE = re.compile(r"<img\b[^>]{0,2000}?src\s*=\s*[\"']?(https?:[^\"'\s>]{1,2000})", re.IGNORECASE)
_PLAIN = re.compile(r"https?://[^\s<>\"')\]]{4,2000}", re.IGNORECASE)
_HOST = re.compile(
    r"^[a-z][a-z0-9+.-]{1,20}:[/\\]{1,4}(?:[^/?#\\@]{0,200}@)?(\[[0-9a-f:.]+\]|[^/:?#\\]{1,253})", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Link:
    """`text` is what the reader sees of it, `host` where it leads, in lower case."""

    url: str
    host: str
    text: str

    @property
    def site(self) -> str:
        """The domain that somebody registered, or the address itself."""
        return site_of(self.host)


@dataclass(frozen=True, slots=True)
class Reading:
    """`said` is subject and text, compatibility letters folded and in lower case."""

    subject: str
    said: str
    author_name: str
    author_site: str
    author_domain: str
    reply_site: str
    addressees: tuple[str, ...]
    links: Sequence[Link]
    images: Sequence[str]  # hosts
    page: str  # the HTML, in lower case
    groups: frozenset[str]  # of phrases.toml
    words: int
    has_plain: bool
    is_answer: bool


def read(message: Message) -> Reading:
    """Never raises."""
    author = next(message.authors(), None)
    reply = next(each(message.addresses("reply-to")), None)
    pages = [
        message.text(part, PAGE_CONSIDERED)
        for _, part in message.leaves()
        if part.media_type == "text/html" and not part.is_attachment()
    ][:5]
    plain = [part for _, part in message.leaves() if part.media_type == "text/plain" and not part.is_attachment()]
    text = search_text(message, TEXT_CONSIDERED)
    subject = message.subject
    page = "\n".join(pages)[:PAGE_CONSIDERED]
    found = _links(page, text)
    said = folded(f"{subject}\n{text}")
    return Reading(
        subject=subject,
        said=said,
        author_name=author.name if author else "",
        author_site=site_of(author.domain) if author else "",
        author_domain=author.domain.lower() if author else "",
        reply_site=site_of(reply.domain) if reply else "",
        addressees=tuple(one.address.lower() for one in islice(each(message.addresses("to")), 10)),
        links=found,
        images=[host for url in _IMAGE.findall(page)[:LINKS_MAX] if (host := host_of(url))],
        page=page.lower(),
        groups=groups_in(said),
        words=len(text.split()),
        has_plain=bool(plain),
        is_answer=bool(message.references) and _ANSWER.search(subject) is not None,
    )


def folded(text: str) -> str:
    """As the reader understands it: 𝗙𝗿𝗲𝗲 is "free"."""
    return unicodedata.normalize("NFKC", text).casefold() if not text.isascii() else text.lower()


def host_of(url: str) -> str:
    found = _HOST.match(url.strip())
    return unquote(found[1]).lower().rstrip(".") if found else ""


@lru_cache(maxsize=4096)
def site_of(host: str) -> str:
    """The registered domain; an address literal as it stands."""
    host = host.lower().strip("[]").rstrip(".")
    if not host or re.fullmatch(r"[0-9.]+|[0-9a-f:]+", host):
        return host
    return organisational_domain(host) or host


def _links(page: str, text: str) -> list[Link]:
    found: dict[str, Link] = {}
    for url, shown in _anchors(page):
        if host := host_of(url):
            found.setdefault(url, Link(url, host, shown))
    for url in _PLAIN.findall(text)[:LINKS_MAX]:
        if host := host_of(url):
            found.setdefault(url, Link(url, host, ""))
    return list(found.values())


def _anchors(page: str) -> Iterator[tuple[str, str]]:
    """(where it leads, what is seen of it) for the first links of a page."""
    low = page.lower()
    for number, start in enumerate(_ANCHOR.finditer(page)):
        if number >= LINKS_MAX:
            return
        href = _HREF.search(start[0])
        if href is None:
            continue
        end = low.find("</a", start.end(), start.end() + 2_000)
        shown = _TAG.sub(" ", page[start.end() : end]) if end >= 0 else ""
        url = unescape(href[1] or href[2] or href[3] or "").strip()
        yield url, " ".join(folded(unescape(shown)).split())[:200]
