"""The shipped decks of mail that goes out: every example comes true, and what is not known never leaves."""

from dataclasses import fields
from datetime import UTC, datetime

import pytest

from carepost.gateway.deck import shipped_care, shipped_outbound
from carepost.policy.actions import Action
from carepost.policy.card import Card, Example
from carepost.policy.english import sentence
from carepost.policy.evaluate import decide, decide_all
from carepost.policy.outbound import PHRASES, OutboundFacts, Reach, Sensitivity

ROUTES, CARE = shipped_outbound(), shipped_care()
CARDS = [pytest.param(card, id=f"{card.name}") for card in (*ROUTES.cards, *CARE.cards)]


def _examples(cards: tuple[Card[OutboundFacts], ...]) -> list[object]:
    return [
        pytest.param(card, example, id=f"{card.name}-{number}")
        for card in cards
        for number, example in enumerate(card.examples, 1)
    ]


@pytest.mark.parametrize(("card", "example"), _examples(ROUTES.cards))
def test_every_example_of_a_route_comes_true(card: Card[OutboundFacts], example: Example[OutboundFacts]) -> None:
    decision = decide(ROUTES, example.facts)
    assert decision.action is example.expect, f"{card.title}: settled by {decision.card}"


@pytest.mark.parametrize(("card", "example"), _examples(CARE.cards))
def test_every_example_of_a_question_comes_true(card: Card[OutboundFacts], example: Example[OutboundFacts]) -> None:
    asked = {decision.card: decision.action for decision in decide_all(CARE, example.facts)}
    assert asked.get(card.name, Action.ASK_NOTHING) is example.expect


@pytest.mark.parametrize("card", ROUTES.cards, ids=lambda card: card.name)
def test_every_route_settles_one_of_its_own_examples(card: Card[OutboundFacts]) -> None:
    assert any(decide(ROUTES, example.facts).card == card.name for example in card.examples)


@pytest.mark.parametrize("card", CARE.cards, ids=lambda card: card.name)
def test_every_question_has_an_example_that_asks_and_one_that_can_differ(card: Card[OutboundFacts]) -> None:
    assert any(example.expect is card.then for example in card.examples)


@pytest.mark.parametrize("card", CARDS)
def test_every_card_is_in_date_has_two_examples_and_reads_as_a_sentence(card: Card[OutboundFacts]) -> None:
    assert card.review_by > datetime.now(UTC).date(), f"{card.name} must be looked at again by {card.owner}"
    assert len(card.examples) >= 2
    assert sentence(card).endswith(f": {card.then}.")


def test_every_phrase_is_asked_by_a_shipped_card() -> None:
    cards = (*ROUTES.cards, *CARE.cards)
    used = {condition.phrase.wording for card in cards for condition in (*card.when, *card.unless)}
    assert {phrase.wording for phrase in PHRASES} - used == set()


def test_every_phrase_says_which_facts_it_asks_and_every_fact_can_be_asked() -> None:
    assert {fact for phrase in PHRASES for fact in phrase.asks} == {field.name for field in fields(OutboundFacts)}


@pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: phrase.wording)
def test_a_phrase_whose_facts_are_unknown_answers_that_it_cannot_tell(phrase: object) -> None:
    unknown = OutboundFacts(**dict.fromkeys(phrase.asks))  # type: ignore[attr-defined]
    assert phrase.question(unknown, "") is None  # type: ignore[attr-defined]


def test_when_nothing_is_known_the_message_is_held_and_everything_is_asked() -> None:
    nothing = OutboundFacts(**dict.fromkeys(field.name for field in fields(OutboundFacts)))
    assert decide(ROUTES, nothing).action is Action.HOLD
    assert len(decide_all(CARE, nothing)) == len(CARE.cards)


@pytest.mark.parametrize("name", [field.name for field in fields(OutboundFacts)])
def test_one_unknown_fact_about_a_message_to_an_outsider_never_lets_it_leave_unasked(name: str) -> None:
    """Unless a secure link or the sender's own wish takes care of what is not known."""
    facts = OutboundFacts(**{"reach": Reach.OUTSIDE, "sensitivity": Sensitivity.NONE, name: None})
    decision = decide(ROUTES, facts)
    asked = decide_all(CARE, facts)
    if name in {"agreed_to_plain", "one_each"}:  # these only excuse: nothing was found that needs an excuse
        assert decision.action is Action.SEND
        return
    assert decision.action is Action.HOLD or any(one.unsure for one in asked), decision


@pytest.mark.parametrize("sensitivity", [Sensitivity.PATIENT, Sensitivity.PERSONAL, None])
@pytest.mark.parametrize("asked", [False, True, None])
def test_nothing_sensitive_is_ever_relayed_to_an_address_off_the_register(
    sensitivity: Sensitivity | None, asked: bool | None
) -> None:
    facts = OutboundFacts(reach=Reach.OUTSIDE, sensitivity=sensitivity, asked_secure=asked)
    assert decide(ROUTES, facts).action in {Action.PORTAL, Action.HOLD}
    assert decide(ROUTES, OutboundFacts(reach=Reach.REGISTER, sensitivity=sensitivity)).action is Action.SEND_VERIFIED
