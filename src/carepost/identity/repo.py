"""Runs identity/queries.sql for signing in, passwords and factors; repo_sessions is the other half."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from carepost.base.ids import MailboxId, OrganisationId, PersonId
from carepost.directory.model import PersonStatus
from carepost.identity.model import Attempt, AttemptLine, ClientFacts, Door, Outcome
from carepost.identity.signin import State
from carepost.infra.db import Row, Transaction
from carepost.infra.sql import load_queries

SQL = load_queries(__package__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the first step looks at. `password_hash` is None for somebody who has no password yet."""

    person: PersonId
    organisation: OrganisationId
    status: PersonStatus
    name: str
    password_hash: str | None
    has_factor: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What the second step looks at."""

    state: State
    tries: int
    person: PersonId
    status: PersonStatus
    name: str
    secret_sealed: bytes | None
    last_step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketLook:
    state: State
    person: PersonId
    address: str
    secret_sealed: bytes | None
    confirmed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPassword:
    hash: str
    set_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NamesOf:
    """What a person's password may not contain, and whether the longer rule is theirs."""

    names: tuple[str, ...]
    is_administrator: bool


def shown_name(row: Row) -> str:
    return " ".join(part for part in (row["title"], row["given_name"], row["family_name"]) if part)


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


# --- accounts and tries ---------------------------------------------------------------------------------------------


async def route_and_act(tx: Transaction, address: str) -> tuple[OrganisationId, MailboxId] | None:
    row = await tx.maybe(SQL["route_and_act"], {"address": address})
    return None if row is None else (row["organisation"], row["mailbox"])


async def account_of_mailbox(tx: Transaction, organisation: OrganisationId, mailbox: MailboxId) -> Account | None:
    row = await tx.maybe(SQL["account_of_mailbox"], {"organisation": organisation, "mailbox": mailbox})
    if row is None:
        return None
    return Account(
        person=row["person"],
        organisation=organisation,
        status=PersonStatus(row["status"]),
        name=shown_name(row),
        password_hash=row["password_hash"],
        has_factor=row["has_factor"],
    )


async def one_at_a_time(tx: Transaction, account: str) -> None:
    await tx.one(SQL["one_at_a_time"], {"account": account})


async def attempts(
    tx: Transaction,
    organisation: OrganisationId,
    *,
    person: PersonId | None,
    name_mark: bytes | None,
    since: datetime,
) -> list[Attempt]:
    values = {"organisation": organisation, "since": since}
    if person is not None:
        rows = await tx.all(SQL["attempts_of_person"], {**values, "person": person})
    else:
        rows = await tx.all(SQL["attempts_of_name"], {**values, "name_mark": name_mark})
    return [
        Attempt(
            at=row["at"],
            outcome=Outcome(row["outcome"]),
            device=_bytes(row["device"]),
            password_mark=_bytes(row["password_mark"]),
        )
        for row in rows
    ]


async def insert_attempt(
    tx: Transaction,
    organisation: OrganisationId,
    attempt: Attempt,
    client: ClientFacts,
    *,
    person: PersonId | None,
    name_mark: bytes | None,
) -> int:
    values = {
        "organisation": organisation,
        "person": person,
        "name_mark": name_mark,
        "at": attempt.at,
        "outcome": attempt.outcome.value,
        "door": client.door.value,
        "address": client.address,
        "client": client.name[:200],
        "device": attempt.device,
        "password_mark": attempt.password_mark,
    }
    return int((await tx.one(SQL["insert_attempt"], values))["id"])


async def settle_attempt(tx: Transaction, organisation: OrganisationId, attempt: int, outcome: Outcome) -> None:
    values = {"organisation": organisation, "attempt": attempt, "outcome": outcome.value}
    await tx.run(SQL["settle_attempt"], values)


async def forgive_attempt(tx: Transaction, organisation: OrganisationId, attempt: int) -> None:
    await tx.run(SQL["forgive_attempt"], {"organisation": organisation, "attempt": attempt})


async def recent_attempts(
    tx: Transaction, organisation: OrganisationId, person: PersonId, *, since: datetime, limit: int
) -> list[AttemptLine]:
    values = {"organisation": organisation, "person": person, "since": since, "limit": limit}
    return [
        AttemptLine(
            at=row["at"],
            outcome=Outcome(row["outcome"]),
            door=Door(row["door"]),
            address=row["address"],
            client=row["client"],
            device=row["device"],
        )
        for row in await tx.all(SQL["recent_attempts"], values)
    ]


async def source_failures(tx: Transaction, source: str, *, per_hour: float, now: datetime) -> float:
    row = await tx.maybe(SQL["source_failures"], {"source": source, "per_hour": per_hour, "now": now})
    return 0.0 if row is None else float(row["failures"])


async def add_source_failure(tx: Transaction, source: str, *, per_hour: float, now: datetime) -> None:
    await tx.run(SQL["add_source_failure"], {"source": source, "per_hour": per_hour, "now": now})


# --- devices and tickets --------------------------------------------------------------------------------------------


async def knows_device(
    tx: Transaction, organisation: OrganisationId, person: PersonId, token_hash: bytes, *, since: datetime
) -> bool:
    values = {"organisation": organisation, "person": person, "token_hash": token_hash, "since": since}
    return await tx.maybe(SQL["find_device"], values) is not None


