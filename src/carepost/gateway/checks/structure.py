"""Is this one message from one author, whole, and read alike by everybody? M3, P12, loops (RFC 5321 §6.3)."""

import re
from dataclasses import dataclass

from carepost.gateway.model import Check, Examination, Finding
from carepost.message.defects import Defect

NAME = "structure"

# Over these caps our own reading stops, so nobody has looked at the rest.
_BROKEN = frozenset({Defect.TOO_DEEP, Defect.TOO_MANY_PARTS, Defect.HEADER_TOO_LARGE, Defect.TOO_MANY_HEADERS})
_PIECES = frozenset({Defect.MESSAGE_PARTIAL, Defect.EXTERNAL_BODY})


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureLimits:
    hops: int = 50  # Postfix hopcount_limit; RFC 5321 §6.3 asks for at least 100 *or* a loop found otherwise
    own_hops: int = 6  # as often may one message pass this very server: aliases, lists and a forward, and once more


def structure(limits: StructureLimits | None = None) -> Check:
    limits = limits or StructureLimits()

    async def look(examination: Examination) -> list[Finding]:
        return [*_hops(examination, limits), *_author(examination), *_shape(examination)]

    return Check(NAME, look)


def _hops(examination: Examination, limits: StructureLimits) -> list[Finding]:
    received = examination.message.header_values("received")
    if len(received) > limits.hops:
        return [_finding("went-round", 3, f"has passed {len(received)} mail systems, which is a loop")]
    own = examination.connection.local_name.encode()
    by_us = re.compile(rb"\bby\s+" + re.escape(own) + rb"[\s;]", re.IGNORECASE)
    times = sum(1 for value in received if by_us.search(value[:2_000]))
    if own and times >= limits.own_hops:
        return [_finding("went-round", 3, f"has been here {times} times before, which is a loop")]
    return []


def _author(examination: Examination) -> list[Finding]:
    fault = examination.author.fault
    return [_finding("sender-unclear", 3, f"does not say plainly who it is from: {fault}")] if fault else []


def _shape(examination: Examination) -> list[Finding]:
    defects = examination.message.defects
    contents = examination.contents
    findings = []
    if broken := defects & _BROKEN:
        findings.append(_finding("broken", 3, f"is too broken to be read safely ({_listed(broken)})"))
    elif not contents.complete:
        findings.append(_finding("broken", 3, "holds more hidden files than we look through"))
    if pieces := defects & _PIECES:
        findings.append(_finding("in-pieces", 3, f"is not whole ({_listed(pieces)})"))
    if contents.disagreements:
        findings.append(_finding("readings-disagree", 2, "is read differently: " + "; ".join(contents.disagreements)))
    rest = defects - _BROKEN - _PIECES
    if rest:
        findings.append(_finding("odd-form", 0, f"departs from the standard ({_listed(rest)})"))
    return findings


def _listed(defects: frozenset[Defect]) -> str:
    return ", ".join(sorted(defect.value for defect in defects))


def _finding(code: str, weight: int, says: str) -> Finding:
    return Finding(code=code, weight=weight, says=f"The message {says}.", check=NAME)
