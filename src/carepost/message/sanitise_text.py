"""Plain text to HTML: every character escaped, web addresses made into links, quoted lines marked.

Promises
    Nothing of the text becomes markup, whatever it holds (CVE-2023-43770, CVE-2020-35730).
    A link's words are its address, so it can't say one place and lead to another.
    Linear, for any input.
"""

import re
from html import escape

from carepost.message.sanitise_urls import safe_link

# Stops at white space, quotes, brackets and controls; then closing punctuation is left to the sentence around it.
_ADDRESS = re.compile(
    r"\bhttps?://[^\s<>\"'`\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2066-\u2069]{1,2000}", re.IGNORECASE
)
_TRAILING = ".,;:!?)]}’”»"


def text_as_html(text: str) -> str:
    """The text as HTML lines; quoted lines (RFC 3676 §4.5) in `<span class="quoted">`."""
    lines = text.replace("\x00", "\ufffd").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(_line(line) for line in lines)


def _line(line: str) -> str:
    shown = _linked(line)
    return f'<span class="quoted">{shown}</span>' if line.startswith(">") else shown


def _linked(line: str) -> str:
    parts: list[str] = []
    at = 0
    for match in _ADDRESS.finditer(line):
        written = match.group().rstrip(_TRAILING)
        link = safe_link(written)
        if link is None:
            continue
        parts.append(escape(line[at : match.start()]))
        parts.append(
            f'<a href="{escape(link)}" rel="noopener noreferrer nofollow" target="_blank">{escape(written)}</a>'
        )
        at = match.start() + len(written)
    parts.append(escape(line[at:]))
    return "".join(parts)
