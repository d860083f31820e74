"""Journeys of a person who writes: with the script, without it, by keyboard alone; at every width."""

import re
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from playwright.sync_api import Page, expect
from tests.fakes.gateway_world import OPERATOR
from tests.journeys.steps import House, Opens, photograph, sign_in
from tests.journeys.test_pages_are_accessible import WIDTHS, assert_accessible

from carepost.base.address import Domain
from carepost.store.model import SpecialUse

pytestmark = pytest.mark.browser

WREN, RAE, KIT = "Wren Ward", "Rae Reed", "Kit Moss"
NHS = "943 476 5919"  # of the range for tests, with its check digit


@pytest.fixture(scope="module", autouse=True)
def writers(house: House) -> None:
    """Three more of the practice, and a trust on the register."""
    organisation = house.person("Ada Okafor").mailbox.organisation
    for name in (WREN, RAE, KIT):
        if name not in house.world.people_by_name:
            house.do(house.world.web_person(organisation, name))
    house.do(house.world.organisations.list_secure_domain(OPERATOR, Domain("lakeside.example"), source="a test"))


def new_message(house: House, page: Page, name: str = WREN) -> Page:
    sign_in(house, page, name)
    page.goto(f"/write/{house.person(name).mailbox.id}")
    return page


def write(page: Page, *, to: str, subject: str, text: str = "We meet at nine.") -> None:
    page.get_by_label("To", exact=True).fill(to)
    page.get_by_label("Subject").fill(subject)
    page.get_by_label("Message", exact=True).fill(text)


def press_send(page: Page) -> None:
    page.locator("#send").click()


def letters(house: House, name: str, use: SpecialUse, subject: str) -> list[EmailMessage]:
    """What lies in a folder of somebody under that subject."""
    found = house.do(house.world.bodies(house.person(name).mailbox, use))
    read = [message_from_bytes(raw, policy=policy.default) for raw in found]
    return [one for one in read if one["Subject"] == subject]


def let_go(house: House) -> None:
    """The worker's turn, when everything that waits is due."""
    house.do(house.world.later())


def text_of(letter: EmailMessage, kind: str = "plain") -> str:
    part = letter.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def test_a_letter_is_written_laid_out_saved_sent_and_undone(house: House, opens: Opens) -> None:
    page = opens()
    sign_in(house, page, WREN)
    page.get_by_role("link", name="New message").click()
    to = page.get_by_label("To", exact=True)
    to.press_sequentially("rae")
    options = page.get_by_role("listbox", name="Suggestions").get_by_role("option")
    expect(options.first).to_contain_text("Rae Reed")
    expect(page.locator("main [role=status]").filter(has_text="1 suggestion")).to_have_count(1)
    expect(to).to_have_value("rae")  # nobody is chosen unasked
    to.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    to.press("Enter")
    expect(to).to_have_value('"Rae Reed" <rae.reed@riverside.example>, ')
    page.get_by_label("Subject").fill("Rota for Thursday")
    page.get_by_label("Message", exact=True).fill("Please look at this.")
    page.get_by_role("button", name="Lay out the text").click()
    editor = page.get_by_role("textbox", name="Message")
    expect(editor).to_be_focused()  # laying out ends with the cursor in it
    editor.press("Control+A")
    page.get_by_role("button", name="Bold").click()
    expect(editor.locator("b")).to_have_text("Please look at this.")
    expect(page.locator("#saved")).to_have_text(re.compile(r"^Saved \d\d:\d\d\."))
    page.get_by_label("Attachments").set_input_files(
        {"name": "rota.csv", "mimeType": "text/csv", "buffer": b"day,who\r\nThursday,Rae\r\n"}
    )
    expect(page.locator(".chosen-files:not(#large-list)")).to_contain_text("rota.csv")
    expect(page.get_by_role("textbox", name="Message").locator("b")).to_have_text("Please look at this.")
    photograph(page, "compose-laid-out")
    press_send(page)
    expect(page.locator(".said")).to_contain_text("Your message leaves in 10 seconds.")
    photograph(page, "compose-undo")
    page.locator(".said").get_by_role("button", name="Undo").click()
    expect(page.locator(".said")).to_contain_text("It was not sent.")
    expect(page.get_by_label("Subject")).to_have_value("Rota for Thursday")
    expect(page.locator(".chosen-files:not(#large-list)")).to_contain_text("rota.csv")
    let_go(house)
    assert letters(house, RAE, SpecialUse.INBOX, "Rota for Thursday") == []
    press_send(page)
    expect(page.locator(".said")).to_contain_text("Your message leaves in 10 seconds.")
    let_go(house)
    [got] = letters(house, RAE, SpecialUse.INBOX, "Rota for Thursday")
    assert "<b>Please look at this.</b>" in text_of(got, "html")
    assert text_of(got).strip() == "Please look at this."
    assert [one.get_filename() for one in got.iter_attachments()] == ["rota.csv"]
    assert letters(house, WREN, SpecialUse.DRAFTS, "Rota for Thursday") == []
    assert len(letters(house, WREN, SpecialUse.SENT, "Rota for Thursday")) == 1


