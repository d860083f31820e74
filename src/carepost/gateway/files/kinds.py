"""The true kind of a file, by its first bytes. Its name and its declared type are claims; this is what it is (R133).

Promises
    Looks at no more than the first 64 KiB and the last 66 KiB; never raises; what it does not know is UNKNOWN or TEXT.
"""

import re
from enum import StrEnum

# ISO 9660 puts its mark at 32,769; a bootable disk image shows itself in its first sector.
HEAD_BYTES = 65_536
_TAIL_BYTES = 66_000  # where a zip file's directory ends: 22 bytes and a comment of at most 65,535


class Kind(StrEnum):
    """What people would call it."""

    WINDOWS_PROGRAM = "Windows program"
    LINUX_PROGRAM = "Linux program"
    MAC_PROGRAM = "macOS program"
    BYTE_CODE = "program in byte code"
    SCRIPT = "script"
    SHORTCUT = "shortcut"
    INSTALLER = "installer package"
    DISK_IMAGE = "disk image"
    HELP_FILE = "compiled help file"
    NOTEBOOK = "OneNote notebook"
    REGISTRY = "registry file"
    OLE = "older Office file"
    PDF = "PDF document"
    RTF = "RTF document"
    PAGE = "web page"
    SVG = "SVG picture"
    ZIP = "zip archive"
    TAR = "tar archive"
    GZIP = "gzip file"
    BZIP2 = "bzip2 file"
    XZ = "xz file"
    ZSTD = "zstd file"
    TNEF = "Outlook package (winmail.dat)"
    OTHER_ARCHIVE = "archive of a kind we cannot open"
    MESSAGE = "email message"
    PICTURE = "picture"
    SOUND_OR_FILM = "sound or film"
    TEXT = "text"
    UNKNOWN = "file of an unknown kind"


PROGRAMS = frozenset(
    {
        Kind.WINDOWS_PROGRAM, Kind.LINUX_PROGRAM, Kind.MAC_PROGRAM, Kind.BYTE_CODE, Kind.SCRIPT, Kind.SHORTCUT,
        Kind.INSTALLER, Kind.DISK_IMAGE, Kind.HELP_FILE, Kind.NOTEBOOK, Kind.REGISTRY,
    }
)  # fmt: skip
PACKED = frozenset({Kind.ZIP, Kind.TAR, Kind.GZIP, Kind.BZIP2, Kind.XZ, Kind.ZSTD, Kind.TNEF})

