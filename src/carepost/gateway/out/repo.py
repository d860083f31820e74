"""Rows of outgoing mail to values, and back. The only caller of outgoing.sql."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from carepost.base.ids import MailboxId, ObjectId, OrganisationId, OutgoingId, PersonId, TraceId
from carepost.delivery.model import LeastTls
from carepost.gateway import repo
from carepost.gateway.out.outgoing import OutDoor, OutState, Quoted, RecipientState, Route
from carepost.infra.db import Transaction
from carepost.infra.sql import load_queries

SQL = load_queries("carepost.gateway.out", "outgoing.sql")
LATEST = OutgoingId(2**62)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOutgoing:
    id: OutgoingId
    trace: TraceId
    mailbox: MailboxId
    person: PersonId | None
    door: OutDoor
    state: OutState
    submitted_at: datetime
    release_at: datetime
    settled_at: datetime | None
    size: int
    object: ObjectId | None
    wrapped: bytes | None
    details: bytes  # sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecipient:
    outgoing: OutgoingId
    seq: int
    route: Route
    state: RecipientState
    card: str | None
    version: str | None
    unsure: bool
    least: LeastTls | None
    mailbox: MailboxId | None
    organisation: OrganisationId | None  # of the mailbox
    changed_at: datetime
    delayed_at: datetime | None
    noticed_at: datetime | None
    opened_at: datetime | None
    cleared_at: datetime | None
    details: bytes  # sealed
    outcome: bytes | None  # sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRecipient:
    seq: int
    route: Route
    state: RecipientState
    card: str | None
    version: str | None
    unsure: bool
    least: LeastTls | None
    mailbox: MailboxId | None
    organisation: OrganisationId | None
    token: bytes
    details: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredQuestion:
    outgoing: OutgoingId
    number: int
    card: str
    version: str
    unsure: bool
    asked_at: datetime
    answered_at: datetime | None
    answered_by: PersonId | None
    choice: str | None
    details: bytes
    reason: bytes | None


@dataclass(frozen=True, slots=True)
class Due:
    organisation: OrganisationId
    outgoing: OutgoingId
    tries: int


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one recipient; `outcome` is sealed, None leaves it as it is."""

    seq: int
    state: RecipientState
    outcome: bytes | None = None


async def note_press(
    tx: Transaction, organisation: OrganisationId, token: bytes, *, at: datetime, before: datetime
) -> bool:
    """False when this form was sent before. Those older than `before` are forgotten."""
    await tx.run(SQL["forget_presses"], {"organisation": organisation, "before": before})
    values = {"organisation": organisation, "token": token, "at": at}
    return await tx.run(SQL["note_press"], values) == 1


async def insert(tx: Transaction, organisation: OrganisationId, **values: object) -> OutgoingId:
    row = await tx.one(SQL["insert_outgoing"], {"organisation": organisation, **values})
    return OutgoingId(row["id"])


async def insert_recipients(
    tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, new: Sequence[NewRecipient], *, at: datetime
) -> None:
    await tx.run(
        SQL["insert_recipients"],
        {
            "organisation": organisation,
            "outgoing": outgoing,
            "at": at,
            "seqs": [one.seq for one in new],
            "routes": [one.route.value for one in new],
            "states": [one.state.value for one in new],
            "cards": [one.card for one in new],
            "versions": [one.version for one in new],
            "unsures": [one.unsure for one in new],
            "leasts": [one.least.value if one.least else None for one in new],
            "mailboxes": [one.mailbox for one in new],
            "organisations": [one.organisation for one in new],
            "tokens": [one.token for one in new],
            "details": [one.details for one in new],
        },
    )


async def delete_recipients(tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId) -> None:
    await tx.run(SQL["delete_recipients"], {"organisation": organisation, "outgoing": outgoing})


async def insert_question(
    tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, **values: object
) -> None:
    await tx.run(SQL["insert_question"], {"organisation": organisation, "outgoing": outgoing, **values})


async def answer_question(
    tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, **values: object
) -> bool:
    values = {"organisation": organisation, "outgoing": outgoing, **values}
    return await tx.run(SQL["answer_question"], values) == 1


# --- what is due ----------------------------------------------------------------------------------------------------


async def insert_due(tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, *, due_at: datetime) -> None:
    await tx.run(SQL["insert_due"], {"organisation": organisation, "outgoing": outgoing, "due_at": due_at})


async def delete_due(tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId) -> None:
    await tx.run(SQL["delete_due"], {"organisation": organisation, "outgoing": outgoing})


async def claim_due(tx: Transaction, *, now: datetime, until: datetime, limit: int) -> list[Due]:
    rows = await tx.all(SQL["claim_due"], {"now": now, "until": until, "limit": limit})
    return [Due(OrganisationId(row["organisation"]), OutgoingId(row["outgoing"]), row["tries"]) for row in rows]


async def postpone_due(
    tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, *, due_at: datetime
) -> None:
    await tx.run(SQL["postpone_due"], {"organisation": organisation, "outgoing": outgoing, "due_at": due_at})


async def next_due(tx: Transaction) -> datetime | None:
    at: datetime | None = (await tx.one(SQL["next_due"]))["at"]
    return at


