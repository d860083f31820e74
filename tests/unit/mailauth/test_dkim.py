"""DKIM against the RFCs' own examples, against dkimpy in both directions, and against what people try."""

import base64
import re
from datetime import UTC, datetime
from pathlib import Path

import dkim as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.signing_keys import PublishedKey, ed25519_key, rsa_key

from carepost.base.address import Domain
from carepost.mailauth.arc import ArcStatus, verify_arc
from carepost.mailauth.canonical import BodyHashes
from carepost.mailauth.dkim import DkimLimits, DkimResult, DkimStatus, hash_ahead, sign_dkim, verify_dkim
from carepost.mailauth.fields import split_message, with_crlf
from carepost.mailauth.resolver import FakeResolver

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
HERE = Path(__file__).parent

MESSAGE = with_crlf(b"""\
Received: from a by b; Sun, 22 Nov 2026 09:00:00 +0000
From: Ward Seven <ward7@trust.example>
To: "Reception" <reception@practice.example>,
\tsecond@practice.example
Subject: Discharge  summary
Date: Sun, 22 Nov 2026 09:00:00 +0000
Message-ID: <1@trust.example>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Dear colleague,

  The letter   is below.\t
.
Yours


""")


def zone(key: PublishedKey, *, domain: str = "trust.example", selector: str = "s1", extra: str = "") -> FakeResolver:
    return FakeResolver(txt={f"{selector}._domainkey.{domain}": [key.record + extra]})


async def verify(resolver: FakeResolver, raw: bytes, **limits: int) -> list[DkimResult]:
    fields, body = split_message(raw)
    return await verify_dkim(resolver, headers=fields, body=body, now=NOW, limits=DkimLimits(**limits))


async def status(resolver: FakeResolver, raw: bytes) -> DkimStatus:
    (result,) = await verify(resolver, raw)
    return result.status


def signed_by_us(raw: bytes, key: PublishedKey) -> bytes:
    fields, body = split_message(raw)
    return sign_dkim(fields, body, domain=Domain("trust.example"), selector="s1", key=key.private, now=NOW) + raw


def signed_by_dkimpy(raw: bytes, key: PublishedKey, form: str = "relaxed/relaxed", **options: object) -> bytes:
    canonical = tuple(part.encode() for part in form.split("/"))
    field = oracle.sign(raw, b"s1", b"trust.example", key.for_dkimpy, canonicalize=canonical, **options)
    return bytes(field) + raw


# --- the RFCs' own examples


async def test_both_signatures_of_rfc_8463_appendix_a_pass() -> None:
    resolver = FakeResolver(
        txt={
            "brisbane._domainkey.football.example.com": [
                "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
            ],
            "test._domainkey.football.example.com": [
                (
                    "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3id"
                    "Y6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lx"
                    "j+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
                )
            ],
        }
    )
    results = await verify(resolver, with_crlf((HERE / "rfc8463-appendix-a.eml").read_bytes()))
    assert [(r.status, r.algorithm, r.selector) for r in results] == [
        (DkimStatus.PASS, "ed25519-sha256", "brisbane"),
        (DkimStatus.PASS, "rsa-sha256", "test"),
    ]


async def test_the_signature_of_rfc_6376_appendix_a_passes() -> None:
    resolver = FakeResolver(
        txt={
            "brisbane._domainkey.example.com": [
                (
                    "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYt"
                    "IxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhi"
                    "tdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"
                )
            ]
        }
    )
    (result,) = await verify(resolver, with_crlf((HERE / "rfc6376-appendix-a.eml").read_bytes()))
    assert result.status is DkimStatus.PASS, result.reason
    assert result.identity == "joe@football.example.com"


# --- dkimpy, in both directions


