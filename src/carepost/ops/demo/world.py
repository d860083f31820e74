"""Who lives in the sample world. Names, practices and patients are made up; domains end in .example (RFC 2606)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class SamplePerson:
    local: str
    name: str
    title: str
    roles: tuple[str, ...] = ()

    def address(self, domain: str) -> str:
        return f"{self.local}@{domain}"


@dataclass(frozen=True, slots=True)
class SampleShared:
    local: str
    name: str
    owners: tuple[str, ...]  # local parts of people of the organisation
    members: tuple[str, ...]
    not_for_urgent: bool = True


@dataclass(frozen=True, slots=True)
class SampleOrganisation:
    code: str
    name: str
    kind: str
    domain: str
    people: tuple[SamplePerson, ...]
    shared: tuple[SampleShared, ...] = field(default=())


RIVERSIDE = SampleOrganisation(
    code="Y00101",
    name="Riverside Medical Practice",
    kind="practice",
    domain="riverside.example",
    people=(
        SamplePerson("ada.okafor", "Ada Okafor", "GP partner"),
        SamplePerson("tomasz.nowak", "Tomasz Nowak", "Practice manager", ("local administrator",)),
        SamplePerson("grace.adeyemi", "Grace Adeyemi", "Practice nurse"),
        SamplePerson("leah.cohen", "Leah Cohen", "Receptionist"),
    ),
    shared=(
        SampleShared("results", "Riverside results", ("tomasz.nowak", "ada.okafor"), ("grace.adeyemi",)),
        SampleShared(
            "prescriptions", "Riverside prescriptions", ("tomasz.nowak", "grace.adeyemi"), ("leah.cohen", "ada.okafor")
        ),
    ),
)

HILLVIEW = SampleOrganisation(
    code="Y00102",
    name="Hillview Surgery",
    kind="practice",
    domain="hillview.example",
    people=(
        SamplePerson("priya.shah", "Priya Shah", "GP"),
        SamplePerson("owen.griffiths", "Owen Griffiths", "Practice manager", ("local administrator",)),
        SamplePerson("mei.tan", "Mei Tan", "Health care assistant"),
    ),
)

NORTHSIDE = SampleOrganisation(
    code="FX001",
    name="Northside Pharmacy",
    kind="pharmacy",
    domain="northside-pharmacy.example",
    people=(
        SamplePerson("hassan.ali", "Hassan Ali", "Pharmacist", ("local administrator",)),
        SamplePerson("ruth.evans", "Ruth Evans", "Dispenser"),
    ),
)

ST_JUDES = SampleOrganisation(
    code="RZ9",
    name="St Jude's Hospital Trust",
    kind="trust",
    domain="stjudes.example",
    people=(
        SamplePerson("sam.mbeki", "Sam Mbeki", "Ward sister, Ward 7B"),
        SamplePerson("elena.petrova", "Elena Petrova", "Consultant cardiologist"),
        SamplePerson("colin.marsh", "Colin Marsh", "Service desk", ("local administrator", "global administrator")),
        SamplePerson("nadia.rahman", "Nadia Rahman", "Information governance lead", ("auditor",)),
    ),
    shared=(SampleShared("discharge", "St Jude's discharge team", ("sam.mbeki", "colin.marsh"), ("elena.petrova",)),),
)

ORGANISATIONS = (RIVERSIDE, HILLVIEW, NORTHSIDE, ST_JUDES)

# Domains of the world outside: (domain, address its mail comes from, on the register of secure domains).
OUTSIDE: tuple[tuple[str, str, bool], ...] = (
    ("lakeside-trust.example", "203.0.113.10", True),
    ("council-care.example", "203.0.113.20", True),
    ("northlab.example", "203.0.113.30", True),
    ("freemail.example", "198.51.100.10", False),
    ("medsupplies.example", "198.51.100.20", False),
    ("news.example", "198.51.100.30", False),
    ("gmail.example", "198.51.100.40", False),
    ("harbour-trust.example", "203.0.113.40", True),
    ("closed-clinic.example", "203.0.113.50", False),
    ("busy-clinic.example", "203.0.113.60", False),
    ("silent-clinic.example", "203.0.113.70", False),
)


class Manner(StrEnum):
    """How a domain outside behaves when mail comes."""

    TAKES = "takes what comes"
    WRONG_CERTIFICATE = "shows a certificate of somebody else"
    REFUSES = "refuses every recipient (550)"
    DEFERS = "says later to every recipient (451)"
    HANGS = "takes the recipient's name and never answers"


# All others take what comes.
MANNERS: Mapping[str, Manner] = MappingProxyType(
    {
        "harbour-trust.example": Manner.WRONG_CERTIFICATE,
        "closed-clinic.example": Manner.REFUSES,
        "busy-clinic.example": Manner.DEFERS,
        "silent-clinic.example": Manner.HANGS,
    }
)
STRANGER_IP = "192.0.2.66"  # belongs to none of them
