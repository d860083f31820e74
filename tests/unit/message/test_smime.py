"""S/MIME: what the author signed is shown as signed, and none of the forged shapes is (M10). R126."""

import base64
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes import forged_mail as forged
from tests.fakes.forged_mail import (
    ENTITY,
    HEAD,
    MULTIPART,
    P7M,
    P7S,
    attribute,
    detached,
    opaque,
    signed_data,
    signer_info,
)
from tests.fakes.mail_certificates import AT, YEAR, Authority, Key, ec_key, rsa_key

from carepost.base.errors import Malformed, NotPossible
from carepost.message import der
from carepost.message.der import OCTETS, oid, write
from carepost.message.parse import parse
from carepost.message.smime import (
    Fault,
    Method,
    NotOpened,
    Opened,
    Signature,
    SignatureState,
    Trust,
    encrypt,
    is_encrypted,
    open_message,
    sign,
    verify,
)

ASHA, MALLORY = "asha@riverside.example", "mallory@evil.example"
ROOT = Authority("Health Root", 1)
ISSUING = Authority("Health Issuing", 2, ROOT)
STRANGERS = Authority("Strangers", 3)
KEY, OTHER_KEY = ec_key(20), ec_key(21)
CERTIFICATE = ISSUING.vouch(ASHA, KEY)
OF_MALLORY = ISSUING.vouch(MALLORY, OTHER_KEY, name="Mallory")
TRUST = Trust((ROOT.certificate,))
CHAIN = [CERTIFICATE, ISSUING.certificate]
PLAIN = HEAD + ENTITY
EVIL = b"Content-Type: text/plain\r\n\r\nThe results are terrible.\r\n"


def cms(content: bytes = ENTITY, **more: object) -> bytes:
    """Asha's own signature over `content`, right in every way but for `more`."""
    return signed_data([signer_info(content, CERTIFICATE, KEY, **more)], CHAIN)  # type: ignore[arg-type]


def judged(raw: bytes, trust: Trust = TRUST) -> Signature:
    return verify(parse(raw), trust, at=AT)


# --- what is right ----------------------------------------------------------------------------------------------------


def test_what_the_author_signed_is_shown_as_signed() -> None:
    signature = judged(detached(cms()))
    assert signature.state is SignatureState.VALID
    assert signature.signer is not None
    assert (signature.signer.address, signature.signer.name, signature.signer.issuer) == (
        ASHA,
        "Asha Patel",
        "Health Issuing",
    )


def test_an_opaque_signature_gives_what_it_holds() -> None:
    der_ = signed_data([signer_info(ENTITY, CERTIFICATE, KEY)], CHAIN, content=ENTITY)
    signature = judged(opaque(der_))
    assert (signature.state, signature.content) == (SignatureState.VALID, ENTITY)


@pytest.mark.parametrize("key", [rsa_key(1), KEY], ids=["RSA", "ECDSA"])
def test_what_we_sign_we_believe(key: Key) -> None:
    certificate = ISSUING.vouch(ASHA, key)
    raw = sign(PLAIN, certificate, key, chain=[ISSUING.certificate], salt="x")
    assert judged(raw).state is SignatureState.VALID
    assert parse(raw).subject == "Results"
    assert parse(raw).defects == frozenset()


def test_a_message_with_files_is_signed_as_it_is() -> None:
    raw = HEAD + b"Content-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\n\r\none\r\n--q\r\n\r\ntwo\r\n--q--\r\n"
    assert judged(sign(raw, CERTIFICATE, KEY, chain=[ISSUING.certificate], salt="x")).state is SignatureState.VALID


def test_a_message_without_a_signature_says_so() -> None:
    assert judged(PLAIN) == Signature(SignatureState.NONE)


def test_other_signatures_are_not_ours_to_judge() -> None:
    raw = HEAD + b'Content-Type: multipart/signed; protocol="application/pgp-signature"; boundary=b1\r\n\r\n'
    raw += b"--b1\r\n\r\nhello\r\n--b1\r\nContent-Type: application/pgp-signature\r\n\r\n-----BEGIN\r\n--b1--\r\n"
    assert judged(raw) == Signature(SignatureState.NONE)


