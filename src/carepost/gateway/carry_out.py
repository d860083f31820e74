"""Acting on a decision: the only code that moves a message. One transaction for everybody it is for.

Promises
    Either every copy is where its disposition says, with its verdict and its entry in the audit log, or nothing is and
    the sender still has the message.
    Sealing is done before the transaction begins; nothing in it waits for anything but the database.
    No notification is ever sent to the sender of a message, whatever becomes of it (P18): a refusal is said in the
    session, and everything else is between us and our own people.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

from carepost.audit.events import Event
from carepost.audit.events_mail import MailDelivered, MailHeld, MailRefused
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.errors import Broken
from carepost.base.ids import HeldId, MailboxId, OrganisationId
from carepost.gateway import repo
from carepost.gateway.arrivals import Arrival, note_arrivals
from carepost.gateway.decide import Ruling
from carepost.gateway.examine import aside
from carepost.gateway.model import Disposition, Examination, Finding
from carepost.gateway.stored import JUNKED, OUTSIDE, OUTSIDE_CARD, WARNED, stored_message
from carepost.gateway.verdict import SearchBy, details_for, findable, held_key_aad, seal_details
from carepost.infra import vault
from carepost.infra.db import Database, Transaction
from carepost.infra.vault import EdgeKey
from carepost.message.dsn import looks_like_dsn
from carepost.message.model import Message
from carepost.message.summary import summarise
from carepost.message.words import search_text
from carepost.policy.actions import Action
from carepost.store.model import SpecialUse
from carepost.store.objects import Delivery, Prepared, give_out, prepare_object, store_object

RELAY = Actor.job("relay")
_LAID = frozenset({Action.DELIVER, Action.WARN, Action.JUNK})


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinePolicy:
    """How long a message is held, and which cards hold what recipients may let through themselves (R136)."""

    held_for: timedelta = timedelta(days=30)  # NHSmail keeps quarantine for 15 to 30 days
    low_risk_cards: frozenset[str] = frozenset({"rejected-by-domain", "locked-archive", "broken", "sender-unclear"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an organisation's share of a message came to."""

    delivered: Mapping[MailboxId, Disposition]
    held: HeldId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CarryOut:
    db: Database
    audit: AuditTrail
    edge: EdgeKey
    policy: QuarantinePolicy = field(default_factory=QuarantinePolicy)

    async def carry_out(self, examination: Examination, findings: Sequence[Finding], ruling: Ruling) -> list[Outcome]:
        """Do what was decided. Returns after COMMIT; raises TryLater or Broken, and then nothing was done."""
        shares = _shares(ruling.dispositions)
        prepared = await self._prepare(examination, findings, ruling, shares)
        acting = next(iter(shares), None)
        # Organisations in the order of their numbers, here and everywhere: two messages never wait for one another.
        async with self.db.transaction(acting) as tx:
            intakes = {}
            for organisation, dispositions in shares.items():
                acting = await _act_for(tx, organisation, acting)
                intakes[organisation] = await _intakes(tx, organisation, dispositions)
            outcomes = []
            # Whatever is written goes out at once and is waited for once: the chain of audit is locked no longer.
            async with tx.pipeline():
                for organisation, dispositions in shares.items():
                    acting = await _act_for(tx, organisation, acting)
                    sealed = prepared.get(organisation)
                    share = _Share(organisation, dispositions, sealed, examination, findings, ruling)
                    outcomes.append(await self._do(tx, share, intakes[organisation]))
                for (organisation, dispositions), outcome in zip(shares.items(), outcomes, strict=True):
                    acting = await _act_for(tx, organisation, acting)
                    for event in _events(examination, dispositions, outcome):
                        await self.audit.record(tx, RELAY, event)
        return outcomes

    async def _prepare(
        self,
        examination: Examination,
        findings: Sequence[Finding],
        ruling: Ruling,
        shares: Mapping[OrganisationId, Sequence[Disposition]],
    ) -> dict[OrganisationId, Prepared]:
        """The message, sealed once for each organisation that gets or holds a copy."""
        organisations = [
            organisation
            for organisation, dispositions in shares.items()
            if any(one.action is not Action.REFUSE for one in dispositions)
        ]
        if not organisations:
            return {}

        def seal() -> dict[OrganisationId, Prepared]:
            stored = stored_message(
                examination.message,
                connection=examination.connection,
                envelope=examination.envelope,
                findings=findings,
                ruling=ruling,
            )
            return _sealed(stored, organisations)

        return await aside(len(examination.raw), seal)

    async def _do(self, tx: Transaction, share: "_Share", intakes: repo.Intakes) -> Outcome:
        at, trace = share.examination.now, share.examination.envelope.trace
        delivered, held = share.by_mailbox()
        if delivered or held:
            if share.prepared is None:
                raise Broken("a message was to be kept and had not been sealed", trace=trace)
            await store_object(tx, share.prepared, at=at)
        if delivered and share.prepared is not None:
            deliveries = [_delivery(one, intakes.mailboxes[mailbox]) for mailbox, one in delivered.items()]
            await give_out(tx, share.prepared, deliveries, trace=trace, at=at)
        await note_arrivals(tx, share.organisation, _arrivals(share, delivered, intakes.acting), at=at)
        await self._write_verdict(tx, share, intakes.organisation, at)
        held_id = None
        if held and share.prepared is not None:
            held_id = await self._hold(tx, share, share.prepared, held, intakes.organisation)
        return Outcome(delivered, held_id)

    async def _hold(
        self,
        tx: Transaction,
        share: "_Share",
        prepared: Prepared,
        held: Mapping[MailboxId, Disposition],
        public: bytes,
    ) -> HeldId:
        first = next(iter(held.values()))
        card = first.decision.card or "unnamed"
        return await repo.insert_held(
            tx,
            share.organisation,
            trace=share.examination.envelope.trace,
            object=prepared.id,
            wrapped=vault.seal_to(public, held_key_aad(share.organisation, prepared.id), prepared.key),
            size=prepared.size,
            at=share.examination.now,
            expires=share.examination.now + self.policy.held_for,
            risk="low" if card in self.policy.low_risk_cards and not first.decision.unsure else "high",
            card=card,
            card_version=first.decision.version or "0",
            unsure=first.decision.unsure,
            mailboxes=list(held),
        )

    async def _write_verdict(self, tx: Transaction, share: "_Share", public: bytes, at: datetime) -> None:
        examination, organisation = share.examination, share.organisation
        envelope, message = examination.envelope, examination.message
        authors = list(dict.fromkeys(author.address for author in message.authors()))[:10]
        details = details_for(
            share.dispositions,
            connection=examination.connection,
            envelope=envelope,
            findings=share.findings,
            ruling=share.ruling,
            authors=authors,
            message_id=message.message_id,
        )
        senders = [*authors, *([str(envelope.reverse_path)] if envelope.reverse_path else [])]
        known = [(SearchBy.SENDER, sender) for sender in senders]
        known += [(SearchBy.RECIPIENT, one.recipient.address.key) for one in share.dispositions]
        known += [(SearchBy.MESSAGE_ID, message.message_id)] if message.message_id else []
        tokens = dict.fromkeys((by.value, findable(by, value)) for by, value in known)
        await repo.insert_verdict(
            tx,
            organisation,
            share.dispositions,
            trace=envelope.trace,
            at=at,
            door=examination.connection.via.value,
            size=len(examination.raw),
            codes=sorted({finding.code for finding in share.findings}),
            details=seal_details(details, public=public, organisation=organisation, trace=envelope.trace),
            tokens=[(kind, self.edge.token(organisation, kind, value)) for kind, value in tokens],
        )


