"""Counts about who mail goes to, on PostgreSQL: exact however many send at once."""

import asyncio
from datetime import timedelta

import psycopg
import pytest
from tests.fakes.town import Town, build_town

from carepost.base.errors import NotPossible
from carepost.gateway.out.prompts import Prompts
from carepost.gateway.out.sending_limits import OverLimit, SendingLimits, SendingPolicy
from carepost.gateway.out.storm import Storm, StormBreaker
from carepost.infra.db import Database
from carepost.infra.vault import EdgeKey


@pytest.fixture
async def town(database: Database) -> Town:
    return await build_town(database)


async def test_of_forty_messages_at_once_thirty_are_taken(town: Town) -> None:
    ada = await town.person("Ada Okafor")
    limits = SendingLimits(clock=town.clock)

    async def send() -> bool:
        try:
            async with town.db.transaction(town.practice) as tx:
                await limits.count(tx, town.practice, ada.id, 2)
        except OverLimit:
            return False
        return True

    assert sum(await asyncio.gather(*(send() for _ in range(40)))) == 30


async def test_what_is_rolled_back_was_not_counted(town: Town) -> None:
    ada = await town.person("Ada Okafor")
    limits = SendingLimits(clock=town.clock, policy=SendingPolicy(recipients_a_day=10))

    async def send(count: int, *, fails: bool = False) -> None:
        async with town.db.transaction(town.practice) as tx:
            await limits.count(tx, town.practice, ada.id, count)
            if fails:
                raise NotPossible("the disk is full")

    with pytest.raises(NotPossible, match="disk"):
        await send(10, fails=True)
    await send(9)
    with pytest.raises(OverLimit):
        await send(2)
    await send(1)
    with pytest.raises(OverLimit):
        limits.refuse_too_many(501)


async def test_one_persons_sending_does_not_hold_up_another(town: Town) -> None:
    ada, tomasz = await town.person("Ada Okafor"), await town.person("Tomasz Nowak")
    limits = SendingLimits(clock=town.clock)
    async with town.db.transaction(town.practice) as first:
        await limits.count(first, town.practice, ada.id, 1)
        async with asyncio.timeout(180), town.db.transaction(town.practice) as second:
            await limits.count(second, town.practice, tomasz.id, 1)


async def test_a_storm_of_thousands_who_answer_at_once_stops_after_its_number(town: Town) -> None:
    breaker = StormBreaker(db=town.db, edge=EdgeKey(b"e" * 32), clock=town.clock)
    conversation = breaker.conversation(["<root@stjudes.example>", "<later@stjudes.example>"], None)
    assert conversation is not None

    async def reply() -> bool:
        try:
            await breaker.count(conversation, 50_000)
        except Storm:
            return False
        return True

    through = 0
    for _ in range(20):
        through += sum(await asyncio.gather(*(reply() for _ in range(50))))
    assert through == 10
    assert await breaker.is_closed(conversation) == town.clock.now() + timedelta(hours=4)
    with pytest.raises(Storm, match="replies to all are stopped until 13:00"):
        await breaker.count(conversation, 50_000)
    other = breaker.conversation([], "<other@stjudes.example>")
    assert other is not None
    await breaker.count(other, 50_000)
    town.clock.advance(timedelta(days=3))
    assert await breaker.forget() == 2


async def test_small_conversations_are_not_even_counted(town: Town, superuser_dsn: str) -> None:
    breaker = StormBreaker(db=town.db, edge=EdgeKey(b"e" * 32), clock=town.clock)
    conversation = breaker.conversation([], "root@stjudes.example")
    assert conversation is not None
    for _ in range(60):
        await breaker.count(conversation, 49)
    assert breaker.conversation([], None) is None
    with psycopg.connect(superuser_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM reply_storm").fetchone() == (0,)


async def test_prompts_are_counted_by_rule_and_shown_per_hundred_messages(town: Town) -> None:
    ada, tomasz = await town.person("Ada Okafor"), await town.person("Tomasz Nowak")
    prompts = Prompts(db=town.db, clock=town.clock)

    async def note(person: int, rules: tuple[str, ...], *, changed: bool | None) -> None:
        async with town.db.transaction(town.practice) as tx:
            await prompts.note_sent(tx, town.practice, person)  # type: ignore[arg-type]
            await prompts.note_shown(tx, town.practice, person, rules)  # type: ignore[arg-type]
            if changed is not None:
                await prompts.note_answered(tx, town.practice, person, rules, changed=changed)  # type: ignore[arg-type]

    await asyncio.gather(
        *(note(ada.id, ("first-time", "first-time"), changed=False) for _ in range(20)),
        *(note(tomasz.id, ("namesake", "first-time"), changed=True) for _ in range(2)),
        *(note(tomasz.id, (), changed=None) for _ in range(78)),
    )
    report = await prompts.report(town.practice)
    assert (report.messages, report.a_hundred_messages) == (100, 24.0)
    first, namesake = report.rules
    assert (first.rule, first.shown, first.accepted, first.overridden) == ("first-time", 22, 2, 20)
    assert (first.a_hundred_messages, first.look_at_it) == (22.0, True)
    assert (namesake.shown, namesake.overridden_share, namesake.look_at_it) == (2, 0.0, False)
    town.clock.advance(timedelta(days=31))
    assert (await prompts.report(town.practice)).a_hundred_messages is None
    town.clock.advance(timedelta(days=400))
    assert await prompts.forget(town.practice) > 0
