"""Numbers for Prometheus: counted in every worker, shown together by any of them.

Promises
    Labels are from a closed list of names, and never hold a person, an address or an organisation's code.
    Workers count in files of their own (a folder in the data folder, or memory when there is none): no lock is
    shared, and a worker that was killed takes no count with it.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess, values

# What a metric may be divided by. A new one needs a reason, and few values.
LABELS = frozenset({"action", "door", "event", "kind", "outcome", "reason", "role", "state", "step", "version"})
# Seconds: from a look-up in memory to a scan of a large message.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

How = Literal["livesum", "livemax", "livemin", "max", "min", "mostrecent"]


class Metrics:
    """Makes metrics and shows them. One for a process; made before workers are forked, and given to them."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._registry = CollectorRegistry()
        if folder is not None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left_over in folder.glob("*.db"):
                left_over.unlink()
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
            # The library looks at the environment when it is imported, which was long ago.
            values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]

    def counter(self, name: str, sentence: str, labels: Sequence[str] = ()) -> Counter:
        """Something that happened, how often. `name` without the prefix, as `messages_received`."""
        return Counter(f"carepost_{name}", sentence, _known(labels), registry=self._registry)

    def gauge(self, name: str, sentence: str, labels: Sequence[str] = (), *, how: How = "livesum") -> Gauge:
        """Something that goes up and down. `how` the workers' values make one."""
        return Gauge(f"carepost_{name}", sentence, _known(labels), registry=self._registry, multiprocess_mode=how)

    def seconds(self, name: str, sentence: str, labels: Sequence[str] = ()) -> Histogram:
        """How long something took."""
        return Histogram(f"carepost_{name}_seconds", sentence, _known(labels), registry=self._registry, buckets=SECONDS)

    def exposition(self) -> bytes:
        """All workers' numbers, in Prometheus' text format."""
        if self._folder is None:
            return bytes(generate_latest(self._registry))
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together, path=str(self._folder))  # type: ignore[no-untyped-call]
        return bytes(generate_latest(together))

    def forget_worker(self, pid: int) -> None:
        """A worker has ended: its live gauges no longer count. Its counters stay."""
        if self._folder is not None:
            multiprocess.mark_process_dead(pid, str(self._folder))  # type: ignore[no-untyped-call]


def _known(labels: Sequence[str]) -> Sequence[str]:
    if unknown := set(labels) - LABELS:
        raise ValueError(f"a metric may not be divided by {', '.join(sorted(unknown))}")
    return labels
