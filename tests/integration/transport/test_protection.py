"""Nothing leaves with less protection than it must have: certificates, DANE, MTA-STS, and what stands on the wire. P5."""

import hashlib
import ssl
import warnings
from pathlib import Path

import pytest
from tests.fakes.certificates import Issued
from tests.fakes.outside_mail import OFFERS, Script, outside_mail, server_tls, tap
from tests.fakes.sending_world import (
    LOOPBACK,
    RAW,
    good_tls,
    real_authority,
    sending,
    strange_authority,
    strange_tls,
    table,
)

from carepost.delivery.model import LeastTls, Outcome, SendResult, VerifiedBy
from carepost.mailauth.dane import Tlsa
from carepost.mailauth.resolver import FakeResolver
from carepost.mailauth.tls_report import FailureKind

DELIVERED, FAILED, LATER, INDETERMINATE = Outcome
PROTECTED = [LeastTls.ENCRYPTED, LeastTls.VERIFIED]
# What must never be seen on the wire outside TLS.
CANARIES = (b"943 476 5919", b"Dear Jo", b"About NHS", b"jo@trust", b"ann@care", b"MAIL FROM", b"RCPT TO")


def the_only(result: SendResult) -> tuple[Outcome, bool]:
    (one,) = result.results
    return one.outcome, one.tls_missing


def in_clear(octets: bytes) -> list[bytes]:
    return [canary for canary in CANARIES if canary in octets]


WAITS = (LATER, True)

WRONG = {
    "expired": lambda: real_authority().issue("mx1.trust.example", days=-1),
    "another name": lambda: real_authority().issue("mx.elsewhere.example"),
    "an authority nobody knows": lambda: strange_authority().issue("mx1.trust.example"),
    "the domain's neighbour": lambda: real_authority().issue("trust.example.evil.example"),
}
KINDS = {
    "expired": FailureKind.CERTIFICATE_EXPIRED,
    "another name": FailureKind.CERTIFICATE_HOST_MISMATCH,
    "an authority nobody knows": FailureKind.CERTIFICATE_NOT_TRUSTED,
    "the domain's neighbour": FailureKind.CERTIFICATE_HOST_MISMATCH,
}


@pytest.mark.parametrize("what", list(WRONG))
async def test_with_a_wrong_certificate_it_waits_and_nothing_is_in_clear_on_the_wire(tmp_path: Path, what: str) -> None:
    context = server_tls(WRONG[what](), tmp_path, "wrong")
    async with outside_mail(Script(tls=context)) as host, tap(host.address) as wire:
        world = sending(host, tmp_path=tmp_path, connect_to=(LOOPBACK, wire.address[1]))
        result = await world.send(least=LeastTls.VERIFIED)
        assert the_only(result) == WAITS
        assert "could not be protected" in result.results[0].says
        assert result.results[0].enhanced == "4.7.5"
        assert host.taken == []
        assert host.connections == 1
        assert b"STARTTLS" in wire.octets
        assert in_clear(wire.octets) == []
        assert world.counted.notes == [("mx1.trust.example", KINDS[what])]


async def test_the_tap_would_have_seen_it(tmp_path: Path) -> None:
    async with outside_mail(Script(tls=None)) as host, tap(host.address) as wire:
        result = await sending(host, tmp_path=tmp_path, connect_to=(LOOPBACK, wire.address[1])).send()
        assert the_only(result) == (DELIVERED, False)
        assert in_clear(wire.octets) == list(CANARIES)


async def test_with_the_right_certificate_it_leaves_verified_and_nothing_is_in_clear_on_the_wire(
    tmp_path: Path,
) -> None:
    async with outside_mail(Script(tls=good_tls(tmp_path))) as host, tap(host.address) as wire:
        world = sending(host, tmp_path=tmp_path, connect_to=(LOOPBACK, wire.address[1]))
        result = await world.send(least=LeastTls.VERIFIED)
        assert the_only(result) == (DELIVERED, False)
        assert result.evidence is not None
        assert result.evidence.verified_by is VerifiedBy.PKIX
        assert result.evidence.tls_version in ("TLSv1.2", "TLSv1.3")
        assert host.taken[0].content == RAW
        assert in_clear(wire.octets) == []
        assert world.counted.notes == [("mx1.trust.example", None)]


