"""The register of secure domains: is mail to and from this domain inside the circle of trust? PURE. R102.

Promises
    Domains match whole: exactly, or below a listed suffix by whole labels. Look-alike text never matches.
    An accreditation that has run out counts for nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from carepost.base.address import Domain
from carepost.directory.model import DomainMatch, SecureDomain, SecureVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterPolicy:
    # R102: an accreditation is looked at again after a year.
    accreditation: timedelta = timedelta(days=365)


def judge(domain: Domain, *, own: frozenset[Domain], entries: Iterable[SecureDomain], now: datetime) -> SecureVerdict:
    """Whether `domain` is secure, and the sentence that says why."""
    if domain in own:
        return SecureVerdict(secure=True, because=f"{domain} is one of our own domains.")
    expired: SecureDomain | None = None
    for entry in entries:
        if not _covers(entry, domain):
            continue
        if entry.accredited_at <= now < entry.accredited_until:
            return SecureVerdict(secure=True, because=f"{domain} is accredited by {entry.source}.", entry=entry)
        expired = entry
    if expired is not None:
        until = expired.accredited_until.date().isoformat()
        return SecureVerdict(secure=False, because=f"The accreditation of {domain} ended on {until}.", entry=expired)
    return SecureVerdict(secure=False, because=f"{domain} is not in the register of secure domains.")


def _covers(entry: SecureDomain, domain: Domain) -> bool:
    if domain.is_literal:
        return False
    if entry.match is DomainMatch.EXACT:
        return domain == entry.domain
    return domain.is_within(entry.domain)
