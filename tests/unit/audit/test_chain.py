"""The chain and the notes, as values."""

import base64
import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pkgutil import iter_modules

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carepost import audit
from carepost.audit import events
from carepost.audit.chain import GENESIS, ChainCheck, FaultKind, Head, seal
from carepost.audit.events import EventName, RoleGranted, SignInFailed, canonical
from carepost.audit.model import Entry
from carepost.audit.note import Checkpoint, CheckpointSigner, merkle_root
from carepost.base.errors import Malformed
from carepost.base.ids import OrganisationId, PersonId

ORG = OrganisationId(7)
START = datetime(2026, 11, 22, 9, tzinfo=UTC)
LENGTH = 12
# A1. Ten thousand before a release; each run by default tries other ones.
MUTATIONS = int(os.environ.get("CAREPOST_MUTATIONS", "1000"))


def chain(length: int = LENGTH) -> list[Entry]:
    entries: list[Entry] = []
    previous = GENESIS
    for seq in range(1, length + 1):
        entry = Entry(
            organisation=ORG,
            seq=seq,
            at=START + timedelta(seconds=seq),
            event="directory.role.granted",
            actor_kind="person",
            actor_name=f"Person {seq % 3}",
            actor_person=seq,
            actor_organisation=None,
            actor_session=None,
            actor_address="192.0.2.1",
            details=canonical({"role": "auditor", "person": seq}),
            hash=b"",
        )
        entry = replace(entry, hash=seal(previous, ORG, seq, entry.body))
        entries.append(entry)
        previous = entry.hash
    return entries


WHOLE = chain()
HEAD = Head(ORG, LENGTH, WHOLE[-1].hash)


def faults(entries: list[Entry]) -> list[FaultKind]:
    check = ChainCheck(ORG)
    return [fault.kind for fault in [*check.check(entries), *check.finish(HEAD)]]


def test_a_chain_as_it_was_written_has_no_fault() -> None:
    assert faults(WHOLE) == []


@st.composite
def torn(draw: st.DrawFn) -> list[Entry]:
    """The chain after one act of somebody who can write anything except a hash that fits."""
    entries = list(WHOLE)
    place = draw(st.integers(0, LENGTH - 1))
    other = draw(st.integers(0, LENGTH - 1).filter(lambda n: n != place))
    match draw(st.sampled_from(["flip", "text", "delete", "insert", "swap", "cut", "append", "renumber"])):
        case "flip":
            bit = draw(st.integers(0, 255))
            raw = bytearray(entries[place].hash)
            raw[bit // 8] ^= 1 << (bit % 8)
            entries[place] = replace(entries[place], hash=bytes(raw))
        case "text":
            field = draw(st.sampled_from(["event", "actor_name", "details", "actor_session", "actor_address"]))
            text = draw(st.text(max_size=20).filter(lambda t: t != getattr(entries[place], field)))
            entries[place] = replace(entries[place], **{field: text})
        case "delete":
            del entries[place]
        case "insert":
            entries.insert(place, replace(entries[other], seq=entries[place].seq))
        case "swap":
            one, two = entries[place], entries[other]
            entries[place], entries[other] = replace(two, seq=one.seq), replace(one, seq=two.seq)
        case "cut":
            entries = entries[:place]
        case "append":
            entries.append(replace(entries[place], seq=LENGTH + 1))
        case _:
            entries[place] = replace(entries[place], seq=entries[place].seq + draw(st.integers(1, 1000)))
    return entries


@settings(max_examples=MUTATIONS, deadline=None)
@given(torn())
def test_whatever_is_done_to_a_chain_shows(entries: list[Entry]) -> None:
    assert faults(entries) != []


def test_moving_a_boundary_between_two_fields_shows() -> None:
    entry = replace(WHOLE[0], actor_name="ab", actor_session="c")
    assert entry.body != replace(entry, actor_name="a", actor_session="bc").body
    assert entry.body != replace(entry, actor_session=None).body
    assert replace(entry, actor_session="").body != replace(entry, actor_session=None).body


def test_one_changed_entry_is_one_fault() -> None:
    entries = list(WHOLE)
    entries[9] = replace(entries[9], actor_name="somebody else")
    assert faults(entries) == [FaultKind.CHANGED]


def test_another_organisations_entry_is_out_of_place() -> None:
    entries = [*WHOLE[:5], replace(WHOLE[5], organisation=OrganisationId(8)), *WHOLE[6:]]
    assert FaultKind.OUT_OF_PLACE in faults(entries)


def test_a_chain_without_a_head_is_a_fault() -> None:
    check = ChainCheck(ORG)
    assert list(check.check(WHOLE)) == []
    assert [fault.kind for fault in check.finish(None)] == [FaultKind.HEAD_DISAGREES]


# --- events ---------------------------------------------------------------------------------------------------------


def test_details_are_plain_ascii_whatever_a_person_typed() -> None:
    nasty = 'x\r\n{"a":1}\x1b[31m\u202e\u0000\ud800'
    text = canonical(SignInFailed(person=PersonId(1), door="web", reason=nasty).details())
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text)["reason"] == nasty


