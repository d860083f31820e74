"""A secure link instead of an email that waits: for who waits in the queue because no safe way leads there."""

import pytest
from tests.fakes.outgoing_world import NHS, OutgoingWorld
from tests.integration.gateway.test_release import settle, submitted, world

from carepost.base.errors import NotPossible
from carepost.delivery.dispatch import Settled
from carepost.gateway.out.outgoing import RecipientState, Route

__all__ = ["world"]

WARD = "ward@trust.example"


async def test_what_waits_in_the_queue_goes_by_link_and_no_longer_by_email(world: OutgoingWorld) -> None:
    done = await submitted(world, WARD, text=f"NHS {NHS}\r\n")
    await world.later()
    assert [one.least.value for each in world.queue.dispatches for one in each.recipients] == ["verified"]
    await settle(world, done, 0, Settled.DELAYED, tls_missing=True)
    world.queue.still_here = {0}
    await world.outbound.resend(world.nurse, done.id, 0, by_link=True)
    [made] = world.links.made
    assert str(made.address) == WARD
    [one] = (await world.view.get(world.nurse, done.id)).recipients
    assert (one.route, one.state) == (Route.PORTAL, RecipientState.QUEUED)
    assert NHS.encode() not in await world.sent_bytes(world.queue.dispatches[-1]), "only the notice is on its way"


async def test_who_is_being_delivered_to_at_this_moment_does_not_get_it_twice(world: OutgoingWorld) -> None:
    done = await submitted(world, WARD)
    await world.later()
    world.queue.still_here = set()
    with pytest.raises(NotPossible, match="at this moment"):
        await world.outbound.resend(world.nurse, done.id, 0, by_link=True)
    assert world.links.made == []
    with pytest.raises(NotPossible, match="still on its way"):
        await world.outbound.resend(world.nurse, done.id, 0)
    [one] = (await world.view.get(world.nurse, done.id)).recipients
    assert (one.route, one.state) == (Route.RELAY, RecipientState.QUEUED)
