"""A database whose transactions stop just before COMMIT, so that a test can let another one run in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from carepost.base.ids import OrganisationId
from carepost.infra.db import Database, Transaction


class PausedCommit:
    """Stands in for a Database: `reached` is set when a transaction has done its work, `go_on` lets it commit."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    @property
    def as_database(self) -> Database:
        return cast("Database", self)

    @asynccontextmanager
    async def transaction(self, organisation: OrganisationId | None = None) -> AsyncIterator[Transaction]:
        async with self._db.transaction(organisation) as tx:
            yield tx
            self.reached.set()
            await asyncio.wait_for(self.go_on.wait(), 60)


async def while_paused(paused: PausedCommit, first: Any, second: Any) -> tuple[Any, Any]:
    """Run `first` up to its COMMIT, start `second`, give it half a second, and let both end."""
    async with asyncio.TaskGroup() as group:
        one = group.create_task(first)
        await asyncio.wait_for(paused.reached.wait(), 60)
        other = group.create_task(second)
        await asyncio.wait({other}, timeout=0.5)  # meant to run out
        paused.go_on.set()
    return one.result(), other.result()
