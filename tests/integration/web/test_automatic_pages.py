"""What a mailbox does by itself, set in a browser without scripts."""

from tests.fakes.asgi_browser import Page
from tests.fakes.web_world import WebWorld

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
