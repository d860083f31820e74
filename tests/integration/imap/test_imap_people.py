"""IMAP with real app passwords, the real directory and real revocation."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from tests.fakes.identity_world import IdentityWorld, build_identity
from tests.fakes.imap_house import imap_services, running, serving
from tests.fakes.mailboxes import StoreWorld
from tests.fakes.town import OPERATOR

from carepost.app.access import ImapDoor, SharedMailboxes
from carepost.base.ids import MailboxId
from carepost.directory.model import Person
from carepost.identity.app_passwords import GrantedAppPassword
from carepost.identity.model import Scope
from carepost.identity.revocations import RevocationPolicy, Revocations
from carepost.infra.db import Database
from carepost.store.model import MailboxRef


@dataclass
class Surgery:
    world: IdentityWorld
    amina: Person
    granted: GrantedAppPassword
    clinic: MailboxId
    port: int
    tls: ssl.SSLContext
    wires: list["Wire"] = field(default_factory=list)

    async def connect(self) -> "Wire":
        wire = Wire(*await asyncio.open_connection("localhost", self.port, ssl=self.tls))
        self.wires.append(wire)
        await wire.line()
        return wire

    async def signed_in(self) -> "Wire":
        wire = await self.connect()
        assert (await wire.ask(f"in LOGIN {self.amina.address} {self.granted.secret}"))[-1].startswith("in OK")
        return wire


@dataclass
class Wire:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def line(self) -> str:
        async with asyncio.timeout(180):
            return (await self.reader.readline()).decode().rstrip("\r\n")

    async def ask(self, text: str) -> list[str]:
        self.writer.write(text.encode() + b"\r\n")
        lines = [await self.line()]
        while lines[-1] and not lines[-1].startswith((text.split(maxsplit=1)[0] + " ", "+ ")):
            lines.append(await self.line())
        return lines


@pytest.fixture
async def surgery(database: Database, tmp_path: Path) -> AsyncIterator[Surgery]:
    world = await build_identity(database)
    town = world.town
    amina, sam = await town.person("Amina Okafor"), await town.person("Sam Mbeki")
    await town.people.allow_mail_clients(OPERATOR, town.practice, amina.id, allowed=True)
    granted = await world.app_passwords.grant(
        town.as_person(amina), town.practice, amina.id, name="Telephone", scopes=[Scope.IMAP]
    )
    made = await town.mailboxes.create_shared(
        OPERATOR,
        town.practice,
        address=town.address("clinic"),
        display_name="Clinic",
        owners=[sam.id],
        members=[amina.id],
    )
    store = StoreWorld(database, clock=world.clock)
    assert amina.mailbox is not None
    async with database.transaction(town.practice) as tx:
        await store.keys.mint_organisation(tx, town.practice)
        for mailbox in (amina.mailbox, made.mailbox):
            await store.keys.mint_mailbox(tx, town.practice, mailbox)
            await store.folders.furnish(tx, MailboxRef(mailbox, town.practice))
    services = imap_services(
        store, ImapDoor(world.app_passwords), town.directory, SharedMailboxes(database, town.audit)
    )
    revocations = Revocations(database, RevocationPolicy(poll_seconds=0.2))  # no deadline
    async with (
        serving(services, revocations, tmp_path / "tls") as (_, ports, authority),
        running(store.changes.run()),
        running(revocations.run()),
    ):
        tls = ssl.create_default_context(cafile=str(authority))
        surgery = Surgery(world, amina, granted, made.mailbox, ports[1], tls)
        yield surgery
        for wire in surgery.wires:
            wire.writer.transport.abort()
        await asyncio.sleep(0.05)


async def test_an_app_password_opens_the_mailbox_and_the_sign_in_password_does_not(surgery: Surgery) -> None:
    wire = await surgery.connect()
    refused = await wire.ask(f"a1 LOGIN {surgery.amina.address} copper-lantern-walks")
    assert refused[-1].startswith("a1 NO [AUTHENTICATIONFAILED]")
    assert (await wire.ask(f"a2 LOGIN {surgery.amina.address} {surgery.granted.secret}"))[-1].startswith("a2 OK")
    assert "* 0 EXISTS" in await wire.ask("a3 SELECT INBOX")


async def test_a_revoked_app_password_ends_idle_within_five_seconds(surgery: Surgery) -> None:
    wire = await surgery.signed_in()
    await wire.ask("a1 SELECT INBOX")
    await wire.ask("a2 IDLE")
    town = surgery.world.town
    await surgery.world.app_passwords.revoke(
        town.as_person(surgery.amina), town.practice, surgery.amina.id, surgery.granted.id
    )
    assert (await wire.line()).startswith("* BYE ")
    assert await wire.line() == ""
    again = await surgery.connect()
    refused = await again.ask(f"a1 LOGIN {surgery.amina.address} {surgery.granted.secret}")
    assert refused[-1].startswith("a1 NO [AUTHENTICATIONFAILED]")


async def test_opening_a_shared_mailbox_is_in_the_audit_log_once(surgery: Surgery, superuser_dsn: str) -> None:
    wire = await surgery.signed_in()
    for number in range(3):
        answer = await wire.ask(f"a{number} SELECT Shared/clinic@riverside.example/INBOX")
        assert answer[-1].startswith(f"a{number} OK [READ-WRITE]")
    await wire.ask("b1 SELECT INBOX")
    with psycopg.connect(superuser_dsn) as connection:
        rows = connection.execute(
            "SELECT actor_person, details FROM audit_event WHERE event = 'mail.shared_mailbox.opened'"
        ).fetchall()
    assert len(rows) == 1
    assert rows[0][0] == surgery.amina.id
    assert f'"mailbox":{surgery.clinic}' in str(rows[0][1]).replace(" ", "").replace("'", '"')


async def test_who_is_no_longer_a_member_is_put_out(surgery: Surgery) -> None:
    wire = await surgery.signed_in()
    await wire.ask("a1 SELECT Shared/clinic@riverside.example/INBOX")
    await wire.ask("a2 IDLE")
    town = surgery.world.town
    await town.mailboxes.remove_member(OPERATOR, town.practice, surgery.clinic, surgery.amina.id)
    assert (await wire.line()).startswith("* BYE ")
    wire = await surgery.signed_in()
    refused = await wire.ask("b1 SELECT Shared/clinic@riverside.example/INBOX")
    assert refused[-1].startswith("b1 NO [NONEXISTENT]")
