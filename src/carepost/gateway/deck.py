"""Reads the shipped cards. An organisation's own cards will be the same text, from the database.

Raises CardRefused when a card is wrong: the program does not start with rules that it does not understand.
"""

from importlib.resources import files

from carepost.policy.actions import Action
from carepost.policy.card import Deck, read_deck
from carepost.policy.inbound import INBOUND, InboundFacts

SHIPPED = "carepost.policies.inbound"


def shipped_inbound() -> Deck[InboundFacts]:
    """The inbound cards. When none applies, the message is delivered; when one cannot be judged, it is held."""
    texts = {
        card.name.removesuffix(".toml"): card.read_text(encoding="utf-8")
        for card in files(SHIPPED).iterdir()
        if card.name.endswith(".toml")
    }
    return read_deck(texts, INBOUND, otherwise=Action.DELIVER, unsure=Action.HOLD)
