"""Whether a message may be answered by a machine, and the answer. PURE. RFC 3834; R60, R61, R163.

Promises
    Nothing is answered that a list, a robot or a report has sent, nor what was not written to the mailbox itself.
    An answer holds nothing of what it answers but its Message-ID: no text, no subject (R163).
    An answer says that it is automatic, so that nothing answers it.

The subject departs from RFC 3834 §3.1.5, which would repeat the sender's: what they wrote may be about a patient.
"""

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from carepost.base.address import EmailAddress
from carepost.base.errors import Malformed
from carepost.message.addresses import Address, each
from carepost.message.compose import compose, id_field
from carepost.message.model import Message

# Addresses of one message that are looked through for the mailbox's own.
_CONSIDERED = 2_000
_REFERENCES_MAX = 20

# RFC 3834 §2, and the names that list programs and mail systems write as.
_ROBOTS = re.compile(
    r"(?:owner-.*|.*-(?:request|owner|bounces?|errors?|admin)|bounces?(?:[-+=].*)?|prvs=.*|srs[01]=.*|"
    r"mailer-daemon|postmaster|abuse|listserv|majordomo|mailman|news|uucp|root|daemon|nobody|"
    r"(?:.*[-_.+])?(?:no-?reply|do-?not-?reply|donotreply)(?:[-_.+].*)?)",
    re.IGNORECASE,
)
_LISTS = ("list-id", "list-post", "list-unsubscribe", "list-help", "list-subscribe", "list-owner", "list-archive")
_BULK = frozenset({b"bulk", b"list", b"junk", b"auto_reply"})
_ADDRESSED = ("to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc")


class Silence(StrEnum):
    """Why a message is not answered automatically."""

    NO_SENDER = "there is nobody to answer: its return path is empty"
    NOT_ITS_SENDER = "its return path is not the address of who wrote it"
    OURSELVES = "the mailbox wrote it itself"
    ROBOT = "it was sent by a machine"
    LIST = "it came by a list, or in bulk"
    REPORT = "it is a report"
    NOT_ADDRESSED = "it was not addressed to this mailbox"


def why_not_answered(
    message: Message, reverse_path: EmailAddress | None, *, own: Collection[EmailAddress]
) -> Silence | None:
    """None: it may be answered, to its reverse-path. `own` are the addresses of the mailbox."""
    keys = {address.key for address in own}
    if reverse_path is None:
        return Silence.NO_SENDER
    if reverse_path.key in keys:
        return Silence.OURSELVES
    if _ROBOTS.fullmatch(reverse_path.local):
        return Silence.ROBOT
    if silence := _of_a_machine(message):
        return silence
    authors = [one.address.lower() for one in message.authors()]
    # To answer anybody but its author would let a stranger choose whom we write to (P18).
    if authors != [reverse_path.key]:
        return Silence.NOT_ITS_SENDER
    # RFC 3834 §2: a copy that came by Bcc, a list or a forwarding was not written to us.
    addressed = {one.address.lower() for name in _ADDRESSED for one in each(message.addresses(name, _CONSIDERED))}
    return None if addressed & keys else Silence.NOT_ADDRESSED


def _of_a_machine(message: Message) -> Silence | None:
    for value in message.header_values("auto-submitted"):
        if value.partition(b";")[0].strip().lower() != b"no":
            return Silence.ROBOT
    if any(message.header_values(name) for name in _LISTS):
        return Silence.LIST
    if any(value.strip().lower() in _BULK for value in message.header_values("precedence")):
        return Silence.LIST
    # What the largest mail systems write for "do not answer this by a machine".
    asked = b",".join(message.header_values("x-auto-response-suppress")).lower()
    if any(word in asked for word in (b"all", b"oof", b"autoreply")):
        return Silence.ROBOT
    if message.root.media_type in {"multipart/report", "message/delivery-status", "message/disposition-notification"}:
        return Silence.REPORT
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomaticAnswer:
    """What is answered, by whom."""

    sender: EmailAddress
    name: str  # of the mailbox
    to: EmailAddress
    subject: str
    text: str
    at: datetime


def write_answer(answer: AutomaticAnswer, message: Message) -> bytes:
    """The answer, ready to leave. Raises Malformed where a name or the subject cannot stand in a header."""
    about = message.message_id
    salt = f"{answer.sender}\0{answer.to}\0{about}\0{answer.at.isoformat()}"
    name = hashlib.sha256(salt.encode("utf-8", "replace")).hexdigest()[:32]
    raw = compose(
        Address(name=answer.name, address=str(answer.sender)),
        [answer.to],
        answer.subject,
        answer.text if answer.text.endswith("\n") else f"{answer.text}\n",
        date=answer.at,
        message_id=f"auto.{name}@{answer.sender.domain}",
        # RFC 3834 §5; the second is what programs that do not know the first look for.
        extra_headers=[("Auto-Submitted", "auto-replied"), ("X-Auto-Response-Suppress", "All")],
    )
    return _thread(message, about) + raw


def _thread(message: Message, about: str | None) -> bytes:
    """RFC 3834 §3.1.6."""
    if about is None:
        return b""
    earlier = message.references[-_REFERENCES_MAX:]
    try:
        return id_field("In-Reply-To", about) + id_field("References", *dict.fromkeys((*earlier, about)))
    except Malformed:  # a stranger's identifiers that cannot stand in a header: the answer goes without
        return b""
