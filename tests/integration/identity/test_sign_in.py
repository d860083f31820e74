"""Signing in, on PostgreSQL: the journey, the throttle, and what cannot be told from outside."""

import asyncio
from datetime import timedelta

import pytest
from tests.fakes.identity_world import PASSWORD, SECRET, FakePepper, IdentityWorld, build_identity, client
from tests.fakes.town import OPERATOR

from carepost.base.errors import NotAllowed, NotPossible, TryLater
from carepost.directory.model import PersonStatus, Role
from carepost.identity.factors import code_at
from carepost.identity.model import (
    CodeNotAccepted,
    NeedsSecondFactor,
    NeedsSetUp,
    NotAccepted,
    Outcome,
    SessionToken,
    Throttled,
)
from carepost.identity.password_rules import PasswordRefused
from carepost.identity.passwords import HashingPolicy, PasswordHashing
from carepost.infra.db import Database

UNKNOWN = "nobody.here@riverside.example"


@pytest.fixture
async def world(database: Database) -> IdentityWorld:
    return await build_identity(database)


async def test_a_password_and_a_code_begin_a_session(world: IdentityWorld) -> None:
    amina = await world.ready_person()
    token = await world.signed_in(amina)
    session = await world.sessions.resume(token.token)
    assert session is not None
    assert (session.person, session.organisation, session.address) == (amina.id, amina.organisation, str(amina.address))
    assert session.name == "Amina Okafor"


async def test_a_name_that_nobody_has_is_answered_and_worked_for_like_one_that_somebody_has(
    world: IdentityWorld,
) -> None:
    await world.ready_person()
    shared = await world.town.mailboxes.create_shared(
        OPERATOR, world.town.practice, address=world.town.address("reception"), display_name="Reception"
    )
    assert shared.mailbox
    answers, runs = [], []
    for name in ("amina.okafor@riverside.example", UNKNOWN, "reception@riverside.example", "not an address", ""):
        before = world.hashing.runs
        answers.append(await world.sign_in.begin(name, "a wrong password", client()))
        runs.append(world.hashing.runs - before)
    assert answers == [NotAccepted()] * 5
    assert runs == [1] * 5


async def test_a_throttled_name_tells_nothing_about_whether_it_exists(world: IdentityWorld) -> None:
    await world.ready_person()
    answers = {}
    for name in ("amina.okafor@riverside.example", UNKNOWN):
        answers[name] = [await world.sign_in.begin(name, f"wrong {number}", client()) for number in range(8)]
    known, unknown = answers.values()
    assert known == unknown
    assert any(isinstance(answer, Throttled) for answer in known)


async def test_a_code_works_once(world: IdentityWorld) -> None:
    amina = await world.ready_person()
    tickets = [await world.sign_in.begin(str(amina.address), PASSWORD, client()) for _ in range(2)]
    assert all(isinstance(ticket, NeedsSecondFactor) for ticket in tickets)
    code = world.code()
    results = [await world.sign_in.second_factor(t.ticket, code, client(), shared_computer=True) for t in tickets]  # type: ignore[union-attr]
    assert isinstance(results[0], SessionToken)
    assert results[1] == CodeNotAccepted(again=True)


async def test_a_code_used_by_two_at_once_lets_one_in(world: IdentityWorld) -> None:
    amina = await world.ready_person()
    tickets = [await world.sign_in.begin(str(amina.address), PASSWORD, client()) for _ in range(4)]
    code = world.code()
    results = await asyncio.gather(
        *(world.sign_in.second_factor(t.ticket, code, client(), shared_computer=True) for t in tickets)  # type: ignore[union-attr]
    )
    assert sum(isinstance(result, SessionToken) for result in results) == 1


