"""How often people are asked before they send, by rule, and what they answer: false alarms are counted and shown.

Promises
    Counts only: no person, message or address. A rule is known by its code.
    Counting makes nobody wait: an organisation's counts are spread over rows by who sends.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from carepost.base.clock import Clock
from carepost.base.ids import OrganisationId, PersonId
from carepost.gateway.out import repo_recipients as repo
from carepost.gateway.out.repo_recipients import PromptLine
from carepost.infra.db import Database, Transaction

MESSAGES = "messages"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPolicy:
    shards: int = 16
    # A rule that is nearly always overridden is a bad rule, and somebody has to look at it.
    overridden_too_often: float = 0.9
    # ... once it has been answered this often.
    answers_min: int = 20
    kept_for: timedelta = timedelta(days=400)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleShown:
    """One rule over some days. Rates are None as long as there is nothing to divide by."""

    rule: str
    shown: int
    accepted: int  # the sender changed something: a right alarm
    overridden: int  # the sender went on: a false one, or a risk that was taken
    a_hundred_messages: float | None
    overridden_share: float | None
    look_at_it: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptReport:
    messages: int
    rules: tuple[RuleShown, ...]

    @property
    def a_hundred_messages(self) -> float | None:
        shown = sum(rule.shown for rule in self.rules)
        return 100 * shown / self.messages if self.messages else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    db: Database
    clock: Clock
    policy: PromptPolicy = field(default_factory=PromptPolicy)

    async def note_sent(self, tx: Transaction, organisation: OrganisationId, person: PersonId) -> None:
        """A message was taken: what the rates are divided by. Late in its transaction."""
        await self._note(tx, organisation, person, [PromptLine(rule=MESSAGES, shown=1, accepted=0, overridden=0)])

    async def note_shown(
        self, tx: Transaction, organisation: OrganisationId, person: PersonId, rules: Iterable[str]
    ) -> None:
        """The sender was asked because of these rules, once for each message."""
        lines = [PromptLine(rule=rule, shown=1, accepted=0, overridden=0) for rule in sorted(set(rules))]
        await self._note(tx, organisation, person, lines)

    async def note_answered(
        self, tx: Transaction, organisation: OrganisationId, person: PersonId, rules: Iterable[str], *, changed: bool
    ) -> None:
        """... and changed something (recipients, Bcc, the portal), or went on as it was."""
        lines = [
            PromptLine(rule=rule, shown=0, accepted=int(changed), overridden=int(not changed))
            for rule in sorted(set(rules))
        ]
        await self._note(tx, organisation, person, lines)

    async def report(self, organisation: OrganisationId, *, days: int = 30) -> PromptReport:
        since = (self.clock.now() - timedelta(days=days)).date()
        async with self.db.transaction(organisation) as tx:
            lines = await repo.prompts(tx, organisation, since=since)
        return self._report(lines)

    async def forget(self, organisation: OrganisationId) -> int:
        """A chore."""
        before = (self.clock.now() - self.policy.kept_for).date()
        async with self.db.transaction(organisation) as tx:
            return await repo.forget_prompts(tx, organisation, before=before)

    async def _note(
        self, tx: Transaction, organisation: OrganisationId, person: PersonId, lines: Sequence[PromptLine]
    ) -> None:
        if not lines:
            return
        day, shard = self.clock.now().date(), int(person) % self.policy.shards
        await repo.note_prompts(tx, organisation, lines, day=day, shard=shard)

    def _report(self, lines: Sequence[PromptLine]) -> PromptReport:
        messages = sum(line.shown for line in lines if line.rule == MESSAGES)
        return PromptReport(
            messages=messages, rules=tuple(self._rule(line, messages) for line in lines if line.rule != MESSAGES)
        )

    def _rule(self, line: PromptLine, messages: int) -> RuleShown:
        answers = line.accepted + line.overridden
        share = line.overridden / answers if answers else None
        often = share is not None and answers >= self.policy.answers_min and share > self.policy.overridden_too_often
        return RuleShown(
            rule=line.rule,
            shown=line.shown,
            accepted=line.accepted,
            overridden=line.overridden,
            a_hundred_messages=100 * line.shown / messages if messages else None,
            overridden_share=share,
            look_at_it=often,
        )
