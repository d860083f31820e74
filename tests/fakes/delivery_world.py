"""A delivery queue on a real database, an outside world that answers as it is told, and somebody who follows."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from random import Random
from secrets import token_hex

from carepost.audit.heads import start_chain
from carepost.base.address import Domain, EmailAddress
from carepost.base.clock import FixedClock
from carepost.base.ids import DeliveryId, OrganisationId, OutgoingId, new_trace_id
from carepost.delivery.bounce import Bounces
from carepost.delivery.dispatch import Dispatch, DispatchTo, Settled, Settlement
from carepost.delivery.model import (
    HopEvidence,
    LeastTls,
    Outcome,
    OutEnvelope,
    RecipientResult,
    SendResult,
    VerifiedBy,
)
from carepost.delivery.parcels import Parcel
from carepost.delivery.queue import DeliveryQueue, QueuePolicy
from carepost.delivery.schedule import Schedule
from carepost.delivery.settling import Settling
from carepost.delivery.worker import DeliveryWorker, WorkerLimits
from carepost.directory import repo as directory
from carepost.directory.model import OrganisationKind
from carepost.infra.db import Database, Transaction
from carepost.infra.key_files import RootKeys
from carepost.infra.vault import EdgeKey, new_key
from carepost.message.parse import parse
from carepost.message.summary import summarise
from carepost.message.words import search_text
from carepost.store.keys import Keystore
from carepost.store.objects import prepare_object, store_object

SENDER = EmailAddress.parse("sam.ray@riverside.example")
LETTER = (
    b"From: Sam Ray <sam.ray@riverside.example>\r\nTo: undisclosed-recipients:;\r\nSubject: Appointment letter\r\n"
    b"Date: Sun, 22 Nov 2026 08:59:00 +0000\r\nMessage-ID: <one@riverside.example>\r\n\r\nPlease come at ten.\r\n"
)
Answers = Callable[[EmailAddress], RecipientResult]


def taken(address: EmailAddress) -> RecipientResult:
    return RecipientResult(address, Outcome.DELIVERED, 250, "2.0.0", "Their system took it.", reply="250 2.0.0 Ok")


def refused(address: EmailAddress) -> RecipientResult:
    says = "There is no such mailbox there."
    return RecipientResult(
        address, Outcome.FAILED, 550, "5.1.1", says, reply="550 5.1.1 No such user", host="mx.example"
    )


def later(address: EmailAddress) -> RecipientResult:
    says = "Their system asked us to come back later."
    return RecipientResult(address, Outcome.LATER, 451, "4.3.2", says, reply="451 4.3.2 Not now", host="mx.example")


def silent(address: EmailAddress) -> RecipientResult:
    return RecipientResult(address, Outcome.LATER, None, "4.4.1", "Their system could not be reached.")


def lost(address: EmailAddress) -> RecipientResult:
    return RecipientResult(address, Outcome.INDETERMINATE, None, "4.4.2", "The line went dead before they answered.")


def unprotected(address: EmailAddress) -> RecipientResult:
    says = "Their system offers no encryption that we can trust."
    return RecipientResult(address, Outcome.LATER, None, "4.7.10", says, tls_missing=True)


@dataclass
class OutsideWorld:
    """The transport: what everybody out there answers. `arrived` counts copies by recipient."""

    answers: Answers = taken
    arrived: Counter[str] = field(default_factory=Counter)
    sent: list[tuple[Domain, OutEnvelope, bytes, LeastTls]] = field(default_factory=list)
    at_once: Counter[str] = field(default_factory=Counter)
    most_at_once: Counter[str] = field(default_factory=Counter)
    before: Callable[[Domain], "asyncio.Future[None] | None"] = lambda _domain: None
    clock: FixedClock = field(default_factory=FixedClock)

    async def send(self, domain: Domain, envelope: OutEnvelope, raw: bytes, least: LeastTls) -> SendResult:
        self.at_once[domain.name] += 1
        self.most_at_once[domain.name] = max(self.most_at_once[domain.name], self.at_once[domain.name])
        try:
            await asyncio.sleep(0)
            if (wait := self.before(domain)) is not None:
                await wait
            self.sent.append((domain, envelope, raw, least))
            results = tuple(self.answers(to.address) for to in envelope.recipients)
        finally:
            self.at_once[domain.name] -= 1
        for result in results:
            if result.outcome in (Outcome.DELIVERED, Outcome.INDETERMINATE):
                self.arrived[str(result.address)] += 1
        spoke = any(result.code is not None for result in results)
        hop = HopEvidence(
            "mx.example", "192.0.2.9", "TLSv1.3", "TLS_AES_256_GCM_SHA384", VerifiedBy.PKIX, self.clock.now(), "250 Ok"
        )
        return SendResult(results, hop if spoke else None)


@dataclass
class Follows:
    """Keeps what it is told, once committed or not."""

    told: list[Settlement] = field(default_factory=list)
    fails: int = 0  # so many times, from now

    async def settled(self, tx: Transaction, settlement: Settlement) -> None:
        if self.fails:
            self.fails -= 1
            raise RuntimeError("the follower fell over")
        self.told.append(settlement)

    def of(self, outcome: Settled) -> list[Settlement]:
        return [one for one in self.told if one.outcome is outcome]

    @property
    def letters(self) -> list[bytes]:
        return [one.dsn for one in self.told if one.dsn is not None]


async def unsigned(_parcel: Parcel, raw: bytes) -> bytes:
    return raw


@dataclass
class DeliveryWorld:
    db: Database
    clock: FixedClock = field(default_factory=FixedClock)
    schedule: Schedule = field(default_factory=Schedule)
    policy: QueuePolicy = field(default_factory=QueuePolicy)
    root: bytes = field(default_factory=new_key)
    edge_key: bytes = field(default_factory=new_key)

    def __post_init__(self) -> None:
        self.keys = Keystore(self.db, RootKeys({1: self.root}), self.clock)
        self.edge = EdgeKey(self.edge_key)
        self.queue = DeliveryQueue(
            db=self.db,
            keys=self.keys,
            edge=self.edge,
            clock=self.clock,
            schedule=self.schedule,
            policy=self.policy,
        )
        self.outside = OutsideWorld(clock=self.clock)
        self.follows = Follows()
        self.bounces = Bounces(hostname="mx.riverside.example")
        self.settling = Settling(queue=self.queue, follower=self.follows, bounces=self.bounces, chance=Random(7))
        self.outgoings = count(1)

    def worker(self, limits: WorkerLimits | None = None, **fields: object) -> DeliveryWorker:
        given = {"transport": self.outside, "settling": self.settling, "signs": unsigned, **fields}
        return DeliveryWorker(queue=self.queue, limits=limits or WorkerLimits(), **given)  # type: ignore[arg-type]

    async def organisation(self) -> OrganisationId:
        code = f"T{token_hex(5)}".upper()
        async with self.db.transaction() as tx:
            organisation = await directory.insert_organisation(
                tx, code=code, name=code, kind=OrganisationKind.PRACTICE, parent=None
            )
            assert organisation is not None
            await tx.act_for(organisation)
            await start_chain(tx, organisation)
            await self.keys.mint_organisation(tx, organisation)
        return organisation

    async def queued(
        self, organisation: OrganisationId, *to: str | DispatchTo, raw: bytes = LETTER, **fields: object
    ) -> DeliveryId:
        """Queue a letter; `fields` are of Dispatch."""
        async with self.db.transaction(organisation) as tx:
            return await self.queue_in(tx, organisation, *to, raw=raw, **fields)

    async def queue_in(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        *to: str | DispatchTo,
        raw: bytes = LETTER,
        **fields: object,
    ) -> DeliveryId:
        recipients = tuple(
            one
            if isinstance(one, DispatchTo)
            else DispatchTo(seq=seq, address=EmailAddress.parse(one), least=LeastTls.OPPORTUNISTIC)
            for seq, one in enumerate(to)
        )
        message = parse(raw)
        prepared = prepare_object(organisation, raw, summary=summarise(message), words=search_text(message))
        dispatch = Dispatch(
            organisation=organisation,
            trace=new_trace_id(),
            object=prepared.id,
            key=prepared.key,
            size=prepared.size,
            reverse_path=SENDER,
            recipients=recipients,
            outgoing=OutgoingId(next(self.outgoings)),
        )
        await store_object(tx, prepared, at=self.clock.now())
        return await self.queue.enqueue(tx, replace(dispatch, **fields))  # type: ignore[arg-type]

    async def states(self, organisation: OrganisationId) -> dict[str, int]:
        async with self.db.transaction(organisation) as tx:
            rows = await tx.all("SELECT state, count(*) AS n FROM delivery_recipient GROUP BY state")
        return {row["state"]: row["n"] for row in rows}

    async def run_until_idle(self, worker: DeliveryWorker, *, most: timedelta = timedelta(days=7)) -> None:
        """Deliver, moving the clock from turn to turn, until nobody waits or the time is over."""
        until = self.clock.now() + most
        while (at := await self.queue.next_at()) is not None and at <= until:
            if at > self.clock.now():
                self.clock.at = at
            await worker.round()


def several(*answers: Answers) -> Answers:
    """Each attempt gets the next answer; the last one is for all that follow."""
    seen: Counter[EmailAddress] = Counter()

    def answer(address: EmailAddress) -> RecipientResult:
        seen[address] += 1
        return answers[min(seen[address], len(answers)) - 1](address)

    return answer


def by_local(table: dict[str, Answers], otherwise: Answers = taken) -> Answers:
    return lambda address: table.get(address.local, otherwise)(address)
