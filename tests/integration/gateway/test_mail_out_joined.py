"""The outbound walk joined to the real queue, habits and portal: what one room promises the other keeps."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.fakes.outgoing_world import FREE, NHS, OutgoingWorld, answered

from carepost.base.address import Domain, EmailAddress
from carepost.base.errors import NotPossible
from carepost.delivery.queue import DeliveryQueue
from carepost.directory.correspondents import Correspondents
from carepost.directory.correspondents_model import Place
from carepost.gateway.out.consider import OutboundLimits
from carepost.gateway.out.links import PortalLinks
from carepost.gateway.out.outgoing import Choice, NeedsAnswers, RecipientState, Route, Submitted
from carepost.gateway.out.people import PeopleLook
from carepost.gateway.out.ports import Counting
from carepost.gateway.out.prompts import Prompts
from carepost.gateway.out.recipients_policy import RecipientsPolicy
from carepost.gateway.out.recipients_view import RecipientsGathering
from carepost.gateway.out.sending_limits import SendingLimits, SendingPolicy
from carepost.gateway.out.storm import StormBreaker
from carepost.infra.db import Database
from carepost.portal.model import Agreed, Level, State
from carepost.portal.post import PortalPost
from carepost.portal.seals import PortalSeals
from carepost.portal.secure_messages import PortalRecord, SecureMessages


class JoinedWorld(OutgoingWorld):
    def build(self, checks: object = None) -> None:
        super().build()
        self.real_queue = DeliveryQueue(db=self.db, keys=self.keys, edge=self.edge, clock=self.clock)
        seals = PortalSeals(keys=self.keys)
        self.secure = SecureMessages(
            db=self.db,
            seals=seals,
            record_=PortalRecord(seals=seals, audit=self.audit, clock=self.clock, follower=self.follow),
            post=PortalPost(keys=self.keys, queue=self.real_queue, clock=self.clock),
            edge=self.edge,
        )
        links = PortalLinks(secure=self.secure, directory=self.directory, clock=self.clock)
        self.follow.portal[:] = [links]
        self.known = Correspondents(
            db=self.db,
            directory=self.directory,
            keys=self.keys,
            edge=self.edge,
            audit=self.audit,
            clock=self.clock,
        )
        gathering = RecipientsGathering(
            db=self.db, directory=self.directory, correspondents=self.known, edge=self.edge, clock=self.clock
        )
        people = PeopleLook(
            gathering=gathering,
            correspondents=self.known,
            messages=self.messages,
            policy=RecipientsPolicy(free_mail=FREE),
        )
        limits = SendingLimits(clock=self.clock, policy=SendingPolicy(recipients_a_day=50, messages_a_minute=5))
        self.prompts = Prompts(db=self.db, clock=self.clock)
        counting = Counting(
            limits=limits,
            storms=StormBreaker(db=self.db, edge=self.edge, clock=self.clock),
            prompts=self.prompts,
        )
        self.join(people, limits, counting, self.real_queue, links)
        self.release = replace(self.release, written=self.known)
        assert self.outbound.considering.policy == OutboundLimits(free_mail=frozenset({Domain("gmail.example")}))


@pytest.fixture
async def world(database: Database, relay_database: Database) -> JoinedWorld:
    built = JoinedWorld(database, relay_database)
    await built.furnish()
    return built


async def taken(world: JoinedWorld, *to: str, **more: object) -> Submitted:
    """Handed in, everything that is asked confirmed."""
    first = await world.outbound.submit(world.submission(*to, **more))  # type: ignore[arg-type]
    if isinstance(first, NeedsAnswers):
        answers = [answered(one, one.choices[0], "as a test wants it") for one in first.consideration.questions]
        first = await world.outbound.submit(world.submission(*to, answers=answers, **more))  # type: ignore[arg-type]
    assert isinstance(first, Submitted), first
    return first


async def test_a_link_is_made_noticed_opened_and_revoked(world: JoinedWorld) -> None:
    done = await taken(world, "pat@gmail.example", "ward@trust.example", text=f"NHS number {NHS}\r\n")
    await world.later()
    async with world.db.transaction(world.practice) as tx:
        rows = await tx.all("SELECT id, outgoing_id, object_id FROM delivery ORDER BY id")
    assert [row["outgoing_id"] for row in rows] == [done.id, done.id]
    [record] = await world.secure.record(world.practice, done.id)
    assert (str(record.address), record.state) == ("pat@gmail.example", State.OPEN)
    async with world.db.transaction(world.practice) as tx:
        await world.follow.seen(tx, world.practice, done.id, record.seq, "opened", world.clock.now())
    report = await world.outbound.recall(world.nurse, done.id, [EmailAddress.parse("pat@gmail.example")])
    assert [one.result.value for one in report.results] == ["revoked"]
    [record] = await world.secure.record(world.practice, done.id)
    assert record.state is State.REVOKED
    row = await world.view.get(world.nurse, done.id)
    assert {str(one.address): one.state for one in row.recipients} == {
        "pat@gmail.example": RecipientState.REVOKED,
        "ward@trust.example": RecipientState.QUEUED,
    }


async def test_the_queue_gives_back_what_has_not_left(world: JoinedWorld) -> None:
    done = await taken(world, "a@shop.example")
    await world.later()
    report = await world.outbound.recall(world.nurse, done.id)
    assert [one.result.value for one in report.results] == ["stopped"]


async def test_a_first_time_with_patient_details_is_asked_about_until_one_has_left(world: JoinedWorld) -> None:
    """Who was written to by mistake, and spared by an undo, is not known by it."""
    text = f"NHS number {NHS}\r\n"
    first = await world.outbound.submit(world.submission("pat@gmail.example", text=text))
    assert isinstance(first, NeedsAnswers)
    assert [one.card for one in first.consideration.questions] == ["first-time"]
    undone = await taken(world, "pat@gmail.example", text=text)
    await world.outbound.undo(world.nurse, undone.id)
    still = await world.outbound.consider(world.submission("pat@gmail.example", text=text))
    assert [one.card for one in still.questions] == ["first-time"]
    await taken(world, "pat@gmail.example", text=text)
    await world.later()
    again = await world.outbound.consider(world.submission("pat@gmail.example", text=text))
    assert again.questions == ()
    assert [one.route for one in again.routes] == [Route.PORTAL]
    report = await world.prompts.report(world.practice)
    assert [(rule.rule, rule.shown, rule.overridden) for rule in report.rules] == [("first-time", 2, 2)]


async def test_who_has_said_that_this_is_them_is_not_asked_about_and_who_denied_it_is(world: JoinedWorld) -> None:
    text, pat = f"NHS number {NHS}\r\n", EmailAddress.parse("pat@gmail.example")
    place = Place(world.hers.id, world.practice)
    for is_theirs, cards in ((True, []), (False, ["first-time", "patient-unverified"])):
        async with world.db.transaction(world.practice) as tx:
            await world.known.note_answer(tx, world.nurse, place, pat, is_theirs=is_theirs)
        consideration = await world.outbound.consider(world.submission(str(pat), text=text))
        assert sorted(one.card for one in consideration.questions) == cards
        assert [one.route for one in consideration.routes] == [Route.PORTAL]


async def test_limits_hold_and_what_was_not_taken_does_not_count(world: JoinedWorld) -> None:
    for _ in range(5):
        await taken(world, str(world.his.address))
    with pytest.raises(NotPossible, match="within a minute"):
        await taken(world, str(world.his.address))
    world.clock.advance(timedelta(minutes=2))
    await taken(world, str(world.his.address))
    assert len(await world.sent(world.hers)) == 6


async def test_a_phrase_too_short_to_protect_is_refused_at_once_and_a_good_one_is_needed_to_read(
    world: JoinedWorld,
) -> None:
    seen = await world.outbound.consider(world.submission("pat@gmail.example", secure=True, passphrase="abc"))
    assert "too short" in seen.refusals[0]
    done = await taken(world, "pat@gmail.example", secure=True, passphrase="correct horse battery")
    await world.later()
    [record] = await world.secure.record(world.practice, done.id)
    assert record.level.value == "L2"
    assert Choice.CONFIRM


async def test_the_proof_that_its_sender_chose_is_what_the_portal_asks_for(world: JoinedWorld) -> None:
    refused = await world.outbound.consider(
        world.submission("pat@gmail.example", secure=True, passphrase="last spring", agreed=Agreed.BIRTH)
    )
    assert "not a date of birth" in refused.refusals[0]
    assert [one.route for one in refused.routes] == [Route.PORTAL], "the page shows both: what is wrong, and where"
    born = await taken(world, "pat@gmail.example", secure=True, passphrase="7/3/1958", agreed=Agreed.BIRTH)
    considering = world.outbound.considering
    object.__setattr__(considering, "policy", replace(considering.policy, texts=True))  # a provider is set
    reached = await taken(world, "kim@gmail.example", secure=True, telephone="07700 900123")
    # Only what is about a patient needs more than a code where the service asks for it; who knows that is the walk.
    object.__setattr__(world.secure, "policy", replace(world.secure.policy, patient_level=Level.AGREED))
    plain = await taken(world, "lee@gmail.example", secure=True)
    await world.later()
    found = {}
    for done in (born, reached, plain):
        [record] = await world.secure.record(world.practice, done.id)
        async with world.db.transaction(world.practice) as tx:
            found[done.id] = await world.secure.get(tx, world.practice, record.id)
    assert [one.level if one else None for one in found.values()] == [Level.AGREED, Level.STRONG, Level.MAILBOX]
    first, second, _ = found.values()
    assert first is not None
    assert first.details.agreed is Agreed.BIRTH
    assert second is not None
    assert second.details.telephone == "+447700900123"
