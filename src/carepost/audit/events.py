"""Every event that can be recorded: an enum of names, and a value for each that says what its details are.

Promises
    Details are ids, counts, names of cards and rules, and reasons that people gave. There is no field for a body, a
    subject, an address of a message or an attachment's name; nor for a password, a code or a token.
    `canonical` gives the same text for the same details, always: it is what the chain seals.

Events of mail live in events_mail.py; both are one list, `EventName`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum, StrEnum
from typing import ClassVar

from carepost.base.ids import AppPasswordId, MailboxId, OrganisationId, PersonId

Scalar = str | int | bool | None

# A reason fits in a paragraph. What is longer is cut: the record is not a place to keep documents.
DETAIL_TEXT_MAX = 1000


class EventName(StrEnum):
    """area.thing.happened. A retired name stays, with a note, because old entries still mean something."""

    SIGN_IN_ACCEPTED = "identity.sign_in.accepted"
    SIGN_IN_FAILED = "identity.sign_in.failed"
    SIGN_IN_THROTTLED = "identity.sign_in.throttled"
    SIGN_IN_LOCKED = "identity.sign_in.locked"
    SIGN_IN_UNLOCKED = "identity.sign_in.unlocked"
    SESSION_ENDED = "identity.session.ended"
    SESSIONS_REVOKED = "identity.session.revoked"
    APP_PASSWORD_GRANTED = "identity.app_password.granted"  # noqa: S105 - a name
    APP_PASSWORD_REVOKED = "identity.app_password.revoked"  # noqa: S105 - a name
    APP_PASSWORD_FIRST_USED = "identity.app_password.first_used"  # noqa: S105 - a name
    PASSWORD_SET = "identity.password.set"  # noqa: S105 - a name
    SECOND_FACTOR_SET = "identity.second_factor.set"
    SECOND_FACTOR_REMOVED = "identity.second_factor.removed"

    ORGANISATION_CREATED = "directory.organisation.created"
    ORGANISATION_CLOSED = "directory.organisation.closed"
    DOMAIN_ADDED = "directory.domain.added"
    SECURE_DOMAIN_LISTED = "directory.secure_domain.listed"
    SECURE_DOMAIN_REMOVED = "directory.secure_domain.removed"
    SECURE_DOMAINS_IMPORTED = "directory.secure_domain.imported"
    TLS_EXCEPTION_MADE = "directory.tls_exception.made"
    TLS_EXCEPTION_ENDED = "directory.tls_exception.ended"
    OUTGOING_RULES_SET = "directory.outgoing_rules.set"
    GUIDANCE_SEEN = "directory.guidance.seen"
    PERSON_CREATED = "directory.person.created"
    PERSON_STATUS_CHANGED = "directory.person.status_changed"
    MAIL_CLIENTS_ALLOWED = "directory.person.mail_clients_allowed"
    MAILBOX_CREATED = "directory.mailbox.created"
    MAILBOX_STATUS_CHANGED = "directory.mailbox.status_changed"
    ADDRESS_ADDED = "directory.address.added"
    MEMBER_ADDED = "directory.member.added"
    MEMBER_REMOVED = "directory.member.removed"
    ROLE_GRANTED = "directory.role.granted"
    ROLE_REVOKED = "directory.role.revoked"
    CONSENT_NOTED = "directory.correspondent.consent_noted"
    PATIENT_FLAGGED = "directory.correspondent.patient_flagged"
    CORRESPONDENT_VERIFIED = "directory.correspondent.verified"
    CORRESPONDENT_DENIED = "directory.correspondent.denied"
    CORRESPONDENT_FORGOTTEN = "directory.correspondent.forgotten"
    WORDING_CHANGED = "directory.wording.changed"
    WORDING_REMOVED = "directory.wording.removed"
    UNDO_CHOSEN = "directory.undo.chosen"

    AUP_PUBLISHED = "governance.acceptable_use.published"
    AUP_ACCEPTED = "governance.acceptable_use.accepted"

    MAIL_RECEIVED = "mail.message.received"
    MAIL_DELIVERED = "mail.message.delivered"
    MAIL_HELD = "mail.message.held"
    MAIL_RELEASED = "mail.message.released"
    MAIL_REFUSED = "mail.message.refused"
    MAIL_DELETED_FROM_QUARANTINE = "mail.quarantine.deleted"
    MAIL_EXPIRED_IN_QUARANTINE = "mail.quarantine.expired"
    QUARANTINE_REVIEWED = "mail.quarantine.reviewed"
    FOLDER_CREATED = "mail.folder.created"
    FOLDER_RENAMED = "mail.folder.renamed"
    FOLDER_DELETED = "mail.folder.deleted"
    MESSAGES_FILED = "mail.messages.filed"
    MESSAGES_COPIED = "mail.messages.copied"
    MESSAGES_MOVED = "mail.messages.moved"
    MESSAGES_EXPUNGED = "mail.messages.expunged"
    SHARED_MAILBOX_OPENED = "mail.shared_mailbox.opened"
    TRACE_READ = "mail.trace.read"
    WHY_READ = "mail.why.read"

    AUTOREPLY_SET = "mail.autoreply.set"
    AUTOREPLY_SENT = "mail.autoreply.sent"
    FORWARDING_ASKED = "mail.forwarding.asked"
    FORWARDING_ALLOWED = "mail.forwarding.allowed"
    FORWARDING_ENDED = "mail.forwarding.ended"
    MAIL_FORWARDED = "mail.forwarding.sent_on"

    OUTGOING_TAKEN = "mail.outgoing.taken"
    OUTGOING_REFUSED = "mail.outgoing.refused"
    OUTGOING_ANSWERED = "mail.outgoing.answered"
    OUTGOING_CANCELLED = "mail.outgoing.cancelled"
    OUTGOING_RELEASED = "mail.outgoing.released"
    OUTGOING_NOT_DELIVERED = "mail.outgoing.not_delivered"
    OUTGOING_RESENT = "mail.outgoing.resent"
    OUTGOING_LET_GO = "mail.outgoing.let_go"
    OUTGOING_RECALLED = "mail.outgoing.recalled"
    COPY_TAKEN_BACK = "mail.outgoing.copy_taken_back"
    OUTGOING_REVIEWED = "mail.outgoing.reviewed"
    OUTGOING_HELD_REFUSED = "mail.outgoing.held_refused"
    DISCLAIMER_LEFT_OUT = "mail.outgoing.disclaimer_left_out"

    QUEUE_READ = "mail.queue.read"
    QUEUE_HURRIED = "mail.queue.hurried"
    QUEUE_HELD = "mail.queue.held"
    QUEUE_LET_GO = "mail.queue.let_go"
    QUEUE_STOPPED = "mail.queue.stopped"
    QUEUE_REPLAYED = "mail.queue.replayed"

    SECURE_MESSAGE_MADE = "portal.message.made"
    SECURE_MESSAGE_OPENED = "portal.message.opened"
    SECURE_MESSAGE_READ = "portal.message.read"
    SECURE_FILE_DOWNLOADED = "portal.file.downloaded"
    SECURE_MESSAGE_ANSWERED = "portal.message.answered"
    SECURE_PROOF_FAILED = "portal.proof.failed"
    SECURE_MESSAGE_FROZEN = "portal.message.frozen"
    SECURE_MESSAGE_CLOSED = "portal.message.closed"
    SECURE_MESSAGE_EXTENDED = "portal.message.extended"
    ACCESS_ASKED = "portal.access.asked"
    ACCESS_SETTLED = "portal.access.settled"

    LARGE_FILE_JUDGED = "store.large_file.judged"
    LARGE_FILE_DOWNLOADED = "store.large_file.downloaded"
    LARGE_FILE_DELETED = "store.large_file.deleted"
    PASSKEY_KEPT = "portal.passkey.kept"
    PASSKEY_USED = "portal.passkey.used"
    PASSKEY_REMOVED = "portal.passkey.removed"
    PASSKEY_COPIED = "portal.passkey.copied"
    MAIL_CERTIFICATE_ADDED = "store.certificate.added"
    MAIL_CERTIFICATE_REMOVED = "store.certificate.removed"
    SIGNATURE_LEFT_OUT = "gateway.signature.left_out"
    CORRESPONDENT_CERTIFICATE_TRUSTED = "store.certificate.trusted"
    CORRESPONDENT_CERTIFICATE_DISTRUSTED = "store.certificate.distrusted"
    NOT_ENCRYPTED_HELD = "gateway.encryption.held"

    AUDIT_READ = "audit.record.read"
    CHECKPOINT_SIGNED = "audit.checkpoint.signed"
    KEYS_MINTED = "keys.organisation.minted"
    KEY_ROTATED = "keys.key.rotated"
    DKIM_ROTATED = "keys.dkim.rotated"
    BACKUP_MADE = "operate.backup.made"
    RESTORE_CHECKED = "operate.restore.checked"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. A subclass's fields are its details; None means "not known" and is left out."""

    name: ClassVar[EventName]

    def details(self) -> Mapping[str, Scalar]:
        found = {field.name: _scalar(getattr(self, field.name)) for field in fields(self)}
        return {key: value for key, value in found.items() if value is not None}


