"""Where a link in a message may lead.

Promises
    What comes back is absolute, begins with `http://`, `https://` or `mailto:`, and holds no control or invisible
    character; anything else is None.
    A host is never written in a way that a browser would read differently (percent escapes, backslashes).

Built for what Roundcube's CVE list teaches: tabs inside the scheme (CVE-2023-5631), entities, invisible characters.
"""

import re
import unicodedata
from urllib.parse import quote

URL_MAX = 4096  # Longer than any link a person would follow; browsers and mail gateways stop at about the same place.

_WEB = re.compile(r"(https?)://([^/?#]+)(.*)", re.IGNORECASE | re.DOTALL)
_HOST = re.compile(r"(?:[^\s%\\<>\"'`{}|^\[\]@:]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?")
_MAILTO = re.compile(r"mailto:([^?]*)(?:\?(.*))?", re.IGNORECASE | re.DOTALL)
_CONTENT_ID = re.compile(r"cid:(.+)", re.IGNORECASE | re.DOTALL)
# What a URL may hold unescaped after its host: RFC 3986 §2.2 and §2.3, and the percent sign of what is escaped already.
_SAFE_IN_PATH = "/?#[]@!$&()*+,;=:%~-._"
_URL_IN_WORDS = re.compile(r"(?:https?://)?((?:[\w-]{1,63}\.)+[^\W\d_]{2,24})(?::\d{1,5})?(?:[/?#]\S*)?", re.IGNORECASE)


def safe_link(value: str) -> str | None:
    """The link as it may be followed, or None. RFC 3986, RFC 6068."""
    text = _visible(value)
    if not text or len(text) > URL_MAX:
        return None
    if web := _WEB.fullmatch(text):
        scheme, authority, rest = web.groups()
        if not _HOST.fullmatch(authority):
            return None
        return f"{scheme.lower()}://{authority}{quote(rest, safe=_SAFE_IN_PATH)}"
    if mailto := _MAILTO.fullmatch(text):
        return _safe_mailto(mailto.group(1))
    return None


def content_id(value: str) -> str | None:
    """The Content-ID that `cid:` names, without angle brackets. RFC 2392 §2."""
    match = _CONTENT_ID.fullmatch(_visible(value))
    return match.group(1) if match else None


def is_remote(value: str) -> bool:
    """Whether a browser would go to the network for it."""
    text = _visible(value).lower().replace("\\", "/")
    return bool(text) and not text.startswith(("cid:", "data:"))


def host_of(url: str) -> str | None:
    """The host of a link that `safe_link` returned, lower case, without its port; None for mailto."""
    web = _WEB.fullmatch(url)
    return re.sub(r":\d+$", "", web.group(2)).lower() if web else None


def host_in_words(text: str) -> str | None:
    """The host, when the words of a link are themselves written as an address on the web."""
    match = _URL_IN_WORDS.fullmatch(text.strip())
    return match.group(1).lower() if match else None


def same_place(one: str, other: str) -> bool:
    """Whether two hosts are one, or one is within the other, `www.` aside."""
    one, other = one.removeprefix("www."), other.removeprefix("www.")
    return one == other or one.endswith("." + other) or other.endswith("." + one)


def _visible(value: str) -> str:
    """Without control, format, private, unassigned and separator characters; spaces inside survive as spaces."""
    kept = (" " if c == " " else c for c in value if c == " " or unicodedata.category(c)[0] not in "CZ")
    return "".join(kept).strip()


def _safe_mailto(address: str) -> str | None:
    # Header fields of the link (cc, bcc, attach, body) are dropped: a stranger does not write our mail (M11).
    if address.count("@") != 1 or any(c in address for c in "<>\"'`\\\r\n %"):
        return None
    return "mailto:" + address
