"""Automatic replies, sent. R60, R61, R163; RFC 3834.

Promises
    One answer a sender a day, with the null reverse-path, marked as automatic: two that answer each other come to an
    end at once. Nobody is answered whose address was not proved to be theirs: no stranger chooses whom we write to
    (P18).
    What is answered holds nothing of the message.
"""

from dataclasses import dataclass
from functools import partial

from carepost.audit.events_automatic import AutoreplySent
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.address import EmailAddress
from carepost.base.ids import OrganisationId, new_trace_id
from carepost.delivery.dispatch import Dispatch, DispatchTo, Lane
from carepost.delivery.model import LeastTls
from carepost.directory.autoreply import Autoreplies
from carepost.directory.model import Found
from carepost.directory.service import Directory
from carepost.gateway import repo
from carepost.gateway.arrived import Arrived, Deed
from carepost.gateway.out.copies import received_field, stamped
from carepost.gateway.out.ports import Queue
from carepost.infra.db import Transaction
from carepost.message.automatic import AutomaticAnswer, why_not_answered, write_answer
from carepost.message.parse import parse
from carepost.message.summary import summarise
from carepost.message.words import search_text
from carepost.store.objects import Delivery, Prepared, lay_in, prepare_object, store_object

_JOB = Actor.job("autoreply")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Implements Act."""

    directory: Directory
    autoreplies: Autoreplies
    queue: Queue
    audit: AuditTrail
    host: str

    async def prepare(self, arrived: Arrived) -> Deed | None:
        mailbox, to, now = arrived.mailbox, arrived.reverse_path, self.autoreplies.clock.now()
        if to is None or arrived.arrival.warned or not arrived.arrival.proved:
            return None
        async with self.autoreplies.db.transaction(mailbox.organisation) as tx:
            reply = await self.autoreplies.of(tx, mailbox)
            own = await self.autoreplies.own_addresses(tx, mailbox)
        if reply is None or not reply.is_on_at(now) or why_not_answered(arrived.message, to, own=own) is not None:
            return None
        inside = to.domain in await self.directory.own_domains()
        text = reply.text_for(inside=inside)
        if text is None:
            return None
        answer = AutomaticAnswer(
            sender=mailbox.address, name=mailbox.display_name, to=to, subject=reply.subject, text=text, at=now
        )
        raw = write_answer(answer, arrived.message)
        send = await self._inside(to, raw) if inside else await self._outside(arrived, to, raw)
        return None if send is None else partial(self._answer, arrived, to, send, inside)

    async def _answer(self, arrived: Arrived, to: EmailAddress, send: Deed, inside: bool, tx: Transaction) -> None:
        if not await self.autoreplies.take_turn(tx, arrived.mailbox, to):
            return
        await send(tx)
        event = AutoreplySent(trace=arrived.arrival.trace, mailbox=arrived.mailbox.id, inside=inside)
        await tx.act_for(arrived.mailbox.organisation)
        await self.audit.record(tx, _JOB, event)

    async def _outside(self, arrived: Arrived, to: EmailAddress, raw: bytes) -> Deed:
        organisation, trace = arrived.mailbox.organisation, new_trace_id()
        received = received_field(host=self.host, trace=trace, at=self.autoreplies.clock.now(), door="system")
        prepared = _prepared(organisation, stamped(raw, received=received))
        # R107: to a domain of the register never by a hop whose host is not proved.
        listed = (await self.directory.is_secure(to.domain)).secure
        dispatch = Dispatch(
            organisation=organisation,
            trace=trace,
            object=prepared.id,
            key=prepared.key,
            size=prepared.size,
            reverse_path=None,  # RFC 3834 §3.3: whatever becomes of it, nobody is told
            recipients=(DispatchTo(seq=0, address=to, least=LeastTls.VERIFIED if listed else LeastTls.OPPORTUNISTIC),),
            smtputf8=not raw.isascii() or not str(to).isascii(),
            lane=Lane.BULK,
        )

        async def send(tx: Transaction) -> None:
            await store_object(tx, prepared, at=self.autoreplies.clock.now())
            await self.queue.enqueue(tx, dispatch)

        return send

    async def _inside(self, to: EmailAddress, raw: bytes) -> Deed | None:
        found = await self.directory.route(to, from_outside=False)
        if not isinstance(found, Found):
            return None
        trace, now = new_trace_id(), self.autoreplies.clock.now()
        received = received_field(host=self.host, trace=trace, at=now, door="system")
        prepared = _prepared(found.organisation, stamped(raw, received=received, final=True))

        async def lay(tx: Transaction) -> None:
            await tx.act_for(found.organisation)
            intakes = await repo.intakes(tx, found.organisation, [found.mailbox])
            await store_object(tx, prepared, at=now)
            delivery = Delivery(found.mailbox, intakes.mailboxes[found.mailbox])
            await lay_in(tx, prepared, [delivery], trace=None, at=now)

        return lay


def _prepared(organisation: OrganisationId, raw: bytes) -> Prepared:
    message = parse(raw)
    return prepare_object(organisation, raw, summary=summarise(message), words=search_text(message))
