"""Rows of the delivery queue as operators see and change them. Only the desk calls this."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from carepost.base.ids import DeliveryId, OrganisationId, TraceId
from carepost.delivery.repo import ParcelRow, parcel_row
from carepost.infra.db import Transaction
from carepost.infra.sql import load_queries

SQL = load_queries(__package__, "desk.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRow:
    id: DeliveryId
    trace: TraceId
    queued_at: datetime
    expires_at: datetime
    recipients: int
    waiting: int
    in_hand: int
    held: int
    unprotected: int
    next_at: datetime
    attempts: int
    code: int | None
    enhanced: str | None


async def waiting_page(
    tx: Transaction,
    organisation: OrganisationId,
    *,
    after: tuple[datetime, DeliveryId],
    destination: bytes | None,
    limit: int,
) -> list[WaitingRow]:
    values = {
        "organisation": organisation,
        "after_at": after[0],
        "after_id": after[1],
        "destination": destination,
        "limit": limit,
    }
    return [_waiting(row) for row in await tx.all(SQL["waiting_page"], values)]


async def hurry(
    tx: Transaction,
    organisation: OrganisationId,
    *,
    delivery: DeliveryId | None,
    destination: bytes | None,
    now: datetime,
) -> int:
    return await tx.run(
        SQL["hurry"], {"organisation": organisation, "delivery": delivery, "destination": destination, "now": now}
    )


async def hold(
    tx: Transaction, organisation: OrganisationId, delivery: DeliveryId, *, held: bool, now: datetime
) -> int:
    return await tx.run(SQL["hold"], {"organisation": organisation, "delivery": delivery, "held": held, "now": now})


async def delivered(
    tx: Transaction,
    organisation: OrganisationId,
    *,
    since: datetime,
    until: datetime,
    after: DeliveryId = DeliveryId(0),  # noqa: B008 - a number
    only: DeliveryId | None = None,
    limit: int = 1,
) -> list[tuple[ParcelRow, list[int]]]:
    """Each message with the numbers of those who had it."""
    values = {
        "organisation": organisation,
        "since": since,
        "until": until,
        "after": after,
        "only": only,
        "limit": limit,
    }
    return [(parcel_row(row), list(row["seqs"])) for row in await tx.all(SQL["delivered"], values)]


async def lock_delivery(tx: Transaction, organisation: OrganisationId, delivery: DeliveryId) -> bool:
    values = {"organisation": organisation, "delivery": delivery}
    return bool(await tx.all(SQL["lock_delivery"], values))


def _waiting(row: Mapping[str, Any]) -> WaitingRow:
    return WaitingRow(
        **{**row, "id": DeliveryId(row["id"]), "trace": TraceId(row["trace"]), "attempts": row["attempts"] or 0}
    )
