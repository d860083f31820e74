"""Journeys of a person with mail: by mouse, by keyboard alone, without JavaScript, on a phone."""

import re

import pytest
from playwright.sync_api import Page, expect
from tests.journeys.steps import House, Opens, photograph, sign_in
from tests.journeys.town_mail import ADA, BEA, ZOE

pytestmark = pytest.mark.browser


def open_letter(page: Page, subject: str) -> None:
    page.locator("a.line-words", has_text=subject).first.click()
    expect(page.locator(".letter-subject")).to_have_text(re.compile(re.escape(subject)))


def test_a_letter_opens_beside_the_list_without_loading_the_page_anew(house: House, opens: Opens) -> None:
    page = opens()
    sign_in(house, page, ADA)
    page.evaluate("() => { window.__same = true }")
    open_letter(page, "Discharge summary")
    assert page.evaluate("() => window.__same") is True
    assert re.search(r"/mail/\d+/\d+/\d+$", page.url)
    expect(page.locator(".line.open .line-subject")).to_have_text(re.compile("Discharge"))
    expect(page.locator("#announcer")).to_have_text(re.compile("Opened: Discharge"))
    open_letter(page, "Locum cover")
    page.go_back()
    expect(page.locator(".letter-subject")).to_have_text(re.compile("Discharge"))


def test_without_javascript_the_whole_journey_works(house: House, opens: Opens) -> None:
    page = opens(script=False)
    sign_in(house, page, ADA)
    open_letter(page, "Smear recall")
    page.get_by_role("button", name="Archive").click()
    expect(page.locator(".said")).to_contain_text("1 message moved to the archive.")
    expect(page.locator("a.line-words", has_text="Smear recall")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".said")).to_contain_text("1 message moved back.")
    expect(page.locator("a.line-words", has_text="Smear recall")).to_have_count(1)
    row = page.locator(".line", has_text="Smear recall")
    row.get_by_role("checkbox").check()
    page.locator(".chosen").get_by_role("button", name="Flag", exact=True).click()
    expect(page.locator(".line", has_text="Smear recall").locator(".flagged")).to_have_count(1)
    page.goto(page.url.split("?")[0] + "?show=flagged")
    # Other journeys in the same world may have flagged letters of their own.
    expect(page.locator(".line", has_text="Smear recall")).to_have_count(1)
    expect(page.locator(".line").filter(has_not=page.locator(".flagged"))).to_have_count(0)
    page.get_by_label("Search mail").fill("apixaban from:northside")
    page.keyboard.press("Enter")
    expect(page.locator(".line-subject")).to_have_text("Query on repeat for apixaban")
    page.goto("/settings")
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    page.goto("/mail")
    expect(page.get_by_role("heading", name="Sign in to your mailbox")).to_be_visible()


def test_keys_go_through_the_list_and_act_on_letters(house: House, opens: Opens) -> None:
    page = opens()
    sign_in(house, page, ADA)
    page.keyboard.press("j")
    page.keyboard.press("j")
    subject = page.evaluate("() => document.activeElement.querySelector('.line-subject').textContent")
    page.keyboard.press("Enter")
    expect(page.locator(".letter-subject")).to_have_text(subject)
    page.keyboard.press("s")
    expect(page.locator(".said")).to_contain_text("1 message flagged.")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    search = page.get_by_label("Search mail")
    for _ in range(20):  # the browser gives the focus back after the dialog is gone, and may do so late
        page.keyboard.press("/")
        page.wait_for_timeout(200)
        if search.evaluate("field => field === document.activeElement"):
            break
    expect(search).to_be_focused()
    page.keyboard.type("jks")  # letters in a field are letters
    expect(page.get_by_label("Search mail")).to_have_value("jks")


def test_the_first_tab_skips_to_the_messages(house: House, opens: Opens) -> None:
    page = opens()
    sign_in(house, page, ADA)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the messages")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.closest('#messages') !== null")


def test_everything_can_be_reached_with_tab_and_the_focus_is_seen(house: House, opens: Opens) -> None:
    page = opens()
    sign_in(house, page, ADA)
    open_letter(page, "Discharge summary")
    reached: set[str] = set()
    for _ in range(120):
        page.keyboard.press("Tab")
        name, seen = page.evaluate(
            "() => { const e = document.activeElement, s = getComputedStyle(e), a = getComputedStyle(e, '::after');"
            " const t = e.nextElementSibling ? getComputedStyle(e.nextElementSibling) : s;"
            " return [e.textContent.trim() || e.getAttribute('aria-label') || e.id || e.tagName,"
            " [s, a, t].some(x => x.outlineStyle === 'solid' && parseFloat(x.outlineWidth) >= 2)] }"
        )
        if name == "BODY" or page.evaluate("() => document.activeElement === document.body"):
            break
        assert seen, f"no focus ring on {name!r}"
        reached.add(name)
    for wanted in ("Mark unread", "Archive", "Bin", "Why it was delivered"):
        assert any(wanted in name for name in reached), f"{wanted} was not reached"


