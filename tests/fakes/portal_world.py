"""The portal on a real database: secure messages, their readers' browsers, and the mail that it would send."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tests.fakes.asgi_browser import AsgiBrowser, Page
from tests.fakes.gateway_world import OPERATOR, GatewayWorld

from carepost.base.address import EmailAddress
from carepost.base.errors import NotAllowed
from carepost.base.ids import OrganisationId, OutgoingId, new_trace_id
from carepost.delivery.dispatch import Dispatch
from carepost.directory.correspondents import Correspondents
from carepost.directory.model import MailboxRecord
from carepost.infra.db import Transaction
from carepost.message.compose import compose
from carepost.message.parse import parse
from carepost.portal.asking import Asking
from carepost.portal.budgets import Budgets
from carepost.portal.confirming import Confirming
from carepost.portal.model import Kind, Level, Made, PortalLetter, PortalPolicy
from carepost.portal.post import PortalPost
from carepost.portal.reading import Reading
from carepost.portal.replying import Reply, Replying
from carepost.portal.seals import PhrasePolicy, PortalSeals
from carepost.portal.secure_messages import PortalRecord, SecureMessages
from carepost.store.objects import open_body
from carepost.web.portal.pages import portal_doors
from carepost.web.portal.site import PortalSite, build_portal
from carepost.web.sealing import Notes

PORTAL = "https://secure.riverside.example"
PATIENT = EmailAddress.parse("pat@webmail.example")
QUICK = PhrasePolicy(memory_kib=64, passes=1)


@dataclass
class FakeQueue:
    """Keeps what would be sent."""

    sent: list[Dispatch] = field(default_factory=list)

    async def enqueue(self, tx: Transaction, dispatch: Dispatch) -> None:
        self.sent.append(dispatch)


@dataclass
class FakeFollower:
    seen_: list[tuple[int, int, str]] = field(default_factory=list)

    async def seen(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        outgoing: OutgoingId,
        seq: int,
        what: str,
        at: datetime,
    ) -> None:
        self.seen_.append((int(outgoing), seq, what))


@dataclass
class FakeReceive:
    """The inbound gateway: keeps answers, or refuses them."""

    domain: str
    got: list[Reply] = field(default_factory=list)
    refuses: bool = False

    async def ours(self, addresses: Sequence[EmailAddress]) -> list[EmailAddress]:
        return [one for one in addresses if one.domain.name == self.domain]

    async def receive(self, reply: Reply) -> None:
        if self.refuses:
            raise NotAllowed("This message was not accepted.")
        self.got.append(reply)


@dataclass
class FakeTexts:
    sent: list[tuple[str, str]] = field(default_factory=list)

    async def send(self, number: str, text: str) -> None:
        self.sent.append((number, text))


@dataclass
class PortalWorld(GatewayWorld):
    portal_url: str = PORTAL

    def __post_init__(self) -> None:
        super().__post_init__()
        self.queue, self.follower, self.texts = FakeQueue(), FakeFollower(), FakeTexts()
        self.received = FakeReceive(self.domain.name)
        self.build(PortalPolicy(url=self.portal_url, pages="https://mail.riverside.example"))

    def build(self, policy: PortalPolicy) -> None:
        seals = PortalSeals(keys=self.keys, policy=QUICK)
        record = PortalRecord(seals=seals, audit=self.audit, clock=self.clock, follower=self.follower)
        post = PortalPost(keys=self.keys, queue=self.queue, clock=self.clock)
        self.secure = SecureMessages(db=self.db, seals=seals, record_=record, post=post, edge=self.edge, policy=policy)
        budgets = Budgets(edge=self.edge, clock=self.clock, policy=policy)
        self.reading = Reading(messages=self.secure, budgets=budgets, texts=self.texts)
        self.replying = Replying(reading=self.reading, receive=self.received)
        self.asking = Asking(reading=self.reading)
        self.correspondents = Correspondents(
            db=self.db, directory=self.directory, keys=self.keys, edge=self.edge, audit=self.audit, clock=self.clock
        )
        site = PortalSite(
            policy=policy,
            reading=self.reading,
            replying=self.replying,
            asking=self.asking,
            confirming=Confirming(reading=self.reading, known=self.correspondents),
            notes=Notes(b"p" * 32, self.clock),
        )
        self.site, self.app = site, build_portal(site, portal_doors())

    async def founded(self) -> "PortalWorld":
        """Works again in a database that has been founded in before: another practice of the same service."""
        if self.domain not in await self.directory.own_domains():
            await self.organisations.add_domain(OPERATOR, self.domain)
        self.ours = await self.organisation(f"R{len(await self.directory.organisations())}")
        self.nurse, self.mailbox = await self.person(self.ours, "Asha Rao")
        return self

    async def send(
        self,
        raw: bytes,
        *,
        to: EmailAddress = PATIENT,
        outgoing: int | None = 7,
        seq: int = 0,
        phrase: str | None = None,
        level: Level = Level.MAILBOX,
        telephone: str | None = None,
    ) -> Made:
        letter = PortalLetter(
            organisation=self.ours,
            mailbox=self.mailbox.id,
            outgoing=OutgoingId(outgoing) if outgoing is not None else None,
            seq=seq,
            trace=new_trace_id(),
            address=to,
            sender=self.mailbox.address,
            sender_name="Asha Rao",
            organisation_name="Riverside Medical Practice",
            raw=raw,
            phrase=phrase,
            level=level,
            telephone=telephone,
        )
        ready = await self.secure.prepare(letter)
        async with self.db.transaction(self.ours) as tx:
            return await self.secure.make(tx, ready)

    async def ask_first(self) -> Made:
        """Is this you? R130."""
        return await self.secure.invite(
            self.nurse,
            organisation=self.ours,
            mailbox=self.mailbox.id,
            address=PATIENT,
            sender=self.mailbox.address,
            sender_name="Asha Rao",
            organisation_name="Riverside Medical Practice",
            writer=EmailAddress.parse("secure-messages@riverside.example"),
            kind=Kind.CONFIRMATION,
        )

    def letter(self, text: str = "Your results are normal.", **given: object) -> bytes:
        to = given.pop("to", str(PATIENT))
        return compose(
            f"Asha Rao <{self.mailbox.address}>",
            to,  # type: ignore[arg-type]
            "Your blood test",
            text,
            date=self.clock.now(),
            message_id=f"{new_trace_id()}@riverside.example",
            **given,  # type: ignore[arg-type]
        )

    async def mail_to(self, address: EmailAddress = PATIENT) -> bytes:
        """The last letter that the portal queued for an address."""
        dispatch = next(one for one in reversed(self.queue.sent) if one.recipients[0].address == address)
        async with self.db.transaction(self.ours) as tx:
            row = await tx.one(
                "SELECT sealed, digest FROM object WHERE organisation_id = %s AND id = %s", [self.ours, dispatch.object]
            )
        return open_body(dispatch.key, self.ours, dispatch.object, row["sealed"], row["digest"])

    async def code(self, address: EmailAddress = PATIENT) -> str:
        raw = await self.mail_to(address)
        message = parse(raw)
        found = re.search(r"Your code is (\d{4}) (\d{4})", message.text(message.root))
        assert found is not None
        return found.group(1) + found.group(2)

    def browser(self, *, address: str = "192.0.2.77") -> AsgiBrowser:
        return AsgiBrowser(self.app, self.portal_url, address=address)

    def path(self, made: Made) -> str:
        return made.link.removeprefix(self.portal_url)

    async def begun(self, made: Made, browser: AsgiBrowser) -> Page:
        """The button pressed: the page that asks for the code."""
        page = await browser.post(self.path(made), {})
        assert page.status == 303, page.text
        return await browser.get(page.location)

    async def opened(
        self, made: Made, browser: AsgiBrowser, *, phrase: str | None = None, address: EmailAddress = PATIENT
    ) -> Page:
        """As a reader does it: button, code, phrase; the page with the message."""
        page = await self.begun(made, browser)
        at = str(page.tree.css_first("form").attributes["action"]).removesuffix("/code")
        page = await browser.post(f"{at}/code", {"csrf": page.proof(), "code": await self.code(address)})
        assert page.status == 303, page.text
        page = await browser.get(page.location)
        if phrase is not None:
            page = await browser.post(f"{at}/phrase", {"csrf": page.proof(), "phrase": phrase})
            page = await browser.get(page.location) if page.status == 303 else page
        return page

    async def inbox_of(self, mailbox: MailboxRecord) -> list[bytes]:
        return await self.bodies(mailbox)

    async def revoke(self, outgoing: int = 7, seqs: Sequence[int] | None = None) -> frozenset[int]:
        async with self.db.transaction(self.ours) as tx:
            return await self.secure.revoke(tx, self.nurse, self.ours, OutgoingId(outgoing), seqs)
