"""`carepost password`: passwords, second factors and app passwords, by the operator."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from carepost.cli import common
from carepost.cli.common import ConfigOption
from carepost.cli.directory import find_person

if TYPE_CHECKING:
    from carepost.app.areas import Areas
    from carepost.identity.app_passwords import GrantedAppPassword

password = typer.Typer(no_args_is_help=True, help="Passwords, second factors, app passwords.")

Address = Annotated[str, typer.Argument(help="The person's address.")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(password, name="password")


@password.command("set")
def password_set(
    address: Address,
    *,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the password from standard input.")] = False,
    must_change: Annotated[
        bool, typer.Option("--must-change", help="They choose their own at the next sign-in.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Set somebody's password."""
    chosen = (
        sys.stdin.readline().rstrip("\n")
        if stdin
        else typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    )

    async def work(areas: "Areas") -> None:
        who = await find_person(areas, address)
        await areas.identity.accounts.set_password(
            common.operator(), who.organisation, who.id, chosen, must_change=must_change
        )

    common.with_areas(config, work)
    common.say(f"The password of {address} is set.")


@password.command("temporary")
def password_temporary(address: Address, config: ConfigOption = None) -> None:
    """Issue a password that works once and must then be changed (R90)."""

    async def work(areas: "Areas") -> str:
        who = await find_person(areas, address)
        return await areas.identity.accounts.issue_temporary_password(common.operator(), who.organisation, who.id)

    common.say(common.with_areas(config, work))


@password.command("unlock")
def password_unlock(address: Address, config: ConfigOption = None) -> None:
    """Forget failed sign-ins."""

    async def work(areas: "Areas") -> None:
        who = await find_person(areas, address)
        await areas.identity.accounts.unlock(common.operator(), who.organisation, who.id)

    common.with_areas(config, work)
    common.say(f"{address} may try again.")


@password.command("revoke-sessions")
def password_revoke(
    address: Address, reason: Annotated[str, typer.Option(help="Why.")], config: ConfigOption = None
) -> None:
    """Sign somebody out everywhere, mail programs included, within seconds."""

    async def work(areas: "Areas") -> int:
        who = await find_person(areas, address)
        return await areas.identity.sessions.revoke_all(common.operator(), who.organisation, who.id, reason=reason)

    common.say(f"Signed out of {common.with_areas(config, work)} sessions.")


@password.command("allow-clients")
def password_allow_clients(
    address: Address,
    *,
    deny: Annotated[bool, typer.Option("--deny", help="No longer.")] = False,
    config: ConfigOption = None,
) -> None:
    """Allow somebody to use mail programs, with app passwords (R193)."""

    async def work(areas: "Areas") -> None:
        who = await find_person(areas, address)
        await areas.directory.people.allow_mail_clients(common.operator(), who.organisation, who.id, allowed=not deny)

    common.with_areas(config, work)
    common.say(f"{address} {'may no longer' if deny else 'may'} use mail programs.")


@password.command("app")
def password_app(
    address: Address,
    name: Annotated[str, typer.Argument(help="The device, such as 'Practice laptop'.")],
    config: ConfigOption = None,
) -> None:
    """Grant an app password for a mail program; it is shown once."""
    from carepost.identity.model import Scope

    async def work(areas: "Areas") -> "GrantedAppPassword":
        who = await find_person(areas, address)
        return await areas.identity.app_passwords.grant(
            common.operator(), who.organisation, who.id, name=name, scopes=(Scope.IMAP, Scope.SUBMISSION)
        )

    common.say(common.with_areas(config, work).secret)


@password.command("code")
def password_code(secret: Annotated[str, typer.Argument(help="A TOTP secret, such as `carepost demo` shows.")]) -> None:
    """The six-digit code of a secret at this moment, for demonstrations."""
    from carepost.base.clock import SystemClock
    from carepost.identity.factors import code_at

    common.say(code_at(secret, SystemClock().now()))
