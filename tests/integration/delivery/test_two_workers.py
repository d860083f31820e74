"""D12 and D3: workers in processes of their own: none sends what another sends, and one that is killed loses nothing."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.conftest import PostgresForTests
from tests.fakes.delivery_world import DeliveryWorld

from carepost.base.clock import SystemClock
from carepost.base.ids import OrganisationId
from carepost.infra.db import Database

MESSAGES, EACH = 70, 30  # two thousand recipients
DEADLINE = 300
ROOT = Path(__file__).parents[3]


class Workers:
    def __init__(self, world: DeliveryWorld, ours: OrganisationId, dsn: str, folder: Path) -> None:
        self.world, self.ours, self.dsn, self.folder = world, ours, dsn, folder
        self.arrived = folder / "arrived"
        self.arrived.touch()

    async def fill(self) -> list[str]:
        people = []
        for message in range(MESSAGES):
            some = [f"p{message}-{n}@d{(message * 7 + n) % 23}.example" for n in range(EACH)]
            await self.world.queued(self.ours, *some)
            people += some
        return people

    @asynccontextmanager
    async def worker(self, *, seconds: float = 0.0, lease: float = 300) -> AsyncIterator[asyncio.subprocess.Process]:
        given = {
            "dsn": self.dsn,
            "root": self.world.root.hex(),
            "edge": self.world.edge_key.hex(),
            "arrived": str(self.arrived),
            "seconds": str(seconds),
            "lease": str(lease),
        }
        file = self.folder / "given.json"
        file.write_text(json.dumps(given))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.fakes.delivery_process", str(file), cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def leases_lapse(self) -> None:
        """The minutes for which a worker that is dead by now was to have what it had in hand have passed."""
        async with self.world.db.transaction(self.ours) as tx:
            await tx.run(
                "UPDATE delivery_turn SET lease_until = now() - interval '1 hour' WHERE lease_owner IS NOT NULL"
            )
        await self.world.queue.tidy()

    def copies(self) -> Counter[str]:
        return Counter(self.arrived.read_text().split())

    async def until_done(self) -> None:
        async with asyncio.timeout(DEADLINE):
            while (await self.world.states(self.ours)).get("queued"):
                await asyncio.sleep(0.2)


@pytest.fixture
async def workers(
    world: DeliveryWorld, database: Database, postgres: PostgresForTests, database_name: str, tmp_path: Path
) -> Workers:
    world = DeliveryWorld(database, clock=SystemClock())  # type: ignore[arg-type]
    return Workers(world, await world.organisation(), postgres.dsn("carepost_app", database_name), tmp_path)


async def test_two_workers_send_to_thousands_and_to_nobody_twice(workers: Workers) -> None:
    people = await workers.fill()
    async with workers.worker(), workers.worker():
        await workers.until_done()
    assert await workers.world.states(workers.ours) == {"delivered": len(people)}
    assert workers.copies() == Counter(people)


async def test_a_worker_that_is_killed_in_the_middle_loses_nothing(workers: Workers) -> None:
    """kill -9, twice: the leases lapse, and the next one goes on. Twice sent is at most what was in hand."""
    people = await workers.fill()
    for part in (0.2, 0.5):
        async with workers.worker(seconds=0.02) as process, asyncio.timeout(DEADLINE):  # no deadline
            while workers.copies().total() < len(people) * part:
                assert process.returncode is None
                await asyncio.sleep(0.02)
            process.kill()
        await workers.leases_lapse()
    async with workers.worker():
        await workers.until_done()
    copies = workers.copies()
    assert await workers.world.states(workers.ours) == {"delivered": len(people)}
    assert set(copies) == set(people), "nobody was left out"
    assert copies.total() - len(people) <= 2 * 1000
    assert max(copies.values()) <= 3
