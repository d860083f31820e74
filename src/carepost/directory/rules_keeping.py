"""Each organisation's rules for mail that leaves: looked at, and set anew as another version.

Promises
    Every version is kept, with who set it, when and why; nothing that was in force is ever changed.
    What is set is what was shown: when somebody else has set rules meanwhile, one is asked to look again.
    Never laxer than the service: refused when it is set, and levelled up when the service becomes stricter later.
    A version counts within `age` in every process.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from carepost.audit.events_rules import GuidanceSeen, OutgoingRulesSet
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.clock import Clock
from carepost.base.errors import Malformed, NotPossible
from carepost.base.ids import OrganisationId, PersonId
from carepost.directory import repo, repo_rules
from carepost.directory.access import OnOrganisation, Verb
from carepost.directory.repo_rules import RulesVersion
from carepost.directory.service import Directory
from carepost.infra.db import Database, Transaction
from carepost.policy.rules import Chosen, OutgoingRules, RuleChange, ServiceRules, changes, in_force, insist

REASON_MAX = 500
VERSIONS_SHOWN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesPolicy:
    service: ServiceRules = field(default_factory=ServiceRules)
    # Every message asks; a rule that is set counts everywhere after so long at most.
    age: timedelta = timedelta(seconds=5)
    # What disclaimers are recognised by when they are quoted; the organisation's code is added to it.
    mark: str = "CAREPOST-NOTE"


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesShown:
    """For a page: what is in force, what was chosen, and every version so far, newest first."""

    rules: OutgoingRules
    chosen: Chosen
    versions: Sequence[RulesVersion]


@dataclass(frozen=True, slots=True)
class _Kept:
    read_at: datetime
    rules: OutgoingRules


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesKeeping:
    db: Database
    directory: Directory
    audit: AuditTrail
    clock: Clock
    policy: RulesPolicy = field(default_factory=RulesPolicy)
    _kept: dict[OrganisationId, _Kept] = field(default_factory=dict, init=False, compare=False, repr=False)

    async def of(self, organisation: OrganisationId) -> OutgoingRules:
        """What is in force, as it was read a moment ago. Raises TryLater: nobody may guess it to be the mildest."""
        now, kept = self.clock.now(), self._kept.get(organisation)
        if kept is not None and timedelta(0) <= now - kept.read_at < self.policy.age:
            return kept.rules
        async with self.db.transaction(organisation) as tx:
            rules, _ = await self._read(tx, organisation, limit=1)
        self._kept[organisation] = _Kept(now, rules)
        return rules

    async def show(self, actor: Actor, organisation: OrganisationId) -> RulesShown:
        """Raises NotAllowed."""
        await self.directory.require(actor, Verb.OUTGOING_RULES_EDIT, OnOrganisation(organisation))
        async with self.db.transaction(organisation) as tx:
            rules, versions = await self._read(tx, organisation, limit=VERSIONS_SHOWN)
        return RulesShown(rules=rules, chosen=versions[0].chosen if versions else Chosen(), versions=versions)

    async def preview(self, actor: Actor, organisation: OrganisationId, chosen: Chosen) -> list[RuleChange]:
        """What would be different in force. Raises NotAllowed; Malformed when it is laxer than the service."""
        insist(chosen, self.policy.service)
        before = (await self.show(actor, organisation)).rules
        return changes(before, self._in_force(chosen, before))

    async def set(
        self, actor: Actor, organisation: OrganisationId, chosen: Chosen, *, after: int, reason: str
    ) -> OutgoingRules:
        """Put it in force. `after`: the version that was looked at. Raises NotAllowed, Malformed; NotPossible when
        another version has come meanwhile, or nothing would be different."""
        await self.directory.require(actor, Verb.OUTGOING_RULES_EDIT, OnOrganisation(organisation))
        insist(chosen, self.policy.service)
        reason = " ".join(reason.split())[:REASON_MAX]
        if not reason:
            raise Malformed("Please give a reason: it is kept with the rules.")
        async with self.db.transaction(organisation) as tx:
            before, versions = await self._read(tx, organisation, limit=1)
            found = changes(before, self._in_force(chosen, before))
            if before.version != after:
                raise NotPossible("Somebody has set other rules since you looked. Nothing was done; please look again.")
            if not found and versions and versions[0].chosen == chosen:
                raise NotPossible("These rules are in force already.")
            at, person = self.clock.now(), actor.person if actor.organisation == organisation else None
            version = before.version + 1
            if not await repo_rules.insert(
                tx, organisation, chosen, version=version, reason=reason, at=at, person=person
            ):
                raise NotPossible("Somebody has set other rules since you looked. Nothing was done; please look again.")
            event = OutgoingRulesSet(version=version, changed=len(found), reason=reason)
            await self.audit.record(tx, actor, event, organisation=organisation)
            rules, _ = await self._read(tx, organisation, limit=1)
        self._kept.pop(organisation, None)
        return rules

    # --- guidance (R115) ----------------------------------------------------------------------------------------------

    async def must_read(self, organisation: OrganisationId, person: PersonId) -> str:
        """The guidance that this person has not read yet; empty when there is none."""
        guidance = (await self.of(organisation)).guidance
        if not guidance:
            return ""
        async with self.db.transaction(organisation) as tx:
            seen = await repo_rules.guidance_seen(tx, organisation, person)
        return "" if seen == _digest(guidance) else guidance

    async def note_read(self, tx: Transaction, actor: Actor, organisation: OrganisationId) -> None:
        """They have read the guidance in force, in the transaction of what they send; late in it: it records."""
        if actor.person is None:
            return
        rules, _ = await self._read(tx, organisation, limit=1)
        await repo_rules.note_guidance(tx, organisation, actor.person, _digest(rules.guidance), at=self.clock.now())
        await self.audit.record(tx, actor, GuidanceSeen(version=rules.version))

    # ------------------------------------------------------------------------------------------------------------------

    async def _read(
        self, tx: Transaction, organisation: OrganisationId, *, limit: int
    ) -> tuple[OutgoingRules, list[RulesVersion]]:
        found = await repo.organisation_by_id(tx, organisation)
        if found is None:
            raise NotPossible("There is no such organisation.")
        versions = await repo_rules.versions(tx, organisation, limit=limit)
        rules = in_force(
            versions[0].chosen if versions else Chosen(),
            self.policy.service,
            version=versions[0].version if versions else 0,
            name=found.name,
            mark=f"{self.policy.mark}-{found.code}",
        )
        return rules, versions

    def _in_force(self, chosen: Chosen, like: OutgoingRules) -> OutgoingRules:
        return in_force(chosen, self.policy.service, version=like.version, name=like.organisation_name, mark=like.mark)


def _digest(guidance: str) -> bytes:
    return hashlib.sha256(guidance.encode()).digest()[:16]
