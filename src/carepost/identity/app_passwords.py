"""App passwords: secrets for mail clients, one a device, where an organisation has granted mail clients (R193).

Promises
    128 random bits, shown once; at rest a keyed digest. So no Argon2 run a connection, and nothing to guess.
    One opens its scopes and nothing else; it ends by date, by revocation, with the permission, or with the person.
    A wrong one never counts against the account: a telephone with an old one cannot lock its owner out (R86).
"""

import base64
import binascii
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta

from carepost.audit.events import AppPasswordFirstUsed, AppPasswordGranted, AppPasswordRevoked
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.address import EmailAddress
from carepost.base.clock import Clock
from carepost.base.errors import Malformed, NotPossible
from carepost.base.ids import AppPasswordId, MailboxId, OrganisationId, PersonId
from carepost.directory.access import OnPerson, Verb, is_allowed
from carepost.directory.revoking import Revoked, announce
from carepost.directory.service import Directory
from carepost.identity import repo, repo_sessions
from carepost.identity.model import AppPasswordLine, ClientFacts, Scope, SignedIn
from carepost.identity.passwords import Pepper
from carepost.infra.db import Database, Transaction

_SECRET_BYTES = 16
_GROUP = 4
_PURPOSE = "app password"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppPasswordPolicy:
    # ASVS 6.5.2 and common sense: a device that lasts longer asks again.
    life: timedelta = timedelta(days=365)
    # Telephones, tablets and computers of one person.
    each_max: int = 20
    # Use is noted at most this often: a telephone asks every few minutes, a synchroniser many times a second.
    touch_every: timedelta = timedelta(seconds=60)
    # Addresses whose mailbox is remembered. An address never becomes somebody else's (R14), so this cannot go stale
    # in a way that lets anybody in; everything about the person and the secret is asked anew each time.
    places_max: int = 50_000


