"""What administrators see of mail that leaves, in a browser without scripts: the rules, what is held, who is excused."""

import pytest
from tests.fakes.asgi_browser import AsgiBrowser, Page
from tests.fakes.gateway_world import OPERATOR
from tests.fakes.outbound_desk import outgoing_row
from tests.fakes.web_world import WebWorld

from carepost.base.address import Domain
from carepost.directory.model import Role
from carepost.gateway.out.outgoing import OutState, RecipientState
from carepost.policy.rules import Chosen, Detail, Measure

POLICY, HELD, EXCEPTIONS = "/admin/policy", "/admin/held", "/admin/secure-domains/exceptions"


@pytest.fixture
async def browser(world: WebWorld) -> AsgiBrowser:
    world.practice = await world.organisation("A81001")  # type: ignore[attr-defined]
    keeper = await world.web_person(world.practice, "Ada Admin", Role.LOCAL_ADMINISTRATOR)  # type: ignore[attr-defined]
    return world.browser(await world.session_of(keeper))


async def form_of(browser: AsgiBrowser) -> dict[str, str]:
    """The rules' form as the page gives it, with what is chosen in it now."""
    page = await browser.get(POLICY)
    found = page.fields("#rules")
    for select in page.tree.css("#rules select"):
        [now] = [one.attributes["value"] for one in select.css("option[selected]")]
        found[select.attributes["name"] or ""] = now or ""
    for number in page.tree.css("#rules input[inputmode=numeric]"):
        found[number.attributes["name"] or ""] = number.attributes["value"] or ""
    for text in page.tree.css("#rules textarea"):
        found[text.attributes["name"] or ""] = text.text()
    [own] = [one.attributes["value"] for one in page.tree.css("#rules input[type=radio][checked]")]
    return found | {"own_disclaimer": own or ""}


async def change(browser: AsgiBrowser, **fields: str) -> Page:
    named = {name.replace("__", "-"): value for name, value in fields.items()}
    return await browser.post(f"{POLICY}/preview", await form_of(browser) | named)


async def test_a_rule_is_shown_as_a_difference_and_put_in_force_with_a_reason(
    world: WebWorld, browser: AsgiBrowser
) -> None:
    shown = await change(
        browser,
        text__passport="block",
        own_disclaimer="yes",
        disclaimer="Not for you?\nTell us.",
        visible_outsiders="3",
    )
    assert shown.status == 200
    words = shown.words("main")
    assert "A passport number, in the text or a file By secure link only Not at all" in words
    assert "Nothing has been changed yet" in words
    fields = shown.fields("main form")
    assert fields["text-passport"] == "block"
    told = await browser.post(f"{POLICY}/apply", fields)
    assert (told.status, "Say why" in told.words(".summary")) == (400, True)
    done = await browser.follow(await browser.post(f"{POLICY}/apply", told.fields("main form") | {"reason": "In May"}))
    assert "Version 1 is in force" in done.words("main")
    assert "Ada Admin In May" in done.words("main")
    rules = await world.rules.of(world.practice)  # type: ignore[attr-defined]
    assert (rules.text[Detail.PASSPORT], rules.visible_outsiders) == (Measure.BLOCK, 3)
    assert rules.disclaimer == "Not for you?\nTell us."
    again = await form_of(browser)
    assert (again["text-passport"], again["own_disclaimer"], again["version"]) == ("block", "yes", "1")
    nothing = await browser.post(f"{POLICY}/preview", again)
    assert "Nothing would be different" in nothing.words("main")


async def test_the_page_offers_nothing_laxer_than_the_service_and_takes_nothing_such(browser: AsgiBrowser) -> None:
    page = await browser.get(POLICY)
    offered = [one.attributes["value"] for one in page.tree.css("select[name=text-nhs-number] option")]
    assert offered == ["encrypt", "block"]
    forged = await change(browser, **{"text__nhs-number": "advise"})
    assert (forged.status, "never laxer" in forged.words(".summary")) == (400, True)
    strange = await change(browser, **{"text__nhs-number": "whatever"})
    assert strange.status == 400
    number = await change(browser, visible_private="many")
    assert "give a whole number" in number.words(".summary")
    assert (await change(browser, visible_private="600")).status == 400


