"""The words beside a number: what makes a number that could be anything a patient's. PURE.

Promises
    Each question costs two searches of a line's length, however long the text.
"""

import re

NEAR = 60  # characters. Measured: 0 of 4,150 ordinary mails have a valid number with such a word as near as this
_LONGEST = 24  # characters of a word, so that none is cut in two

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_UNSEEN = (
    "\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f"
    "\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\ufeff"
)
_AS_READ = str.maketrans(
    {
        **dict.fromkeys(_DASHES, "-"),
        **dict.fromkeys(_SPACES, " "),
        **dict.fromkeys(_UNSEEN, None),
        **{chr(0xFF10 + digit): str(digit) for digit in range(10)},
    }
)


def readable(text: str) -> str:
    """As a reader sees it: one kind of dash, one kind of space, wide digits as digits, nothing that is not seen."""
    return text if text.isascii() else text.translate(_AS_READ)


def near(words: re.Pattern[str], text: str, start: int, end: int, within: int = NEAR) -> bool:
    """Whether one of `words` ends at most `within` characters before `start`, or begins so soon after `end`."""
    if words.search(text, max(0, start - within - _LONGEST), start):
        return True
    found = words.search(text, end, end + within + _LONGEST)
    return found is not None and found.start() <= end + within


# What a letter about a patient says within a line of the number.
_HEALTH_WORDS = """
nhs nhsno nhsnumber nhsnum patient patients pt pts dob born birthdate chi hc hcn hospital mrn clinic clinics clinical
ward consultant referral referrals referred diagnosis diagnosed diagnoses discharge discharged admission admitted gp
surgery practice prescription prescribed medication treatment appointment outpatient inpatient theatre biopsy pathology
radiology xray mri ultrasound vaccine vaccination vaccinated immunisation consent carer resident residents safeguarding
midwife maternity pregnant pregnancy baby nurse therapist therapy deceased medical blood bloods specimen spine systmone
emis
"""
_HEALTH = frozenset(_HEALTH_WORDS.split())
_HEALTH_PHRASES = re.compile(
    r"\bd\.\s?o\.\s?b|\bn\.\s?h\.\s?s|\bh\s?[&+]\s?c\b|\bdate of birth|\bbirth date|\bnext of kin|\bcare plan"
    r"|\bunit n(?:o|umber)\b|\bct scan|\bx-ray|\bservice user|\bsocial worker|\bsocial care",
    re.IGNORECASE,
)
_TITLE = re.compile(r"(?<![A-Za-z])(?:M(?:r|rs|s|x|iss|aster)\.?|MRS?|MISS|Dr\.?|DR)[ \t]+[A-Z]")
_LETTERS = re.compile(r"[A-Za-z]+")


def near_health(text: str, start: int, end: int) -> bool:
    """Whether a word of health care, or somebody's title, stands within NEAR characters."""
    first = max(0, start - NEAR)
    while first > 0 and start - first < NEAR + _LONGEST and text[first - 1].isalpha():  # to the beginning of a word
        first -= 1
    rest = _LETTERS.match(text, end + NEAR)
    last = rest.end() if rest is not None else end + NEAR
    beside = text[first:start] + " \n " + text[end:last]
    if not _HEALTH.isdisjoint(_LETTERS.findall(beside.lower())):
        return True
    return _TITLE.search(beside) is not None or _HEALTH_PHRASES.search(beside) is not None
