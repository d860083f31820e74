"""Sealing: how bytes are made unreadable to whoever holds the disk, and how they are opened again.

Promises
    Everything sealed is bound to where it belongs (its AAD): moved to another row, mailbox or organisation it does
    not open.
    A sealed object that was shortened, reordered or changed by one bit does not open (STREAM; docs/explain/keys.md).
    What is sealed with `seal_to` opens only with the private half: the role that faces port 25 holds no such key.
    A key opens one meaning: every use derives its own subkey by HKDF-Expand (RFC 5869 §2.3) under its own label.

AES-256-GCM throughout. GCM does not commit to its key, so a sealed object carries a commitment (32 bytes) that is
checked first: two keys can never open the same object to two different messages.
"""

import hmac
import secrets
import struct

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from carepost.base.errors import Broken

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
SEGMENT_BYTES = 1 << 20  # 1 MiB of compressed text a segment: a torn or changed byte costs one segment's check.
# A sealed message opens to at most this; what claims more was not sealed by us (decompression bomb).
OBJECT_BYTES_MAX = 4 << 30
ZSTD_LEVEL = 1  # Mail is mostly base64 of compressed documents: higher levels cost CPU and save 1-2 %.

_MAGIC = b"CPO1"
_PLAIN, _ZSTD = 0, 1
_HEADER = struct.Struct(">4sB7sQ32s")  # magic, packing, nonce prefix, length of the plain text, key commitment

_INTAKE, _DIRECT = b"\x01", b"\x02"


class DoesNotOpen(Broken):
    """The key is not the one it was sealed with, or the sealed bytes were changed."""


def new_key() -> bytes:
    return secrets.token_bytes(KEY_BYTES)


def subkey(key: bytes, label: bytes) -> bytes:
    """One use of `key`. HKDF-Expand, first block; our keys are uniform already. RFC 5869 §3.3."""
    return hmac.digest(key, label + b"\x01", "sha256")


def bound(*parts: bytes | int | str) -> bytes:
    """An AAD of length-prefixed parts: no two different lists give the same bytes."""
    out = bytearray()
    for part in parts:
        raw = part if isinstance(part, bytes) else str(part).encode()
        out += struct.pack(">I", len(raw)) + raw
    return bytes(out)


# --- small values: summaries, columns, wrapped keys -----------------------------------------------------------------


