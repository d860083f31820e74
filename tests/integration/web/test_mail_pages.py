"""Lists, letters, actions, folders, search and quarantine, as a browser without scripts uses them."""

import re

import pytest
from tests.fakes.asgi_browser import AsgiBrowser, Page
from tests.fakes.gateway import connection
from tests.fakes.web_world import WebPerson, WebWorld

from carepost.directory.model import Role
from carepost.store.model import Flag, SpecialUse


def letter(subject: str = "Blood results", body: str = "Potassium 5.4 mmol/L", sender: str = "Sam Mbeki") -> bytes:
    return (
        f"From: {sender} <sam@trust.example>\r\nTo: Ada <ada.okafor@riverside.example>\r\nSubject: {subject}\r\n"
        f"Date: Sun, 22 Nov 2026 09:00:00 +0000\r\nMessage-ID: <{abs(hash((subject, body)))}@trust.example>\r\n"
        f"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n"
    ).encode()


HTML = (
    b"From: Clinic <clinic@trust.example>\r\nTo: ada.okafor@riverside.example\r\nSubject: Laid out\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="m"\r\n\r\n--m\r\nContent-Type: multipart/alternative; boundary="a"\r\n\r\n'
    b"--a\r\nContent-Type: text/plain\r\n\r\nplain words\r\n--a\r\nContent-Type: text/html\r\n\r\n"
    b"<h1>Laid</h1><script>alert(1)</script><img src=https://evil.example/p.gif><img src=cid:logo@x alt=Logo>\r\n--a--\r\n"
    b"--m\r\nContent-Type: image/png\r\nContent-ID: <logo@x>\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n"
    b'--m\r\nContent-Type: application/pdf; name="Letter.pdf"\r\nContent-Disposition: attachment; filename="Letter.pdf"\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjQK\r\n"
    b'--m\r\nContent-Type: text/html; name="page.html"\r\nContent-Disposition: attachment; filename="page.html"\r\n\r\n'
    b"<script>alert(2)</script>\r\n--m--\r\n"
)


@pytest.fixture
async def ada(world: WebWorld) -> WebPerson:
    return await world.web_person(await world.organisation("A81001"), "Ada Okafor")


@pytest.fixture
async def browser(world: WebWorld, ada: WebPerson) -> AsgiBrowser:
    return world.browser(await world.session_of(ada))


async def inbox_page(world: WebWorld, browser: AsgiBrowser, ada: WebPerson, query: str = "") -> Page:
    return await browser.get(f"/mail/{ada.mailbox.id}/{await world.inbox(ada.mailbox)}{query}")


def subjects(page: Page) -> list[str]:
    return [node.text() for node in page.tree.css(".line-subject")]


async def press(browser: AsgiBrowser, page: Page, deed: str, *uids: int, **more: str) -> Page:
    act = str(page.tree.css_first("#lines").attributes["action"])
    pairs = [("csrf", page.proof()), ("do", deed), *(("uid", str(uid)) for uid in uids), *more.items()]
    return await browser.follow(await browser.post(act, pairs))


async def test_a_list_shows_who_what_and_when(world: WebWorld, browser: AsgiBrowser, ada: WebPerson) -> None:
    await world.letter(ada.mailbox, letter())
    page = await inbox_page(world, browser, ada)
    assert "Sam Mbeki" in page.words(".line-sender")
    assert subjects(page) == ["Blood results"]
    assert page.words(".line-preview") == "Potassium 5.4 mmol/L"
    assert page.words(".day") == "Today"
    assert "unread" in str(page.tree.css_first(".line").attributes["class"])


