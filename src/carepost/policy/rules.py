"""What an organisation asks of mail that leaves it: how each kind of detail is treated, and from when on it asks. PURE.

Promises
    An organisation may be stricter than the service, never laxer: `in_force` gives the stricter of both, whatever
    was stored before the service became stricter.
    `Chosen` keeps only what the organisation chose: where it chose nothing it follows the service.

R113 (subjects and names of files), R115 (guidance), R146 (disclaimer), R151 (who sees whom), R159 (kinds of details).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

import msgspec

from carepost.base.errors import Malformed

TEXT_MAX = 4_000  # characters of a disclaimer or of guidance: what is longer, nobody reads
PORTAL_LEVELS = ("L1", "L2")  # the least proof of a link with patient details (ADR-0017)


class Detail(StrEnum):
    """What may be found in a message; the value is the code of the finding."""

    NHS = "nhs-number"
    CHI = "chi-number"
    HC = "hc-number"
    PERSON = "dob-name-postcode"
    BULK = "bulk-people"
    IMAGE = "medical-image"
    BIRTH = "date-of-birth"
    NI = "ni-number"
    PASSPORT = "passport"
    DRIVING = "driving-licence"
    CARD = "card-number"
    BANK = "bank-account"
    ELECTORAL = "electoral-number"


OF_PATIENTS = frozenset({Detail.NHS, Detail.CHI, Detail.HC, Detail.PERSON, Detail.BULK, Detail.IMAGE})
# A list or a picture has no place in a subject.
IN_SUBJECTS = tuple(one for one in Detail if one not in {Detail.BULK, Detail.IMAGE})
CALLED: Mapping[Detail, str] = MappingProxyType(
    {
        Detail.NHS: "an NHS number",
        Detail.CHI: "a CHI number (Scotland)",
        Detail.HC: "a Health and Care number (Northern Ireland)",
        Detail.PERSON: "a date of birth with name and postcode",
        Detail.BULK: "a list of people",
        Detail.IMAGE: "a medical image",
        Detail.BIRTH: "a date of birth with a name",
        Detail.NI: "a National Insurance number",
        Detail.PASSPORT: "a passport number",
        Detail.DRIVING: "a driving licence number",
        Detail.CARD: "a payment card number",
        Detail.BANK: "bank account details",
        Detail.ELECTORAL: "an electoral number",
    }
)


class Measure(StrEnum):
    """What is done about a detail, mildest first (R159)."""

    ADVISE = "advise"  # the sender is asked to confirm
    REASON = "reason"  # ... and to say why
    ENCRYPT = "encrypt"  # it goes by the secure link
    BLOCK = "block"  # it does not leave, by link neither

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS: Mapping[Measure, int] = {measure: rank for rank, measure in enumerate(Measure)}


def stricter(*measures: Measure) -> Measure:
    """The strictest of some."""
    return max(measures, key=lambda one: one.rank)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRules:
    """The service's own rules: the floor for every organisation, and what holds where one has chosen nothing."""

    # Of a patient's details the floor is the link, always: R105.
    personal: Measure = Measure.ENCRYPT
    subject: Measure = Measure.ADVISE
    portal_level: str = "L1"
    visible_outsiders: int = 5
    visible_outsiders_stop: int = 50
    visible_private: int = 5
    disclaimer: str = ""

    def in_text(self, detail: Detail) -> Measure:
        return stricter(Measure.ENCRYPT, self.personal) if detail in OF_PATIENTS else self.personal


