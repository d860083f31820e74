"""What the message says about people: in its subject, its text, its files and their names. R113, R114, R159.

Promises
    Every view of the message is read: ours, and those of readers that see it otherwise.
    A file that could not be read is a finding; the sensitivity is then unknown, never "none".

For outgoing mail only: what strangers send us about themselves is their own affair.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from time import monotonic

from carepost.gateway import disclosure as says
from carepost.gateway.contents import By, Content
from carepost.gateway.disclosure import Place
from carepost.gateway.examine import aside
from carepost.gateway.files.names import plain
from carepost.gateway.files.texts import FileText, Reader
from carepost.gateway.files.texts_model import TextLimits, Unread, Words
from carepost.gateway.files.texts_plain import read_page, read_text
from carepost.gateway.model import Check, Examination, Finding
from carepost.message.encodings import decode_header
from carepost.message.identifiers import TEXT_MAX, Found, Identifier, Strength, Where, look_through
from carepost.message.identifiers_tables import BULK_ROWS, TableLook, look_in_table
from carepost.message.model import Part

NAME = says.DISCLOSURE
_COSTS = 10  # reading a document costs as much as inspecting ten times its octets
_FINDINGS_MAX = 60  # of one message: enough to decide and to explain
_HEALTH = frozenset({Identifier.NHS, Identifier.CHI, Identifier.HC})
_IN_THE_OPEN = frozenset({Where.SUBJECT, Where.HEADER, Where.NAME})
# What travels in clear beside the subject: names of recipients, and what programs keep of an older subject.
_FIELDS = ("thread-topic", "comments", "keywords", "to", "cc", "reply-to")
_FIELD_MAX = 16_384


@dataclass(frozen=True, slots=True)
class _Piece:
    """One text and where it stands; what could not be read has no text."""

    place: Place
    text: str = ""
    tables: tuple[tuple[tuple[str, ...], ...], ...] = ()
    unread: Unread | None = None


@dataclass(slots=True)
class _Looked:
    """What was found in one place."""

    place: Place
    counts: Counter[Identifier] = field(default_factory=Counter)
    rows: int = 0


def disclosure(limits: TextLimits | None = None) -> Check:
    """`limits` bound what one message's files may cost."""
    limits = limits or TextLimits()

    async def look(examination: Examination) -> list[Finding]:
        size = len(examination.raw) + examination.contents.size * _COSTS
        return await aside(size, partial(_findings, examination, limits))

    return Check(NAME, look)


def _findings(examination: Examination, limits: TextLimits) -> list[Finding]:
    message = examination.message
    subjects = [decode_header(value) for value in message.header_values("subject")]
    fields = [
        (header.name, message.raw[header.value.start : header.value.end].decode("utf-8", "replace"))
        for header in message.root.headers
    ]
    pieces = list(_pieces(examination, subjects, limits))
    findings = [finding for finding in [says.asks_for_secure(subjects)] if finding is not None]
    findings += says.markings(fields, subjects) or list(_marked(pieces))[:1]
    findings += _about(_looked_through(pieces))
    findings += _unread(pieces)
    if not examination.contents.complete or any(len(piece.text) > TEXT_MAX for piece in pieces):
        findings.append(says.not_everything_was_read())
    return findings[:_FINDINGS_MAX]


def _pieces(examination: Examination, subjects: Iterable[str], limits: TextLimits) -> Iterator[_Piece]:
    message = examination.message
    for subject in subjects:
        yield _Piece(Place(Where.SUBJECT), subject)
    for name in _FIELDS:
        for value in message.header_values(name):
            yield _Piece(Place(Where.HEADER, name.title()), decode_header(value[:_FIELD_MAX]))
    for _, part in message.walk():
        if part.message is not None:
            yield _Piece(Place(Where.FILE, "attached message"), message.subject_of(part.message))
    began = monotonic()
    reader = Reader(limits, lambda: monotonic() - began)
    # The contents begin with the leaves, in order; what follows are the views of other readers.
    for content, leaf in zip_longest(examination.contents.files, message.leaves()):
        if content is not None:
            yield from _of_content(reader, content, leaf[1] if leaf else None)


