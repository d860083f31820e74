"""May this machine send for this domain? RFC 7208.

Promises
    Every question ends in one of seven results, whatever the record says; nothing a stranger publishes raises here.
    At most ten terms that ask the DNS, and two questions answered by nothing, per check (§4.6.4): a stranger's record
    cannot spend our resolver.
    What could not be found out is TEMPERROR, never NONE and never FAIL.

One check is one `_Evaluation`, which carries the counts through every include and redirect.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_network

from carepost.base.address import Domain
from carepost.base.errors import Malformed
from carepost.mailauth.resolver import Answer, IpAddress, NoSuchName, Record, Resolver, ResolverTrouble, normal_name
from carepost.mailauth.spf_macros import MacroText, SpfSyntaxError, fitted, parse_macros
from carepost.mailauth.spf_record import Directive, MechanismName, SpfRecord, is_spf, parse_record
from carepost.mailauth.spf_result import DEFAULT_LIMITS, SpfLimits, SpfResult, SpfStatus

__all__ = ["SpfLimits", "SpfResult", "SpfStatus", "check_spf"]


async def check_spf(
    resolver: Resolver,
    *,
    ip: IpAddress,
    mail_from_domain: str,
    mail_from_local: str = "",
    helo: str,
    limits: SpfLimits = DEFAULT_LIMITS,
    receiver: str = "unknown",
    now: datetime | None = None,
) -> SpfResult:
    """RFC 7208 §4.1. An empty `mail_from_domain` is the null sender: HELO is checked, as postmaster there (§2.4).

    `receiver` and `now` are only for the macros of an explanation. Never raises for what was sent or published.
    """
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped  # RFC 7208 §5: an IPv4 sender seen through an IPv6 socket
    domain = _checkable(mail_from_domain or helo)
    if domain is None:
        shown = (mail_from_domain or helo)[:255]
        return SpfResult(SpfStatus.NONE, shown, reason="not a domain name", helo=not mail_from_domain)
    evaluation = _Evaluation(
        resolver=resolver,
        ip=ip,
        local=mail_from_local or "postmaster",  # RFC 7208 §4.3
        sender_domain=domain,
        helo=helo,
        limits=limits,
        receiver=receiver,
        now=now,
    )
    verdict = await evaluation.verdict(domain)
    explanation = await evaluation.explain(verdict) if verdict.status is SpfStatus.FAIL else ""
    return SpfResult(verdict.status, domain, explanation, verdict.mechanism, verdict.reason, helo=not mail_from_domain)


def _checkable(text: str) -> str | None:
    """The domain in the form that is looked up, or None where §4.3 says that the result is `none`."""
    name = normal_name(text)
    if not name.isascii():
        try:
            name = Domain.parse(name).name  # RFC 8616 §4: A-labels are what SPF is about
        except Malformed:
            return None
    return name if "." in name and _askable(name) else None


def _askable(name: str) -> bool:
    return len(name) <= 253 and name.isprintable() and all(1 <= len(label) <= 63 for label in name.split("."))


class _Ended(Exception):
    def __init__(self, status: SpfStatus, reason: str, mechanism: str = "") -> None:
        super().__init__(reason)
        self.status, self.reason, self.mechanism = status, reason, mechanism


@dataclass(frozen=True, slots=True)
class _Verdict:
    status: SpfStatus
    reason: str = ""
    mechanism: str = ""
    explanation: MacroText | None = None  # of the record that decided, not of those it includes (§6.2)
    domain: str = ""


_QUALIFIERS = {"+": SpfStatus.PASS, "-": SpfStatus.FAIL, "~": SpfStatus.SOFTFAIL, "?": SpfStatus.NEUTRAL}


@dataclass(slots=True, kw_only=True)
class _Evaluation:
    """One check: who asks, for whom, and what has been spent so far."""

    resolver: Resolver
    ip: IpAddress
    local: str
    sender_domain: str
    helo: str
    limits: SpfLimits
    receiver: str
    now: datetime | None
    terms: int = 0
    voids: int = 0
    validated: tuple[str, ...] | None = None  # asked for once a check, however often it is spoken of

    async def verdict(self, domain: str) -> _Verdict:
        try:
            return await self._check_host(domain)
        except _Ended as ended:
            return _Verdict(ended.status, ended.reason, ended.mechanism)
        except ResolverTrouble:
            return _Verdict(SpfStatus.TEMPERROR, "a name could not be looked up")
        except SpfSyntaxError as error:
            return _Verdict(SpfStatus.PERMERROR, str(error))

    async def _check_host(self, domain: str) -> _Verdict:
        record = await self._fetch(domain)
        if record is None:
            return _Verdict(SpfStatus.NONE, "no SPF record is published")
        for directive in record.directives:
            if await self._matches(directive, domain):
                status = _QUALIFIERS[directive.qualifier]
                return _Verdict(status, "", directive.written, record.explanation, domain)
        if record.redirect is None:
            return _Verdict(SpfStatus.NEUTRAL, "nothing in the record fits")  # §4.7
        self._spend_term("redirect")
        target = await self._target(record.redirect, domain)
        # §6.1: a redirect to where nothing is published is a mistake of the publisher's.
        if target is None:
            raise _Ended(SpfStatus.PERMERROR, "redirect leads to something that is not a domain")
        verdict = await self._check_host(target)
        if verdict.status is SpfStatus.NONE:
            raise _Ended(SpfStatus.PERMERROR, "redirect leads to a domain without SPF")
        return verdict

    async def _fetch(self, domain: str) -> SpfRecord | None:
        try:
            records = [text for text in (await self.resolver.txt(domain)).records if is_spf(text)]
        except NoSuchName:
            return None
        if len(records) > 1:
            raise _Ended(SpfStatus.PERMERROR, "more than one SPF record is published")  # §4.5
        if not records:
            return None
        if len(records[0]) > self.limits.record_bytes_max:
            raise _Ended(SpfStatus.PERMERROR, "the SPF record is too long")
        return parse_record(records[0])

    async def _matches(self, directive: Directive, domain: str) -> bool:
        if directive.network is not None:
            return self.ip.version == directive.network.version and self.ip in directive.network
        if directive.name is MechanismName.ALL:
            return True
        self._spend_term(directive.written)
        target = domain if directive.domain is None else await self._target(directive.domain, domain)
        if target is None:
            # §4.8 leaves a name that cannot be asked for to us; the suite lets it match nothing, save in include.
            if directive.name is MechanismName.INCLUDE:
                raise _Ended(SpfStatus.PERMERROR, "include of something that is not a domain", directive.written)
            return False
        match directive.name:
            case MechanismName.INCLUDE:
                return await self._included(target, directive)
            case MechanismName.A:
                return self._holds(await self._addresses(target), directive)
            case MechanismName.MX:
                return await self._mx(target, directive)
            case MechanismName.EXISTS:
                return bool(await self._ask(self.resolver.a(target)))  # §5.7: A, even for an IPv6 sender
            case _:  # PTR
                return any(_within(name, target) for name in await self._validated_names())

    async def _included(self, target: str, directive: Directive) -> bool:
        inner = await self._check_host(target)
        if inner.status is SpfStatus.NONE:
            raise _Ended(SpfStatus.PERMERROR, "include of a domain without SPF", directive.written)  # §5.2
        return inner.status is SpfStatus.PASS

    async def _mx(self, target: str, directive: Directive) -> bool:
        hosts = [host for _, host in sorted(await self._ask(self.resolver.mx(target))) if _askable(host)]
        if len(hosts) > self.limits.hosts_max:
            raise _Ended(SpfStatus.PERMERROR, "more mail exchangers than may be looked up", directive.written)
        for host in hosts:
            if self._holds(await self._addresses(host), directive):
                return True
        return False

    async def _addresses(self, name: str) -> tuple[IpAddress, ...]:
        if isinstance(self.ip, IPv4Address):
            return await self._ask(self.resolver.a(name))
        return await self._ask(self.resolver.aaaa(name))

    def _holds(self, addresses: tuple[IpAddress, ...], directive: Directive) -> bool:
        bits = directive.bits4 if self.ip.version == 4 else directive.bits6
        sender = ip_network((self.ip, bits), strict=False)
        return any(address in sender for address in addresses)

    async def _ask(self, question: Awaitable[Answer[Record]]) -> tuple[Record, ...]:
        """The records; an answer of nothing is counted, and the third one ends the check. §4.6.4."""
        try:
            records = (await question).records
        except NoSuchName:
            records = ()
        if not records:
            self.voids += 1
            if self.voids > self.limits.void_lookups_max:
                raise _Ended(SpfStatus.PERMERROR, "too many look-ups that find nothing")
        return records

    def _spend_term(self, written: str) -> None:
        self.terms += 1
        if self.terms > self.limits.terms_max:
            raise _Ended(SpfStatus.PERMERROR, "more than ten look-ups", written)

    async def _validated_names(self) -> tuple[str, ...]:
        """The names of the sender's address that lead back to it. §5.5. Trouble here is no match, not an error."""
        if self.validated is None:
            names = await self._names_of_address()
            self.validated = tuple([name for name in names if _askable(name) and await self._leads_back(name)])
        return self.validated

    async def _names_of_address(self) -> tuple[str, ...]:
        try:
            return (await self.resolver.ptr(self.ip)).records[: self.limits.hosts_max]
        except (NoSuchName, ResolverTrouble):
            return ()

    async def _leads_back(self, name: str) -> bool:
        try:
            if isinstance(self.ip, IPv4Address):
                return self.ip in (await self.resolver.a(name)).records
            return self.ip in (await self.resolver.aaaa(name)).records
        except (NoSuchName, ResolverTrouble):
            return False

    async def _target(self, macros: MacroText, domain: str) -> str | None:
        """The domain-spec for this sender; None if it is no name that can be asked for."""
        if macros.needs_local_part and not self.local.isascii():
            return None  # RFC 8616 §4: a local part beyond ASCII expands to nothing that matches
        name = fitted(macros.expanded(await self._values(macros, domain)))
        return name if _askable(name) else None

    async def _values(self, macros: MacroText, domain: str) -> dict[str, str]:
        """What each macro letter stands for. §7.2."""
        v4 = isinstance(self.ip, IPv4Address)
        return {
            "s": f"{self.local}@{self.sender_domain}",
            "l": self.local,
            "o": self.sender_domain,
            "d": domain,
            "i": str(self.ip) if v4 else ".".join(self.ip.exploded.replace(":", "").upper()),
            "p": await self._best_name(domain) if macros.needs_validated_name else "unknown",
            "v": "in-addr" if v4 else "ip6",
            "h": self.helo,
            "c": str(self.ip),
            "r": self.receiver,
            "t": str(int(self.now.timestamp())) if self.now else "0",
        }

    async def _best_name(self, domain: str) -> str:
        """§7.3: the domain itself, else a name within it, else any; `unknown` if none is validated."""
        names = await self._validated_names()
        best = sorted(names, key=lambda name: (name != domain, not _within(name, domain)))
        return best[0] if best else "unknown"

    async def explain(self, verdict: _Verdict) -> str:
        """The publisher's words for a fail. Anything wrong with them means that there are none. §6.2."""
        if verdict.explanation is None:
            return ""
        try:
            target = await self._target(verdict.explanation, verdict.domain)
            texts = (await self.resolver.txt(target)).records if target else ()
            if len(texts) != 1 or len(texts[0]) > self.limits.record_bytes_max:
                return ""
            macros = parse_macros(texts[0].decode("ascii"), explanation=True)
            words = macros.expanded(await self._values(macros, verdict.domain))
        except (NoSuchName, ResolverTrouble, SpfSyntaxError, UnicodeDecodeError):
            return ""
        return "".join(c for c in words if "\x20" <= c <= "\x7e")[: self.limits.explanation_max]


def _within(name: str, domain: str) -> bool:
    name, domain = normal_name(name), normal_name(domain)
    return name == domain or name.endswith("." + domain)
