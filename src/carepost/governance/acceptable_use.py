"""The acceptable use policy: its versions, and who accepted which, when and from where.

Promises
    A version is never changed, only followed by another; everyone may read all of them (R76).
    An acceptance keeps the person, the version, the time and the client (R74), in the record too.
    Before the first acceptance nothing else can be done; a new version may be put off until its date (R75).
"""

from dataclasses import dataclass, field
from datetime import timedelta
from importlib.resources import files
from ipaddress import IPv4Address, IPv6Address

from carepost.audit.events import AupAccepted, AupPublished
from carepost.audit.model import PLATFORM, Actor
from carepost.audit.record import AuditTrail
from carepost.base.clock import Clock
from carepost.base.errors import Malformed, NotAllowed, NotPossible
from carepost.base.ids import OrganisationId, PersonId
from carepost.directory.access import OnOrganisation, OnPerson, OnPlatform, Verb
from carepost.directory.people import People
from carepost.governance import repo
from carepost.governance.repo import AupVersion
from carepost.infra.db import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptableUsePolicy:
    # R75: how long people have before a new version bars them. For the first version there is no grace.
    grace: timedelta = timedelta(days=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptableUse:
    db: Database
    audit: AuditTrail
    clock: Clock
    people: People
    policy: AcceptableUsePolicy = field(default_factory=AcceptableUsePolicy)

    async def current(self) -> AupVersion | None:
        """The version that counts now; None before the first is published."""
        async with self.db.transaction() as tx:
            return await repo.current_version(tx)

    async def versions(self) -> list[AupVersion]:
        """All of them, the newest first (R76)."""
        async with self.db.transaction() as tx:
            return await repo.versions(tx)

    async def publish(self, actor: Actor, text: str, *, changes: str = "") -> AupVersion:
        """A new version. `changes` says what is new; only the first needs none. Raises NotAllowed, Malformed."""
        await self.people.directory.require(actor, Verb.AUP_PUBLISH, OnPlatform())
        async with self.db.transaction(PLATFORM) as tx:
            last = await repo.current_version(tx)
            if not text.strip() or (last is not None and not changes.strip()):
                raise Malformed("A new version needs its text, and a summary of what has changed.")
            now = self.clock.now()
            version = AupVersion(
                version=1 if last is None else last.version + 1,
                text=text,
                changes=changes,
                published_at=now,
                accept_by=now if last is None else now + self.policy.grace,
            )
            if not await repo.insert_version(tx, version):
                raise NotPossible("Somebody has published a version at this moment. Please look at it first.")
            await self.audit.record(tx, actor, AupPublished(version=version.version))
        return version

    async def must_accept(self, organisation: OrganisationId, person: PersonId) -> AupVersion | None:
        """The version that bars the person from going on until they accept it, if there is one.

        Somebody who accepted an earlier version may go on until the new one's date.
        """
        async with self.db.transaction(organisation) as tx:
            current = await repo.current_version(tx)
            if current is None:
                return None
            accepted = await repo.accepted_version(tx, organisation, person)
        if accepted >= current.version or (accepted > 0 and self.clock.now() < current.accept_by):
            return None
        return current

    async def awaiting(self, organisation: OrganisationId, person: PersonId) -> AupVersion | None:
        """The current version if the person has not accepted it, barred or not: for the notice at sign-in (R75)."""
        async with self.db.transaction(organisation) as tx:
            current = await repo.current_version(tx)
            if current is None or await repo.accepted_version(tx, organisation, person) >= current.version:
                return None
            return current

    async def accept(
        self,
        actor: Actor,
        version: int,
        *,
        client: str,
        address: IPv4Address | IPv6Address | None = None,
    ) -> None:
        """The acting person accepts the current version. Raises NotAllowed; NotPossible if it is no longer current."""
        person, organisation = actor.person, actor.organisation
        if person is None or organisation is None:
            raise NotAllowed("Only a person can accept the policy, for themselves.")
        await self.people.directory.require(actor, Verb.OWN_ACCOUNT, OnPerson(person, organisation))
        async with self.db.transaction(organisation) as tx:
            current = await repo.current_version(tx)
            if current is None or current.version != version:
                raise NotPossible("There is a newer version of the policy. Please read that one.")
            now = self.clock.now()
            if not await repo.insert_acceptance(
                tx, organisation, person, version, at=now, address=address, client=client[:200]
            ):
                return
            await self.people.note_acceptance(tx, actor, organisation, person)
            await self.audit.record(tx, actor, AupAccepted(person=person, version=version, client=client[:200]))

    async def who_has_not_accepted(self, actor: Actor, organisation: OrganisationId) -> list[tuple[PersonId, str]]:
        """Who of an organisation has yet to accept the current version, by name (R75)."""
        await self.people.directory.require(actor, Verb.PERSON_SET_STATUS, OnOrganisation(organisation))
        async with self.db.transaction(organisation) as tx:
            current = await repo.current_version(tx)
            return [] if current is None else await repo.who_has_not_accepted(tx, organisation, current.version)


def first_text() -> str:
    """The policy that we ship, for a site that has not written its own."""
    return files(__package__).joinpath("acceptable_use.txt").read_text("utf-8")
