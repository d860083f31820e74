"""Events of the rules for mail that leaves: what an organisation asks, and which domains are excused from TLS.

Promises
    The rules themselves are kept, version by version, in a table that nobody may change; here is who and why.
"""

from dataclasses import dataclass
from typing import ClassVar

from carepost.audit.events import Event, EventName
from carepost.base.ids import TraceId


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingRulesSet(Event):
    """R159. `changed`: how many lines are different from the version before."""

    name: ClassVar = EventName.OUTGOING_RULES_SET
    version: int
    changed: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidanceSeen(Event):
    """R115: a person has read the guidance before their first secure link."""

    name: ClassVar = EventName.GUIDANCE_SEEN
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsExceptionMade(Event):
    """R107: mail to this domain that is not sensitive may leave without verified TLS until then."""

    name: ClassVar = EventName.TLS_EXCEPTION_MADE
    domain: str
    until: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsExceptionEnded(Event):
    name: ClassVar = EventName.TLS_EXCEPTION_ENDED
    domain: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingReviewed(Event):
    """Somebody looked at why an outgoing message was held; they did not see its content."""

    name: ClassVar = EventName.OUTGOING_REVIEWED
    trace: TraceId


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingHeldRefused(Event):
    """Somebody looked at what was held and did not let it go; its sender was told why."""

    name: ClassVar = EventName.OUTGOING_HELD_REFUSED
    trace: TraceId
    recipients: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DisclaimerLeftOut(Event):
    """R146: a message left without it. `why` is "sealed" (signed or encrypted end to end) or "no place"."""

    name: ClassVar = EventName.DISCLAIMER_LEFT_OUT
    trace: TraceId
    why: str
