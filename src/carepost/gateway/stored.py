"""The message as it is kept: our trace fields above the sender's bytes. PURE.

Promises
    The sender's bytes are kept, save header fields that pretend to be ours: Authentication-Results that might pass for
    ours (RFC 8601 §5) and X-Carepost fields.
    What we add is above everything else, where a signature of the sender is not broken by it.
"""

from collections.abc import Iterable, Sequence

from carepost.gateway.checks.authentication import RESULTS
from carepost.gateway.decide import Ruling
from carepost.gateway.model import Connection, Envelope, Finding
from carepost.mailauth.fields import Field, split_message
from carepost.mailauth.results import strip_spans
from carepost.message.above import put_above
from carepost.message.model import Message
from carepost.message.parse import parse
from carepost.policy.actions import Action

_OURS = b"x-carepost-"
NOTICE = "X-Carepost-Notice"
# Keywords of IMAP for a message that a card gave a warning; what the warning is stands in the notice field. R139.
WARNED = "$CarepostWarning"
# The same where the card only says that the sender is outside the register: common, and no cause for alarm.
OUTSIDE = "$CarepostOutside"
OUTSIDE_CARD = "from-outside"
JUNKED = "$Junk"


def stored_message(
    message: Message, *, connection: Connection, envelope: Envelope, findings: Iterable[Finding], ruling: Ruling
) -> Message:
    """What is sealed and shown to mail clients."""
    results = next((str(found.facts[RESULTS]) for found in findings if RESULTS in found.facts), None)
    added = [envelope.received]
    if results is not None:
        added.append(b"Authentication-Results: " + results.encode("ascii", "replace") + b"\r\n")
    if notice := notice_of(ruling):
        added.append(f"{NOTICE}: {notice}\r\n".encode())
    kept = without_pretence(message.raw, authserv_id=connection.local_name)
    return put_above(message if kept is message.raw else parse(kept), b"".join(added))


def notice_of(ruling: Ruling) -> str | None:
    """The names of the cards that want their readers warned; None when there is nothing to say."""
    cards = {one.decision.card for one in ruling.dispositions if one.action is Action.WARN and one.decision.card}
    return "; ".join(sorted(cards)) or None


def without_pretence(raw: bytes, *, authserv_id: str) -> bytes:
    """The message without header fields that only we may write."""
    headers, _ = split_message(raw)
    spans = sorted({*strip_spans(headers, authserv_id), *_pretended(headers)})
    if not spans:
        return raw
    kept, at = [], 0
    for start, end in spans:
        kept.append(raw[at:start])
        at = end
    return b"".join([*kept, raw[at:]])


def _pretended(headers: Sequence[Field]) -> list[tuple[int, int]]:
    spans, at = [], 0
    for name, field in headers:
        if name.startswith(_OURS):
            spans.append((at, at + len(field)))
        at += len(field)
    return spans
