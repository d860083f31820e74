"""Deciding: findings in, one disposition for each recipient out. PURE and total.

Promises
    The deck is asked for each recipient; what SMTP cannot say (yes to one, no to another) becomes a hold, never a loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

from carepost.gateway.facts import for_recipient, shared_facts
from carepost.gateway.model import Disposition, Finding, Recipient, Via
from carepost.policy.actions import Action, Decision
from carepost.policy.card import Deck
from carepost.policy.evaluate import decide
from carepost.policy.inbound import InboundFacts

# From the gravest to the mildest: which decision stands for the whole message where one must.
GRAVITY = (Action.REFUSE, Action.HOLD, Action.JUNK, Action.WARN, Action.DELIVER)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What is done with a message, for everybody it is for."""

    dispositions: tuple[Disposition, ...]
    facts: InboundFacts

    @property
    def is_refused(self) -> bool:
        return bool(self.dispositions) and all(one.action is Action.REFUSE for one in self.dispositions)

    @property
    def gravest(self) -> Disposition:
        return min(self.dispositions, key=lambda one: GRAVITY.index(one.action))


def rule(findings: Sequence[Finding], recipients: Sequence[Recipient], deck: Deck[InboundFacts], *, via: Via) -> Ruling:
    """Ask the deck about every recipient's copy."""
    facts = shared_facts(findings, via=via)
    decisions: dict[bool, Decision] = {}
    for shared in {recipient.shared for recipient in recipients}:
        one = next(recipient for recipient in recipients if recipient.shared == shared)
        decisions[shared] = decide(deck, for_recipient(facts, one))
    everybody = all(decision.action is Action.REFUSE for decision in decisions.values())
    # A front server that speaks LMTP has said yes already: to refuse now would make it send a bounce to a stranger.
    may_refuse = everybody and via in {Via.SMTP, Via.SCAN}
    dispositions = tuple(
        Disposition(
            recipient=recipient,
            decision=decisions[recipient.shared],
            action=_possible(decisions[recipient.shared].action, may_refuse=may_refuse),
        )
        for recipient in recipients
    )
    return Ruling(dispositions, facts)


def _possible(action: Action, *, may_refuse: bool) -> Action:
    return Action.HOLD if action is Action.REFUSE and not may_refuse else action


def plain_facts(facts: InboundFacts) -> Mapping[str, str | bool | None]:
    """Facts as they are kept with the verdict: names and plain values."""
    values: dict[str, str | bool | None] = {}
    for field in fields(facts):
        value = getattr(facts, field.name)
        values[field.name] = value.value if isinstance(value, StrEnum) else value
    return values
