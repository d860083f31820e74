"""Who really sent it: SPF, DKIM, DMARC and ARC, for mail that a stranger brought. R109, R110, P12.

Promises
    Only mail that came by port 25 is judged: nobody knows who connected for a scanned file, and a front server of the
    site has met the stranger itself.
    What the domain name system did not answer is never taken for a pass or a fail: the sender is asked to try again.
    A trusted forwarder's word (ARC) counts only if its chain is genuine, whole, and the forwarder is on our list.
"""

import asyncio
import re
from dataclasses import dataclass
from functools import partial

from carepost.gateway.examine import aside
from carepost.gateway.facts import AUTHENTICATION
from carepost.gateway.model import Check, Examination, Finding, Via
from carepost.mailauth.arc import ArcResult, ArcStatus, verify_arc
from carepost.mailauth.author import Author
from carepost.mailauth.canonical import BodyHashes
from carepost.mailauth.dkim import DkimResult, DkimStatus, hash_ahead, verify_dkim
from carepost.mailauth.dmarc import DmarcResult, DmarcStatus, check_dmarc
from carepost.mailauth.dmarc_record import DmarcPolicy
from carepost.mailauth.resolver import Resolver
from carepost.mailauth.results import results_value
from carepost.mailauth.spf import SpfResult, SpfStatus, check_spf
from carepost.policy.inbound import AsksFor, Dmarc

