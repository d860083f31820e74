"""TLSA records against certificates. RFC 7672 §3."""

import hashlib

import pytest
from tests.fakes.certificates import AT, Authority, Issued

from carepost.mailauth.dane import Tlsa, Usage, check, usable

ROOT = Authority.make("Root")
MIDDLE = Authority.make("Middle", by=ROOT)
HOST = MIDDLE.issue("mx.trust.example")
OTHER = MIDDLE.issue("mx.elsewhere.example")
EXPIRED = MIDDLE.issue("mx.trust.example", days=-1)
NOBODY = Authority.make("No authority at all", by=ROOT, ca=False)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def ask(*records: Tlsa, chain: Issued = HOST, names: tuple[str, ...] = ("mx.trust.example",)) -> Usage | None:
    return check(records, chain.chain, names=names, at=AT)


EE = {
    "3 0 0": Tlsa(3, 0, 0, HOST.der),
    "3 0 1": Tlsa(3, 0, 1, sha256(HOST.der)),
    "3 0 2": Tlsa(3, 0, 2, hashlib.sha512(HOST.der).digest()),
    "3 1 0": Tlsa(3, 1, 0, HOST.public),
    "3 1 1": Tlsa(3, 1, 1, sha256(HOST.public)),
    "3 1 2": Tlsa(3, 1, 2, hashlib.sha512(HOST.public).digest()),
}
TA = {
    "2 0 1": Tlsa(2, 0, 1, sha256(ROOT.issued.der)),
    "2 1 1": Tlsa(2, 1, 1, sha256(ROOT.issued.public)),
    "2 1 1 middle": Tlsa(2, 1, 1, sha256(MIDDLE.issued.public)),
    "2 0 0": Tlsa(2, 0, 0, ROOT.issued.der),
    "2 1 2": Tlsa(2, 1, 2, hashlib.sha512(ROOT.issued.public).digest()),
}


@pytest.mark.parametrize("record", EE.values(), ids=list(EE))
def test_usage_3_is_the_match_and_nothing_else(record: Tlsa) -> None:
    assert ask(record) is Usage.DANE_EE
    assert ask(record, names=("a.name.that.does.not.fit",)) is Usage.DANE_EE
    assert ask(record, chain=OTHER) is None


def test_usage_3_does_not_mind_a_certificate_that_has_run_out() -> None:
    assert ask(Tlsa(3, 1, 1, sha256(EXPIRED.public)), chain=EXPIRED) is Usage.DANE_EE


@pytest.mark.parametrize("record", TA.values(), ids=list(TA))
def test_usage_2_wants_a_whole_path_and_the_name(record: Tlsa) -> None:
    assert ask(record) is Usage.DANE_TA
    assert ask(record, names=("trust.example", "mx.trust.example")) is Usage.DANE_TA
    assert ask(record, names=("mx.elsewhere.example",)) is None
    assert ask(record, chain=OTHER) is None
    assert ask(record, chain=EXPIRED) is None


def test_an_authority_whose_certificate_is_shown_but_did_not_sign_is_no_proof() -> None:
    forged = Authority.make("Middle").issue("mx.trust.example")
    shown = Issued(forged.certificate, forged.key, [MIDDLE.issued.certificate, ROOT.issued.certificate])
    assert ask(TA["2 1 1"], chain=shown) is None
    assert ask(TA["2 0 0"], chain=shown) is None


def test_a_certificate_that_may_not_sign_others_is_no_authority() -> None:
    leaf = NOBODY.issue("mx.trust.example")
    assert ask(TA["2 1 1"], chain=leaf) is None
    assert ask(Tlsa(2, 1, 1, sha256(NOBODY.issued.public)), chain=leaf) is None


def test_usage_2_of_the_hosts_own_certificate_is_not_an_authority() -> None:
    assert ask(Tlsa(2, 1, 1, sha256(HOST.public))) is None


def test_during_a_roll_over_either_record_will_do() -> None:
    old, new = Tlsa(3, 1, 1, b"\x00" * 32), EE["3 1 1"]
    assert ask(old, new) is Usage.DANE_EE
    assert ask(old) is None


@pytest.mark.parametrize(
    "record",
    [
        Tlsa(0, 1, 1, sha256(HOST.public)),
        Tlsa(1, 1, 1, sha256(HOST.public)),
        Tlsa(3, 2, 1, sha256(HOST.public)),
        Tlsa(3, 1, 3, sha256(HOST.public)),
        Tlsa(3, 1, 1, sha256(HOST.public)[:31]),
        Tlsa(3, 1, 2, sha256(HOST.public)),
        Tlsa(255, 1, 1, sha256(HOST.public)),
        Tlsa(3, 1, 0, b""),
    ],
    ids=lambda record: f"{record.usage} {record.selector} {record.matching}",
)
def test_what_cannot_be_checked_is_not_usable(record: Tlsa) -> None:
    assert not record.is_usable
    assert ask(record) is None


def test_rubbish_instead_of_a_certificate_matches_nothing_and_raises_nothing() -> None:
    for chain in ([], [b""], [b"\x30\x03\x02\x01\x00"], [HOST.der[:-7], *HOST.chain[1:]], [HOST.der, b"rubbish"]):
        assert check([EE["3 1 1"]], chain[:1] if chain and chain[0] != HOST.der else chain[1:], names=(), at=AT) is None
        assert check([TA["2 0 0"]], [b"rubbish", *chain], names=("mx.trust.example",), at=AT) is None
    assert check([Tlsa(2, 0, 0, b"rubbish")], HOST.chain, names=("mx.trust.example",), at=AT) is None


def test_only_so_many_records_are_looked_at() -> None:
    assert len(usable([Tlsa(3, 1, 1, bytes([n]) * 32) for n in range(200)])) == 32