def test_a_domain_is_the_same_in_any_case_and_a_local_part_is_not() -> None:
    assert judged(detached(cms(), head=HEAD.replace(b"riverside", b"Riverside"))).state is SignatureState.VALID
    assert judged(detached(cms(), head=HEAD.replace(b"asha@", b"Asha@"))).fault is Fault.NOT_THE_AUTHOR


def test_a_certificate_of_the_old_style_and_one_for_several_addresses_are_understood() -> None:
    for certificate in (
        ISSUING.vouch(None, KEY, old_style=ASHA),
        ISSUING.vouch("desk@riverside.example", KEY, more=(ASHA,)),
        ISSUING.vouch(ASHA, KEY, uses=()),
        ISSUING.vouch(ASHA, KEY, uses=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)),
    ):
        raw = detached(signed_data([signer_info(ENTITY, certificate, KEY)], [certificate, ISSUING.certificate]))
        assert judged(raw).state is SignatureState.VALID


def test_an_intermediate_that_we_keep_need_not_be_sent() -> None:
    raw = detached(signed_data([signer_info(ENTITY, CERTIFICATE, KEY)], [CERTIFICATE]))
    assert judged(raw).fault is Fault.NOT_TRUSTED
    assert judged(raw, Trust((ROOT.certificate,), (ISSUING.certificate,))).state is SignatureState.VALID


# --- the forged shapes ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Forgery:
    raw: bytes
    fault: Fault | None  # None: not even a signature
    trust: Trust = TRUST


def _by(certificate: object, key: Key = KEY, *others: object) -> bytes:
    return signed_data([signer_info(ENTITY, certificate, key)], [certificate, ISSUING.certificate, *others])  # type: ignore[arg-type, list-item]


