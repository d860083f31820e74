"""Events of S/MIME: which certificates mailboxes have.

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
