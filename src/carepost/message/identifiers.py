"""Which of a text's numbers point at a person: the way in to the finders. PURE. R113, R159.

Promises
    Linear in the text; reads at most TEXT_MAX characters of one text. Never raises because of what a text holds.
    Answers with kinds, places and strengths, never with the numbers.
    A number that is strong anywhere in a message is strong wherever it stands in it: the subject has no room for words.

Some 9 in 100 numbers of ten digits are valid NHS numbers by chance. So a number alone is WEAK. It becomes STRONG by a
word of health care beside it, or by company: at least two different valid numbers, when at least half of all such
digits in the message are valid (in a column of order numbers one in eleven is; in a clinic list all of them are).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from carepost.message.identifiers_model import (
    PATIENT,
    Candidate,
    Found,
    Identifier,
    Sensitivity,
    Strength,
    Where,
)
from carepost.message.identifiers_money import look_for_bank_numbers
from carepost.message.identifiers_nhs import TEN_DIGITS, look_for_health_numbers
from carepost.message.identifiers_person import look_for_people
from carepost.message.identifiers_state import look_for_state_numbers
from carepost.message.identifiers_words import readable

__all__ = [
    "PATIENT",
    "TEXT_MAX",
    "Found",
    "Identifier",
    "Sensitivity",
    "Strength",
    "Where",
    "look_for_identifiers",
    "look_through",
]

TEXT_MAX = 4_000_000  # characters of one text: a book has one million
COMPANY = 2  # distinct valid numbers that vouch for each other
_HEALTH = frozenset({Identifier.NHS, Identifier.CHI, Identifier.HC})
_IN_A_NAME = str.maketrans({"_": " ", ".": " ", "+": " "})


def look_for_identifiers(text: str, *, where: Where | str) -> list[Found]:
    """Everything in one text, in order; each number once, where it is strongest."""
    return look_through([(where, text)])[0]


def look_through(texts: Sequence[tuple[Where | str, str]]) -> list[list[Found]]:
    """The texts of one message together: numbers in one vouch for those in another. One list for each text."""
    found = [_candidates(Where(where), text) for where, text in texts]
    strong = {(one.kind, one.value) for ones in found for one in ones if one.strength is Strength.STRONG}
    if _keep_company(found, texts):
        strong |= {(one.kind, one.value) for ones in found for one in ones if one.kind in _HEALTH}
    return [[_as_found(one, strong) for one in ones] for ones in found]


def _candidates(where: Where, text: str) -> list[Candidate]:
    text = readable(text[:TEXT_MAX])
    if where is Where.NAME:
        text = text.translate(_IN_A_NAME)  # "discharge_999-123-4567.pdf"
    finders = (look_for_health_numbers, look_for_state_numbers, look_for_bank_numbers, look_for_people)
    best: dict[tuple[Identifier, str], Candidate] = {}
    for finder in finders:
        for one in finder(text):
            known = best.get((one.kind, one.value))
            if known is None or one.strength > known.strength:
                best[one.kind, one.value] = one
    return sorted(_fitting(best.values(), where), key=lambda one: one.start)


def _fitting(candidates: Iterable[Candidate], where: Where) -> Iterable[Candidate]:
    """In a subject or a file's name there is room for little else: a number as the service prints it is meant."""
    for one in candidates:
        grouped = one.kind in _HEALTH and one.end - one.start > len(one.value)
        yield replace(one, strength=Strength.STRONG) if grouped and where in {Where.SUBJECT, Where.NAME} else one


def _keep_company(found: Sequence[Sequence[Candidate]], texts: Sequence[tuple[Where | str, str]]) -> bool:
    valid = {one.value for ones in found for one in ones if one.kind in _HEALTH}
    if len(valid) < COMPANY:
        return False
    shaped: set[str] = set()
    for _, text in texts:
        for match in TEN_DIGITS.finditer(readable(text[:TEXT_MAX])):
            shaped.add("".join(filter(str.isdigit, match[0])))
    return len(valid) * 2 >= len(shaped)


def _as_found(one: Candidate, strong: set[tuple[Identifier, str]]) -> Found:
    strength = Strength.STRONG if (one.kind, one.value) in strong else one.strength
    return Found(one.kind, one.start, one.end, strength)
