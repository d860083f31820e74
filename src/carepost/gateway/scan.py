"""`carepost scan`: files through the same walk, without delivering anything.

Promises
    One result for each file, whatever is in it: no hostile file and no unreadable one stops the rest.
    Nothing is written, and nobody is asked: no database, no domain name system, and no scanner unless one is given.
    What only a real delivery can tell (who connected, what DMARC says) is reported as not checked, and does not hold
    every message: see `facts.shared_facts`.
"""

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Literal

from carepost.base.address import Domain, EmailAddress
from carepost.base.clock import Clock, SystemClock
from carepost.base.errors import Malformed
from carepost.base.ids import MailboxId, OrganisationId, TraceId
from carepost.gateway.checks.everything import CheckPolicy, inbound_checks
from carepost.gateway.checks.malware import Scanner
from carepost.gateway.decide import rule
from carepost.gateway.deck import shipped_inbound
from carepost.gateway.examine import ExamineLimits, examine, failed, read
from carepost.gateway.facts import must_wait
from carepost.gateway.model import Connection, Envelope, Examination, Finding, Recipient, Via
from carepost.mailauth.fields import with_crlf
from carepost.mailauth.resolver import FakeResolver
from carepost.message.model import Message
from carepost.policy.actions import Action
from carepost.policy.card import Deck
from carepost.policy.inbound import InboundFacts

Direction = Literal["in", "out"]

FILE_BYTES_MAX = 150_000_000  # larger than any message that is accepted; reading it would only fill the memory


@dataclass(frozen=True, slots=True)
class ListedDomains:
    """A register that is written down: what `carepost scan` is told about domains."""

    own: frozenset[Domain] = frozenset()
    secure: frozenset[Domain] = frozenset()

    async def own_domains(self) -> frozenset[Domain]:
        return self.own

    async def lists(self, domain: Domain) -> bool:
        return domain in self.secure or domain in self.own

    async def known_domains(self) -> frozenset[Domain]:
        return self.own | self.secure


@dataclass(frozen=True, slots=True)
class NoColleagues:
    """Nobody is known by name."""

    async def is_somebody(self, name: str, organisations: frozenset[OrganisationId]) -> bool:  # noqa: ARG002
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanSettings:
    domains: ListedDomains = field(default_factory=ListedDomains)
    scanner: Scanner | None = None
    policy: CheckPolicy = field(default_factory=CheckPolicy)
    deck: Deck[InboundFacts] = field(default_factory=shipped_inbound)
    clock: Clock = field(default_factory=SystemClock)
    limits: ExamineLimits = field(default_factory=ExamineLimits)


def scan_paths(
    paths: Iterable[Path], direction: Direction, settings: ScanSettings | None = None
) -> Iterator[dict[str, Any]]:
    """`{"path", "action", "card", "findings": [{"code", "weight", "says"}]}` for each file, in order."""
    settings = settings or ScanSettings()
    with asyncio.Runner() as runner:
        for path in _files(paths):
            yield runner.run(scan_path(path, direction, settings))


async def scan_path(path: Path, direction: Direction, settings: ScanSettings) -> dict[str, Any]:
    """One file. Never raises for what is in it."""
    try:
        raw = await asyncio.to_thread(_contents_of, path)
    except (OSError, ValueError) as error:
        return _result(path, Action.HOLD, None, [failed("reading", type(error).__name__)])
    try:
        return await scan_bytes(path, raw, direction, settings)
    except Exception as error:  # noqa: BLE001 - a fault of ours must not keep the other files from being looked at
        return _result(path, Action.HOLD, None, [failed("the walk itself", type(error).__name__)])


async def scan_bytes(path: Path, raw: bytes, direction: Direction, settings: ScanSettings) -> dict[str, Any]:
    """A message that is in memory already; `path` is only repeated."""
    examination = await _examination(with_crlf(raw), settings)
    checks = inbound_checks(
        resolver=FakeResolver(),
        known=settings.domains,
        colleagues=NoColleagues(),
        scanner=settings.scanner,
        policy=settings.policy,
    )
    findings = await examine(examination, checks, settings.limits)
    if must_wait(findings):  # a real sender would be asked to try again
        return _result(path, Action.HOLD, None, findings)
    via = Via.SCAN if direction == "in" else Via.APPEND
    ruling = rule(findings, examination.envelope.recipients, settings.deck, via=via)
    decision = ruling.gravest
    return _result(path, decision.action, decision.decision.card, findings)


async def _examination(raw: bytes, settings: ScanSettings) -> Examination:
    message, contents = await read(raw, settings.limits)
    recipient = Recipient(
        address=EmailAddress("recipient", Domain("scan.invalid")), mailbox=MailboxId(0), organisation=OrganisationId(0)
    )
    return Examination(
        connection=Connection(
            client_ip=IPv4Address(0), client_name=None, hello="", tls=None, via=Via.SCAN, local_name="scan.invalid"
        ),
        envelope=Envelope(trace=TraceId("SCAN"), reverse_path=_return_path(message), recipients=(recipient,)),
        message=message,
        contents=contents,
        raw=raw,
        now=settings.clock.now(),
    )


def _return_path(message: Message) -> EmailAddress | None:
    text = message.first("return-path").decode("utf-8", "replace").strip().strip("<>")
    try:
        return EmailAddress.parse(text)
    except Malformed:
        return None


def _result(path: Path, action: Action, card: str | None, findings: Iterable[Finding]) -> dict[str, Any]:
    told: list[Mapping[str, str | int]] = [
        {"code": found.code, "weight": found.weight, "says": found.says} for found in findings
    ]
    return {"path": str(path), "action": action.value, "card": card, "findings": told}


def _contents_of(path: Path) -> bytes:
    """Raises ValueError for what is no file, or is too large to be a message."""
    if not path.is_file():
        raise ValueError("not a file")
    if path.stat().st_size > FILE_BYTES_MAX:
        raise ValueError("too large")
    return path.read_bytes()


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as given, and those in folders, by name. Links to folders are not followed: they may lead in a circle."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                yield Path(folder, name)
