#!/usr/bin/env python3
"""Checks that every reference leads somewhere, and that every hazard has tests that exist.

    RFC 5321 §4.5.2   is listed in rfc/index.toml
    hazard H-007      is listed in docs/safety/hazards.toml, with controls and tests
    ADR-0004          is a file of docs/adr
    R105              is listed in docs/requirements.toml
    P12, M3, E1       in a module's words and comments, is listed in docs/safety/attacks.toml, whose files exist
    `test_a_...`      in a document, or among a hazard's tests, is a test that exists

Prints one line for each that does not; the exit code is 1 then. Run by tests/guard/test_references.py.
"""

import ast
import io
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDERS = ("src", "tests", "tools", "bench", "docs", "deploy", "rfc")
SUFFIXES = {".py", ".sql", ".toml", ".md", ".html", ".css", ".js", ".txt", ".case", ".imap", ".service"}
REFERENCE = re.compile(
    r"\bRFC (?P<rfc>\d{3,5})\b|\b(?P<hazard>H-\d{3})\b|\b(?P<adr>ADR-\d{4})\b|(?<![\w./-])R(?P<requirement>\d{1,3})\b"
)
# C0 and C1 are sets of control characters too; C1 is also the first line of the contract.
ATTACK = re.compile(r"\b(?!C0)(?P<attack>[ACDEMPT]\d{1,2})\b")
NAMED_TEST = re.compile(r"`(?P<test>test_[a-z0-9_]+)`")
DEFINED_TEST = re.compile(r"^\s*(?:async )?def (?P<name>test_\w+)", re.MULTILINE)
HAZARD_FIELDS = ("title", "harm", "severity", "controls", "tests", "residual")
SEVERITIES = {"considerable", "major", "catastrophic"}


@dataclass(frozen=True)
class Known:
    """Where references may lead."""

    rfcs: frozenset[str]
    adrs: frozenset[str]
    requirements: frozenset[str]
    hazards: Mapping[str, Mapping[str, Any]]
    attacks: Mapping[str, Mapping[str, Any]]
    tests: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, root: Path) -> "Known":
        tests = "\n".join(path.read_text("utf-8") for path in sorted((root / "tests").rglob("*.py")))
        return cls(
            rfcs=frozenset(tomllib.loads((root / "rfc/index.toml").read_text("utf-8"))),
            adrs=frozenset(path.name[:8] for path in (root / "docs/adr").glob("ADR-*.md")),
            requirements=frozenset(tomllib.loads((root / "docs/requirements.toml").read_text("utf-8"))),
            hazards=tomllib.loads((root / "docs/safety/hazards.toml").read_text("utf-8")),
            attacks=tomllib.loads((root / "docs/safety/attacks.toml").read_text("utf-8")),
            tests=frozenset(DEFINED_TEST.findall(tests)),
        )

    def missing(self, line: str, *, is_document: bool) -> Iterator[str]:
        """What this line refers to and is not there."""
        for found in REFERENCE.finditer(line):
            if (rfc := found["rfc"]) and rfc not in self.rfcs:
                yield f"RFC {rfc} is not in rfc/index.toml"
            if (hazard := found["hazard"]) and hazard not in self.hazards:
                yield f"there is no hazard {hazard}"
            if (adr := found["adr"]) and adr not in self.adrs:
                yield f"there is no {adr}"
            if (requirement := found["requirement"]) and f"R{requirement}" not in self.requirements:
                yield f"R{requirement} is not in docs/requirements.toml"
        if is_document:
            for found in NAMED_TEST.finditer(line):
                if found["test"] not in self.tests:
                    yield f"there is no test {found['test']}"


def problems(root: Path) -> list[str]:
    """A line for each reference that leads nowhere."""
    known = Known.of(root)
    found = []
    for path in _texts(root):
        name = path.relative_to(root)
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), start=1):
            found += [f"{name}:{number}: {says}" for says in known.missing(line, is_document=path.suffix == ".md")]
        if path.suffix == ".py" and path.relative_to(root).parts[0] in {"src", "tests"}:
            found += [
                f"{name}: {attack} is not in docs/safety/attacks.toml"
                for attack in _attacks(path) - known.attacks.keys()
            ]
    for number, attack in known.attacks.items():
        gone = [file for file in attack["tests"] if not (root / file).is_file()]
        found += [f"docs/safety/attacks.toml: {number}: there is no {file}" for file in gone]
    for number, hazard in known.hazards.items():
        found += [f"docs/safety/hazards.toml: {number}: {says}" for says in _hazard_problems(hazard, known.tests)]
    return found


def _texts(root: Path) -> Iterator[Path]:
    yield from sorted(root.glob("*.md"))
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file() and "__pycache__" not in path.parts:
                yield path


def _attacks(path: Path) -> set[str]:
    """The numbers of attacks that a module's docstrings and comments cite. Elsewhere the same letters mean other things."""
    text = path.read_text("utf-8")
    words = [
        ast.get_docstring(node) or ""
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    words += [token.string for token in tokens if token.type == tokenize.COMMENT]
    return {found["attack"] for one in words for found in ATTACK.finditer(one)}


def _hazard_problems(hazard: Mapping[str, Any], tests: frozenset[str]) -> Iterator[str]:
    yield from (f"{name} is missing" for name in HAZARD_FIELDS if not hazard.get(name))
    if hazard.get("severity") not in SEVERITIES:
        yield f"severity is one of {', '.join(sorted(SEVERITIES))}"
    yield from (f"there is no test {name}" for name in hazard.get("tests", ()) if name not in tests)


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]
    found = problems(root)
    sys.stderr.writelines(f"{problem}\n" for problem in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
