"""The certificate of a correspondent, to encrypt to: read from PEM, and asked again each time. PURE. RFC 8550, R126.

Promises
    Encrypted for is only a certificate that names the address, in its time, for that use, not withdrawn, no
    authority's, and that somebody we trust vouches for: at import, and at every message again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from carepost.base.errors import Malformed, NotPossible
from carepost.message.smime_keys import FILE_MAX
from carepost.message.smime_model import Fault, Trust
from carepost.message.smime_signed import Rejected
from carepost.message.smime_trust import vouched_for

_CHAIN_MAX = 10
_IN_OTHER_WORDS = {
    Fault.NOT_THE_AUTHOR: "it names another address",
    Fault.NOT_TRUSTED: "nobody we trust vouches for it (smime.authorities_file names whom we trust)",
    Fault.EXPIRED: "today is not within its time",
    Fault.REVOKED: "it was withdrawn",
    Fault.WRONG_USE: "it is not for encrypting mail with RSA, of 2048 bits or more",
}


@dataclass(frozen=True, slots=True)
class OthersCertificate:
    """`address` as it was named at import; `chain`: those that vouch for it, as far as they came with it."""

    address: str
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def fingerprint(self) -> bytes:
        return self.certificate.fingerprint(hashes.SHA256())

    def der(self) -> list[bytes]:
        return [one.public_bytes(serialization.Encoding.DER) for one in (self.certificate, *self.chain)]

    def fault(self, trust: Trust, at: datetime) -> str | None:
        """Why mail cannot be encrypted for it at that time; finishes "its certificate cannot be used: …"."""
        try:
            vouched_for(self.certificate, self.chain, address=self.address, trust=trust, at=at, sealing=True)
        except Rejected as error:
            return _IN_OTHER_WORDS.get(error.fault, error.fault.value)
        return None


def read_pem(file: bytes, *, address: str, trust: Trust, at: datetime) -> OthersCertificate:
    """From PEM: theirs first, then those that vouch for it. Raises Malformed, NotPossible with the reason."""
    if len(file) > FILE_MAX:
        raise Malformed("This file is too large for a certificate.")
    try:
        found = x509.load_pem_x509_certificates(file)
    except ValueError as error:
        raise Malformed("The file holds no certificate: it must be PEM, and begin with their own.") from error
    other = OthersCertificate(address, found[0], tuple(found[1:_CHAIN_MAX]))
    if (why := other.fault(trust, at)) is not None:
        raise NotPossible(f"This certificate cannot be used for {address}: {why}.")
    return other


def others_certificate(address: str, ders: Sequence[bytes]) -> OthersCertificate:
    """One that was kept."""
    certificate, *chain = [x509.load_der_x509_certificate(one) for one in ders]
    return OthersCertificate(address, certificate, tuple(chain))
