"""A file too large for email in a browser: chosen, broken off, gone on with, sent, and fetched by a colleague. R127."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect
from tests.journeys.steps import House, Opens, sign_in
from tests.journeys.test_pages_are_accessible import assert_accessible

pytestmark = pytest.mark.browser

IDA, JON = "Ida Ash", "Jon Oak"
CONTENT = b"".join(b"%06d|" % n for n in range(10_000))  # 70,000 octets
PATIENCE = 60_000  # milliseconds


@pytest.fixture(scope="module", autouse=True)
def two_more(house: House) -> None:
    organisation = house.person("Ada Okafor").mailbox.organisation
    for name in (IDA, JON):
        house.do(house.world.web_person(organisation, name))


def carries_little(page: Page) -> None:
    """What email carries, so that a test need not bring 35 MB."""
    page.locator("#large-files").evaluate("box => { box.dataset.over = 50000; }")


def test_an_upload_that_breaks_off_goes_on_and_a_colleague_fetches_the_file(
    house: House, opens: Opens, tmp_path: Path
) -> None:
    page = opens()
    sign_in(house, page, IDA)
    page.goto(f"/write/{house.person(IDA).mailbox.id}")
    carries_little(page)
    film = tmp_path / "wound film.mp4"
    film.write_bytes(CONTENT)
    broken: list[str] = []

    def breaks(route: Route) -> None:
        if route.request.method == "PATCH" and len(broken) < 2:
            broken.append(route.request.url)
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/files/*", breaks)
    page.locator("#files").set_input_files(film)
    line = page.locator("#large-list li")
    expect(line).to_contain_text("Uploaded and examined", timeout=PATIENCE)
    assert len(broken) == 2
    assert_accessible(page)
    page.get_by_label("To", exact=True).fill(house.person(JON).address)
    page.get_by_label("Subject").fill("The film")
    page.get_by_label("Message", exact=True).fill("Please look at it.")
    page.locator("#send").click()
    page.wait_for_url("**/mail/**", timeout=PATIENCE)
    house.do(house.world.later())

    theirs = opens()
    sign_in(house, theirs, JON)
    theirs.get_by_role("link", name="The film").first.click()
    link = theirs.get_by_role("link", name="/files/").first
    expect(link).to_be_visible(timeout=PATIENCE)
    at = str(link.get_attribute("href"))
    with theirs.expect_download(timeout=PATIENCE) as coming:
        theirs.evaluate("at => { location.href = at; }", at[at.index("/files/") :])
    assert coming.value.suggested_filename == film.name
    assert Path(coming.value.path()).read_bytes() == CONTENT


def test_a_page_that_was_closed_goes_on_when_the_same_file_is_chosen_again(
    house: House, opens: Opens, tmp_path: Path
) -> None:
    page = opens()
    sign_in(house, page, IDA)
    page.goto(f"/write/{house.person(IDA).mailbox.id}")
    carries_little(page)
    film, other = tmp_path / "scan.bin", tmp_path / "elsewhere" / "scan.bin"
    other.parent.mkdir()
    film.write_bytes(CONTENT)
    other.write_bytes(CONTENT[::-1])
    page.route(
        "**/files/*",
        lambda route: route.abort("connectionreset") if route.request.method == "PATCH" else route.continue_(),
    )
    with page.expect_response(lambda answer: answer.request.method == "POST" and answer.url.endswith("/files")):
        page.locator("#files").set_input_files(film)
    expect(page.locator("#saved")).to_contain_text("Saved", timeout=PATIENCE)
    draft = page.locator("input[name=draft]").input_value()
    page.close()

    page = opens()
    sign_in(house, page, IDA)
    page.goto(f"/write/{house.person(IDA).mailbox.id}?draft={draft}")
    carries_little(page)
    lines = page.locator("#large-list li")
    expect(lines).to_contain_text("choose the same file again")
    page.locator("#files").set_input_files(other)  # of the same name and size, and not the same
    expect(lines).to_have_count(2, timeout=PATIENCE)
    page.locator("#files").set_input_files(film)
    expect(lines.first).to_contain_text("Uploaded and examined", timeout=PATIENCE)
    expect(lines).to_have_count(2)
