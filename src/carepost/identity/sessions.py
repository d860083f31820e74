"""Browser sessions: begun by code_step, resumed with every request, ended by their person, an administrator or time.

Promises
    One query says whether a session is good: idle, absolute end, revoked, signed out everywhere, the person's status.
    Ending one is in force at the next request everywhere, and open connections hear of it within seconds (R99).
"""

from dataclasses import dataclass, field

from carepost.audit.events import SessionEnded, SessionsRevoked
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.clock import Clock
from carepost.base.errors import NotPossible
from carepost.base.ids import OrganisationId, PersonId, SessionId
from carepost.directory.access import OnPerson, Verb
from carepost.directory.revoking import Revoked, announce, end_everything
from carepost.directory.service import Directory
from carepost.identity import repo_sessions as repo
from carepost.identity import tokens
from carepost.identity.model import ClientFacts, Session, SessionLine, SessionPolicy
from carepost.infra.db import Database, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    db: Database
    audit: AuditTrail
    clock: Clock
    directory: Directory
    policy: SessionPolicy = field(default_factory=SessionPolicy)

    async def begin(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        person: PersonId,
        client: ClientFacts,
        *,
        shared_computer: bool,
    ) -> tuple[str, SessionId]:
        """A new session and its token. Called by the step that has just seen the right code."""
        now = self.clock.now()
        token, token_hash = tokens.mint(organisation)
        idle = self.policy.shared_idle if shared_computer else self.policy.own_idle
        absolute = self.policy.shared_absolute if shared_computer else self.policy.own_absolute
        session = await repo.insert_session(
            tx,
            organisation,
            person,
            token_hash,
            client,
            idle_seconds=int(idle.total_seconds()),
            absolute_until=now + absolute,
            shared_computer=shared_computer,
            now=now,
        )
        return token, session

    async def resume(self, token: str) -> Session | None:
        """Whose session it is, if it is good now; this counts as use."""
        presented = tokens.read(token)
        if presented is None:
            return None
        now = self.clock.now()
        async with self.db.transaction(presented.organisation) as tx:
            return await repo.resume_session(
                tx, presented.organisation, presented.hash, now=now, touch_before=now - self.policy.touch_every
            )

    async def is_open(self, organisation: OrganisationId, person: PersonId, session: SessionId) -> bool:
        """Whether the session would still be resumed: for what was opened in it and carries no token. No use of it."""
        async with self.db.transaction(organisation) as tx:
            return await repo.is_session_open(tx, organisation, person, session, now=self.clock.now())

    async def end(self, token: str) -> None:
        """Sign out. Nothing happens when it is over already."""
        presented = tokens.read(token)
        if presented is None:
            return
        async with self.db.transaction(presented.organisation) as tx:
            ended = await repo.end_session(tx, presented.organisation, token_hash=presented.hash, now=self.clock.now())
            if ended is None:
                return
            session, person = ended
            await announce(tx, Revoked(session=session))
            found = await self._actor(tx, presented.organisation, person, session)
            await self.audit.record(tx, found, SessionEnded(person=person, session=session))

    async def end_one(self, actor: Actor, organisation: OrganisationId, person: PersonId, session: SessionId) -> None:
        """End one of somebody's sessions from the list (ASVS 7.5.2). Raises NotAllowed, NotPossible."""
        await self.directory.require(actor, Verb.PERSON_REVOKE_SESSIONS, OnPerson(person, organisation))
        async with self.db.transaction(organisation) as tx:
            ended = await repo.end_session(tx, organisation, session=session, person=person, now=self.clock.now())
            if ended is None:
                raise NotPossible("That session is over already.")
            await announce(tx, Revoked(session=session))
            await self.audit.record(tx, actor, SessionEnded(person=person, session=session))

    async def revoke_all(self, actor: Actor, organisation: OrganisationId, person: PersonId, *, reason: str) -> int:
        """Sign out everywhere; returns how many sessions that ended. Mail clients connect again if they still may."""
        await self.directory.require(actor, Verb.PERSON_REVOKE_SESSIONS, OnPerson(person, organisation))
        now = self.clock.now()
        async with self.db.transaction(organisation) as tx:
            count = await repo.count_sessions(tx, organisation, person, now=now)
            await end_everything(tx, organisation, person, at=now)
            await self.audit.record(tx, actor, SessionsRevoked(person=person, sessions=count, reason=reason))
        return count

    async def of_person(self, organisation: OrganisationId, person: PersonId) -> list[SessionLine]:
        """The sessions that could still be used, newest first."""
        async with self.db.transaction(organisation) as tx:
            return await repo.sessions_of(tx, organisation, person, now=self.clock.now())

    async def _actor(
        self, tx: Transaction, organisation: OrganisationId, person: PersonId, session: SessionId
    ) -> Actor:
        name = await repo.name_of(tx, organisation, person)
        return Actor.for_person(person, organisation, name, session=str(session))
