"""Return-Path and Received: what we write above a message. RFC 5321 §4.4.

Promises
    A stranger's words (the name in EHLO, the address in MAIL) cannot end a field, begin one or close a comment (P10).
    `for` is there only when there is one recipient: nobody learns of a blind copy.
    The TLS version and cipher of this hop are kept with the message (R106).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from carepost.base.address import EmailAddress
from carepost.base.ids import TraceId
from carepost.gateway.model import Connection, Recipient, Via

# What a name may hold without quoting; everything else is written as a question mark. RFC 5321 §2.3.5, §4.1.3.
_UNSAFE = re.compile(r"[^A-Za-z0-9._:\[\]-]")
_FOLD = b"\r\n\t"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """What is said of one message at one hop, besides the connection."""

    trace: TraceId
    reverse_path: EmailAddress | None
    recipients: Sequence[Recipient]
    smtputf8: bool
    extended: bool  # the client said EHLO or LHLO
    at: datetime


def trace_fields(connection: Connection, hop: Hop) -> bytes:
    """Both fields, CR LF at the end of each line."""
    sender = "" if hop.reverse_path is None else _path(hop.reverse_path)
    lines = [
        f"from {_name(connection.hello)} ({_seen(connection)})",
        *_tls(connection),
        f"by {_name(connection.local_name)} (Carepost) with {_protocol(connection, hop)}",
        f"id {hop.trace}{_for(hop)}; {format_datetime(hop.at)}",
    ]
    received = _FOLD.join(line.encode() for line in lines)
    return b"Return-Path: <" + sender.encode() + b">\r\nReceived: " + received + b"\r\n"


def _name(text: str) -> str:
    return _UNSAFE.sub("?", text)[:255] or "?"


def _path(address: EmailAddress) -> str:
    text = str(address)
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)


def _seen(connection: Connection) -> str:
    name = _name(connection.client_name) if connection.client_name else "unknown"
    address = connection.client_ip
    return f"{name} [{'IPv6:' if address.version == 6 else ''}{address}]"


def _tls(connection: Connection) -> list[str]:
    if connection.tls is None:
        return []
    return [f"(using {_name(connection.tls.version)} with cipher {_name(connection.tls.cipher)})"]


def _protocol(connection: Connection, hop: Hop) -> str:
    """RFC 3848, and RFC 6531 §4.3 for the UTF8 names."""
    secured = "S" if connection.tls is not None else ""
    utf8 = "UTF8" if hop.smtputf8 else ""
    if connection.via is Via.LMTP:
        return f"{utf8}LMTP{secured}"
    if utf8:
        return f"UTF8SMTP{secured}"
    return f"ESMTP{secured}" if hop.extended else "SMTP"


def _for(hop: Hop) -> str:
    if len(hop.recipients) != 1:
        return ""
    return f" for <{_path(hop.recipients[0].address)}>"
