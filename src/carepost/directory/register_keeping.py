"""Keeping the register of secure domains: looked through, and renewed from a published list. R102, R103.

Promises
    What is done is what was shown: a diff that somebody confirmed is not applied when the register has changed since.
    All of a list is taken over, or nothing; every entry that changes is in the record.
    An entry that has run out counts for nothing from its first moment on (`register.judge`), whoever looks or does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from carepost.audit.events import SecureDomainListed, SecureDomainRemoved
from carepost.audit.events_correspondents import SecureDomainsImported
from carepost.audit.model import PLATFORM, Actor
from carepost.audit.record import AuditTrail
from carepost.base.clock import Clock
from carepost.base.errors import Malformed, NotPossible
from carepost.directory import repo
from carepost.directory.access import OnPlatform, Verb
from carepost.directory.model import SecureDomain
from carepost.directory.register_file import RegisterDiff, RegisterFilePolicy, compare, read_register_file
from carepost.directory.service import Directory
from carepost.infra.db import Database, Transaction

SOURCE_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterPage:
    """Some entries by name; `after` asks for those behind them."""

    entries: Sequence[SecureDomain]
    total: int
    lapsed: int
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterKeeping:
    db: Database
    directory: Directory
    audit: AuditTrail
    clock: Clock
    policy: RegisterFilePolicy = field(default_factory=RegisterFilePolicy)

    async def page(self, *, search: str = "", after: str = "", limit: int = 50) -> RegisterPage:
        """Entries whose domain holds `search`, behind `after`. Published anyway: everybody may look."""
        now, search = self.clock.now(), search.strip().lower()
        async with self.db.glance() as tx:
            entries = await repo.secure_domains(tx)
        found = [entry for entry in entries if search in entry.domain.name]
        behind = [entry for entry in found if entry.domain.name > after]
        limit = max(1, min(limit, 500))
        more = behind[limit - 1].domain.name if len(behind) > limit else None
        lapsed = sum(entry.accredited_until <= now for entry in entries)
        return RegisterPage(entries=behind[:limit], total=len(found), lapsed=lapsed, after=more)

    async def running_out(self, *, within: timedelta = timedelta(days=30)) -> list[SecureDomain]:
        """Entries that run out soon or have: somebody has to be told before mail to them changes (R103)."""
        async with self.db.glance() as tx:
            entries = await repo.secure_domains(tx)
        return [entry for entry in entries if entry.accredited_until <= self.clock.now() + within]

    async def preview(self, actor: Actor, raw: bytes, *, source: str) -> RegisterDiff:
        """What taking the list over would change. Raises NotAllowed; Malformed when it is not such a list."""
        await self.directory.require(actor, Verb.SECURE_DOMAIN_EDIT, OnPlatform())
        async with self.db.transaction(PLATFORM) as tx:
            return await self._diff(tx, raw, source)

    async def apply(
        self, actor: Actor, raw: bytes, *, source: str, fingerprint: str | None = None, despite_faults: bool = False
    ) -> RegisterDiff:
        """Take the list over. Raises NotAllowed, Malformed; NotPossible when it has faults that nobody accepted, and
        when it is not what `fingerprint` was shown for."""
        await self.directory.require(actor, Verb.SECURE_DOMAIN_EDIT, OnPlatform())
        async with self.db.transaction(PLATFORM) as tx:
            await repo.lock_roles(tx, PLATFORM)  # One import at a time.
            diff = await self._diff(tx, raw, source)
            if fingerprint is not None and fingerprint != diff.fingerprint:
                raise NotPossible("The register has changed since you looked. Nothing was done; please look again.")
            if any(fault.line for fault in diff.faults) and not despite_faults:
                raise NotPossible(
                    f"{len(diff.faults)} lines cannot be read. Nothing was done. Mend them, or take over the others."
                )
            await self._write(tx, actor, diff)
        self.directory.forget_register()
        return diff

    async def _diff(self, tx: Transaction, raw: bytes, source: str) -> RegisterDiff:
        source = " ".join(source.split())
        if not 0 < len(source) <= SOURCE_MAX:
            raise Malformed(f"Say where the list comes from, in at most {SOURCE_MAX} characters.")
        now = self.clock.now()
        own = frozenset(entry.domain for entry in await repo.own_domains(tx))
        wanted = read_register_file(raw, source=source, own=own, now=now, policy=self.policy)
        return compare(await repo.secure_domains(tx), wanted, source=source, now=now)

    async def _write(self, tx: Transaction, actor: Actor, diff: RegisterDiff) -> None:
        if diff.is_empty:
            return
        for entry in (*diff.added, *(after for _, after in diff.changed)):
            await repo.list_secure_domain(tx, entry)
            until = entry.accredited_until.date().isoformat()
            event = SecureDomainListed(
                domain=entry.domain.name, match=entry.match.value, source=entry.source, until=until
            )
            await self.audit.record(tx, actor, event)
        for entry in diff.removed:
            await repo.remove_secure_domain(tx, entry.domain)
            ended = entry.accredited_until <= self.clock.now()
            reason = "its accreditation has ended" if ended else f"it is not on the list of {diff.source} any more"
            await self.audit.record(tx, actor, SecureDomainRemoved(domain=entry.domain.name, reason=reason))
        event_of_all = SecureDomainsImported(
            source=diff.source, listed=len(diff.added), renewed=len(diff.changed), removed=len(diff.removed)
        )
        await self.audit.record(tx, actor, event_of_all)
