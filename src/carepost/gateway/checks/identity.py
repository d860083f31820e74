"""Who looks like somebody else: a colleague's name on a stranger's address, a domain one letter away. R140, M8.

Promises
    Compares; never decides who is right. Our own people's addresses and the domains we know are never look-alikes.
"""

import re
import unicodedata
from collections.abc import Iterable
from contextlib import suppress

from carepost.base.address import Domain
from carepost.gateway.model import Check, Examination, Finding
from carepost.gateway.ports import Colleagues, Register
from carepost.message.addresses import Address, name_lies

NAME = "identity"
_SHORTEST = 6  # letters of a name that is compared: one letter apart means nothing between short names

# Letters that look alike in common fonts (a small part of UTS #39, and pairs that do).
_LOOKS = str.maketrans({"0": "o", "1": "l", "i": "l", "|": "l", "5": "s", "3": "e", "q": "g", "v": "u"})
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"), ("nn", "m"))
_SPACES = re.compile(r"[\s.,'’_-]+")


def identity(known: Register, colleagues: Colleagues) -> Check:
    async def look(examination: Examination) -> list[Finding]:
        own = await known.own_domains()
        organisations = frozenset(recipient.organisation for recipient in examination.envelope.recipients)
        findings = []
        for author in list(examination.message.authors())[:3]:
            ours = any(domain.is_within(mine) for domain in examination.author_domains() for mine in own)
            if name_lies(author):
                findings.append(_finding("name-lies", 2, "The sender's name is made to look like something else."))
            name = normal_name(author.name)
            if not ours and name and await colleagues.is_somebody(name, organisations):
                says = f"The sender calls itself “{author.name[:80]}”, as a colleague does, and writes from elsewhere."
                findings.append(_finding("colleague-lookalike", 2, says))
            if named := _address_in_name(author, own):
                findings.append(
                    _finding("colleague-lookalike", 2, f"The sender's name holds one of our addresses: {named}.")
                )
        others = await known.known_domains()
        return findings + [
            _finding("domain-lookalike", 2, f"{domain} looks like {like} and is not.")
            for domain in examination.author_domains()
            if (like := looks_like(domain, others))
        ]

    return Check(NAME, look)


def normal_name(name: str) -> str:
    """A person's name as it is compared: no marks, no case, no titles."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().casefold()
    words = [word for word in _SPACES.split(plain) if word and word not in _TITLES]
    return " ".join(words)


_TITLES = frozenset(
    {"dr", "doctor", "mr", "mrs", "ms", "miss", "mx", "prof", "professor", "sir", "dame", "sister", "nurse"}
)


def _address_in_name(author: Address, own: Iterable[Domain]) -> str | None:
    for word in re.findall(r"[\w.+-]+@[\w.-]+", author.name)[:5]:
        domain = word.rpartition("@")[2].lower().rstrip(".")
        if any(domain == mine.name for mine in own) and domain != author.domain.lower():
            return str(word)
    return None


def looks_like(domain: Domain, known: Iterable[Domain]) -> Domain | None:
    """The known domain that `domain` imitates: one edit away, or the same to the eye; None when it is known itself."""
    others = [other for other in known if not other.is_literal]
    if domain.is_literal or any(domain.is_within(other) for other in others):
        return None
    shown = _to_the_eye(domain.name)
    for other in others:
        if len(other.name) < _SHORTEST or abs(len(domain.name) - len(other.name)) > 2:
            continue
        if shown == _to_the_eye(other.name) or _one_edit(domain.name, other.name):
            return other
        if domain.name.replace("-", "").replace(".", "") == other.name.replace("-", "").replace(".", ""):
            return other
    return None


def _to_the_eye(name: str) -> str:
    with suppress(UnicodeError):
        name = name.encode("ascii").decode("idna") if "xn--" in name else name
    plain = unicodedata.normalize("NFKD", name).translate(_CYRILLIC)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter)).casefold()
    for pair, single in _PAIRS:
        plain = plain.replace(pair, single)
    return plain.translate(_LOOKS)


_CYRILLIC = str.maketrans("асеоріхуѕјһԁԛԝмнтвкАαοντρ", "aceopixysjhdqwmhtbkaaovtp")


def _one_edit(first: str, second: str) -> bool:
    """One letter more, less, other, or two neighbours swapped (Damerau-Levenshtein distance 1)."""
    if first == second:
        return False
    if len(first) > len(second):
        first, second = second, first
    at = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), len(first))
    if len(first) + 1 == len(second):
        return first[at:] == second[at + 1 :]
    if len(first) != len(second):
        return False
    return first[at + 1 :] == second[at + 1 :] or (
        first[at : at + 2] == second[at : at + 2][::-1] and first[at + 2 :] == second[at + 2 :]
    )


def _finding(code: str, weight: int, says: str) -> Finding:
    return Finding(code=code, weight=weight, says=says, check=NAME)
