"""MTA-STS: what a domain's policy says, and whether a mail host is one that it names. RFC 8461. PURE.

Promises
    A policy is understood as a whole or not at all; unknown fields are passed over (RFC 8461 §3.2).
    A wildcard stands for exactly one label, the leftmost (RFC 8461 §4.1).
    Fetching it is not done here: see `carepost.delivery.fetch`.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from carepost.base.address import Domain
from carepost.base.errors import Malformed

POLICY_MAX = 64 * 1024  # octets: RFC 8461 §3.3
AGE_MAX = 31_557_600  # seconds, a year: RFC 8461 §3.2
HOSTS_MAX = 500  # patterns of one policy; real ones have fewer than ten
WELL_KNOWN = "/.well-known/mta-sts.txt"  # RFC 8461 §3.3

_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_VERSION = "STSv1"


class Mode(StrEnum):
    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """A policy as published; `max_age` in seconds."""

    mode: Mode
    mx: tuple[str, ...]
    max_age: int

    def names(self, host: str) -> bool:
        """Whether `host` is one of the domain's mail hosts. RFC 8461 §4.1."""
        host = host.lower().removesuffix(".")
        return any(_fits(pattern, host) for pattern in self.mx)

    @property
    def text(self) -> str:
        """As it is served, RFC 8461 §3.2."""
        lines = [f"version: {_VERSION}", f"mode: {self.mode}", *(f"mx: {one}" for one in self.mx)]
        return "".join(line + "\r\n" for line in [*lines, f"max_age: {self.max_age}"])

    @property
    def id(self) -> str:
        """What stands in DNS: another one whenever the policy is another. RFC 8461 §3.1."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:32]


def read_policy(text: bytes) -> StsPolicy:
    """Raises Malformed unless `text` is a policy. RFC 8461 §3.2."""
    if len(text) > POLICY_MAX:
        raise Malformed("The policy is longer than 64 KiB.")
    fields: dict[str, list[str]] = {}
    for line in text.decode("utf-8", "replace").splitlines():
        key, colon, value = line.partition(":")
        if line.strip() and not colon:
            raise Malformed("A line of the policy is no field.")
        fields.setdefault(key.strip(), []).append(value.strip())
    if _first(fields, "version") != _VERSION:
        raise Malformed("It is no policy of a version that we know.")
    age = _first(fields, "max_age")
    if not re.fullmatch(r"[0-9]{1,10}", age, re.ASCII):
        raise Malformed("Its max_age is no number.")
    try:
        mode = Mode(_first(fields, "mode"))
    except ValueError as error:
        raise Malformed("Its mode is none that we know.") from error
    hosts = _patterns(fields.get("mx", ()))
    if mode is not Mode.NONE and not hosts:
        raise Malformed("It names no mail host.")
    return StsPolicy(mode, hosts, min(int(age), AGE_MAX))


def policy_id(records: Iterable[bytes]) -> str | None:
    """The id that `_mta-sts.<domain>` announces; None: there is no policy. RFC 8461 §3.1.

    More than one record of this version, or one without a proper id, is as if there were none.
    """
    ours = [text for text in records if text == b"v=STSv1" or text.startswith((b"v=STSv1;", b"v=STSv1 "))]
    if len(ours) != 1:
        return None
    for part in ours[0].decode("ascii", "replace").split(";")[1:]:
        key, _, value = part.partition("=")
        if key.strip() == "id":
            return value.strip() if _ID.fullmatch(value.strip()) else None
    return None


def _first(fields: dict[str, list[str]], key: str) -> str:
    """RFC 8461 §3.2: of a field that stands there twice, all but the first are passed over (`mx` apart)."""
    return fields.get(key, [""])[0]


def _patterns(texts: Sequence[str]) -> tuple[str, ...]:
    if len(texts) > HOSTS_MAX:
        raise Malformed("It names more mail hosts than anybody has.")
    return tuple(_pattern(text) for text in texts)


def _pattern(text: str) -> str:
    wildcard, name = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    domain = Domain.parse(name)
    if domain.is_literal:
        raise Malformed("It names a mail host by its address.")
    return wildcard + domain.name


def _fits(pattern: str, host: str) -> bool:
    if not pattern.startswith("*."):
        return pattern == host
    label, dot, rest = host.partition(".")
    return bool(label and dot) and rest == pattern[2:]
