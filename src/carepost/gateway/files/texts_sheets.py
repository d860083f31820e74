"""Cells of a workbook: shared strings, numbers, rows in their columns. ECMA-376 part 1, §18.3. PURE.

Promises
    Linear; at most ROWS_MAX rows of a sheet become a table, all of them become text. Hidden sheets are sheets.
"""

import html
import re
from collections.abc import Iterator, Mapping

from carepost.gateway.files.texts_model import Table, Words
from carepost.message.identifiers_tables import COLUMNS_MAX, ROWS_MAX

_ROW = re.compile(r"<(?:\w+:)?row(?=[\s>/])")
_CELL = re.compile(r"<(?:\w+:)?c(?=[\s>])")
_STRING = re.compile(r"<(?:\w+:)?si(?=[\s>/])")
_PHONETIC = re.compile(r"<(?:\w+:)?rPh(?=[\s>])")
_TAG = re.compile(r"<[^<>]*>?")
_PLACE = re.compile(r"\br=\"([A-Z]{1,3})\d")
_VALUE = re.compile(r"<(?:\w+:)?v(?:\s[^<>]*)?>([^<>]*)")


def read_sheets(parts: Mapping[str, str]) -> Words:
    """`parts` by their names in lower case."""
    shared = list(_strings(parts.get("xl/sharedstrings.xml", "")))
    shown: set[str] = set()
    texts, tables = list[str](), list[Table]()
    for name, xml in parts.items():
        if not name.startswith("xl/worksheets/"):
            continue
        rows: list[tuple[str, ...]] = []
        pieces = _ROW.split(xml)
        for piece in pieces[1:]:
            row = _row(piece, shared)
            shown.update(row)
            texts.append("\t".join(row))
            if len(rows) < ROWS_MAX:
                rows.append(row)
        tables.append(tuple(rows))
        texts.append(_words(pieces[-1].partition("sheetData>")[2]) if len(pieces) > 1 else _words(xml))
    texts += [string for string in shared if string not in shown]  # what no cell shows is still in the file
    return Words("\n".join(texts), tuple(tables))


def _strings(xml: str) -> Iterator[str]:
    for piece in _STRING.split(xml)[1:]:
        yield _words(_PHONETIC.split(piece)[0].partition(">")[2])


def _row(xml: str, shared: list[str]) -> tuple[str, ...]:
    cells: list[str] = []
    for number, piece in enumerate(_CELL.split(xml)[1:]):
        head, _, rest = piece.partition(">")
        place = _PLACE.search(head)
        at = min(_column(place[1]) if place else number, 16_384)
        if COLUMNS_MAX > at > len(cells):
            cells += [""] * (at - len(cells))
        cells.append(_value(head, rest, shared))
    return tuple(cells)


def _value(head: str, rest: str, shared: list[str]) -> str:
    found = _VALUE.search(rest)
    if found is None:
        return _words(rest)  # an inline string, or nothing
    value = found[1].strip()
    if 't="s"' in head:
        return shared[int(value)] if value.isdigit() and int(value) < len(shared) else ""
    if "E" in value.upper() and "t=" not in head:
        return _whole(value)
    return html.unescape(value)


def _whole(value: str) -> str:
    """9.991234567E9 is how some programs write a number of ten digits."""
    try:
        number = float(value)
    except ValueError:
        return value
    return str(int(number)) if abs(number) < 1e16 and number.is_integer() else value


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _words(xml: str) -> str:
    return html.unescape(_TAG.sub("", xml)).strip()
