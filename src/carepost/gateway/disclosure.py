"""What a message would tell about people if it left: findings, their words, and how sensitive it is. PURE.

Promises
    No sentence repeats a number; a file's name is in `says` (which is sealed), never in `facts`.
    `sensitivity_of` is None when something could not be read and nothing else says "patient" already.

The check of outgoing mail `checks/disclosure.py` looks; here is what it may say. R113, R114, R159, R161.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from carepost.gateway.facts import CHECK_FAILED
from carepost.gateway.files.texts_model import Unread
from carepost.gateway.model import Finding
from carepost.message.identifiers import PATIENT, Identifier, Sensitivity, Where

DISCLOSURE = "disclosure"  # the name of the check
BULK = "bulk-people"
SUBJECT = "subject-identifiers"
SECURE = "asked-secure"
MARKED = "marked-sensitive"
MEDICAL_IMAGE = "medical-image"
UNREAD = "unread-file"
UNREAD_MEDIA = "unread-picture"  # noted: a picture cannot be read, and nearly every message has one

PATIENT_CODES = frozenset({kind.value for kind in PATIENT} | {BULK, MEDICAL_IMAGE})
PERSONAL_CODES = frozenset(kind.value for kind in Identifier) - PATIENT_CODES - {Identifier.BIC.value}
CODES = PATIENT_CODES | PERSONAL_CODES | {Identifier.BIC.value, SUBJECT, SECURE, MARKED, UNREAD, UNREAD_MEDIA}

# One, many.
_CALLED: Mapping[Identifier, tuple[str, str]] = {
    Identifier.NHS: ("an NHS number", "NHS numbers"),
    Identifier.CHI: ("a CHI number", "CHI numbers"),
    Identifier.HC: ("a Health and Care number", "Health and Care numbers"),
    Identifier.PERSON: ("a name with date of birth and postcode", "names with date of birth and postcode"),
    Identifier.BIRTH: ("a name with date of birth", "names with date of birth"),
    Identifier.NI: ("a National Insurance number", "National Insurance numbers"),
    Identifier.PASSPORT: ("a passport number", "passport numbers"),
    Identifier.DRIVING: ("a driving licence number", "driving licence numbers"),
    Identifier.CARD: ("a payment card number", "payment card numbers"),
    Identifier.BANK: ("a bank account number", "bank account numbers"),
    Identifier.BIC: ("a bank's SWIFT code", "banks' SWIFT codes"),
    Identifier.ELECTORAL: ("an electoral number", "electoral numbers"),
}
_OPEN = {Where.SUBJECT: "The subject", Where.HEADER: "The field {}"}
_SECURE_WORD = re.compile(r"\[\s{0,3}secure\s{0,3}\]", re.IGNORECASE)
# What a marking says that must not be read by everybody. R161; RFC 2156 §5.3.4 for the field Sensitivity.
_MARKINGS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("official-sensitive", re.compile(r"official[\s_:-]{1,3}sensitive", re.IGNORECASE)),
    ("secret", re.compile(r"\bsecret\b", re.IGNORECASE)),
    ("confidential", re.compile(r"(?<!non[ -])\bconfidential\b", re.IGNORECASE)),
    ("restricted", re.compile(r"\brestricted\b", re.IGNORECASE)),
    ("private", re.compile(r"\bprivate\b", re.IGNORECASE)),
)
_IN_SUBJECT = re.compile(r"(?:^|[\[({])\s{0,3}(official[\s_:-]{1,3}sensitive)\b", re.IGNORECASE)
_AT_HEAD_OR_FOOT = re.compile(r"^[ \t]{0,80}OFFICIAL[ :–-]{1,3}SENSITIVE\b[^\r\n]{0,60}\r?$", re.MULTILINE)
_LABEL_FIELD = re.compile(
    r"sensitivity|msip_labels|x-(?:[a-z0-9]+-){0,4}(?:sensitivity|labels?|classification|marking)|security-label"
    r"|x-protective-marking|sio-label"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was found; `name` is a file's, safe to show."""

    where: Where
    name: str = ""

    def __str__(self) -> str:
        match self.where:
            case Where.SUBJECT:
                return "in the subject"
            case Where.HEADER:
                return f"in the field {self.name}"
            case Where.TEXT:
                return "in the text"
            case Where.NAME:
                return f"in the name of the file “{self.name}”"
            case Where.FILE:
                return f"in the file “{self.name}”"


