"""The message on its way out: looked at before the wire, and put onto it in pieces.

Promises
    A message with a CR or an LF that stands alone, or that does not end with CR LF, never reaches the wire: what comes
    after it could be read as the end by somebody, and the rest as another message (P2, CVE-2023-51764).
    Dot-stuffed pieces, put together, end with CR LF . CR LF and hold it nowhere else. RFC 5321 §4.5.2.
"""

from collections.abc import Iterator
from enum import Enum

PIECE = 64 * 1024  # octets written at once: each has a deadline of its own


class OutgoingFlaw(Enum):
    """Why a message may not leave."""

    EMPTY = "it is empty"
    STRAY_LINE_END = "it holds a carriage return or a line feed that stands alone"
    NO_FINAL_LINE_END = "its last line does not end"
    NUL = "it holds a NUL"


def flaw_of(raw: bytes) -> OutgoingFlaw | None:
    """None: every CR is followed by its LF, every LF follows its CR, and the last line ends."""
    if not raw:
        return OutgoingFlaw.EMPTY
    pairs = raw.count(b"\r\n")
    if raw.count(b"\r") != pairs or raw.count(b"\n") != pairs:
        return OutgoingFlaw.STRAY_LINE_END
    if not raw.endswith(b"\r\n"):
        return OutgoingFlaw.NO_FINAL_LINE_END
    # RFC 5321 §4.5.2 and RFC 6152 §3 leave NUL to BINARYMIME; many systems cut the message off there.
    return OutgoingFlaw.NUL if b"\0" in raw else None


def is_eight_bit(raw: bytes) -> bool:
    return not raw.isascii()


def has_utf8_headers(raw: bytes) -> bool:
    """Whether the header section needs SMTPUTF8. RFC 6531 §3.2."""
    end = raw.find(b"\r\n\r\n")
    return not (raw if end < 0 else raw[:end]).isascii()


def dotted(raw: bytes) -> Iterator[bytes]:
    """The content of DATA in pieces, dot-stuffed, its end included. `raw` is without flaw."""
    start = 0
    while start < len(raw):
        # Each piece ends with a line: no CR LF is ever cut in two.
        end = raw.rfind(b"\n", start, start + PIECE) + 1 if len(raw) - start > PIECE else len(raw)
        if end == 0:
            end = raw.find(b"\n", start) + 1
        piece = raw[start:end].replace(b"\r\n.", b"\r\n..")
        start = end
        if piece.startswith(b"."):
            piece = b"." + piece
        yield piece if start < len(raw) else piece + b".\r\n"


def counted(raw: bytes) -> Iterator[bytes]:
    """The content of BDAT in pieces, as it is."""
    for start in range(0, len(raw), PIECE):
        yield raw[start : start + PIECE]
