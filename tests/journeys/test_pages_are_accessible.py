"""Every page at 320, 390 and 1440 pixels: nothing that axe finds, nothing that runs over the edge."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Page
from tests.journeys.steps import House, Opens, photograph, sign_in
from tests.journeys.town_mail import ADA, ZOE

from carepost.base.errors import NotPossible
from carepost.directory.autoreply import Autoreply

pytestmark = pytest.mark.browser

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
WIDTHS = (320, 390, 1440)
# iframe content is a stranger's, on an origin that runs no script: axe cannot look inside, and says so as "incomplete".
RUN = "async () => (await axe.run(document, {resultTypes: ['violations'], iframes: false})).violations"

PUBLIC = ["/sign-in", "/acceptable-use", "/help", "/accessibility", "/status", "/signed-out", "/no-such-page"]


def faults(page: Page) -> list[str]:
    """What axe finds wrong, one line each. Injected by evaluate: the page's own policy would refuse a script tag."""
    # What is still rising into the page has no colours of its own yet.
    page.evaluate("() => Promise.all(document.getAnimations().map((one) => one.finished))")
    page.evaluate(AXE)
    found: list[Mapping[str, Any]] = page.evaluate(RUN)
    return [f"{one['id']} ({one['impact']}): {one['nodes'][0]['html'][:160]} x{len(one['nodes'])}" for one in found]


def assert_accessible(page: Page) -> None:
    assert faults(page) == []
    over = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert over <= 0, f"{over} px run over the edge"


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_for_everybody(house: House, opens: Opens, width: int) -> None:
    page = opens(width=width)
    for path in PUBLIC:
        page.goto(path)
        assert page.locator("h1").inner_text()
        assert_accessible(page)


@pytest.mark.parametrize("width", WIDTHS)
def test_signing_in_with_and_without_mistakes(house: House, opens: Opens, width: int) -> None:
    page = opens(width=width)
    page.goto("/sign-in")
    page.get_by_role("button", name="Continue").click()
    assert page.get_by_role("alert").is_visible()
    assert_accessible(page)
    page.get_by_label("Email address").fill(house.person(ADA).address)
    page.get_by_label("Password").fill("copper-lantern-walks")
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Six-digit code").wait_for()
    assert_accessible(page)


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_of_mail(house: House, opens: Opens, width: int) -> None:
    page = opens(width=width)
    sign_in(house, page, ADA)
    assert_accessible(page)
    inbox = page.url
    photograph(page, f"inbox-{width}")
    page.locator("a.line-words", has_text="Discharge summary").click()
    page.locator(".letter-subject", has_text="Discharge summary").wait_for()
    assert_accessible(page)
    photograph(page, f"letter-{width}")
    page.locator(".trust a").click()
    page.get_by_role("heading", name="Why this message was delivered").wait_for()
    assert_accessible(page)
    photograph(page, f"why-{width}")
    page.goto(inbox + "?show=flagged")
    assert_accessible(page)
    mailbox = house.person(ADA).mailbox.id
    for path in (f"/mailboxes/{mailbox}", f"/folders/{mailbox}", f"/search/{mailbox}", f"/search/{mailbox}?q=apixaban"):
        page.goto(path)
        assert_accessible(page)
    for path in ("/settings/password", f"/mailbox/{mailbox}/autoreply", f"/mailbox/{mailbox}/forwarding"):
        page.goto(path)
        assert_accessible(page)
    page.goto("/settings")
    assert_accessible(page)
    photograph(page, f"settings-{width}")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_letter_laid_out_by_its_sender_and_the_move_page(house: House, opens: Opens, width: int) -> None:
    page = opens(width=width)
    sign_in(house, page, ADA)
    page.locator("a.line-words", has_text="Winter capacity").click()
    page.get_by_role("link", name="Show it as it was laid out").click()
    page.frame_locator("iframe").get_by_text("Winter capacity returns").wait_for()
    assert_accessible(page)
    photograph(page, f"laid-out-{width}")
    page.get_by_role("link", name="Move").click()
    page.get_by_role("heading", name="Move a message").wait_for()
    assert_accessible(page)


async def acts_by_itself(house: House) -> None:
    """Zoe is away; Ada wants her mail forwarded. The same again changes nothing."""
    zoe, ada, world = house.person(ZOE), house.person(ADA), house.world
    await world.autoreplies.set(zoe.actor, zoe.mailbox, Autoreply(is_on=True, inside="Away."))
    with suppress(NotPossible):
        await world.forwardings.ask(ada.actor, ada.mailbox, zoe.mailbox.address, reason="Ward round")


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_of_a_reviewer(house: House, opens: Opens, width: int) -> None:
    page = opens(width=width)
    sign_in(house, page, ZOE)
    house.do(acts_by_itself(house))
    page.goto("/admin/forwarding")
    page.get_by_role("button", name="Allow").wait_for()
    assert_accessible(page)
    page.goto("/mail")
    page.get_by_text("The automatic reply of Zoe").wait_for()
    assert_accessible(page)
    page.goto("/quarantine")
    assert_accessible(page)
    photograph(page, f"quarantine-{width}")
    page.locator("tbody a").first.click()
    page.get_by_role("heading", name="What should happen to it?").wait_for()
    assert_accessible(page)
    photograph(page, f"held-{width}")
    page.get_by_role("button", name="Release it").click()
    assert page.get_by_role("alert").is_visible()
    assert_accessible(page)
    held = house.world.held.hold("a-rather-long-name-of-somebody-else@an-organisation-elsewhere.example")
    for path in ("/admin/held", f"/admin/held/{held.id}", "/admin/policy"):
        page.goto(path)
        assert_accessible(page)
        photograph(page, f"{path.split('/')[2]}-{width}")
    page.get_by_label("A passport number, in the text or a file").select_option("Not at all")
    page.get_by_role("button", name="Show what would be different").click()
    page.get_by_role("heading", name="What would be different").wait_for()
    assert_accessible(page)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_policy_before_first_use(house: House, opens: Opens, width: int) -> None:
    page = opens(width=width)
    page.goto("/sign-in")
    page.get_by_label("Email address").fill(house.person("Nia Newcomer").address)
    page.get_by_label("Password").fill("copper-lantern-walks")
    page.get_by_role("button", name="Continue").click()

    async def code() -> str:
        return house.world.code()

    page.get_by_label("Six-digit code").fill(house.do(code()))
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Before you go on").wait_for()
    assert_accessible(page)
    photograph(page, f"policy-{width}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_colour_schemes(house: House, opens: Opens, scheme: str) -> None:
    page = opens(color_scheme=scheme)
    sign_in(house, page, ADA)
    page.locator("a.line-words", has_text="Re: your appointment").click()
    page.locator(".letter-subject", has_text="Re: your appointment").wait_for()
    assert_accessible(page)
    photograph(page, f"outside-{scheme}")
    page.goto("/settings")
    assert_accessible(page)


def test_what_is_chosen_is_seen_in_forced_colours(house: House, opens: Opens) -> None:
    page = opens(forced_colors="active")
    sign_in(house, page, ADA)
    page.locator("a.line-words").first.click()
    page.locator(".line.open").wait_for()
    style = "selector => { const s = getComputedStyle(document.querySelector(selector)); return s.outlineStyle + s.outlineWidth }"
    assert page.evaluate(style, ".line.open") == "solid2px"
    assert page.evaluate(style, ".place[aria-current]") == "solid2px"
    assert_accessible(page)