@pytest.mark.parametrize("form", ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"])
@pytest.mark.parametrize("key", [rsa_key(), rsa_key(1024)], ids=["rsa2048", "rsa1024"])
@pytest.mark.parametrize("body", [None, b"", b"\r\n", b"\r\n\r\n\r\n", b"no end", b"a \t b  \r\n \r\n\r\n", b" \r\n"])
async def test_what_dkimpy_signs_we_accept(form: str, key: PublishedKey, body: bytes | None) -> None:
    raw = MESSAGE if body is None else MESSAGE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body
    assert await status(zone(key), signed_by_dkimpy(raw, key, form)) is DkimStatus.PASS


@pytest.mark.parametrize("key", [rsa_key(), ed25519_key()], ids=["rsa2048", "ed25519"])
@pytest.mark.parametrize("body", [None, b"", b"\r\n\r\n", b"no end", b"a \t b  \r\n \r\n\r\n"])
async def test_what_we_sign_dkimpy_and_we_accept(key: PublishedKey, body: bytes | None) -> None:
    raw = MESSAGE if body is None else MESSAGE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body
    signed = signed_by_us(raw, key)
    if "ed25519" not in key.record:  # dkimpy needs pynacl for that; RFC 8463's own example stands in
        assert oracle.verify(signed, dnsfunc=lambda name, timeout=5: key.record.encode())  # no deadline
    (result,) = await verify(zone(key), signed)
    assert result.status is DkimStatus.PASS, result.reason
    assert {"from", "to", "subject", "date", "content-type"} <= result.covers
    assert max(map(len, signed.split(b"\r\n"))) < 200
    assert all(len(line) <= 77 for line in signed[: signed.index(b"Received:")].split(b"\r\n"))


# --- what may change, and what may not


@settings(max_examples=150, deadline=None)
@given(at=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7))
async def test_any_flipped_bit_in_what_is_signed_breaks_a_simple_signature(at: int, bit: int) -> None:
    signed = signed_by_dkimpy(MESSAGE, rsa_key(1024), "simple/simple", include_headers=[b"from", b"to", b"subject"])
    _, body = split_message(signed)
    start = signed.index(b"From: ")
    spans = [*range(start, signed.index(b"Date: ")), *range(len(signed) - len(body), len(signed.rstrip()))]
    place = spans[at % len(spans)]
    changed = signed[:place] + bytes([signed[place] ^ 1 << bit]) + signed[place + 1 :]
    assert all(r.status is not DkimStatus.PASS for r in await verify(zone(rsa_key(1024)), changed))


@settings(max_examples=100, deadline=None)
@given(data=st.data())
async def test_any_changed_tag_of_the_signature_breaks_it(data: st.DataObject) -> None:
    signed = signed_by_us(MESSAGE, rsa_key(1024))
    end = signed.index(b"Received:") - 2
    place = data.draw(st.integers(min_value=len(b"DKIM-Signature: "), max_value=end - 1))
    byte = data.draw(st.sampled_from(b"abcXYZ019=;:/+"))
    changed = signed[:place] + bytes([byte]) + signed[place + 1 :]
    results = await verify(zone(rsa_key(1024)), changed)
    # A changed byte that reads the same (the case of a selector, say) is still under the signature and must break it,
    # save in the folding and in the padding bits of base64, which carry nothing.
    same = re.sub(rb"\s", b"", changed[:end]) == re.sub(rb"\s", b"", signed[:end])
    padding = base64_equal(changed[:end], signed[:end])
    assert same or padding or all(r.status is not DkimStatus.PASS for r in results)


def base64_equal(one: bytes, other: bytes) -> bool:
    """Do the two fields differ only in the spelling of the same signature value?"""
    (head_one, _, b_one), (head_other, _, b_other) = (re.sub(rb"\s", b"", f).rpartition(b"b=") for f in (one, other))
    try:
        return head_one == head_other and base64.b64decode(b_one, validate=True) == base64.b64decode(b_other)
    except ValueError:
        return False


async def test_refolding_and_spaces_pass_where_the_form_is_relaxed_and_fail_where_it_is_simple() -> None:
    key = rsa_key()
    for form, wanted in (("relaxed/relaxed", DkimStatus.PASS), ("simple/simple", DkimStatus.FAIL)):
        signed = signed_by_dkimpy(MESSAGE, key, form)
        refolded = signed.replace(b"Subject: Discharge  summary", b"SUBJECT :\r\n Discharge\t\r\n  summary  ")
        assert await status(zone(key), refolded) is wanted
        spaced = signed.replace(b"The letter   is below.\t", b"The letter is\tbelow.  ").rstrip() + b"\r\n\r\n\r\n"
        assert await status(zone(key), spaced) is wanted


async def test_a_header_field_added_on_top_of_an_oversigned_one_breaks_our_signature() -> None:
    signed = signed_by_us(MESSAGE, rsa_key())
    for name in (b"From", b"To", b"Cc", b"Subject", b"Date", b"Content-Type", b"Reply-To"):
        assert await status(zone(rsa_key()), name + b": a@evil.example\r\n" + signed) is not DkimStatus.PASS
        assert await status(zone(rsa_key()), signed.replace(b"\r\n\r\n", b"\r\n" + name + b": x\r\n\r\n", 1)) is not (
            DkimStatus.PASS
        )
    assert await status(zone(rsa_key()), b"X-Trace: 1\r\n" + signed) is DkimStatus.PASS


