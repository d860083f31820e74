"""Mailboxes that answer and forward by themselves, before the whole inbound walk and the release of mail out."""

from itertools import count

from tests.fakes.gateway import connection
from tests.fakes.gateway_world import OPERATOR
from tests.fakes.outgoing_world import OutgoingWorld

from carepost.base.address import Domain, EmailAddress
from carepost.base.ids import TraceId, new_trace_id
from carepost.directory.autoreply import Autoreplies
from carepost.directory.forwarding import Forwardings
from carepost.directory.model import MailboxRecord
from carepost.gateway.arrived import Arrivals
from carepost.gateway.model import Connection, Envelope, Recipient
from carepost.gateway.out.answer import Answers
from carepost.gateway.out.forward import Forwards

_NUMBERS = count(1)
LOCAL = "mx.riverside.example"


class AutomaticWorld(OutgoingWorld):
    def build(self, checks: object = None) -> None:
        super().build()
        self.autoreplies = Autoreplies(
            db=self.db,
            directory=self.directory,
            keys=self.keys,
            edge=self.edge,
            audit=self.audit,
            clock=self.clock,
        )
        answers = Answers(
            directory=self.directory, autoreplies=self.autoreplies, queue=self.queue, audit=self.audit, host=LOCAL
        )
        self.forwardings = Forwardings(
            db=self.db, directory=self.directory, keys=self.keys, audit=self.audit, clock=self.clock
        )
        self.forwards = Forwards(
            directory=self.directory,
            forwardings=self.forwardings,
            queue=self.queue,
            post=self.post,
            audit=self.audit,
            host=LOCAL,
        )
        self.arrivals = Arrivals(
            db=self.db,
            directory=self.directory,
            messages=self.messages,
            acts=[answers, self.forwards],
            clock=self.clock,
        )

    async def worked(self) -> list[bytes]:
        """All that has arrived is dealt with; what the queue was given meanwhile and before."""
        for _ in range(20):
            if not await self.arrivals.run_due():
                break
        else:
            raise AssertionError("it goes round and round")
        return [await self.sent_bytes(one) for one in self.queue.dispatches]

    async def furnish(self) -> None:
        """A practice and a pharmacy of its own, in a database that other tests have used before."""
        number = next(_NUMBERS)
        self.domain = Domain(f"practice{number}.example")
        await self.organisations.add_domain(OPERATOR, self.domain)
        self.practice = await self.organisation(f"A{number:05}")
        self.pharmacy = await self.organisation(f"F{number:05}")
        self.nurse, self.hers = await self.person(self.practice, "Nia Nurse")
        self.doctor, self.his = await self.person(self.practice, "Dan Doctor")
        self.pharmacist, self.theirs = await self.person(self.pharmacy, "Pam Pharmacist")
        await self.organisations.list_secure_domain(OPERATOR, Domain("trust.example"), source="a test")

    async def arrive(
        self,
        *to: MailboxRecord,
        sender: str | None = "pat@webmail.example",
        raw: bytes | None = None,
        extra: str = "",
        from_: Connection | None = None,
    ) -> TraceId:
        """A message from outside, on the whole walk; from pat, proved by SPF, unless it says otherwise."""
        trace = new_trace_id()
        header = ", ".join(str(one.address) for one in to)
        raw = (
            raw
            or (
                f"From: Pat <pat@webmail.example>\r\nTo: {header}\r\nSubject: About my hip\r\nMessage-ID: <1@webmail.example>\r\n"
                f"Date: Sun, 22 Nov 2026 09:00:00 +0000\r\n{extra}\r\nIt hurts.\r\n"
            ).encode()
        )
        recipients = tuple(
            Recipient(address=one.address, mailbox=one.id, organisation=one.organisation, shared=one.kind == "shared")
            for one in to
        )
        envelope = Envelope(
            trace=trace,
            reverse_path=EmailAddress.parse(sender) if sender else None,
            recipients=recipients,
            received=f"Return-Path: <{sender or ''}>\r\nReceived: from there by {LOCAL}; now\r\n".encode(),
        )
        await self.inbound.receive(from_ or connection(), envelope, raw)
        return trace