async def test_a_ticket_is_good_once_for_minutes_and_for_a_few_tries(world: IdentityWorld) -> None:
    amina = await world.ready_person()

    async def ticket() -> str:
        first = await world.sign_in.begin(str(amina.address), PASSWORD, client())
        assert isinstance(first, NeedsSecondFactor)
        return first.ticket

    used = await ticket()
    assert isinstance(
        await world.sign_in.second_factor(used, world.code(), client(), shared_computer=True), SessionToken
    )
    again = await world.sign_in.second_factor(used, world.code(), client(), shared_computer=True)
    assert isinstance(again, CodeNotAccepted)
    assert not again.again
    old = await ticket()
    world.clock.advance(timedelta(minutes=6))
    late = await world.sign_in.second_factor(old, code_at(SECRET, world.clock.now()), client(), shared_computer=True)
    assert isinstance(late, CodeNotAccepted)
    assert not late.again
    forged = await world.sign_in.second_factor("3e8.invented", "000000", client(), shared_computer=True)
    assert isinstance(forged, CodeNotAccepted)


async def test_guessing_codes_with_the_right_password_is_throttled(world: IdentityWorld) -> None:
    amina = await world.ready_person()
    first = await world.sign_in.begin(str(amina.address), PASSWORD, client())
    assert isinstance(first, NeedsSecondFactor)
    results = [
        await world.sign_in.second_factor(first.ticket, f"{n:06}", client(), shared_computer=True) for n in range(5)
    ]
    assert not any(isinstance(result, SessionToken) for result in results)
    assert isinstance(await world.sign_in.begin(str(amina.address), PASSWORD, client()), Throttled)


async def test_a_thousand_at_once_are_no_way_round_the_throttle(world: IdentityWorld) -> None:
    amina = await world.ready_person()
    before = world.hashing.runs
    await asyncio.gather(
        *(world.sign_in.begin(str(amina.address), f"guess {n}", client(f"198.51.100.{n}")) for n in range(60))
    )
    assert world.hashing.runs - before <= 10


async def test_ten_failures_lock_for_half_an_hour_and_let_go_by_themselves(world: IdentityWorld) -> None:
    amina = await world.ready_person()
    for number in range(10):
        assert isinstance(await world.sign_in.begin(str(amina.address), f"wrong {number}", client()), NotAccepted)
        world.clock.advance(timedelta(seconds=61))
    locked = await world.sign_in.begin(str(amina.address), PASSWORD, client())
    assert isinstance(locked, Throttled)
    assert locked.locked
    assert "locked for 29 more minutes" in locked.says
    world.clock.advance(timedelta(minutes=30))
    assert isinstance(await world.sign_in.begin(str(amina.address), PASSWORD, client()), NeedsSecondFactor)


async def test_the_desk_unlocks_sooner(world: IdentityWorld) -> None:
    amina = await world.ready_person()
    for number in range(10):
        await world.sign_in.begin(str(amina.address), f"wrong {number}", client())
        world.clock.advance(timedelta(seconds=61))
    await world.accounts.unlock(OPERATOR, amina.organisation, amina.id)
    assert isinstance(await world.sign_in.begin(str(amina.address), PASSWORD, client()), NeedsSecondFactor)


async def test_strangers_cannot_lock_a_person_out_of_a_device_they_know(world: IdentityWorld) -> None:
    amina = await world.ready_person()
    token = await world.signed_in(amina)
    mine = client(device=token.device)
    for number in range(30):
        await world.sign_in.begin(str(amina.address), f"attack {number}", client("203.0.113.9"))
        world.clock.advance(timedelta(seconds=30))
    assert isinstance(await world.sign_in.begin(str(amina.address), PASSWORD, client("203.0.113.9")), Throttled)
    result = await world.sign_in.begin(str(amina.address), PASSWORD, mine)
    assert isinstance(result, NeedsSecondFactor)
    assert result.known_device


async def test_a_device_that_keeps_trying_one_stale_password_locks_nobody_out(world: IdentityWorld) -> None:
    amina = await world.ready_person()
    token = await world.signed_in(amina)
    mine = client(device=token.device)
    for _ in range(50):
        assert isinstance(await world.sign_in.begin(str(amina.address), "last-years-password", mine), NotAccepted)
        world.clock.advance(timedelta(seconds=10))
    assert isinstance(await world.sign_in.begin(str(amina.address), PASSWORD, mine), NeedsSecondFactor)
    lines = await world.accounts.recent_sign_ins(OPERATOR, amina.organisation, amina.id)
    assert {line.device for line in lines if line.outcome is Outcome.WRONG_PASSWORD} == {"Firefox on Windows"}


