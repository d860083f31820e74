"""Delivering the sample world's mail as the outside world would: by SMTP, over TLS, to our own port 25."""

import smtplib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from carepost.ops.demo.letters import Letter

_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Posted:
    """How many letters were taken, and how many the gateway refused."""

    taken: int
    refused: int


def post(letters: Sequence[Letter], *, port: int, ca_file: Path, progress: Callable[[int, int], None]) -> Posted:
    """Every letter, in a conversation of its own, said (XCLIENT) to come from where its sender lives."""
    context = ssl.create_default_context(cafile=ca_file)
    taken = refused = 0
    for number, letter in enumerate(letters, 1):
        try:
            _post_one(letter, port, context)
            taken += 1
        except (smtplib.SMTPDataError, smtplib.SMTPRecipientsRefused) as error:
            code = error.smtp_code if isinstance(error, smtplib.SMTPDataError) else 0
            if 400 <= code < 500:
                raise
            refused += 1
        progress(number, len(letters))
    return Posted(taken, refused)


def _post_one(letter: Letter, port: int, context: ssl.SSLContext) -> None:
    domain = letter.mail_from.rpartition("@")[2] or "unknown.example"
    with smtplib.SMTP("localhost", port, local_hostname=f"mail.{domain}", timeout=_SECONDS) as smtp:
        smtp.starttls(context=context)
        smtp.ehlo()
        smtp.docmd("XCLIENT", f"ADDR={letter.client_ip} NAME=mail.{domain} HELO=mail.{domain}")
        smtp.ehlo()
        smtp.sendmail(letter.mail_from, list(letter.to), letter.raw)
