"""Upkeep of mail at rest: bodies that nobody can open are removed, search indexes catch up. To be run at any time."""

import time
from dataclasses import dataclass
from datetime import timedelta

from carepost.base.clock import Clock
from carepost.base.ids import OrganisationId
from carepost.infra.db import Database
from carepost.store import repo
from carepost.store.model import MailboxRef
from carepost.store.search import FOLD_AT, MailSearch

MAILBOXES_A_TURN = 20
# A mailbox just filled by the hundred thousand is folded over several turns: others wait for this long at most.
FOLD_SECONDS_A_TURN = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    db: Database
    search: MailSearch
    clock: Clock

    async def purge_bodies(self, organisation: OrganisationId, *, older_than: timedelta) -> int:
        """Remove bodies to which no mailbox and no quarantine holds a key any more. Returns how many."""
        async with self.db.transaction(organisation) as tx:
            return await repo.purge_objects(tx, organisation, before=self.clock.now() - older_than)

    async def fold_indexes(self, organisation: OrganisationId) -> int:
        """Fold the longest tails into their search indexes, for a bounded time. Returns how many were folded."""
        async with self.db.transaction(organisation) as tx:
            behind = await repo.long_tails(tx, longer_than=FOLD_AT, limit=MAILBOXES_A_TURN)
        folded, until = 0, time.monotonic() + FOLD_SECONDS_A_TURN
        for mailbox in behind:
            while time.monotonic() < until and (count := await self.search.fold(MailboxRef(mailbox, organisation))):
                folded += count
                if count < FOLD_AT:
                    break
        return folded
