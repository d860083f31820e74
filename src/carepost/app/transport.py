"""The last step of mail out, built from the settings: mail hosts, TLS, DANE, MTA-STS, and the reports about them.

`transport` crosses the hop; `proofs` tells beforehand how well a domain's hosts are proved; `results` counts, and its
`flush` is a chore of every minute; `reports` gives the chore that app/tls_reports.py joins to the queue.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from carepost.base.address import Domain, EmailAddress
from carepost.base.clock import Clock
from carepost.base.errors import Malformed, NotPossible
from carepost.delivery.conversation import Deadlines
from carepost.delivery.fetch import FetchPolicy, HttpsPolicyFetcher
from carepost.delivery.hosts import HostPolicy, IpAddress, Route
from carepost.delivery.link import ClientTls
from carepost.delivery.proof import Proofs
from carepost.delivery.repo_transport import StsPolicyTable, TransportSeals
from carepost.delivery.sts_policies import StsPolicies
from carepost.delivery.tls_results import ReportPolicy, TlsReports, TlsResults
from carepost.delivery.transport import Transport, TransportPolicy
from carepost.infra.db import Database
from carepost.infra.settings import Settings
from carepost.infra.vault import EdgeKey
from carepost.mailauth.mta_sts import Mode, StsPolicy
from carepost.mailauth.resolver import Resolver
from carepost.mailauth.tls_report import Reporter


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportRooms:
    transport: Transport
    proofs: Proofs
    results: TlsResults

    def reports(self, settings: Settings, *, sender: EmailAddress) -> TlsReports | None:
        """The chore that writes reports; None: the settings want none. `sender`: whom other systems may answer."""
        if not settings.transport.tls_reports:
            return None
        reporter = Reporter(settings.service.name, str(sender), settings.service.hostname)
        return TlsReports(
            db=self.results.db,
            seals=self.results.seals,
            clock=self.results.clock,
            resolver=self.proofs.resolver,
            policy=ReportPolicy(reporter=reporter, sender=sender),
        )


def transport_rooms(
    settings: Settings, *, db: Database, edge: EdgeKey, clock: Clock, resolver: Resolver
) -> TransportRooms:
    """Raises NotPossible, in words, when a setting cannot be used."""
    given = settings.transport
    tls = _client_tls(settings)
    hosts = host_policy(settings)
    seals = TransportSeals(edge)
    fetcher = HttpsPolicyFetcher(
        resolver=resolver,
        tls=tls,
        hosts=hosts,
        policy=FetchPolicy(seconds=given.policy_seconds, connect_to=_place(given.connect_to)),
    )
    store = StsPolicyTable(db, seals, clock)
    policies = StsPolicies(resolver=resolver, fetcher=fetcher, store=store, clock=clock)
    proofs = Proofs(resolver=resolver, policies=policies, hosts=hosts)
    results = TlsResults(db=db, seals=seals, clock=clock)
    transport = Transport(proofs=proofs, tls=tls, clock=clock, policy=transport_policy(settings, hosts), counts=results)
    return TransportRooms(transport=transport, proofs=proofs, results=results)


def transport_policy(settings: Settings, hosts: HostPolicy) -> TransportPolicy:
    given = settings.transport
    return TransportPolicy(
        hostname=settings.service.hostname,
        deadlines=Deadlines(attempt=given.attempt_seconds),
        hosts=hosts,
        chunking=given.chunking,
        source_ipv4=_address(given.source_ipv4, 4) if given.source_ipv4 else None,
        source_ipv6=_address(given.source_ipv6, 6) if given.source_ipv6 else None,
        connect_to=_place(given.connect_to),
    )


def host_policy(settings: Settings) -> HostPolicy:
    given = settings.transport
    return HostPolicy(
        own_names=frozenset({settings.service.hostname.lower()}),
        own_addresses=frozenset(_address(one) for one in given.own_addresses),
        routes=_routes(given.routes),
        ipv6=given.ipv6,
    )


def own_sts_policy(settings: Settings) -> StsPolicy | None:
    """What we publish for our own domains; None: nothing."""
    given = settings.transport
    if given.mta_sts == "none":
        return None
    return StsPolicy(Mode(given.mta_sts), (settings.service.hostname.lower(),), given.mta_sts_days * 86_400)


def _client_tls(settings: Settings) -> ClientTls:
    named = settings.transport.authorities_file
    try:
        return ClientTls.make(settings.path(named) if named else None)
    except OSError as error:
        raise NotPossible(
            f"The authorities in {named} cannot be used: {error.strerror or 'they do not read'}."
        ) from error


def _routes(texts: tuple[str, ...]) -> Mapping[str, Route]:
    routes = {}
    for text in texts:
        domain, _, place = text.partition("=")
        host, _, port = place.strip().rpartition(":")
        try:
            name = "*" if domain.strip() == "*" else Domain.parse(domain.strip()).name
            routes[name] = Route(host.strip("[]"), int(port))
        except (Malformed, ValueError) as error:
            raise NotPossible(f"{text!r} is no route: write domain=host:port.") from error
    return routes


def _address(text: str, version: int | None = None) -> IpAddress:
    try:
        found = ip_address(text)
    except ValueError as error:
        raise NotPossible(f"{text!r} is not an address: write it in numbers, as 192.0.2.1.") from error
    if version not in (None, found.version):
        raise NotPossible(f"{text!r} is not an address of IPv{version}.")
    return found


def _place(text: str) -> tuple[IpAddress, int] | None:
    if not text:
        return None
    host, _, port = text.rpartition(":")
    try:
        return ip_address(host.strip("[]")), int(port)
    except ValueError as error:
        raise NotPossible(f"{text!r} is no place: write an address and a port, as 127.0.0.1:2525.") from error
