"""The tree of commands. Each noun is a module; what they say on errors is said here, once."""

import sys
from collections.abc import Callable, Sequence

import typer

from carepost.base.errors import MailError
from carepost.cli import common


def tree() -> typer.Typer:
    """The whole command, every noun on it."""
    app = typer.Typer(
        name="carepost",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        help="Secure email for health and care: run it, look after it, and find out what happened.",
    )
    for add_to in _nouns():
        add_to(app)
    return app


def _nouns() -> Sequence[Callable[[typer.Typer], None]]:
    """In the order in which --help lists them. Imported when a command runs, not before."""
    from carepost.cli.audit import add_to as audit
    from carepost.cli.automatic import add_to as automatic
    from carepost.cli.backup import add_to as backup
    from carepost.cli.directory import add_to as directory
    from carepost.cli.keys import add_to as keys
    from carepost.cli.mail import add_to as mail
    from carepost.cli.password import add_to as password
    from carepost.cli.policy import add_to as policy
    from carepost.cli.queue import add_to as queue
    from carepost.cli.secure_domains import add_to as secure_domains
    from carepost.cli.service import add_to as service
    from carepost.cli.smime import add_to as smime
    from carepost.cli.tls_report import add_to as tls_report

    return (
        service,
        directory,
        automatic,
        secure_domains,
        policy,
        password,
        mail,
        queue,
        tls_report,
        smime,
        audit,
        keys,
        backup,
    )


def run() -> None:
    """Run the command in sys.argv. Errors we expected are told in words; others are ours and show their trace.

    What was typed wrongly is told by typer itself, which exits with 2.
    """
    try:
        tree()()
    except MailError as error:
        common.complain(error)
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        raise SystemExit(130) from None
