"""Archives taken apart: zip, tar, gzip, bzip2, xz, zstd and Outlook packages, to a depth and within a budget (M4).

Promises
    Reads in pieces; the first cap that is reached (ratio, bytes, entries, depth, time) raises PackedTooTightly.
    Nothing is written anywhere. Names inside an archive are only ever shown, never used as paths.
    An entry that is not opened has been looked at by name and by its first 64 KiB.
"""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, NamedTuple, Protocol, cast

import zstandard

from carepost.gateway.files.kinds import HEAD_BYTES, Kind

_PIECE = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpackLimits:
    """Where we stop. The sum of ordinary clinical attachments is far below; a bomb is far above. M4, R133."""

    ratio: int = 100  # bytes out for each byte in; XML of Office documents reaches 30
    ratio_from_bytes: int = 1_000_000  # below this much output a high ratio is only a dull file
    bytes_out: int = 100_000_000
    entries: int = 1_000
    depth: int = 5  # R133: inside archives to 5 levels
    seconds: float = 10.0
    dictionary_bytes: int = 128 << 20  # memory that xz and zstd may ask for to unpack


class PackedTooTightly(Exception):
    """A cap was reached. `args[0]` says which, to finish "The archive …"."""


class Entry(NamedTuple):
    """`data` is the whole file, or its first 64 KiB when `whole` is False; None when it is locked.

    `is_body` marks the text of a message: to be read, not opened, so a letter quoted in it is no file.
    """

    name: str
    data: bytes | None
    whole: bool
    is_body: bool = False


@dataclass(slots=True)
class Budget:
    """What one message may cost, over all its archives."""

    limits: UnpackLimits
    spent_seconds: Callable[[], float]
    bytes_out: int = 0
    entries: int = 0

    def spend(self, *, out: int) -> None:
        self.bytes_out += out
        if self.bytes_out > self.limits.bytes_out:
            raise PackedTooTightly("unpacks to more than we look through")
        self.check_time()

    def entry(self) -> None:
        self.entries += 1
        if self.entries > self.limits.entries:
            raise PackedTooTightly("holds more files than we look through")

    def check_time(self) -> None:
        if self.spent_seconds() > self.limits.seconds:
            raise PackedTooTightly("takes longer to look through than we allow")

    def check_ratio(self, *, packed: int, out: int) -> None:
        if out > self.limits.ratio_from_bytes and out > packed * self.limits.ratio:
            raise PackedTooTightly("is packed to burst")


class WantsAll(Protocol):
    """Whether an entry must be read to its end, from its name and its first bytes."""

    def __call__(self, name: str, head: bytes) -> bool: ...


def unpack(kind: Kind, data: bytes, budget: Budget, wants_all: WantsAll) -> Iterator[Entry]:
    """Raises PackedTooTightly at a cap, and ValueError (or a library's own error) when the archive is damaged."""
    match kind:
        case Kind.ZIP:
            yield from _zip(data, budget, wants_all)
        case Kind.TAR:
            yield from _tar(io.BytesIO(data), budget, wants_all)
        case Kind.GZIP | Kind.BZIP2 | Kind.XZ | Kind.ZSTD:
            yield from _stream(kind, data, budget, wants_all)
        case Kind.TNEF:
            yield from _tnef(data, budget)


# --- zip ------------------------------------------------------------------------------------------------------------


def _zip(data: bytes, budget: Budget, wants_all: WantsAll) -> Iterator[Entry]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
        if len(infos) > budget.limits.entries:
            raise PackedTooTightly("holds more files than we look through")
        _refuse_overlaps(infos, len(data))
        budget.check_ratio(packed=len(data), out=sum(info.file_size for info in infos))
        for info in infos:
            budget.entry()
            if info.is_dir() and not info.file_size:
                continue
            if info.flag_bits & 0x1:
                yield Entry(info.filename, None, whole=False)
                continue
            if info.file_size > budget.limits.bytes_out:
                raise PackedTooTightly("unpacks to more than we look through")
            with archive.open(info) as stream:
                yield _entry(info.filename, stream, info.file_size, budget, wants_all)


