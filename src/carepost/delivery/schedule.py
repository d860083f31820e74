"""When a recipient that nobody took yet is tried again, when its sender is told, and when we stop. PURE.

Promises
    Every attempt that did not settle a recipient leads to exactly one of two: `Again` or `GiveUp`.
    Nobody is given up for what a clock says alone: a clock that jumps costs attempts before it costs mail (D8).
    Chance is an argument: the same random numbers give the same times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How persistent we are. RFC 5321 §4.5.4.1 asks for 30 minutes between later attempts and 4 to 5 days in all."""

    # After the first attempt, the second and so on. A host that greylists lets us in within minutes.
    gaps: Sequence[timedelta] = (MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 30 * MINUTE)
    growth: float = 1.5  # each gap after those, by the one before
    gap_most: timedelta = 66 * MINUTE
    jitter: float = 0.2  # by so much a gap is longer or shorter, so that a thousand messages do not come back at once
    expires_after: timedelta = timedelta(days=5)
    # Attempts that must have been made before a message may expire: in five days there are a hundred.
    attempts_before_expiry: int = 12
    # The ages at which a sender is told that a message is delayed, once each. R145: within the hour, whatever it is:
    # nobody but its sender knows what cannot wait.
    delays: Sequence[timedelta] = (HOUR, 4 * HOUR, 24 * HOUR)


@dataclass(frozen=True, slots=True)
class Again:
    """Try again, not before `at`."""

    at: datetime


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It has been tried for long enough: the sender is told."""


def gap_after(schedule: Schedule, attempts: int, chance: Random) -> timedelta:
    """How long to wait after `attempts` attempts (1 or more)."""
    return _plain_gap(schedule, attempts) * chance.uniform(1 - schedule.jitter, 1 + schedule.jitter)


def _plain_gap(schedule: Schedule, attempts: int) -> timedelta:
    if attempts <= len(schedule.gaps):
        return min(schedule.gaps[attempts - 1], schedule.gap_most)
    gap = schedule.gaps[-1]
    for _ in range(attempts - len(schedule.gaps)):
        gap *= schedule.growth
        if gap >= schedule.gap_most:
            return schedule.gap_most
    return gap


def what_next(
    schedule: Schedule, *, attempts: int, expires_at: datetime, now: datetime, chance: Random
) -> Again | GiveUp:
    """What follows an attempt that settled nothing. `attempts` counts it too."""
    if now >= expires_at and attempts >= schedule.attempts_before_expiry:
        return GiveUp()
    at = now + gap_after(schedule, attempts, chance)
    if now < expires_at < at:
        # The last attempt is made when the time is over, not an hour later.
        at = expires_at
    return Again(at)


def delays_due(schedule: Schedule, *, queued_at: datetime, now: datetime) -> int:
    """How many notices of delay its sender should have had by now."""
    age = now - queued_at
    return sum(age >= told for told in schedule.delays)


def latest(schedule: Schedule, now: datetime) -> datetime:
    """No turn is ever later than this: one that is was set by a clock that was wrong (D8)."""
    return now + schedule.gap_most * (1 + schedule.jitter) + MINUTE
