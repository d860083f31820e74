"""The daily TLS reports on their way into the queue: mail of the service's own, from its postmaster. RFC 8460."""

from dataclasses import dataclass

from carepost.app.areas import Areas
from carepost.app.transport import TransportRooms
from carepost.base.address import EmailAddress
from carepost.base.ids import OrganisationId, new_trace_id
from carepost.delivery.dispatch import Dispatch, DispatchTo, Lane
from carepost.delivery.model import LeastTls
from carepost.delivery.queue import DeliveryQueue
from carepost.delivery.tls_results import ReportMail
from carepost.directory.model import Found
from carepost.infra.db import Transaction
from carepost.message.parse import parse
from carepost.message.summary import summarise
from carepost.message.words import search_text
from carepost.store.objects import prepare_object, store_object


async def write_reports(areas: Areas, queue: DeliveryQueue, rooms: TransportRooms) -> int:
    """Give the reports about days that are over to the queue; how many. None while there is no domain of ours."""
    own = sorted(await areas.directory.look.own_domains(), key=str)
    if not own:
        return 0
    sender = EmailAddress.parse(areas.settings.smtp.postmaster or f"postmaster@{own[0]}")
    route = await areas.directory.look.route(sender, from_outside=False)
    reports = rooms.reports(areas.settings, sender=sender)
    if reports is None or not isinstance(route, Found):
        return 0
    return await reports.write_due(_Queued(areas, queue, route.organisation))


@dataclass(frozen=True, slots=True)
class _Queued:
    areas: Areas
    queue: DeliveryQueue
    organisation: OrganisationId  # whose postmaster reports: the message is sealed to it

    async def __call__(self, tx: Transaction, mail: ReportMail) -> None:
        await tx.act_for(self.organisation)
        message = parse(mail.raw)
        prepared = prepare_object(self.organisation, mail.raw, summary=summarise(message), words=search_text(message))
        await store_object(tx, prepared, at=self.areas.clock.now())
        # RFC 8460 §3: even where TLS with them fails; that is what the report is about. It names no patient.
        to = tuple(
            DispatchTo(seq=number, address=address, least=LeastTls.OPPORTUNISTIC, notify=frozenset({"NEVER"}))
            for number, address in enumerate(mail.to)
        )
        await self.queue.enqueue(
            tx,
            Dispatch(
                organisation=self.organisation,
                trace=new_trace_id(),
                object=prepared.id,
                key=prepared.key,
                size=prepared.size,
                reverse_path=None,
                recipients=to,
                lane=Lane.BULK,
            ),
        )