def _shapes_of_cms() -> dict[str, Forgery]:
    good = signer_info(ENTITY, CERTIFICATE, KEY)
    by_mallory = signer_info(ENTITY, OF_MALLORY, OTHER_KEY)
    kind, digest = attribute(forged.TYPE, forged.DATA), attribute(forged.DIGEST, write(OCTETS, os.urandom(32)))
    right = attribute(forged.DIGEST, write(OCTETS, hashlib.sha256(ENTITY).digest()))
    twin = ISSUING.vouch(ASHA, OTHER_KEY, serial=CERTIFICATE.serial_number)
    weak = rsa_key(5, 1024)
    return {
        "a text of its own inside, another one outside": Forgery(
            detached(signed_data([good], CHAIN, content=ENTITY), EVIL), Fault.TWO_CONTENTS),
        "the same text inside and outside": Forgery(detached(signed_data([good], CHAIN, content=ENTITY)), Fault.TWO_CONTENTS),
        "an opaque signature without a text": Forgery(opaque(cms()), Fault.MALFORMED),
        "nobody signed": Forgery(detached(signed_data([], CHAIN)), Fault.NO_SIGNER),
        "nobody signed, opaque": Forgery(opaque(signed_data([], CHAIN, content=ENTITY)), Fault.NO_SIGNER),
        "two signers, one of them the author": Forgery(
            detached(signed_data([good, by_mallory], [*CHAIN, OF_MALLORY])), Fault.NOT_THE_AUTHOR),
        "two signers, the second's signature wrong": Forgery(
            detached(signed_data([good, signer_info(ENTITY, CERTIFICATE, OTHER_KEY)], CHAIN)), Fault.BAD_SIGNATURE),
        "two certificates of one person, of different keys": Forgery(
            detached(signed_data([good, signer_info(ENTITY, two := ISSUING.vouch(ASHA, OTHER_KEY), OTHER_KEY)], [*CHAIN, two])),
            Fault.SIGNERS_DIFFER),
        "twenty signers": Forgery(detached(signed_data([good + b""] * 20, CHAIN)), Fault.MALFORMED),
        "the certificate is not there": Forgery(detached(signed_data([good], [ISSUING.certificate])), Fault.NO_CERTIFICATE),
        "no certificates at all": Forgery(detached(signed_data([good], [])), Fault.NO_CERTIFICATE),
        "two certificates answer to one name": Forgery(detached(signed_data([good], [*CHAIN, twin])), Fault.NO_CERTIFICATE),
        "the text was changed": Forgery(detached(cms(), EVIL), Fault.CHANGED),
        "a line end was added": Forgery(detached(cms(), ENTITY + b"\r\n"), Fault.CHANGED),
        "the type of the text was changed": Forgery(detached(cms(), ENTITY.replace(b"plain", b"html")), Fault.CHANGED),
        "the signature of another message": Forgery(detached(cms(EVIL)), Fault.CHANGED),
        "a signature that is wrong": Forgery(detached(cms(signature=os.urandom(70))), Fault.BAD_SIGNATURE),
        "an empty signature": Forgery(detached(cms(signature=b"")), Fault.BAD_SIGNATURE),
        "no signed attributes": Forgery(detached(cms(with_attributes=False)), Fault.UNUSUAL),
        "the attributes of one message as the text of another": Forgery(
            opaque(signed_data(
                [signer_info(der.set_of([kind, right]), CERTIFICATE, KEY, with_attributes=False)], CHAIN,
                content=der.set_of([kind, right]))), Fault.STRUCTURE),
        "no attribute with the digest": Forgery(detached(cms(attributes=[kind])), Fault.UNUSUAL),
        "no attribute with the type": Forgery(detached(cms(attributes=[right])), Fault.UNUSUAL),
        "two digests, the first one right": Forgery(detached(cms(attributes=[kind, right, digest])), Fault.UNUSUAL),
        "two values of the digest": Forgery(
            detached(cms(attributes=[kind, attribute(forged.DIGEST, write(OCTETS, b"x" * 32), write(OCTETS, b"y" * 32))])),
            Fault.UNUSUAL),
        "two types": Forgery(detached(cms(attributes=[kind, kind, right])), Fault.UNUSUAL),
        "the type of something else": Forgery(
            detached(cms(attributes=[attribute(forged.TYPE, forged.SIGNED), right])), Fault.UNUSUAL),
        "the content is said to be something else": Forgery(
            detached(signed_data([good], CHAIN, content_type=forged.SIGNED)), Fault.UNUSUAL),
        "a digest of the wrong length": Forgery(
            detached(cms(attributes=[kind, attribute(forged.DIGEST, write(OCTETS, b""))])), Fault.CHANGED),
        "SHA-1": Forgery(detached(cms(digest_name=forged.SHA1)), Fault.WEAK),
        "MD5": Forgery(detached(cms(digest_name=forged.MD5)), Fault.WEAK),
        "a short key": Forgery(
            detached(signed_data([signer_info(ENTITY, short := ISSUING.vouch(ASHA, weak), weak)], [short, ISSUING.certificate])),
            Fault.WEAK),
        "not a signature at all": Forgery(detached(b"hello"), Fault.MALFORMED),
        "an empty file": Forgery(detached(b""), Fault.MALFORMED),
        "bytes behind the signature": Forgery(detached(cms() + b"\0"), Fault.MALFORMED),
        "cut short": Forgery(detached(cms()[:-20]), Fault.MALFORMED),
        "a list of certificates instead of a signature": Forgery(
            detached(signed_data([], CHAIN, outer=forged.DATA)), Fault.MALFORMED),
        "the key's name of another": Forgery(detached(cms(sid=write(0x80, b"x" * 20))), Fault.NO_CERTIFICATE),
    }  # fmt: skip


