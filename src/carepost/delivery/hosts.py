"""Which hosts take mail for a domain, in which order, and where they are. RFC 5321 §5.1, RFC 7505. No I/O but DNS.

Promises
    Trouble in DNS is TryLater, never "there is no such domain"; only an answer can end in NoMailHost.
    A host that is ourselves, and every host that is no better, is left out: a message never goes round (RFC 5321 §5.1).
    Nothing connects to an address that is no other machine's: this machine, its network's own, no one's.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import groupby, zip_longest

from carepost.base.address import Domain
from carepost.base.errors import Malformed, NotPossible
from carepost.mailauth.resolver import NoSuchName, Resolver, ResolverTrouble, normal_name

IpAddress = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

SMTP_PORT = 25

# RFC 6890: "this host", loopback, link-local, multicast and what is reserved. A stranger's MX record may name them
# (mail for a stranger would reach a service of ours); a private network may well hold a partner's mail host.
NOT_FOR_STRANGERS: tuple[Network, ...] = tuple(
    ip_network(one)
    for one in (
        "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
        "::/128", "::1/128", "fe80::/10", "ff00::/8",
    )
)  # fmt: skip


class NoMailHost(NotPossible):
    """The domain takes no mail, for good. `status` is the enhanced code for the sender. RFC 3463."""

    def __init__(self, public: str, status: str) -> None:
        super().__init__(public)
        self.status = status


@dataclass(frozen=True, slots=True)
class Route:
    """Where an operator sends a domain's mail, instead of asking for its MX records."""

    host: str  # a name, or an address
    port: int = SMTP_PORT


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPolicy:
    # Who we are: names that MX records may give us, and addresses that we listen on.
    own_names: frozenset[str] = frozenset()
    own_addresses: frozenset[IpAddress] = frozenset()
    never: tuple[Network, ...] = NOT_FOR_STRANGERS
    # By domain; "*" for all others. Empty: MX records decide.
    routes: Mapping[str, Route] = field(default_factory=dict)
    port: int = SMTP_PORT
    hosts_max: int = 10  # RFC 5321 §5.1 asks for two at least
    addresses_max: int = 4  # of one host
    ipv6: bool = True  # off where this machine has no way out by IPv6


@dataclass(frozen=True, slots=True)
class MailHost:
    """`proved`: DNSSEC vouches for its being a host of the domain."""

    name: str
    preference: int
    proved: bool
    port: int = SMTP_PORT
    fixed: bool = False  # the operator's route, not the domain's own record


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a host is. `proved`: DNSSEC vouches for them all; `canonical` is its name behind aliases."""

    ips: tuple[IpAddress, ...]
    proved: bool
    canonical: str


NOWHERE = Addresses((), False, "")


async def mail_hosts(
    resolver: Resolver, domain: Domain, policy: HostPolicy, chance: random.Random
) -> tuple[MailHost, ...]:
    """The hosts to try, best first. Raises NoMailHost, or ResolverTrouble.

    `chance` mixes hosts of one preference (RFC 5321 §5.1).
    """
    route = policy.routes.get(domain.name) or policy.routes.get("*")
    if route is not None:
        return (MailHost(normal_name(route.host), 0, False, route.port, fixed=True),)
    if domain.is_literal:
        return (MailHost(str(_literal(domain)), 0, False, policy.port),)
    found = await _exchanges(resolver, domain)
    answered = found.records or ((0, domain.name),)  # RFC 5321 §5.1: no MX record means itself
    if {host for _, host in answered} == {""}:
        raise NoMailHost(f"{domain} says that it takes no mail at all.", "5.1.10")
    ranked = _shuffled([(preference, normal_name(host)) for preference, host in answered if _is_name(host)], chance)
    if not ranked:
        raise NoMailHost(f"What {domain} names as its mail hosts are no names of hosts.", "5.4.4")
    others = _without_ourselves(ranked, policy)
    if not others:
        raise NoMailHost(f"Mail for {domain} leads back to us, and it is not one of our domains.", "5.4.6")
    return tuple(MailHost(host, preference, found.proved, policy.port) for preference, host in others)[
        : policy.hosts_max
    ]


@dataclass(frozen=True, slots=True)
class _Exchanges:
    records: tuple[tuple[int, str], ...]
    proved: bool


async def _exchanges(resolver: Resolver, domain: Domain) -> _Exchanges:
    try:
        answer = await resolver.mx(domain.name)
    except NoSuchName as error:
        raise NoMailHost(f"The domain {domain} does not exist.", "5.1.2") from error
    return _Exchanges(answer.records, answer.dnssec)


def _literal(domain: Domain) -> IpAddress:
    text = domain.name[1:-1].removeprefix("ipv6:")
    try:
        return ip_address(text)
    except ValueError as error:
        raise NoMailHost(f"{domain} is no address of a mail system.", "5.1.2") from error


def _is_name(host: str) -> bool:
    """DNS holds any octets; a host that we connect to and check a certificate for has a proper name."""
    try:
        return bool(host) and not Domain.parse(host).is_literal
    except Malformed:
        return False


def _shuffled(hosts: Sequence[tuple[int, str]], chance: random.Random) -> list[tuple[int, str]]:
    mixed: list[tuple[int, str]] = []
    for _, equal in groupby(sorted(set(hosts)), key=lambda one: one[0]):
        group = list(equal)
        chance.shuffle(group)
        mixed += group
    return mixed


def _without_ourselves(hosts: Sequence[tuple[int, str]], policy: HostPolicy) -> list[tuple[int, str]]:
    ours = [preference for preference, host in hosts if host in policy.own_names]
    limit = min(ours, default=None)
    return [one for one in hosts if limit is None or one[0] < limit]


async def addresses(resolver: Resolver, host: str, policy: HostPolicy) -> Addresses:
    """Where `host` is: both families in turn, IPv6 first. Empty: nowhere. Raises ResolverTrouble: it is not known."""
    try:
        fixed = ip_address(host)
    except ValueError:
        pass
    else:
        return Addresses((fixed,), False, host)
    kinds = (resolver.aaaa, resolver.a) if policy.ipv6 else (resolver.a,)
    found: list[Sequence[IpAddress]] = []
    proved, canonical, trouble = True, host, None
    for ask in kinds:
        try:
            answer = await ask(host)
        except NoSuchName:
            continue
        except ResolverTrouble as error:
            trouble, proved = error, False
            continue
        found.append(answer.records)
        proved = proved and answer.dnssec
        canonical = answer.canonical or canonical
    ips = [ip for pair in zip_longest(*found) for ip in pair if ip is not None]
    if trouble is not None and not ips:
        raise trouble
    return Addresses(tuple(ips[: policy.addresses_max]), proved and bool(found), canonical)


def may_be_reached(ip: IpAddress, policy: HostPolicy, *, fixed: bool) -> bool:
    """Whether we connect there. The operator's own routes may lead anywhere but round."""
    plain = ip.ipv4_mapped if isinstance(ip, IPv6Address) and ip.ipv4_mapped else ip
    if plain in policy.own_addresses:
        return False
    return fixed or not any(plain in network for network in policy.never if network.version == plain.version)
