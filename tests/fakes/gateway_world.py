"""A practice and a trust with people and mailboxes on a real database, and the whole inbound walk before them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.fakes.gateway import DECK, FakeScanner, checks, connection

from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.address import Domain, EmailAddress
from carepost.base.clock import FixedClock
from carepost.base.ids import OrganisationId, TraceId, new_trace_id
from carepost.directory.mailboxes import Mailboxes
from carepost.directory.model import MailboxRecord, OrganisationKind, PersonStatus, Role
from carepost.directory.organisations import Organisations
from carepost.directory.people import NewPerson, People
from carepost.directory.service import Directory
from carepost.gateway.carry_out import CarryOut
from carepost.gateway.inbound import InboundGateway
from carepost.gateway.model import Check, Connection, Envelope, Recipient
from carepost.gateway.quarantine import Quarantine
from carepost.gateway.trace import MessageTrace
from carepost.infra.db import Database
from carepost.infra.key_files import RootKeys
from carepost.infra.vault import EdgeKey, new_key
from carepost.store.folders import Folders
from carepost.store.keys import Keystore
from carepost.store.messages import MessageStore
from carepost.store.minting import Minting
from carepost.store.model import SpecialUse

OPERATOR = Actor.operator("root")


@dataclass
class GatewayWorld:
    """`db` is the role that opens mail; `relay_db` the one that faces port 25."""

    db: Database
    relay_db: Database
    clock: FixedClock = field(default_factory=FixedClock)
    scanner: FakeScanner | None = None

    def __post_init__(self) -> None:
        self.audit = AuditTrail(clock=self.clock)
        self.keys = Keystore(self.db, RootKeys({1: new_key()}), self.clock)
        self.folders = Folders(db=self.db, keys=self.keys, clock=self.clock)
        self.messages = MessageStore(db=self.db, keys=self.keys)
        self.directory = Directory(db=self.db, clock=self.clock)
        self.edge = EdgeKey(new_key())
        mint = Minting(self.keys, self.folders)
        rooms = {"db": self.db, "audit": self.audit, "clock": self.clock, "directory": self.directory, "keys": mint}
        self.organisations = Organisations(**rooms)
        self.people = People(**rooms)
        self.mailboxes = Mailboxes(**rooms)
        self.quarantine = Quarantine(
            db=self.db, keys=self.keys, audit=self.audit, directory=self.directory, clock=self.clock
        )
        self.trace = MessageTrace(
            db=self.db,
            keys=self.keys,
            audit=self.audit,
            directory=self.directory,
            edge=self.edge,
            clock=self.clock,
        )
        self.domain = Domain("riverside.example")
        self.inbound = self.gateway(checks(scanner=self.scanner))

    def gateway(self, among: Sequence[Check]) -> InboundGateway:
        carry_out = CarryOut(db=self.relay_db, audit=self.audit, edge=self.edge)
        return InboundGateway(checks=among, deck=DECK, carry_out=carry_out, clock=self.clock)

    async def organisation(self, code: str) -> OrganisationId:
        return await self.organisations.create(OPERATOR, code=code, name=code, kind=OrganisationKind.PRACTICE)

    async def person(self, organisation: OrganisationId, name: str, *roles: Role) -> tuple[Actor, MailboxRecord]:
        given, family = name.split()
        created = await self.people.create(
            OPERATOR, organisation, NewPerson(given_name=given, family_name=family, domain=self.domain)
        )
        await self.people.set_status(OPERATOR, organisation, created.id, PersonStatus.ACTIVE, reason="for a test")
        for role in roles:
            await self.people.grant_role(OPERATOR, organisation, created.id, role)
        person = await self.directory.person(organisation, created.id)
        assert person is not None
        assert person.mailbox is not None
        mailbox = await self.directory.mailbox(organisation, person.mailbox)
        assert mailbox is not None
        return Actor.for_person(person.id, organisation, person.name), mailbox

    async def receive(
        self,
        raw: bytes,
        *to: MailboxRecord,
        sender: str | None = "pat@webmail.example",
        from_: Connection | None = None,
        inbound: InboundGateway | None = None,
    ) -> TraceId:
        trace = new_trace_id()
        envelope = Envelope(
            trace=trace,
            reverse_path=EmailAddress.parse(sender) if sender else None,
            recipients=tuple(
                Recipient(
                    address=mailbox.address,
                    mailbox=mailbox.id,
                    organisation=mailbox.organisation,
                    shared=mailbox.kind == "shared",
                )
                for mailbox in to
            ),
            received=b"Return-Path: <x@y.example>\r\nReceived: from here by mx.riverside.example; now\r\n",
        )
        receipt = await (inbound or self.inbound).receive(from_ or connection(), envelope, raw)
        assert receipt.trace == trace
        return trace

    async def bodies(self, mailbox: MailboxRecord, use: SpecialUse = SpecialUse.INBOX) -> list[bytes]:
        """What lies in a folder of the mailbox, as a mail client gets it."""
        folder = next(view.id for view in await self.folders.all(mailbox) if view.special_use is use)
        lines = await self.messages.outlines(mailbox, folder)
        return [await self.messages.body(mailbox, folder, line.uid) for line in lines]
