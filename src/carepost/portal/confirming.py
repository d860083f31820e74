"""Is this you? Somebody outside says whether an address is theirs, before anything that matters goes to it. R130.

Promises
    Only who proved by a code that they read the address can answer; a fetched link answers nothing.
    One answer counts. What is known of the address, the record and the sender's letter say the same, or none does.
    "Yes" says that whoever reads the address expects the organisation; who they are by name it cannot say.
"""

from dataclasses import dataclass
from typing import Protocol

from carepost.audit.model import Actor
from carepost.base.address import EmailAddress
from carepost.base.errors import NotPossible
from carepost.directory.correspondents_model import MailboxPlace, Place
from carepost.infra.db import Transaction
from carepost.portal import repo
from carepost.portal.invitations import Letterhead, sender_letter
from carepost.portal.model import Kind, SecureMessage, Step, What
from carepost.portal.reading import AskAgain, Browser, NoLonger, Reading, guest

_ANSWERS = frozenset({What.CONFIRMED, What.DENIED})


class Confirmed(Protocol):
    """Whoever keeps what is known of addresses. `Correspondents` is the one there is."""

    async def note_answer(
        self, tx: Transaction, actor: Actor, mailbox: MailboxPlace, address: EmailAddress, *, is_theirs: bool
    ) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirming:
    reading: Reading
    known: Confirmed

    async def answered(self, message: SecureMessage) -> What | None:
        """What they said: CONFIRMED or DENIED; None so far."""
        async with self.reading.messages.db.transaction(message.organisation) as tx:
            return await self._answered(tx, message)

    async def answer(self, browser: Browser, *, is_theirs: bool) -> None:
        """Yes or no, once. Raises NoLonger, AskAgain, NotPossible."""
        messages = self.reading.messages
        message = await self.reading.by_name(browser.name)
        async with messages.db.transaction(message.organisation) as tx:
            await repo.lock(tx, message.organisation, message.id)
            fresh = await messages.get(tx, message.organisation, message.id)
            if fresh is None or not fresh.is_live(messages.clock.now()):
                raise NoLonger
            if (await self.reading.stand_in(tx, fresh, browser)).step is not Step.OPEN:
                raise AskAgain
            if fresh.kind is not Kind.CONFIRMATION:
                raise NotPossible("Nobody has asked you whether this is you.")
            if await self._answered(tx, fresh) is not None:
                raise NotPossible("This has been answered already. If the answer was wrong, telephone them.")
            what = What.CONFIRMED if is_theirs else What.DENIED
            await messages.record_.note(tx, fresh, what, where=browser.client or "")
            await messages.post.tell(tx, fresh.organisation, fresh.mailbox, self._letter(fresh, is_theirs=is_theirs))
            place, address = Place(fresh.mailbox, fresh.organisation), EmailAddress.parse(fresh.details.address)
            await self.known.note_answer(tx, guest(browser.client), place, address, is_theirs=is_theirs)

    async def _answered(self, tx: Transaction, message: SecureMessage) -> What | None:
        rows = await repo.events(tx, message.organisation, [message.id])
        return next((row.what for row in rows if row.what in _ANSWERS), None)

    def _letter(self, message: SecureMessage, *, is_theirs: bool) -> bytes:
        messages = self.reading.messages
        sender, address = EmailAddress.parse(message.details.sender), message.details.address
        head = Letterhead(
            organisation_name="Carepost",
            writer=messages.policy.writer_for(sender),
            to=sender,
            at=messages.clock.now(),
        )
        if is_theirs:
            subject = "An address was confirmed"
            paragraphs = [
                f"Whoever reads {address} proved it with a code and answered: Yes, this is me.",
                "It is noted as checked by link. What you wrote is among your drafts: you can send it now.",
            ]
        else:
            subject = "An address is not theirs"
            paragraphs = [
                f"Whoever reads {address} proved it with a code and answered: No, this is not me.",
                (
                    "Do not send them anything about a patient. Ask for the right address in person or by telephone, "
                    "and correct it wherever it is on record. Before anything goes to this one, you will be asked."
                ),
            ]
        return sender_letter(head, subject=subject, paragraphs=[*paragraphs, f"Reference {message.trace}."])
