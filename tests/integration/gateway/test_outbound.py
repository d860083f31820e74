"""Mail that goes out, on a real database: every route, every question, and what must never happen."""

import asyncio
from dataclasses import replace

import pytest
from tests.fakes.gateway import with_files
from tests.fakes.gateway_world import OPERATOR
from tests.fakes.outgoing_world import NHS, OutgoingWorld, answered

from carepost.base.address import Domain
from carepost.base.errors import NotAllowed, NotPossible, TryLater
from carepost.delivery.model import LeastTls
from carepost.gateway.model import Refused
from carepost.gateway.out.outgoing import (
    Choice,
    NeedsAnswers,
    OutDoor,
    OutState,
    RecipientState,
    Route,
    Submission,
    Submitted,
)
from carepost.infra.clamd import ScannerUnavailable
from carepost.infra.db import Database


@pytest.fixture
async def world(database: Database, relay_database: Database) -> OutgoingWorld:
    built = OutgoingWorld(database, relay_database)
    await built.furnish()
    return built


async def submitted(world: OutgoingWorld, *to: str, **more: object) -> Submitted:
    done = await world.outbound.submit(world.submission(*to, **more))  # type: ignore[arg-type]
    assert isinstance(done, Submitted), done
    return done


async def test_a_letter_inside_waits_ten_seconds_and_then_lies_in_the_inbox(world: OutgoingWorld) -> None:
    done = await submitted(world, str(world.his.address))
    assert (done.release_at - world.clock.now()).total_seconds() == 10
    assert [b"Message-ID: <one@" in one for one in await world.sent(world.hers)] == [True]
    assert await world.later(5) == 0
    assert await world.inbox(world.his) == []
    assert await world.later(6) == 1
    [laid] = await world.inbox(world.his)
    assert laid.startswith(b"Return-Path: <nia.nurse@riverside.example>\r\nReceived: by mx.riverside.example")
    assert await world.later() == 0, "once"
    row = await world.view.get(world.nurse, done.id)
    assert (row.state, row.recipients[0].state) == (OutState.RELEASED, RecipientState.DELIVERED)


async def test_each_recipient_gets_it_by_the_route_that_is_theirs(world: OutgoingWorld) -> None:
    """R116: inside, another organisation of ours, the register over verified TLS, a patient by the link."""
    done = await submitted(
        world,
        str(world.his.address),
        str(world.theirs.address),
        "ward@trust.example",
        "pat@gmail.example",
        text=f"The results of NHS number {NHS} are here.\r\n",
    )
    assert (done.release_at - world.clock.now()).total_seconds() == 30
    assert await world.later() == 1
    assert len(await world.inbox(world.his)) == len(await world.inbox(world.theirs)) == 1
    relayed, notice = world.queue.dispatches
    assert [(one.address.domain.name, one.least) for one in relayed.recipients] == [
        ("trust.example", LeastTls.VERIFIED)
    ]
    assert NHS.encode() in await world.sent_bytes(relayed)
    assert [str(one.address) for one in notice.recipients] == ["pat@gmail.example"]
    assert NHS.encode() not in await world.sent_bytes(notice)
    [link] = world.links.made
    assert NHS.encode() in link.raw
    row = await world.view.get(world.nurse, done.id)
    assert [(one.route, one.state) for one in row.recipients] == [
        (Route.INSIDE, RecipientState.DELIVERED),
        (Route.INSIDE, RecipientState.DELIVERED),
        (Route.RELAY, RecipientState.QUEUED),
        (Route.PORTAL, RecipientState.QUEUED),
    ]


async def test_the_secure_word_and_the_button_make_a_link_of_what_leaves_the_register(world: OutgoingWorld) -> None:
    for more in ({"subject": "[SeCuRe] hello"}, {"secure": True}):
        seen = await world.outbound.consider(
            world.submission("pat@gmail.example", "ward@trust.example", str(world.his.address), **more)  # type: ignore[arg-type]
        )
        assert [one.route for one in seen.routes] == [Route.PORTAL, Route.RELAY, Route.INSIDE]


async def test_an_ordinary_letter_to_an_outsider_is_relayed(world: OutgoingWorld) -> None:
    done = await submitted(world, "info@shop.example")
    await world.later()
    [dispatch] = world.queue.dispatches
    assert dispatch.recipients[0].least is LeastTls.OPPORTUNISTIC
    raw = await world.sent_bytes(dispatch)
    assert raw.startswith(b"Received: by mx.riverside.example (Carepost) with HTTPS id " + done.trace.encode())
    assert dispatch.outgoing == done.id


