"""Checkpoints, signed every few minutes: what shows that the end of a record was cut off or its history rewritten.

Promises
    A checkpoint is kept in the database and, as a file, outside it. Whoever shortens a chain and winds its head back
    also has to unsign a note that they do not have the key for (A2). Send the files where administrators cannot
    reach them: that is the witness.
    Nothing is signed when nothing has happened since.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from carepost.audit import repo
from carepost.audit.chain import Head
from carepost.audit.events import CheckpointSigned
from carepost.audit.model import PLATFORM, Actor
from carepost.audit.note import CheckpointSigner
from carepost.audit.record import AuditTrail
from carepost.base.clock import Clock
from carepost.base.errors import Broken, NotPossible
from carepost.infra.db import Database

_KEY_BYTES = 32
_JOB = Actor.job("checkpoint")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointPolicy:
    # What happens within five minutes can be cut off unseen, and no more (A2).
    every: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoints:
    db: Database
    audit: AuditTrail
    clock: Clock
    signer: CheckpointSigner
    folder: Path  # where the file copies go; existing ones are never changed

    async def sign(self) -> str | None:
        """Sign where every chain stands now; None when nothing has happened since the last one."""
        heads = await self._heads()
        entries = sum(head.seq for head in heads)
        async with self.db.transaction(PLATFORM) as tx:
            last = await repo.latest_checkpoint(tx)
            # The entry that records the last checkpoint is not news.
            if last is not None and entries <= last.entries + 1:
                return None
            now = self.clock.now()
            note = self.signer.sign(heads)
            await repo.insert_checkpoint(tx, at=now, entries=entries, note=note)
            await self.audit.record(tx, _JOB, CheckpointSigned(entries=entries, organisations=len(heads)))
        name = f"{now.strftime('%Y%m%dT%H%M%S')}-{entries}.note"
        await asyncio.to_thread(_write_once, self.folder, name, note)
        return note

    async def _heads(self) -> Sequence[Head]:
        heads: list[Head] = []
        async with self.db.transaction() as tx:
            for organisation in await repo.chained_organisations(tx):
                await tx.act_for(organisation)
                head = await repo.head_of(tx, organisation)
                if head is not None:
                    heads.append(head)
        return heads


def load_or_make_key(path: Path) -> bytes:
    """The signing key from its file; made, readable by us alone, if there is none. Raises Broken when it is damaged."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = CheckpointSigner.new_key()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        return key
    if len(key) != _KEY_BYTES:
        raise Broken("The signing key of checkpoints is damaged: it must be 32 bytes.", path=str(path))
    return key


def read_notes(folder: Path) -> list[str]:
    """The file copies, oldest first."""
    return [path.read_text("utf-8") for path in sorted(folder.glob("*.note"))]


def _write_once(folder: Path, name: str, note: str) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    try:
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    except FileExistsError as error:
        raise NotPossible("A checkpoint of this moment was written already.") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(note)
        file.flush()
        os.fsync(file.fileno())
