"""Whether it goes to whom it was meant for: the outbound walk's question, answered from what the mailbox knows.

Promises
    Reads only. Raises when it cannot find out: the walk then asks the sender, for the facts are unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from carepost.base.address import EmailAddress
from carepost.base.ids import MailboxId, OrganisationId
from carepost.directory.correspondents import Correspondents
from carepost.gateway.model import Finding
from carepost.gateway.out.outgoing import RepliesTo
from carepost.gateway.out.ports import RecipientsAsked
from carepost.gateway.out.recipients import look_at_recipients
from carepost.gateway.out.recipients_policy import RecipientsPolicy
from carepost.gateway.out.recipients_view import About, Addressed, RecipientsGathering
from carepost.message.addresses import each
from carepost.message.model import Message
from carepost.message.summary import SHOWN_RECIPIENTS_MAX, Summary
from carepost.policy.rules import OutgoingRules
from carepost.store.messages import MessageStore
from carepost.store.model import MailboxRef


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleLook:
    """LooksAtRecipients, over the correspondents and the directory."""

    gathering: RecipientsGathering
    correspondents: Correspondents
    messages: MessageStore
    policy: RecipientsPolicy = field(default_factory=RecipientsPolicy)

    async def look(self, asked: RecipientsAsked) -> list[Finding]:
        mailbox = MailboxRef(asked.mailbox, asked.organisation)
        answered = await self._answered(asked.organisation, asked.answers) if asked.answers else None
        names = names_of(asked.message)
        to = [
            Addressed(address=one, name=names.get(one.key, ""), visible=one.key in asked.visible)
            for one in asked.recipients
        ]
        references = bool(asked.message.references)
        about = About(
            thread=_people_of(answered) if answered else frozenset(),
            sensitive=asked.sensitive,
            attachments=asked.attachments,
            answers=references,
            # A mail program does not say that it answers everybody; an answer to very many does.
            reply_all=asked.reply_all or (references and len(to) > self.policy.reply_all_max),
            was_bcc=_was_bcc(asked, answered),
        )
        view = await self.gathering.view(mailbox, asked.sender, to, about)
        return look_at_recipients(view, _stricter(self.policy, asked.rules))

    async def agreed_to_plain(
        self, organisation: OrganisationId, mailbox: MailboxId, addresses: Sequence[EmailAddress]
    ) -> frozenset[str]:
        known = await self.correspondents.known(MailboxRef(mailbox, organisation), addresses)
        return frozenset(key for key, one in known.items() if one.consent_plain)

    async def _answered(self, organisation: OrganisationId, answers: RepliesTo) -> Summary | None:
        mailbox = MailboxRef(answers.mailbox, organisation)
        return (await self.messages.summaries(mailbox, answers.folder, [answers.uid])).get(answers.uid)


def _stricter(policy: RecipientsPolicy, rules: OutgoingRules | None) -> RecipientsPolicy:
    """R151: an organisation may ask from fewer people on than the service does."""
    if rules is None:
        return policy
    return replace(
        policy,
        outsiders_max=min(policy.outsiders_max, rules.visible_outsiders),
        outsiders_stop=min(policy.outsiders_stop, rules.visible_outsiders_stop),
    )


def names_of(message: Message) -> dict[str, str]:
    """What the message calls its recipients, by key."""
    found: dict[str, str] = {}
    for header in ("to", "cc", "bcc"):
        for one in each(message.addresses(header)):
            if one.name and one.domain:
                found.setdefault(one.address.lower(), one.name)
    return found


def _people_of(summary: Summary) -> frozenset[str]:
    named = [summary.sender_address, *(address for _, address in (*summary.to_shown, *summary.cc_shown))]
    return frozenset(one.lower() for one in named if one)


def _was_bcc(asked: RecipientsAsked, answered: Summary | None) -> bool:
    """Whether the mailbox stood in neither To nor Cc of what it answers, as far as those are known."""
    if asked.answers is None or answered is None:
        return False
    if asked.answers.was_bcc is not None:
        return asked.answers.was_bcc
    shown = [*answered.to_shown, *answered.cc_shown]
    if len(shown) >= SHOWN_RECIPIENTS_MAX or answered.sender_address.lower() == asked.sender.key:
        return False
    return asked.sender.key not in {address.lower() for _, address in shown}
