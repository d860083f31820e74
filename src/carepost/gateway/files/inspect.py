"""One file, taken apart as far as needed: its kind, its names, what it holds, and what those hold.

Promises
    Never raises because of what a file holds; what could not be seen is a trait.
    Work is bounded by one Budget for the whole message.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from carepost.gateway.contents import By, read_contents
from carepost.gateway.files import documents, names
from carepost.gateway.files.kinds import PACKED, PROGRAMS, Kind, ends_like_zip, kind_of, reads_like_script
from carepost.gateway.files.names import BlockPolicy
from carepost.gateway.files.traits import Seen, Trait
from carepost.gateway.files.unpack import Budget, Entry, PackedTooTightly, UnpackLimits, unpack
from carepost.message.parse import parse

_DOCUMENTS = frozenset({Kind.OLE, Kind.PDF, Kind.RTF, Kind.PAGE, Kind.SVG})
_HARMLESS_NAMES = frozenset(
    {"pdf", "jpg", "jpeg", "png", "gif", "tif", "tiff", "bmp", "txt", "csv", "doc", "docx", "xls", "xlsx", "ppt",
     "pptx", "rtf", "odt", "dcm"}
)  # fmt: skip
_SHOWN = 80  # characters of a name that a finding repeats


class Report(NamedTuple):
    """What was seen in one file. `name` is safe to show; `inside` is the way through the archives to it."""

    name: str
    inside: tuple[str, ...]
    kind: Kind
    seen: Seen


@dataclass(slots=True)
class Inspector:
    """Inspects the files of one message. Make one for each message: it holds the budget."""

    policy: BlockPolicy = field(default_factory=BlockPolicy)
    limits: UnpackLimits = field(default_factory=UnpackLimits)
    spent_seconds: Callable[[], float] = lambda: 0.0
    # Asked about every file that is seen whole or in part, packed ones included: the malware floor.
    is_malware: Callable[[bytes], str | None] = lambda _: None
    budget: Budget = field(init=False)

    def __post_init__(self) -> None:
        self.budget = Budget(self.limits, self.spent_seconds)

    def surface(self, data: bytes, called: Sequence[str]) -> list[Report]:
        """The file itself, without what is packed in it."""
        kind = kind_of(data)
        return [Report(_shown(called), (), kind, seen) for seen in self._itself(kind, data, called)]

    def depths(self, data: bytes, called: Sequence[str]) -> list[Report]:
        """What is packed in it, to the depth we look."""
        return list(self._inside(kind_of(data), data, called, ()))

    def _itself(self, kind: Kind, data: bytes, called: Sequence[str]) -> Iterator[Seen]:
        if kind in PROGRAMS:
            yield Seen(Trait.PROGRAM, f"is a {kind}" if kind is not Kind.INSTALLER else f"is an {kind}")
            if any(names.extension(name) in _HARMLESS_NAMES for name in called):
                yield Seen(Trait.HIDDEN, f"is called like a document and is a {kind}")
        elif kind is Kind.TEXT and not called and reads_like_script(data):
            yield Seen(Trait.SCRIPTED, "reads like a script")
        if name := names.is_program_name(called, self.policy):
            yield Seen(Trait.PROGRAM, f"ends in .{names.extension(name)}, which runs as a program")
        if name := names.is_macro_name(called, self.policy):
            yield Seen(Trait.MACROS, f"ends in .{names.extension(name)}, which is for documents with macros")
        for name in called:
            if how := names.deceives(name, self.policy):
                yield Seen(Trait.HIDDEN, how)
        yield from self._document(kind, data, called)

    def _document(self, kind: Kind, data: bytes, called: Sequence[str]) -> Iterator[Seen]:
        match kind:
            case Kind.OLE:
                yield from documents.look_into_ole(data)
            case Kind.PDF:
                yield from documents.look_into_pdf(data)
            case Kind.RTF:
                yield from documents.look_into_rtf(data)
            case Kind.SVG:
                yield from documents.look_into_svg(data)
            case Kind.PAGE:
                yield from documents.look_into_page(data)
                if any(
                    names.extension(name) in _HARMLESS_NAMES - {"doc", "xls", "rtf", "csv", "txt"} for name in called
                ):
                    yield Seen(Trait.HIDDEN, "is called like a document and is a web page")
            case Kind.OTHER_ARCHIVE:
                yield Seen(Trait.UNREADABLE, f"is an {kind}")
            case _:
                return

    def _inside(self, kind: Kind, data: bytes, called: Sequence[str], way: tuple[str, ...]) -> Iterator[Report]:
        try:
            for entry in self._entries(kind, data):
                yield from self._one_inside(kind, entry, (*way, _shown(called)))
        except PackedTooTightly as error:
            yield Report(_shown(called), way, kind, Seen(Trait.UNREADABLE, str(error)))
        except Exception as error:  # noqa: BLE001 - a damaged archive raises anything its library knows
            says = f"is damaged and cannot be looked through ({type(error).__name__})"
            yield Report(_shown(called), way, kind, Seen(Trait.UNREADABLE, says))

    def _entries(self, kind: Kind, data: bytes) -> Iterator[Entry]:
        if kind in PACKED:
            yield from unpack(kind, data, self.budget, _wants_all)
        elif kind is Kind.PDF:
            for number, stream in enumerate(documents.pdf_attachments(data), 1):
                self.budget.entry()
                yield Entry(f"file {number}", stream, whole=True)
        elif kind is Kind.OLE and "__properties_version1.0".encode("utf-16-le") in data:
            for name, attached in documents.outlook_attachments(data):
                self.budget.entry()
                self.budget.spend(out=len(attached))
                yield Entry(name, attached, whole=True)
        elif is_message(kind, data):
            for content in read_contents(parse(_with_header(kind, data))).files:
                self.budget.entry()
                self.budget.spend(out=len(content.data))
                name = content.names[0] if content.names else ""
                yield Entry(name, content.data, whole=True, is_body=not content.is_attachment and content.by is By.US)
        elif kind not in PACKED and ends_like_zip(data):
            yield from unpack(Kind.ZIP, data, self.budget, _wants_all)

    def _one_inside(self, holder: Kind, entry: Entry, way: tuple[str, ...]) -> Iterator[Report]:
        called = [entry.name] if entry.name else []
        shown = _shown(called)
        if entry.data is None:
            yield Report(way[-1], way[:-1], holder, Seen(Trait.LOCKED, "is locked with a password"))
            for seen in self._itself(Kind.UNKNOWN, b"", called):
                yield Report(shown, way, Kind.UNKNOWN, seen)
            return
        kind = kind_of(entry.data)
        for seen in self._part(holder, kind, entry.name, entry.data):
            yield Report(shown, way, kind, seen)
        if holder is Kind.ZIP and entry.name.upper() == "META-INF/MANIFEST.MF":
            yield Report(way[-1], way[:-1], holder, Seen(Trait.PROGRAM, "is a Java program"))
        if not holds_files(kind, entry.data) or (entry.is_body and kind is Kind.MESSAGE):
            return
        if len(way) >= self.limits.depth:
            yield Report(shown, way, kind, Seen(Trait.UNREADABLE, "lies deeper in archives than we look"))
        elif not entry.whole:
            yield Report(shown, way, kind, Seen(Trait.UNREADABLE, "is larger than we look through"))
        else:
            yield from self._inside(kind, entry.data, called, way)

    def _part(self, holder: Kind, kind: Kind, name: str, data: bytes) -> Iterator[Seen]:
        if malware := self.is_malware(data):
            yield Seen(Trait.MALWARE, f"is malware: {malware}")
        yield from self._itself(kind, data, [name] if name else [])
        if holder is Kind.ZIP:
            yield from documents.look_at_package_name(name)
            if documents.wants_reading(name):
                yield from documents.look_at_package_part(name, data)


def holds_files(kind: Kind, data: bytes) -> bool:
    """True when other files may be packed in it."""
    return kind in PACKED or kind in {Kind.PDF, Kind.OLE} or is_message(kind, data) or ends_like_zip(data)


_PARTS = re.compile(rb"\A\s{0,4}--([^\s\"]{1,70})[ \t]*\r?\ncontent-", re.IGNORECASE)


def is_message(kind: Kind, data: bytes) -> bool:
    """A message saved as a file, or the parts of one whose header came separately."""
    return kind is Kind.MESSAGE or (kind is Kind.TEXT and _PARTS.match(data) is not None)


def _with_header(kind: Kind, data: bytes) -> bytes:
    parts = _PARTS.match(data) if kind is Kind.TEXT else None
    if parts is None:
        return data
    return b'Content-Type: multipart/mixed; boundary="' + parts[1] + b'"\r\n\r\n' + data


def _wants_all(name: str, head: bytes) -> bool:
    """Text, pictures and sounds are judged by their beginning; what can hold something is read whole."""
    kind = kind_of(head)
    return kind in PACKED or kind in _DOCUMENTS or documents.wants_reading(name)


def _shown(called: Sequence[str]) -> str:
    """A name for people: marks and controls stripped, shortened."""
    name = names.plain(called[0]) if called else ""
    return name[:_SHOWN] or "without a name"
