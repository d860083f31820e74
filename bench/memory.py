"""What the service holds when nothing happens, and what idle mail programs add."""

import shutil
import time
from pathlib import Path

from bench.mailbox import Mailbox
from bench.processes import pss_mib, tree
from bench.results import save
from bench.smtp import logins
from bench.world import make_world

_SETTLE_SECONDS = 15


def run(work: Path, *, clients: int) -> None:
    """Measure and save."""
    shutil.rmtree(work / "memory", ignore_errors=True)
    world = make_world(work / "memory", mailboxes=20, relay_workers=1, clamd=None, dkim_public="")
    with world.serving() as pid:
        time.sleep(_SETTLE_SECONDS)
        idle = pss_mib([pid])
        parts = {_name(one): 0.0 for one in tree([pid])}
        for one in tree([pid]):
            parts[_name(one)] += pss_mib([one]) if not _has_children(one) else _alone(one)
        boxes = []
        every = logins(world)
        for n in range(clients):
            box = Mailbox(every[n % len(every)])
            box.select()
            box.idle()
            boxes.append(box)
        time.sleep(_SETTLE_SECONDS)
        busy = pss_mib([pid])
    print(f"  idle {idle:.0f} MiB, with {clients} idle clients {busy:.0f} MiB", flush=True)
    save("memory", {"idle_mib": idle, "clients": clients, "with_clients_mib": busy, "parts": parts})


def _name(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "gone"
    return "PostgreSQL" if b"postgres" in words[0] else "carepost serve"


def _has_children(pid: int) -> bool:
    return len(tree([pid])) > 1


def _alone(pid: int) -> float:
    return pss_mib([pid]) - sum(pss_mib([one]) for one in tree([pid]) if one != pid and _parent(one) == pid)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