async def test_a_device_known_to_one_person_is_a_stranger_to_another(world: IdentityWorld) -> None:
    amina, jo = await world.ready_person(), await world.ready_person("Jo Bloggs")
    token = await world.signed_in(amina)
    result = await world.sign_in.begin(str(jo.address), PASSWORD, client(device=token.device))
    assert isinstance(result, NeedsSecondFactor)
    assert not result.known_device


async def test_a_shared_computer_is_not_remembered(world: IdentityWorld) -> None:
    amina = await world.ready_person()
    token = await world.signed_in(amina, shared_computer=True)
    assert token.device is None
    session = await world.sessions.resume(token.token)
    assert session is not None
    assert session.idle_seconds == 15 * 60


async def test_one_network_that_fails_too_often_is_not_looked_at(world: IdentityWorld) -> None:
    before = world.hashing.runs
    for number in range(210):
        await world.sign_in.begin(f"guess{number}@riverside.example", "password1", client(f"198.51.100.{number}"))
    assert world.hashing.runs - before == 200
    assert isinstance(await world.sign_in.begin(UNKNOWN, "password1", client("198.51.100.77")), Throttled)
    assert isinstance(await world.sign_in.begin(UNKNOWN, "password1", client("192.0.2.1")), NotAccepted)


@pytest.mark.parametrize("status", [PersonStatus.DISABLED, PersonStatus.LOCKED, PersonStatus.INACTIVE])
async def test_somebody_who_may_not_sign_in_is_told_no_more_than_a_stranger(
    world: IdentityWorld, status: PersonStatus
) -> None:
    amina = await world.ready_person()
    await world.town.people.set_status(OPERATOR, amina.organisation, amina.id, status, reason="test")
    assert await world.sign_in.begin(str(amina.address), PASSWORD, client()) == NotAccepted()


async def test_an_invited_person_sets_a_second_factor_before_anything_else(world: IdentityWorld) -> None:
    amina = await world.town.person("Amina Okafor", active=False)
    temporary = await world.accounts.issue_temporary_password(OPERATOR, amina.organisation, amina.id)
    first = await world.sign_in.begin(str(amina.address), temporary, client())
    assert isinstance(first, NeedsSetUp)
    offer = await world.sign_in.offer_factor(first.ticket)
    assert await world.sign_in.offer_factor(first.ticket) == offer
    wrong = await world.sign_in.second_factor(first.ticket, "000000", client(), shared_computer=True)
    assert wrong == CodeNotAccepted(again=True)
    right = code_at(offer.secret, world.clock.now())
    token = await world.sign_in.second_factor(first.ticket, right, client(), shared_computer=True)
    assert isinstance(token, SessionToken)
    session = await world.sessions.resume(token.token)
    assert session is not None
    assert session.must_change_password
    assert session.status is PersonStatus.INVITED
    with pytest.raises(NotPossible):
        await world.sign_in.offer_factor(first.ticket)


async def test_a_stored_password_under_old_settings_is_hashed_again(world: IdentityWorld, database: Database) -> None:
    amina = await world.ready_person()
    stronger = PasswordHashing(FakePepper(), HashingPolicy(memory_kib=128, passes=2))
    step = type(world.sign_in.password_step)(
        db=database, clock=world.clock, hashing=stronger, tries=world.sign_in.password_step.tries
    )
    assert isinstance(await step.take(str(amina.address), PASSWORD, client()), NeedsSecondFactor)
    async with database.transaction(amina.organisation) as tx:
        row = await tx.one("SELECT password_hash FROM credential")
    assert "m=128,t=2" in row["password_hash"]


async def test_too_many_at_once_are_told_to_try_later_and_memory_stays_bounded() -> None:
    hashing = PasswordHashing(FakePepper(), HashingPolicy(memory_kib=64, passes=1, concurrent=1, waiting_max=5))
    stored = await hashing.hash(PASSWORD)
    results = await asyncio.gather(*(hashing.check(stored, PASSWORD) for _ in range(40)), return_exceptions=True)
    assert sum(isinstance(result, TryLater) for result in results) >= 30
    assert (await hashing.check(stored, PASSWORD)).right


