"""EmailAddress and Domain: parsed once at the edge, trusted afterwards.

Promises
    A Domain is lower case, in its A-label form, and valid for the wire; `shown` gives the U-label form.
    An EmailAddress compares without regard to case in the domain; `key` is the form the directory looks up.
    Nothing here decodes encoded words: an addr-spec is never made out of decoded text (M7).
"""

import re
from dataclasses import dataclass

from carepost.base.errors import Malformed

LOCAL_MAX = 64  # RFC 5321 §4.5.3.1.1, in octets.
DOMAIN_MAX = 255  # RFC 5321 §4.5.3.1.2, in octets.
LABEL_MAX = 63  # RFC 1035 §2.3.4.

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?", re.ASCII)
_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"
_DOT_STRING = re.compile(rf"[{_ATEXT}\u0080-\U0010ffff]+(\.[{_ATEXT}\u0080-\U0010ffff]+)*")
_QUOTED = re.compile(r'"(?:[\x20-\x21\x23-\x5b\x5d-\x7e\u00a0-\U0010ffff]|\\[\x20-\x7e])*"')
_LITERAL = re.compile(r"\[[\x21-\x5a\x5e-\x7e]+\]")


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain name, lower case, A-labels."""

    name: str

    @classmethod
    def parse(cls, text: str) -> "Domain":
        """Raise Malformed unless `text` is a domain or an address literal. RFC 5321 §2.3.5, RFC 5890."""
        if _LITERAL.fullmatch(text):
            return cls(text.lower())
        name = text.removesuffix(".").lower()
        if not name.isascii():
            name = _to_ascii(name)
        labels = name.split(".")
        if len(name) > DOMAIN_MAX or not all(len(label) <= LABEL_MAX and _LABEL.fullmatch(label) for label in labels):
            raise Malformed("not a domain name", text=text)
        return cls(name)

    @property
    def is_literal(self) -> bool:
        return self.name.startswith("[")

    def is_within(self, parent: "Domain") -> bool:
        """Itself or below `parent`, by whole labels: `evilnhs.uk` is not within `nhs.uk`."""
        return self.name == parent.name or self.name.endswith("." + parent.name)

    def __str__(self) -> str:
        return self.name


def _to_ascii(name: str) -> str:
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise Malformed("not a domain name", text=name) from error


@dataclass(frozen=True, slots=True)
class EmailAddress:
    local: str
    domain: Domain

    @classmethod
    def parse(cls, text: str) -> "EmailAddress":
        """Raise Malformed unless `text` is one addr-spec. RFC 5321 §4.1.2, RFC 6531 §3.3."""
        local, at, domain = text.rpartition("@")
        if not (local and at and domain) or len(local.encode("utf-8", "replace")) > LOCAL_MAX:
            raise Malformed("not an email address", text=text)
        if not (_DOT_STRING.fullmatch(local) or _QUOTED.fullmatch(local)):
            raise Malformed("not an email address", text=text)
        return cls(local, Domain.parse(domain))

    @property
    def key(self) -> str:
        """How the directory knows it: lower case throughout, the sub-address (`+tag`) kept."""
        return f"{self.local.lower()}@{self.domain}"

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"
