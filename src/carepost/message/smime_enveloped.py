"""Envelopes of CMS: the text under a key of its own, the key under each recipient's. PURE. RFC 5652 §6, RFC 5083, 5084.

Promises
    Writes AES-256-GCM, which nobody can bend (EFAIL, M9), or AES-256-CBC for readers that know nothing newer.
    Opens both and says which it was; one answer for whatever is wrong inside, so that nobody can ask it questions.
    Keys are RSA: what certificates for mail hold, and all that the library seals for.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import pkcs7

from carepost.base.errors import Malformed, NotPossible
from carepost.message.der import (
    INTEGER,
    NULL,
    OCTETS,
    OID,
    SEQUENCE,
    SET,
    Element,
    as_set,
    integer,
    oid,
    read,
    sequence,
    set_of,
    write,
)
from carepost.message.smime_model import NotOpened, Opened

_ENVELOPED, _AUTH_ENVELOPED = oid("1.2.840.113549.1.7.3"), oid("1.2.840.113549.1.9.16.1.23")
_DATA = oid("1.2.840.113549.1.7.1")
_AES_GCM = {oid(f"2.16.840.1.101.3.4.1.{last}"): size for last, size in ((6, 16), (26, 24), (46, 32))}
_AES_256_GCM = oid("2.16.840.1.101.3.4.1.46")
_RSA, _OAEP = oid("1.2.840.113549.1.1.1"), oid("1.2.840.113549.1.1.7")
_NONCE, _TAG = 12, 16
_CONTEXT_0, _CONTEXT_0_WHOLE, _CONTEXT_1 = 0xA0, 0x80, 0xA1


class Method(StrEnum):
    GCM = "AES-256-GCM"  # RFC 8551 §2.7: must be known
    CBC = "AES-256-CBC"


def is_envelope(der: bytes) -> bool:
    try:
        return read(der).child(0, OID).raw in {_ENVELOPED, _AUTH_ENVELOPED}
    except Malformed:
        return False


def seal_envelope(
    entity: bytes, recipients: Sequence[x509.Certificate], method: Method, chance: Callable[[int], bytes]
) -> bytes:
    """Raises NotPossible for a certificate whose key is not RSA."""
    keys = [_rsa(one) for one in recipients]
    if method is Method.CBC:
        builder = pkcs7.PKCS7EnvelopeBuilder().set_data(entity).set_content_encryption_algorithm(algorithms.AES256)
        for one in recipients:
            builder = builder.add_recipient(one)
        return builder.encrypt(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])
    key, nonce = chance(32), chance(_NONCE)
    sealed = AESGCM(key).encrypt(nonce, entity, None)
    content = sequence(
        _DATA,
        sequence(_AES_256_GCM, sequence(write(OCTETS, nonce), integer(_TAG))),
        write(_CONTEXT_0_WHOLE, sealed[:-_TAG]),
    )
    body = sequence(
        integer(0),
        set_of([_for(one, public, key) for one, public in zip(recipients, keys, strict=True)]),
        content,
        write(OCTETS, sealed[-_TAG:]),
    )
    return sequence(_AUTH_ENVELOPED, write(_CONTEXT_0, body))


def _rsa(certificate: x509.Certificate) -> rsa.RSAPublicKey:
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise NotPossible("Mail cannot be encrypted for one of these certificates.")
    return key


def _for(certificate: x509.Certificate, public: rsa.RSAPublicKey, key: bytes) -> bytes:
    name = sequence(certificate.issuer.public_bytes(), integer(certificate.serial_number))
    sealed = public.encrypt(key, padding.PKCS1v15())
    return sequence(integer(0), name, sequence(_RSA, write(NULL, b"")), write(OCTETS, sealed))


def open_envelope(
    der: bytes, certificate: x509.Certificate, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
) -> Opened | NotOpened:
    if not isinstance(key, rsa.RSAPrivateKey):
        return NotOpened.UNSUPPORTED
    try:
        outer = read(der)
        if outer.child(0, OID).raw == _ENVELOPED:
            if _sealed_key(outer.child(1, _CONTEXT_0).child(0, SEQUENCE), certificate) is None:
                return NotOpened.NOT_FOR_US
            return Opened(pkcs7.pkcs7_decrypt_der(der, certificate, key, []), authenticated=False)
        if outer.child(0, OID).raw != _AUTH_ENVELOPED:
            return NotOpened.MALFORMED
        return _opened(outer.child(1, _CONTEXT_0).child(0, SEQUENCE), certificate, key)
    except Malformed:
        return NotOpened.MALFORMED
    except UnsupportedAlgorithm:
        return NotOpened.UNSUPPORTED
    except (InvalidTag, ValueError):
        return NotOpened.CHANGED


def _opened(body: Element, certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> Opened | NotOpened:
    info = _sealed_key(body, certificate)
    if info is None:
        return NotOpened.NOT_FOR_US
    rest = [one for one in body.children[1:] if one.tag not in {SET, _CONTEXT_0}]
    content, attributes = rest[0], next((one for one in rest if one.tag == _CONTEXT_1), None)
    method = content.child(1, SEQUENCE)
    size = _AES_GCM.get(method.child(0, OID).raw)
    if size is None or len(content.children) < 3:
        return NotOpened.UNSUPPORTED
    nonce = method.child(1, SEQUENCE).child(0, OCTETS).body
    tag = next((one.body for one in rest[1:] if one.tag == OCTETS), b"")
    if len(tag) != _TAG or content.children[2].tag not in {_CONTEXT_0, _CONTEXT_0_WHOLE}:
        return NotOpened.MALFORMED
    plain_key = _open_key(info, key)
    if len(plain_key) != size:
        return NotOpened.CHANGED
    with_it = as_set(attributes) if attributes is not None else None  # RFC 5083 §2.2
    return Opened(AESGCM(plain_key).decrypt(nonce, content.children[2].octets + tag, with_it), authenticated=True)


def _sealed_key(body: Element, certificate: x509.Certificate) -> Element | None:
    """The recipient's own entry: by issuer and number, or by the name of the key."""
    recipients = next((one for one in body.children[1:3] if one.tag == SET), None)
    if recipients is None:
        raise Malformed("The envelope has no recipients.")
    try:
        key_id = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (x509.ExtensionNotFound, ValueError):
        key_id = b""
    for one in recipients.children:
        if one.tag != SEQUENCE or len(one.children) < 4:
            continue
        name = one.children[1]
        if name.tag == SEQUENCE:
            serial = int.from_bytes(name.child(1, INTEGER).body, "big", signed=True)
            ours = name.child(0, SEQUENCE).raw == certificate.issuer.public_bytes()
            if ours and serial == certificate.serial_number:
                return one
        elif key_id and name.body == key_id:
            return one
    return None


def _open_key(info: Element, key: rsa.RSAPrivateKey) -> bytes:
    sealed, named = info.child(3, OCTETS).body, info.child(2, SEQUENCE)
    if named.child(0, OID).raw == _RSA:
        return key.decrypt(sealed, padding.PKCS1v15())
    if named.child(0, OID).raw != _OAEP:
        raise UnsupportedAlgorithm("another way to seal the key")
    last = ValueError("not opened")
    for digest in (hashes.SHA256(), hashes.SHA1()):  # noqa: S303 - SHA-1 is OAEP's default; nothing is signed with it
        try:
            return key.decrypt(sealed, padding.OAEP(padding.MGF1(digest), digest, None))
        except ValueError as error:
            last = error
    raise last