def test_a_detail_is_never_longer_than_a_paragraph() -> None:
    details = RoleGranted(person=PersonId(1), role="x" * 10_000).details()
    assert len(str(details["role"])) == 1000


def test_a_detail_that_is_no_plain_value_is_refused() -> None:
    with pytest.raises(TypeError, match="no place in the record"):
        RoleGranted(person=PersonId(1), role=b"bytes").details()  # type: ignore[arg-type]


def test_event_names_have_an_area_a_thing_and_what_happened() -> None:
    assert [name for name in EventName if len(name.value.split(".")) != 3] == []


def test_every_event_name_has_exactly_one_event() -> None:
    modules = [import_module(f"carepost.audit.{one.name}") for one in iter_modules(audit.__path__)]
    found = [
        value.name
        for module in modules
        if module.__name__.startswith(events.__name__)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, events.Event) and value is not events.Event
        if value.__module__ == module.__name__
    ]
    assert sorted(found) == sorted(EventName)


# --- notes ----------------------------------------------------------------------------------------------------------


SIGNER = CheckpointSigner("riverside.example/audit", CheckpointSigner.new_key())
HEADS = [Head(OrganisationId(n), n * 10, bytes([n]) * 32) for n in (3, 1, 2)]


def test_a_note_opens_to_the_heads_that_were_signed() -> None:
    note = SIGNER.sign(HEADS)
    opened = SIGNER.verifier.open_note(note)
    assert opened == Checkpoint("riverside.example/audit", tuple(sorted(HEADS, key=lambda head: head.organisation)))
    assert note.split("\n")[1] == "60"
    assert "\n\n\u2014 riverside.example/audit " in note


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_a_note_changed_anywhere_in_its_text_does_not_open(data: st.DataObject) -> None:
    note = SIGNER.sign(HEADS)
    text, _, signature = note.rpartition("\n\n")
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.characters(codec="ascii").filter(lambda c: c != text[place]))
    with pytest.raises(Malformed):
        SIGNER.verifier.open_note(text[:place] + letter + text[place + 1 :] + "\n\n" + signature)


def test_a_note_signed_by_another_key_does_not_open() -> None:
    other = CheckpointSigner("riverside.example/audit", CheckpointSigner.new_key())
    with pytest.raises(Malformed):
        SIGNER.verifier.open_note(other.sign(HEADS))


@pytest.mark.parametrize("note", ["", "\n\n", "x\n\n\u2014 riverside.example/audit !!!!\n", "no signature\n"])
def test_what_is_no_note_does_not_open(note: str) -> None:
    with pytest.raises(Malformed):
        SIGNER.verifier.open_note(note)


def test_the_key_is_given_to_witnesses_in_the_form_that_they_know() -> None:
    name, key_id, key = SIGNER.verifier.vkey.split("+", 2)
    assert name == "riverside.example/audit"
    assert bytes.fromhex(key_id) == SIGNER.verifier.key_id
    assert base64.b64decode(key)[0] == 1
    assert len(base64.b64decode(key)) == 33


def test_the_tree_hash_is_that_of_the_standard() -> None:
    """RFC 6962 §2.1: the published test vectors' first sizes."""
    leaves = [b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"\x40\x41\x42\x43", b"\x50\x51\x52\x53\x54\x55\x56\x57"]
    roots = {
        0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    }
    assert {size: merkle_root(leaves[:size]).hex() for size in roots} == roots
