"""Figures on their way into the report: one JSON file a section, so that a section can be measured again by itself."""

import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDER = Path("build/bench")


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` per cent of them do not exceed; not a number when there are none."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)]


def median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else math.nan


def save(section: str, figures: dict[str, Any]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    kept = {
        "section": section,
        "command": " ".join(["python -m bench", *sys.argv[1:]]),
        "machine": machine(),
        **figures,
    }
    (FOLDER / f"{section}.json").write_text(json.dumps(kept, indent=1) + "\n")


def load(section: str) -> dict[str, Any] | None:
    path = FOLDER / f"{section}.json"
    if not path.exists():
        return None
    kept = json.loads(path.read_text())
    # Where it was measured is nobody's business but this machine's.
    kept["command"] = re.sub(r" --work \S+| --keep\b", "", kept["command"])
    return dict(kept)


def machine() -> dict[str, Any]:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "at": time.strftime("%Y-%m-%d %H:%M"),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": commit.stdout.strip() or "unknown",
        "load": os.getloadavg()[0],
    }
