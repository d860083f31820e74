"""The words of a PDF, its forms and its notes. ISO 32000-1 §9.10.

Promises
    Bounded: pages, characters and time; the clock is looked at whenever the reader takes bytes or meets an instruction.
    What the library passes over in silence is not passed over here: a form it gave up, a font whose letters mean
    nothing without a table that is missing, a page of pictures. The file is then said to be unread.
    Nothing of a file reaches the log: the library's own remarks, which quote what they stumble over, end here.
    Nothing in a PDF is run or followed.
"""

import io
import logging
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import cache

from pypdf import PageObject, PdfReader
from pypdf.errors import FileNotDecryptedError
from pypdf.generic import DictionaryObject

from carepost.gateway.files.texts_model import NotReadable, TextLimits, Unread, Words
from carepost.gateway.files.texts_plain import columns_of
from carepost.gateway.files.unpack import Budget, PackedTooTightly

_NOTES_MAX = 500  # of one page
_FIELD_MAX = 10_000
_PAGE_MAX = 2 << 20  # bytes of instructions of one page; the fullest page of a form has some hundred thousand
_FONTS_MAX = 200  # of one page and the forms on it
_FORMS_DEEP = 4
_EVERY = 256  # reads or instructions between two looks at the clock
# The library's remarks after which words are missing.
_GAVE_UP = ("Impossible to decode", "Exceeded", "Page contents are not", "Page resources are not", "Early EOD",
            "Ignoring too large LZW")  # fmt: skip
_remarks: ContextVar[list[str] | None] = ContextVar("_remarks", default=None)


class _TimeIsOver(BaseException):
    """Not an Exception: the library catches those and goes on as if nothing were missing."""


class _Remarks(logging.Handler):
    """Keeps the kinds of remarks of the file that is being read; their words are dropped."""

    def emit(self, record: logging.LogRecord) -> None:
        heard = _remarks.get()
        if heard is not None and str(record.msg).startswith(_GAVE_UP):
            heard.append(record.name)


@cache
def _listen() -> None:
    library = logging.getLogger("pypdf")
    library.addHandler(_Remarks())
    library.propagate = False
    library.setLevel(logging.WARNING)


class _Watched(io.BytesIO):
    """A file that looks at the clock now and then while it is read: damaged ones make readers go in circles."""

    def __init__(self, data: bytes, look: Callable[..., None]) -> None:
        super().__init__(data)
        self._look = look

    def read(self, size: int | None = -1, /) -> bytes:
        self._look()
        return super().read(size)


def read_pdf(data: bytes, limits: TextLimits, budget: Budget) -> Words:
    """Raises NotReadable, PackedTooTightly when the time is over, or an error of the library for what is damaged."""
    _listen()
    heard: list[str] = []
    token = _remarks.set(heard)
    try:
        words = _read(data, limits, _clock(budget))
    except _TimeIsOver:
        raise PackedTooTightly("takes longer to look through than we allow") from None
    except FileNotDecryptedError:
        raise NotReadable(Unread.LOCKED) from None
    except NotReadable as error:
        raise NotReadable(Unread.DAMAGED if heard else error.why) from None
    finally:
        _remarks.reset(token)
    return Words(words.text, words.tables, words.unread or Unread.DAMAGED) if heard else words


def _clock(budget: Budget) -> Callable[..., None]:
    count = 0

    def look(*_: object) -> None:
        nonlocal count
        count += 1
        if count % _EVERY == 0:
            try:
                budget.check_time()
            except PackedTooTightly:
                raise _TimeIsOver from None

    return look


def _read(data: bytes, limits: TextLimits, look: Callable[..., None]) -> Words:
    reader = PdfReader(_Watched(data, look), strict=False)
    if reader.is_encrypted and not reader.decrypt(""):
        raise NotReadable(Unread.LOCKED)
    texts: list[str] = []
    pages = len(reader.pages)
    unread = Unread.TOO_LARGE if pages > limits.pdf_pages else None
    for number in range(min(pages, limits.pdf_pages)):
        look()
        page = reader.pages[number]
        if _is_endless(page):
            unread = Unread.TOO_LARGE
            continue
        texts.append(page.extract_text(visitor_operand_before=look))
        texts += _notes(page)
        if _has_letters_without_meaning(page):
            unread = unread or Unread.LETTERS
    text = "\n".join(texts)
    if pages and unread is None and not any(letter.isalnum() for letter in text):
        raise NotReadable(Unread.SCAN)
    table = columns_of(text)
    return Words("\n".join([*texts, *_titles(reader)]), (table,) if table else (), unread)


def _is_endless(page: PageObject) -> bool:
    """The library takes a page's instructions apart in one go, some hundred thousand a second, without a clock."""
    contents = page.get_contents()
    return contents is not None and len(contents.get_data()) > _PAGE_MAX


def _has_letters_without_meaning(page: PageObject) -> bool:
    """Glyphs by number with no table that says which letters they are: what is read of them is anything. §9.10.2."""
    left = [_FONTS_MAX]
    return any(_means_nothing(font) for font in _fonts(page, _FORMS_DEEP, left))


def _fonts(holder: DictionaryObject, deep: int, left: list[int]) -> Iterator[DictionaryObject]:
    resources = _dictionary(holder, "/Resources")
    for name in _dictionary(resources, "/Font"):
        left[0] -= 1
        if left[0] < 0:
            return
        yield _dictionary(_dictionary(resources, "/Font"), name)
    forms = _dictionary(resources, "/XObject")
    for name in list(forms)[: max(0, left[0])] if deep else ():
        form = _dictionary(forms, name)
        if form.get("/Subtype") == "/Form":
            yield from _fonts(form, deep - 1, left)


def _dictionary(holder: DictionaryObject, key: str) -> DictionaryObject:
    found = holder.get(key)
    found = found.get_object() if found is not None else None
    return found if isinstance(found, DictionaryObject) else DictionaryObject()


def _means_nothing(font: DictionaryObject) -> bool:
    if "/ToUnicode" in font:
        return False
    if font.get("/Subtype") == "/Type3":
        return "/Encoding" not in font
    return font.get("/Subtype") == "/Type0" and str(font.get("/Encoding")) in {"/Identity-H", "/Identity-V"}


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