async def test_a_second_subject_above_a_signature_that_did_not_oversign_is_reported() -> None:
    signed = signed_by_dkimpy(MESSAGE, rsa_key(), include_headers=[b"from", b"subject"])
    (result,) = await verify(zone(rsa_key()), b"Subject: another\r\n" + signed)
    assert result.status is DkimStatus.PASS
    assert result.unsigned_copies == {"subject"}
    assert "subject" not in result.covers


@pytest.mark.parametrize(
    "second", [b"From: boss@trust.example\r\n", b"From : boss@trust.example\r\n", b"From\r\n : b@trust.example\r\n"]
)
async def test_a_second_from_is_never_covered_by_one_signature(second: bytes) -> None:
    # The crafty form: sign one From, then add another that some readers show.
    signed = _craft(h="from:subject")
    assert await status(zone(rsa_key()), signed) is DkimStatus.PASS
    (result,) = await verify(zone(rsa_key()), second + signed)
    assert result.status is DkimStatus.PERMERROR
    assert "From" in result.reason


# --- signatures of any shape, made with a real key


def _craft(raw: bytes = MESSAGE, key: PublishedKey | None = None, **tags: str) -> bytes:
    """A signature whose tags are as told, correctly computed. A tag set to '' is left out."""
    from carepost.mailauth.canonical import BodyHashes, Canonical
    from carepost.mailauth.keys import signed
    from carepost.mailauth.signature import coverage, header_digest

    key = key or rsa_key()
    fields, body = split_message(raw)
    all_tags = {"v": "1", "a": "rsa-sha256", "c": "relaxed/relaxed", "d": "trust.example", "s": "s1", "h": "from"}
    all_tags.update(tags)
    length = int(all_tags["l"]) if all_tags.get("l", "").isdigit() else None
    all_tags.setdefault("bh", base64.b64encode(BodyHashes(body).digest(Canonical.RELAXED, length)).decode())
    text = "DKIM-Signature: " + "; ".join(f"{k}={v}" for k, v in all_tags.items() if v) + "; b="
    names = tuple(name.strip().encode() for name in all_tags["h"].lower().split(":"))
    own = text.encode() + b"\r\n"
    value = signed(key.private, header_digest(Canonical.RELAXED, coverage(fields, names).fields, own))
    return text.encode() + base64.b64encode(value) + b"\r\n" + raw


async def test_l_that_leaves_some_of_the_body_open_passes_but_says_so() -> None:
    (part,) = await verify(zone(rsa_key()), _craft(l="10"))
    assert part.status is DkimStatus.PASS
    assert part.partial_body
    (added,) = await verify(zone(rsa_key()), _craft(l="10") + b"An unsigned line.\r\n")
    assert added.status is DkimStatus.PASS
    assert added.partial_body
    (none,) = await verify(zone(rsa_key()), _craft(l="0"))
    assert none.partial_body