def _shapes_of_trust() -> dict[str, Forgery]:
    own = STRANGERS.vouch(ASHA, KEY)
    by_person = Authority("Asha's own", 30)
    by_person.name, by_person.key = CERTIFICATE.subject, KEY
    child = by_person.vouch(ASHA, OTHER_KEY)
    return {
        "signed by somebody else": Forgery(detached(_by(OF_MALLORY, OTHER_KEY)), Fault.NOT_THE_AUTHOR),
        "an authority that nobody knows": Forgery(
            detached(signed_data([signer_info(ENTITY, own, KEY)], [own, STRANGERS.certificate])), Fault.NOT_TRUSTED),
        "the unknown authority sends our root along": Forgery(
            detached(signed_data([signer_info(ENTITY, own, KEY)], [own, STRANGERS.certificate, ROOT.certificate])),
            Fault.NOT_TRUSTED),
        "a person's certificate used to vouch for another": Forgery(
            detached(signed_data([signer_info(ENTITY, child, OTHER_KEY)], [child, *CHAIN])), Fault.NOT_TRUSTED),
        "nobody is trusted": Forgery(detached(cms()), Fault.NOT_TRUSTED, Trust(())),
        "expired": Forgery(detached(_by(ISSUING.vouch(ASHA, KEY, until=AT - timedelta(days=1)))), Fault.EXPIRED),
        "not yet valid": Forgery(detached(_by(ISSUING.vouch(ASHA, KEY, since=AT + timedelta(days=1)))), Fault.EXPIRED),
        "withdrawn": Forgery(
            detached(cms()), Fault.REVOKED, Trust((ROOT.certificate,), (), {CERTIFICATE.fingerprint(forged.hashes.SHA256())})),
        "its authority withdrawn": Forgery(
            detached(cms()), Fault.REVOKED,
            Trust((ROOT.certificate,), (), {ISSUING.certificate.fingerprint(forged.hashes.SHA256())})),
        "a certificate of a web server": Forgery(
            detached(_by(ISSUING.vouch(ASHA, KEY, uses=(ExtendedKeyUsageOID.SERVER_AUTH,)))), Fault.WRONG_USE),
        "a certificate for encryption only": Forgery(detached(_by(ISSUING.vouch(ASHA, KEY, sign=False))), Fault.WRONG_USE),
        "an authority's certificate": Forgery(detached(_by(ISSUING.vouch(ASHA, KEY, ca=True))), Fault.WRONG_USE),
        "a certificate without an address": Forgery(detached(_by(ISSUING.vouch(None, KEY))), Fault.NOT_THE_AUTHOR),
        "the address only in its name": Forgery(
            detached(_by(ISSUING.vouch(None, KEY, name=ASHA))), Fault.NOT_THE_AUTHOR),
        "the address in the subject, another in the names": Forgery(
            detached(_by(ISSUING.vouch(MALLORY, KEY, old_style=ASHA))), Fault.NOT_THE_AUTHOR),
        "the address with a dot more": Forgery(
            detached(_by(ISSUING.vouch("asha@riverside.example.evil.example", KEY))), Fault.NOT_THE_AUTHOR),
        "only the domain": Forgery(detached(_by(ISSUING.vouch("riverside.example", KEY))), Fault.NOT_THE_AUTHOR),
    }  # fmt: skip


