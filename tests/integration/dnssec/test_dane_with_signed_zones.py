"""DANE with real signed zones: nsd serves them, unbound validates them, and Postfix's own tool judges beside us."""

import asyncio
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.fakes.outside_mail import OutsideHost, Script, outside_mail, server_tls
from tests.fakes.ports import free_ports
from tests.fakes.sending_world import sending, strange_authority
from tests.fakes.signed_zones import FINGER_ADDRESS, PATH, SignedZones

from carepost.base.address import Domain
from carepost.delivery.model import Outcome, VerifiedBy
from carepost.delivery.tls_policy import DaneState
from carepost.infra.dns import DnsLimits, NetworkResolver

pytestmark = pytest.mark.peer

CASES = ("good", "rollover", "authority", "mismatch", "unusable", "none", "alias", "bogus", "insecure")
ZONE_OF = {"bogus": "bogus.test", "insecure": "plain.test"}


def domain_of(case: str) -> str:
    return ZONE_OF.get(case) or f"{case}.signed.test"


ISSUED = strange_authority().issue(*(f"mx.{domain_of(case)}" for case in CASES))
KEY = hashlib.sha256(ISSUED.public).hexdigest()
AUTHORITY = hashlib.sha256(strange_authority().issued.public).hexdigest()
OTHER = "00" * 32


@dataclass
class World:
    zones: SignedZones
    port: int


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    [port] = free_ports(1)
    records = {
        "good": [f"3 1 1 {KEY}"],
        "rollover": [f"3 1 1 {OTHER}", f"3 1 1 {KEY}"],
        "authority": [f"2 1 1 {AUTHORITY}"],
        "mismatch": [f"3 1 1 {OTHER}"],
        "unusable": [f"1 1 1 {KEY}", f"3 9 1 {KEY}"],
        "none": [],
    }
    signed = []
    for case, tlsa in records.items():
        signed += [f"{case} IN MX 10 mx.{case}", f"mx.{case} IN A 127.0.0.1"]
        signed += [f"_{port}._tcp.mx.{case} IN TLSA {one}" for one in tlsa]
    signed += ["alias IN MX 10 mx.alias", "mx.alias IN CNAME mx.good"]
    own = ["@ IN MX 10 mx", "mx IN A 127.0.0.1", f"_{port}._tcp.mx IN TLSA 3 1 1 {KEY}"]
    zones = SignedZones(
        tmp_path_factory.mktemp("zones"),
        signed={"signed.test": signed, "bogus.test": [*own, "spoilt IN TXT text"]},
        plain={"plain.test": own},
        spoilt={"bogus.test": (KEY, OTHER)},
    )
    with zones.started():
        yield World(zones, port)


@pytest.fixture
async def host(world: World, tmp_path: Path) -> AsyncIterator[OutsideHost]:
    async with outside_mail(Script(tls=server_tls(ISSUED, tmp_path, "mx")), port=world.port) as host:
        yield host


def resolver(world: World, *, trusted: bool = True) -> NetworkResolver:
    limits = DnsLimits(try_seconds=20, question_seconds=60)
    return NetworkResolver(nameservers=["127.0.0.1"], port=world.zones.port, trusted=trusted, limits=limits)


EXPECTED = {
    "good": (DaneState.USABLE, Outcome.DELIVERED, VerifiedBy.DANE_EE),
    "rollover": (DaneState.USABLE, Outcome.DELIVERED, VerifiedBy.DANE_EE),
    "authority": (DaneState.USABLE, Outcome.DELIVERED, VerifiedBy.DANE_TA),
    "alias": (DaneState.USABLE, Outcome.DELIVERED, VerifiedBy.DANE_EE),
    "mismatch": (DaneState.USABLE, Outcome.LATER, None),
    "bogus": (DaneState.TROUBLE, Outcome.LATER, None),
    "unusable": (DaneState.UNUSABLE, Outcome.DELIVERED, VerifiedBy.NOTHING),
    "none": (DaneState.NONE, Outcome.DELIVERED, VerifiedBy.NOTHING),
    "insecure": (DaneState.NONE, Outcome.DELIVERED, VerifiedBy.NOTHING),
}


@pytest.mark.parametrize("case", CASES)
async def test_signed_records_decide(world: World, host: OutsideHost, tmp_path: Path, case: str) -> None:
    state, outcome, verified_by = EXPECTED[case]
    sender = sending(host, resolver=resolver(world), tmp_path=tmp_path)
    domain = Domain(domain_of(case))
    assert (await sender.transport.proofs.of(domain)).dane is state
    result = await sender.send(f"jo@{domain}", domain=domain)
    assert result.results[0].outcome is outcome
    assert (result.evidence.verified_by if result.evidence else None) is verified_by
    assert result.results[0].tls_missing is (outcome is Outcome.LATER)
    assert len(host.taken) == (1 if outcome is Outcome.DELIVERED else 0)


async def test_a_resolver_that_nobody_vouches_for_proves_nothing(
    world: World, host: OutsideHost, tmp_path: Path
) -> None:
    sender = sending(host, resolver=resolver(world, trusted=False), tmp_path=tmp_path)
    assert (await sender.transport.proofs.of(Domain("mismatch.signed.test"))).dane is DaneState.NONE


# What Postfix's tool says of the same domains. "Verified" is by DANE, "Untrusted" is encrypted and no more.
FINGER = {
    "good": "Matched DANE EE certificate.*Verified TLS connection",
    "rollover": "Matched DANE EE certificate.*Verified TLS connection",
    "authority": "Matched DANE TA certificate.*Verified TLS connection",
    "alias": "Matched DANE EE certificate.*Verified TLS connection",
    "mismatch": "no matching DANE TLSA records",
    "bogus": "TLSA lookup error",
    "unusable": "all TLSA records unusable.*Untrusted TLS connection",
    "none": "Untrusted TLS connection",
    "insecure": "Untrusted TLS connection",
}


async def _finger(world: World, folder: Path, case: str) -> str:
    """In a mount namespace of its own, where the resolver's configuration names our validator."""
    conf = folder / "resolv.conf"
    conf.write_text(f"nameserver {FINGER_ADDRESS}\noptions trust-ad edns0 attempts:4 timeout:5\n")
    finger = shutil.which("posttls-finger", path=PATH)
    script = f"mount --bind {conf} /etc/resolv.conf && exec {finger} -a ipv4 -c '{domain_of(case)}:{world.port}'"
    child = await asyncio.create_subprocess_exec(
        "unshare", "--mount", "sh", "-c", script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    async with asyncio.timeout(120):
        out, _ = await child.communicate()
    return out.decode()


def _can_finger(world: World) -> str | None:
    if shutil.which("posttls-finger", path=PATH) is None:
        return "posttls-finger is not on this machine (apt-get install postfix)"
    if not world.zones.listens_on_53:
        return f"only root can listen on {FINGER_ADDRESS}:53, where posttls-finger looks"
    if os.geteuid() or subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
        return "no mount namespace may be made here"
    return None


@pytest.mark.parametrize("case", CASES)
async def test_postfixs_own_tool_agrees(world: World, host: OutsideHost, tmp_path: Path, case: str) -> None:
    why_not = _can_finger(world)
    if why_not is not None:
        pytest.skip(why_not)
    said = await _finger(world, tmp_path, case)
    assert re.search(FINGER[case], said, re.DOTALL), said
    assert ("Verified TLS connection" in said) is (EXPECTED[case][2] in (VerifiedBy.DANE_EE, VerifiedBy.DANE_TA))
