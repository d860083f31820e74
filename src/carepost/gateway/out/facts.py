"""Findings and what the directory knows, turned into the facts that outbound cards speak of, per recipient. PURE.

Promises
    A fact is True or False only if every check that could have told was done; otherwise it is None: not known.
    What a finding says of one recipient counts for that recipient only; what it says of nobody counts for all.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from carepost.base.address import Domain, EmailAddress
from carepost.base.ids import MailboxId, OrganisationId
from carepost.gateway import rules
from carepost.gateway.disclosure import DISCLOSURE, MARKED, SECURE, SUBJECT, sensitivity_of
from carepost.gateway.facts import CHECK_FAILED, Source, found_by
from carepost.gateway.model import Finding
from carepost.gateway.out.outgoing import Chip
from carepost.policy.outbound import OutboundFacts, Reach

RECIPIENTS = "recipients"
LARGE_FILE, LARGE_FILES = "large-file", "large files"  # the finding, and the check that makes it
# R114, and R161: a marking asks for the same care in other words.
_ASKED = frozenset({SECURE, MARKED})
# The check was done, and could not tell: as good as failed.
_NOT_LOOKED = frozenset({"scanner-unavailable"})


SOURCES: Mapping[str, Source] = {
    "malware_found": found_by("malware", "malware archives"),
    "has_program": found_by("program", "attachments archives"),
    "has_macros": found_by("macros", "attachments archives"),
    "is_broken": found_by("broken in-pieces", "structure"),
    "readings_disagree": found_by("readings-disagree", "structure"),
    "subject_tells": found_by(SUBJECT, DISCLOSURE),
    # A rule that could not be judged says so by itself, under its own name.
    "details_blocked": found_by(rules.BLOCKS, rules.BLOCKS),
    "details_need_reason": found_by(rules.ASKS_REASON, rules.ASKS_REASON),
    "details_advised": found_by(rules.ADVISES, rules.ADVISES),
    "subject_blocked": found_by(rules.SUBJECT_BLOCKS, rules.SUBJECT_BLOCKS),
    "subject_by_link": found_by(rules.SUBJECT_LINK, rules.SUBJECT_LINK),
    "subject_needs_reason": found_by(rules.SUBJECT_REASON, rules.SUBJECT_REASON),
    "has_large_file": found_by(LARGE_FILE, LARGE_FILES),
    "first_time": found_by("first-time", RECIPIENTS),
    "looks_like_other": found_by("address-lookalike domain-lookalike", RECIPIENTS),
    "named_like_other": found_by("name-elsewhere free-mail-twin namesake", RECIPIENTS),
    "unusual_company": found_by("unusual-company like-named", RECIPIENTS),
    "newly_added": found_by("outsider-added", RECIPIENTS),
    "has_left": found_by("leaver", RECIPIENTS),
    "patient_unverified": found_by("unverified-patient-address", RECIPIENTS),
    "outsiders_visible": found_by("too-many-outsiders", RECIPIENTS),
    "outsiders_crowd": found_by("far-too-many-outsiders", RECIPIENTS),
    "patients_visible": found_by("visible-patients private-people-visible", RECIPIENTS),
    "many_domains": found_by("many-domains", RECIPIENTS),
    "reply_all_large": found_by("reply-all-size", RECIPIENTS),
    "answers_hidden_copy": found_by("bcc-reply", RECIPIENTS),
}
_LOOKALIKE = frozenset({"looks_like_other", "named_like_other"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """What the directory and the register say about one recipient. `reach` None: they could not be asked."""

    address: EmailAddress
    reach: Reach | None
    mailbox: MailboxId | None = None
    organisation: OrganisationId | None = None
    because: str = ""
    agreed_to_plain: bool | None = False
    tls_exception: bool = False  # R107: the operator excuses their domain from mandatory TLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was found about the message as a whole, ready to be asked about each recipient."""

    findings: Sequence[Finding]
    asked_secure: bool = False  # the button
    one_each: bool = False
    _about: dict[str, set[str]] = field(default_factory=dict, init=False, repr=False)
    _about_all: set[str] = field(default_factory=set, init=False, repr=False)
    _failed: set[object] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        for finding in self.findings:
            if finding.code == CHECK_FAILED:
                self._failed.add(finding.facts.get("check"))
            elif finding.code in _NOT_LOOKED:
                self._failed.add(finding.check)
            elif "recipient" in finding.facts:
                self._about.setdefault(str(finding.facts["recipient"]).lower(), set()).add(finding.code)
            else:
                self._about_all.add(finding.code)

    def facts_of(self, to: Destination) -> OutboundFacts:
        codes = self._about_all | self._about.get(to.address.key, set())
        simple: dict[str, Any] = {
            name: True if codes & source.codes else None if self._failed & source.checks else False
            for name, source in SOURCES.items()
        }
        scanned = None if "malware" in self._failed else "not-scanned" not in codes
        asked = True if self.asked_secure or codes & _ASKED else None if DISCLOSURE in self._failed else False
        return OutboundFacts(
            **simple,
            scanned_completely=scanned,
            sensitivity=sensitivity_of(self.findings),
            asked_secure=asked,
            reach=to.reach,
            agreed_to_plain=to.agreed_to_plain,
            one_each=self.one_each,
        )


def chip_of(facts: OutboundFacts) -> Chip:
    if any(getattr(facts, name) for name in _LOOKALIKE):
        return Chip.LOOKALIKE
    match facts.reach:
        case Reach.INSIDE:
            return Chip.INSIDE
        case Reach.REGISTER:
            return Chip.SECURE
        case Reach.OUTSIDE:
            return Chip.OUTSIDE
        case _:
            return Chip.UNKNOWN


def codes_behind(asked: Iterable[str]) -> frozenset[str]:
    """The codes of findings that could have made these facts true."""
    return frozenset(code for name in asked if name in SOURCES for code in SOURCES[name].codes)


def private_people(visible: Iterable[str], free_mail: frozenset[Domain], *, most: int) -> Finding | None:
    """R151: private mailboxes in one header are people, most likely patients, whatever a list says of them.

    `visible` are the keys of the addresses that the header shows.
    """
    names = {domain.name for domain in free_mail}
    count = sum(1 for key in visible if key.rpartition("@")[2] in names)
    if count <= most:
        return None
    return Finding(
        code="private-people-visible",
        weight=3,
        says=f"{count} people with private addresses would see each other's. Each has to get a message of their own.",
        check=RECIPIENTS,
        facts={"count": count},
    )


def plain(facts: OutboundFacts) -> dict[str, str | bool | None]:
    """Facts as they are kept with the verdict: names and plain values."""
    values: dict[str, str | bool | None] = {}
    for one in fields(facts):
        value = getattr(facts, one.name)
        values[one.name] = value.value if isinstance(value, StrEnum) else value
    return values