def _of_content(reader: Reader, content: Content, part: Part | None) -> Iterator[_Piece]:
    for name in dict.fromkeys(content.names):
        yield _Piece(Place(Where.NAME, _shown(name)), name)
    charset = part.params.get("charset", "") if part is not None else ""
    if content.by is By.US and part is not None and not content.is_attachment and part.media_type.startswith("text/"):
        words = read_page if part.media_type == "text/html" else _plain
        read = words(content.data, charset)
        yield _Piece(Place(Where.TEXT), read.text, read.tables)
        return
    is_guess = content.by is By.FORGIVING and not content.names
    for file in reader.read(content.data, content.names, media_type=content.media_type, charset=charset):
        yield from _of_file(file, content, is_guess=is_guess)


def _plain(data: bytes, charset: str) -> Words:
    return read_text(data, "", charset)


def _of_file(file: FileText, content: Content, *, is_guess: bool) -> Iterator[_Piece]:
    for name in file.names:
        if name not in content.names:  # of a file packed in another
            yield _Piece(Place(Where.NAME, _shown(name)), name)
    unread = None if is_guess else file.unread
    is_body = content.by is By.US and not content.is_attachment and not content.names
    place = Place(Where.TEXT) if is_body and file.unread is None else Place(Where.FILE, file.name)
    yield _Piece(place, file.text, file.tables, unread)


def _looked_through(pieces: list[_Piece]) -> list[_Looked]:
    found = look_through([(piece.place.where, piece.text) for piece in pieces])
    looked: dict[Place, _Looked] = {}
    for piece, ones in zip(pieces, found, strict=True):
        here = looked.setdefault(piece.place, _Looked(piece.place))
        tables = [look_in_table(table) for table in piece.tables]
        for kind, count in _counted(ones, tables).items():
            here.counts[kind] = max(here.counts[kind], count)  # text and HTML say the same twice
        here.rows = max(here.rows, _rows(ones, tables))
    return list(looked.values())


def _counted(ones: Iterable[Found], tables: Iterable[TableLook]) -> Counter[Identifier]:
    """The finders' count, or the tables' where the heads of columns vouch for more."""
    counts = Counter(one.kind for one in ones if one.strength is Strength.STRONG)
    in_tables: Counter[Identifier] = Counter()
    for table in tables:
        in_tables.update(table.identifiers)
    return counts | in_tables


def _rows(ones: Iterable[Found], tables: Iterable[TableLook]) -> int:
    """How many people are listed; 0 for what is no list."""
    listed = sum(1 for one in ones if one.kind in _HEALTH and one.strength is Strength.STRONG)
    rows = max((table.people for table in tables if table.is_bulk), default=0)
    return max(rows, listed if listed >= BULK_ROWS else 0)


def _about(looked: Iterable[_Looked]) -> Iterator[Finding]:
    for here in looked:
        if here.rows:
            yield says.is_list_of_people(here.rows, here.place)
        for kind, count in here.counts.items():
            if count:
                yield says.holds(kind, count, here.place)
        told = sum(count for kind, count in here.counts.items() if kind is not Identifier.BIC)
        if told and here.place.where in _IN_THE_OPEN:
            yield says.is_in_the_open(here.place, told)


def _marked(pieces: Iterable[_Piece]) -> Iterator[Finding]:
    for piece in pieces:
        if piece.place.where in {Where.TEXT, Where.FILE} and (found := says.marked_in(piece.text, piece.place)):
            yield found


def _unread(pieces: Iterable[_Piece]) -> Iterator[Finding]:
    """Each file once."""
    for name, why in dict.fromkeys((piece.place.name, piece.unread) for piece in pieces if piece.unread is not None):
        if why is not None:
            yield says.is_not_read(why, name)


def _shown(name: str) -> str:
    return plain(name)[:80] or "without a name"
