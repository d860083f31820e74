"""Objects: message bodies sealed once for an organisation, whoever of its mailboxes holds them.

Promises
    A message to two hundred mailboxes of an organisation is sealed and stored once; each mailbox gets a key to it.
    The role that faces port 25 can prepare and lay in, and can open nothing of what it laid in.
    Mailboxes are laid into in the order of their numbers, so two messages to the same people never deadlock.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import zstandard

from carepost.base.errors import Broken
from carepost.base.ids import MailboxId, ObjectId, OrganisationId, TraceId, new_object_id
from carepost.infra import vault
from carepost.infra.db import Transaction
from carepost.message.summary import Summary, decode, encode
from carepost.store import repo
from carepost.store.model import Laid, SpecialUse

_SUMMARY = b"carepost summary"
_WORDS = b"carepost words"
# Wrapping a key for a mailbox takes 0.1 ms; for more mailboxes than these it is done in a thread.
IN_LINE_DELIVERIES = 50
WORDS_BYTES_MAX = 1 << 20  # of text of one message that the search index looks at, before compression


@dataclass(frozen=True, slots=True)
class Prepared:
    """A message sealed and ready to be stored. Holds its key: lives in memory only."""

    id: ObjectId
    organisation: OrganisationId
    key: bytes
    size: int
    summary: bytes
    sealed: bytes
    digest: bytes
    words: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """One mailbox that shall hold the message."""

    mailbox: MailboxId
    intake_public: bytes
    special_use: SpecialUse = SpecialUse.INBOX
    keywords: tuple[str, ...] = ()


def prepare_object(organisation: OrganisationId, raw: bytes, *, summary: Summary, words: str) -> Prepared:
    """Seal a message for an organisation under a fresh key. CPU only: a few ms a megabyte."""
    object_id, key = new_object_id(), vault.new_key()
    sealed = vault.seal_object(key, _body_aad(organisation, object_id), raw)
    text = zstandard.ZstdCompressor(level=1).compress(words.encode("utf-8", "replace")[:WORDS_BYTES_MAX])
    return Prepared(
        id=object_id,
        organisation=organisation,
        key=key,
        size=len(raw),
        summary=vault.seal_small(key, _SUMMARY, _body_aad(organisation, object_id), encode(summary)),
        sealed=sealed,
        digest=hashlib.sha256(sealed).digest(),
        words=vault.seal_small(key, _WORDS, _body_aad(organisation, object_id), text),
    )


async def store_object(tx: Transaction, prepared: Prepared, *, at: datetime) -> None:
    """Write the sealed message. Nobody can read it until a key is given to some mailbox or to quarantine."""
    await repo.insert_object(
        tx,
        organisation=prepared.organisation,
        object=prepared.id,
        size=prepared.size,
        summary=prepared.summary,
        sealed=prepared.sealed,
        digest=prepared.digest,
        words=prepared.words,
        at=at,
    )


async def lay_in(
    tx: Transaction, prepared: Prepared, deliveries: Sequence[Delivery], *, trace: TraceId | None, at: datetime
) -> list[Laid]:
    """Give each mailbox the stored object. Part of the caller's transaction; raises Broken when a folder is missing."""
    wraps = await _wraps(prepared.organisation, prepared.id, prepared.key, deliveries)
    return await _lay_in(tx, prepared.organisation, prepared.id, prepared.size, wraps, trace=trace, at=at)


async def give_out(
    tx: Transaction, prepared: Prepared, deliveries: Sequence[Delivery], *, trace: TraceId | None, at: datetime
) -> None:
    """As `lay_in`, for who needs no UIDs: in a pipeline it costs no round trip, and Broken is raised at its end."""
    for to, wrapped in await _wraps(prepared.organisation, prepared.id, prepared.key, deliveries):
        await repo.lay_in_blindly(
            tx,
            **_columns(to, prepared.organisation, prepared.id, prepared.size, wrapped, trace=trace, at=at),
            otherwise=partial(_no_folder, to),
        )


