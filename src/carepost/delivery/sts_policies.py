"""The MTA-STS policies of other domains: asked for, fetched, remembered. RFC 8461 §3, §5.

Promises
    A policy that was fetched counts until its max_age is over: when its record is gone, when its server is gone, when
    we have been restarted. Only a newer policy replaces it.
    A failed fetch is not tried again for some minutes, and counts as "no policy" only where none is remembered.
    One fetch at a time for a domain, however many messages wait for it.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from weakref import WeakValueDictionary

from carepost.base.address import Domain
from carepost.base.clock import Clock
from carepost.base.errors import Malformed, TryLater
from carepost.delivery.tls_policy import StsState
from carepost.mailauth.mta_sts import Mode, StsPolicy, policy_id, read_policy
from carepost.mailauth.resolver import NoSuchName, Resolver, ResolverTrouble
from carepost.mailauth.tls_report import FailureKind


class PolicyNotFetched(TryLater):
    """No policy came: `kind` is how a report calls it. RFC 8460 §4.3.2."""

    def __init__(self, says: str, kind: FailureKind) -> None:
        super().__init__(says)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class KeptPolicy:
    """A policy as it was fetched, with the id that DNS announced then."""

    id: str
    policy: StsPolicy
    fetched_at: datetime

    @property
    def until(self) -> datetime:
        return self.fetched_at + timedelta(seconds=self.policy.max_age)


class PolicyFetcher(Protocol):
    async def fetch(self, domain: Domain) -> bytes:
        """The policy's text. Raises PolicyNotFetched, within its deadline."""
        ...


class PolicyStore(Protocol):
    """Where policies outlive us. Both may raise TryLater."""

    async def get(self, domain: Domain) -> KeptPolicy | None: ...

    async def put(self, domain: Domain, kept: KeptPolicy) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StsLimits:
    # RFC 8461 §3.3: after a failure, not again for five minutes at least.
    again_after_failure: timedelta = timedelta(minutes=5)
    # RFC 8461 §10.2: looked at again well before it ends, so that it does not run out while its server is unreachable.
    refresh_after: timedelta = timedelta(days=1)
    # How long what the table holds is believed without looking: other processes write to it too.
    remembered: timedelta = timedelta(minutes=1)
    domains_max: int = 10_000  # remembered in memory; some hundred octets each


@dataclass(frozen=True, slots=True)
class StsProof:
    """What counts for a domain now. `problem`: what a report says about it; None: nothing to tell."""

    state: StsState = StsState.NONE
    policy: StsPolicy | None = None
    problem: FailureKind | None = None

    def names(self, host: str) -> bool:
        """Whether the policy, whatever its mode, names this host."""
        return self.policy is not None and self.policy.names(host)


@dataclass(slots=True)
class _Known:
    """What this process knows of one domain."""

    kept: KeptPolicy | None
    looked_at: datetime
    failed_at: datetime | None = None
    problem: FailureKind | None = None


@dataclass(slots=True, kw_only=True)
class StsPolicies:
    resolver: Resolver
    fetcher: PolicyFetcher
    store: PolicyStore
    clock: Clock
    limits: StsLimits = field(default_factory=StsLimits)
    _known: OrderedDict[str, _Known] = field(default_factory=OrderedDict, init=False)
    _locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary, init=False)

    async def of(self, domain: Domain) -> StsProof:
        """The policy that counts for mail to `domain` now. Never raises for the state of the world."""
        if domain.is_literal:
            return StsProof()
        lock = self._locks.setdefault(domain.name, asyncio.Lock())
        async with lock:
            known = await self._look(domain)
            announced, unknown = await self._announced(domain)
            if announced is not None and self._wants_fetch(known, announced):
                await self._fetch(domain, known, announced)
            return self._proof(known, announced=announced is not None or unknown)

    async def _look(self, domain: Domain) -> _Known:
        now = self.clock.now()
        known = self._known.get(domain.name)
        if known is None or now - known.looked_at > self.limits.remembered:
            try:
                kept = await self.store.get(domain)
            except TryLater:
                kept = known.kept if known is not None else None
            if known is None:
                known = _Known(kept, now)
            else:
                known.kept, known.looked_at = kept or known.kept, now
            self._known[domain.name] = known
        self._known.move_to_end(domain.name)
        while len(self._known) > self.limits.domains_max:
            self._known.popitem(last=False)
        if known.kept is not None and known.kept.until <= now:
            known.kept = None
        return known

    async def _announced(self, domain: Domain) -> tuple[str | None, bool]:
        """The id in DNS; and whether that could not be found out."""
        try:
            return policy_id((await self.resolver.txt(f"_mta-sts.{domain}")).records), False
        except NoSuchName:
            return None, False
        except ResolverTrouble:
            return None, True

    def _wants_fetch(self, known: _Known, announced: str) -> bool:
        now = self.clock.now()
        if known.failed_at is not None and now - known.failed_at < self.limits.again_after_failure:
            return False
        if known.kept is None or known.kept.id != announced:
            return True
        return now - known.kept.fetched_at > self.limits.refresh_after

    async def _fetch(self, domain: Domain, known: _Known, announced: str) -> None:
        try:
            policy = read_policy(await self.fetcher.fetch(domain))
        except Malformed:
            known.failed_at, known.problem = self.clock.now(), FailureKind.STS_POLICY_INVALID
            return
        except PolicyNotFetched as error:
            known.failed_at, known.problem = self.clock.now(), error.kind
            return
        known.kept = KeptPolicy(announced, policy, self.clock.now())
        known.failed_at = known.problem = None
        try:
            await self.store.put(domain, known.kept)
        except TryLater:
            return  # it counts for us all the same, and the next look fetches it again

    def _proof(self, known: _Known, *, announced: bool) -> StsProof:
        if known.kept is None:
            problem = known.problem if announced else None
            return StsProof(StsState.TROUBLE if problem else StsState.NONE, None, problem)
        policy = known.kept.policy
        return StsProof(_STATES[policy.mode], policy if policy.mode is not Mode.NONE else None, known.problem)


_STATES = {Mode.ENFORCE: StsState.ENFORCE, Mode.TESTING: StsState.TESTING, Mode.NONE: StsState.NONE}
