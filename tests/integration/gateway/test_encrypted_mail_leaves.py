"""Correspondents with a certificate: what is relayed to them is encrypted for it, or is held; never sent without it."""

import asyncio
import os
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from tests.fakes.gateway_world import OPERATOR
from tests.fakes.mail_certificates import AT, YEAR, Authority, ec_key, rsa_key
from tests.fakes.outgoing_world import OutgoingWorld

from carepost.audit import events_smime
from carepost.audit.events import Event
from carepost.audit.model import Actor
from carepost.base.address import EmailAddress
from carepost.base.errors import Malformed, NotAllowed, NotPossible
from carepost.base.ids import OrganisationId, OutgoingId
from carepost.cli import common
from carepost.cli.smime import smime_distrust, smime_trust, smime_trusted
from carepost.delivery.dispatch import Dispatch
from carepost.directory.model import Role
from carepost.gateway.out.encrypt import encrypted
from carepost.gateway.out.outgoing import OutgoingRecipient, RecipientState, Submitted
from carepost.gateway.out.sign import CertificatesSign
from carepost.infra.db import Database
from carepost.infra.settings import Settings, Smime
from carepost.message.parse import parse
from carepost.message.smime import Opened, SignatureState, Trust, encrypt, open_message, verify
from carepost.store.certificates import MailCertificates
from carepost.store.correspondent_certificates import CorrespondentCertificates, Usable

AUTHORITY = Authority("Health Mail Authority", 92)
KEY, SAM_KEY, KIM_KEY = rsa_key(61), rsa_key(62), rsa_key(63)
TRUST = Trust((AUTHORITY.certificate,))
SAM, KIM, OTHER = "sam@trust.example", "kim@trust.example", "info@shop.example"
SAM_CERTIFICATE = AUTHORITY.vouch(SAM, SAM_KEY, name="Sam Mbeki", until=AT + YEAR / 2)
KIM_CERTIFICATE = AUTHORITY.vouch(KIM, KIM_KEY, name="Kim Lee", until=AT + YEAR)


def pem(certificate: object) -> bytes:
    return certificate.public_bytes(Encoding.PEM)  # type: ignore[attr-defined, no-any-return]


class EncryptingWorld(OutgoingWorld):
    def encrypt(self, trust: Trust = TRUST) -> None:
        rooms = {"db": self.db, "keys": self.keys, "directory": self.directory, "audit": self.audit}
        self.theirs_kept = CorrespondentCertificates(**rooms, clock=self.clock, trust=trust, edge=self.edge)
        self.ours_kept = MailCertificates(**rooms, clock=self.clock, trust=trust)
        signs = CertificatesSign(certificates=self.ours_kept, clock=self.clock)
        carrying = replace(self.carrying, encrypts=self.theirs_kept, signs=signs)
        self.release = replace(self.release, carrying=carrying)
        self.held_mail = replace(self.held_mail, changing=replace(self.held_mail.changing, carrying=carrying))

    async def trusts(self, address: str, file: bytes, *, of: OrganisationId | None = None) -> None:
        await self.theirs_kept.put(OPERATOR, of or self.practice, EmailAddress.parse(address), file)

    async def leaves(self, *to: str, raw: bytes | None = None) -> OutgoingId:
        self.queue.dispatches.clear()
        done = await self.outbound.submit(self.submission(*to, raw=raw))
        assert isinstance(done, Submitted)
        await self.later()
        return done.id

    async def given(self) -> dict[str, bytes]:
        """What the queue was given, by recipient."""
        return {str(to.address): await self.sent_bytes(one) for one in self.queue.dispatches for to in one.recipients}

    async def became(self, outgoing: OutgoingId) -> dict[str, OutgoingRecipient]:
        return {str(one.address): one for one in (await self.view.get(self.nurse, outgoing)).recipients}

    async def recorded(self, event: type[Event]) -> int:
        async with self.db.transaction(self.practice) as tx:
            return len(await tx.all("SELECT seq FROM audit_event WHERE event = %(n)s", {"n": event.name}))


