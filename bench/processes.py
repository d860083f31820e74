"""What a tree of processes costs: memory (PSS) and CPU time, from /proc."""

import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")


def tree(roots: Iterable[int]) -> list[int]:
    """The processes and all their children."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], list(roots)
    while todo:
        pid = todo.pop()
        if pid not in found and Path(f"/proc/{pid}").exists():
            found.append(pid)
            todo += children.get(pid, [])
    return found


def cpu_seconds(roots: Iterable[int]) -> float:
    """Of the trees, ended children that were waited for included."""
    stats = (_stat(pid) for pid in tree(roots))
    return sum(sum(map(int, fields[11:15])) for fields in stats if fields) / _TICKS


def pss_mib(roots: Iterable[int]) -> float:
    """Proportional set size: shared pages are counted once between those who share them."""
    total = 0
    for pid in tree(roots):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def busy_seconds() -> float:
    """CPU time that the machine has spent on anything."""
    with Path("/proc/stat").open(encoding="ascii") as file:
        fields = list(map(int, file.readline().split()[1:9]))
    return (sum(fields) - fields[3] - fields[4]) / _TICKS


class Watch(threading.Thread):
    """Notes the peak of memory while a run lasts, and how much CPU others used meanwhile."""

    def __init__(self, roots: Sequence[int], *, every: float = 0.5) -> None:
        super().__init__(daemon=True)
        self._roots, self._every = list(roots), every
        self._done = threading.Event()
        self.peak_mib = 0.0
        self._cpu, self._busy = cpu_seconds(self._roots), busy_seconds()
        self.cpu = 0.0

    def __enter__(self) -> Self:
        self.start()
        return self

    def run(self) -> None:
        while not self._done.wait(self._every):
            self.peak_mib = max(self.peak_mib, pss_mib(self._roots))

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()
        self.peak_mib = max(self.peak_mib, pss_mib(self._roots))
        self.cpu = cpu_seconds(self._roots) - self._cpu
        self.machine = busy_seconds() - self._busy


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third (state) on; empty when the process has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return []
