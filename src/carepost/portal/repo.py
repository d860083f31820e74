"""Rows of the portal to values, and back. The only caller of queries.sql."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from carepost.base.ids import MailboxId, ObjectId, OrganisationId, OutgoingId, TraceId
from carepost.infra.db import Transaction
from carepost.infra.sql import load_queries
from carepost.portal.model import AccessRequestId, Kind, Level, SecureMessageId, State, Step, What

SQL = load_queries("carepost.portal")
EVENTS_MAX = 5_000  # of one outgoing message, that are read at once


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRow:
    id: SecureMessageId
    kind: Kind
    mailbox: MailboxId
    outgoing: OutgoingId | None
    seq: int
    trace: TraceId
    lookup: bytes
    verifier_hash: bytes
    level: Level
    state: State
    made_at: datetime
    expires_at: datetime
    frozen_until: datetime | None
    replies: int
    reply_octets: int
    object: ObjectId | None
    wrapped: bytes | None
    salt: bytes | None
    details: bytes  # sealed


@dataclass(frozen=True, slots=True)
class SessionRow:
    step: Step
    sealed_key: bytes | None
    begun_at: datetime


@dataclass(frozen=True, slots=True)
class EventRow:
    message: SecureMessageId
    at: datetime
    what: What
    details: bytes | None  # sealed


@dataclass(frozen=True, slots=True)
class RequestRow:
    id: AccessRequestId
    message: SecureMessageId
    state: str
    asked_at: datetime
    details: bytes  # sealed


async def insert_message(tx: Transaction, organisation: OrganisationId, **values: object) -> SecureMessageId:
    row = await tx.one(SQL["insert_message"], {"organisation": organisation, **values})
    return SecureMessageId(row["id"])


async def whose(tx: Transaction, lookup: bytes) -> tuple[OrganisationId, SecureMessageId] | None:
    row = await tx.maybe(SQL["whose"], {"lookup": lookup})
    return (OrganisationId(row["owner_organisation"]), SecureMessageId(row["message_id"])) if row else None


async def message(tx: Transaction, organisation: OrganisationId, message: SecureMessageId) -> MessageRow | None:
    row = await tx.maybe(SQL["message"], {"organisation": organisation, "message": message})
    return _message(row) if row else None


async def messages_of(tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId) -> list[MessageRow]:
    rows = await tx.all(SQL["messages_of"], {"organisation": organisation, "outgoing": outgoing})
    return [_message(row) for row in rows]


async def invitations(
    tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, *, limit: int
) -> list[MessageRow]:
    rows = await tx.all(SQL["invitations"], {"organisation": organisation, "mailbox": mailbox, "limit": limit})
    return [_message(row) for row in rows]


async def body(tx: Transaction, organisation: OrganisationId, message: SecureMessageId) -> tuple[bytes, bytes] | None:
    """(sealed, digest)."""
    row = await tx.maybe(SQL["body"], {"organisation": organisation, "message": message})
    return (row["sealed"], row["digest"]) if row else None


async def close(tx: Transaction, organisation: OrganisationId, message: SecureMessageId, state: State) -> bool:
    """False when it was closed already."""
    given = {"organisation": organisation, "message": message}
    row = await tx.maybe(SQL["close"], {**given, "state": state.value})
    if row is not None:
        await tx.run(SQL["end_sessions"], given)
    return row is not None


async def due(tx: Transaction, organisation: OrganisationId, *, now: datetime, limit: int) -> list[SecureMessageId]:
    rows = await tx.all(SQL["due"], {"organisation": organisation, "now": now, "limit": limit})
    return [SecureMessageId(row["id"]) for row in rows]


async def extend(tx: Transaction, organisation: OrganisationId, message: SecureMessageId, **values: object) -> bool:
    return await tx.maybe(SQL["extend"], {"organisation": organisation, "message": message, **values}) is not None


async def count_failure(
    tx: Transaction, organisation: OrganisationId, message: SecureMessageId, *, now: datetime, since: datetime
) -> int:
    given = {"organisation": organisation, "message": message, "now": now, "since": since}
    return int((await tx.one(SQL["count_failure"], given))["failures"])


async def forgive_failure(tx: Transaction, organisation: OrganisationId, message: SecureMessageId) -> None:
    await tx.run(SQL["forgive_failure"], {"organisation": organisation, "message": message})


async def lock(tx: Transaction, organisation: OrganisationId, message: SecureMessageId) -> None:
    """To the end of the transaction: tries at one message come one after another."""
    await tx.run(SQL["lock_message"], {"organisation": organisation, "message": message})


async def freeze(
    tx: Transaction, organisation: OrganisationId, message: SecureMessageId, *, now: datetime, until: datetime
) -> bool:
    given = {"organisation": organisation, "message": message, "now": now, "until": until}
    return await tx.maybe(SQL["freeze"], given) is not None


async def insert_session(
    tx: Transaction, organisation: OrganisationId, message: SecureMessageId, *, token: bytes, now: datetime
) -> None:
    given = {"organisation": organisation, "message": message, "token": token, "now": now}
    await tx.run(SQL["insert_session"], given)


async def session(
    tx: Transaction, organisation: OrganisationId, message: SecureMessageId, **values: object
) -> SessionRow | None:
    row = await tx.maybe(SQL["session"], {"organisation": organisation, "message": message, **values})
    return SessionRow(Step(row["step"]), row["sealed_key"], row["begun_at"]) if row else None


async def step_on(
    tx: Transaction,
    organisation: OrganisationId,
    message: SecureMessageId,
    *,
    token: bytes,
    fresh: bytes,
    step: Step,
    to: Step,
    sealed_key: bytes | None,
    now: datetime,
) -> bool:
    """False when another request of the same browser has done it."""
    given = {
        "organisation": organisation,
        "message": message,
        "token": token,
        "fresh": fresh,
        "step": step.value,
        "next": to.value,
        "sealed_key": sealed_key,
        "now": now,
    }
    return await tx.maybe(SQL["step_on"], given) is not None


async def end_session(tx: Transaction, organisation: OrganisationId, message: SecureMessageId, *, token: bytes) -> None:
    await tx.run(SQL["end_session"], {"organisation": organisation, "message": message, "token": token})


async def forget(
    tx: Transaction, organisation: OrganisationId, *, idle: datetime, begun: datetime, codes: datetime
) -> None:
    given = {"organisation": organisation, "idle": idle, "begun": begun, "codes": codes}
    await tx.run(SQL["forget_sessions"], given)


async def count_codes(
    tx: Transaction, organisation: OrganisationId, message: SecureMessageId, *, channel: str, since: datetime
) -> int:
    """Locks the message to the end of the transaction."""
    given = {"organisation": organisation, "message": message, "channel": channel, "since": since}
    return int((await tx.one(SQL["count_codes"], given))["sent"])


async def insert_code(
    tx: Transaction, organisation: OrganisationId, message: SecureMessageId, **values: object
) -> None:
    await tx.run(SQL["insert_code"], {"organisation": organisation, "message": message, **values})


async def try_code(
    tx: Transaction, organisation: OrganisationId, message: SecureMessageId, **values: object
) -> tuple[int, bytes] | None:
    row = await tx.maybe(SQL["try_code"], {"organisation": organisation, "message": message, **values})
    return (row["id"], row["code_hash"]) if row else None


async def use_code(tx: Transaction, organisation: OrganisationId, message: SecureMessageId, code: int) -> bool:
    given = {"organisation": organisation, "message": message, "id": code}
    return await tx.maybe(SQL["use_code"], given) is not None


async def insert_event(
    tx: Transaction,
    organisation: OrganisationId,
    message: SecureMessageId,
    *,
    at: datetime,
    what: What,
    details: bytes | None,
) -> None:
    given = {"organisation": organisation, "message": message, "at": at, "what": what.value, "details": details}
    await tx.run(SQL["insert_event"], given)


async def events(tx: Transaction, organisation: OrganisationId, messages: Sequence[SecureMessageId]) -> list[EventRow]:
    given = {"organisation": organisation, "messages": list(messages), "limit": EVENTS_MAX}
    rows = await tx.all(SQL["events"], given)
    return [EventRow(SecureMessageId(row["message_id"]), row["at"], What(row["what"]), row["details"]) for row in rows]


async def spend(tx: Transaction, key: bytes, *, now: datetime, since: datetime) -> int:
    """How many there were in this window, this one included."""
    return int((await tx.one(SQL["spend"], {"key": key, "now": now, "since": since}))["spent"])


async def spent(tx: Transaction, key: bytes, *, since: datetime) -> int:
    row = await tx.maybe(SQL["spent"], {"key": key, "since": since})
    return int(row["spent"]) if row else 0


async def forget_budgets(tx: Transaction, *, before: datetime) -> None:
    await tx.run(SQL["forget_budgets"], {"before": before})


async def count_reply(
    tx: Transaction, organisation: OrganisationId, message: SecureMessageId, **values: object
) -> bool:
    given = {"organisation": organisation, "message": message, **values}
    return await tx.maybe(SQL["reply"], given) is not None


async def uncount_reply(
    tx: Transaction, organisation: OrganisationId, message: SecureMessageId, *, octets: int
) -> None:
    await tx.run(SQL["uncount_reply"], {"organisation": organisation, "message": message, "octets": octets})


async def insert_request(
    tx: Transaction, organisation: OrganisationId, message: SecureMessageId, **values: object
) -> AccessRequestId | None:
    """None when too many have asked already."""
    row = await tx.maybe(SQL["insert_request"], {"organisation": organisation, "message": message, **values})
    return AccessRequestId(row["id"]) if row else None


async def requests(tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId) -> list[RequestRow]:
    rows = await tx.all(SQL["requests"], {"organisation": organisation, "outgoing": outgoing})
    return [
        RequestRow(
            AccessRequestId(row["id"]),
            SecureMessageId(row["message_id"]),
            row["state"],
            row["asked_at"],
            row["details"],
        )
        for row in rows
    ]


async def settle_request(
    tx: Transaction, organisation: OrganisationId, message: SecureMessageId, **values: object
) -> bytes | None:
    """Its sealed details; None when it was settled already."""
    row = await tx.maybe(SQL["settle_request"], {"organisation": organisation, "message": message, **values})
    return row["details"] if row else None


def _message(row: dict[str, Any]) -> MessageRow:
    return MessageRow(
        id=SecureMessageId(row["id"]),
        kind=Kind(row["kind"]),
        mailbox=MailboxId(row["mailbox_id"]),
        outgoing=OutgoingId(row["outgoing_id"]) if row["outgoing_id"] is not None else None,
        seq=row["seq"],
        trace=TraceId(row["trace"]),
        lookup=row["lookup"],
        verifier_hash=row["verifier_hash"],
        level=Level(row["level"]),
        state=State(row["state"]),
        made_at=row["made_at"],
        expires_at=row["expires_at"],
        frozen_until=row["frozen_until"],
        replies=row["replies"],
        reply_octets=row["reply_octets"],
        object=ObjectId(row["object_id"]) if row["object_id"] is not None else None,
        wrapped=row["wrapped"],
        salt=row["salt"],
        details=row["details"],
    )
