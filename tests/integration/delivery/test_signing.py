"""What leaves is signed so that dkimpy believes it; keys rotate without a message left unsigned."""

import base64
from datetime import timedelta

import dkim
import psycopg
import pytest
from tests.fakes.delivery_world import LETTER, DeliveryWorld

from carepost.audit.model import PLATFORM, Actor
from carepost.audit.record import AuditTrail
from carepost.base.address import Domain
from carepost.base.errors import NotPossible
from carepost.base.ids import OrganisationId
from carepost.delivery.signing import KeyState, PublishedKey, Signing, SigningPolicy
from carepost.mailauth.arc import ArcStatus, verify_arc
from carepost.mailauth.dkim import DkimStatus, verify_dkim
from carepost.mailauth.fields import split_message
from carepost.mailauth.keys import SigningKey
from carepost.mailauth.resolver import FakeResolver

RIVERSIDE = Domain("riverside.example")
OPERATOR = Actor.operator("root")
RESULTS = b"Authentication-Results: mx.riverside.example; spf=pass smtp.mailfrom=trust.example\r\n"


class SignedWorld:
    def __init__(self, world: DeliveryWorld) -> None:
        self.world = world
        self.zone: dict[str, list[str]] = {}
        self.trouble: set[str] = set()
        self.signing = self.another()

    def __getattr__(self, name: str) -> object:
        """As a resolver: what is published at this moment."""
        return getattr(FakeResolver(txt=self.zone, fails=self.trouble), name)

    def another(self) -> Signing:
        return Signing(
            db=self.world.db,
            keys=self.world.keys,
            audit=AuditTrail(clock=self.world.clock),
            clock=self.world.clock,
            authserv_id="mx.riverside.example",
            resolver=self,  # type: ignore[arg-type]
        )

    async def publish(self) -> list[PublishedKey]:
        keys = list(await self.signing.published(RIVERSIDE))
        self.zone = {one.name: [one.record] for one in keys}
        return keys

    async def believed(self, raw: bytes) -> list[bool]:
        """What is said of each signature: by dkimpy of RSA, by our own reader (held to RFC 8463) of Ed25519."""
        headers, body = split_message(raw)

        def record(name: bytes, timeout: int = 5) -> bytes | None:  # no deadline
            found = self.zone.get(name.decode().rstrip("."))
            return found[0].encode() if found else None

        found = []
        signatures = [octets for name, octets in headers if name == b"dkim-signature"]
        own = await verify_dkim(self, headers=headers, body=body, now=self.world.clock.now())  # type: ignore[arg-type]
        for number, octets in enumerate(signatures):
            if b"a=rsa-sha256" in octets:
                found.append(dkim.DKIM(raw).verify(idx=number, dnsfunc=record))
                assert found[-1] == (own[number].status is DkimStatus.PASS)
            else:
                found.append(own[number].status is DkimStatus.PASS)
        return found


@pytest.fixture
async def signed(world: DeliveryWorld, superuser_dsn: str) -> SignedWorld:
    with psycopg.connect(superuser_dsn, autocommit=True) as behind:
        behind.execute("INSERT INTO mail_domain (domain) VALUES ('riverside.example') ON CONFLICT DO NOTHING")
        behind.execute("DELETE FROM keystore.organisation_key WHERE organisation_id = 1")
    async with world.db.transaction(PLATFORM) as tx:
        await world.keys.mint_organisation(tx, PLATFORM)
    return SignedWorld(world)


async def sent(signed: SignedWorld, ours: OrganisationId, raw: bytes = LETTER, **fields: object) -> bytes:
    world = signed.world
    await world.queued(ours, "pat@webmail.example", raw=raw, **fields)
    world.outside.sent.clear()
    await world.worker(signs=signed.signing.ready).round()
    return world.outside.sent[0][2]


async def test_what_leaves_is_signed_with_both_keys_and_otherwise_as_it_was(
    signed: SignedWorld, ours: OrganisationId
) -> None:
    raw = await sent(signed, ours)
    await signed.publish()
    assert await signed.believed(raw) == [True, True]
    assert raw.endswith(LETTER)
    algorithms = {
        octets.split(b"a=")[1].split(b";")[0] for name, octets in split_message(raw)[0] if name == b"dkim-signature"
    }
    assert algorithms == {b"rsa-sha256", b"ed25519-sha256"}


@pytest.mark.parametrize("field", ["From", "To", "Cc", "Subject", "Date"])
async def test_nobody_can_add_a_second_field_to_what_we_signed(
    signed: SignedWorld, ours: OrganisationId, field: str
) -> None:
    raw = await sent(signed, ours)
    await signed.publish()
    headers, body = split_message(f"{field}: evil@elsewhere.example\r\n".encode() + raw)
    found = await verify_dkim(signed, headers=headers, body=body, now=signed.world.clock.now())  # type: ignore[arg-type]
    assert {one.status for one in found} == {DkimStatus.FAIL}


