"""The register of secure domains and a mailbox's correspondents in a browser, and the demo's window on the world outside."""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page
from tests.journeys.steps import House, Opens, photograph, sign_in
from tests.journeys.test_pages_are_accessible import WIDTHS, assert_accessible
from tests.journeys.town_mail import ADA

from carepost.directory.model import Role
from carepost.ops.demo.outside import Attempt, Letterbox, TlsSeen
from carepost.ops.demo.outside_pages import OutsidePages

pytestmark = pytest.mark.browser

KEEPER = "Kit Keeper"
NOW = datetime(2026, 11, 22, 9, 52, tzinfo=UTC)


def keeper(house: House, page: Page) -> Page:
    """Signed in as a global administrator, at the register."""
    if KEEPER not in house.world.people_by_name:
        organisation = house.person(ADA).mailbox.organisation
        house.do(house.world.web_person(organisation, KEEPER, Role.GLOBAL_ADMINISTRATOR))
    sign_in(house, page, KEEPER)
    page.goto("/admin/secure-domains")
    return page


def choose(page: Page, content: str, source: str) -> None:
    page.get_by_label("Where the list comes from").fill(source)
    chosen = {"name": "list.csv", "mimeType": "text/csv", "buffer": content.encode()}
    page.get_by_label("The list", exact=True).set_input_files(chosen)  # type: ignore[arg-type]
    page.get_by_role("button", name="Show what would change").click()
    page.get_by_role("heading", name="What the list would change").wait_for()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_pages_of_the_register_are_accessible(house: House, opens: Opens, width: int) -> None:
    page = keeper(house, opens(width=width))
    assert_accessible(page)
    page.get_by_role("link", name="Excused from checked encryption").click()
    page.get_by_role("heading", name="Excused from checked encryption").wait_for()
    assert_accessible(page)
    page.get_by_role("link", name="Back to the register").click()
    page.get_by_role("button", name="Show what would change").click()
    assert page.get_by_role("alert").is_visible()
    assert_accessible(page)
    lines = "".join(f"d{width}-{number:03}.a-rather-long-name-of-an-organisation.example\n" for number in range(60))
    choose(page, f"domain\n{lines}not a domain\n", f"A list for {width} pixels")
    assert_accessible(page)
    photograph(page, f"register-import-{width}")
    page.get_by_role("button", name="Take over the other lines").click()
    page.get_by_text("Done: 60 new").wait_for()
    assert_accessible(page)
    photograph(page, f"register-{width}")


def test_a_list_is_taken_over_by_keyboard_alone_and_without_javascript(house: House, opens: Opens) -> None:
    page = keeper(house, opens(script=False))
    choose(page, "domain\nby-keyboard.example\n", "A list by keyboard")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.locator(":focus").inner_text() == "Take over the list":
            break
    page.keyboard.press("Enter")
    page.get_by_text("Done: 1 new").wait_for()
    page.get_by_label("Find a domain").fill("by-keyboard")
    page.keyboard.press("Enter")
    page.get_by_role("cell", name="by-keyboard.example").wait_for()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_of_correspondents_is_accessible(house: House, opens: Opens, width: int) -> None:
    page = opens(width=width)
    sign_in(house, page, ADA)
    page.goto("/settings")
    page.locator("#people ~ ul a").first.click()
    page.get_by_role("heading", name="People this mailbox writes to").wait_for()
    assert_accessible(page)
    page.get_by_label("Email address").fill(f"a.patient.with.a.long.name.{width}@freemail.example")
    page.get_by_label("What to note", exact=True).select_option(label="A patient")
    page.get_by_role("button", name="Note it", exact=True).click()
    page.get_by_text("is noted as a patient").wait_for()
    assert_accessible(page)
    page.get_by_label("Email address").fill("nobody")
    page.get_by_role("button", name="Note it", exact=True).click()
    assert page.get_by_role("alert").is_visible()
    assert_accessible(page)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_window_on_the_world_outside_is_accessible(house: House, opens: Opens, width: int) -> None:
    box = Letterbox()
    tls = TlsSeen(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", host="mail.lakeside-trust.example")
    raw = b"From: ada@riverside.example\r\nSubject: A secure message\r\n\r\n" + b"long" * 400 + b"\r\n"
    for number in range(30):
        to = f"somebody.with.a.long.name{number}@lakeside-trust.example"
        box.add(at=NOW, sender="ada.okafor@riverside.example", recipients=[to], tls=tls, raw=raw)
    box.note(Attempt(at=NOW, to="jo@closed-clinic.example", says="550 5.1.1 Nobody of that name works here any more"))
    page = opens(width=width)
    for target in ("/", "/message/3", "/nowhere"):
        page.set_content(OutsidePages(box).answer(target)[2].decode())
        assert_accessible(page)
