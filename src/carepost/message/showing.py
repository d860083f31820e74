"""Text from strangers, made safe to show: names, subjects, file names (M5, M7, M8).

Promises
    What comes out holds no control, no bidirectional override and no line break, whatever went in.
    A file name holds no path and nothing that Windows or a shell drops or turns round.
"""

import re
import unicodedata

from carepost.message.encodings import decode_words

# RFC 5322 §2.1.1 lets a line have 998 characters; nobody reads more in a list.
SHOWN_MAX = 2_000
FILENAME_MAX = 255  # what ext4 and NTFS allow

_BREAKS = re.compile(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
# C0, C1, soft hyphen, bidi marks and overrides, zero width, invisible operators, tags, surrogates.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ZERO_WIDTH_JOINERS = re.compile(
    "[\u200c\u200d]"
)  # real letters in Persian and Indic scripts, emoji; not in file names
_PATH = re.compile(r'[/\\:*?"<>|]')
_AT = re.compile("[@\uff20\ufe6b]")
_BETWEEN_WORDS = re.compile(r"[\s<>()\[\],;:\"'`*|]+")
_ADDRESSES_LOOKED_AT = 20
# Scripts whose letters pass for Latin ones (UTS 39): mixing them inside one word is not done by people.
_CONFUSABLE = ("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "MATHEMATICAL", "FULLWIDTH")


def clean(text: str, limit: int = SHOWN_MAX) -> str:
    """One line of at most `limit` characters that shows what it says."""
    text = text[: limit * 2]
    if not (text.isascii() and text.isprintable()):
        text = _HIDDEN.sub("", _BREAKS.sub(" ", text))
    return text.strip()[:limit]


def has_control(text: str) -> bool:
    """Whether `text` holds anything that some reader takes for a line end or a control (P10)."""
    return not (text.isascii() and text.isprintable()) and _CONTROL.search(text) is not None


def hides_something(text: str) -> bool:
    """Whether `text` holds characters made to be unseen or to turn the reading order round."""
    return not (text.isascii() and text.isprintable()) and _HIDDEN.search(text.replace("\t", " ")) is not None


def clean_filename(name: str) -> str:
    """A name to show and to save under; never empty. Overrides go, separators become "_", no dot or space ends it."""
    name = clean(decode_words(name), FILENAME_MAX * 4)
    name = _ZERO_WIDTH_JOINERS.sub("", name)
    name = _PATH.sub("_", name).strip(" ").rstrip(". ").lstrip(". ")
    if len(name) > FILENAME_MAX:  # keep the end: it says what kind of file this is
        stem, dot, extension = name.rpartition(".")
        keep = extension[-20:] if dot else ""
        name = (stem or name)[: FILENAME_MAX - len(keep) - 1] + dot + keep
    return name or "unnamed"


def mixes_scripts(text: str) -> bool:
    """Whether one word mixes Latin with letters that pass for Latin (UTS 39 §5)."""
    if text.isascii():
        return False
    for word in re.split(r"[\s.@_-]+", text[:SHOWN_MAX]):
        if word.isascii():
            continue
        scripts = {unicodedata.name(c, "?").split(" ", 1)[0] for c in word if c.isalpha()}
        if "LATIN" in scripts and any(script in scripts for script in _CONFUSABLE):
            return True
        if "MATHEMATICAL" in scripts or "FULLWIDTH" in scripts:
            return True
    return False


def names_other_address(text: str, address: str) -> bool:
    """Whether `text` shows an address that is not `address`: fullwidth signs and spaced-out forms included."""
    before, *rest = _AT.split(text[:SHOWN_MAX], _ADDRESSES_LOOKED_AT)
    for after in rest:
        local, domain = _last_word(before), _first_word(after)
        if local and "." in domain and f"{local}@{domain}".casefold() != address.casefold():
            return True
        before = after
    return False


def _last_word(text: str) -> str:
    return next((word for word in reversed(_BETWEEN_WORDS.split(text[-200:])) if word), "")


def _first_word(text: str) -> str:
    return next((word for word in _BETWEEN_WORDS.split(text[:300]) if word), "").strip(".")
