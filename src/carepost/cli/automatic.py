"""`carepost mailbox autoreply` and `carepost mailbox forward`: what a mailbox does by itself."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from carepost.base.address import EmailAddress
from carepost.base.errors import Malformed, NotPossible
from carepost.cli import common
from carepost.cli.common import ConfigOption, JsonOption
from carepost.cli.directory import Address, mailbox

if TYPE_CHECKING:
    from carepost.app.areas import Areas
    from carepost.directory.autoreply import Autoreply
    from carepost.directory.forwarding import Forwarding, Forwardings
    from carepost.directory.model import MailboxRecord

_ZONE = ZoneInfo("Europe/London")


@mailbox.command("autoreply")
def mailbox_autoreply(  # noqa: PLR0917 - each is an option of the command
    address: Address,
    inside: Annotated[Path | None, typer.Option(help="A file with the text for our own people.")] = None,
    outside: Annotated[Path | None, typer.Option(help="A file with the text for everybody else.")] = None,
    telephone: Annotated[str | None, typer.Option(help="Whom to call when it is urgent (R60).")] = None,
    chase_days: Annotated[
        int | None, typer.Option(help="After so many working days of silence, ring (R61). 0: not said.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="The subject of the reply.")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="From when, as 2026-12-24T17:00. Empty: now.")] = None,
    until: Annotated[str | None, typer.Option(help="Until when. Empty: until it is switched off.")] = None,
    *,
    on: Annotated[bool | None, typer.Option("--on/--off", help="Switch it on or off.")] = None,
    to_outside: Annotated[
        bool | None, typer.Option("--to-outside/--not-outside", help="Answer people outside too, or not.")
    ] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show the automatic reply of a mailbox, or change what is given here of it."""
    texts = {"inside": inside, "outside": outside}
    given: dict[str, object] = {name: path.read_text("utf-8") for name, path in texts.items() if path is not None}
    given |= {"telephone": telephone, "subject": subject, "is_on": on, "to_outside": to_outside}
    changes = {name: value for name, value in given.items() if value is not None}
    changes |= {"chase_days": chase_days or None} if chase_days is not None else {}
    changes |= {"starts_at": _time(from_)} if from_ is not None else {}
    changes |= {"ends_at": _time(until)} if until is not None else {}
    reply = common.with_areas(config, lambda areas: _changed(areas, address, changes))
    if json:
        common.show({name: getattr(reply, name) for name in type(reply).__slots__})
    else:
        _tell(address, reply)


async def _changed(areas: "Areas", address: str, changes: Mapping[str, object]) -> "Autoreply":
    from carepost.app.automatic import automatic_rooms

    found, rooms = await find_mailbox(areas, address), automatic_rooms(areas)
    reply = await rooms.autoreplies.get(common.operator(), found)
    if changes:
        reply = replace(reply, **changes)  # type: ignore[arg-type]
        await rooms.autoreplies.set(common.operator(), found, reply)
    return reply


def _tell(address: str, reply: "Autoreply") -> None:
    common.say(f"The automatic reply of {address} is {'on' if reply.is_on else 'off'}.")
    for whom, inside in (("our own people", True), ("people outside", False)):
        text = reply.text_for(inside=inside)
        common.say()
        common.say(f"To {whom}: nothing is answered." if text is None else f"To {whom}:\n\n{text.rstrip()}")


async def find_mailbox(areas: "Areas", address: str) -> "MailboxRecord":
    """Raise NotPossible when there is none."""
    found = await areas.directory.look.mailbox_at(EmailAddress.parse(address))
    if found is None:
        raise NotPossible(f"There is no mailbox {address}.")
    return found


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=_ZONE)
    except ValueError as error:
        raise Malformed(f"“{text}” is not a time. Write it as 2026-12-24T17:00.") from error


forwarding = typer.Typer(no_args_is_help=True, help="Forwarding: asked for, allowed, ended (R162).")
mailbox.add_typer(forwarding, name="forward")
Which = Annotated[int, typer.Argument(help="The number that `carepost mailbox forward list` shows.")]


@forwarding.command("ask")
def forward_ask(
    address: Address,
    to: Annotated[str, typer.Argument(help="Where its mail shall be forwarded to.")],
    reason: Annotated[str, typer.Option(help="What it is for.")],
    config: ConfigOption = None,
) -> None:
    """Ask for a mailbox's mail to be forwarded. Nothing is until it is allowed."""

    async def work(areas: "Areas") -> int:
        found, rooms = await find_mailbox(areas, address), _rooms(areas)
        return await rooms.ask(common.operator(), found, EmailAddress.parse(to), reason=reason)

    number = common.with_areas(config, work)
    common.say(f"Asked for, as number {number}. To allow it: carepost mailbox forward allow {address} {number}")


@forwarding.command("list")
def forward_list(address: Address, *, json: JsonOption = False, config: ConfigOption = None) -> None:
    """What was asked for a mailbox, the newest first."""

    async def work(areas: "Areas") -> "list[Forwarding]":
        return await _rooms(areas).of_mailbox(common.operator(), await find_mailbox(areas, address))

    found = common.with_areas(config, work)
    rows: list[tuple[object, ...]] = [
        (one.id, str(one.address), one.state.value, one.expires_at and one.expires_at.date(), one.because)
        for one in found
    ]
    headings = ("number", "to", "state", "until", "because")
    if json:
        common.show([dict(zip(headings, row, strict=True)) for row in rows])
    else:
        common.table(headings, rows)


@forwarding.command("allow")
def forward_allow(address: Address, number: Which, config: ConfigOption = None) -> None:
    """Allow what was asked for."""

    async def work(areas: "Areas") -> None:
        found = await find_mailbox(areas, address)
        await _rooms(areas).allow(common.operator(), found.organisation, number)

    common.with_areas(config, work)
    common.say(f"Mail of {address} is forwarded from now on.")


@forwarding.command("end")
def forward_end(
    address: Address,
    number: Which,
    reason: Annotated[str, typer.Option(help="Why. Its people read this.")],
    config: ConfigOption = None,
) -> None:
    """Refuse what was asked for, or end what is in force, at once."""

    async def work(areas: "Areas") -> None:
        found = await find_mailbox(areas, address)
        await _rooms(areas).refuse(common.operator(), found.organisation, number, reason=reason)

    common.with_areas(config, work)
    common.say(f"Mail of {address} is not forwarded.")


def _rooms(areas: "Areas") -> "Forwardings":
    from carepost.app.automatic import automatic_rooms

    return automatic_rooms(areas).forwardings


def add_to(app: typer.Typer) -> None:
    """They are there once this is imported."""
