"""`carepost serve`, `demo`, `migrate`, `doctor`, `dns` and `config`: running the service."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from carepost.cli import common
from carepost.cli.common import ConfigOption, JsonOption


class Half(StrEnum):
    PRE = "pre"
    POST = "post"
    ALL = "all"


config_commands = typer.Typer(no_args_is_help=True, help="Settings.")


def add_to(app: typer.Typer) -> None:
    app.command("serve")(serve)
    app.command("demo")(demo)
    app.command("migrate")(migrate)
    app.command("doctor")(doctor)
    app.command("dns")(dns)
    app.add_typer(config_commands, name="config")


def serve(
    role: Annotated[
        list[str] | None, typer.Option(help="Only this role: relay, or access. Give it again for more.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Run the service in the foreground until SIGTERM or Ctrl-C."""
    from carepost.app.serve import ROLES, Service

    service = Service(common.load_settings(config), roles=tuple(role) if role else ROLES)
    raise SystemExit(service.run())


def demo(
    port_base: Annotated[
        int, typer.Option(help="SMTP on +25, submission +465 +587, IMAP +143 +993, web +80.", min=1024, max=64000)
    ] = 20000,
    data: Annotated[Path, typer.Option(help="Where the sample world is kept between runs.")] = Path("demo-data"),
    *,
    reset: Annotated[bool, typer.Option("--reset", help="Begin with a new world.")] = False,
    ready_file: Annotated[Path | None, typer.Option(help="Write this JSON file when everything answers.")] = None,
) -> None:
    """Run the whole service on this machine, with four sample organisations and their mail."""
    from carepost.app.demo import run_demo

    raise SystemExit(run_demo(port_base, data, reset=reset, ready_file=ready_file))


def migrate(
    half: Annotated[
        Half, typer.Option(help="pre: while the old release still serves; post: after it; all.")
    ] = Half.ALL,
    config: ConfigOption = None,
) -> None:
    """Bring the database to where this release wants it. The embedded database is migrated by `serve` itself."""
    from carepost.app.storage import prepare, storage

    async def work() -> None:
        async with storage(common.load_settings(config)) as dsns:
            await prepare(dsns, progress=common.say, half=half.value)

    common.run(work())
    common.say("The schema is up to date." if half is Half.ALL else f"The {half.value} half is done.")


def doctor(*, json: JsonOption = False, config: ConfigOption = None) -> None:
    """Look at everything this installation stands on, and say what to do about what is wrong."""
    from carepost.app.checkup import check_up
    from carepost.ops.doctor import Standing

    found = common.run(check_up(common.load_settings(config)))
    if json:
        common.show(
            [{"name": one.name, "standing": one.standing.value, "says": one.says, "do": one.do} for one in found]
        )
    else:
        for one in found:
            common.say(f"{one.standing.value:8} {one.name}: {one.says}")
            if one.do:
                common.say(f"{'':8} -> {one.do}")
    if any(one.standing is Standing.WRONG for one in found):
        raise SystemExit(1)


def dns(
    *,
    check: Annotated[bool, typer.Option("--check", help="Compare with what the world sees.")] = False,
    address: Annotated[list[str] | None, typer.Option(help="A public address of the mail host.")] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """The DNS records to publish, ready to paste; with --check, what is wrong with those that are there."""
    from carepost.app.checkup import dns_records
    from carepost.app.resolving import resolver
    from carepost.ops import publish

    settings = common.load_settings(config)
    records = common.run(dns_records(settings, address or ()))
    if not check:
        for record in records:
            if json:
                common.show(
                    {"name": record.name, "type": record.kind.value, "value": record.value, "because": record.because}
                )
            else:
                common.say(f"{record.line}\n    ; {record.because}")
        return
    checked = common.run(publish.check(resolver(settings), records))
    for one in checked:
        if json:
            standing = one.standing.value
            common.show(
                {"name": one.record.name, "type": one.record.kind.value, "standing": standing, "found": one.found}
            )
        else:
            common.say(f"{one.standing.value:9} {one.sentence}")
    if any(one.standing is not publish.Standing.RIGHT for one in checked):
        raise SystemExit(1)


@config_commands.command("show")
def config_show(
    *,
    defaults: Annotated[bool, typer.Option("--defaults", help="The defaults, not this machine's settings.")] = False,
    config: ConfigOption = None,
) -> None:
    """Every setting with its sentence, as TOML: a file to start from."""
    from carepost.infra.settings import describe

    common.say(describe(None if defaults else common.load_settings(config)))
