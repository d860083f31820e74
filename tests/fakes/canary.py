"""Words that stand nowhere else, and the search for them in everything that is on the disk (E1).

A word is found in clear in any case, in base64 at each of its three alignments, in UTF-16, and in hexadecimal (how
PostgreSQL writes octets).
"""

import base64
import mmap
import random
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_LETTERS = "bcdfghjklmnpqrstvwxz"


@dataclass
class Canary:
    """`word("subject")` is a new word of this canary's kind; all of them share a stem, which is what is searched."""

    stem: str = field(default_factory=lambda: "".join(random.SystemRandom().choices(_LETTERS, k=14)))
    given: list[str] = field(default_factory=list)

    def word(self) -> str:
        made = self.stem + secrets.choice("aeiou") + "".join(random.SystemRandom().choices(_LETTERS, k=4))
        self.given.append(made)
        return made

    def forms(self) -> dict[str, bytes]:
        """Every way in which the stem could stand in a file."""
        found: dict[str, bytes] = {}
        for case in (self.stem, self.stem.upper(), self.stem.title()):
            octets = case.encode()
            found[f"clear {case}"] = octets
            found[f"utf-16 little {case}"] = case.encode("utf-16-le")
            found[f"utf-16 big {case}"] = case.encode("utf-16-be")
            found[f"hexadecimal {case}"] = octets.hex().encode()
            for shift in range(3):
                # Only the groups of four letters that depend on the stem alone.
                skipped = (3 - shift) % 3
                whole = (len(octets) - skipped) // 3 * 3
                found[f"base64+{shift} {case}"] = base64.b64encode(octets[skipped : skipped + whole])
        return found

    def hits(self, *folders: Path) -> Iterator[str]:
        """Where the stem stands, and how, in every file below; file names are looked at too."""
        wanted = re.compile(b"|".join(map(re.escape, self.forms().values())))
        for folder in folders:
            for path in folder.rglob("*"):
                if wanted.search(str(path).encode()):
                    yield f"{path}: its name"
                if not path.is_symlink() and path.is_file():
                    yield from (f"{path}: {how}" for how in self._in_file(path))

    def in_octets(self, octets: "bytes | mmap.mmap") -> list[str]:
        return [how for how, form in self.forms().items() if octets.find(form) >= 0]

    def _in_file(self, path: Path) -> list[str]:
        try:
            with path.open("rb") as file:
                if path.stat().st_size == 0:
                    return []
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as octets:
                    return self.in_octets(octets)
        except (FileNotFoundError, ValueError):  # it went in between
            return []
