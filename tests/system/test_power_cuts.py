"""D1 and D2: the power goes, in mid-load; what was acknowledged is there afterwards. And the test would notice."""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from tests.fakes.loop_disk import LoopDisk, make_loop_disk
from tests.fakes.mail_load import Load, tally
from tests.fakes.running_service import PATIENCE, RunningService, children_of
from tests.system.conftest import LONG, Spawn

from carepost.infra.postgres_process import processes_of

pytestmark = pytest.mark.slow

CUTS = 25 if LONG else 3
CONTROL_CUTS = 5 if LONG else 1


@pytest.fixture
def disk() -> Iterator[LoopDisk]:
    made = make_loop_disk(1024)
    yield made
    made.remove()


async def test_a_power_cut_loses_nothing_that_was_acknowledged(spawn: Spawn, disk: LoopDisk) -> None:
    service = spawn(home=disk.mount / "s")
    disk.settle()
    loads: list[Load] = []
    slowest = 0.0
    await asyncio.to_thread(service.start)
    for number in range(CUTS):
        loads.append(await _load_until_the_power_goes(service, disk, random.Random(number)))
        began = time.monotonic()
        await asyncio.to_thread(service.start)
        slowest = max(slowest, time.monotonic() - began)
        result = await asyncio.to_thread(tally, service, "ann.lee", *loads)
        print(f"cut {number + 1}: {loads[-1].figures()}; {result}; recovered in {time.monotonic() - began:.1f} s")
        assert (result.lost, result.twice, result.never_sent) == ([], [], [])
    assert sum(len(load.acknowledged) for load in loads) >= CUTS * 10
    assert slowest < PATIENCE
    verified = await asyncio.to_thread(service.run, "audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


async def test_the_power_cut_test_notices_a_database_that_does_not_wait_for_its_disk(
    spawn: Spawn, disk: LoopDisk
) -> None:
    service = spawn(home=disk.mount / "s")
    disk.settle()
    lost = 0
    for number in range(CONTROL_CUTS):
        await asyncio.to_thread(service.start)

        def weaken() -> None:
            make_the_database_lazy(service)

        load = await _load_until_the_power_goes(service, disk, random.Random(number), first=weaken)
        (service.cluster / "postgresql.auto.conf").write_text("")
        await asyncio.to_thread(service.start)
        result = await asyncio.to_thread(tally, service, "ann.lee", load)
        print(f"control {number + 1}: {load.figures()}; {result}")
        lost += len(result.lost)
        await asyncio.to_thread(service.stop)
    assert lost > 0, "either the power was not cut, or the counting is wrong"


def make_the_database_lazy(service: RunningService) -> None:
    """Behind our back, after the look at the start and before the one of the next minute. The log's writer is told to
    be as lazy as it may, so that a single cut shows what a lazy disk does."""
    with service.superuser() as connection:
        connection.execute("ALTER SYSTEM SET synchronous_commit = off")
        connection.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        connection.execute("SELECT pg_reload_conf()")


def _nothing() -> None:
    """Nothing is done to the database before the load."""


async def _load_until_the_power_goes(
    service: RunningService, disk: LoopDisk, chance: random.Random, first: Callable[[], None] = _nothing
) -> Load:
    """Cut it at a moment nobody chose; then everything that ran on that disk is gone, and the disk comes back."""
    load = Load(service.ports["smtp"], ("ann.lee@willow.example",), seed=chance.randrange(10**6))
    await asyncio.to_thread(first)
    running = asyncio.create_task(_forever(load))
    try:
        await load.until_acknowledged(15)
        await asyncio.sleep(chance.uniform(0, 1.5))
        disk.cut_power()
        acknowledged = len(load.acknowledged)
        # Whatever is still said after the cut counts as well: nothing may be promised any more.
        await asyncio.sleep(0.5)
        # A database that does not wait for its disk goes on promising: that is what the control shows.
        assert first is not _nothing or len(load.acknowledged) - acknowledged <= load.clients
    finally:
        end_everything(service)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    await asyncio.to_thread(disk.detach)
    await asyncio.to_thread(disk.attach)
    return load


async def _forever(load: Load) -> None:
    async with load.running():
        await asyncio.Event().wait()


def end_everything(service: RunningService) -> None:
    """As a power cut does: nobody is asked."""
    assert service.process is not None
    pids = [service.process.pid, *children_of(service.process.pid), *processes_of(service.cluster)]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    service.process.wait()
    service.process = None