def _refuse_overlaps(infos: list[zipfile.ZipInfo], size: int) -> None:
    """Files that share their packed bytes are how a small zip holds petabytes (Fifield 2019)."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end or info.header_offset + info.compress_size > size:
            raise PackedTooTightly("has files lying over one another")
        end = info.header_offset + 30 + info.compress_size


def _entry(name: str, stream: IO[bytes], size: int, budget: Budget, wants_all: WantsAll) -> Entry:
    head = stream.read(HEAD_BYTES)
    budget.spend(out=len(head))
    if len(head) >= size or not wants_all(name, head):
        return Entry(name, head, whole=len(head) >= size)
    pieces = [head]
    while piece := stream.read(_PIECE):
        budget.spend(out=len(piece))
        pieces.append(piece)
    return Entry(name, b"".join(pieces), whole=True)


# --- tar ------------------------------------------------------------------------------------------------------------


def _tar(stream: IO[bytes], budget: Budget, wants_all: WantsAll) -> Iterator[Entry]:
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        for member in archive:
            budget.entry()
            budget.check_time()
            if not member.isreg():
                continue
            if member.size > budget.limits.bytes_out:
                raise PackedTooTightly("unpacks to more than we look through")
            file = archive.extractfile(member)
            if file is not None:
                yield _entry(member.name, file, member.size, budget, wants_all)


# --- one packed stream ----------------------------------------------------------------------------------------------


def _stream(kind: Kind, data: bytes, budget: Budget, wants_all: WantsAll) -> Iterator[Entry]:
    """The one file inside. What need not be seen whole is counted and not kept."""
    budget.entry()
    name = _gzip_name(data) if kind is Kind.GZIP else ""
    kept, out, keep = bytearray(), 0, True
    for piece in _pieces(kind, data, budget.limits):
        out += len(piece)
        budget.spend(out=len(piece))
        budget.check_ratio(packed=len(data), out=out)
        if keep:
            kept += piece
            keep = len(kept) < HEAD_BYTES or wants_all(name, bytes(kept[:HEAD_BYTES]))
    yield Entry(name, bytes(kept), whole=len(kept) == out)


def _pieces(kind: Kind, data: bytes, limits: UnpackLimits) -> Iterator[bytes]:
    """Unpacked, 64 KiB at a time. Raises an error of its library, or EOFError, for what is damaged or cut short."""
    if kind is Kind.XZ:
        yield from _xz(data, limits)
        return
    with _reader(kind, data, limits) as reader:
        while piece := reader.read(_PIECE):
            yield piece


def _reader(kind: Kind, data: bytes, limits: UnpackLimits) -> IO[bytes]:
    if kind is Kind.GZIP:
        return cast("IO[bytes]", gzip.GzipFile(fileobj=io.BytesIO(data)))
    if kind is Kind.BZIP2:
        return cast("IO[bytes]", bz2.BZ2File(io.BytesIO(data)))
    window = zstandard.ZstdDecompressor(max_window_size=limits.dictionary_bytes)
    return cast("IO[bytes]", window.stream_reader(data, read_across_frames=True))


def _xz(data: bytes, limits: UnpackLimits) -> Iterator[bytes]:
    """LZMAFile has no limit on memory; the decompressor has."""
    unpacker, at = lzma.LZMADecompressor(memlimit=limits.dictionary_bytes), 0
    while not unpacker.eof:
        fed = b""
        if unpacker.needs_input:
            if at >= len(data):
                raise EOFError("ends too early")
            fed, at = data[at : at + _PIECE], at + _PIECE
        yield unpacker.decompress(fed, _PIECE)


def _gzip_name(data: bytes) -> str:
    """The name that gzip keeps. RFC 1952 §2.3.1."""
    if len(data) < 12 or not data[3] & 0x08:
        return ""
    at = 10
    if data[3] & 0x04:
        at += 2 + struct.unpack_from("<H", data, 10)[0]
    return data[at : at + 255].partition(b"\x00")[0].decode("latin-1")


# --- TNEF -----------------------------------------------------------------------------------------------------------

_TITLE, _DATA, _RENDER = 0x00018010, 0x0006800F, 0x00069002  # [MS-OXTNEF] 2.1.3.2


def _tnef(data: bytes, budget: Budget) -> Iterator[Entry]:
    """Attachments of a winmail.dat. Every length is checked: no endless loop, no copy beyond the end."""
    at, name, body = 6, "", None
    while at + 9 <= len(data):
        budget.check_time()
        kind, size = struct.unpack_from("<II", data, at + 1)
        value = data[at + 9 : at + 9 + size]
        if len(value) < size:
            raise ValueError("ends too early")
        at += 9 + size + 2
        if kind == _RENDER and body is not None:
            budget.entry()
            yield Entry(name, body, whole=True)
            name, body = "", None
        elif kind == _TITLE:
            name = value.partition(b"\x00")[0].decode("cp1252", "replace")
        elif kind == _DATA:
            budget.spend(out=len(value))
            body = value
    if body is not None:
        budget.entry()
        yield Entry(name, body, whole=True)
