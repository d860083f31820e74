"""Considering: what would become of a message that somebody wants to send. Looks, and changes nothing.

Promises
    The same facts, cards and words for the preview of a page and for the send, at every door.
    Whom the message says it is from must be the sender's own or delegated to them, in the envelope and in the header
    (R82); a header that could be read in two ways is from nobody.
    A check that fails, a directory that does not answer: an unknown fact, and the cards hold or ask.
    At most `at_once` messages are considered at a time, each for a bounded time.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from ipaddress import IPv4Address

from carepost.audit.model import Actor
from carepost.base.address import Domain, EmailAddress
from carepost.base.clock import Clock
from carepost.base.errors import Broken, MailError, NotAllowed, NotPossible, TryLater
from carepost.base.ids import MailboxId, TraceId
from carepost.directory.access import OnMailbox, Verb
from carepost.directory.model import Found, MailboxKind, MailboxRecord, MailboxStatus, Unknown
from carepost.directory.service import Directory
from carepost.gateway.contents import Contents
from carepost.gateway.disclosure import DISCLOSURE, sensitivity_of
from carepost.gateway.examine import ExamineLimits, examine, failed, read
from carepost.gateway.model import Check, Connection, Envelope, Examination, Finding, Recipient, Via
from carepost.gateway.out.decide import OutboundDecks, Ruling, Spread, rule_outbound
from carepost.gateway.out.facts import RECIPIENTS, Destination, private_people
from carepost.gateway.out.files import CarriesFiles, WithoutFiles
from carepost.gateway.out.form import Names, faults, names, visible_keys
from carepost.gateway.out.looked import Looked, Seen
from carepost.gateway.out.outgoing import Consideration, OutDoor, Submission
from carepost.gateway.out.ports import LimitsSending, LooksAtRecipients, RecipientsAsked
from carepost.gateway.out.proof import unproved
from carepost.gateway.out.rules import AboutLinks, LooksUpRules, ServiceRulesOnly, needs_words
from carepost.gateway.rules import rule_findings
from carepost.mailauth.fields import split_message
from carepost.message.model import Message
from carepost.policy.outbound import Reach, Sensitivity
from carepost.policy.rules import OutgoingRules
from carepost.portal.model import Level

_LATER = "The message cannot be looked at just now. Nothing is lost and nothing was sent; please try again."
# Without these nobody has looked for what must not leave: the walk does not start.
INSISTS_ON = frozenset({"malware", "archives", "attachments", "structure", DISCLOSURE})
_NO_TRACE = TraceId("")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundLimits:
    """How much may be going on at once and for how long, and how many may see each other."""

    at_once: int = 32
    # A page waits for the preview, an SMTP client for its answer (RFC 5321 §4.5.3.2.6: ten minutes).
    total_seconds: float = 60.0
    examine: ExamineLimits = field(default_factory=lambda: ExamineLimits(check_seconds=20.0))
    # R151: so many private mailboxes may stand in one header, and then each gets a message of their own.
    private_visible_max: int = 5
    free_mail: frozenset[Domain] = frozenset()
    # Whether codes can be sent to telephones: a provider is set (L3).
    texts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Whom the message is from, and who sends it."""

    mailbox: MailboxRecord
    address: EmailAddress  # in From
    person: EmailAddress | None  # who does it, where that is not the mailbox itself

    @property
    def on_behalf(self) -> EmailAddress | None:
        """What belongs into Sender (RFC 5322 §3.6.2)."""
        return self.person if self.person is not None and self.person.key != self.mailbox.address.key else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Considered:
    """A consideration with what was read for it."""

    ruling: Ruling
    findings: tuple[Finding, ...]
    refusals: tuple[str, ...]
    sender: Sender | None
    message: Message | None
    destinations: tuple[Destination, ...]
    least: Level = Level.MAILBOX  # what readers of its links must prove at least

    @property
    def consideration(self) -> Consideration:
        return replace(self.ruling.consideration(self.findings, self.refusals), least=self.least)


