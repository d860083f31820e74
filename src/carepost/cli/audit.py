"""`carepost audit`: proving that the record is whole."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carepost.cli import common
from carepost.cli.common import ConfigOption, JsonOption

if TYPE_CHECKING:
    from carepost.app.areas import Areas
    from carepost.audit.verify import AuditReport

audit = typer.Typer(no_args_is_help=True, help="The record of who did what.")


def add_to(app: typer.Typer) -> None:
    app.add_typer(audit, name="audit")


@audit.command("verify")
def audit_verify(
    *,
    notes: Annotated[Path | None, typer.Option(help="A folder with copies of checkpoints kept elsewhere.")] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Check every chain, every checkpoint's signature, and that nothing was cut off after one."""

    async def work(areas: "Areas") -> "AuditReport":
        return await areas.checkpoints.verify(areas.db, notes)

    report = common.with_areas(config, work)
    if json:
        common.show(
            {
                "whole": report.is_whole,
                "organisations": report.organisations,
                "entries": report.entries,
                "checkpoints": report.checkpoints,
                "faults": [str(fault) for fault in report.faults],
            }
        )
    else:
        for fault in report.faults:
            common.say(f"Fault: {fault}")
        words = "Whole" if report.is_whole else "NOT whole"
        common.say(
            f"{words}: {report.entries} entries of {report.organisations} organisations, "
            f"{report.checkpoints} signed checkpoints."
        )
    if not report.is_whole:
        raise SystemExit(1)


@audit.command("checkpoint")
def audit_checkpoint(config: ConfigOption = None) -> None:
    """Sign where every chain stands now."""

    async def work(areas: "Areas") -> str | None:
        return await areas.checkpoints.signing.sign()

    common.say(common.with_areas(config, work) or "Nothing has happened since the last checkpoint.")
