"""One attempt to deliver to one domain: what has come of it so far, recipient by recipient.

Promises
    Every recipient ends with exactly one result. DELIVERED, FAILED and INDETERMINATE are final for this attempt; LATER
    gives way to what a better mail host says.
    Of several reasons to wait, the one that tells most stays: what a host said, then that it could not be protected,
    then that it could not be reached.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from carepost.base.address import Domain
from carepost.delivery.conversation import Lost
from carepost.delivery.link import TlsFacts
from carepost.delivery.model import (
    HopEvidence,
    LeastTls,
    Outcome,
    OutEnvelope,
    RecipientResult,
    SendResult,
    VerifiedBy,
)
from carepost.delivery.proof import HostProof, Proof
from carepost.wire.smtp_client_content import flaw_of
from carepost.wire.smtp_client_replies import PeerReply

# RFC 5321 §4.5.3.1.10: an old way to say "too many recipients", which is not for good.
_TOO_MANY = 552


class _Weight(IntEnum):
    """How much a reason to wait tells."""

    NOTHING = 0
    UNREACHED = 1
    UNPROTECTED = 2
    SAID = 3


@dataclass(slots=True)
class Hop:
    """One mail host at one address, on the way to being used. `may_try_clear`: TLS is not demanded."""

    host: str
    ip: str
    least: LeastTls
    proof: Proof
    proof_of_host: HostProof
    may_try_clear: bool
    tls: TlsFacts | None = None
    verified_by: VerifiedBy = VerifiedBy.NOTHING

    def evidence(self, at: datetime, reply: str) -> HopEvidence:
        version, cipher = (self.tls.version, self.tls.cipher) if self.tls else ("", "")
        return HopEvidence(self.host, self.ip, version, cipher, self.verified_by, at, reply)


class Attempt:
    """`until`: when it must be over, in the event loop's time."""

    def __init__(self, domain: Domain, envelope: OutEnvelope, raw: bytes, least: LeastTls, *, until: float) -> None:
        self.domain = domain
        self.envelope = envelope
        self.raw = raw
        self.least = least
        self.until = until
        self.conversations = 0
        self.in_flight: Sequence[int] = ()  # those whose content is on its way in the present transaction
        self.evidence: HopEvidence | None = None
        says = f"No mail host of {domain} could be tried yet."
        self._results = [
            RecipientResult(one.address, Outcome.LATER, None, "4.4.7", says) for one in envelope.recipients
        ]
        self._weights = [_Weight.NOTHING] * len(self._results)
        self._open = dict.fromkeys(range(len(self._results)))

    @property
    def pending(self) -> list[int]:
        """The recipients for whom another host may still be tried, by their place in the envelope."""
        return list(self._open)

    def result(self) -> SendResult:
        return SendResult(tuple(self._results), self.evidence)

    def refuse_what_may_not_leave(self) -> bool:
        """Whether the message itself is not fit for the wire: then all recipients have their result. P2."""
        flaw = flaw_of(self.raw)
        if flaw is not None:
            self.never(f"It was not sent: {flaw.value}.", status="5.6.0")
        return flaw is not None

    # What may come of it without an answer from the other side.

    def never(self, says: str, *, status: str, only: Iterable[int] | None = None) -> None:
        """For good, by our own knowledge."""
        self._settle(only, Outcome.FAILED, None, status, says)

    def later(self, says: str, *, status: str, only: Iterable[int] | None = None) -> None:
        self._wait(only, _Weight.UNREACHED, status, says)

    def unprotected(self, host: str, why: str) -> None:
        """`host` cannot be reached with the protection that the message must have."""
        says = f"It waits: the way to {self.domain} could not be protected as it must be ({host}: {why})."
        self._wait(None, _Weight.UNPROTECTED, "4.7.5", f"{says} Nothing was sent.", host=host, tls_missing=True)

    def without_require_tls(self, hop: Hop) -> None:
        """The sender asked for REQUIRETLS; unless another host can, it goes back. RFC 8689 §4.2.1, §5."""
        says = f"The sender asked that it travels encrypted all the way, and {hop.host} does not promise that."
        for number in self.pending:
            if self._weights[number] <= _Weight.UNPROTECTED:
                self._weights[number] = _Weight.UNPROTECTED
                self._put(number, Outcome.FAILED, None, "5.7.30", says, host=hop.host)

    def turned_away(self, hop: Hop, reply: PeerReply) -> None:
        """It does not want to talk now: that is about the host, not about the message."""
        says = f"The mail system of {self.domain} does not want to talk to us now: “{reply.text}”."
        self._wait(None, _Weight.SAID, "4.3.2", says, reply=reply.text, host=hop.host)

    def lost(self, hop: Hop, lost: Lost, *, at: datetime) -> None:
        """It broke off. Whoever's message had been handed over whole may have it. RFC 1047."""
        if lost.after_content and self.in_flight:
            self.evidence = hop.evidence(at, "")
            says = f"It was handed over to {hop.host}, but {lost.how}; it is sent again and may arrive twice."
            self._settle(self.in_flight, Outcome.INDETERMINATE, None, "4.4.2", says, host=hop.host)
        self.in_flight = ()
        says = f"The mail system of {self.domain} could not be reached: {hop.host}: {lost.how}."
        self._wait(None, _Weight.UNREACHED, "4.4.2", says, host=hop.host)

    # Answers.

    def taken(self, numbers: Iterable[int], hop: Hop, reply: PeerReply, *, dsn_passed_on: bool) -> None:
        says = f"The mail system of {self.domain} has accepted it."
        status = reply.enhanced or "2.0.0"
        self._settle(
            numbers, Outcome.DELIVERED, reply.code, status, says,
            reply=reply.text, host=hop.host, dsn_passed_on=dsn_passed_on,
        )  # fmt: skip

    def answered_no(self, numbers: Iterable[int], hop: Hop, reply: PeerReply, *, to_recipient: bool = False) -> None:
        """An answer that is no yes: never, or later."""
        if reply.is_never and not (to_recipient and reply.code == _TOO_MANY):
            says = f"The mail system of {self.domain} refused it: “{reply.text}”."
            status = reply.enhanced or "5.0.0"
            self._settle(numbers, Outcome.FAILED, reply.code, status, says, reply=reply.text, host=hop.host)
            return
        says = f"The mail system of {self.domain} asks us to try again later: “{reply.text}”."
        status = reply.enhanced if reply.is_later and reply.enhanced else "4.0.0"
        code = reply.code if reply.is_later else None
        self._wait(numbers, _Weight.SAID, status, says, code=code, reply=reply.text, host=hop.host)

    def wants_tls_first(self, numbers: Iterable[int], hop: Hop, reply: PeerReply) -> None:
        """530: it takes nothing in clear, and TLS did not come about. RFC 3207 §4."""
        says = f"The mail system of {self.domain} takes mail over TLS only, and TLS with it failed."
        self._wait(numbers, _Weight.SAID, "4.7.5", says, reply=reply.text, host=hop.host, tls_missing=True)

    def _wait(
        self,
        only: Iterable[int] | None,
        weight: _Weight,
        status: str,
        says: str,
        *,
        code: int | None = None,
        reply: str = "",
        host: str = "",
        tls_missing: bool = False,
    ) -> None:
        for number in self.pending if only is None else only:
            if number in self._open and weight >= self._weights[number]:
                self._weights[number] = weight
                self._put(number, Outcome.LATER, code, status, says, reply=reply, host=host, tls_missing=tls_missing)

    def _settle(
        self,
        only: Iterable[int] | None,
        outcome: Outcome,
        code: int | None,
        status: str,
        says: str,
        *,
        reply: str = "",
        host: str = "",
        dsn_passed_on: bool = False,
    ) -> None:
        for number in self.pending if only is None else list(only):
            if number in self._open:
                del self._open[number]
                self._put(number, outcome, code, status, says, reply=reply, host=host, dsn_passed_on=dsn_passed_on)

    def _put(
        self,
        number: int,
        outcome: Outcome,
        code: int | None,
        status: str,
        says: str,
        *,
        reply: str = "",
        host: str = "",
        dsn_passed_on: bool = False,
        tls_missing: bool = False,
    ) -> None:
        address = self.envelope.recipients[number].address
        self._results[number] = RecipientResult(
            address, outcome, code, status, says, reply, host, dsn_passed_on, tls_missing
        )
