"""All checks of the outbound walk in one list: what is not in it is not done. A test compares it with the folder."""

from dataclasses import dataclass, field

from carepost.gateway.checks.archives import archives
from carepost.gateway.checks.disclosure import disclosure
from carepost.gateway.checks.malware import Floor, Scanner, malware
from carepost.gateway.files.names import BlockPolicy
from carepost.gateway.files.texts_model import TextLimits
from carepost.gateway.files.unpack import UnpackLimits
from carepost.gateway.model import Check


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingCheckPolicy:
    """Every number and list of the checks."""

    blocked: BlockPolicy = field(default_factory=BlockPolicy)
    unpack: UnpackLimits = field(default_factory=UnpackLimits)
    floor: Floor = field(default_factory=Floor)
    texts: TextLimits = field(default_factory=TextLimits)


def outgoing_checks(*, scanner: Scanner | None, policy: OutgoingCheckPolicy | None = None) -> tuple[Check, ...]:
    """What is looked for in mail that leaves: malware (also packed), and what it tells about people.

    `scanner` None means that no clamd is configured: then only the built-in floor looks for malware.
    """
    policy = policy or OutgoingCheckPolicy()
    return (
        malware(policy.floor, scanner),
        archives(policy.blocked, policy.unpack, policy.floor.judge),
        disclosure(policy.texts),
    )