def test_without_javascript_a_letter_is_checked_answered_sent_looked_at_and_undone(house: House, opens: Opens) -> None:
    reader = "reads.without.script@gmail.example"  # written to by nobody else here
    page = new_message(house, opens(script=False))
    subject = "Your blood test"
    write(page, to=reader, subject=subject, text=f"NHS number {NHS}: please ring us.")
    press_send(page)
    summary = page.get_by_role("alert")
    expect(summary).to_contain_text("Check before you send")
    expect(page.locator("#how")).to_contain_text("By secure link")
    expect(page.locator("#how .chip")).to_have_text("outside")
    photograph(page, "check-before-send-1440")
    question = page.get_by_role("group", name="Written to for the first time")
    press_send(page)  # nothing is answered: nothing goes
    expect(page.get_by_role("alert")).to_contain_text("Check before you send")
    question.get_by_label("Send it as it is").check()
    press_send(page)
    expect(page.locator(".said")).to_contain_text("Your message leaves in 30 seconds.")
    page.goto(f"/sent/{house.person(WREN).mailbox.id}")
    page.get_by_role("link", name=subject).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(subject)
    expect(page.locator("tbody")).to_contain_text(reader)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".said")).to_contain_text("It was not sent.")
    expect(page.get_by_label("To", exact=True)).to_have_value(reader)
    let_go(house)
    # Others of this file may have waited for the same turn.
    assert [one for one in house.world.links.made if subject.encode() in one.raw] == []
    # What did not leave makes nobody known: it is asked again.
    press_send(page)
    expect(page.locator("#how")).to_contain_text("By secure link")
    page.get_by_role("group", name="Written to for the first time").get_by_label("Send it as it is").check()
    expect(page.get_by_label("A code that they get by email")).to_be_checked()
    assert len(page.get_by_label("The words").input_value().split()) == 6
    page.get_by_label("words that you agree on").check()
    page.get_by_label("The words").fill("copper lantern walks")
    press_send(page)
    expect(page.locator(".said")).to_contain_text("Your message leaves in 30 seconds.")
    let_go(house)
    [made] = [one for one in house.world.links.made if subject.encode() in one.raw]
    assert (str(made.address), made.passphrase) == (reader, "copper lantern walks")


def test_by_keyboard_alone_and_enter_in_a_field_never_sends(house: House, opens: Opens) -> None:
    page = opens()
    sign_in(house, page, WREN)
    page.keyboard.press("c")
    expect(page.get_by_role("heading", name="New message")).to_be_visible()
    subject = "By keyboard"
    tab_to(page, "to")
    page.keyboard.type("rae.reed@riverside.example")
    page.keyboard.press("Escape")
    tab_to(page, "subject")
    page.keyboard.type(subject)
    page.keyboard.press("Enter")
    expect(page.locator("#saved")).to_contain_text("Saved")
    expect(page.get_by_label("Subject")).to_have_value(subject)
    tab_to(page, "text")
    page.keyboard.type("Hello Rae,")
    page.keyboard.press("Enter")
    page.keyboard.type("see you there.")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".said")).to_contain_text("Your message leaves in")
    tab_to(page, "Undo")
    page.keyboard.press("Enter")
    expect(page.locator(".said")).to_contain_text("It was not sent.")
    tab_to(page, "send")
    page.keyboard.press("Enter")
    expect(page.locator(".said")).to_contain_text("Your message leaves in")
    let_go(house)
    [got] = letters(house, RAE, SpecialUse.INBOX, subject)
    assert text_of(got).splitlines() == ["Hello Rae,", "see you there."]