@pytest.fixture
async def world(database: Database, relay_database: Database) -> EncryptingWorld:
    built = EncryptingWorld(database, relay_database)
    await built.furnish()
    built.encrypt()
    return built


async def boss_of(world: EncryptingWorld) -> Actor:
    made, _ = await world.person(world.practice, "Bea Boss", Role.LOCAL_ADMINISTRATOR)
    return made


def opened(raw: bytes, certificate: object, key: object) -> bytes:
    found = open_message(parse(raw), certificate, key)  # type: ignore[arg-type]
    assert isinstance(found, Opened)
    return found.content


@pytest.mark.peer
async def test_each_gets_it_encrypted_for_their_own_certificate_and_sent_stays_readable(
    world: EncryptingWorld, tmp_path: Path
) -> None:
    await world.trusts(SAM, pem(SAM_CERTIFICATE))
    await world.trusts(KIM, pem(KIM_CERTIFICATE))
    await world.disclaim("If this is not for you, tell us.")
    ours = AUTHORITY.vouch(str(world.hers.address), KEY)
    file = serialize_key_and_certificates(None, KEY, ours, None, BestAvailableEncryption(b"lantern"))
    await world.ours_kept.add(OPERATOR, world.hers, file, "lantern", signs=True)
    await world.leaves("Sam@trust.example", KIM, OTHER, str(world.his.address))
    given = await world.given()
    for_sam, for_kim, for_other = given["Sam@trust.example"], given[KIM], given[OTHER]
    for raw in (for_sam, for_kim):
        assert b"authEnveloped-data" in raw
        assert b"we meet at nine" not in raw
        assert b"If this is not" not in raw
    assert b"we meet at nine" in for_other
    assert b"we meet at nine" in opened(for_kim, KIM_CERTIFICATE, KIM_KEY)
    assert not isinstance(open_message(parse(for_sam), KIM_CERTIFICATE, KIM_KEY), Opened)
    whole = open_message(parse(for_sam), SAM_CERTIFICATE, SAM_KEY)
    assert isinstance(whole, Opened)
    assert verify(parse(whole.content), TRUST, at=world.clock.now()).state is SignatureState.VALID
    (tmp_path / "in").write_bytes(for_sam)
    (tmp_path / "key").write_bytes(SAM_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    words = ["openssl", "cms", "-decrypt", "-in", "in", "-inkey", "key"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, timeout=60, check=True)
    assert b"we meet at nine" in done.stdout
    assert b"If this is not for you" in done.stdout
    [sent], [inside] = await world.sent(world.hers), await world.inbox(world.his)
    for raw in (sent, inside):
        assert b"we meet at nine" in raw
        assert b"pkcs7" not in raw


async def test_a_certificate_that_has_run_out_holds_the_message_for_them_alone(world: EncryptingWorld) -> None:
    await world.trusts(SAM, pem(SAM_CERTIFICATE))
    await world.trusts(KIM, pem(KIM_CERTIFICATE))
    boss = await boss_of(world)
    world.clock.advance(SAM_CERTIFICATE.not_valid_after_utc - world.clock.now() + timedelta(days=1))
    number = await world.leaves(SAM, KIM, OTHER)
    assert set(await world.given()) == {KIM, OTHER}
    became = await world.became(number)
    assert became[SAM].state is RecipientState.HELD
    assert "today is not within its time" in became[SAM].says
    assert became[KIM].state is RecipientState.QUEUED
    assert await world.recorded(events_smime.NotEncryptedHeld) == 1
    letter = parse((await world.inbox(world.hers))[-1])
    assert letter.subject == "Not delivered: A meeting"
    told = " ".join(letter.text(letter.root).split())
    assert f"{SAM} It is held here" in told
    assert KIM not in told
    with pytest.raises(NotPossible, match="cannot be used"):
        await world.held_mail.let_go(boss, world.practice, number, reason="Urgent")
    assert len(world.queue.dispatches) == 2
    renewed = AUTHORITY.vouch(SAM, SAM_KEY, until=AT + YEAR)
    await world.trusts(SAM, pem(renewed))
    assert await world.held_mail.let_go(boss, world.practice, number, reason="Renewed") == 1
    last: Dispatch = world.queue.dispatches[-1]
    assert b"we meet at nine" in opened(await world.sent_bytes(last), renewed, SAM_KEY)


async def test_a_certificate_withdrawn_since_its_import_is_not_used_and_a_link_may_go_instead(
    world: EncryptingWorld,
) -> None:
    await world.trusts(SAM, pem(SAM_CERTIFICATE))
    boss = await boss_of(world)
    world.encrypt(replace(TRUST, withdrawn=frozenset({SAM_CERTIFICATE.fingerprint(hashes.SHA256())})))
    number = await world.leaves(SAM)
    assert world.queue.dispatches == []
    assert "it was withdrawn" in (await world.became(number))[SAM].says
    [listed] = await world.theirs_kept.all(OPERATOR, world.practice)
    assert (listed.address, listed.fault) == (SAM, "it was withdrawn")
    await world.held_mail.let_go(boss, world.practice, number, reason="They wait for it", by_link=True)
    assert [str(one.address) for one in world.links.made] == [SAM]
    assert b"we meet at nine" not in (await world.given())[SAM]


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (pem(AUTHORITY.vouch(KIM, SAM_KEY)), "names another address"),
        (pem(AUTHORITY.vouch(SAM, SAM_KEY, until=AT - timedelta(days=1))), "not within its time"),
        (pem(Authority("Strangers", 93).vouch(SAM, SAM_KEY)), "nobody we trust"),
        (pem(AUTHORITY.vouch(SAM, SAM_KEY, ca=True)), "not for encrypting mail"),
        (pem(AUTHORITY.vouch(SAM, ec_key(64))), "not for encrypting mail"),
        (pem(AUTHORITY.vouch(SAM, rsa_key(65, 1024))), "not for encrypting mail"),
        (b"no certificate", "must be PEM"),
        (pem(SAM_CERTIFICATE) * 1000, "too large"),
    ],
    ids=["other", "expired", "stranger", "authority", "curve", "short", "words", "huge"],
)
async def test_what_cannot_be_used_is_refused_in_words_and_not_kept(
    world: EncryptingWorld, file: bytes, why: str
) -> None:
    with pytest.raises((NotPossible, Malformed), match=why):
        await world.trusts(SAM, file)
    assert await world.theirs_kept.all(OPERATOR, world.practice) == []


