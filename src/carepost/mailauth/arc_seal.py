"""Adding our own set to the chain, when we pass a message on. RFC 8617 §5.1.

Promises
    The three fields come ready to be put above the message, seal first, each in CRLF lines.
    A chain that somebody before us declared broken, or that is full, is left as it is: the result is empty (§5.1.2).
"""

import base64
from collections.abc import Sequence
from datetime import datetime

from carepost.base.address import Domain
from carepost.mailauth.arc_sets import MESSAGE_SIGNATURE, RESULTS, SEAL, ArcSet, Cv
from carepost.mailauth.canonical import BodyHashes, Bytes, Canonical
from carepost.mailauth.dkim_sign import finished, signed_names
from carepost.mailauth.fields import Field
from carepost.mailauth.keys import SigningKey, algorithm_of
from carepost.mailauth.signature import coverage


def seal_arc(
    headers: Sequence[Field],
    body: Bytes,
    *,
    chain: Sequence[ArcSet],
    cv: Cv,
    results: bytes,
    domain: Domain,
    selector: str,
    key: SigningKey,
    now: datetime,
    sets_max: int = 50,
) -> bytes:
    """The new set's fields. `chain` and `cv` are what `verify_arc` found; `results` is an Authentication-Results value.

    `results` is what `results.results_value` writes: our authserv-id and what we found.
    """
    instance = len(chain) + 1
    if instance > sets_max or (chain and chain[-1].cv is Cv.FAIL):
        return b""
    common = [("a", algorithm_of(key).value), ("d", domain.name), ("s", selector), ("t", str(int(now.timestamp())))]
    ours = b"ARC-Authentication-Results: i=" + str(instance).encode() + b"; " + results.strip() + b"\r\n"
    names = tuple(name for name in signed_names(headers) if name not in (RESULTS, MESSAGE_SIGNATURE, SEAL))
    body_hash = base64.b64encode(BodyHashes(body).digest(Canonical.RELAXED)).decode("ascii")
    tags = [
        ("i", str(instance)),
        *common,
        ("c", "relaxed/relaxed"),
        ("h", b":".join(names).decode("ascii")),
        ("bh", body_hash),
    ]
    signature = finished("ARC-Message-Signature", tags, coverage(headers, names).fields, key)
    # §5.1.2: over a broken chain a seal covers its own set only, so that anybody can still check that much.
    before = [] if cv is Cv.FAIL else [f for one in chain for f in (one.results, one.message_signature, one.seal)]
    covered = [*before, ours, signature]
    seal = finished("ARC-Seal", [("i", str(instance)), *common, ("cv", cv.value)], covered, key)
    return seal + signature + ours
