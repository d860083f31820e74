"""MTA-STS policies are fetched when they must be, and outlive their records and their servers. RFC 8461 §5."""

import asyncio
from datetime import timedelta

import pytest
from tests.fakes.sending_world import FakeFetcher, KeptInMemory

from carepost.base.address import Domain
from carepost.base.clock import FixedClock
from carepost.base.errors import TryLater
from carepost.delivery.sts_policies import KeptPolicy, StsPolicies
from carepost.delivery.tls_policy import StsState
from carepost.mailauth.resolver import FakeResolver
from carepost.mailauth.tls_report import FailureKind

TRUST = Domain("trust.example")
ENFORCE = b"version: STSv1\nmode: enforce\nmx: mx.trust.example\nmax_age: 604800\n"
TESTING = ENFORCE.replace(b"enforce", b"testing")
NONE = b"version: STSv1\nmode: none\nmax_age: 604800\n"


def announced(number: str = "1") -> FakeResolver:
    return FakeResolver(txt={"_mta-sts.trust.example": [f"v=STSv1; id={number}"]})


class World:
    def __init__(self, policy: bytes | FailureKind = ENFORCE) -> None:
        self.clock = FixedClock()
        self.fetcher = FakeFetcher({"trust.example": policy})
        self.store = KeptInMemory()
        self.policies = StsPolicies(resolver=announced(), fetcher=self.fetcher, store=self.store, clock=self.clock)

    async def state(self) -> StsState:
        return (await self.policies.of(TRUST)).state


async def test_a_policy_is_fetched_once_and_remembered() -> None:
    world = World()
    assert await world.state() is StsState.ENFORCE
    assert (await world.policies.of(TRUST)).names("mx.trust.example")
    assert not (await world.policies.of(TRUST)).names("mx.evil.example")
    assert world.fetcher.fetched == ["trust.example"]
    assert set(world.store.kept) == {"trust.example"}


@pytest.mark.parametrize(("text", "state"), [(TESTING, StsState.TESTING), (NONE, StsState.NONE)])
async def test_the_mode_is_what_counts(text: bytes, state: StsState) -> None:
    assert await World(text).state() is state


@pytest.mark.parametrize(
    "resolver",
    [
        FakeResolver(),
        FakeResolver(fails={"_mta-sts.trust.example"}),
        FakeResolver(txt={"_mta-sts.trust.example": ["x"]}),
    ],
    ids=["gone", "no answer", "rubbish"],
)
async def test_a_policy_outlives_its_record(resolver: FakeResolver) -> None:
    world = World()
    await world.state()
    world.policies.resolver = resolver
    world.fetcher.policies.clear()
    world.clock.advance(timedelta(days=6))
    assert await world.state() is StsState.ENFORCE
    world.clock.advance(timedelta(days=2))
    assert await world.state() is StsState.NONE


async def test_a_policy_outlives_our_restart() -> None:
    world = World()
    await world.state()
    again = StsPolicies(resolver=FakeResolver(), fetcher=FakeFetcher(), store=world.store, clock=world.clock)
    assert (await again.of(TRUST)).state is StsState.ENFORCE


async def test_another_id_means_another_policy_and_one_that_cannot_be_fetched_leaves_the_old_one() -> None:
    world = World()
    await world.state()
    world.policies.resolver = announced("2")
    world.fetcher.policies["trust.example"] = FailureKind.STS_WEBPKI_INVALID
    assert await world.state() is StsState.ENFORCE
    assert (await world.policies.of(TRUST)).problem is FailureKind.STS_WEBPKI_INVALID
    world.fetcher.policies["trust.example"] = NONE
    world.clock.advance(timedelta(minutes=6))
    assert await world.state() is StsState.NONE
    assert (await world.policies.of(TRUST)).problem is None


@pytest.mark.parametrize("answer", [FailureKind.STS_POLICY_FETCH_ERROR, b"<html>no</html>"])
async def test_a_failed_fetch_is_not_repeated_for_some_minutes(answer: bytes | FailureKind) -> None:
    world = World(answer)
    for _ in range(5):
        assert await world.state() is StsState.TROUBLE
        world.clock.advance(timedelta(seconds=59))
    assert len(world.fetcher.fetched) == 1
    world.clock.advance(timedelta(seconds=59))
    world.fetcher.policies["trust.example"] = ENFORCE
    assert await world.state() is StsState.ENFORCE
    assert len(world.fetcher.fetched) == 2


async def test_a_policy_is_renewed_daily_before_it_runs_out() -> None:
    world = World()
    for _ in range(30):
        assert await world.state() is StsState.ENFORCE
        world.clock.advance(timedelta(hours=25))
    assert len(world.fetcher.fetched) == 30


async def test_without_a_record_nobody_is_asked() -> None:
    world = World()
    world.policies.resolver = FakeResolver()
    assert await world.state() is StsState.NONE
    assert (await world.policies.of(Domain("[192.0.2.1]"))).state is StsState.NONE
    assert world.fetcher.fetched == []


async def test_many_messages_wait_for_one_fetch() -> None:
    world = World()
    fetch, gate = world.fetcher.fetch, asyncio.Event()

    async def slow(domain: Domain) -> bytes:
        await gate.wait()
        return await fetch(domain)

    world.fetcher.fetch = slow  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(world.state()) for _ in range(50)]
        await asyncio.sleep(0)
        gate.set()
    assert {task.result() for task in waiting} == {StsState.ENFORCE}
    assert len(world.fetcher.fetched) == 1


async def test_when_the_database_is_away_policies_still_count() -> None:
    class Away(KeptInMemory):
        async def get(self, domain: Domain) -> KeptPolicy | None:
            raise TryLater("not now")

        async def put(self, domain: Domain, kept: KeptPolicy) -> None:
            raise TryLater("not now")

    world = World()
    world.policies.store = Away()
    assert await world.state() is StsState.ENFORCE
    world.clock.advance(timedelta(minutes=2))
    world.policies.resolver = FakeResolver()
    assert await world.state() is StsState.ENFORCE


async def test_no_more_domains_are_remembered_than_there_is_room_for() -> None:
    world = World()
    for number in range(10_050):
        await world.policies.of(Domain(f"d{number}.example"))
    assert len(world.policies._known) == 10_000
