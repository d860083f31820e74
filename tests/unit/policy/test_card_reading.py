"""What a card may say, and what its author is told when it says something else."""

import pytest

from carepost.policy.actions import Action
from carepost.policy.card import read_card, read_deck
from carepost.policy.evaluate import decide
from carepost.policy.inbound import INBOUND, InboundFacts
from carepost.policy.vocabulary import CardRefused, Phrase, Vocabulary

CARD = """
title     = "Malware"
because   = "It must reach nobody."
owner     = "Security lead"
review_by = 2027-06-30
order     = 10
when      = ["malware was found in the message"]
then      = "hold it for a person to look at"
[[example]]
given  = { malware_found = true }
expect = "hold it for a person to look at"
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("malware was found", "malwear was found", 'did you mean "malware was found in the message"'),
        ('then      = "hold it', 'then      = "holds it', 'did you mean "hold it for a person to look at"'),
        ("owner ", "ownr ", 'did you mean "owner"'),
        ('owner     = "Security lead"', "", '"owner" is missing'),
        ("malware_found", "malware_fund", 'no such fact: "malware_fund"; did you mean "malware_found"'),
        ("= true", '= "yes"', "cannot be 'yes'"),
        ("order     = 10", 'order     = "first"', "order is a whole number"),
        ("order     = 10", "order     = true", "order is a whole number"),
        ("2027-06-30", '"soon"', "review_by is a date"),
        ('because   = "It must reach nobody."', 'because   = ""', '"because" must be a sentence'),
        ("when      = [", "when      = {", "not TOML"),
        ('when      = ["malware was found in the message"]', 'when      = "always"', "lists of phrases"),
        ("[[example]]", "[example]", "example"),
        ('expect = "hold it for a person to look at"', "", "two lines"),
    ],
)
def test_a_card_that_says_something_else_is_refused_and_its_author_is_told(old: str, new: str, told: str) -> None:
    with pytest.raises(CardRefused, match="malware: ") as refused:
        read_card("malware", CARD.replace(old, new, 1), INBOUND)
    assert told in str(refused.value)


def test_a_card_without_an_example_is_refused() -> None:
    with pytest.raises(CardRefused, match="at least one"):
        read_card("malware", CARD.partition("[[example]]")[0], INBOUND)


def test_the_version_of_a_card_changes_with_its_text() -> None:
    first, second = read_card("m", CARD, INBOUND), read_card("m", CARD.replace("nobody", "no one"), INBOUND)
    assert first.version != second.version
    assert len(first.version) == 8


def test_two_cards_with_one_order_are_refused() -> None:
    with pytest.raises(CardRefused, match="order 10 is taken by a"):
        read_deck({"a": CARD, "b": CARD}, INBOUND, otherwise=Action.DELIVER, unsure=Action.HOLD)


def test_a_known_no_settles_a_card_even_when_another_fact_is_unknown() -> None:
    text = CARD.replace("when      = [", 'when      = ["the message comes from outside", ').replace(
        "[[example]]", '[[example]] # second\ngiven = {}\nexpect = "deliver it"\n[[example]]'
    )
    deck = read_deck({"a": text}, INBOUND, otherwise=Action.DELIVER, unsure=Action.HOLD)
    assert decide(deck, InboundFacts(malware_found=None, from_outside=False)).action is Action.DELIVER
    unsure = decide(deck, InboundFacts(malware_found=None))
    assert (unsure.action, unsure.unsure, unsure.missing) == (Action.HOLD, True, ("malware_found",))
    assert decide(deck, InboundFacts(malware_found=True)).card == "a"


def test_a_phrase_with_a_blank_takes_only_its_fillings_and_older_wordings_still_count() -> None:
    phrase = Phrase(
        "malware rated {} was found",
        lambda facts, level: level == "bad",
        asks=(),
        blank=("bad", "worse"),
        aliases=("a {} virus was found",),
    )
    vocabulary = Vocabulary("inbound", InboundFacts, (phrase,), frozenset(Action))
    assert vocabulary.look_up("malware rated worse was found") == (phrase, "worse")
    assert vocabulary.look_up("a bad virus was found") == (phrase, "bad")
    with pytest.raises(CardRefused, match='did you mean "malware rated bad was found"'):
        vocabulary.look_up("malware rated bat was found")
