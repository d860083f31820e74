"""A private clamd with local signatures only: EICAR, 100,000 hashes and 20,000 body patterns. Nothing is downloaded."""

import os
import pwd
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXTRA = ""
HASHES, PATTERNS = 100_000, 20_000
# The test file's first octets in hexadecimal, as signatures are written; the file itself must not stand here.
_EICAR = (b"X5O!P%@AP[4\\PZX54(P^)7CC)7}" + b"$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!" + b"$H+H*").hex()


@contextmanager
def clamd(folder: Path) -> Iterator[tuple[Path, int]]:
    """(its socket, process number)."""
    program = shutil.which("clamd") or shutil.which("clamd", path="/usr/sbin")
    if program is None:
        raise RuntimeError("clamd is not installed: apt-get install clamav-daemon")
    signatures = folder / "signatures"
    signatures.mkdir(parents=True)
    chance = random.Random(11)
    (signatures / "eicar.ndb").write_text(f"Eicar-Test-Signature:0:0:{_EICAR}\n")
    half = HASHES // 2
    (signatures / "bench.hdb").write_text(
        "".join(f"{chance.getrandbits(128):032x}:{chance.randint(2_000, 2_000_000)}:Bench.M{n}\n" for n in range(half))
    )
    (signatures / "bench.hsb").write_text(
        "".join(f"{chance.getrandbits(256):064x}:{chance.randint(2_000, 2_000_000)}:Bench.S{n}\n" for n in range(half))
    )
    (signatures / "bench.ndb").write_text(
        "".join(f"Bench.B{n}:0:*:{chance.randbytes(chance.randint(24, 60)).hex()}\n" for n in range(PATTERNS))
    )
    # As docs/howto/run-for-real.md asks: what clamd unpacks is mail in clear and belongs in memory.
    unpacking = Path(
        tempfile.mkdtemp(prefix="carepost-bench-clamd-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    )
    socket = folder / "clamd.ctl"
    user = "clamav" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    config = folder / "clamd.conf"
    # What Debian's own file says where that differs from clamd's defaults; the peers' clamd has the same.
    config.write_text(
        f"Foreground yes\nDatabaseDirectory {signatures}\nLocalSocket {socket}\nTemporaryDirectory {unpacking}\nUser {user}\n"
        f"LogFile {folder}/clamd.log\nMaxThreads 12\nMaxConnectionQueueLength 15\nReadTimeout 180\n"
        "StreamMaxLength 100M\nSelfCheck 3600\n" + EXTRA
    )
    if os.geteuid() == 0:
        for path in (folder, signatures, unpacking, config, *signatures.iterdir()):
            shutil.chown(path, user)
    process = subprocess.Popen(
        [program, "-c", str(config)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 180
        while not socket.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"clamd did not start; see {folder}/clamd.log")
            time.sleep(0.1)
        yield socket, process.pid
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(unpacking, ignore_errors=True)
