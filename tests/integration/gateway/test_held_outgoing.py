"""What is held on the way out, and what an administrator makes of it: who is told, and what is in the record."""

import pytest
from tests.fakes.outgoing_world import NHS, OutgoingWorld, answered

from carepost.audit.model import Actor
from carepost.base.errors import Malformed, NotAllowed, NotPossible
from carepost.base.ids import OutgoingId
from carepost.delivery.model import LeastTls
from carepost.directory.model import Role
from carepost.gateway.out.outgoing import Choice, NeedsAnswers, RecipientState, Route, Submitted
from carepost.infra.db import Database
from carepost.message.parse import parse
from carepost.policy.rules import Chosen


@pytest.fixture
async def world(database: Database, relay_database: Database) -> OutgoingWorld:
    built = OutgoingWorld(database, relay_database)
    await built.furnish()
    return built


async def boss_of(world: OutgoingWorld, role: Role = Role.LOCAL_ADMINISTRATOR) -> Actor:
    made, _ = await world.person(world.practice, f"Bea {role.value.split()[-1].title()}", role)
    return made


async def held(world: OutgoingWorld, *to: str, **more: str) -> OutgoingId:
    """Sent, confirmed by its sender, and held because the scanner could not look into it."""
    assert world.scanner is not None
    world.scanner.too_large = 10
    asked = await world.outbound.submit(world.submission(*to, **more))  # type: ignore[arg-type]
    assert isinstance(asked, NeedsAnswers)
    yes = [answered(one, Choice.CONFIRM) for one in asked.consideration.questions]
    done = await world.outbound.submit(world.submission(*to, answers=yes, **more))  # type: ignore[arg-type]
    assert isinstance(done, Submitted)
    await world.later()
    return done.id


async def recorded(world: OutgoingWorld, name: str) -> int:
    async with world.db.transaction(world.practice) as tx:
        return len(await tx.all("SELECT seq FROM audit_event WHERE event = %(n)s", {"n": name}))


async def test_a_reviewer_sees_who_and_why_and_never_what(world: OutgoingWorld) -> None:
    boss, ids = await boss_of(world), [await held(world, "a@shop.example") for _ in range(3)]
    with pytest.raises(NotAllowed):
        await world.held_mail.page(world.nurse, world.practice)
    first = await world.held_mail.page(boss, world.practice, limit=2)
    second = await world.held_mail.page(boss, world.practice, after=first.next_key, limit=2)
    assert [one.id for one in (*first.held, *second.held)] == ids
    assert second.next_key is None
    one = await world.held_mail.get(boss, world.practice, ids[0])
    assert (one.sender, [str(who.address) for who in one.held]) == (str(world.hers.address), ["a@shop.example"])
    assert "A meeting" not in repr(one)
    assert await recorded(world, "mail.outgoing.reviewed") == 1


async def test_what_is_let_go_leaves_protected_and_its_sender_is_told(world: OutgoingWorld) -> None:
    boss, desk = await boss_of(world), await boss_of(world, Role.LOCAL_HELPDESK)
    number = await held(world, "a@shop.example", "ward@trust.example")
    await world.held_mail.page(desk, world.practice)
    for actor, reason, error in ((desk, "x", NotAllowed), (boss, " ", Malformed)):
        with pytest.raises(error):
            await world.held_mail.let_go(actor, world.practice, number, reason=reason)
    assert await world.held_mail.let_go(boss, world.practice, number, reason="A rota, I asked her") == 2
    assert [one.address for one in world.links.made] == [world.submission("a@shop.example").recipients[0].address]
    least = {str(to.address): to.least for one in world.queue.dispatches for to in one.recipients}
    assert least["ward@trust.example"] is LeastTls.VERIFIED
    letter = parse((await world.inbox(world.hers))[-1])
    assert letter.subject == "Let go: A meeting"
    assert "They wrote: A rota, I asked her" in letter.text(letter.root)
    assert await recorded(world, "mail.outgoing.let_go") == 1
    with pytest.raises(NotPossible, match="held any more"):
        await world.held_mail.let_go(boss, world.practice, number, reason="again")


async def test_by_link_everybody_outside_gets_one(world: OutgoingWorld) -> None:
    number = await held(world, "ward@trust.example")
    await world.held_mail.let_go(await boss_of(world), world.practice, number, reason="x", by_link=True)
    assert [str(one.address) for one in world.links.made] == ["ward@trust.example"]
    [one] = (await world.view.get(world.nurse, number)).recipients
    assert one.route is Route.PORTAL


async def test_what_is_refused_goes_nowhere_and_its_sender_reads_why(world: OutgoingWorld) -> None:
    boss, number = await boss_of(world), await held(world, "a@shop.example")
    with pytest.raises(NotAllowed):
        await world.held_mail.refuse(world.nurse, world.practice, number, reason="x")
    assert await world.held_mail.refuse(boss, world.practice, number, reason="Send it as a text file") == 1
    assert (world.queue.dispatches, world.links.made) == ([], [])
    [one] = (await world.view.get(world.nurse, number)).recipients
    assert (one.state, "Send it as a text file" in one.says, one.is_on_tray) == (RecipientState.REFUSED, True, True)
    letter = parse((await world.inbox(world.hers))[-1])
    assert letter.subject == "Not delivered: A meeting"
    assert "did not let it go. They wrote: Send it as a text file" in " ".join(letter.text(letter.root).split())
    assert await recorded(world, "mail.outgoing.held_refused") == 1
    for again in (world.held_mail.refuse, world.held_mail.let_go):
        with pytest.raises(NotPossible):
            await again(boss, world.practice, number, reason="again")
    assert len((await world.held_mail.page(boss, world.practice)).held) == 0


async def test_a_link_that_needs_agreed_words_is_not_let_go_without_them(world: OutgoingWorld) -> None:
    """Nobody was asked for words when it was held."""
    await world.rules.set(boss := await boss_of(world), world.practice, Chosen(portal_level="L2"), after=0, reason="x")
    number = await held(world, "a@shop.example", text=f"NHS number {NHS}.\r\n")
    with pytest.raises(NotPossible, match="words agreed by voice"):
        await world.held_mail.let_go(boss, world.practice, number, reason="x")
    assert world.links.made == []
    assert await world.held_mail.refuse(boss, world.practice, number, reason="Agree on words with them") == 1
