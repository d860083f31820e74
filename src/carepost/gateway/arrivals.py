"""Marks of mail that has arrived for a mailbox that answers or forwards by itself. The only caller of arrivals.sql.

Promises
    A mark commits with the message it is of: neither is forgotten without the other.
    A mark says which mailbox, which message, and whether its author was proved: whoever faces strangers writes it and
    can open nothing. What is to be done is decided by who can (out_answer.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from carepost.base.ids import MailboxId, OrganisationId, TraceId
from carepost.infra.db import Transaction
from carepost.infra.sql import load_queries

SQL = load_queries("carepost.gateway", "arrivals.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    mailbox: MailboxId
    trace: TraceId
    proved: bool  # its author's address was proved, or it is from one of our own people
    warned: bool  # a card warns of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """An arrival that is in our hand."""

    id: int
    organisation: OrganisationId
    arrival: Arrival
    tries: int


async def note_arrivals(
    tx: Transaction, organisation: OrganisationId, arrivals: Sequence[Arrival], *, at: datetime
) -> None:
    if not arrivals:
        return
    await tx.run(
        SQL["note_arrivals"],
        {
            "organisation": organisation,
            "mailboxes": [one.mailbox for one in arrivals],
            "traces": [one.trace for one in arrivals],
            "proved": [one.proved for one in arrivals],
            "warned": [one.warned for one in arrivals],
            "at": at,
        },
    )


async def claim_arrivals(tx: Transaction, *, now: datetime, until: datetime, limit: int) -> list[Claimed]:
    rows = await tx.all(SQL["claim_arrivals"], {"now": now, "until": until, "limit": limit})
    return [
        Claimed(
            id=row["id"],
            organisation=OrganisationId(row["organisation"]),
            arrival=Arrival(
                mailbox=MailboxId(row["mailbox"]),
                trace=TraceId(row["trace"]),
                proved=row["proved"],
                warned=row["warned"],
            ),
            tries=row["tries"],
        )
        for row in rows
    ]


async def done_with_arrival(tx: Transaction, claimed: Claimed) -> bool:
    """False when another worker has done with it."""
    return await tx.maybe(SQL["done_with_arrival"], {"id": claimed.id}) is not None


async def postpone_arrival(tx: Transaction, claimed: Claimed, *, due_at: datetime) -> None:
    await tx.run(SQL["postpone_arrival"], {"id": claimed.id, "due_at": due_at})
