"""What was encrypted to a mailbox is looked at when it is opened: on its way in nobody could.

Promises
    Malware, programs and archives are judged by the same checks as mail on its way in. What one of them would have held
    is not shown; neither is what a check could not look at.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from carepost.base.clock import Clock
from carepost.base.ids import TraceId
from carepost.gateway.examine import ExamineLimits, examine, read
from carepost.gateway.model import Check, Connection, Envelope, Examination, Via

_GRAVE = 3  # what is only noted weighs less


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedLook:
    """`checks`: malware, attachments, archives."""

    checks: Sequence[Check]
    clock: Clock
    limits: ExamineLimits = field(default_factory=ExamineLimits)

    async def why_not(self, raw: bytes, trace: TraceId) -> str:
        """The reason, as a sentence, why this must not be shown; empty when nothing was found."""
        message, contents = await read(raw, self.limits)
        examination = Examination(
            connection=Connection(
                client_ip=IPv4Address(0), client_name=None, hello="", tls=None, via=Via.APPEND, local_name="opened"
            ),
            envelope=Envelope(trace=trace, reverse_path=None, recipients=()),
            message=message,
            contents=contents,
            raw=raw,
            now=self.clock.now(),
        )
        findings = await examine(examination, self.checks, self.limits)
        return next((finding.says for finding in findings if finding.weight >= _GRAVE), "")