async def test_what_could_not_be_read_is_held_and_its_sender_may_choose_the_link(world: OutgoingWorld) -> None:
    raw = with_files(("scan.zip", b"PK\x03\x04 not whole"), author=f"Nia Nurse <{world.hers.address}>")
    answer = await world.outbound.submit(world.submission("pat@gmail.example", raw=raw))
    assert isinstance(answer, NeedsAnswers)
    [question] = [one for one in answer.consideration.questions if one.unsure]
    assert Choice.PORTAL in question.choices
    assert [one.route for one in answer.consideration.routes] == [Route.HOLD]
    done = await submitted(
        world,
        "pat@gmail.example",
        raw=raw,
        answers=[
            answered(one, Choice.PORTAL if one == question else Choice.CONFIRM)
            for one in answer.consideration.questions
        ],
    )
    await world.later()
    assert len(world.links.made) == 1
    assert (await world.view.get(world.nurse, done.id)).recipients[0].route is Route.PORTAL


async def test_malware_goes_to_nobody_and_a_silent_scanner_sends_nothing(world: OutgoingWorld) -> None:
    assert world.scanner is not None
    world.scanner.marks = {b"EVIL": "Test.Evil"}
    with pytest.raises(Refused, match="Malware goes nowhere"):
        await submitted(world, str(world.his.address), text="EVIL\r\n")
    world.scanner.fails = ScannerUnavailable("gone")
    seen = await world.outbound.consider(world.submission("info@shop.example"))
    assert [one.route for one in seen.routes] == [Route.HOLD]
    with pytest.raises(TryLater):
        await submitted(world, "info@shop.example")
    assert await world.sent(world.hers) == []


async def test_an_address_that_nobody_has_is_told_at_once(world: OutgoingWorld) -> None:
    with pytest.raises(Refused, match=r"nobody@riverside\.example: Nobody here has this address"):
        await submitted(world, "nobody@riverside.example")


# --- who may send -----------------------------------------------------------------------------------------------------


async def test_nobody_sends_as_somebody_else(world: OutgoingWorld) -> None:
    """R82: the header, the envelope and the sender of the header, all three."""
    as_him = world.letter("info@shop.example", of=world.his)
    with pytest.raises(Refused, match=r"You may not send as dan\.doctor@"):
        await submitted(world, "info@shop.example", raw=as_him)
    with pytest.raises(Refused, match=r"may not send as ceo@trust\.example"):
        await submitted(world, "info@shop.example", raw=as_him.replace(b"dan.doctor@riverside", b"ceo@trust"))
    two = world.letter("info@shop.example").replace(b"Subject:", b"From: dan.doctor@riverside.example\r\nSubject:")
    with pytest.raises(Refused, match="may stand once stands in it twice"):
        await submitted(world, "info@shop.example", raw=two)
    envelope = world.submission("info@shop.example", door=OutDoor.SUBMISSION)
    with pytest.raises(Refused, match="You may not send as dan"):
        await world.outbound.submit(replace(envelope, reverse_path=world.his.address))
    raw = world.letter("info@shop.example", extra="Sender: dan.doctor@riverside.example\r\n")
    with pytest.raises(Refused, match="Its Sender field says dan"):
        await submitted(world, "info@shop.example", raw=raw)
    with pytest.raises(NotAllowed):
        await world.outbound.submit(world.submission("info@shop.example", mailbox=world.his))


ANOTHER_HEADER = (
    b"Subject: a\nBcc: x@y.example\r\n",
    b"Subject: a\rBcc: x@y.example\r\n",
    b"Subject: =?utf-8?q?a=0D=0ABcc:_x@y.example?=\r\n",
    b"Subject: a\x00b\r\n",
    b"Subject: " + b"a" * 1200 + b"\r\n",
    b"Subject: \xff\xfe\r\n",
    b"To: second@y.example\r\n",
    b"no field at all\r\n",
)


async def test_what_would_be_another_header_is_refused(world: OutgoingWorld) -> None:
    """P10, P2."""
    for header in ANOTHER_HEADER:
        raw = world.letter("info@shop.example").replace(b"Subject: A meeting\r\n", header, 1)
        with pytest.raises(Refused, match="This message cannot be sent as it is"):
            await submitted(world, "info@shop.example", raw=raw)
    assert await world.sent(world.hers) == []


