"""ARC: chains of our own making, read by us and by dkimpy; and every way in which a chain can be out of order."""

import re
from datetime import UTC, datetime

import dkim as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.signing_keys import PublishedKey, ed25519_key, rsa_key

from carepost.base.address import Domain
from carepost.mailauth.arc import ArcResult, ArcStatus, seal_arc, verify_arc
from carepost.mailauth.arc_sets import Cv
from carepost.mailauth.fields import split_message, with_crlf
from carepost.mailauth.resolver import FakeResolver

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
MESSAGE = with_crlf(b"""\
From: Ward Seven <ward7@trust.example>
To: list@lists.example
Subject: Discharge summary
Date: Sun, 22 Nov 2026 09:00:00 +0000
Content-Type: text/plain

Dear colleague,
The letter is below.
""")


def resolver(key: PublishedKey) -> FakeResolver:
    return FakeResolver(txt={f"s._domainkey.hop{n}.example": [key.record] for n in range(1, 60)})


async def verify(raw: bytes, world: FakeResolver | None = None) -> ArcResult:
    fields, body = split_message(raw)
    return await verify_arc(world or resolver(rsa_key()), headers=fields, body=body, now=NOW)


async def sealed(raw: bytes, hop: int, key: PublishedKey | None = None, cv: Cv | None = None) -> bytes:
    """The message as hop number `hop` passes it on, having read the chain first."""
    key = key or rsa_key()
    fields, body = split_message(raw)
    found = await verify_arc(resolver(key), headers=fields, body=body, now=NOW)
    return (
        seal_arc(
            fields,
            body,
            chain=found.sets,
            cv=cv or Cv(found.status.value),
            results=f"hop{hop}.example; spf=pass".encode(),
            domain=Domain(f"hop{hop}.example"),
            selector="s",
            key=key.private,
            now=NOW,
        )
        + raw
    )


async def chain(hops: int, key: PublishedKey | None = None) -> bytes:
    raw = MESSAGE
    for hop in range(1, hops + 1):
        raw = await sealed(raw, hop, key)
    return raw


async def test_a_message_without_a_set_has_no_chain() -> None:
    assert (await verify(MESSAGE)).status is ArcStatus.NONE


@pytest.mark.parametrize("hops", [1, 2, 3, 7])
async def test_a_chain_that_we_seal_dkimpy_and_we_accept(hops: int) -> None:
    raw = await chain(hops)
    result = await verify(raw)
    assert result.status is ArcStatus.PASS, result.reason
    assert [one.domain for one in result.sets] == [f"hop{n}.example" for n in range(1, hops + 1)]
    assert result.oldest_pass == 0
    cv, _, why = oracle.arc_verify(raw, dnsfunc=lambda name, timeout=5: rsa_key().record.encode())  # no deadline
    assert cv == b"pass", why


async def test_a_chain_of_ed25519_seals_passes() -> None:
    raw = await chain(2, ed25519_key())
    assert (await verify(raw, resolver(ed25519_key()))).status is ArcStatus.PASS


async def test_a_list_that_changes_the_subject_and_seals_tells_where_the_change_lies() -> None:
    raw = await chain(2)
    changed = raw.replace(b"Subject: Discharge", b"Subject: [list] Discharge")
    assert (await verify(changed)).status is ArcStatus.FAIL
    # An honest list reads the chain first, then changes the message, then seals.
    fields, body = split_message(raw)
    found = await verify_arc(resolver(rsa_key()), headers=fields, body=body, now=NOW)
    fields, body = split_message(changed)
    ours = seal_arc(
        fields,
        body,
        chain=found.sets,
        cv=Cv.PASS,
        results=b"hop3.example; arc=pass",
        domain=Domain("hop3.example"),
        selector="s",
        key=rsa_key().private,
        now=NOW,
    )
    result = await verify(ours + changed)
    assert (result.status, result.oldest_pass) == (ArcStatus.PASS, 3)


async def test_a_broken_chain_is_sealed_as_broken_and_then_left_alone() -> None:
    raw = (await chain(2)).replace(b"below", b"above")
    broken = await sealed(raw, 3, cv=Cv.FAIL)
    result = await verify(broken)
    assert (result.status, result.reason) == (ArcStatus.FAIL, "the last sealer found the chain broken")
    assert b"cv=fail" in broken


async def test_fifty_sets_are_the_most() -> None:
    raw = await chain(50)
    assert (await verify(raw)).status is ArcStatus.PASS
    fields, body = split_message(raw)
    found = await verify(raw)
    more = seal_arc(
        fields,
        body,
        chain=found.sets,
        cv=Cv.PASS,
        results=b"x",
        domain=Domain("hop51.example"),
        selector="s",
        key=rsa_key().private,
        now=NOW,
    )
    assert more == b""


def _without(raw: bytes, name: bytes, instance: int) -> bytes:
    fields, body = split_message(raw)
    kept = [f for n, f in fields if not (n == name and re.search(rb"\bi=%d\b" % instance, f))]
    assert len(kept) == len(fields) - 1
    return b"".join(kept) + b"\r\n" + bytes(body)


def _twice(raw: bytes, name: bytes) -> bytes:
    fields, _ = split_message(raw)
    return next(f for n, f in fields if n == name) + raw


