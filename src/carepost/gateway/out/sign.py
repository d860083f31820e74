"""Signing what leaves, for mailboxes whose certificate is to sign it. S/MIME, R126.

Promises
    Signed last of what changes a message's text, so after the disclaimer, and before DKIM: what arrives is what was
    signed. What somebody's own program signed or encrypted stays as it is.
    A message that cannot be signed leaves without, and the record says why: nothing waits, and nothing is lost.
"""

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from carepost.base.clock import Clock
from carepost.base.errors import NotPossible
from carepost.message.edit import is_sealed
from carepost.message.parse import parse
from carepost.message.smime import sign
from carepost.message.smime_keys import KeyPair
from carepost.store.certificates import MailCertificates
from carepost.store.model import MailboxLike


class Unsigned(StrEnum):
    """Why a message left without the signature that its mailbox's certificate would give."""

    NOT_ITS_OWN = "the certificate is not the author's, or the text would not arrive as it was signed"
    OUT_OF_TIME = "the certificate is not valid now"


class SignsMail(Protocol):
    async def signer(self, mailbox: MailboxLike) -> KeyPair | Unsigned | None:
        """With what to sign; why not; None for mailboxes that do not sign."""
        ...


class NobodySigns:
    async def signer(self, mailbox: MailboxLike) -> KeyPair | Unsigned | None:  # noqa: ARG002 - nobody does
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatesSign:
    """The newest certificate of the mailbox that is to sign, and is in its time."""

    certificates: MailCertificates
    clock: Clock

    async def signer(self, mailbox: MailboxLike) -> KeyPair | Unsigned | None:
        now = self.clock.now()
        pairs = await self.certificates.pairs(mailbox, only_signing=True)
        for pair in pairs:
            withdrawn = pair.fingerprint in self.certificates.trust.withdrawn
            if not withdrawn and pair.certificate.not_valid_before_utc <= now <= pair.certificate.not_valid_after_utc:
                return pair
        return Unsigned.OUT_OF_TIME if pairs else None


def signed(raw: bytes, signer: KeyPair | Unsigned | None) -> tuple[bytes, Unsigned | None]:
    """The message as it leaves, and why it is not signed though it should be. CPU only."""
    if signer is None or is_sealed(parse(raw)):
        return raw, None
    if isinstance(signer, Unsigned):
        return raw, signer
    try:
        return sign(raw, signer.certificate, signer.key, chain=signer.chain, salt=secrets.token_hex(12)), None
    except NotPossible:
        return raw, Unsigned.NOT_ITS_OWN