def _shapes_of_mail() -> dict[str, Forgery]:
    good, signed = cms(), detached(cms())
    inner = signed.partition(b"MIME-Version: 1.0\r\n")[2]
    mallory = b"From: Mallory <mallory@evil.example>\r\n"
    asha = b"From: Asha Patel <asha@riverside.example>\r\n"
    evil_part = b"--b1\r\n" + EVIL + b"\r\n"

    def wrapped(before: bytes, after: bytes = b"") -> bytes:
        mixed = b"Content-Type: multipart/mixed; boundary=o\r\n\r\n" + before
        return HEAD + mixed + b"--o\r\n" + inner + b"\r\n" + after + b"--o--\r\n"

    def author(line: bytes) -> bytes:
        return detached(good, head=HEAD.replace(asha, line))

    return {
        "a text before the signed one": Forgery(wrapped(b"--o\r\n" + EVIL + b"\r\n"), Fault.PARTLY),
        "a text behind the signed one": Forgery(wrapped(b"", b"--o\r\n" + EVIL + b"\r\n"), Fault.PARTLY),
        "the signed one alone in a wrapping": Forgery(wrapped(b""), Fault.PARTLY),
        "the signed one as a message that is attached": Forgery(
            HEAD + b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n" + EVIL
            + b"\r\n--o\r\nContent-Type: message/rfc822\r\n\r\n" + signed + b"\r\n--o--\r\n", Fault.PARTLY),
        "the whole message is one that is attached": Forgery(
            HEAD + b"Content-Type: message/rfc822\r\n\r\n" + signed, Fault.PARTLY),
        "an opaque signature beside a text": Forgery(
            HEAD + b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n" + EVIL + b"\r\n--o\r\n" + P7M
            + forged.encoded(signed_data([signer_info(ENTITY, CERTIFICATE, KEY)], CHAIN, content=ENTITY)) + b"--o--\r\n",
            Fault.PARTLY),
        "a signature as a file": Forgery(
            HEAD + b"Content-Type: multipart/mixed; boundary=b1\r\n\r\n--b1\r\n" + ENTITY + b"\r\n--b1\r\n" + P7S
            + forged.encoded(good) + b"\r\n--b1--\r\n", Fault.PARTLY),
        "three parts, the signature last": Forgery(detached(good, between=evil_part), Fault.STRUCTURE),
        "three parts, the signature in the middle": Forgery(
            HEAD + MULTIPART + b"--b1\r\n" + ENTITY + b"\r\n--b1\r\n" + P7S + forged.encoded(good) + b"\r\n" + evil_part
            + b"--b1--\r\n", Fault.STRUCTURE),
        "one part only": Forgery(HEAD + MULTIPART + b"--b1\r\n" + P7S + forged.encoded(good) + b"\r\n--b1--\r\n", Fault.PARTLY),
        "another part behind the closing boundary": Forgery(detached(good, behind=evil_part), Fault.STRUCTURE),
        "words behind the closing boundary": Forgery(detached(good, behind=b"The results are terrible.\r\n"), Fault.STRUCTURE),
        "never closed": Forgery(signed.replace(b"\r\n--b1--\r\n", b"\r\n"), Fault.STRUCTURE),
        "no protocol": Forgery(
            detached(good, kind=MULTIPART.replace(b'protocol="application/pkcs7-signature"; ', b"")), Fault.STRUCTURE),
        "the protocol of something else": Forgery(
            detached(good, kind=MULTIPART.replace(b"pkcs7-signature", b"x-other")), Fault.STRUCTURE),
        "the signature is called a picture": Forgery(
            detached(good, part=P7S.replace(b"application/pkcs7-signature", b"image/png")), Fault.STRUCTURE),
        "two content types": Forgery(
            detached(good, kind=b"Content-Type: text/html\r\n" + MULTIPART), None),
        "two content types, the signed one first": Forgery(
            detached(good, kind=MULTIPART.removesuffix(b"\r\n") + b"Content-Type: text/html\r\n\r\n"), Fault.STRUCTURE),
        "two boundaries": Forgery(
            detached(good, kind=MULTIPART.replace(b' boundary="b1"', b' boundary="b1"; boundary="b2"')), Fault.STRUCTURE),
        "two From fields, the author's first": Forgery(author(asha + mallory), Fault.AUTHOR_UNCLEAR),
        "two From fields, the author's last": Forgery(author(mallory + asha), Fault.AUTHOR_UNCLEAR),
        "a second FROM in capitals": Forgery(author(asha + mallory.replace(b"From", b"FROM")), Fault.AUTHOR_UNCLEAR),
        "two addresses in From": Forgery(
            author(b"From: asha@riverside.example, mallory@evil.example\r\n"), Fault.AUTHOR_UNCLEAR),
        "the author's address as a name": Forgery(
            author(b'From: "asha@riverside.example" <mallory@evil.example>\r\n'), Fault.AUTHOR_UNCLEAR),
        "the author's address as an encoded name": Forgery(
            author(b"From: =?utf-8?q?asha=40riverside=2Eexample?= <mallory@evil.example>\r\n"), Fault.AUTHOR_UNCLEAR),
        "another's address as a name": Forgery(
            author(b'From: "boss@trust.example" <asha@riverside.example>\r\n'), Fault.AUTHOR_UNCLEAR),
        "the author's name and another's address": Forgery(
            author(b"From: Asha Patel <mallory@evil.example>\r\n"), Fault.NOT_THE_AUTHOR),
        "a comment with the author's address": Forgery(
            author(b"From: mallory@evil.example (asha@riverside.example)\r\n"), Fault.AUTHOR_UNCLEAR),
        "an address in the name before the brackets": Forgery(
            author(b"From: asha@riverside.example <mallory@evil.example>\r\n"), Fault.AUTHOR_UNCLEAR),
        "a route": Forgery(author(b"From: <@evil.example:asha@riverside.example>\r\n"), Fault.AUTHOR_UNCLEAR),
        "a group": Forgery(author(b"From: x: asha@riverside.example;\r\n"), Fault.AUTHOR_UNCLEAR),
        "no From": Forgery(author(b""), Fault.AUTHOR_UNCLEAR),
        "From with a space before the colon": Forgery(
            author(mallory.replace(b"From:", b"From :") + asha), Fault.STRUCTURE),
        "somebody else as Sender": Forgery(author(asha + b"Sender: mallory@evil.example\r\n"), Fault.NOT_THE_AUTHOR),
        "letters that look alike in the address": Forgery(
            author("From: Asha Patel <\u0430sha@riverside.example>\r\n".encode()), Fault.AUTHOR_UNCLEAR),
        "a hidden letter in the name": Forgery(
            author("From: Asha\u202e Patel <asha@riverside.example>\r\n".encode()), Fault.AUTHOR_UNCLEAR),
        "two subjects": Forgery(author(asha + b"Subject: terrible\r\n"), Fault.STRUCTURE),
        "a line end of another kind": Forgery(
            detached(cms(bare := ENTITY.replace(b"normal.\r\n", b"normal.\n")), bare), Fault.STRUCTURE),
        "a zero byte": Forgery(detached(cms(zero := ENTITY + b"\0"), zero), Fault.STRUCTURE),
        "a text that is fetched from elsewhere": Forgery(
            detached(cms(away := b"Content-Type: message/external-body; access-type=url; url=x\r\n\r\n\r\n"), away),
            Fault.STRUCTURE),
        "parts inside that programs take apart differently": Forgery(
            detached(cms(odd := b"Content-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\none\r\n--ii\r\n\r\ntwo\r\n--i--\r\n"), odd),
            Fault.STRUCTURE),
        "the same inside an opaque signature": Forgery(
            opaque(signed_data([signer_info(odd, CERTIFICATE, KEY)], CHAIN, content=odd)), Fault.STRUCTURE),
    }  # fmt: skip


