"""What another mail system answers, as we read it: bounded, strict about line ends, harmless to show.

Promises
    A reply is one or more lines with one code, each ended by CR LF. A bare CR or LF, another code in the middle, or
    anything that is no reply is Unintelligible: nothing after it on this connection can be trusted.
    No reply, however long, costs more memory than the bounds; what is kept of its text is printable and cut.
"""

import re
from dataclasses import dataclass

from carepost.wire.buffer import Flaw, LineBuffer

# RFC 5321 §4.5.3.1.5 allows 512 octets; some systems put a whole address book entry into one line.
LINE_MAX = 2048
LINES_MAX = 128  # the longest answers to EHLO have some thirty
TEXT_KEPT = 1000  # characters of a reply that are kept for people and reports

_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |$)", re.ASCII)


class Unintelligible(Exception):
    """The other side does not speak SMTP as it must: the connection is of no further use. `flaw` says how."""

    def __init__(self, flaw: str) -> None:
        super().__init__(flaw)
        self.flaw = flaw


@dataclass(frozen=True, slots=True)
class PeerReply:
    """One reply. `lines` are printable and without the codes; `enhanced` is RFC 3463's, or empty."""

    code: int
    enhanced: str
    lines: tuple[str, ...]

    @property
    def is_yes(self) -> bool:
        return 200 <= self.code < 300

    @property
    def is_go_ahead(self) -> bool:
        return 300 <= self.code < 400

    @property
    def is_later(self) -> bool:
        return 400 <= self.code < 500

    @property
    def is_never(self) -> bool:
        return self.code >= 500

    @property
    def text(self) -> str:
        """For people, for DSNs and for the record: one line, cut."""
        return f"{self.code} {' '.join(line for line in self.lines if line)}".rstrip()[:TEXT_KEPT]


class ReplyReader:
    """Bytes in, replies out."""

    __slots__ = ("_buffer", "_code", "_lines")

    def __init__(self) -> None:
        self._buffer = LineBuffer()
        self._code: int | None = None  # of the reply whose lines are still coming
        self._lines: list[str] = []

    def feed(self, octets: bytes) -> None:
        self._buffer.feed(octets)

    @property
    def holds_octets(self) -> bool:
        """Whether something has arrived that was not yet read as a reply."""
        return len(self._buffer) > 0 or self._code is not None

    def clear(self) -> None:
        """Forget what has arrived: after STARTTLS nothing that came in clear counts. RFC 3207 §4.2."""
        self._buffer.clear()
        self._code, self._lines = None, []

    def next(self) -> PeerReply | None:
        """The next whole reply, or None: it has not all arrived. Raises Unintelligible."""
        while True:
            line = self._buffer.line(LINE_MAX)
            if line is None:
                return None
            if isinstance(line, Flaw):
                raise Unintelligible(_SAYS[line])
            reply = self._take(line)
            if reply is not None:
                return reply

    def _take(self, line: bytes) -> PeerReply | None:
        matched = _LINE.fullmatch(line)
        if matched is None:
            raise Unintelligible("a line that is no reply")
        code, more = int(matched[1]), matched[2] == b"-"
        if self._code not in (None, code):
            raise Unintelligible("a reply with two codes")
        if len(self._lines) >= LINES_MAX:
            raise Unintelligible("a reply without end")
        self._code = code
        self._lines.append(_printable(matched[3] or b""))
        if more:
            return None
        lines, self._lines, self._code = tuple(self._lines), [], None
        return _reply(code, lines)


_SAYS = {
    Flaw.BARE_LINE_END: "a line that does not end with CR LF",
    Flaw.TOO_LONG: "a line without end",
    Flaw.RUNAWAY: "a line without end",
}


def _reply(code: int, lines: tuple[str, ...]) -> PeerReply:
    found = _ENHANCED.match(lines[0])
    # RFC 2034 §4: the enhanced code is of the reply's own class, or it means nothing.
    if found is None or found[1][0] != str(code)[0]:
        return PeerReply(code, "", lines)
    enhanced = found[1]
    return PeerReply(code, enhanced, tuple(line.removeprefix(enhanced).lstrip(" ") for line in lines))


def _printable(octets: bytes) -> str:
    text = octets[:LINE_MAX].decode("utf-8", "replace")
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return text.strip(" ")
