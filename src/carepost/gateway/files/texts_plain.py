"""The words of text, tables as text, web pages and RTF. PURE.

Promises
    Linear; a NUL or a wrong charset costs letters, never the file.
"""

import csv
import re
from collections import Counter

from carepost.gateway.files.texts_model import NotReadable, Table, Unread, Words
from carepost.message import charsets
from carepost.message.identifiers_tables import COLUMNS_MAX, ROWS_MAX
from carepost.message.words import text_of_html

_FOLDED = re.compile(r"\r?\n[ \t]")  # RFC 5545 §3.1, RFC 6350 §3.2
_CALENDARS = frozenset({"ics", "ical", "vcs", "vcf", "ifb"})
_SEPARATORS = ",;\t|"
_SAMPLE_LINES = 20
_CELL_MAX = 10_000

_CONTROL = re.compile(
    r"\\(?:'([0-9a-fA-F]{2})|u(-?\d{1,6})[ ]?(?:\\'[0-9a-fA-F]{2}|\?)?"
    r"|([a-zA-Z]{1,32})(-?\d{1,10})?[ ]?|([^a-zA-Z]))|[{}]|[\r\n]+"
)
_MEANS = {"par": "\n", "line": "\n", "row": "\n", "sect": "\n", "page": "\n", "cell": "\t", "tab": "\t",
          "nestcell": "\t", "nestrow": "\n", "emdash": "-", "endash": "-"}  # fmt: skip
_SYMBOL = {"~": " ", "_": "-", "\\": "\\", "{": "{", "}": "}", "-": ""}
_PICTURE = re.compile(r"[0-9a-fA-F\r\n]{256,}")

_HTML_ROW = re.compile(r"<tr(?=[\s>/])", re.IGNORECASE)
_HTML_CELL = re.compile(r"<t[dh](?=[\s>/])", re.IGNORECASE)
_HTML_ROWS_MAX = 5_000
_HTML_CELLS_MAX = 50_000


def read_text(data: bytes, extension: str, charset: str = "") -> Words:
    """Text, calendars, cards, and tables that are text."""
    text = decode(data, charset)
    if extension in _CALENDARS or text[:15].upper().startswith(("BEGIN:VCALENDAR", "BEGIN:VCARD")):
        return Words(_FOLDED.sub("", text))
    table = _table(text) or columns_of(text)
    return Words(text, (table,) if table else ())


def read_unknown(data: bytes, charset: str = "") -> Words:
    """Bytes that look like nothing we know: text after all, or not readable."""
    text = decode(data, charset)
    odd = sum(1 for letter in text[:4_096] if not (letter.isprintable() or letter in "\r\n\t"))
    if odd * 20 > min(len(text), 4_096):
        raise NotReadable(Unread.KIND)
    return read_text(data, "", charset)


def read_page(data: bytes, charset: str = "") -> Words:
    """A web page, and its tables."""
    source = decode(data, charset or _declared(data))
    return Words(text_of_html(source), tables_of_html(source))


def tables_of_html(source: str) -> tuple[Table, ...]:
    """Every row of the page as one table: layouts nest tables, and a row is still a row."""
    if "<t" not in source and "<T" not in source:
        return ()
    rows: list[tuple[str, ...]] = []
    cells = 0
    for piece in _HTML_ROW.split(source, _HTML_ROWS_MAX)[1:]:
        rows.append(tuple(text_of_html("<i" + cell) for cell in _HTML_CELL.split(piece, COLUMNS_MAX)[1:]))
        cells += len(rows[-1])
        if cells > _HTML_CELLS_MAX:
            break
    return (tuple(rows),) if rows else ()


def read_rtf(data: bytes) -> Words:
    """Control words dropped, what they stand for kept. RTF 1.9.1."""
    source = _PICTURE.sub("", data.decode("latin-1"))
    text = _CONTROL.sub(_rtf_meaning, source)
    rows = tuple(tuple(line.split("\t")) for line in text.splitlines()[:ROWS_MAX] if "\t" in line)
    return Words(text, (rows,) if rows else ())


def decode(data: bytes, charset: str = "") -> str:
    """By its byte order mark, else as UTF-16 without one, else as it is declared."""
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return data.decode("utf-16", "replace")
    if data[:3] == b"\xef\xbb\xbf":
        return data[3:].decode("utf-8", "replace")
    if not charset and b"\x00" in data[:64]:
        return data.decode("utf-16-le" if data[1:2] == b"\x00" else "utf-16-be", "replace")
    return charsets.decode(data, charset)


_DECLARED = re.compile(rb"charset\s{0,5}=\s{0,5}[\"']?([A-Za-z0-9_-]{2,40})", re.IGNORECASE)


def _declared(data: bytes) -> str:
    found = _DECLARED.search(data[:2_048])
    return found[1].decode("ascii") if found else ""


def _rtf_meaning(found: re.Match[str]) -> str:
    octet, code, word, _, symbol = found.groups()
    if octet:
        return bytes.fromhex(octet).decode("cp1252", "replace")
    if code:
        number = int(code)
        number += 65_536 if number < 0 else 0
        return chr(number) if number < 0xD800 or 0xE000 <= number < 0x110000 else ""
    if word:
        return _MEANS.get(word, "")
    return _SYMBOL.get(symbol, "") if symbol else ""


def columns_of(text: str) -> Table:
    """Lines of three and more words or phrases with wide gaps between them: a table that is only laid out as one."""
    rows = (tuple(_GAP.split(line.strip())) for line in text.splitlines()[:ROWS_MAX])
    table = tuple(row for row in rows if len(row) >= 3)
    return table if len(table) >= 2 else ()


_GAP = re.compile(r"[ \u00a0]{2,}|\t+")


def _table(text: str) -> Table:
    """The rows, when most lines have the same separator as often as each other."""
    lines = [line for line in text[:65_536].splitlines()[:_SAMPLE_LINES] if line.strip()]
    if len(lines) < 2:
        return ()
    separator, _ = Counter(
        {mark: sum(mark in line for line in lines) * 100 + lines[0].count(mark) for mark in _SEPARATORS}
    ).most_common(1)[0]
    if sum(separator in line for line in lines) * 2 < len(lines):
        return ()
    rows: list[tuple[str, ...]] = []
    try:
        for row in csv.reader(text.splitlines(), delimiter=separator):
            if len(rows) >= ROWS_MAX:
                break
            rows.append(tuple(cell[:_CELL_MAX] for cell in row))
    except csv.Error:  # a quote that is never closed: cells as they stand
        rows = [tuple(line.split(separator)) for line in text.splitlines()[:ROWS_MAX]]
    return tuple(rows)
