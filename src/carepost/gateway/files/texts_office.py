"""The words of office documents that are zips of XML: docx, xlsx, pptx, odt, ods, odp. ECMA-376, ISO/IEC 26300. PURE.

Promises
    Every part is read that holds words: notes, comments, what "track changes" deleted, headers, hidden sheets and rows,
    the copy of the data that a pivot table keeps. What the program does not show is sent all the same.
    XML is text with tags: no tree, no entity, no document type; a part that declares one is not readable. Linear.
"""

import html
import re
from collections.abc import Iterator, Sequence

from carepost.gateway.files.kinds import Kind, kind_of
from carepost.gateway.files.texts_model import NotReadable, Table, Unread, Words
from carepost.gateway.files.texts_sheets import read_sheets
from carepost.gateway.files.unpack import Entry

# Parts that hold looks, not words.
_LOOKS = re.compile(
    r"(?:^|/)(?:styles|stylesWithEffects|fontTable|settings|webSettings|numbering|theme\d*|presProps|viewProps"
    r"|tableStyles|calcChain|manifest)\.xml$|/(?:theme|slideLayouts|slideMasters|_rels)/|\.rels$|^\[Content_Types\]",
    re.IGNORECASE,
)
_EMBEDDED = re.compile(r"/(?:embeddings|media)/|^(?:Pictures|Object \d+|ObjectReplacements)/", re.IGNORECASE)
_MARK = re.compile(
    r"<(/?)(?:[\w-]+:)?(p|h|tr|tc|table-row|table-cell|tab|br|cr|line-break|s|noBreakHyphen|txbxContent|t|si)(?=[\s/>])[^<>]*>"
)
_TAG = re.compile(r"<[^<>]*>?")
_VALUE = re.compile(r"<(?:[\w-]+:)?(?:s|n|d) [^<>]{0,40}?v=\"([^\"<>]*)\"")
_ROW, _ROW_END, _CELL = "\x1d", "\x1e", "\x1f"
_MEANS = {
    ("/", "p"): "\n", ("/", "h"): "\n", ("/", "txbxContent"): "\n", ("/", "si"): "\n",
    ("", "tr"): _ROW, ("", "table-row"): _ROW, ("/", "tr"): _ROW_END, ("/", "table-row"): _ROW_END,
    ("/", "tc"): _CELL, ("/", "table-cell"): _CELL,
    ("", "tab"): "\t", ("", "br"): "\n", ("", "cr"): "\n", ("", "line-break"): "\n", ("", "s"): " ",
    ("", "noBreakHyphen"): "-",
}  # fmt: skip
_AS_TEXT = str.maketrans({_ROW: "\n", _ROW_END: "\n", _CELL: "\t"})


def is_document(entry_names: Sequence[str]) -> bool:
    present = {name.lower() for name in entry_names}
    return "[content_types].xml" in present or {"mimetype", "content.xml"} <= present


def is_embedded(name: str) -> bool:
    """A file that a document carries: read as a file of its own."""
    return _EMBEDDED.search("/" + name if not name.startswith("/") else name) is not None


def wants_all(name: str, head: bytes) -> bool:
    return name.lower().endswith((".xml", ".rels")) or kind_of(head) not in {Kind.PICTURE, Kind.SOUND_OR_FILM}


def read_document(entries: Sequence[Entry]) -> Words:
    """`entries` are the whole package. Raises NotReadable."""
    texts, tables = list[str](), list[Table]()
    parts: dict[str, str] = {}
    for entry in entries:
        if entry.data is None:
            raise NotReadable(Unread.LOCKED)
        name = entry.name.lower()
        if _LOOKS.search(entry.name) and name != "styles.xml":  # an ODF file keeps its headers in styles.xml
            continue
        if name.endswith(".xml"):
            if not entry.whole:
                raise NotReadable(Unread.TOO_LARGE)
            parts[name] = _decoded(entry.data)
        elif name.endswith(".bin") and name.startswith("xl/worksheets/"):
            raise NotReadable(Unread.KIND)  # xlsb: sheets in a binary format
    if any(name.startswith("xl/worksheets/") for name in parts):
        sheets = read_sheets(parts)
        texts.append(sheets.text)
        tables += sheets.tables
        parts = {name: part for name, part in parts.items() if not name.startswith(("xl/worksheets/", "xl/shared"))}
    for name, part in parts.items():
        words = _words(part)
        texts.append(words.text)
        tables += words.tables
        if "pivotcache" in name:
            texts.append("\n".join(html.unescape(value) for value in _VALUE.findall(part)))
    return Words("\n".join(texts), tuple(tables))


def read_xml(data: bytes) -> Words:
    """Any XML: its words, whatever its tags mean."""
    return Words(html.unescape(_TAG.sub(" ", _decoded(data, documents_only=False))))


def _decoded(data: bytes, *, documents_only: bool = True) -> str:
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        text = data.decode("utf-16", "replace")
    elif b"\x00" in data[:64]:
        text = data.decode("utf-16-le" if data[1:2] == b"\x00" else "utf-16-be", "replace")
    else:
        text = data.decode("utf-8", "replace")
    if documents_only and ("<!DOCTYPE" in text or "<!ENTITY" in text):
        raise NotReadable(Unread.DAMAGED)  # no office program writes one; it could make words out of nothing
    return text.replace("<![CDATA[", "")


def _words(xml: str) -> Words:
    marked = html.unescape(_TAG.sub("", _MARK.sub(_meaning, xml.translate(_NO_MARKS))))
    return Words(marked.translate(_AS_TEXT), tuple(_tables(marked)))


_NO_MARKS = {0x1D: None, 0x1E: None, 0x1F: None}


def _meaning(found: re.Match[str]) -> str:
    return _MEANS.get((found[1], found[2]), "")


def _tables(marked: str) -> Iterator[Table]:
    """Rows that follow one another without a paragraph between them are one table."""
    table: list[tuple[str, ...]] = []
    for piece in marked.split(_ROW)[1:]:
        row, _, after = piece.partition(_ROW_END)
        table.append(tuple(cell.strip() for cell in row.rstrip().removesuffix(_CELL).split(_CELL)))
        if after.strip():
            yield tuple(table)
            table = []
    if table:
        yield tuple(table)
