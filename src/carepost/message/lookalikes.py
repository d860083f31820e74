"""What looks like something else: names, domains and addresses as the eye compares them. PURE. R104, R140, M8.

Promises
    Compares; never decides who is right. Nothing is "alike" to itself, nor a domain to those below it.
    Bounded: a comparison costs at most the product of two addresses' lengths, and most end at their first look.
"""

import re
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache

from carepost.base.address import Domain

SHORTEST = 6  # letters of a name that is compared: one letter apart means nothing between short names

# Letters that look alike in common fonts (a small part of UTS #39, and pairs that do).
_LOOKS = str.maketrans({"0": "o", "1": "l", "i": "l", "|": "l", "5": "s", "3": "e", "q": "g", "v": "u"})
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"), ("nn", "m"))
_CYRILLIC = str.maketrans("асеоріхуѕјһԁԛԝмнтвкАаοντρı", "aceopixysjhdqwmhtbkaaovtpi")
_SPACES = re.compile(r"[\s.,'’_-]+")
_TITLES = frozenset(
    {"dr", "doctor", "mr", "mrs", "ms", "miss", "mx", "prof", "professor", "sir", "dame", "sister", "nurse"}
)


def normal_name(name: str) -> str:
    """A person's name as it is compared: no marks, no case, no titles."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().casefold()
    words = [word for word in _SPACES.split(plain) if word and word not in _TITLES]
    return " ".join(words)


def name_key(name: str) -> str:
    """A name without regard to the order of its words: "Okafor, Ada" is "Ada Okafor"."""
    return " ".join(sorted(normal_name(name).split()))


def looks_like(domain: Domain, known: Iterable[Domain]) -> Domain | None:
    """The known domain that `domain` imitates: one edit away, or the same to the eye; None when it is known itself."""
    others = [other for other in known if not other.is_literal]
    if domain.is_literal or any(domain.is_within(other) for other in others):
        return None
    shown = to_the_eye(domain.name)
    for other in others:
        if len(other.name) < SHORTEST:
            continue
        # Of a domain in another script only the look can be compared: its A-label is nothing like it.
        if shown == to_the_eye(other.name):
            return other
        if abs(len(domain.name) - len(other.name)) > 2:
            continue
        if edits(domain.name, other.name, 1) == 1:
            return other
        if domain.name.replace("-", "").replace(".", "") == other.name.replace("-", "").replace(".", ""):
            return other
    return None


@lru_cache(maxsize=8_192)
def to_the_eye(name: str) -> str:
    """The text as a hurried reader sees it: letters of other scripts and pairs that look like one letter made alike."""
    with suppress(UnicodeError):
        name = name.encode("ascii").decode("idna") if "xn--" in name else name
    plain = unicodedata.normalize("NFKD", name).translate(_CYRILLIC)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter)).casefold()
    for pair, single in _PAIRS:
        plain = plain.replace(pair, single)
    return plain.translate(_LOOKS)


def edits(first: str, second: str, most: int) -> int | None:
    """How many letters are more, less, other or swapped with their neighbour; None when that is over `most`.

    Optimal string alignment: a piece is not edited twice. Gives up at the first row that cannot come back.
    For one edit, which is asked of every known domain for every message, one pass is enough.
    """
    if first == second:
        return 0
    if abs(len(first) - len(second)) > most:
        return None
    if most == 1:
        return 1 if _one_edit(first, second) else None
    before: list[int] = []
    above = list(range(len(second) + 1))
    for row, letter in enumerate(first, 1):
        here = [row]
        for column, other in enumerate(second, 1):
            cost = min(above[column] + 1, here[column - 1] + 1, above[column - 1] + (letter != other))
            if before and column > 1 and letter == second[column - 2] and first[row - 2] == other:
                cost = min(cost, before[column - 2] + 1)
            here.append(cost)
        if min(here) > most and min(above) > most:
            return None
        before, above = above, here
    return above[-1] if above[-1] <= most else None


def _one_edit(first: str, second: str) -> bool:
    """Of two texts that are not the same."""
    if len(first) > len(second):
        first, second = second, first
    at = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), len(first))
    if len(first) + 1 == len(second):
        return first[at:] == second[at + 1 :]
    return first[at + 1 :] == second[at + 1 :] or (
        first[at : at + 2] == second[at : at + 2][::-1] and first[at + 2 :] == second[at + 2 :]
    )