class Chosen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an organisation chose, as it is stored. Grows at the end, with defaults: older versions are kept."""

    text: dict[Detail, Measure] = {}
    subject: dict[Detail, Measure] = {}
    portal_level: str | None = None
    visible_outsiders: int | None = None
    visible_outsiders_stop: int | None = None
    visible_private: int | None = None
    disclaimer: str | None = None  # None: the service's; empty: none
    guidance: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingRules:
    """What is in force for one organisation."""

    text: Mapping[Detail, Measure]
    subject: Mapping[Detail, Measure]
    portal_level: str
    visible_outsiders: int
    visible_outsiders_stop: int
    visible_private: int
    disclaimer: str = ""
    guidance: str = ""
    version: int = 0  # 0: it has chosen nothing
    organisation_name: str = ""
    mark: str = field(default="", repr=False)  # what the disclaimer is recognised by


def in_force(
    chosen: Chosen, service: ServiceRules, *, version: int = 0, name: str = "", mark: str = ""
) -> OutgoingRules:
    """What holds: what was chosen, and never less than the service asks."""
    disclaimer = service.disclaimer if chosen.disclaimer is None else chosen.disclaimer
    return OutgoingRules(
        text=MappingProxyType(
            {one: stricter(service.in_text(one), chosen.text.get(one, service.in_text(one))) for one in Detail}
        ),
        subject=MappingProxyType(
            {one: stricter(service.subject, chosen.subject.get(one, service.subject)) for one in IN_SUBJECTS}
        ),
        portal_level=max(service.portal_level, chosen.portal_level or ""),
        visible_outsiders=_least(service.visible_outsiders, chosen.visible_outsiders),
        visible_outsiders_stop=_least(service.visible_outsiders_stop, chosen.visible_outsiders_stop),
        visible_private=_least(service.visible_private, chosen.visible_private),
        disclaimer=disclaimer,
        guidance=chosen.guidance,
        version=version,
        organisation_name=name,
        mark=mark,
    )


def _least(service: int, chosen: int | None) -> int:
    return service if chosen is None else min(service, chosen)


def insist(chosen: Chosen, service: ServiceRules) -> None:
    """Raise Malformed, naming the first rule that would be laxer than the service's, or that is no rule at all."""
    for detail, measure in chosen.text.items():
        _insist_measure(f"{CALLED[detail]} in the text or a file", measure, service.in_text(detail))
    for detail, measure in chosen.subject.items():
        if detail not in IN_SUBJECTS:
            raise Malformed(f"There is no rule for {CALLED[detail]} in a subject: it cannot stand in one.")
        _insist_measure(f"{CALLED[detail]} in a subject or a file's name", measure, service.subject)
    if chosen.portal_level is not None and chosen.portal_level not in PORTAL_LEVELS:
        raise Malformed(f"The least proof for patients' details is one of {', '.join(PORTAL_LEVELS)}.")
    if (chosen.portal_level or service.portal_level) < service.portal_level:
        raise Malformed(f"The least proof for patients' details is {service.portal_level} in the whole service.")
    for name, most in _numbers(service):
        number = getattr(chosen, name)
        if number is not None and not 1 <= number <= most:
            raise Malformed(f"{NUMBERS[name]}: at least 1, and at most {most} as in the whole service.")
    for text in (chosen.disclaimer or "", chosen.guidance):
        if len(text) > TEXT_MAX:
            raise Malformed(f"A disclaimer and guidance have at most {TEXT_MAX} characters each.")


NUMBERS: Mapping[str, str] = MappingProxyType(
    {
        "visible_outsiders": "People outside who may see each other's addresses unasked",
        "visible_outsiders_stop": "People outside from which on only Bcc or one message each will do",
        "visible_private": "Private mailboxes in one header before each gets a message of its own",
    }
)


def _numbers(service: ServiceRules) -> Iterator[tuple[str, int]]:
    for name in NUMBERS:
        yield name, getattr(service, name)


def _insist_measure(what: str, measure: Measure, floor: Measure) -> None:
    if measure.rank < floor.rank:
        raise Malformed(
            f"“{measure.value}” for {what} is laxer than the service's own rule, which is “{floor.value}”. "
            "An organisation may be stricter, never laxer."
        )


@dataclass(frozen=True, slots=True)
class RuleChange:
    """One line of a difference, in words."""

    what: str
    was: str
    becomes: str


def changes(before: OutgoingRules, after: OutgoingRules) -> list[RuleChange]:
    """What would be different in force, line by line."""
    found = [
        RuleChange(f"{CALLED[one]}, in the text or a file", before.text[one].value, after.text[one].value)
        for one in Detail
        if before.text[one] is not after.text[one]
    ]
    found += [
        RuleChange(f"{CALLED[one]}, in a subject or a file's name", before.subject[one].value, after.subject[one].value)
        for one in IN_SUBJECTS
        if before.subject[one] is not after.subject[one]
    ]
    plain = {"portal_level": "Least proof for patients' details by link", **NUMBERS}
    plain |= {"disclaimer": "Disclaimer", "guidance": "Guidance about secure links"}
    for name, what in plain.items():
        was, becomes = str(getattr(before, name)), str(getattr(after, name))
        if was != becomes:
            found.append(RuleChange(what, was or "none", becomes or "none"))
    return found