FORGERIES = _shapes_of_cms() | _shapes_of_trust() | _shapes_of_mail()


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_shape_is_never_shown_as_signed(name: str) -> None:
    forgery = FORGERIES[name]
    signature = judged(forgery.raw, forgery.trust)
    state = SignatureState.NONE if forgery.fault is None else SignatureState.NOT_VALID
    assert (signature.state, signature.fault, signature.signer) == (state, forgery.fault, None)


def test_there_are_more_forged_shapes_than_those_that_were_published() -> None:
    assert len(FORGERIES) >= 59


def test_no_single_changed_byte_of_the_text_or_the_signature_goes_unnoticed() -> None:
    good = cms()
    raw = detached(good)
    start = raw.index(b"--b1\r\n") + 6
    for at in range(start, start + len(ENTITY)):
        assert judged(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]).state is not SignatureState.VALID, at
    signer = der.read(good).children[1].children[0].children[-1].children[0]
    for part in (signer.children[3], signer.children[5]):  # what was signed of the text, and the signature
        start = good.index(part.raw)
        for at in range(start, start + len(part.raw)):
            changed = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
            assert judged(detached(changed)).state is not SignatureState.VALID, at


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_no_bytes_break_the_reader_of_signatures(data: bytes) -> None:
    assert judged(detached(data)).state is SignatureState.NOT_VALID
    good = cms()
    cut = len(data) % len(good)
    assert judged(detached(good[:cut] + data + good[cut + 1 :])).state in set(SignatureState)


@pytest.mark.parametrize(
    "data",
    [
        b"\x30\x80" * 50_000,
        b"\x30\x84\xff\xff\xff\xff",
        b"\x24\x80" * 40 + b"\0\0" * 40,
        b"\x30\x00" * 30_000,
        b"\x1f\x81\x00",
        b"\x30",
    ],
)
def test_hostile_lengths_and_depths_are_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        der.read(data)


def test_what_der_writes_it_reads() -> None:
    whole = der.sequence(
        der.integer(0),
        der.integer(128),
        der.integer(2**200),
        oid("2.16.840.1.101.3.4.1.46"),
        write(OCTETS, b"x" * 70_000),
    )
    element = der.read(whole)
    assert [child.raw for child in element.children][3] == bytes.fromhex("060960864801650304012e")
    assert int.from_bytes(element.children[1].body, "big", signed=True) == 128
    assert element.children[4].octets == b"x" * 70_000


