"""`carepost tls-report`: what other mail systems say of TLS with ours, in words. R108."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carepost.base.errors import MailError, Malformed, NotPossible
from carepost.cli import common
from carepost.cli.common import JsonOption

if TYPE_CHECKING:
    from carepost.mailauth.tls_report import ReceivedReport

_FILE_MAX = 4_000_000  # octets: a report of a megabyte, base64 in a message
_KINDS = {"application/tlsrpt+gzip", "application/tlsrpt+json"}


def add_to(app: typer.Typer) -> None:
    app.command("tls-report")(tls_report)


def tls_report(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Reports, or the messages that brought them.")],
    *,
    json: JsonOption = False,
) -> None:
    """Read reports of other mail systems about TLS with ours (RFC 8460). Exit code 1: one could not be read."""
    unread = 0
    for path in paths:
        try:
            _tell(path, _read(path), json=json)
        except MailError as error:
            unread += 1
            common.say(f"{path}: {error.public}")
    if unread:
        raise SystemExit(1)


def _read(path: Path) -> "ReceivedReport":
    from carepost.mailauth.tls_report import read_report
    from carepost.message.parse import parse

    try:
        if path.stat().st_size > _FILE_MAX:
            raise NotPossible("It is larger than reports are.")
        octets = path.read_bytes()
    except OSError as error:
        raise NotPossible(f"It could not be read: {error.strerror}.") from error
    try:
        return read_report(octets)
    except Malformed as error:
        message = parse(octets)
        for _, part in message.leaves():
            if part.media_type in _KINDS:
                return read_report(message.body_bytes(part))
        raise error from None


def _tell(path: Path, report: "ReceivedReport", *, json: bool) -> None:
    if json:
        import msgspec

        common.show({"path": str(path), **msgspec.to_builtins(report)})
        return
    whole = "without a failure" if not report.failures else f"with {report.failures} failures"
    common.say(f"{path}: {report.organisation}, {report.begin.date()} to {report.end.date()}, {whole}")
    for policy in report.policies:
        common.say(f"    {policy.domain} ({policy.policy}): {policy.successes} well, {policy.failures} failed")
        for failure in policy.details:
            common.say(f"        {failure.sessions} times {failure.kind} {failure.host}".rstrip())