def test_shortcuts_that_are_switched_off_do_nothing(house: House, opens: Opens) -> None:
    page = opens()
    sign_in(house, page, BEA)
    page.goto("/settings")
    page.get_by_role("button", name="Switch shortcuts off").click()
    page.goto("/mail")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_on_a_phone_list_and_letter_take_turns(house: House, opens: Opens) -> None:
    page = opens(width=390, height=844, has_touch=True, is_mobile=True, device_scale_factor=2)
    sign_in(house, page, ADA)
    photograph(page, "phone-inbox")
    expect(page.locator(".places")).to_be_hidden()
    page.locator("a.line-words", has_text="Discharge summary").tap()
    expect(page.locator(".letter-subject")).to_be_visible()
    expect(page.locator(".list")).to_be_hidden()
    photograph(page, "phone-letter")
    page.get_by_role("link", name="Inbox").tap()
    expect(page.locator(".list")).to_be_visible()
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Folders").tap()
    expect(page.get_by_role("heading", name="Folders")).to_be_visible()
    photograph(page, "phone-folders")
    page.locator("main").get_by_role("link", name="Riverside results").tap()
    expect(page.locator(".list-title")).to_contain_text("Riverside results")


def test_a_letter_as_it_was_laid_out_cannot_reach_the_page(house: House, opens: Opens) -> None:
    page = opens()
    sign_in(house, page, ADA)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_letter(page, "Winter capacity")
    page.get_by_role("link", name="Show it as it was laid out").click()
    frame = page.frame_locator("iframe.body-frame")
    expect(frame.get_by_role("heading", name="Winter capacity returns")).to_be_visible()
    expect(page.locator(".note", has_text="leads to “evil.example”")).to_be_visible()
    expect(page.locator(".note", has_text="Pictures kept on other computers are not shown")).to_be_visible()
    inner = next(f for f in page.frames if f.url.startswith(house.content))
    assert inner.evaluate("() => window.origin") == "null"
    assert (
        page.evaluate(
            "() => { try { return document.querySelector('iframe').contentDocument } catch { return 'kept out' } }"
        )
        is None
    )
    assert not any("evil.example" in url for url in asked)
    assert page.evaluate("() => window.__xss") is None


def test_a_picture_or_text_is_looked_at_on_the_other_origin(house: House, opens: Opens) -> None:
    page = opens()
    sign_in(house, page, ADA)
    open_letter(page, "Discharge summary")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name=re.compile("Look at it.*Bloods 21 Nov.csv")).click()
    shown = opened.value
    shown.wait_for_load_state()
    assert shown.url.startswith(house.content)
    assert "potassium,5.4" in shown.inner_text("body")
    assert shown.evaluate("() => window.origin") == "null"


def test_on_a_shared_computer_nothing_can_be_saved(house: House, opens: Opens) -> None:
    page = opens()
    sign_in(house, page, ADA, computer="shared")
    open_letter(page, "Discharge summary")
    expect(page.get_by_role("link", name=re.compile("Look at it.*Discharge summary.pdf"))).to_be_visible()
    expect(page.get_by_role("link", name="Save")).to_have_count(0)
    kept = [cookie["name"] for cookie in page.context.cookies() if cookie["expires"] != -1]
    assert kept == []


def test_a_shared_mailbox_is_read_by_its_members(house: House, opens: Opens) -> None:
    page = opens()
    sign_in(house, page, BEA)
    page.get_by_role("navigation", name="Mailboxes and folders").get_by_role("link", name="Riverside results").click()
    expect(page.locator(".line")).to_have_count(3)
    open_letter(page, "Result 4411")
    photograph(page, "shared-mailbox")
    page.goto(f"/mail/{house.person(ADA).mailbox.id}")
    expect(page.get_by_role("heading", name="Page not found")).to_be_visible()


def test_a_reviewer_reads_the_reasons_and_releases(house: House, opens: Opens) -> None:
    page = opens()
    sign_in(house, page, ZOE)
    page.get_by_role("link", name="Quarantine").click()
    page.locator("tbody a").first.click()
    expect(page.locator("main")).to_contain_text("was held in quarantine")
    expect(page.locator("main")).not_to_contain_text("confirm your details")
    page.get_by_label("Your reason").fill("The bank telephoned: it is theirs.")
    page.get_by_role("button", name="Release it").click()
    expect(page.locator(".said")).to_contain_text("Released to 1 mailbox.")
