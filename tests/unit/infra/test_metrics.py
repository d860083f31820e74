"""Metrics of one process and of many."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from carepost.infra.metrics import Metrics


def test_counts_are_shown_with_their_prefix() -> None:
    metrics = Metrics()
    metrics.counter("messages_received", "Messages taken.", ["outcome"]).labels("accepted").inc(3)
    metrics.seconds("scan", "How long scans took.").observe(0.2)
    text = metrics.exposition().decode()
    assert 'carepost_messages_received_total{outcome="accepted"} 3.0' in text
    assert 'carepost_scan_seconds_bucket{le="0.25"} 1.0' in text


def test_a_label_that_could_name_somebody_is_refused() -> None:
    with pytest.raises(ValueError, match="mailbox"):
        Metrics().counter("messages", "Messages.", ["mailbox"])


SEVERAL = """
    import os, sys
    from pathlib import Path
    from carepost.infra.metrics import Metrics

    metrics = Metrics(Path(sys.argv[1]))
    taken = metrics.counter("taken", "Taken.")
    busy = metrics.gauge("busy", "Busy.")
    pids = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            taken.inc(2)
            busy.set(1)
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    metrics.forget_worker(pids[0])
    print(metrics.exposition().decode())
"""


def test_workers_counts_are_shown_together_and_the_dead_are_no_longer_busy(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROMETHEUS")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SEVERAL), str(tmp_path / "metrics")],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert "carepost_taken_total 4.0" in done.stdout
    assert "carepost_busy 1.0" in done.stdout
