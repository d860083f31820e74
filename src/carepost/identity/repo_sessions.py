"""Runs identity/queries.sql for sessions, app passwords and revocations; repo is the other half."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from carepost.base.ids import AppPasswordId, MailboxId, OrganisationId, PersonId, SessionId
from carepost.directory.model import MAY_SIGN_IN, PersonStatus
from carepost.directory.revoking import Revoked
from carepost.identity.model import AppPasswordLine, ClientFacts, Scope, Session, SessionLine
from carepost.identity.repo import SQL, shown_name
from carepost.infra.db import Transaction

_STATUSES = [status.value for status in MAY_SIGN_IN]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundAppPassword:
    id: AppPasswordId
    device: str
    person: PersonId
    name: str
    last_used_at: datetime | None


# --- sessions -------------------------------------------------------------------------------------------------------


async def insert_session(
    tx: Transaction,
    organisation: OrganisationId,
    person: PersonId,
    token_hash: bytes,
    client: ClientFacts,
    *,
    idle_seconds: int,
    absolute_until: datetime,
    shared_computer: bool,
    now: datetime,
) -> SessionId:
    values = {
        "organisation": organisation,
        "person": person,
        "token_hash": token_hash,
        "now": now,
        "idle_seconds": idle_seconds,
        "absolute_until": absolute_until,
        "shared_computer": shared_computer,
        "address": client.address,
        "client": client.name[:200],
    }
    return SessionId((await tx.one(SQL["insert_session"], values))["id"])


async def is_session_open(
    tx: Transaction, organisation: OrganisationId, person: PersonId, session: SessionId, *, now: datetime
) -> bool:
    values = {"organisation": organisation, "person": person, "session": session, "now": now, "statuses": _STATUSES}
    return bool((await tx.one(SQL["is_session_open"], values))["good"])


async def resume_session(
    tx: Transaction, organisation: OrganisationId, token_hash: bytes, *, now: datetime, touch_before: datetime
) -> Session | None:
    values = {
        "organisation": organisation,
        "token_hash": token_hash,
        "now": now,
        "touch_before": touch_before,
        "statuses": _STATUSES,
    }
    row = await tx.maybe(SQL["resume_session"], values)
    if row is None:
        return None
    return Session(
        id=row["id"],
        person=row["person_id"],
        organisation=organisation,
        name=shown_name(row),
        address=row["address"] or "",
        status=PersonStatus(row["status"]),
        shared_computer=row["shared_computer"],
        must_change_password=row["must_change"],
        created_at=row["created_at"],
        absolute_until=row["absolute_until"],
        idle_seconds=row["idle_seconds"],
    )


async def end_session(
    tx: Transaction,
    organisation: OrganisationId,
    *,
    token_hash: bytes | None = None,
    session: SessionId | None = None,
    person: PersonId | None = None,
    now: datetime,
) -> tuple[SessionId, PersonId] | None:
    values = {
        "organisation": organisation,
        "token_hash": token_hash,
        "session": session,
        "person": person,
        "now": now,
    }
    row = await tx.maybe(SQL["end_session"], values)
    return None if row is None else (row["id"], row["person_id"])


async def count_sessions(tx: Transaction, organisation: OrganisationId, person: PersonId, *, now: datetime) -> int:
    row = await tx.one(SQL["count_sessions"], {"organisation": organisation, "person": person, "now": now})
    return int(row["sessions"])


async def sessions_of(
    tx: Transaction, organisation: OrganisationId, person: PersonId, *, now: datetime
) -> list[SessionLine]:
    rows = await tx.all(SQL["sessions_of"], {"organisation": organisation, "person": person, "now": now})
    return [SessionLine(**row) for row in rows]


async def name_of(tx: Transaction, organisation: OrganisationId, person: PersonId) -> str:
    return shown_name(await tx.one(SQL["name_of"], {"organisation": organisation, "person": person}))


# --- app passwords --------------------------------------------------------------------------------------------------


async def may_use_mail_clients(tx: Transaction, organisation: OrganisationId, person: PersonId) -> bool:
    row = await tx.maybe(SQL["may_use_mail_clients"], {"organisation": organisation, "person": person})
    return row is not None and bool(row["allowed"])


async def count_app_passwords(tx: Transaction, organisation: OrganisationId, person: PersonId, *, now: datetime) -> int:
    row = await tx.one(SQL["count_app_passwords"], {"organisation": organisation, "person": person, "now": now})
    return int(row["passwords"])


async def insert_app_password(
    tx: Transaction,
    organisation: OrganisationId,
    person: PersonId,
    *,
    name: str,
    secret_hash: bytes,
    scopes: Iterable[Scope],
    expires_at: datetime,
    now: datetime,
) -> AppPasswordId:
    values = {
        "organisation": organisation,
        "person": person,
        "name": name,
        "secret_hash": secret_hash,
        "scopes": sorted(scope.value for scope in scopes),
        "expires_at": expires_at,
        "now": now,
    }
    return AppPasswordId((await tx.one(SQL["insert_app_password"], values))["id"])


async def check_app_password(
    tx: Transaction,
    organisation: OrganisationId,
    mailbox: MailboxId,
    secret_hash: bytes,
    client: ClientFacts,
    *,
    scope: Scope,
    now: datetime,
    touch_before: datetime,
) -> FoundAppPassword | None:
    values = {
        "organisation": organisation,
        "mailbox": mailbox,
        "secret_hash": secret_hash,
        "scope": scope.value,
        "now": now,
        "touch_before": touch_before,
        "address": client.address,
    }
    row = await tx.maybe(SQL["check_app_password"], values)
    if row is None:
        return None
    return FoundAppPassword(
        id=row["id"],
        device=row["name"],
        person=row["person"],
        name=shown_name(row),
        last_used_at=row["last_used_at"],
    )


async def app_passwords_of(tx: Transaction, organisation: OrganisationId, person: PersonId) -> list[AppPasswordLine]:
    rows = await tx.all(SQL["app_passwords_of"], {"organisation": organisation, "person": person})
    return [AppPasswordLine(**{**row, "scopes": frozenset(Scope(scope) for scope in row["scopes"])}) for row in rows]


async def revoke_app_password(
    tx: Transaction, organisation: OrganisationId, person: PersonId, app_password: AppPasswordId, *, now: datetime
) -> bool:
    values = {"organisation": organisation, "person": person, "app_password": app_password, "now": now}
    return await tx.maybe(SQL["revoke_app_password"], values) is not None


# --- revocations and forgetting -------------------------------------------------------------------------------------


async def database_time(tx: Transaction) -> datetime:
    row = await tx.one(SQL["database_time"])
    return row["now"]  # type: ignore[no-any-return]


async def revocations_since(tx: Transaction, since: datetime) -> list[tuple[int, Revoked]]:
    return [
        (
            row["id"],
            Revoked(person=row["person_id"], app_password=row["app_password_id"], session=row["session_id"]),
        )
        for row in await tx.all(SQL["revocations_since"], {"since": since})
    ]


async def forget_of_organisation(
    tx: Transaction, organisation: OrganisationId, *, attempts: datetime, tickets: datetime, sessions: datetime
) -> None:
    for name, before in (("forget_attempts", attempts), ("forget_tickets", tickets), ("forget_sessions", sessions)):
        await tx.run(SQL[name], {"organisation": organisation, "before": before})


async def forget_of_all(tx: Transaction, *, sources: datetime, revocations: datetime) -> None:
    await tx.run(SQL["forget_sources"], {"before": sources})
    await tx.run(SQL["forget_revocations"], {"before": revocations})
