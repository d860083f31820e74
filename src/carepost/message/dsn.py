"""Delivery status notifications: written in words that people understand, and read when others send them. RFC 3464.

Promises
    Written: what happened, to whom, why, what to do next, in that order; machines find the same in the second part.
    Auto-Submitted stands in every one, and nothing in it can become a header of ours (P10).
    Read: anything, in time linear in it; what can't be read is None. Nothing here raises for what a stranger wrote.

Who is told, and of what, is decided in delivery/bounce.py.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from carepost.base.address import EmailAddress
from carepost.base.errors import Malformed
from carepost.message.compose import format_date, header_field, id_field, multipart, people_field, text_entity
from carepost.message.headers import unfold
from carepost.message.model import Message, Part
from carepost.message.showing import clean

FULL_MAX = 1 << 20  # octets of a message that are sent back whole; of a longer one its header is
DIAGNOSTIC_MAX = 400
_RECIPIENTS_READ = 1_000
_STATUS_READ = 512 * 1024
_SUBJECT_SHOWN = 120


class DsnAction(StrEnum):
    """RFC 3464 §2.3.3."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"  # to a system that tells no more
    EXPANDED = "expanded"


@dataclass(frozen=True, slots=True, kw_only=True)
class DsnRecipient:
    """What became of one recipient. `says` is why, in one plain sentence."""

    address: EmailAddress
    action: DsnAction
    status: str  # RFC 3463
    says: str
    advice: str = ""  # what the sender may do about it
    original: str | None = None  # ORCPT as it came: "rfc822;" and xtext
    remote: str = ""  # the host that said so
    diagnostic: str = ""  # its words
    last_attempt: datetime | None = None
    retry_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dsn:
    """One report on one message."""

    reporting: str  # our host name
    arrived: datetime
    recipients: Sequence[DsnRecipient]
    envid: str | None = None  # as it came: xtext


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What makes a report a letter: from whom, to whom, and the message it is about."""

    from_: str  # "Carepost <postmaster@example.org>"
    to: EmailAddress
    about: Message
    full: bool  # the whole message comes back, not its header only (RET)
    date: datetime
    message_id: str
    reference: str  # what a help desk finds it by


def write_dsn(dsn: Dsn, letter: Letter) -> bytes:
    """The whole message. Its envelope is the null reverse-path (RFC 5321 §4.5.5)."""
    message = letter.about
    worst = min(dsn.recipients, key=lambda one: _ORDER.index(one.action)).action
    subject = _shown_subject(message)
    head = [
        people_field("From", letter.from_),
        people_field("To", letter.to),
        header_field("Subject", f"{_TITLES[worst]}: {subject}" if subject else _TITLES[worst]),
        header_field("Date", format_date(letter.date)),
        id_field("Message-ID", letter.message_id),
        *_threading(message),
        # RFC 3834 §5: no machine shall answer this.
        header_field("Auto-Submitted", "auto-replied"),
        b"MIME-Version: 1.0\r\n",
    ]
    parts = [text_entity("plain", _words(dsn, letter)), _status_part(dsn), _returned(message, full=letter.full)]
    body = multipart("report", parts, letter.message_id, parameters="report-type=delivery-status")
    return b"".join(head) + body


# In words

_ORDER = (DsnAction.FAILED, DsnAction.DELAYED, DsnAction.RELAYED, DsnAction.EXPANDED, DsnAction.DELIVERED)
_TITLES = {
    DsnAction.FAILED: "Not delivered",
    DsnAction.DELAYED: "Delayed",
    DsnAction.DELIVERED: "Delivered",
    DsnAction.RELAYED: "Passed on",
    DsnAction.EXPANDED: "Passed on",
}
_OPENINGS = {
    DsnAction.FAILED: ("Your message was NOT delivered to:", "It will not be tried again."),
    DsnAction.DELAYED: ("Your message has not been delivered yet to:", "We keep trying; you need not send it again."),
    DsnAction.DELIVERED: ("Your message was delivered to:", ""),
    DsnAction.RELAYED: (
        "Your message was passed on to the mail system of:",
        "That system took it and will tell us no more: nobody can say here whether it was read.",
    ),
    DsnAction.EXPANDED: ("Your message was passed on to the members of:", "The list tells us no more."),
}


def _words(dsn: Dsn, letter: Letter) -> str:
    paragraphs: list[str] = []
    for action in _ORDER:
        concerned = [one for one in dsn.recipients if one.action is action]
        if not concerned:
            continue
        opening, closing = _OPENINGS[action]
        lines = [opening, ""]
        for one in concerned:
            lines += _about(one)
        paragraphs.append("\n".join([*lines, closing] if closing else lines).strip())
    paragraphs.append(_which(letter))
    paragraphs.append(f"If you need help, quote this reference: {letter.reference}")
    return "\n\n".join(paragraphs) + "\n"


def _about(one: DsnRecipient) -> list[str]:
    lines = [f"  {_one_line(str(one.address))}"]
    if one.says:
        lines.append(f"    Why: {_one_line(one.says)}")
    if one.diagnostic:
        lines.append(f"    What the other mail system said: {_one_line(one.diagnostic)}")
    if one.retry_until is not None:
        lines.append(f"    We try until: {_at(one.retry_until)}")
    if one.advice:
        lines.append(f"    What you can do: {_one_line(one.advice)}")
    return [*lines, ""]


def _which(letter: Letter) -> str:
    subject, sent = _shown_subject(letter.about), letter.about.date
    words = f'This is about your message "{subject}"' if subject else "This is about your message without a subject"
    return f"{words}, dated {_at(sent)}." if sent is not None else f"{words}."


def _at(at: datetime) -> str:
    return format_date(at)[5:]


def _shown_subject(message: Message) -> str:
    return _one_line(message.subject)[:_SUBJECT_SHOWN].rstrip()


def _one_line(text: str) -> str:
    return clean(" ".join(text.split()))


# For machines


def _status_part(dsn: Dsn) -> bytes:
    wide = any(not str(one.address).isascii() for one in dsn.recipients)
    # RFC 6533 §3: addresses that are not ASCII need the other type.
    kind = "message/global-delivery-status" if wide else "message/delivery-status"
    encoding = b"Content-Transfer-Encoding: 8bit\r\n" if wide else b""
    head = [("Reporting-MTA", f"dns; {dsn.reporting}"), ("Arrival-Date", format_date(dsn.arrived))]
    if dsn.envid:
        head.insert(0, ("Original-Envelope-Id", _from_xtext(dsn.envid)))
    groups = [head, *(_fields_of(one) for one in dsn.recipients)]
    blocks = [b"".join(_status_field(name, value) for name, value in group) for group in groups]
    return f"Content-Type: {kind}\r\n".encode() + encoding + b"\r\n" + b"\r\n".join(blocks)


def _fields_of(one: DsnRecipient) -> list[tuple[str, str]]:
    address = str(one.address)
    fields = [
        ("Final-Recipient", f"{'rfc822' if address.isascii() else 'utf-8'}; {address}"),
        ("Action", one.action.value),
        ("Status", one.status),
    ]
    if one.original:
        kind, _, value = one.original.partition(";")
        fields.insert(0, ("Original-Recipient", f"{kind}; {_from_xtext(value)}"))
    if one.remote:
        fields.append(("Remote-MTA", f"dns; {one.remote}"))
    if one.diagnostic:
        fields.append(("Diagnostic-Code", f"smtp; {one.diagnostic[:DIAGNOSTIC_MAX]}"))
    if one.last_attempt is not None:
        fields.append(("Last-Attempt-Date", format_date(one.last_attempt)))
    if one.retry_until is not None and one.action is DsnAction.DELAYED:
        fields.append(("Will-Retry-Until", format_date(one.retry_until)))
    return fields


def _status_field(name: str, value: str) -> bytes:
    """On one line, or folded at spaces; a word of a stranger's can't end it."""
    words = _one_line(value).split(" ")
    lines, line = [], f"{name}:"
    for word in words:
        if len(line) + 1 + len(word) > 78 and not line.endswith(":"):
            lines.append(line)
            line = ""
        line += f" {word}"
    return "\r\n".join([*lines, line]).encode("utf-8", "replace") + b"\r\n"


def _returned(message: Message, *, full: bool) -> bytes:
    raw = message.raw
    if full and len(raw) <= FULL_MAX:
        head = b"Content-Type: message/rfc822\r\n"
        content = raw
    else:
        head = b"Content-Type: text/rfc822-headers\r\n"
        header = message.root.header
        content = raw[header.start : header.end].removesuffix(b"\r\n")
    if not content.isascii():
        head += b"Content-Transfer-Encoding: 8bit\r\n"
    return head + b"\r\n" + content + (b"" if content.endswith(b"\r\n") else b"\r\n")


def _threading(message: Message) -> Iterator[bytes]:
    if (about := message.message_id) is None:
        return
    try:
        yield id_field("In-Reply-To", about)
        yield id_field("References", *message.references[-10:], about)
    except Malformed:
        return


_XTEXT = re.compile(r"\+([0-9A-F]{2})")


def plain_envid(envid: str) -> str:
    """An ENVID as it came in MAIL (xtext), as a report that names it has it. RFC 3461 §4.4, RFC 3464 §2.2.1."""
    return _from_xtext(envid)


def _from_xtext(text: str) -> str:
    """RFC 3461 §4."""
    octets = _XTEXT.sub(lambda found: chr(int(found[1], 16)), text).encode("latin-1", "replace")
    return _one_line(octets.decode("utf-8", "replace"))


# Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRecipient:
    """What somebody says became of a recipient. Nothing of it is proved."""

    address: str
    action: DsnAction
    status: str
    original: str | None = None
    remote: str = ""
    diagnostic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDsn:
    envid: str | None
    recipients: tuple[ReadRecipient, ...]
    # Message-ID of the message it is about, as far as that came back with it.
    about: str | None


def looks_like_dsn(message: Message) -> bool:
    """Whether it is worth to be read as a report."""
    return message.root.media_type == "multipart/report" and any(
        part.media_type in _STATUS_TYPES for part in message.root.children
    )


def read_dsn(message: Message) -> ReadDsn | None:
    """A report that somebody sent; None when it is none. Never raises."""
    if not looks_like_dsn(message):
        return None
    status = next((part for part in message.root.children if part.media_type in _STATUS_TYPES), None)
    if status is None:
        return None
    head, *groups = _groups(message, status) or [{}]
    told = [one for group in groups[:_RECIPIENTS_READ] if (one := _read_recipient(group)) is not None]
    if not told:
        return None
    return ReadDsn(envid=head.get("original-envelope-id"), recipients=tuple(told), about=_about_which(message, status))


_STATUS_TYPES = frozenset({"message/delivery-status", "message/global-delivery-status"})
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")


def _groups(message: Message, part: Part) -> list[dict[str, str]]:
    text = message.body_bytes(part, _STATUS_READ).replace(b"\r\n", b"\n")
    groups: list[dict[str, str]] = []
    for block in re.split(rb"\n[ \t]*\n", text.strip(b"\n"), maxsplit=_RECIPIENTS_READ + 1):
        fields: dict[str, str] = {}
        for line in re.sub(rb"\n[ \t]+", b" ", block).split(b"\n"):
            name, colon, value = line.partition(b":")
            if colon:
                fields.setdefault(name.strip().decode("latin-1").lower(), _one_line(value.decode("utf-8", "replace")))
        if fields:
            groups.append(fields)
    return groups


def _read_recipient(fields: dict[str, str]) -> ReadRecipient | None:
    address = _after_type(fields.get("final-recipient", "")) or _after_type(fields.get("original-recipient", ""))
    try:
        action = DsnAction(fields.get("action", "").lower())
    except ValueError:
        return None
    if not address:
        return None
    status = _STATUS.match(fields.get("status", ""))
    return ReadRecipient(
        address=address,
        action=action,
        status=status[0] if status else "",
        original=_after_type(fields.get("original-recipient", "")) or None,
        remote=_after_type(fields.get("remote-mta", "")),
        diagnostic=_after_type(fields.get("diagnostic-code", ""))[:DIAGNOSTIC_MAX],
    )


def _after_type(value: str) -> str:
    kind, semicolon, rest = value.partition(";")
    return (rest if semicolon else kind).strip()


def _about_which(message: Message, status: Part) -> str | None:
    for part in message.root.children:
        if part is status:
            continue
        if part.message is not None:
            ids = message.first("message-id", part.message)
        elif part.media_type in {"text/rfc822-headers", "message/global-headers"}:
            ids = _field_in(message.body_bytes(part, _STATUS_READ), b"message-id")
        else:
            continue
        if found := re.search(rb"<[^<>\s]{1,990}>", ids):
            return found[0].decode("latin-1")
    return None


def _field_in(block: bytes, name: bytes) -> bytes:
    for line in re.sub(rb"\r?\n[ \t]+", b" ", block).split(b"\n"):
        found, colon, value = line.partition(b":")
        if colon and found.strip().lower() == name:
            return unfold(value)
    return b""
