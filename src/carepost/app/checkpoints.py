"""Signing and checking the record, with the key and the folder that the settings name."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from carepost.audit.checkpoint import Checkpoints, load_or_make_key, read_notes
from carepost.audit.note import CheckpointSigner, CheckpointVerifier
from carepost.audit.record import AuditTrail
from carepost.audit.verify import AuditReport, verify
from carepost.base.clock import Clock
from carepost.infra.db import Database
from carepost.infra.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRoom:
    signing: Checkpoints
    verifier: CheckpointVerifier
    folder: Path

    async def verify(self, db: Database, notes: Path | None = None) -> AuditReport:
        """Check the whole record against our own copies of checkpoints, or a witness's."""
        copies = await asyncio.to_thread(read_notes, notes or self.folder)
        return await verify(db, self.verifier, notes=copies)


def checkpoint_room(settings: Settings, db: Database, audit: AuditTrail, clock: Clock) -> CheckpointRoom:
    folder = settings.path(settings.audit.checkpoint_folder)
    key = load_or_make_key(settings.path(settings.keys.folder) / "checkpoint.key")
    signer = CheckpointSigner(f"{settings.service.hostname}/audit", key)
    return CheckpointRoom(
        signing=Checkpoints(db=db, audit=audit, clock=clock, signer=signer, folder=folder),
        verifier=signer.verifier,
        folder=folder,
    )
