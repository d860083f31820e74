"""Whether what the database calls committed would survive a power cut. C1.

Promises
    The program does not start on a database that may forget a committed message, and notices within a minute when
    somebody weakens it later.
    When it cannot be found out, the last answer stands for a while and then counts as unsound: unknown means hold.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from carepost.base.errors import NotPossible, TryLater
from carepost.infra.db import Database, Transaction

EVERY_SECONDS = 60.0
# Three missed looks: a database that can't be asked is not one to promise anything about.
_STALE_AFTER = 3

_ASK = """
SELECT name, setting
  FROM pg_settings
 WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'synchronous_standby_names', 'data_sync_retry',
                'ignore_checksum_failure', 'zero_damaged_pages')
"""
_REPLICA = "SELECT pg_is_in_recovery() AS replica"

# What each must be, and what goes wrong otherwise. Measured: synchronous_commit=off lost 2,946 of 109,953
# acknowledged commits in five power cuts, fsync=off all of them (docs/explain/why-postgresql.md).
_WANTED: Mapping[str, tuple[str, str]] = {
    "fsync": ("on", "committed messages would be lost in a power cut"),
    "full_page_writes": ("on", "a power cut in mid-write would corrupt pages"),
    "data_sync_retry": ("off", "a failed write to disk would be taken for a success"),
    "ignore_checksum_failure": ("off", "damaged data would be served as if it were sound"),
    "zero_damaged_pages": ("off", "damaged pages would be silently emptied"),
}


@dataclass(frozen=True, slots=True)
class DurabilityFinding:
    """A setting that is too weak, and why that matters, for an operator to read."""

    setting: str
    value: str
    says: str

    def __str__(self) -> str:
        return f"{self.setting} is {self.value}: {self.says}"


async def durability_findings(tx: Transaction) -> list[DurabilityFinding]:
    """What is weaker than our promise needs; empty when all is well."""
    settings = {row["name"]: row["setting"] for row in await tx.all(_ASK)}
    findings = judge(settings)
    if (await tx.one(_REPLICA))["replica"]:
        findings.append(
            DurabilityFinding("pg_is_in_recovery", "true", "this is a replica; decisions are made on the primary only")
        )
    return findings


def judge(settings: Mapping[str, str]) -> list[DurabilityFinding]:
    """Settings by name, as the server gives them. One that is absent is not of this version."""
    findings = [
        DurabilityFinding(name, settings[name], says)
        for name, (wanted, says) in _WANTED.items()
        if settings.get(name, wanted) != wanted
    ]
    commit = settings.get("synchronous_commit", "not known")
    if not _commit_suffices(commit, standby=bool(settings.get("synchronous_standby_names"))):
        findings.append(
            DurabilityFinding("synchronous_commit", commit, "a message could be acknowledged before it is on disk")
        )
    return findings


def _commit_suffices(level: str, *, standby: bool) -> bool:
    # Without a synchronous standby, `local`, `remote_write`, `on` and `remote_apply` all wait for our own disk.
    # With one, `local` would not wait for the copy that the operator asked for.
    return level in ("on", "remote_apply", "remote_write") or (level == "local" and not standby)


async def insist_on_durability(db: Database) -> None:
    """Raise NotPossible, naming each weak setting, unless the database keeps what it commits. Asked at every start."""
    async with db.transaction() as tx:
        findings = await durability_findings(tx)
    if findings:
        listed = "; ".join(map(str, findings))
        raise NotPossible(f"The database could lose accepted mail, so Carepost does not start. {listed}.")


@dataclass(slots=True)
class DurabilityWatch:
    """Looks every minute. `sound` says whether mail may be accepted; `/readyz` and the relay ask it."""

    db: Database
    # Told on every look: the findings, empty when sound. Sets a metric, writes a log line.
    tell: Callable[[Sequence[DurabilityFinding]], None]
    every_seconds: float = EVERY_SECONDS
    findings: tuple[DurabilityFinding, ...] = ()
    _looked_at: float = field(default_factory=time.monotonic)

    @property
    def sound(self) -> bool:
        fresh = time.monotonic() - self._looked_at < self.every_seconds * _STALE_AFTER
        return fresh and not self.findings

    async def look(self) -> None:
        """Once. A database that does not answer leaves the last findings in place, growing stale."""
        try:
            async with self.db.transaction() as tx:
                self.findings = tuple(await durability_findings(tx))
        except TryLater:
            return
        self._looked_at = time.monotonic()
        self.tell(self.findings)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self.every_seconds)
