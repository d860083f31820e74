"""The words of attachments: every format gives them, every file that gives none says why, none hurts."""

import gzip
import io
import random
import struct
import tarfile
import zipfile
from time import process_time

import pytest
from tests.fakes import office_files as office
from tests.fakes.clinical_mail import LETTER_FORMS, TABLE_FORMS, Clinic, letter_file, table_file
from tests.fakes.compound_file import compound_file

from carepost.gateway.files.texts import FileText, Reader
from carepost.gateway.files.texts_model import TextLimits, Unread
from carepost.gateway.files.unpack import UnpackLimits

LINES = ["Dear Dr Shah,", "NHS number: 999 000 0018", "with thanks"]


def read(data: bytes, name: str = "file", **more: str) -> list[FileText]:
    return Reader().read(data, [name], **more)


def whole(data: bytes, name: str = "file", **more: str) -> str:
    return "\n".join(file.text for file in read(data, name, **more))


def why(data: bytes, name: str = "file", limits: TextLimits | None = None) -> set[Unread | None]:
    return {file.unread for file in Reader(limits or TextLimits()).read(data, [name])} - {None}


@pytest.mark.parametrize("form", LETTER_FORMS)
def test_the_words_of_a_letter_are_read_in_every_form(form: str) -> None:
    file = letter_file(Clinic(1), form, LINES)
    texts = read(file.content, file.filename)
    assert "999 000 0018" in " ".join("\n".join(one.text for one in texts).split())
    assert {one.unread for one in texts} == {None}


@pytest.mark.parametrize("form", TABLE_FORMS)
def test_the_rows_of_a_table_are_read_in_every_form(form: str) -> None:
    rows = [["Name", "NHS Number", "Seen"], ["Green, E", "9990000018", "today"], ["Brown, A", "9990000026", "later"]]
    file = table_file(form, rows)
    tables = [table for one in read(file.content, file.filename) for table in one.tables]
    assert any(list(map(list, table)) == rows for table in tables)


def test_what_a_word_document_does_not_show_is_read_too() -> None:
    parts = {
        "[Content_Types].xml": "<Types/>",
        "word/document.xml": "<w:document><w:p><w:del><w:r><w:delText>deleted words</w:delText></w:r></w:del></w:p></w:document>",
        "word/comments.xml": "<w:comments><w:p><w:r><w:t>a comment</w:t></w:r></w:p></w:comments>",
        "word/header1.xml": "<w:hdr><w:p><w:r><w:t>in the header</w:t></w:r></w:p></w:hdr>",
        "word/footnotes.xml": "<w:footnotes><w:p><w:r><w:t>a footnote</w:t></w:r></w:p></w:footnotes>",
        "docProps/core.xml": "<cp><dc:title>the title</dc:title></cp>",
        "word/embeddings/sheet.xlsx": office.xlsx([["inside the", "workbook"]]),
    }
    text = whole(office.zipped(parts), "a.docx")
    for words in ("deleted words", "a comment", "in the header", "a footnote", "the title", "inside the"):
        assert words in text


def test_hidden_sheets_and_the_memory_of_a_pivot_table_are_read() -> None:
    parts = {
        "[Content_Types].xml": "<Types/>",
        "xl/workbook.xml": '<workbook><sheets><sheet name="x" state="veryHidden"/></sheets></workbook>',
        "xl/worksheets/sheet7.xml": '<worksheet><sheetData><row r="1"><c r="B1" t="inlineStr"><is><t>hidden</t></is></c></row></sheetData></worksheet>',
        "xl/sharedStrings.xml": "<sst><si><t>left over</t></si></sst>",
        "xl/pivotCache/pivotCacheDefinition1.xml": '<d><sharedItems><s v="9990000018"/><s v="Green &amp; Co"/></sharedItems></d>',
        "xl/comments1.xml": "<comments><text><t>a note</t></text></comments>",
    }
    text = whole(office.zipped(parts), "a.xlsx")
    for words in ("hidden", "left over", "9990000018", "Green & Co", "a note"):
        assert words in text


