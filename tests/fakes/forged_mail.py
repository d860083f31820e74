"""Signed messages put together piece by piece, so that any piece can be wrong. CMS by hand, RFC 5652."""

import base64
import hashlib
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from tests.fakes.mail_certificates import Key

from carepost.message.der import NULL, OCTETS, integer, oid, sequence, set_of, write

DATA, SIGNED = oid("1.2.840.113549.1.7.1"), oid("1.2.840.113549.1.7.2")
SHA256, SHA1, MD5 = oid("2.16.840.1.101.3.4.2.1"), oid("1.3.14.3.2.26"), oid("1.2.840.113549.2.5")
RSA, ECDSA = oid("1.2.840.113549.1.1.1"), oid("1.2.840.10045.4.3.2")
TYPE, DIGEST = oid("1.2.840.113549.1.9.3"), oid("1.2.840.113549.1.9.4")


def attribute(named: bytes, *values: bytes) -> bytes:
    return sequence(named, set_of(values))


def signer_info(
    content: bytes,
    certificate: x509.Certificate,
    key: Key,
    *,
    attributes: Sequence[bytes] | None = None,
    with_attributes: bool = True,
    digest_name: bytes = SHA256,
    sid: bytes | None = None,
    signature: bytes | None = None,
    hashed: bytes | None = None,
) -> bytes:
    digest = hashlib.sha256(content).digest() if hashed is None else hashed
    if attributes is None:
        attributes = [attribute(TYPE, DATA), attribute(DIGEST, write(OCTETS, digest))]
    signed = set_of(attributes) if with_attributes else content
    if signature is None:
        if isinstance(key, rsa.RSAPrivateKey):
            signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        else:
            signature = key.sign(signed, ec.ECDSA(hashes.SHA256()))
    algorithm = RSA if isinstance(key, rsa.RSAPrivateKey) else ECDSA
    sid = sid or sequence(certificate.issuer.public_bytes(), integer(certificate.serial_number))
    parts = [integer(1), sid, sequence(digest_name, write(NULL, b""))]
    if with_attributes:
        parts.append(write(0xA0, b"".join(sorted(attributes))))
    return sequence(*parts, sequence(algorithm), write(OCTETS, signature))


def signed_data(
    signers: Sequence[bytes],
    certificates: Sequence[x509.Certificate],
    *,
    content: bytes | None = None,
    content_type: bytes = DATA,
    outer: bytes = SIGNED,
) -> bytes:
    inner = [content_type]
    if content is not None:
        inner.append(write(0xA0, write(OCTETS, content)))
    held = b"".join(one.public_bytes(Encoding.DER) for one in certificates)
    body = sequence(
        integer(1),
        set_of([sequence(SHA256)]),
        sequence(*inner),
        *([write(0xA0, held)] if held else []),
        set_of(signers),
    )
    return sequence(outer, write(0xA0, body))


HEAD = (
    b"From: Asha Patel <asha@riverside.example>\r\nTo: pat@trust.example\r\nSubject: Results\r\nMIME-Version: 1.0\r\n"
)
ENTITY = b"Content-Type: text/plain; charset=us-ascii\r\n\r\nThe results are normal.\r\n"
MULTIPART = (
    b'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256;\r\n boundary="b1"\r\n\r\n'
)
P7S = b"Content-Type: application/pkcs7-signature; name=smime.p7s\r\nContent-Transfer-Encoding: base64\r\n\r\n"
P7M = b"Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\n"


def encoded(der: bytes) -> bytes:
    return base64.encodebytes(der).replace(b"\n", b"\r\n")


def detached(
    der: bytes, entity: bytes = ENTITY, *, head: bytes = HEAD, kind: bytes = MULTIPART, part: bytes = P7S,
    before: bytes = b"", between: bytes = b"", behind: bytes = b"",
) -> bytes:  # fmt: skip
    """multipart/signed: `between` stands after the first part and its line end, `behind` after the closing boundary."""
    return (
        head + kind + before + b"--b1\r\n" + entity + b"\r\n" + between + b"--b1\r\n" + part + encoded(der)
        + b"\r\n--b1--\r\n" + behind
    )  # fmt: skip


def opaque(der: bytes, *, head: bytes = HEAD, kind: bytes = P7M) -> bytes:
    return head + kind + encoded(der)
