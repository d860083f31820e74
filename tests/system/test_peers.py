"""Real mail programs deliver to the running service and read from it, over TLS whose certificate they verify."""

import os
import pwd
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.fakes.running_service import RunningService, message, short_home

pytestmark = [pytest.mark.peer, pytest.mark.slow]

ANN, JO, KIM, CLINIC = (f"{name}@willow.example" for name in ("ann.lee", "jo.ray", "kim.ode", "clinic"))
BURST = 200

MAIN = """
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.local.example
mydestination =
relayhost = [localhost]:{smtp}
transport_maps = inline:{{ {clinic}=lmtp:inet:[localhost]:{lmtp} }}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtp_host_lookup = native
lmtp_host_lookup = native
smtp_tls_security_level = verify
smtp_tls_verify_cert_match = hostname
smtp_tls_CAfile = {ca}
smtp_tls_loglevel = 1
lmtp_tls_security_level = verify
lmtp_tls_verify_cert_match = hostname
lmtp_tls_CAfile = {ca}
lmtp_tls_loglevel = 1
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
lmtp     unix      - - n -     - lmtp
retry    unix      - - n -     - error
error    unix      - - n -     - error
scache   unix      - - n -     1 scache
postlog  unix-dgram n - n -    1 postlogd
"""


def program(name: str, package: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not on this machine (Debian: apt-get install {package})")
    return found


def await_true(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


def subjects(service: RunningService, name: str, folder: str = "INBOX") -> list[str]:
    return [
        match.group(1).decode().strip()
        for raw in service.read(name, folder=folder)
        if (match := re.search(rb"^Subject: (.*)$", raw, re.MULTILINE))
    ]


def test_swaks_delivers_over_starttls_with_our_certificate_verified(service: RunningService) -> None:
    swaks = program("swaks", "swaks")
    command = [
        *(swaks, "--server", "localhost", "--port", str(service.ports["smtp"]), "--ehlo", "mail.local.example"),
        *("--from", "pat@local.example", "--to", ANN, "--tls", "--tls-verify", "--tls-ca-path", str(service.ca_file)),
        *("--header", "Subject: By swaks", "--body", "Hello from swaks"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is now with us" in done.stdout
    assert "=== TLS started" in done.stdout
    assert subjects(service, "ann.lee").count("By swaks") == 1
    # With nobody to vouch for the certificate the same command refuses: it did verify.
    command[command.index(str(service.ca_file))] = "/etc/ssl/certs/none-such.pem"
    assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode != 0


class Postfix:
    """A whole private Postfix, high up in a folder of its own."""

    def __init__(self, home: Path, service: RunningService) -> None:
        self.home = home
        for name in ("etc", "queue", "data"):
            (home / name).mkdir()
        os.chown(home / "data", pwd.getpwnam("postfix").pw_uid, -1)
        ca = shutil.copy(service.ca_file, home / "ca.pem")
        Path(ca).chmod(0o644)
        ports = {"smtp": service.ports["smtp"], "lmtp": service.ports["lmtp"]}
        (home / "etc/main.cf").write_text(MAIN.format(home=home, clinic=CLINIC, ca=ca, **ports))
        (home / "etc/master.cf").write_text(MASTER)

    def run(self, command: str, *options: str, text: bytes = b"") -> None:
        done = subprocess.run([command, *options], input=text, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr

    def send(self, raw: bytes, *recipients: str) -> None:
        etc = str(self.home / "etc")
        self.run("/usr/sbin/sendmail", "-C", etc, "-f", "pat@local.example", "-i", *recipients, text=raw)

    @property
    def log(self) -> str:
        path = self.home / "log"
        return path.read_text("utf-8", "replace") if path.exists() else ""


@pytest.fixture
def postfix(service: RunningService) -> Iterator[Postfix]:
    if not Path("/usr/lib/postfix/sbin/master").exists():
        pytest.skip("Postfix is not on this machine (Debian: apt-get install postfix)")
    if os.geteuid() != 0:
        pytest.skip("Postfix starts as root only")
    home = short_home()
    home.chmod(0o755)
    running = Postfix(home, service)
    running.run("/usr/sbin/postfix", "-c", str(home / "etc"), "start")
    try:
        yield running
    finally:
        running.run("/usr/sbin/postfix", "-c", str(home / "etc"), "stop")
        shutil.rmtree(home, ignore_errors=True)


def test_postfix_delivers_by_smtp_and_by_lmtp_over_verified_tls(service: RunningService, postfix: Postfix) -> None:
    postfix.send(message("By Postfix, SMTP").replace(b"\r\n", b"\n"), JO)
    postfix.send(message("By Postfix, LMTP").replace(b"\r\n", b"\n"), CLINIC)
    await_true(lambda: postfix.log.count("is now with us") == 2)
    assert postfix.log.count("Verified TLS connection established to localhost") == 2
    assert "postfix/lmtp" in postfix.log
    assert subjects(service, "jo.ray").count("By Postfix, SMTP") == 1
    assert subjects(service, "ann.lee", '"Shared/clinic@willow.example/INBOX"').count("By Postfix, LMTP") == 1


def test_a_burst_of_smtp_source_arrives_whole(service: RunningService) -> None:
    source = program("smtp-source", "postfix")
    began = time.monotonic()
    done = subprocess.run(
        [
            *(source, "-s", "5", "-m", str(BURST), "-l", "4000", "-M", "mail.local.example"),
            *("-f", "pat@local.example", "-t", KIM, f"127.0.0.1:{service.ports['smtp']}"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    with service.imap("kim.ode") as client:
        (everything,) = client.uid("SEARCH", "ALL")[1]
    print(f"{len(everything.split())} of {BURST} in {took:.1f} s: {BURST / took:.0f} a second")
    assert len(everything.split()) == BURST


MBSYNC = """
IMAPAccount here
Host localhost
Port {port}
User {user}
Pass {password}
SSLType IMAPS
CertificateFile {authority}

IMAPStore far
Account here

MaildirStore near
Path {maildir}/
Inbox {maildir}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
"""


def test_mbsync_takes_every_folder_over_verified_tls_and_finds_nothing_more_to_do(
    service: RunningService, tmp_path: Path
) -> None:
    mbsync = program("mbsync", "isync")
    account = service.accounts["lou.fry"]
    sent = [message(f"For mbsync {number}", f"Line {number}") for number in range(10)]
    for raw in sent:
        service.deliver(raw, account.address)
    maildir = tmp_path / "mail"
    maildir.mkdir()
    config = tmp_path / "mbsyncrc"
    config.write_text(
        MBSYNC.format(
            port=service.ports["imaps"],
            user=account.address,
            password=account.app_password,
            authority=service.ca_file,
            maildir=maildir,
        )
    )

    def sync() -> list[bytes]:
        done = subprocess.run(
            [mbsync, "-c", str(config), "-a"], capture_output=True, text=True, check=False, timeout=120,
            env={**os.environ, "HOME": str(tmp_path)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return sorted(path.read_bytes() for path in maildir.glob("INBOX/*/*"))

    first = sync()
    assert len(first) == 10
    far = sorted(raw.replace(b"\r\n", b"\n") for raw in service.read("lou.fry"))
    assert [re.sub(rb"X-TUID: .*\n", b"", raw.replace(b"\r\n", b"\n")) for raw in first] == far
    assert all(any(raw.endswith(one.replace(b"\r\n", b"\n")) for raw in far) for one in sent)
    assert {"Sent", "Drafts", "Archive"} <= {path.name for path in maildir.iterdir()}
    assert sync() == first


def test_mutt_reads_over_verified_tls(service: RunningService, tmp_path: Path) -> None:
    mutt, script = program("mutt", "mutt"), program("script", "bsdutils")
    account = service.accounts["jo.ray"]
    service.deliver(message("For mutt", "A line that mutt shows"), account.address)
    config = tmp_path / "muttrc"
    # Saved to a file by mutt itself: what it shows on a terminal is hard to read for a test.
    config.write_text(
        f"""
set ssl_ca_certificates_file="{service.ca_file}" ssl_verify_host=yes ssl_usesystemcerts=no
set imap_user="{account.address}" imap_pass="{account.app_password}"
set folder="imaps://localhost:{service.ports["imaps"]}/" spoolfile="+INBOX"
set header_cache="" message_cachedir="" sleep_time=0 quit=yes move=no confirmappend=no confirmcreate=no mark_old=no
set beep=no wait_key=no mbox_type=mbox
push "<tag-pattern>~s 'For mutt'<enter><tag-prefix><copy-message>{tmp_path}/saved<enter><quit>"
"""
    )
    done = subprocess.run(
        [script, "-qec", f"{mutt} -F {config}", "/dev/null"], capture_output=True, check=False, timeout=60,
        env={**os.environ, "HOME": str(tmp_path), "TERM": "xterm"}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert b"A line that mutt shows" in (tmp_path / "saved").read_bytes()
