"""What the gateway's walk needs, as tables; and messages to walk it with."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address

from carepost.base.address import Domain, EmailAddress
from carepost.base.ids import MailboxId, OrganisationId, TraceId
from carepost.gateway.checks.everything import CheckPolicy, inbound_checks
from carepost.gateway.checks.malware import Scanner
from carepost.gateway.contents import read_contents
from carepost.gateway.decide import Ruling, rule
from carepost.gateway.deck import shipped_inbound
from carepost.gateway.examine import ExamineLimits, examine
from carepost.gateway.model import Check, Connection, Envelope, Examination, Finding, Recipient, TlsFacts, Via
from carepost.gateway.scan import ListedDomains
from carepost.infra.clamd import ScanAnswer, ScanStatus
from carepost.mailauth.resolver import FakeResolver
from carepost.message.parse import parse

DECK = shipped_inbound()
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
OUR_NAME = "mx.riverside.example"
DOMAINS = ListedDomains(
    own=frozenset({Domain("riverside.example")}), secure=frozenset({Domain("trust.example"), Domain("council.example")})
)
# Who may send for whom: trust.example is on the register; bank.example asks for rejection, shop.example for distrust.
RESOLVER = FakeResolver(
    txt={
        "trust.example": ["v=spf1 ip4:192.0.2.10 -all"],
        "_dmarc.trust.example": ["v=DMARC1; p=reject"],
        "riverside.example": ["v=spf1 ip4:192.0.2.20 -all"],
        "_dmarc.riverside.example": ["v=DMARC1; p=reject"],
        "bank.example": ["v=spf1 ip4:192.0.2.30 -all"],
        "_dmarc.bank.example": ["v=DMARC1; p=reject"],
        "shop.example": ["v=spf1 ip4:192.0.2.40 -all"],
        "_dmarc.shop.example": ["v=DMARC1; p=quarantine"],
        "webmail.example": ["v=spf1 ip4:192.0.2.50 ~all"],
        "_dmarc.webmail.example": ["v=DMARC1; p=none"],
    },
    fails={"slow.example", "_dmarc.slow.example"},
)


@dataclass
class FakeColleagues:
    names: set[str] = field(default_factory=lambda: {"asha patel"})

    async def is_somebody(self, name: str, organisations: frozenset[OrganisationId]) -> bool:
        return name in self.names


@dataclass
class FakeScanner:
    """Finds `marks` in what it is given; or raises."""

    marks: dict[bytes, str] = field(default_factory=dict)
    fails: Exception | None = None
    too_large: int | None = None
    scanned: list[bytes] = field(default_factory=list)

    async def scan(self, data: bytes) -> ScanAnswer:
        self.scanned.append(data)
        if self.fails is not None:
            raise self.fails
        if self.too_large is not None and len(data) > self.too_large:
            return ScanAnswer(ScanStatus.TOO_LARGE)
        for mark, name in self.marks.items():
            if mark in data:
                return ScanAnswer(ScanStatus.FOUND, name)
        return ScanAnswer(ScanStatus.CLEAN)


def recipient(address: str = "jo@riverside.example", *, organisation: int = 7, shared: bool = False) -> Recipient:
    parsed = EmailAddress.parse(address)
    return Recipient(
        address=parsed,
        mailbox=MailboxId(sum(parsed.local.encode())),
        organisation=OrganisationId(organisation),
        shared=shared,
    )


def connection(*, client: str = "192.0.2.50", hello: str = "mail.webmail.example", via: Via = Via.SMTP) -> Connection:
    return Connection(
        client_ip=ip_address(client),
        client_name=hello,
        hello=hello,
        tls=TlsFacts(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384"),
        via=via,
        local_name=OUR_NAME,
    )


def examination(
    raw: bytes,
    *,
    sender: str | None = "pat@webmail.example",
    recipients: Sequence[Recipient] = (),
    client: str = "192.0.2.50",
    hello: str = "mail.webmail.example",
    via: Via = Via.SMTP,
) -> Examination:
    message = parse(raw)
    return Examination(
        connection=connection(client=client, hello=hello, via=via),
        envelope=Envelope(
            trace=TraceId("0123456789ABCDEFGHJK"),
            reverse_path=EmailAddress.parse(sender) if sender else None,
            recipients=tuple(recipients) or (recipient(),),
        ),
        message=message,
        contents=read_contents(message),
        raw=raw,
        now=NOW,
    )


def checks(
    *,
    scanner: Scanner | None = None,
    resolver: FakeResolver = RESOLVER,
    domains: ListedDomains = DOMAINS,
    policy: CheckPolicy | None = None,
) -> Sequence[Check]:
    return inbound_checks(resolver=resolver, known=domains, colleagues=FakeColleagues(), scanner=scanner, policy=policy)


async def judged(
    seen: Examination, *, among: Sequence[Check] | None = None, scanner: Scanner | None = None
) -> tuple[Ruling, list[Finding]]:
    """Examine and decide, as the walk does."""
    found = await examine(seen, checks(scanner=scanner) if among is None else among, ExamineLimits())
    return rule(found, seen.envelope.recipients, DECK, via=seen.connection.via), found


def letter(
    text: str = "Dear Jo,\r\nher results are well.\r\n",
    *,
    author: str = "Pat Example <pat@webmail.example>",
    subject: str = "Clinic letter",
    extra: str = "",
) -> bytes:
    return (
        f"From: {author}\r\nTo: jo@riverside.example\r\nSubject: {subject}\r\n"
        f"Date: Sun, 22 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@webmail.example>\r\n{extra}\r\n{text}"
    ).encode()


def with_files(*files: tuple[str, bytes], author: str = "Pat Example <pat@webmail.example>") -> bytes:
    """A letter with files attached, in base64."""
    parts = ["--limit\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nPlease see the attached.\r\n"]
    for name, data in files:
        encoded = base64.encodebytes(data).decode().replace("\n", "\r\n")
        parts.append(
            f'--limit\r\nContent-Type: application/octet-stream; name="{name}"\r\n'
            f'Content-Disposition: attachment; filename="{name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n{encoded}'
        )
    extra = 'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="limit"\r\n'
    return letter("".join(parts) + "--limit--\r\n", author=author, extra=extra)


def codes(found: Iterable[Finding]) -> set[str]:
    return {finding.code for finding in found}
