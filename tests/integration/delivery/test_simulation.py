"""D10: weeks of mail on a clock of our own, with peers that answer at random, workers that die and clocks that jump.

After each step every recipient is in exactly one state (C2); at the end each is told of once.
"""

from collections import Counter
from datetime import timedelta
from random import Random

import pytest
from tests.fakes.delivery_world import DeliveryWorld, later, lost, refused, silent, taken, unprotected

from carepost.base.address import EmailAddress
from carepost.base.ids import OrganisationId
from carepost.delivery.dispatch import Settled
from carepost.delivery.model import RecipientResult
from carepost.delivery.parcels import Turn
from carepost.delivery.schedule import HOUR, MINUTE, Schedule
from carepost.delivery.upkeep import QueueUpkeep
from carepost.infra.db import Database
from carepost.message.dsn import DsnAction, read_dsn
from carepost.message.parse import parse

WEIGHTS = {taken: 30, refused: 8, later: 35, silent: 10, lost: 12, unprotected: 5}
ENDS = (Settled.DELIVERED, Settled.FAILED, Settled.EXPIRED)


class Simulation:
    def __init__(self, world: DeliveryWorld, ours: OrganisationId, seed: int) -> None:
        self.world, self.ours = world, ours
        self.chance = Random(seed)
        self.accepted: list[str] = []
        self.cancelled = 0
        self.worker = world.worker()
        self.upkeep = QueueUpkeep(queue=world.queue)
        self.dropped: list[Turn] = []
        world.outside.answers = self.answer

    def answer(self, address: EmailAddress) -> RecipientResult:
        if address.domain.name == "never.example":
            return self.chance.choice((later, silent, lost))(address)
        return self.chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0](address)

    async def step(self) -> None:
        await self.chance.choices(
            [self.send, self.deliver, self.wait, self.die, self.chores, self.jump], [20, 40, 15, 5, 15, 2]
        )[0]()

    async def send(self) -> None:
        number = len(self.accepted)
        people = [
            f"p{number + n}@{self.chance.choice(('a', 'b', 'c', 'never'))}.example"
            for n in range(self.chance.randint(1, 12))
        ]
        self.accepted += people
        await self.world.queued(self.ours, *people, urgent=self.chance.random() < 0.2)

    async def deliver(self) -> None:
        at = await self.world.queue.next_at()
        if at is not None:
            self.world.clock.at = max(self.world.clock.at, at)
        await self.worker.round()

    async def wait(self) -> None:
        self.world.clock.advance(timedelta(minutes=self.chance.uniform(0, 90)))

    async def die(self) -> None:
        """A worker takes turns and is never heard of again."""
        self.dropped += await self.world.queue.take(f"dead-{self.chance.random()}", limit=self.chance.randint(1, 5))

    async def chores(self) -> None:
        await self.world.queue.tidy()
        await self.world.settling.tell_delays(self.ours)
        await self.upkeep.let_go(self.ours)

    async def jump(self) -> None:
        """D8: an hour ahead, or back."""
        self.world.clock.advance(self.chance.choice((-1, 1)) * timedelta(hours=1))

    async def finish(self) -> None:
        """The weeks after, in steps of hours."""
        for _ in range(60):
            self.world.clock.advance(timedelta(hours=9))
            await self.world.queue.tidy()
            while await self.worker.round():
                pass

    async def check(self) -> None:
        found = await self.upkeep.reconcile(self.ours)
        assert found.unaccounted == 0
        assert found.accepted == len(self.accepted) == found.ended + found.pending
        ends = Counter(str(one.address) for one in self.world.follows.told if one.outcome in ENDS)
        assert max(ends.values(), default=0) <= 1, "told twice"
        assert sum(ends.values()) == found.ended


# Fewer attempts than in life, so that weeks pass in seconds.
SPARSE = Schedule(gaps=(MINUTE, HOUR, 4 * HOUR), gap_most=8 * HOUR, attempts_before_expiry=5)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_everybody_comes_to_one_end_and_is_told_of_it_once(
    database: Database, world: DeliveryWorld, seed: int
) -> None:
    world = DeliveryWorld(database, schedule=SPARSE)
    ours = await world.organisation()
    simulation = Simulation(world, ours, seed)
    await simulation.send()
    for number in range(40):
        await simulation.step()
        if number % 6 == 0:
            await simulation.check()
    await simulation.finish()
    await simulation.check()
    states = await world.states(ours)
    assert "queued" not in states
    assert sum(states.values()) == len(simulation.accepted)
    told = Counter(one.outcome for one in world.follows.told if one.outcome in ENDS)
    assert {outcome.value: number for outcome, number in told.items()} == states
    _letters_fit(world, simulation)
    delivered = {str(one.address) for one in world.follows.of(Settled.DELIVERED)}
    assert delivered <= set(world.outside.arrived), "nobody is delivered who did not get it"


def _letters_fit(world: DeliveryWorld, simulation: Simulation) -> None:
    """Everybody who was not delivered stands in exactly one letter of failure; who was, in none."""
    read = [read_dsn(parse(letter)) for letter in world.follows.letters]
    said = Counter(one.address for dsn in read if dsn for one in dsn.recipients if one.action is DsnAction.FAILED)
    failed = [str(one.address) for one in world.follows.told if one.outcome in (Settled.FAILED, Settled.EXPIRED)]
    assert said == Counter(failed)
    assert set(failed) <= set(simulation.accepted)


async def test_copies_are_doubled_only_where_an_answer_was_lost(world: DeliveryWorld, ours: OrganisationId) -> None:
    """C3, RFC 1047."""
    chance = Random(11)

    def answer(address: EmailAddress) -> RecipientResult:
        return chance.choice((taken, lost, later))(address)

    world.outside.answers = answer
    await world.queued(ours, *(f"p{n}@a.example" for n in range(60)))
    await world.run_until_idle(world.worker())
    async with world.db.transaction(ours) as tx:
        counted = (await tx.one("SELECT sum(lost_replies) AS n FROM delivery_recipient"))["n"]
    assert world.outside.arrived.total() == 60 + counted