NO_TLS = {
    "not offered": Script(),
    "refused": Script(answers={"STARTTLS": b"454 4.7.0 not now\r\n"}, rubbish_for_tls=b"x"),
    "refused for good": Script(answers={"STARTTLS": b"501 5.5.1 what?\r\n"}, rubbish_for_tls=b"x"),
    "rubbish": Script(rubbish_for_tls=b"this is not TLS, send it in clear please\r\n"),
    "an alert": Script(rubbish_for_tls=b"\x15\x03\x03\x00\x02\x02\x28"),
    "hung up": Script(rubbish_for_tls=b"", drop_at=frozenset({"STARTTLS"}), offers=(*OFFERS, "STARTTLS")),
}


@pytest.mark.parametrize("least", PROTECTED)
@pytest.mark.parametrize("how", list(NO_TLS))
async def test_without_tls_it_waits_when_it_must_be_protected(tmp_path: Path, how: str, least: LeastTls) -> None:
    async with outside_mail(NO_TLS[how]) as host, tap(host.address) as wire:
        result = await sending(host, tmp_path=tmp_path, connect_to=(LOOPBACK, wire.address[1])).send(least=least)
        assert result.results[0].outcome is LATER
        assert result.results[0].tls_missing or how == "hung up"
        assert host.taken == []
        assert in_clear(wire.octets) == []


@pytest.mark.parametrize("how", ["not offered", "refused", "refused for good", "rubbish", "an alert"])
async def test_what_is_not_sensitive_goes_in_clear_where_tls_is_not_to_be_had(tmp_path: Path, how: str) -> None:
    async with outside_mail(NO_TLS[how]) as host:
        world = sending(host, tmp_path=tmp_path)
        result = await world.send()
        assert the_only(result) == (DELIVERED, False)
        assert result.evidence is not None
        assert (result.evidence.tls_version, result.evidence.verified_by) == ("", VerifiedBy.NOTHING)
        # After a handshake that failed, on a fresh connection; nothing is said where TLS was begun.
        assert host.connections == (2 if how in ("rubbish", "an alert") else 1)
        assert world.counted.notes[0][1] is not None


async def test_a_host_that_wants_tls_first_and_cannot_do_it_makes_the_message_wait(tmp_path: Path) -> None:
    script = Script(rubbish_for_tls=b"nonsense", answers={"MAIL": b"530 5.7.0 Must issue a STARTTLS command first\r\n"})
    async with outside_mail(script) as host:
        assert the_only(await sending(host, tmp_path=tmp_path).send()) == WAITS


@pytest.mark.parametrize("least", [LeastTls.OPPORTUNISTIC, *PROTECTED])
async def test_answers_slipped_in_before_tls_do_not_count_inside_it(tmp_path: Path, least: LeastTls) -> None:
    """The clear octets name extensions that are not there; believed, the commands would be others. CVE-2011-0411."""
    script = Script(
        tls=good_tls(tmp_path),
        offers=("PIPELINING",),
        offers_in_tls=("SIZE 1000000",),
        behind_starttls=b"250-outside\r\n250-CHUNKING\r\n250-REQUIRETLS\r\n250 DSN\r\n",
    )
    async with outside_mail(script) as host:
        result = await sending(host, tmp_path=tmp_path).send(least=least)
    assert the_only(result) == (DELIVERED, False)
    assert host.taken[0].verb == "DATA"
    assert host.taken[0].tls is not None
    assert [(tls, line.split(" ")[0]) for tls, line in host.lines][:3] == [
        (False, "EHLO"),
        (False, "STARTTLS"),
        (True, "EHLO"),
    ]


async def test_offers_made_in_clear_are_forgotten_inside_tls(tmp_path: Path) -> None:
    script = Script(tls=good_tls(tmp_path), offers=(*OFFERS, "CHUNKING", "REQUIRETLS"), offers_in_tls=("8BITMIME",))
    async with outside_mail(script) as host:
        await sending(host, tmp_path=tmp_path).send("jo@trust.example", "al@trust.example")
    assert host.taken[0].verb == "DATA"
    assert host.taken[0].mail == "MAIL FROM:<ann@care.example>"


