"""What may be done with an inbound message, and what a deck decided. The wording is the value: cards, pages, the
database and metrics all use it.
"""

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    DELIVER = "deliver it"
    WARN = "deliver it with a warning"
    JUNK = "deliver it to junk"
    HOLD = "hold it for a person to look at"
    REFUSE = "refuse it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the deck said about one recipient. `card` is None when no card applied.

    `unsure` means that a fact the card asks for could not be found out; the action is then the deck's `unsure` action.
    """

    action: Action
    card: str | None
    version: str | None
    unsure: bool = False
    missing: tuple[str, ...] = ()  # the facts that could not be found out, by name
