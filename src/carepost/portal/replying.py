"""Answers from outside: written on the portal, they come in by the inbound gateway like any stranger's message.

Promises
    An answer goes to who wrote, and at most to those of ours whom the original names: nobody else can be added.
    It is examined as all mail from outside is; what is refused there was not counted and can be sent again.
    At most `replies_max` answers and `reply_mb` of them to one message.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from carepost.audit.events_portal import SecureMessageAnswered
from carepost.base.address import EmailAddress
from carepost.base.errors import Malformed, NotPossible
from carepost.base.ids import MailboxId, OrganisationId, TraceId, new_trace_id
from carepost.message.addresses import each
from carepost.message.compose import Attachment, compose
from carepost.message.model import Message
from carepost.message.parse import parse
from carepost.message.showing import clean, clean_filename
from carepost.portal import repo
from carepost.portal.model import Kind, Level, SecureMessage, What
from carepost.portal.reading import Browser, NoLonger, Reading, guest

TEXT_MAX = 100_000  # characters
ADDRESSED_MAX = 100
_SUBJECT_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer, as the gateway gets it: "external via portal, level Lx"."""

    trace: TraceId
    organisation: OrganisationId
    mailbox: MailboxId  # whose message it answers
    author: EmailAddress
    to: tuple[EmailAddress, ...]
    level: Level
    client: str | None
    raw: bytes = field(repr=False)


class Receive(Protocol):
    """The inbound gateway."""

    async def ours(self, addresses: Sequence[EmailAddress]) -> list[EmailAddress]:
        """Those of the addresses that mail can be delivered to here."""
        ...

    async def receive(self, reply: Reply) -> None:
        """Returns after COMMIT. Raises NotAllowed, with words, when it is refused; TryLater."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What the form brought."""

    text: str = field(repr=False)
    files: tuple[tuple[str, str, bytes], ...] = field(default=(), repr=False)  # name, media type, content
    to_all: bool = False
    subject: str = ""  # of an invitation only


@dataclass(frozen=True, slots=True, kw_only=True)
class Replying:
    reading: Reading
    receive: Receive

    async def others(self, message: SecureMessage, original: Message) -> list[EmailAddress]:
        """Whom of ours "Answer everybody" reaches besides the sender."""
        named = [one for name in ("to", "cc") for one in each(original.addresses(name, ADDRESSED_MAX))]
        known = {message.details.address.lower(), message.details.sender.lower()}
        found: dict[str, EmailAddress] = {}
        for one in named[:ADDRESSED_MAX]:
            try:
                address = EmailAddress.parse(one.address)
            except Malformed:
                continue
            if str(address).lower() not in known:
                found[str(address).lower()] = address
        return await self.receive.ours(list(found.values())) if found else []

    async def reply(self, browser: Browser, written: Written) -> TraceId:
        """Send it. Raises NoLonger, AskAgain, Malformed (nothing written), NotPossible (over a limit), NotAllowed."""
        reading = self.reading
        message, raw = await reading.open(browser)
        text = written.text.strip()
        if not text and not written.files:
            raise Malformed("Write something before you send it.")
        octets = len(text.encode()) + sum(len(content) for _, _, content in written.files)
        most = reading.policy.reply_mb * 1_000_000
        if octets > most:
            raise NotPossible(f"An answer can hold at most {reading.policy.reply_mb} megabytes. Send fewer files.")
        original = await asyncio.to_thread(parse, raw) if raw else None
        sender = EmailAddress.parse(message.details.sender)
        others = await self.others(message, original) if written.to_all and original is not None else []
        reply = await asyncio.to_thread(self._composed, browser, message, original, written, (sender, *others))
        await self._count(browser, message, octets=octets)
        try:
            await self.receive.receive(reply)
        except BaseException:
            # Refused, or nobody could look at it now: it did not arrive, so it does not count.
            await asyncio.shield(self._count_back(message, octets=octets))
            raise
        await self._note(browser, message, reply)
        return reply.trace

    def _composed(
        self,
        browser: Browser,
        message: SecureMessage,
        original: Message | None,
        written: Written,
        to: tuple[EmailAddress, ...],
    ) -> Reply:
        sender, *others = to
        author, trace = EmailAddress.parse(message.details.address), new_trace_id()
        subject = clean(original.subject if original else written.subject, _SUBJECT_MAX) or "A secure message"
        if original is not None and not subject.lower().startswith("re:"):
            subject = f"Re: {subject}"
        raw = compose(
            author,
            sender,
            subject,
            written.text.strip()[:TEXT_MAX] + "\n",
            attachments=[Attachment(clean_filename(name), kind, content) for name, kind, content in written.files],
            date=self.reading.messages.clock.now(),
            message_id=f"{trace.lower()}@{sender.domain}",
            extra_headers=_thread(original),
            cc=others,
        )
        return Reply(
            trace=trace,
            organisation=message.organisation,
            mailbox=message.mailbox,
            author=author,
            to=to,
            level=message.level,
            client=browser.client,
            raw=raw,
        )

    async def _count(self, browser: Browser, message: SecureMessage, *, octets: int) -> None:
        policy, now = self.reading.policy, self.reading.messages.clock.now()
        async with self.reading.messages.db.transaction(message.organisation) as tx:
            counted = await repo.count_reply(
                tx,
                message.organisation,
                message.id,
                octets=octets,
                now=now,
                replies=policy.replies_max,
                most=policy.reply_mb * 1_000_000,
            )
        if counted:
            return
        if not await self.reading.may_still(browser):
            raise NoLonger
        what = "Write to" if message.kind is Kind.INVITATION else "Telephone"
        raise NotPossible(
            f"You have sent as many answers to this message as it takes ({policy.replies_max} answers, "
            f"{policy.reply_mb} megabytes). {what} {message.details.organisation_name} another way."
        )

    async def _count_back(self, message: SecureMessage, *, octets: int) -> None:
        async with self.reading.messages.db.transaction(message.organisation) as tx:
            await repo.uncount_reply(tx, message.organisation, message.id, octets=octets)

    async def _note(self, browser: Browser, message: SecureMessage, reply: Reply) -> None:
        event = SecureMessageAnswered(message=message.id, trace=message.trace, reply=reply.trace)
        record = self.reading.messages.record_
        async with self.reading.messages.db.transaction(message.organisation) as tx:
            await record.note(tx, message, What.REPLIED, where=browser.client or "")
            await record.audit.record(tx, guest(browser.client), event)


def _thread(original: Message | None) -> list[tuple[str, str]]:
    if original is None or not original.message_id:
        return []
    before = [*original.references[-20:], original.message_id]
    return [("In-Reply-To", _bracketed(original.message_id)), ("References", " ".join(map(_bracketed, before)))]


def _bracketed(message_id: str) -> str:
    return "<" + message_id.strip("<>") + ">"
