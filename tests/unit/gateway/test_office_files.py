"""Older Office files and Outlook items, taken apart. [MS-OVBA], [MS-XLS], [MS-OXMSG]."""

import struct
from uuid import UUID

import pytest
from tests.fakes.compound_file import compound_file
from tests.fakes.gateway import codes, examination, judged, with_files

from carepost.gateway.checks.malware import EICAR
from carepost.gateway.files.documents import look_into_ole, look_into_rtf, outlook_attachments
from carepost.gateway.files.traits import Trait

INSTALLER = UUID("000c1084-0000-0000-c000-000000000046").bytes_le


def sheet(kind: int) -> bytes:
    """A workbook with one sheet: 0 is a worksheet, 1 a macro sheet. [MS-XLS] 2.4.28."""
    name = b"\x05\x00Macro"
    record = struct.pack("<IBB", 100, 0, kind) + name
    return struct.pack("<HH", 0x0809, 16) + bytes(16) + struct.pack("<HH", 0x85, len(record)) + record


def item(name: str, data: bytes) -> bytes:
    """An Outlook item with one attachment. Streams are padded, which nobody minds."""
    at = "__attach_version1.0_#00000000"
    return compound_file(
        {
            "__properties_version1.0": bytes(32),
            f"{at}/__substg1.0_37010102": data,
            f"{at}/__substg1.0_3707001F": name.encode("utf-16-le"),
        }
    )


@pytest.mark.parametrize(
    ("name", "data", "card"),
    [
        ("letter.doc", compound_file({"WordDocument": b"x", "Macros/VBA/dir": b"x", "Macros/VBA/_VBA_PROJECT": b"x"}), "macros"),
        ("letter.doc", compound_file({"WordDocument": b"x"}), "from-outside"),
        ("sheet.xls", compound_file({"Workbook": sheet(1)}), "macros"),
        ("sheet.xls", compound_file({"Workbook": sheet(0)}), "from-outside"),
        ("letter.docx", compound_file({"EncryptedPackage": b"x", "EncryptionInfo": b"x"}), "locked-archive"),
        ("letter.doc", compound_file({"ObjectPool/_1/\x01Ole10Native": b"x"}), "active-document"),
        ("setup.dat", compound_file({"x": b"x"}, clsid=INSTALLER), "program"),
        ("old.msg", item("tool.exe", b"MZ" + bytes(100)), "program"),
        ("old.msg", item("letter.txt", EICAR), "malware"),
        ("old.msg", item("letter.txt", b"Dear Jo"), "from-outside"),
    ],
)  # fmt: skip
async def test_an_older_office_file_ends_where_the_cards_say(name: str, data: bytes, card: str) -> None:
    ruling, found = await judged(examination(with_files((name, data))))
    assert ruling.gravest.decision.card == card, [(finding.code, finding.says) for finding in found]


def test_the_names_of_an_item_s_attachments_are_read() -> None:
    ((name, data),) = outlook_attachments(item("Größe.txt", b"Dear Jo"))
    assert name.rstrip("\0") == "Größe.txt"
    assert data.rstrip(b"\0") == b"Dear Jo"


@pytest.mark.parametrize("cut", [100, 520, 1_500, 4_000])
async def test_a_damaged_file_is_noted_and_nothing_breaks(cut: int) -> None:
    data = compound_file({"WordDocument": b"x", "Macros/VBA/_VBA_PROJECT": b"x"})[:cut]
    seen = look_into_ole(data)
    assert {one.trait for one in seen} <= {Trait.DAMAGED, Trait.MACROS}
    assert seen
    _, found = await judged(examination(with_files(("letter.doc", data))))
    assert "check-failed" not in codes(found)


def test_macros_are_seen_in_a_file_too_damaged_to_open() -> None:
    data = compound_file({"WordDocument": b"x", "Macros/VBA/_VBA_PROJECT": b"x"})
    broken = data[:60] + b"\xff" * 16 + data[76:]
    assert Trait.MACROS in {one.trait for one in look_into_ole(broken)}


def test_an_object_in_rich_text_is_noted_and_one_that_acts_is_more() -> None:
    assert look_into_rtf(b"{\\rtf1 plain}") == []
    assert [one.trait for one in look_into_rtf(b"{\\rtf1{\\object\\objemb{\\*\\objdata 0105}}}")] == [Trait.SCRIPTED]
    assert [one.trait for one in look_into_rtf(b"{\\rtf1{\\object{\\*\\objclass Equation.3}}}")] == [Trait.ACTIVE]
    hidden = b"{\\rtf1{\\object\\objemb{\\*\\objdata 0105 50 61 63 6b{}61 67 65}}}"
    assert [one.trait for one in look_into_rtf(hidden)] == [Trait.ACTIVE]
