"""A practice with people, mail and both web sites on a real database: the whole house but for its sockets."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from tests.fakes.asgi_browser import AsgiBrowser
from tests.fakes.gateway import DECK
from tests.fakes.gateway_world import OPERATOR, GatewayWorld
from tests.fakes.held_desk import HeldMailDesk
from tests.fakes.large_files import FakePieceScanner, kept_by, looked_at_by
from tests.fakes.mail_certificates import Authority
from tests.fakes.outbound_desk import OutboundDesk

from carepost.audit.model import Actor
from carepost.base.address import EmailAddress
from carepost.base.ids import OrganisationId
from carepost.directory.autoreply import Autoreplies
from carepost.directory.correspondents import Correspondents
from carepost.directory.forwarding import Forwardings
from carepost.directory.model import MailboxRecord, Role
from carepost.directory.register_keeping import RegisterKeeping
from carepost.directory.rules_keeping import RulesKeeping
from carepost.directory.tls_exceptions import TlsExceptions
from carepost.directory.wording import Wordings
from carepost.gateway.checks.attachments import attachments
from carepost.gateway.checks.malware import Floor, malware
from carepost.gateway.files.names import BlockPolicy
from carepost.gateway.opened import OpenedLook
from carepost.governance.acceptable_use import AcceptableUse, first_text
from carepost.identity.accounts import Accounts
from carepost.identity.app_passwords import AppPasswords
from carepost.identity.code_step import CodeStep
from carepost.identity.factors import code_at
from carepost.identity.model import ClientFacts, NeedsSecondFactor, SessionToken
from carepost.identity.password_step import PasswordStep
from carepost.identity.passwords import HashingPolicy, PasswordHashing
from carepost.identity.second_factors import SecondFactors
from carepost.identity.service import SignIn
from carepost.identity.sessions import Sessions
from carepost.identity.tries import Tries
from carepost.infra.db import Database
from carepost.message.smime_model import Trust
from carepost.store.certificates import MailCertificates
from carepost.store.filing import Filing
from carepost.store.model import SpecialUse
from carepost.store.search import MailSearch
from carepost.web.admin.rooms import AdminRooms
from carepost.web.mail.rooms import MailRooms
from carepost.web.mail.sealed import SealedMail
from carepost.web.model import WebPolicy
from carepost.web.site import SiteIdentity, SiteRooms, Sites, build
from carepost.web.writing.file_desk import FilesDesk
from carepost.web.writing.rooms import WritingRooms

PASSWORD = "copper-lantern-walks"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
QUICK = HashingPolicy(memory_kib=64, passes=1, concurrent=2)
MAIL_AUTHORITY = Authority("Health Mail Authority", 71)
PAGES, CONTENT = "https://mail.riverside.example", "https://content.riverside.example"


@dataclass
class WebPerson:
    """Somebody with a password and a second factor, who has accepted the policy unless told otherwise."""

    actor: Actor
    mailbox: MailboxRecord

    @property
    def address(self) -> str:
        return str(self.mailbox.address)


@dataclass
class WebWorld(GatewayWorld):
    pages_origin: str = PAGES
    content_origin: str = CONTENT
    people_by_name: dict[str, WebPerson] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        db, audit, clock, directory = self.db, self.audit, self.clock, self.directory
        hasher = PasswordHashing(self.edge, QUICK)
        tries = Tries(audit=audit, clock=clock, pepper=self.edge)
        self.factors = SecondFactors(seal=self.keys, people=self.people, audit=audit, clock=clock)
        self.sessions = Sessions(db=db, audit=audit, clock=clock, directory=directory)
        self.accounts = Accounts(db=db, audit=audit, clock=clock, directory=directory, hashing=hasher)
        self.app_passwords = AppPasswords(db=db, audit=audit, clock=clock, directory=directory, pepper=self.edge)
        self.acceptable_use = AcceptableUse(db=db, audit=audit, clock=clock, people=self.people)
        self.sign_in = SignIn(
            password_step=PasswordStep(db=db, clock=clock, hashing=hasher, tries=tries),
            code_step=CodeStep(db=db, clock=clock, tries=tries, factors=self.factors, sessions=self.sessions),
        )
        self.filing = Filing(db=db, keys=self.keys, audit=audit, clock=clock)
        self.search = MailSearch(db=db, keys=self.keys, clock=clock)
        self.desk = OutboundDesk(clock)
        self.correspondents = Correspondents(
            db=db, directory=directory, keys=self.keys, edge=self.edge, audit=audit, clock=clock
        )
        self.autoreplies = Autoreplies(
            db=db, directory=directory, keys=self.keys, edge=self.edge, audit=audit, clock=clock
        )
        self.forwardings = Forwardings(db=db, directory=directory, keys=self.keys, audit=audit, clock=clock)
        self.sites = self.build_sites()

    def build_sites(self, **policy: object) -> Sites:
        self.certificates = MailCertificates(
            db=self.db,
            keys=self.keys,
            directory=self.directory,
            audit=self.audit,
            clock=self.clock,
            trust=Trust((MAIL_AUTHORITY.certificate,)),
        )
        checks = (malware(Floor(), None), attachments(BlockPolicy()))
        sealed = SealedMail(certificates=self.certificates, look=OpenedLook(checks=checks, clock=self.clock))
        mail = MailRooms(
            folders=self.folders,
            messages=self.messages,
            filing=self.filing,
            search=self.search,
            quarantine=self.quarantine,
            trace=self.trace,
            deck=DECK,
            clock=self.clock,
            sealed=sealed,
        )
        identity = SiteIdentity(
            sign_in=self.sign_in,
            sessions=self.sessions,
            accounts=self.accounts,
            app_passwords=self.app_passwords,
            acceptable_use=self.acceptable_use,
        )
        rooms = SiteRooms(
            identity=identity,
            directory=self.directory,
            mail=mail,
            clock=self.clock,
            secret=b"s" * 32,
            is_ready=self._ready,
            writing=self.writing_rooms(mail),
            correspondents=self.correspondents,
            autoreplies=self.autoreplies,
            forwardings=self.forwardings,
            admin=self.admin_rooms(),
        )
        given = {
            "web_origin": self.pages_origin,
            "content_origin": self.content_origin,
            "service_desk": "0300 555 0100",
        }
        return build(WebPolicy(**(given | policy)), rooms)

    def admin_rooms(self) -> AdminRooms:
        on = {"db": self.db, "directory": self.directory, "audit": self.audit, "clock": self.clock}
        self.exceptions, self.rules = TlsExceptions(**on), RulesKeeping(**on)
        self.held = HeldMailDesk(self.clock)
        return AdminRooms(register=RegisterKeeping(**on), exceptions=self.exceptions, rules=self.rules, held=self.held)

    def writing_rooms(self, mail: MailRooms) -> WritingRooms:
        wordings = Wordings(db=self.db, directory=self.directory, seals=self.keys, audit=self.audit, clock=self.clock)
        return WritingRooms(
            mail=mail,
            outbound=self.desk,
            look=self.desk,
            suggestions=self.desk,
            links=self.desk,
            wordings=wordings,
            files=FilesDesk(files=kept_by(self), look=looked_at_by(kept_by(self), FakePieceScanner())),
        )

    async def large_file(self, mailbox: MailboxRecord, content: bytes = b"a large file") -> str:
        """The name of a file that this mailbox may send."""
        files = kept_by(self)

        async def octets() -> AsyncIterator[bytes]:
            yield content

        file = await files.begin(mailbox.organisation, mailbox.id, "scan.mp4", "video/mp4", len(content))
        await files.take(file, 0, octets())
        whole = await files.get(file.organisation, file.name)
        assert whole is not None
        return (await looked_at_by(files, FakePieceScanner()).look(whole)).name

    async def _ready(self) -> bool:
        async with self.db.transaction() as tx:
            await tx.all("SELECT 1")
        return True

    async def founded(self) -> "WebWorld":
        await self.organisations.add_domain(OPERATOR, self.domain)
        await self.acceptable_use.publish(OPERATOR, first_text())
        return self

    async def web_person(
        self, organisation: OrganisationId, name: str, *roles: Role, accepts: bool = True
    ) -> WebPerson:
        actor, mailbox = await self.person(organisation, name, *roles)
        assert actor.person is not None
        await self.accounts.set_password(OPERATOR, organisation, actor.person, PASSWORD)
        await self.factors.preset(self.db, OPERATOR, organisation, actor.person, SECRET)
        if accepts:
            await self.acceptable_use.accept(actor, 1, client="a test")
        self.people_by_name[name] = WebPerson(actor, mailbox)
        return self.people_by_name[name]

    async def shared(
        self, organisation: OrganisationId, name: str, *owners: WebPerson, members: Sequence[WebPerson] = ()
    ) -> MailboxRecord:
        made = await self.mailboxes.create_shared(
            OPERATOR,
            organisation,
            address=EmailAddress(name.lower().replace(" ", "."), self.domain),
            display_name=name,
            owners=[owner.actor.person for owner in owners if owner.actor.person],
            members=[member.actor.person for member in members if member.actor.person],
        )
        mailbox = await self.directory.mailbox(organisation, made.mailbox)
        assert mailbox is not None
        return mailbox

    def code(self) -> str:
        """The code of a later half minute, so that no step is used twice."""
        self.clock.advance(timedelta(seconds=60))
        return code_at(SECRET, self.clock.now())

    async def session_of(self, person: WebPerson, *, shared_computer: bool = False) -> str:
        """The token of a new session."""
        facts = ClientFacts(address=None, name="Firefox on Windows")
        first = await self.sign_in.begin(person.address, PASSWORD, facts)
        assert isinstance(first, NeedsSecondFactor), first
        token = await self.sign_in.second_factor(first.ticket, self.code(), facts, shared_computer=shared_computer)
        assert isinstance(token, SessionToken), token
        return token.token

    def browser(self, token: str | None = None) -> AsgiBrowser:
        """A client of the pages, signed in with `token`; follows nothing by itself."""
        secure = self.pages_origin.startswith("https")
        cookies = {("__Host-" if secure else "") + "session": token} if token else {}
        return AsgiBrowser(self.sites.pages, self.pages_origin, cookies)

    def content_browser(self) -> AsgiBrowser:
        return AsgiBrowser(self.sites.content, self.content_origin)

    async def inbox(self, mailbox: MailboxRecord) -> int:
        return await self.folder(mailbox, SpecialUse.INBOX)

    async def folder(self, mailbox: MailboxRecord, use: SpecialUse) -> int:
        return next(view.id for view in await self.folders.all(mailbox) if view.special_use is use)

    async def letter(self, mailbox: MailboxRecord, raw: bytes, *, flags: int = 0) -> int:
        """Laid into the inbox as a mail program would; its UID."""
        laid = await self.filing.append(mailbox, await self.inbox(mailbox), raw, flags=flags)
        return int(laid.uid)


async def build_web_world(db: Database, relay_db: Database, **given: object) -> WebWorld:
    world = WebWorld(db, relay_db, **given)
    return await world.founded()


__all__ = ["PASSWORD", "SECRET", "WebPerson", "WebWorld", "build_web_world"]
