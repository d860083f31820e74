"""The outbound walk on a real database, with a queue, a portal and habits that remember what they were told."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from tests.fakes.gateway import FakeScanner
from tests.fakes.gateway_world import OPERATOR, GatewayWorld

from carepost.audit.model import Actor
from carepost.base.address import Domain, EmailAddress
from carepost.base.errors import NotPossible
from carepost.base.ids import MailboxId, OrganisationId, OutgoingId, PersonId
from carepost.delivery.dispatch import Dispatch
from carepost.directory.model import MailboxRecord
from carepost.directory.rules_keeping import RulesKeeping
from carepost.gateway.checks.attachments import attachments
from carepost.gateway.checks.outgoing import OutgoingCheckPolicy, outgoing_checks
from carepost.gateway.checks.structure import structure
from carepost.gateway.deck import shipped_care, shipped_outbound
from carepost.gateway.model import Check, Finding
from carepost.gateway.out.carry import Carrying
from carepost.gateway.out.change import Changing
from carepost.gateway.out.consider import Considering, OutboundLimits
from carepost.gateway.out.decide import OutboundDecks
from carepost.gateway.out.follow import Follow
from carepost.gateway.out.held import HeldMail
from carepost.gateway.out.keep import Keeping
from carepost.gateway.out.open import Opening
from carepost.gateway.out.outbound import Outbound
from carepost.gateway.out.outgoing import Answer, OutDoor, Question, Submission, Wanted
from carepost.gateway.out.ports import (
    Counting,
    LimitsSending,
    LinkWanted,
    LooksAtRecipients,
    MakesLinks,
    Notice,
    Queue,
    RecipientsAsked,
)
from carepost.gateway.out.post import Post
from carepost.gateway.out.release import Release
from carepost.gateway.out.view import OutgoingView
from carepost.infra.db import Transaction
from carepost.policy.rules import Chosen
from carepost.store.model import SpecialUse
from carepost.store.objects import open_body

FREE = frozenset({Domain("gmail.example")})
NHS = "943 476 5919"  # a number of the test range, with its check digit


@dataclass
class FakePeople:
    """Says what a test wants said of recipients."""

    finds: list[Finding] = field(default_factory=list)
    agreed: set[str] = field(default_factory=set)
    fails: Exception | None = None
    asked: list[RecipientsAsked] = field(default_factory=list)

    async def look(self, asked: RecipientsAsked) -> list[Finding]:
        self.asked.append(asked)
        if self.fails is not None:
            raise self.fails
        return list(self.finds)

    async def agreed_to_plain(
        self, organisation: OrganisationId, mailbox: MailboxId, addresses: Sequence[EmailAddress]
    ) -> frozenset[str]:
        return frozenset(self.agreed)


@dataclass
class FakeQueue:
    dispatches: list[Dispatch] = field(default_factory=list)
    fails: Exception | None = None
    still_here: set[int] = field(default_factory=set)

    async def enqueue(self, tx: Transaction, dispatch: Dispatch) -> object:
        if self.fails is not None:
            raise self.fails
        self.dispatches.append(dispatch)
        return None

    async def cancel(
        self, tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, seqs: Sequence[int] | None = None
    ) -> list[int]:
        return [seq for seq in seqs or () if seq in self.still_here]


@dataclass
class FakeLinks:
    made: list[LinkWanted] = field(default_factory=list)
    revoked: list[int] = field(default_factory=list)

    noticed_: list[int] = field(default_factory=list)

    async def prepare(self, wanted: LinkWanted) -> LinkWanted:
        return wanted

    async def noticed(self, tx: Transaction, organisation: OrganisationId, *rest: object) -> None:
        self.noticed_.append(rest[1])  # type: ignore[arg-type]

    async def make(self, tx: Transaction, wanted: LinkWanted) -> Notice:
        self.made.append(wanted)
        raw = f"From: {wanted.sender}\r\nTo: {wanted.address}\r\nSubject: A secure message\r\n\r\nSee the link.\r\n"
        return Notice(raw.encode(), wanted.sender)

    async def revoke(
        self, tx: Transaction, actor: Actor, organisation: OrganisationId, outgoing: OutgoingId, seqs: Sequence[int]
    ) -> frozenset[int]:
        self.revoked += seqs
        return frozenset(seqs)


@dataclass
class FakeHabits:
    """Limits, storms, prompts, and whom one has written to."""

    most: int = 500
    counted: int = 0
    too_many: str = ""
    storm: str = ""
    shown: list[str] = field(default_factory=list)
    answered: list[tuple[str, bool]] = field(default_factory=list)
    written: list[EmailAddress] = field(default_factory=list)

    def refuse_too_many(self, recipients: int) -> None:
        if recipients > self.most:
            raise NotPossible(f"{self.most} is the most.")

    async def count(self, *args: object) -> None:
        if isinstance(args[0], bytes):
            if self.storm:
                raise NotPossible(self.storm)
            return
        if self.too_many:
            raise NotPossible(self.too_many)
        self.counted += 1

    def conversation(self, references: Sequence[str], in_reply_to: str | None) -> bytes | None:
        return b"thread" if references else None

    async def note_sent(self, tx: Transaction, organisation: OrganisationId, *rest: object, **names: object) -> None:
        if len(rest) > 1:
            self.written += rest[1]  # type: ignore[arg-type]

    async def note_shown(
        self, tx: Transaction, organisation: OrganisationId, person: PersonId, rules: Iterable[str]
    ) -> None:
        self.shown += rules

    async def note_answered(
        self, tx: Transaction, organisation: OrganisationId, person: PersonId, rules: Iterable[str], *, changed: bool
    ) -> None:
        self.answered += [(rule, changed) for rule in rules]


class OutgoingWorld(GatewayWorld):
    """A practice (riverside.example), a pharmacy beside it in the same service, and a nurse who writes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.people_known, self.queue, self.links, self.habits = FakePeople(), FakeQueue(), FakeLinks(), FakeHabits()
        self.scanner = FakeScanner()
        self.rules = RulesKeeping(db=self.db, directory=self.directory, audit=self.audit, clock=self.clock)
        self.build()

    def build(self, checks: Sequence[Check] | None = None) -> None:
        if checks is None:
            checks = (*outgoing_checks(scanner=self.scanner), attachments(OutgoingCheckPolicy().blocked), structure())
        self.checks = checks
        counting = Counting(limits=self.habits, storms=self.habits, prompts=self.habits)
        self.post = Post(directory=self.directory, pages="https://mail.riverside.example")
        self.opening = Opening(db=self.db, keys=self.keys)
        self.follow = Follow(
            opening=self.opening, post=self.post, audit=self.audit, clock=self.clock, portal=[self.links]
        )
        self.view = OutgoingView(opening=self.opening, directory=self.directory, clock=self.clock)
        self.join(self.people_known, self.habits, counting, self.queue, self.links)

    def join(
        self,
        people: LooksAtRecipients,
        limits: LimitsSending,
        counting: Counting,
        queue: Queue,
        links: MakesLinks,
    ) -> None:
        opening, post = self.opening, self.post
        considering = Considering(
            directory=self.directory,
            checks=self.checks,
            people=people,
            limits=limits,
            decks=OutboundDecks(routes=shipped_outbound(), care=shipped_care()),
            clock=self.clock,
            policy=OutboundLimits(free_mail=FREE),
            rules=self.rules,
        )
        carrying = Carrying(
            edge=self.edge, audit=self.audit, queue=queue, links=links, host="mx.riverside.example", rules=self.rules
        )
        self.carrying = carrying
        changing = Changing(
            opening=opening, carrying=carrying, directory=self.directory, audit=self.audit, clock=self.clock
        )
        self.held_mail = HeldMail(changing=changing, post=post)
        self.outbound = Outbound(
            considering=considering,
            keeping=Keeping(db=self.db, edge=self.edge),
            opening=opening,
            counting=counting,
            post=post,
            audit=self.audit,
            clock=self.clock,
            changing=changing,
        )
        self.release = Release(
            opening=opening,
            carrying=carrying,
            directory=self.directory,
            post=post,
            written=self.habits,
            clock=self.clock,
        )

    async def disclaim(self, text: str, *, after: int = 0) -> None:
        await self.rules.set(OPERATOR, self.practice, Chosen(disclaimer=text), after=after, reason="a test")

    async def furnish(self) -> None:
        """People, a shared mailbox, a register entry."""
        await self.organisations.add_domain(OPERATOR, self.domain)
        self.practice = await self.organisation("A81001")
        self.pharmacy = await self.organisation("FA001")
        self.nurse, self.hers = await self.person(self.practice, "Nia Nurse")
        self.doctor, self.his = await self.person(self.practice, "Dan Doctor")
        self.pharmacist, self.theirs = await self.person(self.pharmacy, "Pam Pharmacist")
        await self.organisations.list_secure_domain(OPERATOR, Domain("trust.example"), source="a test")

    async def shared(self, address: str, *, owner: Actor) -> MailboxRecord:
        assert owner.person is not None
        await self.mailboxes.create_shared(
            OPERATOR,
            self.practice,
            address=EmailAddress.parse(address),
            display_name="Desk",
            owners=[owner.person],
            members=[owner.person],
        )
        found = await self.directory.mailbox_at(EmailAddress.parse(address))
        assert found is not None
        return found

    def submission(
        self,
        *to: str,
        raw: bytes | None = None,
        text: str = "Dear all,\r\nwe meet at nine.\r\n",
        subject: str = "A meeting",
        door: OutDoor = OutDoor.WEB,
        actor: Actor | None = None,
        mailbox: MailboxRecord | None = None,
        answers: Sequence[Answer] = (),
        bcc: Sequence[str] = (),
        **more: object,
    ) -> Submission:
        who, of = actor or self.nurse, mailbox or self.hers
        assert who.person is not None
        if raw is None:
            raw = self.letter(*to, of=of, text=text, subject=subject, bcc=bcc)
        return Submission(
            organisation=of.organisation,
            person=who.person,
            mailbox=of.id,
            reverse_path=of.address,
            recipients=tuple(Wanted(EmailAddress.parse(one)) for one in (*to, *bcc)),
            raw=raw,
            door=door,
            answers=tuple(answers),
            **more,  # type: ignore[arg-type]
        )

    def letter(
        self,
        *to: str,
        of: MailboxRecord | None = None,
        text: str = "Dear all,\r\nwe meet at nine.\r\n",
        subject: str = "A meeting",
        bcc: Sequence[str] = (),
        extra: str = "",
    ) -> bytes:
        folded = ",\r\n ".join(to)
        hidden = f"Bcc: {', '.join(bcc)}\r\n" if bcc else ""
        return (
            f"From: Nia Nurse <{(of or self.hers).address}>\r\nTo: {folded}\r\n{hidden}Subject: {subject}\r\n"
            f"Message-ID: <one@riverside.example>\r\n{extra}\r\n{text}"
        ).encode()

    async def later(self, seconds: float = 60) -> int:
        self.clock.advance(timedelta(seconds=seconds))
        return await self.release.run_due()

    async def sent_bytes(self, dispatch: Dispatch) -> bytes:
        """What the queue was given, opened with the key that it was given."""
        async with self.db.transaction(dispatch.organisation) as tx:
            row = await tx.one(
                "SELECT sealed, digest FROM object WHERE organisation_id = %(o)s AND id = %(i)s",
                {"o": dispatch.organisation, "i": dispatch.object},
            )
        return open_body(dispatch.key, dispatch.organisation, dispatch.object, row["sealed"], row["digest"])

    async def inbox(self, mailbox: MailboxRecord) -> list[bytes]:
        return await self.bodies(mailbox, SpecialUse.INBOX)

    async def sent(self, mailbox: MailboxRecord) -> list[bytes]:
        return await self.bodies(mailbox, SpecialUse.SENT)


def answered(question: Question, choice: object, reason: str = "") -> Answer:
    return Answer(question.card, choice, question.fingerprint, reason)  # type: ignore[arg-type]
