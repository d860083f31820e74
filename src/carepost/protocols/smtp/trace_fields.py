"""Return-Path and Received: what we write above a message. RFC 5321 §4.4.

Promises
    A stranger's words (the name in EHLO, the address in MAIL) cannot end a field, begin one or close a comment (P10).
    `for` is there only when there is one recipient: nobody learns of a blind copy.
    The TLS version and cipher of this hop are kept with the message (R106).
"""

import re
from datetime import datetime
from email.utils import format_datetime

from carepost.base.address import EmailAddress
from carepost.gateway.model import Connection, Envelope, Via

# What a name may hold without quoting; everything else is written as a question mark. RFC 5321 §2.3.5, §4.1.3.
_UNSAFE = re.compile(r"[^A-Za-z0-9._:\[\]-]")
_FOLD = b"\r\n\t"


def trace_fields(connection: Connection, envelope: Envelope, *, at: datetime, extended: bool) -> bytes:
    """Both fields, CR LF at the end of each line. `extended`: the client said EHLO or LHLO."""
    sender = "" if envelope.reverse_path is None else _path(envelope.reverse_path)
    lines = [
        f"from {_name(connection.hello)} ({_seen(connection)})",
        *_tls(connection),
        f"by {_name(connection.local_name)} (Carepost) with {_protocol(connection, envelope, extended=extended)}",
        f"id {envelope.trace}{_for(envelope)}; {format_datetime(at)}",
    ]
    received = _FOLD.join(line.encode() for line in lines)
    return b"Return-Path: <" + sender.encode() + b">\r\nReceived: " + received + b"\r\n"


def _name(text: str) -> str:
    return _UNSAFE.sub("?", text)[:255] or "?"


def _path(address: EmailAddress) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in str(address))


def _seen(connection: Connection) -> str:
    name = _name(connection.client_name) if connection.client_name else "unknown"
    address = connection.client_ip
    return f"{name} [{'IPv6:' if address.version == 6 else ''}{address}]"


def _tls(connection: Connection) -> list[str]:
    if connection.tls is None:
        return []
    return [f"(using {_name(connection.tls.version)} with cipher {_name(connection.tls.cipher)})"]


def _protocol(connection: Connection, envelope: Envelope, *, extended: bool) -> str:
    """RFC 3848, and RFC 6531 §4.3 for the UTF8 names."""
    secured = "S" if connection.tls is not None else ""
    utf8 = "UTF8" if envelope.smtputf8 else ""
    if connection.via is Via.LMTP:
        return f"{utf8}LMTP{secured}"
    if utf8:
        return f"UTF8SMTP{secured}"
    return f"ESMTP{secured}" if extended else "SMTP"


def _for(envelope: Envelope) -> str:
    if len(envelope.recipients) != 1:
        return ""
    return f" for <{_path(envelope.recipients[0].address)}>"
