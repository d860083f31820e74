"""Signing what we send, so that nobody can add to it. RFC 6376 §5, RFC 8463.

Promises
    Every field in OVERSIGNED is named once more than it occurs: a second From, To, Subject … breaks the signature.
    No `l=`: the whole body is signed. SHA-256 only.
    The field comes folded, in CRLF lines under 78 octets, ready to be put above the message.
"""

import base64
from collections.abc import Sequence
from datetime import datetime

from carepost.base.address import Domain
from carepost.mailauth.canonical import BodyHashes, Bytes, Canonical
from carepost.mailauth.fields import Field
from carepost.mailauth.keys import SigningKey, algorithm_of, signed
from carepost.mailauth.signature import coverage, header_digest

# P14; Reply-To is added, since it says where the answer goes.
OVERSIGNED = (b"from", b"to", b"cc", b"subject", b"date", b"content-type", b"reply-to")
# RFC 6376 §5.4.1: signed as often as they occur.
SIGNED = (
    *(b"sender", b"message-id", b"in-reply-to", b"references", b"mime-version"),
    *(b"content-transfer-encoding", b"content-disposition", b"content-id", b"content-description"),
    *(b"resent-date", b"resent-from", b"resent-sender", b"resent-to", b"resent-cc", b"resent-message-id"),
    *(b"list-id", b"list-help", b"list-unsubscribe", b"list-unsubscribe-post", b"list-post", b"list-owner"),
    *(b"auto-submitted", b"importance", b"sensitivity"),
)
_LINE = 72


def sign_dkim(
    headers: Sequence[Field],
    body: Bytes,
    *,
    domain: Domain,
    selector: str,
    key: SigningKey,
    now: datetime,
) -> bytes:
    """The whole DKIM-Signature field, final CRLF included, in relaxed/relaxed form. Raises nothing for any message."""
    names = signed_names(headers)
    tags = [
        ("v", "1"),
        ("a", algorithm_of(key).value),
        ("c", "relaxed/relaxed"),
        ("d", domain.name),
        ("s", selector),
        ("t", str(int(now.timestamp()))),
        ("h", b":".join(names).decode("ascii")),
        ("bh", base64.b64encode(BodyHashes(body).digest(Canonical.RELAXED)).decode("ascii")),
    ]
    return finished("DKIM-Signature", tags, coverage(headers, names).fields, key)


def signed_names(headers: Sequence[Field]) -> tuple[bytes, ...]:
    counts: dict[bytes, int] = {}
    for name, _ in headers:
        counts[name] = counts.get(name, 0) + 1
    names: list[bytes] = []
    for name in OVERSIGNED:
        names.extend([name] * (counts.get(name, 0) + 1))
    for name in SIGNED:
        names.extend([name] * counts.get(name, 0))
    return tuple(names)


def finished(name: str, tags: Sequence[tuple[str, str]], covered: Sequence[bytes], key: SigningKey) -> bytes:
    """The field `name` of these tags with its `b=`, over the covered fields in relaxed form and over itself."""
    lines = [f"{name}:"]
    for tag, value in (*tags, ("b", "")):
        _put(lines, f"{tag}={value};" if tag != "b" else "b=")
    unsigned = "\r\n\t".join(lines).encode("ascii") + b"\r\n"
    signature = base64.b64encode(signed(key, header_digest(Canonical.RELAXED, covered, unsigned))).decode("ascii")
    # Folding within b= is not signed: its whole value is taken out before hashing.
    _put(lines, signature, join="")
    return "\r\n\t".join(lines).encode("ascii") + b"\r\n"


def _put(lines: list[str], text: str, join: str = " ") -> None:
    """Add to the last line while there is room; fold lists after a colon and base64 anywhere."""
    if len(lines[-1]) + len(join) + len(text) <= _LINE:
        lines[-1] += join + text
        return
    if join:
        lines.append("")
    while text:
        room = _LINE - len(lines[-1])
        if len(text) <= room:
            lines[-1] += text
            return
        cut = text.rfind(":", 0, room) + 1 or room
        lines[-1] += text[:cut]
        text = text[cut:]
        lines.append("")
