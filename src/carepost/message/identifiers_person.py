"""A date of birth together with a name and a postcode: one person, without any number. PURE.

Promises
    Only a date that is called a date of birth, or stands in brackets behind a name: letters are full of other dates.
    Linear: names and postcodes are looked for only within so many characters of such a date.
"""

import re
from collections.abc import Iterator
from itertools import islice

from carepost.message.identifiers_model import Candidate, Identifier, Strength

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]{0,6}"
_DATE = (
    rf"(?:\d{{1,2}}[./\- ]{{1,3}}\d{{1,2}}[./\- ]{{1,3}}(?:\d{{4}}|\d{{2}})"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?[ \-]{{1,2}}(?:of )?{_MONTH}[ ,\-]{{1,3}}\d{{2,4}}"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}|\d{{4}}-\d{{2}}-\d{{2}})(?!\d)"
)
DATE = re.compile(rf"(?<!\d){_DATE}", re.IGNORECASE)
_BIRTH = re.compile(
    r"(?<![a-z])(?:d\.?\s?o\.?\s?b\b\.?|date of birth|birth[ -]?date|date-of-birth|born(?: on)?(?: the)?)"
    rf"[^\dA-Za-z]{{0,12}}(?:\(?(?:dd|d)[^\d]{{0,12}}\)?[^\dA-Za-z]{{0,6}})?(?P<date>{_DATE})",
    re.IGNORECASE,
)
_BRACKETS = re.compile(rf"(?<=[A-Za-z'’]) \((?P<date>{_DATE})\)", re.IGNORECASE)
# Royal Mail, Programmer's Guide to PAF: the shapes a postcode has.
POSTCODE = re.compile(
    r"(?<![A-Za-z0-9])(?:GIR ?0AA|[A-PR-UWYZ](?:\d{1,2}|[A-HK-Y]\d{1,2}|\d[A-HJKPSTUW]|[A-HK-Y]\d[ABEHMNPRV-Y])"
    r"[ \t\r\n]{0,2}\d[ABD-HJLNP-UW-Z]{2})(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"(?<![A-Za-z])(?:(?:Mr|MR|Mrs|MRS|Ms|MS|Miss|MISS|Mx|Master|Dr|Prof|Sir|Lady|Baby|Sister|Rev)\.?[ \t]+"
    r"[A-Z]['’\w-]*"
    r"|(?i:(?:full |patient |patient's |client |first |last |family |given )?"
    r"(?:name|surname|forename|patient|client|re|regarding)"
    r"[ \t]*(?:\(s\))?[ \t]*[:\-–|,\t])[ \t]*[A-Za-z]"
    r"|[A-Z][A-Z'’\-]+,[ \t]*[A-Z][a-z]+|[A-Z][a-z]+(?:[ \t]+[A-Z]\.?)?[ \t]+[A-Z](?:[a-z'’A-Z\-]+))"
)
_PEOPLE_MAX = 1_000  # dates of birth of one text: enough to say that it is a list
_NAME_WITHIN = 200
_POSTCODE_WITHIN = 400


def look_for_people(text: str) -> Iterator[Candidate]:
    """`text` is readable(). PERSON where all three stand together; BIRTH for a labelled date with a name."""
    for pattern in (_BIRTH, _BRACKETS):
        for found in islice(pattern.finditer(text), _PEOPLE_MAX):
            start, end = found.span("date")
            around = _around(text, start, end, _NAME_WITHIN)
            has_name = _NAME.search(around) is not None
            has_postcode = POSTCODE.search(_around(text, start, end, _POSTCODE_WITHIN)) is not None
            value = found["date"]
            if has_name and has_postcode:
                yield Candidate(Identifier.PERSON, start, end, Strength.STRONG, value)
            elif pattern is _BIRTH:
                yield Candidate(Identifier.BIRTH, start, end, Strength.STRONG if has_name else Strength.WEAK, value)


def _around(text: str, start: int, end: int, within: int) -> str:
    """The text on both sides, the date itself left out."""
    return text[max(0, start - within) : start] + " | " + text[end : end + within]