NAME = AUTHENTICATION
RESULTS = "results"  # the name under which the finding carries the value of our Authentication-Results field
_HASHING_IS_QUICK = 4  # octets, for one of what other checks do; a body made to be slow included
_ASKS = {
    DmarcPolicy.NONE: AsksFor.NOTHING,
    DmarcPolicy.QUARANTINE: AsksFor.QUARANTINE,
    DmarcPolicy.REJECT: AsksFor.REJECT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationPolicy:
    # Whose ARC seals are believed: domains of mailing lists and forwarders that this service has chosen.
    trusted_sealers: frozenset[str] = frozenset()
    # RFC 7208 §4.6.4 asks for at least 20. A stranger's slow name server must not keep a place in the walk for longer.
    seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class _Results:
    spf: SpfResult
    dkim: list[DkimResult]
    dmarc: DmarcResult
    arc: ArcResult


def authentication(resolver: Resolver, policy: AuthenticationPolicy | None = None) -> Check:
    policy = policy or AuthenticationPolicy()

    async def look(examination: Examination) -> list[Finding]:
        via = examination.connection.via
        if via is not Via.SMTP:
            says = "Who sent the message was not checked: " + _WHY_NOT[via]
            return [_finding("authentication-not-checked", 0, says, {"dmarc": Dmarc.NOT_CHECKED})]
        try:
            async with asyncio.timeout(policy.seconds):
                results = await _ask(resolver, examination)
        except TimeoutError:
            return [_unanswered()]
        return [_unanswered() if _must_ask_again(results) else _summary(results, examination, policy)]

    return Check(NAME, look)


def _unanswered() -> Finding:
    says = "Who sent the message could not be looked up in the domain name system."
    return _finding("authentication-unavailable", 3, says, {})


_WHY_NOT = {
    Via.SCAN: "a scan does not know who brought it, and asks nobody.",
    Via.LMTP: "the mail server in front of this one does that.",
    Via.APPEND: "it was put there by a mail client.",
    Via.PORTAL: "its author typed a code that was sent to their address.",
}


async def _ask(resolver: Resolver, examination: Examination) -> _Results:
    headers, body = examination.split()
    hashes = BodyHashes(body)
    await aside(len(body) // _HASHING_IS_QUICK, partial(hash_ahead, headers, hashes))
    path, connection = examination.envelope.reverse_path, examination.connection
    async with asyncio.TaskGroup() as group:
        spf = group.create_task(
            check_spf(
                resolver,
                ip=connection.client_ip,
                mail_from_domain=str(path.domain) if path else "",
                mail_from_local=path.local if path else "",
                helo=connection.hello,
                receiver=connection.local_name,
                now=examination.now,
            )
        )
        dkim = group.create_task(verify_dkim(resolver, headers=headers, body=hashes, now=examination.now))
        arc = group.create_task(verify_arc(resolver, headers=headers, body=hashes, now=examination.now))
    dmarc = await check_dmarc(
        resolver, from_domains=_author_domains(examination.author), spf=spf.result(), dkim=dkim.result()
    )
    return _Results(spf.result(), dkim.result(), dmarc, arc.result())


def _author_domains(author: Author) -> tuple[str, ...]:
    """The one author's domain; when there is doubt about the author, two of them, so that DMARC sees the doubt."""
    return author.domains if not author.fault else (*author.domains[:2], "", "")[:2]


def _must_ask_again(results: _Results) -> bool:
    """Whether an answer of the domain name system is missing that might have proved the sender."""
    if results.dmarc.status is DmarcStatus.TEMPERROR:
        return True
    if results.dmarc.status is not DmarcStatus.NONE or results.dmarc.aligned_by:
        return False
    # Without a policy nothing is refused for want of proof, save a name of our own: that must not hang on bad luck.
    unanswered = [result.domain for result in results.dkim if result.status is DkimStatus.TEMPERROR]
    unanswered += [results.spf.domain] if results.spf.status is SpfStatus.TEMPERROR else []
    author = results.dmarc.from_domain.lower()
    return any(domain.lower() == author for domain in unanswered)


def _summary(results: _Results, examination: Examination, policy: AuthenticationPolicy) -> Finding:
    dmarc = results.dmarc
    proved = bool(dmarc.aligned_by) and not dmarc.author_unclear
    sealer = _trusted_sealer(results.arc, policy)
    value = results_value(
        examination.connection.local_name, spf=results.spf, dkim=results.dkim, dmarc=dmarc, arc=results.arc
    )
    facts: dict[str, str | bool] = {
        "dmarc": _DMARC[dmarc.status],
        "domain_asks_for": _ASKS[dmarc.policy],
        "sender_proved": proved,
        "trusted_forwarder": sealer is not None,
        RESULTS: value.decode("ascii", "replace"),
    }
    return _finding("authentication", 0 if proved else 1, _sentence(results, proved, sealer), facts)


_DMARC = {
    DmarcStatus.PASS: Dmarc.PASSED,
    DmarcStatus.FAIL: Dmarc.FAILED,
    DmarcStatus.NONE: Dmarc.NO_POLICY,
    DmarcStatus.PERMERROR: Dmarc.NO_POLICY,
    DmarcStatus.TEMPERROR: Dmarc.FAILED,  # not reached: the sender was asked to try again
}


def _trusted_sealer(arc: ArcResult, policy: AuthenticationPolicy) -> str | None:
    """The last sealer, if the chain is genuine, we trust it, and it wrote down that the sender was proved to it."""
    if arc.status is not ArcStatus.PASS or not arc.sets:
        return None
    last = arc.sets[-1]
    seen = _METHOD.findall(last.results.partition(b";")[2].lower())
    proved = dict(seen).get(b"dmarc") == b"pass" or (b"arc", b"pass") in seen
    return last.domain.lower() if proved and last.domain.lower() in policy.trusted_sealers else None


_METHOD = re.compile(rb";?\s*\b(dmarc|arc)\s*=\s*([a-z]+)")


def _sentence(results: _Results, proved: bool, sealer: str | None) -> str:
    dmarc = results.dmarc
    signed = ", ".join(f"{result.domain or 'nobody'}: {result.status.value}" for result in results.dkim[:3])
    parts = [
        f"The sender's address at {dmarc.from_domain} was proved" if proved else "The sender's address was not proved",
        f"SPF for {results.spf.domain}: {results.spf.status.value}",
        f"DKIM {signed}" if signed else "no DKIM signature",
        f"DMARC: {dmarc.status.value}, the domain asks for “{dmarc.policy.value}”",
    ]
    if sealer:
        parts.append(f"vouched for by {sealer}")
    return "; ".join(parts) + "."


def _finding(code: str, weight: int, says: str, facts: dict[str, str | bool]) -> Finding:
    return Finding(code=code, weight=weight, says=says, check=NAME, facts=dict(facts))