def test_a_number_that_a_workbook_keeps_as_a_fraction_of_ten_is_whole_again() -> None:
    sheet = '<worksheet><sheetData><row r="1"><c r="A1"><v>9.990000018E9</v></c></row></sheetData></worksheet>'
    parts = {"[Content_Types].xml": "<Types/>", "xl/worksheets/sheet1.xml": sheet}
    assert "9990000018" in whole(office.zipped(parts), "a.xlsx")


def test_a_number_cut_into_runs_is_one_number() -> None:
    for seed in range(30):
        assert "999 000 0018" in whole(office.docx(LINES, chance=random.Random(seed)))


def test_xml_in_utf_16_and_in_cdata_is_read() -> None:
    body = "<w:document><w:p><w:t><![CDATA[some words]]></w:t></w:p></w:document>"
    parts = {"[Content_Types].xml": "<Types/>", "word/document.xml": body.encode("utf-16")}
    assert "some words" in whole(office.zipped(parts))


def test_an_entity_is_never_expanded() -> None:
    lol = (
        '<!DOCTYPE x [<!ENTITY a "'
        + "ha" * 50
        + '"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><w:document>&b;</w:document>'
    )
    assert why(office.zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": lol})) == {Unread.DAMAGED}


def test_older_office_files_give_words_and_numbers() -> None:
    number = struct.pack("<HHHHH", 0x0203, 14, 0, 0, 0) + struct.pack("<d", 9_990_000_018.0)
    book = struct.pack("<HHHH", 0x0809, 4, 0x0600, 5) + number + "Patient list".encode("utf-16-le") + b"Green, Edith"
    text = whole(compound_file({"Workbook": book}), "a.xls")
    assert "9990000018" in text
    assert "Patient list" in text
    assert "Green, Edith" in text
    assert "seen in clinic" in whole(compound_file({"WordDocument": b"\0" * 600 + b"seen in clinic\r"}), "a.doc")


def test_what_is_locked_is_said_to_be_locked() -> None:
    assert why(compound_file({"EncryptedPackage": b"x" * 100})) == {Unread.LOCKED}
    assert why(compound_file({"Workbook": struct.pack("<HHHH", 0x002F, 4, 1, 1)})) == {Unread.LOCKED}
    data = bytearray(office.zipped({"letter.txt": "hello"}))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        at = archive.start_dir
    data[6] |= 1
    data[at + 8] |= 1
    assert why(bytes(data)) == {Unread.LOCKED}


def test_a_pdf_of_pictures_is_no_pdf_without_patients() -> None:
    assert why(office.pdf([]), "scan.pdf") == {Unread.SCAN}


def test_a_password_on_a_pdf_is_seen_and_one_for_the_owner_only_is_no_obstacle() -> None:
    from pypdf import PdfReader, PdfWriter

    for user, expected in (("secret", {Unread.LOCKED}), ("", set())):
        writer = PdfWriter(clone_from=PdfReader(io.BytesIO(office.pdf(LINES))))
        writer.encrypt(user, "owner", algorithm="AES-256")
        out = io.BytesIO()
        writer.write(out)
        assert why(out.getvalue(), "a.pdf") == expected


def test_letters_that_only_numbers_stand_for_are_not_taken_for_words() -> None:
    data = office.pdf(LINES, style="glyphs").replace(b"/ToUnicode 7 0 R", b"                ")
    assert why(data, "a.pdf") == {Unread.LETTERS}


def _with_forms(forms: dict[int, bytes]) -> bytes:
    """A page that draws form 6; each form is its instructions, and may draw the next one as /X."""
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources << /XObject << /X 6 0 R >> >> >>",
        4: b"<< /Length 5 >>\nstream\n/X Do\nendstream",
        5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    }
    for number, body in forms.items():
        resources = b"<< /XObject << /X %d 0 R >> /Font << /F1 5 0 R >> >>" % (number + 1)
        objects[number] = b"<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources %s /Length %d >>\nstream\n%s\nendstream" % (
            resources, len(body), body)  # fmt: skip
    return office.pdf_file(objects)


