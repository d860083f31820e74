"""Restoring: into a scratch database to prove a backup, or into an empty data folder to go on from it.

Promises
    `check` opens a copy and compares: files by digest, rows by table, every body by its digest, the audit chains.
    Nothing that exists is overwritten.
    What is restored can be gone on from: folders have a new UIDVALIDITY, and nobody is signed in.
"""

from dataclasses import dataclass, field
from pathlib import Path

from carepost.base.clock import Clock
from carepost.base.errors import NotPossible
from carepost.infra import dumps
from carepost.infra.migrate import bootstrap
from carepost.infra.postgres import DATABASE, EmbeddedPostgres
from carepost.ops.backup import KEYSTORE, MAIL, read_manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreReport:
    """What was found. `faults` are sentences; an empty list means the copy is whole."""

    rows: int
    objects: int
    seconds: float
    faults: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        return not self.faults


async def restore_into(backup: Path, server: EmbeddedPostgres, clock: Clock) -> RestoreReport:
    """Restore into a started, empty server and compare with the manifest. Raises NotPossible when it is not empty."""
    began = clock.now()
    manifest = read_manifest(backup)
    faults = [
        f"{name} is not the file that was written: its digest differs."
        for name, digest in manifest["files"].items()
        if not (backup / name).exists() or dumps.digest_of(backup / name) != digest
    ]
    if faults:
        return RestoreReport(rows=0, objects=0, seconds=0.0, faults=faults)
    if server.binaries is None:
        raise NotPossible("The database to restore into is not running.")
    await bootstrap(server.dsn("postgres", database="postgres"))
    dsn = server.dsn("postgres", database=DATABASE)
    before, _ = await dumps.census_or_nothing(dsn)
    if before:
        raise NotPossible("There is a database in that folder already. Restore into an empty folder.")
    program = server.binaries.program("pg_restore")
    await dumps.restore(program, dsn, backup / MAIL)
    await dumps.restore(program, dsn, backup / KEYSTORE)
    rows, heads = await dumps.census(dsn)
    faults += [
        f"{table} holds {rows.get(table, 0)} rows; the backup says {count}."
        for table, count in manifest["rows"].items()
        if rows.get(table, 0) != count
    ]
    if heads != manifest["audit_heads"]:
        faults.append("The heads of the audit chains are not those of the backup.")
    if damaged := await dumps.damaged_objects(dsn):
        faults.append(f"{damaged} message bodies are not the bytes that were written.")
    await dumps.begin_anew(dsn)
    return RestoreReport(
        rows=sum(rows.values()),
        objects=rows.get("public.object", 0),
        seconds=(clock.now() - began).total_seconds(),
        faults=faults,
    )
