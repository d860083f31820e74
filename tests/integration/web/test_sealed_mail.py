"""S/MIME on the pages: certificates of mailboxes, signed letters, encrypted ones opened, and what is refused. R126."""

import os
import subprocess
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from tests.fakes.asgi_browser import AsgiBrowser, Page
from tests.fakes.mail_certificates import AT, YEAR, Authority, rsa_key
from tests.fakes.web_world import MAIL_AUTHORITY, WebPerson, WebWorld

from carepost.audit import events_smime
from carepost.audit.model import Actor
from carepost.base.errors import Malformed, NotAllowed, NotPossible
from carepost.directory.model import Role
from carepost.message.smime import Method, encrypt, sign
from carepost.message.smime_keys import read_trust

OPERATOR = Actor.operator("tests")
SAM = "sam@trust.example"
SAM_KEY = rsa_key(31)
SAM_CERTIFICATE = MAIL_AUTHORITY.vouch(SAM, SAM_KEY, name="Sam Mbeki")
ADA_KEY = rsa_key(32)
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


def p12(key: object, certificate: object, password: str = "lantern") -> bytes:
    sealing = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return serialize_key_and_certificates(None, key, certificate, [MAIL_AUTHORITY.certificate], sealing)  # type: ignore[arg-type]


def letter(body: bytes = b"Potassium 5.4 mmol/L\r\n", kind: bytes = b"text/plain; charset=us-ascii") -> bytes:
    return (
        b"From: Sam Mbeki <sam@trust.example>\r\nTo: Ada <ada.okafor@riverside.example>\r\nSubject: Blood results\r\n"
        b"Date: Sun, 22 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@trust.example>\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: " + kind + b"\r\n\r\n" + body
    )


@pytest.fixture
async def ada(world: WebWorld) -> WebPerson:
    return await world.web_person(await world.organisation("A81001"), "Ada Okafor")


@pytest.fixture
async def browser(world: WebWorld, ada: WebPerson) -> AsgiBrowser:
    return world.browser(await world.session_of(ada))


async def shown(world: WebWorld, browser: AsgiBrowser, person: WebPerson, raw: bytes) -> Page:
    uid = await world.letter(person.mailbox, raw)
    return await browser.get(f"/mail/{person.mailbox.id}/{await world.inbox(person.mailbox)}/{uid}")


async def with_certificate(world: WebWorld, ada: WebPerson) -> object:
    certificate = MAIL_AUTHORITY.vouch(ada.address, ADA_KEY, name="Ada Okafor")
    await world.certificates.add(OPERATOR, ada.mailbox, p12(ADA_KEY, certificate), "lantern")
    return certificate


def sealed_for(certificate: object, raw: bytes, method: Method = Method.GCM) -> bytes:
    return encrypt(raw, [certificate], at=AT, chance=os.urandom, method=method)  # type: ignore[list-item]


