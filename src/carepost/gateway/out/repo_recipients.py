"""Runs gateway/out/recipients.sql: counts about who mail goes to, and how often people were asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from carepost.base.ids import MailboxId, OrganisationId, PersonId
from carepost.infra.db import Transaction
from carepost.infra.sql import load_queries

SQL = load_queries("carepost.gateway.out", "recipients.sql")


@dataclass(frozen=True, slots=True)
class Sent:
    """What a person has sent lately: when, in the last minute; to how many, on `day`."""

    recent: tuple[datetime, ...]
    day: date
    recipients: int


@dataclass(frozen=True, slots=True)
class Replies:
    """The replies to all of one conversation."""

    recent: tuple[datetime, ...] = ()
    people: int = 0
    blocked_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptLine:
    """How often one rule asked, and what was answered. `rule` "messages" counts, as `shown`, what was sent at all."""

    rule: str
    shown: int
    accepted: int
    overridden: int


async def heard_from(
    tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, tokens: Sequence[bytes]
) -> dict[bytes, int]:
    values = {"organisation": organisation, "mailbox": mailbox, "tokens": list(tokens)}
    return {bytes(row["token"]): row["times"] for row in await tx.all(SQL["heard_from"], values)}


async def lock_count(tx: Transaction, organisation: OrganisationId, person: PersonId, *, day: date) -> Sent:
    values = {"organisation": organisation, "person": person}
    await tx.run(SQL["begin_count"], {**values, "day": day})
    row = await tx.one(SQL["lock_count"], values)
    return Sent(tuple(row["recent"]), row["day"], row["recipients"])


async def set_count(tx: Transaction, organisation: OrganisationId, person: PersonId, sent: Sent) -> None:
    values = {"recent": list(sent.recent), "day": sent.day, "recipients": sent.recipients}
    await tx.run(SQL["set_count"], {"organisation": organisation, "person": person, **values})


async def blocked_until(tx: Transaction, thread: bytes) -> datetime | None:
    row = await tx.maybe(SQL["storm"], {"thread": thread})
    return None if row is None else row["blocked_until"]


async def lock_replies(tx: Transaction, thread: bytes, *, now: datetime) -> Replies:
    await tx.run(SQL["begin_storm"], {"thread": thread, "now": now})
    row = await tx.one(SQL["lock_storm"], {"thread": thread})
    return Replies(tuple(row["recent"]), row["people"], row["blocked_until"])


async def set_replies(tx: Transaction, thread: bytes, replies: Replies, *, now: datetime) -> None:
    values = {"recent": list(replies.recent), "people": replies.people, "blocked_until": replies.blocked_until}
    await tx.run(SQL["set_storm"], {"thread": thread, "now": now, **values})


async def forget_storms(tx: Transaction, *, before: datetime) -> int:
    return await tx.run(SQL["forget_storms"], {"before": before})


async def note_prompts(
    tx: Transaction, organisation: OrganisationId, lines: Sequence[PromptLine], *, day: date, shard: int
) -> None:
    lines = sorted(lines, key=lambda line: line.rule)
    values = {
        "rules": [line.rule for line in lines],
        "shown": [line.shown for line in lines],
        "accepted": [line.accepted for line in lines],
        "overridden": [line.overridden for line in lines],
    }
    await tx.run(SQL["note_prompts"], {"organisation": organisation, "day": day, "shard": shard, **values})


async def prompts(tx: Transaction, organisation: OrganisationId, *, since: date) -> list[PromptLine]:
    rows = await tx.all(SQL["prompts"], {"organisation": organisation, "since": since})
    return [PromptLine(**row) for row in rows]


async def forget_prompts(tx: Transaction, organisation: OrganisationId, *, before: date) -> int:
    return await tx.run(SQL["forget_prompts"], {"organisation": organisation, "before": before})