KINDS = [b"arc-seal", b"arc-message-signature", b"arc-authentication-results"]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("instance", [1, 2, 3])
async def test_a_chain_with_a_field_missing_or_twice_fails(name: bytes, instance: int) -> None:
    raw = await chain(3)
    assert (await verify(_without(raw, name, instance))).status is ArcStatus.FAIL
    assert (await verify(_twice(raw, name))).status is ArcStatus.FAIL


async def test_a_chain_without_its_first_or_a_middle_set_fails() -> None:
    raw = await chain(3)
    for instance in (1, 2):
        cut = raw
        for name in KINDS:
            cut = _without(cut, name, instance)
        assert (await verify(cut)).status is ArcStatus.FAIL
    cut = raw
    for name in KINDS:
        cut = _without(cut, name, 3)
    assert (await verify(cut)).status is ArcStatus.PASS, "what is left is the chain before the last hop"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"ARC-Seal: i=1;", b"ARC-Seal: i=0;"),
        (b"ARC-Seal: i=1;", b"ARC-Seal: i=-1;"),
        (b"ARC-Seal: i=1;", b"ARC-Seal: i=51;"),
        (b"ARC-Seal: i=1;", b"ARC-Seal: i=x;"),
        (b"ARC-Seal: i=1;", b"ARC-Seal:"),
        (b"ARC-Authentication-Results: i=1;", b"ARC-Authentication-Results:"),
        (b"ARC-Authentication-Results: i=1;", b"ARC-Authentication-Results: i=1; extra;"),
        (b"cv=none", b"cv=pass"),
        (b"cv=none", b"cv=fail"),
        (b"cv=none", b"cv=maybe"),
        (b"cv=none;", b""),
        (b"ARC-Seal: i=1; a=rsa-sha256;", b"ARC-Seal: i=1; a=rsa-sha1;"),
        (b"ARC-Seal: i=1; a=rsa-sha256;", b"ARC-Seal: i=1; h=from; a=rsa-sha256;"),
        (b"ARC-Message-Signature: i=1; a=rsa-sha256;", b"ARC-Message-Signature: i=1; a=rsa-sha1;"),
        (b"d=hop1.example; s=s; t=", b"d=hop2.example; s=s; t="),
        (b"d=hop1.example", b"d=hop1.example'x.evil.example"),
        (b"From: Ward", b"From: Evil"),
        (b"From: Ward", b"From: x@evil.example\r\nFrom: Ward"),
        (b"spf=pass", b"spf=fail"),
        (b"letter", b"Letter"),
        (b"c=relaxed/relaxed;", b"c=relaxed/relaxed; l=3;"),
        (b"c=relaxed/relaxed;", b"c=relaxed/relaxed; x=1;"),
    ],
)
async def test_any_change_to_a_set_or_to_the_message_breaks_the_chain(old: bytes, new: bytes) -> None:
    raw = await chain(1)
    assert old in raw
    assert (await verify(raw.replace(old, new, 1))).status is ArcStatus.FAIL


async def test_folding_and_letter_case_of_names_may_change() -> None:
    raw = await chain(2)
    assert (await verify(raw.replace(b"ARC-Seal: i=2; ", b"arc-seal:\r\n  i=2;\r\n\t"))).status is ArcStatus.PASS


async def test_a_message_signature_may_not_cover_a_seal() -> None:
    raw = (await chain(1)).replace(b"h=from:", b"h=arc-seal:from:")
    result = await verify(raw)
    assert (result.status, result.reason) == (ArcStatus.FAIL, "message signature 1 covers a seal")


async def test_a_missing_key_fails_and_a_silent_name_server_does_not() -> None:
    raw = await chain(2)
    assert (await verify(raw, FakeResolver())).status is ArcStatus.FAIL
    for n in (1, 2):
        world = FakeResolver(
            txt={f"s._domainkey.hop{m}.example": [rsa_key().record] for m in (1, 2)},
            fails={f"s._domainkey.hop{n}.example"},
        )
        assert (await verify(raw, world)).status is ArcStatus.TEMPERROR


async def test_a_chain_asks_for_each_key_once() -> None:
    world = resolver(rsa_key())
    await verify(await chain(5), world)
    assert len(world.asked) == 5


async def test_a_thousand_sets_are_refused_before_any_key_is_asked_for() -> None:
    world = resolver(rsa_key())
    raw = await chain(1)
    fields, _ = split_message(raw)
    result = await verify(b"".join(field for _, field in fields[:3]) * 1000 + raw, world)
    assert result.status is ArcStatus.FAIL
    assert world.asked == []


@settings(max_examples=300, deadline=None)
@given(
    parts=st.lists(
        st.tuples(st.sampled_from(KINDS), st.sampled_from([b"i=1", b"i=2", b""]), st.binary(max_size=60)), max_size=6
    )
)
async def test_no_set_whatever_its_bytes_raises_or_passes(parts: list[tuple[bytes, bytes, bytes]]) -> None:
    raw = b"".join(name + b": " + i + b"; " + junk + b"\r\n" for name, i, junk in parts) + MESSAGE
    assert (await verify(raw)).status is not ArcStatus.PASS
