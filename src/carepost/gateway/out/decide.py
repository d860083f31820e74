"""Deciding about mail that goes out: findings and destinations in, routes and questions out. PURE and total.

Promises
    The route deck is asked for each recipient; the care deck asks the sender whatever applies, once for each card.
    What is held is also asked about: its sender may leave people out, or use the link where that makes it safe.
    An answer settles the very question it was given to. Nothing here is softened by an answer but what it names.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from carepost.base.address import EmailAddress
from carepost.delivery.model import LeastTls, stronger
from carepost.delivery.tls_policy import DaneState, Instead, StsState, least_tls
from carepost.gateway.explain import FACTS
from carepost.gateway.model import Finding
from carepost.gateway.out.facts import Destination, Seen, chip_of, codes_behind, plain
from carepost.gateway.out.outgoing import Answer, Choice, Consideration, Question, Route, RouteFor
from carepost.gateway.rules import RULES
from carepost.policy.actions import Action, Decision
from carepost.policy.card import Card, Deck
from carepost.policy.english import sentence
from carepost.policy.evaluate import decide, decide_all
from carepost.policy.outbound import OutboundFacts, Reach, Sensitivity

NOT_KNOWN = "not-known"  # the question that stands for every card that could not be judged
NOT_KNOWN_VERSION = "1"
_ELSEWHERE = frozenset({Reach.REGISTER, Reach.OUTSIDE})
_CHOICES: Mapping[Action, tuple[Choice, ...]] = {
    Action.ASK_CONFIRM: (Choice.CONFIRM,),
    Action.ASK_REASON: (Choice.REASON,),
    Action.ASK_SPREAD: (Choice.BCC, Choice.INDIVIDUALLY),
    Action.ASK_SPREAD_OR_REASON: (Choice.BCC, Choice.INDIVIDUALLY, Choice.REASON),
    Action.ASK_EACH: (Choice.INDIVIDUALLY,),
}
# Cards about an organisation's own rules: what they say names it.
_SAYS_WHOSE = frozenset({"details-blocked", "subject-blocked"})
# Held for want of an answer about these, the secure link is safe whatever the answer would have been.
_LINK_IS_SAFE = frozenset({"sensitivity", "asked_secure", "agreed_to_plain"})


class Spread(StrEnum):
    """Who sees whom."""

    SHARED = "shared"  # as it was written
    BCC = "bcc"  # outsiders see nobody but insiders
    EACH = "each"  # a message for each


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What is done, for everybody it is for, and what must be answered before."""

    routes: tuple[RouteFor, ...]
    questions: tuple[Question, ...]
    answered: tuple[tuple[Question, Answer], ...]
    refusals: tuple[str, ...]
    spread: Spread

    def consideration(self, findings: Sequence[Finding], refusals: Sequence[str] = ()) -> Consideration:
        return Consideration(
            routes=self.routes,
            questions=self.questions,
            refusals=(*refusals, *self.refusals),
            findings=tuple(findings),
            answered=self.answered,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundDecks:
    routes: Deck[OutboundFacts]
    care: Deck[OutboundFacts]


def rule_outbound(
    decks: OutboundDecks,
    to: Sequence[Destination],
    findings: Sequence[Finding],
    answers: Sequence[Answer] = (),
    *,
    asked_secure: bool = False,
    require_tls: bool = False,
) -> Ruling:
    """Ask both decks about everybody. `to` must not be empty."""
    seen = Seen(findings=findings, asked_secure=asked_secure)
    facts = {one.address.key: seen.facts_of(one) for one in to}
    routes = [_route(decks.routes, one, facts[one.address.key], findings, require_tls=require_tls) for one in to]
    asked = [*_held(decks.routes, routes, findings), *_care(decks.care, to, facts, findings)]
    settled = [(one, answer) for one in asked if (answer := one.is_answered_by(answers)) is not None]
    spread = _spread(answer for _, answer in settled)
    if spread is Spread.EACH:
        each = Seen(findings=findings, asked_secure=asked_secure, one_each=True)
        facts = {one.address.key: each.facts_of(one) for one in to}
        asked = [*_held(decks.routes, routes, findings), *_care(decks.care, to, facts, findings)]
    left_out = _chosen(settled, Choice.LEAVE_OUT)
    kept = [one for one in routes if one.address.key not in left_out]
    by_link = _chosen(settled, Choice.PORTAL)
    final = tuple(_by_link(one) if one.address.key in by_link and one.route is Route.HOLD else one for one in kept)
    open_ = tuple(
        one
        for one in asked
        if one.is_answered_by(answers) is None and not {who.key for who in one.recipients} <= left_out
    )
    return Ruling(
        routes=final,
        questions=open_ if final else (),
        answered=tuple(settled),
        refusals=_refusals(decks.routes, final),
        spread=spread,
    )


# --- routes ---------------------------------------------------------------------------------------------------------


def _route(
    deck: Deck[OutboundFacts],
    to: Destination,
    facts: OutboundFacts,
    findings: Sequence[Finding],
    *,
    require_tls: bool,
) -> RouteFor:
    decision = decide(deck, facts)
    route, least = _way(decision.action, facts, to, require_tls=require_tls)
    return RouteFor(
        address=to.address,
        route=route,
        chip=chip_of(facts),
        decision=decision,
        says=_rule_says(deck, decision, findings) or _tls_says(route, decision, to) or _says(deck, decision, to),
        least=least,
        mailbox=to.mailbox if route is Route.INSIDE else None,
        organisation=to.organisation if route is Route.INSIDE else None,
        facts=plain(facts),
    )


def _way(action: Action, facts: OutboundFacts, to: Destination, *, require_tls: bool) -> tuple[Route, LeastTls | None]:
    match action:
        case Action.SEND if facts.reach is Reach.INSIDE:
            return Route.INSIDE, None
        case Action.SEND | Action.SEND_VERIFIED if facts.reach in _ELSEWHERE:
            return _over_the_wire(action, facts, to, require_tls=require_tls)
        case Action.PORTAL if facts.reach in _ELSEWHERE:
            return Route.PORTAL, None
        case Action.REFUSE:
            return Route.REFUSE, None
        case _:
            # A card that would send where nothing can be sent: a person looks.
            return Route.HOLD, None


def _over_the_wire(
    action: Action, facts: OutboundFacts, to: Destination, *, require_tls: bool
) -> tuple[Route, LeastTls | None]:
    """The cards let it go by email: the one table of TLS says how well protected, or sends it another way after all."""
    listed = facts.reach is Reach.REGISTER
    # What the hosts prove is asked when it leaves, of each host: least_for_host never asks for less than this.
    least = least_tls(
        listed=listed,
        dane=DaneState.NONE,
        sts=StsState.NONE,
        sensitive=is_sensitive(facts),
        require_tls=require_tls,
        exception=to.tls_exception,
    )
    match least:
        case Instead.PORTAL:
            return Route.PORTAL, None
        case Instead.WAIT:
            return Route.HOLD, None
    if action is Action.SEND_VERIFIED and not (listed and to.tls_exception):
        least = stronger(least, LeastTls.VERIFIED)
    return Route.RELAY, least


def is_sensitive(facts: OutboundFacts) -> bool:
    """Labelled, or a patient can be told from it, or not known to be free of it. R107: no exception is for that.

    Somebody's numbers count too where an exception would let them go unprotected; elsewhere the cards decide.
    """
    if facts.asked_secure is not False or facts.sensitivity in {None, Sensitivity.PATIENT}:
        return True
    personal = facts.sensitivity is Sensitivity.PERSONAL and facts.agreed_to_plain is not True
    return personal and facts.reach is Reach.REGISTER


def _rule_says(deck: Deck[OutboundFacts], decision: Decision, findings: Sequence[Finding]) -> str:
    """In the organisation's own name, where the card is about a rule of its own."""
    card = deck.card(decision.card) if decision.card and not decision.unsure else None
    if card is None:
        return ""
    codes = codes_behind(name for condition in card.when for name in condition.phrase.asks)
    return " ".join(dict.fromkeys(found.says for found in findings if found.check == RULES and found.code in codes))


def _tls_says(route: Route, decision: Decision, to: Destination) -> str:
    if route is not Route.PORTAL or decision.action is Action.PORTAL:
        return ""
    return (
        f"Mail to {to.address.domain} may leave without checked encryption just now, and this may not: it goes by a "
        "secure link."
    )


def _says(deck: Deck[OutboundFacts], decision: Decision, to: Destination) -> str:
    card = deck.card(decision.card) if decision.card else None
    if card is None:
        return f"Nothing keeps it from going by ordinary email. {to.because}".strip()
    if decision.unsure:
        return (
            f"{card.title}: this could not be judged, because it could not be found out {_unknown(decision.missing)}."
        )
    return sentence(card)


def _unknown(missing: Iterable[str]) -> str:
    return ", ".join(FACTS.get(name, name) for name in missing) or "what the card asks"


def _by_link(one: RouteFor) -> RouteFor:
    return RouteFor(
        address=one.address,
        route=Route.PORTAL,
        chip=one.chip,
        decision=one.decision,
        says="Its sender chose the secure link.",
        facts=one.facts,
    )


def _refusals(deck: Deck[OutboundFacts], routes: Sequence[RouteFor]) -> tuple[str, ...]:
    """The whole message is refused only when nobody would get it."""
    if not routes:
        return ("There is nobody left to send it to.",)
    if any(one.route is not Route.REFUSE for one in routes):
        return ()
    return tuple(dict.fromkeys(refusal_of(deck, one) for one in routes))


def refusal_of(deck: Deck[OutboundFacts], one: RouteFor) -> str:
    """Why this recipient cannot get it, for its sender."""
    card = deck.card(one.decision.card) if one.decision.card else None
    if card is None:
        return f"{one.address}: {one.says}"
    said = f" {one.says}" if one.decision.card in _SAYS_WHOSE else ""
    return f"{one.address}: {card.title}.{said} {' '.join(card.because.split())}"


# --- questions ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Asked:
    card: Card[OutboundFacts]
    action: Action
    recipients: list[EmailAddress] = field(default_factory=list)


def _care(
    deck: Deck[OutboundFacts],
    to: Sequence[Destination],
    facts: Mapping[str, OutboundFacts],
    findings: Sequence[Finding],
) -> list[Question]:
    """One question for each card, with everybody whom it concerns; one for all that could not be judged."""
    asked: dict[str, _Asked] = {}
    unsure: dict[str, None] = {}
    doubtful: dict[EmailAddress, None] = {}
    for one in to:
        for decision in decide_all(deck, facts[one.address.key]):
            card = deck.card(decision.card or "")
            if card is None or decision.action is Action.ASK_NOTHING:
                continue
            if decision.unsure:
                unsure.update(dict.fromkeys(decision.missing))
                doubtful[one.address] = None
            else:
                asked.setdefault(card.name, _Asked(card, decision.action)).recipients.append(one.address)
    everybody = len(to)
    questions = [_question(one, findings, everybody) for one in asked.values()]
    return [*questions, _not_known(tuple(unsure), tuple(doubtful), everybody)] if unsure else questions


def _question(asked: _Asked, findings: Sequence[Finding], everybody: int) -> Question:
    card = asked.card
    codes = codes_behind(name for condition in card.when for name in condition.phrase.asks)
    keys = {one.key for one in asked.recipients}
    says = tuple(
        dict.fromkeys(
            found.says
            for found in findings
            if found.code in codes and str(found.facts.get("recipient", "")).lower() in {"", *keys}
        )
    )
    about_some = any("recipient" in found.facts for found in findings if found.code in codes)
    choices = _CHOICES.get(asked.action, ())
    if about_some and len(keys) < everybody:
        choices = (*choices, Choice.LEAVE_OUT)
    return Question(
        card=card.name,
        version=card.version,
        title=card.title,
        sentence=sentence(card),
        because=" ".join(card.because.split()),
        says=says,
        choices=choices,
        recipients=tuple(asked.recipients),
    )


def _not_known(missing: tuple[str, ...], recipients: tuple[EmailAddress, ...], everybody: int) -> Question:
    choices = (Choice.REASON, Choice.LEAVE_OUT) if len(recipients) < everybody else (Choice.REASON,)
    return Question(
        card=NOT_KNOWN,
        version=NOT_KNOWN_VERSION,
        title="Something could not be found out",
        sentence="When the recipients could not be looked at: ask the sender for a reason.",
        because="Please look at the addresses yourself, with care: this time nobody else did.",
        says=(f"It could not be found out {_unknown(missing)}.",),
        choices=choices,
        recipients=recipients,
        unsure=True,
    )


def _held(deck: Deck[OutboundFacts], routes: Sequence[RouteFor], findings: Sequence[Finding]) -> list[Question]:
    """What is held is asked about, once for each card that holds it."""
    groups: dict[tuple[str, bool], list[RouteFor]] = {}
    for one in routes:
        if one.route is Route.HOLD:
            groups.setdefault((one.decision.card or "", one.decision.unsure), []).append(one)
    return [_held_question(deck, held, findings, len(routes)) for held in groups.values()]


def _held_question(
    deck: Deck[OutboundFacts], held: Sequence[RouteFor], findings: Sequence[Finding], everybody: int
) -> Question:
    first = held[0]
    card = deck.card(first.decision.card or "")
    missing = dict.fromkeys(name for one in held for name in one.decision.missing)
    outside = all(one.facts.get("reach") in {Reach.OUTSIDE, Reach.REGISTER} for one in held)
    choices: tuple[Choice, ...] = (Choice.CONFIRM,)
    if first.decision.unsure and outside and set(missing) <= _LINK_IS_SAFE:
        choices = (Choice.PORTAL, Choice.CONFIRM)
    if len(held) < everybody:
        choices = (*choices, Choice.LEAVE_OUT)
    codes = codes_behind(name for condition in card.when for name in condition.phrase.asks) if card else frozenset()
    grave = [found.says for found in findings if found.code in codes or found.code == "check-failed"]
    return Question(
        card=first.decision.card or "held",
        version=first.decision.version or "0",
        title=card.title if card else "Held for a person to look at",
        sentence=first.says,
        because="If you confirm, it waits until an administrator has looked at it. Nobody gets it before.",
        says=tuple(dict.fromkeys(grave)),
        choices=choices,
        recipients=tuple(one.address for one in held),
        unsure=first.decision.unsure,
    )


def _spread(answers: Iterable[Answer]) -> Spread:
    chosen = {answer.choice for answer in answers}
    if Choice.INDIVIDUALLY in chosen:
        return Spread.EACH
    return Spread.BCC if Choice.BCC in chosen else Spread.SHARED


def _chosen(settled: Sequence[tuple[Question, Answer]], choice: Choice) -> set[str]:
    return {who.key for question, answer in settled if answer.choice is choice for who in question.recipients}