async def test_what_was_shown_is_not_done_when_others_have_set_rules_meanwhile(
    world: WebWorld, browser: AsgiBrowser
) -> None:
    shown = await change(browser, guidance="Ring them first.")
    await world.rules.set(
        OPERATOR,
        world.practice,  # type: ignore[attr-defined]
        Chosen(visible_private=1),
        after=0,
        reason="by hand",
    )
    page = await browser.post(f"{POLICY}/apply", shown.fields("main form") | {"reason": "x"})
    assert (page.status, "since you looked" in page.words(".summary")) == (400, True)


async def test_what_is_held_is_listed_by_pages_and_settled_with_a_reason(world: WebWorld, browser: AsgiBrowser) -> None:
    assert "Nothing is waiting" in (await browser.get(HELD)).words("main")
    for number in range(52):
        world.held.hold(f"p{number}@shop.example", "q@shop.example", "r@shop.example", "s@shop.example")
    first = await browser.get(HELD)
    assert first.words("main").count("and 1 more") == 50
    assert "desk@riverside.example sent by nia.nurse@riverside.example" in first.words("main")
    second = await browser.get(f"{HELD}?after=50")
    assert second.words("main").count("and 1 more") == 2
    one = await browser.get(f"{HELD}/1")
    words = one.words("main")
    assert "A message that could not be scanned completely" in words
    assert "You do not see what it says" in words
    told = await browser.post(f"{HELD}/1", {"csrf": one.proof(), "do": "let-go", "reason": " "})
    assert (told.status, "Say why" in told.words(".summary"), world.held.done) == (400, True, [])
    for number, deed in ((1, "let-go"), (2, "link"), (3, "refuse")):
        done = await browser.post(f"{HELD}/{number}", {"csrf": one.proof(), "do": deed, "reason": "looked at it"})
        assert "The sender has been told" in (await browser.follow(done)).words("main")
    assert [one[0] for one in world.held.done] == ["let go", "link", "refuse"]
    assert (await browser.get(f"{HELD}/1")).status == 404
    assert (await browser.post(f"{HELD}/4", {"csrf": one.proof(), "do": "x", "reason": "y"})).status == 400


async def test_a_domain_is_excused_for_a_time_and_called_back(world: WebWorld) -> None:
    keeper = await world.web_person(await world.organisation("RZ9"), "Colin Marsh", Role.GLOBAL_ADMINISTRATOR)
    browser = world.browser(await world.session_of(keeper))
    await world.organisations.list_secure_domain(OPERATOR, Domain("trust.example"), source="A list")
    page = await browser.get(EXCEPTIONS)
    assert "No exceptions" in page.words("main")
    given = {"csrf": page.proof(), "do": "make", "domain": "trust.example", "reason": "Their certificate ran out"}
    done = await browser.follow(await browser.post(EXCEPTIONS, given))
    assert "trust.example is excused until" in done.words("main")
    assert "Their certificate ran out" in done.words("table")
    for wrong in ({"reason": ""}, {"domain": "shop.example"}, {"until": "soon"}, {"until": "2999-01-01"}):
        assert (await browser.post(EXCEPTIONS, given | wrong)).status == 400
    ended = await browser.follow(await browser.post(EXCEPTIONS, given | {"do": "end"}))
    assert "No exceptions" in ended.words("main")


async def test_a_message_leads_to_the_page_of_its_secure_links(world: WebWorld) -> None:
    person = await world.web_person(await world.organisation("A81001"), "Nia Nurse")
    browser = world.browser(await world.session_of(person))
    row = outgoing_row(world.clock.now(), person.mailbox.id, RecipientState.NOTICED, state=OutState.RELEASED)
    world.desk.rows.append(row)
    page = await browser.get("/outgoing/1")
    assert [one.attributes["href"] for one in page.tree.css("main a[href$=secure]")] == ["/outgoing/1/secure"]
    assert (await browser.get("/outgoing/1/secure")).status == 200
