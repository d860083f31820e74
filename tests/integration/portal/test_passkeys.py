"""Passkeys of readers outside: kept, used, refused, copied, removed. Security: levels never fall, one use, our origin."""

import asyncio
import json
from dataclasses import dataclass
from datetime import timedelta

import pytest
from tests.fakes.asgi_browser import AsgiBrowser, Page
from tests.fakes.authenticator import Authenticator, octets_of, text_of
from tests.fakes.portal_world import PATIENT, PORTAL, PortalWorld

from carepost.audit import events_portal
from carepost.base.address import EmailAddress
from carepost.base.ids import OutgoingId
from carepost.message.parse import parse
from carepost.portal.model import Level, Made, What
from carepost.portal.passkey_ceremony import Ceremony


@dataclass
class Reader:
    """A reader with a browser and an authenticator, who does what passkeys.js does."""

    world: PortalWorld
    browser: AsgiBrowser
    key: Authenticator
    at: str = ""
    proof: str = ""

    async def opens_by_code(self, made: Made, **given: object) -> Page:
        page = await self.world.opened(made, self.browser, **given)  # type: ignore[arg-type]
        self.at = "/r/" + made.link.rpartition("/")[2].partition(".")[0]
        self.proof = page.proof()
        return page

    async def asks(self, path: str) -> str:
        page = await self.browser.post(f"{self.at}/{path}", {"csrf": self.proof})
        assert page.status == 200, page.text
        assert page.header("content-type") == "application/json"
        return page.text

    async def keeps(self) -> Page:
        answer = self.key.create(await self.asks("passkeys/question"))
        return await self.browser.post(f"{self.at}/passkeys", {"csrf": self.proof, "answer": answer})

    async def begins(self, made: Made) -> Page:
        page = await self.browser.post(self.world.path(made), {"with": "passkey"})
        assert page.status == 303, page.text
        self.at = "/r/" + made.link.rpartition("/")[2].partition(".")[0]
        page = await self.browser.get(page.location)
        self.proof = page.proof()
        return page

    async def gives(self, answer: str) -> Page:
        page = await self.browser.post(f"{self.at}/passkey", {"csrf": self.proof, "answer": answer})
        if page.status == 303:
            page = await self.browser.get(page.location)
        if page.status == 200:
            self.proof = page.proof()
        return page

    async def opens(self, made: Made) -> Page:
        await self.begins(made)
        return await self.gives(self.key.get(await self.asks("passkey/question")))


def reader_of(world: PortalWorld, *, counts: bool = True) -> Reader:
    return Reader(world, world.browser(), Authenticator(PORTAL, counts=counts))


async def kept(world: PortalWorld, *, counts: bool = True, **given: object) -> Reader:
    """A reader who has opened a first message by what it asks for, and kept a passkey."""
    reader = reader_of(world, counts=counts)
    await reader.opens_by_code(await world.send(world.letter("The first."), **given))  # type: ignore[arg-type]
    page = await reader.keeps()
    assert page.status == 303, page.text
    world.queue.sent.clear()
    reader.browser = world.browser()
    return reader


async def letters(world: PortalWorld) -> list[str]:
    """What the sender was told."""
    return [message.text(message.root) for message in map(parse, await world.inbox_of(world.mailbox))]


async def test_the_next_message_opens_with_a_passkey_and_no_code_is_sent(world: PortalWorld) -> None:
    reader = await kept(world)
    made = await world.send(world.letter("The second."), outgoing=8)
    page = await reader.opens(made)
    assert "The second." in page.text
    assert world.queue.sent == []
    assert await letters(world) == []
    assert await events(world) >= {events_portal.PasskeyKept.name, events_portal.PasskeyUsed.name}
    [record] = await world.secure.record(world.ours, OutgoingId(8))
    assert record.first(What.OPENED) is not None
    assert record.first(What.CODE_SENT) is None


