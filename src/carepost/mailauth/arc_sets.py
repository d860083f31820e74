"""ARC sets as they stand in the header: gathered, counted and checked for order before any key is looked up.

Promises
    What is returned is a whole chain: instances 1 to N without a gap, one field of each of the three kinds in each,
    `cv=none` in the first and `cv=pass` in every other (RFC 8617 §5.2, steps 1 to 3). Anything else raises ChainBroken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from carepost.mailauth.canonical import Canonical, canonical_field
from carepost.mailauth.fields import Field, TagError, field_value, parse_tags
from carepost.mailauth.keys import Algorithm
from carepost.mailauth.signature import (
    FIELD_BYTES_MAX,
    SignatureRefused,
    checked_domain,
    decoded,
    known_algorithm,
    signature_tags,
)

RESULTS = b"arc-authentication-results"
MESSAGE_SIGNATURE = b"arc-message-signature"
SEAL = b"arc-seal"
_KINDS = (RESULTS, MESSAGE_SIGNATURE, SEAL)


class Cv(StrEnum):
    """What a sealer says of the chain as it found it. RFC 8617 §4.4."""

    NONE = "none"
    PASS = "pass"  # noqa: S105 — a verdict, not a secret
    FAIL = "fail"


class ChainBroken(ValueError):
    """The chain proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArcSet:
    instance: int
    domain: str  # of the sealer
    selector: str
    algorithm: Algorithm
    cv: Cv
    seal_value: bytes
    seal: bytes  # the three fields as received
    message_signature: bytes
    results: bytes


def read_chain(headers: Sequence[Field], *, sets_max: int) -> tuple[ArcSet, ...]:
    """The sets in order; empty if there are none. Raises ChainBroken."""
    fields = [(name, field) for name, field in headers if name in _KINDS]
    if not fields:
        return ()
    if len(fields) > sets_max * len(_KINDS):
        raise ChainBroken("there are too many ARC sets")
    found: dict[tuple[int, bytes], bytes] = {}
    for name, field in fields:
        instance = _instance(name, field, sets_max)
        if (instance, name) in found:
            raise ChainBroken(f"instance {instance} is there twice")
        found[instance, name] = field
    count = max(instance for instance, _ in found)
    if len(found) != count * len(_KINDS):
        raise ChainBroken("the chain has a gap")
    sets = tuple(
        _read_set(number, found[number, SEAL], found[number, MESSAGE_SIGNATURE], found[number, RESULTS])
        for number in range(1, count + 1)
    )
    if sets[-1].cv is Cv.FAIL:
        raise ChainBroken("the last sealer found the chain broken")
    if any(one.cv is not (Cv.NONE if one.instance == 1 else Cv.PASS) for one in sets):
        raise ChainBroken("a seal contradicts its place in the chain")
    return sets


def _instance(name: bytes, field: bytes, sets_max: int) -> int:
    """`i=`. In ARC-Authentication-Results it comes first, before the authserv-id. §4.1.1, §4.2.1."""
    if len(field) > FIELD_BYTES_MAX and name != RESULTS:
        raise ChainBroken("an ARC field is too long")
    value = field_value(field)
    try:
        tags = parse_tags(value.partition(b";")[0] if name == RESULTS else value)
    except TagError as error:
        raise ChainBroken(f"an ARC field cannot be read: {error}") from error
    text = tags.get("i", "")
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or not 1 <= int(text) <= sets_max:
        raise ChainBroken("an ARC field without an instance number")
    return int(text)


def _read_set(instance: int, seal: bytes, message_signature: bytes, results: bytes) -> ArcSet:
    try:
        tags = signature_tags(seal, required=("a", "b", "cv", "d", "i", "s"))
        if "h" in tags:
            raise ChainBroken(f"seal {instance} has h=, which only a message signature may have")  # §4.1.3
        return ArcSet(
            instance=instance,
            domain=checked_domain(tags["d"], "d="),
            selector=checked_domain(tags["s"], "s="),
            algorithm=known_algorithm(tags["a"]),
            cv=Cv(tags["cv"].lower()),
            seal_value=decoded(tags["b"], "b="),
            seal=seal,
            message_signature=message_signature,
            results=results,
        )
    except SignatureRefused as refusal:
        raise ChainBroken(f"seal {instance}: {refusal}") from refusal
    except ChainBroken:
        raise
    except ValueError as error:
        raise ChainBroken(f"seal {instance} has a cv= that does not exist") from error


def seal_prefix(one: ArcSet) -> bytes:
    """The two fields that come before a set's seal in what the seal signs, always in relaxed form. §5.1.1."""
    return canonical_field(Canonical.RELAXED, one.results) + canonical_field(Canonical.RELAXED, one.message_signature)
