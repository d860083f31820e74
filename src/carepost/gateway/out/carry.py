"""Acting on the routes: the only code that moves a message of our own people on. One transaction for everybody.

Promises
    Inside copies are laid in exactly once, with the state of their recipient: both commit, or neither does.
    Bcc is in no form that leaves here; what goes to the portal or the queue is sealed before the transaction begins.
    Organisations are taken in the order of their numbers, as everywhere: two messages never wait for one another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby

from carepost.audit.events import Event
from carepost.audit.events_mail import MailDelivered
from carepost.audit.events_rules import DisclaimerLeftOut
from carepost.audit.events_smime import NotEncryptedHeld, SignatureLeftOut
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.address import EmailAddress
from carepost.base.errors import Broken
from carepost.base.ids import MailboxId, OrganisationId, TraceId
from carepost.delivery.dispatch import Dispatch, DispatchTo, Lane
from carepost.delivery.model import LeastTls
from carepost.gateway import repo
from carepost.gateway.arrivals import Arrival, note_arrivals
from carepost.gateway.examine import aside
from carepost.gateway.out import repo as out_repo
from carepost.gateway.out.copies import Form, forms, received_field, stamped
from carepost.gateway.out.decide import Spread
from carepost.gateway.out.encrypt import EncryptsMail, NobodyEncrypts, encrypted, held_words
from carepost.gateway.out.files import CarriesFiles, WithoutFiles
from carepost.gateway.out.open import OpenRecipient
from carepost.gateway.out.outgoing import OutDoor, RecipientState, Route
from carepost.gateway.out.ports import LinkWanted, MakesLinks, Queue
from carepost.gateway.out.repo import Change, StoredOutgoing
from carepost.gateway.out.rules import LooksUpRules, ServiceRulesOnly
from carepost.gateway.out.seal import OutDetails, OutOutcome, Sealing
from carepost.gateway.out.sign import NobodySigns, SignsMail, Unsigned, signed
from carepost.gateway.stored import without_pretence
from carepost.gateway.verdict import Details, KeptRecipient, SearchBy, findable, seal_details
from carepost.infra.db import Transaction
from carepost.infra.vault import EdgeKey
from carepost.message.edit import Disclaimed, Disclaimer, disclaim
from carepost.message.parse import parse
from carepost.message.smime_keys import KeyPair
from carepost.message.summary import summarise
from carepost.message.words import search_text
from carepost.policy.actions import Action
from carepost.policy.rules import OutgoingRules
from carepost.portal.model import Agreed
from carepost.store.correspondent_certificates import Unusable, Usable
from carepost.store.large_files import LargeFile
from carepost.store.model import MailboxRef
from carepost.store.objects import Delivery, Prepared, lay_in, prepare_object, store_object

RELEASE = Actor.job("release")
INSIDE_DOOR = "inside"  # by which mail of another organisation of ours comes in


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message that goes, opened."""

    organisation: OrganisationId
    row: StoredOutgoing
    details: OutDetails
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Inside:
    organisation: OrganisationId
    prepared: Prepared
    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Wire:
    prepared: Prepared
    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Added:
    """What is put under, for, or over what leaves."""

    under: Disclaimer | None
    files: Sequence[LargeFile]
    signer: KeyPair | Unsigned | None = field(repr=False)
    sealing: Mapping[str, Usable | Unusable] = field(repr=False)  # by the key of the address


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Every form of the message, sealed and ready to be written."""

    message: Message
    recipients: Mapping[int, OpenRecipient]
    inside: tuple[_Inside, ...]
    wire: tuple[_Wire, ...]
    links: tuple[Form, ...] = field(repr=False)
    ready: Mapping[int, object] = field(default_factory=dict, repr=False)  # what the portal has prepared
    files: Sequence[LargeFile] = ()  # too large for email
    left_out: Disclaimed | None = None  # why what leaves has no disclaimer
    unsigned: Unsigned | None = None  # why what leaves is not signed, though it should be
    unsealed: Mapping[int, Unusable] = field(default_factory=dict)  # whom it must be encrypted for, and cannot be


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What became of the recipients, and what is still to be recorded."""

    changes: tuple[Change, ...]
    events: tuple[tuple[OrganisationId, Event], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrying:
    edge: EdgeKey
    audit: AuditTrail
    queue: Queue
    links: MakesLinks
    host: str
    rules: LooksUpRules = field(default_factory=ServiceRulesOnly)
    files: CarriesFiles = field(default_factory=WithoutFiles)
    signs: SignsMail = field(default_factory=NobodySigns)
    encrypts: EncryptsMail = field(default_factory=NobodyEncrypts)

    async def load(self, message: Message, to: Sequence[OpenRecipient]) -> Load:
        """Seal every form that these recipients get. Holds nothing meanwhile."""
        # R146: under what leaves our systems, whatever wrote it; DKIM signs what this made, in the queue.
        under = _disclaimer(await self.rules.of(message.organisation))
        files = await self.files.of_outgoing(message.organisation, message.row.id)
        signer = await self.signs.signer(MailboxRef(message.row.mailbox, message.organisation))
        relayed = [one.address for one in to if one.row.route is Route.RELAY]
        sealing = await self.encrypts.certificates(message.organisation, relayed)
        added = _Added(under, files, signer, sealing)
        load = await aside(len(message.raw) * max(1, len(to) // 10), lambda: self._load(message, to, added))
        ready = {form.seqs[0]: await self.links.prepare(_wanted(load, form)) for form in load.links}
        return replace(load, ready=ready)

    def _load(self, message: Message, to: Sequence[OpenRecipient], added: _Added) -> Load:
        by_seq = {one.row.seq: one for one in to}
        received = received_field(
            host=self.host, trace=message.row.trace, at=message.row.release_at, door=message.row.door.value
        )
        inside: list[_Inside] = []
        wire: list[_Wire] = []
        links: list[Form] = []
        came_to: set[Disclaimed] = set()
        unsigned, unsealed = None, dict[int, Unusable]()
        for form in self._forms(message, by_seq):
            told = Form(self.files.told(form.raw, added.files), form.seqs)
            inside += self._inside(message, told, by_seq, received)
            relayed = tuple(seq for seq in form.seqs if by_seq[seq].row.route is Route.RELAY)
            linked = tuple(seq for seq in form.seqs if by_seq[seq].row.route is Route.PORTAL)
            if not relayed and not linked:
                continue
            leaving = form.raw
            if added.under is not None:
                leaving, done = disclaim(form.raw, added.under)
                came_to.add(done)
            if relayed:
                # R126: last of what changes it; DKIM, in the queue, signs the signed form.
                whole, unsigned = signed(leaving, added.signer)
                found = {seq: added.sealing.get(by_seq[seq].address.key) for seq in relayed}
                wire += self._wires(message.organisation, whole, found, unsealed, received)
            links += [Form(leaving, (seq,)) for seq in linked]
        return Load(
            message=message,
            recipients=by_seq,
            inside=tuple(inside),
            wire=tuple(wire),
            links=tuple(links),
            files=added.files,
            left_out=next(iter(sorted(came_to & _LEFT_OUT)), None),
            unsigned=unsigned,
            unsealed=unsealed,
        )

    def _wires(
        self,
        organisation: OrganisationId,
        raw: bytes,
        to: Mapping[int, Usable | Unusable | None],
        unsealed: dict[int, Unusable],
        received: bytes,
    ) -> list[_Wire]:
        """One form for each whom it is encrypted for, one for all others. Whom it cannot be for goes to `unsealed`."""
        leaving: dict[tuple[int, ...], bytes] = {}
        if plain := tuple(seq for seq, found in to.items() if found is None):
            leaving[plain] = raw
        for seq, found in to.items():
            if found is None:
                continue
            sealed = encrypted(raw, found)
            if isinstance(sealed, Unusable):
                unsealed[seq] = sealed
            else:
                leaving[(seq,)] = sealed
        return [
            _Wire(_prepared(organisation, stamped(form, received=received)), seqs) for seqs, form in leaving.items()
        ]

    def _forms(self, message: Message, by_seq: Mapping[int, OpenRecipient]) -> list[Form]:
        raw = without_pretence(message.raw, authserv_id=self.host)
        hidden = [seq for seq, one in by_seq.items() if one.row.route is not Route.INSIDE]
        addresses = {seq: one.address for seq, one in by_seq.items() if one.row.route in _MOVED}
        return forms(raw, addresses, Spread(message.details.spread), hidden)

    def _inside(
        self, message: Message, form: Form, by_seq: Mapping[int, OpenRecipient], received: bytes
    ) -> list[_Inside]:
        back = EmailAddress.parse(message.details.reverse_path) if message.details.reverse_path else None
        mine = [seq for seq in form.seqs if by_seq[seq].row.route is Route.INSIDE]
        shares: list[_Inside] = []
        for organisation, seqs in groupby(
            sorted(mine, key=lambda seq: (by_seq[seq].row.organisation or 0, seq)),
            key=lambda seq: by_seq[seq].row.organisation,
        ):
            if organisation is None:
                raise Broken("a recipient inside has no mailbox", trace=message.row.trace)
            raw = stamped(form.raw, received=received, reverse_path=back, final=True)
            shares.append(_Inside(organisation, _prepared(organisation, raw), tuple(seqs)))
        return shares

    async def carry(self, tx: Transaction, load: Load, *, at: datetime) -> Carried:
        """Do it. The transaction acts for the sender's organisation, has locked the message, and does so at the end."""
        message = load.message
        changes = [
            Change(seq, _AT_REST[one.row.route]) for seq, one in load.recipients.items() if one.row.route in _AT_REST
        ]
        for wire in load.wire:
            await self._enqueue(tx, load, wire, at=at)
            changes += [Change(seq, RecipientState.QUEUED) for seq in wire.seqs]
        for form in load.links:
            await self._link(tx, load, form, at=at)
            changes += [Change(seq, RecipientState.QUEUED) for seq in form.seqs]
        events: list[tuple[OrganisationId, Event]] = []
        if load.unsealed:
            changes += await self._held(tx, load)
            events += [(message.organisation, one) for one in _told_of_held(load)]
        if load.left_out is not None:
            events.append((message.organisation, DisclaimerLeftOut(trace=message.row.trace, why=load.left_out.value)))
        if load.unsigned is not None:
            events.append((message.organisation, SignatureLeftOut(trace=message.row.trace, why=load.unsigned.value)))
        for organisation, shares in groupby(
            sorted(load.inside, key=lambda share: share.organisation), key=lambda share: share.organisation
        ):
            if organisation != message.organisation:
                await tx.act_for(organisation)
            event = await self._lay(tx, load, list(shares), at=at)
            events.append((organisation, event))
            if organisation != message.organisation:
                await tx.act_for(message.organisation)
        changes += [Change(seq, RecipientState.DELIVERED) for share in load.inside for seq in share.seqs]
        return Carried(changes=tuple(changes), events=tuple(events))

    async def record(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        events: Sequence[tuple[OrganisationId, Event]],
        *,
        own: tuple[Actor, Event] | None = None,
    ) -> None:
        """The record, last, in the order of organisations. The transaction acts for `organisation` again at the end.

        `own`: who had it carried out, and what they did, in the record of `organisation`.
        """
        written = [(whose, RELEASE, event) for whose, event in events]
        written += [(organisation, *own)] if own is not None else []
        for whose, actor, event in sorted(written, key=lambda one: one[0]):
            if whose != organisation:
                await tx.act_for(whose)
            await self.audit.record(tx, actor, event)
            if whose != organisation:
                await tx.act_for(organisation)

    async def _held(self, tx: Transaction, load: Load) -> list[Change]:
        """R126: never in clear to whom mail is encrypted for. A person looks, and the sender reads why."""
        message = load.message
        public = (await repo.intakes(tx, message.organisation, [])).organisation
        sealing = Sealing(message.organisation, message.row.trace, public)
        return [
            Change(seq, RecipientState.HELD, sealing.outcome(seq, OutOutcome(says=held_words(unusable))))
            for seq, unusable in load.unsealed.items()
        ]

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _lay(self, tx: Transaction, load: Load, shares: Sequence[_Inside], *, at: datetime) -> Event:
        organisation, message = shares[0].organisation, load.message
        seqs = [seq for share in shares for seq in share.seqs]
        mailboxes = {seq: mailbox for seq in seqs if (mailbox := load.recipients[seq].row.mailbox) is not None}
        intakes = await repo.intakes(tx, organisation, sorted(set(mailboxes.values())))
        given: set[MailboxId] = set()
        for share in shares:
            deliveries = []
            for seq in share.seqs:
                mailbox = mailboxes[seq]
                if mailbox not in given:  # named by two of its addresses, it gets one copy
                    given.add(mailbox)
                    deliveries.append(Delivery(mailbox, intakes.mailboxes[mailbox]))
            if deliveries:
                await store_object(tx, share.prepared, at=at)
                await lay_in(tx, share.prepared, deliveries, trace=message.row.trace, at=at)
        await self.files.share(tx, organisation, message.row.id, load.files, sorted(given))
        arrived = [
            Arrival(mailbox=mailbox, trace=message.row.trace, proved=True, warned=False)
            for mailbox in sorted(given & intakes.acting)
        ]
        await note_arrivals(tx, organisation, arrived, at=at)
        if organisation != message.organisation:
            to = [load.recipients[seq] for seq in seqs]
            await self._verdict(tx, organisation, message, to, intakes.organisation, at=at)
        only = next(iter(mailboxes.values())) if len(mailboxes) == 1 else None
        return MailDelivered(trace=message.row.trace, recipients=len(given), mailbox=only, action=Action.DELIVER.value)

    async def _verdict(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        message: Message,
        to: Sequence[OpenRecipient],
        public: bytes,
        *,
        at: datetime,
    ) -> None:
        """What another organisation of ours keeps: its own recipients, and who wrote."""
        trace, details = message.row.trace, message.details
        kept = _theirs(details, to)
        known = [(SearchBy.SENDER, details.sender)]
        known += [(SearchBy.RECIPIENT, one.address.key) for one in to]
        known += [(SearchBy.MESSAGE_ID, details.message_id)] if details.message_id else []
        tokens = dict.fromkeys((by.value, findable(by, value)) for by, value in known)
        if await _has_verdict(tx, organisation, trace):
            return  # a second helping: a recipient who was let go, or sent to again
        await out_repo.insert_verdict(
            tx,
            organisation,
            trace=trace,
            at=at,
            door=INSIDE_DOOR,
            size=len(message.raw),
            codes=[],
            details=seal_details(kept, public=public, organisation=organisation, trace=trace),
            mailboxes=[one.row.mailbox for one in to],
            decided=[Action.DELIVER.value for _ in to],
            actions=[Action.DELIVER.value for _ in to],
            cards=[None for _ in to],
            versions=[None for _ in to],
            unsure=[False for _ in to],
            kinds=[kind for kind, _ in tokens],
            tokens=[self.edge.token(organisation, kind, value) for kind, value in tokens],
        )

    # --- over the wire, and by link -----------------------------------------------------------------------------------

    async def _enqueue(self, tx: Transaction, load: Load, wire: _Wire, *, at: datetime) -> None:
        message = load.message
        await store_object(tx, wire.prepared, at=at)
        to = [load.recipients[seq] for seq in wire.seqs]
        recipients = tuple(
            DispatchTo(
                seq=one.row.seq,
                address=one.address,
                least=one.row.least or LeastTls.VERIFIED,
                notify=frozenset(one.details.notify),
                original=one.details.original,
            )
            for one in to
        )
        back = EmailAddress.parse(message.details.reverse_path) if message.details.reverse_path else None
        await self._dispatch(tx, message, wire.prepared, recipients, back)

    async def _link(self, tx: Transaction, load: Load, form: Form, *, at: datetime) -> None:
        message, one = load.message, load.recipients[form.seqs[0]]
        notice = await self.links.make(tx, load.ready[one.row.seq])
        prepared = _prepared(message.organisation, notice.raw)
        await store_object(tx, prepared, at=at)
        # The notice holds nothing of the content (R117): TLS when it is offered is enough.
        recipient = DispatchTo(seq=one.row.seq, address=one.address, least=LeastTls.OPPORTUNISTIC)
        await self._dispatch(tx, message, prepared, (recipient,), notice.reverse_path)

    async def _dispatch(
        self,
        tx: Transaction,
        message: Message,
        prepared: Prepared,
        recipients: tuple[DispatchTo, ...],
        reverse_path: EmailAddress | None,
    ) -> None:
        details = message.details
        await self.queue.enqueue(
            tx,
            Dispatch(
                organisation=message.organisation,
                trace=message.row.trace,
                object=prepared.id,
                key=prepared.key,
                size=prepared.size,
                reverse_path=reverse_path,
                recipients=recipients,
                outgoing=message.row.id,
                envid=details.envid,
                ret=details.ret,
                require_tls=details.require_tls,
                smtputf8=_needs_utf8(message.raw, recipients, reverse_path),
                lane=Lane.BULK if message.row.door is OutDoor.SYSTEM else Lane.PERSON,
            ),
        )


_MOVED = frozenset({Route.INSIDE, Route.RELAY, Route.PORTAL})
_AT_REST = {Route.HOLD: RecipientState.HELD, Route.REFUSE: RecipientState.REFUSED}


_LEFT_OUT = frozenset({Disclaimed.SEALED, Disclaimed.NO_PLACE})


def _told_of_held(load: Load) -> list[Event]:
    """One for each reason."""
    whys = [one.why for one in load.unsealed.values()]
    trace = load.message.row.trace
    return [NotEncryptedHeld(trace=trace, recipients=whys.count(why), why=why) for why in dict.fromkeys(whys)]


def _disclaimer(rules: OutgoingRules) -> Disclaimer | None:
    if not rules.disclaimer.strip() or not rules.mark:
        return None
    return Disclaimer(text=rules.disclaimer, mark=rules.mark, version=str(rules.version))


def _wanted(load: Load, form: Form) -> LinkWanted:
    message, details, one = load.message, load.message.details, load.recipients[form.seqs[0]]
    return LinkWanted(
        organisation=message.organisation,
        mailbox=message.row.mailbox,
        sender=EmailAddress.parse(details.sender),
        sender_name=details.sender_name,
        outgoing=message.row.id,
        trace=message.row.trace,
        seq=one.row.seq,
        address=one.address,
        raw=form.raw,
        passphrase=details.passphrase,
        agreed=Agreed(details.agreed),
        telephone=details.telephone,
        patient=details.patient,
    )


def _prepared(organisation: OrganisationId, raw: bytes) -> Prepared:
    message = parse(raw)
    return prepare_object(organisation, raw, summary=summarise(message), words=search_text(message))


def _theirs(details: OutDetails, to: Sequence[OpenRecipient]) -> Details:
    return Details(
        sender=details.reverse_path,
        authors=(details.sender,),
        message_id=details.message_id,
        client="",
        hello="",
        tls="",
        recipients=tuple(
            KeptRecipient(
                address=str(one.address),
                mailbox=int(one.row.mailbox or 0),
                decided=Action.DELIVER.value,
                action=Action.DELIVER.value,
                card=None,
                card_version=None,
                unsure=False,
                missing=(),
            )
            for one in to
        ),
        findings=(),
        facts={},
    )


async def _has_verdict(tx: Transaction, organisation: OrganisationId, trace: TraceId) -> bool:
    return await repo.verdict(tx, organisation, trace) is not None


def _needs_utf8(raw: bytes, recipients: Sequence[DispatchTo], back: EmailAddress | None) -> bool:
    """RFC 6531 §3.4: an address or the header holds what is not ASCII."""
    head = raw[: raw.find(b"\r\n\r\n")] if b"\r\n\r\n" in raw else raw
    addresses = [str(one.address) for one in recipients] + [str(back or "")]
    return not head.isascii() or any(not one.isascii() for one in addresses)
