"""Looking at a file too large for email, before anybody may get it: what it is, and whether it is harmless. R128, R133.

Promises
    One reading of the whole file, a piece in memory at a time: its hash, the malware floor, the scanner, its true kind.
    A program, by its first octets, its name or a name in its zip, is refused; so is malware. The words say which.
    What the scanner does not take whole is kept, marked as not scanned: the card "not-scanned" then decides, and as it
    is shipped it holds the message for a person. A scanner that does not answer: the file stays where it is.
    Nobody reads its text: a message with one counts as one that nobody could look through for patients.
"""

import hashlib
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

from carepost.audit.model import Actor
from carepost.base.ids import OrganisationId
from carepost.gateway.checks.malware import EICAR, Floor
from carepost.gateway.files.inspect import Inspector
from carepost.gateway.files.kinds import HEAD_BYTES, PROGRAMS, Kind, kind_of
from carepost.gateway.files.names import BlockPolicy, is_program_name
from carepost.gateway.files.traits import Trait
from carepost.gateway.files.zip_names import names_in_tail
from carepost.infra.clamd import ScanAnswer, ScanStatus
from carepost.store.large_files import FileState, LargeFile, LargeFiles, Opinion, Scanned

TAIL_BYTES = 2 << 20  # the list of names of a zip with some ten thousand files
LOOK = Actor.job("large files")


class ScansPieces(Protocol):
    async def scan_pieces(self, size: int, pieces: AsyncIterable[bytes], *, most: int, seconds: float) -> ScanAnswer:
        """Raises ScannerUnavailable unless the scanner has judged all of it, or does not take so much."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLookPolicy:
    # The least of clamd's StreamMaxLength, MaxFileSize and MaxScanSize; 100 MB is what clamd comes with.
    scanner_octets_max: int = 100_000_000
    scan_seconds: float = 900.0  # 2 GB at some megabytes a second; no sender of SMTP waits for it
    blocked: BlockPolicy = field(default_factory=BlockPolicy)
    floor: Floor = field(default_factory=Floor)


@dataclass(slots=True)
class _Reading:
    """What is gathered while the file goes by."""

    pieces: AsyncIterator[bytes]
    floor: Floor
    hashing: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    head: bytes = b""
    tail: bytes = b""
    seam: bytes = b""
    malware: str = ""

    async def run(self) -> AsyncIterator[bytes]:
        async for piece in self.pieces:
            self.hashing.update(piece)
            self.head += piece[: HEAD_BYTES - len(self.head)]
            self.tail = (self.tail + piece)[-TAIL_BYTES:]
            # A signature that lies across two pieces is one too.
            self.malware = self.malware or self.floor.judge(self.seam + piece) or ""
            self.seam = piece[-len(EICAR) :]
            yield piece

    def finished(self) -> None:
        digest = self.hashing.digest()
        if digest in self.floor.hashes:
            self.malware = self.malware or "a file on this service's list"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLook:
    files: LargeFiles
    scanner: ScansPieces | None
    policy: FileLookPolicy = field(default_factory=FileLookPolicy)

    async def look(self, file: LargeFile, actor: Actor = LOOK) -> LargeFile:
        """Judge a file that has come whole; the file as it stands then. Somebody else who looks at it is left to it.

        Raises TryLater when the scanner does not answer: the file is looked at later.
        """
        if file.state is FileState.WHOLE and await self.files.claim_look(file):
            try:
                opinion = await self._opinion(file)
            except BaseException:
                await self.files.give_up_look(file)
                raise
            await self.files.judge(actor, file, opinion)
        return await self.files.get(file.organisation, file.name) or file

    async def look_at_all(self, organisation: OrganisationId) -> int:
        """What nobody waits for any more. A chore; how many there were."""
        unlooked = await self.files.unlooked(organisation)
        for file in unlooked:
            await self.look(file)
        return len(unlooked)

    async def _opinion(self, file: LargeFile) -> Opinion:
        reading = _Reading(self.files.read(file), self.policy.floor)
        going = reading.run()
        answer = await self._scanned(file, going)
        async for _ in going:  # what the scanner did not want to see
            pass
        reading.finished()
        digest = reading.hashing.hexdigest()
        scanned = Scanned.NO_SCANNER
        if answer is not None:
            scanned = Scanned.NO if answer.status is ScanStatus.TOO_LARGE else Scanned.WHOLLY
        found = answer.name if answer is not None and answer.status is ScanStatus.FOUND else reading.malware
        if found:
            return Opinion(ready=False, digest=digest, scanned=scanned, says=f"It holds malware: {found}.")
        if why := self._blocked(file, reading):
            return Opinion(ready=False, digest=digest, scanned=scanned, says=why)
        return Opinion(ready=True, digest=digest, scanned=scanned, codes=self._codes(file, reading))

    async def _scanned(self, file: LargeFile, pieces: AsyncIterator[bytes]) -> ScanAnswer | None:
        if self.scanner is None:
            return None
        most, seconds = self.policy.scanner_octets_max, self.policy.scan_seconds
        return await self.scanner.scan_pieces(file.size, pieces, most=most, seconds=seconds)

    def _blocked(self, file: LargeFile, reading: _Reading) -> str:
        kind = kind_of(reading.head)
        if kind in PROGRAMS:
            return f"It is a {kind}, and programs are not sent by email, nor by a link."
        if name := is_program_name([file.called], self.policy.blocked):
            ending = name.rpartition(".")[2]
            return f"Its name ends in .{ending}, which runs as a program. Programs are not sent, nor by a link."
        inside = names_in_tail(reading.tail) if kind is Kind.ZIP else None
        if inside and (name := is_program_name(inside, self.policy.blocked)):
            ending = name.rpartition(".")[2]
            return f"It holds a file that ends in .{ending}, which runs as a program. Programs are not sent."
        return ""

    def _codes(self, file: LargeFile, reading: _Reading) -> tuple[str, ...]:
        seen = Inspector(policy=self.policy.blocked).surface(reading.head, [file.called])
        return (Trait.MACROS.value,) if any(one.seen.trait is Trait.MACROS for one in seen) else ()
