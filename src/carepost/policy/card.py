"""A policy card: one rule, its reason, its owner, its review date and worked examples.

Promises
    A card that loads says only what the vocabulary knows; anything else is refused with the nearest wording.
    `version` changes whenever the text of the card does: a verdict that names it can be explained years later.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from enum import StrEnum
from itertools import pairwise
from typing import Any, Generic, TypeVar, get_args, get_type_hints

from carepost.policy.actions import Action
from carepost.policy.vocabulary import Answer, CardRefused, Phrase, Vocabulary, nearest

F = TypeVar("F")

UNKNOWN = "unknown"  # what an example gives for a fact that could not be found out
VERSION_DIGITS = 8  # 32 bits of SHA-256: tells versions of one card apart, and is short enough to read out
_TEXTS = ("title", "because", "owner")
_FIELDS = (*_TEXTS, "review_by", "order", "when", "unless", "then", "example")


@dataclass(frozen=True, slots=True)
class Condition(Generic[F]):
    text: str
    phrase: Phrase[F]
    filling: str

    def holds(self, facts: F) -> Answer:
        return self.phrase.question(facts, self.filling)


@dataclass(frozen=True, slots=True)
class Example(Generic[F]):
    """What must be decided about a message with these facts. `given` keeps what the author wrote."""

    given: Mapping[str, object]
    facts: F
    expect: Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Card(Generic[F]):
    name: str
    version: str
    title: str
    because: str
    owner: str
    review_by: date
    order: int
    when: tuple[Condition[F], ...]
    unless: tuple[Condition[F], ...]
    then: Action
    examples: tuple[Example[F], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deck(Generic[F]):
    """Cards in the order in which they are asked; the first that applies settles it."""

    cards: tuple[Card[F], ...]
    otherwise: Action  # when no card applies
    unsure: Action  # when a card cannot be judged because a fact is missing

    def card(self, name: str) -> Card[F] | None:
        return next((card for card in self.cards if card.name == name), None)


def read_card(name: str, text: str, vocabulary: Vocabulary[F]) -> Card[F]:
    """Raise CardRefused, in words for the card's author, unless `text` is a whole and correct card."""
    try:
        return _card(name, text, vocabulary)
    except tomllib.TOMLDecodeError as error:
        raise CardRefused(f"{name}: this is not TOML: {error}") from error
    except CardRefused as error:
        raise CardRefused(f"{name}: {error}") from error


def read_deck(texts: Mapping[str, str], vocabulary: Vocabulary[F], *, otherwise: Action, unsure: Action) -> Deck[F]:
    """Every card, in order. Two cards with one order number are refused: which one came first would be chance."""
    cards = sorted((read_card(name, text, vocabulary) for name, text in texts.items()), key=lambda card: card.order)
    for first, second in pairwise(cards):
        if first.order == second.order:
            raise CardRefused(f"{second.name}: order {second.order} is taken by {first.name}; give it its own number")
    return Deck(cards=tuple(cards), otherwise=otherwise, unsure=unsure)


def _card(name: str, text: str, vocabulary: Vocabulary[F]) -> Card[F]:
    raw: dict[str, Any] = tomllib.loads(text)
    for field in raw:
        if field not in _FIELDS:
            raise CardRefused(f'a card has no field "{field}"{nearest(field, list(_FIELDS))}')
    for field in (*_TEXTS, "review_by", "order", "when", "then"):
        if field not in raw:
            raise CardRefused(f'the field "{field}" is missing')
    for field in _TEXTS:
        if not isinstance(raw[field], str) or not raw[field].strip():
            raise CardRefused(f'the field "{field}" must be a sentence')
    if not isinstance(raw["review_by"], date) or type(raw["order"]) is not int:
        raise CardRefused("review_by is a date such as 2027-03-31 and order is a whole number")
    examples = tuple(_example(example, vocabulary) for example in raw.get("example", []))
    if not examples:
        raise CardRefused("a card needs at least one [[example]], because examples are how it is tested")
    return Card(
        name=name,
        version=hashlib.sha256(text.encode()).hexdigest()[:VERSION_DIGITS],
        title=raw["title"],
        because=raw["because"],
        owner=raw["owner"],
        review_by=raw["review_by"],
        order=raw["order"],
        when=_conditions(raw["when"], vocabulary),
        unless=_conditions(raw.get("unless", []), vocabulary),
        then=vocabulary.action(raw["then"]),
        examples=examples,
    )


def _conditions(texts: object, vocabulary: Vocabulary[F]) -> tuple[Condition[F], ...]:
    if not isinstance(texts, list):
        raise CardRefused("when and unless are lists of phrases")
    return tuple(Condition(str(text), *vocabulary.look_up(str(text))) for text in texts)


def _example(raw: Mapping[str, Any], vocabulary: Vocabulary[F]) -> Example[F]:
    if not isinstance(raw, dict) or set(raw) != {"given", "expect"} or not isinstance(raw["given"], dict):
        raise CardRefused('an [[example]] has two lines: given = { … } and expect = "…"')
    kinds = get_type_hints(vocabulary.facts)
    known = [field.name for field in fields(vocabulary.facts)]  # type: ignore[arg-type]
    given: dict[str, object] = {}
    for name, value in raw["given"].items():
        if name not in known:
            raise CardRefused(f'no such fact: "{name}"{nearest(name, known)}')
        given[name] = _fact(name, value, kinds[name])
    return Example(dict(raw["given"]), vocabulary.facts(**given), vocabulary.action(str(raw["expect"])))


def _fact(name: str, value: object, kind: object) -> object:
    """The value of one fact of an example; "unknown" stands for what could not be found out."""
    if value == UNKNOWN:
        return None
    for allowed in get_args(kind):
        if allowed is bool and isinstance(value, bool):
            return value
        if isinstance(allowed, type) and issubclass(allowed, StrEnum) and value in list(allowed):
            return allowed(str(value))
    raise CardRefused(f'the fact "{name}" cannot be {value!r}')
