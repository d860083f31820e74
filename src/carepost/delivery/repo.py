"""Rows of the delivery queue, in and out. Only delivery calls this."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from carepost.base.ids import DeliveryId, ObjectId, OrganisationId, OutgoingId, TraceId
from carepost.delivery.model import HopEvidence, Outcome
from carepost.infra.db import Transaction
from carepost.infra.sql import load_queries

SQL = load_queries(__package__)

Place = tuple[OrganisationId, DeliveryId, int]  # of a turn


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelRow:
    id: DeliveryId
    trace: TraceId
    outgoing: OutgoingId | None
    object: ObjectId | None
    wrapped: bytes | None
    size: int
    details: bytes
    lane: int
    urgent: bool
    queued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientRow:
    delivery: DeliveryId
    seq: int
    details: bytes
    attempts: int
    tls_missing: bool = False
    state: str = "queued"
    settled_at: datetime | None = None
    evidence: bytes | None = None


@dataclass(frozen=True, slots=True)
class Locked:
    seq: int
    owner: str | None
    tls_missing: bool
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is written of one recipient after an attempt. `next_at` when it stays queued."""

    seq: int
    state: str
    next_at: datetime | None
    lost: int = 0
    code: int | None = None
    enhanced: str | None = None
    evidence: bytes | None = None
    tls_missing: bool = False


@dataclass(frozen=True, slots=True)
class Delayed:
    delivery: DeliveryId
    seq: int
    queued_at: datetime


