"""The chain of custody that forwarders and lists write down: who handled the message, and what they saw. RFC 8617.

Promises
    PASS means: every seal from the first to the last is genuine, and the message is the one that the last sealer sent.
    It says nothing of whether a sealer can be trusted; `sets` names them, so that whoever decides can.
    What could not be looked up is TEMPERROR; anything out of order is FAIL. Nothing raises.
    At most `sets_max` sets (§4.2.1 asks for 50) and two look-ups for each.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from carepost.mailauth.arc_seal import seal_arc
from carepost.mailauth.arc_sets import ArcSet, ChainBroken, read_chain, seal_prefix
from carepost.mailauth.canonical import BodyHashes, Bytes, Canonical, canonical_field
from carepost.mailauth.fields import Field, emptied
from carepost.mailauth.keys import Algorithm, KeyLimits, KeyRecord, KeyRefused, fetch_key, is_signed_by
from carepost.mailauth.resolver import Resolver, ResolverTrouble
from carepost.mailauth.signature import SignatureRefused, coverage, header_digest, parse_signature

__all__ = ["ArcLimits", "ArcResult", "ArcStatus", "seal_arc", "verify_arc"]


class ArcStatus(StrEnum):
    """RFC 8617 §4.4, and TEMPERROR, which it leaves to the receiver."""

    NONE = "none"  # the message carries no set
    PASS = "pass"  # noqa: S105 — a verdict, not a secret
    FAIL = "fail"
    TEMPERROR = "temperror"


@dataclass(frozen=True, slots=True)
class ArcLimits:
    sets_max: int = 50  # RFC 8617 §4.2.1 and §5.1
    clock_skew_seconds: int = 300  # as for DKIM
    key: KeyLimits = field(default_factory=KeyLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArcResult:
    status: ArcStatus
    sets: tuple[ArcSet, ...] = ()  # in order; only to be believed if the status is PASS
    oldest_pass: int = 0  # the message is as the sealer of this instance left it (§5.2, step 5); 0 is the first
    reason: str = ""


async def verify_arc(
    resolver: Resolver,
    *,
    headers: Sequence[Field],
    body: Bytes | BodyHashes,
    now: datetime,
    limits: ArcLimits = ArcLimits(),
) -> ArcResult:
    """RFC 8617 §5.2. Never raises."""
    try:
        sets = read_chain(headers, sets_max=limits.sets_max)
    except ChainBroken as broken:
        return ArcResult(status=ArcStatus.FAIL, reason=str(broken))
    if not sets:
        return ArcResult(status=ArcStatus.NONE)
    hashes = body if isinstance(body, BodyHashes) else BodyHashes(body)
    chain = _Chain(resolver, headers, hashes, now, limits, {})
    try:
        await chain.check_message(sets[-1])
        await chain.check_seals(sets)
        oldest = await chain.oldest_pass(sets)
    except (ChainBroken, SignatureRefused, KeyRefused) as broken:
        return ArcResult(status=ArcStatus.FAIL, sets=sets, reason=str(broken))
    except ResolverTrouble:
        return ArcResult(status=ArcStatus.TEMPERROR, sets=sets, reason="a key could not be looked up")
    return ArcResult(status=ArcStatus.PASS, sets=sets, oldest_pass=oldest)


@dataclass(frozen=True, slots=True)
class _Chain:
    resolver: Resolver
    headers: Sequence[Field]
    hashes: BodyHashes
    now: datetime
    limits: ArcLimits
    keys: dict[tuple[str, str, Algorithm], KeyRecord]

    async def check_message(self, one: ArcSet) -> None:
        """The ARC-Message-Signature of one set. §4.1.2: as DKIM, without v=, and i= is the instance."""
        signature = parse_signature(one.message_signature, required=("i",))
        if b"arc-seal" in signature.names:
            raise ChainBroken(f"message signature {one.instance} covers a seal")
        if signature.expires_at is not None and self._is_past(signature.expires_at):
            raise ChainBroken(f"message signature {one.instance} has run out")
        length = signature.body_length
        if length is not None and length < self.hashes.length(signature.body_form):
            raise ChainBroken(f"message signature {one.instance} leaves part of the body open")
        if self.hashes.digest(signature.body_form) != signature.body_hash:
            raise ChainBroken(f"the body is not the one that sealer {one.instance} signed")
        record = await self._key(signature.selector, signature.domain, signature.algorithm)
        covered = coverage(self.headers, signature.names)
        if "from" in covered.unsigned_copies:
            raise ChainBroken("there are more From fields than were signed")
        digest = header_digest(signature.header_form, covered.fields, one.message_signature)
        if not is_signed_by(record.key, signature.value, digest):
            raise ChainBroken(f"the header is not the one that sealer {one.instance} signed")

    async def check_seals(self, sets: Sequence[ArcSet]) -> None:
        """Every ARC-Seal, the last one first. §5.2, step 6."""
        for one, digest in reversed(list(_seal_digests(sets))):
            record = await self._key(one.selector, one.domain, one.algorithm)
            if not is_signed_by(record.key, one.seal_value, digest):
                raise ChainBroken(f"seal {one.instance} is not genuine")

    async def oldest_pass(self, sets: Sequence[ArcSet]) -> int:
        """§5.2, step 5: how far back the message is unchanged. 0 if it has been so all along."""
        for one in reversed(sets[:-1]):
            try:
                await self.check_message(one)
            except (ChainBroken, SignatureRefused, KeyRefused, ResolverTrouble):
                return one.instance + 1
        return 0

    async def _key(self, selector: str, domain: str, algorithm: Algorithm) -> KeyRecord:
        key = (selector, domain, algorithm)
        if key not in self.keys:
            self.keys[key] = await fetch_key(
                self.resolver, selector=selector, domain=domain, algorithm=algorithm, limits=self.limits.key
            )
        return self.keys[key]

    def _is_past(self, seconds: int) -> bool:
        return self.now.timestamp() > seconds + self.limits.clock_skew_seconds


def _seal_digests(sets: Sequence[ArcSet]) -> Iterator[tuple[ArcSet, bytes]]:
    """What each seal signs: every set before it, then its own, its value taken out. §5.1.1.

    One running hash, copied at each seal, so that fifty sets cost fifty times one and not fifty times fifty.
    """
    running = hashlib.sha256()
    for one in sets:
        running.update(seal_prefix(one))
        here = running.copy()
        here.update(canonical_field(Canonical.RELAXED, emptied(one.seal)).removesuffix(b"\r\n"))
        yield one, here.digest()
        running.update(canonical_field(Canonical.RELAXED, one.seal))
