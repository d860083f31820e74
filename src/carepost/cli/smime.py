"""`carepost smime`: certificates of mailboxes and correspondents, for S/MIME with organisations that use it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carepost.base.address import EmailAddress
from carepost.base.errors import Malformed, NotPossible
from carepost.cli import common
from carepost.cli.automatic import find_mailbox
from carepost.cli.common import ConfigOption, JsonOption

if TYPE_CHECKING:
    from carepost.app.areas import Areas
    from carepost.base.ids import OrganisationId
    from carepost.store.certificates import KeptCertificate
    from carepost.store.correspondent_certificates import TrustedCertificate

smime = typer.Typer(no_args_is_help=True, help="Certificates of mailboxes and correspondents, for S/MIME.")

Address = Annotated[str, typer.Argument(help="The mailbox's address.")]

Organisation = Annotated[str, typer.Argument(help="The organisation's ODS code.")]
Correspondent = Annotated[str, typer.Argument(help="The correspondent's address.")]


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
    _tell(names, rows, json=json)


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


@smime.command("trust")
def smime_trust(
    organisation: Organisation,
    address: Correspondent,
    file: Annotated[Path, typer.Argument(help="PEM: their certificate, then those that vouch for it.")],
    *,
    config: ConfigOption = None,
) -> None:
    """Encrypt everything that leaves over email for a correspondent, for their certificate. It replaces an earlier one.

    Once it cannot be used any more, mail to them is held for a person, and never sent without it.
    """
    try:
        octets = file.read_bytes()
    except OSError as error:
        raise NotPossible(f"{file} cannot be read: {error.strerror}.") from error
    theirs = EmailAddress.parse(address)

    async def work(areas: "Areas") -> "TrustedCertificate":
        from carepost.app.smime import correspondent_certificates

        ours = await _organisation(areas, organisation)
        return await correspondent_certificates(areas).put(common.operator(), ours, theirs, octets)

    kept = common.with_areas(config, work)
    common.say(
        f"Mail to {address} is encrypted for {kept.fingerprint.hex()} from now on, until {kept.until:%-d %B %Y}."
    )


@smime.command("trusted")
def smime_trusted(organisation: Organisation, *, json: JsonOption = False, config: ConfigOption = None) -> None:
    """Whom an organisation's mail is encrypted for, and whose certificate cannot be used any more."""

    async def work(areas: "Areas") -> "list[TrustedCertificate]":
        from carepost.app.smime import correspondent_certificates

        return await correspondent_certificates(areas).all(common.operator(), await _organisation(areas, organisation))

    names = ("address", "fingerprint", "issuer", "until", "held because")
    rows: list[tuple[object, ...]] = [
        (one.address, one.fingerprint.hex(), one.issuer, one.until.isoformat(), one.fault or "")
        for one in common.with_areas(config, work)
    ]
    _tell(names, rows, json=json)


@smime.command("distrust")
def smime_distrust(
    organisation: Organisation,
    address: Correspondent,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigOption = None,
) -> None:
    """Forget a correspondent's certificate: mail to them goes over verified TLS or by secure link again."""
    theirs = EmailAddress.parse(address)
    if not yes:
        typer.confirm(f"Mail to {address} will not be encrypted with S/MIME any more. Go on?", abort=True)

    async def work(areas: "Areas") -> None:
        from carepost.app.smime import correspondent_certificates

        ours = await _organisation(areas, organisation)
        await correspondent_certificates(areas).remove(common.operator(), ours, theirs)

    common.with_areas(config, work)
    common.say("Removed.")


async def _organisation(areas: "Areas", code: str) -> "OrganisationId":
    found = await areas.directory.look.organisation_by_code(code)
    if found is None:
        raise NotPossible(f"There is no organisation with the code {code.upper()}. See `carepost org list`.")
    return found.id


def _tell(names: tuple[str, ...], rows: list[tuple[object, ...]], *, json: bool) -> None:
    if not json:
        common.table(names, rows)
        return
    for row in rows:
        common.show(dict(zip(names, row, strict=True)))
