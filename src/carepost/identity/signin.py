"""The journey of signing in, as a table of states. PURE.

    stranger --right password--> awaiting code ----right code--> signed in
        |                                                            ^
        +-----right password, no factor yet--> awaiting set-up ------+

Promises
    Nobody is signed in by a password alone: every way to SIGNED_IN leads through a code (R94, ASVS 6.3.3).
    What is absent from NEXT cannot happen.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from carepost.base.errors import NotAllowed


class State(StrEnum):
    STRANGER = "stranger"
    AWAITING_CODE = "awaiting code"
    AWAITING_SET_UP = "awaiting set-up"
    SIGNED_IN = "signed in"


class Happened(StrEnum):
    PASSWORD_RIGHT = "the password was right"  # noqa: S105 - a name
    PASSWORD_RIGHT_NO_FACTOR = "the password was right, and there is no second factor yet"  # noqa: S105 - a name
    PASSWORD_WRONG = "the password was wrong"  # noqa: S105 - a name
    TOO_MANY_TRIES = "there were too many tries"
    CODE_RIGHT = "the code was right"
    CODE_WRONG = "the code was wrong"
    TICKET_SPENT = "the ticket ran out"
    ENDED = "the session ended"


_S, _H = State, Happened
NEXT: Mapping[State, Mapping[Happened, State]] = MappingProxyType(
    {
        _S.STRANGER: {
            _H.PASSWORD_RIGHT: _S.AWAITING_CODE,
            _H.PASSWORD_RIGHT_NO_FACTOR: _S.AWAITING_SET_UP,
            _H.PASSWORD_WRONG: _S.STRANGER,
            _H.TOO_MANY_TRIES: _S.STRANGER,
        },
        _S.AWAITING_CODE: {
            _H.CODE_RIGHT: _S.SIGNED_IN,
            _H.CODE_WRONG: _S.AWAITING_CODE,
            _H.TOO_MANY_TRIES: _S.STRANGER,
            _H.TICKET_SPENT: _S.STRANGER,
        },
        _S.AWAITING_SET_UP: {
            _H.CODE_RIGHT: _S.SIGNED_IN,
            _H.CODE_WRONG: _S.AWAITING_SET_UP,
            _H.TOO_MANY_TRIES: _S.STRANGER,
            _H.TICKET_SPENT: _S.STRANGER,
        },
        _S.SIGNED_IN: {_H.ENDED: _S.STRANGER},
    }
)


def follow(state: State, happened: Happened) -> State:
    """Where it leads. Raises NotAllowed for what the table does not have: a step out of order."""
    after = NEXT[state].get(happened)
    if after is None:
        raise NotAllowed("Please sign in again from the beginning.", state=state.value, happened=happened.value)
    return after
