"""What mailboxes do by themselves with what has arrived: the worker calls `run_due` again and again. R60, R162.

Promises
    A mark is done with once: it is claimed with a lease, everything is prepared without holding anything, and one
    transaction does what is to be done and removes the mark. A crash at any point leaves it for another worker.
    A message that its reader has deleted for good meanwhile is neither answered nor sent on.
    One that cannot be dealt with keeps no other from its turn, and is given up after a day; its copy is where it was.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from carepost.base.address import EmailAddress
from carepost.base.clock import Clock
from carepost.base.errors import Malformed
from carepost.directory.model import MailboxRecord, MailboxStatus
from carepost.directory.service import Directory
from carepost.gateway.arrivals import Arrival, Claimed, claim_arrivals, done_with_arrival, postpone_arrival
from carepost.infra.db import Database, Transaction
from carepost.infra.log import get_logger
from carepost.message.model import Message
from carepost.message.parse import parse
from carepost.store.messages import MessageStore


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalPolicy:
    # Opening one message of 35 MB and sealing it anew takes seconds; a worker that died is noticed after this.
    lease: timedelta = timedelta(minutes=2)
    # What could not be done is tried again after this, doubled each time up to the longest, some 30 times in a day.
    again: timedelta = timedelta(seconds=10)
    again_longest: timedelta = timedelta(hours=1)
    tries_max: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """One message in one mailbox, opened."""

    mailbox: MailboxRecord
    arrival: Arrival
    reverse_path: EmailAddress | None
    message: Message = field(repr=False)


Deed = Callable[[Transaction], Awaitable[None]]


class Act(Protocol):
    """Something that a mailbox may do by itself."""

    async def prepare(self, arrived: Arrived) -> Deed | None:
        """What is to be done, in a transaction that acts for the mailbox's organisation; None: nothing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    db: Database
    directory: Directory
    messages: MessageStore
    acts: Sequence[Act]
    clock: Clock
    policy: ArrivalPolicy = field(default_factory=ArrivalPolicy)

    async def run_due(self, limit: int = 20) -> int:
        """Deal with up to `limit` arrivals. Returns how many were taken in hand."""
        now = self.clock.now()
        async with self.db.transaction() as tx:
            claimed = await claim_arrivals(tx, now=now, until=now + self.policy.lease, limit=limit)
        for one in claimed:
            try:
                await self._deal_with(one)
            except Exception as error:  # noqa: BLE001 - whatever it was: told, tried again, and no other waits for it
                await self._later(one, error)
        return len(claimed)

    async def _deal_with(self, claimed: Claimed) -> None:
        arrived = await self._open(claimed)
        deeds = [await act.prepare(arrived) for act in self.acts] if arrived is not None else []
        async with self.db.transaction(claimed.organisation) as tx:
            if not await done_with_arrival(tx, claimed):
                return
            for deed in deeds:
                if deed is not None:
                    await deed(tx)

    async def _open(self, claimed: Claimed) -> Arrived | None:
        mailbox = await self.directory.mailbox(claimed.organisation, claimed.arrival.mailbox)
        if mailbox is None or mailbox.status is not MailboxStatus.OPEN:
            return None
        for folder, uid in await self.messages.find_by_trace(mailbox, claimed.arrival.trace):
            raw = await self.messages.body(mailbox, folder, uid)
            if raw is not None:
                message = parse(raw)
                return Arrived(
                    mailbox=mailbox, arrival=claimed.arrival, reverse_path=_reverse_path(message), message=message
                )
        return None

    async def _later(self, claimed: Claimed, error: Exception) -> None:
        log, policy = get_logger("carepost.arrivals"), self.policy
        cause = type(error).__name__
        async with self.db.transaction() as tx:
            if claimed.tries >= policy.tries_max:
                log.error("an arrival was given up", trace=claimed.arrival.trace, tries=claimed.tries, cause=cause)
                await done_with_arrival(tx, claimed)
                return
            log.warning("an arrival waits", trace=claimed.arrival.trace, tries=claimed.tries, cause=cause)
            wait = min(policy.again * 2 ** min(claimed.tries, 20), policy.again_longest)
            await postpone_arrival(tx, claimed, due_at=self.clock.now() + wait)


def _reverse_path(message: Message) -> EmailAddress | None:
    """From the Return-Path that we wrote, above everything the sender did. RFC 5321 §4.4."""
    text = message.first("return-path").decode("utf-8", "replace").strip().removeprefix("<").removesuffix(">")
    try:
        return EmailAddress.parse(text) if text else None
    except Malformed:
        return None