async def lay_in_stored(
    tx: Transaction,
    organisation: OrganisationId,
    object_id: ObjectId,
    *,
    key: bytes,
    size: int,
    deliveries: Sequence[Delivery],
    trace: TraceId | None,
    at: datetime,
) -> list[Laid]:
    """As `lay_in`, for an object that is stored already: what a release from quarantine does.

    A mailbox may hold the object by now, copied there by a colleague who got it at once.
    """
    wraps = await _wraps(organisation, object_id, key, deliveries)
    laid = await _lay_in(tx, organisation, object_id, size, wraps, trace=trace, at=at)
    for to, wrapped in wraps:
        await repo.insert_object_keys(tx, to.mailbox, organisation, [(object_id, wrapped)])
    return laid


async def _wraps(
    organisation: OrganisationId, object_id: ObjectId, key: bytes, deliveries: Sequence[Delivery]
) -> list[tuple[Delivery, bytes]]:
    ordered = sorted(deliveries, key=lambda delivery: delivery.mailbox)
    intakes = [(to.intake_public, object_key_aad(organisation, to.mailbox, object_id)) for to in ordered]
    many = len(intakes) > IN_LINE_DELIVERIES
    sealed = await asyncio.to_thread(vault.seal_to_each, intakes, key) if many else vault.seal_to_each(intakes, key)
    return list(zip(ordered, sealed, strict=True))


async def _lay_in(
    tx: Transaction,
    organisation: OrganisationId,
    object_id: ObjectId,
    size: int,
    wraps: Sequence[tuple[Delivery, bytes]],
    *,
    trace: TraceId | None,
    at: datetime,
) -> list[Laid]:
    laid = []
    for to, wrapped in wraps:
        where = await repo.lay_in(tx, **_columns(to, organisation, object_id, size, wrapped, trace=trace, at=at))
        if where is None:
            raise _no_folder(to)
        laid.append(where)
    return laid


def _columns(
    to: Delivery,
    organisation: OrganisationId,
    object_id: ObjectId,
    size: int,
    wrapped: bytes,
    *,
    trace: TraceId | None,
    at: datetime,
) -> dict[str, Any]:
    return {
        "mailbox": to.mailbox,
        "organisation": organisation,
        "object": object_id,
        "special_use": to.special_use.value,
        "wrapped": wrapped,
        "size": size,
        "flags": 0,
        "keywords": list(to.keywords),
        "trace": trace,
        "at": at,
    }


def _no_folder(to: Delivery) -> Broken:
    return Broken("A mailbox has no folder to lay mail into.", mailbox=to.mailbox, use=to.special_use)


def open_body(key: bytes, organisation: OrganisationId, object_id: ObjectId, sealed: bytes, digest: bytes) -> bytes:
    """The message as received. Raise DoesNotOpen when the stored bytes are not those that were written (C10)."""
    if hashlib.sha256(sealed).digest() != digest:
        raise vault.DoesNotOpen("This message is damaged on disk. Restore it from a backup; it was not shown.")
    return vault.open_object(key, _body_aad(organisation, object_id), sealed)


def open_summary(key: bytes, organisation: OrganisationId, object_id: ObjectId, sealed: bytes) -> Summary:
    return decode(vault.open_small(key, _SUMMARY, _body_aad(organisation, object_id), sealed))


def open_words(key: bytes, organisation: OrganisationId, object_id: ObjectId, sealed: bytes) -> str:
    packed = vault.open_small(key, _WORDS, _body_aad(organisation, object_id), sealed)
    return (
        zstandard.ZstdDecompressor().decompress(packed, max_output_size=WORDS_BYTES_MAX + 4).decode("utf-8", "replace")
    )


def object_key_aad(organisation: OrganisationId, mailbox: MailboxId, object_id: ObjectId) -> bytes:
    return vault.bound("object key", organisation, mailbox, object_id)


def _body_aad(organisation: OrganisationId, object_id: ObjectId) -> bytes:
    return vault.bound("object", organisation, object_id)
