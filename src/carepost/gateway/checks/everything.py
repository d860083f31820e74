"""All checks of the inbound walk in one list: what is not in it is not done. A test compares it with the folder."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from carepost.gateway.checks.archives import archives
from carepost.gateway.checks.attachments import attachments
from carepost.gateway.checks.authentication import AuthenticationPolicy, authentication
from carepost.gateway.checks.content import Thresholds, content
from carepost.gateway.checks.forwarded import forwarded
from carepost.gateway.checks.identity import identity
from carepost.gateway.checks.malware import Floor, Scanner, malware
from carepost.gateway.checks.register import register
from carepost.gateway.checks.structure import StructureLimits, structure
from carepost.gateway.files.names import BlockPolicy
from carepost.gateway.files.unpack import UnpackLimits
from carepost.gateway.model import Check
from carepost.gateway.ports import Colleagues, Register
from carepost.mailauth.resolver import Resolver


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPolicy:
    """Every number and list of the checks."""

    structure: StructureLimits = field(default_factory=StructureLimits)
    blocked: BlockPolicy = field(default_factory=BlockPolicy)
    unpack: UnpackLimits = field(default_factory=UnpackLimits)
    authentication: AuthenticationPolicy = field(default_factory=AuthenticationPolicy)
    floor: Floor = field(default_factory=Floor)
    thresholds: Thresholds = field(default_factory=Thresholds)


def inbound_checks(
    *,
    resolver: Resolver,
    known: Register,
    colleagues: Colleagues,
    scanner: Scanner | None,
    policy: CheckPolicy | None = None,
) -> Sequence[Check]:
    """`scanner` None means that no clamd is configured: then only the built-in floor looks for malware."""
    policy = policy or CheckPolicy()
    return (
        structure(policy.structure),
        register(known),
        authentication(resolver, policy.authentication),
        identity(known, colleagues),
        forwarded(known),
        malware(policy.floor, scanner),
        attachments(policy.blocked),
        archives(policy.blocked, policy.unpack, policy.floor.judge),
        content(policy.thresholds),
    )
