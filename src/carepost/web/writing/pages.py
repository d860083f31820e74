"""PURE. What the pages of writing and of outgoing mail are given, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo

from carepost.delivery.model import LeastTls
from carepost.gateway.out.outgoing import (
    Chip,
    Choice,
    Consideration,
    OutgoingRecipient,
    OutgoingRow,
    OutState,
    Question,
    RecipientState,
    Route,
    RouteFor,
)
from carepost.web.words import long_time
from carepost.web.writing.proofs import ProofLine

# A word beside each recipient, never a colour alone (R104).
CHIPS: Mapping[Chip, str] = {
    Chip.INSIDE: "inside",
    Chip.SECURE: "secure",
    Chip.OUTSIDE: "outside",
    Chip.LOOKALIKE: "looks like somebody you know",
    Chip.UNKNOWN: "not known yet",
}
ROUTES: Mapping[Route, str] = {
    Route.INSIDE: "Straight into the mailbox",
    Route.RELAY: "By email",
    Route.PORTAL: "By secure link: they get a notice without content, prove who they are, and read it in a browser",
    Route.HOLD: "Held for a person to look at",
    Route.REFUSE: "Not sent",
}
CHOICES: Mapping[Choice, tuple[str, str]] = {
    Choice.CONFIRM: ("Send it as it is", "You have looked at this and it is right"),
    Choice.REASON: ("Send it as it is, and say why", "The reason is kept and can be looked at later"),
    Choice.BCC: ("Hide the recipients from each other", "Everybody outside goes into Bcc"),
    Choice.INDIVIDUALLY: ("Send each of them a message of their own", "Nobody sees who else got it"),
    Choice.PORTAL: ("Send with a secure link", "They confirm a code, then read and answer in their browser"),
    Choice.LEAVE_OUT: ("Take these people off the message", "Everybody else still gets it"),
}
STATES: Mapping[RecipientState, str] = {
    RecipientState.WAITING: "Waiting to leave",
    RecipientState.HELD: "Held for a person to look at",
    RecipientState.QUEUED: "On its way",
    RecipientState.DELIVERED: "Delivered",
    RecipientState.RELAYED: "Taken by their mail system",
    RecipientState.NOTICED: "Notice of the secure message sent",
    RecipientState.OPENED: "Opened",
    RecipientState.FAILED: "Not delivered",
    RecipientState.EXPIRED: "Not delivered in time",
    RecipientState.CANCELLED: "Cancelled",
    RecipientState.REVOKED: "Taken back",
    RecipientState.REFUSED: "Not sent",
}
_BAD = frozenset({RecipientState.FAILED, RecipientState.EXPIRED, RecipientState.REFUSED, RecipientState.HELD})
_ABOUT_THE_ADDRESS = frozenset({"first-time", "patient-unverified"})  # cards
_A_WHILE = timedelta(minutes=11)  # longer than anybody's send delay
_MAY_BE_RECALLED = frozenset(
    {
        RecipientState.WAITING,
        RecipientState.QUEUED,
        RecipientState.DELIVERED,
        RecipientState.NOTICED,
        RecipientState.OPENED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteLine:
    address: str
    chip: str
    kind: str
    how: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceLine:
    value: str
    words: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionView:
    fingerprint: str
    card: str
    title: str
    about: str  # the first of those whom it is about; empty when it is about everybody
    says: tuple[str, ...]
    sentence: str
    because: str
    choices: tuple[ChoiceLine, ...]
    wants_reason: bool
    chosen: str
    reason: str
    ask_first: tuple[str, ...] = ()  # who may be asked whether this is them


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckView:
    """The page "Check before you send"."""

    questions: tuple[QuestionView, ...]
    refusals: tuple[str, ...]
    routes: tuple[RouteLine, ...]
    by_link: str  # how many get a secure link, in words; empty for nobody
    mark: str  # of what was shown: pressing Send again with the same mark sends
    proofs: tuple[ProofLine, ...] = ()  # what readers of links may be asked to prove
    least: str = ""  # why the weakest proof is not among them


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingLine:
    href: str
    subject: str
    to: str
    state: str
    at: str
    bad: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientLine:
    seq: int
    address: str
    how: str
    state: str
    says: str
    since: str
    opened: str
    bad: bool
    on_tray: bool
    link_instead: bool  # no safe way led there, so far or in time: a secure link may
    recallable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingView:
    """One message that goes or went out."""

    act: str
    subject: str
    stands: str
    at: str
    undoable: bool
    asked: bool
    recipients: tuple[RecipientLine, ...]
    questions: tuple[QuestionView, ...]
    recallable: bool
    links: str = ""  # the page of its secure links, where it has any


def check_view(
    consideration: Consideration, *, chosen: Mapping[str, tuple[str, str]], mark: str, also: Sequence[str] = ()
) -> CheckView:
    """`chosen`: fingerprint -> what was chosen and the reason, so far."""
    return CheckView(
        questions=tuple(question_view(one, chosen) for one in consideration.questions),
        refusals=(*also, *consideration.refusals),
        routes=route_lines(consideration.routes),
        by_link=by_link([one.route for one in consideration.routes]),
        mark=mark,
    )


def by_link(routes: Sequence[Route]) -> str:
    """How many get a secure link, in words; empty for nobody."""
    links, everybody = routes.count(Route.PORTAL), len(routes)
    if links == 0:
        return ""
    if links == everybody:
        return "It will go by secure link" if everybody == 1 else f"All {everybody} recipients will get a secure link"
    return f"{links} of {everybody} recipients will get a secure link"


def question_view(question: Question, chosen: Mapping[str, tuple[str, str]]) -> QuestionView:
    choice, reason = chosen.get(question.fingerprint, ("", ""))
    return QuestionView(
        fingerprint=question.fingerprint,
        card=question.card,
        title=question.title,
        about=several([str(one) for one in question.recipients], most=2),
        says=question.says,
        sentence=question.sentence,
        because=question.because,
        choices=tuple(
            ChoiceLine(value=one.value, words=CHOICES[one][0], hint=CHOICES[one][1]) for one in question.choices
        ),
        wants_reason=Choice.REASON in question.choices,
        chosen=choice,
        reason=reason,
        ask_first=tuple(map(str, question.recipients[:5])) if question.card in _ABOUT_THE_ADDRESS else (),
    )


def route_line(one: RouteFor) -> RouteLine:
    return RouteLine(address=str(one.address), chip=CHIPS[one.chip], kind=one.chip.value, how=_how(one), says=one.says)


def route_lines(routes: Sequence[RouteFor]) -> tuple[RouteLine, ...]:
    """Those whose mail goes the same way for the same reason stand together: 45 lines alike hide what is asked."""
    groups: dict[RouteLine, list[str]] = {}
    for one in routes:
        line = route_line(one)
        groups.setdefault(replace(line, address=""), []).append(line.address)
    return tuple(replace(line, address=several(addresses, most=5)) for line, addresses in groups.items())


def _how(one: RouteFor) -> str:
    if one.route is Route.RELAY and one.least is LeastTls.VERIFIED:
        return "By email, encrypted on its way to a system that has proved who it is"
    return ROUTES[one.route]


def outgoing_line(row: OutgoingRow, *, zone: tzinfo) -> OutgoingLine:
    bad = any(one.state in _BAD for one in row.recipients)
    return OutgoingLine(
        href=f"/outgoing/{row.id}",
        subject=row.subject or "No subject",
        to=several([str(one.address) for one in row.recipients]),
        state=_stands_when(row, zone),
        at=long_time(row.submitted_at.astimezone(zone)),
        bad=bad,
    )


def several(names: Sequence[str], most: int = 3) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def stands(row: OutgoingRow) -> str:
    """Where it stands as a whole: the worst first, for that is what somebody must do something about."""
    if row.state is OutState.ASKED:
        return "Waits for your answer"
    if row.state is OutState.WAITING:
        return "Waiting to leave"
    if row.state is OutState.CANCELLED:
        return "Not sent: taken back"
    states = [one.state for one in row.recipients]
    failed = sum(1 for state in states if state in _BAD)
    if failed:
        return f"Not delivered to {failed} of {len(states)}"
    if any(one.delayed for one in row.recipients):
        return "Delayed: still being tried"
    kinds = {STATES[state] for state in states}
    return kinds.pop() if len(kinds) == 1 else "Sent"


def outgoing_view(
    row: OutgoingRow, *, now: datetime, zone: tzinfo, chosen: Mapping[str, tuple[str, str]]
) -> OutgoingView:
    return OutgoingView(
        act=f"/outgoing/{row.id}",
        subject=row.subject or "No subject",
        stands=_stands_when(row, zone),
        at=long_time(row.submitted_at.astimezone(zone)),
        undoable=row.may_be_undone(now),
        asked=row.state is OutState.ASKED,
        recipients=tuple(_recipient(one, zone) for one in row.recipients),
        questions=tuple(question_view(one.question, chosen) for one in row.questions if one.answer is None),
        recallable=row.state is OutState.RELEASED and any(one.state in _MAY_BE_RECALLED for one in row.recipients),
        links=f"/outgoing/{row.id}/secure" if any(one.route is Route.PORTAL for one in row.recipients) else "",
    )


def _stands_when(row: OutgoingRow, zone: tzinfo) -> str:
    """With the hour that the sender chose."""
    if row.state is OutState.WAITING and row.release_at - row.submitted_at > _A_WHILE:
        return f"Waits for its time: it leaves on {long_time(row.release_at.astimezone(zone))}"
    return stands(row)


def _recipient(one: OutgoingRecipient, zone: tzinfo) -> RecipientLine:
    return RecipientLine(
        seq=one.seq,
        address=str(one.address),
        how=ROUTES[one.route].partition(":")[0],
        state="Delayed: still being tried" if one.delayed and one.state is RecipientState.QUEUED else STATES[one.state],
        says=one.says,
        since=long_time(one.changed_at.astimezone(zone)),
        opened=long_time(one.opened_at.astimezone(zone)) if one.opened_at else "",
        bad=one.state in _BAD,
        on_tray=one.is_on_tray,
        link_instead=one.route is Route.RELAY
        and (one.state is RecipientState.EXPIRED or (one.delayed and one.state is RecipientState.QUEUED)),
        recallable=one.state in _MAY_BE_RECALLED,
    )
