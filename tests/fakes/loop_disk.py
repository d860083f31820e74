"""A disk of a test's own, whose power can be cut and which can be full: ext4 in a file, mounted over a loop device."""

import array
import contextlib
import fcntl
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

# linux/fs.h EXT4_IOC_SHUTDOWN = _IOR('X', 125, __u32), and how: without letting the journal be written first.
_SHUTDOWN = 0x8004587D
_NOLOGFLUSH = 2


@dataclass
class LoopDisk:
    image: Path
    mount: Path

    def attach(self) -> None:
        """Mount it; the journal of a disk whose power was cut is replayed."""
        subprocess.run(["mount", "-o", "loop", str(self.image), str(self.mount)], check=True, capture_output=True)

    def settle(self) -> None:
        """Everything so far is on the disk: what a test copied there belongs to the time before it."""
        subprocess.run(["sync", "-f", str(self.mount)], check=True)

    def cut_power(self) -> None:
        """From this moment nothing reaches the disk any more; what was not synced is gone."""
        folder = os.open(self.mount, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(folder, _SHUTDOWN, array.array("I", [_NOLOGFLUSH]))
        finally:
            os.close(folder)

    def detach(self) -> None:
        """Unmount, once nobody uses it any more."""
        deadline = time.monotonic() + 120
        while True:
            done = subprocess.run(["umount", str(self.mount)], check=False, capture_output=True)
            if done.returncode == 0:
                return
            assert time.monotonic() < deadline, f"{self.mount} is in use: {done.stderr.decode()}"
            time.sleep(0.1)

    def remove(self) -> None:
        if os.path.ismount(self.mount):
            subprocess.run(["umount", "-l", str(self.mount)], check=False, capture_output=True)
        self.image.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.mount.rmdir()


def make_loop_disk(megabytes: int) -> LoopDisk:
    """Formatted and mounted. Skips, visibly, where loop devices are not allowed."""
    if os.geteuid() != 0:
        pytest.skip("cutting the power of a loop device needs root; D4 (test_order_of_promises) is the proof here")
    image = Path(tempfile.mkstemp(prefix="cps-disk-")[1])
    mount = Path(tempfile.mkdtemp(prefix="cps-", dir="/tmp"))
    disk = LoopDisk(image, mount)
    try:
        with image.open("r+b") as file:
            file.truncate(megabytes << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True, capture_output=True)
        disk.attach()
    except (OSError, subprocess.CalledProcessError) as error:
        disk.remove()
        pytest.skip(f"no loop devices here ({error}); D4 (test_order_of_promises) is the proof")
    mount.chmod(0o711)
    return disk