def tab_to(page: Page, wanted: str) -> None:
    """Press Tab until that id or name has the focus, which is seen on the way."""
    for _ in range(200):
        page.keyboard.press("Tab")
        name, seen = page.evaluate(_FOCUS)
        assert seen or name == "", f"no focus ring on {name!r}"
        if name == wanted:
            return
    raise AssertionError(f"{wanted} was not reached")


# A line of a list has its ring within itself, a tick box beside itself.
_FOCUS = """() => {
  const one = document.activeElement;
  const ring = (style) => style.outlineStyle === "solid" && parseFloat(style.outlineWidth) >= 2;
  const near = [...(one.parentElement?.children ?? [])].filter((other) => other.matches(".tick"));
  const styles = [getComputedStyle(one), getComputedStyle(one, "::after"), ...near.map((other) => getComputedStyle(other))];
  return [one.id || one.textContent.trim(), styles.some(ring)];
}"""


def test_two_windows_on_one_draft_lose_nothing_of_either(house: House, opens: Opens) -> None:
    page = new_message(house, opens(script=False), KIT)
    write(page, to="rae.reed@riverside.example", subject="Shared draft", text="As it began.")
    page.get_by_role("button", name="Save and close").click()
    expect(page.locator(".said")).to_contain_text("Saved as a draft.")
    open_draft(page, "Shared draft")
    other = page.context.new_page()
    other.goto(page.url)
    for window, words in ((page, "By the first window."), (other, "By the second window.")):
        window.get_by_label("Message", exact=True).fill(words)
        window.get_by_role("button", name="Attach the chosen files").click()
    expect(page.locator("#saved")).to_contain_text(re.compile(r"Saved \d\d:\d\d\. You can undo"))
    expect(other.locator("#saved")).to_contain_text("changed or sent in another window")
    kept = {text_of(one).strip() for one in letters(house, KIT, SpecialUse.DRAFTS, "Shared draft")}
    assert kept == {"By the first window.", "By the second window."}


def open_draft(page: Page, subject: str) -> None:
    """As it lies in the Drafts folder: the line leads back to writing."""
    page.get_by_role("navigation", name="Mailboxes and folders").get_by_role("link", name="Drafts").first.click()
    page.locator("a.line-words", has_text=subject).first.click()
    expect(page.get_by_label("Subject")).to_have_value(subject)


def test_with_the_script_a_line_of_the_drafts_folder_leads_back_to_writing(house: House, opens: Opens) -> None:
    page = new_message(house, opens(), KIT)
    write(page, to="rae.reed@riverside.example", subject="To go on with")
    page.get_by_role("button", name="Save and close").click()
    open_draft(page, "To go on with")
    expect(page.get_by_label("To", exact=True)).to_have_value("rae.reed@riverside.example")
    page.get_by_role("button", name="Delete the draft").click()
    expect(page.locator(".said")).to_contain_text("The draft was deleted.")
    assert letters(house, KIT, SpecialUse.DRAFTS, "To go on with") == []


def test_send_pressed_twice_sends_once(house: House, opens: Opens) -> None:
    page = new_message(house, opens())
    write(page, to="rae.reed@riverside.example", subject="Only once")
    page.evaluate("() => { const send = document.getElementById('send'); send.click(); send.click(); send.click() }")
    expect(page.locator(".said")).to_contain_text("Your message leaves in")
    # And from two windows that stand on the same draft.
    page = new_message(house, opens(script=False), KIT)
    write(page, to="rae.reed@riverside.example", subject="Only once of two")
    page.get_by_role("button", name="Attach the chosen files").click()
    expect(page.locator("#saved")).to_contain_text("Saved")
    page.get_by_role("button", name="Save and close").click()
    open_draft(page, "Only once of two")
    other = page.context.new_page()
    other.goto(page.url)
    press_send(page)
    expect(page.locator(".said")).to_contain_text("Your message leaves in")
    press_send(other)
    expect(other.get_by_role("alert")).to_contain_text("Look into Sent first")
    let_go(house)
    for subject in ("Only once", "Only once of two"):
        assert len(letters(house, RAE, SpecialUse.INBOX, subject)) == 1


