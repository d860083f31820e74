"""What outbound cards may say: the facts about one message for one recipient, and the phrases that ask for them.

Promises
    `OutboundFacts()` is an ordinary message from one of our people to another: all was examined, nothing was found.
    None means that the fact could not be found out, and nothing else.

Two decks speak of the same facts: `policies/outbound` says how a recipient gets it (the first card that applies settles
it), `policies/care` says what its sender is asked before it leaves (every card that applies).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from carepost.message.identifiers_model import Sensitivity
from carepost.policy.actions import Action
from carepost.policy.vocabulary import Answer, Phrase, Vocabulary, no, plain

__all__ = ["CARE", "OUTBOUND", "PHRASES", "OutboundFacts", "Reach", "Sensitivity"]


class Reach(StrEnum):
    """Where an address is, as seen from us."""

    INSIDE = "inside"  # a mailbox of ours that takes mail
    NOBODY = "nobody"  # at a domain of ours, and nobody has it
    CLOSED = "closed"  # a mailbox of ours that takes no mail
    REGISTER = "register"  # at a domain on the register of secure domains (R102)
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundFacts:
    """One message for one recipient."""

    # what is in it
    malware_found: bool | None = False
    scanned_completely: bool | None = True
    has_program: bool | None = False
    has_macros: bool | None = False
    is_broken: bool | None = False
    readings_disagree: bool | None = False
    sensitivity: Sensitivity | None = Sensitivity.NONE
    subject_tells: bool | None = False  # a number in the subject or in a file's name tells who it is about (R113)
    # What the organisation's own rules ask of what was found (R159); beyond what the service asks of everybody.
    details_blocked: bool | None = False
    details_need_reason: bool | None = False
    details_advised: bool | None = False
    subject_blocked: bool | None = False
    subject_by_link: bool | None = False
    subject_needs_reason: bool | None = False
    asked_secure: bool | None = False  # [secure] in the subject, or the button (R114)
    has_large_file: bool | None = False  # one that is too large for email comes with it, by a link (R127)
    # who receives it
    reach: Reach | None = Reach.INSIDE
    agreed_to_plain: bool | None = False  # has asked for plain email, knowing what that means
    first_time: bool | None = False  # outside, not written to before, and it matters (R149)
    looks_like_other: bool | None = False  # an address or a domain a letter away from one that is known
    named_like_other: bool | None = False  # the name of a colleague or contact at another address (R140, R147)
    unusual_company: bool | None = False
    newly_added: bool | None = False  # let into a conversation that had nobody of theirs
    has_left: bool | None = False
    patient_unverified: bool | None = False  # R178
    # who sees whom
    outsiders_visible: bool | None = False  # R151: more of them than the setting says
    outsiders_crowd: bool | None = False  # so many that no reason is enough
    patients_visible: bool | None = False
    many_domains: bool | None = False
    reply_all_large: bool | None = False  # R72
    answers_hidden_copy: bool | None = False  # R157
    one_each: bool | None = False  # everybody gets a message of their own


def _is(name: str, value: StrEnum) -> Callable[[OutboundFacts, str], Answer]:
    def question(facts: OutboundFacts, _: str) -> Answer:
        known = getattr(facts, name)
        return None if known is None else known is value

    return question


def _reach(wording: str, reach: Reach) -> Phrase[OutboundFacts]:
    return Phrase(wording, _is("reach", reach), asks=("reach",))


def _holds(wording: str, what: Sensitivity) -> Phrase[OutboundFacts]:
    return Phrase(wording, _is("sensitivity", what), asks=("sensitivity",))


PHRASES: tuple[Phrase[OutboundFacts], ...] = (
    plain("malware was found in the message", "malware_found"),
    Phrase("the message could not be scanned completely", no("scanned_completely"), asks=("scanned_completely",)),
    plain("a file that could run as a program is attached", "has_program"),
    plain("a document with macros is attached", "has_macros"),
    plain("the message is too broken to be read safely", "is_broken"),
    plain("two readings of the message disagree about what is attached", "readings_disagree"),
    _holds("patient details are in the message", Sensitivity.PATIENT),
    _holds("personal details are in the message", Sensitivity.PERSONAL),
    plain("the subject or a file's name tells who it is about", "subject_tells"),
    plain("the organisation does not let such details leave", "details_blocked"),
    plain("the organisation asks for a reason before such details leave", "details_need_reason"),
    plain("the organisation asks to look again before such details leave", "details_advised"),
    plain("the organisation does not let a subject or a file's name tell who it is about", "subject_blocked"),
    plain("the organisation wants a link where a subject or a file's name tells who it is about", "subject_by_link"),
    plain(
        "the organisation asks for a reason where a subject or a file's name tells who it is about",
        "subject_needs_reason",
    ),
    plain("the sender asked for it to go securely", "asked_secure"),
    plain("a file that is too large for email comes with it", "has_large_file"),
    _reach("the recipient has a mailbox here", Reach.INSIDE),
    _reach("nobody here has the recipient's address", Reach.NOBODY),
    _reach("the recipient's mailbox here takes no mail", Reach.CLOSED),
    _reach("the recipient is on the register of secure domains", Reach.REGISTER),
    _reach("the recipient is outside and not on the register", Reach.OUTSIDE),
    plain("the recipient has agreed to plain email", "agreed_to_plain"),
    plain("nobody has written to the recipient from this mailbox before", "first_time"),
    plain("the recipient's address looks like another one that is known", "looks_like_other"),
    plain("the recipient has the name of somebody else who is known", "named_like_other"),
    plain("the recipient is not usually written to together with the others", "unusual_company"),
    plain("the recipient was not in this conversation before", "newly_added"),
    plain("the recipient has left", "has_left"),
    plain("nobody has checked the patient's address within a year", "patient_unverified"),
    plain("several people outside would see each other's addresses", "outsiders_visible"),
    plain("a crowd outside would see each other's addresses", "outsiders_crowd"),
    plain("patients would see each other's addresses", "patients_visible"),
    plain("the message goes to many organisations outside", "many_domains"),
    plain("the message answers everybody, and they are many", "reply_all_large"),
    plain("the sender had a hidden copy of what the message answers", "answers_hidden_copy"),
    plain("everybody gets a message of their own", "one_each"),
)

OUTBOUND: Vocabulary[OutboundFacts] = Vocabulary(
    direction="outbound",
    facts=OutboundFacts,
    phrases=PHRASES,
    actions=frozenset({Action.SEND, Action.SEND_VERIFIED, Action.PORTAL, Action.HOLD, Action.REFUSE}),
)

CARE: Vocabulary[OutboundFacts] = Vocabulary(
    direction="care",
    facts=OutboundFacts,
    phrases=PHRASES,
    actions=frozenset(
        {
            Action.ASK_NOTHING,
            Action.ASK_CONFIRM,
            Action.ASK_REASON,
            Action.ASK_SPREAD,
            Action.ASK_SPREAD_OR_REASON,
            Action.ASK_EACH,
            Action.REFUSE,
        }
    ),
)
