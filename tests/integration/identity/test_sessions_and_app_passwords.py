"""Sessions, app passwords, and letting go of both within seconds."""

import asyncio
from datetime import timedelta

import psycopg
import pytest
from tests.fakes.identity_world import IdentityWorld, build_identity, client
from tests.fakes.town import OPERATOR

from carepost.base.errors import NotAllowed, NotPossible
from carepost.base.ids import SessionId
from carepost.directory.model import Person, PersonStatus, Role
from carepost.directory.revoking import Revoked
from carepost.governance.acceptable_use import AcceptableUse, first_text
from carepost.identity.app_passwords import AppPasswordPolicy, GrantedAppPassword
from carepost.identity.forgetting import ForgettingPolicy, forget_old
from carepost.identity.model import Door, Scope, SignInPolicy
from carepost.identity.revocations import RevocationPolicy, Revocations
from carepost.infra.db import Database

IMAP = client(door=Door.IMAP)


@pytest.fixture
async def world(database: Database) -> IdentityWorld:
    return await build_identity(database)


async def granted(world: IdentityWorld, person: Person, *scopes: Scope) -> GrantedAppPassword:
    await world.town.people.allow_mail_clients(OPERATOR, person.organisation, person.id, allowed=True)
    me = world.town.as_person(person)
    return await world.app_passwords.grant(
        me, person.organisation, person.id, name="Amina's phone", scopes=scopes or (Scope.IMAP, Scope.SUBMISSION)
    )


# --- sessions -------------------------------------------------------------------------------------------------------


async def test_a_session_on_a_shared_computer_ends_when_nobody_uses_it(world: IdentityWorld) -> None:
    token = await world.signed_in(await world.ready_person(), shared_computer=True)
    for _ in range(5):
        world.clock.advance(timedelta(minutes=14))
        assert await world.sessions.resume(token.token) is not None
    world.clock.advance(timedelta(minutes=15, seconds=1))
    assert await world.sessions.resume(token.token) is None


async def test_a_session_ends_after_a_working_day_however_busy(world: IdentityWorld) -> None:
    token = await world.signed_in(await world.ready_person())
    for _ in range(11):
        world.clock.advance(timedelta(hours=1))
        assert await world.sessions.resume(token.token) is not None
    world.clock.advance(timedelta(hours=1, seconds=1))
    assert await world.sessions.resume(token.token) is None


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "3e8.",
        "3e8.wrong",
        "zz.zz",
        "-1.x",
        "ffffffffffffffffffff.x",
        "3e8." + "x" * 500,
        "3e8.\u00e9",
        "999999.AAAA",
    ],
)
async def test_what_was_never_a_token_is_nobody(world: IdentityWorld, token: str) -> None:
    assert await world.sessions.resume(token) is None
    await world.sessions.end(token)


async def test_a_token_of_one_organisation_opens_nothing_in_another(world: IdentityWorld) -> None:
    token = await world.signed_in(await world.ready_person())
    number, _, rest = token.token.partition(".")
    assert await world.sessions.resume(f"{int(number, 16) + 1:x}.{rest}") is None
    assert await world.sessions.resume(f"1.{rest}") is None


async def test_signing_out_ends_one_session_and_signing_out_everywhere_all(world: IdentityWorld) -> None:
    amina = await world.ready_person()
    first, second, third = [await world.signed_in(amina) for _ in range(3)]
    await world.sessions.end(first.token)
    assert await world.sessions.resume(first.token) is None
    me = world.town.as_person(amina)
    await world.sessions.end_one(me, amina.organisation, amina.id, second.session)
    assert [line.id for line in await world.sessions.of_person(amina.organisation, amina.id)] == [third.session]
    assert await world.sessions.revoke_all(me, amina.organisation, amina.id, reason="lost telephone") == 1
    assert await world.sessions.resume(third.token) is None
    world.clock.advance(timedelta(minutes=1))
    assert await world.sessions.resume((await world.signed_in(amina)).token) is not None


async def test_nobody_ends_the_session_of_somebody_else_without_a_role(world: IdentityWorld) -> None:
    amina, jo = await world.ready_person(), await world.ready_person("Jo Bloggs")
    token = await world.signed_in(amina)
    with pytest.raises(NotAllowed):
        await world.sessions.end_one(world.town.as_person(jo), amina.organisation, amina.id, token.session)
    with pytest.raises(NotPossible):
        await world.sessions.end_one(world.town.as_person(jo), jo.organisation, jo.id, token.session)
    assert await world.sessions.resume(token.token) is not None


