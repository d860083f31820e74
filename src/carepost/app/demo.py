"""`carepost demo`: the whole service on this machine, with the sample world in it.

Promises
    Nothing leaves this machine: every port is on the loopback address, and DNS is a table.
    Found again at the next start: the same people, passwords, codes and mail. --reset begins anew.
    The ready file is written when everything answers; it is gone while something does not.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

from carepost.app.areas import open_areas
from carepost.app.demo_seed import NEWCOMER, furnish, mark_older_mail_read
from carepost.app.serve import Service
from carepost.app.storage import Dsns, embedded
from carepost.base.clock import SystemClock
from carepost.infra.settings import Settings, describe, load
from carepost.infra.tls import DemoAuthority
from carepost.ops.demo.letters import letters
from carepost.ops.demo.outside_process import start_outside
from carepost.ops.demo.posting import post
from carepost.ops.demo.zone import zone_toml

HOSTNAME = "mail.carepost.example"
OFFSETS: Mapping[str, int] = {
    "smtp": 25,
    "submissions": 465,
    "submission": 587,
    "imap": 143,
    "imaps": 993,
    "web": 80,
    "portal": 81,
    "content": 82,
    "outside": 83,
}
ANSWERING = ("smtp", "submissions", "submission", "imap", "imaps", "web", "portal", "content", "outside")
_METRICS_OFFSET = 90
# Where the mail hosts of the sample world's other domains listen: all mail that goes out is led there.
_OUTSIDE_SMTP_OFFSET = 26
_WAIT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Demo:
    port_base: int
    data: Path
    ready_file: Path | None

    @property
    def ports(self) -> dict[str, int]:
        return {name: self.port_base + offset for name, offset in OFFSETS.items()}

    @property
    def outside_smtp(self) -> int:
        return self.port_base + _OUTSIDE_SMTP_OFFSET

    @property
    def ca_file(self) -> Path:
        return self.data / "tls" / "demo-ca.pem"

    @property
    def world_file(self) -> Path:
        return self.data / "world.json"

    def settings(self) -> Settings:
        """The settings of the demo: everything on the loopback address, names from a table."""
        at = {name: f'["127.0.0.1:{port}"]' for name, port in self.ports.items()}
        return load(
            None,
            {
                "CAREPOST__SERVICE__DATA": str(self.data),
                "CAREPOST__SERVICE__HOSTNAME": HOSTNAME,
                "CAREPOST__SMTP__LISTEN": at["smtp"],
                "CAREPOST__SMTP__TRUSTED_XCLIENT": '["127.0.0.0/8"]',
                "CAREPOST__SMTP__CERTIFICATE_FILE": "tls/demo.pem",
                "CAREPOST__SMTP__KEY_FILE": "tls/demo.key",
                "CAREPOST__SUBMISSION__LISTEN": at["submission"],
                "CAREPOST__SUBMISSION__LISTEN_TLS": at["submissions"],
                "CAREPOST__IMAP__LISTEN": at["imap"],
                "CAREPOST__IMAP__LISTEN_TLS": at["imaps"],
                "CAREPOST__WEB__LISTEN": at["web"],
                "CAREPOST__WEB__CONTENT_LISTEN": at["content"],
                "CAREPOST__WEB__URL": f"http://localhost:{self.ports['web']}",
                "CAREPOST__WEB__CONTENT_URL": f"http://localhost:{self.ports['content']}",
                "CAREPOST__PORTAL__LISTEN": at["portal"],
                "CAREPOST__PORTAL__URL": f"http://localhost:{self.ports['portal']}",
                "CAREPOST__PORTAL__TEXTS_FILE": "texts.txt",
                "CAREPOST__GATEWAY__DNS_ZONE": "zone.toml",
                # All mail that goes out ends at the sample world's own mail hosts (ops/demo/outside.py).
                "CAREPOST__TRANSPORT__CONNECT_TO": f"127.0.0.1:{self.outside_smtp}",
                "CAREPOST__TRANSPORT__AUTHORITIES_FILE": "tls/demo-ca.pem",
                "CAREPOST__OBSERVE__LISTEN": f'["127.0.0.1:{self.port_base + _METRICS_OFFSET}"]',
                "CAREPOST__OBSERVE__LOG_LEVEL": '"warning"',
                "CAREPOST__LIMITS__DISK_FREE_MB": "100",
            },
        )


def run_demo(port_base: int, data: Path, *, reset: bool, ready_file: Path | None) -> int:
    """Run until Ctrl-C; the exit code."""
    demo = Demo(port_base, data.absolute(), ready_file.absolute() if ready_file else None)
    if demo.ready_file is not None:
        demo.ready_file.unlink(missing_ok=True)
    _clear(demo, reset=reset)
    _prepare_files(demo)
    outside = start_outside(
        DemoAuthority(demo.ca_file.parent), smtp_port=demo.outside_smtp, page_port=demo.ports["outside"]
    )
    service = Service(demo.settings(), progress=_tell, workers_started=lambda dsns: _announce(demo, dsns))
    try:
        return service.run()
    finally:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(outside, signal.SIGTERM)
            os.waitpid(outside, 0)
        if demo.ready_file is not None:
            demo.ready_file.unlink(missing_ok=True)
        sys.stdout.write("\nStopped. The sample world is kept; start again to find it as it was.\n")


def _clear(demo: Demo, *, reset: bool) -> None:
    """Begin anew when asked to, or when an earlier start did not get as far as a whole world."""
    if not demo.data.exists():
        return
    if any(demo.data.iterdir()) and not (demo.data / "zone.toml").exists():
        raise SystemExit(f"carepost: {demo.data} is not a demo's folder. Choose another with --data.")
    if reset or not demo.world_file.exists():
        # As root the database may lie elsewhere: the folder alone is not all of it.
        embedded(demo.settings()).erase()
        shutil.rmtree(demo.data)


def _prepare_files(demo: Demo) -> None:
    demo.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    (demo.data / "zone.toml").write_text(zone_toml(HOSTNAME), "utf-8")
    if not (demo.data / "tls" / "demo.pem").exists():
        names = [HOSTNAME, "localhost", "127.0.0.1", "::1"]
        DemoAuthority(demo.data / "tls").issue("demo", names, SystemClock().now())
    (demo.data / "carepost.toml").write_text(describe(demo.settings()), "utf-8")


def _announce(demo: Demo, dsns: Dsns) -> None:
    """In a child of its own, so that the parent goes on to start the workers: fill the world, then tell the visitor."""
    parent = os.getpid()
    child = os.fork()
    if child != 0:
        os.waitpid(child, 0)
        return
    if os.fork() != 0:
        os._exit(0)  # so that nobody has to wait for the one that does the work
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        _await_ports(demo)
        asyncio.run(_fill_world(demo, dsns))
        world = json.loads(demo.world_file.read_text("utf-8"))
        _show(demo, world)
        _write_ready_file(demo, world, parent)
        code = 0
    except Exception:  # noqa: BLE001 - the last line of a process: told, and turned into its exit code
        traceback.print_exc()
        sys.stderr.write("carepost: the sample world could not be made. Try again with --reset.\n")
        os.kill(parent, signal.SIGTERM)
    finally:
        sys.stdout.flush()
        os._exit(code)


async def _fill_world(demo: Demo, dsns: Dsns) -> None:
    if demo.world_file.exists():
        return
    async with open_areas(demo.settings(), dsns) as areas:
        _tell("Making four organisations, a dozen people and three shared mailboxes")
        world = await furnish(areas)
        sample = list(letters(areas.clock.now().astimezone(UTC)))
        _tell(f"Delivering {len(sample)} messages through port {demo.ports['smtp']}")
        posted = await asyncio.to_thread(
            post, sample, port=demo.ports["smtp"], ca_file=demo.ca_file, progress=_tell_progress
        )
        _tell(f"Delivered {posted.taken}; the gateway refused {posted.refused} at the door")
        await mark_older_mail_read(areas)
    fresh = demo.world_file.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(world, indent=1), "utf-8")
    fresh.rename(demo.world_file)


def _await_ports(demo: Demo) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    for name in ANSWERING:
        greeting = name in ("smtp", "imap")
        while not _answers(demo.ports[name], greeting=greeting):
            if time.monotonic() > deadline:
                raise TimeoutError(f"port {demo.ports[name]} ({name}) does not answer")
            time.sleep(0.05)


def _answers(port: int, *, greeting: bool) -> bool:
    """Whether a worker is there: the parent's socket alone would take the connection and stay silent."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        if not greeting:
            return True
        connection.settimeout(10)
        return bool(connection.recv(16))
    return False


