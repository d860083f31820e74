"""Correspondents: whom a mailbox writes to, what is known of them, and whom it may have meant.

Promises
    Names and addresses of people outside are sealed with the mailbox's own key; the database sees hashes and counts.
    Nobody is ever picked for the sender: `suggest` gives lines to choose from, each with organisation and role (R147).
    Those who have left, and those a person has forgotten, are not suggested any more (R150).
    Consent, the flag "patient" and checks of an address (R178) say who set them, in the record.

What is searched by its beginning cannot stay sealed: the last 2,000 correspondents of a mailbox are opened in memory
and remembered there for some seconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import combinations

import msgspec

from carepost.audit.events_correspondents import (
    ConsentNoted,
    CorrespondentDenied,
    CorrespondentForgotten,
    CorrespondentVerified,
    PatientFlagged,
)
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.address import EmailAddress
from carepost.base.clock import Clock
from carepost.base.errors import NotPossible
from carepost.base.ids import MailboxId, OrganisationId
from carepost.directory import repo_correspondents as repo
from carepost.directory.access import OnMailbox, Verb
from carepost.directory.correspondents_model import (
    Correspondent,
    CorrespondentsPolicy,
    HowVerified,
    Known,
    MailboxKeys,
    MailboxPlace,
    Place,
    Source,
    Suggestion,
    begins,
    initials_of,
    listed,
    weight,
    words_of,
)
from carepost.directory.repo_correspondents import DirectoryEntry
from carepost.directory.service import Directory
from carepost.infra import vault
from carepost.infra.db import Database, Transaction
from carepost.infra.vault import EdgeKey
from carepost.message.lookalikes import name_key

_LABEL = b"carepost correspondent"


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    """New fields go at the end, with a default: old rows are stored."""

    address: str
    name: str


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Sealed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correspondents:
    db: Database
    directory: Directory
    keys: MailboxKeys
    edge: EdgeKey
    audit: AuditTrail
    clock: Clock
    policy: CorrespondentsPolicy = field(default_factory=CorrespondentsPolicy)
    _opened: dict[tuple[int, int], tuple[datetime, tuple[Correspondent, ...]]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    # --- noting -----------------------------------------------------------------------------------------------------

    async def note_sent(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        mailbox: MailboxId,
        addresses: Sequence[EmailAddress],
        at: datetime,
        *,
        names: Mapping[str, str] | None = None,
    ) -> None:
        """The mailbox has written to these, in one message. `names` by address key, as the message calls them.

        Call it last in its transaction: others who send from the same mailbox wait for its rows.
        """
        place, names = Place(mailbox, organisation), names or {}
        unique = {address.key: address for address in addresses}
        if not unique:
            return
        key = (await self.keys.mailbox(tx, place)).key
        tokens = {one: self._token(place, one) for one in unique}
        sealed = {
            tokens[one]: _seal(key, place, tokens[one], _Sealed(str(address), names.get(one, "")))
            for one, address in unique.items()
        }
        pairs = list(combinations(sorted(sealed), 2)) if len(sealed) <= self.policy.company_max else []
        named = [tokens[one] for one in unique if names.get(one)]
        await repo.note(tx, organisation, mailbox, sealed, pairs, named=named, at=at)
        self._opened.pop((organisation, mailbox), None)

    async def note_consent(self, actor: Actor, mailbox: MailboxPlace, address: EmailAddress, *, agreed: bool) -> None:
        """They have agreed to get plain email, or have taken it back. Raises NotAllowed."""
        await self.directory.require(actor, Verb.MAILBOX_SEND, OnMailbox(mailbox.id, mailbox.organisation))
        if actor.person is None:
            raise NotPossible("Somebody has to say that they agreed: sign in to note it.")
        async with self.db.transaction(mailbox.organisation) as tx:
            token = await self._meet(tx, mailbox, address)
            at = self.clock.now() if agreed else None
            person = actor.person if agreed else None
            await repo.set_consent(tx, mailbox.organisation, mailbox.id, token, at=at, person=person)
            event = ConsentNoted(mailbox=mailbox.id, correspondent=token.hex(), agreed=agreed)
            await self.audit.record(tx, actor, event)

    async def flag_patient(self, actor: Actor, mailbox: MailboxPlace, address: EmailAddress, *, patient: bool) -> None:
        """They are a patient: never visible to another, results only to a checked address. Raises NotAllowed."""
        await self.directory.require(actor, Verb.MAILBOX_SEND, OnMailbox(mailbox.id, mailbox.organisation))
        async with self.db.transaction(mailbox.organisation) as tx:
            token = await self._meet(tx, mailbox, address)
            await repo.set_patient(tx, mailbox.organisation, mailbox.id, token, patient=patient)
            event = PatientFlagged(mailbox=mailbox.id, correspondent=token.hex(), patient=patient)
            await self.audit.record(tx, actor, event)

    async def note_verified(self, actor: Actor, mailbox: MailboxPlace, address: EmailAddress, how: HowVerified) -> None:
        """Somebody made sure today that this address is theirs (R178). Raises NotAllowed."""
        await self.directory.require(actor, Verb.MAILBOX_SEND, OnMailbox(mailbox.id, mailbox.organisation))
        async with self.db.transaction(mailbox.organisation) as tx:
            token = await self._meet(tx, mailbox, address)
            await repo.set_verified(tx, mailbox.organisation, mailbox.id, token, at=self.clock.now(), how=how.value)
            event = CorrespondentVerified(mailbox=mailbox.id, correspondent=token.hex(), how=how.value)
            await self.audit.record(tx, actor, event)

    async def note_answer(
        self, tx: Transaction, actor: Actor, mailbox: MailboxPlace, address: EmailAddress, *, is_theirs: bool
    ) -> None:
        """Whoever reads the address says whether they are who was meant (R130). The caller has made sure of it."""
        organisation, token = mailbox.organisation, await self._meet(tx, mailbox, address)
        if not is_theirs:
            await repo.set_denied(tx, organisation, mailbox.id, token, at=self.clock.now())
            denied = CorrespondentDenied(mailbox=mailbox.id, correspondent=token.hex())
            await self.audit.record(tx, actor, denied)
            return
        how = HowVerified.BY_LINK.value
        await repo.set_verified(tx, organisation, mailbox.id, token, at=self.clock.now(), how=how)
        verified = CorrespondentVerified(mailbox=mailbox.id, correspondent=token.hex(), how=how)
        await self.audit.record(tx, actor, verified)

    async def forget(self, actor: Actor, mailbox: MailboxPlace, address: EmailAddress) -> None:
        """Take a stale address off the suggestions (R150). Raises NotAllowed; NotPossible when it is not there."""
        await self.directory.require(actor, Verb.MAILBOX_SEND, OnMailbox(mailbox.id, mailbox.organisation))
        token = self._token(mailbox, address.key)
        async with self.db.transaction(mailbox.organisation) as tx:
            if not await repo.forget(tx, mailbox.organisation, mailbox.id, token):
                raise NotPossible("This address is not among those that the mailbox has written to.")
            await self.audit.record(tx, actor, CorrespondentForgotten(mailbox=mailbox.id, correspondent=token.hex()))
        self._opened.pop((mailbox.organisation, mailbox.id), None)

    async def forget_strangers(self, organisation: OrganisationId) -> int:
        """A chore: nobody is remembered for ever."""
        async with self.db.transaction(organisation) as tx:
            return await repo.forget_strangers(tx, organisation, before=self.clock.now() - self.policy.kept_for)

    # --- asking -----------------------------------------------------------------------------------------------------

    async def known(self, mailbox: MailboxPlace, addresses: Sequence[EmailAddress]) -> dict[str, Known]:
        """What the mailbox knows of each, by the key of the address; opens nothing. Strangers are there too."""
        async with self.db.transaction(mailbox.organisation) as tx:
            return await self.known_in(tx, mailbox, addresses)

    async def known_in(
        self, tx: Transaction, mailbox: MailboxPlace, addresses: Sequence[EmailAddress]
    ) -> dict[str, Known]:
        tokens = {address.key: self._token(mailbox, address.key) for address in addresses}
        rows = await repo.known(tx, mailbox.organisation, mailbox.id, list(tokens.values()))
        return {key: _known(rows.get(token)) for key, token in tokens.items()}

    async def together_in(
        self, tx: Transaction, mailbox: MailboxPlace, addresses: Sequence[EmailAddress], known: Iterable[EmailAddress]
    ) -> dict[tuple[str, str], int]:
        """How often `addresses` were written to together with each other or with `known`, by keys in order."""
        here = {self._token(mailbox, address.key): address.key for address in addresses}
        rows = await repo.together(tx, mailbox.organisation, mailbox.id, list(here), limit=self.policy.together_max)
        named = here | {self._token(mailbox, one.key): one.key for one in known} if rows else here
        found: dict[tuple[str, str], int] = {}
        for one, other, times in rows:
            if one in named and other in named:
                first, second = sorted((named[one], named[other]))
                found[first, second] = times
        return found

    async def acquaintances(self, mailbox: MailboxPlace) -> tuple[Correspondent, ...]:
        """Whom the mailbox has written to, lately first, without those who have left."""
        now, place = self.clock.now(), (mailbox.organisation, mailbox.id)
        remembered = self._opened.get(place)
        if remembered is not None and timedelta() <= now - remembered[0] < self.policy.remember:
            return remembered[1]
        async with self.db.transaction(mailbox.organisation) as tx:
            found = await self._open(tx, Place(mailbox.id, mailbox.organisation))
        if len(self._opened) >= self.policy.remembered_max:
            self._opened.clear()
        self._opened[place] = (now, found)
        return found

    async def entries(self, addresses: Sequence[EmailAddress]) -> dict[str, DirectoryEntry]:
        """What the directory says of these addresses, by key."""
        async with self.db.transaction() as tx:
            return await repo.entries_at(tx, addresses)

    async def namesakes(
        self, organisation: OrganisationId, names: Iterable[str], *, limit: int = 10
    ) -> list[DirectoryEntry]:
        """Who is called exactly so, here or in another organisation of ours; whatever the order of the words."""
        found: dict[str, DirectoryEntry] = {}
        async with self.db.transaction() as tx:
            for key in sorted({name_key(name) for name in names} - {""})[:20]:
                for entry in await repo.find_entries(tx, organisation, key.split(), whole=True, limit=limit):
                    if name_key(entry.name) == key:
                        found[entry.address.key] = entry
        return list(found.values())

    async def suggest(self, actor: Actor, mailbox: MailboxPlace, prefix: str, limit: int = 10) -> list[Suggestion]:
        """Whom somebody may mean who has typed `prefix`: those written to first, then the directory. Raises NotAllowed.

        Several lines are never one: the caller shows them, and lets the person choose (R147).
        """
        await self.directory.require(actor, Verb.MAILBOX_SEND, OnMailbox(mailbox.id, mailbox.organisation))
        words, limit = words_of(prefix), max(1, min(limit, self.policy.suggestions_max))
        if not words or max(map(len, words)) < self.policy.prefix_min:
            return []
        now = self.clock.now()
        written = [one for one in await self.acquaintances(mailbox) if begins(one, words)]
        written.sort(key=lambda one: (-weight(one, now), one.name, one.address.key))
        async with self.db.transaction() as tx:
            found = await repo.find_entries(tx, mailbox.organisation, words, limit=limit + len(written[:limit]))
            entries = await repo.entries_at(tx, [one.address for one in written[:limit]])
        lines = [await self._written(one, entries.get(one.address.key)) for one in written[:limit]]
        taken = {line.address.key for line in lines}
        lines += [listed(entry) for entry in found if entry.address.key not in taken]
        return lines[:limit]

    async def _written(self, one: Correspondent, entry: DirectoryEntry | None) -> Suggestion:
        if entry is not None:
            return listed(entry, times=one.times)
        secure = (await self.directory.is_secure(one.address.domain)).secure
        return Suggestion(
            name=one.name,
            address=one.address,
            organisation="",
            role="",
            initials=initials_of(one.name or one.address.local),
            chip="secure" if secure else "outside",
            source=Source.WRITTEN_TO,
            times=one.times,
        )

    async def _open(self, tx: Transaction, place: Place) -> tuple[Correspondent, ...]:
        rows = await repo.correspondents(tx, place.organisation, place.id, limit=self.policy.opened_max)
        if not rows:
            return ()
        key = (await self.keys.mailbox(tx, place)).key
        found = []
        for token, sealed, times, last_at in rows:
            opened = _DECODER.decode(vault.open_small(key, _LABEL, _aad(place, token), sealed))
            address = EmailAddress.parse(opened.address)
            found.append(Correspondent(address=address, name=opened.name, times=times, last_at=last_at))
        own = await self.directory.own_domains()
        ours = [one.address for one in found if one.address.domain in own]
        entries = await repo.entries_at(tx, ours) if ours else {}
        return tuple(
            one
            for one in found
            if one.address.domain not in own
            or ((entry := entries.get(one.address.key)) is not None and entry.state == "open")
        )

    async def _meet(self, tx: Transaction, mailbox: MailboxPlace, address: EmailAddress) -> bytes:
        place = Place(mailbox.id, mailbox.organisation)
        token = self._token(place, address.key)
        key = (await self.keys.mailbox(tx, place)).key
        sealed = _seal(key, place, token, _Sealed(str(address), ""))
        await repo.meet(tx, place.organisation, place.id, token, sealed)
        return token

    def _token(self, mailbox: MailboxPlace, key: str) -> bytes:
        return self.edge.token(mailbox.organisation, "correspondent", f"{mailbox.id} {key}")


def _known(row: repo.KnownRow | None) -> Known:
    if row is None:
        return Known()
    return Known(
        times=row.times,
        last_at=row.last_at,
        consent_plain=row.consented_at is not None,
        patient=row.patient,
        verified_at=row.verified_at,
        verified_how=None if row.verified_how is None else HowVerified(row.verified_how),
        denied=row.denied_at is not None,
    )


def _aad(place: MailboxPlace, token: bytes) -> bytes:
    return vault.bound("correspondent", place.organisation, place.id, token)


def _seal(key: bytes, place: MailboxPlace, token: bytes, value: _Sealed) -> bytes:
    return vault.seal_small(key, _LABEL, _aad(place, token), _ENCODER.encode(value))