async def test_a_signed_letter_says_by_whom_and_who_vouches(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    page = await shown(world, browser, ada, sign(letter(), SAM_CERTIFICATE, SAM_KEY, salt="s"))
    assert "Signed by Sam Mbeki." in page.text
    assert "Health Mail Authority vouches that sam@trust.example is theirs" in page.text
    assert "Potassium" in page.text
    assert "smime.p7s" not in page.text


async def test_a_signature_that_does_not_hold_names_nobody_and_says_why(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    signed = sign(letter(), SAM_CERTIFICATE, SAM_KEY, salt="s")
    changed = await shown(world, browser, ada, signed.replace(b"5.4", b"4.5"))
    strangers = Authority("Strangers", 72).vouch(SAM, SAM_KEY, name="Sam Mbeki")
    unknown = await shown(world, browser, ada, sign(letter(), strangers, SAM_KEY, salt="s"))
    other = MAIL_AUTHORITY.vouch("kim@trust.example", SAM_KEY, name="Kim")
    with pytest.raises(NotPossible, match="not for the address"):
        sign(letter(), other, SAM_KEY, salt="s")
    late = MAIL_AUTHORITY.vouch(SAM, SAM_KEY, until=AT - timedelta(days=1))
    expired = await shown(world, browser, ada, sign(letter(), late, SAM_KEY, salt="s"))
    for page, why in ((changed, "changed after"), (unknown, "nobody we trust"), (expired, "not valid at the time")):
        assert "The signature proves nothing." in page.text
        assert why in page.text
        assert "Signed by" not in page.text
        assert "mmol/L" in page.text
    plain = await shown(world, browser, ada, letter())
    assert "ignature" not in plain.words(".letter")


async def test_a_letter_encrypted_to_the_mailbox_opens_on_its_page_and_stays_sealed_at_rest(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson, superuser_dsn: str
) -> None:
    certificate = await with_certificate(world, ada)
    signed = sign(letter(), SAM_CERTIFICATE, SAM_KEY, salt="s")
    page = await shown(world, browser, ada, sealed_for(certificate, signed))
    assert "Potassium 5.4" in page.text
    assert "Encrypted to this mailbox." in page.text
    assert "Signed by Sam Mbeki." in page.text
    uid = await world.letter(ada.mailbox, letter())
    kept = await world.messages.body(ada.mailbox, await world.inbox(ada.mailbox), uid - 1)
    assert kept is not None
    assert b"Potassium" not in kept
    secret = ADA_KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with psycopg.connect(superuser_dsn) as behind:
        [(stored,)] = behind.execute("SELECT private_key FROM mail_certificate").fetchall()
    assert secret not in stored
    assert secret[-100:] not in stored


async def test_files_and_layout_inside_an_encrypted_letter_open_on_the_content_origin(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    certificate = await with_certificate(world, ada)
    body = (
        b"--m\r\nContent-Type: text/html\r\n\r\n<h1>Laid out</h1><script>alert(1)</script>\r\n--m\r\n"
        b'Content-Type: application/pdf; name="Letter.pdf"\r\nContent-Disposition: attachment; filename="Letter.pdf"\r\n'
        b"\r\n%PDF-1.4 words\r\n--m--\r\n"
    )
    raw = letter(body, b'multipart/mixed; boundary="m"')
    page = await shown(world, browser, ada, sealed_for(certificate, raw))
    frame = str(page.tree.css_first("iframe").attributes["src"]).removeprefix(world.content_origin)
    inside = await world.content_browser().get(frame)
    assert "Laid out" in inside.text
    assert "alert(1)" not in inside.text
    save = next(
        str(a.attributes["href"]) for a in page.tree.css(".attachment a") if "do=save" in str(a.attributes["href"])
    )
    door = await browser.get(save)
    assert door.status == 303
    got = await world.content_browser().get(door.location.removeprefix(world.content_origin))
    assert got.body.startswith(b"%PDF-1.4 words")


async def test_what_could_have_been_bent_is_shown_as_plain_text_only(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    certificate = await with_certificate(world, ada)
    raw = letter(b"<img src='https://evil.example/?", b"text/html")
    page = await shown(world, browser, ada, sealed_for(certificate, raw, Method.CBC))
    assert "could have changed it without a trace" in page.text
    assert page.tree.css_first("iframe") is None
    plain = await shown(world, browser, ada, sealed_for(certificate, letter(), Method.CBC))
    assert "Potassium" in plain.text


async def test_malware_inside_an_encrypted_letter_is_found_when_it_is_opened_and_nothing_is_shown(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    certificate = await with_certificate(world, ada)
    page = await shown(world, browser, ada, sealed_for(certificate, letter(b"Potassium\r\n" + EICAR + b"\r\n")))
    assert "It is not shown." in page.text
    assert "malware" in page.text
    assert "Potassium" not in page.text


async def test_a_letter_for_another_certificate_says_that_it_cannot_be_opened(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    page = await shown(world, browser, ada, sealed_for(SAM_CERTIFICATE, letter()))
    assert "no key that opens it" in page.text
    await with_certificate(world, ada)
    page = await shown(world, browser, ada, sealed_for(SAM_CERTIFICATE, letter()))
    assert "no key that opens it" in page.text
    own = (await world.certificates.pairs(ada.mailbox))[0].certificate
    damaged = sealed_for(own, letter()).rstrip()
    damaged = damaged[:-12] + (b"AAAA" if damaged[-12:-8] != b"AAAA" else b"BBBB") + damaged[-8:] + b"\r\n"
    assert "changed on its way" in (await shown(world, browser, ada, damaged)).text


@pytest.mark.peer
async def test_what_openssl_signs_and_encrypts_is_read_here(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson, tmp_path: Path
) -> None:
    certificate = await with_certificate(world, ada)
    keys = {"sam.pem": SAM_CERTIFICATE.public_bytes(Encoding.PEM), "ada.pem": certificate.public_bytes(Encoding.PEM)}  # type: ignore[attr-defined]
    keys["sam.key"] = SAM_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for name, octets in keys.items():
        (tmp_path / name).write_bytes(octets)
    (tmp_path / "text").write_bytes(b"Content-Type: text/plain\r\n\r\nFrom openssl.\r\n")

    def openssl(*arguments: str) -> bytes:
        done = subprocess.run(["openssl", "cms", *arguments], cwd=tmp_path, capture_output=True, timeout=60, check=True)
        return done.stdout.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    people = ("-from", "Sam Mbeki <sam@trust.example>", "-to", ada.address, "-subject", "From openssl")
    signed = openssl("-sign", "-in", "text", "-signer", "sam.pem", "-inkey", "sam.key", "-md", "sha256", *people)
    page = await shown(world, browser, ada, signed)
    assert "Signed by Sam Mbeki." in page.text
    sealed = openssl("-encrypt", "-in", "text", "-aes-256-gcm", *people, "ada.pem")
    page = await shown(world, browser, ada, sealed)
    assert "From openssl." in page.words(".body-text")
    assert "Encrypted to this mailbox." in page.text
    opaque = openssl("-sign", "-nodetach", "-in", "text", "-signer", "sam.pem", "-inkey", "sam.key", *people)
    page = await shown(world, browser, ada, opaque)
    assert "From openssl." in page.words(".body-text")
    assert "Signed by Sam Mbeki." in page.text


async def test_a_certificate_that_cannot_serve_is_refused_with_the_reason(world: WebWorld, ada: WebPerson) -> None:
    def vouch(address: str | None = None, **given: object) -> object:
        return MAIL_AUTHORITY.vouch(address or ada.address, ADA_KEY, **given)  # type: ignore[arg-type]

    short = rsa_key(33, 1024)
    for file, password, kind, why in (
        (b"nonsense", "lantern", Malformed, "does not open"),
        (p12(ADA_KEY, vouch()), "wrong", Malformed, "does not open"),
        (p12(ADA_KEY, vouch("kim@riverside.example")), "lantern", NotPossible, "another address"),
        (p12(ADA_KEY, vouch(until=AT - timedelta(days=1))), "lantern", NotPossible, "not within its time"),
        (p12(ADA_KEY, vouch(since=AT + YEAR / 2)), "lantern", NotPossible, "not within its time"),
        (p12(ADA_KEY, vouch(ca=True)), "lantern", NotPossible, "not for signing mail"),
        (
            p12(ADA_KEY, Authority("Strangers", 72).vouch(ada.address, ADA_KEY)),
            "lantern",
            NotPossible,
            "nobody we trust",
        ),
        (p12(short, MAIL_AUTHORITY.vouch(ada.address, short)), "lantern", NotPossible, "too short"),
        (b"\x30" * 300_000, "lantern", Malformed, "too large"),
    ):
        with pytest.raises(kind, match=why):
            await world.certificates.add(OPERATOR, ada.mailbox, file, password)
    assert await world.certificates.all(OPERATOR, ada.mailbox) == []


async def test_certificates_are_added_listed_and_removed_by_administrators_only_and_recorded(
    world: WebWorld, ada: WebPerson, browser: AsgiBrowser
) -> None:
    file = p12(ADA_KEY, MAIL_AUTHORITY.vouch(ada.address, ADA_KEY, name="Ada Okafor"))
    admin = await world.web_person(ada.mailbox.organisation, "Lee Admin", Role.LOCAL_ADMINISTRATOR)
    for stranger in (ada.actor, (await world.web_person(ada.mailbox.organisation, "Kim Park")).actor):
        with pytest.raises(NotAllowed):
            await world.certificates.add(stranger, ada.mailbox, file, "lantern")
        with pytest.raises(NotAllowed):
            await world.certificates.all(stranger, ada.mailbox)
    kept = await world.certificates.add(admin.actor, ada.mailbox, file, "lantern")
    with pytest.raises(NotPossible, match="already"):
        await world.certificates.add(admin.actor, ada.mailbox, file, "lantern")
    [listed] = await world.certificates.all(admin.actor, ada.mailbox)
    assert listed == kept
    await world.certificates.remove(admin.actor, ada.mailbox, kept.fingerprint)
    with pytest.raises(NotPossible, match="no such"):
        await world.certificates.remove(admin.actor, ada.mailbox, kept.fingerprint)
    async with world.db.transaction(ada.mailbox.organisation) as tx:
        rows = await tx.all(
            "SELECT event FROM audit_event WHERE organisation_id = %s AND event LIKE 'store.certificate.%%'",
            [ada.mailbox.organisation],
        )
    assert [row["event"] for row in rows] == [
        events_smime.MailCertificateAdded.name,
        events_smime.MailCertificateRemoved.name,
    ]


def test_trust_is_read_from_files_and_a_damaged_one_is_refused() -> None:
    root = MAIL_AUTHORITY.certificate.public_bytes(Encoding.PEM)
    middle = Authority("Middle", 73, MAIL_AUTHORITY).certificate.public_bytes(Encoding.PEM)
    trust = read_trust(root + middle, "# stolen laptop\n" + ":".join(["ab"] * 32) + "\n\n")
    assert len(trust.anchors) == len(trust.intermediates) == 1
    assert trust.withdrawn == frozenset({b"\xab" * 32})
    assert read_trust(b"").anchors == ()
    for authorities, withdrawn in ((b"nonsense", ""), (root, "xyz"), (root, "abcd")):
        with pytest.raises(Malformed):
            read_trust(authorities, withdrawn)
