"""Facts and cards in, one decision out. Pure and total: every set of facts gives a decision.

Promises
    The first card that applies settles it.
    A card that cannot be judged, because a fact is missing, stops the asking: it is not safe to go on to a milder card.
"""

from collections.abc import Iterable
from typing import TypeVar

from carepost.policy.actions import Action, Decision
from carepost.policy.card import Card, Deck
from carepost.policy.vocabulary import Answer

F = TypeVar("F")


def decide(deck: Deck[F], facts: F) -> Decision:
    for card in deck.cards:
        applies = _applies(card, facts)
        if applies:
            return Decision(action=card.then, card=card.name, version=card.version)
        if applies is None:
            missing = _missing(card, facts)
            return Decision(action=deck.unsure, card=card.name, version=card.version, unsure=True, missing=missing)
    return Decision(action=deck.otherwise, card=None, version=None)


def decide_all(deck: Deck[F], facts: F) -> list[Decision]:
    """What every card that applies says: for decks in which each card is a question of its own.

    A card that cannot be judged asks too; one that would then refuse does what the deck does when it is unsure.
    """
    decisions = []
    for card in deck.cards:
        applies = _applies(card, facts)
        if applies is False:
            continue
        unsure = applies is None
        action = deck.unsure if unsure and card.then is Action.REFUSE else card.then
        missing = _missing(card, facts) if unsure else ()
        decisions.append(Decision(action=action, card=card.name, version=card.version, unsure=unsure, missing=missing))
    return decisions


def _applies(card: Card[F], facts: F) -> Answer:
    when = _all(condition.holds(facts) for condition in card.when)
    excused = _any(condition.holds(facts) for condition in card.unless)
    return _all([when, None if excused is None else not excused])


def _missing(card: Card[F], facts: F) -> tuple[str, ...]:
    asked = (name for condition in (*card.when, *card.unless) for name in condition.phrase.asks)
    return tuple(dict.fromkeys(name for name in asked if getattr(facts, name) is None))


def _all(answers: Iterable[Answer]) -> Answer:
    known = set(answers)
    return False if False in known else None if None in known else True


def _any(answers: Iterable[Answer]) -> Answer:
    known = set(answers)
    return True if True in known else None if None in known else False