@pytest.mark.parametrize("status", [PersonStatus.LEAVER, PersonStatus.DISABLED, PersonStatus.LOCKED])
async def test_a_leaver_is_out_at_the_next_request(world: IdentityWorld, status: PersonStatus) -> None:
    amina = await world.ready_person()
    token = await world.signed_in(amina)
    await world.town.people.set_status(OPERATOR, amina.organisation, amina.id, status, reason="left today")
    assert await world.sessions.resume(token.token) is None


# --- app passwords --------------------------------------------------------------------------------------------------


async def test_an_app_password_opens_its_scopes_and_nothing_else(world: IdentityWorld) -> None:
    amina = await world.ready_person()
    app = await granted(world, amina, Scope.IMAP)
    found = await world.app_passwords.check(str(amina.address), app.secret, Scope.IMAP, IMAP)
    assert found is not None
    assert (found.person, found.app_password, found.device, found.name) == (
        amina.id,
        app.id,
        "Amina's phone",
        "Amina Okafor",
    )
    assert await world.app_passwords.check(str(amina.address), app.secret, Scope.SUBMISSION, IMAP) is None
    typed = app.secret.upper().replace("-", " ")
    assert await world.app_passwords.check("Amina.Okafor@Riverside.example", typed, Scope.IMAP, IMAP) is not None


@pytest.mark.parametrize(
    "secret", ["", "abcd", "copper-lantern-walks", "a" * 26, "0" * 26, "\u00e9" * 26, "a" * 10_000]
)
async def test_what_is_no_app_password_opens_nothing(world: IdentityWorld, secret: str) -> None:
    amina = await world.ready_person()
    await granted(world, amina)
    assert await world.app_passwords.check(str(amina.address), secret, Scope.IMAP, IMAP) is None


async def test_an_app_password_is_for_its_own_address_only(world: IdentityWorld) -> None:
    amina, jo = await world.ready_person(), await world.ready_person("Jo Bloggs")
    app = await granted(world, amina)
    await granted(world, jo)
    assert await world.app_passwords.check(str(jo.address), app.secret, Scope.IMAP, IMAP) is None
    assert await world.app_passwords.check("nobody@riverside.example", app.secret, Scope.IMAP, IMAP) is None
    assert await world.app_passwords.check("not an address", app.secret, Scope.IMAP, IMAP) is None


async def test_app_passwords_exist_only_where_mail_clients_were_allowed(world: IdentityWorld) -> None:
    amina = await world.ready_person()
    me = world.town.as_person(amina)
    with pytest.raises(NotPossible, match="have not been allowed"):
        await world.app_passwords.grant(me, amina.organisation, amina.id, name="phone", scopes=[Scope.IMAP])
    with pytest.raises(NotAllowed):
        await world.town.people.allow_mail_clients(me, amina.organisation, amina.id, allowed=True)
    app = await granted(world, amina)
    await world.town.people.allow_mail_clients(OPERATOR, amina.organisation, amina.id, allowed=False)
    assert await world.app_passwords.check(str(amina.address), app.secret, Scope.IMAP, IMAP) is None


async def test_an_app_password_ends_by_date_by_revocation_and_with_the_person(world: IdentityWorld) -> None:
    amina = await world.ready_person()
    app, other, last = await granted(world, amina), await granted(world, amina), await granted(world, amina)
    me = world.town.as_person(amina)

    async def works(one: GrantedAppPassword) -> bool:
        return await world.app_passwords.check(str(amina.address), one.secret, Scope.IMAP, IMAP) is not None

    await world.app_passwords.revoke(me, amina.organisation, amina.id, app.id)
    assert (await works(app), await works(other)) == (False, True)
    with pytest.raises(NotPossible):
        await world.app_passwords.revoke(me, amina.organisation, amina.id, app.id)
    await world.town.people.set_status(OPERATOR, amina.organisation, amina.id, PersonStatus.LEAVER, reason="left")
    assert not await works(other)
    await world.town.people.set_status(OPERATOR, amina.organisation, amina.id, PersonStatus.ACTIVE, reason="back")
    assert await works(last)
    world.clock.advance(timedelta(days=366))
    assert not await works(last)


async def test_an_app_password_shows_its_last_use_and_never_its_secret(world: IdentityWorld) -> None:
    amina = await world.ready_person()
    app = await granted(world, amina)
    await world.app_passwords.check(str(amina.address), app.secret, Scope.IMAP, IMAP)
    (line,) = await world.app_passwords.of_person(amina.organisation, amina.id)
    assert (line.last_used_at, line.last_used_from) == (world.clock.now(), "192.0.2.10")
    assert app.secret not in repr(line)


