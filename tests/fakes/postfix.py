"""A whole Postfix of a test's own, with its queue, its log and nothing of the machine's: the world's most usual sender.

with running_postfix("out.example", {"relayhost": "[127.0.0.1]:2525"}) as postfix: ...
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_PROGRAMS = Path("/usr/lib/postfix/sbin")

_MAIN = """
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
maillog_file = {home}/log
maillog_file_prefixes = {home}
alias_maps =
alias_database =
notify_classes =
"""

_MASTER = """
pickup   unix      n - n 60    1 pickup
cleanup  unix      n - n -     0 cleanup
qmgr     unix      n - n 300   1 qmgr
tlsmgr   unix      - - n 1000? 1 tlsmgr
rewrite  unix      - - n -     - trivial-rewrite
bounce   unix      - - n -     0 bounce
defer    unix      - - n -     0 bounce
trace    unix      - - n -     0 bounce
flush    unix      n - n 1000? 0 flush
proxymap unix      - - n -     - proxymap
smtp     unix      - - n -     - smtp
lmtp     unix      - - n -     - lmtp
retry    unix      - - n -     - error
error    unix      - - n -     - error
scache   unix      - - n -     1 scache
postlog  unix-dgram n - n -    1 postlogd
"""


@dataclass(frozen=True, slots=True)
class Postfix:
    """It runs. Every method waits; from a loop, call it in a thread."""

    home: Path

    @property
    def pid(self) -> int:
        return int((self.home / "queue/pid/master.pid").read_text())

    def send(self, raw: bytes, *recipients: str, sender: str, options: tuple[str, ...] = ()) -> None:
        """Give it a message as a local program would; it delivers when it likes."""
        etc = str(self.home / "etc")
        _run("/usr/sbin/sendmail", "-C", etc, "-f", sender, "-i", *options, *recipients, text=raw)

    def flush(self) -> None:
        """Try everything that waits, now."""
        _run("/usr/sbin/postqueue", "-c", str(self.home / "etc"), "-f")

    def says(self, words: str, *, times: int = 1, seconds: float = 180) -> None:
        """Wait until its log says so, so often. Raises AssertionError with the log."""
        deadline = time.monotonic() + seconds
        while self.log.count(words) < times:
            assert time.monotonic() < deadline, f"Postfix did not say {words!r}:\n{self.log}"
            time.sleep(0.05)

    @property
    def log(self) -> str:
        path = self.home / "log"
        return path.read_text("utf-8", "replace") if path.exists() else ""


@contextmanager
def running_postfix(
    hostname: str, settings: Mapping[str, str], *, trusts: Path | None = None, listen: int | None = None
) -> Iterator[Postfix]:
    """Started, and stopped at the end. `settings` are main.cf's; `trusts`: a file of authorities it verifies by.

    It takes mail by SMTP on the port `listen` of this machine, when given.

    Skips the test, saying why, where there is no Postfix or we may not start it.
    """
    if not (_PROGRAMS / "master").exists():
        pytest.skip("Postfix is not on this machine (Debian: apt-get install postfix)")
    if os.geteuid() != 0:
        pytest.skip("Postfix starts as root only")
    # Not pytest's own folder: Postfix's user may not enter that one.
    home = Path(tempfile.mkdtemp(prefix="cp-postfix-"))
    home.chmod(0o755)
    for name in ("etc", "queue", "data"):
        (home / name).mkdir()
    os.chown(home / "data", pwd.getpwnam("postfix").pw_uid, -1)
    given = {"myhostname": hostname, **settings}
    if trusts is not None:
        Path(shutil.copy(trusts, home / "ca.pem")).chmod(0o644)
        given |= {"smtp_tls_CAfile": f"{home}/ca.pem", "lmtp_tls_CAfile": f"{home}/ca.pem"}
    lines = "".join(f"{name} = {value}\n" for name, value in given.items())
    (home / "etc/main.cf").write_text(_MAIN.format(home=home) + lines)
    door = f"127.0.0.1:{listen} inet n - n - - smtpd\n" if listen is not None else ""
    (home / "etc/master.cf").write_text(_MASTER + door)
    try:
        _run("/usr/sbin/postfix", "-c", str(home / "etc"), "start")
        yield Postfix(home)
    finally:
        _run("/usr/sbin/postfix", "-c", str(home / "etc"), "stop", must=False)
        shutil.rmtree(home, ignore_errors=True)


def _run(command: str, *options: str, text: bytes = b"", must: bool = True) -> None:
    done = subprocess.run([command, *options], input=text, capture_output=True, check=False, timeout=180)
    assert done.returncode == 0 or not must, done.stderr.decode("utf-8", "replace")
