"""What the finders of identifiers speak of: kinds, places, strengths. PURE.

Promises
    A Found says kind, place and strength and never holds the number itself; a Candidate's value is in no `repr`.

Nothing here may be logged with more than kinds and counts.
"""

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum


class Identifier(StrEnum):
    """What points at one person. The value is the code of the finding it becomes. R113, R159."""

    NHS = "nhs-number"
    CHI = "chi-number"  # Scotland
    HC = "hc-number"  # Northern Ireland
    PERSON = "dob-name-postcode"  # a date of birth with a name and a postcode beside it
    BIRTH = "date-of-birth"  # labelled as such, with a name beside it
    NI = "ni-number"
    PASSPORT = "passport"
    DRIVING = "driving-licence"
    CARD = "card-number"
    BANK = "bank-account"  # IBAN, or sort code with account number
    BIC = "bic"  # a SWIFT code, which names a bank
    ELECTORAL = "electoral-number"


PATIENT = frozenset({Identifier.NHS, Identifier.CHI, Identifier.HC, Identifier.PERSON})


class Sensitivity(StrEnum):
    """What a message says about people. Where it is not known the fact is None, not one of these."""

    NONE = "none"
    PERSONAL = "personal"  # numbers that the state or a bank gave a person
    PATIENT = "patient"  # a patient can be told from it


class Where(StrEnum):
    """Which part of a message. R113: a subject and a file's name are not protected by encryption."""

    SUBJECT = "subject"
    HEADER = "header"  # a field beside the subject: names of recipients, what Outlook keeps of an older subject
    TEXT = "text"
    NAME = "attachment name"
    FILE = "file"


class Strength(IntEnum):
    """WEAK: the shape alone, which chance or a telephone number makes too. STRONG: enough to ask a person about."""

    WEAK = 1
    STRONG = 2


@dataclass(frozen=True, slots=True)
class Found:
    """One number, once for each text. Offsets are into `readable(text)`."""

    kind: Identifier
    start: int
    end: int
    strength: Strength


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a finder hands back. `value` tells equal from distinct and leaves this area with nobody.

    `sure` False: strong only if most numbers of that shape in the message are valid ones. See identifiers.py.
    """

    kind: Identifier
    start: int
    end: int
    strength: Strength
    value: str = field(repr=False)