@dataclass(frozen=True, slots=True, kw_only=True)
class Considering:
    directory: Directory
    checks: Sequence[Check]
    people: LooksAtRecipients
    limits: LimitsSending
    decks: OutboundDecks
    clock: Clock
    policy: OutboundLimits = field(default_factory=OutboundLimits)
    rules: LooksUpRules = field(default_factory=ServiceRulesOnly)
    files: CarriesFiles = field(default_factory=WithoutFiles)
    looked: Looked = field(default_factory=Looked)
    _slots: asyncio.Semaphore = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if missing := INSISTS_ON - {check.name for check in self.checks}:
            raise Broken("the outbound walk lacks checks that it must not be without", missing=sorted(missing))
        object.__setattr__(self, "_slots", asyncio.Semaphore(self.policy.at_once))

    async def consider(self, submission: Submission) -> Considered:
        """Raises NotAllowed when the person may not send from the mailbox, TryLater when it takes too long."""
        await self._allowed(submission, submission.mailbox)
        try:
            async with asyncio.timeout(self.policy.total_seconds), self._slots:
                return await self._consider(submission)
        except TimeoutError as error:
            raise TryLater(_LATER, cause="considering took too long") from error

    async def _consider(self, submission: Submission) -> Considered:
        wrong = [f"This message cannot be sent as it is. {fault.value}" for fault in faults(submission.raw)]
        sender, unlike = (None, []) if wrong else await self._sender(submission)
        refusals = [*wrong, *unlike, *self._too_many(submission)]
        if refusals or sender is None:
            return _refused(refusals, sender)
        carried = await self.files.look(submission.organisation, sender.mailbox.id, submission.raw)
        if carried.refusals:
            return _refused(carried.refusals, sender)
        seen = await self._look(submission, sender)
        message = seen.message
        destinations = await self._destinations(submission, sender)
        rules = await self.rules.of(submission.organisation)
        findings = [*seen.findings, *carried.findings]
        findings += rule_findings(findings, rules)
        findings += await self._about_people(submission, sender, message, destinations, findings, rules=rules)
        ruling = rule_outbound(
            self.decks,
            destinations,
            findings,
            submission.answers,
            asked_secure=submission.secure,
            require_tls=submission.require_tls,
        )
        ruling = await AboutLinks(rules=self.rules).ask(ruling, submission, rules, findings)
        return Considered(
            ruling=ruling,
            findings=tuple(findings),
            refusals=self._unproved(submission, ruling),
            least=Level.AGREED if needs_words(rules, findings) else Level.MAILBOX,
            sender=sender,
            message=message,
            destinations=tuple(destinations),
        )

    async def _look(self, submission: Submission, sender: Sender) -> Seen:
        """What the checks see in it; at the send that follows a preview, what they saw a moment ago."""
        now = self.clock.now()
        if (seen := self.looked.take(submission, now)) is not None:
            return seen
        message, contents = await read(submission.raw, self.policy.examine)
        examination = _examination(submission, sender, message, contents, now=now)
        findings = await examine(examination, self.checks, self.policy.examine)
        seen = Seen(message, contents, tuple(findings))
        self.looked.keep(submission, seen, self.clock.now())
        return seen

    def _unproved(self, submission: Submission, ruling: Ruling) -> tuple[str, ...]:
        today = self.clock.now().date()
        return tuple(unproved(submission, ruling.routes, texts=self.policy.texts, today=today))

    # --- who sends it -----------------------------------------------------------------------------------------------

    async def _allowed(self, submission: Submission, mailbox: MailboxId) -> None:
        if submission.person is None:
            if submission.door is not OutDoor.SYSTEM:
                raise NotAllowed("Nobody is signed in.")
            return
        actor = Actor.for_person(submission.person, submission.organisation, "")
        await self.directory.require(actor, Verb.MAILBOX_SEND, OnMailbox(mailbox, submission.organisation))

    async def _sender(self, submission: Submission) -> tuple[Sender | None, list[str]]:
        named = names(submission.raw)
        if named.fault or named.author is None:
            return None, [f"It does not say plainly whom it is from: {named.fault}."]
        mailbox = await self._own(submission, named.author)
        if mailbox is None:
            return None, [_not_yours(named.author)]
        person = await self._person(submission)
        wrong = []
        back = submission.reverse_path
        # The author's address has just been found to be theirs: most write with the same one on the envelope.
        other = None if back == named.author else back
        if other is not None and await self._own(submission, other, strict=submission.person is None) is None:
            wrong.append(_not_yours(other))
        if back is None and submission.door is not OutDoor.SYSTEM:
            wrong.append("It has no sender in its envelope. Only the service itself writes so.")
        if not _is_sender(named, mailbox, person):
            wrong.append(f"Its Sender field says {named.sender}, and that is not who sends it.")
        return Sender(mailbox=mailbox, address=named.author, person=person), wrong

    async def _own(self, submission: Submission, address: EmailAddress, *, strict: bool = True) -> MailboxRecord | None:
        """The mailbox with this address, if this person may send from it."""
        mailbox = await self.directory.mailbox_at(address)
        if mailbox is None or mailbox.organisation != submission.organisation:
            return None
        if mailbox.status is not MailboxStatus.OPEN:
            return None
        # A page has chosen the mailbox that it sends as; a mail program names it in From, and may name any of theirs.
        if strict and mailbox.id != submission.mailbox and submission.door is not OutDoor.SUBMISSION:
            return None
        if mailbox.id != submission.mailbox:  # that one was asked about before anything else
            try:
                await self._allowed(submission, mailbox.id)
            except NotAllowed:
                return None
        return mailbox

    async def _person(self, submission: Submission) -> EmailAddress | None:
        if submission.person is None:
            return None
        person = await self.directory.person(submission.organisation, submission.person)
        return person.address if person is not None else None

    def _too_many(self, submission: Submission) -> list[str]:
        if not submission.recipients:
            return ["It is for nobody. Name at least one recipient."]
        try:
            self.limits.refuse_too_many(len({one.address.key for one in submission.recipients}))
        except NotPossible as too_many:
            return [too_many.public]
        return []

    # --- whom it is for ---------------------------------------------------------------------------------------------

    async def _destinations(self, submission: Submission, sender: Sender) -> list[Destination]:
        unique = {one.address.key: one.address for one in submission.recipients}
        agreed: frozenset[str] = frozenset()
        with suppress(MailError):  # nobody has agreed, then: the stricter answer
            agreed = await self.people.agreed_to_plain(
                submission.organisation, sender.mailbox.id, list(unique.values())
            )
        found = [await self._destination(address) for address in unique.values()]
        return [
            Destination(
                address=one.address,
                reach=one.reach,
                mailbox=one.mailbox,
                organisation=one.organisation,
                because=one.because,
                agreed_to_plain=one.address.key in agreed,
                tls_exception=one.tls_exception,
            )
            for one in found
        ]

    async def _destination(self, address: EmailAddress) -> Destination:
        try:
            route = await self.directory.route(address, from_outside=False)
            if isinstance(route, Found):
                return Destination(
                    address=address, reach=Reach.INSIDE, mailbox=route.mailbox, organisation=route.organisation
                )
            if not isinstance(route, Unknown):
                return Destination(address=address, reach=Reach.CLOSED)
            if route.ours:
                return Destination(address=address, reach=Reach.NOBODY)
            verdict = await self.directory.is_secure(address.domain)
        except MailError:
            return Destination(address=address, reach=None, because="The directory does not answer.")
        reach = Reach.REGISTER if verdict.secure else Reach.OUTSIDE
        return Destination(address=address, reach=reach, because=verdict.because, tls_exception=verdict.tls_exception)

    async def _about_people(
        self,
        submission: Submission,
        sender: Sender,
        message: Message,
        to: Sequence[Destination],
        findings: Sequence[Finding],
        *,
        rules: OutgoingRules,
    ) -> list[Finding]:
        visible = visible_keys(split_message(submission.raw)[0])
        # Whoever the header shows counts, also those that this envelope is not for: a program may send to them apart.
        private = private_people(
            visible, self.policy.free_mail, most=min(self.policy.private_visible_max, rules.visible_private)
        )
        sensitivity = sensitivity_of(findings)
        asked = RecipientsAsked(
            organisation=submission.organisation,
            mailbox=sender.mailbox.id,
            sender=sender.address,
            message=message,
            recipients={one.address: one.reach for one in to},
            visible=visible,
            sensitive=None if sensitivity is None else sensitivity is not Sensitivity.NONE,
            attachments=any(part.is_attachment() for _, part in message.walk()),
            reply_all=submission.reply_all,
            answers=submission.answers_to,
            rules=rules,
        )
        try:
            async with asyncio.timeout(self.policy.examine.check_seconds):
                found = await self.people.look(asked)
        except Exception as error:  # noqa: BLE001 - what a check cannot do is a finding
            found = [failed(RECIPIENTS, type(error).__name__)]
        return [*found, private] if private is not None else list(found)


