"""Ports of this machine for programs that must be told one before they start.

Promises
    Two workers of one run of the tests are never given the same port, whatever either has not opened yet, and no worker
    is given one twice. None is of those that the kernel hands out by itself (from 32768), so none is taken meanwhile by
    a connection that goes out.

Who can listen on port 0 does, and needs nothing from here.
"""

import contextlib
import os
import secrets
import socket
from collections.abc import Sequence

_SINGLE = range(10_000, 24_000)
# A demo has its ports at these distances from one base.
DEMO_OFFSETS = (25, 465, 587, 143, 993, 80, 81, 82, 83, 90)
_BASES = range(24_000, 31_500, 1_000)

_given: set[int] = set()


def free_ports(number: int, *, ip: str = "127.0.0.1") -> list[int]:
    """So many different ports that nobody listens on."""
    ours = _share(_SINGLE)
    found: list[int] = []
    while len(found) < number:
        port = secrets.choice(ours)
        if port not in _given and _is_free(port, ip):
            _given.add(port)
            found.append(port)
    return found


def free_port_base() -> int:
    """A base for `carepost demo`. The same one again once its demo has ended: there are few."""
    ours = list(_share(_BASES))
    secrets.SystemRandom().shuffle(ours)
    for base in ours:
        if all(_is_free(base + offset, "127.0.0.1") for offset in DEMO_OFFSETS):
            return base
    raise AssertionError(f"something listens beside each of these ports: {ours}")


def worker() -> int:
    """Which worker of a run we are, from 0 (PYTEST_XDIST_WORKER is gw0, gw1, ...)."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def _share(everybody: Sequence[int]) -> Sequence[int]:
    """This worker's part of what all share."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return everybody[worker() % workers :: workers]


def _is_free(port: int, ip: str) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind((ip, port))
        return True
    return False
