"""Signed zones on loopback: nsd answers for them, unbound validates them, both private to the test that starts them.

`SignedZones.start` writes and signs the zones, and starts both. Names of hosts lead to 127.0.0.1.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import pytest
from tests.fakes.ports import free_ports, worker

# Where programs that know no other port than 53 find the validator; each worker of the tests has its own.
FINGER_ADDRESS = f"127.0.1.{53 + worker()}"
PROGRAMS = ("nsd", "unbound", "ldns-keygen", "ldns-signzone")
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def program(name: str) -> str:
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.skip(f"{name} is not on this machine (apt-get install nsd unbound ldnsutils)")
    return found


@dataclass
class SignedZones:
    folder: Path
    signed: Mapping[str, Sequence[str]]  # zone: its records, in zone-file form, names relative
    plain: Mapping[str, Sequence[str]]  # the same, not signed
    spoilt: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # signed zone: text that is changed afterwards
    port: int = 0
    listens_on_53: bool = False
    _running: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @contextlib.contextmanager
    def started(self) -> Iterator["SignedZones"]:
        for one in PROGRAMS:
            program(one)
        self.folder.chmod(0o755)
        anchors = [self._sign(zone, records) for zone, records in self.signed.items()]
        for zone, records in self.plain.items():
            (self.folder / f"{zone}.zone").write_text(_zone(zone, records))
        (self.folder / "anchors").write_text("".join(anchors))
        authority, self.port = free_ports(2)
        self.listens_on_53 = os.geteuid() == 0 and _is_free_53()
        try:
            self._start("nsd", "-d", "-c", str(self._nsd(authority)))
            self._start("unbound", "-d", "-c", str(self._unbound(authority)))
            self._wait()
            yield self
        finally:
            for process in self._running:
                process.terminate()
            for process in self._running:
                process.wait(180)

    def _sign(self, zone: str, records: Sequence[str]) -> str:
        path = self.folder / f"{zone}.plain"
        path.write_text(_zone(zone, records))
        made = subprocess.run(
            [program("ldns-keygen"), "-a", "ECDSAP256SHA256", "-k", zone],
            cwd=self.folder, check=True, capture_output=True, text=True, timeout=180,
        )  # fmt: skip
        key = made.stdout.strip()
        signed = self.folder / f"{zone}.zone"
        subprocess.run(
            [program("ldns-signzone"), "-n", "-f", str(signed), str(path), key],
            cwd=self.folder, check=True, capture_output=True, timeout=180,
        )  # fmt: skip
        if zone in self.spoilt:
            text, was = signed.read_text(), self.spoilt[zone]
            assert was[0] in text
            signed.write_text(text.replace(*was))
        return (self.folder / f"{key}.key").read_text()

    def _start(self, name: str, *options: str) -> None:
        log = (self.folder / f"{name}.out").open("wb")
        with log:
            self._running.append(subprocess.Popen([program(name), *options], stdout=log, stderr=log))

    def _nsd(self, port: int) -> Path:
        zones = "".join(
            f'zone:\n  name: "{zone}"\n  zonefile: "{self.folder}/{zone}.zone"\n'
            for zone in [*self.signed, *self.plain]
        )
        user = 'username: ""' if os.geteuid() else "username: root"
        path = self.folder / "nsd.conf"
        path.write_text(
            f'server:\n  ip-address: 127.0.0.1@{port}\n  {user}\n  database: ""\n  zonesdir: "{self.folder}"\n'
            f'  pidfile: "{self.folder}/nsd.pid"\n  zonelistfile: "{self.folder}/zone.list"\n'
            f'  xfrdfile: "{self.folder}/xfrd.state"\n  xfrdir: "{self.folder}"\n  server-count: 1\n'
            f"remote-control:\n  control-enable: no\n{zones}"
        )
        return path

    def _unbound(self, authority: int) -> Path:
        stubs = "".join(
            f'stub-zone:\n  name: "{zone}"\n  stub-addr: 127.0.0.1@{authority}\n'
            for zone in [*self.signed, *self.plain]
        )
        insecure = "".join(f'  domain-insecure: "{zone}"\n' for zone in self.plain)
        on_53 = f"  interface: {FINGER_ADDRESS}@53\n" if self.listens_on_53 else ""
        path = self.folder / "unbound.conf"
        path.write_text(
            f'server:\n  interface: 127.0.0.1@{self.port}\n{on_53}  username: ""\n  chroot: ""\n  directory: "{self.folder}"\n'
            f'  pidfile: ""\n  use-syslog: no\n  do-not-query-localhost: no\n  do-ip6: no\n  num-threads: 1\n'
            f'  module-config: "validator iterator"\n  trust-anchor-file: "{self.folder}/anchors"\n{insecure}'
            '  local-zone: "test." nodefault\n  access-control: 127.0.0.0/8 allow\n  qname-minimisation: no\n'
            f"{stubs}"
            # Nobody else is asked, and at once: these tests leave the world alone.
            f'forward-zone:\n  name: "."\n  forward-addr: 127.0.0.1@{authority}\n'
        )
        return path

    def _wait(self) -> None:
        """Until the validator answers for a signed zone."""
        zone = next(iter(self.signed))
        end = time.monotonic() + 120
        while True:
            if any(process.poll() is not None for process in self._running):
                raise AssertionError("\n".join(one.read_text("utf-8", "replace") for one in self.folder.glob("*.out")))
            with contextlib.suppress(OSError, dns.exception.DNSException):
                asked = dns.message.make_query(zone, "SOA", want_dnssec=True)
                reply = dns.query.udp(
                    asked, "127.0.0.1", port=self.port, timeout=5
                )  # meant to run out, and asked again
                if reply.answer and reply.flags & dns.flags.AD:
                    return
            assert time.monotonic() < end, (self.folder / "unbound.out").read_text("utf-8", "replace")
            time.sleep(0.05)


def _zone(zone: str, records: Sequence[str]) -> str:
    head = f"$ORIGIN {zone}.\n$TTL 300\n@ IN SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 60\n@ IN NS ns\nns IN A 127.0.0.1\n"
    return head + "\n".join(records) + "\n"


def _is_free_53() -> bool:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((FINGER_ADDRESS, 53))
        except OSError:
            return False
    return True
