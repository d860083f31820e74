"""The DNS records that this installation needs: ready to paste, and checked against what the world sees.

Every record says why it is wanted (R106, R108, R109).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from carepost.base.address import Domain
from carepost.mailauth.mta_sts import StsPolicy
from carepost.mailauth.resolver import NoSuchName, Resolver, ResolverTrouble

IpAddress = IPv4Address | IPv6Address
_STRING_MAX = 255


class Kind(StrEnum):
    MX = "MX"
    TXT = "TXT"
    A = "A"
    AAAA = "AAAA"
    PTR = "PTR"


@dataclass(frozen=True, slots=True)
class Record:
    name: str
    kind: Kind
    value: str
    because: str

    @property
    def line(self) -> str:
        """As a zone file has it."""
        value = self.value
        if self.kind is Kind.TXT:
            # RFC 1035 §3.3.14: strings of at most 255 octets, which readers join.
            value = " ".join(f'"{value[at : at + _STRING_MAX]}"' for at in range(0, len(value), _STRING_MAX))
        return f"{self.name.rstrip('.')}. IN {self.kind} {value}"


class Standing(StrEnum):
    """How a record stands in the world."""

    RIGHT = "right"
    MISSING = "missing"
    DIFFERENT = "different"
    UNKNOWN = "unknown"  # DNS did not answer


@dataclass(frozen=True, slots=True)
class Checked:
    record: Record
    standing: Standing
    found: str

    @property
    def sentence(self) -> str:
        name = f"{self.record.kind} {self.record.name}"
        match self.standing:
            case Standing.RIGHT:
                return f"{name}: as it should be."
            case Standing.MISSING:
                return f"{name} is missing. Ask whoever runs your DNS to add: {self.record.line}"
            case Standing.DIFFERENT:
                return f"{name} is {self.found!r}. It should be: {self.record.line}"
            case Standing.UNKNOWN:
                return f"{name} could not be looked up. Try again; if it stays so, check your resolver."


def signing_record(name: str, value: str) -> Record:
    """The public half of a key that mail is signed with."""
    return Record(name, Kind.TXT, value, "Others can check that mail of the domain is ours, and unchanged (R109).")


def wanted(
    hostname: str,
    domains: Sequence[Domain],
    addresses: Sequence[IpAddress],
    *,
    report_to: str,
    signing: Sequence[tuple[str, str]] = (),
    sts: StsPolicy | None = None,
) -> list[Record]:
    """Every record this installation needs, host first.

    `signing`: names and values of the keys we sign with. `sts`: the MTA-STS policy that the pages serve.
    """
    records = [
        Record(hostname, Kind.A if address.version == 4 else Kind.AAAA, str(address), "Where the mail host is.")
        for address in addresses
    ]
    records += [
        Record(address.reverse_pointer, Kind.PTR, f"{hostname}.", "Many systems refuse mail from hosts without a name.")
        for address in addresses
    ]
    for domain in domains:
        records += [
            Record(domain.name, Kind.MX, f"10 {hostname}.", "Mail for the domain comes here."),
            Record(domain.name, Kind.TXT, "v=spf1 mx -all", "Only this host may send as the domain (R109)."),
            Record(
                f"_dmarc.{domain}",
                Kind.TXT,
                f"v=DMARC1; p=reject; rua=mailto:{report_to}",
                "Others shall refuse who pretends to be us, and tell us (R109).",
            ),
            Record(
                f"_smtp._tls.{domain}",
                Kind.TXT,
                f"v=TLSRPTv1; rua=mailto:{report_to}",
                "Others tell us when TLS to us fails (R108).",
            ),
        ]
        records += _policy_records(domain, addresses, sts)
    return records + [signing_record(name, value) for name, value in signing]


def _policy_records(domain: Domain, addresses: Sequence[IpAddress], sts: StsPolicy | None) -> list[Record]:
    """That there is a policy, and where: the pages answer under this name too, with a certificate for it."""
    if sts is None:
        return []
    host, why = f"mta-sts.{domain}", "Where others fetch our policy; its web server needs a certificate for this name."
    return [
        Record(
            f"_mta-sts.{domain}",
            Kind.TXT,
            f"v=STSv1; id={sts.id}",
            "Others send to us over verified TLS only (R108). It changes with the policy.",
        ),
        *(Record(host, Kind.A if one.version == 4 else Kind.AAAA, str(one), why) for one in addresses),
    ]


async def check(resolver: Resolver, records: Sequence[Record]) -> list[Checked]:
    """What the world sees of each record. Never raises for DNS trouble: that is a standing."""
    return [await _checked(resolver, record) for record in records]


async def _checked(resolver: Resolver, record: Record) -> Checked:
    try:
        found = await _found(resolver, record)
    except ResolverTrouble:
        return Checked(record, Standing.UNKNOWN, "")
    wanted_value = record.value.rstrip(".").lower()
    if any(value.rstrip(".").lower() == wanted_value for value in found):
        return Checked(record, Standing.RIGHT, record.value)
    if found:
        return Checked(record, Standing.DIFFERENT, "; ".join(found))
    return Checked(record, Standing.MISSING, "")


async def _found(resolver: Resolver, record: Record) -> list[str]:
    try:
        match record.kind:
            case Kind.A:
                return [str(address) for address in (await resolver.a(record.name)).records]
            case Kind.AAAA:
                return [str(address) for address in (await resolver.aaaa(record.name)).records]
            case Kind.MX:
                return [f"{preference} {host}" for preference, host in (await resolver.mx(record.name)).records]
            case Kind.PTR:
                return list((await resolver.ptr(_address_of(record.name))).records)
            case Kind.TXT:
                # A domain has many TXT records; those of our kind count ("v=spf1", "v=DMARC1").
                version = record.value.partition(";")[0].partition(" ")[0].lower()
                texts = [text.decode("ascii", "replace") for text in (await resolver.txt(record.name)).records]
                return [text for text in texts if text.lower().startswith(version)]
    except NoSuchName:
        return []


def _address_of(reverse: str) -> IpAddress:
    labels = reverse.split(".")
    if reverse.endswith(".ip6.arpa"):
        digits = "".join(reversed(labels[:-2]))
        return IPv6Address(":".join(digits[n : n + 4] for n in range(0, 32, 4)))
    return IPv4Address(".".join(reversed(labels[:-2])))
