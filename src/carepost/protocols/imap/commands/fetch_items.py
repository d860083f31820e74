"""One message's answer to FETCH, out of what was read for its run. No I/O.

Each item becomes a writer once, and the writers are called for every message: a folder's list is thousands of them.
"""

from collections.abc import Callable, Mapping, Sequence

from carepost.message.structure import BodyPart
from carepost.message.summary import Summary
from carepost.protocols.imap.session import Selected
from carepost.store.model import MessageRow
from carepost.wire import imap_replies as replies
from carepost.wire import imap_structure as structure
from carepost.wire.imap_commands import Attribute, BinarySize, FetchItem, Section, SectionText

# (position, UID, the message's octets if they were read) to `UID 7`.
Writer = Callable[[int, int, bytes], bytes]


class Answers:
    """Writes answers for one run of messages. `rows` and `summaries` are None when they were not needed."""

    __slots__ = ("_modseqs", "_rows", "_summaries", "_writers", "in_pieces", "selected")

    def __init__(
        self,
        items: Sequence[FetchItem],
        selected: Selected,
        *,
        rows: Mapping[int, MessageRow] | None,
        summaries: Mapping[int, Summary] | None,
        modseqs: Mapping[int, int],
    ) -> None:
        self.selected = selected
        self.in_pieces = any(isinstance(item, Section) and item.partial is not None for item in items)
        self._rows = rows
        self._summaries = summaries
        self._modseqs = modseqs
        self._writers = [self._writer(item) for item in items]

    def lines(self, positions: Sequence[int], uids: Sequence[int]) -> list[bytes]:
        """The answers for those that are still there."""
        return [
            line
            for position, uid in zip(positions, uids, strict=True)
            if (line := self.line(position, uid, b"")) is not None
        ]

    def line(self, position: int, uid: int, raw: bytes) -> bytes | None:
        """None when the message went before it could be read."""
        if (self._rows is not None and uid not in self._rows) or (
            self._summaries is not None and uid not in self._summaries
        ):
            return None
        return replies.fetched(position + 1, [write(position, uid, raw) for write in self._writers])

    def _writer(self, item: FetchItem) -> Writer:
        match item:
            case Attribute():
                return self._attribute(item)
            case Section():
                return lambda _position, uid, raw: self._section(item, uid, raw)
            case BinarySize():
                return lambda _position, uid, raw: self._size(item, uid, raw)

    def _attribute(self, item: Attribute) -> Writer:
        selected, rows, summaries = self.selected, self._rows or {}, self._summaries or {}
        match item:
            case Attribute.UID:
                return lambda _position, uid, _raw: b"UID %d" % uid
            case Attribute.FLAGS:
                return lambda position, _uid, _raw: (
                    b"FLAGS " + replies.flags(selected.flags[position], selected.keywords_at(position))
                )
            case Attribute.RFC822_SIZE:
                return lambda _position, uid, _raw: b"RFC822.SIZE %d" % rows[uid].size
            case Attribute.INTERNALDATE:
                return lambda _position, uid, _raw: b"INTERNALDATE " + replies.date_time(rows[uid].internal_date)
            case Attribute.MODSEQ:
                return lambda _position, uid, _raw: b"MODSEQ (%d)" % max(rows[uid].modseq, self._modseqs.get(uid, 0))
            case Attribute.ENVELOPE:
                return lambda _position, uid, _raw: b"ENVELOPE " + structure.envelope(summaries[uid].envelope)
            case Attribute.BODY:
                return lambda _position, uid, _raw: b"BODY " + structure.body(summaries[uid].structure, extended=False)
            case Attribute.BODYSTRUCTURE:
                return lambda _position, uid, _raw: (
                    b"BODYSTRUCTURE " + structure.body(summaries[uid].structure, extended=True)
                )

    def _structure(self, uid: int) -> BodyPart:
        if self._summaries is None:
            raise RuntimeError("a section was to be cut without its summary")
        return self._summaries[uid].structure

    def _size(self, item: BinarySize, uid: int, raw: bytes) -> bytes:
        octets = structure.decoded(raw, self._structure(uid), item.part)
        return b"%b %d" % (item.label, len(octets or b""))

    def _section(self, section: Section, uid: int, raw: bytes) -> bytes:
        if not section.part and section.text is SectionText.ALL:
            octets: bytes | None = raw
        else:
            octets = structure.cut(raw, self._structure(uid), section)
        if octets is None:
            return section.label + b" NIL"
        if section.partial is not None:
            octets = octets[section.partial.start : section.partial.start + section.partial.length]
        if section.decoded and b"\0" in octets:
            return section.label + b" " + replies.literal8(octets)
        return section.label + b" " + replies.literal(octets)
