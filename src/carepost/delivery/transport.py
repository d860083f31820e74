"""The last step of a message that leaves: to one domain's mail hosts, with the protection that it must have.

Promises
    `send` answers for every recipient, whatever the other side does: it never raises for a peer's faults.
    Weaker than `least`, or than what the domain itself asks, no hop is ever taken: then the message waits, and the
    result says that it waits for want of TLS. In clear only where `least` is opportunistic, the host offers no TLS or
    fails at it, and on a connection on which TLS was not begun.
    A message that has been handed over whole, and whose answer was lost, is INDETERMINATE: perhaps it was taken, so no
    other host is tried with it (RFC 1047). Everything else that breaks off was not taken.
    A message with a stray CR or LF in it does not leave at all (P2).
    Nothing about a message, a host or a domain is logged.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from carepost.base.address import Domain
from carepost.base.clock import Clock
from carepost.delivery.attempt import Attempt, Hop
from carepost.delivery.conversation import Conversation, Deadlines, Lost, NoTls
from carepost.delivery.hosts import HostPolicy, IpAddress, may_be_reached
from carepost.delivery.link import ClientTls, Link
from carepost.delivery.model import LeastTls, OutEnvelope, SendResult, VerifiedBy, stronger
from carepost.delivery.proof import HostProof, Proof
from carepost.delivery.tls_policy import DaneState, StsState, least_for_host
from carepost.delivery.transaction import transact
from carepost.mailauth import dane
from carepost.mailauth.tls_report import FailureKind
from carepost.wire.smtp_client_replies import PeerReply


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportPolicy:
    """`hostname`: what we call ourselves in EHLO."""

    hostname: str
    deadlines: Deadlines = field(default_factory=Deadlines)
    hosts: HostPolicy = field(default_factory=HostPolicy)
    # RFC 5321 §4.5.3.1.8: every system takes a hundred; more go in another transaction of the same conversation.
    recipients_max: int = 100
    # Hosts that answer and say "later" are asked no longer than this in one attempt; the schedule asks again.
    conversations_max: int = 3
    connections_max: int = 8  # addresses that do not even answer
    chunking: bool = True  # BDAT where it is offered: no end of a message can be smuggled into it
    # Where connections leave from, for a machine with several addresses: the one that SPF names.
    source_ipv4: IpAddress | None = None
    source_ipv6: IpAddress | None = None
    # Every connection goes to this address and port instead: for a sample world on one machine. Names and
    # certificates stay those of the mail host.
    connect_to: tuple[IpAddress, int] | None = None


class KnowsProofs(Protocol):
    async def of(self, domain: Domain) -> Proof: ...


class TlsCounts(Protocol):
    """Counts for reports (RFC 8460); must not wait."""

    def note(self, proof: Proof, host: HostProof, ip: str, failure: FailureKind | None) -> None: ...


class NotCounted:
    def note(self, proof: Proof, host: HostProof, ip: str, failure: FailureKind | None) -> None:
        """For callers that send no reports."""


class _Unprotected(Exception):
    """This host cannot be reached with the protection that it must have."""

    def __init__(self, says: str, kind: FailureKind) -> None:
        super().__init__(says)
        self.says = says
        self.kind = kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    proofs: KnowsProofs
    tls: ClientTls
    clock: Clock
    policy: TransportPolicy
    counts: TlsCounts = field(default_factory=NotCounted)

    async def send(self, domain: Domain, envelope: OutEnvelope, raw: bytes, least: LeastTls) -> SendResult:
        """One attempt for every recipient of `envelope`, all of them at `domain`."""
        attempt = Attempt(domain, envelope, raw, least, until=self._now() + self.policy.deadlines.attempt)
        if attempt.refuse_what_may_not_leave():
            return attempt.result()
        try:
            async with asyncio.timeout_at(attempt.until):
                proof = await self.proofs.of(domain)
        except TimeoutError:
            attempt.later("It could not be found out in time where the domain's mail goes.", status="4.4.3")
            return attempt.result()
        if proof.problem is not None:
            attempt.never(proof.problem.public, status=proof.problem.status)
        elif proof.unknown:
            attempt.later("It could not be found out just now where the domain's mail goes.", status="4.4.3")
        else:
            await self._hosts(attempt, proof)
        return attempt.result()

    async def _hosts(self, attempt: Attempt, proof: Proof) -> None:
        if not any(host.where.ips or host.unknown for host in proof.hosts):
            attempt.never(f"None of the mail hosts that {proof.domain} names exists.", status="5.4.4")
            return
        if proof.sts.problem is not None:
            self.counts.note(proof, proof.hosts[0], "", proof.sts.problem)
        connections = 0
        for host in proof.hosts:
            if host.unknown:
                attempt.later("It could not be found out just now where the mail host is.", status="4.4.3")
            ips = [ip for ip in host.where.ips if may_be_reached(ip, self.policy.hosts, fixed=host.host.fixed)]
            if host.where.ips and not ips:
                attempt.later("Its mail host has an address where no other system can be.", status="4.4.4")
            for ip in ips:
                connections += 1
                enough = attempt.conversations >= self.policy.conversations_max
                if not attempt.pending or enough or connections > self.policy.connections_max:
                    return
                if self._now() >= attempt.until:
                    attempt.later("There was no time left to try another mail host.", status="4.4.7")
                    return
                await self._host(attempt, proof, host, ip)

    async def _host(self, attempt: Attempt, proof: Proof, host: HostProof, ip: IpAddress) -> None:
        """One host at one address: in TLS, or, where that fails and it may, on a fresh connection in clear."""
        named = proof.sts.names(host.host.name)
        least = least_for_host(attempt.least, dane=host.dane, sts=proof.sts.state, sts_names_host=named)
        if least is None:
            kind = FailureKind.DNSSEC_INVALID if host.dane is DaneState.TROUBLE else FailureKind.VALIDATION_FAILURE
            self.counts.note(proof, host, str(ip), kind)
            attempt.unprotected(host.host.name, "it is not proved to be a mail host of the domain")
            return
        if attempt.envelope.require_tls:
            least = stronger(least, LeastTls.VERIFIED)
        if proof.sts.state is StsState.TESTING and least.rank < LeastTls.VERIFIED.rank:
            # RFC 8461 §5: as if it were enforced; what fails is reported, and the message goes all the same.
            if not named:
                self.counts.note(proof, host, str(ip), FailureKind.VALIDATION_FAILURE)
            elif await self._try(attempt, self._hop(proof, host, ip, LeastTls.VERIFIED), ip) is None:
                return
        hop = self._hop(proof, host, ip, least)
        failed = await self._try(attempt, hop, ip)
        if failed is not None and least is LeastTls.OPPORTUNISTIC:
            failed = await self._try(attempt, hop, ip, begin_tls=False)
        if failed is not None:
            attempt.unprotected(host.host.name, failed.says)

    def _hop(self, proof: Proof, host: HostProof, ip: IpAddress, least: LeastTls) -> Hop:
        return Hop(host.host.name, str(ip), least, proof, host, may_try_clear=least is LeastTls.OPPORTUNISTIC)

    async def _try(self, attempt: Attempt, hop: Hop, ip: IpAddress, *, begin_tls: bool = True) -> _Unprotected | None:
        """One connection. What comes back: it could not be protected as `hop.least` wants it, and nothing was said."""
        try:
            await self._converse(attempt, hop, ip, begin_tls=begin_tls)
        except _Unprotected as error:
            self._note(hop, error.kind)
            return error
        except Lost as lost:
            attempt.lost(hop, lost, at=self.clock.now())
        return None

    async def _converse(self, attempt: Attempt, hop: Hop, ip: IpAddress, *, begin_tls: bool) -> None:
        """Raises Lost, and _Unprotected before anything of the message has been said."""
        link = await self._connect(hop, ip, attempt.until)
        try:
            conversation = Conversation(link, self.policy.deadlines, attempt.until)
            if not await self._agree(attempt, hop, conversation, conversation.greeting):
                return
            if not await self._agree(attempt, hop, conversation, lambda: conversation.hello(self.policy.hostname)):
                return
            if begin_tls:
                await self._protect(hop, conversation, link)
                if conversation.in_tls and not await self._agree(
                    attempt, hop, conversation, lambda: conversation.hello(self.policy.hostname)
                ):
                    return
            attempt.conversations += 1
            await self._transact(attempt, hop, conversation)
            await conversation.quit()
        finally:
            link.close()

    async def _transact(self, attempt: Attempt, hop: Hop, conversation: Conversation) -> None:
        """Everybody who is waiting, so many at a time."""
        waiting, most = attempt.pending, self.policy.recipients_max
        for start in range(0, len(waiting), most):
            group = waiting[start : start + most]
            goes_on = await transact(
                attempt,
                hop,
                conversation,
                group=group,
                deadlines=self.policy.deadlines,
                clock=self.clock,
                chunking=self.policy.chunking,
            )
            if not goes_on:
                return

    async def _connect(self, hop: Hop, ip: IpAddress, until: float) -> Link:
        to, port = self.policy.connect_to or (ip, hop.proof_of_host.host.port)
        source = self.policy.source_ipv4 if to.version == 4 else self.policy.source_ipv6
        try:
            async with asyncio.timeout_at(min(self._now() + self.policy.deadlines.connect, until)):
                return await Link.connect(to, port, source=source)
        except TimeoutError as error:
            raise Lost("it did not take a connection in time") from error
        except OSError as error:
            raise Lost("no connection could be made") from error

    async def _agree(
        self, attempt: Attempt, hop: Hop, conversation: Conversation, ask: Callable[[], Awaitable[PeerReply]]
    ) -> bool:
        """A greeting or hello that is no yes is a host that does not want to talk now. RFC 5321 §3.1, §4.2.4.2."""
        reply = await ask()
        if reply.is_yes:
            return True
        attempt.turned_away(hop, reply)
        await conversation.quit()
        return False

    async def _protect(self, hop: Hop, conversation: Conversation, link: Link) -> None:
        """TLS as `hop.least` wants it. Raises _Unprotected; in clear afterwards only where that is allowed."""
        if "STARTTLS" not in conversation.offers:
            if hop.may_try_clear:
                self._note(hop, FailureKind.STARTTLS_NOT_SUPPORTED)
                return
            raise _Unprotected("it offers no TLS", FailureKind.STARTTLS_NOT_SUPPORTED)
        by_chain = hop.least is LeastTls.VERIFIED
        try:
            await conversation.start_tls(self.tls.verified if by_chain else self.tls.unverified, hop.host)
        except NoTls as error:
            if error.error is None and hop.may_try_clear:
                self._note(hop, FailureKind.STARTTLS_NOT_SUPPORTED)
                return
            raise _Unprotected(error.says, _kind(error.error)) from error
        if hop.least is LeastTls.DANE:
            hop.verified_by = self._by_dane(hop, link)
        elif by_chain:
            named = hop.proof.sts.state is StsState.ENFORCE and hop.proof.sts.names(hop.host)
            hop.verified_by = VerifiedBy.MTA_STS if named else VerifiedBy.PKIX
        hop.tls = link.tls
        self._note(hop, None)

    def _by_dane(self, hop: Hop, link: Link) -> VerifiedBy:
        host = hop.proof_of_host
        chain = link.tls.chain if link.tls is not None else ()
        names = [host.base or hop.host, hop.host, hop.proof.domain.name]
        usage = dane.check(host.tlsa, chain, names=names, at=self.clock.now())
        if usage is None:
            raise _Unprotected("its certificate is not the one that its signed records name", FailureKind.TLSA_INVALID)
        return VerifiedBy.DANE_EE if usage is dane.Usage.DANE_EE else VerifiedBy.DANE_TA

    def _note(self, hop: Hop, failure: FailureKind | None) -> None:
        self.counts.note(hop.proof, hop.proof_of_host, hop.ip, failure)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


# OpenSSL's X509_V_ERR_...: what a report calls them. RFC 8460 §4.3.1.
_VERIFY_CODES = {
    10: FailureKind.CERTIFICATE_EXPIRED,
    62: FailureKind.CERTIFICATE_HOST_MISMATCH,
    64: FailureKind.CERTIFICATE_HOST_MISMATCH,
    2: FailureKind.CERTIFICATE_NOT_TRUSTED,
    18: FailureKind.CERTIFICATE_NOT_TRUSTED,
    19: FailureKind.CERTIFICATE_NOT_TRUSTED,
    20: FailureKind.CERTIFICATE_NOT_TRUSTED,
    21: FailureKind.CERTIFICATE_NOT_TRUSTED,
}


def _kind(error: OSError | None) -> FailureKind:
    if error is None:
        return FailureKind.STARTTLS_NOT_SUPPORTED
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFY_CODES.get(error.verify_code, FailureKind.VALIDATION_FAILURE)
    return FailureKind.VALIDATION_FAILURE
