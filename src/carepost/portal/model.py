"""What the portal speaks of: secure messages, their readers, how surely we know who is reading. PURE.

Promises
    Values and policy only: nothing here looks up, opens or waits.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from carepost.base.address import EmailAddress
from carepost.base.ids import MailboxId, ObjectId, OrganisationId, OutgoingId, TraceId

SecureMessageId = NewType("SecureMessageId", int)
AccessRequestId = NewType("AccessRequestId", int)


class Level(StrEnum):
    """Proof of the reader, weakest first. A failure never leads to a weaker one."""

    MAILBOX = "L1"  # a code sent to the address: proves that they read that mailbox
    AGREED = "L2"  # and a phrase agreed by voice, or a fact on record, which no one who only reads the mailbox knows
    STRONG = "L3"  # and a passkey, or a code to a telephone that the sender named


class Kind(StrEnum):
    LETTER = "letter"
    INVITATION = "invitation"  # no content: the outsider is asked to write first
    CONFIRMATION = "confirmation"  # no content: the outsider is asked whether this is them (R130)


class State(StrEnum):
    OPEN = "open"
    REVOKED = "revoked"  # by the sender; its key is destroyed
    EXPIRED = "expired"  # its time is over; its key is destroyed


class Agreed(StrEnum):
    """What the second proof of L2 is called on the page."""

    PHRASE = "phrase"  # words told by telephone or face to face
    BIRTH = "birth"  # the reader's date of birth


class What(StrEnum):
    """What happened to a secure message: the sender's record (R124) and the reader's own log."""

    MADE = "made"
    NOTICED = "noticed"  # the notice was taken over by the recipient's mail system
    CODE_SENT = "code sent"
    WRONG = "wrong"  # a code or a phrase that was not right
    OPENED = "opened"  # somebody proved who they are
    READ = "read"  # the text was shown
    DOWNLOADED = "downloaded"
    REPLIED = "replied"
    ASKED = "asked"  # somebody to whom the notice was forwarded asks for access
    FROZEN = "frozen"
    EXTENDED = "extended"
    REVOKED = "revoked"
    EXPIRED = "expired"
    CONFIRMED = "confirmed"  # yes, this is me (R130)
    DENIED = "denied"  # no, this is not me
    PASSKEY_KEPT = "passkey kept"
    PASSKEY_REMOVED = "passkey removed"
    PASSKEY_COPIED = "passkey copied"  # its counter did not grow: it is not accepted any more


class Channel(StrEnum):
    """By which way a code went."""

    MAIL = "mail"
    TEXT = "text"  # to a telephone


class Step(StrEnum):
    """Where a browser stands with one message."""

    CODE = "code"
    PHRASE = "phrase"
    TEXT = "text"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalPolicy:
    """Every number of the portal."""

    url: str = "http://127.0.0.1:8081"
    pages: str = ""  # where our own people's pages are, for the letters that senders get
    # The local part of the one address of each domain that notices and codes come from. Nobody reads it.
    writer: str = "secure-messages"
    expires_after: timedelta = timedelta(days=28)  # R122
    expires_max: timedelta = timedelta(days=365)  # R122
    # The least proof for a message with patient details. With L2 one without an agreed phrase is refused (ADR-0017).
    patient_level: Level = Level.MAILBOX
    code_digits: int = 8  # P(guess) is 15 tries an hour in 10^8
    code_lasts: timedelta = timedelta(minutes=10)
    code_tries: int = 5
    codes_per_hour: int = 3  # of one message
    failures_per_day: int = 10  # of one message; then it is frozen and its sender told
    frozen_for: timedelta = timedelta(hours=24)
    codes_per_address_hour: int = 12  # over all messages of an organisation to one address
    codes_per_source_hour: int = 60  # from one network: a hospital's waiting room is one
    failures_per_source_hour: int = 100  # unknown links and wrong codes from one network
    idle: timedelta = timedelta(minutes=15)
    session: timedelta = timedelta(hours=12)
    replies_max: int = 10
    reply_mb: int = 25
    invitations_per_day: int = 50  # of one mailbox
    requests_per_message: int = 5
    challenge_lasts: timedelta = timedelta(minutes=5)
    passkeys_max: int = 10  # of one address with one organisation
    passkey_tries_per_hour: int = 30  # of one message; and from one network as many as codes
    # How often a running download asks whether it still may.
    recheck: timedelta = timedelta(seconds=1)

    @property
    def is_secure(self) -> bool:
        return self.url.startswith("https://")

    def writer_for(self, sender: EmailAddress) -> EmailAddress:
        """Who notices of this sender's messages come from."""
        return EmailAddress(self.writer, sender.domain)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalLetter:
    """One recipient's copy of a message, to be read by a secure link."""

    organisation: OrganisationId
    mailbox: MailboxId  # whose sender it is
    outgoing: OutgoingId | None
    seq: int
    trace: TraceId
    address: EmailAddress
    sender: EmailAddress
    sender_name: str
    organisation_name: str
    raw: bytes = field(repr=False)  # as this recipient may see it: no Bcc
    patient: bool | None = None  # holds patient details; None: not known, which counts as yes
    level: Level = Level.MAILBOX
    phrase: str | None = field(default=None, repr=False)
    agreed: Agreed = Agreed.PHRASE
    telephone: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None  # None: the policy's time from now


@dataclass(frozen=True, slots=True)
class Made:
    """A secure message that was made. `link` opens nothing by itself, and is known to nobody but its reader."""

    id: SecureMessageId
    link: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What a link holds: by what the message is found, and what proves that it is the link we gave."""

    lookup: bytes  # 96 bits
    verifier: bytes = field(repr=False)  # 160 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureMessage:
    """One secure message, its details opened."""

    organisation: OrganisationId
    id: SecureMessageId
    kind: Kind
    mailbox: MailboxId
    outgoing: OutgoingId | None
    seq: int
    trace: TraceId
    lookup: bytes
    level: Level
    state: State
    made_at: datetime
    expires_at: datetime
    frozen_until: datetime | None
    replies: int
    reply_octets: int
    object: ObjectId | None
    wrapped: bytes | None = field(repr=False)
    salt: bytes | None = field(repr=False)
    verifier_hash: bytes = field(repr=False)
    details: "Details"

    def is_live(self, now: datetime) -> bool:
        return self.state is State.OPEN and now < self.expires_at

    def is_frozen(self, now: datetime) -> bool:
        return self.frozen_until is not None and now < self.frozen_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What of a secure message is sealed to the organisation."""

    address: str
    sender: str
    sender_name: str
    organisation_name: str
    agreed: Agreed = Agreed.PHRASE
    telephone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One line of a message's record."""

    at: datetime
    what: What
    note: str = ""  # the network address of who did it; sealed at rest


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientRecord:
    """What a sender sees of one recipient's link. R124."""

    id: SecureMessageId
    seq: int
    address: str
    level: Level
    state: State
    expires_at: datetime
    frozen: bool
    replies: int
    happened: tuple[Happened, ...]

    def first(self, what: What) -> datetime | None:
        """When it happened first, if it did."""
        return next((one.at for one in self.happened if one.what is what), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRequest:
    """Somebody to whom a notice was forwarded asks to read it. R121."""

    id: AccessRequestId
    message: SecureMessageId
    name: str
    address: str
    words: str
    asked_at: datetime
    state: str  # "waiting", "approved", "refused"
