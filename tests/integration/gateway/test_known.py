"""What the checks know of the real directory, asked in the role that faces strangers."""

from dataclasses import replace
from datetime import timedelta

from tests.fakes.gateway import RESOLVER, connection, examination, judged, letter
from tests.fakes.gateway_world import OPERATOR, GatewayWorld

from carepost.base.address import Domain
from carepost.directory.model import DomainMatch
from carepost.directory.service import Directory
from carepost.gateway.checks.everything import inbound_checks
from carepost.gateway.known import DirectoryColleagues, DirectoryRegister


async def test_the_register_and_the_people_of_the_directory_decide_the_warning(world: GatewayWorld) -> None:
    practice = await world.organisation("A81001")
    _, jo = await world.person(practice, "Asha Patel")
    directory = Directory(db=world.relay_db, clock=world.clock)
    colleagues = DirectoryColleagues(directory=directory, clock=world.clock)
    among = inbound_checks(resolver=RESOLVER, known=DirectoryRegister(directory), colleagues=colleagues, scanner=None)

    async def card(author: str, client: str = "192.0.2.50") -> str | None:
        seen = examination(letter(author=author), sender=author.rpartition("<")[2].strip("> "))
        to = replace(seen.envelope.recipients[0], mailbox=jo.id, organisation=practice)
        seen = replace(seen, connection=connection(client=client), envelope=replace(seen.envelope, recipients=(to,)))
        ruling, _ = await judged(seen, among=among)
        return ruling.gravest.decision.card

    assert await card("ward@trust.example", "192.0.2.10") == "from-outside"
    await world.organisations.list_secure_domain(
        OPERATOR, Domain("trust.example"), source="DCB1596", match=DomainMatch.SUFFIX
    )
    world.clock.advance(timedelta(seconds=10))
    assert await card("ward@trust.example", "192.0.2.10") == "secure-sender"
    assert await card("ward@trvst.example") == "domain-lookalike"
    assert await card("Dr Asha Patel <asha@webmail.example>") == "colleague-lookalike"
    assert await card("boss@riverside.example", "192.0.2.99") == "own-domain-spoof"
    world.clock.advance(timedelta(days=400))
    assert await card("ward@trust.example", "192.0.2.10") == "from-outside"