async def test_limits_are_said_before_anything_is_kept(world: OutgoingWorld) -> None:
    world.habits.most = 1
    with pytest.raises(Refused, match="1 is the most"):
        await submitted(world, "a@shop.example", "b@shop.example")
    world.habits.too_many = "Thirty a minute."
    with pytest.raises(NotPossible, match="Thirty"):
        await submitted(world, "a@shop.example")
    assert await world.sent(world.hers) == []
    assert await world.later() == 0


async def test_a_shared_mailbox_sends_in_its_own_name_and_both_are_recorded(world: OutgoingWorld) -> None:
    desk = await world.shared("desk@riverside.example", owner=world.doctor)
    with pytest.raises(NotAllowed):
        await submitted(world, "info@shop.example", mailbox=desk)
    assert world.nurse.person is not None
    await world.mailboxes.add_member(OPERATOR, world.practice, desk.id, world.nurse.person)
    done = await submitted(world, "info@shop.example", mailbox=desk)
    assert len(await world.sent(desk)) == 1
    assert await world.sent(world.hers) == []
    await world.later()
    assert b"\r\nSender: nia.nurse@riverside.example\r\n" in await world.sent_bytes(world.queue.dispatches[0])
    record = await world.trace.why(OPERATOR, world.practice, done.trace)
    assert record is not None
    assert (record.details.authors, record.details.person) == (
        ("desk@riverside.example",),
        "nia.nurse@riverside.example",
    )
    # A mail program of hers may name it too, without saying so first.
    raw = world.letter("info@shop.example", of=desk)
    again = await world.outbound.submit(world.submission("info@shop.example", raw=raw, door=OutDoor.SUBMISSION))
    assert isinstance(again, Submitted)
    assert len(await world.sent(desk)) == 2


async def test_what_leaves_carries_the_disclaimer_once_and_what_stays_does_not(world: OutgoingWorld) -> None:
    """R146."""
    await world.disclaim("If this is not for you, tell us.")
    mark = b"[CAREPOST-NOTE-A81001]"
    await submitted(world, str(world.his.address), "info@shop.example")
    await world.later()
    [inside] = await world.inbox(world.his)
    leaving = await world.sent_bytes(world.queue.dispatches[0])
    assert (inside.count(mark), leaving.count(mark)) == (0, 1)
    quoted = "> If this is not for you, tell us.\r\n> [CAREPOST-NOTE-A81001]\r\n"
    await submitted(world, "info@shop.example", text=f"Yes.\r\n{quoted}")
    await world.later()
    assert (await world.sent_bytes(world.queue.dispatches[1])).count(mark) == 1


async def test_of_two_presses_of_one_form_at_the_same_moment_one_sends(world: OutgoingWorld) -> None:
    def press(number: str = "a form's number") -> Submission:
        return replace(world.submission(str(world.his.address)), once=number)

    done = await asyncio.gather(*(world.outbound.submit(press()) for _ in range(4)), return_exceptions=True)
    assert [type(one) for one in done].count(Submitted) == 1
    assert [str(one) for one in done if isinstance(one, NotPossible)] == [
        "This message has been sent: Send was pressed twice. Look into Sent before you send it again."
    ] * 3
    assert len(await world.sent(world.hers)) == 1, "what did not go is not kept either"
    await world.outbound.submit(press("of another form"))
    await world.later()
    assert len(await world.inbox(world.his)) == 2


async def test_what_a_page_showed_is_not_looked_through_again_when_it_is_sent(world: OutgoingWorld) -> None:
    """The rules and the register are asked anew all the same: only the message's own bytes are known already."""
    wanted = world.submission("ward@trust.example", str(world.his.address))
    before = len(world.scanner.scanned)
    seen = await world.outbound.consider(wanted)
    looked = len(world.scanner.scanned) - before
    assert looked > 0
    assert (seen.routes[0].route, seen.may_leave) == (Route.RELAY, True)
    await world.organisations.remove_secure_domain(OPERATOR, Domain("trust.example"), reason="a test")
    world.directory.forget_register()
    sent = await world.outbound.submit(wanted)
    assert len(world.scanner.scanned) - before == looked
    assert isinstance(sent, Submitted)
    row = await world.view.get(world.nurse, sent.id)
    assert row.recipients[0].card != seen.routes[0].decision.card, "not on the register any more: another card decides"
    await world.outbound.submit(wanted)
    assert len(world.scanner.scanned) - before == 2 * looked, "and the next time they are scanned again"
