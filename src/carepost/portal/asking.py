"""Access for somebody to whom a notice was forwarded: they ask, the sender says yes or no. R121.

Promises
    Asking shows nothing and promises nothing; the sender gets a letter, and only they decide.
    Who is let in gets a link and a notice of their own, and proves as much as the first reader has to.
"""

from dataclasses import dataclass

from carepost.audit.events_portal import AccessAsked, AccessSettled
from carepost.audit.model import Actor
from carepost.base.address import EmailAddress
from carepost.base.errors import Malformed, NotPossible
from carepost.base.ids import OrganisationId, OutgoingId
from carepost.message.showing import clean
from carepost.portal import repo
from carepost.portal.invitations import Letterhead, notice, sender_letter
from carepost.portal.model import AccessRequest, AccessRequestId, Made, SecureMessage, SecureMessageId, What
from carepost.portal.reading import Browser, Reading, guest
from carepost.portal.secure_messages import SecureMessages, agreed_words

_NAME_MAX, _WORDS_MAX = 100, 500


def _where(pages: str, message: SecureMessage) -> str:
    """Where its sender says yes or no."""
    if message.outgoing is None or not pages:
        return "Open the message in Sent to say yes or no."
    return f"Say yes or no here: {pages}/outgoing/{int(message.outgoing)}/secure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    reading: Reading

    @property
    def messages(self) -> SecureMessages:
        return self.reading.messages

    async def ask(self, browser: Browser, *, name: str, address: str, words: str) -> None:
        """From a browser that began with the forwarded link. Raises Malformed, NoLonger, AskAgain, NotPossible."""
        who = EmailAddress.parse(address.strip())
        name, words = clean(name, _NAME_MAX), clean(words, _WORDS_MAX)
        if not name:
            raise Malformed("Enter your name.")
        message = (await self.reading.stand(browser)).message
        now = self.messages.clock.now()
        async with self.messages.db.transaction(message.organisation) as tx:
            sealed = await self.messages.seals.seal_request(
                tx, message.organisation, message.id, name=name, address=str(who), words=words
            )
            request = await repo.insert_request(
                tx,
                message.organisation,
                message.id,
                now=now,
                details=sealed,
                most=self.messages.policy.requests_per_message,
            )
            if request is None:
                raise NotPossible("Too many people have asked for access to this message.")
            sender = EmailAddress.parse(message.details.sender)
            head = Letterhead(
                organisation_name="Carepost", writer=self.messages.policy.writer_for(sender), to=sender, at=now
            )
            paragraphs = [
                f"{name} ({who}) asks to read the secure message that you sent to {message.details.address}.",
                f"They wrote: {words}" if words else "They gave no reason.",
                "Nobody has proved that this is their name. If you do nothing, they cannot read it.",
                _where(self.messages.policy.pages, message),
                f"Reference {message.trace}.",
            ]
            raw = sender_letter(head, subject="Somebody asks to read a secure message of yours", paragraphs=paragraphs)
            await self.messages.post.tell(tx, message.organisation, message.mailbox, raw)
            await self.messages.record_.note(tx, message, What.ASKED, where=browser.client or "")
            event = AccessAsked(message=message.id, trace=message.trace, request=request)
            await self.messages.record_.audit.record(tx, guest(browser.client), event)

    async def requests(self, organisation: OrganisationId, outgoing: OutgoingId) -> list[AccessRequest]:
        """Who asked. The caller has asked whether they may know."""
        async with self.messages.db.transaction(organisation) as tx:
            found = []
            for row in await repo.requests(tx, organisation, outgoing):
                name, address, words = await self.messages.seals.open_request(
                    tx, organisation, row.message, row.details
                )
                found.append(
                    AccessRequest(
                        id=row.id,
                        message=row.message,
                        name=name,
                        address=address,
                        words=words,
                        asked_at=row.asked_at,
                        state=row.state,
                    )
                )
        return found

    async def settle(
        self,
        actor: Actor,
        organisation: OrganisationId,
        message: SecureMessageId,
        request: AccessRequestId,
        *,
        approve: bool,
    ) -> Made | None:
        """Yes or no, once; yes sends them a notice. The caller has asked whether the actor may. Raises NotPossible."""
        now = self.messages.clock.now()
        async with self.messages.db.transaction(organisation) as tx:
            state = "approved" if approve else "refused"
            sealed = await repo.settle_request(tx, organisation, message, request=request, state=state, now=now)
            found = await self.messages.get(tx, organisation, message)
            if sealed is None or found is None:
                raise NotPossible("Somebody has answered this already.")
            made = None
            if approve:
                _, address, _ = await self.messages.seals.open_request(tx, organisation, message, sealed)
                who, sender = EmailAddress.parse(address), EmailAddress.parse(found.details.sender)
                made = await self.messages.give_another(tx, actor, found, who)
                head = Letterhead(
                    organisation_name=found.details.organisation_name,
                    writer=self.messages.policy.writer_for(sender),
                    to=who,
                    at=now,
                )
                agreed = agreed_words(found.level, found.details.agreed)
                raw = notice(head, link=made.link, expires_at=made.expires_at, agreed=agreed)
                await self.messages.post.send(tx, organisation, who, raw, reverse_path=sender)
            event = AccessSettled(message=message, trace=found.trace, request=request, approved=approve)
            await self.messages.record_.audit.record(tx, actor, event)
        return made