@dataclass(frozen=True, slots=True)
class Reckoning:
    accepted: int
    ended: int
    pending: int
    without_turn: int
    turn_too_many: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How the queue of all organisations stands."""

    waiting: int  # recipients that have come to no end yet
    due: int
    in_hand: int
    too_long: int  # queued for longer than the alarm allows (R145)
    tls_missing: int
    held: int  # back, by an operator
    oldest: datetime | None


def outcome(name: str) -> Outcome:
    return Outcome(name)


async def take_turns_of_all(tx: Transaction) -> None:
    """From here to the end of `tx` the turns of all organisations are seen."""
    await tx.all(SQL["say_that_turns_are_taken"])


async def insert_delivery(
    tx: Transaction,
    *,
    organisation: OrganisationId,
    trace: TraceId,
    outgoing: OutgoingId | None,
    object: ObjectId,  # noqa: A002 - our own word
    wrapped: bytes,
    size: int,
    details: bytes,
    lane: int,
    urgent: bool,
    at: datetime,
    expires: datetime,
    replays: DeliveryId | None,
    recipients: Sequence[tuple[int, bytes, bytes]],
) -> DeliveryId:
    """`recipients`: number, sealed details, destination."""
    row = await tx.one(
        SQL["insert_delivery"],
        {
            "organisation": organisation,
            "trace": trace,
            "outgoing": outgoing,
            "object": object,
            "wrapped": wrapped,
            "size": size,
            "details": details,
            "lane": lane,
            "urgent": urgent,
            "at": at,
            "expires": expires,
            "replays": replays,
            "seqs": [seq for seq, _, _ in recipients],
            "each": [sealed for _, sealed, _ in recipients],
            "destinations": [destination for _, _, destination in recipients],
        },
    )
    return DeliveryId(row["id"])


async def take_turns(
    tx: Transaction, *, owner: str, lane: int, now: datetime, until: datetime, busy: Sequence[bytes], limit: int
) -> list[tuple[Place, bytes]]:
    """Each with its destination. In no order."""
    rows = await tx.tuples(
        SQL["take_turns"],
        {"owner": owner, "lane": lane, "now": now, "until": until, "busy": list(busy), "limit": limit},
    )
    return [((row[0], row[1], row[2]), bytes(row[3])) for row in rows]


async def next_turn(tx: Transaction) -> datetime | None:
    found: datetime | None = (await tx.one(SQL["next_turn"]))["at"]
    return found


async def renew_leases(tx: Transaction, owner: str, places: Sequence[Place], *, until: datetime) -> int:
    return await tx.run(SQL["renew_leases"], {"owner": owner, "until": until, **_columns(places)})


async def give_back(tx: Transaction, owner: str, places: Sequence[Place], *, next_at: datetime) -> int:
    return await tx.run(SQL["give_back"], {"owner": owner, "next_at": next_at, **_columns(places)})


async def free_lapsed(tx: Transaction, *, now: datetime) -> int:
    return await tx.run(SQL["free_lapsed"], {"now": now})


async def pull_back(tx: Transaction, *, now: datetime, latest: datetime) -> int:
    return await tx.run(SQL["pull_back"], {"now": now, "latest": latest})


async def open_deliveries(
    tx: Transaction, organisation: OrganisationId, deliveries: Iterable[DeliveryId]
) -> list[ParcelRow]:
    rows = await tx.all(SQL["open_deliveries"], {"organisation": organisation, "deliveries": list(deliveries)})
    return [parcel_row(row) for row in rows]


async def open_recipients(
    tx: Transaction, organisation: OrganisationId, owner: str, turns: Sequence[tuple[DeliveryId, int]]
) -> list[RecipientRow]:
    rows = await tx.all(
        SQL["open_recipients"],
        {
            "organisation": organisation,
            "owner": owner,
            "deliveries": [delivery for delivery, _ in turns],
            "seqs": [seq for _, seq in turns],
        },
    )
    return [
        RecipientRow(
            delivery=DeliveryId(row["delivery_id"]),
            seq=row["seq"],
            details=bytes(row["details"]),
            attempts=row["attempts"],
            tls_missing=row["tls_missing"],
        )
        for row in rows
    ]


async def body(tx: Transaction, organisation: OrganisationId, object_id: ObjectId) -> tuple[bytes, bytes] | None:
    """Sealed bytes and digest."""
    row = await tx.maybe(SQL["body"], {"organisation": organisation, "object": object_id})
    return (bytes(row["sealed"]), bytes(row["digest"])) if row else None


async def small_bodies(
    tx: Transaction, organisation: OrganisationId, objects: Sequence[ObjectId]
) -> dict[ObjectId, tuple[bytes, bytes]]:
    """Sealed bytes and digest of each."""
    rows = await tx.tuples(SQL["small_bodies"], {"organisation": organisation, "objects": list(objects)})
    return {ObjectId(bytes(row[0])): (bytes(row[1]), bytes(row[2])) for row in rows}


async def lock_turns(
    tx: Transaction, organisation: OrganisationId, delivery: DeliveryId, seqs: Sequence[int]
) -> dict[int, Locked]:
    rows = await tx.tuples(SQL["lock_turns"], {"organisation": organisation, "delivery": delivery, "seqs": list(seqs)})
    return {row[0]: Locked(*row) for row in rows}


async def settle(
    tx: Transaction,
    organisation: OrganisationId,
    delivery: DeliveryId,
    told: Sequence[Told],
    *,
    now: datetime,
    evidence: HopEvidence | None,
    attempted: bool = True,
) -> None:
    await tx.run(
        SQL["settle"],
        {
            "organisation": organisation,
            "delivery": delivery,
            "now": now,
            "attempted": int(attempted),
            "seqs": [one.seq for one in told],
            "states": [one.state for one in told],
            "next_at": [one.next_at for one in told],
            "lost": [one.lost for one in told],
            "codes": [one.code for one in told],
            "enhanced": [one.enhanced for one in told],
            "evidence": [one.evidence for one in told],
            "tls_missing": [one.tls_missing for one in told],
            "tls_version": evidence.tls_version if evidence else None,
            "cipher": evidence.cipher if evidence else None,
            "verified_by": evidence.verified_by.value if evidence else None,
        },
    )


async def settle_the_rest(tx: Transaction, organisation: OrganisationId, *, now: datetime) -> int:
    return await tx.run(SQL["settle_the_rest"], {"organisation": organisation, "now": now})


async def turns_of_outgoing(
    tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, seqs: Sequence[int] | None
) -> dict[DeliveryId, list[int]]:
    """Locked until the transaction ends."""
    rows = await tx.tuples(
        SQL["turns_of_outgoing"],
        {"organisation": organisation, "outgoing": outgoing, "seqs": None if seqs is None else list(seqs)},
    )
    found: dict[DeliveryId, list[int]] = {}
    for delivery, seq in rows:
        found.setdefault(DeliveryId(delivery), []).append(seq)
    return found


async def retry_outgoing(tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, *, now: datetime) -> int:
    return await tx.run(SQL["retry_outgoing"], {"organisation": organisation, "outgoing": outgoing, "now": now})


async def delays(
    tx: Transaction,
    organisation: OrganisationId,
    *,
    before: Sequence[datetime],
    limit: int,
) -> list[Delayed]:
    rows = await tx.all(
        SQL["delays"],
        {"organisation": organisation, "before": list(before), "limit": limit},
    )
    return [Delayed(DeliveryId(row["delivery_id"]), row["seq"], row["queued_at"]) for row in rows]


async def delays_told(
    tx: Transaction, organisation: OrganisationId, delivery: DeliveryId, told: Mapping[int, int]
) -> None:
    await tx.run(
        SQL["delays_told"],
        {"organisation": organisation, "delivery": delivery, "seqs": list(told), "told": list(told.values())},
    )


async def recipients(
    tx: Transaction, organisation: OrganisationId, delivery: DeliveryId, seqs: Sequence[int] | None = None
) -> list[RecipientRow]:
    rows = await tx.all(
        SQL["recipients"],
        {"organisation": organisation, "delivery": delivery, "seqs": None if seqs is None else list(seqs)},
    )
    return [
        RecipientRow(
            delivery=delivery,
            seq=row["seq"],
            details=bytes(row["details"]),
            attempts=row["attempts"],
            state=row["state"],
            settled_at=row["settled_at"],
            evidence=bytes(row["evidence"]) if row["evidence"] is not None else None,
        )
        for row in rows
    ]


async def deliveries_of_walk(tx: Transaction, organisation: OrganisationId, trace: TraceId) -> list[ParcelRow]:
    rows = await tx.all(SQL["deliveries_of_walk"], {"organisation": organisation, "trace": trace})
    return [parcel_row(row) for row in rows]


async def let_go_of_bodies(tx: Transaction, organisation: OrganisationId, *, before: datetime) -> int:
    return await tx.run(SQL["let_go_of_bodies"], {"organisation": organisation, "before": before})


async def forget_deliveries(tx: Transaction, organisation: OrganisationId, *, before: datetime) -> int:
    return await tx.run(SQL["forget_deliveries"], {"organisation": organisation, "before": before})


async def reckon(tx: Transaction, organisation: OrganisationId) -> Reckoning:
    row = await tx.one(SQL["reckon"], {"organisation": organisation})
    return Reckoning(**row)


async def recipients_without_turn(
    tx: Transaction, organisation: OrganisationId, *, limit: int
) -> Sequence[Mapping[str, Any]]:
    return await tx.all(SQL["recipients_without_turn"], {"organisation": organisation, "limit": limit})


async def insert_turn(
    tx: Transaction, organisation: OrganisationId, row: Mapping[str, Any], *, destination: bytes, now: datetime
) -> None:
    await tx.run(
        SQL["insert_turn"],
        {
            "organisation": organisation,
            "delivery": row["delivery_id"],
            "seq": row["seq"],
            "destination": destination,
            "lane": row["lane"],
            "queued_at": row["queued_at"],
            "now": now,
        },
    )


async def remove_turns_too_many(tx: Transaction, organisation: OrganisationId) -> int:
    return await tx.run(SQL["remove_turns_too_many"], {"organisation": organisation})


async def standing(tx: Transaction, *, now: datetime, too_long: datetime) -> Standing:
    return Standing(**await tx.one(SQL["standing"], {"now": now, "too_long": too_long}))


def _columns(places: Sequence[Place]) -> dict[str, list[int]]:
    return {
        "organisations": [organisation for organisation, _, _ in places],
        "deliveries": [delivery for _, delivery, _ in places],
        "seqs": [seq for _, _, seq in places],
    }


def parcel_row(row: Mapping[str, Any]) -> ParcelRow:
    return ParcelRow(
        id=DeliveryId(row["id"]),
        trace=TraceId(row["trace"]),
        outgoing=OutgoingId(row["outgoing_id"]) if row["outgoing_id"] is not None else None,
        object=ObjectId(bytes(row["object_id"])) if row["object_id"] is not None else None,
        wrapped=bytes(row["wrapped"]) if row["wrapped"] is not None else None,
        size=row["size"],
        details=bytes(row["details"]),
        lane=row["lane"],
        urgent=row["urgent"],
        queued_at=row["queued_at"],
        expires_at=row["expires_at"],
    )
