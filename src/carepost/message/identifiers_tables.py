"""Tables of people: rows that each hold somebody. A list sent by mistake is the breach that makes the news. PURE.

Promises
    Looks at no more than ROWS_MAX rows of COLUMNS_MAX cells. Answers with counts, never with what stands in a cell.
    The head of a column is context for every cell below it, however far; a list of firms, surgeries or staff
    telephones is no list of people.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from carepost.message.identifiers_model import Identifier
from carepost.message.identifiers_nhs import is_valid, kind_by_range, only_digits
from carepost.message.identifiers_person import DATE, POSTCODE
from carepost.message.identifiers_words import readable

ROWS_MAX = 20_000
COLUMNS_MAX = 100
BULK_ROWS = 10  # rows about people from which a table is a list of people
_HEAD_WITHIN = 15  # rows of titles and blanks that may stand above the head
_CELL_MAX = 300

Row = Sequence[str]


class _Column(StrEnum):
    NUMBER = "health number"
    BIRTH = "date of birth"
    NAME = "name"
    POSTCODE = "postcode"
    ADDRESS = "address"
    RECORD = "hospital number"


_HEADS: tuple[tuple[_Column, re.Pattern[str]], ...] = (
    (
        _Column.NUMBER,
        re.compile(
            r"(?<![a-z])nhs(?![a-mo-z])|(?<![a-z])chi(?![a-mo-z])|\bh ?[&+] ?c\b|\bhcn\b|health (?:and|&) care num",
            re.IGNORECASE,
        ),
    ),
    (_Column.BIRTH, re.compile(r"\bd\.?o\.?b\b|birth|\bborn\b", re.IGNORECASE)),
    (_Column.POSTCODE, re.compile(r"post ?code", re.IGNORECASE)),
    (
        _Column.RECORD,
        re.compile(
            r"\b(?:hospital|unit|patient|record|case|crn|mrn|pas|emis|rio)\b.{0,12}\b(?:no|num|number|id|ref)\b"
            r"|\bmrn\b|patient ?id",
            re.IGNORECASE,
        ),
    ),
    (_Column.ADDRESS, re.compile(r"address|street|\btown\b", re.IGNORECASE)),
    (
        _Column.NAME,
        re.compile(
            r"\bname\b|surname|forename|patient$|^client$|^resident$|first ?name|last ?name|^service user$",
            re.IGNORECASE,
        ),
    ),
)
_NO_PERSON = re.compile(
    r"\b(?:company|organi[sz]ation|practice|supplier|site|product|file|user|trust|school|pharmacy|hospital|ward|team"
    r"|department|drug|test|e-?mail|web|ip|mac|billing|delivery|work|office|host|item|service|event|course)\b",
    re.IGNORECASE,
)
_FIRM = re.compile(
    r"\b(?:ltd|limited|plc|llp|inc|pharmacy|chemist|surgery|centre|center|hospital|school|clinic|practice|trust|council"
    r"|care home|house|nhs|college|university|group|services?|solutions|partnership)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class TableLook:
    """How many rows are about a person, and how many numbers the heads of the columns vouch for."""

    people: int = 0
    identifiers: Mapping[Identifier, int] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def is_bulk(self) -> bool:
        return self.people >= BULK_ROWS


def look_in_table(rows: Sequence[Row]) -> TableLook:
    """One table, as rows of cells."""
    rows = [[readable(cell[:_CELL_MAX]).strip() for cell in row[:COLUMNS_MAX]] for row in rows[:ROWS_MAX]]
    at, columns = _head(rows)
    people, numbers, persons = 0, dict[str, Identifier](), 0
    valid, shaped = 0, 0
    for row in rows[at:]:
        in_row = list(_numbers(row, columns))
        valid += sum(1 for _, kind, _ in in_row if kind is not None)
        shaped += len(in_row)
        labelled = [(value, kind) for value, kind, vouched in in_row if kind is not None and vouched]
        numbers.update(labelled)
        whole = _is_person(row, columns)
        persons += whole is Identifier.PERSON
        people += bool(labelled or whole or any(kind for _, kind, _ in in_row))
    if valid * 2 < shaped and not numbers and not persons:
        return TableLook()  # one in eleven numbers is valid by chance: this is a column of something else
    counted = dict.fromkeys(numbers.values(), 0)
    for kind in numbers.values():
        counted[kind] += 1
    if persons:
        counted[Identifier.PERSON] = persons
    return TableLook(people, counted)


def _head(rows: Sequence[Row]) -> tuple[int, Mapping[int, _Column]]:
    """(the first row below the head, which column is what). No head: (0, nothing)."""
    for number, row in enumerate(rows[:_HEAD_WITHIN]):
        columns: dict[int, _Column] = {}
        for at, cell in enumerate(row):
            if cell and len(cell) <= 60 and not any(letter.isdigit() for letter in cell[:3]):
                kind = next((kind for kind, pattern in _HEADS if pattern.search(cell)), None)
                if kind is not None and not (kind in {_Column.NAME, _Column.ADDRESS} and _NO_PERSON.search(cell)):
                    columns[at] = kind
        kinds = set(columns.values())
        if _Column.NUMBER in kinds or len(kinds - {_Column.ADDRESS}) >= 2 or {_Column.NAME, _Column.ADDRESS} <= kinds:
            return number + 1, columns
    return 0, {}


def _numbers(row: Row, columns: Mapping[int, _Column]) -> Iterator[tuple[str, Identifier | None, bool]]:
    """(digits, whose number it is, whether its column says so) for each cell that is ten digits."""
    for at, cell in enumerate(row):
        if not 9 <= len(cell) <= 24 or not cell[0].isdigit():
            continue
        digits = only_digits(cell)
        vouched = columns.get(at) is _Column.NUMBER
        if vouched and len(digits) == 9:
            digits = "0" + digits  # a spreadsheet drops the zero that a number begins with
        if len(digits) != 10 or len(cell.translate(_SEPARATORS)) != len(only_digits(cell)):
            continue
        kind = kind_by_range(digits) or Identifier.NHS  # as in a text: see identifiers_nhs
        yield digits, kind if is_valid(digits) else None, vouched


_SEPARATORS = str.maketrans("", "", " -.\t")


def _is_person(row: Row, columns: Mapping[int, _Column]) -> Identifier | bool:
    """PERSON for name, date of birth and postcode; True for a name with anything else that tells who it is."""
    has: set[_Column] = set()
    for at, kind in columns.items():
        cell = row[at] if at < len(row) else ""
        if cell and _fits(kind, cell):
            has.add(kind)
    if _Column.NAME not in has:
        return False
    if {_Column.BIRTH, _Column.POSTCODE} <= has or (_Column.BIRTH in has and POSTCODE.search(" ".join(row))):
        return Identifier.PERSON
    return bool(has - {_Column.NAME})


def _fits(kind: _Column, cell: str) -> bool:
    match kind:
        case _Column.NAME:
            return any(letter.isalpha() for letter in cell) and not _FIRM.search(cell)
        case _Column.BIRTH:  # a date, or the days since 1900 that a spreadsheet keeps
            return DATE.search(cell) is not None or (cell.partition(".")[0].isdigit() and len(cell) <= 7)
        case _Column.POSTCODE:
            return POSTCODE.search(cell) is not None
        case _Column.ADDRESS:
            return any(letter.isalpha() for letter in cell) and len(cell) > 5
        case _Column.RECORD | _Column.NUMBER:
            return any(letter.isdigit() for letter in cell)
