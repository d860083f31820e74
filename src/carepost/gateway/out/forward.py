"""Forwarding, done: a copy of what arrives is sent on to where it was allowed to go. R162.

Promises
    The mailbox keeps the message. The copy goes inside, or to a domain that is on the register at this moment, over
    verified TLS; the moment that it is not, the forwarding stops and its people are told.
    What a card warns of is not sent on, nor what lies in Junk or is held, nor reports (their reverse-path is null).
    Nothing goes round: what has been in the mailbox before, or has been forwarded too often, stays where it is.
    Its reverse-path is the mailbox's own address: SPF passes, failures come back to the mailbox, and whoever wrote the
    message is told nothing by us (P18).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from carepost.audit.events_automatic import MailForwarded
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.address import EmailAddress
from carepost.base.errors import NotPossible
from carepost.base.ids import DeliveryId, OrganisationId, TraceId, new_trace_id
from carepost.delivery.dispatch import Dispatch, DispatchTo, Lane, Settled, Settlement
from carepost.delivery.model import LeastTls
from carepost.directory.forwarding import Forwarding, Forwardings
from carepost.directory.model import Found, MailboxRecord
from carepost.directory.service import Directory
from carepost.gateway import repo
from carepost.gateway.arrivals import Arrival, note_arrivals
from carepost.gateway.arrived import Arrived, Deed
from carepost.gateway.examine import aside
from carepost.gateway.out.copies import received_field
from carepost.gateway.out.forward_letters import could_not_be_sent_on, is_over
from carepost.gateway.out.ports import Queue
from carepost.gateway.out.post import Inbox, Post
from carepost.gateway.stored import NOTICE, OUTSIDE
from carepost.infra.db import Transaction
from carepost.mailauth.fields import split_message
from carepost.message.compose import header_field
from carepost.message.model import Message
from carepost.message.parse import parse
from carepost.message.summary import summarise
from carepost.message.words import search_text
from carepost.store.model import SpecialUse
from carepost.store.objects import Delivery, Prepared, lay_in, prepare_object, store_object

_JOB = Actor.job("forwarding")
_OURS = b"x-carepost-"
_OVER = "Its year is over."


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardPolicy:
    # So many mailboxes may have sent it on before: two or three are a chain of duties, more is a circle.
    hops_max: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwards:
    """Implements Act, and the delivery queue's Follower for what was sent on."""

    directory: Directory
    forwardings: Forwardings
    queue: Queue
    post: Post
    audit: AuditTrail
    host: str
    policy: ForwardPolicy = field(default_factory=ForwardPolicy)

    async def prepare(self, arrived: Arrived) -> Deed | None:
        mailbox = arrived.mailbox
        async with self.forwardings.db.transaction(mailbox.organisation) as tx:
            rule = await self.forwardings.in_force(tx, mailbox)
            own = await self.forwardings.own_addresses(tx, mailbox) if rule else ()
        if rule is None or arrived.arrival.warned or arrived.reverse_path is None:
            return None
        if _went_round(arrived.message, own, self.policy.hops_max):
            return None
        try:
            await self.forwardings.refuse_unsafe(mailbox, rule.address)
        except NotPossible as error:
            return partial(self._stop, rule, mailbox, error.public)
        found = await self.directory.route(rule.address, from_outside=False)
        if isinstance(found, Found):
            send = await self._inside(arrived, rule, found)
        else:
            send = await self._outside(arrived, rule)
        return partial(self._send, mailbox, rule, send)

    async def _send(self, mailbox: MailboxRecord, rule: Forwarding, send: Deed, tx: Transaction) -> None:
        """Unless somebody has ended it meanwhile."""
        still = await self.forwardings.in_force(tx, mailbox)
        if still is not None and still.id == rule.id:
            await send(tx)

    # --- sending on ---------------------------------------------------------------------------------------------------

    async def _outside(self, arrived: Arrived, rule: Forwarding) -> Deed:
        mailbox, trace, now = arrived.mailbox, new_trace_id(), self.forwardings.clock.now()
        above = self._above(mailbox, trace)
        prepared = await _sealed(mailbox.organisation, above + _leaving(arrived.message.raw))
        dispatch = Dispatch(
            organisation=mailbox.organisation,
            trace=trace,
            object=prepared.id,
            key=prepared.key,
            size=prepared.size,
            reverse_path=mailbox.address,
            recipients=(DispatchTo(seq=0, address=rule.address, least=LeastTls.VERIFIED),),
            smtputf8=not _head_is_ascii(arrived.message) or not str(rule.address).isascii(),
            lane=Lane.PERSON,
            forwarded=True,
        )

        async def send(tx: Transaction) -> None:
            await store_object(tx, prepared, at=now)
            delivery = await self.queue.enqueue(tx, dispatch)
            if isinstance(delivery, int):
                await self.forwardings.note_sent_on(tx, rule, DeliveryId(delivery))
            await self._record(tx, arrived, rule, inside=False)

        return send

    async def _inside(self, arrived: Arrived, rule: Forwarding, found: Found) -> Deed:
        # A trace of its own: in a mailbox that it comes back to, the copy must not be taken for what came first.
        mailbox, now, trace = arrived.mailbox, self.forwardings.clock.now(), new_trace_id()
        prepared = await _sealed(found.organisation, self._above(mailbox, trace) + arrived.message.raw)
        keywords = (OUTSIDE,) if arrived.message.first(NOTICE.lower()) else ()

        async def lay(tx: Transaction) -> None:
            await tx.act_for(found.organisation)
            intakes = await repo.intakes(tx, found.organisation, [found.mailbox])
            await store_object(tx, prepared, at=now)
            delivery = Delivery(found.mailbox, intakes.mailboxes[found.mailbox], SpecialUse.INBOX, keywords)
            await lay_in(tx, prepared, [delivery], trace=trace, at=now)
            if found.mailbox in intakes.acting:
                arrival = Arrival(mailbox=found.mailbox, trace=trace, proved=arrived.arrival.proved, warned=False)
                await note_arrivals(tx, found.organisation, [arrival], at=now)
            await tx.act_for(mailbox.organisation)
            await self._record(tx, arrived, rule, inside=True)

        return lay

    def _above(self, mailbox: MailboxRecord, trace: TraceId) -> bytes:
        received = received_field(host=self.host, trace=trace, at=self.forwardings.clock.now(), door="system")
        return received + header_field("Delivered-To", str(mailbox.address))

    async def _record(self, tx: Transaction, arrived: Arrived, rule: Forwarding, *, inside: bool) -> None:
        event = MailForwarded(
            trace=arrived.arrival.trace, mailbox=arrived.mailbox.id, forwarding=rule.id, inside=inside
        )
        await self.audit.record(tx, _JOB, event)

    # --- coming to an end ---------------------------------------------------------------------------------------------

    async def tend(self, organisation: OrganisationId) -> int:
        """Stop what may not go on: its address is not secure any more, or its time is over. A chore; how many."""
        now = self.forwardings.clock.now()
        async with self.forwardings.db.transaction(organisation) as tx:
            rules = await self.forwardings.all_open(tx, organisation)
        stopped = 0
        for rule in rules:
            mailbox = await self.directory.mailbox(organisation, rule.mailbox)
            why = _OVER if rule.expires_at is not None and rule.expires_at <= now else ""
            if mailbox is not None and not why:
                try:
                    await self.forwardings.refuse_unsafe(mailbox, rule.address)
                except NotPossible as error:
                    why = error.public
            if mailbox is not None and why:
                async with self.forwardings.db.transaction(organisation) as tx:
                    await self._stop(rule, mailbox, why, tx)
                stopped += 1
        return stopped

    async def _stop(self, rule: Forwarding, mailbox: MailboxRecord, why: str, tx: Transaction) -> None:
        if not await self.forwardings.stop(tx, _JOB, rule.id, rule.organisation, why):
            return
        now = self.forwardings.clock.now()
        raw = is_over(self.post.head(mailbox.address), mailbox, rule, why, at=now)
        await self._tell(tx, mailbox, raw)

    async def settled(self, tx: Transaction, settlement: Settlement) -> None:
        """Called in the transaction that settles: who forwards is told, once a day, that something did not arrive."""
        if settlement.outgoing is not None or settlement.outcome not in {Settled.FAILED, Settled.EXPIRED}:
            return
        rule = await self.forwardings.of_delivery(tx, settlement.organisation, settlement.delivery)
        if rule is None or not await self.forwardings.may_tell(tx, rule):
            return
        mailbox = await self.forwardings.mailbox_of(tx, rule)
        if mailbox is not None:
            raw = could_not_be_sent_on(
                self.post.head(mailbox.address), mailbox, rule, settlement.says, at=settlement.at
            )
            await self._tell(tx, mailbox, raw)

    async def _tell(self, tx: Transaction, mailbox: MailboxRecord, raw: bytes) -> None:
        inbox = Inbox.of(mailbox)
        if inbox is not None:
            await self.post.lay(tx, self.post.seal(inbox, raw), at=self.forwardings.clock.now())


def _went_round(message: Message, own: Sequence[EmailAddress], hops_max: int) -> bool:
    been = [value.decode("utf-8", "replace").strip().lower() for value in message.header_values("delivered-to")]
    return len(been) > hops_max or not {address.key for address in own}.isdisjoint(been)


def _leaving(raw: bytes) -> bytes:
    """Without what is only for our own readers; the rest as it came, so that its signatures hold."""
    headers, body = split_message(raw)
    kept = [octets for name, octets in headers if name != b"return-path" and not name.startswith(_OURS)]
    return b"".join(kept) + b"\r\n" + bytes(body)


def _head_is_ascii(message: Message) -> bool:
    root = message.root
    return message.raw[root.header.start : root.header.end].isascii()


async def _sealed(organisation: OrganisationId, raw: bytes) -> Prepared:
    def seal() -> Prepared:
        message = parse(raw)
        return prepare_object(organisation, raw, summary=summarise(message), words=search_text(message))

    return await aside(len(raw), seal)
