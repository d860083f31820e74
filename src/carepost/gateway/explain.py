"""A verdict in plain words: what happened, why, and what to do next. Used by `carepost why` and by the pages. PURE.

Promises
    Says what was decided then, by the card as it was then: when the card has changed since, it says so.
    Names no mechanism that is not in the verdict; invents nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from carepost.gateway.deck import shipped_outbound
from carepost.gateway.verdict import KeptFinding, KeptRecipient, Record
from carepost.policy.actions import Action
from carepost.policy.card import Card, Deck
from carepost.policy.english import sentence
from carepost.policy.inbound import InboundFacts

F = TypeVar("F")

_DONE = {
    Action.DELIVER: "was delivered",
    Action.WARN: "was delivered with a warning",
    Action.JUNK: "was put into the junk folder",
    Action.HOLD: "was held in quarantine",
    Action.REFUSE: "was refused; the sender's mail server was told at once",
    Action.SEND: "was sent",
    Action.SEND_VERIFIED: "was sent, over verified TLS only",
    Action.PORTAL: "was sent as a secure link",
}
# What differs when the message is one of our own people's.
_DONE_OUT = {
    Action.HOLD: "was held for an administrator to look at",
    Action.REFUSE: "was not sent; its sender was told",
}
_NEXT_OUT = {
    Action.HOLD: "A local administrator can let it go, giving a reason; its sender can cancel it.",
    Action.REFUSE: "Nothing was sent to this recipient. The sender has it in Sent, and can change and send it again.",
}
_NEXT = {
    Action.DELIVER: "Nothing needs to be done.",
    Action.WARN: "Nothing needs to be done. The reader sees the warning beside the message.",
    Action.JUNK: "If it is wanted, move it out of the junk folder; in a shared mailbox it is shown among the work.",
    Action.HOLD: "A local administrator can look at it in quarantine and release or delete it, giving a reason.",
    Action.REFUSE: "It cannot be fetched back. If it is wanted, ask the sender to put right what the card names.",
    Action.SEND: "Nothing needs to be done. What became of it since stands beside the recipient.",
    Action.SEND_VERIFIED: "Nothing needs to be done. If the hop cannot be protected it waits, and the sender is told.",
    Action.PORTAL: "The recipient gets a notice with the link. The sender sees when it is opened, and can revoke it.",
}
FACTS = {
    "malware_found": "whether it holds malware",
    "scanned_completely": "whether all of it was scanned",
    "has_program": "whether a program is attached",
    "has_macros": "whether a document with macros is attached",
    "has_active_document": "whether a document that acts by itself is attached",
    "has_locked_archive": "whether a locked archive or document is attached",
    "has_unreadable_archive": "whether an archive that cannot be read is attached",
    "hides_file_type": "whether an attached file hides what it is",
    "readings_disagree": "whether all programs read it alike",
    "details_blocked": "whether it holds details that the organisation does not let leave",
    "details_need_reason": "whether it holds details that the organisation wants a reason for",
    "details_advised": "whether it holds details that the organisation wants looked at again",
    "subject_blocked": "whether its subject or a file's name tells what the organisation does not let them tell",
    "subject_by_link": "whether its subject or a file's name tells what the organisation lets leave by link only",
    "subject_needs_reason": "whether its subject or a file's name tells what the organisation wants a reason for",
    "is_broken": "whether it can be read safely",
    "is_in_pieces": "whether it is whole",
    "went_round": "whether it has been going round in a circle",
    "from_outside": "whether it comes from outside",
    "sender_unclear": "who it is from",
    "claims_our_domain": "whether it bears one of our own addresses",
    "sender_proved": "whether the sender's address is genuine",
    "dmarc": "what the sender's domain says about it",
    "domain_asks_for": "what the sender's domain asks us to do",
    "trusted_forwarder": "whether a forwarder that we trust vouches for it",
    "sender_secure": "whether the sender is on the register of secure domains",
    "looks_like_colleague": "whether the sender looks like a colleague",
    "looks_like_known_domain": "whether the sender's domain looks like one we know",
    "forwarded_in": "whether a mailbox that is not secure sent it on",
    "looks_like_phishing": "whether it is phishing",
    "looks_like_spam": "whether it is spam",
    "recipient_shared": "whether it is for a shared mailbox",
    # of mail that goes out
    "sensitivity": "whether patient or personal details are in it",
    "subject_tells": "whether the subject or a file's name tells who it is about",
    "asked_secure": "whether it was asked to go securely",
    "has_large_file": "whether a file that is too large for email comes with it",
    "reach": "where the recipient's address is",
    "agreed_to_plain": "whether the recipient has agreed to plain email",
    "first_time": "whether the recipient was written to before",
    "looks_like_other": "whether the recipient's address looks like another one",
    "named_like_other": "whether somebody else has the recipient's name",
    "unusual_company": "whether the recipients usually get mail together",
    "newly_added": "whether the recipient was in this conversation",
    "has_left": "whether the recipient has left",
    "patient_unverified": "whether the patient's address was checked within a year",
    "outsiders_visible": "how many people outside would see each other",
    "outsiders_crowd": "whether a crowd outside would see each other",
    "patients_visible": "whether patients would see each other",
    "many_domains": "to how many organisations it goes",
    "reply_all_large": "to how many people it answers",
    "answers_hidden_copy": "whether it answers a hidden copy",
    "one_each": "whether everybody gets a message of their own",
}


@dataclass(frozen=True, slots=True)
class Copy:
    """What became of the copies that were treated alike."""

    recipients: tuple[str, ...]
    happened: str
    because: tuple[str, ...]
    next: str
    card: str | None
    card_version: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    headline: str
    copies: tuple[Copy, ...]
    seen: tuple[KeptFinding, ...]  # the gravest first
    arrived: str

    def lines(self) -> list[str]:
        """As text, for the command line."""
        lines = [self.headline, self.arrived]
        for copy in self.copies:
            lines += ["", f"For {', '.join(copy.recipients)}: it {copy.happened}."]
            lines += [f"  {reason}" for reason in copy.because]
            lines += [f"  {copy.next}"]
        if self.seen:
            lines += ["", "What was seen:"]
            lines += [f"  - {found.says} [{found.code}]" for found in self.seen]
        return lines


def explain(record: Record, deck: Deck[InboundFacts]) -> Explanation:
    """The whole story of one message, as far as one organisation may know it. `deck` is for what came in."""
    if record.is_outgoing:
        return _explain(record, shipped_outbound())
    return _explain(record, deck)


def _explain(record: Record, deck: Deck[F]) -> Explanation:
    details = record.details
    sender = ", ".join(details.authors) or "nobody in particular"
    groups: dict[tuple[str, str, str | None, str | None, bool, tuple[str, ...]], list[KeptRecipient]] = {}
    for one in details.recipients:
        key = (one.decided, one.action, one.card, one.card_version, one.unsure, one.missing)
        groups.setdefault(key, []).append(one)
    copies = tuple(_copy(recipients, deck, out=record.is_outgoing) for recipients in groups.values())
    happened = " and ".join(dict.fromkeys(copy.happened for copy in copies)) or "was for nobody here"
    seen = tuple(sorted((found for found in details.findings if found.weight > 0), key=lambda found: -found.weight))
    return Explanation(
        headline=f"A message from {sender} {happened}.", copies=copies, seen=seen, arrived=_arrival(record)
    )


def _copy(alike: list[KeptRecipient], deck: Deck[F], *, out: bool) -> Copy:
    first = alike[0]
    action = Action(first.action)
    done, next_ = (_DONE | _DONE_OUT, _NEXT | _NEXT_OUT) if out else (_DONE, _NEXT)
    return Copy(
        recipients=tuple(one.address for one in alike),
        happened=done[action],
        because=tuple(_reasons(first, deck, out=out)),
        next=next_[action],
        card=first.card,
        card_version=first.card_version,
    )


def _reasons(one: KeptRecipient, deck: Deck[F], *, out: bool) -> Iterable[str]:
    if one.card is None:
        yield f"No card applied, and then a message is {'sent' if out else 'delivered'}."
        return
    card = deck.card(one.card)
    if card is None:
        yield f"The card “{one.card}” (version {one.card_version}) said so. It is no longer among the cards."
        return
    if one.unsure:
        unknown = ", ".join(FACTS.get(name, name) for name in one.missing) or "what the card asks"
        yield f"The card “{card.title}” could not be judged, because it could not be found out {unknown}."
        yield "What is not known is held, never let through."
    else:
        yield f"The card “{card.title}” says: {sentence(card)}"
    yield f"Its reason: {card.because.strip()}"
    if one.decided != one.action:
        yield _OTHERWISE_OUT if out else _OTHERWISE_IN
    yield _version(one, card)


def _version(one: KeptRecipient, card: Card[F]) -> str:
    if card.version == one.card_version:
        return f"Card {card.name}, version {card.version}, owned by: {card.owner}."
    return (
        f"Card {card.name}, version {one.card_version}. The card has been changed since (now version {card.version}), "
        f"so its wording then may have been another."
    )


_OTHERWISE_IN = "The card would refuse it, but others were to have it, and a sender can only be told yes or no for all."
_OTHERWISE_OUT = "Its sender chose another way when they were asked."
_HANDED_IN = {
    "web": "It was written in web mail",
    "submission": "It was handed in by a mail program",
    "system": "It was written by the service itself",
}


def _arrival(record: Record) -> str:
    details = record.details
    if record.is_outgoing or record.door == "inside":
        at = record.at.strftime("%d %B %Y at %H:%M:%S UTC").lstrip("0")
        by = f" by {details.person}" if details.person else ""
        how = _HANDED_IN.get(record.door, "It came from a colleague's mailbox here")
        return f"{how} on {at}{by}. Reference {record.trace}."
    secured = f"over {details.tls}" if details.tls else "without encryption"
    at = record.at.strftime("%d %B %Y at %H:%M:%S UTC").lstrip("0")
    door = {"smtp": "from", "lmtp": "by the mail server in front, from", "portal": "by a secure page, from"}.get(
        record.door, "from"
    )
    return f"It came on {at} {door} {details.client} ({secured}). Reference {record.trace}."
