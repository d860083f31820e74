"""What reading a file gives: words, or the reason why there are none. PURE."""

from dataclasses import dataclass, field
from enum import StrEnum

from carepost.gateway.files.unpack import UnpackLimits

Table = tuple[tuple[str, ...], ...]


class Unread(StrEnum):
    """Why a file could not be read; finishes "The file NAME …"."""

    LOCKED = "is locked with a password"
    DAMAGED = "is damaged"
    TOO_LARGE = "is larger, or packed deeper, than we read through"
    LETTERS = "is written in letters that only its own program can read"
    SCAN = "holds pictures of pages and no words"
    KIND = "is of a kind that we cannot read"
    MEDIA = "is a picture or a recording"
    MEDICAL_IMAGE = "is a medical image, which names its patient"


class NotReadable(Exception):
    """Raised by the readers of formats."""

    def __init__(self, why: Unread) -> None:
        super().__init__(why.value)
        self.why = why


@dataclass(frozen=True, slots=True)
class Words:
    """`tables` are rows of cells; what stands in them stands in `text` too. `unread`: why not all of it is here."""

    text: str
    tables: tuple[Table, ...] = ()
    unread: Unread | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextLimits:
    """What reading one message's files may cost. A sender waits for the answer."""

    characters: int = 8_000_000  # a long book is one million
    pdf_pages: int = 500
    # A pure Python reader gets through some fifty pages a second; past this a person is asked instead.
    unpack: UnpackLimits = field(default_factory=lambda: UnpackLimits(bytes_out=60_000_000, seconds=8.0))
