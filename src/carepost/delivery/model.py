"""What delivery speaks of: how well a hop must be protected, and what became of a recipient. PURE."""

from enum import StrEnum


class LeastTls(StrEnum):
    """The least protection with which a message may cross one hop, weakest first."""

    OPPORTUNISTIC = "opportunistic"  # TLS when offered, whoever holds the certificate. RFC 7435
    VERIFIED = (
        "verified"  # TLS with a certificate that names the host and leads to a trusted root; or MTA-STS. RFC 8461
    )
    DANE = "dane"  # TLS with the certificate that the domain's signed records name. RFC 7672


class Outcome(StrEnum):
    """What one attempt came to for one recipient."""

    DELIVERED = "delivered"  # the next system has answered 250
    FAILED = "failed"  # it said never
    LATER = "later"  # not now: tried again by the schedule
    INDETERMINATE = "indeterminate"  # the last answer was lost: tried again, and may arrive twice. RFC 1047
