"""The words of attachments: what a person who opens the file would read. R159.

Promises
    Every file gives either words or the reason why it could not be read; none is passed over in silence.
    Bounded for the whole message: time, bytes unpacked, characters, depth. Nothing is run, fetched or written; XML
    is read as text with tags in it, so an entity is never expanded.
    Pictures and recordings are not read: that is said, as something else than a file that should have been readable.

`Reader` is made for one message. Formats: texts_plain, texts_office, texts_sheets, texts_old, texts_pdf.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from carepost.gateway.contents import By, read_contents
from carepost.gateway.files import documents, names, texts_office, texts_old, texts_pdf, texts_plain
from carepost.gateway.files.inspect import is_message
from carepost.gateway.files.kinds import PACKED, PROGRAMS, Kind, kind_of
from carepost.gateway.files.texts_model import NotReadable, TextLimits, Unread, Words
from carepost.gateway.files.unpack import Budget, Entry, PackedTooTightly, unpack
from carepost.message.parse import parse

__all__ = ["FileText", "Reader", "TextLimits", "Unread"]

# Signatures and keys: no words of anybody's. Only where the bytes are of no kind that could have some.
_WORDLESS = frozenset(
    {"application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature",
     "application/pgp-keys", "application/ms-tnef-rtf"}
)  # fmt: skip
_WORDLESS_MAX = 65_536
_MEDIA = frozenset({Kind.PICTURE, Kind.SOUND_OR_FILM})
_DICOM_AT, _DICOM = 128, b"DICM"
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class FileText:
    """One file, or one packed in another. `name` is safe to show; `names` are as written, for judging."""

    name: str
    names: tuple[str, ...]
    text: str = ""
    tables: tuple[tuple[tuple[str, ...], ...], ...] = ()
    unread: Unread | None = None


@dataclass(slots=True)
class Reader:
    """Reads the files of one message, within one budget."""

    limits: TextLimits = field(default_factory=TextLimits)
    spent_seconds: Callable[[], float] = lambda: 0.0
    _budget: Budget = field(init=False)
    _characters: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._budget = Budget(self.limits.unpack, self.spent_seconds)

    def read(self, data: bytes, called: Sequence[str], *, media_type: str = "", charset: str = "") -> list[FileText]:
        """The file and what is packed in it. Never raises because of what it holds."""
        wordless = media_type in _WORDLESS and len(data) < _WORDLESS_MAX and kind_of(data) is Kind.UNKNOWN
        if wordless or not data:
            return [FileText(_shown(called), tuple(called))]
        return list(self._file(data, tuple(called), charset, depth=0))

    def _file(self, data: bytes, called: tuple[str, ...], charset: str, *, depth: int) -> Iterator[FileText]:
        kind = kind_of(data)
        try:
            if depth > self.limits.unpack.depth:
                raise NotReadable(Unread.TOO_LARGE)
            yield from self._by_kind(kind, data, called, charset, depth)
        except NotReadable as error:
            yield FileText(_shown(called), called, unread=error.why)
        except PackedTooTightly:
            yield FileText(_shown(called), called, unread=Unread.TOO_LARGE)
        except RecursionError:
            yield FileText(_shown(called), called, unread=Unread.TOO_LARGE)
        except Exception:  # noqa: BLE001 - a damaged file raises anything its library knows
            yield FileText(_shown(called), called, unread=Unread.DAMAGED)

    def _by_kind(
        self, kind: Kind, data: bytes, called: tuple[str, ...], charset: str, depth: int
    ) -> Iterator[FileText]:
        self._budget.check_time()
        if data[_DICOM_AT : _DICOM_AT + 4] == _DICOM:
            raise NotReadable(Unread.MEDICAL_IMAGE)
        if kind in _MEDIA:
            raise NotReadable(Unread.MEDIA)
        if is_message(kind, data):
            yield from self._message(data, called, depth)
        elif kind is Kind.ZIP:
            yield from self._zip(data, called, depth)
        elif kind in PACKED:
            yield from self._packed(unpack(kind, data, self._budget, _everything), called, depth)
        else:
            yield self._kept(called, self._document(kind, data, called, charset))
            yield from self._inside(kind, data, depth)

    def _document(self, kind: Kind, data: bytes, called: tuple[str, ...], charset: str) -> Words:
        match kind:
            case Kind.PDF:
                return texts_pdf.read_pdf(data, self.limits, self._budget)
            case Kind.OLE:
                return texts_old.read_ole(data)
            case Kind.RTF:
                return texts_plain.read_rtf(data)
            case Kind.PAGE:
                return texts_plain.read_page(data, charset)
            case Kind.SVG:
                return texts_office.read_xml(data)
            case Kind.TEXT | Kind.SCRIPT | Kind.SHORTCUT | Kind.REGISTRY:
                return texts_plain.read_text(data, names.extension(called[0]) if called else "", charset)
            case _ if kind in PROGRAMS:
                raise NotReadable(Unread.KIND)
            case _:
                return texts_plain.read_unknown(data, charset)

    def _inside(self, kind: Kind, data: bytes, depth: int) -> Iterator[FileText]:
        """Files that a document carries."""
        if kind is Kind.PDF:
            for number, stream in enumerate(documents.pdf_attachments(data), 1):
                self._budget.entry()
                yield from self._file(stream, (f"file {number}",), "", depth=depth + 1)
        elif kind is Kind.OLE and "__properties_version1.0".encode("utf-16-le") in data:
            for name, attached in documents.outlook_attachments(data):
                self._budget.entry()
                self._budget.spend(out=len(attached))
                yield from self._file(attached, (name,), "", depth=depth + 1)

    def _message(self, data: bytes, called: tuple[str, ...], depth: int) -> Iterator[FileText]:
        message = parse(data)
        yield self._kept(called, Words(message.subject))
        for content in read_contents(message).files:
            self._budget.entry()
            self._budget.spend(out=len(content.data))
            if content.is_attachment or content.by is By.US:
                yield from self._file(content.data, content.names, "", depth=depth + 1)

    def _zip(self, data: bytes, called: tuple[str, ...], depth: int) -> Iterator[FileText]:
        """A document of an office program, or an archive."""
        entries = unpack(Kind.ZIP, data, self._budget, texts_office.wants_all)
        first = next(entries, None)
        if first is None:
            yield FileText(_shown(called), called)
            return
        rest = [first, *entries]
        if texts_office.is_document([entry.name for entry in rest]):
            yield self._kept(called, texts_office.read_document(rest))
            rest = [entry for entry in rest if texts_office.is_embedded(entry.name)]
        yield from self._packed(iter(rest), called, depth)

    def _packed(self, entries: Iterator[Entry], called: tuple[str, ...], depth: int) -> Iterator[FileText]:
        for entry in entries:
            inner = (entry.name,) if entry.name else called
            if entry.data is None:
                yield FileText(_shown(inner), inner, unread=Unread.LOCKED)
            elif not entry.whole and kind_of(entry.data) not in _MEDIA:
                yield FileText(_shown(inner), inner, unread=Unread.TOO_LARGE)
            elif entry.data:
                yield from self._file(entry.data, inner, "", depth=depth + 1)
            else:
                yield FileText(_shown(inner), inner)

    def _kept(self, called: tuple[str, ...], words: Words) -> FileText:
        """Within the characters that a message may have; what is beyond is said to be unread."""
        left = max(0, self.limits.characters - self._characters)
        text = words.text[:left]
        self._characters += len(text)
        unread = Unread.TOO_LARGE if len(text) < len(words.text) else words.unread
        return FileText(_shown(called), called, text, words.tables, unread)


def _everything(name: str, head: bytes) -> bool:  # noqa: ARG001
    return True


def _shown(called: Sequence[str]) -> str:
    name = names.plain(called[0].replace("\\", "/").rpartition("/")[2]) if called else ""
    return name[:_SHOWN] or "without a name"
