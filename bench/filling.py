"""A large mailbox, filled through the store's own statements many messages at a time: the same rows, fewer commits."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bench.corpus import Corpus
from bench.world import Member
from carepost.app.areas import Areas
from carepost.base.ids import FolderId
from carepost.infra import vault
from carepost.message.parse import parse
from carepost.message.summary import Summary, summarise
from carepost.message.words import search_text
from carepost.store import objects, repo
from carepost.store.model import MailboxLike

DISTINCT = 2_000  # letters that are made; each is stored again and again under keys of its own
SHRINK = 20  # documents a twentieth of those of the SMTP corpus: about 25 kB a letter, as in the peers' mailbox
_BATCH = 500
_FIRST = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ready:
    raw: bytes
    summary: Summary
    words: str


def letters(count: int = DISTINCT) -> list[bytes]:
    corpus = Corpus(shrink=SHRINK)
    return [corpus.letter(number).raw for number in range(count)]


async def fill(areas: Areas, person: Member, count: int) -> dict[str, float]:
    """Lay `count` messages into the inbox, fold the search index, and say what that took."""
    ready = []
    for raw in letters(min(count, DISTINCT)):
        message = parse(raw)
        ready.append(Ready(raw, summarise(message), search_text(message)))
    (mailbox,) = [
        access.mailbox for access in await areas.directory.look.mailboxes_of(person.organisation, person.person)
    ]
    inbox = await areas.store.folders.named(mailbox, "INBOX")
    if inbox is None:
        raise RuntimeError("the mailbox has no inbox")
    began = time.monotonic()
    for start in range(0, count, _BATCH):
        batch = [ready[n % len(ready)] for n in range(start, min(start + _BATCH, count))]
        await _lay(areas, mailbox, inbox.id, batch, first=start)
    laid = time.monotonic()
    while await areas.store.search.fold(mailbox):
        pass
    async with areas.db.transaction(person.organisation) as tx:
        row = await tx.one(
            "SELECT coalesce(sum(octet_length(sealed)), 0) AS octets FROM search_segment WHERE mailbox_id = %(mailbox)s",
            {"mailbox": mailbox.id},
        )
    folded = time.monotonic()
    return {
        "filled_a_second": count / (laid - began),
        "folded_a_second": count / (folded - laid),
        "index_octets_a_message": int(row["octets"]) / count,
        "raw_octets": sum(len(one.raw) for one in ready) / len(ready),
    }


async def _lay(areas: Areas, mailbox: MailboxLike, folder: FolderId, batch: Sequence[Ready], *, first: int) -> None:
    at = areas.clock.now()
    prepared = [
        objects.prepare_object(mailbox.organisation, one.raw, summary=one.summary, words=one.words) for one in batch
    ]
    async with areas.db.transaction(mailbox.organisation) as tx:
        held = await areas.store.keys.mailbox(tx, mailbox)
        await tx.many(repo.SQL["insert_object"], [_object(one, at) for one in prepared])
        wraps = [
            (
                one.id,
                vault.wrap_key(held.key, objects.object_key_aad(mailbox.organisation, mailbox.id, one.id), one.key),
            )
            for one in prepared
        ]
        await repo.insert_object_keys(tx, mailbox.id, mailbox.organisation, wraps)
        counters = await repo.lock_folder(tx, mailbox.id, folder)
        if counters is None:
            raise RuntimeError("the inbox has gone")
        modseq = counters.highest_modseq + 1
        rows = [
            {
                "mailbox": mailbox.id,
                "folder": folder,
                "uid": counters.uidnext + n,
                "organisation": mailbox.organisation,
                "object": one.id,
                "size": one.size,
                "internal_date": _FIRST + timedelta(seconds=300 * (first + n)),
                "trace": None,
                "flags": (first + n) % 10 and 1,  # nine of ten are read
                "keywords": [],
                "modseq": modseq,
            }
            for n, one in enumerate(prepared)
        ]
        await tx.many(repo.SQL["insert_message"], rows)
        await repo.settle_folder(
            tx,
            mailbox.id,
            folder,
            modseq=modseq,
            uids=len(batch),
            messages=len(batch),
            unseen=sum(1 for row in rows if not row["flags"]),
            octets=sum(one.size for one in prepared),
        )


def _object(one: objects.Prepared, at: datetime) -> dict[str, object]:
    return {
        "organisation": one.organisation,
        "object": one.id,
        "size": one.size,
        "summary": one.summary,
        "sealed": one.sealed,
        "digest": one.digest,
        "words": one.words,
        "at": at,
    }