async def keep_device(
    tx: Transaction, organisation: OrganisationId, person: PersonId, token_hash: bytes, *, name: str, now: datetime
) -> None:
    values = {"organisation": organisation, "person": person, "token_hash": token_hash, "name": name, "now": now}
    await tx.run(SQL["keep_device"], values)


async def forget_devices(tx: Transaction, organisation: OrganisationId, person: PersonId) -> None:
    await tx.run(SQL["forget_devices"], {"organisation": organisation, "person": person})


async def insert_ticket(
    tx: Transaction,
    organisation: OrganisationId,
    person: PersonId,
    token_hash: bytes,
    *,
    state: State,
    expires_at: datetime,
) -> None:
    values = {
        "organisation": organisation,
        "person": person,
        "token_hash": token_hash,
        "state": state.value,
        "expires_at": expires_at,
    }
    await tx.run(SQL["insert_ticket"], values)


async def use_ticket(
    tx: Transaction, organisation: OrganisationId, token_hash: bytes, *, tries: int, now: datetime
) -> Ticket | None:
    values = {"organisation": organisation, "token_hash": token_hash, "tries": tries, "now": now}
    row = await tx.maybe(SQL["use_ticket"], values)
    if row is None:
        return None
    return Ticket(
        state=State(row["state"]),
        tries=row["tries"],
        person=row["person"],
        status=PersonStatus(row["status"]),
        name=shown_name(row),
        secret_sealed=_bytes(row["secret_sealed"]),
        last_step=row["last_step"] or 0,
    )


async def look_at_ticket(
    tx: Transaction, organisation: OrganisationId, token_hash: bytes, *, tries: int, now: datetime
) -> TicketLook | None:
    values = {"organisation": organisation, "token_hash": token_hash, "tries": tries, "now": now}
    row = await tx.maybe(SQL["look_at_ticket"], values)
    if row is None:
        return None
    return TicketLook(
        state=State(row["state"]),
        person=row["person"],
        address=row["address"] or "",
        secret_sealed=_bytes(row["secret_sealed"]),
        confirmed=row["confirmed_at"] is not None,
    )


async def delete_ticket(tx: Transaction, organisation: OrganisationId, token_hash: bytes) -> None:
    await tx.run(SQL["delete_ticket"], {"organisation": organisation, "token_hash": token_hash})


async def delete_tickets_of(tx: Transaction, organisation: OrganisationId, person: PersonId) -> None:
    await tx.run(SQL["delete_tickets_of"], {"organisation": organisation, "person": person})


# --- factors and passwords ------------------------------------------------------------------------------------------


async def offer_factor(
    tx: Transaction, organisation: OrganisationId, person: PersonId, *, secret_sealed: bytes, now: datetime
) -> bool:
    values = {"organisation": organisation, "person": person, "secret_sealed": secret_sealed, "now": now}
    return await tx.run(SQL["offer_factor"], values) == 1


async def spend_step(
    tx: Transaction, organisation: OrganisationId, person: PersonId, step: int, *, now: datetime
) -> bool:
    values = {"organisation": organisation, "person": person, "step": step, "now": now}
    return await tx.run(SQL["spend_step"], values) == 1


async def remove_factor(tx: Transaction, organisation: OrganisationId, person: PersonId) -> bool:
    return await tx.run(SQL["remove_factor"], {"organisation": organisation, "person": person}) == 1


async def credential_of(tx: Transaction, organisation: OrganisationId, person: PersonId) -> StoredPassword | None:
    row = await tx.maybe(SQL["credential_of"], {"organisation": organisation, "person": person})
    return None if row is None else StoredPassword(hash=row["password_hash"], set_at=row["set_at"])


async def set_credential(
    tx: Transaction,
    organisation: OrganisationId,
    person: PersonId,
    password_hash: str,
    *,
    must_change: bool,
    now: datetime,
) -> None:
    values = {
        "organisation": organisation,
        "person": person,
        "password_hash": password_hash,
        "must_change": must_change,
        "now": now,
    }
    await tx.run(SQL["set_credential"], values)


async def rehash_credential(
    tx: Transaction, organisation: OrganisationId, person: PersonId, *, before: str, after: str
) -> None:
    values = {"organisation": organisation, "person": person, "before": before, "password_hash": after}
    await tx.run(SQL["rehash_credential"], values)


async def remember_password(
    tx: Transaction, organisation: OrganisationId, person: PersonId, old: StoredPassword, *, keep: int
) -> None:
    values = {"organisation": organisation, "person": person}
    await tx.run(SQL["remember_password"], {**values, "set_at": old.set_at, "password_hash": old.hash})
    await tx.run(SQL["forget_past_passwords"], {**values, "keep": keep})


async def past_passwords(tx: Transaction, organisation: OrganisationId, person: PersonId, *, limit: int) -> list[str]:
    rows = await tx.all(SQL["past_passwords"], {"organisation": organisation, "person": person, "limit": limit})
    return [row["password_hash"] for row in rows]


async def names_for_password(tx: Transaction, organisation: OrganisationId, person: PersonId) -> NamesOf | None:
    row = await tx.maybe(SQL["names_for_password"], {"organisation": organisation, "person": person})
    if row is None:
        return None
    names = (row["given_name"], row["family_name"], (row["address"] or "").partition("@")[0], row["name"], row["code"])
    return NamesOf(names=names, is_administrator=row["is_administrator"])