def test_an_answer_to_all_goes_to_all_but_oneself(house: House, opens: Opens) -> None:
    page = new_message(house, opens(), RAE)
    write(page, to="wren.ward@riverside.example, kit.moss@riverside.example", subject="Who is in on Friday?")
    press_send(page)
    expect(page.locator(".said")).to_contain_text("Your message leaves in")
    let_go(house)
    page = opens()
    sign_in(house, page, WREN)
    page.locator("a.line-words", has_text="Who is in on Friday?").click()
    page.locator(".letter-subject").wait_for()
    page.get_by_role("link", name="Reply to all").click()
    expect(page.get_by_role("heading", name="Answer")).to_be_visible()
    assert page.get_by_label("To", exact=True).input_value().count("@") == 1
    assert "kit.moss@riverside.example" in page.locator("#cc").input_value()
    assert "wren.ward" not in page.get_by_label("To", exact=True).input_value() + page.locator("#cc").input_value()
    expect(page.get_by_label("Message", exact=True)).to_have_value(re.compile("> We meet at nine."))
    press_send(page)
    expect(page.locator(".said")).to_contain_text("Your message leaves in")
    let_go(house)
    for name in (RAE, KIT):
        [got] = letters(house, name, SpecialUse.INBOX, "Re: Who is in on Friday?")
        assert got["In-Reply-To"]
    expect(page.locator(".line", has_text="Who is in on Friday?").first).to_be_visible()


def test_forty_five_patients_in_to_are_never_sent_as_one(house: House, opens: Opens) -> None:
    page = new_message(house, opens(script=False))
    many = [f"patient{number}@gmail.example" for number in range(45)]
    write(page, to=", ".join(many), subject="Flu clinic")
    before = len(house.world.queue.dispatches)
    press_send(page)
    question = page.get_by_role("group", name="Patients must not see each other")
    expect(question).to_be_visible()
    expect(page.locator("#how li")).to_have_count(1)  # all go the same way: one line, and the questions are in sight
    expect(page.locator("#how li")).to_contain_text("and 40 more")
    photograph(page, "check-many-1440")
    let_go(house)
    assert len(house.world.queue.dispatches) == before
    question.get_by_label("Send each of them a message of their own").check()
    press_send(page)
    expect(page.locator(".said")).to_contain_text("Your message leaves in 30 seconds.")
    let_go(house)
    went = house.world.queue.dispatches[before:]
    assert sorted(str(to.address) for one in went for to in one.recipients) == sorted(many)
    for one in went:
        raw = message_from_bytes(house.do(house.world.sent_bytes(one)), policy=policy.default)
        assert raw["To"].count("@") == 1, "nobody sees anybody else"


