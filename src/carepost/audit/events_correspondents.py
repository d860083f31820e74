"""Events of correspondents and of the register: what somebody vouched for.

Promises
    A correspondent is named by the keyed hash that the database knows them by: never by address or name.
"""

from dataclasses import dataclass
from typing import ClassVar

from carepost.audit.events import Event, EventName
from carepost.base.ids import MailboxId


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentNoted(Event):
    """Somebody outside agreed to plain email, or took it back."""

    name: ClassVar = EventName.CONSENT_NOTED
    mailbox: MailboxId
    correspondent: str
    agreed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientFlagged(Event):
    name: ClassVar = EventName.PATIENT_FLAGGED
    mailbox: MailboxId
    correspondent: str
    patient: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrespondentVerified(Event):
    """R178."""

    name: ClassVar = EventName.CORRESPONDENT_VERIFIED
    mailbox: MailboxId
    correspondent: str
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrespondentDenied(Event):
    """Whoever reads the address said that they are not who was meant (R130)."""

    name: ClassVar = EventName.CORRESPONDENT_DENIED
    mailbox: MailboxId
    correspondent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrespondentForgotten(Event):
    """R150."""

    name: ClassVar = EventName.CORRESPONDENT_FORGOTTEN
    mailbox: MailboxId
    correspondent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureDomainsImported(Event):
    """A published list was taken over (R103); every line that changed something has an event of its own."""

    name: ClassVar = EventName.SECURE_DOMAINS_IMPORTED
    source: str
    listed: int
    renewed: int
    removed: int
