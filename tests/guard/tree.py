"""The repository as the guards see it: what is tracked, and every module of the program, parsed once."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "carepost"


@cache
def modules() -> dict[Path, ast.Module]:
    """Every module of the program, by its path from the root."""
    return {
        path.relative_to(ROOT): ast.parse(path.read_text("utf-8"), filename=str(path))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def functions() -> Iterator[tuple[Path, str, int]]:
    """(module, qualified name, lines) of every function of the program."""
    for path, tree in modules().items():
        yield from _functions(path, tree, "")


def _functions(path: Path, node: ast.AST, within: str) -> Iterator[tuple[Path, str, int]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{within}{child.name}"
            if not isinstance(child, ast.ClassDef):
                yield path, name, (child.end_lineno or child.lineno) - child.lineno + 1
            yield from _functions(path, child, f"{name}.")


@cache
def tracked() -> tuple[Path, ...]:
    """Every file that belongs to the project, by its path from the root; in a copy without git, every text in place."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=180
        ).stdout
        names = [name for name in listed.decode().split("\0") if name]
    except (OSError, subprocess.SubprocessError):
        top = ("src", "tests", "tools", "bench", "docs", "deploy", "rfc", ".ci")
        names = [str(path.relative_to(ROOT)) for folder in top for path in (ROOT / folder).rglob("*") if path.is_file()]
        names += [path.name for path in ROOT.iterdir() if path.is_file()]
    return tuple(path for path in map(Path, sorted(names)) if (ROOT / path).is_file() and not path.is_symlink())


@cache
def texts() -> dict[Path, str]:
    """The tracked files that are text."""
    found = {}
    for path in tracked():
        if path.suffix in {".png", ".woff2", ".ico", ".gz", ".zip", ".bin"}:
            continue
        octets = (ROOT / path).read_bytes()
        if b"\0" not in octets:
            found[path] = octets.decode("utf-8", "replace")
    return found


@cache
def all_tests() -> str:
    """Every line of every test, in one string."""
    return "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "tests").rglob("*.py")))
