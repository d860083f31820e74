"""Two organisations on one database: nothing of the one is seen, changed or opened from the other (T2, T3)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psycopg
import pytest
from tests.fakes.gateway import letter, with_files
from tests.fakes.gateway_world import OPERATOR, GatewayWorld

from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.errors import MailError, NotAllowed
from carepost.base.ids import HeldId, TraceId
from carepost.directory.access import OnMailbox, Verb, authorize
from carepost.directory.model import MailboxRecord, MemberRight, PersonStatus, Role
from carepost.gateway.checks.malware import EICAR
from carepost.gateway.verdict import SearchBy
from carepost.infra.db import Database
from carepost.infra.vault import DoesNotOpen
from carepost.store.filing import Filing
from carepost.store.model import MailboxRef, SpecialUse
from carepost.store.search import MailSearch

CANARY = "Zyxomma"

TENANT_TABLES = """
SELECT c.oid::regclass::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND n.nspname IN ('public', 'keystore')
   AND EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'organisation_id')
 ORDER BY 1
"""


@dataclass
class Neighbours:
    """`theirs` has mail, quarantine and people; `spy` is the highest administrator that `ours` can have by itself."""

    world: GatewayWorld
    theirs: MailboxRecord
    their_person: Actor
    trace: TraceId
    held: HeldId
    spy: Actor
    ours: MailboxRecord


@pytest.fixture
async def neighbours(database: Database, relay_database: Database) -> Neighbours:
    world = GatewayWorld(database, relay_database)
    await world.organisations.add_domain(OPERATOR, world.domain)
    one, other = await world.organisation("A81001"), await world.organisation("B82002")
    their_admin, _ = await world.person(one, "Ada Admin", Role.LOCAL_ADMINISTRATOR)
    their_person, theirs = await world.person(one, "Jo Bloggs")
    local = (Role.PRIMARY_LOCAL_ADMINISTRATOR, Role.LOCAL_ADMINISTRATOR, Role.LOCAL_HELPDESK, Role.AUDITOR)
    spy, ours = await world.person(other, "Sam Spy", *local)
    trace = await world.receive(letter(subject=CANARY), theirs)
    await world.receive(with_files(("letter.txt", EICAR)), theirs)
    (held,) = (await world.quarantine.page(their_admin, one)).held
    return Neighbours(world, theirs, their_person, trace, held.id, spy, ours)


async def test_no_table_shows_or_gives_a_row_to_another_organisation(
    neighbours: Neighbours, database: Database, superuser_dsn: str
) -> None:
    one, other = neighbours.theirs.organisation, neighbours.ours.organisation
    with psycopg.connect(superuser_dsn, autocommit=True) as behind:
        tables = [row[0] for row in behind.execute(TENANT_TABLES)]
        full = {
            table
            for table in tables
            if behind.execute(f"SELECT 1 FROM {table} WHERE organisation_id = {int(one)} LIMIT 1").fetchone()  # type: ignore[arg-type]
        }
    assert {"object", "message", "keystore.object_key", "held_message", "verdict", "person", "audit_event"} <= full
    for table in tables:
        for acting in (other, None):
            async with database.transaction(acting) as tx:
                seen = await tx.one(f"SELECT count(*) AS n FROM {table} WHERE organisation_id = {int(one)}")  # type: ignore[arg-type]
                assert seen["n"] == 0, table
    for table in sorted(full):
        for statement in (f"UPDATE {table} SET organisation_id = {int(other)}", f"DELETE FROM {table}"):
            touched = 0
            try:
                async with database.transaction(other) as tx:
                    touched = await tx.run(f"{statement} WHERE organisation_id = {int(one)}")  # type: ignore[arg-type]
            except (MailError, psycopg.Error):
                pass
            assert touched == 0, statement
        with pytest.raises((MailError, psycopg.Error)):
            async with database.transaction(other) as tx:
                await tx.run(f"INSERT INTO {table} (organisation_id) VALUES ({int(one)})")  # type: ignore[arg-type]


async def test_an_administrator_next_door_may_do_nothing_here(neighbours: Neighbours) -> None:
    world, spy, theirs = neighbours.world, neighbours.spy, neighbours.theirs
    here, person = theirs.organisation, neighbours.their_person.person
    assert person is not None
    doors: list[Callable[[], Awaitable[object]]] = [
        lambda: world.quarantine.page(spy, here),
        lambda: world.quarantine.get(spy, here, neighbours.held),
        lambda: world.quarantine.release(spy, here, neighbours.held, reason="mine now"),
        lambda: world.quarantine.delete(spy, here, neighbours.held, reason="mine now"),
        lambda: world.trace.search(spy, here, None),
        lambda: world.trace.search(spy, here, SearchBy.RECIPIENT, str(theirs.address)),
        lambda: world.trace.why(spy, here, neighbours.trace),
        lambda: world.trace.for_reader(spy, here, theirs.id, neighbours.trace),
        lambda: world.trace.find(spy, here, neighbours.trace),
        lambda: world.people.set_status(spy, here, person, PersonStatus.DISABLED, reason="mine now"),
        lambda: world.people.grant_role(spy, here, person, Role.LOCAL_ADMINISTRATOR),
    ]
    for door in doors:
        with pytest.raises(NotAllowed):
            await door()


async def test_at_home_the_same_administrator_finds_nothing_of_theirs(neighbours: Neighbours) -> None:
    world, spy, home = neighbours.world, neighbours.spy, neighbours.ours.organisation
    assert (await world.quarantine.page(spy, home)).held == []
    assert await world.trace.why(spy, home, neighbours.trace) is None
    assert (await world.trace.search(spy, home, None)).records == []
    assert (await world.trace.search(spy, home, SearchBy.RECIPIENT, str(neighbours.theirs.address))).records == []
    with pytest.raises(MailError):
        await world.quarantine.get(spy, home, neighbours.held)
    with pytest.raises(MailError):
        await world.quarantine.release(spy, home, neighbours.held, reason="guessed its number")


async def test_their_numbers_with_our_organisation_open_nothing(neighbours: Neighbours) -> None:
    """A page that mixed the two up: the right numbers of mailbox, folder and message, and the wrong organisation."""
    world, theirs = neighbours.world, neighbours.theirs
    folders = await world.folders.all(theirs)
    inbox = next(view.id for view in folders if view.special_use is SpecialUse.INBOX)
    assert len(await world.bodies(theirs)) == 1
    mixed = MailboxRef(theirs.id, neighbours.ours.organisation)
    filing = Filing(db=world.db, keys=world.keys, audit=AuditTrail(clock=world.clock), clock=world.clock)
    search = MailSearch(db=world.db, keys=world.keys, clock=world.clock)
    assert await world.messages.outlines(mixed, inbox) == []
    assert await world.messages.rows(mixed, inbox, [1]) == []
    assert await world.messages.find_by_trace(mixed, neighbours.trace) == []
    assert await world.folders.by_id(mixed, inbox) is None
    for door in (
        lambda: world.messages.body(mixed, inbox, 1),
        lambda: world.messages.summaries(mixed, inbox, [1]),
        lambda: world.messages.page(mixed, inbox),
        lambda: world.folders.all(mixed),
        lambda: search.matching(mixed, []),
        lambda: filing.append(mixed, inbox, letter()),
        lambda: filing.set_flags(mixed, inbox, [1], add=1),
        lambda: filing.expunge(OPERATOR, mixed, inbox, [1]),
        lambda: filing.copy(mixed, inbox, [1], to_mailbox=neighbours.ours, to_folder=inbox),
        lambda: filing.move(neighbours.spy, theirs, inbox, [1], to_mailbox=neighbours.ours, to_folder=inbox),
    ):
        with pytest.raises((MailError, DoesNotOpen)):
            await door()  # type: ignore[no-untyped-call]
    assert len(await world.bodies(theirs)) == 1


async def test_nobody_is_made_a_member_across_organisations(neighbours: Neighbours) -> None:
    world, theirs, spy = neighbours.world, neighbours.theirs, neighbours.spy
    assert spy.person is not None
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        async with world.db.transaction(neighbours.ours.organisation) as tx:
            await tx.run(
                'INSERT INTO mailbox_member (organisation_id, mailbox_id, person_id, "right") VALUES (%s, %s, %s, %s)',
                [neighbours.ours.organisation, theirs.id, spy.person, MemberRight.OWNER.value],
            )


async def test_a_mailbox_is_ones_own_in_ones_own_organisation_only(neighbours: Neighbours) -> None:
    """The same number under another organisation's name is another thing."""
    spy, ours = neighbours.spy, neighbours.ours
    assert spy.person is not None
    rights = await neighbours.world.directory.rights_of(ours.organisation, spy.person)
    authorize(rights, Verb.MAILBOX_READ, OnMailbox.of(ours))
    with pytest.raises(NotAllowed):
        authorize(rights, Verb.MAILBOX_READ, OnMailbox(ours.id, neighbours.theirs.organisation))