# --- signing what we send ---------------------------------------------------------------------------------------------


def test_we_do_not_sign_for_another_address_or_what_would_not_arrive_as_it_is() -> None:
    with pytest.raises(NotPossible, match="not for the address"):
        sign(PLAIN, OF_MALLORY, OTHER_KEY, salt="x")
    with pytest.raises(NotPossible, match="seven bits"):
        sign(HEAD + "Content-Type: text/plain; charset=utf-8\r\n\r\nZoë\r\n".encode(), CERTIFICATE, KEY, salt="x")
    with pytest.raises(NotPossible, match="clearly"):
        sign(PLAIN.replace(b"From:", b"From: a@b.example\r\nFrom:"), CERTIFICATE, KEY, salt="x")


# --- envelopes --------------------------------------------------------------------------------------------------------

READER_KEY = rsa_key(2)
READER = ISSUING.vouch("pat@trust.example", READER_KEY, name="Pat")
ANOTHER = ISSUING.vouch("sam@trust.example", rsa_key(3), name="Sam")


def sealed(raw: bytes = PLAIN, method: Method = Method.GCM) -> bytes:
    return encrypt(raw, [ANOTHER, READER], at=AT, chance=os.urandom, method=method)


@pytest.mark.parametrize("method", Method)
def test_each_recipient_opens_what_was_encrypted_and_nobody_reads_it_on_the_way(method: Method) -> None:
    raw = sealed(method=method)
    assert b"normal" not in raw
    assert is_encrypted(parse(raw))
    assert judged(raw).state is SignatureState.NONE
    for certificate, key in ((READER, READER_KEY), (ANOTHER, rsa_key(3))):
        opened = open_message(parse(raw), certificate, key)
        assert isinstance(opened, Opened)
        assert opened.authenticated is (method is Method.GCM)
        assert parse(opened.content).text(parse(opened.content).root) == "The results are normal.\r\n"


def test_what_was_signed_and_then_encrypted_is_still_signed() -> None:
    signed = sign(PLAIN, CERTIFICATE, KEY, chain=[ISSUING.certificate], salt="x")
    opened = open_message(parse(sealed(signed)), READER, READER_KEY)
    assert isinstance(opened, Opened)
    assert judged(opened.content).state is SignatureState.VALID


def test_somebody_else_cannot_open_it() -> None:
    assert open_message(parse(sealed()), CERTIFICATE, READER_KEY) is NotOpened.NOT_FOR_US
    assert open_message(parse(sealed()), READER, rsa_key(4)) is NotOpened.CHANGED
    assert open_message(parse(sealed()), READER, KEY) is NotOpened.UNSUPPORTED


def test_an_envelope_that_was_bent_is_not_opened() -> None:
    raw = bytearray(sealed())
    body = raw.index(b"\r\n\r\n") + 4
    inner = base64.decodebytes(bytes(raw[body:]))
    for at in range(len(inner) - 60, len(inner)):
        bent = inner[:at] + bytes([inner[at] ^ 1]) + inner[at + 1 :]
        assert isinstance(open_message(parse(bytes(raw[:body]) + forged.encoded(bent)), READER, READER_KEY), NotOpened)


def test_an_envelope_that_is_only_part_of_a_message_is_not_opened_for_reading() -> None:
    part = sealed().partition(b"MIME-Version: 1.0\r\n")[2]
    around = (
        HEAD
        + b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: text/html\r\n\r\n<img src='x\r\n--o\r\n"
    )
    inner = part[part.index(b"Content-Type: application/pkcs7-mime") :]
    raw = around + inner + b"\r\n--o--\r\n"
    assert not is_encrypted(parse(raw))
    assert open_message(parse(raw), READER, READER_KEY) is NotOpened.MALFORMED


@pytest.mark.parametrize(
    "unusable",
    [
        lambda: ISSUING.vouch("a@b.example", rsa_key(2), until=AT - YEAR / 2),
        lambda: ISSUING.vouch("a@b.example", rsa_key(2), uses=(ExtendedKeyUsageOID.SERVER_AUTH,)),
        lambda: ISSUING.vouch("a@b.example", KEY),
    ],
)
def test_a_certificate_that_cannot_be_used_is_refused_before_anything_is_sealed(unusable: Callable[[], object]) -> None:
    with pytest.raises(NotPossible):
        encrypt(PLAIN, [unusable()], at=AT, chance=os.urandom)  # type: ignore[list-item]
    with pytest.raises(NotPossible):
        encrypt(PLAIN, [], at=AT, chance=os.urandom)


