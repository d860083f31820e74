"""Secure links for the outbound walk: the portal's messages, and the notice that tells of each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from carepost.audit.model import Actor
from carepost.base.address import EmailAddress
from carepost.base.clock import Clock
from carepost.base.ids import OrganisationId, OutgoingId
from carepost.directory.service import Directory
from carepost.gateway.out.ports import LinkWanted, Notice
from carepost.infra.db import Transaction
from carepost.portal.invitations import Letterhead, notice
from carepost.portal.model import Level, PortalLetter
from carepost.portal.secure_messages import Prepping, SecureMessages, agreed_words

# The one address that notices come from, at the domain of whoever sends: people can learn it (R117).
WRITER = "secure-messages"


@dataclass(frozen=True, slots=True)
class ReadyLink:
    letter: Prepping = field(repr=False)
    organisation_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalLinks:
    """MakesLinks, over the portal."""

    secure: SecureMessages
    directory: Directory
    clock: Clock

    async def prepare(self, wanted: LinkWanted) -> ReadyLink:
        """Raises Malformed when the passphrase is too short to protect anything."""
        organisation = await self.directory.organisation(wanted.organisation)
        name = organisation.name if organisation is not None else wanted.sender_name
        letter = PortalLetter(
            organisation=wanted.organisation,
            mailbox=wanted.mailbox,
            outgoing=wanted.outgoing,
            seq=wanted.seq,
            trace=wanted.trace,
            address=wanted.address,
            sender=wanted.sender,
            sender_name=wanted.sender_name,
            organisation_name=name,
            raw=wanted.raw,
            patient=wanted.patient,
            level=Level.STRONG if wanted.telephone else Level.MAILBOX,  # with a phrase it becomes AGREED
            phrase=wanted.passphrase,
            agreed=wanted.agreed,
            telephone=wanted.telephone,
        )
        return ReadyLink(await self.secure.prepare(letter), name)

    async def make(self, tx: Transaction, ready: ReadyLink) -> Notice:
        made = await self.secure.make(tx, ready.letter)
        letter = ready.letter.letter
        writer = EmailAddress(WRITER, letter.sender.domain)
        head = Letterhead(
            organisation_name=ready.organisation_name, writer=writer, to=letter.address, at=self.clock.now()
        )
        words = agreed_words(letter.level, letter.agreed)
        raw = notice(head, link=made.link, expires_at=made.expires_at, agreed=words)
        # Whoever sent it hears of it when the notice comes back.
        return Notice(raw, letter.sender)

    async def revoke(
        self, tx: Transaction, actor: Actor, organisation: OrganisationId, outgoing: OutgoingId, seqs: Sequence[int]
    ) -> frozenset[int]:
        return await self.secure.revoke(tx, actor, organisation, outgoing, seqs)

    async def noticed(
        self, tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, seq: int, at: datetime
    ) -> None:
        await self.secure.noticed(tx, organisation, outgoing, seq, at)
