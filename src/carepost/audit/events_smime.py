"""Events of S/MIME: which certificates mailboxes and correspondents have.

Promises
    A certificate is named by its SHA-256; no key, no name and no address is in an event.
"""

from dataclasses import dataclass
from typing import ClassVar

from carepost.audit.events import Event, EventName
from carepost.base.ids import MailboxId, TraceId


@dataclass(frozen=True, slots=True, kw_only=True)
class MailCertificateAdded(Event):
    name: ClassVar = EventName.MAIL_CERTIFICATE_ADDED
    mailbox: MailboxId
    fingerprint: str
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailCertificateRemoved(Event):
    """What was encrypted for it alone cannot be opened any more."""

    name: ClassVar = EventName.MAIL_CERTIFICATE_REMOVED
    mailbox: MailboxId
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureLeftOut(Event):
    """A message left without the signature that its mailbox's certificate would have given, and why."""

    name: ClassVar = EventName.SIGNATURE_LEFT_OUT
    trace: TraceId
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrespondentCertificateTrusted(Event):
    """What is relayed to its address is encrypted for it from now on."""

    name: ClassVar = EventName.CORRESPONDENT_CERTIFICATE_TRUSTED
    fingerprint: str
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrespondentCertificateDistrusted(Event):
    """What is relayed to its address is not encrypted with S/MIME any more."""

    name: ClassVar = EventName.CORRESPONDENT_CERTIFICATE_DISTRUSTED
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotEncryptedHeld(Event):
    """A message is held: it was to be encrypted for these recipients, and their certificates cannot be used."""

    name: ClassVar = EventName.NOT_ENCRYPTED_HELD
    trace: TraceId
    recipients: int
    why: str