async def test_two_processes_that_start_at_once_make_one_set_of_keys(signed: SignedWorld) -> None:
    import asyncio

    first, second = await asyncio.gather(*(signed.another().signers(RIVERSIDE) for _ in range(2)))
    assert {one.selector for one in first} == {one.selector for one in second}
    keys = await signed.publish()
    assert [one.state for one in keys].count(KeyState.ACTIVE) == 2
    assert [one.state for one in keys].count(KeyState.STANDBY) == 2


async def test_after_a_rotation_the_key_that_stood_by_signs_and_the_old_one_stays_published_for_a_while(
    signed: SignedWorld, ours: OrganisationId
) -> None:
    before = await sent(signed, ours)
    standing_by = {one.name for one in await signed.publish() if one.state is KeyState.STANDBY}
    await signed.signing.rotate(OPERATOR, RIVERSIDE)
    after = await sent(signed, ours)
    keys = await signed.publish()
    assert {one.name for one in keys if one.state is KeyState.ACTIVE} == standing_by
    assert await signed.believed(before) == [True, True], "it was on its way"
    assert await signed.believed(after) == [True, True]
    assert len({one.name for one in keys}) == 6
    signed.world.clock.advance(SigningPolicy().published_for + timedelta(minutes=1))
    assert len(await signed.publish()) == 4
    async with signed.world.db.transaction(PLATFORM) as tx:
        kept = await tx.one("SELECT count(private) AS n FROM dkim_key WHERE state = 'retired'")
        recorded = await tx.one("SELECT count(*) AS n FROM audit_event WHERE event = %s", ["keys.dkim.rotated"])
    assert kept["n"] == 0, "what signs no more is destroyed"
    assert recorded["n"] == 1


async def test_private_halves_are_sealed(signed: SignedWorld) -> None:
    signers = await signed.signing.signers(RIVERSIDE)
    async with signed.world.db.transaction(PLATFORM) as tx:
        stored = [bytes(row["private"]) for row in await tx.all("SELECT private FROM dkim_key")]
    assert len(stored) == 4
    for signer in signers:
        plain = _private(signer.key)
        assert not any(plain[-24:] in sealed for sealed in stored)


async def test_a_domain_that_is_not_ours_is_not_signed_for(signed: SignedWorld, ours: OrganisationId) -> None:
    with pytest.raises(NotPossible):
        await signed.signing.signers(Domain("elsewhere.example"))
    from carepost.base.address import EmailAddress

    stranger = LETTER.replace(b"sam.ray@riverside.example", b"pat@elsewhere.example")
    raw = await sent(signed, ours, raw=stranger, reverse_path=EmailAddress.parse("pat@elsewhere.example"))
    assert raw == stranger


async def test_the_envelopes_domain_signs_where_the_author_is_not_ours(
    signed: SignedWorld, ours: OrganisationId
) -> None:
    stranger = LETTER.replace(b"sam.ray@riverside.example", b"pat@elsewhere.example")
    raw = await sent(signed, ours, raw=stranger)
    await signed.publish()
    assert await signed.believed(raw) == [True, True]
    assert b"d=riverside.example" in raw


async def test_what_is_forwarded_is_sealed_and_not_signed_as_ours(signed: SignedWorld, ours: OrganisationId) -> None:
    stranger = RESULTS + LETTER.replace(b"sam.ray@riverside.example", b"pat@trust.example")
    raw = await sent(signed, ours, raw=stranger, forwarded=True)
    await signed.publish()
    headers, body = split_message(raw)
    assert b"dkim-signature" not in {name for name, _ in headers}
    found = await verify_arc(signed, headers=headers, body=body, now=signed.world.clock.now())
    assert (found.status, len(found.sets)) == (ArcStatus.PASS, 1)
    assert raw.endswith(stranger)


async def test_a_chain_whose_keys_cannot_be_looked_up_is_passed_on_as_it_is(
    signed: SignedWorld, ours: OrganisationId
) -> None:
    stranger = RESULTS + LETTER.replace(b"sam.ray@riverside.example", b"pat@trust.example")
    sealed = await sent(signed, ours, raw=stranger, forwarded=True)
    signed.trouble.update(one.name for one in await signed.publish())
    again = RESULTS + sealed
    assert await sent(signed, ours, raw=again, forwarded=True) == again


def _private(key: SigningKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def test_a_record_fits_what_the_reader_of_keys_reads() -> None:
    from carepost.delivery.signing import _new_key, _public_bytes, _record
    from carepost.mailauth.keys import Algorithm, KeyLimits, parse_key

    for algorithm, name in ((Algorithm.RSA_SHA256, "rsa"), (Algorithm.ED25519_SHA256, "ed25519")):
        key = _new_key(name, 2048)
        record = _record(name, _public_bytes(key)).encode()
        assert parse_key(record, algorithm=algorithm, limits=KeyLimits()).key == key.public_key()
        assert base64.b64decode(record.rpartition(b"p=")[2])
