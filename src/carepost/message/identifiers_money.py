"""Numbers that banks give to people: cards, accounts, and the codes of banks. PURE.

Promises
    A card's number has the prefix of an issuer, that issuer's length and the right last digit (ISO/IEC 7812-1, Luhn).
    An IBAN has its country's length and the right check digits (ISO 13616). Linear: patterns of bounded length.
"""

import re
from collections.abc import Iterator

from carepost.message.identifiers_model import Candidate, Identifier, Strength
from carepost.message.identifiers_nhs import is_in_address, only_digits
from carepost.message.identifiers_words import near

_CARD = re.compile(
    r"(?<![\dA-Za-z.+_-])"
    r"(?:\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{3})?|\d{4}([ -])\d{6}\2\d{4,5}|\d{13,19})"
    r"(?![\dA-Za-z@_])(?![.-]\d)"
)
_CARD_WORDS = re.compile(
    r"(?<![a-z])(?:cards?|visa|master ?card|maestro|amex|american express|credit|debit|cvv|cvc|expir(?:y|es)|exp|valid"
    r"|cardholder|payment|paid with|pay by)(?![a-z])",
    re.IGNORECASE,
)
_ISSUERS: tuple[tuple[int, int, frozenset[int]], ...] = (
    # from, to (first six digits), lengths
    (400000, 499999, frozenset({13, 16, 19})),  # Visa
    (510000, 559999, frozenset({16})),  # Mastercard
    (222100, 272099, frozenset({16})),
    (340000, 349999, frozenset({15})),  # American Express
    (370000, 379999, frozenset({15})),
    (300000, 305999, frozenset({14, 16})),  # Diners Club
    (360000, 369999, frozenset({14, 16})),
    (380000, 399999, frozenset({14, 16})),
    (352800, 358999, frozenset({16, 17, 18, 19})),  # JCB
    (601100, 601199, frozenset({16, 19})),  # Discover
    (644000, 659999, frozenset({16, 19})),
    (622126, 622925, frozenset({16, 17, 18, 19})),  # UnionPay
    (500000, 509999, frozenset(range(13, 20))),  # Maestro
    (560000, 589999, frozenset(range(13, 20))),
    (670000, 679999, frozenset(range(13, 20))),
    (633300, 633399, frozenset({16, 18, 19})),
)

_IBAN = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){3,7}(?:[ ]?[A-Z0-9]{1,3})?(?![A-Za-z0-9])", re.IGNORECASE
)
_IBAN_LENGTHS = {"GB": 22, "IE": 22, "DE": 22, "FR": 27, "ES": 24, "IT": 27, "NL": 18, "BE": 16, "PT": 25, "PL": 28,
                 "AT": 20, "CH": 21, "GI": 23, "CY": 28, "MT": 31, "GR": 27, "DK": 18, "SE": 24, "NO": 15, "FI": 18,
                 "LU": 20, "LT": 20, "LV": 21, "EE": 20, "CZ": 24, "SK": 24, "HU": 28, "RO": 24, "BG": 22, "HR": 21,
                 "SI": 19, "TR": 26, "AE": 23}  # fmt: skip
_SORT_CODE = re.compile(r"(?<![\d-])\d{2}([- ]?)\d{2}\1\d{2}(?![\d-])")
_ACCOUNT = re.compile(r"(?<!\d)\d{8}(?!\d)|(?<!\d)\d{4} \d{4}(?!\d)")
_SORT_WORDS = re.compile(r"sort[ -]?code|\bs/c\b", re.IGNORECASE)
_ACCOUNT_WORDS = re.compile(r"\b(?:account|acc(?:oun)?t?|a/c)\b", re.IGNORECASE)

_BIC = re.compile(r"(?<![A-Za-z0-9])[A-Z]{4}[A-Z]{2}[A-Z0-9]{2}(?:[A-Z0-9]{3})?(?![A-Za-z0-9])")
_BIC_LABEL = re.compile(
    r"\b(?:swift|bic)(?:[ /-]{0,3}(?:bic|swift|code|number|no|address))*\s*[:=#-]?\s*(?:is\s+)?", re.IGNORECASE
)


def look_for_bank_numbers(text: str) -> Iterator[Candidate]:
    """`text` is readable()."""
    yield from _cards(text)
    yield from _accounts(text)
    yield from _banks(text)


def is_card(digits: str) -> bool:
    if len(set(digits)) < 2 or not _luhn(digits):
        return False
    first = int(digits[:6])
    return any(low <= first <= high and len(digits) in lengths for low, high, lengths in _ISSUERS)


def _luhn(digits: str) -> bool:
    doubled = ("0", "2", "4", "6", "8", "1", "3", "5", "7", "9")
    total = sum(int(digit) for digit in digits[-1::-2]) + sum(int(doubled[int(digit)]) for digit in digits[-2::-2])
    return total % 10 == 0


def _cards(text: str) -> Iterator[Candidate]:
    for found in _CARD.finditer(text):
        start, end = found.span()
        digits = only_digits(found[0])
        if is_card(digits) and not is_in_address(text, start, end):
            strong = len(digits) < end - start or near(_CARD_WORDS, text, start, end)
            yield Candidate(Identifier.CARD, start, end, Strength.STRONG if strong else Strength.WEAK, digits)


def _accounts(text: str) -> Iterator[Candidate]:
    for found in _IBAN.finditer(text):
        value = found[0].replace(" ", "").upper()
        length = _IBAN_LENGTHS.get(value[:2])
        if length and len(value) >= length and _iban_checks(value[:length]):
            yield Candidate(Identifier.BANK, found.start(), found.end(), Strength.STRONG, value[:length])
    if not _SORT_WORDS.search(text):
        return
    for found in _ACCOUNT.finditer(text):
        start, end = found.span()
        beside = near(_SORT_CODE, text, start, end, 80) and near(_SORT_WORDS, text, start, end, 80)
        if beside and near(_ACCOUNT_WORDS, text, start, end):
            yield Candidate(Identifier.BANK, start, end, Strength.STRONG, only_digits(found[0]))


def _iban_checks(value: str) -> bool:
    return int("".join(str(int(letter, 36)) for letter in value[4:] + value[:4])) % 97 == 1


def _banks(text: str) -> Iterator[Candidate]:
    for label in _BIC_LABEL.finditer(text):
        found = _BIC.match(text, label.end())
        if found is not None:
            yield Candidate(Identifier.BIC, found.start(), found.end(), Strength.STRONG, found[0])
