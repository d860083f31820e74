"""Changing mail at rest: append, copy, move, flag, expunge; UID and MODSEQ.

Promises
    UIDs of a folder only grow and are never used twice; MODSEQ grows with every change. RFC 9051 §2.3.1.1, RFC 7162.
    Whoever changes a folder holds its row; two folders are taken in the order of (mailbox, folder): no deadlocks.
    Whoever copies or removes mail then holds the keys to it: a copy that was made is never left without its key.
    What is expunged from a mailbox's last folder can no longer be opened by it: its key is destroyed in that commit.
    Moving or removing mail is in the audit log, by person, with counts and never with content (R51, R189).
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from carepost.audit.events_mail import MessagesExpunged, MessagesMoved
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.clock import Clock
from carepost.base.errors import NotPossible
from carepost.base.ids import FolderId, ObjectId, Uid
from carepost.infra import vault
from carepost.infra.db import Database, Transaction
from carepost.message.parse import parse
from carepost.message.summary import summarise
from carepost.message.words import search_text
from carepost.store import objects, repo
from carepost.store.keys import Keystore
from carepost.store.model import Flag, FlagsChanged, Laid, MailboxLike
from carepost.store.repo import FolderCounters

IN_THREAD_OCTETS = 32 << 10  # reading and sealing more than this can be made to take over 20 ms: not on the loop
ALL_FLAGS = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Filing:
    """Change what folders hold. The caller has asked `authorize()` already."""

    db: Database
    keys: Keystore
    audit: AuditTrail
    clock: Clock

    async def append(
        self,
        mailbox: MailboxLike,
        folder: FolderId,
        raw: bytes,
        *,
        flags: int = 0,
        keywords: Sequence[str] = (),
        internal_date: datetime | None = None,
    ) -> Laid:
        """Lay a message of the person's own into a folder; returns after COMMIT."""
        is_long = len(raw) > IN_THREAD_OCTETS
        prepared = await asyncio.to_thread(_prepare, mailbox, raw) if is_long else _prepare(mailbox, raw)
        at = self.clock.now()
        async with self.db.transaction(mailbox.organisation) as tx:
            held = await self.keys.mailbox(tx, mailbox)
            await objects.store_object(tx, prepared, at=at)
            wrapped = vault.wrap_key(held.key, _key_aad(mailbox, prepared.id), prepared.key)
            await repo.insert_object_keys(tx, mailbox.id, mailbox.organisation, [(prepared.id, wrapped)])
            counters = await _lock(tx, mailbox, folder)
            modseq = counters.highest_modseq + 1
            await repo.insert_message(
                tx,
                mailbox=mailbox.id,
                folder=folder,
                uid=counters.uidnext,
                organisation=mailbox.organisation,
                object=prepared.id,
                size=prepared.size,
                internal_date=internal_date or at,
                trace=None,
                flags=flags & ALL_FLAGS,
                keywords=sorted(set(keywords)),
                modseq=modseq,
            )
            change = {"uids": 1, "messages": 1, "unseen": 0 if flags & Flag.SEEN else 1, "octets": prepared.size}
            await repo.settle_folder(tx, mailbox.id, folder, modseq=modseq, **change)
            await _tell(tx, mailbox, folder, modseq)
        return Laid(mailbox.id, folder, counters.uidvalidity, Uid(counters.uidnext), modseq)

    async def set_flags(
        self,
        mailbox: MailboxLike,
        folder: FolderId,
        uids: Sequence[int],
        *,
        add: int = 0,
        remove: int = 0,
        add_keywords: Iterable[str] = (),
        remove_keywords: Iterable[str] = (),
        replace: bool = False,
        unchanged_since: int | None = None,
    ) -> FlagsChanged:
        """Add and remove flags, or with `replace` make them exactly `add` and `add_keywords`."""
        async with self.db.transaction(mailbox.organisation) as tx:
            counters = await _lock(tx, mailbox, folder)
            refused: list[Uid] = []
            if unchanged_since is not None:
                refused = await repo.changed_since(tx, mailbox.id, folder, uids, since=unchanged_since)
            modseq = counters.highest_modseq + 1
            changes = await repo.set_flags(
                tx,
                mailbox=mailbox.id,
                folder=folder,
                uids=list(uids),
                clear=ALL_FLAGS if replace else remove & ALL_FLAGS,
                set=add & ALL_FLAGS,
                replace=replace,
                add=sorted(set(add_keywords)),
                remove=sorted(set(remove_keywords)),
                unchanged_since=unchanged_since,
                modseq=modseq,
            )
            if changes:
                unseen = sum((before & 1) - (now.flags & 1) for now, before in changes)
                await repo.settle_folder(tx, mailbox.id, folder, modseq=modseq, unseen=unseen)
                await _tell(tx, mailbox, folder, modseq)
        return FlagsChanged(sorted((now for now, _ in changes), key=lambda now: now.uid), refused)

    async def expunge(
        self, actor: Actor, mailbox: MailboxLike, folder: FolderId, uids: Sequence[int] | None = None
    ) -> list[Uid]:
        """Remove messages for good; with `uids` None, those that carry \\Deleted. Returns what went, in order."""
        async with self.db.transaction(mailbox.organisation) as tx:
            counters = await _lock(tx, mailbox, folder)
            chosen = uids if uids is not None else await repo.deleted_uids(tx, mailbox.id, folder)
            gone = await self._remove(tx, mailbox, folder, counters, chosen)
            if not gone:
                return []
            await repo.shred(tx, mailbox.id, [object_id for _, object_id in gone])
            went = [uid for uid, _ in gone]
            event = MessagesExpunged(mailbox=mailbox.id, folder=folder, messages=len(went), uids=compact(went))
            await self.audit.record(tx, actor, event)
        return went

    async def replace_draft(self, mailbox: MailboxLike, folder: FolderId, uid: int) -> bool:
        """Take away an earlier version of a draft; False when it had gone already.

        Not recorded in the audit log: somebody who writes a letter deletes nothing.
        """
        async with self.db.transaction(mailbox.organisation) as tx:
            counters = await _lock(tx, mailbox, folder)
            gone = await self._remove(tx, mailbox, folder, counters, [uid])
            await repo.shred(tx, mailbox.id, [object_id for _, object_id in gone])
        return bool(gone)

    async def copy(
        self,
        mailbox: MailboxLike,
        folder: FolderId,
        uids: Sequence[int],
        *,
        to_mailbox: MailboxLike,
        to_folder: FolderId,
    ) -> tuple[int, list[tuple[Uid, Uid]]]:
        """Copy messages, flags included; (UIDVALIDITY of the target, [(uid, new uid)]). RFC 4315 §3."""
        _same_organisation(mailbox, to_mailbox)
        async with self.db.transaction(mailbox.organisation) as tx:
            counters = await _lock(tx, to_mailbox, to_folder)
            pairs = await self._copy(
                tx, mailbox, folder, uids, to_mailbox=to_mailbox, to_folder=to_folder, counters=counters
            )
        return counters.uidvalidity, pairs

    async def move(
        self,
        actor: Actor,
        mailbox: MailboxLike,
        folder: FolderId,
        uids: Sequence[int],
        *,
        to_mailbox: MailboxLike,
        to_folder: FolderId,
    ) -> tuple[int, list[tuple[Uid, Uid]]]:
        """Copy and remove in one commit: a message is never in no folder, and never left in both. RFC 6851."""
        _same_organisation(mailbox, to_mailbox)
        if (mailbox.id, folder) == (to_mailbox.id, to_folder):
            raise NotPossible("The messages are in that folder already.", code="CANNOT")
        async with self.db.transaction(mailbox.organisation) as tx:
            locked: dict[tuple[int, int], FolderCounters] = {}
            for place, where in sorted(
                [((mailbox.id, folder), mailbox), ((to_mailbox.id, to_folder), to_mailbox)], key=lambda pair: pair[0]
            ):
                locked[place] = await _lock(tx, where, FolderId(place[1]))
            target = locked[to_mailbox.id, to_folder]
            pairs = await self._copy(
                tx, mailbox, folder, uids, to_mailbox=to_mailbox, to_folder=to_folder, counters=target
            )
            if pairs:
                gone = await self._remove(tx, mailbox, folder, locked[mailbox.id, folder], [old for old, _ in pairs])
                if mailbox.id != to_mailbox.id:
                    await repo.shred(tx, mailbox.id, [object_id for _, object_id in gone])
                event = MessagesMoved(
                    mailbox=mailbox.id,
                    folder=folder,
                    to_mailbox=to_mailbox.id,
                    to_folder=to_folder,
                    messages=len(pairs),
                    uids=compact([old for old, _ in pairs]),
                )
                await self.audit.record(tx, actor, event)
        return target.uidvalidity, pairs

    async def _copy(
        self,
        tx: Transaction,
        mailbox: MailboxLike,
        folder: FolderId,
        uids: Sequence[int],
        *,
        to_mailbox: MailboxLike,
        to_folder: FolderId,
        counters: FolderCounters,
    ) -> list[tuple[Uid, Uid]]:
        modseq = counters.highest_modseq + 1
        wanted = await repo.objects_of(tx, mailbox.id, folder, uids)
        keys = await repo.hold_keys(tx, sorted({mailbox.id, to_mailbox.id}), wanted)
        copied = await repo.copy_messages(
            tx,
            objects=[object_id for holder, object_id in keys if holder == mailbox.id],
            mailbox=mailbox.id,
            folder=folder,
            uids=list(uids),
            to_mailbox=to_mailbox.id,
            to_folder=to_folder,
            organisation=mailbox.organisation,
            first_uid=counters.uidnext,
            modseq=modseq,
        )
        if not copied:
            return []
        if to_mailbox.id != mailbox.id:
            shared = {object_id: keys[mailbox.id, object_id] for _, _, object_id, _, _ in copied}
            await self._share_keys(tx, mailbox, to_mailbox, shared)
        unseen = sum(1 for *_, flags in copied if not flags & Flag.SEEN)
        change = {"unseen": unseen, "octets": sum(size for *_, size, _ in copied)}
        many = len(copied)
        await repo.settle_folder(tx, to_mailbox.id, to_folder, modseq=modseq, uids=many, messages=many, **change)
        await _tell(tx, to_mailbox, to_folder, modseq)
        return [(old, new) for old, new, *_ in copied]

    async def _share_keys(
        self, tx: Transaction, mailbox: MailboxLike, to_mailbox: MailboxLike, shared: Mapping[ObjectId, bytes]
    ) -> None:
        ours, theirs = await self.keys.mailbox(tx, mailbox), await self.keys.mailbox(tx, to_mailbox)
        wraps = []
        for object_id, wrapped in shared.items():
            key = vault.unwrap_key(ours.key, ours.intake_private, _key_aad(mailbox, object_id), wrapped)
            wraps.append((object_id, vault.wrap_key(theirs.key, _key_aad(to_mailbox, object_id), key)))
        await repo.insert_object_keys(tx, to_mailbox.id, to_mailbox.organisation, wraps)

    async def _remove(
        self,
        tx: Transaction,
        mailbox: MailboxLike,
        folder: FolderId,
        counters: FolderCounters,
        uids: Sequence[int],
    ) -> list[tuple[Uid, ObjectId]]:
        modseq = counters.highest_modseq + 1
        gone = await repo.remove_messages(
            tx,
            mailbox=mailbox.id,
            folder=folder,
            organisation=mailbox.organisation,
            uids=list(uids),
            modseq=modseq,
        )
        if gone:
            await repo.settle_folder(
                tx,
                mailbox.id,
                folder,
                modseq=modseq,
                messages=-len(gone),
                unseen=-sum(1 for *_, flags in gone if not flags & Flag.SEEN),
                octets=-sum(size for _, _, size, _ in gone),
            )
            await _tell(tx, mailbox, folder, modseq)
        return [(uid, object_id) for uid, object_id, *_ in gone]


