"""What is given to the delivery queue, and what the queue tells of it. PURE.

Promises
    Values and ports only: nothing here looks up, sends or waits.
    A `Settlement` is told once, in the transaction that makes it true.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Protocol

from carepost.base.address import Domain, EmailAddress
from carepost.base.ids import DeliveryId, ObjectId, OrganisationId, OutgoingId, TraceId
from carepost.delivery.model import HopEvidence, LeastTls, OutEnvelope, SendResult
from carepost.infra.db import Transaction


class Lane(IntEnum):
    """Who goes first when there is more to do than hands: the smaller number."""

    URGENT = 0
    PERSON = 1
    BULK = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchTo:
    """One recipient of a dispatch."""

    seq: int  # the caller's number of this recipient, unique within the dispatch; comes back in the settlement
    address: EmailAddress
    least: LeastTls
    notify: frozenset[str] = frozenset()  # as in OutRecipient
    original: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """A message for recipients outside, stored already as a sealed object of the organisation.

    Its bytes leave as they are, but for the signature that is put above them: Bcc has been taken out before.
    """

    organisation: OrganisationId
    trace: TraceId
    object: ObjectId
    key: bytes  # of the object; sealed before it is written
    size: int  # octets of the message
    reverse_path: EmailAddress | None  # None: the null reverse-path, of which nobody is told anything (RFC 5321 §6.1)
    recipients: tuple[DispatchTo, ...]
    outgoing: OutgoingId | None = None  # None: the service's own mail; there is no sender to tell
    envid: str | None = None
    ret: str | None = None
    require_tls: bool = False
    smtputf8: bool = False
    urgent: bool = False  # delays are told sooner. R145
    lane: Lane = Lane.PERSON
    # Somebody else's message that one of our mailboxes sends on: sealed with ARC, and its sender is a stranger to us,
    # who is told nothing (P18).
    forwarded: bool = False
    expires_after: timedelta | None = None  # None: the schedule's own
    replays: DeliveryId | None = None  # the same message once more: what took it then has lost it (C12)


class Settled(StrEnum):
    """What is told of a recipient. All but `delayed` are final, and one of those is told exactly once."""

    DELIVERED = "delivered"  # the next system has taken it over
    FAILED = "failed"
    EXPIRED = "expired"  # nobody took it for as long as we try
    CANCELLED = "cancelled"  # by a person, before it left
    DELAYED = "delayed"  # not yet; told once at each age that the schedule names
    AGAIN = "again"  # it had been delivered, was lost by who took it, and is queued once more


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What became of one recipient of a dispatch."""

    organisation: OrganisationId
    delivery: DeliveryId
    outgoing: OutgoingId | None
    trace: TraceId
    seq: int
    address: EmailAddress
    outcome: Settled
    says: str  # one plain sentence for the sender
    at: datetime
    attempts: int
    evidence: HopEvidence | None = None
    code: int | None = None
    enhanced: str | None = None
    tls_missing: bool = False  # it waits, or failed, because the hop could not be protected: offer the secure link
    # A whole message (RFC 3464) for the sender's mailbox, when one is owed. Of the recipients that are settled together
    # the first that is told of carries it, for all of them; the others carry None.
    dsn: bytes | None = None


class Follower(Protocol):
    """Whoever keeps count of what was sent. Called inside the transaction that settles; it commits with it."""

    async def settled(self, tx: Transaction, settlement: Settlement) -> None: ...


class Sends(Protocol):
    """How a message crosses the next hop. `delivery.transport.Transport` does it over SMTP.

    Never raises for a peer's faults: they are outcomes. Has deadlines of its own.
    """

    async def send(self, domain: Domain, envelope: OutEnvelope, raw: bytes, least: LeastTls) -> SendResult: ...
