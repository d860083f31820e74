"""M4: bombs, locks, damage and depth end in quarantine, within the caps; and ordinary archives pass."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import tracemalloc
import zipfile
import zlib

import pytest
import zstandard
from tests.fakes.gateway import checks, codes, examination, judged, with_files

from carepost.gateway.checks.everything import CheckPolicy
from carepost.gateway.checks.malware import EICAR
from carepost.gateway.files.inspect import Inspector
from carepost.gateway.files.traits import Trait
from carepost.gateway.files.unpack import UnpackLimits

ZEROS = bytes(20_000_000)


def zipped(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return out.getvalue()


def overlapping(copies: int = 50) -> bytes:
    """Fifield's idea: many directory entries that point at one and the same file."""
    data = zipped(("a", b"x" * 10_000))
    at = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    directory = data[at:end] * copies
    return data[:at] + directory + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, copies, copies, len(directory), at, 0)


def locked() -> bytes:
    """A zip whose one entry says that it is encrypted."""
    data = bytearray(zipped(("secret.pdf", b"%PDF-1.4" + b"x" * 100)))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def nested(levels: int, core: bytes = b"hello") -> bytes:
    data = zipped(("a.txt", core))
    for level in range(levels - 1):
        data = zipped((f"{level}.zip", data))
    return data


def tnef(name: str, data: bytes, *, size: int | None = None) -> bytes:
    def attribute(kind: int, value: bytes) -> bytes:
        return b"\x02" + struct.pack("<II", kind, size if size and kind == 0x0006800F else len(value)) + value + b"\0\0"

    return (
        b"\x78\x9f\x3e\x22\x01\x00"
        + attribute(0x00069002, b"\0" * 14)
        + attribute(0x00018010, name.encode() + b"\0")
        + attribute(0x0006800F, data)
    )


def pdf_with_bomb() -> bytes:
    return (
        b"%PDF-1.7\n1 0 obj\n<</Type/ObjStm/Filter/FlateDecode>>\nstream\n"
        + zlib.compress(ZEROS * 4)
        + b"\nendstream\nendobj\n%%EOF"
    )


BOMBS = {
    "a zip packed to burst": zipped(("a", ZEROS)),
    "a zip in which files lie over one another": overlapping(),
    "a zip of ten thousand files": zipped(*((str(n), b"") for n in range(10_000))),
    "a zip deeper than we look": nested(8),
    "a gzip packed to burst": gzip.compress(ZEROS),
    "many gzip members": gzip.compress(b"x" * 1_000_000) * 150,
    "a bzip2 packed to burst": bz2.compress(ZEROS),
    "an xz packed to burst": lzma.compress(ZEROS),
    "a zstd packed to burst": zstandard.compress(ZEROS),
    "a gzip of a gzip of nothing": gzip.compress(gzip.compress(ZEROS * 4)),
    "a damaged zip": zipped(("a.txt", b"hello" * 1000))[:-30],
    "a damaged gzip": gzip.compress(b"hello" * 10_000)[:60],
    "a damaged xz": lzma.compress(b"hello" * 1000)[:40],
    "a damaged bzip2": bz2.compress(b"hello" * 1000)[:40],
    "a damaged zstd": zstandard.compress(b"hello" * 1000)[:10] + b"\xff" * 20,
    "an xz that wants all memory": lzma.compress(b"x" * 100, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}]),
    "a winmail.dat that lies about its length": tnef("a.txt", b"x" * 100, size=1 << 31),
    "a rar": b"Rar!\x1a\x07\x01\x00" + b"x" * 100,
    "a cabinet": b"MSCF\0\0\0\0" + b"x" * 100,
}


@pytest.mark.parametrize("name", BOMBS)
async def test_a_hostile_archive_is_held_and_costs_little_memory(name: str) -> None:
    seen = examination(with_files(("letters.dat", BOMBS[name])))
    tracemalloc.start()
    try:
        ruling, found = await judged(seen)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert ruling.gravest.decision.card == "unreadable-archive", [(finding.code, finding.says) for finding in found]
    assert peak < 300_000_000


async def test_a_bomb_in_a_pdf_is_unpacked_only_a_little() -> None:
    seen = examination(with_files(("a.pdf", pdf_with_bomb())))
    tracemalloc.start()
    try:
        ruling, _ = await judged(seen)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert ruling.gravest.decision.card == "from-outside"
    assert peak < 50_000_000


async def test_a_locked_zip_is_held_unless_its_sender_is_on_the_register() -> None:
    raw = with_files(("case.zip", locked()))
    ruling, _ = await judged(examination(raw))
    assert ruling.gravest.decision.card == "locked-archive"
    known = with_files(("case.zip", locked()), author="ward@trust.example")
    ruling, _ = await judged(examination(known, sender="ward@trust.example", client="192.0.2.10"))
    assert ruling.gravest.decision.card == "locked-archive-secure"


async def test_a_program_s_name_is_seen_through_the_lock() -> None:
    data = locked().replace(b"secret.pdf", b"secret.exe")
    ruling, _ = await judged(examination(with_files(("case.zip", data))))
    assert ruling.gravest.decision.card == "program"


@pytest.mark.parametrize("levels", [1, 2, 3, 4, 5])
async def test_five_levels_are_looked_through(levels: int) -> None:
    ruling, _ = await judged(examination(with_files(("a.zip", nested(levels, EICAR)))))
    assert ruling.gravest.decision.card == "malware"


async def test_what_outlook_packs_is_unpacked() -> None:
    ruling, found = await judged(examination(with_files(("winmail.dat", tnef("tool.exe", b"MZ" + b"\0" * 100)))))
    assert ruling.gravest.decision.card == "program"
    assert "unreadable-archive" not in codes(found)
    plain, _ = await judged(examination(with_files(("winmail.dat", tnef("letter.txt", b"Dear Jo")))))
    assert plain.gravest.decision.card == "from-outside"


def test_time_is_a_cap_too() -> None:
    clock = iter(range(0, 10_000, 3))
    inspector = Inspector(spent_seconds=lambda: next(clock))
    reports = inspector.depths(zipped(*((str(n), b"x" * 100) for n in range(50))), ["a.zip"])
    assert [report.seen.trait for report in reports if report.seen.trait is Trait.UNREADABLE] == [Trait.UNREADABLE]


def test_the_budget_is_one_for_all_archives_of_a_message() -> None:
    inspector = Inspector(limits=UnpackLimits(entries=10))
    six = zipped(*((str(n), b"x") for n in range(6)))
    assert inspector.depths(six, ["a.zip"]) == []
    assert [report.seen.trait for report in inspector.depths(six, ["b.zip"])] == [Trait.UNREADABLE]


async def test_ordinary_archives_pass() -> None:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w:gz") as archive:
        info = tarfile.TarInfo("../../etc/results.csv")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"a,b\n"))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    files = [
        ("a.tgz", tar.getvalue()),
        ("b.zip", zipped(("x.csv", b"a,b\n" * 2000))),
        ("c.gz", gzip.compress(b"a,b\n")),
    ]
    ruling, found = await judged(examination(with_files(*files)))
    assert ruling.gravest.decision.card == "from-outside", [(finding.code, finding.says) for finding in found]


async def test_the_caps_are_settings() -> None:
    policy = CheckPolicy(unpack=UnpackLimits(depth=1))
    ruling, _ = await judged(examination(with_files(("a.zip", nested(2)))), among=checks(policy=policy))
    assert ruling.gravest.decision.card == "unreadable-archive"
