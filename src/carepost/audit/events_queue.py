"""Events of the delivery queue: what operators and administrators did to mail that was on its way.

Promises
    Messages are named by trace id and by their number in the queue: never by address or domain.
"""

from dataclasses import dataclass
from typing import ClassVar

from carepost.audit.events import Event, EventName
from carepost.base.ids import DeliveryId, TraceId


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRead(Event):
    """Somebody looked at what waits; `delivery` is set when it was one message, with its recipients."""

    name: ClassVar = EventName.QUEUE_READ
    found: int
    delivery: DeliveryId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueHurried(Event):
    """What waited was to be tried at once: of one message, or all for one destination."""

    name: ClassVar = EventName.QUEUE_HURRIED
    recipients: int
    delivery: DeliveryId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueHeld(Event):
    """A message is held back: nobody tries it until it is let go."""

    name: ClassVar = EventName.QUEUE_HELD
    trace: TraceId
    delivery: DeliveryId
    recipients: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLetGo(Event):
    name: ClassVar = EventName.QUEUE_LET_GO
    trace: TraceId
    delivery: DeliveryId
    recipients: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStopped(Event):
    """A message was given up before its time; its sender was told."""

    name: ClassVar = EventName.QUEUE_STOPPED
    trace: TraceId
    delivery: DeliveryId
    recipients: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueReplayed(Event):
    """What had been delivered is sent once more from the safety net (C12)."""

    name: ClassVar = EventName.QUEUE_REPLAYED
    trace: TraceId
    delivery: DeliveryId  # the one that was delivered
    recipients: int
    reason: str
