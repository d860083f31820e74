"""What can be proved about a domain's mail hosts: DANE by signed DNS, MTA-STS by a policy on the web (R106-R108).

Promises
    `of` never raises for the state of the world: trouble is a state of the proof, and never makes a hop weaker.
    A policy that was fetched is kept until its time is over, whatever becomes of its record or its server meanwhile:
    who can suppress an answer cannot suppress the policy (RFC 8461 §10.2).
    DANE is believed only where a resolver that the operator vouches for has validated every step (RFC 7672 §2.2).
"""

import random
from dataclasses import dataclass, field

from carepost.base.address import Domain
from carepost.delivery.hosts import NOWHERE, Addresses, HostPolicy, MailHost, NoMailHost, addresses, mail_hosts
from carepost.delivery.model import LeastTls
from carepost.delivery.sts_policies import StsPolicies, StsProof
from carepost.delivery.tls_policy import DaneState, demanded
from carepost.mailauth.dane import Tlsa, usable
from carepost.mailauth.resolver import NoSuchName, Resolver, ResolverTrouble


@dataclass(frozen=True, slots=True)
class HostProof:
    """One mail host. `base` is the name that TLSA records were found at, which its certificate may bear."""

    host: MailHost
    dane: DaneState
    tlsa: tuple[Tlsa, ...] = ()
    base: str = ""
    where: Addresses = NOWHERE
    unknown: bool = False  # its addresses could not be found out just now


@dataclass(frozen=True, slots=True)
class Proof:
    """What a domain can prove. `problem`: there is no mail host (for good), or DNS gave no answer (`unknown`)."""

    domain: Domain
    hosts: tuple[HostProof, ...]
    sts: StsProof
    problem: NoMailHost | None = None
    unknown: bool = False

    @property
    def dane(self) -> DaneState:
        """Of all hosts together: what a message for the domain can count on."""
        if self.unknown:
            return DaneState.TROUBLE
        states = {one.dane for one in self.hosts}
        for state in (DaneState.USABLE, DaneState.NONE, DaneState.UNUSABLE):
            if states == {state}:
                return state
        if not states or states == {DaneState.TROUBLE}:
            return DaneState.TROUBLE if states else DaneState.NONE
        # Some hosts have records and some have none: each is judged by its own when its turn comes.
        return DaneState.NONE

    @property
    def least(self) -> LeastTls:
        """What the domain itself asks of everybody who writes to it."""
        return demanded(self.dane, self.sts.state)

    @property
    def says(self) -> str:
        """One sentence for a person."""
        if self.problem is not None:
            return self.problem.public
        if self.unknown:
            return f"It could not be found out just now how mail for {self.domain} is protected on its way."
        match self.least:
            case LeastTls.DANE:
                return f"{self.domain} proves its mail hosts by signed DNS records (DANE)."
            case LeastTls.VERIFIED:
                return f"{self.domain} asks for encryption with verified certificates (MTA-STS)."
            case _:
                return f"{self.domain} does not prove its mail hosts; encryption is used when they offer it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Proofs:
    """`chance` mixes hosts of equal preference."""

    resolver: Resolver
    policies: StsPolicies
    hosts: HostPolicy = field(default_factory=HostPolicy)
    chance: random.Random = field(default_factory=random.Random)

    async def of(self, domain: Domain) -> Proof:
        """Everything that can be found out now. Takes as long as DNS does, and as a policy that must be fetched."""
        sts = await self.policies.of(domain)
        try:
            found = await mail_hosts(self.resolver, domain, self.hosts, self.chance)
        except NoMailHost as problem:
            return Proof(domain, (), sts, problem=problem)
        except ResolverTrouble:
            return Proof(domain, (), sts, unknown=True)
        return Proof(domain, tuple([await self._host(host) for host in found]), sts)

    async def _host(self, host: MailHost) -> HostProof:
        try:
            where = await addresses(self.resolver, host.name, self.hosts)
        except ResolverTrouble:
            # Under a proved MX record an answer that fails may be one that somebody hides. RFC 7672 §2.2.2
            return HostProof(host, DaneState.TROUBLE if host.proved else DaneState.NONE, unknown=True)
        if not host.proved or not where.ips:
            return HostProof(host, DaneState.NONE, where=where)
        try:
            base, records = await self._tlsa(host, where)
        except ResolverTrouble:
            return HostProof(host, DaneState.TROUBLE, where=where)
        if not records:
            return HostProof(host, DaneState.NONE, where=where)
        good = usable(records)
        return HostProof(host, DaneState.USABLE if good else DaneState.UNUSABLE, good, base, where)

    async def _tlsa(self, host: MailHost, where: Addresses) -> tuple[str, tuple[Tlsa, ...]]:
        """The records and the name they are at: behind the alias first, then at the name itself. RFC 7672 §2.2.3."""
        names = [where.canonical] if where.proved and where.canonical != host.name else []
        # RFC 7672 §2.2.2: in a zone that is not signed nobody asks; but an alias itself may be signed.
        if where.proved or where.canonical != host.name:
            names.append(host.name)
        for name in names:
            try:
                answer = await self.resolver.tlsa(f"_{host.port}._tcp.{name}")
            except NoSuchName:
                continue
            if answer.dnssec and answer.records:
                return name, answer.records
        return host.name, ()
