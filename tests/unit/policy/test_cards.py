"""The shipped deck: every example on every card comes true, and the deck hangs together."""

from dataclasses import fields
from datetime import UTC, datetime

import pytest

from carepost.gateway.deck import shipped_inbound
from carepost.policy.actions import Action
from carepost.policy.card import Card, Example
from carepost.policy.english import sentence
from carepost.policy.evaluate import decide
from carepost.policy.inbound import INBOUND, PHRASES, InboundFacts

DECK = shipped_inbound()
EXAMPLES = [
    pytest.param(card, example, id=f"{card.name}-{number}")
    for card in DECK.cards
    for number, example in enumerate(card.examples, 1)
]


@pytest.mark.parametrize(("card", "example"), EXAMPLES)
def test_every_example_on_every_card_comes_true(card: Card[InboundFacts], example: Example[InboundFacts]) -> None:
    decision = decide(DECK, example.facts)
    assert decision.action is example.expect, f"{card.title}: settled by {decision.card}"


@pytest.mark.parametrize("card", DECK.cards, ids=lambda card: card.name)
def test_every_card_settles_one_of_its_own_examples(card: Card[InboundFacts]) -> None:
    assert any(decide(DECK, example.facts).card == card.name for example in card.examples)


@pytest.mark.parametrize("card", DECK.cards, ids=lambda card: card.name)
def test_every_card_is_in_date_has_two_examples_and_reads_as_a_sentence(card: Card[InboundFacts]) -> None:
    assert card.review_by > datetime.now(UTC).date(), f"{card.name} must be looked at again by {card.owner}"
    assert len(card.examples) >= 2
    assert sentence(card).endswith(f": {card.then}.")


def test_every_phrase_is_asked_by_a_shipped_card_or_kept_for_organisations() -> None:
    used = {condition.phrase.wording for card in DECK.cards for condition in (*card.when, *card.unless)}
    assert {phrase.wording for phrase in PHRASES} - used == {"the recipient is a shared mailbox"}


def test_every_phrase_says_which_facts_it_asks() -> None:
    known = {field.name for field in fields(InboundFacts)}
    assert {fact for phrase in PHRASES for fact in phrase.asks} == known


@pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: phrase.wording)
def test_a_phrase_whose_facts_are_unknown_answers_that_it_cannot_tell(phrase: object) -> None:
    unknown = InboundFacts(**dict.fromkeys(phrase.asks))  # type: ignore[attr-defined]
    assert phrase.question(unknown, "") is None  # type: ignore[attr-defined]


def test_when_nothing_is_known_the_message_is_held() -> None:
    nothing = InboundFacts(**dict.fromkeys(field.name for field in fields(InboundFacts)))
    decision = decide(DECK, nothing)
    assert decision.action is Action.HOLD
    assert decision.unsure


@pytest.mark.parametrize("name", [field.name for field in fields(InboundFacts) if field.name != "recipient_shared"])
def test_one_unknown_fact_never_leads_to_plain_delivery(name: str) -> None:
    assert decide(DECK, InboundFacts(**{name: None})).action in {Action.HOLD, Action.WARN}
    if name not in {
        "domain_asks_for",
        "trusted_forwarder",
        "sender_proved",
        "claims_our_domain",
    }:  # another fact settles
        assert decide(DECK, InboundFacts(**{name: None})).action is Action.HOLD


def test_the_sentence_of_a_card_is_the_rule_itself() -> None:
    card = DECK.card("own-domain-spoof")
    assert card is not None
    assert sentence(card) == (
        "When the message comes from outside and the message says that it is from one of our own addresses, "
        "unless the sender's address was proved: refuse it."
    )
    assert INBOUND.direction == "inbound"