async def test_an_answer_ahead_of_starttls_is_not_believed(tmp_path: Path) -> None:
    """EHLO answered twice: the second answer would pass for the one to STARTTLS."""
    ehlo = b"250-outside\r\n250 STARTTLS\r\n220 go\r\n"
    async with outside_mail(Script(tls=good_tls(tmp_path), answers={"EHLO": ehlo})) as host:
        result = await sending(host, tmp_path=tmp_path).send(least=LeastTls.VERIFIED)
    assert result.results[0].outcome is LATER
    assert host.said("MAIL") == []


async def test_a_second_host_with_a_good_certificate_takes_what_the_first_may_not_have(tmp_path: Path) -> None:
    good = good_tls(tmp_path, "mx2.trust.example")
    async with (
        outside_mail(Script(tls=strange_tls(tmp_path))) as first,
        outside_mail(Script(tls=good), ip="127.0.0.2", port=first.address[1]) as second,
    ):
        result = await sending(first, second, tmp_path=tmp_path).send(least=LeastTls.VERIFIED)
    assert the_only(result) == (DELIVERED, False)
    assert (first.taken, len(second.taken)) == ([], 1)


# -- DANE


def tlsa(issued: Issued, usage: int = 3) -> Tlsa:
    return Tlsa(usage, 1, 1, hashlib.sha256(issued.public).digest())


SIGNED = ("trust.example", "mx1.trust.example", "_25._tcp.mx1.trust.example")
NOBODY = Tlsa(3, 1, 1, b"\0" * 32)


def signed_table(
    place: tuple[str, int], *records: Tlsa, signed: tuple[str, ...] | None = None, **more: object
) -> FakeResolver:
    at = f"_{place[1]}._tcp.mx1.trust.example"
    names = {*(SIGNED if signed is None else signed), at} if signed is None or SIGNED[2] in signed else set(signed)
    return table([place], tlsa={at: records} if records else {}, dnssec=names, **more)


async def test_dane_knows_a_certificate_by_its_key_whatever_name_and_date_it_has(tmp_path: Path) -> None:
    issued = strange_authority().issue("some.name.example", days=-1)
    async with outside_mail(Script(tls=server_tls(issued, tmp_path, "dane"))) as host:
        world = sending(host, resolver=signed_table(host.address, tlsa(issued)), tmp_path=tmp_path)
        for least in LeastTls:
            result = await world.send(least=least)
            assert the_only(result) == (DELIVERED, False)
            assert result.evidence is not None
            assert result.evidence.verified_by is VerifiedBy.DANE_EE


async def test_dane_knows_an_authority_with_a_whole_path_and_the_name(tmp_path: Path) -> None:
    private = strange_authority()
    record = tlsa(private.issued, usage=2)
    async with outside_mail(Script(tls=server_tls(private.issue("mx1.trust.example"), tmp_path, "ta"))) as host:
        result = await sending(host, resolver=signed_table(host.address, record), tmp_path=tmp_path).send()
        assert result.evidence is not None
        assert result.evidence.verified_by is VerifiedBy.DANE_TA
    async with outside_mail(Script(tls=server_tls(private.issue("mx9.evil.example"), tmp_path, "ta2"))) as host:
        world = sending(host, resolver=signed_table(host.address, record), tmp_path=tmp_path)
        assert the_only(await world.send()) == WAITS
        assert world.counted.notes == [("mx1.trust.example", FailureKind.TLSA_INVALID)]


async def test_a_certificate_that_the_records_do_not_name_gets_nothing_though_the_webs_authorities_vouch(
    tmp_path: Path,
) -> None:
    async with outside_mail(Script(tls=good_tls(tmp_path))) as host, tap(host.address) as wire:
        world = sending(
            host,
            resolver=signed_table(host.address, NOBODY),
            tmp_path=tmp_path,
            connect_to=(LOOPBACK, wire.address[1]),
        )
        for least in LeastTls:
            assert the_only(await world.send(least=least)) == WAITS
        assert in_clear(wire.octets) == []
        assert host.taken == []


