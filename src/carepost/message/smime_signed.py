"""Signed-data of CMS: what was signed, and whether each signature over it is right. PURE. RFC 5652 §5.

Promises
    Strict where forgers live: signed attributes must be there, each once; no two certificates may answer to one signer;
    SHA-1, MD5 and short keys prove nothing. Whether the signer may be believed is smime_trust's question.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from carepost.base.errors import Malformed
from carepost.message.der import INTEGER, OCTETS, OCTETS_IN_PIECES, OID, SEQUENCE, SET, Element, as_set, oid, read
from carepost.message.smime_model import Fault

SIGNED_DATA, DATA = oid("1.2.840.113549.1.7.2"), oid("1.2.840.113549.1.7.1")
_CONTENT_TYPE, _MESSAGE_DIGEST = oid("1.2.840.113549.1.9.3"), oid("1.2.840.113549.1.9.4")
_HASHES: dict[bytes, hashes.HashAlgorithm] = {
    oid("2.16.840.1.101.3.4.2.1"): hashes.SHA256(),
    oid("2.16.840.1.101.3.4.2.2"): hashes.SHA384(),
    oid("2.16.840.1.101.3.4.2.3"): hashes.SHA512(),
}
_RSA, _PSS = oid("1.2.840.113549.1.1.1"), oid("1.2.840.113549.1.1.10")
_RSA_WITH = {
    oid("1.2.840.113549.1.1.11"): hashes.SHA256(),
    oid("1.2.840.113549.1.1.12"): hashes.SHA384(),
    oid("1.2.840.113549.1.1.13"): hashes.SHA512(),
}
_ECDSA_WITH = {
    oid("1.2.840.10045.4.3.2"): hashes.SHA256(),
    oid("1.2.840.10045.4.3.3"): hashes.SHA384(),
    oid("1.2.840.10045.4.3.4"): hashes.SHA512(),
}
_ED25519 = oid("1.3.101.112")
_SIGNERS_MAX = 10
_CERTIFICATES_MAX = 50
_RSA_BITS_MIN = 2_048  # NCSC and NIST SP 800-57: what is shorter can be forged for money
_CONTEXT_0, _CONTEXT_1 = 0xA0, 0xA1
_SKI = 0x80  # SignerIdentifier by subjectKeyIdentifier


class Rejected(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class SignedData:
    """`content` is None when it stands outside (multipart/signed)."""

    content: bytes | None
    certificates: tuple[x509.Certificate, ...]
    signers: tuple[Element, ...]


def read_signed_data(der: bytes) -> SignedData:
    """Raises Rejected."""
    try:
        return _signed_data(read(der))
    except Malformed:
        raise Rejected(Fault.MALFORMED) from None


def check_signers(signed: SignedData, content: bytes) -> list[x509.Certificate]:
    """The certificate of every signer, each of whose signatures over `content` is right. Raises Rejected."""
    if not signed.signers:
        raise Rejected(Fault.NO_SIGNER)
    if len(signed.signers) > _SIGNERS_MAX:
        raise Rejected(Fault.MALFORMED)
    try:
        return [_check_one(signer, signed.certificates, content) for signer in signed.signers]
    except Malformed:
        raise Rejected(Fault.MALFORMED) from None


def _signed_data(outer: Element) -> SignedData:
    if outer.child(0, OID).raw != SIGNED_DATA:
        raise Rejected(Fault.MALFORMED)
    body = outer.child(1, _CONTEXT_0).child(0, SEQUENCE)
    body.child(0, INTEGER)
    body.child(1, SET)
    inner = body.child(2, SEQUENCE)
    if inner.child(0, OID).raw != DATA:
        raise Rejected(Fault.UNUSUAL)
    content = None
    if len(inner.children) > 1:
        (held,) = inner.child(1, _CONTEXT_0).children or (None,)
        if held is None or held.tag not in {OCTETS, OCTETS_IN_PIECES} or len(inner.children) > 2:
            raise Rejected(Fault.MALFORMED)
        content = held.octets
    rest = list(body.children[3:])
    certificates: tuple[x509.Certificate, ...] = ()
    if rest and rest[0].tag == _CONTEXT_0:
        certificates = tuple(_certificates(rest.pop(0)))
    if rest and rest[0].tag == _CONTEXT_1:  # lists of withdrawn certificates, which we fetch ourselves or not at all
        rest.pop(0)
    if len(rest) != 1 or rest[0].tag != SET:
        raise Rejected(Fault.MALFORMED)
    return SignedData(content, certificates, rest[0].children)


def _certificates(held: Element) -> Iterator[x509.Certificate]:
    for one in held.children[:_CERTIFICATES_MAX]:
        if one.tag != SEQUENCE:
            continue  # attribute certificates and other formats: nothing we would believe
        try:
            yield x509.load_der_x509_certificate(one.raw)
        except ValueError:
            raise Rejected(Fault.NO_CERTIFICATE) from None


def _check_one(info: Element, certificates: Sequence[x509.Certificate], content: bytes) -> x509.Certificate:
    info.child(0, INTEGER)
    certificate = _named_by(info.children[1] if len(info.children) > 1 else info, certificates)
    digest = _HASHES.get(info.child(2, SEQUENCE).child(0, OID).raw)
    if digest is None:
        raise Rejected(Fault.WEAK)
    if len(info.children) < 6 or info.children[3].tag != _CONTEXT_0:
        # Without signed attributes, the attributes of one message pass for the text of another.
        raise Rejected(Fault.UNUSUAL)
    attributes = info.children[3]
    if _attribute(attributes, _CONTENT_TYPE).raw != DATA:
        raise Rejected(Fault.UNUSUAL)
    signature = info.child(5, OCTETS).body
    _verify(certificate, info.child(4, SEQUENCE), digest, signature, as_set(attributes))
    if _attribute(attributes, _MESSAGE_DIGEST).octets != hashlib.new(digest.name, content).digest():
        raise Rejected(Fault.CHANGED)
    return certificate


def _attribute(attributes: Element, wanted: bytes) -> Element:
    """The one value of an attribute that must be there once. RFC 5652 §11.1 and §11.2."""
    found = [one for one in attributes.children if one.tag == SEQUENCE and one.child(0, OID).raw == wanted]
    if len(found) != 1:
        raise Rejected(Fault.UNUSUAL)
    values = found[0].child(1, SET).children
    if len(values) != 1:
        raise Rejected(Fault.UNUSUAL)
    return values[0]


def _named_by(sid: Element, certificates: Sequence[x509.Certificate]) -> x509.Certificate:
    """Exactly one certificate answers to the name: two would let programs choose differently."""
    matching = {one for one in certificates if _answers_to(one, sid)}
    if len(matching) != 1:
        raise Rejected(Fault.NO_CERTIFICATE)
    return matching.pop()


def _answers_to(certificate: x509.Certificate, sid: Element) -> bool:
    if sid.tag == _SKI:
        try:
            key_id = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        except (x509.ExtensionNotFound, ValueError):
            return False
        return key_id == sid.body
    if sid.tag != SEQUENCE:
        raise Rejected(Fault.MALFORMED)
    serial = int.from_bytes(sid.child(1, INTEGER).body, "big", signed=True)
    return certificate.issuer.public_bytes() == sid.child(0, SEQUENCE).raw and certificate.serial_number == serial


def _verify(
    certificate: x509.Certificate, algorithm: Element, digest: hashes.HashAlgorithm, signature: bytes, signed: bytes
) -> None:
    """Raises Rejected unless the certificate's key made `signature` over `signed`, in a way that is still safe."""
    named = algorithm.child(0, OID).raw
    try:
        key = certificate.public_key()
        if isinstance(key, rsa.RSAPublicKey):
            if key.key_size < _RSA_BITS_MIN:
                raise Rejected(Fault.WEAK)
            if named == _PSS:
                # The same hash throughout (RFC 4056 §3); programs differ about the salt's length, which proves nothing.
                how: padding.AsymmetricPadding = padding.PSS(padding.MGF1(digest), padding.PSS.AUTO)
            elif named == _RSA or type(_RSA_WITH.get(named)) is type(digest):
                how = padding.PKCS1v15()
            else:
                raise Rejected(Fault.WEAK)
            key.verify(signature, signed, how, digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and type(_ECDSA_WITH.get(named)) is type(digest):
            key.verify(signature, signed, ec.ECDSA(digest))
        elif isinstance(key, ed25519.Ed25519PublicKey) and named == _ED25519:
            key.verify(signature, signed)
        else:
            raise Rejected(Fault.WEAK)
    except InvalidSignature:
        raise Rejected(Fault.BAD_SIGNATURE) from None
    except (UnsupportedAlgorithm, ValueError):
        raise Rejected(Fault.WEAK) from None
