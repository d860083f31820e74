"""Everything an installation stands on, looked at one by one: what is well, what is wrong, and what to do about it.

Each look is a function of what it is given; app/checkup.py gathers them.
"""

import ctypes
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from cryptography import x509

# A certificate is renewed a month before it ends; ACME clients do so at a third of its life.
RENEW_BEFORE = timedelta(days=21)
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


class Standing(StrEnum):
    WELL = "well"
    MIND = "mind"  # works, and should be looked at
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Found:
    """One thing looked at. `do` is empty when nothing needs doing."""

    name: str
    standing: Standing
    says: str
    do: str = ""


def hostname(name: str) -> Found:
    if name in ("", "localhost") or "." not in name:
        return Found(
            "host name",
            Standing.MIND,
            f"We greet other mail systems as {name!r}.",
            "Set service.hostname to the full name that the address of this machine has in DNS.",
        )
    return Found("host name", Standing.WELL, f"We are {name}.")


def keys_folder(folder: Path) -> Found:
    """Keys that others can read are not keys."""
    files = sorted(folder.glob("*.key"))
    if not any(path.name.startswith("root-") for path in files):
        return Found(
            "keys",
            Standing.WRONG,
            f"There is no root key in {folder}.",
            "Put root-*.key back from its safe copy; on a new machine, `carepost serve` makes the first one.",
        )
    loose = [path.name for path in files if path.stat().st_mode & 0o077]
    if loose:
        return Found("keys", Standing.WRONG, f"{', '.join(loose)} can be read by others.", f"chmod 600 {folder}/*.key")
    return Found("keys", Standing.WELL, f"{len(files)} key files. Keep a copy of {folder} somewhere else, locked away.")


def certificate(name: str, path: Path | None, now: datetime) -> Found:
    if path is None:
        return Found(
            name, Standing.WRONG, "No certificate is set.", "Set smtp.certificate_file and smtp.key_file (PEM)."
        )
    try:
        leaf = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        return Found(name, Standing.WRONG, f"{path} cannot be read ({type(error).__name__}).", "Put a PEM chain there.")
    left = leaf.not_valid_after_utc - now
    if left < timedelta(0):
        return Found(name, Standing.WRONG, f"{path} ended {-left.days} days ago.", "Renew it; no restart is needed.")
    if left < RENEW_BEFORE:
        return Found(name, Standing.MIND, f"{path} ends in {left.days} days.", "Renew it; no restart is needed.")
    return Found(name, Standing.WELL, f"Good for {left.days} days.")


def disk(folder: Path, free_mb_min: int) -> Found:
    usage = shutil.disk_usage(folder)
    free_mb = usage.free >> 20
    if free_mb < free_mb_min:
        return Found(
            "disk",
            Standing.WRONG,
            f"{free_mb} MB are free; below {free_mb_min} MB no mail is accepted.",
            f"Make room on the disk of {folder}. Senders keep their mail and try again meanwhile.",
        )
    if usage.free < usage.total / 10:
        return Found("disk", Standing.MIND, f"{free_mb} MB are free, less than a tenth.", f"Make room for {folder}.")
    return Found("disk", Standing.WELL, f"{free_mb} MB are free.")


def clock() -> Found:
    """Whether the kernel believes that its clock is right."""
    libc = ctypes.CDLL(None, use_errno=True)
    timex = ctypes.create_string_buffer(256)  # struct timex, all zero: only ask
    if not hasattr(libc, "adjtimex") or libc.adjtimex(timex) != _TIME_ERROR:
        return Found("clock", Standing.WELL, "Synchronised, as far as the kernel knows.")
    return Found(
        "clock",
        Standing.MIND,
        "The kernel does not know whether its clock is right.",
        "Run a time service (chrony, systemd-timesyncd): codes, signatures and evidence depend on it.",
    )


def user() -> Found:
    if os.geteuid() == 0:
        return Found(
            "user",
            Standing.MIND,
            "This runs as root.",
            "Give it a user of its own; the systemd unit in deploy/ does, and lends it the low ports.",
        )
    return Found("user", Standing.WELL, "Not root.")


def ready(role: str, wrong: Sequence[str]) -> Found:
    """What a running worker said at /readyz."""
    if wrong:
        return Found(role, Standing.WRONG, " ".join(wrong), "See the log of `carepost serve`.")
    return Found(role, Standing.WELL, "Running, and ready.")