async def test_all_work_on_a_long_body_can_be_done_ahead_in_a_thread() -> None:
    raw = b"ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/relaxed; d=x.example; s=s; h=from; bh=AAAA; b=AAAA\r\n"
    raw += b"DKIM-Signature: of no shape\r\n" + _craft(_craft(l="10"))
    fields, body = split_message(raw)
    hashes = BodyHashes(body)
    hash_ahead(fields, hashes)
    hashes.body = b"never looked at again"
    found = await verify_dkim(zone(rsa_key()), headers=fields, body=hashes, now=NOW)
    assert [result.status for result in found] == [DkimStatus.PERMERROR, DkimStatus.PASS, DkimStatus.PASS]
    assert (await verify_arc(zone(rsa_key()), headers=fields, body=hashes, now=NOW)).status is ArcStatus.FAIL


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        ({}, DkimStatus.PASS),
        ({"x": "1"}, DkimStatus.FAIL),
        ({"x": str(int(NOW.timestamp()) + 10)}, DkimStatus.PASS),
        ({"x": str(int(NOW.timestamp()) - 10)}, DkimStatus.PASS),  # within the skew
        ({"x": str(int(NOW.timestamp()) - 301)}, DkimStatus.FAIL),
        ({"t": "20", "x": "10"}, DkimStatus.PERMERROR),
        ({"x": "tomorrow"}, DkimStatus.PERMERROR),
        ({"v": "2"}, DkimStatus.PERMERROR),
        ({"v": ""}, DkimStatus.PERMERROR),
        ({"a": "rsa-sha1"}, DkimStatus.PERMERROR),
        ({"a": "rsa-md5"}, DkimStatus.PERMERROR),
        ({"c": "relaxed"}, DkimStatus.FAIL),  # means relaxed/simple, and the hash is of relaxed
        ({"c": "loose/loose"}, DkimStatus.PERMERROR),
        ({"h": "to:subject"}, DkimStatus.PERMERROR),
        ({"h": "from::to"}, DkimStatus.PERMERROR),
        ({"q": "dns/txt:other"}, DkimStatus.PASS),
        ({"q": "http"}, DkimStatus.PERMERROR),
        ({"i": "ward7@trust.example"}, DkimStatus.PASS),
        ({"i": "@sub.trust.example"}, DkimStatus.PASS),
        ({"i": "@nottrust.example"}, DkimStatus.PERMERROR),
        ({"i": "no-at-sign"}, DkimStatus.PERMERROR),
        ({"d": "trust.example'a.evil.example"}, DkimStatus.PERMERROR),
        ({"d": "trust.example(.evil.example"}, DkimStatus.PERMERROR),
        ({"s": "a..b"}, DkimStatus.PERMERROR),
        ({"l": "-1"}, DkimStatus.PERMERROR),
        ({"l": "9" * 80}, DkimStatus.PERMERROR),
        ({"l": "9" * 20}, DkimStatus.PERMERROR),
        ({"bh": "!!!"}, DkimStatus.PERMERROR),
        ({"bh": "AAAA"}, DkimStatus.FAIL),
        ({"zz": "unknown tags are ignored"}, DkimStatus.PASS),
    ],
    ids=str,
)
async def test_each_tag_is_held_to_the_rfc(tags: dict[str, str], wanted: DkimStatus) -> None:
    assert await status(zone(rsa_key()), _craft(**tags)) is wanted


@pytest.mark.parametrize(
    ("record", "wanted"),
    [
        ("{}", DkimStatus.PASS),
        ("{}; t=y", DkimStatus.PASS),
        ("{}; h=sha1:sha256", DkimStatus.PASS),
        ("{}; h=sha1", DkimStatus.PERMERROR),
        ("{}; s=email", DkimStatus.PASS),
        ("{}; s=tlsrpt", DkimStatus.PERMERROR),
        ("{}; p=", DkimStatus.PERMERROR),
        ("v=DKIM1; k=rsa; p=", DkimStatus.PERMERROR),
        ("v=DKIM1; k=rsa", DkimStatus.PERMERROR),
        ("v=DKIM2; p=AAAA", DkimStatus.PERMERROR),
        ("k=rsa; v=DKIM1; p=AAAA", DkimStatus.PERMERROR),
        ("v=DKIM1; k=ed25519; p=AAAA", DkimStatus.PERMERROR),
        ("v=DKIM1; p=AAAA", DkimStatus.PERMERROR),
        ("v=DKIM1; p=not base64!", DkimStatus.PERMERROR),
        ("nothing of the kind", DkimStatus.PERMERROR),
        ("{}" + "; n=" + "x" * 9000, DkimStatus.PERMERROR),
    ],
)
async def test_each_key_record_is_held_to_the_rfc(record: str, wanted: DkimStatus) -> None:
    resolver = FakeResolver(txt={"s1._domainkey.trust.example": [record.replace("{}", rsa_key().record)]})
    assert await status(resolver, _craft()) is wanted


async def test_t_s_demands_the_same_domain_in_i() -> None:
    resolver = zone(rsa_key(), extra="; t=s")
    assert await status(resolver, _craft(i="@trust.example")) is DkimStatus.PASS
    assert await status(resolver, _craft(i="@sub.trust.example")) is DkimStatus.PERMERROR


async def test_a_testing_key_says_so() -> None:
    (result,) = await verify(zone(rsa_key(), extra="; t=y"), _craft())
    assert result.testing


async def test_a_key_without_a_name_is_permanent_and_a_silent_name_server_is_not() -> None:
    assert await status(FakeResolver(), _craft()) is DkimStatus.PERMERROR
    silent = FakeResolver(fails={"s1._domainkey.trust.example"})
    assert await status(silent, _craft()) is DkimStatus.TEMPERROR
    two = FakeResolver(txt={"s1._domainkey.trust.example": [rsa_key().record, rsa_key(1024).record]})
    assert await status(two, _craft()) is DkimStatus.PERMERROR


