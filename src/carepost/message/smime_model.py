"""What S/MIME says about a message: signed by whom, or why that must not be believed. PURE. RFC 8551, RFC 8550.

Promises
    `Signature.signer` is there only when the state is VALID: a page cannot show a name that was not proved.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509


class SignatureState(StrEnum):
    NONE = "not signed"
    VALID = "signed by the author"  # all of the text, by who From names, with a certificate that we trust
    NOT_VALID = "the signature proves nothing"


class Fault(StrEnum):
    """Why a signature proves nothing; finishes "This message is signed, but …"."""

    PARTLY = "the signature does not cover all of it"
    STRUCTURE = "it is put together so that programs may show different things"
    MALFORMED = "the signature cannot be read"
    TWO_CONTENTS = "the signature brings a text of its own"
    NO_SIGNER = "nobody has signed it"
    SIGNERS_DIFFER = "its signatures are not of one person"
    NO_CERTIFICATE = "the certificate of the signer is not there, or not clear"
    UNUSUAL = "the signature is of a form that can be forged"
    WEAK = "the signature uses a method that is no longer safe"
    CHANGED = "it was changed after it was signed"
    BAD_SIGNATURE = "the signature is wrong"
    NOT_TRUSTED = "nobody we trust vouches for the signer"
    EXPIRED = "the signer's certificate was not valid at the time"
    REVOKED = "the signer's certificate was withdrawn"
    WRONG_USE = "the signer's certificate is not for signing mail"
    NOT_THE_AUTHOR = "somebody else than its author signed it"
    AUTHOR_UNCLEAR = "it does not say clearly who wrote it"


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed. `address` is the one in From and in the certificate."""

    address: str
    name: str  # the certificate's common name: what its issuer calls the person
    issuer: str
    until: datetime
    fingerprint: bytes  # SHA-256 of the certificate


@dataclass(frozen=True, slots=True)
class Signature:
    """`content` is the entity inside an opaque signature (RFC 8551 §3.5.2), whatever the state; None for others."""

    state: SignatureState
    fault: Fault | None = None
    signer: Signer | None = None
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom we trust to vouch for people, and which certificates (SHA-256) were withdrawn.

    Lists of withdrawn certificates and OCSP are not fetched here: whoever fetches them fills `withdrawn`.
    """

    anchors: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...] = ()
    withdrawn: Collection[bytes] = frozenset()


class NotOpened(StrEnum):
    NOT_FOR_US = "it is not encrypted for this certificate"
    MALFORMED = "the envelope cannot be read"
    UNSUPPORTED = "it is encrypted in a way that we do not know"
    CHANGED = "it was changed on its way"


@dataclass(frozen=True, slots=True)
class Opened:
    """The entity that was encrypted: a header and a body, which may be signed in turn.

    `authenticated` False: AES-CBC, whose text somebody on the way can bend (M9): show it as plain text only, with a
    warning, and never put it together with parts from outside.
    """

    content: bytes
    authenticated: bool
