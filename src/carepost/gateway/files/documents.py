"""What a document would do when it is opened: macros, embedded programs, launch actions, pages that build files.

Promises
    Bounded: every stream that is unpacked has a size at which we stop; nothing is run, fetched or followed.
    Each function returns traits; a document that cannot be taken apart simply has fewer of them (the kind of file and
    its name are judged elsewhere).
"""

import io
import re
import zlib
from collections.abc import Iterator

import olefile

from carepost.gateway.files.traits import Seen, Trait

_PDF_STREAM_MAX = 1 << 20  # bytes taken from one stream of a PDF
_PDF_STREAMS_MAX = 200
_PDF_TOTAL_MAX = 8 << 20
_OLE_STREAM_MAX = 16 << 20
_MACRO_NAMES = tuple(name.encode("utf-16-le") for name in ("_VBA_PROJECT", "VBA", "_VBA_PROJECT_CUR"))
_BOUNDSHEET = 0x85  # [MS-XLS] 2.4.28
_MACRO_SHEET = 1


def look_into_ole(data: bytes) -> list[Seen]:
    """Office 97-2003, Outlook items, installers. [MS-CFB], [MS-OVBA], [MS-XLS], [MS-OLEDS]."""
    seen: list[Seen] = []
    if _MACRO_NAMES[0] in data:
        seen.append(Seen(Trait.MACROS, "holds macros"))
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as ole:
            seen += _ole_streams(ole)
    except Exception as error:  # noqa: BLE001 - a damaged file raises anything; what it is stays known from its bytes
        seen.append(Seen(Trait.DAMAGED, f"cannot be taken apart ({type(error).__name__})"))
    return seen


def _ole_streams(ole: olefile.OleFileIO) -> list[Seen]:
    seen: list[Seen] = []
    clsid = str(ole.root.clsid or "").upper() if ole.root else ""
    if clsid.startswith(("000C1084", "000C1086")):
        seen.append(Seen(Trait.PROGRAM, "is a Windows installer"))
    for path in ole.listdir(streams=True, storages=True)[:5_000]:
        name = path[-1].lower()
        if name in {"_vba_project", "vba", "_vba_project_cur"}:
            seen.append(Seen(Trait.MACROS, "holds macros"))
        elif name in {"encryptedpackage", "encryptioninfo"}:
            seen.append(Seen(Trait.LOCKED, "is locked with a password"))
        elif name == "\x01ole10native":
            seen.append(Seen(Trait.ACTIVE, "has a file packed into it that opens at a click"))
        elif name in {"workbook", "book"} and len(path) == 1 and _has_macro_sheet(_stream(ole, path)):
            seen.append(Seen(Trait.MACROS, "holds Excel 4 macros"))
    return seen


def _stream(ole: olefile.OleFileIO, path: list[str]) -> bytes:
    with ole.openstream(path) as stream:
        return bytes(stream.read(_OLE_STREAM_MAX))


def _has_macro_sheet(book: bytes) -> bool:
    at, records = 0, 0
    while at + 4 <= len(book) and records < 20_000:
        kind, size = int.from_bytes(book[at : at + 2], "little"), int.from_bytes(book[at + 2 : at + 4], "little")
        if kind == _BOUNDSHEET and size >= 6 and book[at + 9] == _MACRO_SHEET:
            return True
        at, records = at + 4 + size, records + 1
    return False


