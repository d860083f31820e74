"""What delivery speaks of: how well a hop must be protected, and what became of a recipient. PURE.

Promises
    Values only: nothing here looks up, sends or waits.
    `LeastTls` and `Outcome` are total: every attempt for every recipient ends in exactly one outcome.

What is asked of the queue, and what it tells of, stands in dispatch.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from carepost.base.address import EmailAddress


class LeastTls(StrEnum):
    """The least protection with which a message may cross one hop, weakest first."""

    OPPORTUNISTIC = "opportunistic"  # TLS when offered, whoever holds the certificate. RFC 7435
    ENCRYPTED = "encrypted"  # TLS always, whoever holds the certificate. RFC 7672 §2.2: TLSA records, none usable
    VERIFIED = (
        "verified"  # TLS with a certificate that names the host and leads to a trusted root; or MTA-STS. RFC 8461
    )
    DANE = "dane"  # TLS with the certificate that the domain's signed records name. RFC 7672

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS: Mapping[LeastTls, int] = {
    LeastTls.OPPORTUNISTIC: 0,
    LeastTls.ENCRYPTED: 1,
    LeastTls.VERIFIED: 2,
    LeastTls.DANE: 3,
}


def stronger(one: LeastTls, other: LeastTls) -> LeastTls:
    """The stronger of two demands."""
    return one if one.rank >= other.rank else other


class Outcome(StrEnum):
    """What one attempt came to for one recipient."""

    DELIVERED = "delivered"  # the next system has answered 250
    FAILED = "failed"  # it said never
    LATER = "later"  # not now: tried again by the schedule
    INDETERMINATE = "indeterminate"  # the last answer was lost: tried again, and may arrive twice. RFC 1047


class VerifiedBy(StrEnum):
    """Why we believe that the host at the other end of a hop is who it should be."""

    NOTHING = "nothing"  # in clear, or TLS with whoever answered
    PKIX = "pkix"  # a certificate for the host's name, by an authority that this machine trusts
    MTA_STS = "mta-sts"  # the same, and the host is one that the domain's policy names. RFC 8461
    DANE_EE = "dane-ee"  # the domain's signed records name this very certificate or key. RFC 7672 §3.1.1
    DANE_TA = "dane-ta"  # ... or the authority that issued it. RFC 7672 §3.1.2


@dataclass(frozen=True, slots=True)
class HopEvidence:
    """How a message crossed one hop, to be kept with it (R106). Empty version and cipher: it crossed in clear."""

    host: str
    ip: str
    tls_version: str
    cipher: str
    verified_by: VerifiedBy
    at: datetime
    reply: str  # the other system's last word, printable, cut


@dataclass(frozen=True, slots=True)
class RecipientResult:
    """What one attempt came to for one recipient. `says` is one plain sentence for a person."""

    address: EmailAddress
    outcome: Outcome
    code: int | None  # of the reply that decided; None: there was none
    enhanced: str | None  # RFC 3463; ours when there was no reply
    says: str
    reply: str = ""  # what the other system said, printable, cut: for a DSN's Diagnostic-Code
    host: str = ""  # who said it: for a DSN's Remote-MTA
    dsn_passed_on: bool = (
        False  # the next system offers DSN and has our NOTIFY: reports are its business. RFC 3461 §6.2
    )
    tls_missing: bool = False  # it waits because the hop could not be protected as it must be: alarm, offer the link


@dataclass(frozen=True, slots=True)
class SendResult:
    """What one attempt came to: one result for each recipient, in the order of the envelope."""

    results: tuple[RecipientResult, ...]
    evidence: HopEvidence | None  # of the hop that took, refused or lost the content; None: no content left us


@dataclass(frozen=True, slots=True)
class OutRecipient:
    """One RCPT: whom, and what the sender wants to be told of (RFC 3461 §4.1, §4.2)."""

    address: EmailAddress
    notify: frozenset[str] = frozenset()  # of "SUCCESS", "FAILURE", "DELAY"; or "NEVER" alone; empty: not said
    original: str | None = None  # ORCPT, as it was given: "rfc822;pat@example.org"


@dataclass(frozen=True, slots=True)
class OutEnvelope:
    """What one SMTP transaction says besides the message: all recipients are of one domain."""

    reverse_path: EmailAddress | None  # None: the null reverse-path
    recipients: tuple[OutRecipient, ...]
    smtputf8: bool = False  # the message or an address needs it. RFC 6531
    require_tls: bool = False  # RFC 8689
    envid: str | None = None  # RFC 3461 §4.4
    ret: str | None = None  # "FULL", "HDRS". RFC 3461 §4.3