# --- beside another program -------------------------------------------------------------------------------------------


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to compare with")
class TestBesideOpenssl:
    def files(self, folder: Path) -> None:
        for name, key, certificate in (
            ("rsa", rsa_key(1), ISSUING.vouch(ASHA, rsa_key(1))),
            ("reader", READER_KEY, READER),
        ):
            private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            (folder / f"{name}.pem").write_bytes(private + certificate.public_bytes(Encoding.PEM))
        (folder / "root.pem").write_bytes(ROOT.certificate.public_bytes(Encoding.PEM))
        (folder / "issuing.pem").write_bytes(ISSUING.certificate.public_bytes(Encoding.PEM))

    def run(self, folder: Path, *words: str) -> bytes:
        return subprocess.run(
            ["openssl", "cms", *words], cwd=folder, check=True, capture_output=True, timeout=180
        ).stdout

    @pytest.mark.parametrize(
        "how",
        [["-md", "sha256"], ["-md", "sha512", "-keyid"], ["-nodetach"], ["-nodetach", "-stream", "-indef"],
         ["-md", "sha384", "-keyopt", "rsa_padding_mode:pss"]],
        ids=["usual", "by the key's name", "opaque", "in pieces", "PSS"],
    )  # fmt: skip
    def test_we_believe_what_it_signs(self, tmp_path: Path, how: list[str]) -> None:
        self.files(tmp_path)
        (tmp_path / "in").write_bytes(ENTITY)
        keyopt = how[how.index("-keyopt") :] if "-keyopt" in how else []
        rest = how[: how.index("-keyopt")] if keyopt else how
        words = [
            "-sign",
            "-binary",
            "-crlfeol",
            "-in",
            "in",
            "-signer",
            "rsa.pem",
            *keyopt,
            "-certfile",
            "issuing.pem",
            *rest,
        ]
        raw = self.run(tmp_path, *words)
        raw = HEAD.replace(b"MIME-Version: 1.0\r\n", b"") + raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        signature = judged(raw)
        assert (signature.state, signature.fault) == (SignatureState.VALID, None)

    def test_it_believes_what_we_sign(self, tmp_path: Path) -> None:
        self.files(tmp_path)
        certificate = ISSUING.vouch(ASHA, rsa_key(1))
        (tmp_path / "in").write_bytes(sign(PLAIN, certificate, rsa_key(1), chain=[ISSUING.certificate], salt="x"))
        at = str(int(AT.timestamp()))
        self.run(tmp_path, "-verify", "-in", "in", "-CAfile", "root.pem", "-purpose", "smimesign", "-attime", at)

    @pytest.mark.parametrize("method", Method)
    def test_it_opens_what_we_encrypt(self, tmp_path: Path, method: Method) -> None:
        self.files(tmp_path)
        (tmp_path / "in").write_bytes(sealed(method=method))
        out = self.run(tmp_path, "-decrypt", "-in", "in", "-inkey", "reader.pem", "-recip", "reader.pem")
        assert b"The results are normal." in out

    @pytest.mark.parametrize(
        "how",
        [["-aes-256-cbc"], ["-aes-128-cbc"], ["-aes-256-gcm"], ["-aes-128-gcm", "-keyopt", "rsa_padding_mode:oaep"]],
    )
    def test_we_open_what_it_encrypts(self, tmp_path: Path, how: list[str]) -> None:
        self.files(tmp_path)
        (tmp_path / "in").write_bytes(ENTITY)
        raw = self.run(tmp_path, "-encrypt", "-binary", "-in", "in", how[0], "-recip", "reader.pem", *how[1:])
        raw = HEAD.replace(b"MIME-Version: 1.0\r\n", b"") + raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        opened = open_message(parse(raw), READER, READER_KEY)
        assert isinstance(opened, Opened)
        assert opened.content.endswith(ENTITY)
        assert opened.authenticated is ("gcm" in how[0])
