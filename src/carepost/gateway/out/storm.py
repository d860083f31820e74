"""The breaker of reply-all storms: a conversation that everybody answers to everybody is closed for a while (R72).

Promises
    Works for 50 people as for 50,000: the more a reply reaches, the fewer are let through.
    Of replies sent at the same moment no more than the rule's number get through: they are counted in the database,
    one after the other, whichever worker and organisation they came from.
    Only replies to all are stopped, and only of that conversation: answering the sender alone stays possible.
    No address and no identifier is stored: a conversation is a keyed hash.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from carepost.audit.model import PLATFORM
from carepost.base.clock import Clock
from carepost.base.errors import NotPossible
from carepost.gateway.out import repo_recipients as repo
from carepost.gateway.out.repo_recipients import Replies
from carepost.infra.db import Database, Transaction
from carepost.infra.vault import EdgeKey


@dataclass(frozen=True, slots=True, kw_only=True)
class StormRule:
    """`replies` replies to all, each to `people` or more, `within` so long: further ones are stopped for `pause`."""

    people: int
    replies: int
    within: timedelta
    pause: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class StormPolicy:
    rules: tuple[StormRule, ...] = (
        # R72, as the national service has it.
        StormRule(people=5_000, replies=10, within=timedelta(minutes=60), pause=timedelta(hours=4)),
        # A hospital's site, a whole trust: twenty within ten minutes are no conversation any more.
        StormRule(people=500, replies=20, within=timedelta(minutes=10), pause=timedelta(hours=1)),
        # A department: a lively one has a dozen in ten minutes.
        StormRule(people=50, replies=30, within=timedelta(minutes=10), pause=timedelta(minutes=30)),
    )
    # Replies to fewer are not even counted.
    smallest: int = 50
    # A conversation is forgotten after so long without a reply to all.
    remember: timedelta = timedelta(days=2)


class Storm(NotPossible):
    """The conversation is closed to replies to all, until `until`."""

    def __init__(self, until: datetime, people: int) -> None:
        super().__init__(
            f"So many people have replied to all {people:,} in this conversation that replies to all are stopped until "
            f"{until:%H:%M} (UTC). You can still answer the sender alone."
        )
        self.until = until


def next_replies(replies: Replies, people: int, now: datetime, policy: StormPolicy) -> Replies:
    """The conversation with one reply more, to `people`; `blocked_until` in the future means: not this one. PURE."""
    if replies.blocked_until is not None and now < replies.blocked_until:
        return replies
    # Whoever trims the list of recipients does not make the storm a smaller one.
    people = max(people, replies.people)
    longest = max(rule.within for rule in policy.rules)
    most = max(rule.replies for rule in policy.rules)
    recent = tuple(at for at in replies.recent if now - longest < at <= now)
    for rule in policy.rules:
        counted = sum(now - rule.within < at for at in recent)
        if people >= rule.people and counted >= rule.replies:
            return Replies(recent, people, now + rule.pause)
    return Replies((*recent, now)[-most:], people, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class StormBreaker:
    db: Database
    edge: EdgeKey
    clock: Clock
    policy: StormPolicy = field(default_factory=StormPolicy)

    def conversation(self, references: Sequence[str], in_reply_to: str | None) -> bytes | None:
        """What a reply's conversation is counted under: the first message it names. None: it names none."""
        root = references[0] if references else in_reply_to
        if not root:
            return None
        return self.edge.token(PLATFORM, "conversation", root.strip().strip("<>"))

    async def is_closed(self, conversation: bytes) -> datetime | None:
        """Until when replies to all are stopped; None: they are not. For the page where one composes."""
        async with self.db.glance() as tx:
            until = await repo.blocked_until(tx, conversation)
        return until if until is not None and self.clock.now() < until else None

    async def count(self, conversation: bytes, people: int) -> None:
        """One reply to all more, to `people`. Raises Storm; then it must not be sent to anybody but the sender.

        In a short transaction of its own: thousands who reply at once wait for each other here, and for nothing else.
        A reply that is not sent after all was counted; it errs on the quiet side.
        """
        if people < self.policy.smallest:
            return
        if (until := await self.is_closed(conversation)) is not None:
            raise Storm(until, people)
        now = self.clock.now()
        async with self.db.transaction() as tx:
            replies = await self._counted(tx, conversation, people, now)
        if replies.blocked_until is not None and now < replies.blocked_until:
            raise Storm(replies.blocked_until, replies.people)

    async def _counted(self, tx: Transaction, conversation: bytes, people: int, now: datetime) -> Replies:
        before = await repo.lock_replies(tx, conversation, now=now)
        after = next_replies(before, people, now, self.policy)
        if after != before:
            await repo.set_replies(tx, conversation, after, now=now)
        return after

    async def forget(self) -> int:
        """A chore: conversations that are quiet again."""
        async with self.db.transaction() as tx:
            return await repo.forget_storms(tx, before=self.clock.now() - self.policy.remember)