@dataclass(frozen=True, slots=True)
class GrantedAppPassword:
    """`secret` is shown now and never again."""

    id: AppPasswordId
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AppPasswords:
    db: Database
    audit: AuditTrail
    clock: Clock
    directory: Directory
    pepper: Pepper
    policy: AppPasswordPolicy = field(default_factory=AppPasswordPolicy)
    _places: dict[str, tuple[OrganisationId, MailboxId]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    async def grant(
        self,
        actor: Actor,
        organisation: OrganisationId,
        person: PersonId,
        *,
        name: str,
        scopes: Collection[Scope],
    ) -> GrantedAppPassword:
        """A new one for the device called `name`: by its person, or by an administrator who allows mail clients.

        Raises NotAllowed; Malformed for a name that will not do; NotPossible when mail clients are not granted to them
        or they have too many.
        """
        await self._require(actor, organisation, person)
        name = " ".join(name.split())
        if not 0 < len(name) <= 100 or not name.isprintable() or not scopes:
            raise Malformed("Give the device a name of at most 100 characters, and say what the password is for.")
        secret, digest = self._mint()
        now = self.clock.now()
        async with self.db.transaction(organisation) as tx:
            if not await repo_sessions.may_use_mail_clients(tx, organisation, person):
                raise NotPossible("Mail clients have not been allowed for this person. Ask a local administrator.")
            if await repo_sessions.count_app_passwords(tx, organisation, person, now=now) >= self.policy.each_max:
                raise NotPossible(f"There are {self.policy.each_max} app passwords already. Revoke one first.")
            number = await repo_sessions.insert_app_password(
                tx,
                organisation,
                person,
                name=name,
                secret_hash=digest,
                scopes=scopes,
                expires_at=now + self.policy.life,
                now=now,
            )
            event = AppPasswordGranted(
                person=person, app_password=number, device=name, scopes=" ".join(sorted(s.value for s in scopes))
            )
            await self.audit.record(tx, actor, event)
        return GrantedAppPassword(number, secret)

    async def check(self, address: str, secret: str, scope: Scope, client: ClientFacts) -> SignedIn | None:
        """Who it is, or None: for every wrong combination alike. One short transaction, no Argon2."""
        digest, key = self._digest(secret), _key(address)
        if digest is None or key is None:
            return None
        place = self._places.get(key)
        async with self.db.transaction(None if place is None else place[0]) as tx:
            known = place or await repo.route_and_act(tx, key)
            if known is None:
                return None
            found = await self._find(tx, known, digest, scope, client)
        if found is None:
            return None
        if place is None:
            if len(self._places) >= self.policy.places_max:
                self._places.clear()
            self._places[key] = known
        return SignedIn(
            person=found.person,
            organisation=known[0],
            app_password=found.id,
            name=found.name,
            device=found.device,
        )

    async def _find(
        self,
        tx: Transaction,
        place: tuple[OrganisationId, MailboxId],
        digest: bytes,
        scope: Scope,
        client: ClientFacts,
    ) -> repo_sessions.FoundAppPassword | None:
        now = self.clock.now()
        organisation, mailbox = place
        found = await repo_sessions.check_app_password(
            tx,
            organisation,
            mailbox,
            digest,
            client,
            scope=scope,
            now=now,
            touch_before=now - self.policy.touch_every,
        )
        if found is not None and found.last_used_at is None:
            origin = None if client.address is None else str(client.address)
            actor = Actor.for_person(found.person, organisation, found.name, address=origin)
            event = AppPasswordFirstUsed(person=found.person, app_password=found.id, door=scope.door.value)
            await self.audit.record(tx, actor, event)
        return found

    async def revoke(
        self, actor: Actor, organisation: OrganisationId, person: PersonId, app_password: AppPasswordId
    ) -> None:
        """It opens nothing from now on, and what it holds open is closed. Raises NotAllowed, NotPossible."""
        await self._require(actor, organisation, person)
        async with self.db.transaction(organisation) as tx:
            if not await repo_sessions.revoke_app_password(
                tx, organisation, person, app_password, now=self.clock.now()
            ):
                raise NotPossible("There is no such app password, or it is revoked already.")
            await announce(tx, Revoked(app_password=app_password))
            await self.audit.record(tx, actor, AppPasswordRevoked(person=person, app_password=app_password))

    async def of_person(self, organisation: OrganisationId, person: PersonId) -> list[AppPasswordLine]:
        """All of them, those in force first."""
        async with self.db.transaction(organisation) as tx:
            return await repo_sessions.app_passwords_of(tx, organisation, person)

    async def _require(self, actor: Actor, organisation: OrganisationId, person: PersonId) -> None:
        thing = OnPerson(person, organisation)
        if actor.person is not None and actor.organisation is not None:
            rights = await self.directory.rights_of(actor.organisation, actor.person)
            if is_allowed(rights, Verb.OWN_ACCOUNT, thing):
                return
        await self.directory.require(actor, Verb.PERSON_ALLOW_MAIL_CLIENTS, thing)

    def _mint(self) -> tuple[str, bytes]:
        raw = secrets.token_bytes(_SECRET_BYTES)
        text = base64.b32encode(raw).decode("ascii").rstrip("=").lower()
        groups = [text[start : start + _GROUP] for start in range(0, len(text), _GROUP)]
        return "-".join(groups), self.pepper.pepper(_PURPOSE, raw)

    def _digest(self, secret: str) -> bytes | None:
        """None for what was never one of ours. Case, spaces and hyphens make no difference."""
        text = secret.replace("-", "").replace(" ", "").upper()
        if len(text) != 26 or not text.isascii():
            return None
        try:
            raw = base64.b32decode(text + "======")
        except binascii.Error:
            return None
        return self.pepper.pepper(_PURPOSE, raw)


def _key(address: str) -> str | None:
    try:
        return EmailAddress.parse(address.strip()).key
    except Malformed:
        return None
