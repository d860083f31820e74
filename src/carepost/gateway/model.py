"""What the gateway is told about a message, what its checks find, and what it decides.

Promises
    Every value here is frozen; a check cannot change what the next one sees.
    `Examination.raw` is the bytes of the sender, untouched; our own trace fields are apart, in `Envelope.received`.

A protocol builds a `Connection` and an `Envelope` and calls `InboundGateway.receive`, which answers with a `Receipt`
after COMMIT or raises one of the error families of carepost.base.errors.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import TYPE_CHECKING

from carepost.base.address import Domain, EmailAddress
from carepost.base.errors import Malformed, NotAllowed
from carepost.base.ids import MailboxId, OrganisationId, TraceId
from carepost.mailauth.author import Author, read_author
from carepost.mailauth.fields import Field, split_message
from carepost.policy.actions import Action, Decision

if TYPE_CHECKING:
    from carepost.gateway.contents import Contents
    from carepost.message.model import Message

# Of the names in From, so many are looked up: people write one, and a stranger's list must not spend our time.
AUTHOR_DOMAINS_MAX = 10


class Via(StrEnum):
    """By which door a message came."""

    SMTP = "smtp"  # port 25: a stranger, until DMARC says otherwise
    LMTP = "lmtp"  # a mail transfer agent of the site's own stands in front and has met the stranger
    SCAN = "scan"  # `carepost scan`: nothing is delivered, and who connected is not known
    APPEND = "append"  # put there by a person's own mail client
    PORTAL = "portal"  # written on a secure page by somebody who proved that they read mail to their address


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFacts:
    version: str  # "TLSv1.3"
    cipher: str  # as OpenSSL names it


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    client_ip: IPv4Address | IPv6Address
    client_name: str | None  # its reverse name, when forward-confirmed
    hello: str  # what it called itself; a claim, nothing more
    tls: TlsFacts | None
    via: Via
    local_name: str  # our name: what we greeted with, and our authserv-id. RFC 8601 §2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    address: EmailAddress  # as given at RCPT
    mailbox: MailboxId
    organisation: OrganisationId
    notify: frozenset[str] = frozenset()  # RFC 3461 §4.1
    original: str | None = None  # ORCPT. RFC 3461 §4.2
    shared: bool = False  # a shared mailbox: a clinical inbox that several people work from


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    trace: TraceId
    reverse_path: EmailAddress | None  # None is the null reverse-path, `<>`
    recipients: tuple[Recipient, ...]
    smtputf8: bool = False
    envid: str | None = None
    ret: str | None = None
    received: bytes = b""  # Return-Path and Received, ready to be put before the message, CRLF at the end


@dataclass(frozen=True, slots=True)
class Receipt:
    """The message is ours now: it is written down and survives a power cut."""

    trace: TraceId


class Refused(NotAllowed):
    """Policy does not let this message in. `public` names no mechanism; the full reason is in the verdict.

    `enhanced_status` is the code that the reply carries after 550. RFC 3463.
    """

    def __init__(self, public: str, *, enhanced_status: str = "5.7.1", **private: object) -> None:
        super().__init__(public, **private)
        self.enhanced_status = enhanced_status


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a check saw.

    `says` finishes the sentence "This message …" or is a sentence of its own; it may hold names and addresses, so it is
    sealed at rest and never logged. `code` is from a closed list and may be shown anywhere.
    """

    code: str
    weight: int  # 0 notes, 1 slight, 2 matters, 3 alone enough to act on
    says: str
    check: str
    facts: Mapping[str, str | bool | int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """Everything a check may look at."""

    connection: Connection
    envelope: Envelope
    message: "Message"
    contents: "Contents"
    raw: bytes
    now: datetime
    # Most checks ask who wrote the message: it is read once.
    _split: list[tuple[list[Field], memoryview]] = field(default_factory=list, init=False, repr=False, compare=False)
    _author: list[Author] = field(default_factory=list, init=False, repr=False, compare=False)
    _author_domains: list[Domain] = field(default_factory=list, init=False, repr=False, compare=False)

    def split(self) -> tuple[list[Field], memoryview]:
        """Header fields and body, as what checks signatures reads them."""
        if not self._split:
            self._split.append(split_message(self.raw))
        return self._split[0]

    @property
    def author(self) -> Author:
        """Whom From names, as DMARC reads it."""
        if not self._author:
            self._author.append(read_author(self.split()[0]))
        return self._author[0]

    def author_domains(self) -> list[Domain]:
        """Every domain that some reader might see in From, in order; at most AUTHOR_DOMAINS_MAX."""
        if not self._author_domains:
            self._author_domains.extend(self._read_author_domains())
        return list(self._author_domains)

    def _read_author_domains(self) -> list[Domain]:
        sure = self.sure_domain()
        domains: dict[Domain, None] = {} if sure is None else {sure: None}
        for author in self.message.authors():
            if len(domains) >= AUTHOR_DOMAINS_MAX:
                break
            with suppress(Malformed):
                domains[Domain.parse(author.domain)] = None
        return list(domains)

    def sure_domain(self) -> Domain | None:
        """The author's domain if no two readers could differ about it: the very one that DMARC speaks of. P12."""
        author = self.author
        return None if author.fault or not author.domains else Domain(author.domains[0])


@dataclass(frozen=True, slots=True)
class Check:
    """One named examination. It looks and does not touch.

    It may raise, and `examine` makes that a finding; the facts that it would have given are then unknown.
    """

    name: str
    look: Callable[[Examination], Awaitable[list[Finding]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disposition:
    """What happens to one recipient's copy: the deck's decision, and the action after SMTP's one-answer rule.

    SMTP has one answer for all recipients: a refusal is sent only if every recipient's copy is refused; otherwise the
    refused ones are held (`action` is HOLD where `decision.action` is REFUSE).
    """

    recipient: Recipient
    decision: Decision
    action: Action
