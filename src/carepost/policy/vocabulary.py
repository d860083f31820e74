"""The phrases that cards are written in.

Promises
    The wording is the key: what a person reads is exactly what the machine asks. There is no second, technical form.
    A phrase answers None when a fact it needs is not known; `evaluate.decide` then holds the message. Hazard H-007.

A direction of mail has one `Vocabulary`: inbound's is in carepost.policy.inbound.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Generic, TypeVar

from carepost.policy.actions import Action

F = TypeVar("F")

Answer = bool | None  # None: cannot tell


@dataclass(frozen=True, slots=True)
class Phrase(Generic[F]):
    """One wording and the question it puts to the facts.

    `asks` names the facts it looks at: they are told to whoever asks why. `blank` lists what may stand where the
    wording says {}. `aliases` are older wordings that cards in use may still have.
    """

    wording: str
    question: Callable[[F, str], Answer]
    asks: tuple[str, ...]
    blank: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    def match(self, text: str) -> str | None:
        """What fills the blank ("" when there is none), or None when `text` is another phrase."""
        for wording in (self.wording, *self.aliases):
            pattern = re.escape(wording).replace(r"\{\}", "(.+)")
            if found := re.fullmatch(pattern, text):
                filling = found[1] if found.groups() else ""
                return filling if not self.blank or filling in self.blank else None
        return None

    def spelt_out(self) -> list[str]:
        """Every sentence part that this phrase allows."""
        return [self.wording.replace("{}", filling) for filling in self.blank] if self.blank else [self.wording]


def yes(fact: str) -> Callable[[object, str], Answer]:
    """The question whether that fact holds."""

    def question(facts: object, _: str) -> Answer:
        answer: Answer = getattr(facts, fact)
        return answer

    return question


def no(fact: str) -> Callable[[object, str], Answer]:
    """The question whether it does not. What is not known is not known either way."""

    def question(facts: object, _: str) -> Answer:
        answer: Answer = getattr(facts, fact)
        return None if answer is None else not answer

    return question


def plain(wording: str, fact: str) -> Phrase[Any]:
    """A wording for one fact, in either direction of mail."""
    return Phrase(wording, yes(fact), asks=(fact,))


class CardRefused(ValueError):
    """A card says something that we do not understand. The message is written for its author."""


@dataclass(frozen=True, slots=True)
class Vocabulary(Generic[F]):
    """Everything that a card of one direction may say."""

    direction: str
    facts: type[F]
    phrases: tuple[Phrase[F], ...]
    actions: frozenset[Action]

    def look_up(self, text: str) -> tuple[Phrase[F], str]:
        """The phrase and what fills its blank. Raise CardRefused, with the nearest wording, when there is none."""
        for phrase in self.phrases:
            if (filling := phrase.match(text)) is not None:
                return phrase, filling
        everything = [said for phrase in self.phrases for said in phrase.spelt_out()]
        raise CardRefused(f'no such phrase: "{text}"{_hint(text, everything)}')

    def action(self, text: str) -> Action:
        """Raise CardRefused unless `text` is something this direction can do."""
        for action in self.actions:
            if action.value == text:
                return action
        raise CardRefused(f'no such action: "{text}"{_hint(text, [action.value for action in self.actions])}')


def _hint(text: str, known: list[str]) -> str:
    near = get_close_matches(text, known, n=1, cutoff=0.4)
    return f'; did you mean "{near[0]}"?' if near else ""


def nearest(text: str, known: list[str]) -> str:
    """The end of a sentence that suggests what was meant, or nothing."""
    return _hint(text, known)
