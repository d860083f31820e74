"""Mail that the portal itself sends: codes and notices to the reader, letters to the sender's own inbox.

Promises
    Everything is written in the caller's transaction: it goes when that commits, or not at all.
    What is queued holds nothing of any content; it is stored sealed like all mail.
"""

from dataclasses import dataclass
from typing import Protocol

from carepost.base.address import EmailAddress
from carepost.base.clock import Clock
from carepost.base.ids import MailboxId, OrganisationId, new_trace_id
from carepost.delivery.dispatch import Dispatch, DispatchTo, Lane
from carepost.delivery.model import LeastTls
from carepost.infra.db import Transaction
from carepost.message.parse import parse
from carepost.message.summary import summarise
from carepost.message.words import search_text
from carepost.store.keys import Keystore
from carepost.store.model import MailboxRef
from carepost.store.objects import Delivery, Prepared, lay_in, prepare_object, store_object


class Queue(Protocol):
    """The delivery queue."""

    async def enqueue(self, tx: Transaction, dispatch: Dispatch) -> object: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalPost:
    keys: Keystore
    queue: Queue
    clock: Clock

    async def send(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        to: EmailAddress,
        raw: bytes,
        *,
        reverse_path: EmailAddress | None = None,
    ) -> None:
        """Queue a letter without content, before other mail. TLS when it is offered is enough for it (R117)."""
        prepared = _prepared(organisation, raw)
        await store_object(tx, prepared, at=self.clock.now())
        await self.queue.enqueue(
            tx,
            Dispatch(
                organisation=organisation,
                trace=new_trace_id(),
                object=prepared.id,
                key=prepared.key,
                size=prepared.size,
                reverse_path=reverse_path,
                recipients=(DispatchTo(seq=0, address=to, least=LeastTls.OPPORTUNISTIC),),
                smtputf8=not str(to).isascii(),
                lane=Lane.URGENT,
            ),
        )

    async def tell(self, tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, raw: bytes) -> None:
        """Lay a letter into the inbox of a mailbox of ours."""
        keys = await self.keys.mailbox(tx, MailboxRef(mailbox, organisation))
        prepared = _prepared(organisation, raw)
        await store_object(tx, prepared, at=self.clock.now())
        await lay_in(tx, prepared, [Delivery(mailbox, keys.intake_public)], trace=None, at=self.clock.now())


def _prepared(organisation: OrganisationId, raw: bytes) -> Prepared:
    message = parse(raw)
    return prepare_object(organisation, raw, summary=summarise(message), words=search_text(message))
