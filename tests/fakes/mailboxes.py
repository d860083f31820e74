"""Organisations with mailboxes, made with as little ceremony as the store needs."""

import itertools
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime

from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.clock import FixedClock
from carepost.base.ids import FolderId, MailboxId, OrganisationId, new_trace_id
from carepost.infra.db import Database
from carepost.infra.key_files import RootKeys
from carepost.infra.vault import new_key
from carepost.message.compose import compose
from carepost.message.parse import parse
from carepost.message.summary import summarise
from carepost.message.words import search_text
from carepost.store.changes import Changes
from carepost.store.filing import Filing
from carepost.store.folders import Folders
from carepost.store.keys import Keystore
from carepost.store.messages import MessageStore
from carepost.store.model import Laid, MailboxRef, SpecialUse
from carepost.store.objects import Delivery, lay_in, prepare_object, store_object
from carepost.store.search import MailSearch

_NUMBERS = itertools.count(1)


@dataclass
class StoreWorld:
    """The store on a real database, and mailboxes to try it on."""

    db: Database
    clock: FixedClock = field(default_factory=FixedClock)
    root: RootKeys = field(default_factory=lambda: RootKeys({1: new_key()}))
    actor: Actor = field(default_factory=lambda: Actor.operator("test"))

    def __post_init__(self) -> None:
        self.keys = Keystore(self.db, self.root, self.clock)
        self.audit = AuditTrail(clock=self.clock)
        self.folders = Folders(db=self.db, keys=self.keys, clock=self.clock)
        self.messages = MessageStore(db=self.db, keys=self.keys)
        self.filing = Filing(db=self.db, keys=self.keys, audit=self.audit, clock=self.clock)
        self.search = MailSearch(db=self.db, keys=self.keys, clock=self.clock)
        self.changes = Changes(self.db)
        self.intakes: dict[MailboxId, bytes] = {}

    async def organisation(self) -> OrganisationId:
        code = f"X{next(_NUMBERS):05d}"
        async with self.db.transaction() as tx:
            row = await tx.one(
                "INSERT INTO organisation (code, name, kind, created_at) VALUES (%(code)s, %(code)s, 'practice', %(at)s)"
                " RETURNING id",
                {"code": code, "at": self.clock.now()},
            )
            organisation = OrganisationId(row["id"])
            await tx.act_for(organisation)
            await tx.run(
                "INSERT INTO audit_head (organisation_id) VALUES (%(id)s) ON CONFLICT DO NOTHING", {"id": organisation}
            )
            await self.keys.mint_organisation(tx, organisation)
        return organisation

    async def mailbox(self, organisation: OrganisationId) -> MailboxRef:
        ref = MailboxRef(MailboxId(1_000_000 + next(_NUMBERS)), organisation)
        async with self.db.transaction(organisation) as tx:
            self.intakes[ref.id] = await self.keys.mint_mailbox(tx, organisation, ref.id)
            await self.folders.furnish(tx, ref)
        return ref

    async def inbox(self, mailbox: MailboxRef) -> FolderId:
        return await self.special(mailbox, SpecialUse.INBOX)

    async def special(self, mailbox: MailboxRef, use: SpecialUse) -> FolderId:
        return next(view.id for view in await self.folders.all(mailbox) if view.special_use is use)

    def letter(self, subject: str = "Clinic letter", text: str = "Dear colleague, she is well.") -> bytes:
        return letter(subject, text, at=self.clock.now())

    async def deliver(self, raw: bytes, *to: MailboxRef, db: Database | None = None) -> list[Laid]:
        """Lay a message in as the gateway does; with `db`, in the relay's role."""
        message = parse(raw)
        organisation = to[0].organisation
        prepared = prepare_object(organisation, raw, summary=summarise(message), words=search_text(message))
        deliveries = [Delivery(ref.id, self.intakes[ref.id]) for ref in to]
        async with (db or self.db).transaction(organisation) as tx:
            await store_object(tx, prepared, at=self.clock.now())
            laid = await lay_in(tx, prepared, deliveries, trace=new_trace_id(), at=self.clock.now())
        self.clock.advance(timedelta(seconds=1))
        return laid


def letter(subject: str, text: str, *, at: datetime, sender: str = "sam.mbeki@stjudes.example") -> bytes:
    number = next(_NUMBERS)
    raw = compose(
        from_=f"Sam Mbeki <{sender}>",
        to=["Ada Okafor <ada.okafor@riverside.example>"],
        subject=subject,
        text=text,
        date=at,
        message_id=f"<{number}@stjudes.example>",
    )
    assert format_datetime(at)[:4].encode() in raw
    return raw