# --- messages -------------------------------------------------------------------------------------------------------


async def lock(tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId) -> StoredOutgoing | None:
    row = await tx.maybe(SQL["lock_outgoing"], {"organisation": organisation, "outgoing": outgoing})
    return _outgoing(row) if row else None


async def get(tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId) -> StoredOutgoing | None:
    row = await tx.maybe(SQL["outgoing"], {"organisation": organisation, "outgoing": outgoing})
    return _outgoing(row) if row else None


async def page(
    tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, *, before: OutgoingId, limit: int
) -> list[StoredOutgoing]:
    values = {"organisation": organisation, "mailbox": mailbox, "before": before, "limit": limit}
    return [_outgoing(row) for row in await tx.all(SQL["outgoing_page"], values)]


async def undelivered(
    tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, *, limit: int
) -> list[StoredOutgoing]:
    values = {"organisation": organisation, "mailbox": mailbox, "limit": limit}
    return [_outgoing(row) for row in await tx.all(SQL["outgoing_undelivered"], values)]


async def count_undelivered(tx: Transaction, organisation: OrganisationId, mailbox: MailboxId) -> int:
    row = await tx.one(SQL["count_undelivered"], {"organisation": organisation, "mailbox": mailbox})
    return int(row["found"])


async def waiting(
    tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, *, limit: int
) -> list[StoredOutgoing]:
    values = {"organisation": organisation, "mailbox": mailbox, "limit": limit}
    return [_outgoing(row) for row in await tx.all(SQL["outgoing_waiting"], values)]


async def held(
    tx: Transaction, organisation: OrganisationId, *, limit: int, after: OutgoingId | None = None
) -> list[StoredOutgoing]:
    given = {"organisation": organisation, "after": after or 0, "limit": limit}
    rows = await tx.all(SQL["outgoing_held"], given)
    return [_outgoing(row) for row in rows]


async def by_trace(tx: Transaction, organisation: OrganisationId, traces: Sequence[TraceId]) -> list[StoredOutgoing]:
    rows = await tx.all(SQL["outgoing_by_trace"], {"organisation": organisation, "traces": list(traces)})
    return [_outgoing(row) for row in rows]


async def body(tx: Transaction, organisation: OrganisationId, object_id: ObjectId) -> tuple[bytes, bytes] | None:
    """(sealed, digest), or None when it has gone."""
    row = await tx.maybe(SQL["body"], {"organisation": organisation, "object": object_id})
    return (bytes(row["sealed"]), bytes(row["digest"])) if row else None


async def settle(
    tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, *, state: OutState, at: datetime
) -> bool:
    """False when somebody else was quicker."""
    values = {"organisation": organisation, "outgoing": outgoing, "state": state.value, "at": at}
    return await tx.run(SQL["settle_outgoing"], values) == 1


async def wait(
    tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, *, details: bytes, release_at: datetime
) -> bool:
    values = {"organisation": organisation, "outgoing": outgoing, "details": details, "release_at": release_at}
    return await tx.run(SQL["wait_outgoing"], values) == 1


async def unanswered(
    tx: Transaction, organisation: OrganisationId, *, before: datetime, limit: int
) -> list[StoredOutgoing]:
    rows = await tx.all(SQL["unanswered"], {"organisation": organisation, "before": before, "limit": limit})
    return [_outgoing(row) for row in rows]


async def remind(tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, *, at: datetime) -> None:
    await tx.run(SQL["remind_outgoing"], {"organisation": organisation, "outgoing": outgoing, "at": at})


# --- recipients and questions ---------------------------------------------------------------------------------------


async def recipients(
    tx: Transaction, organisation: OrganisationId, outgoings: Sequence[OutgoingId]
) -> dict[OutgoingId, list[StoredRecipient]]:
    found: dict[OutgoingId, list[StoredRecipient]] = {}
    for row in await tx.all(SQL["recipients"], {"organisation": organisation, "outgoings": list(outgoings)}):
        one = _recipient(row)
        found.setdefault(one.outgoing, []).append(one)
    return found


async def questions(
    tx: Transaction, organisation: OrganisationId, outgoings: Sequence[OutgoingId]
) -> dict[OutgoingId, list[StoredQuestion]]:
    found: dict[OutgoingId, list[StoredQuestion]] = {}
    for row in await tx.all(SQL["questions"], {"organisation": organisation, "outgoings": list(outgoings)}):
        one = _question(row)
        found.setdefault(one.outgoing, []).append(one)
    return found


async def set_recipients(
    tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, changes: Sequence[Change], *, at: datetime
) -> None:
    if not changes:
        return
    await tx.run(
        SQL["set_recipients"],
        {
            "organisation": organisation,
            "outgoing": outgoing,
            "at": at,
            "seqs": [one.seq for one in changes],
            "states": [one.state.value for one in changes],
            "outcomes": [one.outcome for one in changes],
        },
    )


