"""`carepost keys`: rotate what seals and signs mail. Mail itself is not touched; what was stopped is run again."""

from typing import TYPE_CHECKING, Annotated

import typer

from carepost.cli import common
from carepost.cli.common import ConfigOption

if TYPE_CHECKING:
    from carepost.app.areas import Areas
    from carepost.audit.events import KeyRotated
    from carepost.infra.db import Transaction
    from carepost.store.keys import Note

keys = typer.Typer(no_args_is_help=True, help="The keys that seal and sign mail.")


def add_to(app: typer.Typer) -> None:
    app.add_typer(keys, name="keys")


@keys.command("rotate-root")
def rotate_root(
    *,
    new: Annotated[bool, typer.Option("--new", help="Make a new root key first.")] = False,
    config: ConfigOption = None,
) -> None:
    """Put every organisation's key under the newest root key. Restart the service afterwards."""
    from carepost.app.areas import key_files

    files = key_files(common.load_settings(config))
    if new:
        common.say(f"Made root-{files.add_root()}.key. Copy it to your safe place now: mail will depend on it.")

    async def work(areas: "Areas") -> int:
        done = 0
        for organisation in await areas.organisations():
            done += await areas.store.keys.rotate_root(organisation.id, note=_noting(areas))
        return done

    common.say(f"Rewrapped {common.with_areas(config, work)} organisation keys under root key {files.root().newest}.")


@keys.command("rotate-organisation")
def rotate_organisation(
    code: Annotated[str, typer.Argument(help="The organisation's code; 'all' for every one.")],
    *,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a rotation that was stopped.")] = False,
    config: ConfigOption = None,
) -> None:
    """Give an organisation a new key and rewrap its mailboxes' keys."""

    async def work(areas: "Areas") -> int:
        done = 0
        for organisation in await areas.organisations():
            if code.lower() != "all" and organisation.code != code.upper():
                continue
            if not resume:
                await areas.store.keys.begin_rotation(organisation.id)
            while batch := await areas.store.keys.go_on_rotating(organisation.id, note=_noting(areas)):
                done += batch
                common.say(f"{organisation.code}: {done} mailbox keys rewrapped")
        return done

    common.say(f"Done: {common.with_areas(config, work)} mailbox keys rewrapped.")


@keys.command("rotate-dkim")
def rotate_dkim(
    domain: Annotated[str, typer.Argument(help="A mail domain of ours.")],
    *,
    unpublished: Annotated[
        bool, typer.Option("--unpublished", help="Rotate although the next key is not seen in DNS yet.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Let the key that stands by in DNS sign a domain's mail from now on, and make the one after it."""
    from carepost.app.delivery_rooms import rotate_signing_keys

    async def work(areas: "Areas") -> list[str]:
        return await rotate_signing_keys(areas, common.operator(), domain, unpublished=unpublished)

    lines = common.with_areas(config, work)
    common.say("Rotated. These records have to stand in DNS now:")
    for line in lines:
        common.say(line)


def _noting(areas: "Areas") -> "Note":
    """Every rewrapping is in the record, under the operator's name."""

    async def note(tx: "Transaction", event: "KeyRotated") -> None:
        await areas.audit.record(tx, common.operator(), event)

    return note
