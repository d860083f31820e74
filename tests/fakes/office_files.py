"""Documents as office programs write them, made from lines and rows: docx, xlsx, pptx, odt, rtf, html, csv, pdf.

Small, and true to what the programs do where it matters to a reader: runs that cut a number in two, shared strings,
numbers stored as numbers, PDFs whose letters are placed one by one or named by glyph. All from fixed chances.
"""

import io
import random
import zipfile
import zlib
from collections.abc import Sequence
from xml.sax.saxutils import escape

Rows = Sequence[Sequence[str]]


def zipped(parts: dict[str, str | bytes], *, packed: bool = True) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return out.getvalue()


_TYPES = '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def docx(lines: Sequence[str], rows: Rows = (), chance: random.Random | None = None) -> bytes:
    """Words in paragraphs; with `chance`, runs are cut anywhere, as spelling marks and edits do."""
    body = "".join(f"<w:p><w:pPr><w:spacing/></w:pPr>{_runs(line, chance)}</w:p>" for line in lines)
    if rows:
        cells = "".join(
            "<w:tr>" + "".join(f"<w:tc><w:tcPr/><w:p>{_runs(cell, None)}</w:p></w:tc>" for cell in row) + "</w:tr>"
            for row in rows
        )
        body += f"<w:tbl><w:tblPr/>{cells}</w:tbl>"
    return zipped(
        {
            "[Content_Types].xml": _TYPES,
            "word/document.xml": f'<?xml version="1.0"?><w:document {_W}><w:body>{body}<w:sectPr/></w:body></w:document>',
            "word/styles.xml": f"<w:styles {_W}/>",
            "docProps/core.xml": "<coreProperties><title>Letter</title></coreProperties>",
        }
    )


def _runs(text: str, chance: random.Random | None) -> str:
    pieces = [text]
    if chance is not None and len(text) > 4:
        cuts = sorted(chance.sample(range(1, len(text)), min(3, len(text) - 1)))
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    out = ""
    for piece in pieces:
        words = "<w:tab/>".join(f'<w:t xml:space="preserve">{escape(bit)}</w:t>' for bit in piece.split("\t"))
        out += f'<w:r w:rsidR="00A1"><w:rPr><w:b/></w:rPr>{words}</w:r><w:proofErr w:type="spellEnd"/>'
    return out


def xlsx(rows: Rows, *, style: str = "shared") -> bytes:
    """`style`: shared strings, inline strings, or whole numbers stored as numbers."""
    shared: list[str] = []
    lines = []
    for number, row in enumerate(rows, 1):
        cells = []
        for column, cell in enumerate(row):
            place = f"{chr(65 + column)}{number}"
            if not cell:
                continue
            if style == "numbers" and cell.isdigit() and not cell.startswith("0"):
                cells.append(f'<c r="{place}" s="1"><v>{cell}</v></c>')
            elif style == "inline":
                cells.append(f'<c r="{place}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>')
            else:
                if cell not in shared:
                    shared.append(cell)
                cells.append(f'<c r="{place}" t="s"><v>{shared.index(cell)}</v></c>')
        lines.append(f'<row r="{number}" spans="1:9">{"".join(cells)}</row>')
    strings = "".join(f"<si><t>{escape(one)}</t></si>" for one in shared)
    return zipped(
        {
            "[Content_Types].xml": _TYPES,
            "xl/workbook.xml": '<workbook><sheets><sheet name="Sheet1" sheetId="1"/></sheets></workbook>',
            "xl/worksheets/sheet1.xml": f"<worksheet><sheetData>{''.join(lines)}</sheetData></worksheet>",
            "xl/sharedStrings.xml": f'<sst count="{len(shared)}">{strings}</sst>',
            "xl/styles.xml": "<styleSheet/>",
        }
    )


def pptx(lines: Sequence[str]) -> bytes:
    body = "".join(f"<a:p><a:r><a:t>{escape(line)}</a:t></a:r></a:p>" for line in lines)
    return zipped(
        {
            "[Content_Types].xml": _TYPES,
            "ppt/slides/slide1.xml": "<p:sld><p:txBody><a:p><a:r><a:t>Teaching</a:t></a:r></a:p></p:txBody></p:sld>",
            "ppt/notesSlides/notesSlide1.xml": f"<p:notes><p:txBody>{body}</p:txBody></p:notes>",
        }
    )


def odt(lines: Sequence[str], rows: Rows = ()) -> bytes:
    body = "".join(f'<text:p text:style-name="P1">{escape(line)}</text:p>' for line in lines)
    table = "".join(
        "<table:table-row>"
        + "".join(f"<table:table-cell><text:p>{escape(cell)}</text:p></table:table-cell>" for cell in row)
        + "</table:table-row>"
        for row in rows
    )
    return zipped(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": f"<office:document-content><office:text>{body}<table:table>{table}</table:table>"
            "</office:text></office:document-content>",
            "META-INF/manifest.xml": "<manifest:manifest/>",
        }
    )


def rtf(lines: Sequence[str]) -> bytes:
    body = "\\par\n".join("".join(_rtf_letter(letter) for letter in line) for line in lines)
    return ("{\\rtf1\\ansi\\deff0{\\fonttbl{\\f0 Arial;}}\\f0\\fs22 " + body + "\\par}").encode("ascii")


def _rtf_letter(letter: str) -> str:
    if letter in "\\{}":
        return "\\" + letter
    return letter if letter.isascii() else f"\\u{ord(letter)}?"


