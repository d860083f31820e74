"""Words that must not be in the project: unfinished work, this or that machine, banned names, somebody else's brand."""

import re
from pathlib import Path

from tests.guard.tree import functions, modules, texts

THIS_FILE = Path("tests/guard/test_words.py")
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
# Folders of a developer's machine, mirrors and registries that only one place can reach, and traces of tools.
OF_ONE_MACHINE = re.compile(
    r"(?<![\w.])/work/|/tmp/brief|/home/[a-z]+/|farm-studio|[\w.-]+/simple\b(?=/|\s|$)|--index-url|--extra-index-url"
    r"|Co-authored-by|Generated with|\.library/|/tmp/h-"
)
# `...Manager`, `utils` and their like say nothing; the field's own word does. STYLE.md 3.
SAYS_NOTHING = re.compile(r"(Manager|Helper|Utils?|Processor)$")
# What the standard library calls so, or what a library asks of us.
MAY_KEEP_ITS_NAME = {"AbstractAsyncContextManager", "AbstractContextManager"}
LOCKED = {Path("requirements.lock"), Path("requirements-dev.lock")}


def test_nothing_is_left_unfinished() -> None:
    found = [
        f"{path}:{number}"
        for path, text in texts().items()
        if path != THIS_FILE and path.parts[0] in {"src", "tests", "tools", "bench", "deploy", "docs", ".ci"}
        for number, line in enumerate(text.splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert found == []


def test_nothing_names_a_developers_machine() -> None:
    found = [
        f"{path}:{number}: {match.group()}"
        for path, text in texts().items()
        if path != THIS_FILE
        for number, line in enumerate(text.splitlines(), 1)
        if (match := OF_ONE_MACHINE.search(line))
    ]
    assert found == []


def test_the_lock_files_hold_hashes_and_no_address() -> None:
    for path in LOCKED:
        text = texts()[path]
        assert "--hash=sha256:" in text
        assert "://" not in text


def test_modules_and_functions_have_names_that_say_something() -> None:
    empty = {"utils", "util", "helpers", "helper", "common_utils", "misc", "manager", "handlers", "data"}
    assert [str(path) for path in modules() if path.stem in empty] == []
    vague = [f"{path}:{name}" for path, name, _ in functions() if SAYS_NOTHING.search(name.rpartition(".")[2])]
    assert [name for name in vague if name.rpartition(".")[2] not in MAY_KEEP_ITS_NAME] == []


def test_nothing_passes_itself_off_as_the_national_service() -> None:
    """We are not the NHS: no identity of its brand, no typeface of its own, in anything that people see."""
    shown = [path for path in texts() if path.suffix in {".html", ".css", ".js", ".svg"}]
    assert shown
    brand = re.compile(r"frutiger|nhs[- _]?logo|nhsuk-|NHSmail|#005eb8", re.IGNORECASE)
    found = [f"{path}: {match.group()}" for path in shown for match in brand.finditer(texts()[path])]
    assert found == []


def test_nothing_cites_a_paper_that_is_not_here() -> None:
    """Design papers outside the repository are no use to its readers: cite docs/, an ADR, an RFC or an attack's number."""
    paper = re.compile(
        r"(?<![\w/-])(components|walks|decisions|security|experience|architecture|anchors|requirements)\.md\b"
    )
    found = [
        f"{path}:{number}"
        for path, text in texts().items()
        if path != THIS_FILE and path.suffix in {".py", ".sql", ".css", ".js", ".toml", ".html"}
        for number, line in enumerate(text.splitlines(), 1)
        if paper.search(line)
    ]
    assert found == []
