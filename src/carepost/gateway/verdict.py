"""A verdict as it is kept: what was found, what was decided, and for whom; sealed to each organisation. PURE.

Promises
    An organisation's record names its own recipients only.
    What stands in clear is codes, cards and numbers; sentences, names and addresses are in `Details`, which is sealed.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from carepost.base.ids import OrganisationId, TraceId
from carepost.gateway.decide import Ruling, plain_facts
from carepost.gateway.model import Connection, Disposition, Envelope, Finding
from carepost.infra import vault

_CONTEXT = "verdict details"
FINDINGS_KEPT = 100


class SearchBy(StrEnum):
    """What a message can be found by besides its reference."""

    SENDER = "sender"
    RECIPIENT = "recipient"
    MESSAGE_ID = "message-id"
    REFERENCE = "reference"  # what a message of our own people answers


def findable(by: SearchBy, value: str) -> str:
    """The form that tokens are made of: addresses in lower case, a Message-ID without its brackets."""
    value = value.strip().strip("<>")
    return value if by in {SearchBy.MESSAGE_ID, SearchBy.REFERENCE} else value.lower()


class KeptFinding(msgspec.Struct, frozen=True, array_like=True):
    code: str
    weight: int
    says: str
    check: str


class KeptRecipient(msgspec.Struct, frozen=True, array_like=True):
    """`decided` is what the deck said, `action` what was done."""

    address: str
    mailbox: int
    decided: str
    action: str
    card: str | None
    card_version: str | None
    unsure: bool
    missing: tuple[str, ...]


class Details(msgspec.Struct, frozen=True, array_like=True):
    """New fields go at the end, with a default: old verdicts are stored."""

    sender: str  # MAIL FROM; empty for the null reverse-path
    authors: tuple[str, ...]  # the addresses in From
    message_id: str
    client: str
    hello: str
    tls: str
    recipients: tuple[KeptRecipient, ...]
    findings: tuple[KeptFinding, ...]
    facts: dict[str, str | bool | None]
    person: str = ""  # who sent it, where that is one of ours (R82)


# By which doors our own people's mail comes in.
_DOORS_OUT = frozenset({"web", "submission", "system"})


class Record(msgspec.Struct, frozen=True):
    """Everything that is known about the arrival of one message, for one organisation."""

    trace: str
    at: datetime
    door: str
    size: int
    details: Details

    @property
    def is_outgoing(self) -> bool:
        return self.door in _DOORS_OUT


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Details)


def details_for(
    dispositions: Sequence[Disposition],
    *,
    connection: Connection,
    envelope: Envelope,
    findings: Sequence[Finding],
    ruling: Ruling,
    authors: Sequence[str],
    message_id: str | None,
) -> Details:
    tls = f"{connection.tls.version} {connection.tls.cipher}" if connection.tls else ""
    return Details(
        sender=str(envelope.reverse_path) if envelope.reverse_path else "",
        authors=tuple(authors),
        message_id=message_id or "",
        client=str(connection.client_ip),
        hello=connection.hello[:255],
        tls=tls,
        recipients=tuple(_recipient(one) for one in dispositions),
        findings=tuple(
            KeptFinding(found.code, found.weight, found.says, found.check) for found in findings[:FINDINGS_KEPT]
        ),
        facts=dict(plain_facts(ruling.facts)),
    )


def _recipient(one: Disposition) -> KeptRecipient:
    return KeptRecipient(
        address=str(one.recipient.address),
        mailbox=one.recipient.mailbox,
        decided=one.decision.action.value,
        action=one.action.value,
        card=one.decision.card,
        card_version=one.decision.version,
        unsure=one.decision.unsure,
        missing=one.decision.missing,
    )


def seal_details(details: Details, *, public: bytes, organisation: OrganisationId, trace: TraceId) -> bytes:
    """Only who holds the organisation's key can open it; the role that writes it cannot."""
    return vault.seal_to(public, details_aad(organisation, trace), _ENCODER.encode(details))


def read_details(opened: bytes) -> Details:
    return _DECODER.decode(opened)


def details_aad(organisation: OrganisationId, trace: TraceId) -> bytes:
    return vault.bound(_CONTEXT, organisation, trace)


def held_key_aad(organisation: OrganisationId, object_id: bytes) -> bytes:
    """What the key of a held message is bound to."""
    return vault.bound("held key", organisation, object_id)
