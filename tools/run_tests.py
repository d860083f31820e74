"""Run the whole suite, and look a second time, alone, at what may have failed by time only.

A test that drives real processes, browsers and mail programs can be late on a machine that is slow or busy. Such a test,
and no more than `MOST` of them, is run again by itself when all others have ended; what then passes is named loudly and
ends the run green, what fails again ends it red. Nothing else gets a second chance: not a test of pure code, and never
one whose failure would be evidence (mail lost, doubled, in clear, or opened by the wrong person). See ADR-0020.
"""

import json
import subprocess
import sys
from pathlib import Path

MOST = 3
# Folders whose tests wait for other processes.
_WAITING = ("tests/system/", "tests/journeys/", "tests/integration/")
# Where one failure is proof enough, whatever comes afterwards.
_EVIDENCE = (
    "tests/system/test_full_disk.py",
    "tests/system/test_keys_apart.py",
    "tests/system/test_nothing_in_clear.py",
    "tests/system/test_order_of_promises.py",
    "tests/system/test_power_cuts.py",
    "tests/system/test_power_cuts_mail_out.py",
    "tests/system/test_relay_taken_over.py",
    "tests/system/test_sudden_ends.py",
    "tests/integration/audit/",
    "tests/integration/delivery/test_two_workers.py",
    "tests/integration/store/",
    "tests/integration/test_tenants_apart.py",
)
_SOME_FAILED = 1  # of pytest: tests ran, some failed; anything else is not about tests
_FAILED_LAST = Path(".pytest_cache/v/cache/lastfailed")


def may_be_late(test: str) -> bool:
    """Whether a failure of this test, by its name for pytest, may be one of time."""
    return "::" in test and test.startswith(_WAITING) and not test.startswith(_EVIDENCE)


def second_look(failed: list[str]) -> list[str]:
    """Which tests to run again: all that failed, or none."""
    return failed if 0 < len(failed) <= MOST and all(map(may_be_late, failed)) else []


def main() -> int:
    """What pytest said at last. The command line is pytest's own."""
    _FAILED_LAST.unlink(missing_ok=True)
    code = _pytest(*sys.argv[1:])
    if code != _SOME_FAILED:
        return code
    again = second_look(_failed())
    if not again:
        return code
    print(f"\nFAILED ONCE, run again alone ({len(again)}):", *again, sep="\n  ", flush=True)
    code = _pytest("-q", "-p", "no:randomly", *again)
    if code == 0:
        print("\nPASSED ONLY THE SECOND TIME; find out why before it comes back:", *again, sep="\n  ", flush=True)
    return code


def _pytest(*options: str) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *options], check=False).returncode


def _failed() -> list[str]:
    try:
        return sorted(json.loads(_FAILED_LAST.read_text("utf-8")))
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main())