def outlook_attachments(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The files inside an Outlook item (.msg). [MS-OXMSG] 2.2.2."""
    with olefile.OleFileIO(io.BytesIO(data)) as ole:
        for path in ole.listdir(streams=True, storages=False)[:5_000]:
            if path[-1].upper() == "__SUBSTG1.0_37010102" and path[-2].startswith("__attach"):
                name = ""
                for tag in ("3707001F", "3704001F"):
                    if ole.exists([*path[:-1], f"__substg1.0_{tag}"]):
                        name = (
                            _stream(ole, [*path[:-1], f"__substg1.0_{tag}"]).decode("utf-16-le", "replace").rstrip("\0")
                        )
                        break
                yield name or "attachment", _stream(ole, path)


# --- Office Open XML and OpenDocument: what the names and a few small parts of the package say ------------------------

_EXTERNAL = re.compile(
    rb"(?:attachedTemplate|oleObject|frame|subDocument)\"[^>]{0,2000}TargetMode=\"External\""
    rb"|TargetMode=\"External\"[^>]{0,2000}(?:attachedTemplate|oleObject|frame|subDocument)\"",
    re.IGNORECASE,
)


def look_at_package_name(name: str) -> list[Seen]:
    """Traits that the name of one part of an Office package gives away."""
    low = name.lower()
    base = low.rsplit("/", 1)[-1]
    if base in {"vbaproject.bin", "vbadata.xml"} or "/macrosheets/" in low or low.startswith("basic/script"):
        return [Seen(Trait.MACROS, "holds macros")]
    return []


def wants_reading(name: str) -> bool:
    """The small parts of an Office package whose text says something that names don't."""
    low = name.lower()
    return low == "[content_types].xml" or low.endswith((".rels", "settings.xml"))


def look_at_package_part(name: str, data: bytes) -> list[Seen]:
    low = name.lower()
    if low == "[content_types].xml" and re.search(rb"macroenabled|vbaproject|application/vnd\.ms-excel\.intlmacrosheet",
                                                  data, re.IGNORECASE):  # fmt: skip
        return [Seen(Trait.MACROS, "says that it holds macros")]
    if low.endswith(".rels") and _EXTERNAL.search(data):
        return [Seen(Trait.ACTIVE, "fetches a template or an object from elsewhere when it is opened")]
    return []


# --- RTF ------------------------------------------------------------------------------------------------------------

_RTF_OBJECT = re.compile(rb"\\obj(?:update|data|ocx|link|autlink)\b|\\object\b", re.IGNORECASE)
_RTF_CLASS = re.compile(
    rb"\\\*?\\?objclass[ \t\r\n]+(?:package|equation|htmlfile|script|shell|otkloadr|internetexplorer)", re.IGNORECASE
)
# "Package", "Equation" and an OLE file's first bytes, in the hexadecimal that \objdata holds.
_RTF_HEX = (b"5061636b616765", b"4571756174696f6e", b"6551754174496f6e", b"68746d6c66696c65")


def look_into_rtf(data: bytes) -> list[Seen]:
    if not _RTF_OBJECT.search(data):
        return []
    squeezed = data.translate(None, delete=b" \t\r\n{}").lower()
    if _RTF_CLASS.search(data) or b"\\objupdate" in squeezed or any(mark in squeezed for mark in _RTF_HEX):
        return [Seen(Trait.ACTIVE, "has an object in it that opens by itself")]
    return [Seen(Trait.SCRIPTED, "has an object embedded in it")]


# --- PDF ------------------------------------------------------------------------------------------------------------

_PDF_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")
# One pass for every name that matters, and for names spelt with escapes (§7.3.5: `/L#61unch` is `/Launch`).
_PDF_NAMES = re.compile(
    rb"/(?:Launch|GoToE|RichMedia|JavaScript|JS\b|EmbeddedFile|ObjStm|[A-Za-z]{0,20}#[0-9A-Fa-f]{2})"
)
_PDF_LAUNCH = frozenset({b"/Launch", b"/GoToE", b"/RichMedia"})
_PDF_SCRIPT = frozenset({b"/JavaScript", b"/JS"})
_PDF_FILE = b"/EmbeddedFile"
_PDF_PACKED = frozenset({_PDF_FILE, b"/ObjStm"})


def look_into_pdf(data: bytes) -> list[Seen]:
    """Object streams are unpacked too: actions hide in them. ISO 32000-1 §7.5.7."""
    names = _pdf_names(data)
    if names & _PDF_PACKED:
        names = names.union(*(_pdf_names(stream) for is_file, stream in _pdf_streams(data) if not is_file))
    seen: list[Seen] = []
    if names & _PDF_LAUNCH:
        seen.append(Seen(Trait.ACTIVE, "starts a program or opens another file when it is read"))
    if names & _PDF_SCRIPT:
        seen.append(Seen(Trait.SCRIPTED, "holds a script"))
    if _PDF_FILE in names:
        seen.append(Seen(Trait.SCRIPTED, "has a file packed into it"))
    if b"/Encrypt" in data[-4096:] or b"/Encrypt" in data[:2048]:
        seen.append(Seen(Trait.SCRIPTED, "is locked or restricted with a password"))
    return seen


def _pdf_names(data: bytes) -> frozenset[bytes]:
    names = frozenset(found[0] for found in _PDF_NAMES.finditer(data))
    if any(b"#" in name for name in names):
        return frozenset(found[0] for found in _PDF_NAMES.finditer(_plain_names(data)))
    return names


def _plain_names(data: bytes) -> bytes:
    return _PDF_ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), data)


