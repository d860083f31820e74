"""Whom a mailbox writes to, in a browser without scripts: noted, checked, flagged, forgotten."""

from datetime import timedelta

import pytest
from tests.fakes.asgi_browser import AsgiBrowser, Page
from tests.fakes.web_world import WebPerson, WebWorld

from carepost.base.address import EmailAddress


@pytest.fixture
async def ada(world: WebWorld) -> WebPerson:
    return await world.web_person(await world.organisation("A81001"), "Ada Okafor")


@pytest.fixture
async def browser(world: WebWorld, ada: WebPerson) -> AsgiBrowser:
    return world.browser(await world.session_of(ada))


async def write(world: WebWorld, ada: WebPerson, *addresses: str) -> None:
    place = ada.mailbox
    for text in addresses:
        async with world.db.transaction(place.organisation) as tx:
            to = [EmailAddress.parse(text)]
            await world.correspondents.note_sent(tx, place.organisation, place.id, to, world.clock.now())
        world.clock.advance(timedelta(seconds=1))


async def note(browser: AsgiBrowser, ada: WebPerson, address: str, what: str, **more: str) -> Page:
    path = f"/people/{ada.mailbox.id}"
    proof = (await browser.get(path)).proof()
    return await browser.post(path, {"csrf": proof, "address": address, "do": what, **more})


async def test_what_is_known_of_somebody_is_shown_and_changed(
    world: WebWorld, ada: WebPerson, browser: AsgiBrowser
) -> None:
    await write(world, ada, "jo@home.example", "jo@home.example", "kim@home.example")
    here = f"/people/{ada.mailbox.id}"
    lines = (await browser.get(here)).words("tbody")
    assert "jo@home.example written to 2 times" in lines
    assert lines.index("kim@home.example") < lines.index("jo@home.example")
    for what in ("patient", "by telephone", "agreed"):
        page = await browser.follow(await note(browser, ada, "jo@home.example", what, stay=""))
        assert page.status == 200
    known = (await browser.get(f"{here}?search=jo@")).words("tbody")
    for said in ("patient", "agreed to plain email", "checked by telephone on 22 November 2026"):
        assert said in known
    world.clock.advance(timedelta(days=366))
    browser.cookies = world.browser(await world.session_of(ada)).cookies
    assert "check it again" in (await browser.get(f"{here}?search=jo@")).words("tbody")


async def test_somebody_who_was_never_written_to_can_be_noted_by_address(ada: WebPerson, browser: AsgiBrowser) -> None:
    page = await browser.follow(await note(browser, ada, "New.Patient+x@home.example", "patient"))
    assert "noted as a patient" in page.words("main")
    assert "new.patient+x@home.example never written to patient" in page.words("tbody")


async def test_a_stale_address_is_taken_off_the_list(world: WebWorld, ada: WebPerson, browser: AsgiBrowser) -> None:
    await write(world, ada, "jo@home.example")
    page = await browser.follow(await note(browser, ada, "jo@home.example", "forget", stay=""))
    assert "is not suggested any more" in page.words("main")
    assert "Nobody has been written to yet" in page.words("main")


@pytest.mark.parametrize(
    ("address", "what", "says"),
    [
        ("", "patient", "Type an email address"),
        ("not an address", "patient", "is not an email address"),
        ("jo@home.example", "forget", "not among those that the mailbox has written to"),
        ("jo@home.example", "anything", "Choose what to note"),
    ],
)
async def test_what_cannot_be_noted_is_told_of(
    ada: WebPerson, browser: AsgiBrowser, address: str, what: str, says: str
) -> None:
    page = await note(browser, ada, address, what)
    assert page.status == 400
    assert says in page.words(".summary")


async def test_somebody_is_asked_whether_this_is_them_and_what_they_said_is_shown(
    world: WebWorld, ada: WebPerson, browser: AsgiBrowser
) -> None:
    await write(world, ada, "jo@home.example")
    here = f"/people/{ada.mailbox.id}"
    assert "Ask them first: is this you? jo@home.example" in (await browser.get(here)).words("tbody")
    page = await browser.follow(await note(browser, ada, "jo@home.example", "ask-first", stay=""))
    assert "jo@home.example has been asked whether this is them" in page.words("main")
    assert world.desk.done == [("ask first", ("jo@home.example", "Ada Okafor"))]
    assert "by link" not in page.words("tbody")
    place, jo = ada.mailbox, EmailAddress.parse("jo@home.example")
    for is_theirs, says in ((True, "checked by link on"), (False, "said: this is not me")):
        async with world.db.transaction(place.organisation) as tx:
            await world.correspondents.note_answer(tx, ada.actor, place, jo, is_theirs=is_theirs)
        lines = (await browser.get(here)).words("tbody")
        assert says in lines
        assert ("checked by link on" in lines) is is_theirs
    await note(browser, ada, "jo@home.example", "in person", stay="")
    assert "this is not me" not in (await browser.get(here)).words("tbody")


async def test_nobody_notes_by_hand_what_only_the_portal_knows(ada: WebPerson, browser: AsgiBrowser) -> None:
    page = await note(browser, ada, "jo@home.example", "by link")
    assert page.status == 400
    assert "Choose what to note" in page.words(".summary")


async def test_the_list_is_shown_a_page_at_a_time(world: WebWorld, ada: WebPerson, browser: AsgiBrowser) -> None:
    await write(world, ada, *(f"p{number:02}@home.example" for number in range(60)))
    first = await browser.get(f"/people/{ada.mailbox.id}")
    assert "p59@home.example" in first.text
    assert "p00@home.example" not in first.text
    assert "p00@home.example" in (await browser.get(f"/people/{ada.mailbox.id}?page=2")).text


async def test_every_mailbox_of_a_person_is_named_in_their_settings(ada: WebPerson, browser: AsgiBrowser) -> None:
    assert f'href="/people/{ada.mailbox.id}"' in (await browser.get("/settings")).text
