"""Forms are only ours (CSRF), and every answer tells the browser what it may do. ASVS 5.0 V3.4, V3.5."""

import pytest
from tests.fakes.asgi_browser import AsgiBrowser
from tests.fakes.web_world import WebPerson, WebWorld


@pytest.fixture
async def ada(world: WebWorld) -> WebPerson:
    return await world.web_person(await world.organisation("A81001"), "Ada Okafor")


@pytest.fixture
async def browser(world: WebWorld, ada: WebPerson) -> AsgiBrowser:
    return world.browser(await world.session_of(ada))


def filled(path: str) -> str:
    for name in ("mailbox", "folder", "held", "outgoing"):
        path = path.replace(f"{{{name}:int}}", "1")
    return path


async def test_no_form_is_taken_without_its_proof(world: WebWorld, browser: AsgiBrowser, ada: WebPerson) -> None:
    for door in world.sites.doors:
        if door.method != "POST":
            continue
        path = filled(door.path).replace("/1", f"/{ada.mailbox.id}", 1) if "mailbox" in door.path else filled(door.path)
        for fields in ({}, {"csrf": ""}, {"csrf": "x" * 43}):
            page = await browser.post(path, fields)
            assert page.status == 403, f"{door.name} took a form without proof: {page.status}"


async def test_a_proof_of_one_session_does_not_fit_another(world: WebWorld, ada: WebPerson) -> None:
    one, other = world.browser(await world.session_of(ada)), world.browser(await world.session_of(ada))
    proof = (await one.get("/settings")).proof()
    assert (await other.post("/settings/keyboard", {"csrf": proof, "keys": "off"})).status == 403
    assert (await one.post("/settings/keyboard", {"csrf": proof, "keys": "off"})).status == 303


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "https://mail.riverside.example.evil.example", "http://mail.riverside.example"],
)
async def test_a_form_from_another_origin_is_refused_even_with_a_proof(browser: AsgiBrowser, origin: str) -> None:
    proof = (await browser.get("/settings")).proof()
    page = await browser.post("/settings/keyboard", {"csrf": proof, "keys": "off"}, origin=origin)
    assert page.status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_form_that_the_browser_says_came_from_elsewhere_is_refused(browser: AsgiBrowser, site: str) -> None:
    proof = (await browser.get("/settings")).proof()
    headers = {"sec-fetch-site": site}
    assert (
        await browser.post("/settings/keyboard", {"csrf": proof, "keys": "off"}, headers, origin=None)
    ).status == 403


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"content-type": "application/json"}, 400),
        ({"content-type": "text/plain"}, 400),
        ({"content-length": "9999999"}, 400),
    ],
)
async def test_what_is_not_one_of_our_forms_is_refused(
    browser: AsgiBrowser, headers: dict[str, str], expected: int
) -> None:
    assert (await browser.post("/settings/keyboard", {"csrf": "x"}, headers)).status == expected


async def test_every_page_carries_the_whole_set_of_headers(world: WebWorld, browser: AsgiBrowser) -> None:
    for path in ("/sign-in", "/settings", "/no-such-page", "/mail/999999", "/livez", "/static/none"):
        page = await browser.get(path)
        policy = page.header("content-security-policy")
        for part in (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ):
            assert part in policy
        assert f"frame-src {world.content_origin}" in policy
        assert "unsafe" not in policy
        assert page.header("x-content-type-options") == "nosniff"
        assert page.header("cross-origin-opener-policy") == "same-origin"
        assert page.header("cross-origin-resource-policy") == "same-origin"
        assert page.header("strict-transport-security").startswith("max-age=63072000")
        assert "camera=()" in page.header("permissions-policy")
        assert page.header("cache-control") == "no-store"


async def test_static_files_may_be_kept_for_ever_and_are_found_by_their_own_name_only(world: WebWorld) -> None:
    browser = world.browser()
    page = await browser.get("/sign-in")
    sheet = str(page.tree.css_first("link[rel=stylesheet]").attributes["href"])
    answer = await browser.get(sheet)
    assert answer.status == 200
    assert "immutable" in answer.header("cache-control")
    font = sheet.replace("carepost.css", "fonts/atkinson-hyperlegible-next.woff2")
    assert (await browser.get(font)).header("content-type") == "font/woff2"
    for path in ("/static/carepost.css", "/static/../site.py", "/static/x/../../site.py", "/static//etc/passwd"):
        assert (await browser.get(path)).status == 404


async def test_the_site_asks_for_nothing_from_elsewhere(world: WebWorld, browser: AsgiBrowser) -> None:
    page = await browser.follow(await browser.get("/"))
    for node in page.tree.css("[src], link[href]"):
        address = node.attributes.get("src") or node.attributes.get("href") or ""
        assert address.startswith("/"), address


async def test_an_error_page_says_what_happened_and_what_to_do_and_no_more(
    world: WebWorld, browser: AsgiBrowser
) -> None:
    page = await browser.get("/mail/999999")
    assert page.status == 404
    assert page.words("h1") == "Page not found"
    assert "go back to your mail" in page.words("main")
    for word in ("Traceback", "carepost.web", "psycopg", "SELECT"):
        assert word not in page.text


async def test_a_fault_of_ours_is_told_without_its_inside(world: WebWorld, ada: WebPerson) -> None:
    broken = world.build_sites(zone="no zone of time")
    browser = AsgiBrowser(broken.pages, world.pages_origin, {"__Host-session": await world.session_of(ada)})
    page = await browser.get("/settings")
    assert page.status == 500
    assert "on our side" in page.words("main")
    assert "zone" not in page.words("main")
    assert page.header("content-security-policy").startswith("default-src 'none'")


async def test_on_plain_http_for_a_demo_cookies_have_plain_names(world: WebWorld, ada: WebPerson) -> None:
    sites = world.build_sites(web_origin="http://localhost:8080", content_origin="http://127.0.0.1:8082")
    browser = AsgiBrowser(sites.pages, "http://localhost:8080")
    page = await browser.get("/sign-in")
    assert page.header("set-cookie").startswith("passerby=")
    assert "Secure" not in page.header("set-cookie")
    assert page.header("strict-transport-security") == ""


@pytest.mark.parametrize(
    "headers",
    [{"content-length": ""}, {"transfer-encoding": "chunked"}, {"content-length": "9" * 5000}],
    ids=["no length", "in chunks", "endless"],
)
async def test_a_form_that_does_not_say_how_long_it_is_is_not_read(world: WebWorld, headers: dict[str, str]) -> None:
    """Anybody may post to the sign-in page: what they send must not fill our memory."""
    browser = world.browser()
    proof = (await browser.get("/sign-in")).proof()
    page = await browser.post("/sign-in", {"csrf": proof, "address": "x", "password": "x"}, headers)
    assert page.status == 400
    assert "larger than any of ours" in page.words()
