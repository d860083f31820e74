"""Numbers that health services give to people: NHS number, CHI number, H&C number. PURE.

Promises
    Only numbers whose check digit is right (NHS Data Model and Dictionary, "NHS number": modulus 11), and those that
    the text itself calls an NHS number: mistyped, it still tells who somebody is.
    What has the shape of a telephone number, of part of an address on the web, or of one digit repeated, is none.
    Linear: every pattern is of fixed length.

About one in eleven numbers of ten digits is valid by chance, so the digits alone are WEAK: words beside the number, or
its company (see identifiers.py), make it STRONG.
"""

import re
from collections.abc import Iterator

from carepost.message.identifiers_model import Candidate, Identifier, Strength
from carepost.message.identifiers_words import near_health

_GAP = r"[ \t\r\n]{1,3}"
# 3-3-4 as the service prints it, 6-4 as Scotland does, or plain; the same separator throughout.
TEN_DIGITS = re.compile(
    r"(?<![\d+])(?<!\d[-./])"
    rf"(?:\d{{3}}(?:-[ ]?\d{{3}}-[ ]?|\.\d{{3}}\.|{_GAP}\d{{3}}{_GAP})\d{{4}}|\d{{6}}[- ]\d{{4}}|\d{{10}})"
    r"(?![\dA-Za-z])(?![-/.]\d)"
)
# Behind the words "NHS number" digits may stand in any groups: in the boxes of a form each by itself.
_LABELLED = re.compile(
    r"(?<![a-z])(nhs|chi|h\s?[&+]\s?c|hcn)([\s_-]{0,3}(?:number|num|no|nr|id)\b)?(?:[^\da-z]{1,3}is\b)?[^\da-z]{0,12}"
    r"((?:\d[ \t.\-|]{0,3}){9}\d)(?!\d)",
    re.IGNORECASE,
)
_TELEPHONE = re.compile(
    r"\b(?:tel|telephone|phone|phones|mobile|mob|fax|cell|call|ring|dial|bleep|pager|ext|extension|whatsapp|sms|helpline"
    r"|hotline|voicemail|switchboard)\b"
)
_OURS = re.compile(r"nhs|chi\b|h ?& ?c|hcn\b")
_STUCK = re.compile(r"(?:nhs|chi|hcn|hc|no|nr|num|number|id|patient|pt|mrn)$", re.IGNORECASE)
# In a table that lost its columns the head stands a line or two above.
_CALLED_SO = re.compile(
    r"(?<![a-z])(?:nhs|chi|h\s?[&+]\s?c|hcn)[\s_-]{0,3}(?:number|num|no|nr)(?![a-z])|(?<![a-z])nhsnumber", re.IGNORECASE
)
_LINE = 250
_BEFORE = 30
_TOKEN = 200


def look_for_health_numbers(text: str) -> Iterator[Candidate]:
    """`text` is readable(). WEAK ones too; the same number may come twice."""
    for found in TEN_DIGITS.finditer(text):
        start, end = found.span()
        value = only_digits(found[0])
        if not is_valid(value) or _is_something_else(text, start, end):
            continue
        by_range = kind_by_range(value)
        sure = near_health(text, start, end) or _CALLED_SO.search(text, max(0, start - _LINE), start)
        if not sure and by_range is None and _is_time(found[0]):
            continue
        # A range that nobody has been given today is no reason to let a number go.
        kind = by_range or Identifier.NHS
        yield Candidate(kind, start, end, Strength.STRONG if sure else Strength.WEAK, value)
    for found in _LABELLED.finditer(text):
        value = only_digits(found[3])
        named = _kind(value, found[1].lower())
        # What is called somebody's NHS number is one to whoever reads it, a slip of the keyboard in it or not.
        slip = found[2] and value[0] != "0" and value != value[0] * 10
        if named is not None and (slip or is_valid(value)):
            yield Candidate(named, found.start(3), found.end(3), Strength.STRONG, value)


def is_valid(digits: str) -> bool:
    """Ten digits, not all the same, the last of which is the check digit of the nine before it."""
    if len(digits) != 10 or digits == digits[0] * 10:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(digits, range(10, 1, -1), strict=False))
    check = 11 - total % 11
    return check != 10 and (0 if check == 11 else check) == int(digits[9])


def kind_by_range(digits: str) -> Identifier | None:
    """Who gives out numbers that begin so; None for ranges that nobody has been given.

    England and Wales 4, 6 and 7, and 9 for people who are made up; Northern Ireland 320 to 399; Scotland's begin with
    the date of birth. 5 and 8 are kept back.
    """
    if digits[0] in "4679":
        return Identifier.NHS
    if "320" <= digits[:3] <= "399":
        return Identifier.HC
    if 1 <= int(digits[:2]) <= 31 and 1 <= int(digits[2:4]) <= 12:
        return Identifier.CHI
    return None


def _kind(digits: str, before: str) -> Identifier | None:
    """What is called an NHS number is one, whatever range it is from."""
    return kind_by_range(digits) or (Identifier.NHS if "nhs" in before else None)


def only_digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def is_telephone(text: str, start: int) -> bool:
    """The last word before it that says what it is says telephone."""
    before = text[max(0, start - _BEFORE) : start].lower()
    phone = max((found.start() for found in _TELEPHONE.finditer(before)), default=-1)
    ours = max((found.start() for found in _OURS.finditer(before)), default=-1)
    return phone > ours


def is_in_address(text: str, start: int, end: int) -> bool:
    """Part of a web address, an e-mail address or a message's number, unless it is called an NHS number there."""
    head = text[max(0, start - _TOKEN) : start].replace("\n", " ").replace("\t", " ").rpartition(" ")[2]
    tail = text[end : end + 1]
    if "://" in head or head.lower().startswith(("www.", "mailto:", "cid:", "href=")) or tail in {"@", "%"}:
        return "nhs" not in head[-12:].lower()
    return head[-1:] in {"@", "%", "$", "=", "&", "#"} and not _STUCK.search(head[:-1])


def _is_time(digits: str) -> bool:
    """Seconds since 1970, of the years 2011 to 2036: logs are full of them."""
    return digits.isdigit() and 1_300_000_000 <= int(digits) < 2_100_000_000


def _is_something_else(text: str, start: int, end: int) -> bool:
    stuck = text[start - 1 : start].isalpha() and not _STUCK.search(text[max(0, start - 10) : start])
    return stuck or is_telephone(text, start) or is_in_address(text, start, end)
