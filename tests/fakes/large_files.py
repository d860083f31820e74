"""Files too large for email in a test: small pieces, and a scanner that says what a test wants said."""

from collections.abc import AsyncIterable
from dataclasses import dataclass, field

from carepost.gateway.file_look import FileLook, FileLookPolicy
from carepost.infra.clamd import ScanAnswer, ScanStatus
from carepost.store.large_files import FilePolicy, LargeFiles

PIECE = 1_000


@dataclass
class FakePieceScanner:
    """Reads it all, as clamd does."""

    answer: ScanAnswer = field(default_factory=lambda: ScanAnswer(ScanStatus.CLEAN))
    fails: Exception | None = None
    seen: bytearray = field(default_factory=bytearray)

    async def scan_pieces(self, size: int, pieces: AsyncIterable[bytes], *, most: int, seconds: float) -> ScanAnswer:
        if size > most:
            return ScanAnswer(ScanStatus.TOO_LARGE)
        async for piece in pieces:
            self.seen += piece
            if self.fails is not None:
                raise self.fails
        return self.answer


def kept_by(world: object, **policy: object) -> LargeFiles:
    """The store's rooms over a world's database. `world` is a GatewayWorld, or one of its kind."""
    return LargeFiles(
        db=world.db,  # type: ignore[attr-defined]
        keys=world.keys,  # type: ignore[attr-defined]
        audit=world.audit,  # type: ignore[attr-defined]
        clock=world.clock,  # type: ignore[attr-defined]
        policy=FilePolicy(**({"piece_octets": PIECE} | policy)),  # type: ignore[arg-type]
    )


def looked_at_by(files: LargeFiles, scanner: FakePieceScanner, **policy: object) -> FileLook:
    return FileLook(files=files, scanner=scanner, policy=FileLookPolicy(**policy))  # type: ignore[arg-type]
