"""How many conversations at once with each destination: more while it answers, fewer when it does not.

Promises
    Never more than `most` with one destination; one that is down is asked by one conversation a minute, by nobody else.
    What is remembered of destinations is bounded: those that are well and idle are forgotten.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from carepost.base.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationLimits:
    most: int = 20  # C6
    first: int = 4  # so many until we know how it takes it
    quick_seconds: float = 10.0  # a conversation that takes longer is no reason for more of them
    failures_to_pause: int = 2  # so many times nobody was reached, one after another
    pause: timedelta = timedelta(minutes=1)


@dataclass(slots=True)
class _Destination:
    limit: float
    open: int = 0
    failures: int = 0
    paused_until: datetime | None = None
    says: str = ""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)


@dataclass(slots=True)
class Destinations:
    """Of one worker. A destination is named by its token."""

    clock: Clock
    limits: DestinationLimits = field(default_factory=DestinationLimits)
    _known: dict[bytes, _Destination] = field(default_factory=dict)

    def busy(self) -> list[bytes]:
        """Those that nothing more should be taken for just now."""
        now = self.clock.now()
        return [
            name
            for name, one in self._known.items()
            if one.open >= int(one.limit) or (one.paused_until is not None and one.paused_until > now)
        ]

    def down(self, name: bytes) -> str | None:
        """Why there is no point in trying now, as it was said a moment ago; None: try."""
        one = self._known.get(name)
        if one is None or one.paused_until is None or one.paused_until <= self.clock.now():
            return None
        return one.says

    @asynccontextmanager
    async def conversation(self, name: bytes) -> AsyncIterator[None]:
        """Waits until one more is allowed."""
        one = self._known.setdefault(name, _Destination(float(self.limits.first)))
        async with one.changed:
            await one.changed.wait_for(lambda: one.open < max(1, int(one.limit)))
            one.open += 1
        try:
            yield
        finally:
            one.open -= 1
            async with one.changed:
                one.changed.notify_all()
            if not one.open and not one.failures and one.limit >= self.limits.first:
                self._known.pop(name, None)

    def answered(self, name: bytes, *, seconds: float) -> None:
        """Somebody there spoke with us, for so long."""
        if (one := self._known.get(name)) is not None:
            one.failures, one.paused_until = 0, None
            if seconds <= self.limits.quick_seconds:
                one.limit = min(one.limit + 1, float(self.limits.most))

    def silent(self, name: bytes, says: str) -> None:
        """Nobody there could be reached."""
        if (one := self._known.get(name)) is not None:
            one.failures += 1
            one.limit = max(1.0, one.limit / 2)
            if one.failures >= self.limits.failures_to_pause:
                one.paused_until, one.says = self.clock.now() + self.limits.pause, says
