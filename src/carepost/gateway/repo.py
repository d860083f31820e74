"""Rows of verdicts and quarantine to values, and back. The only caller of queries.sql."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from carepost.base.errors import Broken
from carepost.base.ids import HeldId, MailboxId, ObjectId, OrganisationId, TraceId
from carepost.gateway.model import Disposition
from carepost.infra.db import Transaction
from carepost.infra.sql import load_queries

SQL = load_queries("carepost.gateway")


@dataclass(frozen=True, slots=True)
class Intakes:
    organisation: bytes
    mailboxes: Mapping[MailboxId, bytes]
    acting: frozenset[MailboxId] = frozenset()  # those that answer or forward by themselves


@dataclass(frozen=True, slots=True)
class VerdictRow:
    trace: TraceId
    at: datetime
    door: str
    size: int
    details: bytes  # sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRow:
    id: HeldId
    trace: TraceId
    size: int
    held_at: datetime
    expires_at: datetime
    risk: str
    card: str
    card_version: str
    unsure: bool
    state: str
    door: str
    at: datetime
    details: bytes  # sealed
    mailboxes: tuple[MailboxId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedHeld:
    id: HeldId
    trace: TraceId
    object: ObjectId | None
    wrapped: bytes | None
    size: int
    state: str


async def intakes(tx: Transaction, organisation: OrganisationId, mailboxes: Sequence[MailboxId]) -> Intakes:
    """Raises Broken when a mailbox or the organisation has no key: nothing could ever be read again."""
    rows = await tx.all(SQL["intakes"], {"organisation": organisation, "mailboxes": list(mailboxes)})
    ours = {row["mailbox_id"]: row["intake_public"] for row in rows}
    if None not in ours or any(ours.get(mailbox) is None for mailbox in mailboxes):
        raise Broken("A mailbox or an organisation has no key to seal to.", organisation=organisation)
    return Intakes(
        bytes(ours[None]),
        {MailboxId(key): bytes(public) for key, public in ours.items() if key is not None},
        frozenset(MailboxId(row["mailbox_id"]) for row in rows if row["acts"]),
    )


async def insert_verdict(
    tx: Transaction,
    organisation: OrganisationId,
    dispositions: Sequence[Disposition],
    *,
    trace: TraceId,
    at: datetime,
    door: str,
    size: int,
    codes: Sequence[str],
    details: bytes,
    tokens: Sequence[tuple[str, bytes]],
) -> None:
    """`tokens` are (kind, token), without duplicates."""
    await tx.run(
        SQL["insert_verdict"],
        {
            "organisation": organisation,
            "trace": trace,
            "at": at,
            "door": door,
            "size": size,
            "codes": list(codes),
            "details": details,
            "mailboxes": [one.recipient.mailbox for one in dispositions],
            "decided": [one.decision.action.value for one in dispositions],
            "actions": [one.action.value for one in dispositions],
            "cards": [one.decision.card for one in dispositions],
            "versions": [one.decision.version for one in dispositions],
            "unsure": [one.decision.unsure for one in dispositions],
            "kinds": [kind for kind, _ in tokens],
            "tokens": [token for _, token in tokens],
        },
    )


async def insert_held(tx: Transaction, organisation: OrganisationId, **values: object) -> HeldId:
    row = await tx.one(SQL["insert_held"], {"organisation": organisation, **values})
    return HeldId(row["id"])


async def verdict(tx: Transaction, organisation: OrganisationId, trace: TraceId) -> VerdictRow | None:
    row = await tx.maybe(SQL["verdict"], {"organisation": organisation, "trace": trace})
    return _verdict(row) if row else None


async def verdicts_by_token(tx: Transaction, organisation: OrganisationId, **values: object) -> list[VerdictRow]:
    rows = await tx.all(SQL["verdicts_by_token"], {"organisation": organisation, **values})
    return [_verdict(row) for row in rows]


async def verdicts(tx: Transaction, organisation: OrganisationId, **values: object) -> list[VerdictRow]:
    rows = await tx.all(SQL["verdicts"], {"organisation": organisation, **values})
    return [_verdict(row) for row in rows]


async def forget_verdicts(tx: Transaction, organisation: OrganisationId, *, before: datetime) -> int:
    return await tx.run(SQL["forget_verdicts"], {"organisation": organisation, "before": before})


async def forget_held(tx: Transaction, organisation: OrganisationId, *, before: datetime) -> int:
    return await tx.run(SQL["forget_held"], {"organisation": organisation, "before": before})


async def held_page(
    tx: Transaction, organisation: OrganisationId, *, before_at: datetime, before_id: int, limit: int
) -> list[HeldRow]:
    values = {"organisation": organisation, "before_at": before_at, "before_id": before_id, "limit": limit}
    return [_held(row) for row in await tx.all(SQL["held_page"], values)]


async def held(tx: Transaction, organisation: OrganisationId, held_id: HeldId) -> HeldRow | None:
    row = await tx.maybe(SQL["held"], {"organisation": organisation, "held": held_id})
    return _held(row) if row else None


async def lock_held(tx: Transaction, organisation: OrganisationId, held_id: HeldId) -> LockedHeld | None:
    row = await tx.maybe(SQL["lock_held"], {"organisation": organisation, "held": held_id})
    if row is None:
        return None
    return LockedHeld(
        id=HeldId(row["id"]),
        trace=TraceId(row["trace"]),
        object=None if row["object_id"] is None else ObjectId(bytes(row["object_id"])),
        wrapped=None if row["wrapped"] is None else bytes(row["wrapped"]),
        size=row["size"],
        state=row["state"],
    )


async def held_mailboxes(tx: Transaction, organisation: OrganisationId, held_id: HeldId) -> list[MailboxId]:
    rows = await tx.all(SQL["held_mailboxes"], {"organisation": organisation, "held": held_id})
    return [MailboxId(row["mailbox_id"]) for row in rows]


async def settle_held(
    tx: Transaction, organisation: OrganisationId, held_id: HeldId, *, state: str, at: datetime
) -> bool:
    """False when somebody else was quicker."""
    values = {"organisation": organisation, "held": held_id, "state": state, "at": at}
    return await tx.run(SQL["settle_held"], values) == 1


async def expired_held(
    tx: Transaction, organisation: OrganisationId, *, now: datetime, limit: int
) -> list[tuple[HeldId, TraceId]]:
    rows = await tx.all(SQL["expired_held"], {"organisation": organisation, "now": now, "limit": limit})
    return [(HeldId(row["id"]), TraceId(row["trace"])) for row in rows]


async def count_held(tx: Transaction, organisation: OrganisationId) -> tuple[int, datetime | None]:
    row = await tx.one(SQL["count_held"], {"organisation": organisation})
    return row["held"], row["oldest"]


def _verdict(row: Mapping[str, Any]) -> VerdictRow:
    return VerdictRow(TraceId(row["trace"]), row["at"], row["door"], row["size"], bytes(row["details"]))


def _held(row: Mapping[str, Any]) -> HeldRow:
    return HeldRow(
        id=HeldId(row["id"]),
        trace=TraceId(row["trace"]),
        size=row["size"],
        held_at=row["held_at"],
        expires_at=row["expires_at"],
        risk=row["risk"],
        card=row["card"],
        card_version=row["card_version"],
        unsure=row["unsure"],
        state=row["state"],
        door=row["door"],
        at=row["at"],
        details=bytes(row["details"]),
        mailboxes=tuple(MailboxId(mailbox) for mailbox in row["mailboxes"]),
    )
