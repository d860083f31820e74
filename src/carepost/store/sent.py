"""What the outbound walk does with mailboxes: the Sent copy, the draft that an undone message becomes, taking back.

Promises
    Everything is part of the caller's transaction, and is told to whoever looks at the mailbox.
    Folders are taken in the order of their numbers, and their keys after them: no deadlocks (filing.py).
    What is taken back from a mailbox can no longer be opened by it: its key goes in the same commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from carepost.base.errors import Broken
from carepost.base.ids import FolderId, MailboxId, ObjectId, OrganisationId, TraceId, Uid
from carepost.infra import vault
from carepost.infra.db import Transaction
from carepost.store import repo
from carepost.store.model import Flag, Laid, SpecialUse
from carepost.store.objects import object_key_aad


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownObject:
    """An object that is stored already, and its key."""

    organisation: OrganisationId
    id: ObjectId
    key: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Target:
    mailbox: MailboxId
    intake_public: bytes


class TakenBack(StrEnum):
    REMOVED = "removed"
    READ = "read"  # and left where it is
    GONE = "gone"  # not in any folder any more


async def lay_in_own(
    tx: Transaction,
    known: KnownObject,
    to: Target,
    *,
    special_use: SpecialUse,
    flags: int,
    trace: TraceId | None,
    at: datetime,
) -> Laid:
    """A message of our own people, into Sent or Drafts. Raises Broken when there is no such folder."""
    aad = object_key_aad(known.organisation, to.mailbox, known.id)
    laid = await repo.lay_in(
        tx,
        mailbox=to.mailbox,
        organisation=known.organisation,
        object=known.id,
        special_use=special_use.value,
        wrapped=vault.seal_to(to.intake_public, aad, known.key),
        size=known.size,
        flags=flags,
        keywords=[],
        trace=trace,
        at=at,
    )
    if laid is None:
        raise Broken("A mailbox has no folder for its own mail.", mailbox=to.mailbox, use=special_use)
    return laid


async def back_to_drafts(tx: Transaction, known: KnownObject, to: Target, trace: TraceId, *, at: datetime) -> Laid:
    """The Sent copy becomes a draft again; one that never was in Sent is laid into Drafts."""
    places = {one.special_use: one.id for one in await repo.folders(tx, to.mailbox)}
    sent = await repo.find_by_trace(tx, to.mailbox, trace)
    drafts = places.get(SpecialUse.DRAFTS)
    for folder in sorted({folder for folder, _ in sent} | ({drafts} if drafts is not None else set())):
        await repo.lock_folder(tx, to.mailbox, folder)
    laid = await lay_in_own(
        tx, known, to, special_use=SpecialUse.DRAFTS, flags=Flag.SEEN | Flag.DRAFT, trace=None, at=at
    )
    await _remove(tx, known.organisation, to.mailbox, sent)
    return laid


async def take_back(
    tx: Transaction,
    organisation: OrganisationId,
    mailbox: MailboxId,
    trace: TraceId,
    *,
    sent_object: ObjectId | None,
) -> TakenBack:
    """Remove the copy that came by this walk, if nobody has read it. A Sent copy in the same mailbox is left alone."""
    sent = {one.id for one in await repo.folders(tx, mailbox) if one.special_use is SpecialUse.SENT}
    places = [place for place in await repo.find_by_trace(tx, mailbox, trace) if place[0] not in sent]
    rows = []
    for folder in sorted({folder for folder, _ in places}):
        await repo.lock_folder(tx, mailbox, folder)
        uids = [uid for where, uid in places if where == folder]
        rows += [(folder, row) for row in await repo.rows_of(tx, mailbox, folder, uids)]
    copies = [(folder, row) for folder, row in rows if row.object != sent_object]
    if not copies:
        return TakenBack.GONE
    if any(row.flags & Flag.SEEN for _, row in copies):
        return TakenBack.READ
    await _remove(tx, organisation, mailbox, [(folder, row.uid) for folder, row in copies])
    return TakenBack.REMOVED


async def mark_answered(tx: Transaction, mailbox: MailboxId, folder: FolderId, uid: int) -> None:
    """\\Answered on what a message answers, if it is still there. RFC 9051 §2.3.2."""
    counters = await repo.lock_folder(tx, mailbox, folder)
    if counters is None:
        return
    modseq = counters.highest_modseq + 1
    changed = await repo.set_flags(
        tx,
        mailbox=mailbox,
        folder=folder,
        uids=[uid],
        clear=0,
        set=Flag.ANSWERED,
        replace=False,
        add=[],
        remove=[],
        unchanged_since=None,
        modseq=modseq,
    )
    if changed:
        await repo.settle_folder(tx, mailbox, folder, modseq=modseq)
        await tx.notify("mail", f"{mailbox}:{folder}:{modseq}")


async def _remove(
    tx: Transaction, organisation: OrganisationId, mailbox: MailboxId, places: Sequence[tuple[FolderId, Uid]]
) -> None:
    """The folders are locked by the caller."""
    gone: list[ObjectId] = []
    for folder in sorted({folder for folder, _ in places}):
        counters = await repo.lock_folder(tx, mailbox, folder)
        if counters is None:
            continue
        modseq = counters.highest_modseq + 1
        uids = [uid for where, uid in places if where == folder]
        removed = await repo.remove_messages(
            tx, mailbox=mailbox, folder=folder, organisation=organisation, uids=uids, modseq=modseq
        )
        if not removed:
            continue
        await repo.settle_folder(
            tx,
            mailbox,
            folder,
            modseq=modseq,
            messages=-len(removed),
            unseen=-sum(1 for *_, flags in removed if not flags & Flag.SEEN),
            octets=-sum(size for _, _, size, _ in removed),
        )
        await tx.notify("mail", f"{mailbox}:{folder}:{modseq}")
        gone += [object_id for _, object_id, _, _ in removed]
    if gone:
        await repo.shred(tx, mailbox, gone)
