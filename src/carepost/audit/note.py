"""Signed notes: a checkpoint of every chain's head, as text that anybody can keep and check. PURE.

The form is the C2SP signed note and tlog-checkpoint: origin, size, root hash, further lines, a blank line, signatures
(Ed25519, key ids as the specification derives them). Ours departs in what it commits to: the size is the number of all
entries, the root is the RFC 6962 Merkle tree hash over one leaf for each organisation's head, and each head stands in
the note itself ("organisation seq hash"), so that a chain can be held against an old note without a log server.

Promises
    `open_note` returns only what our key has signed; a changed note raises.
    Two notes of one origin that disagree about an entry show that history was rewritten (A3).
"""

import base64
import binascii
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from carepost.audit.chain import Head
from carepost.base.errors import Malformed
from carepost.base.ids import OrganisationId

_ED25519 = b"\x01"  # C2SP signed-note: signature type
_DASH = "\u2014"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far every chain had come when the note was signed."""

    origin: str
    heads: tuple[Head, ...]  # by organisation

    @property
    def entries(self) -> int:
        return sum(head.seq for head in self.heads)

    @property
    def text(self) -> str:
        """The signed part, with its final newline."""
        root = base64.b64encode(merkle_root([_leaf(head) for head in self.heads])).decode()
        lines = [self.origin, str(self.entries), root, *(_line(head) for head in self.heads)]
        return "\n".join(lines) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raise Malformed for what `text` could not have written."""
        try:
            origin, size, root, *lines = text.removesuffix("\n").split("\n")
            heads = tuple(_head(line) for line in lines)
            parsed = cls(origin, heads)
            if parsed.text != text or str(parsed.entries) != size or not root:
                raise ValueError
        except (ValueError, binascii.Error) as error:
            raise Malformed("This is not one of our checkpoints.") from error
        return parsed


class CheckpointSigner:
    """Holds the signing key of checkpoints."""

    def __init__(self, origin: str, private: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(private)
        self.verifier = CheckpointVerifier(origin, self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    @staticmethod
    def new_key() -> bytes:
        """32 bytes, to be kept in a file outside the database."""
        return Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())

    def sign(self, heads: Sequence[Head]) -> str:
        """The note: checkpoint, blank line, signature."""
        ordered = tuple(sorted(heads, key=lambda head: head.organisation))
        text = Checkpoint(self.verifier.origin, ordered).text
        signature = base64.b64encode(self.verifier.key_id + self._key.sign(text.encode())).decode()
        return f"{text}\n{_DASH} {self.verifier.origin} {signature}\n"


class CheckpointVerifier:
    """Knows the public half. `vkey` is what a witness is given, in C2SP's form."""

    def __init__(self, origin: str, public: bytes) -> None:
        if not origin or any(character.isspace() or character == "+" for character in origin):
            raise Malformed("The origin of checkpoints is a name without spaces, such as mail.example.org/audit.")
        self.origin = origin
        self._public = public
        self._key = Ed25519PublicKey.from_public_bytes(public)
        self.key_id = hashlib.sha256(origin.encode() + b"\n" + _ED25519 + public).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.origin}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self._public).decode()}"

    def open_note(self, note: str) -> Checkpoint:
        """Raise Malformed unless our key signed it."""
        text, blank, signatures = note.rpartition("\n\n")
        prefix = f"{_DASH} {self.origin} "
        if blank:
            text += "\n"
            for line in signatures.split("\n"):
                if line.startswith(prefix) and self._is_ours(text, line.removeprefix(prefix)):
                    return Checkpoint.parse(text)
        raise Malformed("This checkpoint was not signed by our key, or was changed since.")

    def _is_ours(self, text: str, encoded: str) -> bool:
        try:
            raw = base64.b64decode(encoded, validate=True)
            self._key.verify(raw[4:], text.encode())
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return raw[:4] == self.key_id


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 §2.1."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + merkle_root(leaves[:split]) + merkle_root(leaves[split:])).digest()


def _leaf(head: Head) -> bytes:
    return struct.pack(">qq", head.organisation, head.seq) + head.hash


def _line(head: Head) -> str:
    return f"{head.organisation} {head.seq} {base64.b64encode(head.hash).decode()}"


def _head(line: str) -> Head:
    organisation, seq, encoded = line.split(" ")
    return Head(OrganisationId(int(organisation)), int(seq), base64.b64decode(encoded, validate=True))
