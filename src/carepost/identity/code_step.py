"""The second step of signing in: the code; and setting the second factor up, for those who have none yet.

Promises
    A session begins here and nowhere else. Its token is new, whatever the browser had before (ASVS 7.2.4).
    A code is spent in the transaction that begins the session. A ticket is good once, for minutes, for a few tries.
"""

from dataclasses import dataclass, field

from carepost.audit.events import SignInAccepted
from carepost.audit.model import Actor
from carepost.base.clock import Clock
from carepost.base.errors import NotPossible
from carepost.base.ids import OrganisationId
from carepost.directory.model import MAY_SIGN_IN
from carepost.identity import repo, tokens
from carepost.identity.factors import TotpOffer
from carepost.identity.model import (
    ClientFacts,
    CodeNotAccepted,
    Outcome,
    SessionToken,
    SignInPolicy,
    Throttled,
)
from carepost.identity.password_step import known_device
from carepost.identity.second_factors import SecondFactors
from carepost.identity.sessions import Sessions
from carepost.identity.signin import Happened, State, follow
from carepost.identity.tokens import Presented
from carepost.identity.tries import Account, Tries
from carepost.infra.db import Database, Transaction

_BEGIN_AGAIN = CodeNotAccepted(again=False, says="This took too long or too many tries. Please sign in again.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeStep:
    db: Database
    clock: Clock
    tries: Tries
    factors: SecondFactors
    sessions: Sessions
    policy: SignInPolicy = field(default_factory=SignInPolicy)

    async def offer(self, ticket: str) -> TotpOffer:
        """What the authenticator app needs, for somebody who has no second factor. The same until it is confirmed.

        Raises NotPossible when the ticket ran out or is not for this.
        """
        presented = tokens.read(ticket)
        if presented is None:
            raise NotPossible(_BEGIN_AGAIN.says)
        async with self.db.transaction(presented.organisation) as tx:
            look = await repo.look_at_ticket(
                tx,
                presented.organisation,
                presented.hash,
                tries=self.policy.ticket_tries,
                now=self.clock.now(),
            )
            if look is None or look.state is not State.AWAITING_SET_UP or look.confirmed:
                raise NotPossible(_BEGIN_AGAIN.says)
            return await self.factors.offer(
                tx, presented.organisation, look.person, address=look.address, sealed=look.secret_sealed
            )

    async def take(
        self, ticket: str, code: str, client: ClientFacts, *, shared_computer: bool
    ) -> SessionToken | CodeNotAccepted | Throttled:
        """Signed in, or why not. On a ticket for setting up, the right code also confirms the new factor."""
        presented = tokens.read(ticket)
        if presented is None:
            return _BEGIN_AGAIN
        async with self.db.transaction(presented.organisation) as tx:
            return await self._take(tx, presented, code, client, shared_computer=shared_computer)

    async def _take(
        self, tx: Transaction, presented: Presented, code: str, client: ClientFacts, *, shared_computer: bool
    ) -> SessionToken | CodeNotAccepted | Throttled:
        organisation, most = presented.organisation, self.policy.ticket_tries
        ticket = await repo.use_ticket(tx, organisation, presented.hash, tries=most, now=self.clock.now())
        if ticket is None or ticket.secret_sealed is None or ticket.status not in MAY_SIGN_IN:
            return _BEGIN_AGAIN
        account = self.tries.account_of(organisation, ticket.person)
        device = await known_device(tx, account, client, self.clock, self.policy)
        attempt = await self.tries.begin(tx, account, client, device=device, password=None)
        if isinstance(attempt, Throttled):
            return attempt
        if not await self.factors.spend(
            tx, organisation, ticket.person, code, sealed=ticket.secret_sealed, last_step=ticket.last_step
        ):
            await self.tries.fail(tx, account, client, attempt, Outcome.WRONG_CODE, device=device)
            follow(ticket.state, Happened.CODE_WRONG)
            return CodeNotAccepted(again=ticket.tries < most)
        follow(ticket.state, Happened.CODE_RIGHT)
        await repo.delete_ticket(tx, organisation, presented.hash)
        await self.tries.accept(tx, account, attempt)
        token = await self._begin_session(tx, account, ticket, client, device, shared_computer=shared_computer)
        await self._record(tx, organisation, ticket, token, client, new_device=device is None)
        return token

    async def _begin_session(
        self,
        tx: Transaction,
        account: Account,
        ticket: repo.Ticket,
        client: ClientFacts,
        device: bytes | None,
        *,
        shared_computer: bool,
    ) -> SessionToken:
        device_token: str | None = None
        if not shared_computer:
            device_token, device_hash = client.device, device
            if device_hash is None:
                device_token, device_hash = tokens.mint(account.organisation)
            await repo.keep_device(
                tx, account.organisation, ticket.person, device_hash, name=client.name[:200], now=self.clock.now()
            )
        token, session = await self.sessions.begin(
            tx, account.organisation, ticket.person, client, shared_computer=shared_computer
        )
        return SessionToken(
            token=token,
            device=device_token,
            session=session,
            person=ticket.person,
            organisation=account.organisation,
            shared_computer=shared_computer,
        )

    async def _record(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        ticket: repo.Ticket,
        token: SessionToken,
        client: ClientFacts,
        *,
        new_device: bool,
    ) -> None:
        address = None if client.address is None else str(client.address)
        actor = Actor.for_person(ticket.person, organisation, ticket.name, session=str(token.session), address=address)
        if ticket.state is State.AWAITING_SET_UP:
            await self.factors.note_set(tx, actor, organisation, ticket.person)
        event = SignInAccepted(
            person=ticket.person,
            door=client.door.value,
            shared_computer=token.shared_computer,
            new_device=new_device,
        )
        await self.tries.audit.record(tx, actor, event)
