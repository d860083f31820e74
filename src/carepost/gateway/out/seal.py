"""What is kept of a message that goes out, sealed to its organisation: addresses, words, options. PURE.

Promises
    What is sealed for one message, recipient or question opens in no other place.
    Structs grow at the end, with a default: older rows are stored.
"""

import hashlib

import msgspec

from carepost.base.address import EmailAddress
from carepost.base.ids import OrganisationId, TraceId
from carepost.gateway.out.outgoing import Answer, Choice, Question
from carepost.infra import vault
from carepost.portal.model import Agreed


class OutDetails(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """One message."""

    sender: str  # the address in From
    reverse_path: str  # empty: the null reverse-path
    person: str  # the address of who did it (R82); empty for the service itself
    subject: str
    message_id: str
    spread: str  # who sees whom: out_decide.Spread
    envid: str | None = None
    ret: str | None = None
    require_tls: bool = False
    secure: bool = False
    passphrase: str | None = None
    reply_all: bool = False
    undo_seconds: int | None = None
    send_at: float | None = None  # seconds since 1970
    answers_to: tuple[int, int, int, bool | None] | None = None  # mailbox, folder, uid, was Bcc
    client: str = ""
    sender_name: str = ""
    agreed: str = Agreed.PHRASE.value
    telephone: str | None = None
    patient: bool | None = None  # it holds a patient's details; None: not known


class OutRecipientDetails(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    address: str
    notify: tuple[str, ...] = ()
    original: str | None = None
    says: str = ""


class OutOutcome(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """How it ended, or how far it came."""

    says: str
    code: int | None = None
    enhanced: str | None = None
    host: str = ""
    tls: str = ""  # version and cipher of the hop (R106)
    verified_by: str = ""
    attempts: int = 0
    tls_missing: bool = False


class OutQuestionDetails(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    title: str
    sentence: str
    because: str
    says: tuple[str, ...]
    choices: tuple[str, ...]
    recipients: tuple[str, ...]

    @classmethod
    def of(cls, question: Question) -> "OutQuestionDetails":
        return cls(
            title=question.title,
            sentence=question.sentence,
            because=question.because,
            says=question.says,
            choices=tuple(one.value for one in question.choices),
            recipients=tuple(str(one) for one in question.recipients),
        )

    def question(self, card: str, version: str, *, unsure: bool) -> Question:
        return Question(
            card=card,
            version=version,
            title=self.title,
            sentence=self.sentence,
            because=self.because,
            says=self.says,
            choices=tuple(Choice(one) for one in self.choices),
            recipients=tuple(EmailAddress.parse(one) for one in self.recipients),
            unsure=unsure,
        )


_ENCODER = msgspec.msgpack.Encoder()


class Sealing:
    """Seals for one message of one organisation, with the public half of its intake key."""

    __slots__ = ("_organisation", "_public", "_trace")

    def __init__(self, organisation: OrganisationId, trace: TraceId, public: bytes) -> None:
        self._organisation, self._trace, self._public = organisation, trace, public

    def details(self, details: OutDetails) -> bytes:
        return self._seal(message_aad(self._organisation, self._trace), details)

    def recipient(self, seq: int, details: OutRecipientDetails) -> bytes:
        return self._seal(recipient_aad(self._organisation, self._trace, seq), details)

    def outcome(self, seq: int, outcome: OutOutcome) -> bytes:
        return self._seal(outcome_aad(self._organisation, self._trace, seq), outcome)

    def question(self, question: Question) -> bytes:
        aad = question_aad(self._organisation, self._trace, question.card)
        return self._seal(aad, OutQuestionDetails.of(question))

    def reason(self, card: str, answer: Answer) -> bytes:
        return self._seal(reason_aad(self._organisation, self._trace, card), answer.reason)

    def _seal(self, aad: bytes, value: object) -> bytes:
        return vault.seal_to(self._public, aad, _ENCODER.encode(value))


def message_aad(organisation: OrganisationId, trace: TraceId) -> bytes:
    return vault.bound("outgoing", organisation, trace)


def recipient_aad(organisation: OrganisationId, trace: TraceId, seq: int) -> bytes:
    return vault.bound("outgoing recipient", organisation, trace, seq)


def outcome_aad(organisation: OrganisationId, trace: TraceId, seq: int) -> bytes:
    return vault.bound("outgoing outcome", organisation, trace, seq)


def question_aad(organisation: OrganisationId, trace: TraceId, card: str) -> bytes:
    return vault.bound("outgoing question", organisation, trace, card)


def reason_aad(organisation: OrganisationId, trace: TraceId, card: str) -> bytes:
    return vault.bound("outgoing reason", organisation, trace, card)


def key_aad(organisation: OrganisationId, object_id: bytes) -> bytes:
    """What the key of a waiting message is bound to."""
    return vault.bound("outgoing key", organisation, object_id)


def message_id_for(trace: TraceId, domain: str) -> str:
    """A Message-ID for a message without one. The reference is not in it: outsiders see a Message-ID."""
    return f"{hashlib.sha256(trace.encode()).hexdigest()[:32]}@{domain}"
