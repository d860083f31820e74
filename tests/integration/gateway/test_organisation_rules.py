"""An organisation's own rules on a real database: set, kept by version, and asked of every message. R107, R115, R159."""

from datetime import timedelta

import pytest
from tests.fakes.gateway_world import OPERATOR
from tests.fakes.outgoing_world import NHS, OutgoingWorld, answered

from carepost.audit.model import PLATFORM, Actor
from carepost.base.address import Domain
from carepost.base.errors import Malformed, NotAllowed, NotPossible
from carepost.base.ids import OrganisationId
from carepost.delivery.model import LeastTls
from carepost.directory.model import Role
from carepost.directory.tls_exceptions import TlsExceptions
from carepost.gateway.model import Refused
from carepost.gateway.out.outgoing import Choice, NeedsAnswers, OutDoor, Route, Submitted
from carepost.gateway.out.rules import AGREE, GUIDANCE
from carepost.infra.db import Database
from carepost.policy.rules import Chosen, Detail, Measure

PASSPORT = "My passport number is 533380006, valid until 2031.\r\n"


@pytest.fixture
async def world(database: Database, relay_database: Database) -> OutgoingWorld:
    built = OutgoingWorld(database, relay_database)
    await built.furnish()
    return built


async def administrator(world: OutgoingWorld) -> Actor:
    made, _ = await world.person(world.practice, "Ada Admin", Role.LOCAL_ADMINISTRATOR)
    return made


async def events_of(world: OutgoingWorld, name: str, organisation: OrganisationId | None = None) -> int:
    async with world.db.transaction(organisation or world.practice) as tx:
        return len(await tx.all("SELECT seq FROM audit_event WHERE event = %(n)s", {"n": name}))


async def test_an_administrator_sets_a_rule_and_the_next_message_is_asked_by_it(world: OutgoingWorld) -> None:
    boss = await administrator(world)
    before = await world.outbound.consider(world.submission("agency@gmail.example", text=PASSPORT))
    assert [one.route for one in before.routes] == [Route.PORTAL]
    chosen = Chosen(text={Detail.PASSPORT: Measure.BLOCK})
    [line] = await world.rules.preview(boss, world.practice, chosen)
    assert (line.was, line.becomes) == ("encrypt", "block")
    await world.rules.set(boss, world.practice, chosen, after=0, reason="An incident in May")
    with pytest.raises(Refused, match=r"does not let a passport number leave"):
        await world.outbound.submit(world.submission("agency@gmail.example", text=PASSPORT))
    theirs = await world.rules.of(world.pharmacy)
    assert theirs.text[Detail.PASSPORT] is Measure.ENCRYPT, "another organisation keeps its own"
    assert await events_of(world, "directory.outgoing_rules.set") == 1
    shown = await world.rules.show(boss, world.practice)
    assert [(one.version, one.reason, one.set_by) for one in shown.versions] == [(1, "An incident in May", "Ada Admin")]


async def test_rules_are_set_by_administrators_of_the_organisation_and_never_laxer(world: OutgoingWorld) -> None:
    boss = await administrator(world)
    chosen = Chosen(text={Detail.CARD: Measure.BLOCK})
    for actor, where in ((world.nurse, world.practice), (boss, world.pharmacy)):
        with pytest.raises(NotAllowed):
            await world.rules.set(actor, where, chosen, after=0, reason="x")
    with pytest.raises(Malformed, match="never laxer"):
        await world.rules.set(boss, world.practice, Chosen(text={Detail.NHS: Measure.ADVISE}), after=0, reason="x")
    with pytest.raises(Malformed, match="reason"):
        await world.rules.set(boss, world.practice, chosen, after=0, reason="  ")
    await world.rules.set(OPERATOR, world.practice, chosen, after=0, reason="by hand")
    with pytest.raises(NotPossible, match="since you looked"):
        await world.rules.set(boss, world.practice, Chosen(), after=0, reason="x")
    with pytest.raises(NotPossible, match="in force already"):
        await world.rules.set(boss, world.practice, chosen, after=1, reason="again")
    assert (await world.rules.show(boss, world.practice)).versions[0].set_by == ""


