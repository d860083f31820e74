"""A search index in memory: SQLite FTS5 images, built from words and asked for words; they never touch a disk.

Promises
    What a person types is data, never FTS5 syntax.
    Words are found from their beginning, without regard to case and accents: "amoxi" finds "Amoxicillin".
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum

from carepost.base.ids import ObjectId


class Field(StrEnum):
    """Where a word is looked for; each is a column of the index."""

    SUBJECT = "subject"
    SENDER = "sender"
    RECIPIENTS = "recipients"
    TEXT = "body"
    MARKS = "marks"


ATTACHMENT_MARK = "hasattachment"


@dataclass(frozen=True, slots=True)
class Term:
    """Words that stand together, the last one perhaps unfinished; anywhere, or in one field."""

    text: str
    field: Field | None = None


@dataclass(frozen=True, slots=True)
class Document:
    object: ObjectId
    subject: str
    sender: str
    recipients: str
    text: str
    marks: str


_SCHEMA = """
CREATE TABLE object (id INTEGER PRIMARY KEY, object BLOB NOT NULL);
CREATE VIRTUAL TABLE words USING fts5(
    subject, sender, recipients, body, marks, content='', columnsize=0, tokenize="unicode61 remove_diacritics 2"
);
"""


def build(documents: Iterable[Document]) -> bytes:
    """An index image of these documents."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as index:
        index.executescript(_SCHEMA)
        index.execute("BEGIN")
        for number, document in enumerate(documents, 1):
            index.execute("INSERT INTO object VALUES (?, ?)", (number, document.object))
            index.execute(
                "INSERT INTO words (rowid, subject, sender, recipients, body, marks) VALUES (?, ?, ?, ?, ?, ?)",
                (number, document.subject, document.sender, document.recipients, document.text, document.marks),
            )
        index.execute("COMMIT")
        index.execute("INSERT INTO words (words) VALUES ('optimize')")
        return bytes(index.serialize())


@contextmanager
def _opened(image: bytes) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as index:
        index.deserialize(image)
        yield index


def members(image: bytes) -> list[ObjectId]:
    """The objects an image knows."""
    with _opened(image) as index:
        return [ObjectId(row[0]) for row in index.execute("SELECT object FROM object")]


def find(image: bytes, terms: Sequence[Term]) -> set[ObjectId]:
    """The objects of an image that hold every term. No terms find nothing; a term without a word is passed over."""
    question = _question(terms)
    if not question:
        return set()
    with _opened(image) as index:
        rows = index.execute(
            "SELECT object.object FROM words JOIN object ON object.id = words.rowid WHERE words MATCH ?", (question,)
        )
        return {ObjectId(row[0]) for row in rows}


def has_words(terms: Sequence[Term]) -> bool:
    """Whether anything would be asked: "..." holds no word."""
    return bool(_question(terms))


def _question(terms: Sequence[Term]) -> str:
    asked = []
    for term in terms:
        # Quoted, so that it is a phrase of words and nothing else; FTS5 doubles a quote inside one.
        text = term.text.replace("\x00", " ").replace('"', '""')
        if any(letter.isalnum() for letter in text):
            asked.append(f'{term.field.value} : "{text}" *' if term.field else f'"{text}" *')
    return " AND ".join(asked)
