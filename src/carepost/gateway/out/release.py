"""Letting go what is due: the worker calls `run_due` again and again, and `next_due` to know when.

Promises
    A message leaves once: it is claimed with a lease, prepared without holding anything, and carried out in one
    transaction that first asks whether it still waits. Undone meanwhile, nothing of it has left.
    A crash at any point leaves it as it was: another worker takes it when the lease is over.
    One message that cannot go does not hold up the others: it comes again later, and is counted.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from carepost.audit.events import Event
from carepost.audit.events_outgoing import OutgoingReleased
from carepost.base.address import EmailAddress
from carepost.base.clock import Clock
from carepost.base.ids import FolderId, MailboxId, OrganisationId, OutgoingId
from carepost.directory.service import Directory
from carepost.gateway.out import letters as out_letters
from carepost.gateway.out import repo as out_repo
from carepost.gateway.out.carry import Carrying, Load, Message
from carepost.gateway.out.encrypt import held_words
from carepost.gateway.out.open import Opening, OpenRecipient, locked
from carepost.gateway.out.outgoing import OutState, RecipientState, Route
from carepost.gateway.out.people import names_of
from carepost.gateway.out.ports import NotesSent
from carepost.gateway.out.post import Inbox, Post, SealedLetter, sending_inbox
from carepost.gateway.out.repo import Due
from carepost.infra.db import Transaction
from carepost.infra.log import get_logger
from carepost.message.parse import parse
from carepost.store.sent import mark_answered

_WRITTEN_TO = frozenset({Route.INSIDE, Route.RELAY, Route.PORTAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePolicy:
    # Sealing a message of 35 MB for a hundred readers takes seconds; a worker that died is noticed after this. One that
    # is only slow finds, under the row's lock, that another has let it go: nothing leaves twice.
    lease: timedelta = timedelta(minutes=1)
    # What could not go is tried again after this, doubled each time, up to the longest.
    again: timedelta = timedelta(seconds=5)
    again_longest: timedelta = timedelta(minutes=10)
    # R145: who has not answered is reminded once.
    remind_after: timedelta = timedelta(minutes=30)
    # A body that everybody has is kept for a recall and a breach report, one that somebody has not, for a resend.
    body_kept: timedelta = timedelta(days=2)
    body_kept_at_most: timedelta = timedelta(days=30)
    kept_for: timedelta = timedelta(days=90)  # R189
    batch: int = 200


@dataclass(slots=True)
class ReleaseCounters:
    """For metrics."""

    released: int = 0
    failed: int = 0  # turns that came to nothing; the message goes later


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    opening: Opening
    carrying: Carrying
    directory: Directory
    post: Post
    written: NotesSent
    clock: Clock
    policy: ReleasePolicy = field(default_factory=ReleasePolicy)
    counters: ReleaseCounters = field(default_factory=ReleaseCounters)

    async def run_due(self, limit: int = 20) -> int:
        """Let go up to `limit` messages whose time has come. Returns how many were taken in hand."""
        now = self.clock.now()
        async with self.opening.db.transaction() as tx:
            due = await out_repo.claim_due(tx, now=now, until=now + self.policy.lease, limit=limit)
        for one in due:
            try:
                await self._release(one)
            except Exception as error:  # noqa: BLE001 - whatever it was: told, tried again, and no other waits for it
                await self._later(one, error)
        return len(due)

    async def next_due(self) -> datetime | None:
        """When the next message is due; None when nothing waits."""
        async with self.opening.db.transaction() as tx:
            return await out_repo.next_due(tx)

    async def _later(self, due: Due, error: Exception) -> None:
        self.counters.failed += 1
        wait = min(self.policy.again * 2 ** min(due.tries, 10), self.policy.again_longest)
        get_logger("carepost.release").error(
            "a message could not be let go", outgoing=int(due.outgoing), tries=due.tries, cause=type(error).__name__
        )
        async with self.opening.db.transaction() as tx:
            await out_repo.postpone_due(tx, due.organisation, due.outgoing, due_at=self.clock.now() + wait)

    async def _release(self, due: Due) -> None:
        found = await self._open(due.organisation, due.outgoing)
        if found is None:
            async with self.opening.db.transaction(due.organisation) as tx:
                await out_repo.delete_due(tx, due.organisation, due.outgoing)
            return
        message, to = found
        load = await self.carrying.load(message, to)
        letter = await self._letter(load)
        at = self.clock.now()
        async with self.opening.db.transaction(due.organisation) as tx:
            row = await locked(tx, due.organisation, due.outgoing)
            if row.state is OutState.WAITING and not await self._is_as_it_was(tx, load):
                # Somebody was taken off while we sealed: all of it is made anew.
                await out_repo.postpone_due(tx, due.organisation, due.outgoing, due_at=at)
                return
            await out_repo.delete_due(tx, due.organisation, due.outgoing)
            if row.state is not OutState.WAITING:
                return
            await self._go(tx, load, letter, at=at)
        self.counters.released += 1

    async def _open(
        self, organisation: OrganisationId, outgoing: OutgoingId
    ) -> tuple[Message, list[OpenRecipient]] | None:
        async with self.opening.db.transaction(organisation) as tx:
            row = await out_repo.get(tx, organisation, outgoing)
            if row is None or row.state is not OutState.WAITING:
                return None
            details = await self.opening.details(tx, organisation, row)
            rows = (await out_repo.recipients(tx, organisation, [outgoing])).get(outgoing, [])
            to = await self.opening.recipients(
                tx, organisation, row.trace, [one for one in rows if one.state is RecipientState.WAITING]
            )
            known = await self.opening.known(tx, organisation, row)
        raw = await self.opening.raw(organisation, known)
        return Message(organisation=organisation, row=row, details=details, raw=raw), to

    async def _is_as_it_was(self, tx: Transaction, load: Load) -> bool:
        organisation, outgoing = load.message.organisation, load.message.row.id
        rows = (await out_repo.recipients(tx, organisation, [outgoing])).get(outgoing, [])
        return {one.seq for one in rows if one.state is RecipientState.WAITING} == set(load.recipients)

    async def _go(self, tx: Transaction, load: Load, letter: SealedLetter | None, *, at: datetime) -> None:
        organisation, row = load.message.organisation, load.message.row
        carried = await self.carrying.carry(tx, load, at=at)
        await out_repo.set_recipients(tx, organisation, row.id, carried.changes, at=at)
        await out_repo.settle(tx, organisation, row.id, state=OutState.RELEASED, at=at)
        if (back := load.message.details.answers_to) is not None:
            await mark_answered(tx, MailboxId(back[0]), FolderId(back[1]), back[2])
        if letter is not None:
            await self.post.lay(tx, letter, at=at)
        await self._note_written(tx, load, at=at)
        events: list[tuple[OrganisationId, Event]] = [*carried.events, (organisation, _released(load))]
        await self.carrying.record(tx, organisation, events)

    async def _note_written(self, tx: Transaction, load: Load, *, at: datetime) -> None:
        """The mailbox knows them from now on, by the names that the message gives them. Not before it leaves: who is
        written to by mistake, and spared by an undo, is asked about the next time too."""
        message = load.message
        to = [
            one.address
            for seq, one in load.recipients.items()
            if one.row.route in _WRITTEN_TO and seq not in load.unsealed
        ]
        if to and message.row.person is not None:
            header = message.raw[: message.raw.find(b"\r\n\r\n") + 4]
            names = names_of(parse(header))
            await self.written.note_sent(tx, message.organisation, message.row.mailbox, to, at, names=names)

    async def _letter(self, load: Load) -> SealedLetter | None:
        """Who does not get it while others do, refused or waiting for a certificate (R126): the sender reads it in the
        inbox that they sent from."""
        message, people = load.message, load.recipients
        failed = [(one.address, one.details.says) for one in people.values() if one.row.route is Route.REFUSE]
        failed += [(people[seq].address, held_words(unusable)) for seq, unusable in load.unsealed.items()]
        mailbox = await self.directory.mailbox(message.organisation, message.row.mailbox) if failed else None
        inbox = Inbox.of(mailbox) if mailbox is not None else None
        if mailbox is None or inbox is None:
            return None
        raw = out_letters.bad_news(
            self.post.head(mailbox.address),
            mailbox.address,
            outgoing=message.row.id,
            trace=message.row.trace,
            subject=message.details.subject,
            failed=failed,
            at=self.clock.now(),
        )
        return self.post.seal(inbox, raw)

    # --- chores -------------------------------------------------------------------------------------------------------

    async def remind(self, organisation: OrganisationId) -> int:
        """Whoever has not answered for half an hour is reminded, once; nothing is thrown away. A chore."""
        now = self.clock.now()
        async with self.opening.db.transaction(organisation) as tx:
            rows = await out_repo.unanswered(
                tx, organisation, before=now - self.policy.remind_after, limit=self.policy.batch
            )
            for row in rows:
                details = await self.opening.details(tx, organisation, row)
                asked = (await out_repo.questions(tx, organisation, [row.id])).get(row.id, [])
                questions = await self.opening.questions(tx, organisation, row.trace, asked)
                sender = EmailAddress.parse(details.sender)
                to, _ = await sending_inbox(tx, organisation, row.mailbox, sender)
                raw = out_letters.ask(
                    self.post.head(sender),
                    to.address,
                    outgoing=row.id,
                    trace=row.trace,
                    subject=details.subject,
                    questions=[one.question for one in questions if one.answer is None],
                    at=now,
                    again=True,
                )
                await out_repo.remind(tx, organisation, row.id, at=now)
                await self.post.lay(tx, self.post.seal(to, raw), at=now)
        return len(rows)

    async def waiting(self, organisation: OrganisationId) -> tuple[int, int, datetime | None]:
        """(asked about or late, held, since when the oldest): for alarms (R145)."""
        async with self.opening.db.transaction(organisation) as tx:
            return await out_repo.count_waiting(tx, organisation, now=self.clock.now())

    async def forget(self, organisation: OrganisationId) -> int:
        """Drop keys that nobody can need, and remove what was settled long ago. A chore; returns how many went."""
        now, policy = self.clock.now(), self.policy
        async with self.opening.db.transaction(organisation) as tx:
            await out_repo.drop_bodies(
                tx, organisation, before=now - policy.body_kept, long_ago=now - policy.body_kept_at_most
            )
            return await out_repo.forget(tx, organisation, before=now - policy.kept_for)


def _released(load: Load) -> OutgoingReleased:
    routes = [one.row.route for one in load.recipients.values()]
    return OutgoingReleased(
        trace=load.message.row.trace,
        mailbox=load.message.row.mailbox,
        inside=routes.count(Route.INSIDE),
        relayed=routes.count(Route.RELAY) - len(load.unsealed),
        links=routes.count(Route.PORTAL),
        held=routes.count(Route.HOLD) + len(load.unsealed),
        refused=routes.count(Route.REFUSE),
    )
