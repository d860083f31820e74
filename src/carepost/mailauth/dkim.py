"""Did the domain that signs this message really sign it, as we received it? RFC 6376, RFC 8301, RFC 8463.

Promises
    Every signature that is considered gets a result; no message and no record makes this raise.
    What could not be looked up is TEMPERROR, apart from every other result.
    A signature that leaves part of the body open (`l=`) may pass, and says `partial_body`: it authenticates nobody.
    A signature that does not cover every From field there is does not pass (§5.4, §8.15).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from carepost.mailauth.canonical import BodyHashes, Bytes
from carepost.mailauth.dkim_sign import sign_dkim
from carepost.mailauth.fields import Field, named
from carepost.mailauth.keys import KeyLimits, KeyRecord, KeyRefused, fetch_key, is_signed_by
from carepost.mailauth.resolver import Resolver, ResolverTrouble
from carepost.mailauth.signature import (
    Coverage,
    Signature,
    SignatureRefused,
    checked_domain,
    coverage,
    header_digest,
    parse_signature,
)

__all__ = ["DkimLimits", "DkimResult", "DkimStatus", "hash_ahead", "sign_dkim", "verify_dkim"]

# More seals than a chain may have are refused unread (RFC 8617 §4.2.1).
_SEALS_AHEAD_MAX = 50


class DkimStatus(StrEnum):
    """RFC 8601 §2.7.1, without those that only a local policy can give."""

    PASS = "pass"  # noqa: S105 — a verdict, not a secret
    FAIL = "fail"  # the signature or the body's hash does not fit, or it has run out
    TEMPERROR = "temperror"  # the key could not be looked up
    PERMERROR = "permerror"  # the signature or the key can never be used


@dataclass(frozen=True, slots=True)
class DkimLimits:
    signatures_max: int = 5  # RFC 6376 §8.4: a message may bring any number; five are three more than mail lists need
    clock_skew_seconds: int = 300  # how late a message may be after x=, for clocks that differ
    key: KeyLimits = field(default_factory=KeyLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class DkimResult:
    status: DkimStatus
    domain: str = ""  # d=; empty if it could not be read
    selector: str = ""
    algorithm: str = ""
    identity: str = ""  # i=, as far as it is the domain's to give; else "@" and the domain
    reason: str = ""  # in a few words, for the trace page
    covers: frozenset[str] = frozenset()  # names of fields of which every one is signed
    unsigned_copies: frozenset[str] = frozenset()  # names of which one is signed and another is not
    partial_body: bool = False  # l= left some of the body unsigned
    testing: bool = False  # the domain says t=y
    signature_start: str = ""  # the first eight characters of b=, which RFC 6008 uses to tell signatures apart


def hash_ahead(headers: Sequence[Field], hashes: BodyHashes, *, limits: DkimLimits = DkimLimits()) -> None:
    """Compute the digests that `verify_dkim` and `verify_arc` will ask for: all of their work that grows with the
    body. For a thread, when the body is long."""
    signatures = [(one, "v") for one in named(headers, b"dkim-signature")[: limits.signatures_max]]
    signatures += [(one, "i") for one in named(headers, b"arc-message-signature")[:_SEALS_AHEAD_MAX]]
    for own_field, required in signatures:
        try:
            signature = parse_signature(own_field, required=(required,))
        except SignatureRefused:
            continue
        hashes.digest(signature.body_form, signature.body_length if required == "v" else None)


async def verify_dkim(
    resolver: Resolver,
    *,
    headers: Sequence[Field],
    body: Bytes | BodyHashes,
    now: datetime,
    limits: DkimLimits = DkimLimits(),
) -> list[DkimResult]:
    """One result for each DKIM-Signature, from the top, at most `limits.signatures_max`. Never raises."""
    hashes = body if isinstance(body, BodyHashes) else BodyHashes(body)
    considered = named(headers, b"dkim-signature")[: limits.signatures_max]
    verification = _Verification(resolver, headers, hashes, now, limits)
    return [await verification.of(own_field) for own_field in considered]


@dataclass(frozen=True, slots=True)
class _Verification:
    """One message under examination, whichever of its signatures is looked at."""

    resolver: Resolver
    headers: Sequence[Field]
    hashes: BodyHashes
    now: datetime
    limits: DkimLimits

    async def of(self, own_field: bytes) -> DkimResult:
        try:
            signature = parse_signature(own_field, required=("v",))
            identity = _identity(signature)
        except SignatureRefused as refusal:
            return DkimResult(status=DkimStatus.PERMERROR, reason=str(refusal))
        covered = coverage(self.headers, signature.names)
        result = _Result(signature, identity, covered, self.hashes)
        try:
            _check_form(signature, covered)
            if _has_expired(signature, self.now, self.limits):
                return result.of(DkimStatus.FAIL, "the signature has run out")
            # The body first: it needs no look-up, and what fails here can never pass.
            if self.hashes.digest(signature.body_form, signature.body_length) != signature.body_hash:
                return result.of(DkimStatus.FAIL, "the body is not the one that was signed")
            record = await self._key(signature)
        except (SignatureRefused, KeyRefused) as refusal:
            return result.of(DkimStatus.PERMERROR, str(refusal))
        except ResolverTrouble:
            return result.of(DkimStatus.TEMPERROR, "the key could not be looked up")
        if record.same_domain_only and identity.rpartition("@")[2] != signature.domain:
            return result.of(DkimStatus.PERMERROR, "the key is not for names below its domain", record)
        digest = header_digest(signature.header_form, covered.fields, own_field)
        if not is_signed_by(record.key, signature.value, digest):
            return result.of(DkimStatus.FAIL, "the header is not the one that was signed", record)
        return result.of(DkimStatus.PASS, "", record)

    async def _key(self, signature: Signature) -> KeyRecord:
        return await fetch_key(
            self.resolver,
            selector=signature.selector,
            domain=signature.domain,
            algorithm=signature.algorithm,
            limits=self.limits.key,
        )


@dataclass(frozen=True, slots=True)
class _Result:
    signature: Signature
    identity: str
    covered: Coverage
    hashes: BodyHashes

    def of(self, status: DkimStatus, reason: str, record: KeyRecord | None = None) -> DkimResult:
        length = self.signature.body_length
        return DkimResult(
            status=status,
            domain=self.signature.domain,
            selector=self.signature.selector,
            algorithm=self.signature.algorithm.value,
            identity=self.identity,
            reason=reason,
            covers=self.covered.names,
            unsigned_copies=self.covered.unsigned_copies,
            partial_body=length is not None and length < self.hashes.length(self.signature.body_form),
            testing=record is not None and record.testing,
            signature_start="".join(self.signature.tags["b"].split())[:8],
        )


def _identity(signature: Signature) -> str:
    """`i=`, whose domain must be `d=` or below it. RFC 6376 §3.5."""
    text = signature.tags.get("i")
    if text is None:
        return "@" + signature.domain
    local, at, domain_text = text.rpartition("@")
    domain = checked_domain(domain_text, "i=")
    if not at or not (domain == signature.domain or domain.endswith("." + signature.domain)):
        raise SignatureRefused("i= is not within d=")
    return f"{local}@{domain}"


def _check_form(signature: Signature, covered: Coverage) -> None:
    """§6.1.1. Raises SignatureRefused."""
    if signature.tags["v"] != "1":
        raise SignatureRefused("a version of DKIM that we do not know")
    if b"from" not in signature.names:
        raise SignatureRefused("the From field is not signed")
    if "from" in covered.unsigned_copies:
        raise SignatureRefused("there are more From fields than were signed")
    if "dns/txt" not in signature.tags.get("q", "dns/txt").replace(" ", "").lower().split(":"):
        raise SignatureRefused("the key is not to be found in the DNS")
    if signature.body_length is not None and signature.body_length > 10**15:
        raise SignatureRefused("l= is longer than any message")


def _has_expired(signature: Signature, now: datetime, limits: DkimLimits) -> bool:
    return signature.expires_at is not None and now.timestamp() > signature.expires_at + limits.clock_skew_seconds