async def events(world: PortalWorld) -> set[str]:
    async with world.db.transaction(world.ours) as tx:
        rows = await tx.all("SELECT event FROM audit_event WHERE organisation_id = %s", [world.ours])
    return {row["event"] for row in rows}


async def test_a_passkey_that_counts_nothing_opens_again_and_again(world: PortalWorld) -> None:
    reader = await kept(world, counts=False)
    for number in (8, 9):
        made = await world.send(world.letter("Another one."), outgoing=number)
        assert "Another one." in (await reader.opens(made)).text


async def test_the_offer_is_hidden_until_a_script_shows_it_and_gone_once_a_passkey_is_kept(world: PortalWorld) -> None:
    reader = reader_of(world)
    page = await reader.opens_by_code(await world.send(world.letter()))
    form = page.tree.css_first("form[data-passkey]")
    assert "hidden" in form.attributes
    await reader.keeps()
    page = await reader.browser.get(reader.at)
    assert page.tree.css_first("form[data-passkey]") is None
    assert "Kept on" in (await reader.browser.get(f"{reader.at}/passkeys")).text
    assert "publickey-credentials-get=(self)" in page.header("permissions-policy")


async def test_a_passkey_kept_with_a_code_alone_does_not_stand_in_for_a_telephone(world: PortalWorld) -> None:
    reader = await kept(world)
    made = await world.send(world.letter("Strictly."), outgoing=8, level=Level.STRONG, telephone="+447700900123")
    page = await reader.opens(made)
    assert "Strictly." not in page.text
    assert "mobile telephone" in page.text
    _, text = world.texts.sent[-1]
    page = await reader.browser.post(f"{reader.at}/code", {"csrf": reader.proof, "code": text.split()[0]})
    assert "Strictly." in (await reader.browser.get(page.location)).text


async def test_a_passkey_kept_with_a_telephone_opens_the_strongest_level_alone(world: PortalWorld) -> None:
    reader = reader_of(world)
    first = await world.send(world.letter("One."), level=Level.STRONG, telephone="+447700900123")
    page = await reader.opens_by_code(first)
    _, text = world.texts.sent[-1]
    page = await reader.browser.post(f"{reader.at}/code", {"csrf": reader.proof, "code": text.split()[0]})
    reader.proof = (await reader.browser.get(page.location)).proof()
    assert (await reader.keeps()).status == 303
    world.texts.sent.clear()
    made = await world.send(world.letter("Two."), outgoing=8, level=Level.STRONG, telephone="+447700900123")
    reader.browser = world.browser()
    assert "Two." in (await reader.opens(made)).text
    assert world.texts.sent == []


async def test_agreed_words_are_asked_for_after_a_passkey_too(world: PortalWorld) -> None:
    reader = await kept(world)
    made = await world.send(world.letter("Confidential."), outgoing=8, phrase="copper lantern walks home")
    page = await reader.opens(made)
    assert "Confidential." not in page.text
    assert "words that were agreed" in page.text
    page = await reader.browser.post(
        f"{reader.at}/phrase", {"csrf": reader.proof, "phrase": "copper lantern walks home"}
    )
    assert "Confidential." in (await reader.browser.get(page.location)).text


async def test_somebody_elses_passkey_opens_nothing(world: PortalWorld) -> None:
    other = EmailAddress.parse("sam@webmail.example")
    thief = reader_of(world)
    await thief.opens_by_code(await world.send(world.letter("For Sam."), to=other, seq=1), address=other)
    assert (await thief.keeps()).status == 303
    reader = await kept(world)
    made = await world.send(world.letter("For Pat."), outgoing=8)
    thief.browser = world.browser()
    await thief.begins(made)
    question = await thief.asks("passkey/question")
    assert text_of(thief.key.credential) not in question
    page = await thief.gives(thief.key.get(question))
    assert page.status == 400
    assert "did not open" in page.text
    borrowed = Authenticator(PORTAL, credential=reader.key.credential)
    page = await thief.gives(borrowed.get(await thief.asks("passkey/question")))
    assert page.status == 400
    [record] = await world.secure.record(world.ours, OutgoingId(8))
    assert record.first(What.OPENED) is None
    assert record.first(What.WRONG) is not None


