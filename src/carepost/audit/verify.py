"""Is the record as it was written? The walk over every chain, and over every checkpoint that was signed.

Promises
    Any entry changed, deleted, inserted or moved is found, whoever did it (A1); so is an end cut off after a
    checkpoint, although chain and head agree again (A2), and a history that differs from what was signed (A3).
    Memory stays bounded: entries and checkpoints are read a page at a time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from carepost.audit import repo
from carepost.audit.chain import ChainCheck, Fault, FaultKind, Head
from carepost.audit.note import Checkpoint, CheckpointVerifier
from carepost.base.errors import Malformed
from carepost.base.ids import OrganisationId
from carepost.infra.db import Database

_PAGE = 5_000
_CHECKPOINT_PAGE = 50
_BEFORE_ALL = -(1 << 62)  # nobody numbers entries below 1, and whoever does is found
# A record torn to pieces would give millions of sentences that say the same.
FAULTS_MAX = 1_000


@dataclass(slots=True)
class AuditReport:
    """What was looked at, and what is wrong with it."""

    organisations: int = 0
    entries: int = 0
    checkpoints: int = 0
    faults: list[Fault] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        return not self.faults

    def add(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            if len(self.faults) < FAULTS_MAX:
                self.faults.append(fault)


# What checkpoints say about each organisation: the hash of the entry that was its head then.
_Signed = dict[OrganisationId, dict[int, bytes]]


async def verify(
    db: Database,
    verifier: CheckpointVerifier | None,
    *,
    organisation: OrganisationId | None = None,
    notes: Iterable[str] = (),
) -> AuditReport:
    """Check one organisation's record, or all. `notes` are copies of checkpoints kept elsewhere: a witness's.

    Without a verifier, chains are checked and checkpoints are not.
    """
    report = AuditReport()
    signed: _Signed = {}
    if verifier is not None:
        await _read_checkpoints(db, verifier, notes, report, signed)
    async with db.transaction() as tx:
        wanted = await repo.chained_organisations(tx) if organisation is None else [organisation]
    for one in wanted:
        await _walk(db, one, signed.pop(one, {}), report)
    if organisation is None:
        for gone, heads in signed.items():
            if any(heads):
                says = "A checkpoint knows an organisation whose record is gone."
                report.add([Fault(FaultKind.CUT_OFF, gone, None, says)])
    return report


async def _read_checkpoints(
    db: Database,
    verifier: CheckpointVerifier,
    notes: Iterable[str],
    report: AuditReport,
    signed: _Signed,
) -> None:
    for note in notes:
        _take_note(verifier, note, "kept outside", report, signed)
    after = 0
    while True:
        async with db.transaction() as tx:
            page = await repo.checkpoints_after(tx, after, limit=_CHECKPOINT_PAGE)
        for stored in page:
            _take_note(verifier, stored.note, f"number {stored.id}", report, signed)
        if len(page) < _CHECKPOINT_PAGE:
            return
        after = page[-1].id


def _take_note(
    verifier: CheckpointVerifier,
    note: str,
    which: str,
    report: AuditReport,
    signed: _Signed,
) -> None:
    report.checkpoints += 1
    try:
        checkpoint: Checkpoint = verifier.open_note(note)
    except Malformed:
        says = f"The checkpoint {which} was not signed by our key, or was changed since."
        report.add([Fault(FaultKind.BAD_SIGNATURE, None, None, says)])
        return
    for head in checkpoint.heads:
        known = signed.setdefault(head.organisation, {})
        if known.setdefault(head.seq, head.hash) != head.hash:
            report.add([_rewritten(head)])


async def _walk(db: Database, organisation: OrganisationId, signed: dict[int, bytes], report: AuditReport) -> None:
    check = ChainCheck(organisation)
    waiting = dict(signed)
    after = _BEFORE_ALL
    while True:
        async with db.transaction(organisation) as tx:
            page = await repo.entries_after(tx, organisation, after, limit=_PAGE)
            # Read after the entries: a head that is behind them is then wrong, one that is ahead has more to show.
            head = await repo.head_of(tx, organisation)
        report.add(check.check(page))
        for entry in page:
            after = entry.seq
            expected = waiting.pop(entry.seq, None)
            if expected is not None and expected != entry.hash:
                report.add([_rewritten(Head(organisation, entry.seq, expected))])
        if not page or (len(page) < _PAGE and (head is None or head.seq <= after)):
            break
    report.add(check.finish(head))
    waiting.pop(0, None)
    beyond = [seq for seq in waiting if seq > check.seq]
    if beyond:
        says = (
            f"A signed checkpoint knows {max(beyond)} entries, but the record ends at {check.seq}: "
            "the end has been cut off."
        )
        report.add([Fault(FaultKind.CUT_OFF, organisation, check.seq + 1, says)])
    report.organisations += 1
    report.entries += check.entries


def _rewritten(head: Head) -> Fault:
    says = f"Entry {head.seq} is not the one that a checkpoint was signed for: history has been rewritten."
    return Fault(FaultKind.CHECKPOINT_DISAGREES, head.organisation, head.seq, says)