def html_table(rows: Rows) -> str:
    return (
        "<html><body><p>As asked.</p><table>"
        + "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        + "</table></body></html>"
    )


def csv_text(rows: Rows, separator: str = ",") -> str:
    return "".join(separator.join(f'"{cell}"' if separator in cell else cell for cell in row) + "\r\n" for row in rows)


# --- PDF --------------------------------------------------------------------------------------------------------------

PDF_STYLES = ("lines", "kerned", "letters", "glyphs", "packed")


def pdf(lines: Sequence[str], *, style: str = "lines") -> bytes:
    """`lines`: one string a line. `kerned`: arrays with gaps. `letters`: each letter placed by itself.
    `glyphs`: numbers of glyphs, with the table that says what they mean. `packed`: objects in compressed streams.
    """  # fmt: skip
    alphabet = sorted(set("".join(lines)) | {" "})
    code = {letter: number for number, letter in enumerate(alphabet, 1)}
    content = _content(lines, style, code)
    packed = zlib.compress(content)
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        4: b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed),
        5: font,
    }
    if style == "glyphs":
        objects |= _glyph_font(code)
    return _packed_file(objects) if style == "packed" else pdf_file(objects)


def _content(lines: Sequence[str], style: str, code: dict[str, int]) -> bytes:
    out = ["BT /F1 11 Tf 14 TL 60 780 Td"]
    for number, line in enumerate(lines):
        if style == "glyphs":
            out.append("<" + "".join(f"{code[letter]:04X}" for letter in line) + "> Tj T*")
        elif style == "kerned":
            out.append("[" + " -20 ".join(f"({_escaped(word)} )" for word in line.split(" ")) + "] TJ T*")
        elif style == "letters":
            out += _placed(line, 780 - 14 * number)
        else:
            out.append(f"({_escaped(line)}) Tj T*")
    return "\n".join([*out, "ET"]).encode("cp1252", "replace")


# Widths of Helvetica, thousandths of the size: what is not here is 556.
_WIDTHS = {278: " ,./:;!I[]\\ft", 333: "()-r`", 222: "ijl'", 500: "ckvxyzsJ", 833: "mM", 722: "wDCHNRU", 667: "ABEKPSVXY",
           611: "FTZ", 778: "GOQ", 944: "W", 584: "+|=", 1015: "@"}  # fmt: skip
_WIDTH = {letter: width for width, letters in _WIDTHS.items() for letter in letters}


def _placed(line: str, height: int) -> list[str]:
    """Each letter where it belongs, as browsers and the text layers of scanners have it."""
    out, at = [], 60.0
    for letter in line:
        out.append(f"1 0 0 1 {at:.2f} {height} Tm ({_escaped(letter)}) Tj")
        at += _WIDTH.get(letter, 556) * 11 / 1000
    return out


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def _glyph_font(code: dict[str, int]) -> dict[int, bytes]:
    means = "\n".join(f"<{number:04X}> <{ord(letter):04X}>" for letter, number in code.items())
    cmap = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def\n"
        "1 begincodespacerange <0000> <FFFF> endcodespacerange\n"
        f"{len(code)} beginbfchar\n{means}\nendbfchar endcmap end end"
    ).encode()
    return {
        5: b"<< /Type /Font /Subtype /Type0 /BaseFont /ABCDEF+Arial /Encoding /Identity-H /DescendantFonts [6 0 R] /ToUnicode 7 0 R >>",
        6: b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /ABCDEF+Arial /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /DW 500 >>",
        7: b"<< /Length %d >>\nstream\n%s\nendstream" % (len(cmap), cmap),
    }


def pdf_file(objects: dict[int, bytes]) -> bytes:
    out, places = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), {}
    for number, body in sorted(objects.items()):
        places[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % places[number] for number in sorted(objects))
    return bytes(out + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start))


def _packed_file(objects: dict[int, bytes]) -> bytes:
    """Object streams and a cross-reference stream, as PDF 1.5 has them."""
    inside = {number: body for number, body in objects.items() if b"stream\n" not in body}
    heads, bodies = [], b""
    for number, body in inside.items():
        heads.append(b"%d %d" % (number, len(bodies)))
        bodies += body + b" "
    head = b" ".join(heads) + b" "
    stream = zlib.compress(head + bodies)
    holder, table = max(objects) + 1, max(objects) + 2
    whole = {number: body for number, body in objects.items() if number not in inside}
    whole[holder] = b"<< /Type /ObjStm /N %d /First %d /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (
        len(inside), len(head), len(stream), stream)  # fmt: skip
    out, places = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), {}
    for number, body in sorted(whole.items()):
        places[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    places[table] = len(out)
    order = list(inside)
    rows = b"\0\0\0\0\xff"
    for number in range(1, table + 1):
        if number in inside:
            rows += b"\2" + holder.to_bytes(3, "big") + bytes([order.index(number)])
        else:
            rows += b"\1" + places[number].to_bytes(3, "big") + b"\0"
    packed = zlib.compress(rows)
    out += b"%d 0 obj\n<< /Type /XRef /Size %d /W [1 3 1] /Root 1 0 R /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream\nendobj\n" % (
        table, table + 1, len(packed), packed)  # fmt: skip
    return bytes(out + b"startxref\n%d\n%%%%EOF\n" % places[table])