def pdf_attachments(data: bytes) -> Iterator[bytes]:
    """The files packed into it. ISO 32000-1 §7.11.4."""
    if _PDF_FILE in _pdf_names(data):
        yield from (stream for is_file, stream in _pdf_streams(data) if is_file)


def _pdf_streams(data: bytes) -> Iterator[tuple[bool, bytes]]:
    """(is an embedded file, unpacked) for each object stream and embedded file, within bounds."""
    total = 0
    for count, (is_file, packed, deflated) in enumerate(_pdf_packed(data)):
        if count >= _PDF_STREAMS_MAX or total >= _PDF_TOTAL_MAX:
            return
        if not deflated:
            yield is_file, packed.partition(b"endstream")[0]
            continue
        try:
            stream = zlib.decompressobj().decompress(packed, _PDF_STREAM_MAX)
        except zlib.error:
            continue
        total += len(stream)
        yield is_file, stream


def _pdf_packed(data: bytes) -> Iterator[tuple[bool, bytes, bool]]:
    """(is an embedded file, the bytes as they stand, whether they are deflated) in order of appearance."""
    at = 0
    while (begin := data.find(b"stream", at)) >= 0:
        at = begin + 6
        if data[begin - 3 : begin] == b"end":
            continue
        head = data[max(0, begin - 600) : begin]
        head = _plain_names(head[head.rfind(b"obj") :])
        is_file = b"/EmbeddedFile" in head
        if is_file or b"/ObjStm" in head:
            start = at + (2 if data[at : at + 2] == b"\r\n" else 1)
            yield is_file, data[start : start + _PDF_STREAM_MAX], b"FlateDecode" in head or b"/Fl" in head


# --- pages and pictures that are pages ------------------------------------------------------------------------------

_MAKES_FILE = re.compile(
    rb"createObjectURL|msSaveOrOpenBlob|msSaveBlob|new\s+Blob\s*\(|new\s+File\s*\(|\.download\s*=|\bdownload\s*=\s*[\"']",
    re.IGNORECASE,
)
_UNPACKS = re.compile(rb"\batob\s*\(|fromCharCode|Uint8Array|unescape\s*\(|[A-Za-z0-9+/]{2000}", re.IGNORECASE)
_DATA_URI = re.compile(rb"data:(?:application/(?!json)|text/html|image/svg)[\w.+-]*[^,]{0,100};base64,", re.IGNORECASE)
_PAGE_SCRIPT = re.compile(
    rb"<script\b|javascript:|vbscript:|\bon(?:load|error|click|mouseover|focus)\s*=", re.IGNORECASE
)
_WRITES_ITSELF = re.compile(
    rb"document\.write\s*\(\s*(?:unescape|atob|decodeURIComponent)|eval\s*\(\s*(?:unescape|atob)", re.IGNORECASE
)
_SVG_ACTIVE = re.compile(
    rb"<(?:\w+:)?script\b|javascript:|\bon\w+\s*=|<(?:\w+:)?foreignObject\b|href\s*=\s*[\"']data:text/html",
    re.IGNORECASE,
)


def look_into_page(data: bytes) -> list[Seen]:
    """A web page sent as a file: does it build another file on the reader's computer?"""
    text = data.replace(b"\x00", b"") if data[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\x00" in data[:64] else data
    if not _PAGE_SCRIPT.search(text) and not _DATA_URI.search(text):
        return []
    if (_MAKES_FILE.search(text) and _UNPACKS.search(text)) or _WRITES_ITSELF.search(text):
        return [Seen(Trait.ACTIVE, "puts a file together on the reader's computer")]
    if _DATA_URI.search(text) and _MAKES_FILE.search(text):
        return [Seen(Trait.ACTIVE, "carries a file inside its text")]
    return [Seen(Trait.SCRIPTED, "is a web page with a script in it")]


def look_into_svg(data: bytes) -> list[Seen]:
    return [Seen(Trait.ACTIVE, "is a picture that runs a script")] if _SVG_ACTIVE.search(data) else []
