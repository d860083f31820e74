"""PURE. A message that somebody is writing: as fields of a form, as a draft in a mailbox, as the message that is sent.

Promises
    A draft keeps what was typed, also what is no address yet: nothing is lost by saving.
    What is sent holds nothing of the draft's own fields, and no value of a form becomes a header of its own (P10).
    An answer quotes text only, without its signature: nothing of a stranger's HTML comes back as ours.
"""

import json
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from carepost.base.address import EmailAddress
from carepost.base.errors import Malformed
from carepost.gateway.out.files import FIELD as FILES_FIELD
from carepost.gateway.out.files import files_field
from carepost.message.addresses import Address, addresses_of, each
from carepost.message.compose import Attachment, compose, id_field, people_field
from carepost.message.headers import message_ids
from carepost.message.model import Message
from carepost.message.words import readable_parts, text_of_html
from carepost.web.writing.file_desk import names_in

FIELD = "X-Carepost-Draft"
RECIPIENTS_READ = 2_000
QUOTED_MAX = 100_000  # characters of the message that is answered
_FOLD = 60
_LINE_HEIGHT = 12_000  # of one To field as typed
# More lines than this under "-- " are no signature: somebody wrote on below it.
_SIGNATURE_LINES = 25


@dataclass(frozen=True, slots=True)
class AnswersTo:
    """Which message this one answers, where it lies."""

    folder: int
    uid: int
    was_bcc: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """Everything of it, as typed."""

    to: str = ""
    cc: str = ""
    bcc: str = ""
    subject: str = ""
    text: str = ""
    html: str = ""  # what the editor made; empty for plain text
    files: tuple[Attachment, ...] = ()
    answers_to: AnswersTo | None = None
    reply_all: bool = False
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    secure: bool = False
    send_at: str = ""
    message_id: str = ""
    signature: str = ""  # as it was put in, to be known again
    large: tuple[str, ...] = ()  # files too large for email, by their names in the store

    @property
    def octets(self) -> int:
        return sum(len(file.content) for file in self.files)


@dataclass(frozen=True, slots=True)
class People:
    """What stands in one field: those that can be read, and the pieces that are no address."""

    found: tuple[Address, ...]
    wrong: tuple[str, ...] = field(default=())


def read_people(typed: str) -> People:
    """The addresses in a field. Semicolons and new lines part them as commas do: people are used to both."""
    found: list[Address] = []
    wrong: list[str] = []
    for piece in _pieces(typed[:_LINE_HEIGHT]):
        read = list(each(addresses_of(piece.encode())))
        try:
            if len(read) != 1:
                raise Malformed("not one address")
            address = EmailAddress.parse(read[0].address)
        except Malformed:
            wrong.append(piece[:200])
            continue
        found.append(Address(read[0].name, str(address)))
    return People(tuple(found[:RECIPIENTS_READ]), tuple(wrong))


def _pieces(typed: str) -> Iterator[str]:
    piece, quoted, angle = "", False, False
    for c in typed:
        if c == '"':
            quoted = not quoted
        elif c in "<>" and not quoted:
            angle = c == "<"
        if c in ",;\n" and not quoted and not angle:
            if piece.strip():
                yield piece.strip()
            piece = ""
        else:
            piece += c
    if piece.strip():
        yield piece.strip()


def typed(people: Sequence[Address]) -> str:
    """As a field shows them."""
    return ", ".join(_shown(one) for one in people)


def _shown(one: Address) -> str:
    if not one.name:
        return one.address
    plain = all(c.isalnum() or c in " .'-()" for c in one.name)
    name = one.name if plain and "(" not in one.name else '"' + one.name.replace("\\", "").replace('"', "") + '"'
    return f"{name} <{one.address}>"


def message_of(writing: Writing, *, sender: Address, at: datetime, message_id: str) -> bytes:
    """What is sent; Bcc in it, for the copy in Sent. Raises Malformed for what cannot stand in a message."""
    extra = b""
    if writing.in_reply_to:
        with suppress(Malformed):
            extra += id_field("In-Reply-To", writing.in_reply_to)
            extra += id_field("References", *_chain(writing))
    hidden = read_people(writing.bcc).found
    if hidden:
        extra += people_field("Bcc", hidden)
    extra += files_field(writing.large)
    return extra + compose(
        sender,
        list(read_people(writing.to).found),
        writing.subject,
        writing.text,
        html=writing.html or None,
        attachments=writing.files,
        date=at,
        message_id=message_id,
        cc=list(read_people(writing.cc).found),
    )


def _chain(writing: Writing) -> list[str]:
    """RFC 5322 §3.6.4. The middle of a very long thread is left out: its ends are what threads hang on."""
    chain = [*writing.references, writing.in_reply_to]
    kept = list(dict.fromkeys(one for one in chain if one))
    return kept if len(kept) <= 20 else [kept[0], *kept[-19:]]


def draft_of(writing: Writing, *, sender: Address, at: datetime, message_id: str) -> bytes:
    """The same as a draft, with what was typed beside it."""
    kept = {
        "to": writing.to,
        "cc": writing.cc,
        "bcc": writing.bcc,
        "html": bool(writing.html),
        "reply_all": writing.reply_all,
        "secure": writing.secure,
        "send_at": writing.send_at,
        "in_reply_to": writing.in_reply_to,
        "references": list(writing.references),
        "signature": writing.signature,
    }
    if writing.answers_to is not None:
        one = writing.answers_to
        kept["answers_to"] = [one.folder, one.uid, one.was_bcc]
    packed = b64encode(json.dumps(kept).encode()).decode()
    folded = "".join(f"\r\n {packed[at : at + _FOLD]}" for at in range(0, len(packed), _FOLD))
    return f"{FIELD}:{folded}\r\n".encode() + message_of(writing, sender=sender, at=at, message_id=message_id)


