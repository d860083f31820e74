"""A certificate with its private key, as an authority gives it out: PKCS #12. PURE. RFC 7292.

Promises
    What is returned fits together, is for the mailbox's own address, in its time, and for mail; what is not is refused
    with the reason, before anything is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from carepost.base.errors import Malformed, NotPossible
from carepost.message.smime_model import Fault, Trust
from carepost.message.smime_signed import Rejected
from carepost.message.smime_trust import vouched_for

FILE_MAX = 256 << 10  # octets; with a long chain some have 20,000
_CHAIN_MAX = 9
_RSA_BITS_MIN = 2_048
# Faults are worded for whoever reads a message; these read oddly about a certificate by itself.
_IN_OTHER_WORDS = {
    Fault.NOT_THE_AUTHOR: "it names another address",
    Fault.NOT_TRUSTED: "nobody we trust vouches for it (smime.authorities_file names whom we trust)",
    Fault.EXPIRED: "today is not within its time",
    Fault.REVOKED: "it was withdrawn",
    Fault.WRONG_USE: "it is not for signing mail",
}

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """`chain`: the certificates that vouch for it, as far as they came with it."""

    certificate: x509.Certificate
    key: Key = field(repr=False)
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def fingerprint(self) -> bytes:
        return self.certificate.fingerprint(hashes.SHA256())

    def der(self) -> list[bytes]:
        return [one.public_bytes(serialization.Encoding.DER) for one in (self.certificate, *self.chain)]

    def private_der(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def read_pkcs12(file: bytes, passphrase: str, *, address: str, trust: Trust, at: datetime) -> KeyPair:
    """Raises Malformed for a file that does not open, NotPossible for a certificate that cannot be used here."""
    if len(file) > FILE_MAX:
        raise Malformed("This file is too large for a certificate.")
    try:
        found = pkcs12.load_pkcs12(file, passphrase.encode() or None)
    except (ValueError, TypeError) as error:
        raise Malformed(
            "The file does not open: it is no PKCS #12 file (.p12, .pfx), or the password is wrong."
        ) from error
    if found.cert is None or found.key is None:
        raise Malformed("The file must hold one certificate together with its private key.")
    certificate, key = found.cert.certificate, found.key
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        raise NotPossible("The key is of a kind that mail programs do not know. Ask for one with RSA.")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _RSA_BITS_MIN:
        raise NotPossible(f"The key is too short to be safe: {key.key_size} bits, and {_RSA_BITS_MIN} are needed.")
    if _public(certificate.public_key()) != _public(key.public_key()):
        raise Malformed("The private key in the file is not the one of its certificate.")
    chain = tuple(one.certificate for one in found.additional_certs[:_CHAIN_MAX])
    try:
        vouched_for(certificate, chain, address=address, trust=trust, at=at)
    except Rejected as error:
        why = _IN_OTHER_WORDS.get(error.fault, error.fault.value)
        raise NotPossible(f"This certificate cannot be used for {address}: {why}.") from None
    return KeyPair(certificate=certificate, key=key, chain=chain)


def key_pair(ders: Sequence[bytes], private: bytes) -> KeyPair:
    """One that was kept."""
    certificate, *chain = [x509.load_der_x509_certificate(one) for one in ders]
    key = serialization.load_der_private_key(private, password=None)
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        raise Malformed("The kept key is of no kind that is kept.")
    return KeyPair(certificate=certificate, key=key, chain=tuple(chain))


def read_trust(authorities: bytes, withdrawn: str = "") -> Trust:
    """From PEM, and a list of SHA-256 fingerprints in hexadecimal, one a line. Raises Malformed."""
    try:
        found = x509.load_pem_x509_certificates(authorities) if authorities.strip() else []
        lines = [line.partition("#")[0].replace(":", "").strip() for line in withdrawn.splitlines()]
        prints = frozenset(bytes.fromhex(line) for line in lines if line)
    except ValueError as error:
        raise Malformed("The file of authorities is not PEM, or that of withdrawn certificates is no list.") from error
    if any(len(one) != hashes.SHA256.digest_size for one in prints):
        raise Malformed("A withdrawn certificate is named by its SHA-256 in hexadecimal, 64 digits.")
    anchors = tuple(one for one in found if one.issuer == one.subject)
    return Trust(anchors, tuple(one for one in found if one.issuer != one.subject), prints)


def _public(key: object) -> bytes:
    if not isinstance(key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)):
        return b""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