def _scalar(value: object) -> Scalar:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        return value[:DETAIL_TEXT_MAX]
    if value is None or isinstance(value, bool | int):
        return value
    raise TypeError(f"{type(value).__name__} has no place in the record")


def canonical(details: Mapping[str, Scalar]) -> str:
    """JSON with sorted keys, no spaces and nothing but ASCII: control characters cannot reach a terminal (A6)."""
    return json.dumps(dict(details), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


# --- signing in -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInAccepted(Event):
    name: ClassVar = EventName.SIGN_IN_ACCEPTED
    person: PersonId
    door: str
    shared_computer: bool
    new_device: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInFailed(Event):
    name: ClassVar = EventName.SIGN_IN_FAILED
    person: PersonId
    door: str
    reason: str  # "wrong password", "wrong code", "not allowed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInThrottled(Event):
    name: ClassVar = EventName.SIGN_IN_THROTTLED
    person: PersonId
    door: str
    wait_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInLocked(Event):
    name: ClassVar = EventName.SIGN_IN_LOCKED
    person: PersonId
    failures: int
    minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInUnlocked(Event):
    name: ClassVar = EventName.SIGN_IN_UNLOCKED
    person: PersonId


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded(Event):
    name: ClassVar = EventName.SESSION_ENDED
    person: PersonId
    session: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsRevoked(Event):
    name: ClassVar = EventName.SESSIONS_REVOKED
    person: PersonId
    sessions: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AppPasswordGranted(Event):
    name: ClassVar = EventName.APP_PASSWORD_GRANTED
    person: PersonId
    app_password: AppPasswordId
    device: str
    scopes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AppPasswordRevoked(Event):
    name: ClassVar = EventName.APP_PASSWORD_REVOKED
    person: PersonId
    app_password: AppPasswordId


@dataclass(frozen=True, slots=True, kw_only=True)
class AppPasswordFirstUsed(Event):
    name: ClassVar = EventName.APP_PASSWORD_FIRST_USED
    person: PersonId
    app_password: AppPasswordId
    door: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordSet(Event):
    name: ClassVar = EventName.PASSWORD_SET
    person: PersonId
    must_change: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactorSet(Event):
    name: ClassVar = EventName.SECOND_FACTOR_SET
    person: PersonId
    factor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactorRemoved(Event):
    name: ClassVar = EventName.SECOND_FACTOR_REMOVED
    person: PersonId
    factor: str
    reason: str


# --- who exists -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationCreated(Event):
    name: ClassVar = EventName.ORGANISATION_CREATED
    organisation: OrganisationId
    code: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationClosed(Event):
    name: ClassVar = EventName.ORGANISATION_CLOSED
    organisation: OrganisationId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainAdded(Event):
    name: ClassVar = EventName.DOMAIN_ADDED
    domain: str
    organisation: OrganisationId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureDomainListed(Event):
    name: ClassVar = EventName.SECURE_DOMAIN_LISTED
    domain: str
    match: str
    source: str
    until: str  # ISO 8601 date


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureDomainRemoved(Event):
    name: ClassVar = EventName.SECURE_DOMAIN_REMOVED
    domain: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonCreated(Event):
    name: ClassVar = EventName.PERSON_CREATED
    person: PersonId
    mailbox: MailboxId
    duplicate_override: str | None = None  # the reason given for going on although somebody like them exists (R11)


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonStatusChanged(Event):
    name: ClassVar = EventName.PERSON_STATUS_CHANGED
    person: PersonId
    before: str
    after: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailClientsAllowed(Event):
    """R193: whether this person may use mail clients on devices of their own."""

    name: ClassVar = EventName.MAIL_CLIENTS_ALLOWED
    person: PersonId
    allowed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxCreated(Event):
    name: ClassVar = EventName.MAILBOX_CREATED
    mailbox: MailboxId
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxStatusChanged(Event):
    name: ClassVar = EventName.MAILBOX_STATUS_CHANGED
    mailbox: MailboxId
    before: str
    after: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressAdded(Event):
    name: ClassVar = EventName.ADDRESS_ADDED
    mailbox: MailboxId


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberAdded(Event):
    """Also when a member becomes an owner or the reverse: `before` is the right they had."""

    name: ClassVar = EventName.MEMBER_ADDED
    mailbox: MailboxId
    person: PersonId
    right: str
    before: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRemoved(Event):
    name: ClassVar = EventName.MEMBER_REMOVED
    mailbox: MailboxId
    person: PersonId
    right: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleGranted(Event):
    name: ClassVar = EventName.ROLE_GRANTED
    person: PersonId
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleRevoked(Event):
    name: ClassVar = EventName.ROLE_REVOKED
    person: PersonId
    role: str


# --- acceptable use -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AupPublished(Event):
    name: ClassVar = EventName.AUP_PUBLISHED
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AupAccepted(Event):
    name: ClassVar = EventName.AUP_ACCEPTED
    person: PersonId
    version: int
    client: str


# --- the record, keys, operation ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRead(Event):
    name: ClassVar = EventName.AUDIT_READ
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSigned(Event):
    name: ClassVar = EventName.CHECKPOINT_SIGNED
    entries: int
    organisations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysMinted(Event):
    name: ClassVar = EventName.KEYS_MINTED
    organisation: OrganisationId
    mailbox: MailboxId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRotated(Event):
    name: ClassVar = EventName.KEY_ROTATED
    key: str  # "root", "organisation", "checkpoint"
    rewrapped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupMade(Event):
    name: ClassVar = EventName.BACKUP_MADE
    bytes: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreChecked(Event):
    name: ClassVar = EventName.RESTORE_CHECKED
    whole: bool
    messages: int
