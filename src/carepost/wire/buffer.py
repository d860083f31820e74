"""The one buffer of every text protocol: what has arrived and has not yet been understood.

Promises
    A line ends with CR LF and with nothing else. A bare CR or a bare LF is a Flaw, never an ending: engines that
    accept less let one message smuggle in another (CVE-2023-51764 and its cousins).
    A line beyond its limit is thrown away as it arrives, up to and including its CR LF; no more than the limit is kept.
    Nothing here raises on anything that a stranger can send.
"""

from enum import Enum, auto

# A stranger who sends this much without one line ending is not speaking a line protocol.
RUNAWAY_LINE = 64 * 1024


class Flaw(Enum):
    """What may be wrong with a line."""

    BARE_LINE_END = auto()  # a CR without its LF or an LF without its CR: nothing after it can be trusted
    TOO_LONG = auto()  # the line has been skipped; the next one may be read
    RUNAWAY = auto()  # beyond RUNAWAY_LINE and still no end


class LineBuffer:
    """Bytes in at one end; lines and counted octets out at the other."""

    __slots__ = ("_skipped", "_unread")

    def __init__(self) -> None:
        self._unread = bytearray()
        self._skipped = 0  # octets of a too long line that have been thrown away already

    def __len__(self) -> int:
        return len(self._unread)

    @property
    def unread(self) -> bytearray:
        """The bytes themselves, for readers that search in bulk. They take what they have understood off its front."""
        return self._unread

    def feed(self, data: bytes) -> None:
        self._unread += data

    def clear(self) -> None:
        self._unread.clear()
        self._skipped = 0

    def line(self, limit: int) -> bytes | Flaw | None:
        """The next line without its CR LF; a Flaw; or None: it has not all arrived yet.

        `limit` counts octets with the CR LF, as RFC 5321 §4.5.3.1 does.
        """
        unread = self._unread
        end = unread.find(b"\n")
        if end < 0:
            return self._wait_for_the_end(limit)
        # A CR that is not the one before this LF, or no CR before it.
        if end == 0 or unread.find(b"\r", 0, end) != end - 1:
            return Flaw.BARE_LINE_END
        length = self._skipped + end + 1
        line = bytes(unread[: end - 1])
        del unread[: end + 1]
        self._skipped = 0
        return line if length <= limit else Flaw.TOO_LONG

    def _wait_for_the_end(self, limit: int) -> Flaw | None:
        unread = self._unread
        first_return = unread.find(b"\r")
        if 0 <= first_return < len(unread) - 1:
            return Flaw.BARE_LINE_END
        if self._skipped + len(unread) > limit:
            # The last octet stays: it may be the CR of the CR LF.
            self._skipped += len(unread) - 1
            del unread[:-1]
        return Flaw.RUNAWAY if self._skipped > RUNAWAY_LINE else None

    def take(self, most: int) -> bytes:
        """Up to `most` octets, without looking at them."""
        taken = bytes(self._unread[:most])
        del self._unread[:most]
        return taken
