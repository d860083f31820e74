"""Passwords set and changed, locks lifted, factors removed: what a person and the service desk do to an account.

Promises
    The password of somebody else is never chosen by the desk: it is made here, shown once, and must be changed
    (ASVS 6.4.6). The operator may set one, for demonstrations.
    A new password ends every session that was begun with the old one.
"""

import secrets
from dataclasses import dataclass, field

from carepost.audit.events import PasswordSet, SecondFactorRemoved, SignInUnlocked
from carepost.audit.model import Actor, ActorKind
from carepost.audit.record import AuditTrail
from carepost.base.clock import Clock
from carepost.base.errors import NotAllowed, NotPossible
from carepost.base.ids import OrganisationId, PersonId
from carepost.directory.access import OnPerson, Verb
from carepost.directory.revoking import end_everything
from carepost.directory.service import Directory
from carepost.identity import repo
from carepost.identity.model import Attempt, AttemptLine, ClientFacts, Outcome, SignInPolicy
from carepost.identity.password_rules import PasswordPolicy, PasswordRefused, judge
from carepost.identity.passwords import PasswordHashing
from carepost.infra.db import Database, Transaction

# Without the letters and digits that are read for each other over the telephone.
_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"
_TEMPORARY_GROUPS, _TEMPORARY_GROUP = 4, 4  # 16 of 31 letters: 79 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPolicy:
    passwords: PasswordPolicy = field(default_factory=PasswordPolicy)
    sign_in: SignInPolicy = field(default_factory=SignInPolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    db: Database
    audit: AuditTrail
    clock: Clock
    directory: Directory
    hashing: PasswordHashing
    policy: AccountPolicy = field(default_factory=AccountPolicy)

    async def set_password(
        self, actor: Actor, organisation: OrganisationId, person: PersonId, password: str, *, must_change: bool = False
    ) -> None:
        """By the operator at the command line. Raises NotAllowed, PasswordRefused, NotPossible."""
        if actor.kind is not ActorKind.ADMINISTRATOR:
            raise NotAllowed("Only the operator may choose somebody else's password.")
        await self._judge(organisation, person, password, compare_past=False)
        await self._keep(actor, organisation, person, password, must_change=must_change)

    async def change_own_password(self, actor: Actor, *, current: str, new: str) -> None:
        """By the person, who gives the current one. Raises NotAllowed when that is wrong; PasswordRefused."""
        person, organisation = actor.person, actor.organisation
        if person is None or organisation is None:
            raise NotAllowed("Only a person has a password to change.")
        await self.directory.require(actor, Verb.OWN_ACCOUNT, OnPerson(person, organisation))
        async with self.db.transaction(organisation) as tx:
            stored = await repo.credential_of(tx, organisation, person)
        if not (await self.hashing.check(None if stored is None else stored.hash, current)).right:
            raise NotAllowed("The current password is not right.")
        await self._judge(organisation, person, new, compare_past=True)
        await self._keep(actor, organisation, person, new, must_change=False)

    async def issue_temporary_password(self, actor: Actor, organisation: OrganisationId, person: PersonId) -> str:
        """By the desk: a made-up password, returned once, that must be changed at the next sign-in (R38)."""
        await self.directory.require_over(actor, Verb.PERSON_RESET_PASSWORD, OnPerson(person, organisation))
        groups = ["".join(secrets.choice(_READABLE) for _ in range(_TEMPORARY_GROUP)) for _ in range(_TEMPORARY_GROUPS)]
        password = "-".join(groups)
        await self._keep(actor, organisation, person, password, must_change=True)
        return password

    async def remove_second_factor(
        self, actor: Actor, organisation: OrganisationId, person: PersonId, *, reason: str
    ) -> None:
        """A lost telephone: a new factor has to be set at the next sign-in. Raises NotAllowed, NotPossible.

        The password alone then leads to setting one up, so reset it as well unless the person stands before you.
        """
        await self.directory.require_over(actor, Verb.PERSON_RESET_PASSWORD, OnPerson(person, organisation))
        async with self.db.transaction(organisation) as tx:
            if not await repo.remove_factor(tx, organisation, person):
                raise NotPossible("They have no second factor.")
            await repo.delete_tickets_of(tx, organisation, person)
            await end_everything(tx, organisation, person, at=self.clock.now())
            event = SecondFactorRemoved(person=person, factor="authenticator app", reason=reason)
            await self.audit.record(tx, actor, event)

    async def unlock(self, actor: Actor, organisation: OrganisationId, person: PersonId) -> None:
        """Forget the failures so far: they may try again at once (R38)."""
        await self.directory.require(actor, Verb.PERSON_UNLOCK, OnPerson(person, organisation))
        attempt = Attempt(at=self.clock.now(), outcome=Outcome.UNLOCKED)
        client = ClientFacts(address=None, name=actor.name)
        async with self.db.transaction(organisation) as tx:
            await repo.insert_attempt(tx, organisation, attempt, client, person=person, name_mark=None)
            await self.audit.record(tx, actor, SignInUnlocked(person=person))

    async def recent_sign_ins(
        self, actor: Actor, organisation: OrganisationId, person: PersonId, *, limit: int = 100
    ) -> list[AttemptLine]:
        """The tries of the last thirty days, newest first, with the device each came from (R86, R87)."""
        await self.directory.require(actor, Verb.PERSON_SEE_SIGN_INS, OnPerson(person, organisation))
        since = self.clock.now() - self.policy.sign_in.attempts_kept
        async with self.db.transaction(organisation) as tx:
            return await repo.recent_attempts(tx, organisation, person, since=since, limit=limit)

    async def _judge(
        self, organisation: OrganisationId, person: PersonId, password: str, *, compare_past: bool
    ) -> None:
        keep = self.policy.passwords.remembered
        async with self.db.transaction(organisation) as tx:
            about = await repo.names_for_password(tx, organisation, person)
            if about is None:
                raise NotPossible("There is no such person in this organisation.")
            stored = await repo.credential_of(tx, organisation, person)
            past = await repo.past_passwords(tx, organisation, person, limit=max(keep - 1, 0))
        judge(
            password,
            names=about.names,
            is_administrator=about.is_administrator,
            policy=self.policy.passwords,
        )
        if not compare_past or keep == 0:
            return
        for old in [*([] if stored is None else [stored.hash]), *past]:
            if (await self.hashing.check(old, password)).right:
                raise PasswordRefused(f"This is one of your last {keep} passwords. Choose another.")

    async def _keep(
        self, actor: Actor, organisation: OrganisationId, person: PersonId, password: str, *, must_change: bool
    ) -> None:
        hashed = await self.hashing.hash(password)
        async with self.db.transaction(organisation) as tx:
            await self._replace(tx, organisation, person, hashed, must_change=must_change)
            await self.audit.record(tx, actor, PasswordSet(person=person, must_change=must_change))

    async def _replace(
        self, tx: Transaction, organisation: OrganisationId, person: PersonId, hashed: str, *, must_change: bool
    ) -> None:
        now = self.clock.now()
        stored = await repo.credential_of(tx, organisation, person)
        if stored is not None:
            keep = max(self.policy.passwords.remembered - 1, 0)
            await repo.remember_password(tx, organisation, person, stored, keep=keep)
            await end_everything(tx, organisation, person, at=now)
        await repo.delete_tickets_of(tx, organisation, person)
        if must_change:
            await repo.forget_devices(tx, organisation, person)
        await repo.set_credential(tx, organisation, person, hashed, must_change=must_change, now=now)
