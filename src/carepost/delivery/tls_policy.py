"""How well must the hop to a recipient's domain be protected, or must the message go another way? PURE, total.

Promises
    What is sensitive never goes to a domain that is not on the register, however well its mail hosts are protected:
    it goes as a secure link (R105). Nothing here ever answers with less than the facts demand.
    A domain on the register gets verified TLS or better, or the message waits (R107); the operator's exception lifts
    that for what is not sensitive, and for nothing else.
    A fact that could not be found out makes the message wait. It never makes the hop weaker.

Two functions, each a list of rules of which the first that applies decides. `least_tls` is asked once for a recipient,
with all that is known; `least_for_host` for each mail host in turn, when the connection is about to be made.
"""

from enum import StrEnum

from carepost.delivery.model import LeastTls, stronger


class DaneState(StrEnum):
    """What the signed records say about a mail host, or about all hosts of a domain. RFC 7672 §2."""

    NONE = "none"  # no TLSA records, or none that DNSSEC proves
    USABLE = "usable"  # records that we can check a certificate against
    UNUSABLE = "unusable"  # proved records, none of a kind that we can check: TLS, whoever holds the certificate
    TROUBLE = "trouble"  # bogus, or no answer: somebody may be hiding them


class StsState(StrEnum):
    """What the domain's MTA-STS policy asks. RFC 8461 §5."""

    NONE = "none"  # no policy, or mode none
    TESTING = "testing"  # failures are reported and nothing else
    ENFORCE = "enforce"
    TROUBLE = "trouble"  # a policy is announced, cannot be fetched, and none is remembered: as if none. RFC 8461 §3.3


class Instead(StrEnum):
    """The message may not take the hop."""

    PORTAL = "portal"  # as a secure link
    WAIT = "wait"  # until what is not known is known


def least_tls(
    *,
    listed: bool | None,
    dane: DaneState,
    sts: StsState,
    sensitive: bool,
    require_tls: bool = False,
    exception: bool = False,
) -> LeastTls | Instead:
    """The least protection for a message to a domain, or what to do instead.

    `listed`: the domain is on the register of secure domains (None: could not be found out). `sensitive`: labelled, or
    patient data found, or not known to be free of it. `require_tls`: the sender asked for REQUIRETLS (RFC 8689).
    `exception`: the operator has lifted mandatory TLS for this domain (R107).
    """
    if listed is None:
        return Instead.WAIT
    if sensitive and (exception or not listed):
        return Instead.PORTAL
    if dane is DaneState.TROUBLE:
        return Instead.WAIT
    asked = demanded(dane, sts)
    if (listed and not exception) or require_tls:
        return stronger(asked, LeastTls.VERIFIED)
    return asked


def demanded(dane: DaneState, sts: StsState) -> LeastTls:
    """What the domain itself asks of everybody who writes to it. DANE comes before MTA-STS: RFC 8461 §2."""
    if dane is DaneState.USABLE:
        return LeastTls.DANE
    if sts is StsState.ENFORCE:
        return LeastTls.VERIFIED
    if dane is DaneState.UNUSABLE:
        return LeastTls.ENCRYPTED
    return LeastTls.OPPORTUNISTIC


def least_for_host(asked: LeastTls, *, dane: DaneState, sts: StsState, sts_names_host: bool) -> LeastTls | None:
    """The least protection on the way to one mail host; None: nothing may go to this host now.

    Never weaker than `asked`. A host whose signed records are in trouble, or that an enforced policy does not name,
    is not a host of the domain for us.
    """
    match dane:
        case DaneState.TROUBLE:
            return None
        case DaneState.USABLE:
            return LeastTls.DANE
    if asked is LeastTls.DANE:
        # The domain's other hosts have signed records; this one has none to be known by.
        return None
    if sts is StsState.ENFORCE:
        return stronger(asked, LeastTls.VERIFIED) if sts_names_host else None
    return stronger(asked, demanded(dane, sts))
