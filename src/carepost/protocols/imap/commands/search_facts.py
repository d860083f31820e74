"""Whether one key of a search holds of one message, from its row, its summary or its octets. No I/O."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime

from carepost.message.encodings import decode_header
from carepost.message.headers import read_date, unfold
from carepost.message.model import Message
from carepost.message.parse import parse
from carepost.message.structure import EnvelopeAddress
from carepost.message.summary import Summary
from carepost.message.words import clean_text, text_of_html
from carepost.store.model import MessageRow
from carepost.wire.imap_search_keys import (
    Between,
    BodyHas,
    HeaderHas,
    LargerThan,
    ModseqFrom,
    SearchKey,
    SmallerThan,
    Younger,
)

# Of one field, what is looked through: no honest header field is longer.
_FIELD_OCTETS = 64 * 1024
# Of the texts of one message: a long letter is a hundredth of it.
_TEXT_OCTETS = 2 * 1024 * 1024


def row_holds(leaf: SearchKey, row: MessageRow, now: datetime) -> bool:
    match leaf:
        case LargerThan(octets):
            return row.size > octets
        case SmallerThan(octets):
            return row.size < octets
        case ModseqFrom(modseq):
            return row.modseq >= modseq
        case Younger(seconds):
            return (now - row.internal_date).total_seconds() <= seconds
        case Between(since=since, before=before):
            return _within(row.internal_date.astimezone(UTC).date(), since, before)
        case _:
            raise AssertionError("not a question for a row")


def summary_holds(leaf: SearchKey, summary: Summary) -> bool:
    match leaf:
        case Between(since=since, before=before):
            sent = read_date(summary.envelope.date or b"")
            return sent is not None and _within(sent.date(), since, before)
        case HeaderHas(name, text):
            return any(_contains(value, text) for value in _field(summary, name))
        case _:
            raise AssertionError("not a question for a summary")


def body_holds(leaves: Sequence[SearchKey], raw: bytes) -> list[bool]:
    """All the questions about one message at once: it is read once."""
    message = parse(raw)
    text: str | None = None
    holds: list[bool] = []
    for leaf in leaves:
        match leaf:
            case HeaderHas(name, wanted):
                values = message.header_values(name.decode("ascii", "replace"))
                holds.append(any(_contains(_shown(value), wanted) for value in values))
            case BodyHas(wanted, header_too=header_too):
                if text is None:
                    text = "\n".join(_texts(message))
                wanted = " ".join(wanted.split())  # the texts have single spaces, too
                holds.append(_contains(text, wanted) or (header_too and _contains(_headers(message), wanted)))
            case _:
                raise AssertionError("not a question for a body")
    return holds


def _texts(message: Message) -> Iterator[str]:
    """What a reader reads, embedded messages included."""
    left = _TEXT_OCTETS
    for _, part in message.leaves():
        if part.media_type.startswith("text/") and left > 0:
            text = message.text(part, left)
            left -= len(text)
            yield text_of_html(text) if part.media_type == "text/html" else clean_text(text)


def _within(day: date, since: date | None, before: date | None) -> bool:
    return (since is None or day >= since) and (before is None or day < before)


def _contains(value: str, wanted: str) -> bool:
    return wanted.casefold() in value.casefold()


def _field(summary: Summary, name: bytes) -> Iterable[str]:
    envelope = summary.envelope
    match name:
        case b"SUBJECT":
            return [_shown(envelope.subject)] if envelope.subject is not None else []
        case b"DATE":
            return [_shown(envelope.date)] if envelope.date is not None else []
        case b"MESSAGE-ID":
            return [_shown(envelope.message_id)] if envelope.message_id is not None else []
        case b"IN-REPLY-TO":
            return [_shown(envelope.in_reply_to)] if envelope.in_reply_to is not None else []
        case b"FROM":
            return _people(envelope.from_)
        case b"SENDER":
            return _people(envelope.sender)
        case b"REPLY-TO":
            return _people(envelope.reply_to)
        case b"TO":
            return _people(envelope.to)
        case b"CC":
            return _people(envelope.cc)
        case _:
            return _people(envelope.bcc)


def _people(addresses: Sequence[EnvelopeAddress]) -> list[str]:
    """As they stand in the field: `Name <local@host>`."""
    return [f"{_shown(name)} <{_shown(local)}@{_shown(host)}>" for name, _, local, host in addresses]


def _shown(octets: bytes | None) -> str:
    return decode_header(octets[:_FIELD_OCTETS]) if octets else ""


def _headers(message: Message) -> str:
    header = message.root.header
    return _shown(unfold(message.raw[header.start : min(header.end, header.start + _FIELD_OCTETS)]))
