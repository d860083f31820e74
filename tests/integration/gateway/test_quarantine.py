"""Held messages: seen without their bodies, released by who may, settled once, recorded always."""

import asyncio
from datetime import timedelta

import psycopg
import pytest
from tests.fakes.gateway import with_files
from tests.fakes.gateway_world import OPERATOR, GatewayWorld

from carepost.audit.model import Actor
from carepost.base.errors import Malformed, NotAllowed, NotPossible
from carepost.base.ids import HeldId
from carepost.directory.model import Role
from carepost.gateway.checks.malware import EICAR

BAD = with_files(("letter.txt", EICAR))


async def test_a_reviewer_sees_who_and_why_but_no_body(world: GatewayWorld) -> None:
    practice = await world.organisation("A81001")
    admin, _ = await world.person(practice, "Ada Admin", Role.LOCAL_ADMINISTRATOR)
    _, jo = await world.person(practice, "Jo Bloggs")
    trace = await world.receive(BAD, jo)
    page = await world.quarantine.page(admin, practice)
    (held,) = page.held
    assert (held.trace, held.card, held.risk, held.state, held.mailboxes) == (
        trace,
        "malware",
        "high",
        "held",
        (jo.id,),
    )
    assert page.next_key is None
    assert held.details.authors == ("pat@webmail.example",)
    assert [one.address for one in held.details.recipients] == [str(jo.address)]
    assert any("EICAR" in finding.says for finding in held.details.findings)
    assert (await world.quarantine.get(admin, practice, held.id)).id == held.id


async def test_a_release_delivers_the_very_bytes_and_is_recorded(world: GatewayWorld, superuser_dsn: str) -> None:
    practice = await world.organisation("A81001")
    admin, _ = await world.person(practice, "Ada Admin", Role.LOCAL_ADMINISTRATOR)
    _, jo = await world.person(practice, "Jo Bloggs")
    _, ann = await world.person(practice, "Ann Other")
    await world.receive(BAD, jo, ann)
    (held,) = (await world.quarantine.page(admin, practice)).held
    released = await world.quarantine.release(admin, practice, held.id, reason="  a test   file ")
    assert set(released) == {jo.id, ann.id}
    for mailbox in (jo, ann):
        (body,) = await world.bodies(mailbox)
        assert body.endswith(BAD)
    assert (await world.quarantine.page(admin, practice)).held == []
    with psycopg.connect(superuser_dsn) as rows:
        event, person, details = rows.execute(
            "SELECT event, actor_person, details FROM audit_event WHERE event LIKE 'mail.message.released'"
        ).fetchone()  # type: ignore[misc]
        assert person == admin.person
        assert "a test file" in details
        state = rows.execute("SELECT state, object_id, wrapped FROM held_message").fetchone()
    assert state == ("released", None, None)
    assert event == "mail.message.released"


@pytest.mark.parametrize("verb", ["release", "delete"])
async def test_the_second_to_settle_it_is_told_so(world: GatewayWorld, verb: str) -> None:
    practice = await world.organisation("A81001")
    admin, _ = await world.person(practice, "Ada Admin", Role.LOCAL_ADMINISTRATOR)
    _, jo = await world.person(practice, "Jo Bloggs")
    await world.receive(BAD, jo)
    (held,) = (await world.quarantine.page(admin, practice)).held
    settle = getattr(world.quarantine, verb)
    results = await asyncio.gather(
        *(settle(admin, practice, held.id, reason="two at once") for _ in range(3)), return_exceptions=True
    )
    assert sum(isinstance(result, NotPossible) for result in results) == 2
    assert len(await world.bodies(jo)) == (1 if verb == "release" else 0)


async def test_what_is_deleted_cannot_be_released(world: GatewayWorld) -> None:
    practice = await world.organisation("A81001")
    admin, _ = await world.person(practice, "Ada Admin", Role.LOCAL_ADMINISTRATOR)
    _, jo = await world.person(practice, "Jo Bloggs")
    await world.receive(BAD, jo)
    (held,) = (await world.quarantine.page(admin, practice)).held
    await world.quarantine.delete(admin, practice, held.id, reason="malware")
    with pytest.raises(NotPossible, match="already"):
        await world.quarantine.release(admin, practice, held.id, reason="changed my mind")
    assert (await world.quarantine.get(admin, practice, held.id)).state == "deleted"


async def test_nobody_without_the_right_may_look_or_release(world: GatewayWorld) -> None:
    practice, other = await world.organisation("A81001"), await world.organisation("B82002")
    admin, _ = await world.person(practice, "Ada Admin", Role.LOCAL_ADMINISTRATOR)
    person, jo = await world.person(practice, "Jo Bloggs")
    helpdesk, _ = await world.person(practice, "Hal Desk", Role.LOCAL_HELPDESK)
    stranger, _ = await world.person(other, "Sam Third", Role.LOCAL_ADMINISTRATOR)
    await world.receive(BAD, jo)
    (held,) = (await world.quarantine.page(helpdesk, practice)).held
    for actor in (person, stranger, Actor.job("relay")):
        with pytest.raises(NotAllowed):
            await world.quarantine.page(actor, practice)
        with pytest.raises(NotAllowed):
            await world.quarantine.get(actor, practice, held.id)
    for actor in (person, stranger, helpdesk):
        with pytest.raises(NotAllowed):
            await world.quarantine.release(actor, practice, held.id, reason="please")
        with pytest.raises(NotAllowed):
            await world.quarantine.delete(actor, practice, held.id, reason="please")
    with pytest.raises(NotPossible):
        await world.quarantine.release(stranger, other, held.id, reason="in my own organisation")
    with pytest.raises(Malformed):
        await world.quarantine.release(admin, practice, held.id, reason="  ")
    assert await world.bodies(jo) == []


async def test_what_nobody_asks_for_expires_and_is_recorded(world: GatewayWorld, superuser_dsn: str) -> None:
    practice = await world.organisation("A81001")
    _, jo = await world.person(practice, "Jo Bloggs")
    await world.receive(BAD, jo)
    job = Actor.job("chores")
    assert await world.quarantine.expire(job, practice) == 0
    count, oldest = await world.quarantine.waiting(practice)
    assert (count, oldest) == (1, world.clock.now())
    world.clock.advance(timedelta(days=31))
    assert await world.quarantine.expire(job, practice) == 1
    assert await world.quarantine.waiting(practice) == (0, None)
    with psycopg.connect(superuser_dsn) as rows:
        assert rows.execute("SELECT count(*) FROM audit_event WHERE event = 'mail.quarantine.expired'").fetchone() == (
            1,
        )


async def test_pages_follow_one_another(world: GatewayWorld) -> None:
    practice = await world.organisation("A81001")
    _, jo = await world.person(practice, "Jo Bloggs")
    for _ in range(5):
        await world.receive(BAD, jo)
        world.clock.advance(timedelta(seconds=1))
    first = await world.quarantine.page(OPERATOR, practice, limit=2)
    second = await world.quarantine.page(OPERATOR, practice, limit=2, before=first.next_key)
    third = await world.quarantine.page(OPERATOR, practice, limit=2, before=second.next_key)
    ids = [held.id for page in (first, second, third) for held in page.held]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 5
    assert third.next_key is None


async def test_what_does_not_exist_is_said_so(world: GatewayWorld) -> None:
    practice = await world.organisation("A81001")
    with pytest.raises(NotPossible):
        await world.quarantine.get(OPERATOR, practice, HeldId(12345))
    assert (await world.quarantine.page(OPERATOR, practice)).held == []