async def test_a_telephone_with_an_old_app_password_cannot_lock_its_owner_out(world: IdentityWorld) -> None:
    amina = await world.ready_person()
    app = await granted(world, amina)
    await world.app_passwords.revoke(world.town.as_person(amina), amina.organisation, amina.id, app.id)
    for _ in range(200):
        assert await world.app_passwords.check(str(amina.address), app.secret, Scope.IMAP, IMAP) is None
    assert await world.signed_in(amina)


async def test_nobody_holds_more_app_passwords_than_the_policy_says(world: IdentityWorld) -> None:
    amina = await world.ready_person()
    small = type(world.app_passwords)(
        db=world.town.db,
        audit=world.town.audit,
        clock=world.clock,
        directory=world.town.directory,
        pepper=world.app_passwords.pepper,
        policy=AppPasswordPolicy(each_max=1),
    )
    await granted(world, amina)
    with pytest.raises(NotPossible, match="Revoke one first"):
        await small.grant(world.town.as_person(amina), amina.organisation, amina.id, name="x", scopes=[Scope.IMAP])


# --- letting go -----------------------------------------------------------------------------------------------------


async def test_every_process_hears_of_a_revocation_at_once(world: IdentityWorld) -> None:
    amina = await world.ready_person()
    app = await granted(world, amina)
    token = await world.signed_in(amina)
    heard: asyncio.Queue[Revoked] = asyncio.Queue()
    listening = Revocations(db=world.town.db, policy=RevocationPolicy(poll_seconds=3600))
    me = world.town.as_person(amina)
    with listening.watch(heard.put_nowait):
        async with asyncio.timeout(180), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(listening.run())
            # With polls an hour apart, all that it hears after this one comes by notification.
            async with world.town.db.transaction() as tx:
                await tx.run("INSERT INTO revocation (session_id) VALUES (7)")
            await _until_heard(heard, Revoked(session=SessionId(7)))
            await _until_listening(world)
            await world.sessions.end(token.token)
            await _until_heard(heard, Revoked(session=token.session))
            await world.app_passwords.revoke(me, amina.organisation, amina.id, app.id)
            await _until_heard(heard, Revoked(app_password=app.id))
            await world.town.people.set_status(
                OPERATOR, amina.organisation, amina.id, PersonStatus.LEAVER, reason="left"
            )
            await _until_heard(heard, Revoked(person=amina.id))
            running.cancel()


async def _until_heard(heard: asyncio.Queue[Revoked], wanted: Revoked) -> None:
    while await heard.get() != wanted:
        pass


async def _until_listening(world: IdentityWorld) -> None:
    listening = 0
    while not listening:
        async with world.town.db.transaction() as tx:
            found = await tx.one(
                "SELECT count(*) AS number FROM pg_stat_activity"
                " WHERE datname = current_database() AND query ILIKE 'listen%'"
            )
        listening = found["number"]
        await asyncio.sleep(0.02)


async def test_a_revocation_is_heard_within_the_promise_although_every_notification_is_lost(
    world: IdentityWorld,
) -> None:
    amina = await world.ready_person()

    class Deaf(Revocations):
        async def _listen(self) -> None:
            await asyncio.sleep(3600)

    heard: asyncio.Queue[Revoked] = asyncio.Queue()
    listening = Deaf(db=world.town.db)
    assert listening.policy.poll_seconds <= 5 - 2
    with listening.watch(heard.put_nowait):
        async with asyncio.timeout(180), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(listening.run())
            while listening._since is None:  # its first look is over: what follows is heard by a later one
                await asyncio.sleep(0.01)
            await world.town.people.set_status(
                OPERATOR, amina.organisation, amina.id, PersonStatus.DISABLED, reason="now"
            )
            await _until_heard(heard, Revoked(person=amina.id))
            running.cancel()
        await listening.poll()
        assert heard.empty(), "told once, not at every poll"


async def test_a_watcher_that_fails_does_not_keep_others_from_hearing(world: IdentityWorld) -> None:
    heard: list[Revoked] = []

    def broken(_: Revoked) -> None:
        raise RuntimeError("closed already")

    listening = Revocations(db=world.town.db)
    with listening.watch(broken), listening.watch(heard.append):
        async with world.town.db.transaction() as tx:
            await tx.run("INSERT INTO revocation (session_id) VALUES (7)")
        await listening.poll()
    assert heard == [Revoked(session=SessionId(7))]
    assert listening.failures == 1


