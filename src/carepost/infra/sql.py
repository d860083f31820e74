"""Named SQL: each area keeps its statements in queries.sql, this turns the file into a mapping.

The form: a line `-- name --`, at least one comment line that says what the statement is for, the statement.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import LiteralString

_HEADING = re.compile(r"^-- ([a-z][a-z0-9_]*) --[ \t]*$", re.MULTILINE)


class BadQueries(ValueError):
    """A queries.sql that breaks the form. Raised when the area is loaded, so at start, never later."""


@cache
def load_queries(package: str, file: str = "queries.sql") -> Mapping[str, LiteralString]:
    """The statements of `<package>/queries.sql`, by name: `load_queries(__package__)["claim_due"]`."""
    return parse_queries(files(package).joinpath(file).read_text("utf-8"), where=f"{package}/{file}")


def parse_queries(text: str, *, where: str = "queries.sql") -> Mapping[str, LiteralString]:
    """Raises BadQueries if a name is used twice, has no sentence under it, or has no statement."""
    before, *pieces = _HEADING.split(text)
    if any(line.strip() and not line.startswith("--") for line in before.splitlines()):
        raise BadQueries(f"{where}: a statement stands before the first name")
    queries: dict[str, LiteralString] = {}
    for name, body in zip(pieces[::2], pieces[1::2], strict=True):
        lines = body.strip("\n").splitlines()
        sentence = [line for line in _leading_comments(lines) if line.strip("- ")]
        statement = "\n".join(lines[len(_leading_comments(lines)) :]).strip().rstrip(";").rstrip()
        if name in queries:
            raise BadQueries(f"{where}: two statements are called {name}")
        if not sentence:
            raise BadQueries(f"{where}: {name} has no sentence that says what it is for")
        if not statement:
            raise BadQueries(f"{where}: {name} has no statement")
        # The statements are ours, shipped with the code: as safe as a literal in it.
        queries[name] = statement
    return MappingProxyType(queries)


def _leading_comments(lines: list[str]) -> list[str]:
    for position, line in enumerate(lines):
        if not line.startswith("--"):
            return lines[:position]
    return lines
