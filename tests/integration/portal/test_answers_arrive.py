"""An answer from outside, through the whole inbound walk: into the inbox, examined, or refused in words."""

from tests.fakes.gateway_world import checks
from tests.fakes.portal_world import PATIENT, PortalWorld

from carepost.app.portal import PortalInbound
from carepost.base.address import EmailAddress
from carepost.gateway.carry_out import CarryOut
from carepost.gateway.deck import shipped_inbound
from carepost.gateway.inbound import InboundGateway
from carepost.message.parse import parse

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


def joined(world: PortalWorld) -> PortalInbound:
    """As the role that people reach runs it: with the database role that opens mail."""
    carry_out = CarryOut(db=world.db, audit=world.audit, edge=world.edge)
    gateway = InboundGateway(checks=checks(), deck=shipped_inbound(), carry_out=carry_out, clock=world.clock)
    return PortalInbound(gateway=gateway, directory=world.directory, hostname="mail.riverside.example")


async def answered(world: PortalWorld, text: str, files: list[tuple[str, str, bytes]] | None = None) -> int:
    world.received = joined(world)  # type: ignore[assignment]
    world.build(world.secure.policy)
    made = await world.send(world.letter("How are you?"))
    browser = world.browser()
    page = await world.opened(made, browser)
    at = str(page.tree.css_first("a.go").attributes["href"])
    form = await browser.get(at)
    return (await browser.post_files(at, {"csrf": form.proof(), "text": text}, files or [])).status


async def test_an_answer_is_in_the_senders_inbox_as_from_its_author(world: PortalWorld) -> None:
    assert await answered(world, "Much better, thank you") == 303
    [raw] = await world.inbox_of(world.mailbox)
    message = parse(raw)
    assert "Much better" in message.text(message.root)
    assert message.subject == "Re: Your blood test"
    assert next(message.authors()).address == str(PATIENT)
    assert b"(Carepost) with HTTPS" in raw
    assert b"external via portal, level L1" in raw


async def test_a_virus_in_an_answer_is_not_delivered(world: PortalWorld) -> None:
    await answered(world, "see this", [("eicar.com", "application/octet-stream", EICAR)])
    assert await world.inbox_of(world.mailbox) == []


async def test_only_mailboxes_of_ours_are_ours(world: PortalWorld) -> None:
    known = await joined(world).ours([world.mailbox.address, PATIENT, EmailAddress.parse("nobody@riverside.example")])
    assert known == [world.mailbox.address]
