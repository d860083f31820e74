"""What has to be done again and again: expire quarantine, forget traces, purge bodies, let search indexes catch up,
forget sign-ins and sessions of long ago.

Promises
    Chores may run in several processes at once: each takes rows that nobody else has, and finding none is no fault.
    A chore that fails is told about and tried again in its next turn; it keeps nobody else from theirs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from carepost.app.areas import Areas
from carepost.audit.model import Actor
from carepost.base.errors import MailError
from carepost.base.ids import OrganisationId
from carepost.identity.forgetting import ForgettingPolicy, forget_old
from carepost.identity.model import SignInPolicy
from carepost.infra.log import get_logger

log = get_logger("chores")

CHORES = Actor.job("chores")
EVERY_SECONDS = 60.0
FORGET_EVERY_SECONDS = 3600.0
FIRST_AFTER_SECONDS = 5.0  # what was left undone by the last run need not wait for a minute
# A body is stored before its keys are given: one without a key is left for a day before it counts as given up.
PURGE_AFTER = timedelta(days=1)

Chore = Callable[[OrganisationId], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Chores:
    areas: Areas

    async def run(self) -> None:
        """Every minute, until cancelled."""
        await asyncio.sleep(FIRST_AFTER_SECONDS)
        while True:
            await self.turn()
            await asyncio.sleep(EVERY_SECONDS)

    async def forget(self) -> None:
        """Every hour, until cancelled: what identity keeps for a time only."""
        while True:
            areas = self.areas
            await forget_old(
                areas.db, areas.clock, areas.directory.look, sign_in=SignInPolicy(), policy=ForgettingPolicy()
            )
            await asyncio.sleep(FORGET_EVERY_SECONDS)

    async def sign(self) -> None:
        """Sign checkpoints of the record, until cancelled."""
        every = timedelta(minutes=self.areas.settings.audit.checkpoint_minutes)
        while True:
            await asyncio.sleep(every.total_seconds())
            try:
                await self.areas.checkpoints.signing.sign()
            except MailError as error:
                log.warning("checkpoint not signed", error=error)

    async def turn(self) -> None:
        """One round over all organisations."""
        for organisation in await self.areas.organisations():
            for name, chore in self._chores().items():
                await _do(name, chore, organisation.id)

    def _chores(self) -> Mapping[str, Chore]:
        gateway, upkeep = self.areas.gateway, self.areas.store.upkeep
        return {
            "expire quarantine": lambda organisation: gateway.quarantine.expire(CHORES, organisation),
            "forget traces": gateway.trace.forget,
            "purge bodies": lambda organisation: upkeep.purge_bodies(organisation, older_than=PURGE_AFTER),
            "fold indexes": upkeep.fold_indexes,
        }


async def _do(name: str, chore: Chore, organisation: OrganisationId) -> None:
    try:
        await chore(organisation)
    except MailError as error:
        log.warning("chore failed", chore=name, organisation=int(organisation), error=error)
    except Exception as error:  # noqa: BLE001 - a fault in one organisation's rows must not keep the others from theirs
        log.error("chore failed", chore=name, organisation=int(organisation), error=error)