_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"\x7fELF", Kind.LINUX_PROGRAM),
    (b"\xfe\xed\xfa\xce", Kind.MAC_PROGRAM),
    (b"\xfe\xed\xfa\xcf", Kind.MAC_PROGRAM),
    (b"\xce\xfa\xed\xfe", Kind.MAC_PROGRAM),
    (b"\xcf\xfa\xed\xfe", Kind.MAC_PROGRAM),
    (b"\xca\xfe\xba\xbe", Kind.BYTE_CODE),  # a Java class, or a fat Mach-O
    (b"dex\n0", Kind.BYTE_CODE),
    (b"\x00asm", Kind.BYTE_CODE),
    (b"FWS", Kind.BYTE_CODE),  # Flash
    (b"CWS", Kind.BYTE_CODE),
    (b"ZWS", Kind.BYTE_CODE),
    (b"#@~^", Kind.SCRIPT),  # encoded JScript or VBScript
    (b"\x4c\x00\x00\x00\x01\x14\x02\x00", Kind.SHORTCUT),
    (b"!<arch>\n", Kind.INSTALLER),  # a Debian package
    (b"\xed\xab\xee\xdb", Kind.INSTALLER),  # an RPM package
    (b"xar!", Kind.INSTALLER),  # a macOS package
    (b"vhdxfile", Kind.DISK_IMAGE),
    (b"conectix", Kind.DISK_IMAGE),
    (b"KDMV", Kind.DISK_IMAGE),
    (b"QFI\xfb", Kind.DISK_IMAGE),
    (b"MSWIM\x00\x00\x00", Kind.DISK_IMAGE),
    (b"ITSF", Kind.HELP_FILE),
    (b"?_\x03\x00", Kind.HELP_FILE),
    (b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3", Kind.NOTEBOOK),
    (b"REGEDIT4", Kind.REGISTRY),
    (b"Windows Registry Editor", Kind.REGISTRY),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind.OLE),
    (b"PK\x03\x04", Kind.ZIP),
    (b"PK\x05\x06", Kind.ZIP),
    (b"PK\x07\x08", Kind.ZIP),
    (b"PK00PK\x03\x04", Kind.ZIP),
    (b"\x1f\x8b\x08", Kind.GZIP),
    (b"BZh", Kind.BZIP2),
    (b"\xfd7zXZ\x00", Kind.XZ),
    (b"\x28\xb5\x2f\xfd", Kind.ZSTD),
    (b"\x78\x9f\x3e\x22", Kind.TNEF),
    (b"7z\xbc\xaf\x27\x1c", Kind.OTHER_ARCHIVE),
    (b"Rar!\x1a\x07", Kind.OTHER_ARCHIVE),
    (b"MSCF", Kind.OTHER_ARCHIVE),  # a cabinet
    (b"\x60\xea", Kind.OTHER_ARCHIVE),  # ARJ
    (b"LZIP", Kind.OTHER_ARCHIVE),
    (b"\x1f\x9d", Kind.OTHER_ARCHIVE),  # compress
    (b"\x1f\xa0", Kind.OTHER_ARCHIVE),
    (b"ISc(", Kind.OTHER_ARCHIVE),  # InstallShield
    (b"\x89PNG\r\n", Kind.PICTURE),
    (b"\xff\xd8\xff", Kind.PICTURE),
    (b"GIF8", Kind.PICTURE),
    (b"II*\x00", Kind.PICTURE),
    (b"MM\x00*", Kind.PICTURE),
    (b"BM", Kind.PICTURE),
    (b"\x00\x00\x01\x00", Kind.PICTURE),
    (b"OggS", Kind.SOUND_OR_FILM),
    (b"ID3", Kind.SOUND_OR_FILM),
    (b"\x1aE\xdf\xa3", Kind.SOUND_OR_FILM),
)
# Every part of every message is asked about several times; most begin like none of these.
_MAGIC_BY_FIRST: dict[bytes, list[tuple[bytes, Kind]]] = {}
for _magic, _kind in _MAGIC:
    _MAGIC_BY_FIRST.setdefault(_magic[:1], []).append((_magic, _kind))
_AT: tuple[tuple[int, bytes, Kind], ...] = (
    (257, b"ustar", Kind.TAR),
    (0x8001, b"CD001", Kind.DISK_IMAGE),
    (0x8001, b"BEA01", Kind.DISK_IMAGE),
    (0x8001, b"NSR0", Kind.DISK_IMAGE),
    (7, b"**ACE**", Kind.OTHER_ARCHIVE),
    (2, b"-lh", Kind.OTHER_ARCHIVE),
    (8, b"WEBP", Kind.PICTURE),
    (8, b"WAVE", Kind.SOUND_OR_FILM),
    (8, b"AVI ", Kind.SOUND_OR_FILM),
    (4, b"ftyp", Kind.SOUND_OR_FILM),
    (128, b"DICM", Kind.PICTURE),
)
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_PAGE = re.compile(
    rb"<(?:!doctype\s+html|html|head|body|script|iframe|meta|title|form|table|div|style|object|embed|a\s+href)\b",
    re.IGNORECASE,
)
_SVG = re.compile(rb"<(?:\w+:)?svg\b", re.IGNORECASE)
_VBSCRIPT = re.compile(rb"<script[^>]{0,200}vbscript")
_JOB = re.compile(rb"\A\s*(?:<\?xml[^>]{0,200}>\s*)?<(?:job|package|scriptlet|component)\b", re.IGNORECASE)
_SCRIPT_WORDS = re.compile(
    rb"\bWScript\.|\bnew\s+ActiveXObject\s*\(|\bCreateObject\s*\(\s*[\"']|\bOn Error Resume Next\b"
    rb"|\bInvoke-Expression\b|\bIEX\s*\(|\bNew-Object\s+(?:System\.)?Net\.|\bpowershell(?:\.exe)?\s+-|^@echo off\b",
    re.IGNORECASE | re.MULTILINE,
)
_HEADER_FIELD = re.compile(
    rb"\A(?:(?:Received|Return-Path|From|To|Subject|Date|Message-ID|MIME-Version|Delivered-To|X-[\w-]+):[^\n]*\n)"
    rb"(?:[!-9;-~]+:[^\n]*\n|[ \t][^\n]*\n){2}",
    re.IGNORECASE,
)


