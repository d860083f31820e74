"""Tasks with names and parents, ended in the reverse order of their start.

Promises
    No task outlives its block. One that fails and may not be restarted ends the block with its error.
    A loop that may be restarted is, after a pause that grows; every failure is told.
    Cancellation is never swallowed: stopping is cancelling, and waiting for it to be over.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass

from carepost.infra.log import get_logger

log = get_logger("tasks")

Work = Callable[[], Coroutine[object, object, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """How often a loop that failed is tried again."""

    first_seconds: float = 1.0
    most_seconds: float = 60.0
    # A loop that ran this long was well: the next pause is the first one again.
    well_seconds: float = 300.0


class Tasks:
    """What `supervised` gives. Start the foundations first: they are stopped last."""

    def __init__(self, group: asyncio.TaskGroup, stop_seconds: float) -> None:
        self._group = group
        self._stop_seconds = stop_seconds
        self._running: list[asyncio.Task[None]] = []

    def start(self, name: str, work: Work, *, restart: Restart | None = None) -> asyncio.Task[None]:
        """Run `work()` beside the others. With `restart` its failures are told and it is begun again."""
        running = _again(name, work, restart) if restart else work()
        task = self._group.create_task(running, name=name)
        self._running.append(task)
        return task

    async def stop(self) -> None:
        """Cancel all, the last started first. One that does not end in time is told about and left to the group."""
        for task in reversed(self._running):
            if not task.done():
                task.cancel()
                _, pending = await asyncio.wait({task}, timeout=self._stop_seconds)
                if pending:
                    log.warning("task does not end", task=task.get_name())


@asynccontextmanager
async def supervised(name: str, *, stop_seconds: float = 5.0) -> AsyncIterator[Tasks]:
    """A block that owns its tasks: leaving it stops them."""
    async with asyncio.TaskGroup() as group:
        tasks = Tasks(group, stop_seconds)
        try:
            yield tasks
        finally:
            log.debug("stopping", block=name)
            await tasks.stop()


async def _again(name: str, work: Work, restart: Restart) -> None:
    pause = restart.first_seconds
    while True:
        began = time.monotonic()
        try:
            await work()
        except Exception as error:  # noqa: BLE001 (whatever it was: it is told, and the loop begun again)
            log.error("task failed, will be started again", task=name, error=error, pause=pause)
        else:
            return
        if time.monotonic() - began >= restart.well_seconds:
            pause = restart.first_seconds
        await asyncio.sleep(pause)
        pause = min(pause * 2, restart.most_seconds)