async def test_during_a_roll_over_of_keys_either_record_counts(tmp_path: Path) -> None:
    issued = strange_authority().issue("mx1.trust.example")
    async with outside_mail(Script(tls=server_tls(issued, tmp_path, "roll"))) as host:
        world = sending(host, resolver=signed_table(host.address, NOBODY, tlsa(issued)), tmp_path=tmp_path)
        assert the_only(await world.send()) == (DELIVERED, False)


async def test_records_that_cannot_be_checked_ask_for_tls_and_no_more(tmp_path: Path) -> None:
    record = Tlsa(1, 1, 1, b"\0" * 32)
    async with outside_mail(Script(tls=strange_tls(tmp_path))) as host:
        result = await sending(host, resolver=signed_table(host.address, record), tmp_path=tmp_path).send()
        assert the_only(result) == (DELIVERED, False)
        assert result.evidence is not None
        assert result.evidence.verified_by is VerifiedBy.NOTHING
    async with outside_mail(Script()) as host:
        result = await sending(host, resolver=signed_table(host.address, record), tmp_path=tmp_path).send()
        assert the_only(result) == WAITS


async def test_signed_records_that_somebody_hides_stop_the_message(tmp_path: Path) -> None:
    async with outside_mail(Script(tls=good_tls(tmp_path))) as host:
        hidden = {("tlsa", f"_{host.address[1]}._tcp.mx1.trust.example")}
        world = sending(host, resolver=signed_table(host.address, fails=hidden), tmp_path=tmp_path)
        assert the_only(await world.send()) == WAITS
        assert world.counted.notes == [("mx1.trust.example", FailureKind.DNSSEC_INVALID)]
        assert host.connections == 0


async def test_records_that_nobody_signed_do_not_count(tmp_path: Path) -> None:
    async with outside_mail(Script(tls=good_tls(tmp_path))) as host:
        for signed in (
            (),
            SIGNED[1:],
            ("mx1.trust.example",),
            ("trust.example", "mx1.trust.example"),
            ("trust.example",),
        ):
            resolver = signed_table(host.address, NOBODY, signed=signed)
            result = await sending(host, resolver=resolver, tmp_path=tmp_path).send(least=LeastTls.VERIFIED)
            assert result.evidence is not None
            assert result.evidence.verified_by is VerifiedBy.PKIX
            unproved = await sending(host, resolver=resolver, tmp_path=tmp_path).send(least=LeastTls.DANE)
            assert the_only(unproved) == WAITS


async def test_the_records_may_stand_behind_a_signed_alias(tmp_path: Path) -> None:
    issued = strange_authority().issue("mx1.trust.example")
    async with outside_mail(Script(tls=server_tls(issued, tmp_path, "alias"))) as host:
        real = f"_{host.address[1]}._tcp.real.example"
        resolver = FakeResolver(
            mx={"trust.example": [(10, "mx1.trust.example")]},
            cname={"mx1.trust.example": "real.example"},
            a={"real.example": ["127.0.0.1"]},
            tlsa={real: [tlsa(issued)]},
            dnssec={"trust.example", "mx1.trust.example", "real.example", real},
        )
        result = await sending(host, resolver=resolver, tmp_path=tmp_path).send()
        assert result.evidence is not None
        assert result.evidence.verified_by is VerifiedBy.DANE_EE


# -- MTA-STS


def policy(mode: str, *mx: str) -> bytes:
    lines = [
        "version: STSv1",
        f"mode: {mode}",
        *(f"mx: {one}" for one in mx or ("mx1.trust.example",)),
        "max_age: 86400",
    ]
    return "\r\n".join(lines).encode()


ANNOUNCED = {"_mta-sts.trust.example": ["v=STSv1; id=1"]}


async def test_an_enforced_policy_is_kept_to(tmp_path: Path) -> None:
    async with outside_mail(Script(tls=good_tls(tmp_path))) as host:
        resolver = table([host.address], txt=ANNOUNCED)
        enforced = {"trust.example": policy("enforce")}
        result = await sending(host, resolver=resolver, policies=enforced, tmp_path=tmp_path).send()
        assert result.evidence is not None
        assert result.evidence.verified_by is VerifiedBy.MTA_STS
        others = {"trust.example": policy("enforce", "*.elsewhere.example")}
        world = sending(host, resolver=resolver, policies=others, tmp_path=tmp_path)
        assert the_only(await world.send()) == WAITS
        assert world.counted.notes == [("mx1.trust.example", FailureKind.VALIDATION_FAILURE)]
    for script in (Script(), Script(tls=strange_tls(tmp_path))):
        async with outside_mail(script) as host:
            resolver = table([host.address], txt=ANNOUNCED)
            world = sending(host, resolver=resolver, policies=enforced, tmp_path=tmp_path)
            assert the_only(await world.send()) == WAITS
            assert host.taken == []


