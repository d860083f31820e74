"""The inbound walk: every message from outside is examined, decided on, and carried out. Start reading here.

Promises
    `receive` returns only after COMMIT: the message is then in its mailboxes or in quarantine, with its verdict.
    It raises and has kept no message: Refused when the cards refuse it (the verdict is kept), TryLater when somebody we
    need (scanner, domain name system, database) does not answer, Broken when the fault is ours.
    An unknown fact means hold, never deliver. At most `at_once` messages are examined at a time, each for a bounded
    time.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from carepost.base.clock import Clock
from carepost.base.errors import TryLater
from carepost.gateway.carry_out import CarryOut
from carepost.gateway.decide import rule
from carepost.gateway.examine import ExamineLimits, examine, read
from carepost.gateway.facts import must_wait
from carepost.gateway.model import Check, Connection, Envelope, Examination, Receipt, Refused
from carepost.policy.card import Deck
from carepost.policy.inbound import InboundFacts

# What a stranger is told; never which mechanism stopped them. RFC 5321 §4.2.1.
_REFUSED = "This message was not accepted. If it matters, telephone the recipient and give the reference"
_LATER = "This message cannot be examined just now; nothing is lost. Please try again later."
# RFC 3463 §3.5: a loop has a code of its own, because the sender's postmaster can mend it.
_LOOP, _POLICY = "5.4.6", "5.7.1"
_LOOP_CARD = "went-round"


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundLimits:
    """How much may be going on at once, and for how long."""

    # Most of them wait for somebody's name server. Memory is bounded before, where messages are read from the spool.
    at_once: int = 64
    # From the last byte to our answer. Senders wait ten minutes (RFC 5321 §4.5.3.2.6), proxies between often only two.
    total_seconds: float = 100.0
    examine: ExamineLimits = field(default_factory=ExamineLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundGateway:
    checks: Sequence[Check]
    deck: Deck[InboundFacts]
    carry_out: CarryOut
    clock: Clock
    limits: InboundLimits = field(default_factory=InboundLimits)
    _slots: asyncio.Semaphore = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_slots", asyncio.Semaphore(self.limits.at_once))

    async def receive(self, connection: Connection, envelope: Envelope, raw: bytes) -> Receipt:
        """Take responsibility for a message, or say why not."""
        try:
            async with asyncio.timeout(self.limits.total_seconds), self._slots:
                return await self._receive(connection, envelope, raw)
        except TimeoutError as error:
            raise TryLater(_LATER, cause="the walk took too long") from error

    async def _receive(self, connection: Connection, envelope: Envelope, raw: bytes) -> Receipt:
        message, contents = await read(raw, self.limits.examine)
        examination = Examination(
            connection=connection,
            envelope=envelope,
            message=message,
            contents=contents,
            raw=raw,
            now=self.clock.now(),
        )
        findings = await examine(examination, self.checks, self.limits.examine)
        if waiting := must_wait(findings):
            raise TryLater(_LATER, cause=waiting.code)
        ruling = rule(findings, envelope.recipients, self.deck, via=connection.via)
        await self.carry_out.carry_out(examination, findings, ruling)
        if ruling.is_refused:
            loop = ruling.gravest.decision.card == _LOOP_CARD
            raise Refused(
                f"{_REFUSED} {envelope.trace}.", enhanced_status=_LOOP if loop else _POLICY, trace=envelope.trace
            )
        return Receipt(envelope.trace)
