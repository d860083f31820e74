"""E7: keys are rotated on the live service, under load, with a rotation killed in the middle: all mail stays readable."""

import asyncio
import subprocess
import time

import pytest
from tests.fakes.mail_load import Load, tally
from tests.fakes.running_service import CAREPOST, RunningService
from tests.system.conftest import Spawn

pytestmark = pytest.mark.slow

ANN = "ann.lee@willow.example"


async def test_keys_are_rotated_under_load_and_a_rotation_that_is_killed_goes_on_later(spawn: Spawn) -> None:
    service = spawn()
    await asyncio.to_thread(service.start)
    load = Load(service.ports["smtp"], (ANN,), clients=2)
    async with load.running():
        await load.until_acknowledged(10)
        done = await asyncio.to_thread(service.run, "keys", "rotate-root", "--new")
        assert done.returncode == 0, done.stderr
        await asyncio.to_thread(_rotation_killed_in_the_middle, service)
        await load.until_acknowledged(5)
        # The running service, which began with the old keys only, reads all the same.
        assert len(await asyncio.to_thread(service.read, "ann.lee")) >= 15
        done = await asyncio.to_thread(service.run, "keys", "rotate-organisation", "all", "--resume")
        assert done.returncode == 0, done.stderr
        await load.until_acknowledged(5)
    await asyncio.to_thread(_none_lost, service, load)
    await asyncio.to_thread(service.stop)
    # The old root key has no more work: put away, nothing is missed.
    (service.data / "keys" / "root-1.key").unlink()
    await asyncio.to_thread(service.start)
    await asyncio.to_thread(_none_lost, service, load)
    verified = await asyncio.to_thread(service.run, "audit", "verify")
    assert verified.returncode == 0, verified.stdout


def _rotation_killed_in_the_middle(service: RunningService) -> None:
    """Keys are rewrapped and not yet committed: the record, which comes last, is kept busy meanwhile."""
    known = service.backends()
    command = [CAREPOST, "keys", "rotate-organisation", "all", "--config", str(service.config)]
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND NOT pid = ANY(%s)"
    with service.superuser() as connection, service.superuser() as watching, connection.transaction():
        connection.execute("SELECT 1 FROM audit_head FOR UPDATE")
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as rotation:
            deadline = time.monotonic() + 180
            while watching.execute(waits, [known]).fetchone() == (0,):
                assert time.monotonic() < deadline
                assert rotation.poll() is None
                time.sleep(0.02)
            rotation.kill()


def _none_lost(service: RunningService, load: Load) -> None:
    result = tally(service, "ann.lee", load)
    print(f"{load.figures()}; {result}")
    assert load.wrong == []
    assert (result.lost, result.twice, result.never_sent) == ([], [], [])