def test_words_in_a_form_on_a_page_are_read_and_one_that_was_given_up_is_said() -> None:
    good = b"BT /F1 9 Tf (some words) Tj ET"
    assert "some words" in whole(_with_forms({6: good}), "a.pdf")
    assert why(_with_forms({6: good}), "a.pdf") == set()
    assert why(_with_forms({6: good + b" << " * 40}), "a.pdf") == {Unread.DAMAGED}


def test_forms_that_double_at_every_step_are_given_up_in_time_and_said_to_be() -> None:
    body = b"BT /F1 9 Tf (a) Tj ET /X Do /X Do"
    laughing = _with_forms({**dict.fromkeys(range(6, 36), body), 36: b"BT /F1 9 Tf (a) Tj ET"})
    began = process_time()
    limits = TextLimits(unpack=UnpackLimits(seconds=1.0))  # meant to run out
    (file,) = Reader(limits, lambda: process_time() - began).read(laughing, ["a.pdf"])
    assert file.unread is not None
    assert process_time() - began < 8


def test_a_page_of_endless_instructions_is_not_taken_apart() -> None:
    data = office.pdf(["x" * 70_000] * 60)
    assert why(data, "a.pdf") == {Unread.TOO_LARGE}


def test_nothing_of_a_damaged_pdf_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    data = office.pdf(LINES).replace(b"/Kids [3 0 R]", b"/Kids [99 0 R]").replace(b"startxref", b"startxrfe")
    with caplog.at_level("DEBUG"):
        read(data, "a.pdf")
    assert caplog.records == []


def test_a_form_that_was_filled_in_and_a_note_are_read() -> None:
    data = office.pdf(["An empty form"]).replace(
        b"/Type /Page /Parent",
        b"/Annots [<< /Subtype /Widget /V (9990000018) >> << /Contents (a note) >>] /Type /Page /Parent",
    )
    text = whole(data, "form.pdf")
    assert "9990000018" in text
    assert "a note" in text


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(100), Unread.MEDIA),
        (b"\xff\xd8\xff\xe0" + bytes(100), Unread.MEDIA),
        (b"7z\xbc\xaf\x27\x1c" + bytes(100), Unread.KIND),
        (b"\x7fELF" + bytes(100), Unread.KIND),
        (bytes(range(256)) * 8, Unread.KIND),
        (bytes(128) + b"DICM" + bytes(100), Unread.MEDICAL_IMAGE),
        (b"%PDF-1.7\nnot much of a document", Unread.DAMAGED),
        (b"PK\x03\x04" + b"\0" * 60, Unread.DAMAGED),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), Unread.DAMAGED),
        (b"\x1f\x8b\x08\0garbage", Unread.DAMAGED),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_why(data: bytes, expected: Unread) -> None:
    assert why(data) == {expected}


def test_archives_are_read_to_their_depth_and_then_said_to_be_unread() -> None:
    inner = office.zipped({"letter.docx": office.docx(LINES)})
    assert "999 000 0018" in whole(inner)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("a.zip")
        info.size = len(inner)
        tar.addfile(info, io.BytesIO(inner))
    assert "999 000 0018" in whole(gzip.compress(out.getvalue()))
    for _ in range(8):
        inner = office.zipped({"next.zip": inner})
    assert why(inner) == {Unread.TOO_LARGE}


def test_names_inside_an_archive_are_kept_for_judging() -> None:
    files = read(office.zipped({"clinic/9990000018.txt": "hello"}), "a.zip")
    assert ("clinic/9990000018.txt",) in [file.names for file in files]


def test_a_message_as_a_file_gives_its_subject_text_and_files() -> None:
    eml = (
        b"From: a@b.example\r\nTo: c@d.example\r\nSubject: about 9990000018\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nsome words\r\n"
        b"--x\r\nContent-Type: text/csv; name=a.csv\r\nContent-Disposition: attachment; filename=a.csv\r\n\r\na,b\r\nc,d\r\n--x--\r\n"
    )
    text = whole(eml, "kept.eml")
    assert "about 9990000018" in text
    assert "some words" in text
    assert "c,d" in text