def _write_ready_file(demo: Demo, world: Mapping[str, Any], parent: int) -> None:
    if demo.ready_file is None:
        return
    told = {
        "ports": demo.ports,
        "ca_file": str(demo.ca_file),
        "people": world["people"],
        "shared_mailboxes": world["shared_mailboxes"],
        "web_url": f"http://localhost:{demo.ports['web']}/",
        "outside": {
            "url": f"http://localhost:{demo.ports['outside']}/",
            "messages": f"http://localhost:{demo.ports['outside']}/messages.json",
            "smtp": demo.outside_smtp,
        },
        "data": str(demo.data),
        "pid": parent,
        "config": str(demo.data / "carepost.toml"),
        "newcomer": NEWCOMER,
    }
    fresh = demo.ready_file.with_name(demo.ready_file.name + ".new")
    fresh.parent.mkdir(parents=True, exist_ok=True)
    fresh.touch(mode=0o600)  # it holds passwords
    fresh.write_text(json.dumps(told, indent=1), "utf-8")
    fresh.rename(demo.ready_file)


def _show(demo: Demo, world: Mapping[str, Any]) -> None:
    ports = demo.ports
    lines = [
        "",
        f"  Read mail in a browser    http://localhost:{ports['web']}/",
        f"  Mail programs             IMAP localhost:{ports['imaps']} (TLS) or :{ports['imap']} (STARTTLS)",
        f"  … hand in what they send  SMTP localhost:{ports['submissions']} (TLS) or :{ports['submission']} (STARTTLS)",
        f"  Send mail to it           SMTP localhost:{ports['smtp']}",
        f"  See what leaves it        http://localhost:{ports['outside']}/",
        f"  Trust its certificates    {demo.ca_file}",
        f"  Look behind the scenes    carepost why|trace|quarantine|audit --config {demo.data / 'carepost.toml'}",
        "",
        f"  {'who':<20} {'address':<38} {'password':<28} {'code (TOTP secret)':<34} mail program password",
    ]
    lines += [
        f"  {one['name']:<20} {one['address']:<38} {one['password']:<28} {one['totp_secret']:<34} {one['app_password']}"
        for one in world["people"]
    ]
    lines += [
        "",
        "  A code now: .venv/bin/carepost password code SECRET, or any authenticator app. Press Ctrl-C to stop.",
        "",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _tell(text: str) -> None:
    sys.stdout.write(f"  {text} ...\n")
    sys.stdout.flush()


def _tell_progress(done: int, of: int) -> None:
    if done % 25 == 0 or done == of:
        _tell(f"  {done} of {of}")
