"""A transport that sends to mail hosts on loopback: its resolver a table, its authorities our own, its deadlines short."""

import random
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path

from tests.fakes.certificates import Authority
from tests.fakes.outside_mail import OutsideHost, server_tls

from carepost.base.address import Domain, EmailAddress
from carepost.base.clock import Clock, SystemClock
from carepost.delivery.conversation import Deadlines
from carepost.delivery.hosts import HostPolicy, Route
from carepost.delivery.link import ClientTls
from carepost.delivery.model import LeastTls, OutEnvelope, OutRecipient, SendResult
from carepost.delivery.proof import HostProof, Proof, Proofs
from carepost.delivery.sts_policies import KeptPolicy, PolicyNotFetched, StsPolicies
from carepost.delivery.transport import Transport, TransportPolicy
from carepost.mailauth.resolver import FakeResolver
from carepost.mailauth.tls_report import FailureKind

TRUST = Domain("trust.example")
RAW = b"From: ann@care.example\r\nTo: jo@trust.example\r\nSubject: About NHS number 943 476 5919\r\n\r\n.\r\nDear Jo\r\n..\r\n"
PLAIN_DEADLINES = Deadlines(
    connect=5, greeting=20, hello=20, tls=20, mail=20, recipient=20, data=20, block=20, done=20, attempt=60
)


@cache
def real_authority() -> Authority:
    """For what OpenSSL looks at: it knows no other time than the machine's."""
    return Authority.make("Authority of the tests", at=datetime.now(UTC))


@cache
def strange_authority() -> Authority:
    return Authority.make("Authority of nobody", at=datetime.now(UTC))


@dataclass
class FakeFetcher:
    """Policies by domain; a FailureKind instead is a failure."""

    policies: dict[str, bytes | FailureKind] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)

    async def fetch(self, domain: Domain) -> bytes:
        self.fetched.append(domain.name)
        policy = self.policies.get(domain.name, FailureKind.STS_POLICY_FETCH_ERROR)
        if isinstance(policy, FailureKind):
            raise PolicyNotFetched("The policy could not be fetched.", policy)
        return policy


@dataclass
class KeptInMemory:
    kept: dict[str, KeptPolicy] = field(default_factory=dict)

    async def get(self, domain: Domain) -> KeptPolicy | None:
        return self.kept.get(domain.name)

    async def put(self, domain: Domain, kept: KeptPolicy) -> None:
        self.kept[domain.name] = kept


@dataclass
class Counted:
    """What would go into reports."""

    notes: list[tuple[str, FailureKind | None]] = field(default_factory=list)

    def note(self, _proof: Proof, host: HostProof, _ip: str, failure: FailureKind | None) -> None:
        self.notes.append((host.host.name, failure))


@dataclass
class SendingWorld:
    transport: Transport
    counted: Counted
    fetcher: FakeFetcher
    store: KeptInMemory

    async def send(
        self,
        *to: str,
        raw: bytes = RAW,
        least: LeastTls = LeastTls.OPPORTUNISTIC,
        domain: Domain = TRUST,
        **said: object,
    ) -> SendResult:
        recipients = tuple(OutRecipient(EmailAddress.parse(one)) for one in to or ("jo@trust.example",))
        envelope = OutEnvelope(EmailAddress.parse("ann@care.example"), recipients)
        return await self.transport.send(domain, replace(envelope, **said), raw, least)  # type: ignore[arg-type]


def sending(
    *hosts: OutsideHost | tuple[str, int],
    resolver: FakeResolver | None = None,
    deadlines: Deadlines = PLAIN_DEADLINES,
    clock: Clock | None = None,
    tmp_path: Path,
    policies: Mapping[str, bytes | FailureKind] | None = None,
    routes: Mapping[str, Route] | None = None,
    **policy: object,
) -> SendingWorld:
    """A transport whose trust.example has these hosts: mx1, mx2 ... by preference, all on one port."""
    clock = clock or SystemClock()
    places: Sequence[tuple[str, int]] = [one.address if isinstance(one, OutsideHost) else one for one in hosts]
    if resolver is None:
        resolver = table(places)
    host_policy = HostPolicy(
        never=(),
        port=places[0][1] if places else 25,
        own_names=frozenset({"mail.care.example"}),
        routes=routes or {},
    )
    fetcher, store, counted = FakeFetcher(dict(policies or {})), KeptInMemory(), Counted()
    sts = StsPolicies(resolver=resolver, fetcher=fetcher, store=store, clock=clock)
    roots = tmp_path / "roots.pem"
    roots.write_text(real_authority().pem)
    transport = Transport(
        proofs=Proofs(resolver=resolver, policies=sts, hosts=host_policy, chance=random.Random(1)),
        tls=ClientTls.make(roots),
        clock=clock,
        policy=TransportPolicy(hostname="mail.care.example", deadlines=deadlines, hosts=host_policy, **policy),  # type: ignore[arg-type]
        counts=counted,
    )
    return SendingWorld(transport, counted, fetcher, store)


def table(places: Sequence[tuple[str, int]], **more: object) -> FakeResolver:
    names = [f"mx{n}.trust.example" for n in range(1, len(places) + 1)]
    return FakeResolver(
        mx={"trust.example": [(10 * n, name) for n, name in enumerate(names, 1)]},
        a={name: [place[0]] for name, place in zip(names, places, strict=True)},
        **more,  # type: ignore[arg-type]
    )


def good_tls(tmp_path: Path, *names: str) -> ssl.SSLContext:
    return server_tls(real_authority().issue(*(names or ("mx1.trust.example",))), tmp_path, "good")


def strange_tls(tmp_path: Path) -> ssl.SSLContext:
    return server_tls(strange_authority().issue("mx1.trust.example"), tmp_path, "strange")


LOOPBACK = IPv4Address("127.0.0.1")
