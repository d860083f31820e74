"""Which messages belong together: base subject (RFC 5256 §2.1) and a thread key after Jamie Zawinski's rule.

Promises
    The key depends on the message alone, so that it can be computed at arrival by whoever seals the message.
    A reply has the key of what it answers, as far as its References say so.
    A subject joins messages only when they have no identifier at all.
"""

import hashlib
import re
from collections.abc import Sequence

KEY_BYTES = 16
_CONSIDERED = 1_000
_SPACE = re.compile(r"\s+")
# RFC 5256 names re, fw, fwd; the others are what mail programs in other languages write.
_LEADER = re.compile(r"(?:re|fwd?|aw|wg|sv|vs|tr|rv|antw|odp)\s*(?:\[[^\[\]]{0,200}\]\s*)?:\s*", re.IGNORECASE)
_BLOB = re.compile(r"\[[^\[\]]{0,200}\]\s*")
_TRAILER = "(fwd)"


def base_subject(subject: str) -> str:
    """The subject without "Re:", "Fwd:", "[list]" and "(fwd)", in folded case. RFC 5256 §2.1."""
    text = _SPACE.sub(" ", subject[:_CONSIDERED]).strip()
    while True:
        before = text
        while text.lower().endswith(_TRAILER):
            text = text[: -len(_TRAILER)].rstrip()
        text = _without_leaders(text)
        if text.lower().startswith("[fwd:") and text.endswith("]"):
            text = text[5:-1].strip()
        if text == before:
            return text.casefold()


def _without_leaders(text: str) -> str:
    while True:
        leader = _LEADER.match(text)
        if leader is None:
            blob = _BLOB.match(text)
            rest = text[blob.end() :] if blob else ""
            if not rest:
                return text
            text = rest
        else:
            text = text[leader.end() :]


def thread_key(*, subject: str, message_id: str | None, references: Sequence[str]) -> str:
    """32 hex digits. `references`: root first."""
    if references:
        root = f"id {references[0]}"
    elif message_id:
        root = f"id {message_id}"
    else:
        root = f"subject {base_subject(subject)}"
    return hashlib.sha256(root.encode("utf-8", "replace")).hexdigest()[: KEY_BYTES * 2]
