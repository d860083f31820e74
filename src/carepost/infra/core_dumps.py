"""No image of our memory is ever written to a disk: it holds keys and mail in clear.

Promises
    A crash leaves no core file, neither in a folder nor with a collector such as systemd-coredump; and no other
    program of the same user may look into our memory. Children that are forked inherit it; programs that are started
    (PostgreSQL) inherit the first half.
"""

import ctypes
import resource

_PR_SET_DUMPABLE = 4


def forbid_core_dumps() -> None:
    """Call at the start of whatever opens keys or mail. There is no way back, by design."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A collector that the kernel pipes to is told regardless of the limit, but not of a process like this (core(5)).
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