async def test_another_organisations_certificates_are_not_used_and_one_taken_back_neither(
    world: EncryptingWorld, superuser_dsn: str
) -> None:
    await world.trusts(SAM, pem(SAM_CERTIFICATE), of=world.pharmacy)
    await world.leaves(SAM)
    assert b"we meet at nine" in (await world.given())[SAM]
    assert await world.theirs_kept.all(OPERATOR, world.practice) == []
    await world.trusts(SAM, pem(SAM_CERTIFICATE))
    await world.leaves(SAM)
    assert b"we meet at nine" not in (await world.given())[SAM]
    with psycopg.connect(superuser_dsn) as behind:
        rows = behind.execute("SELECT token, certificate FROM correspondent_certificate").fetchall()
    assert len(rows) == 2
    assert rows[0][0] != rows[1][0]
    assert all(b"trust.example" not in kept for _, kept in rows)
    assert await world.recorded(events_smime.CorrespondentCertificateTrusted) == 1
    await world.theirs_kept.remove(OPERATOR, world.practice, EmailAddress.parse(SAM))
    assert await world.recorded(events_smime.CorrespondentCertificateDistrusted) == 1
    await world.leaves(SAM)
    assert b"we meet at nine" in (await world.given())[SAM]
    with pytest.raises(NotPossible, match="no certificate for"):
        await world.theirs_kept.remove(OPERATOR, world.practice, EmailAddress.parse(SAM))


async def test_a_certificate_that_does_not_open_lets_nothing_leave(world: EncryptingWorld, superuser_dsn: str) -> None:
    await world.trusts(SAM, pem(SAM_CERTIFICATE))
    with psycopg.connect(superuser_dsn, autocommit=True) as behind:
        behind.execute("UPDATE correspondent_certificate SET certificate = '\\x00000001' || substr(certificate, 6)")
    number = await world.leaves(SAM, OTHER)
    assert world.queue.dispatches == []
    assert world.release.counters.failed == 1
    assert (await world.became(number))[SAM].state is RecipientState.WAITING


async def test_eight_bit_text_and_what_a_mail_program_encrypted_arrive_whole(world: EncryptingWorld) -> None:
    await world.trusts(SAM, pem(SAM_CERTIFICATE))
    kind = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    await world.leaves(SAM, raw=world.letter(SAM, extra=kind, text="Über uns.\r\n"))
    raw = (await world.given())[SAM]
    assert raw.isascii()
    content = parse(opened(raw, SAM_CERTIFICATE, SAM_KEY))
    assert content.text(content.root) == "Über uns.\r\n"
    own = encrypt(world.letter(SAM), [SAM_CERTIFICATE], at=world.clock.now(), chance=os.urandom)
    again = encrypted(own, Usable(SAM_CERTIFICATE, world.clock.now()))
    assert again == own


async def test_only_an_administrator_trusts_lists_and_takes_back(world: EncryptingWorld) -> None:
    kept, boss, sam = world.theirs_kept, await boss_of(world), EmailAddress.parse(SAM)
    await kept.put(boss, world.practice, sam, pem(SAM_CERTIFICATE))
    assert [one.address for one in await kept.all(boss, world.practice)] == [SAM]
    for refused in (
        kept.put(world.nurse, world.practice, sam, pem(SAM_CERTIFICATE)),
        kept.all(world.nurse, world.practice),
        kept.remove(world.nurse, world.practice, sam),
        kept.all(boss, world.pharmacy),
    ):
        with pytest.raises(NotAllowed):
            await refused


async def test_the_commands_trust_list_and_take_back(
    world: EncryptingWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "root.pem").write_bytes(pem(AUTHORITY.certificate))
    (tmp_path / "sam.pem").write_bytes(pem(SAM_CERTIFICATE))
    settings = Settings(smime=Smime(authorities_file=str(tmp_path / "root.pem")))
    areas = SimpleNamespace(
        db=world.db, audit=world.audit, clock=world.clock, edge=world.edge, settings=settings,
        store=SimpleNamespace(keys=world.keys), directory=SimpleNamespace(look=world.directory),
    )  # fmt: skip
    loop = asyncio.get_running_loop()

    def with_areas(config: object, work: object) -> object:
        return asyncio.run_coroutine_threadsafe(work(areas), loop).result(60)  # type: ignore[operator]

    monkeypatch.setattr(common, "with_areas", with_areas)
    await asyncio.to_thread(smime_trust, "A81001", SAM, tmp_path / "sam.pem")
    assert f"Mail to {SAM} is encrypted for" in capsys.readouterr().out
    await asyncio.to_thread(smime_trusted, "A81001", json=True)
    assert SAM in capsys.readouterr().out
    with pytest.raises(NotPossible, match="no organisation with the code"):
        await asyncio.to_thread(smime_trusted, "nosuch")
    await asyncio.to_thread(smime_distrust, "A81001", SAM, yes=True)
    await asyncio.to_thread(smime_trusted, "A81001", json=True)
    assert SAM not in capsys.readouterr().out.replace("Removed.", "")
