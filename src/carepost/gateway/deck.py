"""Reads the shipped cards. An organisation's own cards will be the same text, from the database.

Raises CardRefused when a card is wrong: the program does not start with rules that it does not understand.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from carepost.policy.actions import Action
from carepost.policy.card import Deck, read_deck
from carepost.policy.inbound import INBOUND, InboundFacts
from carepost.policy.outbound import CARE, OUTBOUND, OutboundFacts

SHIPPED = "carepost.policies"


def shipped_inbound() -> Deck[InboundFacts]:
    """The inbound cards. When none applies, the message is delivered; when one cannot be judged, it is held."""
    return read_deck(_texts("inbound"), INBOUND, otherwise=Action.DELIVER, unsure=Action.HOLD)


@cache
def shipped_outbound() -> Deck[OutboundFacts]:
    """How a recipient gets what is sent. When none applies, it is relayed; when one cannot be judged, it is held."""
    return read_deck(_texts("outbound"), OUTBOUND, otherwise=Action.SEND, unsure=Action.HOLD)


@cache
def shipped_care() -> Deck[OutboundFacts]:
    """What a sender is asked: every card that applies. When one cannot be judged, they are asked for a reason."""
    return read_deck(_texts("care"), CARE, otherwise=Action.ASK_NOTHING, unsure=Action.ASK_REASON)


def _texts(folder: str) -> Mapping[str, str]:
    return {
        card.name.removesuffix(".toml"): card.read_text(encoding="utf-8")
        for card in files(SHIPPED).joinpath(folder).iterdir()
        if card.name.endswith(".toml")
    }
