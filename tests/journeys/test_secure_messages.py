"""Somebody outside reads and answers a secure message: with a telephone, without script, by keyboard, at 400 %."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize
from tests.cases.html.vectors import CLASSES
from tests.conftest import PostgresForTests
from tests.fakes.portal_world import PortalWorld
from tests.journeys.conftest import _listening, _server
from tests.journeys.steps import photograph
from tests.journeys.test_pages_are_accessible import WIDTHS, assert_accessible

from carepost.infra.db import Database
from carepost.portal.model import Made

pytestmark = pytest.mark.browser

RESULTS = "Your blood test is back. Everything is normal.\n\nYou need not do anything."


@dataclass
class Portal:
    loop: asyncio.AbstractEventLoop
    origin: str = ""
    world: PortalWorld = field(init=False)

    def do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=120)

    def send(self, **given: Any) -> Made:
        phrase = given.pop("phrase", None)
        html = given.pop("html", None)
        files = [("results.pdf", "application/pdf", b"%PDF-1.4 results")]
        # An hour later, so that no journey uses up another's codes.
        self.world.clock.advance(timedelta(hours=1))
        raw = self.world.letter(RESULTS, html=html, attachments=files)
        return self.do(self.world.send(raw, phrase=phrase))

    def code(self) -> str:
        return self.do(self.world.code())


def type_code(portal: Portal, page: Page) -> None:
    """The code is looked for once its page is there: it was sent before."""
    page.get_by_label("Code of 8 digits").wait_for()
    page.get_by_label("Code of 8 digits").fill(portal.code())


@pytest.fixture(scope="module")
def portal(postgres: PostgresForTests) -> Iterator[Portal]:
    name, loop = postgres.clone(), asyncio.new_event_loop()
    portal, ready, stop = Portal(loop), threading.Event(), asyncio.Event()
    trouble: list[BaseException] = []

    async def live() -> None:
        with closing(_listening()) as opened:
            portal.origin = f"http://localhost:{opened.getsockname()[1]}"
            async with (
                Database.open(postgres.dsn("carepost_app", name), pool_min=1, pool_max=6, role="carepost_app") as db,
                Database.open(postgres.dsn("carepost_relay", name), pool_min=1, pool_max=2) as relay,
            ):
                portal.world = await PortalWorld(db, relay, portal_url=portal.origin).founded()
                server = _server(portal.world.app)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(server.serve(sockets=[opened]))
                    while not server.started:
                        await asyncio.sleep(0.02)
                    ready.set()
                    await stop.wait()
                    server.should_exit = True

    def run() -> None:
        try:
            loop.run_until_complete(live())
        except BaseException as error:  # noqa: BLE001 - told to the test that waits for it
            trouble.append(error)
        finally:
            ready.set()
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    thread = threading.Thread(target=run, name="the portal", daemon=True)
    thread.start()
    ready.wait(timeout=180)
    if trouble:
        raise trouble[0]
    yield portal
    loop.call_soon_threadsafe(stop.set)
    thread.join(timeout=30)
    postgres.drop(name)


@pytest.fixture
def reader(chromium: Browser) -> Iterator[Callable[..., Page]]:
    contexts: list[Any] = []

    def open_page(*, width: int = 1440, height: int = 900, script: bool = True, **more: Any) -> Page:
        context = chromium.new_context(
            viewport=ViewportSize(width=width, height=height), java_script_enabled=script, locale="en-GB", **more
        )
        context.set_default_timeout(60_000)
        contexts.append(context)
        return context.new_page()

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_from_the_notice_to_the_text_in_three_steps(portal: Portal, reader: Callable[..., Page], width: int) -> None:
    made, page = portal.send(), reader(width=width)
    page.goto(made.link)
    assert_accessible(page)
    page.get_by_role("button", name="Send me a code").click()
    page.get_by_role("heading", name="Enter the code").wait_for()
    assert_accessible(page)
    photograph(page, f"secure-code-{width}")
    page.get_by_role("button", name="Read the message").click()
    page.get_by_role("alert").wait_for()
    assert_accessible(page)
    type_code(portal, page)
    page.get_by_role("button", name="Read the message").click()
    page.get_by_text("Everything is normal").wait_for()
    assert_accessible(page)
    photograph(page, f"secure-message-{width}")
    page.get_by_role("link", name="Who has opened").click()
    page.get_by_text("The message was shown").wait_for()
    assert_accessible(page)
    page.get_by_role("link", name="Back to the message").click()
    page.get_by_role("link", name="Answer", exact=True).click()
    page.get_by_label("Your answer").wait_for()
    assert_accessible(page)
    page.get_by_role("button", name="Send").click()
    page.get_by_role("alert").wait_for()
    assert_accessible(page)
    page.get_by_label("Your answer").fill("Thank you")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("Your answer has been sent").wait_for()
    page.get_by_role("button", name="Shut the message").click()
    page.get_by_role("heading", name="The message is shut").wait_for()
    assert_accessible(page)


def test_somebody_says_whether_this_is_them(portal: Portal, reader: Callable[..., Page]) -> None:
    portal.world.clock.advance(timedelta(hours=1))
    made, page = portal.do(portal.world.ask_first()), reader(width=320)
    page.goto(made.link)
    page.get_by_role("button", name="Send me a code").click()
    type_code(portal, page)
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("heading", name="Is this you?").wait_for()
    assert_accessible(page)
    photograph(page, "secure-is-this-you-320")
    page.get_by_role("button", name="Yes, this is me").click()
    page.get_by_role("heading", name="Thank you").wait_for()
    assert_accessible(page)


def test_without_script_and_with_agreed_words(portal: Portal, reader: Callable[..., Page]) -> None:
    made, page = portal.send(phrase="seven green bottles hanging"), reader(width=390, script=False)
    page.goto(made.link)
    page.get_by_role("button", name="Send me a code").click()
    type_code(portal, page)
    page.get_by_role("button", name="Read the message").click()
    page.get_by_label("The words that were agreed with you").fill("Seven green bottles hanging.")
    page.get_by_role("button", name="Read the message").click()
    page.get_by_text("Everything is normal").wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download results.pdf").click()
    assert download.value.suggested_filename == "results.pdf"


def test_a_passkey_is_kept_and_opens_the_next_message(portal: Portal, reader: Callable[..., Page]) -> None:
    made, page = portal.send(), reader(width=320)
    device = page.context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    options |= {"isUserVerified": True, "automaticPresenceSimulation": True}
    device.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    page.goto(made.link)
    assert_accessible(page)
    page.get_by_role("button", name="Send me a code").click()
    type_code(portal, page)
    page.get_by_role("button", name="Read the message").click()
    page.get_by_role("button", name="Keep a passkey").click()
    page.get_by_text("Your passkey is kept").wait_for()
    assert_accessible(page)
    made = portal.send()
    sent = len(portal.world.queue.sent)
    page.goto(made.link)
    page.get_by_role("button", name="I have a passkey").click()
    page.get_by_role("heading", name="Use your passkey").wait_for()
    assert_accessible(page)
    photograph(page, "secure-passkey-320")
    page.get_by_role("button", name="Use my passkey").click()
    page.get_by_text("Everything is normal").wait_for()
    assert page.get_by_role("button", name="Keep a passkey").count() == 0
    assert len(portal.world.queue.sent) == sent
    page.get_by_role("link", name="Your passkeys").click()
    page.get_by_role("button", name="Remove the passkey").click()
    page.get_by_text("The passkey is removed").wait_for()
    assert_accessible(page)


def test_by_keyboard_alone(portal: Portal, reader: Callable[..., Page]) -> None:
    made, page = portal.send(), reader()
    page.goto(made.link)

    def tab_to(name: str) -> None:
        for _ in range(20):
            page.keyboard.press("Tab")
            if name in page.evaluate("document.activeElement.innerText || document.activeElement.id"):
                return
        raise AssertionError(f"{name} cannot be reached by keyboard")

    tab_to("Send me a code")
    page.keyboard.press("Enter")
    page.get_by_label("Code of 8 digits").wait_for()
    tab_to("code")
    page.keyboard.type(portal.code())
    page.keyboard.press("Enter")
    page.get_by_text("Everything is normal").wait_for()
    tab_to("Answer")
    page.keyboard.press("Enter")
    page.get_by_label("Your answer").wait_for()


def test_pages_of_what_is_not_there_and_what_was_shut(portal: Portal, reader: Callable[..., Page]) -> None:
    page = reader(width=320)
    page.goto(f"{portal.origin}/")
    page.get_by_role("heading", name="Secure messages").wait_for()
    assert_accessible(page)
    page.goto(f"{portal.origin}/m/nothing")
    page.get_by_role("button", name="Send me a code").click()
    page.get_by_role("heading", name="no longer available").wait_for()
    assert_accessible(page)
    page.goto(f"{portal.origin}/r/nothing")
    page.get_by_role("heading", name="not open in this browser").wait_for()
    assert_accessible(page)
    made = portal.send(phrase="seven green bottles hanging")
    page.goto(made.link)
    page.get_by_role("button", name="Send me a code").click()
    page.get_by_role("link", name="forwarded to me").click()
    page.get_by_role("heading", name="Ask for access").wait_for()
    assert_accessible(page)
    page.go_back()
    type_code(portal, page)
    page.get_by_role("button", name="Read the message").click()
    page.get_by_role("heading", name="One more thing").wait_for()
    assert_accessible(page)


def test_hostile_layouts_run_nothing_and_fetch_nothing(portal: Portal, reader: Callable[..., Page]) -> None:
    page = reader()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for vectors in CLASSES.values():
        made = portal.send(html="<p>laid out</p>" + "".join(one for one in vectors if "plaintext" not in one))
        page.goto(made.link)
        page.get_by_role("button", name="Send me a code").click()
        type_code(portal, page)
        page.get_by_role("button", name="Read the message").click()
        page.get_by_role("link", name="Show it as it was laid out").click()
        page.frame_locator("iframe").get_by_text("laid out").first.wait_for()
        assert [frame.evaluate("window.__xss") for frame in page.frames[:1]] == [None]
        page.context.clear_cookies()
    assert [url for url in asked if not url.startswith((portal.origin, "data:"))] == []
