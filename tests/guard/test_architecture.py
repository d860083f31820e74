"""ARCHITECTURE.md and the tree say the same: every room is named, every path exists, the layers are the contract's."""

import re
import tomllib

from tests.guard.tree import PACKAGE, ROOT

PAGE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
LAYERS = "Imports point downwards, and every area has a place"
# A path is what looks like one: lower case, with a slash or an ending.
PATH = re.compile(r"`([a-z_]+(?:/[a-z_*]+)*(?:/|\.(?:py|sql|md|toml)))`")


def _rooms() -> set[str]:
    return {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}


def test_every_package_has_a_paragraph() -> None:
    headings = set(re.findall(r"^\*\*([a-z]+)\*\*", PAGE, re.MULTILINE))
    assert _rooms() - headings == set(), "a room that ARCHITECTURE.md does not tell of"
    assert headings - _rooms() == set(), "ARCHITECTURE.md tells of a room that is not there"


def test_every_path_that_is_mentioned_exists() -> None:
    named = {path for path in PATH.findall(PAGE) if "*" not in path}
    assert len(named) > 40
    assert sorted(path for path in named if not (PACKAGE / path).exists() and not (ROOT / path).exists()) == []


def test_every_paragraph_says_where_to_start() -> None:
    for room in sorted(_rooms()):
        paragraph = re.search(rf"^\*\*{room}\*\*.*?(?=\n\n)", PAGE, re.MULTILINE | re.DOTALL)
        assert paragraph is not None
        assert re.search(r"[Ss]tart at|`policies/README.md`", paragraph.group()), room


def test_the_layers_are_those_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["name"] == LAYERS)
    assert " > ".join(layers) in PAGE


def test_every_part_of_web_and_protocols_is_a_package_of_its_own() -> None:
    for room in ("web", "protocols"):
        folders = [path for path in (PACKAGE / room).iterdir() if path.is_dir() and list(path.glob("*.py"))]
        assert folders
        assert [path.name for path in folders if not (path / "__init__.py").exists()] == []
