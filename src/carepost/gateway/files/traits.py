"""What can be noticed about a file."""

from enum import StrEnum
from typing import NamedTuple


class Trait(StrEnum):
    """The value is the code of the finding it becomes."""

    PROGRAM = "program"
    MACROS = "macros"
    ACTIVE = "active-document"  # does something by itself when opened
    SCRIPTED = "scripted-document"  # could, and often means no harm: noted
    LOCKED = "locked-archive"
    UNREADABLE = "unreadable-archive"  # an archive whose inside we could not see, or not all of it
    HIDDEN = "hidden-type"
    DAMAGED = "damaged-file"  # noted
    MALWARE = "malware"


class Seen(NamedTuple):
    trait: Trait
    says: str  # finishes "The file NAME …"