@pytest.mark.parametrize("mx", ["mx1.trust.example", "mx.elsewhere.example"])
async def test_a_policy_that_is_being_tested_is_reported_on_and_stops_nothing(tmp_path: Path, mx: str) -> None:
    async with outside_mail(Script(tls=strange_tls(tmp_path))) as host:
        resolver = table([host.address], txt=ANNOUNCED)
        world = sending(host, resolver=resolver, policies={"trust.example": policy("testing", mx)}, tmp_path=tmp_path)
        result = await world.send()
    assert the_only(result) == (DELIVERED, False)
    assert host.taken[0].tls is not None
    assert world.counted.notes[0][1] in (FailureKind.CERTIFICATE_NOT_TRUSTED, FailureKind.VALIDATION_FAILURE)


@pytest.mark.parametrize("problem", [FailureKind.STS_POLICY_FETCH_ERROR, FailureKind.STS_WEBPKI_INVALID])
async def test_a_policy_that_cannot_be_had_is_reported_and_stops_nothing(tmp_path: Path, problem: FailureKind) -> None:
    async with outside_mail(Script(tls=strange_tls(tmp_path))) as host:
        resolver = table([host.address], txt=ANNOUNCED)
        world = sending(host, resolver=resolver, policies={"trust.example": problem}, tmp_path=tmp_path)
        assert the_only(await world.send()) == (DELIVERED, False)
        assert world.counted.notes == [("mx1.trust.example", problem), ("mx1.trust.example", None)]
        assert the_only(await world.send(least=LeastTls.VERIFIED)) == WAITS


async def test_dane_goes_before_mta_sts(tmp_path: Path) -> None:
    issued = strange_authority().issue("mx1.trust.example")
    async with outside_mail(Script(tls=server_tls(issued, tmp_path, "both"))) as host:
        resolver = signed_table(host.address, tlsa(issued), txt=ANNOUNCED)
        named_elsewhere = {"trust.example": policy("enforce", "*.elsewhere.example")}
        result = await sending(host, resolver=resolver, policies=named_elsewhere, tmp_path=tmp_path).send()
        assert the_only(result) == (DELIVERED, False)
        resolver = signed_table(host.address, NOBODY, txt=ANNOUNCED)
        world = sending(host, resolver=resolver, policies={"trust.example": policy("enforce")}, tmp_path=tmp_path)
        assert the_only(await world.send()) == WAITS


# -- REQUIRETLS


async def test_requiretls_is_passed_on_to_a_proved_host_over_verified_tls_and_otherwise_goes_back(
    tmp_path: Path,
) -> None:
    offers = (*OFFERS, "REQUIRETLS")
    async with outside_mail(Script(tls=good_tls(tmp_path), offers=offers)) as host:
        proved = table([host.address], dnssec={"trust.example"})
        result = await sending(host, resolver=proved, tmp_path=tmp_path).send(require_tls=True)
        assert the_only(result) == (DELIVERED, False)
        assert host.taken[0].mail.endswith(" REQUIRETLS")
        result = await sending(host, tmp_path=tmp_path).send(require_tls=True)
        assert (result.results[0].outcome, result.results[0].enhanced) == (FAILED, "5.7.30")
    async with outside_mail(Script(tls=strange_tls(tmp_path), offers=offers)) as host:
        proved = table([host.address], dnssec={"trust.example"})
        assert the_only(await sending(host, resolver=proved, tmp_path=tmp_path).send(require_tls=True)) == WAITS
        assert host.taken == []


async def test_tls_of_long_ago_is_no_tls(tmp_path: Path) -> None:
    context = good_tls(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with outside_mail(Script(tls=context)) as host:
        assert the_only(await sending(host, tmp_path=tmp_path).send(least=LeastTls.ENCRYPTED)) == WAITS
