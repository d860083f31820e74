"""A form as it came: its values, shown again, and what was wrong, said where it was wrong.

Promises
    Values are one-line text, bounded; a password is never shown again.
    `errors` keeps the order of the form, for the summary at the top of the page.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from carepost.message.showing import clean
from carepost.web.uploads import Upload

VALUE_MAX = 1_000
WORDS_MAX = 2_000_000


@dataclass(slots=True)
class Form:
    """Field name -> value, field name -> what was wrong."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    many: Mapping[str, Sequence[str]] = field(default_factory=dict)
    files: Sequence[Upload] = ()

    def text(self, name: str) -> str:
        """The value, as one clean line; empty when it was not given."""
        return clean(self.values.get(name, ""), VALUE_MAX)

    def secret(self, name: str) -> str:
        """The value as it came: every character of a password counts."""
        return self.values.get(name, "")[:VALUE_MAX]

    def words(self, name: str, most: int = WORDS_MAX) -> str:
        """The value with its lines, as somebody wrote it: ends of lines made alike, other controls left out."""
        text = self.values.get(name, "")[:most].replace("\r\n", "\n").replace("\r", "\n")
        return "".join(c for c in text if c in "\n\t" or not unicodedata.category(c).startswith("C"))

    def number(self, name: str) -> int | None:
        value = self.values.get(name, "")
        return int(value) if value.isascii() and value.isdigit() and len(value) <= 18 else None

    def numbers(self, name: str) -> list[int]:
        """Every value of a field that may be given often; those that are no numbers are left out."""
        return [int(v) for v in self.many.get(name, ()) if v.isascii() and v.isdigit() and len(v) <= 18]

    def require(self, name: str, says: str) -> str:
        """The value; when it is missing, `says` becomes its error."""
        value = self.text(name)
        if not value:
            self.errors[name] = says
        return value

    def wrong(self, name: str, says: str) -> None:
        self.errors[name] = says

    @property
    def is_right(self) -> bool:
        return not self.errors
