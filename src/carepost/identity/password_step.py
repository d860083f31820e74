"""The first step of signing in: the address and the password.

Promises
    Whether an account exists cannot be told from the answer, nor from the work done for it (ASVS 6.3.8, P21).
    No connection to the database is held while Argon2 runs.
    A shared mailbox cannot be signed in to (R50): it is nobody's address here.
"""

from dataclasses import dataclass, field

from carepost.base.address import EmailAddress
from carepost.base.clock import Clock
from carepost.base.errors import Malformed, TryLater
from carepost.directory.model import MAY_SIGN_IN
from carepost.identity import repo, tokens
from carepost.identity.model import (
    ClientFacts,
    NeedsSecondFactor,
    NeedsSetUp,
    NotAccepted,
    Outcome,
    SignInPolicy,
    SignInResult,
    Throttled,
)
from carepost.identity.passwords import PasswordHashing
from carepost.identity.signin import Happened, State, follow
from carepost.identity.tries import Account, Tries
from carepost.infra.db import Database, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class _Try:
    """One try under way. `known` is None when nobody has the name."""

    account: Account
    known: repo.Account | None
    device: bytes | None
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordStep:
    db: Database
    clock: Clock
    hashing: PasswordHashing
    tries: Tries
    policy: SignInPolicy = field(default_factory=SignInPolicy)

    async def take(self, address: str, password: str, client: ClientFacts) -> SignInResult:
        """What the page does next. Raises TryLater when too many people sign in at once."""
        trying = await self._begin(address, password, client)
        if isinstance(trying, Throttled):
            return trying
        stored = None if trying.known is None else trying.known.password_hash
        try:
            checked = await self.hashing.check(stored, password)
        except TryLater:
            # Nobody looked at the password: our being busy must not count against the account.
            async with self.db.transaction(trying.account.organisation) as tx:
                await self.tries.forgive(tx, trying.account, trying.attempt)
            raise
        if trying.known is None or not checked.right:
            return await self._refuse(trying, client, Outcome.WRONG_PASSWORD)
        if trying.known.status not in MAY_SIGN_IN:
            return await self._refuse(trying, client, Outcome.NOT_ALLOWED)
        after = await self.hashing.hash(password) if checked.stale else None
        return await self._let_on(trying, trying.known, rehashed=after)

    async def _begin(self, address: str, password: str, client: ClientFacts) -> _Try | Throttled:
        async with self.db.transaction() as tx:
            known = await self._find(tx, address)
            if known is None:
                account, device = self.tries.account_of_nobody(address), None
                await tx.act_for(account.organisation)
            else:
                account = self.tries.account_of(known.organisation, known.person)
                device = await known_device(tx, account, client, self.clock, self.policy)
            attempt = await self.tries.begin(tx, account, client, device=device, password=password)
            if isinstance(attempt, Throttled):
                return attempt
            return _Try(account=account, known=known, device=device, attempt=attempt)

    async def _find(self, tx: Transaction, address: str) -> repo.Account | None:
        try:
            key = EmailAddress.parse(address.strip()).key
        except Malformed:
            return None
        place = await repo.route_and_act(tx, key)
        return None if place is None else await repo.account_of_mailbox(tx, *place)

    async def _refuse(self, trying: _Try, client: ClientFacts, outcome: Outcome) -> NotAccepted:
        async with self.db.transaction(trying.account.organisation) as tx:
            await self.tries.fail(tx, trying.account, client, trying.attempt, outcome, device=trying.device)
        return NotAccepted()

    async def _let_on(
        self, trying: _Try, known: repo.Account, *, rehashed: str | None
    ) -> NeedsSecondFactor | NeedsSetUp:
        happened = Happened.PASSWORD_RIGHT if known.has_factor else Happened.PASSWORD_RIGHT_NO_FACTOR
        state = follow(State.STRANGER, happened)
        token, token_hash = tokens.mint(known.organisation)
        expires_at = self.clock.now() + self.policy.ticket_life
        async with self.db.transaction(known.organisation) as tx:
            await self.tries.forgive(tx, trying.account, trying.attempt)
            if rehashed is not None and known.password_hash is not None:
                await repo.rehash_credential(
                    tx, known.organisation, known.person, before=known.password_hash, after=rehashed
                )
            await repo.insert_ticket(
                tx, known.organisation, known.person, token_hash, state=state, expires_at=expires_at
            )
        is_known = trying.device is not None
        return NeedsSecondFactor(token, is_known) if known.has_factor else NeedsSetUp(token, is_known)


async def known_device(
    tx: Transaction, account: Account, client: ClientFacts, clock: Clock, policy: SignInPolicy
) -> bytes | None:
    """The hash of the client's device token, if this person has signed in from it before."""
    presented = tokens.read(client.device) if client.device else None
    if presented is None or account.person is None or presented.organisation != account.organisation:
        return None
    since = clock.now() - policy.device_life
    known = await repo.knows_device(tx, account.organisation, account.person, presented.hash, since=since)
    return presented.hash if known else None
