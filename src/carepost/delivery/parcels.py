"""What the queue holds, opened: a message's envelope, its recipients, and what is remembered of their last attempt.

Promises
    Addresses, domains, ENVID, hosts and what other systems said are sealed to the organisation, each for its place.
    What is sealed is read as it was written, by this release and those to come: fields are added at the end only.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from carepost.base.address import EmailAddress
from carepost.base.ids import DeliveryId, ObjectId, OrganisationId, OutgoingId, TraceId
from carepost.delivery import repo
from carepost.delivery.dispatch import Dispatch, DispatchTo, Lane
from carepost.delivery.model import HopEvidence, LeastTls, OutRecipient, RecipientResult, VerifiedBy
from carepost.infra.db import Transaction
from carepost.store.keys import Keystore


@dataclass(frozen=True, slots=True)
class Turn:
    """The number of one recipient whose turn it is."""

    organisation: OrganisationId
    delivery: DeliveryId
    seq: int
    destination: bytes  # a keyed hash of its domain


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A message in the queue, without its body."""

    organisation: OrganisationId
    id: DeliveryId
    trace: TraceId
    outgoing: OutgoingId | None
    object: ObjectId | None  # None: the queue has let go of the body
    key: bytes | None
    size: int
    reverse_path: EmailAddress | None
    envid: str | None
    ret: str | None
    require_tls: bool
    smtputf8: bool
    forwarded: bool
    lane: Lane
    urgent: bool
    queued_at: datetime
    expires_at: datetime
    # The sealed body and its digest, where it is small: fetched with the rest.
    sealed: tuple[bytes, bytes] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One recipient of a parcel."""

    seq: int
    address: EmailAddress
    least: LeastTls
    notify: frozenset[str]
    original: str | None
    attempts: int
    tls_missing: bool = False

    @property
    def out(self) -> OutRecipient:
        return OutRecipient(self.address, self.notify, self.original)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastWord:
    """What the last attempt for a recipient came to."""

    result: RecipientResult
    evidence: HopEvidence | None


class _Envelope(msgspec.Struct, frozen=True, array_like=True):
    reverse_path: str
    envid: str | None
    ret: str | None
    require_tls: bool
    smtputf8: bool
    forwarded: bool


class _Recipient(msgspec.Struct, frozen=True, array_like=True):
    address: str
    least: str
    notify: tuple[str, ...]
    original: str | None


class _Evidence(msgspec.Struct, frozen=True, array_like=True):
    result: tuple[str, int | None, str | None, str, str, str, bool]  # outcome, code, enhanced, says, reply, host, tls
    hop: tuple[str, str, str, str, str, datetime, str] | None


_ENCODER = msgspec.msgpack.Encoder()
_ENVELOPE = msgspec.msgpack.Decoder(_Envelope)
_RECIPIENT = msgspec.msgpack.Decoder(_Recipient)
_EVIDENCE = msgspec.msgpack.Decoder(_Evidence)


@dataclass(frozen=True, slots=True)
class Seals:
    """Seals what the queue writes and opens what it reads."""

    keys: Keystore

    async def key(self, tx: Transaction, dispatch: Dispatch) -> bytes:
        return await self._seal(tx, dispatch.organisation, "delivery.wrapped", dispatch.trace, dispatch.key)

    async def envelope(self, tx: Transaction, dispatch: Dispatch) -> bytes:
        written = _Envelope(
            reverse_path=str(dispatch.reverse_path) if dispatch.reverse_path else "",
            envid=dispatch.envid,
            ret=dispatch.ret,
            require_tls=dispatch.require_tls,
            smtputf8=dispatch.smtputf8,
            forwarded=dispatch.forwarded,
        )
        plain = _ENCODER.encode(written)
        return await self._seal(tx, dispatch.organisation, "delivery.details", dispatch.trace, plain)

    async def recipient(self, tx: Transaction, dispatch: Dispatch, to: DispatchTo) -> bytes:
        written = _Recipient(str(to.address), to.least.value, tuple(sorted(to.notify)), to.original)
        row = f"{dispatch.trace}/{to.seq}"
        return await self._seal(tx, dispatch.organisation, "delivery_recipient.details", row, _ENCODER.encode(written))

    async def last_word(self, tx: Transaction, parcel: Parcel, seq: int, word: LastWord) -> bytes:
        one, hop = word.result, word.evidence
        written = _Evidence(
            (one.outcome.value, one.code, one.enhanced, one.says, one.reply, one.host, one.tls_missing),
            (hop.host, hop.ip, hop.tls_version, hop.cipher, hop.verified_by.value, hop.at, hop.reply) if hop else None,
        )
        row = f"{parcel.trace}/{seq}"
        plain = _ENCODER.encode(written)
        return await self._seal(tx, parcel.organisation, "delivery_recipient.evidence", row, plain)

    async def open_parcel(self, tx: Transaction, organisation: OrganisationId, row: repo.ParcelRow) -> Parcel:
        plain = await self._open(tx, organisation, "delivery.details", row.trace, row.details)
        envelope, key = _ENVELOPE.decode(plain), None
        if row.wrapped is not None:
            key = await self._open(tx, organisation, "delivery.wrapped", row.trace, row.wrapped)
        return Parcel(
            organisation=organisation,
            id=row.id,
            trace=row.trace,
            outgoing=row.outgoing,
            object=row.object,
            key=key,
            size=row.size,
            reverse_path=EmailAddress.parse(envelope.reverse_path) if envelope.reverse_path else None,
            envid=envelope.envid,
            ret=envelope.ret,
            require_tls=envelope.require_tls,
            smtputf8=envelope.smtputf8,
            forwarded=envelope.forwarded,
            lane=Lane(row.lane),
            urgent=row.urgent,
            queued_at=row.queued_at,
            expires_at=row.expires_at,
        )

    async def open_recipients(
        self, tx: Transaction, parcel: Parcel, rows: Iterable[repo.RecipientRow]
    ) -> list[Recipient]:
        return [await self._recipient(tx, parcel, row) for row in rows]

    async def open_address(
        self, tx: Transaction, organisation: OrganisationId, trace: TraceId, seq: int, sealed: bytes
    ) -> EmailAddress:
        plain = await self._open(tx, organisation, "delivery_recipient.details", f"{trace}/{seq}", sealed)
        return EmailAddress.parse(_RECIPIENT.decode(plain).address)

    async def open_last_word(
        self, tx: Transaction, parcel: Parcel, to: Recipient, sealed: bytes | None
    ) -> LastWord | None:
        """None when it was never tried."""
        if sealed is None:
            return None
        row = f"{parcel.trace}/{to.seq}"
        read = _EVIDENCE.decode(await self._open(tx, parcel.organisation, "delivery_recipient.evidence", row, sealed))
        outcome, code, enhanced, says, reply, host, tls_missing = read.result
        result = RecipientResult(
            to.address,
            repo.outcome(outcome),
            code,
            enhanced,
            says,
            reply=reply,
            host=host,
            tls_missing=tls_missing,
        )
        evidence = None
        if read.hop is not None:
            name, ip, version, cipher, verified_by, at, said = read.hop
            evidence = HopEvidence(name, ip, version, cipher, VerifiedBy(verified_by), at, said)
        return LastWord(result=result, evidence=evidence)

    async def _recipient(self, tx: Transaction, parcel: Parcel, row: repo.RecipientRow) -> Recipient:
        context, place = "delivery_recipient.details", f"{parcel.trace}/{row.seq}"
        read = _RECIPIENT.decode(await self._open(tx, parcel.organisation, context, place, row.details))
        return Recipient(
            seq=row.seq,
            address=EmailAddress.parse(read.address),
            least=LeastTls(read.least),
            notify=frozenset(read.notify),
            original=read.original,
            attempts=row.attempts,
            tls_missing=row.tls_missing,
        )

    async def _seal(
        self, tx: Transaction, organisation: OrganisationId, context: str, row: str, plaintext: bytes
    ) -> bytes:
        return await self.keys.seal_column(tx, organisation, context=context, row=row, plaintext=plaintext)

    async def _open(
        self, tx: Transaction, organisation: OrganisationId, context: str, row: str, sealed: bytes
    ) -> bytes:
        return await self.keys.open_column(tx, organisation, context=context, row=row, sealed=sealed)
