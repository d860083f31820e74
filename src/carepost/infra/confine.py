"""Landlock: a process gives up, for good, every file that it does not need. Linux 5.13 and later, no privilege needed.

Promises
    After `confine`, opening any file outside the two lists fails with EACCES: in this process, in its threads and in
    whatever it starts. There is no way back.
    A kernel without Landlock is no error: the answer says so, and `carepost doctor` and the log tell the operator.

The role that faces strangers uses it so that, even taken over, it cannot read the root key of its own operating-system
user. See docs/adr for what it does not cover (sockets).
"""

import ctypes
import os
import platform
import struct
from collections.abc import Iterable
from pathlib import Path

# Numbers of the system calls: the same on every architecture that Linux has gained since 2020, x86 and ARM included.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

# linux/landlock.h, LANDLOCK_ACCESS_FS_*
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_DIR, _MAKE_REG = 1 << 7, 1 << 8
_ALL_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}
_TRUNCATE = 1 << 14  # since ABI 3

_READ = _EXECUTE | _READ_FILE | _READ_DIR
_WRITE = _READ_FILE | _READ_DIR | _WRITE_FILE | _REMOVE_FILE | _MAKE_REG
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE


def is_supported() -> bool:
    return platform.system() == "Linux" and _abi() >= 1


def confine(*, readable: Iterable[Path], writable: Iterable[Path]) -> bool:
    """Keep only these files and folders (and what is below them). False where the kernel has no Landlock.

    Paths that do not exist are passed over. Raises OSError when the kernel refuses, which it has no reason to.
    """
    if not is_supported():
        return False
    abi = _abi()
    handled = _ALL_BY_ABI[min(abi, 3)]
    ruleset = _call(_CREATE_RULESET, struct.pack("=Q", handled), 8, 0)
    try:
        for path in readable:
            _allow(ruleset, path, _READ & handled)
        for path in writable:
            _allow(ruleset, path, (_WRITE | _TRUNCATE) & handled)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "no_new_privs was refused")
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return True


def _allow(ruleset: int, path: Path, access: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not path.is_dir():
            access &= _OF_FILES
        _call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", access, opened), 0)
    finally:
        os.close(opened)


def _abi() -> int:
    try:
        return _call(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def _call(number: int, *arguments: int | bytes | None) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    given = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    answer = int(libc.syscall(ctypes.c_long(number), *given))
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer
