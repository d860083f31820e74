"""The form of addresses and names. PURE. R13, R53.

Promises
    A suggested address is firstname.lastname in plain ASCII, with a number when that is taken anywhere in the service.
    A display name cannot pass for something else: no address, no quotation, no control or invisible characters.
"""

import re
import unicodedata
from collections.abc import Collection

from carepost.base.errors import Malformed

# ø, ß and their like have no decomposition; NFKD alone would drop them from a person's name.
_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ı": "i", "ħ": "h", "ŋ": "ng"}
)
_NOT_LOCAL = re.compile(r"[^a-z0-9-]+")
_DASHES = re.compile(r"-{2,}")
_DISPLAY = re.compile(r"[\w .,'’&()/+-]+")
_NAME = re.compile(r"[^\W\d_](?:[^\W\d_]|[ .'’-]|\d)*")
LOCAL_MAX = 60  # RFC 5321 §4.5.3.1.1 gives 64 octets: room for a number.
DISPLAY_MAX = 249  # R53: under 250.
NAME_MAX = 100


def suggest_local(given_name: str, family_name: str, taken: Collection[str]) -> str:
    """`amina.okafor`, or `amina.okafor2` and so on. Raises Malformed when the name holds no letter we can write."""
    base = local_base(given_name, family_name)
    if base not in taken:
        return base
    number = 2
    while f"{base}{number}" in taken:
        number += 1
    return f"{base}{number}"


def local_base(given_name: str, family_name: str) -> str:
    """The address without a number."""
    parts = [part for part in (_ascii(given_name), _ascii(family_name)) if part]
    if not parts:
        raise Malformed("No address can be made from this name; please give one.")
    return ".".join(parts)[:LOCAL_MAX].rstrip(".-")


def clean_display_name(text: str) -> str:
    """The name with single spaces. Raises Malformed for a name that is empty, too long, or holds other characters."""
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not 0 < len(name) <= DISPLAY_MAX:
        raise Malformed(f"A display name has between 1 and {DISPLAY_MAX} characters.")
    if not _DISPLAY.fullmatch(name):
        raise Malformed("A display name may hold letters, digits, spaces and . , ' & ( ) / + - only.")
    return name


def clean_person_name(text: str, *, which: str) -> str:
    """One part of a person's name. Raises Malformed; `which` says what it is, for the sentence."""
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not 0 < len(name) <= NAME_MAX:
        raise Malformed(f"The {which} has between 1 and {NAME_MAX} characters.")
    if not _NAME.fullmatch(name):
        raise Malformed(f"The {which} may hold letters, spaces, hyphens, full stops and apostrophes only.")
    return name


def _ascii(name: str) -> str:
    folded = unicodedata.normalize("NFKD", name.lower().translate(_LETTERS))
    plain = "".join(character for character in folded if not unicodedata.combining(character))
    return _DASHES.sub("-", _NOT_LOCAL.sub("", plain)).strip("-")
