"""What inbound cards may say: the facts about one message for one recipient, and the phrases that ask for them.

Promises
    `InboundFacts()` is an ordinary message from outside: everything was examined and nothing was found.
    None means that the fact could not be found out, and nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from carepost.policy.actions import Action
from carepost.policy.vocabulary import Answer, Phrase, Vocabulary, no, plain


class Dmarc(StrEnum):
    """What DMARC says of the address in From. RFC 7489 §6.6.2."""

    PASSED = "passed"
    FAILED = "failed"
    NO_POLICY = "no policy"  # the domain publishes none
    NOT_CHECKED = "not checked"  # by `carepost scan`, and where a front server has met the stranger


class AsksFor(StrEnum):
    """What the domain in From asks receivers to do with mail that fails. RFC 7489 §6.3."""

    NOTHING = "nothing"
    QUARANTINE = "quarantine"
    REJECT = "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundFacts:
    """One message for one recipient."""

    # what is in it
    malware_found: bool | None = False
    scanned_completely: bool | None = True
    has_program: bool | None = False
    has_macros: bool | None = False
    has_active_document: bool | None = False  # scripts or launch actions in a PDF, page or picture
    has_locked_archive: bool | None = False
    has_unreadable_archive: bool | None = False
    hides_file_type: bool | None = False
    readings_disagree: bool | None = False
    is_broken: bool | None = False
    is_in_pieces: bool | None = False
    went_round: bool | None = False
    # who sent it
    from_outside: bool | None = True
    sender_unclear: bool | None = False
    claims_our_domain: bool | None = False
    sender_proved: bool | None = True
    dmarc: Dmarc | None = Dmarc.PASSED
    domain_asks_for: AsksFor | None = AsksFor.NOTHING
    trusted_forwarder: bool | None = False
    sender_secure: bool | None = False
    looks_like_colleague: bool | None = False
    looks_like_known_domain: bool | None = False
    forwarded_in: bool | None = False  # by a rule of a mailbox that is not secure
    # what it is after
    looks_like_phishing: bool | None = False
    looks_like_spam: bool | None = False
    # who receives it
    recipient_shared: bool | None = False


def _failed_and_asks(wish: AsksFor) -> Callable[[InboundFacts, str], Answer]:
    def question(facts: InboundFacts, _: str) -> Answer:
        if facts.dmarc is None:
            return None
        if facts.dmarc is not Dmarc.FAILED:
            return False
        return None if facts.domain_asks_for is None else facts.domain_asks_for is wish

    return question


PHRASES: tuple[Phrase[InboundFacts], ...] = (
    plain("malware was found in the message", "malware_found"),
    Phrase("the message could not be scanned completely", no("scanned_completely"), asks=("scanned_completely",)),
    plain("a file that could run as a program is attached", "has_program"),
    plain("a document with macros is attached", "has_macros"),
    plain("a document that acts by itself is attached", "has_active_document"),
    plain("a locked archive or document is attached", "has_locked_archive"),
    plain("an archive that cannot be read is attached", "has_unreadable_archive"),
    plain("an attached file hides what it is", "hides_file_type"),
    plain("two readings of the message disagree about what is attached", "readings_disagree"),
    plain("the message is too broken to be read safely", "is_broken"),
    plain("the message is only a piece of another", "is_in_pieces"),
    plain("the message has been round too many mail systems", "went_round"),
    plain("the message comes from outside", "from_outside"),
    plain("the message does not say plainly who it is from", "sender_unclear"),
    plain("the message says that it is from one of our own addresses", "claims_our_domain"),
    plain("the sender's address was proved", "sender_proved"),
    Phrase(
        "the sender's domain did not send this and asks us to reject it",
        _failed_and_asks(AsksFor.REJECT),
        asks=("dmarc", "domain_asks_for"),
    ),
    Phrase(
        "the sender's domain did not send this and asks us to distrust it",
        _failed_and_asks(AsksFor.QUARANTINE),
        asks=("dmarc", "domain_asks_for"),
    ),
    plain("a forwarder that we trust vouches for it", "trusted_forwarder"),
    plain("the sender is on the register of secure domains", "sender_secure"),
    plain("the sender looks like a colleague and is not", "looks_like_colleague"),
    plain("the sender's domain looks like one we know and is not", "looks_like_known_domain"),
    plain("a mailbox that is not secure sent the message on", "forwarded_in"),
    plain("the message looks like phishing", "looks_like_phishing"),
    plain("the message looks like spam", "looks_like_spam"),
    plain("the recipient is a shared mailbox", "recipient_shared"),
)

INBOUND: Vocabulary[InboundFacts] = Vocabulary(
    direction="inbound",
    facts=InboundFacts,
    phrases=PHRASES,
    actions=frozenset({Action.DELIVER, Action.WARN, Action.JUNK, Action.HOLD, Action.REFUSE}),
)
