"""Does the name that people see belong to whoever really sent this? RFC 7489, with np (RFC 9091) and t.

Promises
    PASS only if the message has exactly one author whose domain agrees with SPF or with a DKIM signature that covers
    the whole body. Two authors, or doubt about the one, is FAIL, under the strictest policy among them (§6.6.1).
    What could not be found out, and might have made it a pass, is TEMPERROR: neither pass nor fail.
    No record and no name makes this raise. At most two names are asked for a record, and three for np, per author.

`pct` is ignored: the successor of RFC 7489 removed it, because receivers never agreed on it. `t=y` takes its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from carepost.base.address import Domain
from carepost.base.errors import Malformed
from carepost.mailauth.dkim import DkimResult, DkimStatus
from carepost.mailauth.dmarc_record import DmarcPolicy, DmarcRecord, RecordRefused, is_dmarc, parse_dmarc
from carepost.mailauth.resolver import NoSuchName, Resolver, ResolverTrouble
from carepost.mailauth.spf import SpfResult, SpfStatus
from carepost.mailauth.suffixes import organisational_domain

__all__ = ["DmarcLimits", "DmarcPolicy", "DmarcResult", "DmarcStatus", "check_dmarc", "is_aligned"]


class DmarcStatus(StrEnum):
    """RFC 8601 §2.7.1 and RFC 7489 §11.2."""

    NONE = "none"  # the domain publishes no policy
    PASS = "pass"  # noqa: S105 — a verdict, not a secret
    FAIL = "fail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"  # what the domain publishes cannot be understood


@dataclass(frozen=True, slots=True)
class DmarcLimits:
    authors_max: int = 3  # a message with two is a fail already; its other policies are looked at up to here
    record_bytes_max: int = 4_096  # the longest that are seen have some 500 octets


@dataclass(frozen=True, slots=True, kw_only=True)
class DmarcResult:
    status: DmarcStatus
    policy: DmarcPolicy = DmarcPolicy.NONE  # what the domain asks for when this author cannot be shown to be real
    domain: str = ""  # where the policy was found
    from_domain: str = ""  # of the one author; empty if there is doubt
    aligned_by: tuple[str, ...] = ()  # "spf", "dkim"; also without a policy, as a fact about the message
    author_unclear: bool = False  # not exactly one author (P12)
    reason: str = ""


class _Alignment(IntEnum):
    NO = 0
    UNKNOWN = 1  # it would be aligned, and could not be looked up
    YES = 2


async def check_dmarc(
    resolver: Resolver,
    *,
    from_domains: Sequence[str],
    spf: SpfResult | None,
    dkim: Sequence[DkimResult],
    limits: DmarcLimits = DmarcLimits(),
) -> DmarcResult:
    """`from_domains`: one entry for each address in each From field, as `author.read_author` gives them.

    `spf` is None where nobody knows who connected (a file that is scanned). Never raises.
    """
    if len(from_domains) != 1:
        return await _unclear(resolver, from_domains, limits)
    try:
        domain = Domain.parse(from_domains[0])
    except (Malformed, UnicodeError):
        return DmarcResult(status=DmarcStatus.FAIL, author_unclear=True, reason="the author's domain is none")
    if domain.is_literal:
        return DmarcResult(status=DmarcStatus.NONE, from_domain=domain.name, reason="the author has no domain name")
    try:
        found = await _discover(resolver, domain.name, limits)
    except ResolverTrouble:
        return DmarcResult(
            status=DmarcStatus.TEMPERROR, from_domain=domain.name, reason="the policy could not be looked up"
        )
    return _judge(domain.name, found, spf, dkim)


async def _unclear(resolver: Resolver, from_domains: Sequence[str], limits: DmarcLimits) -> DmarcResult:
    """§6.6.1: of several authors' policies the strictest holds."""
    strictest, where = DmarcPolicy.NONE, ""
    for text in list(dict.fromkeys(from_domains))[: limits.authors_max]:
        try:
            found = await _discover(resolver, Domain.parse(text).name, limits)
        except (Malformed, UnicodeError, ResolverTrouble):
            continue  # it is a fail already; what this one asks for is not needed to say so
        if found.policy.severity > strictest.severity:
            strictest, where = found.policy, found.where
    reason = "there is more than one author" if from_domains else "there is no author that can be read"
    return DmarcResult(status=DmarcStatus.FAIL, policy=strictest, domain=where, author_unclear=True, reason=reason)


