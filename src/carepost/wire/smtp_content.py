"""The content of a message as it arrives: found in bulk, un-stuffed in bulk, watched in bulk.

Promises
    Only CR LF . CR LF ends a message sent by DATA; only the octet count ends a chunk sent by BDAT.
    No octet is lost, added or looked at one by one: searching and counting are left to C.
    A bare CR or LF, in one piece or cut by the network, is noticed and never forgotten.
    At most four octets are kept back between two calls.

A MessageArrival is one message on its way in; ContentWatch and DottedContent are its two parts.
"""

from enum import Enum, auto

from carepost.wire.buffer import LineBuffer

_END = b"\r\n.\r\n"
_DOT = b"\r\n."
# What the end may have begun with, longest first. It stays until more has arrived.
_BEGINNINGS = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")
_EVEN_WIDTH_MIN = 40  # shorter lines are counted as fast
_NO_LINE_ENDS = bytes(sorted(set(range(256)) - {0x0A, 0x0D}))


class ContentFlaw(Enum):
    """Why a message cannot be taken, whatever is in it."""

    BARE_LINE_END = auto()
    TOO_LARGE = auto()


class ContentWatch:
    """Counts, and looks for what may not be there. One for each message."""

    __slots__ = ("_after_return", "_column", "_line_max", "_message_max", "flaw", "has_long_lines", "octets")

    def __init__(self, *, message_max: int, line_max: int) -> None:
        self._message_max = message_max
        self._line_max = line_max
        self._after_return = False  # the last octet was a CR whose LF may still come
        self._column = 0
        self.octets = 0
        self.flaw: ContentFlaw | None = None
        self.has_long_lines = False  # RFC 5321 §4.5.3.1.6. Accepted, for the gateway to know.

    def see(self, content: bytes) -> None:
        """The next octets of the message."""
        if not content:
            return
        self.octets += len(content)
        if self.flaw is not ContentFlaw.BARE_LINE_END and self._has_bare_line_end(content):
            self.flaw = ContentFlaw.BARE_LINE_END
        if self.flaw is None and self.octets > self._message_max:
            self.flaw = ContentFlaw.TOO_LARGE
        if not self.has_long_lines:
            self._measure_lines(content)

    def end(self) -> None:
        """There is no more. A CR at the very end has lost its LF."""
        if self._after_return:
            self.flaw = ContentFlaw.BARE_LINE_END

    def _has_bare_line_end(self, content: bytes) -> bool:
        """Each CR LF is two octets that end lines; any more of them stand alone."""
        ends = len(content.translate(None, _NO_LINE_ENDS))
        if self._after_return:
            if content[0] != 0x0A:
                return True
            ends -= 1
        self._after_return = content[-1] == 0x0D
        if self._after_return:
            ends -= 1
        return ends != 2 * (_even_lines(content, ends // 2) or content.count(b"\r\n"))

    def _measure_lines(self, content: bytes) -> None:
        start, length = 0, len(content)
        room = self._line_max + 2 - self._column
        # From line end to line end in strides as wide as a line may be: few steps, however short the lines.
        while length - start > room:
            end = content.rfind(b"\n", start, start + room)
            if end < 0:
                self.has_long_lines = True
                return
            start = end + 1
            room = self._line_max + 2
        last = content.rfind(b"\n", start)
        self._column = length - last - 1 if last >= 0 else length - start + (self._column if start == 0 else 0)


def _even_lines(content: bytes, most: int) -> int:
    """`most`, when just so many CR LF end lines of one width, as in base64; 0 when it is not so.

    Looks at two octets a line, where counting looks at all.
    """
    first = content.find(b"\r\n")
    width = content.find(b"\r\n", first + 2) - first if first >= 0 else 0
    if width < _EVEN_WIDTH_MIN:
        return 0
    returns, feeds = content[first::width], content[first + 1 :: width]
    return most if returns == b"\r" * most and feeds == b"\n" * most else 0


class DottedContent:
    """The content of DATA. RFC 5321 §4.5.2."""

    __slots__ = ("_begun", "_first")

    def __init__(self) -> None:
        self._begun = False
        self._first = True

    def take(self, unread: bytearray) -> tuple[bytes, bool]:
        """What can be given on now, without its dot-stuffing, and whether the message has ended."""
        if not self._begun:
            # As if a line had just ended: then the first line needs no rule of its own.
            unread[:0] = b"\r\n"
            self._begun = True
        # Most pieces have no line that begins with a dot: neither an end nor anything to un-stuff.
        # Base64 has no dot at all, and one octet is found in a tenth of the time.
        dot = unread.find(_DOT) if b"." in unread else -1
        end = unread.find(_END, dot) if dot >= 0 else -1
        ended = end >= 0
        upto = end + 2 if ended else len(unread) - _kept_back(unread)
        with memoryview(unread) as view:
            content = bytes(view[:upto])
        del unread[: end + len(_END) if ended else upto]
        if dot >= 0:
            content = content.replace(_DOT, b"\r\n")
        if self._first and content:
            self._first = False
            content = content[2:]
        return content, ended


def _kept_back(unread: bytearray) -> int:
    for beginning in _BEGINNINGS:
        if unread.endswith(beginning):
            return len(beginning)
    return 0


class Pause(Enum):
    """Why an arrival gives no octets just now."""

    MORE = auto()  # the network has not brought them yet
    CHUNK = auto()  # a chunk of BDAT has ended, and it was not the last
    MESSAGE = auto()  # that was all


# A message this many times too large is not read to its end for the sake of a polite answer.
DISCARD_FACTOR = 4


class MessageArrival:
    """The content of one message, whichever way it comes."""

    __slots__ = ("_chunk_left", "_dotted", "_ended", "_last", "_message_max", "chunk_octets", "watch")

    def __init__(self, *, message_max: int, line_max: int) -> None:
        self.watch = ContentWatch(message_max=message_max, line_max=line_max)
        self.chunk_octets = 0
        self._message_max = message_max
        self._dotted = DottedContent()
        self._ended = False
        self._chunk_left: int | None = None  # None: it comes by DATA
        self._last = False

    @property
    def is_hopeless(self) -> bool:
        return self.watch.octets > self._message_max * DISCARD_FACTOR

    def chunk_begins(self, octets: int, *, last: bool) -> None:
        self.chunk_octets = self._chunk_left = octets
        self._last = last

    def read(self, buffer: LineBuffer) -> bytes | Pause:
        """The next octets, never none; or why there are none. What is flawed is read and not given on."""
        while not self._ended:
            content = self._dotted_content(buffer) if self._chunk_left is None else self._counted_content(buffer)
            if not content:
                break
            self.watch.see(content)
            if self.watch.flaw is None:
                return content
            if self.is_hopeless:
                break
        if self._ended:
            if self._last or self._chunk_left is None:
                self.watch.end()
                return Pause.MESSAGE
            self._ended = False
            return Pause.CHUNK
        return Pause.MORE

    def _dotted_content(self, buffer: LineBuffer) -> bytes:
        if not len(buffer):
            return b""
        content, self._ended = self._dotted.take(buffer.unread)
        return content

    def _counted_content(self, buffer: LineBuffer) -> bytes:
        left = self._chunk_left or 0
        content = buffer.take(left)
        self._chunk_left = left - len(content)
        self._ended = not self._chunk_left
        return content
