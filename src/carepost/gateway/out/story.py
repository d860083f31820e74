"""What became of a message that went out, in plain words: for `carepost why` and `trace`. PURE."""

from datetime import datetime

from carepost.gateway.out.outgoing import OutgoingRecipient, OutgoingRow, OutState, RecipientState

_STATES = {
    RecipientState.WAITING: "waits",
    RecipientState.HELD: "is held for an administrator",
    RecipientState.QUEUED: "is on its way",
    RecipientState.DELIVERED: "is in the mailbox",
    RecipientState.RELAYED: "was taken by the next mail system",
    RecipientState.NOTICED: "the notice of the secure link was taken",
    RecipientState.OPENED: "the secure message was opened",
    RecipientState.FAILED: "was not delivered",
    RecipientState.EXPIRED: "was not delivered in time",
    RecipientState.CANCELLED: "was cancelled before it left",
    RecipientState.REVOKED: "was recalled",
    RecipientState.REFUSED: "was refused",
}
_WHOLE = {
    OutState.ASKED: "It waits for its sender's answers.",
    OutState.WAITING: "It waits for its time",
    OutState.RELEASED: "It was let go",
    OutState.CANCELLED: "It was cancelled by its sender",
}


def became(row: OutgoingRow) -> list[str]:
    """One line for the message, one for each recipient, one for each question."""
    at = row.settled_at if row.settled_at is not None else row.release_at
    whole = _WHOLE[row.state]
    lines = ["", whole if row.state is OutState.ASKED else f"{whole} ({_time(at)})."]
    lines += [f"  - {one.address}: {_told(one)}" for one in row.recipients]
    for asked in row.questions:
        answer = asked.answer
        given = f"answered: {answer.choice.value}" if answer else "not answered"
        reason = f" (“{answer.reason}”)" if answer and answer.reason else ""
        lines.append(f"  - asked: {asked.question.title}; {given}{reason}")
    return lines


def states_of(row: OutgoingRow | None) -> dict[str, str]:
    """State by address, for a table."""
    return {str(one.address): one.state.value for one in row.recipients} if row is not None else {}


def _told(one: OutgoingRecipient) -> str:
    late = ", delayed so far" if one.delayed and one.state is RecipientState.QUEUED else ""
    opened = f", first on {_time(one.opened_at)}" if one.opened_at else ""
    return f"{_STATES[one.state]}{late}{opened} (since {_time(one.changed_at)}). {one.says}"


def _time(at: datetime) -> str:
    return f"{at:%d %B %Y %H:%M:%S} UTC"
