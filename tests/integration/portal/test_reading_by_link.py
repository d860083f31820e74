"""From the notice to the text, and back: what a reader outside does and sees."""

from datetime import timedelta

from tests.fakes.portal_world import PATIENT, PortalWorld

from carepost.base.address import EmailAddress
from carepost.base.ids import OutgoingId
from carepost.message.parse import parse
from carepost.portal.model import Level, State, What


async def test_a_reader_presses_the_button_types_the_code_and_reads(world: PortalWorld) -> None:
    made = await world.send(world.letter("Your results are normal."))
    browser = world.browser()
    start = await browser.get(world.path(made))
    assert start.status == 200
    assert "Riverside" not in start.text
    assert world.queue.sent == []
    page = await world.opened(made, browser)
    assert page.status == 200
    assert "Your results are normal." in page.text
    assert "Your blood test" in page.words("h1")
    assert "Riverside Medical Practice" in page.text
    assert "content unaltered" in page.text
    assert page.header("cache-control") == "no-store"


async def test_the_letter_with_the_code_holds_no_link_and_nothing_of_the_content(world: PortalWorld) -> None:
    made = await world.send(world.letter("Chlamydia test positive"))
    await world.begun(made, world.browser())
    raw = await world.mail_to()
    assert b"http" not in raw
    assert b"Chlamydia" not in raw
    assert b"blood test" not in raw
    assert (await world.code()).encode() not in raw  # written in two halves, for people


async def test_the_sender_sees_when_it_was_opened_read_and_downloaded(world: PortalWorld) -> None:
    raw = world.letter(attachments=[("results.pdf", "application/pdf", b"%PDF-1.4 results")])
    made = await world.send(raw)
    browser = world.browser()
    page = await world.opened(made, browser)
    link = page.tree.css_first("ul.bulleted a").attributes["href"]
    got = await browser.get(str(link))
    assert got.body == b"%PDF-1.4 results"
    assert "attachment" in got.header("content-disposition")
    [record] = await world.secure.record(world.ours, OutgoingId(7))
    assert record.address == str(PATIENT)
    assert [record.first(what) is not None for what in (What.OPENED, What.READ, What.DOWNLOADED)] == [True] * 3
    assert record.happened[-1].note == "192.0.2.77"
    assert {what for _, _, what in world.follower.seen_} >= {"opened", "read", "downloaded"}
    log = await browser.get(str(link).rsplit("/file/", 1)[0] + "/log")
    assert "A file was downloaded" in log.text


async def test_an_agreed_phrase_is_asked_for_after_the_code_and_never_instead_of_it(world: PortalWorld) -> None:
    made = await world.send(world.letter("Confidential."), phrase="Copper lantern walks home, slowly")
    browser = world.browser()
    page = await world.opened(made, browser)
    assert "Confidential" not in page.text
    assert "words that were agreed" in page.text
    at = str(page.tree.css_first("form").attributes["action"])
    wrong = await browser.post(at, {"csrf": page.proof(), "phrase": "copper lantern"})
    assert wrong.status == 400
    assert "not what was agreed" in wrong.text
    right = await browser.post(at, {"csrf": page.proof(), "phrase": "copper LANTERN walks home slowly"})
    assert right.status == 303
    assert "Confidential." in (await browser.get(right.location)).text


async def test_the_strongest_level_asks_for_a_code_to_the_telephone_too(world: PortalWorld) -> None:
    made = await world.send(world.letter("Strictly."), level=Level.STRONG, telephone="+447700900123")
    browser = world.browser()
    page = await world.opened(made, browser)
    assert "Strictly." not in page.text
    assert "mobile telephone" in page.text
    number, text = world.texts.sent[0]
    assert number == "+447700900123"
    at = str(page.tree.css_first("form").attributes["action"])
    mailed = await browser.post(at, {"csrf": page.proof(), "code": await world.code()})
    assert mailed.status == 400
    page = await browser.post(at, {"csrf": page.proof(), "code": text.split()[0]})
    assert page.status == 303
    assert "Strictly." in (await browser.get(page.location)).text


async def test_an_answer_comes_in_by_the_gateway_to_the_sender_and_nobody_new(world: PortalWorld) -> None:
    _, other = await world.person(world.ours, "Ben Okri")
    raw = world.letter("Please reply.", to=[str(PATIENT), str(other.address), "stranger@else.example"])
    made = await world.send(raw)
    browser = world.browser()
    page = await world.opened(made, browser)
    at = str(page.tree.css_first("a.go").attributes["href"])
    form = await browser.get(at)
    assert str(other.address) in form.text
    assert "stranger@else.example" not in form.text
    fields = {"csrf": form.proof(), "text": "Thank you", "to": "all", "cc": "evil@else.example"}
    sent = await browser.post_files(at, fields, [("photo.jpg", "image/jpeg", b"\xff\xd8\xff")])
    assert sent.status == 303
    [reply] = world.received.got
    assert [str(one) for one in reply.to] == [str(world.mailbox.address), str(other.address)]
    message = parse(reply.raw)
    assert message.subject == "Re: Your blood test"
    assert message.first("in-reply-to").decode() == parse(raw).message_id
    assert b"evil@else.example" not in reply.raw
    [record] = await world.secure.record(world.ours, OutgoingId(7))
    assert record.replies == 1