async def test_removing_a_member_is_announced_so_that_open_connections_let_go(world: IdentityWorld) -> None:
    amina, jo = await world.ready_person(), await world.ready_person("Jo Bloggs")
    change = await world.town.mailboxes.create_shared(
        OPERATOR,
        world.town.practice,
        address=world.town.address("reception"),
        display_name="Reception",
        owners=[amina.id],
        members=[jo.id],
    )
    heard: list[Revoked] = []
    listening = Revocations(db=world.town.db)
    await listening.poll()
    with listening.watch(heard.append):
        await world.town.mailboxes.remove_member(
            world.town.as_person(amina), world.town.practice, change.mailbox, jo.id
        )
        await listening.poll()
    assert heard == [Revoked(person=jo.id)]


async def test_what_is_kept_for_a_time_is_thrown_away_after_it(world: IdentityWorld, superuser_dsn: str) -> None:
    amina = await world.ready_person()
    await world.signed_in(amina)
    await world.sign_in.begin("nobody@riverside.example", "x", client())
    world.clock.advance(timedelta(days=40))
    await forget_old(
        world.town.db, world.clock, world.town.directory, sign_in=SignInPolicy(), policy=ForgettingPolicy()
    )
    async with await psycopg.AsyncConnection.connect(superuser_dsn) as connection:
        for table in ("sign_in_attempt", "sign_in_ticket", "session", "sign_in_source"):
            row = await (await connection.execute(f"SELECT count(*) FROM {table}")).fetchone()
            assert row == (0,), table


# --- acceptable use -------------------------------------------------------------------------------------------------


def acceptable_use(world: IdentityWorld) -> AcceptableUse:
    return AcceptableUse(db=world.town.db, audit=world.town.audit, clock=world.clock, people=world.town.people)


async def test_a_person_is_active_when_the_policy_is_accepted_and_the_factor_is_set(world: IdentityWorld) -> None:
    use = acceptable_use(world)
    assert await use.current() is None
    await use.publish(OPERATOR, first_text())
    amina = await world.town.person("Amina Okafor", active=False)
    me = world.town.as_person(amina)
    assert (await use.must_accept(amina.organisation, amina.id)) is not None
    await use.accept(me, 1, client="Firefox on Windows", address=client().address)
    assert (await use.must_accept(amina.organisation, amina.id)) is None
    found = await world.town.directory.person(amina.organisation, amina.id)
    assert found is not None
    assert found.status is PersonStatus.INVITED
    await world.factors.preset(world.town.db, OPERATOR, amina.organisation, amina.id, "JBSWY3DPEHPK3PXP")
    found = await world.town.directory.person(amina.organisation, amina.id)
    assert found is not None
    assert found.status is PersonStatus.ACTIVE


async def test_a_new_version_says_what_changed_and_bars_nobody_before_its_date(world: IdentityWorld) -> None:
    use = acceptable_use(world)
    await use.publish(OPERATOR, "one")
    amina = await world.ready_person()
    await use.accept(world.town.as_person(amina), 1, client="x")
    with pytest.raises(Exception, match="summary of what has changed"):
        await use.publish(OPERATOR, "two")
    second = await use.publish(OPERATOR, "two", changes="Point 4 is new.")
    assert await use.must_accept(amina.organisation, amina.id) is None
    assert await use.awaiting(amina.organisation, amina.id) == second
    assert [name for _, name in await use.who_has_not_accepted(OPERATOR, amina.organisation)] == ["Amina Okafor"]
    world.clock.advance(timedelta(days=15))
    assert await use.must_accept(amina.organisation, amina.id) == second
    with pytest.raises(NotPossible, match="newer version"):
        await use.accept(world.town.as_person(amina), 1, client="x")
    await use.accept(world.town.as_person(amina), 2, client="x")
    assert await use.must_accept(amina.organisation, amina.id) is None
    assert [version.version for version in await use.versions()] == [2, 1]


async def test_a_local_administrator_does_not_publish_a_policy(world: IdentityWorld) -> None:
    amina = await world.ready_person()
    await world.town.people.grant_role(OPERATOR, amina.organisation, amina.id, Role.LOCAL_ADMINISTRATOR)
    with pytest.raises(NotAllowed):
        await acceptable_use(world).publish(world.town.as_person(amina), "mine")