def _refused(refusals: Sequence[str], sender: Sender | None) -> Considered:
    nothing = Ruling(routes=(), questions=(), answered=(), refusals=(), spread=Spread.SHARED)
    return Considered(
        ruling=nothing, findings=(), refusals=tuple(refusals), sender=sender, message=None, destinations=()
    )


def _not_yours(address: EmailAddress) -> str:
    return (
        f"You may not send as {address}. Choose your own address, or one of a shared mailbox that you belong to; "
        "its owner or a local administrator can add you."
    )


def _is_sender(named: Names, mailbox: MailboxRecord, person: EmailAddress | None) -> bool:
    if named.sender is None:
        return True
    allowed = {mailbox.address.key, named.author.key if named.author else ""} | ({person.key} if person else set())
    return named.sender.key in allowed


def _examination(
    submission: Submission, sender: Sender, message: Message, contents: Contents, *, now: datetime
) -> Examination:
    return Examination(
        connection=_connection(submission),
        envelope=_envelope(submission, sender),
        message=message,
        contents=contents,
        raw=submission.raw,
        now=now,
    )


def _connection(submission: Submission) -> Connection:
    return Connection(
        client_ip=submission.client_ip or IPv4Address("127.0.0.1"),
        client_name=None,
        hello="",
        tls=None,
        via=Via.APPEND,
        local_name="",
    )


def _envelope(submission: Submission, sender: Sender) -> Envelope:
    """What the checks see: the sender's own mailbox stands for everybody, for they ask about the message alone."""
    return Envelope(
        trace=_NO_TRACE,
        reverse_path=submission.reverse_path,
        recipients=(
            Recipient(
                address=sender.address,
                mailbox=sender.mailbox.id,
                organisation=submission.organisation,
                shared=sender.mailbox.kind is MailboxKind.SHARED,
            ),
        ),
    )