@dataclass(frozen=True, slots=True)
class _Share:
    """The recipients of one organisation."""

    organisation: OrganisationId
    dispositions: Sequence[Disposition]
    prepared: Prepared | None
    examination: Examination
    findings: Sequence[Finding]
    ruling: Ruling

    def by_mailbox(self) -> tuple[dict[MailboxId, Disposition], dict[MailboxId, Disposition]]:
        """(delivered, held). A mailbox that was named by two of its addresses gets one copy."""
        delivered: dict[MailboxId, Disposition] = {}
        held: dict[MailboxId, Disposition] = {}
        for one in self.dispositions:
            if one.action in _LAID:
                delivered.setdefault(one.recipient.mailbox, one)
            elif one.action is Action.HOLD:
                held.setdefault(one.recipient.mailbox, one)
        return delivered, held


async def _act_for(tx: Transaction, organisation: OrganisationId, acting: OrganisationId | None) -> OrganisationId:
    """Most messages are for one organisation: then there is nothing to switch, and a round trip is saved."""
    if organisation != acting:
        await tx.act_for(organisation)
    return organisation


async def _intakes(tx: Transaction, organisation: OrganisationId, dispositions: Sequence[Disposition]) -> repo.Intakes:
    return await repo.intakes(tx, organisation, sorted({one.recipient.mailbox for one in dispositions}))


