"""What may be done with a message, and what a deck decided. The wording is the value: cards, pages, the database and
metrics all use it. Which of them a direction knows stands in its vocabulary.
"""

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    # with what comes in
    DELIVER = "deliver it"
    WARN = "deliver it with a warning"
    JUNK = "deliver it to junk"
    # either way
    HOLD = "hold it for a person to look at"
    REFUSE = "refuse it"
    # with one recipient's copy of what goes out
    SEND = "send it"
    SEND_VERIFIED = "send it over verified TLS only"
    PORTAL = "send it through the portal"
    # with its sender, before it goes out
    ASK_NOTHING = "ask nothing"
    ASK_CONFIRM = "ask the sender to confirm"
    ASK_REASON = "ask the sender for a reason"
    ASK_SPREAD = "ask the sender to choose Bcc or one message each"
    ASK_SPREAD_OR_REASON = "ask the sender to choose Bcc, one message each, or give a reason"
    ASK_EACH = "ask the sender to send one message each"


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
