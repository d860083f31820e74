"""The outbound walk as the pages see it: keeps what it is given, and answers what a test told it to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from carepost.audit.model import Actor
from carepost.base.address import EmailAddress
from carepost.base.clock import Clock
from carepost.base.errors import NotPossible
from carepost.base.ids import MailboxId, OutgoingId, PersonId, TraceId, Uid
from carepost.directory.correspondents_model import Suggestion
from carepost.directory.repo_correspondents import DirectoryEntry
from carepost.gateway.out.outgoing import (
    Answer,
    Chip,
    Consideration,
    Draft,
    NeedsAnswers,
    OutDoor,
    OutgoingPage,
    OutgoingRecipient,
    OutgoingRow,
    OutState,
    Question,
    RecallReport,
    RecipientState,
    Route,
    RouteFor,
    Submission,
    Submitted,
)
from carepost.policy.actions import Action, Decision
from carepost.portal.model import AccessRequest, Kind, Level, RecipientRecord


@dataclass
class OutboundDesk:
    """Implements OutboundWalk, OutgoingLook, Suggestions and SecureDesk."""

    clock: Clock
    routes: dict[str, Route] = field(default_factory=dict)  # address -> route; INSIDE otherwise
    questions: list[Question] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    least: Level = Level.MAILBOX
    fails: Exception | None = None
    submitted: list[Submission] = field(default_factory=list)
    rows: list[OutgoingRow] = field(default_factory=list)
    done: list[tuple[str, object]] = field(default_factory=list)
    draft: Draft | None = None
    seen_by: set[PersonId | None] | None = None  # None: by everybody
    report: RecallReport = field(default_factory=lambda: RecallReport(()))
    suggestions: list[Suggestion] = field(default_factory=list)
    listed: dict[str, DirectoryEntry] = field(default_factory=dict)
    records: list[RecipientRecord] = field(default_factory=list)
    asking: list[AccessRequest] = field(default_factory=list)

    async def consider(self, submission: Submission) -> Consideration:
        if self.fails is not None:
            raise self.fails
        answered = [(q, a) for q in self.questions if (a := q.is_answered_by(submission.answers)) is not None]
        return Consideration(
            routes=tuple(self._route(one.address) for one in submission.recipients),
            questions=tuple(q for q in self.questions if q not in [asked for asked, _ in answered]),
            refusals=tuple(self.refusals),
            findings=(),
            answered=tuple(answered),
            least=self.least,
        )

    def _route(self, address: EmailAddress) -> RouteFor:
        route = self.routes.get(str(address), Route.INSIDE)
        return RouteFor(
            address=address,
            route=route,
            chip=Chip.INSIDE if route is Route.INSIDE else Chip.OUTSIDE,
            decision=Decision(action=Action.DELIVER, card=None, version=None),
            says="A rule says so.",
        )

    async def submit(self, submission: Submission) -> Submitted | NeedsAnswers:
        considered = await self.consider(submission)
        if not considered.may_leave:
            return NeedsAnswers(considered)
        self.submitted.append(submission)
        release_at = submission.send_at or self.clock.now() + timedelta(seconds=10)
        return Submitted(OutgoingId(len(self.submitted)), TraceId("T1"), release_at, asked=False)

    async def answer(self, actor: Actor, outgoing: OutgoingId, answers: Sequence[Answer]) -> Submitted | NeedsAnswers:
        self.done.append(("answer", tuple(answers)))
        if any(q.is_answered_by(answers) is None for q in self.questions):
            return NeedsAnswers(Consideration(routes=(), questions=tuple(self.questions), refusals=(), findings=()))
        return Submitted(outgoing, TraceId("T1"), self.clock.now(), asked=False)

    async def undo(self, actor: Actor, outgoing: OutgoingId) -> Draft:
        self.done.append(("undo", outgoing))
        if self.draft is None:
            raise NotPossible("It has left already.")
        return self.draft

    cancel = undo

    async def resend(self, actor: Actor, outgoing: OutgoingId, seq: int, *, by_link: bool = False) -> None:
        self.done.append(("link" if by_link else "resend", seq))

    async def recall(
        self, actor: Actor, outgoing: OutgoingId, recipients: Sequence[EmailAddress] | None = None
    ) -> RecallReport:
        self.done.append(("recall", tuple(str(one) for one in recipients or ())))
        return self.report

    async def page(
        self, actor: Actor, mailbox: MailboxId, *, after: OutgoingId | None = None, limit: int = 50
    ) -> OutgoingPage:
        return OutgoingPage([row for row in self.rows if row.mailbox == mailbox][:limit], None)

    async def get(self, actor: Actor, outgoing: OutgoingId) -> OutgoingRow:
        for row in self.rows:
            if row.id == outgoing and (self.seen_by is None or actor.person in self.seen_by):
                return row
        raise NotPossible("There is no such message, or it is not yours to see.")

    async def by_trace(self, actor: Actor, mailbox: MailboxId, trace: TraceId) -> OutgoingId | None:
        return next((row.id for row in self.rows if row.mailbox == mailbox and row.trace == trace), None)

    async def not_delivered(self, actor: Actor, mailbox: MailboxId) -> list[OutgoingRow]:
        return [row for row in self.rows if row.mailbox == mailbox and any(one.is_on_tray for one in row.recipients)]

    async def tray(self, actor: Actor, mailbox: MailboxId) -> int:
        return len(await self.not_delivered(actor, mailbox))

    async def clear(self, actor: Actor, outgoing: OutgoingId, seq: int) -> None:
        self.done.append(("clear", seq))

    async def suggest(self, actor: Actor, mailbox: object, prefix: str, limit: int = 10) -> list[Suggestion]:
        return [one for one in self.suggestions if one.name.lower().startswith(prefix.lower())][:limit]

    async def record(self, organisation: object, outgoing: OutgoingId) -> list[RecipientRecord]:
        return self.records

    async def requests(self, organisation: object, outgoing: OutgoingId) -> list[AccessRequest]:
        return self.asking

    async def extend(
        self, actor: Actor, organisation: object, outgoing: OutgoingId, seq: int, *, until: datetime
    ) -> None:
        self.done.append(("extend", (seq, until)))

    async def settle(
        self, actor: Actor, organisation: object, message: object, request: object, *, approve: bool
    ) -> None:
        self.done.append(("settle", (message, request, approve)))

    async def invite(
        self,
        actor: Actor,
        access: object,
        address: EmailAddress,
        *,
        sender_name: str,
        organisation_name: str,
        kind: Kind = Kind.INVITATION,
    ) -> None:
        deed = "ask first" if kind is Kind.CONFIRMATION else "invite"
        self.done.append((deed, (str(address), sender_name)))

    async def entries(self, addresses: Sequence[EmailAddress]) -> dict[str, DirectoryEntry]:
        return {one.key: entry for one in addresses if (entry := self.listed.get(one.key)) is not None}

    async def forget(self, actor: Actor, mailbox: object, address: EmailAddress) -> None:
        self.done.append(("forget", str(address)))


def outgoing_row(
    at: datetime, mailbox: MailboxId, *states: RecipientState, state: OutState, number: int = 1
) -> OutgoingRow:
    """A message to one outsider for each state."""
    recipients = tuple(
        OutgoingRecipient(
            seq=seq,
            address=EmailAddress.parse(f"p{seq}@gmail.example"),
            route=Route.PORTAL,
            state=one,
            says="Their mail system says that there is no such mailbox." if one is RecipientState.FAILED else "",
            card=None,
            changed_at=at,
            opened_at=at if one is RecipientState.OPENED else None,
        )
        for seq, one in enumerate(states)
    )
    return OutgoingRow(
        id=OutgoingId(number),
        trace=TraceId(f"T{number}"),
        mailbox=mailbox,
        person=None,
        door=OutDoor.WEB,
        state=state,
        subject="Your results",
        submitted_at=at,
        release_at=at + timedelta(seconds=10),
        settled_at=None,
        recipients=recipients,
    )


def draft_at(mailbox: MailboxId, folder: int, uid: int) -> Draft:
    return Draft(raw=b"", mailbox=mailbox, folder=folder, uid=Uid(uid))  # type: ignore[arg-type]
