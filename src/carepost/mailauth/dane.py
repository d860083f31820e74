"""DANE for SMTP: does the certificate of a mail host fit the domain's signed TLSA records? RFC 6698, 7671, 7672. PURE.

Promises
    Usages 2 (the authority) and 3 (the host itself) count; 0 and 1 are unusable for mail (RFC 7672 §3.1.3).
    Usage 3 asks for nothing but the match: no name, no dates, no chain (RFC 7672 §3.1.1).
    Usage 2 asks for a whole path: signatures, dates, constraints and the host's name, from the host's certificate up
    to the one that the record names, and checked by a library that does nothing else.
    Nothing a stranger's certificate holds raises: what cannot be read does not match.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import verification

CHAIN_MAX = 10  # certificates of a chain that are looked at; real ones have two to four
RECORDS_MAX = 32  # TLSA records of one host that are looked at; a roll-over needs two


class Usage(IntEnum):
    """RFC 7218 §2.1."""

    DANE_TA = 2
    DANE_EE = 3


class Selector(IntEnum):
    CERT = 0
    SPKI = 1


class Matching(IntEnum):
    FULL = 0
    SHA2_256 = 1
    SHA2_512 = 2


_DIGEST_OCTETS = {Matching.SHA2_256: 32, Matching.SHA2_512: 64}


@dataclass(frozen=True, slots=True)
class Tlsa:
    """One TLSA record, as published: the numbers may be any."""

    usage: int
    selector: int
    matching: int
    association: bytes

    @property
    def is_usable(self) -> bool:
        """RFC 7672 §2.1: a record that cannot be checked is as if it were not there, but for asking for TLS."""
        if self.usage not in tuple(Usage) or self.selector not in tuple(Selector):
            return False
        if self.matching == Matching.FULL:
            return bool(self.association)
        return self.matching in _DIGEST_OCTETS and len(self.association) == _DIGEST_OCTETS[Matching(self.matching)]

    def fits(self, certificate: bytes) -> bool:
        """Whether this DER certificate is the one that the record names."""
        selected = certificate if self.selector == Selector.CERT else _public_key(certificate)
        if selected is None:
            return False
        match self.matching:
            case Matching.FULL:
                return selected == self.association
            case Matching.SHA2_256:
                return hashlib.sha256(selected).digest() == self.association
            case Matching.SHA2_512:
                return hashlib.sha512(selected).digest() == self.association
        return False


def usable(records: Iterable[Tlsa]) -> tuple[Tlsa, ...]:
    """Those that a certificate can be checked against."""
    return tuple(record for record in records if record.is_usable)[:RECORDS_MAX]


def check(
    records: Sequence[Tlsa], chain: Sequence[bytes], *, names: Sequence[str], at: datetime, depth_max: int = CHAIN_MAX
) -> Usage | None:
    """By which usage the host is known, or None: it is not. RFC 7672 §3.1.

    `chain` is what the host sent, DER, its own certificate first. `names` are the names it may have, the base of the
    TLSA records and the recipient's domain (RFC 7672 §3.2.2); they count for usage 2 only.
    """
    if not chain:
        return None
    leaf, above = chain[0], chain[1:depth_max]
    good = usable(records)
    if any(record.usage == Usage.DANE_EE and record.fits(leaf) for record in good):
        return Usage.DANE_EE
    authorities = [record for record in good if record.usage == Usage.DANE_TA]
    if not authorities:
        return None
    anchors = [certificate for certificate in above if any(record.fits(certificate) for record in authorities)]
    # RFC 7671 §5.2.2: a whole certificate in the record need not be sent by the host.
    anchors += [r.association for r in authorities if r.matching == Matching.FULL and r.selector == Selector.CERT]
    if any(_leads_to(anchor, leaf, above, names=names, at=at) for anchor in anchors):
        return Usage.DANE_TA
    return None


def _public_key(certificate: bytes) -> bytes | None:
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        return parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except Exception:  # noqa: BLE001 (a certificate made by a stranger: what cannot be read does not match)
        return None


def _leads_to(anchor: bytes, leaf: bytes, above: Sequence[bytes], *, names: Sequence[str], at: datetime) -> bool:
    """Is there a path from `leaf`, for one of `names`, to `anchor`, at this time?"""
    try:
        root = x509.load_der_x509_certificate(anchor)
        end = x509.load_der_x509_certificate(leaf)
        between = [x509.load_der_x509_certificate(one) for one in above]
        builder = verification.PolicyBuilder().store(verification.Store([root])).time(at).max_chain_depth(CHAIN_MAX)
        builder = builder.extension_policies(ca_policy=_AUTHORITY, ee_policy=_HOST)
    except Exception:  # noqa: BLE001 (as above)
        return False
    return any(_has_path(builder, name, end, between) for name in names)


def _has_path(
    builder: verification.PolicyBuilder, name: str, end: x509.Certificate, between: list[x509.Certificate]
) -> bool:
    try:
        builder.build_server_verifier(x509.DNSName(name)).verify(end, between)
    except Exception:  # noqa: BLE001 (as above: no path, or no such name)
        return False
    return True


def _is_authority(_policy: object, _certificate: object, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("it is no authority's certificate")


def _may_sign(_policy: object, _certificate: object, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("its key may not sign certificates")


def _names_itself(_policy: object, _certificate: object, names: x509.SubjectAlternativeName) -> None:
    """Which name it must be is the verifier's own look; that there are names at all is ours."""
    if not names.get_values_for_type(x509.DNSName):
        raise ValueError("it names no host")


# Private authorities leave out what the web's must have (key identifiers, policies). What makes a path safe stays: who
# may sign says so (basic constraints, key usage), and a host has the name it is known by. RFC 5280 §6.1.
_ANY = verification.Criticality.AGNOSTIC
_AUTHORITY = (
    verification.ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, _ANY, _is_authority)
    .may_be_present(x509.KeyUsage, _ANY, _may_sign)
)
_HOST = verification.ExtensionPolicy.permit_all().require_present(x509.SubjectAlternativeName, _ANY, _names_itself)
