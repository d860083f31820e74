"""Public keys as published under `_domainkey`, and the private keys that we sign with.

RFC 6376 §3.6, RFC 8301, RFC 8463.

Promises
    RSA with SHA-256 and Ed25519 with SHA-256 are the algorithms; SHA-1 is none (RFC 8301 §3.1).
    An RSA key below 1,024 bits proves nothing and is refused (RFC 8301 §3.2); one beyond `rsa_bits_max` would spend our
    time and is refused as well.
    Looking up raises ResolverTrouble or KeyRefused, nothing else.
"""

import base64
import binascii
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from carepost.mailauth.fields import TagError, listed, parse_tags, without_space
from carepost.mailauth.resolver import NoSuchName, Resolver

SHA_256 = Prehashed(SHA256())


class Algorithm(StrEnum):
    RSA_SHA256 = "rsa-sha256"
    ED25519_SHA256 = "ed25519-sha256"


PublicKey = rsa.RSAPublicKey | ed25519.Ed25519PublicKey
SigningKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
_KEY_TYPE = {Algorithm.RSA_SHA256: "rsa", Algorithm.ED25519_SHA256: "ed25519"}


@dataclass(frozen=True, slots=True)
class KeyLimits:
    record_bytes_max: int = 8_192  # a 4,096-bit key is 750 octets in base64
    rsa_bits_min: int = 1_024  # RFC 8301 §3.2
    rsa_bits_max: int = 8_192  # RFC 8301 §3.2 asks for 4,096; double is kept for the careful, at 0.4 ms a message


class KeyRefused(ValueError):
    """The domain publishes no key that may be used: a permanent error."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    key: PublicKey
    testing: bool  # t=y: the domain is trying DKIM out
    same_domain_only: bool  # t=s: i= must be exactly d=


async def fetch_key(
    resolver: Resolver, *, selector: str, domain: str, algorithm: Algorithm, limits: KeyLimits
) -> KeyRecord:
    """The key at `selector._domainkey.domain`. Raises KeyRefused or ResolverTrouble. RFC 6376 §6.1.2."""
    try:
        records = (await resolver.txt(f"{selector}._domainkey.{domain}")).records
    except NoSuchName as error:
        raise KeyRefused("no key is published") from error
    if not records:
        raise KeyRefused("no key is published")
    if len(records) > 1:
        # §6.1.2 leaves this to us. A choice would be a guess, and a stranger could bring it about.
        raise KeyRefused("more than one key is published under one name")
    return parse_key(records[0], algorithm=algorithm, limits=limits)


def parse_key(record: bytes, *, algorithm: Algorithm, limits: KeyLimits) -> KeyRecord:
    """RFC 6376 §3.6.1. Raises KeyRefused, which says why."""
    if len(record) > limits.record_bytes_max:
        raise KeyRefused("the key record is too long")
    try:
        tags = parse_tags(record)
    except TagError as error:
        raise KeyRefused(f"the key record cannot be read: {error}") from error
    if "v" in tags and (tags["v"] != "DKIM1" or next(iter(tags)) != "v"):
        raise KeyRefused("the key record is of another version")
    if tags.get("k", "rsa") != _KEY_TYPE[algorithm]:
        raise KeyRefused("the key is of another kind than the signature")
    if "h" in tags and "sha256" not in listed(tags["h"]):
        raise KeyRefused("the key may not be used with SHA-256")
    if not {"*", "email"} & set(listed(tags.get("s", "*"))):
        raise KeyRefused("the key is not for mail")
    if "p" not in tags:
        raise KeyRefused("the key record holds no key")
    flags = listed(tags.get("t", ""))
    key = _parse_public_key(without_space(tags["p"]), algorithm, limits)
    return KeyRecord(key, testing="y" in flags, same_domain_only="s" in flags)


def _parse_public_key(text: str, algorithm: Algorithm, limits: KeyLimits) -> PublicKey:
    if not text:
        raise KeyRefused("the key has been withdrawn")  # an empty p=, §3.6.1
    try:
        der = base64.b64decode(text, validate=True)
        if algorithm is Algorithm.ED25519_SHA256:
            return ed25519.Ed25519PublicKey.from_public_bytes(der)  # RFC 8463 §4.2: the 32 octets themselves
        key = load_der_public_key(der)
    except (ValueError, binascii.Error, UnsupportedAlgorithm) as error:
        raise KeyRefused("the key cannot be read") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise KeyRefused("the key is not an RSA key")
    if key.key_size < limits.rsa_bits_min:
        raise KeyRefused(f"the key has only {key.key_size} bits")
    if key.key_size > limits.rsa_bits_max:
        raise KeyRefused(f"the key has {key.key_size} bits, more than we are ready to compute with")
    return key


def is_signed_by(key: PublicKey, signature: bytes, digest: bytes) -> bool:
    """Is this the key's signature over the SHA-256 digest? RFC 6376 §3.3.1, RFC 8463 §3."""
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, digest, padding.PKCS1v15(), SHA_256)
        else:
            key.verify(signature, digest)
    except InvalidSignature:
        return False
    except (ValueError, UnsupportedAlgorithm):
        return False  # OpenSSL's refusal of a malformed signature or an absurd exponent
    return True


def signed(key: SigningKey, digest: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(digest, padding.PKCS1v15(), SHA_256)
    return key.sign(digest)


def algorithm_of(key: SigningKey) -> Algorithm:
    return Algorithm.RSA_SHA256 if isinstance(key, rsa.RSAPrivateKey) else Algorithm.ED25519_SHA256
