"""What SPF says, in the words of RFC 7208 §2.6, and the limits of one check."""

from dataclasses import dataclass
from enum import StrEnum


class SpfStatus(StrEnum):
    """RFC 7208 §2.6."""

    NONE = "none"  # the domain publishes nothing, or is not a domain
    NEUTRAL = "neutral"  # it declines to say
    PASS = "pass"  # it may  # noqa: S105 — a verdict, not a secret
    FAIL = "fail"  # it may not
    SOFTFAIL = "softfail"  # it probably may not
    TEMPERROR = "temperror"  # we could not find out
    PERMERROR = "permerror"  # what the domain publishes cannot be understood


@dataclass(frozen=True, slots=True)
class SpfLimits:
    terms_max: int = 10  # RFC 7208 §4.6.4: include, a, mx, ptr, exists and redirect together
    void_lookups_max: int = 2  # RFC 7208 §4.6.4
    hosts_max: int = 10  # RFC 7208 §4.6.4: address look-ups for one mx; names considered for one ptr
    record_bytes_max: int = 8_192  # RFC 7208 §3.4 hopes for 450; Exchange and Google stop below this
    explanation_max: int = 500  # characters of a stranger's text that we are ready to show


DEFAULT_LIMITS = SpfLimits()


@dataclass(frozen=True, slots=True)
class SpfResult:
    status: SpfStatus
    domain: str  # the domain that was asked: of MAIL FROM, or of HELO where MAIL FROM is empty (§2.4)
    explanation: str = ""  # a stranger's words, printable ASCII only; never to be shown as ours
    mechanism: str = ""  # the term that decided, as published
    reason: str = ""  # in a few words, for the trace page
    helo: bool = False  # MAIL FROM was empty and the name in HELO was checked instead