async def test_a_rule_counts_in_another_process_within_seconds(world: OutgoingWorld) -> None:
    other = type(world.rules)(db=world.db, directory=world.directory, audit=world.audit, clock=world.clock)
    assert (await other.of(world.practice)).version == 0
    await world.rules.set(OPERATOR, world.practice, Chosen(visible_private=1), after=0, reason="x")
    world.clock.advance(timedelta(seconds=5))
    assert (await other.of(world.practice)).visible_private == 1


async def test_fewer_private_people_may_see_each_other_where_the_organisation_says_so(world: OutgoingWorld) -> None:
    """R151."""
    to = [f"p{number}@gmail.example" for number in range(3)]
    assert (await world.outbound.consider(world.submission(*to))).questions == ()
    await world.rules.set(OPERATOR, world.practice, Chosen(visible_private=2), after=0, reason="x")
    [question] = (await world.outbound.consider(world.submission(*to))).questions
    assert (question.card, question.choices) == ("patients-visible", (Choice.INDIVIDUALLY,))
    assert world.people_known.asked[-1].rules is not None


async def test_a_link_that_needs_agreed_words_is_not_made_without_them(world: OutgoingWorld) -> None:
    """ADR-0017: asked before it leaves, at every door; a letter without a patient in it needs none."""
    await world.rules.set(OPERATOR, world.practice, Chosen(portal_level="L2"), after=0, reason="x")
    told = f"Your NHS number is {NHS}.\r\n"
    asked = await world.outbound.submit(world.submission("jo@gmail.example", text=told))
    assert isinstance(asked, NeedsAnswers)
    assert [(one.card, one.choices) for one in asked.consideration.questions] == [(AGREE, ())]
    by_program = await world.outbound.submit(world.submission("jo@gmail.example", text=told, door=OutDoor.SUBMISSION))
    assert isinstance(by_program, Submitted)
    assert by_program.asked
    agreed = world.submission("jo@gmail.example", text=told, passphrase="yellow boat on the river")
    assert isinstance(await world.outbound.submit(agreed), Submitted)
    other = world.submission("jo@gmail.example", text=PASSPORT)
    assert isinstance(await world.outbound.submit(other), Submitted)


async def test_who_sends_their_first_link_reads_the_guidance_once(world: OutgoingWorld) -> None:
    """R115."""
    await world.rules.set(OPERATOR, world.practice, Chosen(guidance="Ring the patient first."), after=0, reason="x")
    letter = {"text": f"Your NHS number is {NHS}.\r\n"}
    plain = await world.outbound.consider(world.submission("jo@gmail.example"))
    assert plain.questions == ()
    first = await world.outbound.submit(world.submission("jo@gmail.example", **letter))  # type: ignore[arg-type]
    assert isinstance(first, NeedsAnswers)
    [question] = first.consideration.questions
    assert (question.card, question.says) == (GUIDANCE, ("Ring the patient first.",))
    yes = [answered(question, Choice.CONFIRM)]
    sent = await world.outbound.submit(world.submission("jo@gmail.example", answers=yes, **letter))  # type: ignore[arg-type]
    assert isinstance(sent, Submitted)
    again = await world.outbound.submit(world.submission("jo@gmail.example", **letter))  # type: ignore[arg-type]
    assert isinstance(again, Submitted)
    assert await events_of(world, "directory.guidance.seen") == 1
    # Another text is read again; a colleague has read neither.
    await world.rules.set(OPERATOR, world.practice, Chosen(guidance="Ring them twice."), after=1, reason="x")
    assert isinstance(
        await world.outbound.submit(world.submission("jo@gmail.example", **letter)),  # type: ignore[arg-type]
        NeedsAnswers,
    )


