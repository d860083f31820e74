"""D5: the disk is full. Senders are told to come later; nothing is lost, and mail flows again by itself."""

import asyncio
import contextlib
import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.loop_disk import LoopDisk, make_loop_disk
from tests.fakes.mail_load import Load, tally
from tests.fakes.running_service import message
from tests.system.conftest import Spawn

pytestmark = pytest.mark.slow


@pytest.fixture
def disk() -> Iterator[LoopDisk]:
    made = make_loop_disk(512)
    yield made
    made.remove()


def _fill(disk: LoopDisk) -> Path:
    """Take every last octet."""
    ballast = disk.mount / "ballast"
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    return ballast


async def test_a_disk_that_fills_under_load_is_met_with_4xx_and_mail_flows_again_by_itself(
    spawn: Spawn, disk: LoopDisk
) -> None:
    service = spawn(home=disk.mount / "s")
    await asyncio.to_thread(service.start)
    load = Load(service.ports["smtp"], ("ann.lee@willow.example",))
    async with load.running():
        await load.until_acknowledged(20)
        ballast = await asyncio.to_thread(_fill, disk)
        # Commits may find room in files that were made beforehand; large enough a load finds the end.
        await _until_nothing_is_acknowledged(load)
        assert load.wrong == []
        ballast.unlink()
        await load.until_acknowledged(20)
    await asyncio.to_thread(service.await_ready)
    result = await asyncio.to_thread(tally, service, "ann.lee", load)
    print(f"{load.figures()}; {result}")
    assert (result.lost, result.twice, result.never_sent) == ([], [], [])
    assert any(400 <= code < 500 for code in load.replies)


async def _until_nothing_is_acknowledged(load: Load) -> None:
    """Sixty times in a row somebody was sent away, and nobody's message was taken."""
    taken, away = -1, 0
    async with asyncio.timeout(180):
        while taken != len(load.acknowledged) or load.sent_away < away + 60:
            if taken != len(load.acknowledged):
                taken, away = len(load.acknowledged), load.sent_away
            await asyncio.sleep(0.02)


def test_below_the_reserve_mail_from_is_answered_with_452_at_every_door(spawn: Spawn) -> None:
    """C7. On a disk that is large enough; the reserve is larger."""
    service = spawn({"limits": {"disk_free_mb": 100_000_000}})
    service.start()
    with pytest.raises(smtplib.SMTPResponseException) as told:
        service.deliver(message(), "ann.lee@willow.example")
    assert told.value.smtp_code == 452
    ann = service.accounts["ann.lee"]
    with smtplib.SMTP("localhost", service.ports["submission"], timeout=60) as client:
        client.starttls(context=service.client_tls())
        client.login(ann.address, ann.app_password)
        assert client.docmd("MAIL", f"FROM:<{ann.address}>")[0] == 452


async def test_a_disk_with_no_reserve_loses_nothing_when_the_database_itself_finds_it_full(
    spawn: Spawn, disk: LoopDisk
) -> None:
    """Without our own check at MAIL FROM: PostgreSQL meets ENOSPC in its log, in tables, in temporary files."""
    service = spawn({"limits": {"disk_free_mb": 10}}, home=disk.mount / "s")
    await asyncio.to_thread(service.start)
    load = Load(service.ports["smtp"], ("ann.lee@willow.example",), large_share=0.5)
    async with load.running():
        await load.until_acknowledged(10)
        # Messages under way already are past the check.
        for _ in range(3):
            ballast = await asyncio.to_thread(_fill, disk)
            await asyncio.sleep(0.7)
            ballast.unlink()
            await load.until_acknowledged(5)
    await asyncio.to_thread(service.await_ready)
    result = await asyncio.to_thread(tally, service, "ann.lee", load)
    print(f"{load.figures()}; {result}")
    assert load.wrong == []
    assert (result.lost, result.twice, result.never_sent) == ([], [], [])
