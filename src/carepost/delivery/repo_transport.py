"""Runs queries_transport.sql: policies that were fetched, and counts for TLS reports. Their domains are sealed.

Promises
    No domain and no host of another mail system stands in a row in clear.
    What does not open any more (another edge key) is as if it were not there: it is fetched or counted anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import msgspec

from carepost.base.address import Domain
from carepost.base.clock import Clock
from carepost.base.errors import Malformed
from carepost.delivery.sts_policies import KeptPolicy
from carepost.infra.db import Database, Transaction
from carepost.infra.sql import load_queries
from carepost.infra.vault import DoesNotOpen, EdgeKey, bound, open_small, seal_small
from carepost.mailauth.mta_sts import read_policy
from carepost.mailauth.tls_report import Tally

SQL = load_queries(__package__, "queries_transport.sql")

_NOBODY = 0  # these rows are the service's: no organisation has this number
_POLICY, _RESULT = b"sts policy", b"tls result"


class _SealedPolicy(msgspec.Struct, frozen=True, array_like=True):
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class TransportSeals:
    """Tokens to look up by and a key to seal with, both made of the edge key."""

    edge: EdgeKey

    def domain(self, domain: Domain) -> bytes:
        return self.edge.token(_NOBODY, "transport domain", domain.name)

    def result(self, tally: Tally) -> bytes:
        return self.edge.token(_NOBODY, "transport result", tally.key)

    def seal(self, label: bytes, token: bytes, plaintext: bytes) -> bytes:
        return seal_small(self._key(), label, bound("transport", token), plaintext)

    def open(self, label: bytes, token: bytes, sealed: bytes) -> bytes:
        """Raises DoesNotOpen."""
        return open_small(self._key(), label, bound("transport", token), sealed)

    def _key(self) -> bytes:
        return self.edge.pepper("what is known of other mail systems", b"key")


@dataclass(frozen=True, slots=True)
class StsPolicyTable:
    """The PolicyStore in the database: what one process has fetched, all know."""

    db: Database
    seals: TransportSeals
    clock: Clock

    async def get(self, domain: Domain) -> KeptPolicy | None:
        token = self.seals.domain(domain)
        async with self.db.glance() as tx:
            row = await tx.maybe(SQL["sts_policy_of"], {"token": token, "now": self.clock.now()})
        if row is None:
            return None
        try:
            opened = msgspec.msgpack.decode(self.seals.open(_POLICY, token, row["sealed"]), type=_SealedPolicy)
            return KeptPolicy(opened.id, read_policy(opened.text.encode()), row["fetched_at"])
        except (DoesNotOpen, Malformed, msgspec.MsgspecError):
            return None

    async def put(self, domain: Domain, kept: KeptPolicy) -> None:
        token = self.seals.domain(domain)
        sealed = self.seals.seal(_POLICY, token, msgspec.msgpack.encode(_SealedPolicy(kept.id, kept.policy.text)))
        named = {"token": token, "sealed": sealed, "fetched_at": kept.fetched_at, "until": kept.until}
        async with self.db.transaction() as tx:
            await tx.run(SQL["keep_sts_policy"], named)


async def forget_policies(tx: Transaction, now: datetime) -> int:
    return await tx.run(SQL["forget_sts_policies"], {"now": now})


@dataclass(frozen=True, slots=True)
class DayOfDomain:
    """A day (UTC) and a domain, known by its token only."""

    day: date
    token: bytes


async def add_results(tx: Transaction, seals: TransportSeals, day: date, tallies: Sequence[Tally]) -> None:
    rows = []
    for tally in tallies:
        domain_token, result_token = seals.domain(Domain(tally.domain)), seals.result(tally)
        rows.append(
            {
                "day": day,
                "domain_token": domain_token,
                "result_token": result_token,
                "sealed": seals.seal(_RESULT, result_token, msgspec.msgpack.encode(tally)),
                "successes": tally.successes,
                "failures": tally.failures,
            }
        )
    await tx.many(SQL["add_tls_result"], rows)


async def days_to_report(tx: Transaction, today: date, limit: int) -> list[DayOfDomain]:
    rows = await tx.all(SQL["tls_days_to_report"], {"today": today, "limit": limit})
    return [DayOfDomain(row["day"], row["domain_token"]) for row in rows]


async def results_of(tx: Transaction, seals: TransportSeals, which: DayOfDomain) -> list[Tally]:
    rows = await tx.all(SQL["tls_results_of"], {"day": which.day, "domain_token": which.token})
    tallies = []
    for row in rows:
        try:
            opened = seals.open(_RESULT, row["result_token"], row["sealed"])
        except DoesNotOpen:
            continue
        tally = msgspec.msgpack.decode(opened, type=Tally)
        tallies.append(msgspec.structs.replace(tally, successes=row["successes"], failures=row["failures"]))
    return tallies


async def claim(tx: Transaction, which: DayOfDomain, now: datetime) -> bool:
    """Whether the report is ours to write."""
    named = {"day": which.day, "domain_token": which.token, "now": now}
    return await tx.maybe(SQL["claim_tls_report"], named) is not None


async def forget_results(tx: Transaction, before: date) -> None:
    await tx.run(SQL["forget_tls_results"], {"before": before})
