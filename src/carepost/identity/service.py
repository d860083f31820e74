"""Signing in, as a door asks for it: first the password, then the code. The steps are in modules of their own."""

from dataclasses import dataclass

from carepost.identity.code_step import CodeStep
from carepost.identity.factors import TotpOffer
from carepost.identity.model import ClientFacts, CodeNotAccepted, SessionToken, SignInResult, Throttled
from carepost.identity.password_step import PasswordStep


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    password_step: PasswordStep
    code_step: CodeStep

    async def begin(self, address: str, password: str, client: ClientFacts) -> SignInResult:
        """The first step. Raises TryLater when too many people sign in at once."""
        return await self.password_step.take(address, password, client)

    async def second_factor(
        self, ticket: str, code: str, client: ClientFacts, *, shared_computer: bool
    ) -> SessionToken | CodeNotAccepted | Throttled:
        """The second step; on a ticket of NeedsSetUp the code confirms the new factor too."""
        return await self.code_step.take(ticket, code, client, shared_computer=shared_computer)

    async def offer_factor(self, ticket: str) -> TotpOffer:
        """For a ticket of NeedsSetUp: what to show, as a picture and as text. Raises NotPossible when it ran out."""
        return await self.code_step.offer(ticket)