async def test_our_being_busy_does_not_count_against_the_account(world: IdentityWorld) -> None:
    amina = await world.ready_person()
    busy = PasswordHashing(FakePepper(), HashingPolicy(memory_kib=64, passes=1, waiting_max=0))
    step = type(world.sign_in.password_step)(
        db=world.town.db, clock=world.clock, hashing=busy, tries=world.sign_in.password_step.tries
    )
    for _ in range(20):
        with pytest.raises(TryLater):
            await step.take(str(amina.address), PASSWORD, client())
    assert isinstance(await world.sign_in.begin(str(amina.address), PASSWORD, client()), NeedsSecondFactor)


async def test_a_password_is_the_same_password_however_its_accents_are_typed() -> None:
    hashing = PasswordHashing(FakePepper(), HashingPolicy(memory_kib=64, passes=1))
    stored = await hashing.hash("caf\u00e9-lantern-walk")
    assert (await hashing.check(stored, "cafe\u0301-lantern-walk")).right
    long = "x" * 5000
    assert not (await hashing.check(await hashing.hash(long + "a"), long + "b")).right


async def test_changing_a_password_asks_for_the_old_one_and_ends_other_sessions(world: IdentityWorld) -> None:
    amina = await world.ready_person()
    token = await world.signed_in(amina)
    me = world.town.as_person(amina)
    with pytest.raises(NotAllowed, match="current password"):
        await world.accounts.change_own_password(me, current="wrong", new="velvet-harbour-moon")
    with pytest.raises(PasswordRefused, match="last 4"):
        await world.accounts.change_own_password(me, current=PASSWORD, new=PASSWORD)
    await world.accounts.change_own_password(me, current=PASSWORD, new="velvet-harbour-moon")
    assert await world.sessions.resume(token.token) is None
    assert await world.sign_in.begin(str(amina.address), PASSWORD, client()) == NotAccepted()
    with pytest.raises(PasswordRefused, match="last 4"):
        await world.accounts.change_own_password(me, current="velvet-harbour-moon", new=PASSWORD)


async def test_a_helpdesk_cannot_make_itself_an_administrator_by_a_reset(world: IdentityWorld) -> None:
    desk, boss, jo = [await world.ready_person(name) for name in ("Help Desk", "Big Boss", "Jo Bloggs")]
    await world.town.people.grant_role(OPERATOR, desk.organisation, desk.id, Role.LOCAL_HELPDESK)
    await world.town.people.grant_role(OPERATOR, boss.organisation, boss.id, Role.GLOBAL_ADMINISTRATOR)
    me = world.town.as_person(desk)
    with pytest.raises(NotAllowed):
        await world.accounts.issue_temporary_password(me, boss.organisation, boss.id)
    with pytest.raises(NotAllowed):
        await world.accounts.remove_second_factor(me, boss.organisation, boss.id, reason="please")
    with pytest.raises(NotAllowed):
        await world.accounts.set_password(me, jo.organisation, jo.id, "velvet-harbour-moon")
    assert await world.accounts.issue_temporary_password(me, jo.organisation, jo.id)


async def test_no_password_code_or_token_is_in_the_database_in_clear(world: IdentityWorld, superuser_dsn: str) -> None:
    import psycopg

    amina = await world.ready_person()
    token = await world.signed_in(amina)
    await world.sign_in.begin(str(amina.address), "mistyped-pa55word-canary", client(device=token.device))
    async with await psycopg.AsyncConnection.connect(superuser_dsn) as connection:
        tables = await (
            await connection.execute(
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            )
        ).fetchall()
        text = ""
        for (table,) in tables:
            rows = await (await connection.execute(f"SELECT t::text FROM {table} t")).fetchall()
            text += "\n".join(row[0] for row in rows)
    for secret in (PASSWORD, SECRET, token.token, token.device or "", "mistyped-pa55word-canary"):
        assert secret not in text
