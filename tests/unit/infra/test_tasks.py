"""Tasks have parents, and end."""
# ruff: noqa: PT012 (a block that is to fail)

import asyncio

import pytest

from carepost.infra.tasks import Restart, supervised


async def test_leaving_the_block_stops_tasks_in_reverse_order() -> None:
    ended: list[str] = []

    def forever(name: str) -> object:
        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(name)

        return work

    async with supervised("test") as tasks:
        for name in ("database", "store", "door"):
            tasks.start(name, forever(name))  # type: ignore[arg-type]
        await asyncio.sleep(0)
    assert ended == ["door", "store", "database"]


async def test_a_task_that_fails_ends_the_block() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as raised:
        async with supervised("test") as tasks:
            tasks.start("failing", fail)
            await asyncio.Event().wait()
    assert raised.group_contains(ZeroDivisionError)


async def test_a_loop_that_may_be_restarted_is() -> None:
    runs: list[int] = []
    done = asyncio.Event()

    async def stumble() -> None:
        runs.append(len(runs))
        if len(runs) < 4:
            raise ZeroDivisionError
        done.set()

    async with supervised("test") as tasks, asyncio.timeout(180):
        tasks.start("stumbling", stumble, restart=Restart(first_seconds=0.001))  # no deadline
        await done.wait()
    assert runs == [0, 1, 2, 3]


async def test_a_loop_that_waits_to_be_restarted_can_be_stopped() -> None:
    failed = asyncio.Event()

    async def fail() -> None:
        failed.set()
        raise ZeroDivisionError

    async with supervised("test") as tasks, asyncio.timeout(180):
        tasks.start("failing", fail, restart=Restart(first_seconds=3600))
        await failed.wait()
