"""The fake, the overlay, and the network resolver against a name server of our own on the loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from carepost.infra.dns import DnsLimits, NetworkResolver, OverlayResolver
from carepost.mailauth.resolver import FakeResolver, NoSuchName, ResolverTrouble


async def test_the_fake_keeps_absence_and_trouble_apart() -> None:
    resolver = FakeResolver(txt={"a.b.example": ["one"]}, fails={"slow.example", ("mx", "a.b.example")})
    assert (await resolver.txt("A.B.example.")).records == (b"one",)
    assert (await resolver.a("a.b.example")).records == ()
    assert (await resolver.a("b.example")).records == (), "what has names below it exists"
    with pytest.raises(NoSuchName):
        await resolver.a("c.example")
    with pytest.raises(ResolverTrouble):
        await resolver.a("slow.example")
    with pytest.raises(ResolverTrouble):
        await resolver.mx("a.b.example")


async def test_the_fake_joins_strings_follows_aliases_and_breaks_circles() -> None:
    resolver = FakeResolver(
        txt={"real.example": [["v=spf1 ", b"-all"]]},
        cname={"alias.example": "real.example", "x.example": "y.example", "y.example": "x.example"},
        dnssec={"alias.example", "real.example"},
    )
    answer = await resolver.txt("alias.example")
    assert answer.records == (b"v=spf1 -all",)
    assert answer.dnssec
    with pytest.raises(ResolverTrouble):
        await resolver.txt("x.example")


async def test_an_overlay_answers_its_own_names_and_passes_the_rest_on() -> None:
    zone = FakeResolver(a={"ours.example": ["192.0.2.1"]}, ptr={"192.0.2.1": ["ours.example"]}, fails={"ill.example"})
    beyond = FakeResolver(
        a={"ours.example": ["203.0.113.9"], "theirs.example": ["203.0.113.1"]}, ptr={"203.0.113.1": ["theirs.example"]}
    )
    overlay = OverlayResolver(zone, beyond)
    assert (await overlay.a("ours.example")).records == (IPv4Address("192.0.2.1"),)
    assert (await overlay.mx("ours.example")).records == ()
    assert (await overlay.a("theirs.example")).records == (IPv4Address("203.0.113.1"),)
    assert (await overlay.ptr(ip_address("192.0.2.1"))).records == ("ours.example",)
    assert (await overlay.ptr(ip_address("203.0.113.1"))).records == ("theirs.example",)
    with pytest.raises(ResolverTrouble):
        await overlay.a("ill.example")
    with pytest.raises(NoSuchName):
        await OverlayResolver(zone).a("theirs.example")


class _NameServer(asyncio.DatagramProtocol):
    """Answers from a table of rrset texts; counts; says AD when asked with it; never answers for 'silent'."""

    def __init__(self, table: dict[tuple[str, str], list[str]]) -> None:
        self.table = table
        self.asked = 0
        self.ttl = 60

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True).lower(), question.rdtype.name
        self.asked += 1
        if name.startswith("silent"):
            return
        reply = dns.message.make_response(query, recursion_available=True)
        if name.startswith("broken"):
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif texts := self.table.get((kind, name)):
            reply.answer.append(dns.rrset.from_text(question.name, self.ttl, "IN", kind, *texts))
        elif not any(known == name for _, known in self.table):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        if query.flags & dns.flags.AD:
            reply.flags |= dns.flags.AD
        self.transport.sendto(reply.to_wire(), addr)


PATIENT = DnsLimits(try_seconds=20, question_seconds=60)
_TABLE = {
    ("TXT", "example.org"): ['"v=spf1 " "-all"', '"other"'],
    ("A", "example.org"): ["192.0.2.1"],
    ("AAAA", "example.org"): ["2001:db8::1"],
    ("MX", "example.org"): ["10 Mail.example.org.", "0 ."],
    ("PTR", "1.2.0.192.in-addr.arpa"): ["example.org."],
}


@asynccontextmanager
async def _name_server() -> AsyncIterator[tuple[_NameServer, int]]:
    server = _NameServer(_TABLE)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: server, local_addr=("127.0.0.1", 0)
    )
    try:
        yield server, transport.get_extra_info("sockname")[1]
    finally:
        transport.close()
        await asyncio.sleep(0)


async def test_the_network_resolver_reads_each_kind_of_record() -> None:
    async with _name_server() as (_, port):
        resolver = NetworkResolver(nameservers=["127.0.0.1"], port=port, limits=PATIENT)
        assert set((await resolver.txt("example.org")).records) == {b"v=spf1 -all", b"other"}
        assert (await resolver.a("Example.org.")).records == (IPv4Address("192.0.2.1"),)
        assert (await resolver.aaaa("example.org")).records == (IPv6Address("2001:db8::1"),)
        assert set((await resolver.mx("example.org")).records) == {(10, "mail.example.org"), (0, "")}
        assert (await resolver.ptr(ip_address("192.0.2.1"))).records == ("example.org",)
        with pytest.raises(NoSuchName):
            await resolver.a("nowhere.example")
        with pytest.raises(ResolverTrouble):
            await resolver.a("broken.example")


async def test_silence_is_trouble_within_the_promised_time() -> None:
    limits = DnsLimits(try_seconds=0.1, question_seconds=0.2)  # meant to run out
    async with _name_server() as (_, port):
        resolver = NetworkResolver(nameservers=["127.0.0.1"], port=port, limits=limits)
        async with asyncio.timeout(180):
            with pytest.raises(ResolverTrouble):
                await resolver.txt("silent.example")


@pytest.mark.parametrize(
    "name", ["", ".", "a..b", "x" * 64 + ".example", "a." * 200 + "b", "a\x00b.example", "é.example", "\ud800.x"]
)
async def test_a_name_that_no_wire_can_carry_raises_nothing_unexpected(name: str) -> None:
    async with _name_server() as (_, port):
        resolver = NetworkResolver(nameservers=["127.0.0.1"], port=port, limits=PATIENT)
        with pytest.raises((NoSuchName, ResolverTrouble)):
            await resolver.txt(name)


async def test_answers_are_remembered_for_their_time_to_live_and_no_longer() -> None:
    now = [1000.0]
    async with _name_server() as (server, port):
        resolver = NetworkResolver(nameservers=["127.0.0.1"], port=port, limits=PATIENT, monotonic=lambda: now[0])
        await resolver.a("example.org")
        await resolver.a("EXAMPLE.org")
        assert server.asked == 1
        now[0] += 61
        await resolver.a("example.org")
        assert server.asked == 2


async def test_trouble_is_not_remembered_and_the_cache_is_bounded() -> None:
    limits = replace(PATIENT, cache_entries_max=2)
    async with _name_server() as (server, port):
        resolver = NetworkResolver(nameservers=["127.0.0.1"], port=port, limits=limits)
        for _ in range(2):
            with pytest.raises(ResolverTrouble):
                await resolver.a("broken.example")
        asked = server.asked
        assert asked >= 2
        for ask in (resolver.a, resolver.txt, resolver.mx):
            await ask("example.org")
        await resolver.a("example.org")
        assert server.asked == asked + 4, "the oldest of three entries was given up"


@pytest.mark.parametrize("trusted", [True, False])
async def test_validation_is_believed_only_from_a_trusted_resolver(*, trusted: bool) -> None:
    async with _name_server() as (_, port):
        resolver = NetworkResolver(nameservers=["127.0.0.1"], port=port, limits=PATIENT, trusted=trusted)
        assert (await resolver.a("example.org")).dnssec is trusted
