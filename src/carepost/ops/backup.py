"""Backups: two dumps of one instant, and a manifest that lets a copy be proved whole.

Promises
    A backup is complete when its manifest is there: it is written last, and synced.
    Nothing in it can be read without the root key, which is never in it: keep the keys folder elsewhere.
    The keystore is a file of its own: keep it for days, the mail for as long as you like. What was deleted for good
    comes back only as long as somebody keeps an older keystore file.
"""

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from carepost import __version__
from carepost.base.clock import Clock
from carepost.base.errors import NotPossible
from carepost.infra import dumps

MAIL, KEYSTORE, MANIFEST = "mail.dump", "keystore.dump", "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupMade:
    folder: Path
    octets: int
    seconds: float
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Backups:
    """Makes backups of the embedded database. `dsn` is the superuser's, who sees behind row-level security."""

    dsn: str
    pg_dump: str
    clock: Clock

    async def make(self, into: Path) -> BackupMade:
        """A new folder under `into`, named by the time. Raises NotPossible when it cannot be written."""
        began = self.clock.now()
        folder = into / began.strftime("%Y-%m-%dT%H%M%S.%fZ")
        try:
            folder.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise NotPossible(f"The backup cannot be written to {folder}: {error.strerror}.") from error
        async with dumps.snapshot(self.dsn) as instant:
            files = {
                MAIL: await dumps.dump(
                    self.pg_dump,
                    self.dsn,
                    folder / MAIL,
                    snapshot_name=instant.name,
                    arguments=["--exclude-schema=keystore", "--compress=0"],
                ),
                KEYSTORE: await dumps.dump(
                    self.pg_dump,
                    self.dsn,
                    folder / KEYSTORE,
                    snapshot_name=instant.name,
                    arguments=["--schema=keystore"],
                ),
            }
        _write_manifest(folder, began, instant, files)
        octets = sum((folder / name).stat().st_size for name in (MAIL, KEYSTORE, MANIFEST))
        seconds = (self.clock.now() - began).total_seconds()
        return BackupMade(folder=folder, octets=octets, seconds=seconds, rows=sum(instant.counts.values()))


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a backup says of itself. Raises NotPossible when it is incomplete or not one."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise NotPossible(f"{folder} is not a complete backup: its manifest is missing or damaged.") from error
    return manifest


def _write_manifest(folder: Path, at: datetime, instant: dumps.Snapshot, files: dict[str, str]) -> None:
    manifest = {
        "carepost": __version__,
        "at": at.isoformat(),
        "files": files,
        "rows": instant.counts,
        "audit_heads": instant.heads,
    }
    fresh = folder / f"{MANIFEST}.new"
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(folder / MANIFEST)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
