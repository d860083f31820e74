"""How often may this be asked: by one network, for one address. Counts are kept under keyed hashes, never by address.

Promises
    A budget is counted before what it bounds is done, by one atomic statement: a thousand at once are no way round.
"""

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address, ip_network

from carepost.base.clock import Clock
from carepost.base.errors import TryLater
from carepost.base.ids import OrganisationId
from carepost.infra.db import Transaction
from carepost.infra.vault import EdgeKey
from carepost.portal import repo
from carepost.portal.model import PortalPolicy

_HOUR = timedelta(hours=1)
_NOBODYS = 0
_V4_PREFIX, _V6_PREFIX = 32, 64  # what one household or ward has


class TooMany(TryLater):
    """A budget is used up."""

    def __init__(self) -> None:
        super().__init__("There have been too many tries. Please wait an hour and try again.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    edge: EdgeKey
    clock: Clock
    policy: PortalPolicy

    async def may_send_code(
        self, tx: Transaction, organisation: OrganisationId, address: str, client: str | None
    ) -> bool:
        """Count one more code to an address, asked for from a network; False when that is one too many."""
        mine = await self._spend(tx, self.edge.token(organisation, "portal codes to", address.lower()))
        theirs = await self._spend(tx, self._source("portal codes from", client))
        return mine <= self.policy.codes_per_address_hour and theirs <= self.policy.codes_per_source_hour

    async def count_passkey(
        self, tx: Transaction, organisation: OrganisationId, message: int, client: str | None
    ) -> None:
        """Count one more question to a passkey, of a message and from a network. Raises TooMany."""
        mine = await self._spend(tx, self.edge.token(organisation, "portal passkeys of", str(message)))
        theirs = await self._spend(tx, self._source("portal passkeys from", client))
        if mine > self.policy.passkey_tries_per_hour or theirs > self.policy.codes_per_source_hour:
            raise TooMany

    async def is_worn_out(self, tx: Transaction, client: str | None) -> bool:
        """Whether a network has been wrong too often in this hour."""
        key = self._source("portal failures", client)
        return await repo.spent(tx, key, since=self.clock.now() - _HOUR) >= self.policy.failures_per_source_hour

    async def count_failure(self, tx: Transaction, client: str | None) -> None:
        await self._spend(tx, self._source("portal failures", client))

    async def _spend(self, tx: Transaction, key: bytes) -> int:
        now = self.clock.now()
        return await repo.spend(tx, key, now=now, since=now - _HOUR)

    def _source(self, kind: str, client: str | None) -> bytes:
        try:
            address = ip_address(client or "")
            prefix = _V4_PREFIX if address.version == 4 else _V6_PREFIX
            source = str(ip_network((address, prefix), strict=False).network_address)
        except ValueError:
            source = "unknown"
        return self.edge.token(_NOBODYS, kind, source)
