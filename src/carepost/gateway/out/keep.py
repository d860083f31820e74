"""Writing down what was considered: the message, its recipients, its questions, its verdict. Part of one transaction.

Promises
    Everything is sealed before the transaction begins; in it nothing waits for anything but the database.
    The message is stored once: the Sent copy and what waits are the same object, with Bcc kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from carepost.base.errors import Broken
from carepost.base.ids import MailboxId, OrganisationId, OutgoingId, TraceId
from carepost.gateway import repo
from carepost.gateway.examine import aside
from carepost.gateway.model import Finding
from carepost.gateway.out import repo as out_repo
from carepost.gateway.out.consider import Considered, Sender
from carepost.gateway.out.outgoing import (
    Answer,
    OutDoor,
    OutState,
    Question,
    RecipientState,
    Route,
    RouteFor,
    Submission,
)
from carepost.gateway.out.proof import about_patient, telephone_number
from carepost.gateway.out.repo import NewRecipient
from carepost.gateway.out.seal import OutDetails, OutRecipientDetails, Sealing, key_aad
from carepost.gateway.verdict import (
    FINDINGS_KEPT,
    Details,
    KeptFinding,
    KeptRecipient,
    SearchBy,
    findable,
    seal_details,
)
from carepost.infra import vault
from carepost.infra.db import Database, Transaction
from carepost.infra.vault import EdgeKey
from carepost.message.model import Message
from carepost.message.parse import parse
from carepost.message.summary import summarise
from carepost.message.words import search_text
from carepost.policy.actions import Action
from carepost.store.objects import Prepared, prepare_object

_IN_LINE_RECIPIENTS = 50  # sealing for one takes 0.1 ms; for more, a thread does it
_REFERENCES = 20  # of a long thread, the last few: what a reply quotes
_DONE = {
    Route.INSIDE: Action.SEND,
    Route.PORTAL: Action.PORTAL,
    Route.HOLD: Action.HOLD,
    Route.REFUSE: Action.REFUSE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Where a message stands once it is written down."""

    state: OutState
    release_at: datetime
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A message with everything that is written of it, sealed and ready."""

    organisation: OrganisationId
    trace: TraceId
    submission: Submission
    considered: Considered
    sender: Sender
    prepared: Prepared | None  # None: it is stored already
    wrapped: bytes
    details: bytes
    recipients: tuple[NewRecipient, ...]
    sealing: Sealing
    intake: bytes  # the sending mailbox's
    verdict: dict[str, object] = field(repr=False)

    @property
    def mailbox(self) -> MailboxId:
        return self.sender.mailbox.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    db: Database
    edge: EdgeKey

    async def prepare(
        self, submission: Submission, considered: Considered, raw: bytes, *, trace: TraceId, at: datetime
    ) -> Kept:
        """Seal all of it. Raises Broken when the mailbox or the organisation has no key."""
        sender = considered.sender
        if sender is None:
            raise Broken("a message from nobody was to be kept", trace=trace)
        organisation = submission.organisation
        public, intake = await self._intakes(organisation, sender.mailbox.id)

        def seal() -> Kept:
            message = parse(raw)
            prepared = prepare_object(organisation, raw, summary=summarise(message), words=search_text(message))
            return self._sealed(
                submission, considered, message, prepared, trace=trace, at=at, public=public, intake=intake
            )

        many = len(considered.ruling.routes) > _IN_LINE_RECIPIENTS
        return await aside(1 << 30 if many else len(raw), seal)

    async def prepare_again(
        self, submission: Submission, considered: Considered, raw: bytes, *, trace: TraceId, at: datetime
    ) -> Kept:
        """As `prepare`, for a message that is stored already."""
        sender = considered.sender
        if sender is None:
            raise Broken("a message from nobody was to be kept", trace=trace)
        public, intake = await self._intakes(submission.organisation, sender.mailbox.id)

        def seal() -> Kept:
            return self._sealed(
                submission, considered, parse(raw), None, trace=trace, at=at, public=public, intake=intake
            )

        return await aside(len(raw), seal)

    async def _intakes(self, organisation: OrganisationId, mailbox: MailboxId) -> tuple[bytes, bytes]:
        async with self.db.transaction(organisation) as tx:
            intakes = await repo.intakes(tx, organisation, [mailbox])
        return intakes.organisation, intakes.mailboxes[mailbox]

    def _sealed(
        self,
        submission: Submission,
        considered: Considered,
        message: Message,
        prepared: Prepared | None,
        *,
        trace: TraceId,
        at: datetime,
        public: bytes,
        intake: bytes,
    ) -> Kept:
        organisation, sender = submission.organisation, considered.sender
        if sender is None:
            raise Broken("a message from nobody was to be kept", trace=trace)
        sealing = Sealing(organisation, trace, public)
        wrapped = b""
        if prepared is not None:
            wrapped = vault.seal_to(public, key_aad(organisation, prepared.id), prepared.key)
        return Kept(
            organisation=organisation,
            trace=trace,
            submission=submission,
            considered=considered,
            sender=sender,
            prepared=prepared,
            wrapped=wrapped,
            details=sealing.details(_details(submission, considered, sender, message)),
            recipients=tuple(self._recipients(submission, considered.ruling.routes, sealing)),
            sealing=sealing,
            intake=intake,
            verdict=self._verdict(submission, considered, sender, message, trace=trace, at=at, public=public),
        )

    def _recipients(self, submission: Submission, routes: Sequence[RouteFor], sealing: Sealing) -> list[NewRecipient]:
        wanted = {one.address.key: one for one in submission.recipients}
        new = []
        for seq, one in enumerate(routes):
            asked = wanted[one.address.key]
            details = OutRecipientDetails(
                address=str(one.address), notify=tuple(sorted(asked.notify)), original=asked.original, says=one.says
            )
            new.append(
                NewRecipient(
                    seq=seq,
                    route=one.route,
                    state=RecipientState.WAITING,
                    card=one.decision.card,
                    version=one.decision.version,
                    unsure=one.decision.unsure,
                    least=one.least,
                    mailbox=one.mailbox,
                    organisation=one.organisation,
                    token=self._token(submission.organisation, SearchBy.RECIPIENT, one.address.key),
                    details=sealing.recipient(seq, details),
                )
            )
        return new

    async def write(self, tx: Transaction, kept: Kept, outcome: Outcome) -> OutgoingId:
        """The message and its recipients. Its object is stored before, in the same transaction."""
        if kept.prepared is None:
            raise Broken("a message that is stored already was to be kept again", trace=kept.trace)
        outgoing = await out_repo.insert(
            tx,
            kept.organisation,
            trace=kept.trace,
            mailbox=kept.mailbox,
            person=kept.submission.person,
            door=kept.submission.door.value,
            state=outcome.state.value,
            at=outcome.at,
            release_at=outcome.release_at,
            size=kept.prepared.size,
            object=kept.prepared.id,
            wrapped=kept.wrapped,
            details=kept.details,
        )
        await out_repo.insert_recipients(tx, kept.organisation, outgoing, kept.recipients, at=outcome.at)
        return outgoing

    async def ask(
        self, tx: Transaction, kept: Kept, outgoing: OutgoingId, questions: Sequence[Question], *, at: datetime
    ) -> None:
        for question in questions:
            await self._question(tx, kept, outgoing, question, None, at=at)

    async def note_answers(
        self,
        tx: Transaction,
        kept: Kept,
        outgoing: OutgoingId,
        answered: Sequence[tuple[Question, Answer]],
        *,
        at: datetime,
    ) -> None:
        for question, answer in answered:
            await self._question(tx, kept, outgoing, question, answer, at=at)

    async def _question(
        self,
        tx: Transaction,
        kept: Kept,
        outgoing: OutgoingId,
        question: Question,
        answer: Answer | None,
        *,
        at: datetime,
    ) -> None:
        await out_repo.insert_question(
            tx,
            kept.organisation,
            outgoing,
            card=question.card,
            version=question.version,
            unsure=question.unsure,
            at=at,
            answered_at=at if answer else None,
            person=kept.submission.person if answer else None,
            choice=answer.choice.value if answer else None,
            details=kept.sealing.question(question),
            reason=kept.sealing.reason(question.card, answer) if answer and answer.reason else None,
        )

    async def write_verdict(self, tx: Transaction, kept: Kept) -> None:
        """Last in its transaction but for the record: what was decided, for `why` and `trace`."""
        await out_repo.insert_verdict(tx, kept.organisation, **kept.verdict)

    def _verdict(
        self,
        submission: Submission,
        considered: Considered,
        sender: Sender,
        message: Message,
        *,
        trace: TraceId,
        at: datetime,
        public: bytes,
    ) -> dict[str, object]:
        organisation, routes = submission.organisation, considered.ruling.routes
        door = submission.door if submission.door is not OutDoor.PORTAL else OutDoor.SYSTEM
        details = _verdict_details(submission, considered, sender, message)
        known = [(SearchBy.SENDER, sender.address.key)]
        known += [(SearchBy.RECIPIENT, one.address.key) for one in routes]
        known += [(SearchBy.MESSAGE_ID, message.message_id)] if message.message_id else []
        known += [(SearchBy.REFERENCE, one) for one in message.references[-_REFERENCES:]]
        tokens = dict.fromkeys((by, findable(by, value)) for by, value in known)
        return {
            "trace": trace,
            "at": at,
            "door": door.value,
            "size": len(submission.raw),
            "codes": sorted({finding.code for finding in considered.findings}),
            "details": seal_details(details, public=public, organisation=organisation, trace=trace),
            "mailboxes": [one.mailbox if one.organisation == organisation else None for one in routes],
            "decided": [one.decision.action.value for one in routes],
            "actions": [_action(one).value for one in routes],
            "cards": [one.decision.card for one in routes],
            "versions": [one.decision.version for one in routes],
            "unsure": [one.decision.unsure for one in routes],
            "kinds": [by.value for by, _ in tokens],
            "tokens": [self._token(organisation, by, value) for by, value in tokens],
        }

    def _token(self, organisation: OrganisationId, by: SearchBy, value: str) -> bytes:
        return self.edge.token(organisation, by.value, findable(by, value))


def _action(one: RouteFor) -> Action:
    """What is done, which a sender's choice may have made another than what the card said."""
    return _DONE.get(one.route, one.decision.action)