async def test_opening_a_letter_marks_it_read_and_shows_it_beside_the_list(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    uid = await world.letter(ada.mailbox, letter())
    page = await inbox_page(world, browser, ada)
    opened = await browser.get(str(page.tree.css_first(".line-words").attributes["href"]))
    assert opened.words(".letter-subject") == "Blood results"
    assert "Sam Mbeki <sam@trust.example>" in opened.words(".sender")
    assert opened.words(".body-text") == "Potassium 5.4 mmol/L"
    assert "unread" not in str(opened.tree.css_first(".line").attributes["class"])
    rows = await world.messages.rows(ada.mailbox, await world.inbox(ada.mailbox), [uid])
    assert rows[0].flags & Flag.SEEN


async def test_the_script_gets_the_letter_alone(world: WebWorld, browser: AsgiBrowser, ada: WebPerson) -> None:
    uid = await world.letter(ada.mailbox, letter())
    at = f"/mail/{ada.mailbox.id}/{await world.inbox(ada.mailbox)}/{uid}"
    fragment = await browser.get(at, {"x-carepost-part": "letter"})
    assert fragment.text.lstrip().startswith('<div class="tools"')
    assert "<html" not in fragment.text


async def test_pages_of_a_long_list_hold_fifty_each_and_miss_nobody(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    for number in range(120):
        await world.letter(ada.mailbox, letter(f"Letter {number:03}"))
    seen: list[str] = []
    page = await inbox_page(world, browser, ada)
    while True:
        seen += subjects(page)
        older = page.tree.css_first("a[rel=next]")
        if older is None:
            break
        page = await browser.get(str(older.attributes["href"]))
    assert seen == [f"Letter {number:03}" for number in reversed(range(120))]
    assert page.tree.css_first(".pages a") is not None


async def test_unread_and_flagged_can_be_listed_alone(world: WebWorld, browser: AsgiBrowser, ada: WebPerson) -> None:
    await world.letter(ada.mailbox, letter("Read"), flags=int(Flag.SEEN))
    await world.letter(ada.mailbox, letter("New"))
    await world.letter(ada.mailbox, letter("Flag"), flags=int(Flag.SEEN | Flag.FLAGGED))
    assert subjects(await inbox_page(world, browser, ada, "?show=unread")) == ["New"]
    assert subjects(await inbox_page(world, browser, ada, "?show=flagged")) == ["Flag"]
    assert len(subjects(await inbox_page(world, browser, ada, "?show=nonsense"))) == 3


async def test_chosen_letters_go_to_the_bin_and_come_back_with_undo(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    uids = [await world.letter(ada.mailbox, letter(f"Letter {n}")) for n in range(3)]
    page = await press(browser, await inbox_page(world, browser, ada), "bin", *uids[:2])
    assert "2 messages moved to the bin." in page.words(".said")
    assert subjects(await inbox_page(world, browser, ada)) == ["Letter 2"]
    undone = await browser.follow(await browser.post("/mail/undo", page.fields(".said form")))
    assert "2 messages moved back." in undone.words(".said")
    assert sorted(subjects(await inbox_page(world, browser, ada))) == ["Letter 0", "Letter 1", "Letter 2"]


@pytest.mark.parametrize(
    ("deed", "use"), [("archive", SpecialUse.ARCHIVE), ("junk", SpecialUse.JUNK), ("bin", SpecialUse.TRASH)]
)
async def test_each_button_moves_to_its_folder(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson, deed: str, use: SpecialUse
) -> None:
    uid = await world.letter(ada.mailbox, letter())
    await press(browser, await inbox_page(world, browser, ada), deed, uid)
    target = await world.folder(ada.mailbox, use)
    assert len(await world.messages.outlines(ada.mailbox, target)) == 1
    assert subjects(await browser.get(f"/mail/{ada.mailbox.id}/{target}")) == ["Blood results"]


async def test_flags_are_set_and_taken_off(world: WebWorld, browser: AsgiBrowser, ada: WebPerson) -> None:
    uid, folder = await world.letter(ada.mailbox, letter()), await world.inbox(ada.mailbox)
    for deed, expected in (
        ("flag", Flag.FLAGGED),
        ("read", Flag.FLAGGED | Flag.SEEN),
        ("unflag", Flag.SEEN),
        ("unread", 0),
    ):
        await press(browser, await inbox_page(world, browser, ada), deed, uid)
        assert (await world.messages.rows(ada.mailbox, folder, [uid]))[0].flags == expected


async def test_only_the_bin_deletes_for_good(world: WebWorld, browser: AsgiBrowser, ada: WebPerson) -> None:
    uid = await world.letter(ada.mailbox, letter())
    refused = await press(browser, await inbox_page(world, browser, ada), "delete", uid)
    assert refused.status == 404
    await press(browser, await inbox_page(world, browser, ada), "bin", uid)
    bin_folder = await world.folder(ada.mailbox, SpecialUse.TRASH)
    page = await browser.get(f"/mail/{ada.mailbox.id}/{bin_folder}")
    gone = await press(browser, page, "delete", 1)
    assert "1 message deleted for good." in gone.words(".said")
    assert await world.messages.outlines(ada.mailbox, bin_folder) == []


async def test_moving_by_the_menu_that_works_everywhere(world: WebWorld, browser: AsgiBrowser, ada: WebPerson) -> None:
    uid, folder = await world.letter(ada.mailbox, letter()), await world.inbox(ada.mailbox)
    target = await world.folders.create(ada.mailbox, "Cardiology")
    page = await browser.get(f"/mail/{ada.mailbox.id}/{folder}/{uid}/move")
    assert "Cardiology" in page.words("fieldset")
    form = page.tree.css_first("main form")
    moved = await browser.post(
        str(form.attributes["action"]), {**page.fields("main form"), "to": str(target), "do": "move"}
    )
    assert "1 message moved to Cardiology." in (await browser.follow(moved)).words(".said")


async def test_folders_are_made_renamed_and_deleted(world: WebWorld, browser: AsgiBrowser, ada: WebPerson) -> None:
    at = f"/folders/{ada.mailbox.id}"
    page = await browser.get(at)
    page = await browser.follow(await browser.post(at, {"csrf": page.proof(), "name": "Letters"}))
    assert "Folder Letters made." in page.words(".said")
    again = await browser.post(at, {"csrf": page.proof(), "name": "Letters"})
    assert "There is a folder of that name already." in again.words("#summary")
    made = await world.folders.named(ada.mailbox, "Letters")
    assert made is not None
    await browser.post(f"{at}/{made.id}", {"csrf": page.proof(), "do": "rename", f"rename-{made.id}": "Post"})
    assert await world.folders.named(ada.mailbox, "Post") is not None
    await browser.post(f"{at}/{made.id}", {"csrf": page.proof(), "do": "delete"})
    assert await world.folders.named(ada.mailbox, "Post") is None


async def test_search_finds_words_and_understands_its_signs(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    await world.letter(ada.mailbox, letter("Apixaban query", "Which dose is right?"))
    await world.letter(ada.mailbox, letter("Fridge log", "All in range", sender="Tomasz Nowak"), flags=int(Flag.SEEN))
    await world.letter(ada.mailbox, HTML)
    at = f"/search/{ada.mailbox.id}?q="
    assert subjects(await browser.get(at + "apixa")) == ["Apixaban query"]
    assert subjects(await browser.get(at + "from:tomasz")) == ["Fridge log"]
    assert subjects(await browser.get(at + "has:attachment")) == ["Laid out"]
    assert sorted(subjects(await browser.get(at + "is:unread"))) == ["Apixaban query", "Laid out"]
    assert subjects(await browser.get(at + "nothing+like+this")) == []
    assert "no folder called" in (await browser.get(at + "in:nowhere")).words(".note")


async def test_a_letter_laid_out_by_its_sender_is_shown_on_the_other_origin_only(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    uid = await world.letter(ada.mailbox, HTML)
    at = f"/mail/{ada.mailbox.id}/{await world.inbox(ada.mailbox)}/{uid}"
    plain = await browser.get(at)
    assert plain.words(".body-text") == "plain words"
    laid = await browser.get(f"{at}?as=html")
    frame = laid.tree.css_first("iframe").attributes
    assert frame["sandbox"] == "allow-popups allow-popups-to-escape-sandbox"
    assert str(frame["src"]).startswith(world.content_origin + "/c/")
    assert "evil.example" not in laid.text

    shown = await world.content_browser().get(str(frame["src"]).removeprefix(world.content_origin))
    assert shown.status == 200
    assert "<h1>Laid</h1>" in shown.text
    assert "<script" not in shown.text
    assert "evil.example" not in shown.text
    assert "are not shown" in laid.words(".note")
    policy = shown.header("content-security-policy")
    assert policy.startswith("sandbox allow-popups")
    assert f"frame-ancestors {world.pages_origin}" in policy
    assert "script" not in policy.replace("default-src 'none'", "")
    picture = await world.content_browser().get(str(shown.tree.css_first("img[src]").attributes["src"]))
    assert picture.header("content-type") == "image/png"


async def test_a_link_to_content_runs_out_and_cannot_be_made_up(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    from datetime import timedelta

    uid = await world.letter(ada.mailbox, HTML)
    at = f"/mail/{ada.mailbox.id}/{await world.inbox(ada.mailbox)}/{uid}"
    source = str((await browser.get(f"{at}?as=html")).tree.css_first("iframe").attributes["src"])
    path = source.removeprefix(world.content_origin)
    changed = path[:-2] + ("AA" if not path.endswith("AA") else "BB")
    assert (await world.content_browser().get(changed)).status == 404
    world.clock.advance(timedelta(minutes=11))
    late = await world.content_browser().get(path)
    assert late.status == 404
    assert "run out" in late.words()


async def test_who_loses_a_mailbox_loses_the_links_to_its_content_at_once(world: WebWorld, ada: WebPerson) -> None:
    from tests.fakes.gateway_world import OPERATOR

    organisation = ada.mailbox.organisation
    bea = await world.web_person(organisation, "Bea Brown")
    cal = await world.web_person(organisation, "Cal Carter")
    box = await world.shared(organisation, "Results", ada, bea, members=[cal])
    uid = await world.letter(box, HTML)
    browser = world.browser(await world.session_of(cal))
    page = await browser.get(f"/mail/{box.id}/{await world.inbox(box)}/{uid}?as=html")
    path = str(page.tree.css_first("iframe").attributes["src"]).removeprefix(world.content_origin)
    assert (await world.content_browser().get(path)).status == 200
    await world.mailboxes.remove_member(OPERATOR, organisation, box.id, cal.actor.person)
    assert (await world.content_browser().get(path)).status == 404
    assert (await browser.get(f"/mail/{box.id}")).status == 404


async def test_a_link_to_content_ends_with_the_session_it_was_opened_in(world: WebWorld, ada: WebPerson) -> None:
    """R194: on a shared computer the browser's history still has it."""
    uid = await world.letter(ada.mailbox, HTML)
    token = await world.session_of(ada)
    page = await world.browser(token).get(f"/mail/{ada.mailbox.id}/{await world.inbox(ada.mailbox)}/{uid}?as=html")
    path = str(page.tree.css_first("iframe").attributes["src"]).removeprefix(world.content_origin)
    assert (await world.content_browser().get(path)).status == 200
    await world.sessions.end(token)
    after = await world.content_browser().get(path)
    assert after.status == 404
    assert "signed out" in after.words()


async def test_an_attachment_is_looked_at_or_saved_and_never_run(world: WebWorld, ada: WebPerson) -> None:
    uid = await world.letter(ada.mailbox, HTML)
    at = f"/mail/{ada.mailbox.id}/{await world.inbox(ada.mailbox)}/{uid}"
    browser = world.browser(await world.session_of(ada))
    page = await browser.get(at)
    assert [node.text() for node in page.tree.css(".attachment-name")] == ["Letter.pdf", "page.html"]
    saved: dict[str, Page] = {}
    for link in page.tree.css(".attachment-doors a"):
        href = str(link.attributes["href"])
        leads = await browser.get(href)
        assert leads.location.startswith(world.content_origin + "/c/")
        saved[href] = await world.content_browser().get(leads.location.removeprefix(world.content_origin))
    page_html = next(answer for answer in saved.values() if "page.html" in answer.header("content-disposition"))
    assert page_html.header("content-type") == "application/octet-stream"
    assert page_html.header("content-disposition").startswith('attachment; filename="page.html"')
    assert page_html.header("x-content-type-options") == "nosniff"
    assert all(answer.header("content-security-policy").startswith("sandbox") for answer in saved.values())
    assert not any("html" in answer.header("content-type") for answer in saved.values())
    viewed = next(answer for href, answer in saved.items() if href.endswith("do=view"))
    assert viewed.header("content-type") == "application/pdf"


async def test_on_a_shared_computer_attachments_are_looked_at_and_not_saved(world: WebWorld, ada: WebPerson) -> None:
    uid = await world.letter(ada.mailbox, HTML)
    browser = world.browser(await world.session_of(ada, shared_computer=True))
    at = f"/mail/{ada.mailbox.id}/{await world.inbox(ada.mailbox)}/{uid}"
    page = await browser.get(at)
    hrefs = [str(link.attributes["href"]) for link in page.tree.css(".attachment-doors a")]
    assert hrefs
    assert all(href.endswith("do=view") for href in hrefs)
    assert (await browser.get(hrefs[0].replace("view", "save"))).status == 404


async def test_a_message_from_outside_carries_its_warning_and_says_why(world: WebWorld, ada: WebPerson) -> None:
    raw = letter("Your appointment").replace(b"sam@trust.example>\r\nTo", b"pat@webmail.example>\r\nTo")
    await world.receive(raw, ada.mailbox, from_=connection(client="192.0.2.50"))
    browser = world.browser(await world.session_of(ada))
    page = await inbox_page(world, browser, ada)
    assert page.words(".pill") == "Outside"
    opened = await browser.get(str(page.tree.css_first(".line-words").attributes["href"]))
    assert "From outside." in opened.words(".trust")
    why = await browser.get(str(opened.tree.css_first(".trust a").attributes["href"]))
    assert "was delivered with a warning" in why.words("main")
    assert re.search(r"Trace [0-9A-Z]{20}", why.words(".facts"))


async def test_a_message_from_a_secure_domain_is_said_to_be_received_securely(world: WebWorld, ada: WebPerson) -> None:
    await world.receive(letter(), ada.mailbox, sender="sam@trust.example", from_=connection(client="192.0.2.10"))
    browser = world.browser(await world.session_of(ada))
    page = await inbox_page(world, browser, ada)
    opened = await browser.get(str(page.tree.css_first(".line-words").attributes["href"]))
    assert "trust.example proved that it sent" in opened.words(".trust")


async def test_a_reviewer_releases_a_held_message_with_a_reason(world: WebWorld) -> None:
    organisation = await world.organisation("A81009")
    ada = await world.web_person(organisation, "Ada Second")
    admin = await world.web_person(organisation, "Zoe Admin", Role.LOCAL_ADMINISTRATOR)
    spoof = letter("Invoice").replace(b"sam@trust.example", b"alerts@bank.example")
    await world.receive(spoof, ada.mailbox, from_=connection(client="192.0.2.66"))
    browser = world.browser(await world.session_of(admin))
    page = await browser.get("/quarantine")
    assert "alerts@bank.example" in page.words("table")
    held = str(page.tree.css_first("tbody a").attributes["href"])
    one = await browser.get(held)
    assert "Potassium" not in one.text  # R41: no body
    unsaid = await browser.post(held, {"csrf": one.proof(), "do": "release", "reason": ""})
    assert "Say why" in unsaid.words("#summary")
    done = await browser.post(held, {"csrf": one.proof(), "do": "release", "reason": "It was our own test."})
    assert "Released to 1 mailbox." in (await browser.follow(done)).words(".said")
    reader = world.browser(await world.session_of(ada))
    inbox = await reader.get(f"/mail/{ada.mailbox.id}/{await world.inbox(ada.mailbox)}")
    assert subjects(inbox) == ["Invoice"]


async def test_counts_cost_nothing_when_there_is_no_news(world: WebWorld, browser: AsgiBrowser, ada: WebPerson) -> None:
    at = f"/counts/{ada.mailbox.id}"
    first = await browser.get(at)
    assert first.status == 200
    same = await browser.get(at, {"if-none-match": first.header("etag")})
    assert (same.status, same.body) == (304, b"")
    await world.letter(ada.mailbox, letter())
    news = await browser.get(at, {"if-none-match": first.header("etag")})
    assert news.status == 200
    assert 1 in __import__("json").loads(news.text)["unread"].values()


async def test_an_app_password_is_shown_once_and_revoked(world: WebWorld, browser: AsgiBrowser, ada: WebPerson) -> None:
    from tests.fakes.gateway_world import OPERATOR

    refused = await browser.get("/settings")
    refused = await browser.post("/settings/app-passwords", {"csrf": refused.proof(), "device": "My phone"})
    assert "have not been allowed" in refused.words("#summary")
    await world.people.allow_mail_clients(OPERATOR, ada.mailbox.organisation, ada.actor.person, allowed=True)
    granted = await browser.post("/settings/app-passwords", {"csrf": refused.proof(), "device": "My phone"})
    secret = granted.words(".secret")
    assert len(secret) >= 16
    page = await browser.get("/settings")
    assert secret not in page.text
    assert "My phone" in page.text
    which = str(page.tree.css_first("form[action$=revoke] button").attributes["value"])
    done = await browser.post("/settings/app-passwords/revoke", {"csrf": page.proof(), "which": which})
    assert "My phone" not in (await browser.follow(done)).text


async def test_sessions_are_listed_and_ended(world: WebWorld, browser: AsgiBrowser, ada: WebPerson) -> None:
    other = await world.session_of(ada)
    page = await browser.get("/settings")
    button = page.tree.css_first("form[action='/settings/sessions'] button")
    await browser.post("/settings/sessions", {"csrf": page.proof(), "which": str(button.attributes["value"])})
    assert (await world.browser(other).get("/settings")).status == 303
    assert (await browser.get("/settings")).status == 200


async def test_shortcuts_can_be_switched_off(world: WebWorld, browser: AsgiBrowser, ada: WebPerson) -> None:
    page = await inbox_page(world, browser, ada)
    assert page.tree.css_first("body").attributes.get("data-keyboard") == "on"
    settings = await browser.get("/settings")
    await browser.post("/settings/keyboard", {"csrf": settings.proof(), "keys": "off"})
    assert "data-keyboard" not in (await inbox_page(world, browser, ada)).tree.css_first("body").attributes


async def test_who_opens_a_shared_mailbox_is_written_down_once_a_session(world: WebWorld, ada: WebPerson) -> None:
    bea = await world.web_person(ada.mailbox.organisation, "Bea Brown")
    box = await world.shared(ada.mailbox.organisation, "Results", ada, bea)
    browser = world.browser(await world.session_of(ada))
    for _ in range(3):
        assert (await browser.get(f"/mail/{box.id}/{await world.inbox(box)}")).words(".list-title") == "Results"
    async with world.db.transaction(ada.mailbox.organisation) as tx:
        rows = await tx.all("SELECT details FROM audit_event WHERE event = 'mail.shared_mailbox.opened'")
    assert len(rows) == 1
    assert '"door":"web"' in str(rows[0]["details"]).replace(" ", "")


async def test_help_names_ones_own_administrators_and_a_stranger_gets_the_service_desk(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    admin = await world.web_person(ada.mailbox.organisation, "Zoe Admin", Role.LOCAL_ADMINISTRATOR)
    page = await browser.get("/help")
    assert admin.address in page.words("main")
    stranger = await world.browser().get("/help")
    assert admin.address not in stranger.text
    assert "0300 555 0100" in stranger.words("main")