def test_the_signature_follows_the_sender_in_laid_out_text_and_a_template_stands_above_it(
    house: House, opens: Opens
) -> None:
    organisation = house.person(RAE).mailbox.organisation
    liv = house.do(house.world.web_person(organisation, "Liv Lane"))
    box = house.do(house.world.shared(organisation, "Travel clinic", liv, house.person(RAE)))
    page = new_message(house, opens(), "Liv Lane")
    for mailbox, signature in ((liv.mailbox.id, "{name}\n{address}"), (box.id, "The {name} at {practice}")):
        page.goto(f"/wording/{mailbox}")
        page.get_by_label("Signature", exact=True).fill(signature)
        page.get_by_role("button", name="Keep the signature").click()
        expect(page.locator(".said")).to_contain_text("The signature is kept.")
    page.get_by_role("link", name="Write a new template").click()
    page.get_by_label("Name").fill("Jabs")
    page.get_by_label("Words").fill("Bring your vaccination card.")
    page.get_by_role("button", name="Keep the template").click()
    page.goto(f"/write/{liv.mailbox.id}")
    message = page.get_by_role("textbox", name="Message")
    expect(message).to_have_value("\n\n-- \nLiv Lane\nliv.lane@riverside.example\n")
    page.get_by_role("button", name="Lay out the text").click()
    expect(message.locator("div")).to_have_count(6)  # a block for each line: laying out loses no end of a line
    page.keyboard.type("Dear Rae,")
    page.get_by_text("Send from another mailbox").click()
    page.get_by_label("Mailbox", exact=True).select_option(str(box.id))
    page.get_by_role("button", name="Send it from there").click()
    expect(page.locator(".from")).to_contain_text("Travel clinic")
    expect(message).to_contain_text("Dear Rae,")
    expect(message).to_contain_text("The Travel clinic at")
    expect(message).not_to_contain_text("Liv Lane")
    page.get_by_text("Put in a template").click()
    page.get_by_label("Template", exact=True).select_option(label="Jabs")
    page.get_by_role("button", name="Put it in").click()
    expect(message).to_contain_text(re.compile("Dear Rae,.*Bring your vaccination card.*The Travel clinic", re.DOTALL))
    page.get_by_label("To", exact=True).fill("rae.reed@riverside.example")
    page.get_by_label("Subject").fill("Travel")
    press_send(page)
    expect(page.locator(".said")).to_contain_text("Your message leaves in")
    let_go(house)
    [got] = letters(house, RAE, SpecialUse.INBOX, "Travel")
    for words in (text_of(got), text_of(got, "html")):
        assert words.index("Dear Rae") < words.index("vaccination") < words.index("The Travel clinic")


@pytest.mark.parametrize(("width", "name"), [(390, "Write"), (900, "New message")])
def test_writing_begins_from_the_list_at_every_width(house: House, opens: Opens, width: int, name: str) -> None:
    page = opens(width=width)
    sign_in(house, page, KIT)
    assert_accessible(page)
    page.get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", name="New message")).to_be_visible()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_pages_of_writing_and_of_what_was_sent(house: House, opens: Opens, width: int) -> None:
    page = opens(width=width)
    new_message(house, page)
    assert_accessible(page)
    photograph(page, f"compose-{width}")
    write(page, to="wren at riverside", subject="A mistake")
    press_send(page)
    expect(page.locator("#to-wrong")).to_contain_text("This is not an email address")
    expect(page.locator("#summary")).to_be_focused()
    assert_accessible(page)
    subject = f"About your visit, at {width}"
    to = f"rae.reed@riverside.example, ward@lakeside.example, somebody.else{width}@gmail.example"
    write(page, to=to, subject=subject, text=f"NHS number {NHS}.")
    page.get_by_role("button", name="Lay out the text").click()
    assert_accessible(page)
    press_send(page)
    expect(page.get_by_role("alert")).to_contain_text("Check before you send")
    assert_accessible(page)
    photograph(page, f"check-before-send-{width}")
    for one in page.get_by_label("Send it as it is", exact=True).all():
        one.check()
    press_send(page)
    expect(page.locator(".said")).to_contain_text("Your message leaves in 30 seconds.")
    assert_accessible(page)
    wording = f"/wording/{house.person(WREN).mailbox.id}"
    for path in ("/settings/writing", wording, f"{wording}/template"):
        page.goto(path)
        assert_accessible(page)
    page.get_by_role("button", name="Keep the template").click()
    expect(page.get_by_role("alert")).to_contain_text("Give the template a name")
    assert_accessible(page)
    page.goto(f"/sent/{house.person(WREN).mailbox.id}")
    assert_accessible(page)
    photograph(page, f"outgoing-list-{width}")
    let_go(house)
    page.get_by_role("link", name=subject).click()
    assert_accessible(page)
    photograph(page, f"outgoing-{width}")
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="Take it back").click()
    expect(page.get_by_role("heading", name="What was taken back")).to_be_visible()
    assert_accessible(page)
    photograph(page, f"taken-back-{width}")
