"""Asking the domain name system, as seen by everything that judges a sender.

Promises
    Three outcomes are kept apart: an answer (perhaps of no records), a name that does not exist, and trouble.
    Trouble is never mistaken for absence: what cannot be found out is a temporary error for whoever asked.
    A record's bytes come as published; the strings of one TXT record are joined (RFC 7208 §3.3, RFC 6376 §3.6.2.2).

`Resolver` is what the checks are given. `FakeResolver` is the table that the tests and the demo's world use; the
network is `carepost.infra.dns`.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Generic, Protocol, TypeVar

from carepost.base.errors import NotPossible, TryLater
from carepost.mailauth.dane import Tlsa

IpAddress = IPv4Address | IPv6Address
Record = TypeVar("Record")

_ASKED_KEPT = 1_000  # the demo's world answers for days; a test counts dozens
CNAME_STEPS_MAX = 8  # A chain longer than this is a mistake or an attack; BIND stops at 16, Unbound at 11.


@dataclass(frozen=True, slots=True)
class Answer(Generic[Record]):
    """The records of one name and type, in no promised order. Empty means: the name exists, the type does not."""

    records: tuple[Record, ...] = ()
    dnssec: bool = False  # True only if a resolver that we trust has validated it.
    canonical: str = ""  # the name that the records belong to, where aliases (CNAME) led to another than was asked


class NoSuchName(NotPossible):
    """NXDOMAIN: the name does not exist, for any type."""


class ResolverTrouble(TryLater):
    """No answer that can be believed: a timeout, SERVFAIL, a bogus signature. Ask again later."""


class Resolver(Protocol):
    """Each question raises NoSuchName or ResolverTrouble, and nothing else, whatever the name looks like."""

    async def txt(self, name: str) -> Answer[bytes]: ...

    async def a(self, name: str) -> Answer[IPv4Address]: ...

    async def aaaa(self, name: str) -> Answer[IPv6Address]: ...

    async def mx(self, name: str) -> Answer[tuple[int, str]]:
        """Preference and host, the host without its final dot; RFC 7505's null MX has the host ''."""
        ...

    async def ptr(self, ip: IpAddress) -> Answer[str]: ...

    async def tlsa(self, name: str) -> Answer[Tlsa]: ...


def normal_name(name: str) -> str:
    """The form in which names are compared: lower case, without the final dot."""
    return name.lower().removesuffix(".")


Text = str | bytes | Sequence[str | bytes]


class FakeResolver:
    """The domain name system as a table, for tests and for the demo's world.

    `txt` values are records; a record that is itself a list stands for the strings of one record, which are joined.
    `fails` names what raises ResolverTrouble: a name (or an address, for PTR), or a pair such as ("txt", name).
    `dnssec` names whose answers are validated. A name exists if it, or anything below it, has a record (RFC 8020).
    """

    def __init__(
        self,
        *,
        txt: Mapping[str, Iterable[Text]] | None = None,
        a: Mapping[str, Iterable[str]] | None = None,
        aaaa: Mapping[str, Iterable[str]] | None = None,
        mx: Mapping[str, Iterable[tuple[int, str]]] | None = None,
        ptr: Mapping[str, Iterable[str]] | None = None,
        tlsa: Mapping[str, Iterable[Tlsa]] | None = None,
        cname: Mapping[str, str] | None = None,
        fails: Collection[str | tuple[str, str]] = (),
        dnssec: Collection[str] = (),
    ) -> None:
        self._txt = {normal_name(name): tuple(map(_joined, texts)) for name, texts in (txt or {}).items()}
        self._a = {normal_name(name): tuple(map(IPv4Address, ips)) for name, ips in (a or {}).items()}
        self._aaaa = {normal_name(name): tuple(map(IPv6Address, ips)) for name, ips in (aaaa or {}).items()}
        self._mx = {
            normal_name(name): tuple((preference, normal_name(host)) for preference, host in hosts)
            for name, hosts in (mx or {}).items()
        }
        self._ptr = {ip_address(ip): tuple(map(normal_name, names)) for ip, names in (ptr or {}).items()}
        self._tlsa = {normal_name(name): tuple(records) for name, records in (tlsa or {}).items()}
        self._cname = {normal_name(name): normal_name(target) for name, target in (cname or {}).items()}
        self._fails = {normal_name(f) if isinstance(f, str) else (f[0], normal_name(f[1])) for f in fails}
        self._dnssec = {normal_name(name) for name in dnssec}
        self._names = self._existing_names()
        self._asked: deque[tuple[str, str]] = deque(maxlen=_ASKED_KEPT)

    @property
    def asked(self) -> list[tuple[str, str]]:
        """The latest questions, the oldest first: kind and name."""
        return list(self._asked)

    async def txt(self, name: str) -> Answer[bytes]:
        return self._look_up("txt", name, self._txt)

    async def a(self, name: str) -> Answer[IPv4Address]:
        return self._look_up("a", name, self._a)

    async def aaaa(self, name: str) -> Answer[IPv6Address]:
        return self._look_up("aaaa", name, self._aaaa)

    async def mx(self, name: str) -> Answer[tuple[int, str]]:
        return self._look_up("mx", name, self._mx)

    async def tlsa(self, name: str) -> Answer[Tlsa]:
        return self._look_up("tlsa", name, self._tlsa)

    async def ptr(self, ip: IpAddress) -> Answer[str]:
        self._asked.append(("ptr", str(ip)))
        if str(ip) in self._fails or ("ptr", str(ip)) in self._fails:
            raise ResolverTrouble("That name could not be looked up.", name=str(ip))
        if ip not in self._ptr:
            raise NoSuchName("That name does not exist.", name=str(ip))
        return Answer(self._ptr[ip], dnssec=str(ip) in self._dnssec)

    def knows(self, name: str) -> bool:
        """Does the table hold this name, or something below it, or trouble at it?"""
        name = normal_name(name)
        return name in self._names or name in self._fails or any((kind, name) in self._fails for kind in _KINDS)

    def knows_address(self, ip: IpAddress) -> bool:
        return ip in self._ptr or str(ip) in self._fails

    def _look_up(self, kind: str, name: str, table: Mapping[str, tuple[Record, ...]]) -> Answer[Record]:
        asked = name = normal_name(name)
        proved = True  # every step to the records counts
        self._asked.append((kind, name))
        for _ in range(CNAME_STEPS_MAX):
            if name in self._fails or (kind, name) in self._fails:
                raise ResolverTrouble("That name could not be looked up.", name=name)
            proved = proved and name in self._dnssec
            if name not in self._cname:
                break
            name = self._cname[name]
        else:
            raise ResolverTrouble("That name leads round in a circle.", name=name)
        if name not in self._names:
            raise NoSuchName("That name does not exist.", name=name)
        return Answer(table.get(name, ()), dnssec=proved, canonical="" if name == asked else name)

    def _existing_names(self) -> set[str]:
        names: set[str] = set()
        for table in (self._txt, self._a, self._aaaa, self._mx, self._tlsa, self._cname):
            for name in table:
                labels = name.split(".")
                names.update(".".join(labels[at:]) for at in range(len(labels)))
        return names


_KINDS = ("txt", "a", "aaaa", "mx", "tlsa")


def _joined(text: Text) -> bytes:
    if isinstance(text, bytes):
        return text
    if isinstance(text, str):
        return text.encode("utf-8", "surrogateescape")
    return b"".join(_joined(part) for part in text)