async def test_an_answer_to_another_origin_or_without_the_owner_verified_is_refused(world: PortalWorld) -> None:
    reader = await kept(world)
    made = await world.send(world.letter("The second."), outgoing=8)
    await reader.begins(made)
    reader.key.origin = "https://secure.riverside.example.evil.example"
    assert (await reader.gives(reader.key.get(await reader.asks("passkey/question")))).status == 400
    reader.key.origin = PORTAL
    question = await reader.asks("passkey/question")
    assert (await reader.gives(reader.key.get(question, rp_id="evil.example"))).status == 400
    reader.key.verifies = False
    assert (await reader.gives(reader.key.get(await reader.asks("passkey/question")))).status == 400
    reader.key.verifies = True
    assert "The second." in (await reader.gives(reader.key.get(await reader.asks("passkey/question")))).text


async def test_a_challenge_is_used_once_and_for_five_minutes(world: PortalWorld) -> None:
    reader = await kept(world)
    made = await world.send(world.letter("The second."), outgoing=8)
    await reader.begins(made)
    answer = reader.key.get(await reader.asks("passkey/question"))
    world.clock.advance(timedelta(minutes=5, seconds=1))
    assert (await reader.gives(answer)).status == 400
    old = reader.key.get(await reader.asks("passkey/question"))
    new = reader.key.get(await reader.asks("passkey/question"))
    assert (await reader.gives(old)).status == 400
    assert (await reader.gives(new)).status == 400  # the question went with the wrong answer
    answer = reader.key.get(await reader.asks("passkey/question"))
    fields = {"csrf": reader.proof, "answer": answer}
    pages = await asyncio.gather(*(reader.browser.post(f"{reader.at}/passkey", fields) for _ in range(8)))
    assert sorted(page.status for page in pages).count(303) == 1


async def test_a_passkey_that_counts_backwards_is_accepted_no_more_and_the_sender_is_told(world: PortalWorld) -> None:
    reader = await kept(world)
    copy = Authenticator(PORTAL, credential=reader.key.credential, key=reader.key.key)
    first = await world.send(world.letter("The second."), outgoing=8)
    assert "The second." in (await reader.opens(first)).text
    assert "The third." in (await reader.opens(await world.send(world.letter("The third."), outgoing=9))).text
    thief = Reader(world, world.browser(), copy)
    made = await world.send(world.letter("The fourth."), outgoing=10)
    page = await thief.opens(made)
    assert page.status == 400
    assert "use a code" in page.text
    assert events_portal.PasskeyCopied.name in await events(world)
    [letter] = await letters(world)
    assert "copied" in letter
    reader.browser = world.browser()
    page = await reader.begins(made)  # nothing is left to ask for: a code, as at first
    assert "Enter the code" in page.text


async def test_who_removes_theirs_reads_by_a_code_and_the_sender_is_told(world: PortalWorld) -> None:
    reader = await kept(world)
    made = await world.send(world.letter("The second."), outgoing=8)
    await reader.opens(made)
    page = await reader.browser.get(f"{reader.at}/passkeys")
    number = str(page.tree.css_first("input[name=passkey]").attributes["value"])
    fields = {"csrf": reader.proof, "passkey": number}
    assert (await reader.browser.post(f"{reader.at}/passkeys/remove", fields)).status == 303
    assert (await reader.browser.post(f"{reader.at}/passkeys/remove", fields)).status == 404
    assert events_portal.PasskeyRemoved.name in await events(world)
    [letter] = await letters(world)
    assert "removed a passkey" in letter
    reader.browser = world.browser()
    page = await reader.begins(await world.send(world.letter("The third."), outgoing=9))
    assert "Enter the code" in page.text
    assert await world.code() != ""


