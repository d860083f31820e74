"""The hash chain: each entry's hash covers the one before it. PURE.

Promises
    A flipped bit, a deleted, inserted, moved or renumbered entry is found (A1), at the first entry that does not fit.
    What a chain alone cannot show is a tail cut off with its head wound back: checkpoint.py shows that (A2).

`queries.sql` computes the same hash in the database, in the statement that takes the next number:
sha256(previous || organisation as 8 bytes || seq as 8 bytes || body), numbers big-endian, the first previous all zeros.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from carepost.audit.model import Entry
from carepost.base.ids import OrganisationId

GENESIS = bytes(32)

_PLACE = struct.Struct(">qq")


@dataclass(frozen=True, slots=True)
class Head:
    """How far a chain has come."""

    organisation: OrganisationId
    seq: int
    hash: bytes


class FaultKind(StrEnum):
    CHANGED = "changed"  # an entry is not the one that was sealed
    MISSING = "missing"  # a number is absent from the middle
    OUT_OF_PLACE = "out of place"  # a number comes twice, goes backwards, or belongs to another organisation
    CUT_OFF = "cut off"  # the head or a signed checkpoint knows entries that are no longer there
    HEAD_DISAGREES = "head disagrees"  # the head is not the last entry
    CHECKPOINT_DISAGREES = "checkpoint disagrees"  # history differs from what was signed
    BAD_SIGNATURE = "bad signature"  # a checkpoint was not signed by our key, or was changed since


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong, in words for the auditor."""

    kind: FaultKind
    organisation: OrganisationId | None
    seq: int | None
    says: str


def seal(previous: bytes, organisation: OrganisationId, seq: int, body: bytes) -> bytes:
    """The hash of the entry that follows `previous`."""
    return hashlib.sha256(previous + _PLACE.pack(organisation, seq) + body).digest()


@dataclass
class ChainCheck:
    """Walks one organisation's entries in order of seq, a page at a time; remembers where it stands.

    After a fault it goes on from the entry as found, so one changed entry gives one fault, not thousands.
    """

    organisation: OrganisationId
    seq: int = 0
    hash: bytes = GENESIS
    entries: int = 0

    def check(self, entries: Iterable[Entry]) -> Iterator[Fault]:
        for entry in entries:
            self.entries += 1
            fault = self._fault_of(entry)
            if fault:
                yield fault
            self.seq, self.hash = entry.seq, entry.hash

    def _fault_of(self, entry: Entry) -> Fault | None:
        organisation, seq = self.organisation, entry.seq
        if entry.organisation != organisation:
            return Fault(FaultKind.OUT_OF_PLACE, organisation, seq, f"Entry {seq} belongs to another organisation.")
        if seq <= self.seq:
            return Fault(
                FaultKind.OUT_OF_PLACE, organisation, seq, f"Entry {seq} comes after entry {self.seq}: out of order."
            )
        if seq > self.seq + 1:
            first, last = self.seq + 1, seq - 1
            which = f"Entry {first} is" if first == last else f"Entries {first} to {last} are"
            return Fault(FaultKind.MISSING, organisation, first, f"{which} missing.")
        if seal(self.hash, organisation, seq, entry.body) != entry.hash:
            return Fault(FaultKind.CHANGED, organisation, seq, f"Entry {seq} is not as it was written.")
        return None

    def finish(self, head: Head | None) -> Iterator[Fault]:
        """Compare the end of the walk with the head that the database keeps."""
        organisation = self.organisation
        if head is None:
            yield Fault(FaultKind.HEAD_DISAGREES, organisation, None, "The head of this organisation's record is gone.")
        elif head.seq > self.seq:
            yield Fault(
                FaultKind.CUT_OFF,
                organisation,
                self.seq + 1,
                f"The record ends at entry {self.seq}, but {head.seq} were written: the end has been cut off.",
            )
        elif (head.seq, head.hash) != (self.seq, self.hash):
            yield Fault(
                FaultKind.HEAD_DISAGREES, organisation, head.seq, "The last entry is not the one that the head names."
            )
