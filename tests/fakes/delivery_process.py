"""A delivery worker in a process of its own, so that it can be killed. Writes down each copy it sends, in one file.

python -m tests.fakes.delivery_process <settings.json>
"""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tests.fakes.delivery_world import DeliveryWorld, Follows, taken

from carepost.base.address import Domain
from carepost.base.clock import SystemClock
from carepost.delivery.model import LeastTls, OutEnvelope, SendResult
from carepost.delivery.queue import QueuePolicy
from carepost.delivery.worker import WorkerLimits
from carepost.infra.db import Database


@dataclass
class WrittenDown:
    """The outside world: what arrives is appended to a file, in one write, before it is answered."""

    path: Path
    seconds: float

    async def send(self, domain: Domain, envelope: OutEnvelope, raw: bytes, least: LeastTls) -> SendResult:
        await asyncio.sleep(self.seconds)
        lines = "".join(f"{to.address}\n" for to in envelope.recipients)
        with self.path.open("ab", buffering=0) as file:
            file.write(lines.encode())
        return SendResult(tuple(taken(to.address) for to in envelope.recipients), None)


class ForgetsAtOnce(Follows):
    async def settled(self, tx: object, settlement: object) -> None:
        return


async def main(given: dict[str, str]) -> None:
    lease = float(given["lease"])
    async with Database.open(given["dsn"], pool_min=1, pool_max=6, role="carepost_app") as db:
        world = DeliveryWorld(
            db,
            clock=SystemClock(),  # type: ignore[arg-type]
            root=bytes.fromhex(given["root"]),
            edge_key=bytes.fromhex(given["edge"]),
            policy=QueuePolicy(lease=timedelta(seconds=lease)),
        )
        world.follows = ForgetsAtOnce()
        limits = WorkerLimits(renew_seconds=lease / 5, idle_seconds=0.5)  # no deadline
        world.settling = type(world.settling)(queue=world.queue, follower=world.follows, bounces=world.bounces)
        outside = WrittenDown(Path(given["arrived"]), float(given["seconds"]))
        await world.worker(limits, transport=outside, settling=world.settling).run()


if __name__ == "__main__":
    os.umask(0o077)
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
