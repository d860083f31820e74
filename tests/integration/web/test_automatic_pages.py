"""What a mailbox does by itself, set in a browser without scripts."""

from tests.fakes.asgi_browser import AsgiBrowser, Page
from tests.fakes.gateway_world import OPERATOR
from tests.fakes.web_world import WebWorld

from carepost.base.address import Domain
from carepost.directory.model import Role

TEXTS = {"subject": "We have your message", "inside": "Ring the desk.", "outside": "Thank you.", "to_outside": "yes"}


async def test_a_shared_mailboxs_reply_is_set_by_its_owner_and_seen_by_all_who_use_it(world: WebWorld) -> None:
    practice = await world.organisation("A81001")
    ada, ben = await world.web_person(practice, "Ada Okafor"), await world.web_person(practice, "Ben Best")
    box = await world.shared(practice, "Front desk", ada, members=[ben])
    browser, his = world.browser(await world.session_of(ada)), world.browser(await world.session_of(ben))
    here = f"/mailbox/{box.id}/autoreply"

    async def save(**fields: str) -> Page:
        return await browser.post(here, {"csrf": (await browser.get(here)).proof(), **TEXTS, **fields})

    # Without whom to call it is not saved, and nothing that was typed is lost.
    page = await save(on="yes")
    assert page.status == 400
    assert "telephone number for urgent clinical advice" in page.words("#summary")
    assert "Ring the desk." in page.words("textarea#inside")
    assert "Automatic reply of Front desk is on" not in (await his.get(f"/mail/{box.id}")).text

    page = await save(on="yes", telephone="01632 960123", chase_days="soon")
    assert "as digits" in page.words("#summary")
    page = await save(on="yes", telephone="01632 960123", starts_at="tomorrow")
    assert "as 2026-12-24T17:00" in page.words("#summary")

    page = await save(on="yes", telephone="01632 960123", chase_days="2", ends_at="2026-12-24T17:00")
    assert page.status == 303
    shown = await browser.follow(page)
    assert "Saved. The automatic reply is on." in shown.words()
    assert "If you have heard nothing in 2 working days, ring 01632 960123." in shown.words()
    assert 'value="2026-12-24T17:00"' in shown.text

    # Whoever reads or writes there cannot miss it; only its owners change it.
    for path in (f"/mail/{box.id}", f"/write/{box.id}"):
        assert "The automatic reply of Front desk is on." in (await his.follow(await his.get(path))).words(), path
    assert (await his.get(here)).status == 403
    assert "Front desk" in (await browser.get("/settings")).words()

    assert (await save(telephone="")).status == 303
    assert "is on" not in (await his.get(f"/write/{box.id}")).words()


async def test_forwarding_is_asked_for_on_one_page_and_allowed_on_another(world: WebWorld) -> None:
    practice = await world.organisation("A81001")
    ada = await world.web_person(practice, "Ada Okafor")
    zoe = await world.web_person(practice, "Zoe Manager", Role.LOCAL_ADMINISTRATOR)
    await world.organisations.list_secure_domain(OPERATOR, Domain("trust.example"), source="a test")
    browser, hers = world.browser(await world.session_of(ada)), world.browser(await world.session_of(zoe))
    here, admin = f"/mailbox/{ada.mailbox.id}/forwarding", "/admin/forwarding"

    async def post(who: AsgiBrowser, path: str, **fields: str) -> Page:
        return await who.post(path, {"csrf": (await who.get(path)).proof(), **fields})

    for address, says in [
        ("ada@webmail.example", "may not be forwarded to ada@webmail.example"),
        ("ada at home", "not an email address"),
        ("", "Type the address"),
    ]:
        page = await post(browser, here, address=address, reason="Mondays")
        assert page.status == 400
        assert says in page.words("#summary")
    page = await browser.follow(await post(browser, here, address="ada@trust.example", reason="Mondays"))
    assert "Nothing is forwarded until an administrator has allowed it" in page.words()
    assert "waits for an administrator" in page.words("dl")
    assert (await browser.get(admin)).status == 403

    waiting = await hers.get(admin)
    assert "Ada Okafor" in waiting.words("tbody")
    assert "ada@trust.example" in waiting.words("tbody")
    [one] = await world.forwardings.open(zoe.actor, practice)
    page = await post(hers, admin, do="refuse", which=str(one.id), reason="")
    assert "Say why" in page.words("#summary")
    assert (await post(hers, admin, do="allow", which=str(one.id))).status == 303
    assert "in force" in (await browser.get(here)).words("dl")
    assert (await post(browser, here, do="end", which=str(one.id))).status == 303
    assert "ended on 22 November 2026" in (await browser.get(here)).words("table")
    assert "No mail is forwarded" in (await hers.get(admin)).words()
    assert "Forwarding in your organisation" in (await hers.get("/settings")).words()