async def test_another_organisation_knows_nothing_of_a_passkey(world: PortalWorld) -> None:
    reader = await kept(world)
    elsewhere = await PortalWorld(world.db, world.relay_db).founded()
    made = await elsewhere.send(elsewhere.letter("From elsewhere."))
    reader.world = elsewhere
    reader.browser = elsewhere.browser()
    page = await reader.begins(made)
    assert "Enter the code" in page.text


async def test_the_sender_is_told_when_a_second_passkey_is_kept_and_there_are_ten_at_most(world: PortalWorld) -> None:
    reader = await kept(world)
    made = await world.send(world.letter("The second."), outgoing=8)
    await reader.opens(made)
    for _ in range(9):
        reader.key = Authenticator(PORTAL)
        assert (await reader.keeps()).status == 303
    assert "kept another passkey" in (await letters(world))[0]
    page = await reader.browser.post(f"{reader.at}/passkeys/question", {"csrf": reader.proof})
    assert page.status == 404
    assert "too many" in page.text


async def test_an_open_message_is_needed_to_keep_see_or_remove_one(world: PortalWorld) -> None:
    reader = await kept(world)
    await reader.begins(await world.send(world.letter("The second."), outgoing=8))
    assert (await reader.browser.get(f"{reader.at}/passkeys")).status == 403
    for path in ("passkeys/question", "passkeys", "passkeys/remove"):
        page = await reader.browser.post(f"{reader.at}/{path}", {"csrf": reader.proof, "answer": "{}", "passkey": "1"})
        assert page.status == 403


@pytest.mark.parametrize(
    "spoil",
    [
        lambda given: "",
        lambda given: "[]",
        lambda given: '"x"',
        lambda given: json.dumps({}),
        lambda given: json.dumps({**json.loads(given), "rawId": 7}),
        lambda given: json.dumps({**json.loads(given), "response": {}}),
        lambda given: given[: len(given) // 2],
        lambda given: given.replace("public-key", "x" * 20_000),
        lambda given: json.dumps(
            {**json.loads(given), "response": {"clientDataJSON": "AAAA", "attestationObject": "AAAA"}}
        ),
    ],
)
async def test_what_is_no_answer_of_an_authenticator_is_refused_in_words(world: PortalWorld, spoil: object) -> None:
    reader = reader_of(world)
    await reader.opens_by_code(await world.send(world.letter("The first.")))
    answer = spoil(reader.key.create(await reader.asks("passkeys/question")))  # type: ignore[operator]
    page = await reader.browser.post(f"{reader.at}/passkeys", {"csrf": reader.proof, "answer": answer})
    assert page.status == 400
    assert "could not be checked" in page.text


async def test_no_octet_of_an_answer_may_differ(world: PortalWorld) -> None:
    reader = await kept(world, counts=False)
    ceremony = Ceremony(policy=world.secure.policy)
    made = await world.send(world.letter("The second."), outgoing=8)
    await reader.begins(made)
    question = await reader.asks("passkey/question")
    answer = json.loads(reader.key.get(question))
    challenge = octets_of(json.loads(question)["challenge"])
    async with world.db.transaction(world.ours) as tx:
        row = (await tx.one("SELECT public_key FROM portal_passkey WHERE organisation_id = %s", [world.ours]))[
            "public_key"
        ]
    assert ceremony.used(json.dumps(answer), challenge, row) == 0
    for name in ("clientDataJSON", "authenticatorData", "signature"):
        whole = octets_of(answer["response"][name])
        for at in range(0, len(whole), 7):
            spoiled = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
            response = {**answer["response"], name: text_of(spoiled)}
            with pytest.raises(Exception, match="could not be checked"):
                ceremony.used(json.dumps({**answer, "response": response}), challenge, row)
    assert PATIENT.local not in question
