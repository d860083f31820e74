"""A process gives up, for good, what it does not need: files (Landlock, Linux 5.13 and later) and root's powers.

Promises
    After `confine`, opening any file outside the two lists fails with EACCES: in this process, in its threads and in
    whatever it starts. There is no way back.
    A kernel without Landlock is no error: the answer says so, and the log tells the operator.
    After `give_up_capabilities` even root is nobody special, and nothing that it starts is: it cannot become another
    user, look into other processes, or reach past the file system to the disk or the kernel's memory.

The role that faces strangers uses both so that, even taken over, it reads neither the root key nor the secrets of the
database's roles, although these are files of its own operating-system user.
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
_CAPABILITY_VERSION = 0x20080522  # the third, of 64 bits; linux/capability.h
CAP_DAC_OVERRIDE = 1 << 1

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


def give_up_capabilities(*, keep: int = 0) -> None:
    """Keep only those of `keep`, a mask (capabilities(7)), that we have. Raises OSError.

    Of this thread and those that it begins: call before there are others.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION, 0), 8)
    sets = ctypes.create_string_buffer(24)  # effective, permitted and inheritable; of the lower 32, then of the upper
    if libc.capget(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "capget was refused")
    kept = struct.unpack("=6I", sets.raw)[1] & keep
    # Without it, a program that root starts would be given everything again.
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs was refused")
    if libc.capset(header, struct.pack("=6I", kept, kept, 0, 0, 0, 0)) != 0:
        raise OSError(ctypes.get_errno(), "capset was refused")


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
