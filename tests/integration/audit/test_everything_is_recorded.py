"""Every change leaves its event: the verbs of each room are used once, and the record is asked what it holds.

`tests/guard/test_registries.py` asks that every event is named by a test; most of them are named here.
"""

from datetime import timedelta
from pathlib import Path

import psycopg
from tests.fakes.gateway import with_files
from tests.fakes.gateway_world import GatewayWorld
from tests.fakes.identity_world import PASSWORD, build_identity, client
from tests.fakes.mailboxes import StoreWorld
from tests.fakes.town import OPERATOR, build_town

from carepost.app.recording import note_backup
from carepost.audit import events, events_mail
from carepost.audit.checkpoint import Checkpoints
from carepost.audit.note import CheckpointSigner
from carepost.base.address import Domain
from carepost.base.clock import FixedClock
from carepost.directory.model import MailboxStatus, OrganisationKind, PersonStatus, Role
from carepost.gateway.checks.malware import EICAR
from carepost.gateway.verdict import SearchBy
from carepost.governance.acceptable_use import AcceptableUse, first_text
from carepost.identity.model import Scope
from carepost.infra.db import Database
from carepost.ops.backup import BackupMade
from carepost.store.keys import Keystore
from carepost.store.model import SpecialUse


def recorded(superuser_dsn: str) -> set[str]:
    """The names of all events in the record, of every organisation."""
    with psycopg.connect(superuser_dsn) as connection:
        return {name for (name,) in connection.execute("SELECT event FROM audit_event")}


def missing(superuser_dsn: str, *wanted: type[events.Event]) -> set[str]:
    return {kind.name.value for kind in wanted} - recorded(superuser_dsn)


async def test_what_is_done_to_organisations_people_and_mailboxes(database: Database, superuser_dsn: str) -> None:
    town = await build_town(database)
    organisations, people, mailboxes = town.organisations, town.people, town.mailboxes
    amina, ben = await town.person("Amina Okafor"), await town.person("Ben Ames")
    await people.grant_role(OPERATOR, town.practice, amina.id, Role.LOCAL_ADMINISTRATOR)
    await people.revoke_role(OPERATOR, town.practice, amina.id, Role.LOCAL_ADMINISTRATOR)
    await people.allow_mail_clients(OPERATOR, town.practice, amina.id, allowed=True)
    await people.set_status(OPERATOR, town.practice, ben.id, PersonStatus.DISABLED, reason="left in haste")
    made = await mailboxes.create_shared(
        OPERATOR, town.practice, address=town.address("reception"), display_name="Reception"
    )
    await mailboxes.add_member(OPERATOR, town.practice, made.mailbox, amina.id)
    await mailboxes.remove_member(OPERATOR, town.practice, made.mailbox, amina.id)
    await mailboxes.add_address(OPERATOR, town.practice, made.mailbox, town.address("front.desk"))
    await mailboxes.set_status(OPERATOR, town.practice, made.mailbox, MailboxStatus.CLOSED, reason="merged")
    trusted = Domain("trust.example")
    await organisations.list_secure_domain(OPERATOR, trusted, source="a test")
    await organisations.remove_secure_domain(OPERATOR, trusted, reason="ran out")
    other = await organisations.create(OPERATOR, code="B81002", name="Hill", kind=OrganisationKind.PHARMACY)
    await organisations.close(OPERATOR, other, reason="merged")
    assert (
        missing(
            superuser_dsn,
            events.OrganisationCreated,
            events.OrganisationClosed,
            events.DomainAdded,
            events.SecureDomainListed,
            events.SecureDomainRemoved,
            events.PersonCreated,
            events.PersonStatusChanged,
            events.MailClientsAllowed,
            events.MailboxCreated,
            events.MailboxStatusChanged,
            events.AddressAdded,
            events.MemberAdded,
            events.MemberRemoved,
            events.RoleGranted,
            events.RoleRevoked,
        )
        == set()
    )


async def test_what_is_done_to_accounts(database: Database, superuser_dsn: str) -> None:
    world = await build_identity(database)
    people, practice = world.town.people, world.town.practice
    amina = await world.ready_person()
    address = str(amina.address)
    for number in range(6):
        await world.sign_in.begin(address, f"too fast {number}", client())
    for number in range(10):
        world.clock.advance(timedelta(seconds=61))
        await world.sign_in.begin(address, f"wrong {number}", client())
    await world.sign_in.begin(address, PASSWORD, client())
    await world.accounts.unlock(OPERATOR, practice, amina.id)
    await world.sessions.end((await world.signed_in(amina)).token)
    await world.signed_in(amina)
    await world.sessions.revoke_all(OPERATOR, practice, amina.id, reason="lost laptop")
    await people.allow_mail_clients(OPERATOR, practice, amina.id, allowed=True)
    granted = await world.app_passwords.grant(OPERATOR, practice, amina.id, name="Laptop", scopes=[Scope.IMAP])
    assert await world.app_passwords.check(address, granted.secret, Scope.IMAP, client())
    await world.app_passwords.revoke(OPERATOR, practice, amina.id, granted.id)
    await world.accounts.remove_second_factor(OPERATOR, practice, amina.id, reason="lost telephone")
    assert (
        missing(
            superuser_dsn,
            events.SignInAccepted,
            events.SignInFailed,
            events.SignInThrottled,
            events.SignInLocked,
            events.SignInUnlocked,
            events.SessionEnded,
            events.SessionsRevoked,
            events.AppPasswordGranted,
            events.AppPasswordFirstUsed,
            events.AppPasswordRevoked,
            events.PasswordSet,
            events.SecondFactorSet,
            events.SecondFactorRemoved,
        )
        == set()
    )


