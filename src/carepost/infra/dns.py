"""The Resolver over the network, and the overlay that gives the demo its own world.

Promises
    A question is answered, or fails with NoSuchName or ResolverTrouble, within `question_seconds`; nothing else is
    raised, whatever a stranger's name looks like.
    "This was validated" is only said where the operator vouches for the resolver and the path to it.
    The cache is bounded and never outlives the record's own time to live. Trouble is not cached.
    A flood of questions waits here, not at the name server: at most `in_flight_max` are under way.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar, cast

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.resolver
import dns.reversename
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.PTR import PTR
from dns.rdtypes.ANY.TLSA import TLSA
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA

from carepost.base.errors import Broken
from carepost.mailauth.dane import Tlsa
from carepost.mailauth.resolver import (
    Answer,
    FakeResolver,
    IpAddress,
    NoSuchName,
    Resolver,
    ResolverTrouble,
)

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsLimits:
    try_seconds: float = 2.0  # one server, one try; RFC 1035 §4.2.1 suggests 2 to 5
    question_seconds: float = 5.0  # the whole question: a sender waits at most this long for one name
    in_flight_max: int = 200  # as many as one port-25 process has conversations, and a few more
    cache_entries_max: int = 10_000  # some 10 MB
    cache_seconds_max: float = 86_400  # RFC 8767 §4 advises a cap of days; a day is enough for mail
    negative_seconds_max: float = 300  # RFC 2308 §5 allows three hours; a record just published must soon be seen


@dataclass(frozen=True, slots=True)
class _Cached:
    until: float
    answer: Answer[object] | None  # None: NXDOMAIN


class NetworkResolver:
    """Questions to the system's name servers, or to those given. One instance an event loop.

    `trusted` says that the name servers validate DNSSEC and that nobody can speak in their place (a validating
    resolver on this machine, RFC 4035 §4.9.3): only then is their AD bit believed.
    `monotonic` measures the age of what is cached.
    """

    def __init__(
        self,
        *,
        nameservers: Sequence[str] = (),
        port: int = 53,
        trusted: bool = False,
        limits: DnsLimits = DnsLimits(),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            self._stub = dns.asyncresolver.Resolver(configure=not nameservers)
        except dns.resolver.NoResolverConfiguration as error:
            raise Broken("No name server is known. Name one in the settings, or in /etc/resolv.conf.") from error
        if nameservers:
            self._stub.nameservers = list(nameservers)
            self._stub.port = port
        self._stub.timeout = limits.try_seconds
        self._stub.lifetime = limits.question_seconds
        self._stub.use_edns(0, dns.flags.DO if trusted else 0, 1232)  # RFC 9715 §3.1: no fragments
        if trusted:
            self._stub.flags = dns.flags.RD | dns.flags.AD  # RFC 6840 §5.7: "I understand AD"
        self._trusted = trusted
        self._limits = limits
        self._monotonic = monotonic
        self._slots = asyncio.Semaphore(limits.in_flight_max)
        self._cache: OrderedDict[tuple[str, str], _Cached] = OrderedDict()

    async def txt(self, name: str) -> Answer[bytes]:
        return await self._ask("TXT", name, lambda record: b"".join(cast("TXT", record).strings))

    async def a(self, name: str) -> Answer[IPv4Address]:
        return await self._ask("A", name, lambda record: IPv4Address(cast("A", record).address))

    async def aaaa(self, name: str) -> Answer[IPv6Address]:
        return await self._ask("AAAA", name, lambda record: IPv6Address(cast("AAAA", record).address))

    async def mx(self, name: str) -> Answer[tuple[int, str]]:
        return await self._ask("MX", name, _exchange)

    async def ptr(self, ip: IpAddress) -> Answer[str]:
        reverse = dns.reversename.from_address(str(ip)).to_text()
        return await self._ask("PTR", reverse, lambda record: _text(cast("PTR", record).target))

    async def tlsa(self, name: str) -> Answer[Tlsa]:
        return await self._ask("TLSA", name, _association)

    async def _ask(self, kind: str, name: str, read: Callable[[object], Record]) -> Answer[Record]:
        key = (kind, name.lower())
        cached = self._remembered(key)
        if cached is None:
            cached = await self._fetch(kind, name, read)
            self._remember(key, cached)
        if cached.answer is None:
            raise NoSuchName("That name does not exist.", name=name)
        return cast("Answer[Record]", cached.answer)

    async def _fetch(self, kind: str, name: str, read: Callable[[object], Record]) -> _Cached:
        try:
            question = dns.name.from_text(name)
        except (dns.exception.DNSException, UnicodeError, ValueError):
            # A name that cannot be put on the wire cannot exist either.
            return _Cached(self._monotonic() + self._limits.negative_seconds_max, None)
        limits = self._limits
        try:
            # The deadline covers the wait for a slot as well: whoever asks is promised an end.
            async with asyncio.timeout(limits.question_seconds + 0.5), self._slots:
                reply = await self._stub.resolve(question, kind, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN as nowhere:
            replies: dict[object, dns.message.QueryMessage] = nowhere.responses()  # type: ignore[no-untyped-call]
            seconds = min((_seconds(reply) for reply in replies.values()), default=0.0)
            return _Cached(self._monotonic() + min(seconds, limits.negative_seconds_max), None)
        except (dns.exception.DNSException, OSError, TimeoutError, EOFError) as error:
            raise ResolverTrouble("That name could not be looked up.", name=name, error=error) from error
        validated = self._trusted and bool(reply.response.flags & dns.flags.AD)
        records = tuple(read(record) for record in reply.rrset or ())
        seconds = min(_seconds(reply.response), limits.cache_seconds_max if records else limits.negative_seconds_max)
        canonical = "" if reply.canonical_name == question else _text(reply.canonical_name)
        return _Cached(self._monotonic() + seconds, Answer(records, dnssec=validated, canonical=canonical))

    def _remembered(self, key: tuple[str, str]) -> _Cached | None:
        cached = self._cache.get(key)
        if cached is None or cached.until <= self._monotonic():
            return None
        self._cache.move_to_end(key)
        return cached

    def _remember(self, key: tuple[str, str], cached: _Cached) -> None:
        self._cache[key] = cached
        self._cache.move_to_end(key)
        while len(self._cache) > self._limits.cache_entries_max:
            self._cache.popitem(last=False)


def _seconds(response: dns.message.QueryMessage) -> float:
    """How long the answer may be remembered: the least TTL on the way to it, or the SOA's word on absence."""
    return float(response.resolve_chaining().minimum_ttl)


