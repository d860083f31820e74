"""The names in a zip file, from its end alone: for files that are too large to be unpacked. PURE.

Promises
    Looks at nothing but the bytes given; never raises; names nothing more than `NAMES_MAX` times.
    None where the list of names is not in these bytes, or is not what it should be: not known, never "none".
"""

import struct

NAMES_MAX = 50_000
_END = struct.Struct("<4s4H2LH")  # APPNOTE 4.3.16
_ENTRY = struct.Struct("<4s6H3L5H2L")  # APPNOTE 4.3.12
_UTF8 = 1 << 11


def names_in_tail(tail: bytes) -> list[str] | None:
    """`tail` is the end of the file, or all of it."""
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        return None
    _, _, _, _, count, octets, _, _ = _END.unpack_from(tail, at)
    # Zip64 keeps its record between the list and the end (APPNOTE 4.3.14): the list is found by walking back to it.
    end = at
    if b"PK\x06\x06" in tail[max(0, at - 200) : at]:
        end = tail.rfind(b"PK\x06\x06", 0, at)
        if end + 56 > len(tail):
            return None
        count, octets = struct.unpack_from("<QQ", tail, end + 32)
    start = end - octets
    if start < 0 or count > NAMES_MAX:
        return None
    return _names(tail[start:end], count)


def _names(directory: bytes, count: int) -> list[str] | None:
    names: list[str] = []
    at = 0
    while at + _ENTRY.size <= len(directory):
        entry = _ENTRY.unpack_from(directory, at)
        if entry[0] != b"PK\x01\x02" or len(names) > count:
            return None
        flags, name, extra, comment = entry[3], entry[10], entry[11], entry[12]
        at += _ENTRY.size
        octets = directory[at : at + name]
        names.append(octets.decode("utf-8" if flags & _UTF8 else "cp437", "replace"))
        at += name + extra + comment
    return names if len(names) == count else None
