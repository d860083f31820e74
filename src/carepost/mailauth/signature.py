"""What a DKIM-Signature and an ARC-Message-Signature have in common: tags, the fields they cover, the bytes they sign.

Promises
    A signature that breaks RFC 6376 §3.5 is refused with the reason, before any name is looked up.
    Fields are taken from the bottom up, one for each time that `h=` names them; one that is not there counts as
    nothing, so that adding it later breaks the signature (§5.4.2).
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from carepost.mailauth.canonical import Canonical, canonical_field
from carepost.mailauth.fields import Field, TagError, emptied, field_value, listed, parse_tags, without_space
from carepost.mailauth.keys import Algorithm

FIELD_BYTES_MAX = 32_768  # With a 4,096-bit key and 200 names in h= a signature is under 6,000 octets.
SIGNED_NAMES_MAX = 500  # h= names; each costs one look at the header
_LABEL = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


class SignatureRefused(ValueError):
    """The signature cannot be evaluated, now or later. RFC 6376 §6.1.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    tags: dict[str, str]
    field: bytes  # as received
    algorithm: Algorithm
    domain: str  # d=, lower case
    selector: str  # s=, lower case
    value: bytes  # b=
    body_hash: bytes  # bh=
    header_form: Canonical
    body_form: Canonical
    names: tuple[bytes, ...]  # h=, lower case, in order
    body_length: int | None  # l=
    signed_at: int | None  # t=, seconds since 1970
    expires_at: int | None  # x=


def parse_signature(field: bytes, *, required: Sequence[str]) -> Signature:
    """Raise SignatureRefused unless the field can be evaluated. `required` are tags beyond a, b, bh, d, h and s."""
    if len(field) > FIELD_BYTES_MAX:
        raise SignatureRefused("the signature is too long")
    tags = signature_tags(field, required=("a", "b", "bh", "d", "h", "s", *required))
    names = tuple(name.encode("utf-8") for name in listed(tags["h"]))
    if len(names) > SIGNED_NAMES_MAX or b"" in names:
        raise SignatureRefused("h= is not a list of field names")
    header_form, body_form = _forms(tags.get("c", "simple/simple"))
    signed_at, expires_at = _number(tags, "t"), _number(tags, "x")
    if signed_at is not None and expires_at is not None and expires_at < signed_at:
        raise SignatureRefused("the signature ends before it begins")
    return Signature(
        tags=tags,
        field=field,
        algorithm=known_algorithm(tags["a"]),
        domain=checked_domain(tags["d"], "d="),
        selector=checked_domain(tags["s"], "s="),
        value=decoded(tags["b"], "b="),
        body_hash=decoded(tags["bh"], "bh="),
        header_form=header_form,
        body_form=body_form,
        names=names,
        body_length=_number(tags, "l"),
        signed_at=signed_at,
        expires_at=expires_at,
    )


def signature_tags(field: bytes, *, required: Sequence[str]) -> dict[str, str]:
    try:
        tags = parse_tags(field_value(field))
    except TagError as error:
        raise SignatureRefused(f"the signature cannot be read: {error}") from error
    if missing := [name for name in required if not tags.get(name)]:
        raise SignatureRefused(f"the signature lacks {missing[0]}=")
    return tags


def known_algorithm(text: str) -> Algorithm:
    try:
        return Algorithm(text.lower())
    except ValueError:
        if text.lower() == "rsa-sha1":
            raise SignatureRefused("SHA-1 proves nothing any more (RFC 8301)") from None
        raise SignatureRefused("an algorithm that we do not know") from None


def checked_domain(text: str, tag: str) -> str:
    """A name that is safe to look up and to show: letters, digits, hyphens, underscores and dots. Raises (P12)."""
    name = without_space(text).lower()
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii").lower()  # RFC 8616 §5
        except UnicodeError as error:
            raise SignatureRefused(f"{tag} is not a domain name") from error
    labels = name.split(".")
    if len(name) > 253 or not all(0 < len(label) <= 63 and set(label) <= _LABEL for label in labels):
        raise SignatureRefused(f"{tag} is not a domain name")
    return name


def decoded(text: str, tag: str) -> bytes:
    try:
        return base64.b64decode(without_space(text), validate=True)
    except (ValueError, binascii.Error) as error:
        raise SignatureRefused(f"{tag} is not base64") from error


def _number(tags: dict[str, str], name: str) -> int | None:
    text = tags.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 76:  # §3.5 bounds l= so
        raise SignatureRefused(f"{name}= is not a number")
    return int(text)


def _forms(text: str) -> tuple[Canonical, Canonical]:
    header, _, body = without_space(text).lower().partition("/")
    try:
        return Canonical(header), Canonical(body or "simple")  # §3.5
    except ValueError:
        raise SignatureRefused("a canonical form that we do not know") from None


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which fields of the message a signature speaks for."""

    fields: tuple[bytes, ...]  # as received, in the order in which they are signed
    names: frozenset[str]  # names of which every field is signed
    unsigned_copies: frozenset[str]  # names of which one is signed and another, above it, is not


def coverage(fields: Sequence[Field], names: Sequence[bytes]) -> Coverage:
    """§5.4.2: the last field of a name first."""
    present: dict[bytes, list[bytes]] = {}
    for name, field in fields:
        present.setdefault(name, []).append(field)
    taken = tuple([waiting.pop() for name in names if (waiting := present.get(name))])
    signed = {name for name in names if name in present}
    return Coverage(
        taken,
        frozenset(_shown(name) for name in signed if not present[name]),
        frozenset(_shown(name) for name in signed if present[name]),
    )


def _shown(name: bytes) -> str:
    return name.decode("ascii", "replace")


def header_digest(form: Canonical, covered: Sequence[bytes], own_field: bytes) -> bytes:
    """SHA-256 over the covered fields and the signature's own, its value taken out. §3.7."""
    digest = hashlib.sha256()
    for field in covered:
        digest.update(canonical_field(form, field if field.endswith(b"\r\n") else field + b"\r\n"))
    digest.update(canonical_field(form, emptied(own_field)).removesuffix(b"\r\n"))
    return digest.digest()
