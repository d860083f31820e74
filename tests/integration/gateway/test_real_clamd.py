"""The real clamd, with one signature of our own: found, clean, too large, gone. R131."""

import asyncio
import getpass
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.fakes.gateway import checks, codes, examination, judged, letter, with_files

from carepost.gateway.facts import must_wait
from carepost.infra.clamd import Clamd, ClamdLimits, ScannerUnavailable, ScanStatus

CLAMD = shutil.which("clamd") or shutil.which("clamd", path="/usr/sbin:/usr/local/sbin")
pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(CLAMD is None, reason="clamd is not installed: apt-get install clamav-daemon"),
]
MARK = b"carepost-test-malware-4711"
STREAM_MAX = 2_000_000


@dataclass
class RunningClamd:
    process: subprocess.Popen[bytes]
    address: str


@pytest.fixture(scope="module")
def clamd() -> Iterator[RunningClamd]:
    folder = Path(tempfile.mkdtemp(prefix="cp-clamd-"))
    database, sock = folder / "db", folder / "clamd.sock"
    database.mkdir()
    (database / "own.ndb").write_text(f"Carepost.Test.Own:0:*:{MARK.hex()}\n")
    (folder / "clamd.conf").write_text(
        f"Foreground yes\nDatabaseDirectory {database}\nLocalSocket {sock}\nUser {getpass.getuser()}\n"
        f"StreamMaxLength {STREAM_MAX}\nTemporaryDirectory {folder}\nAlertEncrypted yes\nLogFile {folder}/log\n"
    )
    assert CLAMD is not None
    process = subprocess.Popen(
        [CLAMD, "--config-file", folder / "clamd.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(sock, process)
        yield RunningClamd(process, str(sock))
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(sock: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.skip("clamd does not start here")
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(sock))
            except OSError:
                time.sleep(0.1)
            else:
                return
    pytest.fail("clamd does not answer")


async def test_what_it_is_handed_in_memory_is_judged_like_a_stream(clamd: RunningClamd) -> None:
    client = Clamd(clamd.address, ClamdLimits(handed_max_bytes=STREAM_MAX // 2))
    for size in (0, 1, 1_000, STREAM_MAX // 2 - len(MARK), STREAM_MAX - len(MARK)):
        assert (await client.scan(bytes(size) + MARK)).name.startswith("Carepost.Test.Own"), size
        assert (await client.scan(bytes(size))).status is ScanStatus.CLEAN, size


async def test_what_it_knows_is_held_and_what_it_does_not_know_passes(clamd: RunningClamd) -> None:
    scanner = Clamd(clamd.address)
    bad, found = await judged(examination(with_files(("letter.txt", b"x" + MARK))), scanner=scanner)
    assert bad.gravest.decision.card == "malware"
    assert any("Carepost.Test.Own" in finding.says for finding in found)
    good, found = await judged(examination(letter()), scanner=scanner)
    assert good.gravest.decision.card == "from-outside"
    assert "no-scanner" not in codes(found)


async def test_what_is_hidden_from_its_reading_is_shown_to_it_in_ours(clamd: RunningClamd) -> None:
    """Two encodings named, the true one second: whichever it believes, it gets the file."""
    raw = with_files(("letter.txt", b"x" * 200 + MARK)).replace(
        b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64"
    )
    ruling, _ = await judged(examination(raw), scanner=Clamd(clamd.address))
    assert ruling.gravest.decision.card == "malware"


async def test_more_than_it_takes_is_held(clamd: RunningClamd) -> None:
    scanner = Clamd(clamd.address)
    assert (await scanner.scan(bytes(STREAM_MAX * 2))).status is ScanStatus.TOO_LARGE
    ruling, _ = await judged(examination(letter("word " * (STREAM_MAX // 4))), scanner=scanner)
    assert ruling.gravest.decision.card == "not-scanned"


async def test_many_at_once_all_get_their_answer(clamd: RunningClamd) -> None:
    scanner = Clamd(clamd.address, ClamdLimits(at_once=4))
    answers = await asyncio.gather(*(scanner.scan(b"hello" + (MARK if n % 2 else b"")) for n in range(40)))
    assert [answer.status is ScanStatus.FOUND for answer in answers] == [bool(n % 2) for n in range(40)]


async def test_it_says_how_old_its_signatures_are(clamd: RunningClamd) -> None:
    assert (await Clamd(clamd.address).version()).startswith("ClamAV ")


async def test_a_stopped_scanner_means_try_later(clamd: RunningClamd) -> None:
    """A frozen clamd accepts the connection and says nothing: it must not be taken for a yes."""
    import signal

    scanner = Clamd(clamd.address, ClamdLimits(connect_seconds=0.5, scan_seconds=0.5))  # meant to run out
    clamd.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(ScannerUnavailable):
            await scanner.scan(b"hello")
        _, found = await judged(examination(letter()), among=checks(scanner=scanner))
        assert must_wait(found) is not None
    finally:
        clamd.process.send_signal(signal.SIGCONT)
    assert (await Clamd(clamd.address).scan(b"hello")).status is ScanStatus.CLEAN