def _shares(dispositions: Sequence[Disposition]) -> dict[OrganisationId, list[Disposition]]:
    ordered = sorted(dispositions, key=lambda one: one.recipient.organisation)
    return {organisation: list(of) for organisation, of in groupby(ordered, key=lambda one: one.recipient.organisation)}


def _sealed(message: Message, organisations: Sequence[OrganisationId]) -> dict[OrganisationId, Prepared]:
    summary, words = summarise(message), search_text(message)
    return {
        organisation: prepare_object(organisation, message.raw, summary=summary, words=words)
        for organisation in organisations
    }


def _arrivals(
    share: "_Share", delivered: Mapping[MailboxId, Disposition], acting: frozenset[MailboxId]
) -> list[Arrival]:
    """What its mailboxes answer or forward by themselves, never what went to Junk; and reports on mail of theirs."""
    is_report = share.examination.envelope.reverse_path is None and looks_like_dsn(share.examination.message)
    return [
        Arrival(
            mailbox=mailbox,
            trace=share.examination.envelope.trace,
            proved=share.ruling.facts.sender_proved is True,
            warned=one.action is Action.WARN and one.decision.card != OUTSIDE_CARD,
        )
        for mailbox, one in delivered.items()
        if (one.action is not Action.JUNK if mailbox in acting else is_report)
    ]


def _delivery(one: Disposition, intake: bytes) -> Delivery:
    match one.action:
        case Action.JUNK:
            return Delivery(one.recipient.mailbox, intake, SpecialUse.JUNK, (JUNKED,))
        case Action.WARN:
            keyword = OUTSIDE if one.decision.card == OUTSIDE_CARD else WARNED
            return Delivery(one.recipient.mailbox, intake, SpecialUse.INBOX, (keyword,))
        case _:
            return Delivery(one.recipient.mailbox, intake, SpecialUse.INBOX)


def _events(examination: Examination, dispositions: Sequence[Disposition], outcome: Outcome) -> list[Event]:
    trace = examination.envelope.trace
    events: list[Event] = []
    if outcome.delivered:
        mailbox, first = next(iter(outcome.delivered.items()))
        events.append(
            MailDelivered(
                trace=trace,
                recipients=len(outcome.delivered),
                mailbox=mailbox if len(outcome.delivered) == 1 else None,
                card=first.decision.card,
                action=first.action.value,
            )
        )
    held = [one for one in dispositions if one.action is Action.HOLD]
    if held:
        events.append(MailHeld(trace=trace, recipients=len(held), held=outcome.held, card=held[0].decision.card))
    refused = [one for one in dispositions if one.action is Action.REFUSE]
    if refused:
        events.append(MailRefused(trace=trace, recipients=len(refused), card=refused[0].decision.card))
    return events