def sensitivity_of(findings: Iterable[Finding]) -> Sensitivity | None:
    """None: it is not known. What was found counts even where something else could not be read."""
    codes, failed = set[str](), False
    for finding in findings:
        codes.add(finding.code)
        failed |= finding.code == CHECK_FAILED and finding.facts.get("check") == DISCLOSURE
    if codes & PATIENT_CODES:
        return Sensitivity.PATIENT
    if failed or UNREAD in codes:
        return None
    return Sensitivity.PERSONAL if codes & PERSONAL_CODES else Sensitivity.NONE


def holds(kind: Identifier, count: int, place: Place) -> Finding:
    """Of `kind`, `count` different ones stand there."""
    one, many = _CALLED[kind]
    says = f"There is {one} {place}." if count == 1 else f"There are {count} {many} {place}."
    return _finding(kind.value, 1 if kind is Identifier.BIC else 2, says, place, count)


def is_list_of_people(rows: int, place: Place) -> Finding:
    return _finding(BULK, 3, f"There is a list of {rows} people {place}.", place, rows)


def is_in_the_open(place: Place, count: int) -> Finding:
    """R113: subjects and names of files travel in clear even when the text does not."""
    what = _OPEN.get(place.where, "The name of the file “{}”").format(place.name)
    says = f"{what} says who somebody is, and is not protected as the text is: take the number or the date out of it."
    return _finding(SUBJECT, 2, says, place, count)


def is_not_read(why: Unread, name: str) -> Finding:
    place = Place(Where.FILE, name)
    if why is Unread.MEDICAL_IMAGE:
        return _finding(MEDICAL_IMAGE, 2, f"The file “{name}” {why.value}.", place, 1)
    if why is Unread.MEDIA:
        return _finding(UNREAD_MEDIA, 0, f"The file “{name}” {why.value}: nobody looked for patients in it.", place, 1)
    says = f"The file “{name}” {why.value}, so nobody could look for patients in it."
    return _finding(UNREAD, 2, says, place, 1)


def not_everything_was_read() -> Finding:
    says = "There is more in the message than we read through, so nobody could look for patients in all of it."
    return _finding(UNREAD, 2, says, Place(Where.FILE), 1)


def asks_for_secure(subjects: Iterable[str]) -> Finding | None:
    """R114: the word in brackets, anywhere in the subject, in any case, from any client."""
    if any(_SECURE_WORD.search(subject) for subject in subjects):
        return _finding(SECURE, 2, "The subject says [secure].", Place(Where.SUBJECT), 1)
    return None


def markings(fields: Iterable[tuple[str, str]], subjects: Sequence[str]) -> list[Finding]:
    """`fields` are (name in lower case, value). One finding for each different marking."""
    found: dict[str, Where | str] = {}
    for name, value in fields:
        if _LABEL_FIELD.fullmatch(name):
            for label, pattern in _MARKINGS:
                if pattern.search(value[:2_000]):
                    found.setdefault(label, "header")
                    break
    if any(_IN_SUBJECT.search(subject) for subject in subjects):
        found.setdefault("official-sensitive", Where.SUBJECT)
    return [_marked(label, str(where)) for label, where in found.items()]


def marked_in(text: str, place: Place) -> Finding | None:
    """The marking that government documents bear at head and foot, in capitals. One that is talked about is none."""
    if not _AT_HEAD_OR_FOOT.search(text):
        return None
    finding = _marked("official-sensitive", place.where.value)
    return replace(finding, says=f"“OFFICIAL-SENSITIVE” stands {place}.")


def _marked(label: str, where: str) -> Finding:
    return Finding(
        code=MARKED,
        weight=2,
        says=f"The message is marked {label.replace('-', ' ')}.",
        check=DISCLOSURE,
        facts={"where": where, "label": label},
    )


def _finding(code: str, weight: int, says: str, place: Place, count: int) -> Finding:
    facts = {"where": place.where.value, "count": count}
    return Finding(code=code, weight=weight, says=says, check=DISCLOSURE, facts=facts)