async def test_what_is_signed_leaves_without_the_disclaimer_and_the_record_says_so(world: OutgoingWorld) -> None:
    """R146: a change would break the signature."""
    await world.disclaim("If this is not for you, tell us.")
    signed = (
        'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=s; micalg=sha-256\r\n'
        "MIME-Version: 1.0\r\n"
    )
    body = (
        "--s\r\nContent-Type: text/plain\r\n\r\nWe meet at nine.\r\n"
        "--s\r\nContent-Type: application/pkcs7-signature\r\n\r\nx\r\n--s--\r\n"
    )
    raw = world.letter("info@shop.example", extra=signed, text=body)
    await world.outbound.submit(world.submission("info@shop.example", raw=raw))
    await world.later()
    leaving = await world.sent_bytes(world.queue.dispatches[0])
    assert leaving.endswith(body.encode())
    assert await events_of(world, "mail.outgoing.disclaimer_left_out") == 1


async def test_a_newer_text_counts_from_the_next_message_on_and_a_link_shows_it_too(world: OutgoingWorld) -> None:
    await world.disclaim("The first text.")
    await world.disclaim("The second text.", after=1)
    await world.outbound.submit(world.submission("jo@gmail.example", text=f"NHS number {NHS}.\r\n"))
    await world.later()
    [made] = world.links.made
    assert b"The second text.\r\n[CAREPOST-NOTE-A81001]" in made.raw
    assert b"The first text." not in made.raw
    [mine] = await world.sent(world.hers)
    assert b"CAREPOST-NOTE" not in mine, "our own copies never have it"


async def test_an_exception_from_mandatory_tls_is_for_what_is_not_sensitive_and_ends(world: OutgoingWorld) -> None:
    """R107."""
    exceptions = TlsExceptions(db=world.db, directory=world.directory, audit=world.audit, clock=world.clock)
    trust = Domain("trust.example")

    async def goes(text: str = "We meet at nine.\r\n", **more: object) -> tuple[Route, LeastTls | None]:
        asked = world.submission("ward@trust.example", text=text, **more)  # type: ignore[arg-type]
        [one] = (await world.outbound.consider(asked)).routes
        return one.route, one.least

    assert await goes() == (Route.RELAY, LeastTls.VERIFIED)
    with pytest.raises(NotAllowed):
        await exceptions.make(await administrator(world), trust, reason="x")
    with pytest.raises(Malformed, match="Say why"):
        await exceptions.make(OPERATOR, trust, reason=" ")
    with pytest.raises(Malformed, match="within 90 days"):
        await exceptions.make(OPERATOR, trust, reason="x", until=world.clock.now() + timedelta(days=91))
    with pytest.raises(NotPossible, match="not on the register"):
        await exceptions.make(OPERATOR, Domain("gmail.example"), reason="x")
    await exceptions.make(OPERATOR, trust, reason="Their certificate ran out; they renew it this week")
    assert await goes() == (Route.RELAY, LeastTls.OPPORTUNISTIC)
    assert await goes(f"NHS number {NHS}.\r\n") == (Route.PORTAL, None)
    assert await goes(PASSPORT) == (Route.PORTAL, None)
    assert await goes(subject="[secure] A meeting") == (Route.PORTAL, None)
    assert await goes(require_tls=True) == (Route.RELAY, LeastTls.VERIFIED)
    await exceptions.end(OPERATOR, trust, reason="Renewed")
    assert await goes() == (Route.RELAY, LeastTls.VERIFIED)
    await exceptions.make(OPERATOR, trust, reason="Once more")
    world.clock.advance(timedelta(days=14))
    assert await goes() == (Route.RELAY, LeastTls.VERIFIED), "it ran out by itself"
    assert [one.domain for one in await exceptions.all()] == [trust]
    assert await events_of(world, "directory.tls_exception.made", PLATFORM) == 2
    assert await events_of(world, "directory.tls_exception.ended", PLATFORM) == 1