async def settle_recipient(
    tx: Transaction,
    organisation: OrganisationId,
    outgoing: OutgoingId,
    change: Change,
    *,
    among: Collection[RecipientState],
    at: datetime,
) -> bool:
    """False when it stands in no state of `among` any more: somebody was quicker."""
    values = {
        "organisation": organisation,
        "outgoing": outgoing,
        "seq": change.seq,
        "state": change.state.value,
        "outcome": change.outcome,
        "open": [one.value for one in among],
        "at": at,
    }
    return await tx.run(SQL["settle_recipient"], values) == 1


async def reroute(tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, **values: object) -> None:
    await tx.run(SQL["reroute_recipient"], {"organisation": organisation, "outgoing": outgoing, **values})


async def delay(tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, **values: object) -> None:
    await tx.run(SQL["delay_recipient"], {"organisation": organisation, "outgoing": outgoing, **values})


async def see(
    tx: Transaction,
    organisation: OrganisationId,
    outgoing: OutgoingId,
    seq: int,
    *,
    state: RecipientState,
    at: datetime,
) -> bool:
    values = {"organisation": organisation, "outgoing": outgoing, "seq": seq, "state": state.value, "at": at}
    return await tx.run(SQL["see_recipient"], values) == 1


async def clear(tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, seq: int, *, at: datetime) -> bool:
    values = {"organisation": organisation, "outgoing": outgoing, "seq": seq, "at": at}
    return await tx.run(SQL["clear_recipient"], values) == 1


# --- counting, forgetting, verdicts ---------------------------------------------------------------------------------


async def count_waiting(
    tx: Transaction, organisation: OrganisationId, *, now: datetime
) -> tuple[int, int, datetime | None]:
    row = await tx.one(SQL["count_waiting"], {"organisation": organisation, "now": now})
    return row["asked"], row["held"], row["oldest"]


async def drop_bodies(tx: Transaction, organisation: OrganisationId, *, before: datetime, long_ago: datetime) -> int:
    values = {"organisation": organisation, "before": before, "long_ago": long_ago}
    return await tx.run(SQL["drop_bodies"], values)


async def forget(tx: Transaction, organisation: OrganisationId, *, before: datetime) -> int:
    return await tx.run(SQL["forget_outgoing"], {"organisation": organisation, "before": before})


async def insert_verdict(tx: Transaction, organisation: OrganisationId, **values: object) -> None:
    """Written as those of mail that comes in are, and found by the same search."""
    await tx.run(repo.SQL["insert_verdict"], {"organisation": organisation, **values})


async def delete_verdict(tx: Transaction, organisation: OrganisationId, trace: TraceId) -> None:
    await tx.run(SQL["replace_verdict"], {"organisation": organisation, "trace": trace})


async def replies(tx: Transaction, organisation: OrganisationId, *, token: bytes, limit: int) -> list[Quoted]:
    rows = await tx.all(SQL["replies"], {"organisation": organisation, "token": token, "limit": limit})
    return [Quoted(TraceId(row["trace"]), MailboxId(row["mailbox_id"]), row["at"]) for row in rows]


def _outgoing(row: Mapping[str, Any]) -> StoredOutgoing:
    return StoredOutgoing(
        id=OutgoingId(row["id"]),
        trace=TraceId(row["trace"]),
        mailbox=MailboxId(row["mailbox_id"]),
        person=None if row["person_id"] is None else PersonId(row["person_id"]),
        door=OutDoor(row["door"]),
        state=OutState(row["state"]),
        submitted_at=row["submitted_at"],
        release_at=row["release_at"],
        settled_at=row["settled_at"],
        size=row["size"],
        object=None if row["object_id"] is None else ObjectId(bytes(row["object_id"])),
        wrapped=None if row["wrapped"] is None else bytes(row["wrapped"]),
        details=bytes(row["details"]),
    )


def _recipient(row: Mapping[str, Any]) -> StoredRecipient:
    return StoredRecipient(
        outgoing=OutgoingId(row["outgoing_id"]),
        seq=row["seq"],
        route=Route(row["route"]),
        state=RecipientState(row["state"]),
        card=row["card"],
        version=row["card_version"],
        unsure=row["unsure"],
        least=None if row["least"] is None else LeastTls(row["least"]),
        mailbox=None if row["mailbox_id"] is None else MailboxId(row["mailbox_id"]),
        organisation=None if row["mailbox_organisation"] is None else OrganisationId(row["mailbox_organisation"]),
        changed_at=row["changed_at"],
        delayed_at=row["delayed_at"],
        noticed_at=row["noticed_at"],
        opened_at=row["opened_at"],
        cleared_at=row["cleared_at"],
        details=bytes(row["details"]),
        outcome=None if row["outcome"] is None else bytes(row["outcome"]),
    )


def _question(row: Mapping[str, Any]) -> StoredQuestion:
    return StoredQuestion(
        outgoing=OutgoingId(row["outgoing_id"]),
        number=row["number"],
        card=row["card"],
        version=row["card_version"],
        unsure=row["unsure"],
        asked_at=row["asked_at"],
        answered_at=row["answered_at"],
        answered_by=None if row["answered_by"] is None else PersonId(row["answered_by"]),
        choice=row["choice"],
        details=bytes(row["details"]),
        reason=None if row["reason"] is None else bytes(row["reason"]),
    )
