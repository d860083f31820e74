"""The words of a PDF, its forms and its notes. ISO 32000-1 §9.10.

Promises
    Bounded: pages, characters and time; the clock is looked at whenever the reader takes bytes or draws a glyph run.
    Nothing of a file reaches the log: the library's own remarks, which quote what they stumble over, are switched off.
    A PDF that needs a password, and one that is only pictures, are said to be so. Nothing in it is run or followed.
"""

import io
import logging
from collections.abc import Iterator
from typing import Any

from pypdf import PageObject, PdfReader
from pypdf.errors import FileNotDecryptedError

from carepost.gateway.files.texts_model import NotReadable, TextLimits, Unread, Words
from carepost.gateway.files.texts_plain import columns_of
from carepost.gateway.files.unpack import Budget

_NOTES_MAX = 500  # of one page
_FIELD_MAX = 10_000


class _Watched(io.BytesIO):
    """A file that looks at the clock now and then while it is read: damaged ones make readers go in circles."""

    def __init__(self, data: bytes, budget: Budget) -> None:
        super().__init__(data)
        self._budget = budget
        self._reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads += 1
        if self._reads % 256 == 0:
            self._budget.check_time()
        return super().read(size)


def read_pdf(data: bytes, limits: TextLimits, budget: Budget) -> Words:
    """Raises NotReadable, PackedTooTightly when the time is over, or an error of the library for what is damaged."""
    logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)
    reader = PdfReader(_Watched(data, budget), strict=False)
    if reader.is_encrypted and not reader.decrypt(""):
        raise NotReadable(Unread.LOCKED)
    texts: list[str] = []
    try:
        pages = len(reader.pages)
        for number in range(min(pages, limits.pdf_pages)):
            budget.check_time()
            page = reader.pages[number]
            texts.append(page.extract_text(visitor_operand_before=_watching(budget)))
            texts += _notes(page)
    except FileNotDecryptedError:
        raise NotReadable(Unread.LOCKED) from None
    text = "\n".join(texts)
    if pages and not any(letter.isalnum() for letter in text):
        raise NotReadable(Unread.SCAN)
    table = columns_of(text)
    words = "\n".join([*texts, *_titles(reader)])
    return Words(words, (table,) if table else (), is_cut=pages > limits.pdf_pages)


def _watching(budget: Budget) -> Any:
    count = [0]

    def look(*_: object) -> None:
        count[0] += 1
        if count[0] % 256 == 0:
            budget.check_time()

    return look


def _notes(page: PageObject) -> Iterator[str]:
    """What is written into form fields and notes."""
    annotations = page.get("/Annots")
    if annotations is None:
        return
    for one in list(annotations.get_object() or [])[:_NOTES_MAX]:
        note = one.get_object()
        for key in ("/V", "/Contents"):
            value = note.get(key) if hasattr(note, "get") else None
            if value is not None and isinstance(value.get_object(), str):
                yield str(value.get_object())[:_FIELD_MAX]


def _titles(reader: PdfReader) -> Iterator[str]:
    about = reader.metadata
    for value in (about or {}).values():
        if isinstance(value, str):
            yield value[:_FIELD_MAX]
