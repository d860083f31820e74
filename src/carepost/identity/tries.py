"""Tries at signing in: judged, counted and kept. The rules are in throttle.py.

Promises
    A try counts before its password is looked at; a right one is forgiven. A thousand at once are no way round.
    A name that nobody has is counted and answered like one that somebody has (ASVS 6.3.8).
    Of a password only a 16-bit mark is kept, keyed, and only when a known device tried a wrong one: enough to see
    that it is the same stale one again, too little to tell which.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_network

from carepost.audit.events import SignInFailed, SignInLocked, SignInThrottled
from carepost.audit.model import PLATFORM, Actor
from carepost.audit.record import AuditTrail
from carepost.base.clock import Clock
from carepost.base.ids import OrganisationId, PersonId
from carepost.identity import repo
from carepost.identity.model import Attempt, ClientFacts, Outcome, Throttled
from carepost.identity.password_rules import normalise
from carepost.identity.passwords import Pepper
from carepost.identity.throttle import Go, ThrottlePolicy, Wait, judge
from carepost.infra.db import Transaction

_MARK_BYTES = 2
_NAME_MARK_BYTES = 16
# Refusals without a look are kept once in this time, however often they come.
_NOTE_REFUSALS_EVERY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whose tries these are: a person's, or (person None) those at a name that nobody has."""

    organisation: OrganisationId
    person: PersonId | None
    name_mark: bytes | None

    @property
    def key(self) -> str:
        return f"{self.organisation}:{self.person}" if self.name_mark is None else self.name_mark.hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    audit: AuditTrail
    clock: Clock
    pepper: Pepper
    policy: ThrottlePolicy = field(default_factory=ThrottlePolicy)

    def account_of(self, organisation: OrganisationId, person: PersonId) -> Account:
        return Account(organisation=organisation, person=person, name_mark=None)

    def account_of_nobody(self, name: str) -> Account:
        mark = self.pepper.pepper("sign-in name", name.strip().lower()[:320].encode("utf-8", "replace"))
        return Account(organisation=PLATFORM, person=None, name_mark=mark[:_NAME_MARK_BYTES])

    async def begin(
        self, tx: Transaction, account: Account, client: ClientFacts, *, device: bytes | None, password: str | None
    ) -> int | Throttled:
        """Count a try and return its number, or say how long to wait. `device`: the hash of a device we know."""
        now = self.clock.now()
        await repo.one_at_a_time(tx, account.key)
        since = now - self.policy.looks_back
        attempts = await repo.attempts(
            tx, account.organisation, person=account.person, name_mark=account.name_mark, since=since
        )
        verdict = judge(attempts, device=device, now=now, policy=self.policy)
        if isinstance(verdict, Go) and device is None and await self._source_is_worn_out(tx, client, now):
            verdict = Wait(now + self.policy.longest_wait, locked=False, failures=0)
        if isinstance(verdict, Wait):
            await self._note_refusal(tx, account, client, verdict, attempts=attempts, device=device)
            seconds = -int(-(verdict.until - now).total_seconds() // 1)
            return Throttled(max(seconds, 1), verdict.locked)
        outcome = Outcome.WRONG_PASSWORD if password is not None else Outcome.WRONG_CODE
        mark = self._mark(account, password) if device is not None and password is not None else None
        attempt = Attempt(at=now, outcome=outcome, device=device, password_mark=mark)
        return await repo.insert_attempt(
            tx, account.organisation, attempt, client, person=account.person, name_mark=account.name_mark
        )

    async def forgive(self, tx: Transaction, account: Account, attempt: int) -> None:
        """The password was right, or the person withdrew: it was no failure."""
        await repo.forgive_attempt(tx, account.organisation, attempt)

    async def accept(self, tx: Transaction, account: Account, attempt: int) -> None:
        """The whole sign-in succeeded: what this device failed before is forgotten."""
        await repo.settle_attempt(tx, account.organisation, attempt, Outcome.ACCEPTED)

    async def fail(
        self,
        tx: Transaction,
        account: Account,
        client: ClientFacts,
        attempt: int,
        outcome: Outcome,
        *,
        device: bytes | None,
    ) -> None:
        """The try stays a failure. The last statement of its transaction: it writes to the record."""
        await repo.settle_attempt(tx, account.organisation, attempt, outcome)
        if device is None and client.address is not None:
            await repo.add_source_failure(
                tx, self._source(client), per_hour=self.policy.source_per_hour, now=self.clock.now()
            )
        if account.person is not None:
            event = SignInFailed(person=account.person, door=client.door.value, reason=outcome.value)
            await self.audit.record(tx, _stranger(client), event)

    async def _source_is_worn_out(self, tx: Transaction, client: ClientFacts, now: datetime) -> bool:
        if client.address is None:
            return False
        per_hour = self.policy.source_per_hour
        failures = await repo.source_failures(tx, self._source(client), per_hour=per_hour, now=now)
        return failures >= self.policy.source_burst

    async def _note_refusal(
        self,
        tx: Transaction,
        account: Account,
        client: ClientFacts,
        wait: Wait,
        *,
        attempts: list[Attempt],
        device: bytes | None,
    ) -> None:
        now = self.clock.now()
        outcome = Outcome.LOCKED if wait.locked else Outcome.THROTTLED
        if any(a.outcome is outcome and a.at > now - _NOTE_REFUSALS_EVERY for a in attempts):
            return
        attempt = Attempt(at=now, outcome=outcome, device=device)
        await repo.insert_attempt(
            tx, account.organisation, attempt, client, person=account.person, name_mark=account.name_mark
        )
        if account.person is None:
            return
        if wait.locked:
            minutes = int(self.policy.lock.total_seconds() // 60)
            event = SignInLocked(person=account.person, failures=wait.failures, minutes=minutes)
            await self.audit.record(tx, _stranger(client), event)
        else:
            seconds = int((wait.until - now).total_seconds())
            throttled = SignInThrottled(person=account.person, door=client.door.value, wait_seconds=seconds)
            await self.audit.record(tx, _stranger(client), throttled)

    def _source(self, client: ClientFacts) -> str:
        assert client.address is not None  # noqa: S101 - both callers have looked
        prefix = self.policy.source_v4_prefix if client.address.version == 4 else self.policy.source_v6_prefix
        return str(ip_network((client.address, prefix), strict=False).network_address)

    def _mark(self, account: Account, password: str) -> bytes:
        value = f"{account.key}\0{normalise(password)}".encode("utf-8", "surrogatepass")
        return self.pepper.pepper("stale password", value)[:_MARK_BYTES]


def _stranger(client: ClientFacts) -> Actor:
    return Actor.stranger(None if client.address is None else str(client.address))
