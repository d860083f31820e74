"""What a list, a search and IMAP need of a message, so that its body need not be opened. Sealed like the body.

Promises
    `encode` and `decode` are inverse; decoding takes microseconds, since a list decodes thousands.
    Everything for people is decoded, cleaned and bounded; everything for IMAP is octets.
    A name that lies about its address is not in here: the address stands in its place (M8).
"""

import msgspec

from carepost.message.addresses import each, shown_name
from carepost.message.model import Message
from carepost.message.structure import BodyPart, Envelope, body_structure, envelope
from carepost.message.threads import thread_key
from carepost.message.words import preview

SHOWN_RECIPIENTS_MAX = 50
ATTACHMENTS_MAX = 200


class Summary(msgspec.Struct, array_like=True, frozen=True):
    """New fields go at the end, with a default: old summaries are stored."""

    envelope: Envelope
    structure: BodyPart
    subject: str
    sender_name: str  # safe to show; the address when there is no honest name
    sender_address: str
    to_shown: list[tuple[str, str]]  # (name, address), at most SHOWN_RECIPIENTS_MAX
    cc_shown: list[tuple[str, str]]
    date: int | None  # the sender's, seconds since 1970
    preview: str
    attachments: list[tuple[str, str, str, int]]  # (section number, file name, media type, octets on the wire)
    thread_key: str
    message_id: str | None
    references: list[str]
    defects: list[str]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Summary)


def encode(summary: Summary) -> bytes:
    return _ENCODER.encode(summary)


def decode(data: bytes) -> Summary:
    """Raises msgspec.DecodeError for anything `encode` did not write."""
    return _DECODER.decode(data)


def summarise(message: Message) -> Summary:
    """Never raises."""
    subject = message.subject
    author = next(message.authors(), None)
    references = list(message.references)
    message_id = message.message_id
    at = message.date
    return Summary(
        envelope=envelope(message),
        structure=body_structure(message),
        subject=subject,
        sender_name=shown_name(author) if author else "",
        sender_address=author.address if author else "",
        to_shown=_shown(message, "to"),
        cc_shown=_shown(message, "cc"),
        date=int(at.timestamp()) if at else None,
        preview=preview(message),
        attachments=_attachments(message),
        thread_key=thread_key(subject=subject, message_id=message_id, references=references),
        message_id=message_id,
        references=references,
        defects=sorted(message.defects),
    )


def _shown(message: Message, field: str) -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    for address in each(message.addresses(field, SHOWN_RECIPIENTS_MAX)):
        if len(out) >= SHOWN_RECIPIENTS_MAX:
            break
        out.append((shown_name(address), address.address))
    return out


def _attachments(message: Message) -> list[tuple[str, str, str, int]]:
    """What a reader may open: an attached message counts, what it holds does not."""
    out: list[tuple[str, str, str, int]] = []
    inside = ""
    for path, part in message.walk():
        if inside and (path.startswith(inside + ".") or path == inside):
            continue
        if part.message is not None:
            inside = path
        if len(out) < ATTACHMENTS_MAX and part.is_attachment():
            name = part.filename or _unnamed(part.media_type)
            out.append((path, name, part.media_type, part.body.size))
    return out


def _unnamed(media_type: str) -> str:
    return "Attached message.eml" if media_type.startswith("message/") else "Unnamed attachment"
