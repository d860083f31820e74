"""The register of secure domains in a browser without scripts: looked through, shown a list, taken over."""

import pytest
from tests.fakes.asgi_browser import AsgiBrowser, Page
from tests.fakes.gateway_world import OPERATOR
from tests.fakes.web_world import WebWorld

from carepost.base.address import Domain
from carepost.directory.model import Role

HERE = "/admin/secure-domains"
LIST = b"Domain,Expiry date\nlakeside-trust.example,2027-06-01\nnot a domain\ncouncil-care.example,\n"


@pytest.fixture
async def browser(world: WebWorld) -> AsgiBrowser:
    keeper = await world.web_person(await world.organisation("RZ9"), "Colin Marsh", Role.GLOBAL_ADMINISTRATOR)
    return world.browser(await world.session_of(keeper))


async def choose(browser: AsgiBrowser, content: bytes, source: str = "The national list") -> Page:
    proof = (await browser.get(HERE)).proof()
    return await browser.post_files(
        f"{HERE}/import", {"csrf": proof, "source": source}, [("list.csv", "text/csv", content)]
    )


async def confirm(browser: AsgiBrowser, shown: Page) -> Page:
    return await browser.post_files(f"{HERE}/apply", shown.fields("main form"))


async def test_a_list_is_shown_with_its_faults_and_taken_over_when_somebody_confirms(
    world: WebWorld, browser: AsgiBrowser
) -> None:
    shown = await choose(browser, LIST)
    assert shown.status == 200
    words = shown.words("main")
    for said in ("Line 3: “not a domain” is not a domain", "2 new", "lakeside-trust.example, until 1 June 2027"):
        assert said in words
    assert await world.directory.register() == ()
    done = await browser.follow(await confirm(browser, shown))
    assert "Done: 2 new, 0 renewed, 0 removed." in done.words("main")
    assert "lakeside-trust.example 1 June 2027 The national list" in done.words("main")
    again = await choose(browser, LIST.replace(b"not a domain\n", b""))
    assert "There is nothing to do" in again.words("main")


async def test_what_was_shown_is_not_done_when_the_register_has_changed(world: WebWorld, browser: AsgiBrowser) -> None:
    shown = await choose(browser, b"domain\na.example\n")
    await world.organisations.list_secure_domain(OPERATOR, Domain("a.example"), source="Somebody else")
    page = await confirm(browser, shown)
    assert page.status == 400
    assert "has changed since you looked" in page.words(".summary")


@pytest.mark.parametrize(
    ("content", "source", "says"),
    [
        (b"", "The list", "Choose the file with the list"),
        (b"domain\na.example\n", "", "Say where the list comes from"),
        (b"name\nsomebody\n", "The list", "has to name the columns"),
        (b"PK\x03\x04\0\0", "The list", "not a CSV file"),
        (b"domain\n" + b"a" * 2_000_001, "The list", "larger than 2 MB"),
    ],
)
async def test_what_is_no_list_is_told_of_where_it_was_chosen(
    browser: AsgiBrowser, content: bytes, source: str, says: str
) -> None:
    page = await choose(browser, content, source)
    assert page.status == 400
    assert says in page.words(".summary")


@pytest.mark.parametrize("packed", ["", "no base64!", "AAAA", "eJzLSM3JyQcABiwCFQ==x"])
async def test_a_list_that_does_not_come_back_as_it_was_shown_is_refused(browser: AsgiBrowser, packed: str) -> None:
    fields = (await choose(browser, b"domain\na.example\n")).fields("main form") | {"list": packed}
    page = await browser.post_files(f"{HERE}/apply", fields)
    assert page.status == 400
    assert "choose the file again" in page.words("main")


async def test_the_register_is_shown_a_page_at_a_time_and_searched(browser: AsgiBrowser) -> None:
    lines = "".join(f"d{number:03}.example\n" for number in range(70))
    await confirm(browser, await choose(browser, f"domain\n{lines}".encode()))
    first = await browser.get(HERE)
    assert "d049.example" in first.text
    assert "d050.example" not in first.text
    more = next(a.attributes["href"] for a in first.tree.css("nav.pages a") if a.text() == "More")
    assert more is not None
    assert "d069.example" in (await browser.get(more)).text
    found = await browser.get(f"{HERE}?search=D03")
    assert "d030.example" in found.text
    assert "d040.example" not in found.text
    assert "No domain has this in its name" in (await browser.get(f"{HERE}?search=%3Cscript%3E")).text


async def test_a_local_administrator_does_not_keep_the_register_of_the_whole_service(world: WebWorld) -> None:
    local = await world.web_person(await world.organisation("A81001"), "Ada Okafor", Role.LOCAL_ADMINISTRATOR)
    browser = world.browser(await world.session_of(local))
    assert (await browser.get(HERE)).status == 403
    assert HERE not in (await browser.get("/settings")).text


async def test_whoever_keeps_the_register_finds_it_in_the_settings(browser: AsgiBrowser) -> None:
    assert f'href="{HERE}"' in (await browser.get("/settings")).text
