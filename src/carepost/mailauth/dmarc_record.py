"""The DMARC record as it is written. RFC 7489 §6.3 and §6.6.3; np from RFC 9091; t from RFC 7489's successor.

Promises
    What is not understood is passed over in favour of the default, as §6.6.3 asks; only a record whose policy itself
    is nonsense is refused, and then none applies.
"""

from dataclasses import dataclass
from enum import StrEnum


class DmarcPolicy(StrEnum):
    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"

    @property
    def severity(self) -> int:
        return (DmarcPolicy.NONE, DmarcPolicy.QUARANTINE, DmarcPolicy.REJECT).index(self)

    @property
    def milder(self) -> "DmarcPolicy":
        return DmarcPolicy.QUARANTINE if self is DmarcPolicy.REJECT else DmarcPolicy.NONE


class RecordRefused(ValueError):
    """The record has no policy that can be followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DmarcRecord:
    policy: DmarcPolicy
    below: DmarcPolicy | None  # sp=
    missing: DmarcPolicy | None  # np=
    strict_spf: bool
    strict_dkim: bool
    testing: bool  # t=y: treat as one step milder

    @property
    def may_differ_for_missing(self) -> bool:
        return self.missing is not None

    def policy_for(self, *, below: bool, missing: bool) -> DmarcPolicy:
        """For the domain itself, for one below it, or for one below it that does not exist."""
        policy = self.policy
        if below:
            policy = self.below or policy
        if missing:
            policy = self.missing or policy
        return policy.milder if self.testing else policy


def is_dmarc(record: bytes) -> bool:
    """Does the record claim to be DMARC? §6.3: the version comes first, exactly so; white space around is allowed."""
    name, equals, value = record.partition(b";")[0].partition(b"=")
    return bool(equals) and name.strip() == b"v" and value.strip() == b"DMARC1"


def parse_dmarc(record: bytes) -> DmarcRecord:
    """Raises RecordRefused."""
    tags: dict[str, str] = {}
    for spec in record.decode("ascii", "replace").split(";")[:64]:
        name, equals, value = spec.partition("=")
        if equals:
            tags.setdefault(name.strip().lower(), value.strip())
    policy, below = _policy(tags, "p"), _policy(tags, "sp")
    if policy is None or ("sp" in tags and below is None):
        # §6.6.3: whoever asks for reports is at least watching.
        if not _has_report_address(tags.get("rua", "")):
            raise RecordRefused("the published policy cannot be understood")
        policy, below = DmarcPolicy.NONE, None
    return DmarcRecord(
        policy=policy,
        below=below,
        missing=_policy(tags, "np"),
        strict_spf=tags.get("aspf", "r").lower() == "s",
        strict_dkim=tags.get("adkim", "r").lower() == "s",
        testing=tags.get("t", "n").lower() == "y",
    )


def _policy(tags: dict[str, str], name: str) -> DmarcPolicy | None:
    try:
        return DmarcPolicy(tags.get(name, "").lower())
    except ValueError:
        return None


def _has_report_address(text: str) -> bool:
    addresses = (uri.strip().lower() for uri in text.split(","))
    return any(uri.startswith("mailto:") and "@" in uri for uri in addresses)
