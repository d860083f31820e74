"""The record on PostgreSQL: written with the change, changed by nobody, and torn only visibly. A1, A2, A4."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from tests.fakes.town import OPERATOR, Town, build_town

from carepost.audit import repo
from carepost.audit.chain import FaultKind
from carepost.audit.checkpoint import Checkpoints, load_or_make_key, read_notes
from carepost.audit.events import RoleGranted
from carepost.audit.events_mail import MailReceived
from carepost.audit.model import PLATFORM, Actor
from carepost.audit.note import CheckpointSigner
from carepost.audit.record import AuditTrail
from carepost.audit.verify import verify
from carepost.base.errors import Broken
from carepost.base.ids import OrganisationId, PersonId, TraceId
from carepost.directory.model import Role
from carepost.infra.db import Database

EVENTS = 40
MUTATIONS = 300


@pytest.fixture
async def town(database: Database) -> Town:
    return await build_town(database)


@pytest.fixture
async def superuser(superuser_dsn: str) -> AsyncIterator[psycopg.AsyncConnection[tuple[object, ...]]]:
    async with await psycopg.AsyncConnection.connect(superuser_dsn, autocommit=True) as connection:
        yield connection


def checkpoints(town: Town, folder: Path) -> Checkpoints:
    signer = CheckpointSigner("riverside.example/audit", load_or_make_key(folder / "checkpoint.key"))
    return Checkpoints(db=town.db, audit=town.audit, clock=town.clock, signer=signer, folder=folder / "notes")


async def fill(town: Town, events: int = EVENTS) -> None:
    for number in range(events):
        async with town.db.transaction(town.practice) as tx:
            event = MailReceived(trace=TraceId(f"T{number:019}"), door="smtp", size=number, recipients=1)
            await town.audit.record(tx, Actor.stranger("192.0.2.1"), event)


async def test_a_change_and_its_entry_commit_together_or_not_at_all(town: Town) -> None:
    amina = await town.person("Amina Okafor")

    class Unwritable(AuditTrail):
        async def record(self, *_: object, **__: object) -> None:
            raise Broken("the record cannot be written")

    people = type(town.people)(
        db=town.db, audit=Unwritable(clock=town.clock), clock=town.clock, directory=town.directory, keys=town.keys
    )
    with pytest.raises(Broken):
        await people.grant_role(OPERATOR, town.practice, amina.id, Role.AUDITOR)
    assert (await town.directory.rights_of(town.practice, amina.id)).roles == frozenset()


async def test_an_event_without_an_organisation_is_refused(town: Town) -> None:
    with pytest.raises(Broken, match="could not be recorded"):
        async with town.db.transaction() as tx:
            await town.audit.record(tx, OPERATOR, RoleGranted(person=PersonId(1), role="auditor"))


async def test_an_event_of_the_platform_goes_to_its_chain_and_the_transaction_goes_on_where_it_was(town: Town) -> None:
    async with town.db.transaction(town.practice) as tx:
        event = RoleGranted(person=PersonId(1), role="auditor")
        await town.audit.record(tx, OPERATOR, event, organisation=PLATFORM)
        assert await repo.acting_organisation(tx) == town.practice
    async with town.db.transaction(PLATFORM) as tx:
        entries = await repo.latest_entries(tx, PLATFORM, before=1 << 60, event=None, person=None, limit=1)
    assert entries[0].event == "directory.role.granted"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET at = now()",
        "DELETE FROM audit_event",
        "TRUNCATE audit_event",
        "DELETE FROM audit_head",
        "DELETE FROM audit_checkpoint",
        "UPDATE audit_checkpoint SET note = ''",
    ],
)
async def test_our_own_roles_may_not_change_the_record(town: Town, relay_database: Database, statement: str) -> None:
    for db in (town.db, relay_database):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with db.transaction(town.practice) as tx:
                await tx.run(statement)  # type: ignore[arg-type]


async def test_port_25_may_add_to_the_record_and_not_read_it(town: Town, relay_database: Database) -> None:
    async with relay_database.transaction(town.practice) as tx:
        await town.audit.record(
            tx, Actor.job("relay"), MailReceived(trace=TraceId("T"), door="smtp", size=1, recipients=1)
        )
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with relay_database.transaction(town.practice) as tx:
            await tx.all("SELECT * FROM audit_event")
    report = await verify(town.db, None)
    assert report.is_whole


async def test_writers_at_once_make_one_chain_without_gaps(town: Town) -> None:
    await asyncio.gather(*(fill(town, 25) for _ in range(6)))
    report = await verify(town.db, None, organisation=town.practice)
    assert report.is_whole
    assert report.entries >= 150


async def test_one_organisation_cannot_write_or_read_the_record_of_another(town: Town) -> None:
    await fill(town, 3)
    async with town.db.transaction(PLATFORM) as tx:
        assert await repo.entries_after(tx, town.practice, 0, limit=10) == []
        assert await repo.head_of(tx, town.practice) is None


async def test_any_change_to_any_row_by_a_superuser_is_found(
    town: Town, superuser: psycopg.AsyncConnection[tuple[object, ...]]
) -> None:
    """A1: flip, delete, insert, swap, renumber, in place, at random; each found, then undone."""
    await fill(town)
    chance = random.Random(20261122)
    undetected: list[str] = []
    for _ in range(MUTATIONS):
        async with superuser.transaction(force_rollback=True):
            what = await _mutate(superuser, town.practice, chance)
            entries = await _entries(superuser, town.practice)
            if not entries:
                continue
            if not _faults(entries, await _head(superuser, town.practice)):
                undetected.append(what)
    assert undetected == []


async def test_a_torn_record_is_reported_in_words(
    town: Town, superuser: psycopg.AsyncConnection[tuple[object, ...]]
) -> None:
    await fill(town, 10)
    assert (await verify(town.db, None)).is_whole
    await superuser.execute("DELETE FROM audit_event WHERE organisation_id = %s AND seq IN (4, 5)", [town.practice])
    await superuser.execute(
        "UPDATE audit_event SET actor_name = 'someone else' WHERE organisation_id = %s AND seq = 8", [town.practice]
    )
    report = await verify(town.db, None)
    assert [(fault.kind, fault.seq) for fault in report.faults] == [(FaultKind.MISSING, 4), (FaultKind.CHANGED, 8)]
    assert report.faults[0].says == "Entries 4 to 5 are missing."


async def test_an_end_cut_off_with_its_head_wound_back_is_found_by_the_checkpoint(
    town: Town, superuser: psycopg.AsyncConnection[tuple[object, ...]], tmp_path: Path
) -> None:
    await fill(town, 10)
    points = checkpoints(town, tmp_path)
    assert await points.sign() is not None
    assert (await verify(town.db, points.signer.verifier)).is_whole
    await superuser.execute("DELETE FROM audit_event WHERE organisation_id = %s AND seq > 7", [town.practice])
    await superuser.execute(
        "UPDATE audit_head SET seq = 7, hash = (SELECT hash FROM audit_event e WHERE e.organisation_id = %s AND e.seq = 7)"
        " WHERE organisation_id = %s",
        [town.practice, town.practice],
    )
    assert (await verify(town.db, None)).is_whole
    report = await verify(town.db, points.signer.verifier)
    assert [fault.kind for fault in report.faults] == [FaultKind.CUT_OFF]
    await superuser.execute("DELETE FROM audit_checkpoint")
    assert (await verify(town.db, points.signer.verifier)).is_whole
    witnessed = await verify(town.db, points.signer.verifier, notes=read_notes(tmp_path / "notes"))
    assert [fault.kind for fault in witnessed.faults] == [FaultKind.CUT_OFF]


async def test_a_history_rewritten_with_good_hashes_is_found_by_the_checkpoint(
    town: Town, superuser: psycopg.AsyncConnection[tuple[object, ...]], tmp_path: Path
) -> None:
    await fill(town, 5)
    points = checkpoints(town, tmp_path)
    await points.sign()
    await superuser.execute("DELETE FROM audit_event WHERE organisation_id = %s", [town.practice])
    await superuser.execute(
        "UPDATE audit_head SET seq = 0, hash = decode(repeat('00', 32), 'hex') WHERE organisation_id = %s",
        [town.practice],
    )
    await fill(town, 12)
    assert (await verify(town.db, None)).is_whole
    report = await verify(town.db, points.signer.verifier)
    assert FaultKind.CHECKPOINT_DISAGREES in {fault.kind for fault in report.faults}


async def test_a_checkpoint_is_signed_only_when_something_has_happened(town: Town, tmp_path: Path) -> None:
    points = checkpoints(town, tmp_path)
    assert await points.sign() is not None
    assert await points.sign() is None
    await fill(town, 1)
    note = await points.sign()
    assert note is not None
    assert note.startswith("riverside.example/audit\n")
    assert len(read_notes(tmp_path / "notes")) == 2
    report = await verify(town.db, points.signer.verifier, notes=read_notes(tmp_path / "notes"))
    assert (report.is_whole, report.checkpoints) == (True, 4)


async def test_a_checkpoint_that_was_changed_is_found(
    town: Town, superuser: psycopg.AsyncConnection[tuple[object, ...]], tmp_path: Path
) -> None:
    points = checkpoints(town, tmp_path)
    await points.sign()
    await superuser.execute("UPDATE audit_checkpoint SET note = replace(note, 'riverside', 'riverslde')")
    report = await verify(town.db, points.signer.verifier)
    assert [fault.kind for fault in report.faults] == [FaultKind.BAD_SIGNATURE]


async def test_the_signing_key_is_made_once_and_is_ours_alone(tmp_path: Path) -> None:
    key = load_or_make_key(tmp_path / "checkpoint.key")
    assert load_or_make_key(tmp_path / "checkpoint.key") == key
    assert (tmp_path / "checkpoint.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "checkpoint.key").write_bytes(b"short")
    with pytest.raises(Broken, match="damaged"):
        load_or_make_key(tmp_path / "checkpoint.key")


# --- the superuser's hands ------------------------------------------------------------------------------------------


async def _mutate(
    connection: psycopg.AsyncConnection[tuple[object, ...]], organisation: OrganisationId, chance: random.Random
) -> str:
    rows = await (
        await connection.execute(
            "SELECT count(*), max(seq) FROM audit_event WHERE organisation_id = %s", [organisation]
        )
    ).fetchone()
    assert rows is not None
    last = int(str(rows[1]))
    seq = chance.randint(1, last)
    kind = chance.choice(["flip", "flip", "flip", "delete", "insert", "append", "swap", "renumber"])
    where = {
        "org": organisation,
        "seq": seq,
        "last": last,
        "other": chance.choice([n for n in range(1, last + 1) if n != seq]),
    }
    match kind:
        case "flip":
            column = chance.choice(
                [
                    "at",
                    "event",
                    "actor_kind",
                    "actor_name",
                    "actor_person",
                    "actor_organisation",
                    "actor_session",
                    "actor_address",
                    "details",
                    "hash",
                ]
            )
            value = {
                "at": "at + interval '1 microsecond'",
                "actor_kind": "CASE actor_kind WHEN 'job' THEN 'person' ELSE 'job' END",
                "actor_person": "coalesce(actor_person, 0) + 1",
                "actor_organisation": "CASE WHEN actor_organisation IS NULL THEN 7 END",
                "actor_session": "coalesce(actor_session, '') || 'x'",
                "actor_address": "CASE WHEN actor_address IS NULL THEN '' END",
                "details": "replace(details, '}', ' }')",
            }.get(column, f"{column} || 'x'")
            if column == "hash":
                bit = chance.randrange(256)
                value = f"set_bit(hash, {bit}, 1 - get_bit(hash, {bit}))"
            statement = f"UPDATE audit_event SET {column} = {value} WHERE organisation_id = %(org)s AND seq = %(seq)s"
            kind += " " + column
        case "delete":
            statement = "DELETE FROM audit_event WHERE organisation_id = %(org)s AND seq = %(seq)s"
        case "insert":
            await connection.execute(
                "UPDATE audit_event SET seq = seq + 1000000 WHERE organisation_id = %(org)s AND seq > %(seq)s", where
            )
            statement = (
                "INSERT INTO audit_event SELECT organisation_id, seq + 1, at, event, actor_kind, actor_name, actor_person,"
                " actor_organisation, actor_session, actor_address, details, hash FROM audit_event"
                " WHERE organisation_id = %(org)s AND seq = %(seq)s"
            )
            await connection.execute(statement, where)
            statement = "UPDATE audit_event SET seq = seq - 999999 WHERE organisation_id = %(org)s AND seq > 1000000"
        case "append":
            statement = (
                "INSERT INTO audit_event SELECT organisation_id, %(last)s + 1, at, event, actor_kind, actor_name, actor_person,"
                " actor_organisation, actor_session, actor_address, details, hash FROM audit_event"
                " WHERE organisation_id = %(org)s AND seq = %(seq)s"
            )
        case "swap":
            await connection.execute(
                "UPDATE audit_event SET seq = 2000000 WHERE organisation_id = %(org)s AND seq = %(seq)s", where
            )
            await connection.execute(
                "UPDATE audit_event SET seq = %(seq)s WHERE organisation_id = %(org)s AND seq = %(other)s", where
            )
            statement = "UPDATE audit_event SET seq = %(other)s WHERE organisation_id = %(org)s AND seq = 2000000"
        case _:
            statement = "UPDATE audit_event SET seq = seq + 500000 WHERE organisation_id = %(org)s AND seq = %(seq)s"
    await connection.execute(statement, where)  # type: ignore[arg-type]
    return f"{kind} at {seq}"


async def _entries(
    connection: psycopg.AsyncConnection[tuple[object, ...]], organisation: OrganisationId
) -> list[repo.Entry]:
    cursor = connection.cursor(row_factory=psycopg.rows.dict_row)
    await cursor.execute(
        repo.SQL["entries_after"], {"organisation": organisation, "after": -(1 << 62), "limit": 100000}
    )
    return [repo.Entry(**row) for row in await cursor.fetchall()]


async def _head(connection: psycopg.AsyncConnection[tuple[object, ...]], organisation: OrganisationId) -> repo.Head:
    cursor = connection.cursor(row_factory=psycopg.rows.dict_row)
    await cursor.execute(repo.SQL["head_of"], {"organisation": organisation})
    row = await cursor.fetchone()
    assert row is not None
    return repo.Head(row["organisation_id"], row["seq"], row["hash"])


def _faults(entries: list[repo.Entry], head: repo.Head) -> list[object]:
    from carepost.audit.chain import ChainCheck

    check = ChainCheck(head.organisation)
    return [*check.check(entries), *check.finish(head)]