async def test_what_is_accepted_and_signed(database: Database, superuser_dsn: str, tmp_path: Path) -> None:
    town = await build_town(database)
    amina = await town.person("Amina Okafor")
    policies = AcceptableUse(db=database, audit=town.audit, clock=town.clock, people=town.people)
    published = await policies.publish(OPERATOR, first_text())
    await policies.accept(town.as_person(amina), published.version, client="Firefox")
    signer = CheckpointSigner("test/audit", CheckpointSigner.new_key())
    signing = Checkpoints(db=database, audit=town.audit, clock=town.clock, signer=signer, folder=tmp_path)
    assert await signing.sign() is not None
    assert missing(superuser_dsn, events.AupPublished, events.AupAccepted, events.CheckpointSigned) == set()


async def test_what_becomes_of_messages_that_come_in(
    database: Database, relay_database: Database, superuser_dsn: str
) -> None:
    world = GatewayWorld(database, relay_database)
    await world.organisations.add_domain(OPERATOR, world.domain)
    practice = await world.organisation("A81001")
    admin, _ = await world.person(practice, "Ada Admin", Role.LOCAL_ADMINISTRATOR)
    _, jo = await world.person(practice, "Jo Bloggs")
    bad = with_files(("letter.txt", EICAR))
    for _ in range(2):
        await world.receive(bad, jo)
    first, second = (await world.quarantine.page(admin, practice)).held
    await world.quarantine.get(admin, practice, first.id)
    await world.quarantine.release(admin, practice, first.id, reason="a test file")
    await world.quarantine.delete(admin, practice, second.id, reason="not needed")
    since = world.clock.now() - timedelta(days=1)
    await world.trace.search(OPERATOR, practice, SearchBy.RECIPIENT, str(jo.address), since=since)
    assert (
        missing(
            superuser_dsn,
            events_mail.MailHeld,
            events_mail.MailReleased,
            events_mail.MailDeletedFromQuarantine,
            events_mail.QuarantineReviewed,
            events_mail.TraceRead,
        )
        == set()
    )


async def test_what_is_moved_and_expunged(database: Database, superuser_dsn: str) -> None:
    world = StoreWorld(database)
    mailbox = await world.mailbox(await world.organisation())
    (laid,) = await world.deliver(world.letter(), mailbox)
    bin_ = await world.special(mailbox, SpecialUse.TRASH)
    await world.filing.move(world.actor, mailbox, laid.folder, [laid.uid], to_mailbox=mailbox, to_folder=bin_)
    await world.filing.expunge(world.actor, mailbox, bin_, [1])
    assert missing(superuser_dsn, events_mail.MessagesMoved, events_mail.MessagesExpunged) == set()


async def test_a_rotation_of_keys(database: Database, superuser_dsn: str) -> None:
    world = StoreWorld(database)
    organisation = await world.organisation()
    await world.mailbox(organisation)
    world.root.by_version[2] = world.root.by_version[1][::-1]  # type: ignore[index] - the newest root key from now on
    keys = Keystore(world.db, world.root, world.clock)

    async def note(tx: object, event: events.Event) -> None:
        await world.audit.record(tx, OPERATOR, event)  # type: ignore[arg-type]

    assert await keys.rotate_root(organisation, note=note) == 1
    await keys.begin_rotation(organisation)
    assert await keys.go_on_rotating(organisation, note=note) == 1
    with psycopg.connect(superuser_dsn) as connection:
        rows = connection.execute("SELECT details FROM audit_event WHERE event = %s", [events.KeyRotated.name.value])
        assert sorted(text for (text,) in rows) == [
            '{"key":"organisation","rewrapped":1}',
            '{"key":"root","rewrapped":1}',
        ]


async def test_a_backup(database: Database, superuser_dsn: str, tmp_path: Path) -> None:
    made = BackupMade(folder=tmp_path, octets=4096, rows=17, seconds=0.5)  # no deadline
    await note_backup(database, FixedClock(), OPERATOR, made)
    with psycopg.connect(superuser_dsn) as connection:
        row = connection.execute(
            "SELECT actor_kind, details FROM audit_event WHERE event = %s", [events.BackupMade.name.value]
        ).fetchone()
        assert row == ("administrator", '{"bytes":4096,"rows":17}')
