"""Which passwords will do. PURE. R83, ASVS 6.2.

Promises
    Every refusal says which rule it was, in words the person can act on.
    No classes of characters are demanded. Length counts characters, after NFC; nothing is cut off.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from carepost.base.errors import Malformed

# A character typed for the letter it looks like.
_SWAPS = str.maketrans(
    {
        "0": "o",
        "1": "i",
        "3": "e",
        "4": "a",
        "5": "s",
        "7": "t",
        "8": "b",
        "9": "g",
        "@": "a",
        "$": "s",
        "!": "i",
        "|": "i",
        "+": "t",
    }
)
_RUNS = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "1qaz2wsx3edc4rfv5tgb6yhn")
_EDGES = re.compile(r"^[\W\d_]+|[\W\d_]+$")
_LETTERS = re.compile(r"[^a-z]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordPolicy:
    # R83: ten characters; twenty for applications. Administrators fifteen (ASVS 6.2.1).
    length_min: int = 10
    length_min_administrator: int = 15
    # ASVS 6.2.9 asks for 64 at least. More than this is not a password but an attempt to make us work.
    length_max: int = 256
    # R83: no spaces. A site that wants phrases with spaces turns it on.
    spaces_allowed: bool = False
    # R83: the last four may not come again.
    remembered: int = 4
    # Parts of names shorter than this are ignored: "Al" is in too many words.
    name_part_min: int = 3


class PasswordRefused(Malformed):
    """`public` says which rule the password breaks."""


def normalise(password: str) -> str:
    """One form for what looks the same on every keyboard. NFC, RFC 8265 §4.2."""
    return unicodedata.normalize("NFC", password)


def judge(password: str, *, names: Iterable[str], is_administrator: bool, policy: PasswordPolicy) -> None:
    """Raise PasswordRefused unless it will do. `names`: the person's, their address, their organisation's."""
    text = normalise(password)
    least = policy.length_min_administrator if is_administrator else policy.length_min
    if len(text) < least:
        raise PasswordRefused(
            f"This password is too short: use at least {least} characters. Three random words do well."
        )
    if len(text) > policy.length_max:
        raise PasswordRefused(f"This password is too long: use at most {policy.length_max} characters.")
    if not policy.spaces_allowed and any(character.isspace() for character in text):
        raise PasswordRefused("A password may not contain spaces. Join the words, or put a hyphen between them.")
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise PasswordRefused("A password may not contain control characters.")
    if len(set(text)) < 5:
        raise PasswordRefused("This password repeats too few characters. Three random words do well.")
    _refuse_names(text, names, policy)
    if _is_common(text):
        raise PasswordRefused("This password, or one like it, is among the first that an attacker tries.")


def _refuse_names(text: str, names: Iterable[str], policy: PasswordPolicy) -> None:
    folded = _fold(text)
    swapped = folded.translate(_SWAPS)
    for name in names:
        for part in re.split(r"[\W_]+", _fold(name)):
            if len(part) >= policy.name_part_min and (part in folded or part in swapped):
                raise PasswordRefused("A password may not contain your name, your address or your organisation's name.")


def _is_common(text: str) -> bool:
    folded = _fold(text)
    core = _EDGES.sub("", folded)
    candidates = {folded, core, core.translate(_SWAPS), folded.translate(_SWAPS)}
    candidates |= {_LETTERS.sub("", candidate) for candidate in tuple(candidates)}
    return not all(_leaves_enough(candidate) for candidate in candidates if candidate) or _is_run(folded)


def _leaves_enough(word: str) -> bool:
    """Whether something is left that is neither a common word, twice a common word, nor a run of keys."""
    if word in _common() or _is_run(word):
        return False
    half = len(word) // 2
    if len(word) % 2 == 0 and word[:half] == word[half:]:
        return word[:half] not in _common() and half > 5
    return not any(
        word[:cut] in _common() and word[cut:] in _common() and len(word) <= 14 for cut in range(3, len(word) - 2)
    )


def _is_run(word: str) -> bool:
    """`1234567890`, `qwertyuiop`, `abcabcabc`: what fingers do by themselves."""
    if len(word) < 4:
        return False
    doubled = [run * 4 for run in _RUNS]
    if any(word in run or word[::-1] in run for run in doubled):
        return True
    return any(word == (word[:size] * len(word))[: len(word)] for size in range(1, 5) if len(word) > 2 * size)


def _fold(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


@cache
def _common() -> frozenset[str]:
    text = files(__package__).joinpath("common_words.txt").read_text("utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())
