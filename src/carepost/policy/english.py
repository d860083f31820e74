"""A card as the sentence shown wherever the rule is shown: admin pages, `carepost why`, the audit log, the docs."""

from typing import TypeVar

from carepost.policy.card import Card

F = TypeVar("F")


def sentence(card: Card[F]) -> str:
    when = " and ".join(condition.text for condition in card.when)
    unless = " or ".join(condition.text for condition in card.unless)
    opening = f"When {when}" if when else "Always"
    return f"{opening}{', unless ' + unless if unless else ''}: {card.then}."
