"""Real mail programs deliver to the running service and read from it, over TLS whose certificate they verify."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.postfix import Postfix, running_postfix
from tests.fakes.running_service import RunningService, message

pytestmark = [pytest.mark.peer, pytest.mark.slow]

ANN, JO, KIM, CLINIC = (f"{name}@willow.example" for name in ("ann.lee", "jo.ray", "kim.ode", "clinic"))
BURST = 200


def program(name: str, package: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not on this machine (Debian: apt-get install {package})")
    return found


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
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is now with us" in done.stdout
    assert "=== TLS started" in done.stdout
    assert subjects(service, "ann.lee").count("By swaks") == 1
    # With nobody to vouch for the certificate the same command refuses: it did verify.
    command[command.index(str(service.ca_file))] = "/etc/ssl/certs/none-such.pem"
    assert subprocess.run(command, capture_output=True, check=False, timeout=180).returncode != 0


@pytest.fixture
def postfix(service: RunningService) -> Iterator[Postfix]:
    settings = {
        "relayhost": f"[localhost]:{service.ports['smtp']}",
        "transport_maps": f"inline:{{ {CLINIC}=lmtp:inet:[localhost]:{service.ports['lmtp']} }}",
    }
    for by in ("smtp", "lmtp"):
        settings |= {
            f"{by}_host_lookup": "native",
            f"{by}_tls_security_level": "verify",
            f"{by}_tls_verify_cert_match": "hostname",
            f"{by}_tls_loglevel": "1",
        }
    with running_postfix("mail.local.example", settings, trusts=service.ca_file) as running:
        yield running


def test_postfix_delivers_by_smtp_and_by_lmtp_over_verified_tls(service: RunningService, postfix: Postfix) -> None:
    for by, recipient in (("SMTP", JO), ("LMTP", CLINIC)):
        raw = message(f"By Postfix, {by}").replace(b"\r\n", b"\n")
        postfix.send(raw, recipient, sender="pat@local.example")
    postfix.says("is now with us", times=2)
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
            [mbsync, "-c", str(config), "-a"], capture_output=True, text=True, check=False, timeout=180,
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
        [script, "-qec", f"{mutt} -F {config}", "/dev/null"], capture_output=True, check=False, timeout=180,
        env={**os.environ, "HOME": str(tmp_path), "TERM": "xterm"}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert b"A line that mutt shows" in (tmp_path / "saved").read_bytes()
