"""The command line: what was typed wrongly is told, and what went wrong is told in words; neither shows a trace."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.guard.tree import ROOT

from carepost import __version__
from carepost.cli import main


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["carepost", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nosuch"], "No such command"),
        (["why"], "Missing argument"),
        (["serve", "--nosuch"], "No such option"),
        (["demo", "--port-base", "1"], "Invalid value"),
        (["restore", "somewhere"], "Say either --check"),
        (["serve", "--role", "web"], "There is no role web"),
        (["queue", "retry"], "Name one message by its number"),
        (["queue", "list", "--after", "yesterday"], "what the last list said"),
        (["org", "list", "--config", "/nowhere/carepost.toml"], "could not be read"),
    ],
)
def test_a_mistake_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert run(monkeypatch, *arguments) != 0
    told = capfd.readouterr()
    assert says in told.err
    assert "Traceback" not in told.err + told.out


def test_without_a_command_it_shows_what_there_is(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch) == 2
    told = capfd.readouterr()
    for name in ("serve", "demo", "why", "trace", "audit", "backup"):
        assert name in told.out + told.err


def loaded_by(code: str) -> tuple[list[str], set[str]]:
    """What a fresh interpreter printed, and every module that it has loaded then."""
    code = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True, timeout=180
    )
    *told, modules = done.stdout.splitlines()
    return told, set(modules.split())


def test_the_version_is_told_without_loading_the_program() -> None:
    told, modules = loaded_by("sys.argv = ['carepost', '--version']; from carepost.cli import main; main()")
    assert told == [f"carepost {__version__}"]
    assert {module for module in modules if module.startswith("carepost.")} == {"carepost.cli"}
    assert modules.isdisjoint({"typer", "psycopg", "starlette"})


@pytest.mark.parametrize("command", ["", "'why', ", "'org', 'add', ", "'serve', ", "'restore', "])
def test_help_is_shown_without_loading_any_room(command: str) -> None:
    told, modules = loaded_by(f"sys.argv = ['carepost', {command}'--help']; from carepost.cli import main; main()")
    assert any("Usage: carepost" in line for line in told)
    rooms = {module.split(".")[1] for module in modules if module.startswith("carepost.")}
    # The directory's model is lists of words that commands take: kinds, roles, standings.
    assert rooms == {"base", "cli", "directory"}
    assert {module for module in modules if module.startswith("carepost.directory.")} == {"carepost.directory.model"}
    assert modules.isdisjoint({"asyncio", "psycopg", "starlette", "uvicorn", "cryptography", "rich"})


def test_a_command_that_works_on_the_database_loads_no_pages() -> None:
    _, modules = loaded_by("import carepost.app.areas, carepost.app.storage, carepost.app.checkup")
    assert "carepost.app.areas" in modules, "the look is blind"
    assert not {module for module in modules if module.startswith(("starlette", "uvicorn", "jinja2", "carepost.web"))}


def test_the_defaults_are_shown_as_a_file_to_start_from(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from carepost.infra.settings import Settings, load

    run(monkeypatch, "config", "show", "--defaults")
    shown = tmp_path / "carepost.toml"
    shown.write_text(capfd.readouterr().out, "utf-8")
    assert load(shown, {}) == Settings()