async def test_ten_answers_and_no_more_and_a_refused_one_does_not_count(world: PortalWorld) -> None:
    made = await world.send(world.letter())
    browser = world.browser()
    page = await world.opened(made, browser)
    at = str(page.tree.css_first("a.go").attributes["href"])
    proof = (await browser.get(at)).proof()
    world.received.refuses = True
    assert (await browser.post_files(at, {"csrf": proof, "text": "no"})).status == 403
    world.received.refuses = False
    for _ in range(10):
        assert (await browser.post_files(at, {"csrf": proof, "text": "again"})).status == 303
    assert (await browser.post_files(at, {"csrf": proof, "text": "once more"})).status == 400
    assert len(world.received.got) == 10


async def test_more_than_the_megabytes_of_an_answer_are_not_taken(world: PortalWorld) -> None:
    made = await world.send(world.letter())
    browser = world.browser()
    page = await world.opened(made, browser)
    at = str(page.tree.css_first("a.go").attributes["href"])
    proof = (await browser.get(at)).proof()
    page = await browser.post_files(at, {"csrf": proof, "text": "x"}, [("a.bin", "image/jpeg", b"x" * 25_000_001)])
    assert page.status == 400
    assert "at most 25 megabytes" in page.text
    assert world.received.got == []


async def test_extended_revoked_and_expired(world: PortalWorld) -> None:
    first, second = await world.send(world.letter(), seq=0), await world.send(world.letter(), seq=1)
    until = world.clock.now() + timedelta(days=100)
    async with world.db.transaction(world.ours) as tx:
        assert await world.secure.extend(tx, world.nurse, world.ours, OutgoingId(7), [0], until=until) == {0}
    assert await world.revoke(seqs=[1]) == {1}
    assert await world.revoke(seqs=[1]) == frozenset()
    states = {record.seq: record.state for record in await world.secure.record(world.ours, OutgoingId(7))}
    assert states == {0: State.OPEN, 1: State.REVOKED}
    world.clock.advance(timedelta(days=50))
    assert await world.secure.purge(world.ours) == 0
    assert "Your results" in (await world.opened(first, world.browser())).text
    world.clock.advance(timedelta(days=51))
    assert await world.secure.purge(world.ours) == 1
    assert (7, 0, "expired") in world.follower.seen_
    async with world.db.transaction(world.ours) as tx:
        left = await tx.all("SELECT object_id, wrapped FROM secure_message")
    assert left == [{"object_id": None, "wrapped": None}] * 2
    assert (await world.browser().post(world.path(second), {})).status == 404


async def test_who_was_forwarded_a_notice_asks_and_the_sender_decides(world: PortalWorld) -> None:
    made = await world.send(world.letter("For Pat only."))
    browser = world.browser()
    page = await world.begun(made, browser)
    at = str(page.tree.css_first("form").attributes["action"]).removesuffix("/code") + "/ask"
    form = await browser.get(at)
    fields = {"csrf": form.proof(), "name": "Sam Carer", "address": "sam@webmail.example", "words": "I care for Pat"}
    asked = await browser.post(at, fields)
    assert "has been asked" in asked.text
    [letter] = [raw for raw in await world.inbox_of(world.mailbox) if b"Sam Carer" in raw]
    assert b"https://mail.riverside.example/outgoing/7/secure" in letter
    [request] = await world.asking.requests(world.ours, OutgoingId(7))
    assert (request.name, request.address, request.state) == ("Sam Carer", "sam@webmail.example", "waiting")
    given = await world.asking.settle(world.nurse, world.ours, request.message, request.id, approve=True)
    sam = EmailAddress.parse("sam@webmail.example")
    assert given is not None
    assert given.link.encode() in (await world.mail_to(sam)).replace(b"=\r\n", b"")
    assert "For Pat only." in (await world.opened(given, world.browser(), address=sam)).text


async def test_staff_ask_an_outsider_to_write_first(world: PortalWorld) -> None:
    made = await world.secure.invite(
        world.nurse,
        organisation=world.ours,
        mailbox=world.mailbox.id,
        address=PATIENT,
        sender=world.mailbox.address,
        sender_name="Asha Rao",
        organisation_name="Riverside Medical Practice",
        writer=EmailAddress.parse("secure-messages@riverside.example"),
    )
    browser = world.browser()
    form = await world.opened(made, browser)
    assert "Write to Riverside Medical Practice" in form.text
    at = str(form.tree.css_first("form").attributes["action"])
    sent = await browser.post_files(at, {"csrf": form.proof(), "subject": "My rash", "text": "It itches"})
    assert sent.status == 303
    assert parse(world.received.got[0].raw).subject == "My rash"
    [invitation] = await world.secure.invitations(world.ours, world.mailbox.id)
    assert invitation.replies == 1
