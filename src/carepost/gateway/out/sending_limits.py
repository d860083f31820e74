"""How much one person may send: 500 recipients a message, 10,000 a day, 30 messages a minute (R158).

Promises
    Over a limit nothing is sent to anybody: a message is counted in the transaction that takes it, before any copy.
    Exact when two programs send at once: a person's messages are counted one after the other, in the database.
    A message that is not taken after all (the transaction is rolled back) was not counted.
    A list counts by its members: the caller gives the number of people that the message reaches.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from carepost.base.clock import Clock
from carepost.base.errors import NotPossible
from carepost.base.ids import OrganisationId, PersonId
from carepost.gateway.out import repo_recipients as repo
from carepost.gateway.out.repo_recipients import Sent
from carepost.infra.db import Transaction

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingPolicy:
    """R158. An operator may set others (settings, `mail_out`)."""

    recipients_a_message: int = 500
    recipients_a_day: int = 10_000
    messages_a_minute: int = 30


class OverLimit(NotPossible):
    """More than one person may send. `until` says when a further try makes sense; None: never, as it is."""

    def __init__(self, public: str, *, until: datetime | None) -> None:
        super().__init__(public)
        self.until = until


def next_count(sent: Sent, recipients: int, now: datetime, policy: SendingPolicy) -> Sent:
    """The counts with one message more. Raises OverLimit, in words. PURE."""
    if recipients > policy.recipients_a_message:
        raise OverLimit(
            f"This message has {recipients:,} recipients; {policy.recipients_a_message:,} is the most. "
            "Nothing was sent. Send it to fewer people, or ask for a distribution list.",
            until=None,
        )
    today = sent.recipients if sent.day == now.date() else 0
    if today + recipients > policy.recipients_a_day:
        left = max(0, policy.recipients_a_day - today)
        raise OverLimit(
            f"You may write to {policy.recipients_a_day:,} recipients a day, and {left:,} are left for today. "
            f"This message has {recipients:,}. Nothing was sent; after midnight (UTC) you can send it.",
            until=_midnight_after(now),
        )
    recent = tuple(at for at in sent.recent if now - _MINUTE < at <= now)
    if len(recent) >= policy.messages_a_minute:
        until = min(recent) + _MINUTE
        seconds = max(1, round((until - now).total_seconds()))
        raise OverLimit(
            f"You have sent {len(recent)} messages within a minute, which is the most. Nothing was lost; "
            f"this one can be sent in {seconds} {'second' if seconds == 1 else 'seconds'}.",
            until=until,
        )
    return Sent((*recent, now), now.date(), today + recipients)


def _midnight_after(now: datetime) -> datetime:
    return datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), tzinfo=now.tzinfo)


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingLimits:
    clock: Clock
    policy: SendingPolicy = field(default_factory=SendingPolicy)

    def refuse_too_many(self, recipients: int) -> None:
        """What can be said before anything is counted: while somebody is still composing. Raises OverLimit."""
        next_count(Sent((), date.min, 0), recipients, self.clock.now(), self.policy)

    async def count(self, tx: Transaction, organisation: OrganisationId, person: PersonId, recipients: int) -> None:
        """One message more. Raises OverLimit, and then nothing was counted.

        In the transaction that takes the message; whoever sends as the same person meanwhile waits for its end.
        """
        now = self.clock.now()
        sent = await repo.lock_count(tx, organisation, person, day=now.date())
        await repo.set_count(tx, organisation, person, next_count(sent, recipients, now, self.policy))
