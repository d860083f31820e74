"""`carepost backup` and `restore`: copies, and the proof that they are whole."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carepost.base.clock import SystemClock
from carepost.base.errors import NotPossible
from carepost.cli import common
from carepost.cli.common import ConfigOption, JsonOption

if TYPE_CHECKING:
    from carepost.ops.restore import RestoreReport


def add_to(app: typer.Typer) -> None:
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    to: Annotated[Path, typer.Argument(help="The folder that backups go to.")],
    *,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Back up the embedded database, while the service runs or not. Keep the keys folder apart from it."""
    from carepost.app.recording import record_backup
    from carepost.app.storage import storage
    from carepost.ops.backup import BackupMade, Backups

    async def work() -> BackupMade:
        async with storage(common.load_settings(config)) as dsns:
            if dsns.embedded is None:
                raise NotPossible(
                    "The database is your own: back it up with PostgreSQL's tools, keystore apart from mail."
                )
            program = dsns.embedded.program("pg_dump")
            backups = Backups(dsn=dsns.embedded.dsn("postgres"), pg_dump=program, clock=SystemClock())
            made = await backups.make(to)
            await record_backup(dsns, SystemClock(), common.operator(), made)
            return made

    made = common.run(work())
    if json:
        common.show({"folder": str(made.folder), "octets": made.octets, "rows": made.rows, "seconds": made.seconds})
        return
    common.say(f"Backed up {made.rows} rows, {made.octets} octets, in {made.seconds:.1f} s: {made.folder}")
    common.say(f"Prove it: carepost restore --check {made.folder}")


def restore(
    backup_folder: Annotated[Path, typer.Argument(metavar="BACKUP", help="One backup's folder.")],
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Restore into a scratch database, compare, and remove it.")
    ] = False,
    to: Annotated[Path | None, typer.Option("--to", help="An empty data folder to go on from.")] = None,
    json: JsonOption = False,
) -> None:
    """Restore a backup, or prove with --check that it could be."""
    if check == (to is not None):
        raise NotPossible("Say either --check, to prove the backup, or --to FOLDER, to restore it.")
    if to is not None:
        report = common.run(_restore(backup_folder, to))
    else:
        with tempfile.TemporaryDirectory(prefix="carepost-check-") as scratch:
            Path(scratch).chmod(0o711)
            report = common.run(_restore(backup_folder, Path(scratch)))
    if json:
        common.show(
            {
                "whole": report.whole,
                "rows": report.rows,
                "objects": report.objects,
                "seconds": report.seconds,
                "faults": report.faults,
            }
        )
    else:
        for fault in report.faults:
            common.say(f"Fault: {fault}")
        words = "Whole" if report.whole else "NOT whole"
        common.say(f"{words}: {report.rows} rows and {report.objects} message bodies, in {report.seconds:.1f} s.")
    if not report.whole:
        raise SystemExit(1)


async def _restore(backup_folder: Path, to: Path) -> "RestoreReport":
    from carepost.infra.postgres import EmbeddedPostgres
    from carepost.ops.restore import restore_into

    async with EmbeddedPostgres(to / "database") as server:
        return await restore_into(backup_folder, server, SystemClock())
