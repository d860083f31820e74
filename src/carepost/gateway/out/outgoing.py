"""The values of mail that goes out: what is wanted, what is asked, what was decided, what became of it. PURE.

Promises
    Every door fills in one `Submission`; the same one gives the same `Consideration`, at the preview and at the send.
    A `Question` is told from another by its fingerprint: an answer to what is no longer asked counts for nothing.

Start reading at outbound.py, which takes and gives these.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from carepost.base.address import EmailAddress
from carepost.base.ids import FolderId, MailboxId, OrganisationId, OutgoingId, PersonId, TraceId, Uid
from carepost.delivery.model import LeastTls
from carepost.gateway.model import Finding
from carepost.policy.actions import Decision
from carepost.portal.model import Agreed, Level

FINGERPRINT_DIGITS = 16


class OutDoor(StrEnum):
    """By which door a message is handed in."""

    WEB = "web"  # the compose page: questions are answered there and then
    SUBMISSION = "submission"  # 465 and 587: questions are put in a letter
    SYSTEM = "system"  # the service itself: autoreplies, notices
    PORTAL = "portal"  # a secure message that goes on


class Route(StrEnum):
    """How one recipient gets it."""

    INSIDE = "inside"  # laid into a mailbox of ours
    RELAY = "relay"  # over the wire, with at least the TLS that the row names
    PORTAL = "portal"  # read by a secure link
    HOLD = "hold"  # waits for a person
    REFUSE = "refuse"


class Chip(StrEnum):
    """What stands beside a recipient's name (R104, R140)."""

    INSIDE = "inside"
    SECURE = "secure"
    OUTSIDE = "outside"
    LOOKALIKE = "lookalike"
    UNKNOWN = "unknown"


class Choice(StrEnum):
    """What a sender may answer."""

    CONFIRM = "confirm"
    REASON = "reason"  # confirm, and say why
    BCC = "bcc"  # nobody outside sees the others
    INDIVIDUALLY = "individually"  # a message for each, with them alone in it
    PORTAL = "portal"  # by the secure link instead
    LEAVE_OUT = "leave-out"  # not to these people


@dataclass(frozen=True, slots=True)
class Wanted:
    """One recipient of the envelope."""

    address: EmailAddress
    notify: frozenset[str] = frozenset()  # RFC 3461 §4.1
    original: str | None = None  # ORCPT. RFC 3461 §4.2


