"""E2, E3: what is sealed opens only where it belongs, and only whole."""

import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carepost.infra import vault
from carepost.infra.vault import DoesNotOpen

KEY, OTHER = vault.new_key(), vault.new_key()
AAD = vault.bound(1, 2, b"object")


@pytest.mark.parametrize(
    "size", [0, 1, 100, vault.SEGMENT_BYTES - 1, vault.SEGMENT_BYTES, vault.SEGMENT_BYTES + 1, 3 * vault.SEGMENT_BYTES]
)
def test_an_object_opens_to_the_same_bytes(size: int) -> None:
    for plain in (secrets.token_bytes(size), b"letter " * (size // 7)):
        assert vault.open_object(KEY, AAD, vault.seal_object(KEY, AAD, plain)) == plain


def test_sealed_bytes_do_not_show_the_text() -> None:
    sealed = vault.seal_object(KEY, AAD, b"Zyxomma canary " * 50)
    assert b"Zyxomma" not in sealed
    assert b"canary" not in sealed


def test_every_flipped_bit_of_an_object_is_noticed() -> None:
    sealed = vault.seal_object(KEY, AAD, secrets.token_bytes(450))
    for place in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[place // 8] ^= 1 << (place % 8)
        with pytest.raises(DoesNotOpen):
            vault.open_object(KEY, AAD, bytes(changed))


def test_segments_can_be_neither_dropped_nor_reordered_nor_repeated() -> None:
    plain = secrets.token_bytes(3 * vault.SEGMENT_BYTES)
    sealed = vault.seal_object(KEY, AAD, plain)
    head = vault._HEADER.size
    step = vault.SEGMENT_BYTES + vault.TAG_BYTES
    header, segments = sealed[:head], [sealed[head + n * step : head + (n + 1) * step] for n in range(3)]
    a, b, c = segments
    for wrong in ([a, b], [a, c], [b, a, c], [a, b, b, c], [a, b, c, c], [], [c]):
        with pytest.raises(DoesNotOpen):
            vault.open_object(KEY, AAD, header + b"".join(wrong))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 540))
def test_a_truncated_object_does_not_open(cut: int) -> None:
    sealed = vault.seal_object(KEY, AAD, b"x" * 40 + secrets.token_bytes(500))
    with pytest.raises(DoesNotOpen):
        vault.open_object(KEY, AAD, sealed[:cut])


def test_the_wrong_key_or_place_opens_nothing() -> None:
    sealed = vault.seal_object(KEY, AAD, b"hello")
    small = vault.seal_small(KEY, b"subject", AAD, b"hello")
    for key, aad in ((OTHER, AAD), (KEY, vault.bound(1, 3, b"object"))):
        with pytest.raises(DoesNotOpen):
            vault.open_object(key, aad, sealed)
        with pytest.raises(DoesNotOpen):
            vault.open_small(key, b"subject", aad, small)
    with pytest.raises(DoesNotOpen):
        vault.open_small(KEY, b"preview", AAD, small)


def test_what_is_sealed_to_an_intake_opens_only_with_its_private_half() -> None:
    public, private = vault.new_intake_pair()
    _, stranger = vault.new_intake_pair()
    sealed = vault.seal_to(public, AAD, KEY)
    assert vault.open_from(private, AAD, sealed) == KEY
    with pytest.raises(DoesNotOpen):
        vault.open_from(stranger, AAD, sealed)
    with pytest.raises(DoesNotOpen):
        vault.open_from(private, b"elsewhere", sealed)


def test_a_wrapped_key_opens_in_both_its_forms() -> None:
    public, private = vault.new_intake_pair()
    arrived, direct = vault.seal_to(public, AAD, KEY), vault.wrap_key(OTHER, AAD, KEY)
    assert vault.was_sealed_on_arrival(arrived)
    assert not vault.was_sealed_on_arrival(direct)
    assert vault.unwrap_key(OTHER, private, AAD, arrived) == vault.unwrap_key(OTHER, private, AAD, direct) == KEY


@given(st.lists(st.binary(max_size=8), max_size=4), st.lists(st.binary(max_size=8), max_size=4))
def test_two_different_places_never_have_the_same_aad(one: list[bytes], two: list[bytes]) -> None:
    assert (vault.bound(*one) == vault.bound(*two)) == (one == two)


def test_tokens_differ_between_organisations_and_kinds() -> None:
    edge = vault.EdgeKey(KEY)
    tokens = {
        edge.token(1, "sender", "a@b"),
        edge.token(2, "sender", "a@b"),
        edge.token(1, "recipient", "a@b"),
        vault.EdgeKey(OTHER).token(1, "sender", "a@b"),
    }
    assert len(tokens) == 4
    assert edge.token(1, "sender", "a@b") == edge.token(1, "sender", "a@b")


def test_no_nonce_is_used_twice_with_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """E4, in the small: every (subkey, nonce) that reaches AES-GCM, over many writes."""
    seen: set[tuple[bytes, bytes]] = set()
    real = vault.AESGCM

    class Watching:
        def __init__(self, key: bytes) -> None:
            self.key, self.cipher = key, real(key)

        def encrypt(self, nonce: bytes, data: bytes, aad: bytes | None) -> bytes:
            assert (self.key, nonce) not in seen
            seen.add((self.key, nonce))
            return self.cipher.encrypt(nonce, data, aad)

    monkeypatch.setattr(vault, "AESGCM", Watching)
    public, _ = vault.new_intake_pair()
    for _ in range(2000):
        vault.seal_small(KEY, b"a", AAD, b"x")
        vault.seal_object(KEY, AAD, b"x")
        vault.seal_to_each([(public, AAD), (public, AAD + b"2")], b"x" * 32)
    assert len(seen) >= 2000 * 3
