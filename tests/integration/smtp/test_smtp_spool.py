"""Messages while they arrive."""

import asyncio
import errno
import os
import threading
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carepost.base.errors import TryLater
from carepost.protocols.smtp import spool as spool_module
from carepost.protocols.smtp.limits import SpoolLimits
from carepost.protocols.smtp.spool import ByteBudget, NoRoom, Spools

CANARY = b"canary-7f3a-nobody-may-see-this "


def spools(folder: Path, **limits: float) -> Spools:
    return Spools(folder, SpoolLimits(**{"memory_each": 70_000, "disk_free_min": 0, **limits}))  # type: ignore[arg-type]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 90_000), max_size=12))
async def test_what_goes_in_comes_out(tmp_path: Path, sizes: list[int]) -> None:
    room = spools(tmp_path)
    spool = room.open()
    written = [os.urandom(size) for size in sizes]
    for chunk in written:
        await spool.write(chunk)
    assert await spool.whole() == b"".join(written)
    assert spool.octets == sum(sizes)
    spool.close()
    spool.close()
    assert room.in_memory == 0
    assert room.examined.free == room.examined.total


async def test_no_octet_is_on_disk_in_clear_and_the_file_has_no_name(tmp_path: Path) -> None:
    spool = spools(tmp_path).open()
    for _ in range(100):
        await spool.write(CANARY * 100)
    assert spool.is_on_disk
    assert list(tmp_path.iterdir()) == []
    assert spool._file is not None
    on_disk = os.pread(spool._file, 10_000_000, 0)
    assert len(on_disk) > 200_000
    assert CANARY[:12] not in on_disk
    assert await spool.whole() == CANARY * 10_000
    spool.close()


async def test_a_small_message_never_touches_the_disk(tmp_path: Path) -> None:
    spool = spools(tmp_path / "there is no such folder").open()
    await spool.write(b"x" * 70_000)
    assert await spool.whole() == b"x" * 70_000
    spool.close()


async def test_a_file_system_without_nameless_files_does_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, refused = os.open, []

    def only_named(path: str, flags: int, *rest: int, **named: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            refused.append(path)
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return real(path, flags, *rest, **named)

    monkeypatch.setattr(spool_module.os, "open", only_named)
    spool = spools(tmp_path).open()
    await spool.write(b"x" * 100_000)
    assert refused
    assert spool.is_on_disk
    assert list(tmp_path.iterdir()) == []
    assert await spool.whole() == b"x" * 100_000
    spool.close()


async def test_when_many_arrive_at_once_each_goes_to_disk_earlier(tmp_path: Path) -> None:
    room = spools(tmp_path, memory_each=10_000_000, memory_total=100_000)
    first, second = room.open(), room.open()
    await first.write(b"a" * 66_000)
    assert not first.is_on_disk
    await second.write(b"b" * 66_000)
    assert second.is_on_disk
    assert room.in_memory == 66_000
    first.close()
    second.close()


async def test_a_full_disk_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    room = spools(tmp_path)
    spool = room.open()
    monkeypatch.setattr(spool_module.os, "write", full)
    with pytest.raises(NoRoom):
        await spool.write(b"x" * 100_000)
    spool.close()
    assert room.in_memory == 0


async def test_a_write_that_is_abandoned_does_not_reach_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, real = asyncio.Event(), threading.Event(), os.write
    loop = asyncio.get_running_loop()

    def slow(file: int, octets: memoryview) -> int:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(60)
        return real(file, octets)

    spool = spools(tmp_path).open()
    monkeypatch.setattr(spool_module.os, "write", slow)
    writing = asyncio.create_task(spool.write(b"x" * 100_000))
    await begun.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    spool.close()
    assert spool._file is not None  # still open: its thread is still writing
    go_on.set()
    async with asyncio.timeout(180):
        while spool._file is not None:
            await asyncio.sleep(0.01)


async def test_a_file_that_was_changed_behind_our_back_is_not_believed(tmp_path: Path) -> None:
    spool = spools(tmp_path).open()
    await spool.write(b"x" * 100_000)
    assert spool._file is not None
    os.pwrite(spool._file, b"y", 50_000)
    with pytest.raises(InvalidTag):
        await spool.whole()
    spool.close()


async def test_room_is_what_the_disk_has_left(tmp_path: Path) -> None:
    assert spools(tmp_path).has_room_for(10)
    assert not spools(tmp_path).has_room_for(2**60)
    assert not spools(tmp_path, disk_free_min=2**60).has_room_for(None)


async def test_the_budget_is_first_come_first_served() -> None:
    budget, order = ByteBudget(100), []

    async def use(name: str, octets: int) -> None:
        taken = await budget.take(octets)
        order.append(name)
        budget.give_back(taken)

    held = await budget.take(80)
    async with asyncio.TaskGroup() as group:
        group.create_task(use("large", 90))
        await asyncio.sleep(0)
        group.create_task(use("small", 10))  # there would be room for it, but it is not its turn
        await asyncio.sleep(0)
        assert order == []
        budget.give_back(held)
    assert order == ["large", "small"]
    assert budget.free == 100


async def test_more_than_the_whole_budget_is_the_whole_and_nothing_is_something() -> None:
    budget = ByteBudget(100)
    assert await budget.take(5000) == 100
    assert budget.take_now(0) == 0
    budget.give_back(100)
    assert await budget.take(0) == 1


async def test_who_gives_up_waiting_leaves_no_gap() -> None:
    budget = ByteBudget(100)
    held = await budget.take(100)
    waiting = [asyncio.create_task(budget.take(60)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    budget.give_back(held)
    waiting[1].cancel()
    await asyncio.wait(waiting)
    assert waiting[2].result() == 60
    assert budget.free == 40


async def test_waiting_for_the_budget_ends_in_try_later(tmp_path: Path) -> None:
    room = spools(tmp_path, examined_total=10, budget_timeout=0.05)  # meant to run out
    first, second = room.open(), room.open()
    await first.write(b"x" * 10)
    await second.write(b"x")
    await first.whole()
    with pytest.raises(TryLater):
        await second.whole()
    first.close()
    assert await second.whole() == b"x"
    second.close()
