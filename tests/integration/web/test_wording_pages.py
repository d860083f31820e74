"""Signatures, templates and the send delay as a person without scripts has them: set, put in, changed with the sender."""

from tests.fakes.asgi_browser import AsgiBrowser, Page
from tests.fakes.web_world import WebPerson, WebWorld

from carepost.audit.events import EventName
from carepost.directory.model import MailboxRecord, Role
from carepost.directory.repo_correspondents import DirectoryEntry
from carepost.message.parse import parse
from carepost.store.model import SpecialUse

SAM = "sam@riverside.example"


def fields(page: Page, **typed: str) -> dict[str, str]:
    """The form as it stands, with what is typed into it."""
    form = page.tree.css_first("main form[method=post]")
    found = {str(n.attributes.get("name")): n.attributes.get("value") or "" for n in form.css("input[type=hidden]")}
    found |= {str(area.attributes["name"]): area.text() for area in form.css("textarea")}
    for given in form.css("input.input"):
        found[str(given.attributes["name"])] = given.attributes.get("value") or ""
    return found | typed


async def start(world: WebWorld) -> tuple[WebPerson, MailboxRecord, AsgiBrowser]:
    organisation = await world.organisation("A81001")
    ada = await world.web_person(organisation, "Ada Okafor", Role.LOCAL_ADMINISTRATOR)
    second = await world.web_person(organisation, "Sam Mbeki")
    box = await world.shared(organisation, "Results", ada, second)
    return ada, box, world.browser(await world.session_of(ada))


async def recorded(world: WebWorld, person: WebPerson) -> set[str]:
    async with world.db.transaction(person.mailbox.organisation) as tx:
        return {row["event"] for row in await tx.all("SELECT event FROM audit_event")}


async def keep(browser: AsgiBrowser, at: str, text: str, **more: str) -> Page:
    page = await browser.get(at)
    return await browser.post(at, fields(page, text=text, do="signature", **more))


async def compose(browser: AsgiBrowser, mailbox: object, deed: str, page: Page | None = None, **typed: str) -> Page:
    at = f"/write/{mailbox}"
    page = page or await browser.get(at)
    return await browser.post_files(at, fields(page, **typed, do=deed))


async def test_the_organisations_signature_with_own_lines_stands_under_a_new_message_once(world: WebWorld) -> None:
    ada, _, browser = await start(world)
    mine = f"/wording/{ada.mailbox.id}"
    assert (
        await keep(browser, "/admin/wording", "{name}\n{own}\n{practice}, 0300 555 0100", allows_own="yes")
    ).status == 303
    assert (await keep(browser, mine, "Not at work on Fridays")).status == 303
    assert "Not at work on Fridays" in (await browser.get(mine)).words("figure")
    block = "-- \nAda Okafor\nNot at work on Fridays\nPractice A81001, 0300 555 0100"
    new = await browser.get(f"/write/{ada.mailbox.id}")
    practice = new.words(".organisation")
    block = block.replace("Practice A81001", practice)
    assert new.tree.css_first("#text").text().strip("\n") == block
    saved = await compose(browser, ada.mailbox.id, "save", new, to=SAM)
    assert saved.tree.css_first("#text").text().count("-- \n") == 1
    uid = fields(saved)["draft"]
    again = await browser.get(f"/write/{ada.mailbox.id}?draft={uid}")
    assert again.tree.css_first("#text").text().count("-- \n") == 1, "opened again it is not doubled"
    letter = await world.letter(
        ada.mailbox, b"From: Sam <sam@riverside.example>\r\nSubject: Rota\r\n\r\nFree?\r\n-- \r\nSam M\r\n"
    )
    answer = await browser.get(f"/write/{ada.mailbox.id}?reply={await world.inbox(ada.mailbox)}-{letter}")
    words = answer.tree.css_first("#text").text()
    assert words.index("-- \nAda") < words.index("> Free?")
    assert "Sam M" not in words
    assert EventName.WORDING_CHANGED in await recorded(world, ada)
    # The organisation thinks again.
    await keep(browser, "/admin/wording", "{name}\n{own}\n{practice}")
    assert "Fridays" not in (await browser.get(f"/write/{ada.mailbox.id}")).words("#text")
    assert "lines of your own are not used" in (await browser.get(mine)).text


async def test_another_sender_takes_the_message_with_it_and_brings_its_own_signature(world: WebWorld) -> None:
    ada, box, browser = await start(world)
    await keep(browser, f"/wording/{ada.mailbox.id}", "{name}")
    await keep(browser, f"/wording/{box.id}", "{name} team, {address}")
    begun = await browser.get(f"/write/{ada.mailbox.id}")
    text = "Please ring." + fields(begun)["text"]
    moved = await compose(browser, ada.mailbox.id, "from", begun, to=SAM, text=text, **{"from": str(box.id)})
    assert moved.location.startswith(f"/write/{box.id}?draft=")
    page = await browser.follow(moved)
    assert page.tree.css_first("#text").text().strip() == f"Please ring.\n\n-- \nResults team, {box.address}"
    assert await world.bodies(ada.mailbox, SpecialUse.DRAFTS) == [], "no copy stays behind"
    sent = await compose(browser, box.id, "send", page)
    assert sent.status == 303
    assert str(parse(world.desk.submitted[0].raw).decoded("From")).startswith("Results")
    foreign = await world.web_person(await world.organisation("A81002"), "Fay Foreigner")
    told = await compose(browser, ada.mailbox.id, "from", to=SAM, **{"from": str(foreign.mailbox.id)})
    assert "Choose the mailbox" in told.words("#summary")


