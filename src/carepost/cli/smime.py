"""`carepost smime`: certificates of mailboxes, for S/MIME with organisations that use it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carepost.base.errors import Malformed, NotPossible
from carepost.cli import common
from carepost.cli.automatic import find_mailbox
from carepost.cli.common import ConfigOption, JsonOption

if TYPE_CHECKING:
    from carepost.app.areas import Areas
    from carepost.store.certificates import KeptCertificate

smime = typer.Typer(no_args_is_help=True, help="Certificates of mailboxes, for S/MIME.")

Address = Annotated[str, typer.Argument(help="The mailbox's address.")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(smime, name="smime")


@smime.command("import")
def smime_import(
    address: Address,
    file: Annotated[Path, typer.Argument(help="PKCS #12 (.p12, .pfx): the certificate with its private key.")],
    *,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the file's password from standard input.")] = False,
    sign: Annotated[bool, typer.Option("--sign", help="Sign what leaves from the mailbox with it.")] = False,
    config: ConfigOption = None,
) -> None:
    """Give a mailbox a certificate: mail encrypted for it opens on its pages. Delete the file afterwards."""
    try:
        octets = file.read_bytes()
    except OSError as error:
        raise NotPossible(f"{file} cannot be read: {error.strerror}.") from error
    passphrase = sys.stdin.readline().rstrip("\n") if stdin else typer.prompt("Password of the file", hide_input=True)

    async def work(areas: "Areas") -> "KeptCertificate":
        from carepost.app.smime import mail_certificates

        mailbox = await find_mailbox(areas, address)
        return await mail_certificates(areas).add(common.operator(), mailbox, octets, passphrase, signs=sign)

    kept = common.with_areas(config, work)
    common.say(f"{address} has the certificate {kept.fingerprint.hex()}, until {kept.until:%-d %B %Y}.")


@smime.command("list")
def smime_list(address: Address, *, json: JsonOption = False, config: ConfigOption = None) -> None:
    """The certificates of a mailbox, the newest first."""

    async def work(areas: "Areas") -> "list[KeptCertificate]":
        from carepost.app.smime import mail_certificates

        return await mail_certificates(areas).all(common.operator(), await find_mailbox(areas, address))

    names = ("fingerprint", "name", "issuer", "from", "until", "signs")
    rows: list[tuple[object, ...]] = [
        (one.fingerprint.hex(), one.name, one.issuer, one.since.isoformat(), one.until.isoformat(), one.signs)
        for one in common.with_areas(config, work)
    ]
    if json:
        for row in rows:
            common.show(dict(zip(names, row, strict=True)))
    else:
        common.table(names, rows)


@smime.command("remove")
def smime_remove(
    address: Address,
    fingerprint: Annotated[str, typer.Argument(help="As `carepost smime list` shows it.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigOption = None,
) -> None:
    """Remove a certificate and its key. Mail that was encrypted for it alone can then never be read again."""
    try:
        wanted = bytes.fromhex(fingerprint.replace(":", ""))
    except ValueError:
        raise Malformed("A fingerprint is 64 hexadecimal digits.") from None
    if not yes:
        typer.confirm("Mail that was encrypted for it alone can never be read again. Remove it?", abort=True)

    async def work(areas: "Areas") -> None:
        from carepost.app.smime import mail_certificates

        await mail_certificates(areas).remove(common.operator(), await find_mailbox(areas, address), wanted)

    common.with_areas(config, work)
    common.say("Removed.")
