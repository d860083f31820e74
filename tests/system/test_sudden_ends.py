"""D3: processes are killed under load, and no acknowledged message is lost or doubled."""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter

import psycopg
import pytest
from tests.fakes.mail_load import Load, tally
from tests.fakes.running_service import RunningService
from tests.system.conftest import LONG, Spawn

pytestmark = pytest.mark.slow

SECONDS = 1800 if LONG else 14
VICTIMS = ("relay", "access", "backend", "postmaster")


def _pids(service: RunningService, victim: str) -> list[int]:
    """Who could be killed; nobody while that part is just being started again."""
    try:
        match victim:
            case "backend":
                return service.backends()
            case "postmaster":
                return [service.postmaster()]
            case role:
                return service.workers(role)
    except (psycopg.Error, OSError, ValueError, IndexError, AssertionError):
        return []


async def _nemesis(service: RunningService, chance: random.Random, seconds: float) -> Counter[str]:
    """For so many seconds at least; on a slow machine, which takes long to find its victims, until enough have died."""
    killed: Counter[str] = Counter()
    began = time.monotonic()
    while (past := time.monotonic() - began) < seconds or (sum(killed.values()) < seconds / 4 and past < 10 * seconds):
        await asyncio.sleep(chance.uniform(0.2, 2))
        # A dead database takes a second or two to come back: kill it less often, or nothing else is ever tested.
        victim = chance.choices(VICTIMS, weights=(4, 2, 4, 1))[0]
        if pids := await asyncio.to_thread(_pids, service, victim):
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(pids), signal.SIGKILL)
                killed[victim] += 1
    return killed


async def test_processes_killed_under_load_lose_and_double_nothing_that_was_acknowledged(spawn: Spawn) -> None:
    service = spawn({"workers": {"relay": 2, "access": 1}})
    await asyncio.to_thread(service.start)
    load = Load(service.ports["smtp"], ("ann.lee@willow.example", "jo.ray@willow.example"))
    async with load.running():
        await load.until_acknowledged(10)
        killed = await _nemesis(service, random.Random(20261122), SECONDS)
        # It recovers by itself: nobody but Carepost has started anything.
        recovered = await asyncio.to_thread(service.await_ready)
        await load.until_acknowledged(45)
    print(f"killed {dict(killed)}; {load.figures()}; ready again after {recovered:.1f} s")
    assert load.wrong == []
    for name in ("ann.lee", "jo.ray"):
        result = await asyncio.to_thread(tally, service, name, load)
        print(f"{name}: {result}")
        assert (result.lost, result.twice, result.never_sent) == ([], [], [])
    assert sum(killed.values()) >= SECONDS / 4
    assert await asyncio.to_thread(service.stop)