def kind_of(data: bytes) -> Kind:
    """The kind of a whole file, or of one whose first 64 KiB these are."""
    for magic, kind in _MAGIC_BY_FIRST.get(data[:1], ()):
        if data.startswith(magic):
            return kind if kind is not Kind.PICTURE or not data.startswith(b"BM") or _is_bitmap(data) else Kind.UNKNOWN
    for at, magic, kind in _AT:
        if data[at : at + len(magic)] == magic:
            return kind
    if data.startswith(b"MZ") and (len(data) < 64 or not _is_text(data[:256])):
        return Kind.WINDOWS_PROGRAM
    if b"%PDF-" in data[:1024]:  # readers look for it anywhere in the first kilobyte
        return Kind.PDF
    if data[-512:].startswith(b"koly") or _is_boot_sector(data):
        return Kind.DISK_IMAGE
    return _text_kind(data)


def ends_like_zip(data: bytes) -> bool:
    """True when another kind of file has a zip directory at its end: it is two files in one."""
    return b"PK\x05\x06" in data[-_TAIL_BYTES:]


def _is_bitmap(data: bytes) -> bool:
    return len(data) >= 18 and int.from_bytes(data[14:18], "little") in {12, 40, 52, 56, 64, 108, 124}


def _is_boot_sector(data: bytes) -> bool:
    return len(data) >= 512 and data[510:512] == b"\x55\xaa" and data[0] in {0xEB, 0xE9} and b"FAT" in data[:90]


def _text_kind(data: bytes) -> Kind:
    head = _without_marks(data[:HEAD_BYTES])
    start = head.lstrip(b" \t\r\n\x0c")
    if start.startswith(b"#!") and b"/" in start[:40]:
        return Kind.SCRIPT
    if start[:4].lower() == b"{\\rt":
        return Kind.RTF
    if start[:18].lower() == b"[internetshortcut]":
        return Kind.SHORTCUT
    if not _is_text(head[:4096]):
        return Kind.UNKNOWN
    if start.startswith(b"<") or b"<" in start[:512]:
        if _is_application(head.lower()) or _JOB.match(head):
            return Kind.SCRIPT
        if _SVG.search(start[:4096]):
            return Kind.SVG
        if _PAGE.search(start[:4096]):
            return Kind.PAGE
    if _HEADER_FIELD.match(start):
        return Kind.MESSAGE
    return Kind.TEXT


def _is_application(low: bytes) -> bool:
    """A page that Windows runs with all rights: an HTML application, or one that speaks VBScript."""
    return b"<hta:application" in low or (b"vbscript" in low and _VBSCRIPT.search(low) is not None)


def _without_marks(head: bytes) -> bytes:
    """Without a byte order mark, and as single bytes when it is UTF-16 of ASCII letters."""
    for mark in _BOMS:
        if head.startswith(mark):
            head = head[len(mark) :]
            break
    return head.replace(b"\x00", b"") if head[1:2] == b"\x00" or head[:1] == b"\x00" else head


def reads_like_script(data: bytes) -> bool:
    """Text that Windows would run if it had the right ending."""
    return _SCRIPT_WORDS.search(data, 0, HEAD_BYTES) is not None


def _is_text(data: bytes) -> bool:
    """No byte that text does not have; a few are forgiven."""
    odd = len(data.translate(None, delete=_TEXT_BYTES))
    return odd * 100 <= len(data)


_TEXT_BYTES = bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100)) + b"\t\r\n\x0c\x1b"
