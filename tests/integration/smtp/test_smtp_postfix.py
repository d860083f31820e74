"""A whole Postfix, with its queue, delivers to us over TLS: what most of the world's mail systems will do."""

import asyncio
import os
import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.fakes.smtp_world import SmtpWorld, server_context, world

pytestmark = pytest.mark.peer

MAIN = """
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = out.example
mydestination =
relayhost = [127.0.0.1]:{port}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtp_tls_security_level = may
maillog_file = {home}/log
maillog_file_prefixes = {home}
alias_maps =
alias_database =
notify_classes =
"""

MASTER = """
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
retry    unix      - - n -     - error
error    unix      - - n -     - error
scache   unix      - - n -     1 scache
postlog  unix-dgram n - n -    1 postlogd
"""


@dataclass
class Postfix:
    etc: Path
    log: Path

    async def run(self, program: str, *options: str, text: bytes = b"") -> None:
        child = await asyncio.create_subprocess_exec(program, *options, stdin=asyncio.subprocess.PIPE)
        async with asyncio.timeout(30):
            await child.communicate(text)
        assert child.returncode == 0

    async def send(self, text: bytes, *options: str) -> None:
        await self.run("/usr/sbin/sendmail", "-C", str(self.etc), "-f", "ann@out.example", "-i", *options, text=text)

    async def says(self, word: str) -> None:
        """Wait until its log says so."""
        async with asyncio.timeout(30):
            while not (self.log.exists() and word in self.log.read_text()):
                await asyncio.sleep(0.05)


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[SmtpWorld]:
    async with world(tmp_path, tls=server_context(tmp_path), exempt=["127.0.0.0/8"]) as made:
        yield made


@pytest.fixture
async def postfix(here: SmtpWorld) -> AsyncIterator[Postfix]:
    if not Path("/usr/lib/postfix/sbin/master").exists():
        pytest.skip("Postfix is not on this machine (Debian: apt-get install postfix)")
    if os.geteuid() != 0:
        pytest.skip("Postfix starts as root only")
    # Not pytest's own folder: Postfix's user may not enter that one.
    home = Path(tempfile.mkdtemp(prefix="carepost-postfix-"))
    home.chmod(0o755)
    for name in ("etc", "queue", "data"):
        (home / name).mkdir()
    os.chown(home / "data", pwd.getpwnam("postfix").pw_uid, -1)
    (home / "etc/main.cf").write_text(MAIN.format(home=home, port=here.address[1]))
    (home / "etc/master.cf").write_text(MASTER)
    running = Postfix(home / "etc", home / "log")
    await running.run("/usr/sbin/postfix", "-c", str(running.etc), "start")
    try:
        yield running
    finally:
        await running.run("/usr/sbin/postfix", "-c", str(running.etc), "stop")
        shutil.rmtree(home, ignore_errors=True)


async def test_postfix_delivers_over_tls_and_hears_our_trace(here: SmtpWorld, postfix: Postfix) -> None:
    text = b"Subject: Clinic\n\n.dot\n..two\n"
    await postfix.send(text, "-N", "failure,success", "-V", "ENV1", "jo@care.example", "ann@care.example")
    await postfix.says("is now with us")
    [(connection, envelope, raw)] = here.inbound.received
    assert connection.tls is not None
    assert (connection.hello, envelope.envid, len(envelope.recipients)) == ("out.example", "ENV1", 2)
    assert {one.original for one in envelope.recipients} == {"rfc822;jo@care.example", "rfc822;ann@care.example"}
    assert all(one.notify == {"FAILURE", "SUCCESS"} for one in envelope.recipients)
    assert raw.endswith(b"\r\n\r\n.dot\r\n..two\r\n")
    await postfix.says(f"250 2.0.0 {envelope.trace} is now with us")


async def test_postfix_tells_its_own_sender_of_an_unknown_recipient(here: SmtpWorld, postfix: Postfix) -> None:
    await postfix.send(b"Subject: x\n\nx\n", "nobody@care.example")
    await postfix.says("status=bounced (host 127.0.0.1[127.0.0.1] said: 550 5.1.1")
    assert here.inbound.received == []


async def test_postfix_keeps_a_message_while_our_database_is_dead(here: SmtpWorld, postfix: Postfix) -> None:
    here.inbound.fails = RuntimeError("no database")
    await postfix.send(b"Subject: later\n\nx\n", "jo@care.example")
    await postfix.says("status=deferred (host 127.0.0.1[127.0.0.1] said: 451 4.3.0")
    here.inbound.fails = None
    await postfix.run("/usr/sbin/postqueue", "-c", str(postfix.etc), "-f")
    await postfix.says("is now with us")
    assert b"Subject: later" in here.inbound.messages[0]