def test_a_folded_line_of_a_calendar_is_one_line() -> None:
    text = whole(b"BEGIN:VCALENDAR\r\nSUMMARY:NHS 9990\r\n 000018 clinic\r\nEND:VCALENDAR\r\n", "a.ics")
    assert "9990000018" in text


def test_text_in_other_charsets_is_read() -> None:
    assert "Zoë" in whole("Zoë".encode("utf-16"))
    assert "Zoë" in whole("Zoë was seen".encode("latin-1"), charset="iso-8859-1")
    assert "plain" in whole("plain words".encode("utf-16-le"))


def test_bombs_are_said_to_be_too_large() -> None:
    bomb = office.zipped({"a.txt": b"0" * 30_000_000})
    assert why(bomb) == {Unread.TOO_LARGE}
    assert why(gzip.compress(b"0" * 200_000_000)) == {Unread.TOO_LARGE}
    many = office.zipped({f"{number}.txt": "x" for number in range(1_500)})
    assert why(many) == {Unread.TOO_LARGE}


def test_the_time_of_one_message_is_bounded() -> None:
    clock = iter(range(10_000))
    limits = TextLimits(unpack=UnpackLimits(seconds=5))  # no deadline
    reader = Reader(limits, lambda: float(next(clock)))
    files = [file for _ in range(20) for file in reader.read(office.docx(LINES), ["a.docx"])]
    assert Unread.TOO_LARGE in {file.unread for file in files}


def test_characters_beyond_the_limit_are_said_to_be_unread() -> None:
    files = Reader(TextLimits(characters=10)).read(b"a word or two more than ten", ["a.txt"])
    assert [(file.text, file.unread) for file in files] == [("a word or ", Unread.TOO_LARGE)]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.docx", office.zipped({"[Content_Types].xml": "", "word/document.xml": "<" * 2_000_000}, packed=False)),
        ("b.docx", office.zipped({"[Content_Types].xml": "", "word/document.xml": "<w:p " * 300_000}, packed=False)),
        (
            "c.docx",
            office.zipped({"[Content_Types].xml": "", "word/document.xml": "<w:tr><w:tc>" * 100_000}, packed=False),
        ),
        (
            "a.xlsx",
            office.zipped(
                {"[Content_Types].xml": "", "xl/worksheets/sheet1.xml": "<row><c r=" * 100_000}, packed=False
            ),
        ),
        (
            "b.xlsx",
            office.zipped(
                {"[Content_Types].xml": "", "xl/worksheets/sheet1.xml": '<row><c r="XFD1"><v>1</v>' * 40_000},
                packed=False,
            ),
        ),
        ("a.rtf", b"{\\rtf1 " + b"{\\a" * 300_000),
        ("b.rtf", b"{\\rtf1 " + b"\\'" * 400_000),
        ("a.csv", b'"' * 500_000),
        ("b.csv", b"a,b,c\n" * 150_000),
        ("a.html", b"<html>" + b"<tr><td>" * 100_000),
        ("b.html", b"<html><table" + b"<" * 500_000),
        ("a.pdf", b"%PDF-1.4\n" + b"1 0 obj\n" * 100_000),
        (
            "b.pdf",
            b"%PDF-1.4\n1 0 obj << /Type /Catalog /Pages 1 0 R /Kids [1 0 R] /Count 9 >> endobj\ntrailer << /Root 1 0 R >>",
        ),
        ("c.pdf", office.pdf(["x"]).replace(b"/Kids [3 0 R]", b"/Kids [2 0 R]")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_hostile_file_is_read_or_given_up_in_time(name: str, data: bytes) -> None:
    limits = TextLimits(unpack=UnpackLimits(bytes_out=60_000_000, seconds=3.0))  # meant to run out
    began = process_time()
    files = Reader(limits, lambda: process_time() - began).read(data, [name])
    assert files
    assert process_time() - began < 12  # a few times what is allowed, on a busy machine