def compact(uids: Sequence[int]) -> str:
    """UIDs as IMAP writes sets, "4:7,9", at most 500 characters: what the audit log keeps."""
    runs: list[list[int]] = []
    for uid in sorted(uids):
        if runs and uid == runs[-1][1] + 1:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    text = ",".join(str(low) if low == high else f"{low}:{high}" for low, high in runs)
    return text if len(text) <= 500 else text[:497].rpartition(",")[0] + ",…"


def _prepare(mailbox: MailboxLike, raw: bytes) -> objects.Prepared:
    message = parse(raw)
    return objects.prepare_object(mailbox.organisation, raw, summary=summarise(message), words=search_text(message))


def _same_organisation(one: MailboxLike, other: MailboxLike) -> None:
    if one.organisation != other.organisation:
        raise NotPossible(
            "Messages are not copied to another organisation's mailbox; send them instead.", code="CANNOT"
        )


async def _lock(tx: Transaction, mailbox: MailboxLike, folder: FolderId) -> FolderCounters:
    counters = await repo.lock_folder(tx, mailbox.id, folder)
    if counters is None:
        raise NotPossible("That folder no longer exists.", code="NONEXISTENT")
    return counters


async def _tell(tx: Transaction, mailbox: MailboxLike, folder: FolderId, modseq: int) -> None:
    await tx.notify("mail", f"{mailbox.id}:{folder}:{modseq}")


def _key_aad(mailbox: MailboxLike, object_id: ObjectId) -> bytes:
    return objects.object_key_aad(mailbox.organisation, mailbox.id, object_id)
