"""Hearing that somebody must let go: every process runs one of these and closes what it holds open.

Promises
    A watcher is called within `poll_seconds` and a bit of the COMMIT that revoked, even if every NOTIFY is lost, and
    at once if none is (R99, ASVS 7.4.2: five seconds).
    A watcher that fails does not keep the others from hearing.
    While the database is away nothing can be heard; what was revoked meanwhile is heard when it is back.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from carepost.base.errors import TryLater
from carepost.directory.revoking import CHANNEL, Revoked
from carepost.identity import repo_sessions as repo
from carepost.infra.db import Database

Watcher = Callable[[Revoked], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationPolicy:
    # Two seconds of polling and one for a slow transaction stay under the promised five.
    poll_seconds: float = 2.0
    # A transaction may commit this long after it wrote its time: looked back at every poll. Above the longest
    # statement and idle time of a transaction that revokes.
    look_back: timedelta = timedelta(seconds=60)


@dataclass(slots=True)
class Revocations:
    db: Database
    policy: RevocationPolicy = field(default_factory=RevocationPolicy)
    failures: int = 0  # watchers that raised; for metrics
    _watchers: dict[int, Watcher] = field(default_factory=dict)
    _numbers: int = 0
    _seen: dict[int, None] = field(default_factory=dict)
    _since: datetime | None = None

    @contextmanager
    def watch(self, watcher: Watcher) -> Iterator[None]:
        """Call `watcher` for every revocation while the block runs. It must not wait: let it cancel or close."""
        self._numbers += 1
        number = self._numbers
        self._watchers[number] = watcher
        try:
            yield
        finally:
            del self._watchers[number]

    async def run(self) -> None:
        """Listen until cancelled. One task of the process, started by app."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._poll_for_ever())

    async def _listen(self) -> None:
        async for payload in self.db.listen(CHANNEL):
            if not payload:
                await self.poll()
                continue
            revoked = Revoked.from_payload(payload)
            if revoked is not None:
                self._tell(revoked)

    async def _poll_for_ever(self) -> None:
        while True:
            await self.poll()
            await asyncio.sleep(self.policy.poll_seconds)

    async def poll(self) -> None:
        """Look for what has been revoked since the last look. Says nothing when the database is away."""
        try:
            async with self.db.transaction() as tx:
                now = await repo.database_time(tx)
                since = (self._since or now) - self.policy.look_back
                found = await repo.revocations_since(tx, since)
        except TryLater:
            return
        self._since = now
        for number, revoked in found:
            if number not in self._seen:
                self._tell(revoked)
        self._seen = dict.fromkeys(number for number, _ in found)

    def _tell(self, revoked: Revoked) -> None:
        for watcher in list(self._watchers.values()):
            try:
                watcher(revoked)
            except Exception:  # noqa: BLE001 - one connection's trouble must not keep the others open
                self.failures += 1
