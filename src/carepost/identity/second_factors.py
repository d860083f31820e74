"""Second factors kept: offered, confirmed, spent, removed. The arithmetic is in factors.py."""

from dataclasses import dataclass

from carepost.audit.events import SecondFactorSet
from carepost.audit.model import Actor, ActorKind
from carepost.audit.record import AuditTrail
from carepost.base.clock import Clock
from carepost.base.errors import NotAllowed, NotPossible
from carepost.base.ids import OrganisationId, PersonId
from carepost.directory.people import People
from carepost.identity import repo
from carepost.identity.factors import ColumnSeal, TotpOffer, matching_step, offer, offer_of
from carepost.infra.db import Database, Transaction

_COLUMN = "totp_factor.secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactors:
    seal: ColumnSeal
    people: People
    audit: AuditTrail
    clock: Clock
    issuer: str = "Carepost"  # what the authenticator app calls us

    async def offer(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        person: PersonId,
        *,
        address: str,
        sealed: bytes | None,
    ) -> TotpOffer:
        """A secret that waits for its first code. One that waits already is shown again: it may be scanned by now."""
        if sealed is not None:
            return offer_of(await self._open(tx, organisation, person, sealed), issuer=self.issuer, address=address)
        made = offer(issuer=self.issuer, address=address)
        await self._keep(tx, organisation, person, made.secret)
        return made

    async def spend(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        person: PersonId,
        code: str,
        *,
        sealed: bytes,
        last_step: int,
    ) -> bool:
        """Whether the code is right and was not used before; it is used now."""
        secret = await self._open(tx, organisation, person, sealed)
        now = self.clock.now()
        step = matching_step(secret, code, now=now, after=last_step)
        return step is not None and await repo.spend_step(tx, organisation, person, step, now=now)

    async def note_set(self, tx: Transaction, actor: Actor, organisation: OrganisationId, person: PersonId) -> None:
        """A first code confirmed the factor: who was waiting for that only becomes active."""
        await self.people.note_second_factor(tx, actor, organisation, person)
        await self.audit.record(tx, actor, SecondFactorSet(person=person, factor="authenticator app"))

    async def preset(
        self, db: Database, actor: Actor, organisation: OrganisationId, person: PersonId, secret: str
    ) -> None:
        """Give somebody a known secret, confirmed: for demonstrations, by the operator only."""
        if actor.kind is not ActorKind.ADMINISTRATOR:
            raise NotAllowed("Only the operator may choose somebody's second factor.")
        async with db.transaction(organisation) as tx:
            await repo.remove_factor(tx, organisation, person)
            await self._keep(tx, organisation, person, secret)
            # Step 0 is 1970: it confirms and spends nothing that could come.
            if not await repo.spend_step(tx, organisation, person, 1, now=self.clock.now()):
                raise NotPossible("The second factor could not be set.")
            await self.note_set(tx, actor, organisation, person)

    async def _open(self, tx: Transaction, organisation: OrganisationId, person: PersonId, sealed: bytes) -> str:
        raw = await self.seal.open_column(tx, organisation, context=_COLUMN, row=str(person), sealed=sealed)
        return raw.decode("ascii")

    async def _keep(self, tx: Transaction, organisation: OrganisationId, person: PersonId, secret: str) -> None:
        sealed = await self.seal.seal_column(
            tx, organisation, context=_COLUMN, row=str(person), plaintext=secret.encode("ascii")
        )
        if not await repo.offer_factor(tx, organisation, person, secret_sealed=sealed, now=self.clock.now()):
            raise NotPossible("There is a second factor already. Remove it first.")
