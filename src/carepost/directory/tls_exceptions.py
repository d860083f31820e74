"""Exceptions from mandatory TLS, domain by domain: made with a reason and an end, and taken back. R107.

Promises
    An exception says a reason and runs out by itself; nobody has to remember it.
    It lifts what `delivery/tls_policy.py` says that it lifts, for mail that is not sensitive, and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from carepost.audit.events_rules import TlsExceptionEnded, TlsExceptionMade
from carepost.audit.model import PLATFORM, Actor
from carepost.audit.record import AuditTrail
from carepost.base.address import Domain
from carepost.base.clock import Clock
from carepost.base.errors import Malformed, NotPossible
from carepost.directory import repo_rules
from carepost.directory.access import OnPlatform, Verb
from carepost.directory.model import TlsException
from carepost.directory.service import Directory
from carepost.infra.db import Database

REASON_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsExceptionPolicy:
    # Long enough for another service to mend its certificate and for a holiday between; short enough to be asked again.
    longest: timedelta = timedelta(days=90)
    usual: timedelta = timedelta(days=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsExceptions:
    db: Database
    directory: Directory
    audit: AuditTrail
    clock: Clock
    policy: TlsExceptionPolicy = field(default_factory=TlsExceptionPolicy)

    async def all(self) -> Sequence[TlsException]:
        """By domain, those that have run out included: they count for nothing. Everybody may look."""
        async with self.db.glance() as tx:
            return await repo_rules.tls_exceptions(tx)

    async def make(self, actor: Actor, domain: Domain, *, reason: str, until: datetime | None = None) -> TlsException:
        """Raises NotAllowed; Malformed without a reason or with an end that is past or far; NotPossible for a domain
        that is not on the register: it has no mandatory TLS."""
        await self.directory.require(actor, Verb.SECURE_DOMAIN_EDIT, OnPlatform())
        reason, now = " ".join(reason.split())[:REASON_MAX], self.clock.now()
        until = until or now + self.policy.usual
        if not reason:
            raise Malformed("Say why mail to this domain may leave without checked encryption.")
        if not now < until <= now + self.policy.longest:
            raise Malformed(f"An exception ends within {self.policy.longest.days} days from now.")
        verdict = await self.directory.is_secure(domain)
        if verdict.entry is None or not verdict.secure:
            raise NotPossible(f"{domain} is not on the register of secure domains, so nothing is demanded of it.")
        made = TlsException(domain=domain, reason=reason, made_at=now, until=until)
        async with self.db.transaction(PLATFORM) as tx:
            await repo_rules.put_tls_exception(tx, made)
            event = TlsExceptionMade(domain=domain.name, until=until.date().isoformat(), reason=reason)
            await self.audit.record(tx, actor, event)
        self.directory.forget_register()
        return made

    async def end(self, actor: Actor, domain: Domain, *, reason: str) -> None:
        """Raises NotAllowed, Malformed; NotPossible when there is none."""
        await self.directory.require(actor, Verb.SECURE_DOMAIN_EDIT, OnPlatform())
        reason = " ".join(reason.split())[:REASON_MAX]
        if not reason:
            raise Malformed("Please give a reason: it is kept with the record of what you do.")
        async with self.db.transaction(PLATFORM) as tx:
            if not await repo_rules.end_tls_exception(tx, domain):
                raise NotPossible(f"There is no exception for {domain}.")
            await self.audit.record(tx, actor, TlsExceptionEnded(domain=domain.name, reason=reason))
        self.directory.forget_register()
