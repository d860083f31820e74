"""Bodies of messages on their way out: opened once for all recipients, in memory, within a bound.

Promises
    A body is in memory only while somebody sends it, and is there once, however many conversations send it.
    Together they are no larger than `octets_max`, save one that is larger by itself and is then alone.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from carepost.base.ids import DeliveryId, OrganisationId
from carepost.delivery.parcels import Parcel

Opens = Callable[[Parcel], Awaitable[bytes]]


@dataclass(slots=True)
class _Lent:
    users: int = 0
    raw: bytes | None = None
    once: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class Bodies:
    opens: Opens
    octets_max: int
    _used: int = 0
    _freed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _lent: dict[tuple[OrganisationId, DeliveryId], _Lent] = field(default_factory=dict)

    @asynccontextmanager
    async def lend(self, parcel: Parcel) -> AsyncIterator[bytes]:
        """The message, ready to send. Raises what opening it raises; the next who asks tries again."""
        name = (parcel.organisation, parcel.id)
        lent = self._lent.setdefault(name, _Lent())
        lent.users += 1
        try:
            async with lent.once:
                if lent.raw is None:
                    await self._take_room(parcel.size)
                    try:
                        lent.raw = await self.opens(parcel)
                    except BaseException:
                        await self._give_room(parcel.size)
                        raise
            yield lent.raw
        finally:
            lent.users -= 1
            if not lent.users:
                self._lent.pop(name, None)
                if lent.raw is not None:
                    await self._give_room(parcel.size)

    async def _take_room(self, octets: int) -> None:
        octets = min(octets, self.octets_max)
        async with self._freed:
            await self._freed.wait_for(lambda: self._used + octets <= self.octets_max)
            self._used += octets

    async def _give_room(self, octets: int) -> None:
        self._used -= min(octets, self.octets_max)
        async with self._freed:
            self._freed.notify_all()
