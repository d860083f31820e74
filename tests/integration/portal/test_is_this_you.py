"""Somebody outside is asked whether an address is theirs, before anything that matters goes to it. R130."""

from datetime import timedelta

import psycopg
import pytest
from tests.fakes.asgi_browser import AsgiBrowser, Page
from tests.fakes.portal_world import PATIENT, PortalWorld

from carepost.audit.events import Event
from carepost.audit.events_correspondents import CorrespondentDenied, CorrespondentVerified
from carepost.directory.correspondents_model import HowVerified, Known
from carepost.message.parse import parse

STAFF_SAY = "Asha Rao"


async def known(world: PortalWorld) -> Known:
    return (await world.correspondents.known(world.mailbox, [PATIENT]))[PATIENT.key]


def action(page: Page) -> str:
    return str(page.tree.css_first("form[action$='/confirm']").attributes["action"])


async def answer(browser: AsgiBrowser, page: Page, said: str) -> Page:
    return await browser.post(action(page), {"csrf": page.proof(), "is-this-you": said})


async def test_the_letter_says_who_asks_and_nothing_of_the_message_or_its_writer(world: PortalWorld) -> None:
    made = await world.ask_first()
    message = parse(await world.mail_to())
    text = "".join(message.text(part) for _, part in message.leaves())
    assert message.subject == "Riverside Medical Practice asks whether this is your email address"
    assert made.link in text
    assert STAFF_SAY not in text
    assert PATIENT.local not in text.lower()


@pytest.mark.parametrize(
    ("said", "says", "letter", "event"),
    [
        ("yes", "you said that this is you", b"An address was confirmed", CorrespondentVerified),
        ("no", "you said that this is not you", b"An address is not theirs", CorrespondentDenied),
    ],
)
async def test_one_answer_behind_a_code_is_noted_recorded_and_told(
    world: PortalWorld, superuser_dsn: str, said: str, says: str, letter: bytes, event: type[Event]
) -> None:
    made, browser = await world.ask_first(), world.browser()
    page = await world.opened(made, browser)
    assert "Is this you?" in page.text
    assert f"{STAFF_SAY} of Riverside Medical Practice" in page.text
    assert (await answer(browser, page, "perhaps")).status == 400
    assert (await known(world)) == Known()
    after = await answer(browser, page, said)
    assert after.status == 303
    assert says in (await browser.get(after.location)).text
    found = await known(world)
    assert found.denied is (said == "no")
    assert found.verified_how is (HowVerified.BY_LINK if said == "yes" else None)
    assert found.is_verified(world.clock.now()) is (said == "yes")
    assert len([raw for raw in await world.inbox_of(world.mailbox) if letter in raw]) == 1
    other = await answer(browser, page, "no" if said == "yes" else "yes")
    assert other.status == 404
    assert await known(world) == found, "one answer counts"
    with psycopg.connect(superuser_dsn) as connection:
        rows = connection.execute("SELECT event FROM audit_event WHERE organisation_id = %s", [world.ours])
        assert event.name.value in {row[0] for row in rows}


async def test_fetching_the_link_or_holding_it_without_the_code_answers_nothing(world: PortalWorld) -> None:
    made, browser = await world.ask_first(), world.browser()
    for _ in range(3):
        assert (await browser.get(world.path(made))).status == 200
    page = await world.begun(made, browser)
    assert "is-this-you" not in page.text
    at = str(page.tree.css_first("form").attributes["action"]).removesuffix("/code")
    early = await browser.post(f"{at}/confirm", {"csrf": page.proof(), "is-this-you": "yes"})
    assert early.status == 403
    forged = await browser.post(f"{at}/confirm", {"is-this-you": "yes"})
    assert forged.status == 403
    assert await known(world) == Known()


async def test_there_is_nothing_to_read_or_to_answer_with_and_letters_cannot_be_confirmed(world: PortalWorld) -> None:
    made, browser = await world.ask_first(), world.browser()
    page = await world.opened(made, browser)
    at = action(page).removesuffix("/confirm")
    for path in ("text", "answer", "file/1"):
        assert (await browser.get(f"{at}/{path}")).status == 404
    sent = await browser.post_files(f"{at}/answer", {"csrf": page.proof(), "text": "hello"})
    assert sent.status == 404
    assert world.received.got == []
    reader = world.browser()
    world.clock.advance(timedelta(hours=1))
    letter = await world.opened(await world.send(world.letter()), reader)
    there = str(letter.tree.css_first("form[action$='/leave']").attributes["action"]).removesuffix("/leave")
    refused = await reader.post(f"{there}/confirm", {"csrf": letter.proof(), "is-this-you": "yes"})
    assert refused.status == 404
    assert await known(world) == Known()


async def test_the_question_is_over_after_its_time(world: PortalWorld) -> None:
    made, browser = await world.ask_first(), world.browser()
    page = await world.opened(made, browser)
    world.clock.advance(timedelta(days=28))
    assert (await answer(browser, page, "yes")).status == 403
    assert await world.secure.purge(world.ours) == 1
    assert (await world.browser().post(world.path(made), {})).status == 404
    assert await known(world) == Known()
