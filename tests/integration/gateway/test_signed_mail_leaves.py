"""A mailbox whose certificate is to sign: what leaves is signed last, and what cannot be signed leaves and is told of."""

import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from tests.fakes.gateway_world import OPERATOR
from tests.fakes.mail_certificates import YEAR, Authority, rsa_key
from tests.fakes.outgoing_world import OutgoingWorld

from carepost.audit import events_smime
from carepost.gateway.out.sign import CertificatesSign
from carepost.infra.db import Database
from carepost.message.parse import parse
from carepost.message.smime import SignatureState, Trust, verify
from carepost.store.certificates import MailCertificates

AUTHORITY = Authority("Health Mail Authority", 91)
KEY = rsa_key(51)
TRUST = Trust((AUTHORITY.certificate,))


@pytest.fixture
async def world(database: Database, relay_database: Database) -> OutgoingWorld:
    built = OutgoingWorld(database, relay_database)
    await built.furnish()
    rooms = {"db": built.db, "keys": built.keys, "directory": built.directory, "audit": built.audit}
    certificates = MailCertificates(**rooms, clock=built.clock, trust=TRUST)
    certificate = AUTHORITY.vouch(str(built.hers.address), KEY, until=built.clock.now() + YEAR / 12)
    file = serialize_key_and_certificates(None, KEY, certificate, None, BestAvailableEncryption(b"lantern"))
    await certificates.add(OPERATOR, built.hers, file, "lantern", signs=True)
    signs = CertificatesSign(certificates=certificates, clock=built.clock)
    built.release = replace(built.release, carrying=replace(built.carrying, signs=signs))
    return built


async def left_out(world: OutgoingWorld) -> int:
    async with world.db.transaction(world.practice) as tx:
        rows = await tx.all(
            "SELECT seq FROM audit_event WHERE organisation_id = %(o)s AND event = %(n)s",
            {"o": world.practice, "n": events_smime.SignatureLeftOut.name},
        )
    return len(rows)


async def leaving(world: OutgoingWorld, *to: str, **more: object) -> bytes:
    await world.outbound.submit(world.submission(*to, **more))  # type: ignore[arg-type]
    await world.later()
    return await world.sent_bytes(world.queue.dispatches[-1])


@pytest.mark.peer
async def test_what_leaves_is_signed_with_its_disclaimer_and_others_believe_it(
    world: OutgoingWorld, tmp_path: Path
) -> None:
    await world.disclaim("If this is not for you, tell us.")
    raw = await leaving(world, str(world.his.address), "info@shop.example", text="We meet at nine.\r\n")
    signature = verify(parse(raw), TRUST, at=world.clock.now())
    assert signature.state is SignatureState.VALID
    assert b"If this is not for you" in raw
    [inside] = await world.inbox(world.his)
    assert b"pkcs7-signature" not in inside
    (tmp_path / "in").write_bytes(raw)
    (tmp_path / "root.pem").write_bytes(AUTHORITY.certificate.public_bytes(Encoding.PEM))
    words = ["-verify", "-in", "in", "-CAfile", "root.pem", "-purpose", "smimesign"]
    words += ["-attime", str(int(world.clock.now().timestamp()))]
    done = subprocess.run(["openssl", "cms", *words], cwd=tmp_path, capture_output=True, timeout=60, check=True)
    assert b"We meet at nine" in done.stdout
    assert await left_out(world) == 0


async def test_what_cannot_be_signed_leaves_all_the_same_and_the_record_says_so(world: OutgoingWorld) -> None:
    eight = world.letter("info@shop.example", extra="Content-Transfer-Encoding: 8bit\r\n", text="Über uns.\r\n")
    assert b"pkcs7-signature" not in await leaving(world, "info@shop.example", raw=eight)
    assert await left_out(world) == 1
    world.clock.advance(timedelta(days=40))
    raw = await leaving(world, "info@shop.example")
    assert b"we meet at nine" in raw
    assert b"pkcs7-signature" not in raw
    assert await left_out(world) == 2
