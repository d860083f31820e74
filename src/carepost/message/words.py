"""The words of a message: for the search index and for the line under the subject.

Promises
    Linear in the message and bounded by `cap`; hostile HTML costs no more than plain text.
    HTML becomes text by dropping tags, never by building a tree: for machines and previews, not to be shown as HTML.
"""

import html
import re
from collections.abc import Iterator

from carepost.message.addresses import Address, each
from carepost.message.model import Message, Part
from carepost.message.showing import clean

SEARCH_CAP = 256 * 1024
PREVIEW_CHARACTERS = 200
_PREVIEW_PLAIN = 4_096  # bytes on the wire that are read to find 200 characters
_PREVIEW_HTML = 65_536
_ADDRESSES_INDEXED = 1_000
_NAMES_INDEXED = 1_000

# What stands within a word must not break it; any other tag ends one.
_INLINE_TAG = re.compile(
    r"</?(?:a|abbr|b|big|cite|code|em|font|i|mark|q|s|small|span|strong|sub|sup|tt|u|wbr)(?=[\s>/])[^<>]*>",
    re.IGNORECASE,
)
_TAG = re.compile(r"<[A-Za-z/!?][^<>]*>?")
_RUN_OF_OPENINGS = re.compile(r"<<+")
_HIDDEN = re.compile("[\x00-\x1f\x7f\xad\u034f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]+")
# What these hold is not read by people; one that is never closed takes the rest along, in browsers too.
_UNREAD = re.compile(r"<(script|style|title|template)(?=[\s>/])|<!--", re.IGNORECASE)
_ENDS = {
    name: re.compile(rf"</{name}(?=[\s>/])[^<>]*>?", re.IGNORECASE) for name in ("script", "style", "title", "template")
}
_QUOTED_LINE = re.compile(r"^(?:>.*|-- ?\r?|_{5,}\r?|-{5,}.*)$", re.MULTILINE)


def text_of_html(source: str) -> str:
    """The words between the tags; a block's end becomes a space, an inline tag nothing."""
    if "<<" in source:
        source = _RUN_OF_OPENINGS.sub("<", source)
    text = html.unescape(_TAG.sub(" ", _INLINE_TAG.sub("", _without_unread(source))))
    return clean_text(text)


def _without_unread(source: str) -> str:
    """Without comments, scripts, styles and titles. Each end is looked for once, forwards."""
    out: list[str] = []
    position = 0
    while found := _UNREAD.search(source, position):
        out.append(source[position : found.start()])
        if found[1] is None:
            end = source.find("-->", found.end() - 2)  # "<!-->" is a whole comment
            position = end + 3 if end >= 0 else len(source)
        else:
            closing = _ENDS[found[1].lower()].search(source, found.end())
            position = closing.end() if closing is not None else len(source)
    out.append(source[position:])
    return " ".join(out)


def readable_parts(message: Message) -> list[tuple[str, Part]]:
    """The text parts a reader would see, in order; attachments and what embedded messages hold are not among them."""
    found: list[tuple[str, Part]] = []
    stack = [("", message.root)]
    while stack:
        path, part = stack.pop()
        prefix = f"{path}." if path else ""
        stack.extend((f"{prefix}{n}", part.children[n - 1]) for n in range(len(part.children), 0, -1))
        if not part.children and part.media_type.startswith("text/") and not part.is_attachment():
            found.append((path or "1", part))
    return found


def preview(message: Message, characters: int = PREVIEW_CHARACTERS) -> str:
    """The first words of what a reader would see, on one line."""
    for _, part in readable_parts(message)[:10]:
        if part.media_type == "text/html":
            text = text_of_html(message.text(part, _PREVIEW_HTML))
        else:
            text = clean_text(_QUOTED_LINE.sub("", message.text(part, _PREVIEW_PLAIN)))
        if text := clean(text, characters):
            return text
    return ""


def search_text(message: Message, cap: int = SEARCH_CAP) -> str:
    """Subject, people, names of attachments and texts, one after the other, of at most `cap` characters."""
    out: list[str] = []
    left = cap
    for piece in _pieces(message, cap):
        if piece:
            out.append(piece[:left])
            left -= len(piece) + 1
            if left <= 0:
                break
    return "\n".join(out)[:cap]


def _pieces(message: Message, cap: int) -> Iterator[str]:
    yield message.subject
    count = 0
    for field in ("from", "sender", "reply-to", "to", "cc", "bcc"):
        for address in each(message.addresses(field, _ADDRESSES_INDEXED)):
            if count >= _ADDRESSES_INDEXED:
                break
            count += 1
            yield _person(address)
    named = 0
    for _, part in message.walk():
        if named < _NAMES_INDEXED and (name := part.filename):
            named += 1
            yield name
        if part.message is not None:
            yield message.subject_of(part.message)
    yield from _texts(message, cap)


def _person(address: Address) -> str:
    return f"{address.name} {address.address}" if address.name else address.address


def _texts(message: Message, cap: int) -> Iterator[str]:
    """Plain text, and HTML where it says more than the plain text beside it. Embedded messages too."""
    plain = 0
    left = cap
    for _, part in message.leaves():
        if left <= 0:
            return
        if part.media_type == "text/html":
            text = text_of_html(message.text(part, 2 * cap))
            if len(text) <= 2 * plain:
                continue
        elif part.media_type.startswith("text/"):
            text = clean_text(message.text(part, 2 * cap))
            plain = max(plain, len(text))
        else:
            continue
        left -= len(text)
        yield text


def clean_text(text: str) -> str:
    """Runs of space as one, hidden characters gone."""
    text = " ".join(text.split())
    return text if text.isascii() and text.isprintable() else _HIDDEN.sub("", text)
