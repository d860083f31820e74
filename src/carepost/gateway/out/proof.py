"""What the readers of a message's secure links must prove, as its sender chose: whether that can work. PURE. R118.

Promises
    A proof that its reader could never give is refused before anything leaves: the message would be lost to them.
    A date of birth and a telephone are one person's: they are never asked of several.
"""

from collections.abc import Sequence
from datetime import date

from carepost.base.errors import Malformed
from carepost.gateway.disclosure import sensitivity_of
from carepost.gateway.model import Finding
from carepost.gateway.out.outgoing import Route, RouteFor, Submission
from carepost.policy.outbound import Sensitivity
from carepost.portal.links import birth_digits, normal_phrase
from carepost.portal.model import Agreed, Level
from carepost.portal.secure_messages import PHRASE_MIN

_OLDEST = 130  # years
_NUMBER = range(8, 16)  # digits of a telephone number with its country. ITU-T E.164


def level_of(submission: Submission) -> Level:
    """What the sender chose."""
    if submission.telephone:
        return Level.STRONG
    return Level.AGREED if submission.passphrase else Level.MAILBOX


def about_patient(findings: Sequence[Finding]) -> bool | None:
    """Whether it holds a patient's details; None: not known, which counts as yes."""
    found = sensitivity_of(findings)
    return None if found is None else found is Sensitivity.PATIENT


def unproved(submission: Submission, routes: Sequence[RouteFor], *, texts: bool, today: date) -> list[str]:
    """Why nobody could prove what was chosen, in words; empty when it can work. `texts`: a provider is set."""
    links = sum(1 for one in routes if one.route is Route.PORTAL)
    wrong = []
    if submission.passphrase is not None:
        if submission.agreed is Agreed.BIRTH:
            wrong += _birth(submission.passphrase, today)
        elif len(normal_phrase(submission.passphrase, Agreed.PHRASE)) < PHRASE_MIN:
            wrong.append(
                f"The agreed phrase is too short to protect anything: it needs {PHRASE_MIN} letters or digits."
            )
    if submission.telephone is not None:
        try:
            telephone_number(submission.telephone)
        except Malformed as error:
            wrong.append(error.public)
        if not texts:
            wrong.append("This service cannot send codes to telephones. Agree on a phrase with them instead.")
    of_one = submission.telephone is not None or (submission.passphrase and submission.agreed is Agreed.BIRTH)
    if of_one and links > 1:
        wrong.append(
            f"A date of birth or a telephone is one person's, and {links} people would get a secure link. "
            "Send it to one of them at a time, or agree on a phrase with all."
        )
    return wrong


def telephone_number(typed: str) -> str:
    """As a provider takes it: +44 for a number that begins with one 0. Raises Malformed."""
    plain = typed.strip().replace("(0)", "") if typed.strip().startswith("+") else typed.strip()
    strange = [c for c in plain if not (c in "0123456789" or c in " +-().")]
    digits = "".join(c for c in plain if c in "0123456789")
    if plain.startswith("+") or digits.startswith("00"):
        number = digits.removeprefix("00")
    else:
        number = "44" + digits[1:] if digits.startswith("0") else ""
    if strange or len(number) not in _NUMBER:
        raise Malformed("This is not a mobile number: for example 07700 900123, or +353 85 012 3456.")
    return f"+{number}"


def _birth(typed: str, today: date) -> list[str]:
    digits = birth_digits(typed)
    try:
        born = date(int(digits[4:]), int(digits[2:4]), int(digits[:2])) if len(digits) == 8 else None
    except ValueError:
        born = None
    if born is None or not today.year - _OLDEST <= born.year or born > today:
        return ["This is not a date of birth: day, month and year, for example 7 3 1958 for the seventh of March."]
    return []