def seal_small(key: bytes, label: bytes, aad: bytes, plaintext: bytes) -> bytes:
    """nonce || ciphertext || tag. At most 2^32 values a (key, label): SP 800-38D §8.3."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(subkey(key, label)).encrypt(nonce, plaintext, aad)


def open_small(key: bytes, label: bytes, aad: bytes, sealed: bytes) -> bytes:
    """Raise DoesNotOpen unless `sealed` was made by `seal_small` with the same key, label and AAD."""
    try:
        return AESGCM(subkey(key, label)).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], aad)
    except (InvalidTag, ValueError) as error:
        raise DoesNotOpen("This could not be opened. It has been kept as it is.") from error


# --- objects: message bodies ----------------------------------------------------------------------------------------


def seal_object(key: bytes, aad: bytes, plaintext: bytes) -> bytes:
    """Compress where that helps, then seal in segments of 1 MiB."""
    packed = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(plaintext)
    packing = _ZSTD
    if len(packed) >= len(plaintext):
        packed, packing = plaintext, _PLAIN
    prefix = secrets.token_bytes(7)
    header = _HEADER.pack(_MAGIC, packing, prefix, len(plaintext), subkey(key, b"carepost object commitment"))
    cipher = AESGCM(subkey(key, b"carepost object body"))
    sealed = [header]
    last = max(0, (len(packed) - 1) // SEGMENT_BYTES)
    view = memoryview(packed)
    for number in range(last + 1):
        segment = view[number * SEGMENT_BYTES : (number + 1) * SEGMENT_BYTES]
        sealed.append(cipher.encrypt(_nonce(prefix, number, number == last), segment, header + aad))
    return b"".join(sealed)


def open_object(key: bytes, aad: bytes, sealed: bytes) -> bytes:
    """Raise DoesNotOpen on any change, truncation, reordering or wrong key; never returns part of an object."""
    try:
        return _open_object(key, aad, sealed)
    except (InvalidTag, ValueError, struct.error, zstandard.ZstdError) as error:
        raise DoesNotOpen("This message could not be opened. It has been kept as it is.") from error


def _open_object(key: bytes, aad: bytes, sealed: bytes) -> bytes:
    header = sealed[: _HEADER.size]
    magic, packing, prefix, length, commitment = _HEADER.unpack(header)
    if magic != _MAGIC or length > OBJECT_BYTES_MAX:
        raise ValueError("not a sealed object")
    if not hmac.compare_digest(commitment, subkey(key, b"carepost object commitment")):
        raise ValueError("sealed with another key")
    cipher = AESGCM(subkey(key, b"carepost object body"))
    body = memoryview(sealed)[_HEADER.size :]
    step = SEGMENT_BYTES + TAG_BYTES
    last = max(0, (len(body) - 1) // step)
    opened = [
        cipher.decrypt(_nonce(prefix, number, number == last), body[number * step : (number + 1) * step], header + aad)
        for number in range(last + 1)
    ]
    packed = opened[0] if len(opened) == 1 else b"".join(opened)
    plain = packed if packing == _PLAIN else zstandard.ZstdDecompressor().decompress(packed, max_output_size=length)
    if len(plain) != length:
        raise ValueError("not as long as it was")
    return plain


def _nonce(prefix: bytes, number: int, is_last: bool) -> bytes:
    return prefix + struct.pack(">IB", number, is_last)


# --- intake: sealing to somebody whose key we do not hold -----------------------------------------------------------


def new_intake_pair() -> tuple[bytes, bytes]:
    """(public, private), 32 bytes each, X25519."""
    private = X25519PrivateKey.generate()
    return (
        private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
        private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()),
    )


def seal_to(public: bytes, aad: bytes, secret: bytes) -> bytes:
    """Seal `secret` so that only the holder of the private half of `public` can open it."""
    return seal_to_each([(public, aad)], secret)[0]


def seal_to_each(intakes: list[tuple[bytes, bytes]], secret: bytes) -> list[bytes]:
    """Seal one secret to many (public, aad): one ephemeral key for the message, one agreement for each recipient."""
    ephemeral = X25519PrivateKey.generate()
    mine = ephemeral.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    sealed = []
    for public, aad in intakes:
        shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public))
        key = hmac.digest(shared, b"carepost intake" + mine + public + aad, "sha256")
        # The AAD is part of the key's making: the key is used once, ever, so a constant nonce is safe.
        sealed.append(_INTAKE + mine + AESGCM(key).encrypt(bytes(NONCE_BYTES), secret, aad))
    return sealed


def open_from(private: bytes, aad: bytes, sealed: bytes) -> bytes:
    """Open what `seal_to` made. Raise DoesNotOpen otherwise."""
    mine, ciphertext = sealed[1:33], sealed[33:]
    try:
        holder = X25519PrivateKey.from_private_bytes(private)
        shared = holder.exchange(X25519PublicKey.from_public_bytes(mine))
        public = holder.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        key = hmac.digest(shared, b"carepost intake" + mine + public + aad, "sha256")
        return AESGCM(key).decrypt(bytes(NONCE_BYTES), ciphertext, aad)
    except (InvalidTag, ValueError) as error:
        raise DoesNotOpen("This could not be opened. It has been kept as it is.") from error


# --- wrapped object keys: sealed to an intake when they arrive, wrapped directly when somebody with the key does it ---


def wrap_key(holder: bytes, aad: bytes, key: bytes) -> bytes:
    return _DIRECT + seal_small(holder, b"carepost key wrap", aad, key)


def unwrap_key(holder: bytes, private: bytes, aad: bytes, wrapped: bytes) -> bytes:
    """Either form. `holder` is the mailbox (or organisation) key, `private` its intake's private half."""
    if wrapped[:1] == _DIRECT:
        return open_small(holder, b"carepost key wrap", aad, wrapped[1:])
    return open_from(private, aad, wrapped)


def was_sealed_on_arrival(wrapped: bytes) -> bool:
    """True while a key is still in its intake form, which costs 60 times as much to open."""
    return wrapped[:1] == _INTAKE


class EdgeKey:
    """The key of the role that faces strangers: it makes look-up tokens and pepper, and opens nothing.

    A token lets an auditor find a message by sender, recipient or Message-ID although the database holds none of
    them in clear.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise Broken("The edge key is damaged: it must be 32 bytes.")
        self._key = key

    def token(self, organisation: int, kind: str, value: str) -> bytes:
        """16 bytes, the same for the same (organisation, kind, value), unlinkable between organisations."""
        return hmac.digest(subkey(self._key, b"carepost token"), bound(organisation, kind, value), "sha256")[:16]

    def pepper(self, purpose: str, value: bytes) -> bytes:
        """32 bytes: a keyed hash of a secret, so that a stolen table cannot be tried off line."""
        return hmac.digest(subkey(self._key, b"carepost pepper"), bound(purpose, value), "sha256")