@dataclass(frozen=True, slots=True)
class _Found:
    record: DmarcRecord | None = None
    where: str = ""
    policy: DmarcPolicy = DmarcPolicy.NONE
    reason: str = ""
    broken: bool = False


async def _discover(resolver: Resolver, domain: str, limits: DmarcLimits) -> _Found:
    """§6.6.3: the author's domain, then its organisation's. Raises ResolverTrouble."""
    organisation = organisational_domain(domain)
    for where in dict.fromkeys((domain, organisation or domain)):
        records = await _records(resolver, where)
        if len(records) > 1:
            return _Found(where=where, reason="more than one policy is published, so none counts")
        if not records:
            continue
        if len(records[0]) > limits.record_bytes_max:
            return _Found(where=where, reason="the policy is too long", broken=True)
        try:
            record = parse_dmarc(records[0])
        except RecordRefused as refusal:
            return _Found(where=where, reason=str(refusal), broken=True)
        below = where != domain
        missing = below and record.may_differ_for_missing and not await _exists(resolver, domain)
        return _Found(record, where, record.policy_for(below=below, missing=missing))
    return _Found(reason="no policy is published")


async def _records(resolver: Resolver, domain: str) -> list[bytes]:
    try:
        return [text for text in (await resolver.txt(f"_dmarc.{domain}")).records if is_dmarc(text)]
    except NoSuchName:
        return []


async def _exists(resolver: Resolver, domain: str) -> bool:
    """RFC 9091 §2.6: a name without A, AAAA and MX is missing."""
    for ask in (resolver.a, resolver.aaaa, resolver.mx):
        try:
            if (await ask(domain)).records:
                return True
        except NoSuchName:
            return False
    return False


def _judge(domain: str, found: _Found, spf: SpfResult | None, dkim: Sequence[DkimResult]) -> DmarcResult:
    strict_spf = found.record is not None and found.record.strict_spf
    strict_dkim = found.record is not None and found.record.strict_dkim
    by_spf = _spf_alignment(domain, spf, strict=strict_spf)
    by_dkim = max((_dkim_alignment(domain, result, strict=strict_dkim) for result in dkim), default=_Alignment.NO)
    aligned_by = tuple(name for name, alignment in (("spf", by_spf), ("dkim", by_dkim)) if alignment is _Alignment.YES)
    status, reason = DmarcStatus.FAIL, "neither SPF nor DKIM speaks for the author's domain"
    if found.broken:
        status, reason = DmarcStatus.PERMERROR, found.reason
    elif found.record is None:
        status, reason = DmarcStatus.NONE, found.reason
    elif aligned_by:
        status, reason = DmarcStatus.PASS, ""
    elif _Alignment.UNKNOWN in (by_spf, by_dkim):
        status, reason = DmarcStatus.TEMPERROR, "what might have spoken for the author could not be looked up"
    return DmarcResult(
        status=status,
        policy=found.policy,
        domain=found.where,
        from_domain=domain,
        aligned_by=aligned_by,
        reason=reason,
    )


def _spf_alignment(domain: str, spf: SpfResult | None, *, strict: bool) -> _Alignment:
    if spf is None or not is_aligned(domain, spf.domain, strict=strict):
        return _Alignment.NO
    if spf.status is SpfStatus.TEMPERROR:
        return _Alignment.UNKNOWN
    return _Alignment.YES if spf.status is SpfStatus.PASS else _Alignment.NO


def _dkim_alignment(domain: str, result: DkimResult, *, strict: bool) -> _Alignment:
    if result.partial_body or not is_aligned(domain, result.domain, strict=strict):
        return _Alignment.NO
    if result.status is DkimStatus.TEMPERROR:
        return _Alignment.UNKNOWN
    return _Alignment.YES if result.status is DkimStatus.PASS else _Alignment.NO


def is_aligned(author: str, authenticated: str, *, strict: bool) -> bool:
    """The same domain; or, relaxed, of the same organisation. RFC 7489 §3.1. Two public suffixes never align."""
    author, authenticated = author.lower(), authenticated.lower()
    if author == authenticated:
        return bool(author)
    if strict or not authenticated:
        return False
    organisation = organisational_domain(author)
    return organisation is not None and organisation == organisational_domain(authenticated)
