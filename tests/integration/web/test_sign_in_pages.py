"""Signing in and out by forms, as a browser without scripts does it."""

import pytest
from tests.fakes.asgi_browser import AsgiBrowser, Page
from tests.fakes.web_world import PASSWORD, WebPerson, WebWorld

SHARED, OWN = "shared", "own"


async def give_password(browser: AsgiBrowser, address: str, password: str = PASSWORD) -> Page:
    page = await browser.get("/sign-in")
    return await browser.post("/sign-in", {**page.fields(), "address": address, "password": password})


async def give_code(world: WebWorld, browser: AsgiBrowser, page: Page, computer: str = SHARED) -> Page:
    return await browser.post("/sign-in/code", {**page.fields(), "code": world.code(), "computer": computer})


@pytest.fixture
async def ada(world: WebWorld) -> WebPerson:
    return await world.web_person(await world.organisation("A81001"), "Ada Okafor")


async def test_password_and_code_lead_to_the_inbox(world: WebWorld, ada: WebPerson) -> None:
    browser = world.browser()
    page = await give_code(world, browser, await give_password(browser, ada.address))
    assert page.status == 303
    inbox = await browser.follow(page)
    assert inbox.status == 200
    assert inbox.words("h1").startswith("Inbox")


async def test_before_signing_in_every_page_leads_to_the_door_and_then_back(world: WebWorld, ada: WebPerson) -> None:
    browser = world.browser()
    asked = await browser.get("/settings?x=1")
    assert asked.location == "/sign-in?next=/settings%3Fx%3D1"
    page = await browser.get(asked.location)
    page = await browser.post("/sign-in", {**page.fields(), "address": ada.address, "password": PASSWORD})
    assert (await give_code(world, browser, page)).location == "/settings?x=1"


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:x"])
async def test_after_signing_in_nobody_is_led_to_another_site(world: WebWorld, ada: WebPerson, elsewhere: str) -> None:
    browser = world.browser()
    page = await browser.get("/sign-in")
    page = await browser.post(
        "/sign-in", {**page.fields(), "next": elsewhere, "address": ada.address, "password": PASSWORD}
    )
    assert (await give_code(world, browser, page)).location == "/"


async def test_a_wrong_password_and_an_unknown_address_read_the_same(world: WebWorld, ada: WebPerson) -> None:
    one = await give_password(world.browser(), ada.address, "wrong-lantern-walks")
    other = await give_password(world.browser(), "nobody@riverside.example", "wrong-lantern-walks")
    assert one.status == other.status == 400
    assert one.words("#summary") == other.words("#summary")
    assert "not right" in one.words("#summary")


async def test_a_password_is_never_shown_again(world: WebWorld, ada: WebPerson) -> None:
    page = await give_password(world.browser(), ada.address, "wrong-lantern-walks")
    assert "wrong-lantern-walks" not in page.text
    assert ada.address in page.text


async def test_empty_fields_are_named_in_the_summary_and_beside_the_field(world: WebWorld) -> None:
    page = await give_password(world.browser(), "", "")
    assert page.words("#summary") == "There is a problem Enter your email address Enter your password"
    assert page.words("#address-wrong") == "Error: Enter your email address"
    assert page.tree.css_first("#address").attributes["aria-describedby"] == "address-wrong"


async def test_a_wrong_code_asks_again_and_keeps_the_ticket(world: WebWorld, ada: WebPerson) -> None:
    browser = world.browser()
    page = await give_password(browser, ada.address)
    wrong = await browser.post("/sign-in/code", {**page.fields(), "code": "000000", "computer": SHARED})
    assert wrong.status == 400
    assert "not right" in wrong.words("#summary")
    assert (await give_code(world, browser, wrong)).status == 303


async def test_a_new_session_has_a_new_cookie_and_the_passers_by_is_dropped(world: WebWorld, ada: WebPerson) -> None:
    browser = world.browser()
    before = await browser.get("/sign-in")
    passer_by = browser.cookies["__Host-passerby"]
    await give_code(world, browser, await give_password(browser, ada.address))
    assert "__Host-passerby" not in browser.cookies
    assert browser.cookies["__Host-session"] != passer_by
    assert before.header("set-cookie").startswith("__Host-passerby=")


async def test_on_a_shared_computer_no_cookie_outlives_the_browser(world: WebWorld, ada: WebPerson) -> None:
    browser = world.browser()
    page = await give_code(world, browser, await give_password(browser, ada.address), SHARED)
    kept = [line for line in page.every("set-cookie") if "Max-Age" in line and "Max-Age=0" not in line]
    assert kept == []
    assert "__Host-device" not in browser.cookies


