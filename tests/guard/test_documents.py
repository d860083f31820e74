"""Documents are true: links lead somewhere, generated pages are fresh, what is listed is what there is."""

import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from tests.guard.tree import ROOT

from carepost import __version__
from carepost.infra.settings import load

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s#]+)(?:#[^)]*)?\)")
# Pictures are made by the browser tests, and figures by the bench: neither is there in a tree that has run neither.
MADE_LATER = {"docs/performance.md"}
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "deploy").glob("*.md")),
    *sorted((ROOT / "src").rglob("*.md")),
]
TOP = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "STYLE.md",
    "SECURITY.md",
    "UPGRADING.md",
    "CHANGELOG.md",
    "LICENSE",
]


def _tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tools_{name}", ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)

    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(page.read_text("utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        path = (page.parent / target).resolve()
        if not path.exists() and str(path.relative_to(ROOT)) not in MADE_LATER:
            broken.append(target)
    assert broken == []


def test_the_pages_at_the_top_are_there() -> None:
    assert [name for name in TOP if not (ROOT / name).is_file()] == []


def test_every_reference_leads_somewhere() -> None:
    assert _tool("refs").problems(ROOT) == []


def test_the_generated_pages_are_what_the_program_says() -> None:
    assert _tool("make_reference").stale() == [], "run tools/make_reference.py"


def test_the_changelog_and_the_upgrade_page_know_this_version() -> None:
    for name in ("CHANGELOG.md", "UPGRADING.md"):
        assert re.search(rf"^## {re.escape(__version__)}$", (ROOT / name).read_text("utf-8"), re.MULTILINE), name


def test_every_dependency_is_explained_and_nothing_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *(one for group in project["optional-dependencies"].values() for one in group)]
    names = {re.split(r"[\[><=~! ]", one)[0].lower() for one in wanted}
    page = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    listed = {name.lower() for name in re.findall(r"^\| ([\w.-]+) \|", page, re.MULTILINE)} - {"package", "---"}
    assert listed == names


def test_the_licence_is_the_text_itself() -> None:
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert text.splitlines()[0].strip() == "GNU AFFERO GENERAL PUBLIC LICENSE"
    assert len(text) == 34_523
    assert tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["license"] == "AGPL-3.0-or-later"


def test_every_decision_says_how_we_know_that_it_is_followed() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("ADR-*.md"))
    assert decisions
    index = (ROOT / "docs" / "adr" / "README.md").read_text("utf-8")
    for path in decisions:
        text = path.read_text("utf-8")
        assert f"]({path.name})" in index
        for heading in ("## Context", "## Decision", "## Consequences", "## How we know that it is followed"):
            assert heading in text, f"{path.name} lacks {heading}"


def test_decisions_are_numbered_one_after_another() -> None:
    numbers = [int(path.name[4:8]) for path in sorted((ROOT / "docs" / "adr").glob("ADR-*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_glossary_has_each_word_once_and_in_order() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    words = [word.lower() for word in re.findall(r"^\| ([^|]+?) \|", page, re.MULTILINE)][1:]
    words = [word for word in words if not word.startswith("---")]
    assert len(words) == len(set(words))
    assert words == sorted(words)


def test_the_example_settings_are_understood() -> None:
    settings = load(ROOT / "deploy" / "carepost.toml", {})
    assert settings.service.hostname == "mail.riverside.example"
    assert settings.web.content_url != settings.web.url


def test_the_systemd_unit_keeps_its_protections() -> None:
    unit = (ROOT / "deploy" / "carepost.service").read_text("utf-8")
    wanted = (
        "User=carepost",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "LimitCORE=0",
        "UMask=0077",
        "KillMode=mixed",
    )
    assert [line for line in wanted if f"\n{line}\n" not in unit] == []
    granted = re.findall(r"^AmbientCapabilities=(.*)$", unit, re.MULTILINE)
    assert granted == ["CAP_NET_BIND_SERVICE"]
    started = re.search(r"^ExecStart=\S+/carepost serve ", unit, re.MULTILINE)
    assert started is not None
