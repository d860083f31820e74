"""The words of Office 97-2003 documents and Outlook items: runs of letters, and the numbers of a workbook's cells.

Promises
    Bounded: so many streams of so many bytes. Finds words wherever they stand in the file, deleted ones included; does
    not know their order. An encrypted file is not readable. [MS-CFB], [MS-DOC], [MS-XLS].
"""

import io
import re
import struct
from collections.abc import Iterator

import olefile

from carepost.gateway.files.texts_model import NotReadable, Unread, Words

_STREAMS_MAX = 500
_STREAM_MAX = 16 << 20
_TOTAL_MAX = 48 << 20
_NARROW = re.compile(rb"[\t\r\n\x20-\x7e\x91-\x97\xa0-\xff]{4,}")
_WIDE = re.compile(rb"(?:[\t\r\n\x20-\x7e\xa0-\xff]\x00|[\x10-\x15\x18-\x1d]\x20){4,}")
_NUMBER, _FORMULA, _FILEPASS = 0x0203, 0x0006, 0x002F  # [MS-XLS] 2.4.180, 2.4.127, 2.4.117
_RECORDS_MAX = 1_000_000
_NO_WORDS = frozenset({"data", "\x05summaryinformation_thumbnail", "vba", "compobj", "\x01compobj"})


def read_ole(data: bytes) -> Words:
    """Raises NotReadable when it is locked; a library's error when it is damaged."""
    texts: list[str] = []
    with olefile.OleFileIO(io.BytesIO(data)) as ole:
        total = 0
        for path in ole.listdir(streams=True, storages=False)[:_STREAMS_MAX]:
            name = path[-1].lower()
            if name in {"encryptedpackage", "encryptioninfo"}:
                raise NotReadable(Unread.LOCKED)
            if name in _NO_WORDS:
                continue
            with ole.openstream(path) as stream:
                body = bytes(stream.read(_STREAM_MAX))
            total += len(body)
            if total > _TOTAL_MAX:
                return Words("\n".join(texts), unread=Unread.TOO_LARGE)
            if name in {"workbook", "book"}:
                texts += _numbers(body)
            elif name == "worddocument" and len(body) > 12 and body[11] & 0x01:  # FibBase.fEncrypted
                raise NotReadable(Unread.LOCKED)
            texts += _runs(body)
    return Words("\n".join(texts))


def _runs(body: bytes) -> Iterator[str]:
    for found in _WIDE.finditer(body):
        yield found[0].decode("utf-16-le", "replace").replace("\r", "\n")
    for found in _NARROW.finditer(body):
        yield found[0].decode("cp1252", "replace").replace("\r", "\n")


def _numbers(book: bytes) -> Iterator[str]:
    """Whole numbers of cells and of formulas' results; a number of ten digits is never packed shorter."""
    at = 0
    for _ in range(_RECORDS_MAX):
        if at + 4 > len(book):
            return
        kind, size = struct.unpack_from("<HH", book, at)
        if kind == _FILEPASS:
            raise NotReadable(Unread.LOCKED)
        if kind in {_NUMBER, _FORMULA} and size >= 14 and at + 18 <= len(book):
            (value,) = struct.unpack_from("<d", book, at + 10)
            if 1e8 <= value < 1e16 and value == int(value):
                yield str(int(value))
        at += 4 + size