async def test_an_own_computer_is_known_again_and_preset(world: WebWorld, ada: WebPerson) -> None:
    browser = world.browser()
    unknown = await give_password(browser, ada.address)
    assert "checked" in unknown.tree.css_first("#shared").attributes
    await give_code(world, browser, unknown, OWN)
    assert "__Host-device" in browser.cookies
    del browser.cookies["__Host-session"]
    known = await give_password(browser, ada.address)
    assert "checked" in known.tree.css_first("#own").attributes


async def test_every_cookie_is_for_this_host_alone_and_for_no_script(world: WebWorld, ada: WebPerson) -> None:
    browser = world.browser()
    page = await give_code(world, browser, await give_password(browser, ada.address), OWN)
    for line in page.every("set-cookie"):
        assert line.startswith("__Host-")
        assert all(word in line for word in ("HttpOnly", "Secure", "Path=/", "SameSite=lax"))
        assert "Domain" not in line


async def test_signing_out_ends_the_session_and_clears_the_browser(world: WebWorld, ada: WebPerson) -> None:
    token = await world.session_of(ada, shared_computer=True)
    browser = world.browser(token)
    settings = await browser.get("/settings")
    out = await browser.post("/sign-out", settings.fields())
    assert out.location == "/signed-out"
    assert out.header("clear-site-data") == '"cache", "cookies", "storage"'
    again = world.browser(token)
    assert (await again.get("/settings")).status == 303


async def test_who_signs_in_is_told_that_use_may_be_monitored(world: WebWorld) -> None:
    page = await world.browser().get("/sign-in")
    assert "may be monitored" in page.words("main")


async def test_too_many_tries_are_told_how_long_to_wait(world: WebWorld, ada: WebPerson) -> None:
    for _ in range(12):
        page = await give_password(world.browser(), ada.address, "wrong-lantern-walks")
    assert "Too many attempts" in page.words("#summary")


async def test_nothing_opens_before_the_policy_is_accepted(world: WebWorld) -> None:
    organisation = await world.organisation("A81002")
    new = await world.web_person(organisation, "Nia Newcomer", accepts=False)
    browser = world.browser(await world.session_of(new))
    for path in ("/", "/mail", f"/mail/{new.mailbox.id}", "/settings", f"/search/{new.mailbox.id}"):
        assert (await browser.get(path)).location == "/acceptable-use/accept"
    page = await browser.get("/acceptable-use/accept")
    policy = page.words("main")
    assert "When you leave, your access ends" in policy  # the whole text, to its end
    assert policy.index("When you leave") < policy.index("I have read it and accept it")
    accepted = await browser.post("/acceptable-use/accept", {**page.fields(".card form")})
    assert accepted.location == "/"
    assert (await browser.follow(await browser.get("/"))).words("h1").startswith("Inbox")


async def test_somebody_without_a_second_factor_sets_one_up_at_the_first_sign_in(world: WebWorld) -> None:
    from tests.fakes.gateway_world import OPERATOR

    from carepost.identity.factors import code_at

    organisation = await world.organisation("A81003")
    actor, mailbox = await world.person(organisation, "Fay First")
    await world.accounts.set_password(OPERATOR, organisation, actor.person, PASSWORD)
    browser = world.browser()
    page = await give_password(browser, str(mailbox.address))
    assert "Set up your code" in page.words("h1")
    assert page.tree.css_first(".qr svg") is not None
    secret = page.words(".secret").replace(" ", "")
    done = await browser.post("/sign-in/code", {**page.fields(), "code": code_at(secret, world.clock.now())})
    assert done.status == 303
    assert (await browser.get("/")).location == "/acceptable-use/accept"


async def test_a_password_that_somebody_else_chose_must_be_changed_first(world: WebWorld, ada: WebPerson) -> None:
    from tests.fakes.gateway_world import OPERATOR

    await world.accounts.set_password(
        OPERATOR, ada.mailbox.organisation, ada.actor.person, "another-lantern-walks", must_change=True
    )
    browser = world.browser()
    page = await give_code(world, browser, await give_password(browser, ada.address, "another-lantern-walks"))
    assert (await browser.get("/mail")).location == "/settings/password"
    page = await browser.get("/settings/password")
    new = {"current": "another-lantern-walks", "new": "river-copper-candle", "again": "river-copper-candle"}
    changed = await browser.post("/settings/password", {**page.fields(), **new})
    assert changed.status == 303
