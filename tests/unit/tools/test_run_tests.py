"""What the suite's runner gives a second look, and what it never does (ADR-0020)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = Path(__file__).parents[3] / "tools" / "run_tests.py"
LATE = """
from pathlib import Path

def test_that_is_late_once():
    seen = Path("seen")
    was_here, _ = seen.exists(), seen.touch()
    assert was_here
"""
BROKEN = "def test_that_is_broken():\n    assert False\n"


def run(folder: Path, *, file: str, text: str) -> tuple[int, str]:
    """(exit code, output) of the runner over one file of tests."""
    path = folder / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    done = subprocess.run(
        [sys.executable, RUNNER, "-q", "tests"],
        cwd=folder,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout


def test_a_late_test_of_the_whole_service_is_run_again_alone_and_named(tmp_path: Path) -> None:
    code, said = run(tmp_path, file="tests/system/test_clock.py", text=LATE)
    assert code == 0
    assert "PASSED ONLY THE SECOND TIME" in said
    assert "tests/system/test_clock.py::test_that_is_late_once" in said


def test_what_fails_twice_fails(tmp_path: Path) -> None:
    code, said = run(tmp_path, file="tests/system/test_clock.py", text=BROKEN)
    assert code == 1
    assert "FAILED ONCE, run again alone (1)" in said
    assert "PASSED ONLY" not in said


@pytest.mark.parametrize("file", ["tests/unit/test_pure.py", "tests/system/test_power_cuts.py"])
def test_pure_code_and_evidence_of_loss_get_no_second_look(tmp_path: Path, file: str) -> None:
    code, said = run(tmp_path, file=file, text=LATE)
    assert code == 1
    assert "FAILED ONCE" not in said


def test_many_failures_are_not_lateness(tmp_path: Path) -> None:
    many = "import pytest\n\n@pytest.mark.parametrize('n', range(4))\ndef test_many(n):\n    assert False\n"
    code, said = run(tmp_path, file="tests/system/test_clock.py", text=many)
    assert code == 1
    assert "FAILED ONCE" not in said