def _details(submission: Submission, considered: Considered, sender: Sender, message: Message) -> OutDetails:
    back = submission.answers_to
    return OutDetails(
        sender=str(sender.address),
        sender_name=sender.mailbox.display_name,
        reverse_path=str(submission.reverse_path) if submission.reverse_path else "",
        person=str(sender.person) if sender.person else "",
        subject=message.subject,
        message_id=message.message_id or "",
        spread=considered.ruling.spread.value,
        envid=submission.envid,
        ret=submission.ret,
        require_tls=submission.require_tls,
        secure=submission.secure,
        passphrase=submission.passphrase,
        reply_all=submission.reply_all,
        undo_seconds=submission.undo_seconds,
        send_at=submission.send_at.timestamp() if submission.send_at else None,
        answers_to=(back.mailbox, back.folder, back.uid, back.was_bcc) if back else None,
        client=str(submission.client_ip or ""),
        agreed=submission.agreed.value,
        telephone=telephone_number(submission.telephone) if submission.telephone else None,
        patient=about_patient(considered.findings),
    )


def _verdict_details(submission: Submission, considered: Considered, sender: Sender, message: Message) -> Details:
    routes = considered.ruling.routes
    organisation = submission.organisation
    return Details(
        sender=str(submission.reverse_path) if submission.reverse_path else "",
        authors=(str(sender.address),),
        message_id=message.message_id or "",
        client=str(submission.client_ip or ""),
        hello="",
        tls="",
        recipients=tuple(_kept(one, organisation) for one in routes),
        findings=tuple(_finding(found) for found in considered.findings[:FINDINGS_KEPT]),
        facts=dict(routes[0].facts) if routes else {},
        person=str(sender.person) if sender.person else "",
    )


def _kept(one: RouteFor, organisation: OrganisationId) -> KeptRecipient:
    # Which mailbox of another organisation it is, is theirs to know.
    return KeptRecipient(
        address=str(one.address),
        mailbox=int(one.mailbox or 0) if one.organisation == organisation else 0,
        decided=one.decision.action.value,
        action=_action(one).value,
        card=one.decision.card,
        card_version=one.decision.version,
        unsure=one.decision.unsure,
        missing=one.decision.missing,
    )


def _finding(found: Finding) -> KeptFinding:
    return KeptFinding(found.code, found.weight, found.says, found.check)