@pytest.mark.parametrize("bits", [512, 768])
async def test_a_short_rsa_key_proves_nothing(bits: int) -> None:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = RSAPublicNumbers(65537, (1 << bits) - 569).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    resolver = FakeResolver(txt={"s1._domainkey.trust.example": [f"v=DKIM1; p={base64.b64encode(der).decode()}"]})
    (result,) = await verify(resolver, _craft())
    assert result.status is DkimStatus.PERMERROR
    assert str(bits) in result.reason


async def test_only_so_many_signatures_are_considered_and_the_body_is_hashed_once() -> None:
    resolver = zone(rsa_key())
    signature = _craft()[: -len(MESSAGE)]
    results = await verify(resolver, signature * 40 + MESSAGE)
    assert len(results) == 5
    assert {r.status for r in results} == {DkimStatus.PASS}
    assert len(resolver.asked) == 5


async def test_a_broken_body_asks_nobody() -> None:
    resolver = zone(rsa_key())
    assert await status(resolver, _craft() + b"more\r\n") is DkimStatus.FAIL
    assert resolver.asked == []


# --- hostile input


@settings(max_examples=300, deadline=None)
@given(junk=st.binary(max_size=300), body=st.binary(max_size=100))
async def test_no_signature_whatever_its_bytes_raises_or_passes(junk: bytes, body: bytes) -> None:
    raw = b"DKIM-Signature:" + junk + b"\r\nFrom: a@trust.example\r\n\r\n" + body
    assert all(r.status is not DkimStatus.PASS for r in await verify(zone(rsa_key()), raw))


@settings(max_examples=200, deadline=None)
@given(record=st.binary(max_size=200))
async def test_no_key_record_whatever_its_bytes_raises_or_passes(record: bytes) -> None:
    resolver = FakeResolver(txt={"s1._domainkey.trust.example": [record]})
    assert await status(resolver, _SIGNED_ONCE) in (DkimStatus.PERMERROR, DkimStatus.FAIL)


_SIGNED_ONCE = _craft()


@settings(max_examples=200, deadline=None)
@given(raw=st.binary(max_size=400))
def test_splitting_loses_no_byte(raw: bytes) -> None:
    fields, body = split_message(raw)
    header = b"".join(field for _, field in fields)
    assert raw in (header + bytes(body), header + b"\r\n" + bytes(body))


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        ({"d": "bücher.example"}, DkimStatus.PASS),  # RFC 8616 §5: a U-label is looked up as its A-label
        ({"d": "xn--bcher-kva.example", "i": "@sub.bücher.example"}, DkimStatus.PASS),
        ({"d": "\u200b.example"}, DkimStatus.PERMERROR),
    ],
    ids=str,
)
async def test_names_beyond_ascii_are_looked_up_as_a_labels(tags: dict[str, str], wanted: DkimStatus) -> None:
    assert await status(zone(rsa_key(), domain="xn--bcher-kva.example"), _craft(**tags)) is wanted


async def test_keys_of_the_wrong_sort_are_refused_with_the_reason() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    der = base64.b64encode(curve.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    for record, reason in (
        (f"p={der}", "not an RSA key"),
        ("p=%; p=%", "cannot be read"),
        ("p=AA\x01AA", "cannot be read"),
    ):
        (result,) = await verify(FakeResolver(txt={"s1._domainkey.trust.example": [record]}), _craft())
        assert result.status is DkimStatus.PERMERROR
        assert reason in result.reason


async def test_a_name_with_only_other_records_has_no_key() -> None:
    resolver = FakeResolver(a={"s1._domainkey.trust.example": ["192.0.2.1"]})
    (result,) = await verify(resolver, _craft())
    assert (result.status, result.reason) == (DkimStatus.PERMERROR, "no key is published")


async def test_a_header_of_a_thousand_fields_and_a_signature_of_a_thousand_names_cost_little() -> None:
    raw = b"".join(b"X-%d: %s\r\n" % (n, b"y" * 50) for n in range(1000)) + MESSAGE
    (result,) = await verify(zone(rsa_key()), _craft(raw, h=":".join(["from", *(f"x-{n}" for n in range(400))])))
    assert result.status is DkimStatus.PASS
    (many,) = await verify(zone(rsa_key()), _craft(h=":".join(["from"] * 501)))
    assert many.status is DkimStatus.PERMERROR
    (long,) = await verify(zone(rsa_key()), _craft(z="|" * 40_000))
    assert long.reason == "the signature is too long"
