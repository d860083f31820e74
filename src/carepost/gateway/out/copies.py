"""The forms in which one message leaves: who sees whom, what is taken out, what is put above. PURE.

Promises
    Bcc is in no form that leaves (RFC 5322 §3.6.3), whatever its case and however often it stands there; nor is any
    field that only we write, or that tells of a message's way through a mail program (X-Carepost…, Return-Path).
    One message each: the header names its reader and nobody else. No form shows an address that its reader should not
    see; the body is the sender's, byte for byte.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from carepost.base.address import EmailAddress
from carepost.base.errors import Malformed
from carepost.gateway.out.decide import Spread
from carepost.mailauth.fields import Field, split_message
from carepost.message.addresses import Address, addresses_of, each
from carepost.message.compose import format_date, people_field

# What never leaves. RFC 5322 §3.6.3, §3.6.7; Resent-Bcc is §3.6.6.
_TAKEN_OUT = frozenset(
    {b"bcc", b"resent-bcc", b"return-path", b"delivered-to", b"x-original-to", b"x-envelope-to", b"envelope-to"}
)
_OURS = b"x-carepost-"
_NAMES_PEOPLE = frozenset({b"to", b"cc"})


@dataclass(frozen=True, slots=True)
class Form:
    """One form of the message, and for which recipients it is, by their numbers."""

    raw: bytes
    seqs: tuple[int, ...]


def forms(raw: bytes, to: Mapping[int, EmailAddress], spread: Spread, hidden: Iterable[int] = ()) -> list[Form]:
    """`hidden`: with Spread.BCC, the recipients whom no header may name."""
    if not to:
        return []
    if spread is Spread.EACH:
        return [Form(for_one(raw, address), (seq,)) for seq, address in to.items()]
    if spread is Spread.BCC:
        keys = {to[seq].key for seq in hidden if seq in to}
        return [Form(without_people(raw, keys), tuple(to))]
    return [Form(without_bcc(raw), tuple(to))]


def without_bcc(raw: bytes) -> bytes:
    """The message as everybody may see it."""
    fields, body = split_message(raw)
    return _joined(_leaving(fields), body)


def for_one(raw: bytes, reader: EmailAddress) -> bytes:
    """With `reader` alone in To, under the name that the message gives them."""
    fields, body = split_message(raw)
    name = next((one.name for one in _people(fields) if one.address.lower() == reader.key), "")
    return _joined(_placed(_leaving(fields), {b"to": _to(reader, name), b"cc": b""}), body)


def without_people(raw: bytes, keys: set[str]) -> bytes:
    """To and Cc without these; a header that names nobody any more says so. RFC 5322 §3.4."""
    fields, body = split_message(raw)
    kept: dict[bytes, bytes] = {}
    for name in _NAMES_PEOPLE:
        people = [one for one in _people(fields, name) if one.address.lower() not in keys]
        kept[name] = people_field(name.decode().capitalize(), [_plain(one) for one in people]) if people else b""
    if not any(kept.values()):
        kept[b"to"] = b"To: undisclosed-recipients:;\r\n"
    return _joined(_placed(_leaving(fields), kept), body)


def stamped(raw: bytes, *, received: bytes, reverse_path: EmailAddress | None = None, final: bool = False) -> bytes:
    """With our trace fields above it. RFC 5321 §4.4: Return-Path at final delivery only."""
    path = f"Return-Path: <{reverse_path or ''}>\r\n".encode() if final else b""
    return path + received + raw


def received_field(*, host: str, trace: str, at: datetime, door: str, to: EmailAddress | None = None) -> bytes:
    """RFC 5321 §4.4. Names no network address of the sender: where our people sit is nobody's business."""
    how = {"web": "HTTPS", "submission": "ESMTPSA"}.get(door, "LOCAL")
    reader = f"\r\n for <{to}>" if to is not None and str(to).isascii() else ""
    return f"Received: by {host} (Carepost) with {how} id {trace}{reader};\r\n {format_date(at)}\r\n".encode()


def _leaving(fields: Sequence[Field]) -> list[Field]:
    return [(name, octets) for name, octets in fields if name not in _TAKEN_OUT and not name.startswith(_OURS)]


def _placed(fields: Sequence[Field], instead: Mapping[bytes, bytes]) -> list[Field]:
    """Each named field replaced where it stood first; added at the end if it stood nowhere; removed if empty."""
    out: list[Field] = []
    done: set[bytes] = set()
    for name, octets in fields:
        if name not in instead:
            out.append((name, octets))
        elif name not in done:
            done.add(name)
            out.append((name, instead[name]))
    out += [(name, octets) for name, octets in instead.items() if name not in done]
    return [(name, octets) for name, octets in out if octets]


def _joined(fields: Sequence[Field], body: memoryview) -> bytes:
    head = b"".join(octets if octets.endswith(b"\r\n") else octets + b"\r\n" for _, octets in fields)
    return head + b"\r\n" + bytes(body)


def _people(fields: Sequence[Field], only: bytes | None = None) -> list[Address]:
    wanted = {only} if only else _NAMES_PEOPLE
    return [
        one
        for name, octets in fields
        if name in wanted
        for one in each(addresses_of(octets.partition(b":")[2].replace(b"\r\n", b"")))
        if one.domain
    ]


def _plain(one: Address) -> Address | str:
    try:
        people_field("To", [one])
    except Malformed:
        return one.address
    return one


def _to(reader: EmailAddress, name: str) -> bytes:
    if name:
        try:
            return people_field("To", [Address(name=name, address=str(reader))])
        except Malformed:
            pass
    return people_field("To", [reader])
