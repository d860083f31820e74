"""What all commands share: finding the settings, opening the rooms, telling what went wrong and what to do."""

import getpass
import json
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from carepost.base.errors import MailError

if TYPE_CHECKING:
    from carepost.app.areas import Areas
    from carepost.audit.model import Actor
    from carepost.infra.settings import Settings

Result = TypeVar("Result")

DEFAULT_CONFIG = Path("/etc/carepost/carepost.toml")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", envvar="CAREPOST_CONFIG", help="The settings file.", show_default=str(DEFAULT_CONFIG)),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def load_settings(config: Path | None) -> "Settings":
    """The settings file named, or the default one if it is there, or the defaults."""
    from carepost.infra.settings import load

    if config is None and DEFAULT_CONFIG.exists():
        config = DEFAULT_CONFIG
    return load(config)


def operator() -> "Actor":
    """Whoever types this, as the audit log names them."""
    from carepost.audit.model import Actor

    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return Actor.operator(name)


def with_areas(config: Path | None, work: "Callable[[Areas], Coroutine[Any, Any, Result]]") -> Result:
    """Open the rooms on the database, run `work`, close them again."""

    async def opened() -> Result:
        from carepost.app.areas import open_areas
        from carepost.app.storage import storage

        settings = load_settings(config)
        async with storage(settings) as dsns, open_areas(settings, dsns) as areas:
            return await work(areas)

    return run(opened())


def run(work: "Coroutine[Any, Any, Result]") -> "Result":
    """See it through to its end."""
    import asyncio

    return asyncio.run(work)


def show(value: object) -> None:
    """One JSON value on a line."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")


def complain(error: MailError) -> NoReturn:
    """What happened, in words, and exit code 1; details that help an operator follow in brackets."""
    details = ", ".join(f"{name}={value}" for name, value in error.private.items() if value is not None)
    sys.stderr.write(f"carepost: {error.public}{f' ({details})' if details else ''}\n")
    raise SystemExit(1)


def table(headings: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """Columns as wide as what is in them."""
    shown = [headings, *[tuple("" if cell is None else str(cell) for cell in row) for row in rows]]
    widths = [max(len(row[column]) for row in shown) for column in range(len(headings))]
    for number, row in enumerate(shown):
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if number == 0:
            say("  ".join("-" * width for width in widths))
