"""Files too large for email, from the page of a message to whoever inside it was for. R127."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from tests.conftest import PostgresForTests
from tests.fakes.asgi_browser import AsgiBrowser, Page
from tests.fakes.gateway_world import OPERATOR
from tests.fakes.large_files import PIECE, FakePieceScanner, looked_at_by
from tests.fakes.web_world import WebPerson
from tests.fakes.writing_world import WritingWorld

from carepost.audit.events import EventName
from carepost.base.address import Domain
from carepost.governance.acceptable_use import first_text
from carepost.infra.clamd import ScanAnswer, ScanStatus
from carepost.infra.db import Database
from carepost.message.parse import parse
from carepost.store.large_files import FilePolicy, LargeFile, LargeFiles
from carepost.web.mail.rooms import MailRooms
from carepost.web.writing.file_desk import FilesDesk
from carepost.web.writing.rooms import WritingPolicy, WritingRooms

CONTENT = b"".join(b"%06d|" % n for n in range(1_200))  # 8,400 octets
OVER = 6_000  # what email carries, here


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptedFiles(LargeFiles):
    """Before each piece that is read, `between` happens."""

    between: list[Callable[[int], Awaitable[None]]] = field(default_factory=list)

    async def read(self, file: LargeFile, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        number = 0
        async for piece in LargeFiles.read(self, file, start, stop):
            for happens in self.between:
                await happens(number)
            number += 1
            yield piece


class LargeWorld(WritingWorld):
    files: InterruptedFiles

    def writing_rooms(self, mail: MailRooms) -> WritingRooms:
        self.pieces, policy = FakePieceScanner(), FilePolicy(piece_octets=PIECE)
        self.files = InterruptedFiles(db=self.db, keys=self.keys, audit=self.audit, clock=self.clock, policy=policy)
        desk = FilesDesk(files=self.files, look=looked_at_by(self.files, self.pieces))
        return replace(super().writing_rooms(mail), files=desk, policy=WritingPolicy(attachments_octets_max=OVER))


@pytest.fixture(scope="module")
def database_name(postgres: PostgresForTests) -> Iterator[str]:
    name = postgres.clone()
    yield name
    postgres.drop(name)


@dataclass
class Desk:
    world: LargeWorld
    ada: WebPerson
    browser: AsgiBrowser

    @property
    def at(self) -> str:
        return f"/write/{self.ada.mailbox.id}"

    async def another(self, name: str, organisation: int | None = None) -> tuple[WebPerson, AsgiBrowser]:
        person = await self.world.web_person(organisation or self.ada.mailbox.organisation, name)  # type: ignore[arg-type]
        return person, self.world.browser(await self.world.session_of(person))

    async def begin(self, content: bytes = CONTENT, called: str = "scan.mp4", mark: str = "m1") -> dict[str, object]:
        page = await self.browser.get(self.at)
        given = {"csrf": page.proof(), "called": called, "kind": "video/mp4", "octets": len(content), "mark": mark}
        begun = await self.browser.post(f"{self.at}/files", given)
        assert begun.status == 201, begun.text
        return _json(begun) | {"proof": page.proof()}

    async def patch(self, name: str, offset: int, octets: bytes, proof: str, **headers: str) -> Page:
        return await self.browser.stream(f"{self.at}/files/{name}", octets, proof, offset, **headers)

    async def uploaded(self, content: bytes = CONTENT, called: str = "scan.mp4") -> str:
        begun = await self.begin(content, called)
        name, proof = str(begun["name"]), str(begun["proof"])
        assert (await self.patch(name, 0, content, proof)).status == 200
        looked = await self.browser.post(f"{self.at}/files/{name}", {"csrf": proof})
        assert looked.status == 200, looked.text
        return name

    async def send(self, to: str, *names: str, mark: str = "", **more: str) -> Page:
        page = await self.browser.get(self.at)
        typed = [("csrf", page.proof()), ("to", to), ("subject", "The film"), ("text", "Please look at it.")]
        typed += [("do", "send"), ("mark", mark), *(("large", name) for name in names), *more.items()]
        return await self.browser.post_files(self.at, typed)


def _json(page: Page) -> dict[str, object]:
    return dict(json.loads(page.body))


@pytest.fixture
async def desk(database: Database, relay_database: Database) -> Desk:
    world = LargeWorld(database, relay_database)
    if world.domain not in await world.directory.own_domains():
        await world.organisations.add_domain(OPERATOR, world.domain)
        await world.acceptable_use.publish(OPERATOR, first_text())
    organisation = await world.organisation(f"A{len(await world.directory.organisations())}")
    ada = await world.web_person(organisation, "Ada Okafor")
    return Desk(world, ada, world.browser(await world.session_of(ada)))


async def letter_of(desk: Desk, person: WebPerson) -> str:
    folder = await desk.world.inbox(person.mailbox)
    outlines = await desk.world.messages.outlines(person.mailbox, folder)
    raw = await desk.world.messages.body(person.mailbox, folder, outlines[-1].uid)
    assert raw is not None
    return parse(raw).text(parse(raw).root)


async def test_an_upload_goes_on_where_it_stopped_and_a_colleague_fetches_it_by_the_link(desk: Desk) -> None:
    sam, theirs = await desk.another("Sam Mbeki")
    _, stranger = await desk.another("Eve Dun")
    begun = await desk.begin()
    name, proof = str(begun["name"]), str(begun["proof"])
    first = await desk.patch(name, 0, CONTENT[:4_500], proof)
    assert (first.status, first.header("upload-offset")) == (200, "4000"), "half a piece is not kept"
    wrong = await desk.patch(name, 4_500, CONTENT[4_500:], proof)
    assert (wrong.status, wrong.header("upload-offset")) == (409, "4000")
    refused = await desk.send(sam.address, name)
    assert "has not been uploaded to its end" in refused.text
    assert "47 % uploaded" in refused.words("#large-list")
    assert _json(await desk.browser.get(f"{desk.at}/files/{name}"))["offset"] == 4_000
    assert _json(await desk.patch(name, 4_000, CONTENT[4_000:], proof))["state"] == "whole"
    assert _json(await desk.browser.post(f"{desk.at}/files/{name}", {"csrf": proof}))["state"] == "ready"

    sent = await desk.send(sam.address, name)
    assert sent.status == 303, sent.words("#summary")
    await desk.world.later()
    letter = await letter_of(desk, sam)
    link = re.search(r"https?://\S+(/files/\w{26})", letter)
    assert link is not None, letter
    fetched = await theirs.get(link[1])
    assert (fetched.status, fetched.body) == (200, CONTENT)
    assert 'filename="scan.mp4"' in fetched.header("content-disposition")
    part = await theirs.get(link[1], {"range": "bytes=1000-2999", "if-range": fetched.header("etag")})
    assert (part.status, part.body, part.header("content-range")) == (206, CONTENT[1_000:3_000], "bytes 1000-2999/8400")
    assert (await theirs.get(link[1], {"range": "bytes=8400-"})).status == 416
    assert (await theirs.get(link[1], {"range": "bytes=0-9", "if-range": '"another"'})).body == CONTENT
    assert (await desk.browser.get(link[1])).body == CONTENT, "who sent it may have it too"
    assert (await stranger.get(link[1])).status == 404
    async with desk.world.db.transaction(sam.mailbox.organisation) as tx:
        rows = await tx.all("SELECT event FROM audit_event ORDER BY seq DESC LIMIT 1")
    assert [row["event"] for row in rows] == [EventName.LARGE_FILE_DOWNLOADED]  # LargeFileDownloaded
    assert (await desk.world.browser().get(link[1])).status == 303, "signing in comes first"
    desk.world.clock.advance(timedelta(days=29))
    later = desk.world.browser(await desk.world.session_of(sam))
    assert (await later.get(link[1])).status == 404


async def test_a_file_for_another_organisation_of_ours_and_taken_back_again(desk: Desk) -> None:
    other = await desk.world.organisation(f"B{len(await desk.world.directory.organisations())}")
    ben, theirs = await desk.another("Ben Roe", other)
    name = await desk.uploaded()
    assert (await desk.send(ben.address, name)).status == 303
    await desk.world.later()
    assert (await theirs.get(f"/files/{name}")).body == CONTENT
    (row,) = (await desk.world.out.view.page(desk.ada.actor, desk.ada.mailbox.id)).rows
    await desk.world.out.outbound.recall(desk.ada.actor, row.id)
    assert (await theirs.get(f"/files/{name}")).status == 404


async def test_a_download_that_runs_stops_when_the_message_is_taken_back(desk: Desk) -> None:
    sam, theirs = await desk.another("Sam Mbeki")
    name = await desk.uploaded()
    assert (await desk.send(sam.address, name)).status == 303
    await desk.world.later()

    async def take_back(number: int) -> None:
        desk.world.clock.advance(timedelta(seconds=1))
        if number == 3:
            (row,) = (await desk.world.out.view.page(desk.ada.actor, desk.ada.mailbox.id)).rows
            await desk.world.out.outbound.recall(desk.ada.actor, row.id)

    desk.world.files.between.append(take_back)
    page = await theirs.get(f"/files/{name}")
    assert (page.status, page.header("content-length")) == (200, str(len(CONTENT)))
    assert page.body == CONTENT[:3_000], "it breaks off behind the piece that was on its way"


async def test_to_somebody_outside_it_goes_by_secure_link_and_to_a_secure_domain_too(desk: Desk) -> None:
    name = await desk.uploaded()
    await desk.world.organisations.list_secure_domain(OPERATOR, Domain("trust.example"), source="a test")
    page = await desk.send("jo@gmail.example, jo@trust.example", name)
    assert page.words("#how").count("By secure link") == 2, page.words("#how")
    assert "too large for email" in page.words("#how")


async def test_what_is_a_program_is_not_sent_and_what_no_scanner_took_is_held(desk: Desk) -> None:
    sam, _ = await desk.another("Sam Mbeki")
    evil = await desk.uploaded(b"MZ" + bytes(7_000), called="film.mp4")
    page = await desk.send(sam.address, evil)
    assert "It is a Windows program" in page.words("#large-list")
    assert "cannot be sent" in page.words("#summary")
    desk.world.pieces.answer = ScanAnswer(ScanStatus.TOO_LARGE)
    page = await desk.send(sam.address, await desk.uploaded())
    assert "Held for a person to look at" in page.words("#how")
    assert "could not be scanned completely" in page.words("#compose")


async def test_nobody_goes_on_with_or_sends_a_file_of_another_mailbox(desk: Desk) -> None:
    eve, theirs = await desk.another("Eve Dun")
    begun = await desk.begin()
    name, proof = str(begun["name"]), str(begun["proof"])
    page = await theirs.get(f"/write/{eve.mailbox.id}")
    for at in (f"/write/{eve.mailbox.id}/files/{name}", f"{desk.at}/files/{name}"):
        assert (await theirs.get(at)).status == 404
        assert (await theirs.post(at, {"csrf": page.proof()})).status == 404
    ready = await desk.uploaded()
    as_eve = Desk(desk.world, eve, theirs)
    refused = await as_eve.send(desk.ada.address, ready)
    assert "no longer there" in refused.words("#summary")
    forged = await desk.patch(name, 0, CONTENT, "not the proof")
    assert forged.status == 403
    elsewhere = await desk.patch(name, 0, CONTENT, proof, origin="https://evil.example")
    assert elsewhere.status == 403


async def test_without_scripts_what_one_form_brings_becomes_a_link_and_can_be_taken_out(desk: Desk) -> None:
    sam, _ = await desk.another("Sam Mbeki")
    page = await desk.browser.get(desk.at)
    typed = {"csrf": page.proof(), "to": sam.address, "subject": "Film", "text": "Here.", "do": "attach"}
    page = await desk.browser.post_files(
        desk.at, typed, [("film.mp4", "video/mp4", CONTENT), ("a.txt", "text/plain", b"a")]
    )
    assert "film.mp4" in page.words("#large-list")
    assert "Uploaded and examined" in page.words("#large-list")
    assert page.words(".chosen-files").startswith("a.txt")
    uid = page.tree.css_first("input[name=draft]").attributes["value"] or ""
    (name,) = [node.attributes["value"] for node in page.tree.css("input[name=large]")]
    reopened = await desk.browser.get(f"{desk.at}?draft={uid}")
    assert "film.mp4" in reopened.words("#large-list"), "the draft remembers it"
    out = await desk.browser.post_files(desk.at, typed | {"draft": uid, "do": "", "remove_large": str(name)})
    assert "film.mp4" not in out.text


async def test_a_message_that_was_undone_keeps_its_file(desk: Desk) -> None:
    sam, _ = await desk.another("Sam Mbeki")
    name = await desk.uploaded()
    await desk.send(sam.address, name)
    (row,) = (await desk.world.out.view.page(desk.ada.actor, desk.ada.mailbox.id)).rows
    assert "scan.mp4" in (await desk.browser.get(f"/outgoing/{row.id}")).words("ul.bulleted")
    draft = await desk.world.out.outbound.undo(desk.ada.actor, row.id)
    page = await desk.browser.get(f"{desk.at}?draft={draft.uid}")
    assert "scan.mp4" in page.words("#large-list")
