"""Keys made once a run, in the forms that a zone, our signer and dkimpy want them in."""

import base64
from dataclasses import dataclass
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from carepost.mailauth.keys import SigningKey


@dataclass(frozen=True)
class PublishedKey:
    private: SigningKey
    record: str  # what is published
    for_dkimpy: bytes


@cache
def rsa_key(bits: int = 2048) -> PublishedKey:
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return PublishedKey(key, f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}", pem)


@cache
def ed25519_key() -> PublishedKey:
    key = ed25519.Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return PublishedKey(key, f"v=DKIM1; k=ed25519; p={base64.b64encode(public).decode()}", b"")
