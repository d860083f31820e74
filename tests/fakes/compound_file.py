"""Writes small OLE files ([MS-CFB], version 3): just enough for Office documents and Outlook items in tests."""

import struct

SECTOR = 512
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
STORAGE, STREAM, ROOT = 1, 2, 5


def compound_file(streams: dict[str, bytes], *, clsid: bytes = bytes(16)) -> bytes:
    """`streams` maps "Storage/Stream" to contents; each is padded to 4,096 octets, so that there is no mini stream."""
    names = _tree(streams)
    chains, sectors = _lay_out([streams[path].ljust(4096, b"\0") for path in streams])
    starts = dict(zip(streams, chains, strict=True))
    directory = _directory(names, streams, starts, clsid)
    first_directory = len(sectors)
    table = _table(chains, sectors, streams)
    sectors += [directory[at : at + SECTOR] for at in range(0, len(directory), SECTOR)]
    table += [*range(first_directory + 1, len(sectors)), END]
    first_fat = len(sectors)
    fats = (len(table) + 1 + 126) // 127
    table += [FAT] * fats
    table += [FREE] * (fats * 128 - len(table))
    sectors += [struct.pack("<128I", *table[at : at + 128]) for at in range(0, len(table), 128)]
    difat = [*range(first_fat, first_fat + fats)] + [FREE] * (109 - fats)
    header = struct.pack("<8s16sHHHHH6xIIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", bytes(16), 0x3E, 3, 0xFFFE, 9, 6,
                         0, fats, first_directory, 0, 4096, END, 0, END, 0, difat[0])  # fmt: skip
    return header + struct.pack("<108I", *difat[1:]) + b"".join(sectors)


def _tree(streams: dict[str, bytes]) -> list[str]:
    """Every storage and stream, each after the storage that holds it."""
    names: dict[str, None] = {}
    for path in streams:
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            names["/".join(parts[:depth])] = None
    return list(names)


def _lay_out(bodies: list[bytes]) -> tuple[list[int], list[bytes]]:
    starts, sectors = [], []
    for body in bodies:
        starts.append(len(sectors))
        whole = body.ljust(-(-len(body) // SECTOR) * SECTOR, b"\0")
        sectors += [whole[at : at + SECTOR] for at in range(0, len(whole), SECTOR)]
    return starts, sectors


def _table(starts: list[int], sectors: list[bytes], streams: dict[str, bytes]) -> list[int]:
    ends = {start - 1 for start in starts if start} | {len(sectors) - 1}
    return [END if at in ends else at + 1 for at in range(len(sectors))]


def _directory(names: list[str], streams: dict[str, bytes], starts: dict[str, int], clsid: bytes) -> bytes:
    """Siblings hang in a chain to the right: a poor tree, but a tree."""
    number = {name: at + 1 for at, name in enumerate(names)}
    children: dict[str, list[str]] = {}
    for name in names:
        children.setdefault(name.rpartition("/")[0], []).append(name)
    for siblings in children.values():
        siblings.sort(key=lambda name: (len(name.rpartition("/")[2]), name.rpartition("/")[2].upper()))
    entries = [_entry("Root Entry", ROOT, FREE, number[children[""][0]], END, 0, clsid)]
    for name in names:
        siblings = children[name.rpartition("/")[0]]
        at = siblings.index(name)
        right = number[siblings[at + 1]] if at + 1 < len(siblings) else FREE
        child = number[children[name][0]] if name in children else FREE
        is_stream = name in streams
        size = max(len(streams[name]), 4096) if is_stream else 0
        entries.append(
            _entry(name.rpartition("/")[2], STREAM if is_stream else STORAGE, right, child, starts.get(name, 0), size)
        )
    entries += [bytes(128)] * (-len(entries) % 4)
    return b"".join(entries)


def _entry(name: str, kind: int, right: int, child: int, start: int, size: int, clsid: bytes = bytes(16)) -> bytes:
    text = (name + "\0").encode("utf-16-le")
    return struct.pack("<64sHBBIII16sIQQIQ", text, len(text), kind, 1, FREE, right, child, clsid, 0, 0, 0, start, size)