async def test_a_template_is_written_put_into_a_message_changed_and_removed(world: WebWorld) -> None:
    ada, box, browser = await start(world)
    at = f"/wording/{box.id}"
    page = await browser.get(f"{at}/template")
    wrong = await browser.post(f"{at}/template", fields(page, name="Closed", text="Dear {patient}"))
    assert "Nobody knows what to put for {patient}" in wrong.words(".summary")
    kept = await browser.post(f"{at}/template", fields(wrong, text="We are closed.\n\n{practice}, {today}"))
    assert kept.location.startswith(at)
    begun = await browser.get(f"/write/{box.id}")
    [choice] = [one for one in begun.tree.css("#template option") if one.text() == "Closed"]
    number = str(choice.attributes["value"])
    put = await compose(browser, box.id, "template", begun, text="Dear Sam,", template=number)
    day = f"{world.clock.now().day} {world.clock.now():%B %Y}"
    assert (
        put.tree.css_first("#text").text().strip()
        == f"Dear Sam,\n\nWe are closed.\n\n{put.words('.organisation')}, {day}"
    )
    listed = await browser.get(at)
    assert "We are closed." in listed.words("table")
    changed = await browser.get(f"{at}/template?id={number}")
    await browser.post(f"{at}/template", fields(changed, text="We are open."))
    assert "We are open." in (await browser.get(at)).words("table")
    await browser.post(at, fields(listed, do=f"remove-{number}"))
    assert "There are none yet" in (await browser.get(at)).text
    gone = await compose(browser, box.id, "template", begun, template=number)
    assert "somebody has removed it" in gone.words("#summary")
    assert EventName.WORDING_REMOVED in await recorded(world, ada)


async def test_words_of_another_mailbox_cannot_be_read_or_changed_by_their_number(world: WebWorld) -> None:
    _, box, browser = await start(world)
    await browser.post(
        f"/wording/{box.id}/template", fields(await browser.get(f"/wording/{box.id}/template"), name="A", text="B")
    )
    [choice] = [
        one for one in (await browser.get(f"/write/{box.id}")).tree.css("#template option") if one.text() == "A"
    ]
    number = choice.attributes["value"]
    fay = await world.web_person(await world.organisation("A81002"), "Fay Foreigner")
    col = await world.web_person(fay.mailbox.organisation, "Col Colleague")
    here = await world.web_person(box.organisation, "Hal Here")
    for person in (fay, col, here):
        theirs = world.browser(await world.session_of(person))
        at = f"/wording/{person.mailbox.id}"
        assert (await theirs.get(f"{at}/template?id={number}")).status in {403, 404}
        page = await theirs.get(f"{at}/template")
        answer = await theirs.post(f"{at}/template", fields(page, id=str(number), name="Mine", text="Mine"))
        assert answer.status == 400
        await theirs.post(at, fields(await theirs.get(at), do=f"remove-{number}"))
    assert "A" in (await browser.get(f"/wording/{box.id}")).words("table")


async def test_a_chosen_send_delay_goes_with_every_message_up_to_the_longest(world: WebWorld) -> None:
    ada, _, browser = await start(world)
    at = "/settings/writing"
    assert (await browser.post(at, fields(await browser.get(at), undo="120"))).status == 303
    assert (await browser.get(at)).tree.css_first("option[selected]").attributes["value"] == "120"
    await compose(browser, ada.mailbox.id, "send", to=SAM, subject="A", text="b")
    assert world.desk.submitted[0].undo_seconds == 120
    assert (await browser.post(at, fields(await browser.get(at), undo="601"))).status == 400
    assert (await browser.post(at, fields(await browser.get(at), undo=""))).status == 303
    await compose(browser, ada.mailbox.id, "send", to=SAM, subject="B", text="b")
    assert world.desk.submitted[1].undo_seconds is None, "as the service has it, again"
    assert EventName.UNDO_CHOSEN in await recorded(world, ada)


async def test_whoever_does_not_read_at_once_is_said_while_one_writes_to_them(world: WebWorld) -> None:
    ada, box, browser = await start(world)
    world.desk.listed[str(box.address)] = DirectoryEntry(
        address=box.address, organisation=box.organisation, organisation_name="Here", mailbox=box.id, kind=box.kind,
        name="Results", job="", state="open", not_for_urgent=True,
    )  # fmt: skip
    page = await compose(browser, ada.mailbox.id, "save", to=f"{SAM}, {box.address}")
    assert page.words("#not-urgent") == "Not for urgent clinical advice: Results. Telephone if it cannot wait."
    page = await compose(browser, ada.mailbox.id, "save", to=SAM)
    assert "hidden" in page.tree.css_first("#not-urgent").attributes
