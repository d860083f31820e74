"""Opening what is kept of outgoing mail: for the release, for the sender's pages, for a recall. Needs the root key."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from carepost.base.address import EmailAddress
from carepost.base.errors import Broken, NotPossible
from carepost.base.ids import OrganisationId, OutgoingId, TraceId
from carepost.gateway.out import repo as out_repo
from carepost.gateway.out.outgoing import Answer, Choice, OutgoingQuestion, OutgoingRecipient, OutgoingRow
from carepost.gateway.out.repo import StoredOutgoing, StoredQuestion, StoredRecipient
from carepost.gateway.out.seal import (
    OutDetails,
    OutOutcome,
    OutQuestionDetails,
    OutRecipientDetails,
    key_aad,
    message_aad,
    outcome_aad,
    question_aad,
    reason_aad,
    recipient_aad,
)
from carepost.infra.db import Database, Transaction
from carepost.store.keys import Keystore
from carepost.store.objects import open_body
from carepost.store.sent import KnownObject

_IN_LINE = 64 << 10
_NO_BODY = "This message is no longer kept here. Its copy in Sent, if there is one, can be sent anew."

_DETAILS = msgspec.msgpack.Decoder(OutDetails)
_RECIPIENT = msgspec.msgpack.Decoder(OutRecipientDetails)
_OUTCOME = msgspec.msgpack.Decoder(OutOutcome)
_QUESTION = msgspec.msgpack.Decoder(OutQuestionDetails)
_TEXT = msgspec.msgpack.Decoder(str)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRecipient:
    row: StoredRecipient
    address: EmailAddress
    details: OutRecipientDetails
    outcome: OutOutcome | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    db: Database
    keys: Keystore

    async def details(self, tx: Transaction, organisation: OrganisationId, row: StoredOutgoing) -> OutDetails:
        aad = message_aad(organisation, row.trace)
        return _DETAILS.decode(await self.keys.open_intake(tx, organisation, aad=aad, sealed=row.details))

    async def recipients(
        self, tx: Transaction, organisation: OrganisationId, trace: TraceId, rows: Sequence[StoredRecipient]
    ) -> list[OpenRecipient]:
        found = []
        for row in rows:
            aad = recipient_aad(organisation, trace, row.seq)
            details = _RECIPIENT.decode(await self.keys.open_intake(tx, organisation, aad=aad, sealed=row.details))
            outcome = None
            if row.outcome is not None:
                aad = outcome_aad(organisation, trace, row.seq)
                outcome = _OUTCOME.decode(await self.keys.open_intake(tx, organisation, aad=aad, sealed=row.outcome))
            address = EmailAddress.parse(details.address)
            found.append(OpenRecipient(row=row, address=address, details=details, outcome=outcome))
        return found

    async def questions(
        self, tx: Transaction, organisation: OrganisationId, trace: TraceId, rows: Sequence[StoredQuestion]
    ) -> list[OutgoingQuestion]:
        found = []
        for row in rows:
            aad = question_aad(organisation, trace, row.card)
            details = _QUESTION.decode(await self.keys.open_intake(tx, organisation, aad=aad, sealed=row.details))
            question = details.question(row.card, row.version, unsure=row.unsure)
            answer = None
            if row.choice is not None:
                reason = ""
                if row.reason is not None:
                    aad = reason_aad(organisation, trace, row.card)
                    reason = _TEXT.decode(await self.keys.open_intake(tx, organisation, aad=aad, sealed=row.reason))
                answer = Answer(row.card, Choice(row.choice), question.fingerprint, reason)
            found.append(
                OutgoingQuestion(
                    number=row.number,
                    question=question,
                    asked_at=row.asked_at,
                    answer=answer,
                    answered_at=row.answered_at,
                )
            )
        return found

    async def known(self, tx: Transaction, organisation: OrganisationId, row: StoredOutgoing) -> KnownObject:
        """Its object with the key. Raises NotPossible when nobody can open it from here any more."""
        if row.object is None or row.wrapped is None:
            raise NotPossible(_NO_BODY)
        aad = key_aad(organisation, row.object)
        key = await self.keys.open_intake(tx, organisation, aad=aad, sealed=row.wrapped)
        return KnownObject(organisation=organisation, id=row.object, key=key, size=row.size)

    async def raw(self, organisation: OrganisationId, known: KnownObject) -> bytes:
        """The message as it was handed in. Raises Broken, DoesNotOpen."""
        async with self.db.transaction(organisation) as tx:
            stored = await out_repo.body(tx, organisation, known.id)
        if stored is None:
            raise Broken("the body of a message that waits is not in the store")
        sealed, digest = stored
        if known.size <= _IN_LINE:
            return open_body(known.key, organisation, known.id, sealed, digest)
        return await asyncio.to_thread(open_body, known.key, organisation, known.id, sealed, digest)

    async def rows(
        self, tx: Transaction, organisation: OrganisationId, stored: Sequence[StoredOutgoing], *, questions: bool
    ) -> list[OutgoingRow]:
        """Messages with everything that a page shows of them."""
        ids = [one.id for one in stored]
        recipients = await out_repo.recipients(tx, organisation, ids)
        asked = await out_repo.questions(tx, organisation, ids) if questions else {}
        return [
            await self._row(tx, organisation, one, recipients.get(one.id, []), asked.get(one.id, [])) for one in stored
        ]

    async def _row(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        one: StoredOutgoing,
        recipients: Sequence[StoredRecipient],
        asked: Sequence[StoredQuestion],
    ) -> OutgoingRow:
        details = await self.details(tx, organisation, one)
        opened = await self.recipients(tx, organisation, one.trace, recipients)
        return OutgoingRow(
            id=one.id,
            trace=one.trace,
            mailbox=one.mailbox,
            person=one.person,
            door=one.door,
            state=one.state,
            subject=details.subject,
            submitted_at=one.submitted_at,
            release_at=one.release_at,
            settled_at=one.settled_at,
            recipients=tuple(shown(each) for each in opened),
            questions=tuple(await self.questions(tx, organisation, one.trace, asked)),
        )


def shown(one: OpenRecipient) -> OutgoingRecipient:
    row = one.row
    return OutgoingRecipient(
        seq=row.seq,
        address=one.address,
        route=row.route,
        state=row.state,
        says=one.outcome.says if one.outcome is not None else one.details.says,
        card=row.card,
        changed_at=row.changed_at,
        opened_at=row.opened_at,
        noticed_at=row.noticed_at,
        delayed=row.delayed_at is not None,
        cleared=row.cleared_at is not None,
    )


async def locked(tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId) -> StoredOutgoing:
    """Raises NotPossible when there is none."""
    row = await out_repo.lock(tx, organisation, outgoing)
    if row is None:
        raise NotPossible("There is no such message.")
    return row
