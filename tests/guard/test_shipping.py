"""What the program needs beside its modules is shipped: statements, migrations, cards, templates, the stylesheet."""

import fnmatch
import tomllib
from importlib.resources import files

from tests.guard.tree import PACKAGE, ROOT, tracked

NOT_SHIPPED = {".md", ".pyc"}  # the README beside the cards is for readers of the repository


def test_every_data_file_of_the_package_matches_what_is_shipped() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["*"]
    inside = [
        path for path in tracked() if path.is_relative_to("src/carepost") and path.suffix not in {".py", *NOT_SHIPPED}
    ]
    assert len(inside) > 60
    left = [str(path) for path in inside if not any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns)]
    assert left == []


def test_folders_without_modules_are_shipped_too() -> None:
    """Templates, migrations and the stylesheet lie in folders that hold no module: setuptools takes them as namespaces."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"]["find"]
    assert found == {"where": ["src"]}, "with namespaces = false, the pages would have no templates"


def test_the_parts_are_found_as_resources() -> None:
    root = files("carepost")
    for name in ("schema.sql", "py.typed", "infra/bootstrap.sql", "web/static/carepost.css", "web/templates/base.html"):
        assert root.joinpath(name).is_file(), name
    for area in ("audit", "directory", "gateway", "governance", "identity", "store"):
        assert root.joinpath(area, "queries.sql").is_file(), area
    assert any(entry.name.endswith(".sql") for entry in root.joinpath("migrations").iterdir())
    assert any(entry.name.endswith(".toml") for entry in root.joinpath("policies", "inbound").iterdir())


def test_statements_are_read_by_their_own_area_only() -> None:
    for path in sorted(PACKAGE.glob("*/queries.sql")):
        repositories = sorted(path.parent.glob("repo*.py"))
        assert repositories, path.parent.name
