"""Findings and what the directory knows, turned into the facts that policy cards speak of. PURE.

Promises
    A fact is True or False only if every check that could have told was done; otherwise it is None: not known.
    What one check found counts even when another could not be done.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from carepost.gateway.model import Finding, Recipient, Via
from carepost.policy.inbound import AsksFor, Dmarc, InboundFacts

CHECK_FAILED = "check-failed"
AUTHENTICATION = "authentication"
# The sender is asked to try again, because asking later may well give the answer: the scanner is down (R131), the
# domain name system does not answer (RFC 7489 §6.6.2 ends with a temporary failure).
TRY_LATER = frozenset({"scanner-unavailable", "authentication-unavailable"})


@dataclass(frozen=True, slots=True)
class Source:
    """Which findings make a fact true, and which checks must have been done for it to be false."""

    codes: frozenset[str]
    checks: frozenset[str]


def found_by(codes: str, checks: str) -> Source:
    """Both as words with spaces between them."""
    return Source(frozenset(codes.split()), frozenset(checks.split()))


SOURCES: Mapping[str, Source] = {
    "malware_found": found_by("malware", "malware archives"),
    "has_program": found_by("program", "attachments archives"),
    "has_macros": found_by("macros", "attachments archives"),
    "has_active_document": found_by("active-document", "attachments archives"),
    "has_locked_archive": found_by("locked-archive", "attachments archives"),
    "has_unreadable_archive": found_by("unreadable-archive", "attachments archives"),
    "hides_file_type": found_by("hidden-type", "attachments archives"),
    "readings_disagree": found_by("readings-disagree", "structure"),
    "is_broken": found_by("broken", "structure"),
    "is_in_pieces": found_by("in-pieces", "structure"),
    "went_round": found_by("went-round", "structure"),
    "sender_unclear": found_by("sender-unclear", "structure"),
    "looks_like_colleague": found_by("colleague-lookalike", "identity"),
    "looks_like_known_domain": found_by("domain-lookalike", "identity"),
    "forwarded_in": found_by("forwarded-in", "forwarded"),
    "looks_like_phishing": found_by("phishing", "content"),
    "looks_like_spam": found_by("spam", "content"),
}


def facts_of(findings: Sequence[Finding], recipient: Recipient, *, via: Via) -> InboundFacts:
    """The facts about one message for one recipient."""
    return for_recipient(shared_facts(findings, via=via), recipient)


def for_recipient(facts: InboundFacts, recipient: Recipient) -> InboundFacts:
    if facts.recipient_shared == recipient.shared:
        return facts
    values = {name: getattr(facts, name) for name in InboundFacts.__slots__}
    return InboundFacts(**{**values, "recipient_shared": recipient.shared})


def shared_facts(findings: Sequence[Finding], *, via: Via) -> InboundFacts:
    """The facts that are the same for every recipient."""
    found = {finding.code for finding in findings}
    failed: set[object] = {finding.facts.get("check") for finding in findings if finding.code == CHECK_FAILED}
    simple: dict[str, Any] = {
        name: True if found & source.codes else None if failed & source.checks else False
        for name, source in SOURCES.items()
    }
    scanned = None if "malware" in failed else "not-scanned" not in found
    return InboundFacts(**simple, scanned_completely=scanned, **_sender_facts(findings, found, failed, via))


def _sender_facts(findings: Iterable[Finding], found: set[str], failed: set[object], via: Via) -> dict[str, Any]:
    """Who sent it: what authentication says, together with the register of domains."""
    proved, dmarc, asks, forwarder = _authentication(findings, failed)
    ours = True if "claims-our-domain" in found else None if "register" in failed else False
    listed = True if "on-register" in found else None if "register" in failed else False
    if via in {Via.LMTP, Via.APPEND, Via.PORTAL}:
        # The site's own server in front has met the stranger and has refused who may not write in our name; the portal
        # has had a code from the author's own mailbox, and writes the author itself.
        return {
            "from_outside": None if ours is None else via is not Via.APPEND and not ours,
            "claims_our_domain": False,
            "sender_proved": True if via is Via.PORTAL else proved,
            "dmarc": dmarc,
            "domain_asks_for": asks,
            "trusted_forwarder": forwarder,
            "sender_secure": listed,
        }
    return {
        "from_outside": True,
        "claims_our_domain": ours,
        "sender_proved": proved,
        "dmarc": dmarc,
        "domain_asks_for": asks,
        "trusted_forwarder": forwarder,
        # A scan can prove nobody; the honest answer then is the one that warns.
        "sender_secure": False if dmarc is Dmarc.NOT_CHECKED else _both(listed, proved),
    }


def _authentication(
    findings: Iterable[Finding], failed: set[object]
) -> tuple[bool | None, Dmarc | None, AsksFor | None, bool | None]:
    """(proved, dmarc, what the domain asks for, vouched for by a trusted forwarder); None where it is not known."""
    if AUTHENTICATION in failed:
        return None, None, None, None
    for finding in findings:
        if finding.check == AUTHENTICATION and "dmarc" in finding.facts:
            dmarc = Dmarc(str(finding.facts["dmarc"]))
            asks = AsksFor(str(finding.facts.get("domain_asks_for", AsksFor.NOTHING)))
            # By `carepost scan` nothing can be proved or disproved; only who claims to be us has to wait for that.
            proved = None if dmarc is Dmarc.NOT_CHECKED else finding.facts.get("sender_proved") is True
            return proved, dmarc, asks, finding.facts.get("trusted_forwarder") is True
    return None, None, None, None


def _both(first: bool | None, second: bool | None) -> bool | None:
    if first is False or second is False:
        return False
    return None if first is None or second is None else True


def must_wait(findings: Iterable[Finding]) -> Finding | None:
    """The finding for which the sender is asked to try again; None when we can decide now."""
    return next((finding for finding in findings if finding.code in TRY_LATER), None)
