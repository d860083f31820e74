"""A file too large for email, fetched by a reader outside; and no longer once the link is dead. R127, R123, R124."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from tests.fakes.asgi_browser import AsgiBrowser
from tests.fakes.large_files import PIECE, FakePieceScanner, looked_at_by
from tests.fakes.portal_world import PortalWorld

from carepost.audit.model import Actor
from carepost.base.address import EmailAddress
from carepost.base.ids import OutgoingId
from carepost.portal.files import PortalFiles
from carepost.portal.model import What
from carepost.store.large_files import FilePolicy, LargeFile, LargeFiles
from carepost.web.portal.pages import portal_doors
from carepost.web.portal.site import build_portal

CONTENT = b"".join(b"%06d|" % n for n in range(1_200))
SEVEN = OutgoingId(7)
NURSE = Actor.job("a test")


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


@dataclass
class Sent:
    world: PortalWorld
    files: InterruptedFiles
    file: LargeFile

    async def reader(self, address: str = "pat@webmail.example", seq: int = 0) -> tuple[AsgiBrowser, str]:
        """A browser that has proved who it is, and the address of the file on its page."""
        to = EmailAddress.parse(address)
        made = await self.world.send(self.world.letter("Please look at the film.", to=address), to=to, seq=seq)
        browser = self.world.browser()
        page = await self.world.opened(made, browser, address=to)
        link = next(a for a in page.tree.css("ul.bulleted a") if "/large/" in (a.attributes["href"] or ""))
        assert "wound.mp4" in link.text()
        return browser, str(link.attributes["href"])


@pytest.fixture
async def sent(world: PortalWorld) -> Sent:
    files = InterruptedFiles(
        db=world.db,
        keys=world.keys,
        audit=world.audit,
        clock=world.clock,
        policy=FilePolicy(piece_octets=PIECE),
    )
    site = replace(world.site, files=PortalFiles(reading=world.reading, files=files))
    world.app = build_portal(site, portal_doors())
    world.secure = replace(world.secure, files=files)

    async def octets() -> AsyncIterator[bytes]:
        yield CONTENT

    file = await files.begin(world.ours, world.mailbox.id, "wound.mp4", "video/mp4", len(CONTENT))
    await files.take(file, 0, octets())
    whole = await files.get(world.ours, file.name)
    assert whole is not None
    ready = await looked_at_by(files, FakePieceScanner()).look(whole)
    async with world.db.transaction(world.ours) as tx:
        await files.use(tx, world.ours, world.mailbox.id, SEVEN, [ready.name], world.clock.now())
    return Sent(world, files, ready)


async def revoke(sent: Sent, *seqs: int) -> None:
    async with sent.world.db.transaction(sent.world.ours) as tx:
        await sent.world.secure.revoke(tx, NURSE, sent.world.ours, SEVEN, seqs or None)


async def test_a_reader_fetches_it_in_parts_and_the_sender_sees_that(sent: Sent) -> None:
    browser, at = await sent.reader()
    whole = await browser.get(at)
    assert (whole.status, whole.body, whole.header("accept-ranges")) == (200, CONTENT, "bytes")
    part = await browser.get(at, {"range": "bytes=5000-"})
    assert (part.status, part.body) == (206, CONTENT[5_000:])
    [record] = await sent.world.secure.record(sent.world.ours, SEVEN)
    assert [one.what for one in record.happened].count(What.DOWNLOADED) == 2


async def test_a_link_revoked_while_the_file_is_fetched_stops_it_and_only_for_that_reader(sent: Sent) -> None:
    browser, at = await sent.reader()
    other, there = await sent.reader("jo@webmail.example", seq=1)

    async def revoked(number: int) -> None:
        sent.world.clock.advance(timedelta(seconds=1))
        if number == 2:
            await revoke(sent, 0)

    sent.files.between.append(revoked)
    assert (await browser.get(at)).body == CONTENT[: 2 * PIECE]
    sent.files.between.clear()
    assert (await browser.get(at)).status in {403, 404}
    assert (await other.get(there)).body == CONTENT


async def test_a_stranger_another_message_and_a_browser_without_proof_get_nothing(sent: Sent) -> None:
    browser, at = await sent.reader()
    name = at.rpartition("/")[2]
    assert (await sent.world.browser().get(at)).status == 403
    made = await sent.world.send(sent.world.letter("Another message."), outgoing=8)
    page = await sent.world.opened(made, browser)
    elsewhere = str(page.tree.css_first("a.go").attributes["href"]).removesuffix("/answer")
    assert "wound.mp4" not in page.text
    assert (await browser.get(f"{elsewhere}/large/{name}")).status == 404


async def test_more_time_for_the_message_is_more_time_for_its_file_and_then_it_is_gone(sent: Sent) -> None:
    await sent.reader()
    until = sent.world.clock.now() + timedelta(days=90)
    async with sent.world.db.transaction(sent.world.ours) as tx:
        assert await sent.world.secure.extend(tx, NURSE, sent.world.ours, SEVEN, until=until)
    found = await sent.files.get(sent.world.ours, sent.file.name)
    assert found is not None
    assert found.expires_at == until
    sent.world.clock.advance(timedelta(days=91))
    assert await sent.files.tidy(sent.world.ours) == 1
    assert await sent.files.get(sent.world.ours, sent.file.name) is None
