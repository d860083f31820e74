"""Numbers that the state gives to people: National Insurance, passport, driving licence, electoral roll. PURE.

Promises
    Linear: patterns of fixed length. What any nine digits could be (a passport) is found only beside its own name.
"""

import re
from collections.abc import Iterator

from carepost.message.identifiers_model import Candidate, Identifier, Strength
from carepost.message.identifiers_words import near, near_health

# HMRC, NIM39110: which letters it may begin with; the suffix is A to D.
_NI = re.compile(
    r"(?<![A-Za-z0-9/+=_-])(?!BG|GB|KN|NK|NT|TN|ZZ)[ABCEGHJ-PRSTW-Z][ABCEGHJ-NPRSTW-Z]"
    r"(?P<gap>[ -]?)\d{2}(?P=gap)\d{2}(?P=gap)\d{2}(?P=gap)[A-D](?![A-Za-z0-9/+=_])",
    re.IGNORECASE,
)
_NI_GAPS = re.compile(
    r"(?<![A-Za-z0-9])(?!BG|GB|KN|NK|NT|TN|ZZ)[ABCEGHJ-PRSTW-Z][ABCEGHJ-NPRSTW-Z]"
    r"(?:[ -]?\d){6}[ -]?[A-D](?![A-Za-z0-9])",
    re.IGNORECASE,
)
_NI_WORDS = re.compile(r"(?<![a-z])(?:national insurance|nino|ni|n\.i\.|insurance number|payroll|hmrc)(?![a-z])", re.I)

_PASSPORT = re.compile(r"(?<![A-Za-z0-9])(?:\d{9}|\d{3} \d{3} \d{3}|[A-Z]\d{8}|\d{2}[A-Z]{2}\d{5})(?![A-Za-z0-9])")
_PASSPORT_WORDS = re.compile(r"passport", re.IGNORECASE)
# The two lines at the foot of the page with the picture. ICAO 9303-4.
_MACHINE_READABLE = re.compile(r"P[A-Z<][A-Z]{3}[A-Z<]{39}|[A-Z0-9<]{9}\d[A-Z]{3}\d{7}[MFX<]\d{7}[A-Z0-9<]{14}[\d<]\d")

# DVLA, INF267: five letters of the surname (9 fills up), year, month (50 more for women), day, year, initials, check.
_DRIVING = re.compile(
    r"(?<![A-Za-z0-9])(?:[A-Z]{5}|[A-Z]{4}9|[A-Z]{3}99|[A-Z]{2}999|[A-Z]9999)[ -]?"
    r"\d(?:[05][1-9]|[16][0-2])(?:0[1-9]|[12]\d|3[01])\d[ -]?[A-Z][A-Z9][0-9A-Z][A-Z]{2}(?:[ ]?\d{2})?(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_DRIVING_NI = re.compile(r"(?<!\d)\d{8}(?!\d)")
_DRIVING_WORDS = re.compile(
    r"driv(?:ing|er'?s?|er’s) licen[cs]e|\bdvla\b|\bdvani?\b|licen[cs]e (?:no|num)", re.IGNORECASE
)

_ELECTORAL = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{1,4}\d{0,3}[ /-]\d{1,5}(?:/\d{1,2})?(?![A-Za-z0-9])|(?<!\d)\d{3,6}(?!\d)"
)
_ELECTORAL_WORDS = re.compile(
    r"(?<![a-z])elector(?:al)?(?: (?:roll|register|registration))?(?: (?:number|num|no|id))(?![a-z])", re.IGNORECASE
)


def look_for_state_numbers(text: str) -> Iterator[Candidate]:
    """`text` is readable()."""
    yield from _national_insurance(text)
    yield from _passports(text)
    yield from _licences(text)
    yield from _electors(text)


def _national_insurance(text: str) -> Iterator[Candidate]:
    for found in _NI.finditer(text):
        start, end = found.span()
        value = _squeezed(found[0])
        printed = found[0].isupper() and len(found[0]) > len(value)  # QQ 12 34 56 C, as the card has it
        sure = printed or near(_NI_WORDS, text, start, end) or near_health(text, start, end)
        yield Candidate(Identifier.NI, start, end, Strength.STRONG if sure else Strength.WEAK, value)
    for found in _NI_GAPS.finditer(text):
        if near(_NI_WORDS, text, found.start(), found.start(), 30):
            yield Candidate(Identifier.NI, found.start(), found.end(), Strength.STRONG, _squeezed(found[0]))


def _passports(text: str) -> Iterator[Candidate]:
    if _PASSPORT_WORDS.search(text):
        for found in _PASSPORT.finditer(text):
            if near(_PASSPORT_WORDS, text, found.start(), found.end()) and len(set(found[0])) > 2:
                value = _squeezed(found[0])
                yield Candidate(Identifier.PASSPORT, found.start(), found.end(), Strength.STRONG, value)
    for found in _MACHINE_READABLE.finditer(text):
        if "<" in found[0]:
            yield Candidate(Identifier.PASSPORT, found.start(), found.end(), Strength.STRONG, found[0])


def _licences(text: str) -> Iterator[Candidate]:
    for found in _DRIVING.finditer(text):
        yield Candidate(Identifier.DRIVING, found.start(), found.end(), Strength.STRONG, _squeezed(found[0])[:16])
    if _DRIVING_WORDS.search(text):
        for found in _DRIVING_NI.finditer(text):  # Northern Ireland's are eight digits
            if near(_DRIVING_WORDS, text, found.start(), found.end(), 30) and len(set(found[0])) > 2:
                yield Candidate(Identifier.DRIVING, found.start(), found.end(), Strength.STRONG, found[0])


def _electors(text: str) -> Iterator[Candidate]:
    for label in _ELECTORAL_WORDS.finditer(text):
        found = _ELECTORAL.search(text, label.end(), label.end() + 30)
        if found is not None:
            yield Candidate(Identifier.ELECTORAL, found.start(), found.end(), Strength.STRONG, found[0])


def _squeezed(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum()).upper()