@dataclass(frozen=True, slots=True)
class Answer:
    card: str
    choice: Choice
    fingerprint: str  # of the question as it was asked
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RepliesTo:
    """What a message answers: it gets \\Answered when the answer leaves."""

    mailbox: MailboxId
    folder: FolderId
    uid: Uid
    was_bcc: bool | None = None  # the mailbox had it as a hidden copy (R157); None: not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A message as a person hands it in. `raw` may hold Bcc: kept in the Sent copy, stripped on the way out."""

    organisation: OrganisationId
    person: PersonId | None  # None for OutDoor.SYSTEM only
    mailbox: MailboxId  # sends as: the person's own, or a shared one
    reverse_path: EmailAddress | None  # None for OutDoor.SYSTEM only
    recipients: tuple[Wanted, ...]
    raw: bytes = field(repr=False)
    door: OutDoor
    answers: tuple[Answer, ...] = ()
    send_at: datetime | None = None
    undo_seconds: int | None = None  # the person's own wish (R148); None: the policy's
    answers_to: RepliesTo | None = None
    reply_all: bool = False
    envid: str | None = None
    ret: str | None = None
    require_tls: bool = False  # RFC 8689
    secure: bool = False  # the button: by the secure link to everybody who is not on the register
    passphrase: str | None = field(default=None, repr=False)  # agreed by voice, for readers at L2
    agreed: Agreed = Agreed.PHRASE  # what the passphrase is
    telephone: str | None = field(default=None, repr=False)  # for a reader at L3: codes go there too
    client_ip: IPv4Address | IPv6Address | None = None
    once: str = ""  # the number of a form that was never saved: of two presses of it, one sends


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the sender must answer before it leaves. `sentence` is the card's: the same at every door."""

    card: str
    version: str
    title: str
    sentence: str
    says: tuple[str, ...]  # what was found, with the recipient it is about
    choices: tuple[Choice, ...]
    recipients: tuple[EmailAddress, ...]
    unsure: bool = False  # it could not be found out whether the card applies
    because: str = ""

    @property
    def fingerprint(self) -> str:
        parts = [self.card, self.version, *sorted(one.key for one in self.recipients), "", *self.says]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:FINGERPRINT_DIGITS]

    def is_answered_by(self, answers: Sequence[Answer]) -> Answer | None:
        """The answer to this very question, if there is one that counts."""
        for answer in answers:
            told = answer.choice is not Choice.REASON or answer.reason.strip()
            if answer.fingerprint == self.fingerprint and answer.choice in self.choices and told:
                return answer
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteFor:
    """How one recipient gets it, and why. `says` is the card's sentence, or what was found."""

    address: EmailAddress
    route: Route
    chip: Chip
    decision: Decision
    says: str
    least: LeastTls | None = None  # for RELAY
    mailbox: MailboxId | None = None  # for INSIDE
    organisation: OrganisationId | None = None  # for INSIDE
    facts: Mapping[str, str | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consideration:
    """What would become of a submission: the preview of the compose page and the truth at the send."""

    routes: tuple[RouteFor, ...]
    questions: tuple[Question, ...]  # those that no given answer settles
    refusals: tuple[str, ...]  # in words: From, limits, header injection. The whole message is not taken
    findings: tuple[Finding, ...]
    answered: tuple[tuple[Question, Answer], ...] = ()
    least: Level = Level.MAILBOX  # what readers of its links must prove at least (ADR-0017)

    @property
    def may_leave(self) -> bool:
        return not self.questions and not self.refusals


@dataclass(frozen=True, slots=True)
class Submitted:
    """Ours now, after COMMIT. Until `release_at` it can be undone; `asked`: it waits for the sender's answers."""

    id: OutgoingId
    trace: TraceId
    release_at: datetime
    asked: bool


@dataclass(frozen=True, slots=True)
class NeedsAnswers:
    """Nothing was kept: the page shows the questions (OutDoor.WEB only)."""

    consideration: Consideration


class OutState(StrEnum):
    """Where a message as a whole stands."""

    ASKED = "asked"  # waits for the sender
    WAITING = "waiting"  # for its time: the send delay, or the hour the sender chose
    RELEASED = "released"  # has left, recipient by recipient
    CANCELLED = "cancelled"  # undone, or never confirmed


class RecipientState(StrEnum):
    """Where one recipient's copy stands (R165)."""

    WAITING = "waiting"
    HELD = "held"  # for a person to look at
    QUEUED = "queued"  # to be delivered over the wire
    DELIVERED = "delivered"  # in a mailbox of ours
    RELAYED = "relayed"  # the next system has taken it
    NOTICED = "noticed"  # the notice of a secure message was taken
    OPENED = "opened"  # the secure message was read
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REVOKED = "revoked"  # recalled: it cannot be read any more
    REFUSED = "refused"


NOT_DELIVERED = frozenset({RecipientState.FAILED, RecipientState.EXPIRED, RecipientState.REFUSED})
SETTLED = NOT_DELIVERED | {
    RecipientState.DELIVERED,
    RecipientState.RELAYED,
    RecipientState.OPENED,
    RecipientState.CANCELLED,
    RecipientState.REVOKED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingRecipient:
    """One recipient as its sender sees it."""

    seq: int
    address: EmailAddress
    route: Route
    state: RecipientState
    says: str  # why this route, and what became of it
    card: str | None
    changed_at: datetime
    opened_at: datetime | None = None
    noticed_at: datetime | None = None
    delayed: bool = False  # tried, and not taken yet
    cleared: bool = False  # taken off the "Not delivered" tray by a person

    @property
    def is_on_tray(self) -> bool:
        return self.state in NOT_DELIVERED and not self.cleared


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingQuestion:
    """A question as it is kept with the message, and its answer."""

    number: int
    question: Question
    asked_at: datetime
    answer: Answer | None
    answered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingRow:
    """One message that goes or went out, for the pages of those who may send from its mailbox."""

    id: OutgoingId
    trace: TraceId
    mailbox: MailboxId
    person: PersonId | None
    door: OutDoor
    state: OutState
    subject: str
    submitted_at: datetime
    release_at: datetime
    settled_at: datetime | None
    recipients: tuple[OutgoingRecipient, ...]
    questions: tuple[OutgoingQuestion, ...] = ()

    def may_be_undone(self, now: datetime) -> bool:
        return self.state in {OutState.ASKED, OutState.WAITING} and (
            self.state is OutState.ASKED or now <= self.release_at
        )


@dataclass(frozen=True, slots=True)
class OutgoingPage:
    rows: Sequence[OutgoingRow]
    next_key: OutgoingId | None  # None: there is no more


@dataclass(frozen=True, slots=True)
class Draft:
    """An undone message: it lies among the drafts again, and here it is to go on writing."""

    raw: bytes = field(repr=False)
    mailbox: MailboxId
    folder: FolderId
    uid: Uid


class Recall(StrEnum):
    """What a recall came to for one recipient (R148)."""

    STOPPED = "stopped"  # it had not left
    REMOVED = "removed"  # unread, and gone from their mailbox
    REVOKED = "revoked"  # the secure link is dead
    READ = "read"  # inside, and read already
    GONE = "gone"  # inside, and deleted or moved out of reach by them
    TOO_LATE = "too late"  # it has left our systems
    NEVER = "never"  # they never got it


@dataclass(frozen=True, slots=True)
class RecallResult:
    address: EmailAddress
    seq: int
    result: Recall
    says: str
    opened_at: datetime | None = None  # a secure link that had been opened before


@dataclass(frozen=True, slots=True)
class Quoted:
    """A reply of our own people that quotes a recalled message."""

    trace: TraceId
    mailbox: MailboxId
    at: datetime


@dataclass(frozen=True, slots=True)
class RecallReport:
    """For the sender, and for a breach report."""

    results: tuple[RecallResult, ...]
    quoted: tuple[Quoted, ...] = ()
