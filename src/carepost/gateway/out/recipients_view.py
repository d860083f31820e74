"""Gathers what `look_at_recipients` looks at: the mailbox's correspondents, the directory, and who has written to it.

Promises
    Reads only. A few statements, however many recipients; the mailbox's correspondents are opened once and remembered.
    Raises TryLater when it cannot be found out: whoever asks then holds the message, or asks the sender.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from carepost.base.address import EmailAddress
from carepost.base.clock import Clock
from carepost.directory.correspondents import Correspondents
from carepost.directory.correspondents_model import HowVerified, Known, MailboxPlace
from carepost.directory.repo_correspondents import DirectoryEntry
from carepost.directory.service import Directory
from carepost.gateway.out import repo_recipients as repo
from carepost.gateway.out.recipients import Acquaintance, RecipientsView, RecipientView
from carepost.gateway.verdict import SearchBy, findable
from carepost.infra.db import Database
from carepost.infra.vault import EdgeKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressed:
    """One recipient as the message has them. `visible`: in To or Cc. `name`: its display name, if it has one."""

    address: EmailAddress
    name: str = ""
    visible: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What else is known of the message. See RecipientsView."""

    thread: Collection[str] = ()  # keys of those from and to whom the message was that it answers
    sensitive: bool | None = None
    attachments: bool = False
    answers: bool = False
    reply_all: bool = False
    was_bcc: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientsGathering:
    db: Database
    directory: Directory
    correspondents: Correspondents
    edge: EdgeKey
    clock: Clock
    about_nothing: About = field(default_factory=About)

    async def view(
        self, mailbox: MailboxPlace, sender: EmailAddress, to: Sequence[Addressed], about: About | None = None
    ) -> RecipientsView:
        about = about or self.about_nothing
        addresses = [one.address for one in to]
        known_people = await self.correspondents.acquaintances(mailbox)
        entries = await self.correspondents.entries([*addresses, *(one.address for one in known_people)])
        own = await self.directory.own_domains()
        known, heard, together = await self._counts(mailbox, addresses, [one.address for one in known_people])
        recipients = [
            await self._recipient(
                one,
                known[one.address.key],
                entries.get(one.address.key),
                heard=heard.get(one.address.key, 0),
                inside=one.address.domain in own,
                on_thread=one.address.key in about.thread,
            )
            for one in to
        ]
        acquaintances = [_acquaintance(one.address, one.name, one.times, entries) for one in known_people]
        strangers = [one.name for one in recipients if one.name and not one.on_thread and not one.times]
        namesakes = await self.correspondents.namesakes(mailbox.organisation, strangers) if strangers else []
        listed = {entry.domain for entry in await self.directory.register()}
        return RecipientsView(
            sender=sender,
            recipients=tuple(recipients),
            known=tuple(acquaintances),
            namesakes=tuple(_listed(entry) for entry in namesakes),
            together=together,
            known_domains=own | listed,
            sensitive=about.sensitive,
            attachments=about.attachments,
            answers=about.answers,
            reply_all=about.reply_all,
            was_bcc=about.was_bcc,
        )

    async def _counts(
        self, mailbox: MailboxPlace, addresses: Sequence[EmailAddress], people: Sequence[EmailAddress]
    ) -> tuple[dict[str, Known], dict[str, int], dict[tuple[str, str], int]]:
        tokens = {
            self.edge.token(mailbox.organisation, SearchBy.SENDER.value, findable(SearchBy.SENDER, str(address))): (
                address.key
            )
            for address in addresses
        }
        async with self.db.transaction(mailbox.organisation) as tx:
            known = await self.correspondents.known_in(tx, mailbox, addresses)
            together = await self.correspondents.together_in(tx, mailbox, addresses, people)
            heard = await repo.heard_from(tx, mailbox.organisation, mailbox.id, list(tokens))
        return known, {tokens[token]: times for token, times in heard.items()}, together

    async def _recipient(
        self,
        one: Addressed,
        known: Known,
        entry: DirectoryEntry | None,
        *,
        heard: int,
        inside: bool,
        on_thread: bool,
    ) -> RecipientView:
        verified = known.is_verified(self.clock.now(), self.correspondents.policy)
        return RecipientView(
            address=one.address,
            name=entry.name if entry is not None else one.name,
            inside=inside,
            secure=inside or (await self.directory.is_secure(one.address.domain)).secure,
            visible=one.visible,
            times=known.times,
            received=heard,
            on_thread=on_thread,
            left=entry is not None and entry.state in ("leaver", "gone"),
            patient=known.patient,
            verified=verified,
            confirmed=verified and known.verified_how is HowVerified.BY_LINK,
            denied=known.denied,
            not_for_urgent=entry is not None and entry.not_for_urgent,
            organisation=entry.organisation_name if entry is not None else "",
        )


def _acquaintance(address: EmailAddress, name: str, times: int, entries: dict[str, DirectoryEntry]) -> Acquaintance:
    entry = entries.get(address.key)
    if entry is None:
        return Acquaintance(address=address, name=name, times=times)
    return Acquaintance(
        address=address, name=entry.name, organisation=entry.organisation_name, role=entry.job, times=times
    )


def _listed(entry: DirectoryEntry) -> Acquaintance:
    return Acquaintance(
        address=entry.address, name=entry.name, organisation=entry.organisation_name, role=entry.job, times=0
    )