def writing_of(message: Message) -> Writing:
    """A draft, read again: ours with what was typed, another program's by its headers."""
    kept = _kept(message)
    texts = readable_parts(message)
    plain = next((message.text(part) for _, part in texts if part.media_type == "text/plain"), None)
    html = next((message.text(part) for _, part in texts if part.media_type == "text/html"), "")
    answers = kept.get("answers_to")
    return Writing(
        to=_text(kept, "to", typed(list(each(message.addresses("To"))))),
        cc=_text(kept, "cc", typed(list(each(message.addresses("Cc"))))),
        bcc=_text(kept, "bcc", typed(list(each(message.addresses("Bcc"))))),
        subject=message.subject,
        text=(plain if plain is not None else text_of_html(html)).replace("\r\n", "\n"),
        html=html if kept.get("html", True) else "",
        files=tuple(files_of(message)),
        answers_to=AnswersTo(answers[0], answers[1], answers[2]) if answers else None,
        reply_all=bool(kept.get("reply_all")),
        in_reply_to=_text(kept, "in_reply_to", _answered(message)),
        references=tuple(kept["references"]) if "references" in kept else message.references,
        secure=bool(kept.get("secure")),
        send_at=_text(kept, "send_at", ""),
        message_id=message.message_id or "",
        signature=_text(kept, "signature", ""),
        large=names_in(message.first(FILES_FIELD.lower()).decode("ascii", "replace").split()),
    )


def _answered(message: Message) -> str:
    """What another program's draft, or a message taken back, answers."""
    return next(iter(message_ids(message.first("in-reply-to"))), "")


def _kept(message: Message) -> dict[str, Any]:
    """Nothing when it is not ours or was damaged: then the headers tell."""
    try:
        kept = json.loads(b64decode(b"".join(message.first(FIELD.lower()).split())))
    except (ValueError, Base64Error):
        return {}
    return kept if isinstance(kept, dict) else {}


def _text(kept: dict[str, Any], name: str, otherwise: str) -> str:
    value = kept.get(name)
    return value if isinstance(value, str) else otherwise


def files_of(message: Message) -> Iterator[Attachment]:
    """What is attached, decoded."""
    shown = {id(part) for _, part in readable_parts(message)}
    for number, (_, part) in enumerate(message.leaves(), start=1):
        if part.is_attachment() or (id(part) not in shown and not part.media_type.startswith("text/")):
            yield Attachment(part.filename or f"file {number}", part.media_type, message.body_bytes(part))


def reply_to(
    original: Message, *, ours: str, folder: int, uid: int, everybody: bool, when: str, sender: Address
) -> Writing:
    """An answer. `ours` is the address of the mailbox that writes: it is not answered itself."""
    asked = list(each(original.addresses("Reply-To"))) or [sender]
    visible = [*each(original.addresses("To")), *each(original.addresses("Cc"))]
    known = {one.address.lower() for one in asked} | {ours.lower()}
    others = [one for one in visible if one.address.lower() not in known] if everybody else []
    was_bcc = ours.lower() not in {one.address.lower() for one in visible}
    return replace(
        _quoting(original, without_signature(_words(original)), when=when, sender=sender, prefix="Re: "),
        to=typed(asked),
        cc=typed(list({one.address.lower(): one for one in others}.values())),
        answers_to=AnswersTo(folder, uid, was_bcc),
        reply_all=everybody,
        in_reply_to=original.message_id or "",
        references=original.references,
    )


def forward_of(original: Message, *, when: str, sender: Address) -> Writing:
    """The same message to somebody else, with its files."""
    return replace(
        _quoting(original, _words(original), when=when, sender=sender, prefix="Fwd: "),
        files=tuple(files_of(original)),
        references=original.references,
    )


def _quoting(original: Message, words: str, *, when: str, sender: Address, prefix: str) -> Writing:
    subject = original.subject or ""
    bare = subject if subject.lower().startswith(prefix.lower()) else f"{prefix}{subject}".strip()
    quoted = "\n".join(f"> {line}" if line else ">" for line in words[:QUOTED_MAX].splitlines())
    return Writing(subject=bare, text=f"\n\nOn {when}, {sender.name or sender.address} wrote:\n{quoted}\n")


def _words(message: Message) -> str:
    texts = readable_parts(message)
    for _, part in texts:
        if part.media_type == "text/plain":
            return message.text(part).replace("\r\n", "\n").strip()
    return "\n".join(text_of_html(message.text(part)) for _, part in texts).strip()


def without_signature(text: str) -> str:
    """What an answer quotes of a message (RFC 3676 §4.3: the line "-- "). What was quoted below it stays."""
    lines = text.splitlines()
    at = next((number for number, line in enumerate(lines) if line in {"-- ", "--"}), None)
    if at is None:
        return text
    end = next(
        (
            number
            for number in range(at + 1, len(lines))
            if lines[number].startswith(">") or lines[number].rstrip().endswith("wrote:")
        ),
        len(lines),
    )
    if end - at - 1 > _SIGNATURE_LINES:
        return text
    return "\n".join([*lines[:at], *lines[end:]]).rstrip()