def _exchange(record: object) -> tuple[int, str]:
    mx = cast("MX", record)
    return mx.preference, _text(mx.exchange)


def _association(record: object) -> Tlsa:
    tlsa = cast("TLSA", record)
    return Tlsa(tlsa.usage, tlsa.selector, tlsa.mtype, bytes(tlsa.cert))


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower() if name != dns.name.root else ""


class OverlayResolver:
    """A small world of our own, in front of the real one or of nothing.

    A name that `zone` knows is answered from it alone; any other is asked of `beyond`, or does not exist.
    """

    def __init__(self, zone: FakeResolver, beyond: Resolver | None = None) -> None:
        self._zone = zone
        self._beyond = beyond if beyond is not None else FakeResolver()

    def _for(self, name: str) -> Resolver:
        return self._zone if self._zone.knows(name) else self._beyond

    async def txt(self, name: str) -> Answer[bytes]:
        return await self._for(name).txt(name)

    async def a(self, name: str) -> Answer[IPv4Address]:
        return await self._for(name).a(name)

    async def aaaa(self, name: str) -> Answer[IPv6Address]:
        return await self._for(name).aaaa(name)

    async def mx(self, name: str) -> Answer[tuple[int, str]]:
        return await self._for(name).mx(name)

    async def tlsa(self, name: str) -> Answer[Tlsa]:
        return await self._for(name).tlsa(name)

    async def ptr(self, ip: IpAddress) -> Answer[str]:
        return await (self._zone if self._zone.knows_address(ip) else self._beyond).ptr(ip)
